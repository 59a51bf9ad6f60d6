"""Only PyTorch's names for `gradsmith.utils.data` and `gradsmith.utils.checkpoint`."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
