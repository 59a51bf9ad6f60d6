"""How far a result may be from the float64 reference: from the dtype and the number of terms.

A sum of n terms t_i, in whatever order, with unit roundoff u is off by at most about
LAMBDA * sqrt(n) * u * sum |t_i| with probability 1 - 2 exp(-LAMBDA^2 / 2) (Higham & Mary 2019, "A
new approach to probabilistic rounding error analysis"); the certain bound, n u sum |t_i|, is so far
from what happens that errors would hide below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .opdb.record import OpInfo, Sample

LAMBDA = 4.0


class Limits(NamedTuple):
    """What a floating-point dtype can hold; `mantissa` is the bits of its fraction."""

    eps: float
    tiny: float
    max: float
    smallest_subnormal: float
    mantissa: int


@lru_cache
def limits(dtype: Any) -> Limits:
    """The limits of a floating-point dtype, given by its name or as NumPy's."""
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name == "bfloat16":  # NumPy's finfo knows no bfloat16
        return Limits(2.0**-7, 2.0**-126, float.fromhex("0x1.fep127"), 2.0**-133, 7)
    f = np.finfo(name)
    return Limits(
        float(f.eps), float(f.tiny), float(f.max), float(f.smallest_subnormal), int(f.nmant)
    )


def spacing(dtype: Any, value: Any) -> Any:
    """One unit of the last place of `dtype` at |value|, as float64; never below a subnormal's."""
    f = limits(dtype)
    with np.errstate(all="ignore"):
        size = np.clip(np.abs(np.asarray(value, np.float64)), f.tiny, f.max)
        _, exponent = np.frexp(size)
        return np.ldexp(1.0, exponent - 1 - f.mantissa)


def unit(dtype: Any) -> float:
    """The unit roundoff: half the distance from 1 to the next number."""
    return limits(dtype).eps / 2


def sum_bound(dtype: Any, terms: int, magnitude: Any) -> Any:
    """Bound of a sum's error: `terms` terms whose absolute values add up to `magnitude`."""
    factor = (2 + LAMBDA * np.sqrt(max(terms, 1))) * unit(dtype)
    # Terms of opposite signs may be finite in sum where their absolute values are not.
    with np.errstate(invalid="ignore"):
        bound = factor * np.where(np.isfinite(magnitude), magnitude, limits(dtype).max)
    return bound + terms * limits(dtype).smallest_subnormal


def forward(
    info: OpInfo, sample: Sample, arrays: Sequence[Any], dtype: Any
) -> list[tuple[Any, Any]]:
    """(rtol, atol) of each output of a sample."""
    expected = info.expected(arrays, sample.options)
    if "exact" in sample.tags:
        return [(0.0, 0.0)] * len(expected)
    if info.terms is None:
        # One unit in the last place is at most eps, relative; below the normal range it is the
        # smallest subnormal.
        ulp = info.ulp * info.widen
        f = limits(dtype)
        return [(ulp * f.eps, ulp * f.smallest_subnormal)] * len(expected)
    terms = info.terms(*arrays, **sample.options)
    sizes = info.sizes_of_terms(arrays, sample.options)
    # The float64 reference rounds too.
    reference = 2.0 if np.dtype(dtype) == np.float64 else 1.0
    return [(0.0, reference * info.widen * sum_bound(dtype, terms, m)) for m in sizes]


def gradient(dtype: Any, expected: Any, upstream: float, terms: int) -> float:
    """atol of a gradient in `dtype` against the same in float64.

    Its terms are taken to be of the size of the largest element, or of the gradient that came in.
    """
    largest = max(float(np.max(np.abs(expected), initial=0.0)), upstream)
    return (8 + LAMBDA * float(np.sqrt(max(terms, 1)))) * unit(dtype) * largest
