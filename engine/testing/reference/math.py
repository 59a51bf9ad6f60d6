"""Functions of one array, element by element, rounding, and lerp, addcmul, addcdiv."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["abs_bwd", "addcdiv", "addcmul", "erf", "lerp", "quiet", "round_decimals"]


def quiet(function: Any) -> Any:
    """The function without warnings: infinities and NaN are results here."""

    def call(*args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **options)

    return call


def erf(x: Any) -> Any:
    """The error function, from C's library."""
    return np.vectorize(math.erf, otypes=[np.float64])(x)


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
