"""The cases of the table: every op that gives floating point, dtype by dtype, range by range."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from ..opdb import FAMILIES, OpInfo, Sample
from .ranges import RANGES, Range
from .reasons import NO_ROWS

__all__ = ["DTYPES", "SAMPLES", "Case", "case", "cases", "family_of", "float_ops"]

DTYPES = ("float32", "float64", "float16", "bfloat16")
#: The name of the range that is the sample database.
SAMPLES = "samples"
#: Families whose results are functions of single elements: errors are counted in ULP.
_POINTWISE = ("elementwise", "math", "activation", "softmax", "compare", "arithmetic")
#: Ops elsewhere whose results do not cancel: the same.
_RELATIVE = ("var", "std", "norm", "norm_others", "norm_p", "sum_squares", "linalg_vector_norm")
#: Pointwise ops whose results may cancel: errors are counted against the terms.
_CANCELLING = ("lerp", "addcmul", "addcdiv", "activation_bwd", "activation_bwd_bwd", "softmax_bwd")
_LEFT_OUT = frozenset({"special", "empty", "exact", "slow"})


@lru_cache(maxsize=1)
def _families() -> dict[str, tuple[str, OpInfo]]:
    found = {}
    for family in FAMILIES:
        for info in import_module(f"...opdb.{family}", __name__).infos():
            found[info.name] = (family, info)
    return found


def family_of(op: str) -> str:
    """The family of a sample record."""
    return _families()[op][0]


def float_ops() -> dict[str, OpInfo]:
    """The sample records that have rows, by name."""
    return {name: info for name, (_, info) in _families().items() if name not in NO_ROWS}


@dataclass(frozen=True)
class Case:
    """One row: an op, a dtype and a range.

    Attributes:
        op: the sample record's name.
        dtype: what it computes in.
        range: "samples", or the name of a hard range.
    """

    op: str
    dtype: str
    range: str = SAMPLES

    @property
    def info(self) -> OpInfo:
        """The op's record in the sample database."""
        return _families()[self.op][1]

    @property
    def hard(self) -> Range | None:
        """The hard range; None for the samples."""
        found = [r for r in RANGES.get(self.op, ()) if r.name == self.range]
        return found[0] if found else None

    @property
    def unit(self) -> str:
        """What the error is counted in: "ulp" or "sum"."""
        hard, info = self.hard, self.info
        if hard is not None and hard.unit:
            return hard.unit
        if self.op in _CANCELLING:
            return "sum"
        pointwise = family_of(self.op) in _POINTWISE or self.op in _RELATIVE
        return "ulp" if pointwise or info.terms is None else "sum"

    def samples(self) -> Iterator[tuple[list[Any], dict[str, Any], Sample | None]]:
        """Inputs and options of each call."""
        hard = self.hard
        if hard is not None:
            seed = zlib.crc32(f"{self.op} {self.range}".encode())
            yield hard.arrays(self.dtype, seed), dict(hard.options), None
            return
        for sample in self.info.samples():
            if not sample.tags & _LEFT_OUT:
                yield _rounded(sample.build("float64"), self.dtype), dict(sample.options), sample


def _rounded(value: Any, dtype: str) -> Any:
    """float64 arrays in the case's dtype, with their strides."""
    if isinstance(value, list):
        return [_rounded(v, dtype) for v in value]
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or dtype == "float64":
        return value
    if dtype == "bfloat16":
        import ml_dtypes

        return value.astype(ml_dtypes.bfloat16)
    return value.astype(dtype)


def cases(dtypes: tuple[str, ...] = DTYPES) -> list[Case]:
    """Every row, in the table's order."""
    found = []
    for name in float_ops():
        for dtype in dtypes:
            found.append(Case(name, dtype))
        for hard in RANGES.get(name, ()):
            found += [Case(name, dtype, hard.name) for dtype in dtypes if dtype in hard.dtypes]
    return found


def case(op: str, dtype: str, range: str) -> Case:
    """The case of a row; KeyError if there is none."""
    if op not in float_ops():
        raise KeyError(op)
    found = Case(op, dtype, range)
    if range != SAMPLES and found.hard is None:
        raise KeyError(range)
    return found
