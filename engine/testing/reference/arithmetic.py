"""Division with rounding, remainders, powers; integers' arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["divided", "floor_divide", "fmod", "integer", "pow", "remainder", "truncated"]


def _same(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as arrays of the one's dtype."""
    kind = a.dtype if isinstance(a, np.ndarray) else b.dtype
    return np.asarray(a, kind), np.asarray(b, kind)


def floor_divide(a: Any, b: Any) -> Any:
    """floor(a / b)."""
    with np.errstate(all="ignore"):
        return np.floor_divide(*_same(a, b))


def remainder(a: Any, b: Any) -> Any:
    """a - b floor(a / b)."""
    with np.errstate(all="ignore"):
        return np.remainder(*_same(a, b))


def fmod(a: Any, b: Any) -> Any:
    """a - b trunc(a / b)."""
    with np.errstate(all="ignore"):
        return np.fmod(*_same(a, b))


def pow(a: Any, b: Any) -> Any:
    """a^b; of integers the low bits, and 1 / a^|b| cut off for b < 0."""
    a, b = _same(a, b)
    if a.dtype.kind == "f":
        with np.errstate(all="ignore"):
            return np.power(a, b)
    a, b = np.broadcast_arrays(a, b)
    values = [_integer_power(int(p), int(q)) for p, q in zip(a.flat, b.flat, strict=True)]
    return (
        np.array([v & 0xFF for v in values], np.uint8).astype(a.dtype).reshape(a.shape)
        if (a.dtype.itemsize == 1)
        else np.array(values, np.int64).astype(a.dtype).reshape(a.shape)
    )


def _integer_power(a: int, b: int) -> int:
    if b >= 0:
        return a**b
    return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)


def integer(function: Any, *operands: Any) -> Any:
    """A NumPy function of integers, whose results wrap around."""
    with np.errstate(all="ignore"):
        return function(*(_same(*operands) if len(operands) == 2 else operands))


def divided(a: Any, b: Any) -> Any:
    """The quotient of integers in float32."""
    with np.errstate(all="ignore"):
        return (np.float32(a) / np.float32(b)).astype(np.float32)


def truncated(a: Any, b: Any) -> Any:
    """trunc(a / b), of integers exactly."""
    a, b = _same(a, b)
    if a.dtype.kind == "f":
        return np.trunc(a / b)
    return ((a - np.fmod(a, b)) // b).astype(a.dtype)
