"""Samples of dropout: its record, with the seed and counter given, so that it is a function."""

from __future__ import annotations

from ..reference import random as reference
from .calls import by_record
from .elementwise import LAYOUTS
from .record import Arr, OpInfo, Sample

__all__ = ["infos"]


def _samples() -> list[Sample]:
    found = []
    for p in (0.0, 0.25, 0.5, 0.9, 1.0):
        for shape in ((0,), (), (1,), (7,), (3, 5), (1031,)):
            options = {"p": p, "seed": 1234567890123, "offset": 5}
            found.append(Sample((Arr(shape),), options))
    for layout in LAYOUTS:
        tag = {"reversed": "negative"}.get(layout, "expanded" if "exp" in layout else "strided")
        options = {"p": 0.3, "seed": 2**64 - 1, "offset": 2**32 - 2}
        found.append(Sample((Arr((5, 7), "normal", layout),), options, frozenset({tag})))
    wrap = {"p": 0.5, "seed": 7, "offset": 2**64 - 2}
    found.append(Sample((Arr((37,)),), wrap))
    found.append(
        Sample((Arr((61, 1117)),), {"p": 0.1, "seed": 3, "offset": 0}, frozenset({"large"}))
    )
    return found


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [
        OpInfo(
            name="dropout",
            covers=("dropout",),
            call=by_record("dropout"),
            reference=reference.dropout,
            samples=_samples,
            ulp=1.5,
            torch=False,
        )
    ]
