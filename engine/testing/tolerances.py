"""How far a result may be from the float64 reference: from the dtype and the number of terms.

A sum of n terms t_i, in whatever order, with unit roundoff u is off by at most about
LAMBDA * sqrt(n) * u * sum |t_i| with probability 1 - 2 exp(-LAMBDA^2 / 2) (Higham & Mary 2019, "A
new approach to probabilistic rounding error analysis"); the certain bound, n u sum |t_i|, is so far
from what happens that errors would hide below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .opdb import OpInfo, Sample

LAMBDA = 4.0


def unit(dtype: Any) -> float:
    """The unit roundoff: half the distance from 1 to the next number."""
    return float(np.finfo(dtype).eps) / 2


def sum_bound(dtype: Any, terms: int, magnitude: Any) -> Any:
    """Bound of a sum's error: `terms` terms whose absolute values add up to `magnitude`."""
    factor = (2 + LAMBDA * np.sqrt(max(terms, 1))) * unit(dtype)
    with np.errstate(invalid="ignore"):
        bound = factor * np.where(np.isfinite(magnitude), magnitude, 0.0)
    return bound + terms * float(np.finfo(dtype).smallest_subnormal)


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
        f = np.finfo(dtype)
        return [(ulp * float(f.eps), ulp * float(f.smallest_subnormal))] * len(expected)
    terms = info.terms(*arrays, **sample.options)
    sizes = info.sizes_of_terms(arrays, sample.options)
    # The float64 reference rounds too.
    reference = 2.0 if np.dtype(dtype) == np.float64 else 1.0
    return [(0.0, reference * info.widen * sum_bound(dtype, terms, m)) for m in sizes]


def gradient(dtype: Any, expected: Any, upstream: float, terms: int) -> float:
    """atol of a gradient in `dtype` against the same in float64.

    Its own terms are not known here. They are of the size of the largest element, or of the
    gradient that came in, and at most as many as the largest tensor has elements.
    """
    largest = max(float(np.max(np.abs(expected), initial=0.0)), upstream)
    return (8 + LAMBDA * float(np.sqrt(max(terms, 1)))) * unit(dtype) * largest
