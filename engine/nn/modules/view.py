"""Layers that only look at their input in another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ops.view import flatten
from ...ops.window import fold, unfold
from ...tensor import Tensor
from ..module import Module

__all__ = ["Fold", "Unfold", "Flatten", "Identity", "Unflatten"]


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


class Unfold(Module):
    """The sliding windows of images, each as a column; see functional.unfold.

    Shape: (N, C, H, W) -> (N, C * kh * kw, L)

    Args:
        kernel_size, dilation, padding, stride: a number or two.
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Images as the sums of windows; see functional.fold.

    Shape: (N, C * kh * kw, L) -> (N, C, H, W)

    Args:
        output_size: (H, W).
        kernel_size, dilation, padding, stride: a number or two.
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        options = (self.kernel_size, self.dilation, self.padding, self.stride)
        return fold(input, self.output_size, *options)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
