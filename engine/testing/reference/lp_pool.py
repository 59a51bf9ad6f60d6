"""Power-average pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from .pool import avg_pool, max_pool

__all__ = ["lp_pool"]


def lp_pool(
    x: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
    n: int = 2,
) -> Any:
    """The window's mean of x^p times the window's size, to the power of 1 / p."""
    if np.isinf(norm_type):
        sign = 1 if norm_type > 0 else -1
        return sign * max_pool(sign * np.abs(x), kernel_size, stride, 0, 1, ceil_mode, n)[0]
    count = np.prod(kernel_size) if isinstance(kernel_size, tuple) else kernel_size**n
    mean = avg_pool(x**norm_type, kernel_size, stride, 0, ceil_mode, n=n)
    with np.errstate(all="ignore"):
        return (mean * count) ** (1 / norm_type)
