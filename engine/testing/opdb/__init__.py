"""The sample database: every op with its reference, samples and error samples, as data."""

from __future__ import annotations

from functools import lru_cache

from .record import Arr, ErrorSample, OpInfo, Sample, build, place

__all__ = ["Arr", "ErrorSample", "OpInfo", "Sample", "build", "op_infos", "place"]


@lru_cache(maxsize=1)
def op_infos() -> tuple[OpInfo, ...]:
    """Every op of the database, family by family."""
    from . import conv, elementwise, loss, math, matmul, norm, pool, random, recurrent, reduce, view

    families = (elementwise, reduce, view, matmul, conv, pool, loss, random, recurrent, math, norm)
    infos = tuple(info for family in families for info in family.infos())
    names = [info.name for info in infos]
    if len(set(names)) != len(names):
        raise ValueError(f"opdb: names must be unique; got {sorted(names)}")
    return infos
