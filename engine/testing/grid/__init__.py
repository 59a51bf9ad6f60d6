"""Grids of exact cases: small integers make every algorithm exact, so the tolerance is zero.

A grid is a space of millions of cases of convolution, pooling or matrix products; a case is an
index, decoded into sizes, options, layouts and dtype. Its inputs are small integers other than 0
drawn from the index, so that every partial sum is exact in float32 in any order, on any device, and
a result must equal that of integer arithmetic (oracle.py) in every bit. A case most of whose
expected values are 0 proves nothing, and fails.

    python -m gradsmith.testing.grid --family conv2d --count 100000 --seed 1
"""

from .runner import FAMILIES, Failure, Family, Result, failure, plan, run, run_case, select
from .space import Space, shuffled

__all__ = [
    "FAMILIES",
    "Failure",
    "Family",
    "Result",
    "Space",
    "failure",
    "plan",
    "run",
    "run_case",
    "select",
    "shuffled",
]
