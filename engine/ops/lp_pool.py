"""Power-average pooling, made of powers and average pooling."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from . import shapes
from .arithmetic import pow
from .elementwise import relu
from .operands import need_tensors
from .pool import _avg_pool, _max_pool

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]


def _lp_pool(
    n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    need_tensors(f"lp_pool{n}d", input=input)
    if isinstance(norm_type, (int, float)) and math.isinf(norm_type):
        size = input.abs() if norm_type > 0 else -input.abs()
        y = _max_pool(n, size, kernel_size, stride, 0, 1, ceil_mode, False)
        return y if norm_type > 0 else -y
    count = math.prod(shapes.spatial(f"lp_pool{n}d", "kernel_size", kernel_size, n, 1))
    mean = _avg_pool(n, pow(input, norm_type), kernel_size, stride, 0, ceil_mode, True, None)
    return pow(mean.sign() * relu(mean.abs()) * count, 1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm over a sliding window (without magnitudes, as PyTorch: for odd p x < 0 counts).

    Formula: y = (sum of x^p over the window)^(1/p)

    Shape: (N, C, L) or (C, L) -> (N, C, L_out), as avg_pool1d without padding

    Args:
        norm_type: p; 1 is the sum, infinity the largest magnitude.
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        ceil_mode: round L_out up instead of down.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm over a sliding 2-D window; options as lp_pool1d, an int or one per dimension.

    Formula: y = (sum of x^p over the window)^(1/p)

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm over a sliding 3-D window; options as lp_pool1d, an int or one per dimension.

    Formula: y = (sum of x^p over the window)^(1/p)

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
