"""Power-average pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = ["LPPool1d", "LPPool2d", "LPPool3d"]


class _LPPool(Module):
    """What power-average pooling layers share."""

    _function: Callable[..., Any]

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        options = (float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
        return self._function(input, *options)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm over a sliding window.

    Formula: y = (sum of x^p over the window)^(1/p)

    Shape: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out)

    Args:
        norm_type: p; infinity is the largest magnitude.
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        ceil_mode: round L_out up instead of down.
    """

    _function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The p-norm over a sliding 2-D window; options as LPPool1d, an int or one per dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out) or (C, H_out, W_out)
    """

    _function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """The p-norm over a sliding 3-D window; options as LPPool1d, an int or one per dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out) or without N
    """

    _function = staticmethod(F.lp_pool3d)
