"""Samples of power-average pooling."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ..reference import lp_pool as reference
from .calls import by_path
from .record import Arr, OpInfo, Sample

__all__ = ["infos"]

_SIZES = {1: (11,), 2: (7, 9), 3: (5, 6, 4)}


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _lp_samples(n: int) -> list[Sample]:
    size = _SIZES[n]
    x = Arr((2, 3, *size), "positive")
    mixed: Any = 3 if n == 1 else (3, 2, 2)[:n]
    step: Any = 2 if n == 1 else mixed[::-1]
    return [
        Sample((x, 2, 2)),
        Sample((x, 3.0, mixed), {"stride": 1}),
        Sample((x, 1, 3), {"stride": 2, "ceil_mode": True}),
        Sample((Arr(x.shape, "nonzero"), 2, mixed), {"stride": step}),
        Sample((Arr(x.shape, "distinct"), math.inf, 2), {}, _tags("torch_differs")),
        Sample((Arr(x.shape, "distinct"), -math.inf, 2), {}, _tags("torch_differs")),
        Sample((Arr((3, *size), "positive"), 2.5, 2)),
        Sample((Arr(x.shape, "positive", "channels_last"), 2, 2), {}, _tags("strided")),
        Sample((Arr(x.shape, "positive", "reversed"), 2, 3), {}, _tags("negative")),
        Sample((Arr(x.shape, "positive", "expanded"), 2, 2), {}, _tags("expanded")),
        Sample((Arr((0, 3, *size), "positive"), 2, 2), {}, _tags("empty")),
        Sample((Arr((1, 1, *((1,) * n)), "positive"), 2, 1), {}, _tags("size1")),
    ]


def _terms(x: Any, *args: Any, **options: Any) -> int:
    return 64


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [
        OpInfo(
            name=f"lp_pool{n}d",
            covers=(),
            call=by_path(f"nn.functional.lp_pool{n}d"),
            reference=partial(reference.lp_pool, n=n),
            samples=partial(_lp_samples, n),
            terms=_terms,
        )
        for n in (1, 2, 3)
    ]
