"""Comparisons, logic, bits, and choosing between values."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    *("clamp", "clamp_bwd", "extremum_bwd", "left_shift", "masked_fill", "maximum", "minimum"),
    *("right_shift", "sign", "where"),
]


def _bits(x: Any) -> int:
    return 8 * x.dtype.itemsize


def left_shift(a: Any, b: Any) -> Any:
    """a << b, its low bits; 0 where b is below 0 or all bits."""
    a, b = np.broadcast_arrays(a, b)
    inside = (b >= 0) & (b < _bits(a))
    return np.where(inside, a << np.where(inside, b, 0), 0).astype(a.dtype)


def right_shift(a: Any, b: Any) -> Any:
    """a >> b; every bit shifted out where b is below 0 or all bits."""
    a, b = np.broadcast_arrays(a, b)
    inside = (b >= 0) & (b < _bits(a))
    return np.where(inside, a >> np.where(inside, b, 0), np.where(a < 0, -1, 0)).astype(a.dtype)


def maximum(a: Any, b: Any) -> Any:
    """The greater; NaN if either is."""
    return np.maximum(a, b)


def minimum(a: Any, b: Any) -> Any:
    """The lesser; NaN if either is."""
    return np.minimum(a, b)


def extremum_bwd(grad_y: Any, a: Any, b: Any) -> Any:
    """grad_y, half of it in a tie, 0 where a < b."""
    return np.where(a < b, 0.0, np.where(a == b, grad_y / 2, grad_y))


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        kind = float if isinstance(a, float) or isinstance(b, float) else np.int64
        return np.where(condition, kind(a), kind(b))
    kind = a.dtype if isinstance(a, np.ndarray) else b.dtype
    return np.where(condition, a, b).astype(kind)


def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """value where the mask holds, else x."""
    return np.where(mask, value, x).astype(x.dtype)


def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    """At least min, then at most max."""
    y = x if min is None else np.maximum(x, min)
    return (y if max is None else np.minimum(y, max)).astype(x.dtype)


def clamp_bwd(grad_y: Any, x: Any, low: Any, high: Any) -> Any:
    """grad_y where low <= x <= high, else 0."""
    return np.where((x >= low) & (x <= high), grad_y, 0.0)


def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 for NaN."""
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)
