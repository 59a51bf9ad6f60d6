"""Only PyTorch's name for `gradsmith.utils.data`."""

from . import data

__all__ = ["data"]
