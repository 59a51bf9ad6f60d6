"""The sample database: every op with its reference, samples and error samples, as data."""

from __future__ import annotations

from functools import lru_cache

from .record import Arr, ErrorSample, OpInfo, Sample, build, place

__all__ = ["Arr", "ErrorSample", "OpInfo", "Sample", "build", "op_infos", "place"]


@lru_cache(maxsize=1)
def op_infos() -> tuple[OpInfo, ...]:
    """Every op of the database, family by family."""
    from . import (
        conv,
        elementwise,
        index,
        loss,
        math,
        matmul,
        norm,
        pad,
        pair_loss,
        pool,
        random,
        recurrent,
        reduce,
        sort,
        view,
    )

    families = (
        elementwise,
        reduce,
        view,
        index,
        pad,
        sort,
        matmul,
        conv,
        pair_loss,
        pool,
        loss,
        random,
        math,
        norm,
        recurrent,
    )
    infos = tuple(info for family in families for info in family.infos())
    names = [info.name for info in infos]
    if len(set(names)) != len(names):
        raise ValueError(f"opdb: names must be unique; got {sorted(names)}")
    return infos
