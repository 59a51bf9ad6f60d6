"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ops import shapes
from .. import functional as F
from ..module import Module

__all__ = ["AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d"]


def _check_window(name: str, n: int, kernel_size: Any, stride: Any, padding: Any) -> None:
    """The options that pooling functions would refuse, refused at construction."""
    kernel = shapes.spatial(name, "kernel_size", kernel_size, n, 1)
    shapes.spatial(name, "stride", stride, n, 1)
    for p, size in zip(shapes.spatial(name, "padding", padding, n, 0), kernel, strict=True):
        if 2 * p > size:
            raise ValueError(
                f"{name}: padding must be at most half of kernel_size; "
                f"got padding={padding}, kernel_size={kernel_size}"
            )


class _MaxPool(Module):
    """What max pooling layers share."""

    #: Spatial dimensions.
    n = 0
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        _check_window(type(self).__name__, self.n, kernel_size, self.stride, padding)
        shapes.spatial(type(self).__name__, "dilation", dilation, self.n, 1)

    def forward(self, input: Any) -> Any:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum over a sliding window; NaN wins, padding never does.

    Shape: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out),
    L_out = floor((L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1

    Args:
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        padding: on each side, at most half of kernel_size.
        dilation: steps between the window's elements.
        return_indices: also return where in each plane the first maximum stood (int64).
        ceil_mode: round L_out up instead of down.

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 1
    _function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The maximum over a sliding 2-D window; options as MaxPool1d, an int or one per dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out) or (C, H_out, W_out)

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 2
    _function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The maximum over a sliding 3-D window; options as MaxPool1d, an int or one per dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out) or without N

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 3
    _function = staticmethod(F.max_pool3d)


class _AvgPool(Module):
    """What average pooling layers share."""

    #: Spatial dimensions.
    n = 0
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        _check_window(name, self.n, kernel_size, self.stride, padding)
        if divisor_override is not None:
            shapes.spatial(name, "divisor_override", divisor_override, 1, 1)

    def forward(self, input: Any) -> Any:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The average over a sliding window.

    Shape: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out),
    L_out = floor((L + 2 * padding - kernel_size) / stride) + 1

    Args:
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        padding: zeros on each side, at most half of kernel_size.
        ceil_mode: round L_out up instead of down.
        count_include_pad: whether padding counts in the average.

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 1
    _function = staticmethod(F.avg_pool1d)

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        # Tuples, as PyTorch shows them for this layer.
        self.kernel_size = shapes.spatial("AvgPool1d", "kernel_size", self.kernel_size, 1, 1)
        self.stride = shapes.spatial("AvgPool1d", "stride", self.stride, 1, 1)
        self.padding = shapes.spatial("AvgPool1d", "padding", self.padding, 1, 0)

    def forward(self, input: Any) -> Any:
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPool):
    """The average over a sliding 2-D window; options as AvgPool1d, an int or one per dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out) or (C, H_out, W_out)

    Args:
        divisor_override: divide by this instead of the window's size.

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 2
    _function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The average over a sliding 3-D window; options as AvgPool2d, an int or one per dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out) or without N

    Raises:
        ValueError, TypeError: an option out of its range.
    """

    n = 3
    _function = staticmethod(F.avg_pool3d)
