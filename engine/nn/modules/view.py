"""Layers that only look at their input in another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops.view import flatten
from ...tensor import Tensor
from ..module import Module

__all__ = ["Flatten", "Identity", "Unflatten"]


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


class Unflatten(Module):
    """One dimension as several: what undoes Flatten.

    Shape: (N, C * H * W) -> (N, C, H, W)

    Args:
        dim: the dimension to divide; negative: from the end.
        unflattened_size: the sizes it becomes, of which one may be -1.

    Raises:
        TypeError: sizes that are no ints. IndexError, RuntimeError (in forward): a dim the input
            has not; sizes that do not multiply to it.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError(f"Unflatten: dim must be an int; got {dim!r}")
        if not isinstance(unflattened_size, Sequence) or not all(
            isinstance(n, int) for n in unflattened_size
        ):
            raise TypeError(f"Unflatten: unflattened_size must be ints; got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.shape)
        if not -len(shape) <= self.dim < len(shape):
            raise IndexError(
                f"Unflatten: dim must be in [{-len(shape)}, {len(shape)}); got {self.dim}"
            )
        dim = self.dim % len(shape)
        return input.reshape((*shape[:dim], *self.unflattened_size, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        """The dimension and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


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
