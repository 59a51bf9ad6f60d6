"""What stands beside the layers, under PyTorch's names: `rnn` (packed and padded sequences)."""

from . import rnn

__all__ = ["rnn"]
