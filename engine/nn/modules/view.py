"""Layers that only look at their input in another way."""

from __future__ import annotations

from typing import Any

from ...ops.view import flatten
from ...tensor import Tensor
from ..module import Module

__all__ = ["Flatten", "Identity"]


class Flatten(Module):
    """The dimensions start_dim..end_dim as one; by default all but the batch's.

    Shape: (N, C, H, W) -> (N, C * H * W)

    Args:
        start_dim, end_dim: the first and last of the dimensions.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input.

    Shape: unchanged.

    Args:
        args, kwargs: are ignored, so that it can stand for any layer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input
