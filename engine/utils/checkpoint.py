"""PyTorch's place for checkpoint: `gradsmith.utils.checkpoint.checkpoint(function, *args)`."""

from ..autograd.checkpoint import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
