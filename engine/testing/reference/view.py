"""Views and copies."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cast", "cat", "expand", "slice_bwd"]


def cat(xs: Any, dim: int = 0) -> Any:
    """The arrays behind one another along dim."""
    kept = [x for x in xs if x.shape != (0,)]
    return np.concatenate(kept or xs, axis=dim)


def expand(x: Any, shape: Any) -> Any:
    """x repeated along its dims of size 1, and along new ones in front; -1 leaves a dim."""
    lead = len(shape) - x.ndim
    new = [x.shape[i - lead] if n == -1 else n for i, n in enumerate(shape)]
    return np.broadcast_to(x, new)


def cast(x: Any, dtype: str) -> Any:
    """x in another dtype."""
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def slice_bwd(grad_y: Any, x_shape: Any, start: Any, step: Any) -> Any:
    """Zeros of x_shape, with x[start::step] = grad_y."""
    grad_x = np.zeros(x_shape, grad_y.dtype)
    if grad_y.ndim == 0:
        return grad_y
    places = [a + s * np.arange(n) for a, s, n in zip(start, step, grad_y.shape, strict=True)]
    grad_x[np.ix_(*places)] = grad_y
    return grad_x
