"""Pooling layers to a given size, and the inverse of max pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ops import shapes
from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _AdaptiveAvgPool(Module):
    """What adaptive average pooling layers share."""

    _function: Callable[..., Any]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.output_size)

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The averages over windows that cut the input into output_size parts.

    Shape: (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)

    Args:
        output_size: how many; 1 is global average pooling.
    """

    _function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The averages over windows that cut the planes into output_size parts.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)

    Args:
        output_size: an int, or (for H, for W); None keeps the input's.
    """

    _function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The averages over windows that cut the volumes into output_size parts.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)

    Args:
        output_size: an int, or one for each of D, H, W; None keeps the input's.
    """

    _function = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    """What adaptive max pooling layers share."""

    _function: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return self._function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima over windows that cut the input into output_size parts; NaN wins.

    Shape: (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)

    Args:
        output_size: how many; 1 is global max pooling.
        return_indices: also return where in each plane the maximum stood (int64).
    """

    _function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima over windows that cut the planes into output_size parts; NaN wins.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)

    Args:
        output_size: an int, or (for H, for W); None keeps the input's.
        return_indices: also return where in each plane the maximum stood (int64).
    """

    _function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima over windows that cut the volumes into output_size parts; NaN wins.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)

    Args:
        output_size: an int, or one for each of D, H, W; None keeps the input's.
        return_indices: also return where in each plane the maximum stood (int64).
    """

    _function = staticmethod(F.adaptive_max_pool3d)


class _MaxUnpool(Module):
    """What max unpooling layers share."""

    #: Spatial dimensions.
    n = 0
    _function: Callable[..., Any]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        name, n = type(self).__name__, self.n
        self.kernel_size = shapes.spatial(name, "kernel_size", kernel_size, n, 1)
        stride = kernel_size if stride is None else stride
        self.stride = shapes.spatial(name, "stride", stride, n, 1)
        self.padding = shapes.spatial(name, "padding", padding, n, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        options = (self.kernel_size, self.stride, self.padding, output_size)
        return self._function(input, indices, *options)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts values back where MaxPool1d found them, and zeros elsewhere.

    Shape: input and indices (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out)

    Args:
        kernel_size, stride, padding: MaxPool1d's.

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 1
    _function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Puts values back where MaxPool2d found them; options as MaxUnpool1d.

    Shape: input and indices (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out) or without N
    """

    n = 2
    _function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Puts values back where MaxPool3d found them; options as MaxUnpool1d.

    Shape: input and indices (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, ...) or without N
    """

    n = 3
    _function = staticmethod(F.max_unpool3d)
