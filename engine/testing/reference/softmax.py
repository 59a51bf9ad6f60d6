"""softmax and softmin."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["softmax", "softmax_bwd", "softmin"]


def softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    """e^(x - max) / sum of e^(x - max) along dim."""
    if x.size == 0:
        return x
    axis = dim if x.ndim else None
    with np.errstate(all="ignore"):
        e = np.exp(x - np.max(x, axis=axis, keepdims=True))
        return e / np.sum(e, axis=axis, keepdims=True)


def softmin(x: Any, dim: int) -> Any:
    """softmax of -x."""
    return softmax(-x, dim)


def softmax_bwd(grad_y: Any, y: Any, dim: int) -> Any:
    """y (grad_y - sum of grad_y y)."""
    return y * (grad_y - np.sum(grad_y * y, axis=dim if y.ndim else None, keepdims=True))
