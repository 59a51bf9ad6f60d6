"""Functions of one array, element by element, rounding, and lerp, addcmul, addcdiv."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["PI", "abs_bwd", "addcdiv", "addcmul", "erf", "erfc", "lerp", "quiet", "round_decimals"]

#: In as many digits as the machine has.
PI = np.asarray(np.longdouble("3.14159265358979323846264338327950288"))


def quiet(function: Any) -> Any:
    """The function without warnings: infinities and NaN are results here."""

    def call(*args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **options)

    return call


def erf(x: Any) -> Any:
    """The error function: from C's library, or in extended precision where x is."""
    if getattr(x, "dtype", None) != np.longdouble or np.longdouble is np.float64:
        return np.vectorize(math.erf, otypes=[np.float64])(x)
    inner = np.abs(x) < 2
    return np.where(inner, _erf_series(np.where(inner, x, 0)), np.sign(x) * (1 - erfc(np.abs(x))))


def _erf_series(x: Any) -> Any:
    """2 x e^(-x^2) / sqrt(pi) * sum of (2 x^2)^n / (2 n + 1)!!: nothing cancels."""
    term = total = np.ones_like(x)
    for n in range(1, 60):
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return 2 * x * np.exp(-x * x) * total / np.sqrt(PI.astype(x.dtype))


@np.errstate(all="ignore")
def erfc(x: Any) -> Any:
    """1 - erf(x), with all its digits where it is tiny: Laplace's continued fraction from 1 on."""
    far = np.abs(x) >= 1
    z = np.where(far, np.minimum(np.abs(x), 1000), 1)  # beyond it is 0
    fraction = z
    for n in range(300, 0, -1):
        fraction = z + n / (2 * fraction)
    high = z.astype(np.float32).astype(z.dtype)  # its square is exact
    power = np.exp(-high * high) * np.exp((high - z) * (high + z))
    tail = power / (fraction * np.sqrt(PI.astype(x.dtype)))
    near = 1 - _erf_series(np.where(far, 0, x))
    return np.where(np.isnan(x), x, np.where(far, np.where(x < 0, 2 - tail, tail), near))


def round_decimals(x: Any, decimals: int = 0) -> Any:
    """The nearest multiple of 10^-decimals, halves to the even one."""
    power = 10.0 ** abs(decimals)
    return np.rint(x * power) / power if decimals >= 0 else np.rint(x / power) * power


def abs_bwd(grad_y: Any, x: Any) -> Any:
    """grad_y, 0 or -grad_y by the sign of x."""
    return np.where(x > 0, grad_y, np.where(x < 0, -grad_y, 0.0))


@quiet
def lerp(a: Any, b: Any, weight: Any) -> Any:
    """a + weight (b - a)."""
    return np.where(np.abs(weight) < 0.5, a + weight * (b - a), b - (b - a) * (1 - weight))


@quiet
def addcmul(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    """x + value a b."""
    return x + value * (a * b)


@quiet
def addcdiv(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    """x + value a / b."""
    return x + value * (a / b)
