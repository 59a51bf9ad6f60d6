"""Evenly spaced numbers and the unit matrix: arange, linspace, logspace, eye."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtype import bool_, float32, float64, get_default_dtype, int32, int64, to_numpy_dtype
from ..dtype import dtype as DType
from ..errors import call
from ..tensor import Tensor
from . import creation

__all__ = ["arange", "eye", "linspace", "logspace"]

_RAMPS = (float32, float64, int32, int64)
#: Integers up to here are doubles without loss.
_EXACT = 2**53


def _ramp(
    name: str, n: int, start: float, step: float, end: float, dtype: DType, device: Any
) -> Tensor:
    """start + i * step; of a dtype that the kernel has not, converted from one that it has."""
    k = creation.device_table(device)
    made = dtype if dtype in _RAMPS else float32 if dtype.is_floating_point else int64
    t = Tensor._make(call(name, k.ramp, (), (n,), start, step, end, made.numpy))
    return t.to(dtype)


def _dtype(dtype: Any) -> DType:
    if type(dtype) is DType:
        return dtype
    from ..dtype import from_numpy_dtype

    return from_numpy_dtype(to_numpy_dtype(dtype))


def _number(name: str, value: Any) -> Any:
    if isinstance(value, (Tensor, np.generic)):
        value = value.item()
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name}: bounds must be numbers; got {type(value).__name__}")
    return value


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from start up to, and without, end.

    Formula: y_i = start + i * step, i < (end - start) / step

    Args:
        start: the first number, default 0; `arange(n)` is arange(0, n).
        end: where it stops.
        step: the difference of neighbours, default 1; not 0.
        dtype: default: int64, or the default floating-point dtype if a bound is a float.

    Raises:
        TypeError: bounds that are no numbers.
        RuntimeError: a step of 0, or one that leads away from end.
    """
    if end is None:
        start, end = 0, start
    elif start is None:
        start = 0
    first, last, by = (_number("arange", v) for v in (start, end, step))
    if by == 0 or by != by:
        raise RuntimeError(f"arange: step must not be 0; got {step}")
    if (last - first) * by < 0 or not all(math.isfinite(v) for v in (first, last)):
        raise RuntimeError(f"arange: step must lead from start to end; got {first}, {last}, {by}")
    integers = all(isinstance(v, int) for v in (first, last, by))
    if dtype is None:
        wanted = int64 if integers else get_default_dtype()
    else:
        wanted = _dtype(dtype)
    if integers:
        n = -((first - last) // by) if by > 0 else -((last - first) // -by)
        n = max(n, 0)
    else:
        n = max(math.ceil((last - first) / by), 0)
    if wanted is bool_:
        raise NotImplementedError("arange: not of bools (use .to(bool))")
    if not wanted.is_floating_point:
        first, by = int(first), int(by)
        if max(abs(first), abs(last), abs(by)) > (_EXACT if wanted is int64 else 2**31 - 1):
            t = _ramp("arange", n, 0.0, 1.0, math.nan, int64, device) * by + first
            return t.to(wanted)
    t = _ramp("arange", n, float(first), float(by), math.nan, wanted, device)
    return t.requires_grad_() if requires_grad else t


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at even distances, the first start and the last end.

    Formula: y_i = start + i * (end - start) / (steps - 1)

    Args:
        dtype: default: the default floating-point dtype.

    Raises:
        TypeError: bounds that are no numbers.
        RuntimeError: steps < 0.
    """
    first, last = _number("linspace", start), _number("linspace", end)
    if not isinstance(steps, int) or isinstance(steps, bool):
        raise TypeError(f"linspace: steps must be an int; got {type(steps).__name__}")
    if steps < 0:
        raise RuntimeError(f"linspace: steps must be >= 0; got {steps}")
    wanted = get_default_dtype() if dtype is None else _dtype(dtype)
    by = (last - first) / (steps - 1) if steps > 1 else 0.0
    # One number is the start; from the middle on they are counted from the end.
    t = _ramp(
        "linspace", steps, float(first), by, float(last) if steps > 1 else math.nan, wanted, device
    )
    return t.requires_grad_() if requires_grad else t


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base^start to base^end, evenly spaced in the exponent.

    Formula: y_i = base^(start + i * (end - start) / (steps - 1))

    Raises:
        TypeError: bounds that are no numbers.
        RuntimeError: steps < 0.
    """
    wanted = get_default_dtype() if dtype is None else _dtype(dtype)
    exponents = linspace(start, end, steps, dtype=float64, device=device)
    t = (float(base) ** exponents).to(wanted)
    return t.requires_grad_() if requires_grad else t


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A matrix with ones on its diagonal and zeros elsewhere.

    Args:
        n: the number of rows.
        m: the number of columns; default n.

    Raises:
        RuntimeError: a negative size.
    """
    columns = n if m is None else m
    t = creation.zeros(
        n, columns, dtype=get_default_dtype() if dtype is None else _dtype(dtype), device=device
    )
    k = t._table()
    ones = min(n, columns)
    if ones:
        flat = k.reshape(t._data, (n * columns,))
        diagonal = k.slice(flat, (0,), (columns + 1,), (ones,))
        call("eye", k.copy_into, ("self",), diagonal, True)
    return t.requires_grad_() if requires_grad else t
