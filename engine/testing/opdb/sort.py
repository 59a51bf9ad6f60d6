"""Samples of sorting."""

from __future__ import annotations

from typing import Any

from ..reference import sort as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _samples(**more: Any) -> list[Sample]:
    def row(shape: Any, fill: Any = "distinct", layout: str = "c", tags: Any = (), **o: Any) -> Any:
        return Sample((Arr(shape, fill, layout),), {**more, **o}, frozenset(tags))

    samples = [
        row((3, 7)),
        row((3, 7), dim=0, descending=True),
        row((3, 4, 5), dim=1),
        row((2, 131), descending=True, tags=("odd",)),
        row((45,), layout="reversed", tags=("negative",)),
        row((3, 50), layout="strided", dim=1, tags=("strided",)),
        row((1, 5), dim=0, tags=("size1",)),
        row((0, 3), tags=("empty",)),
        row((3, 0), tags=("empty",)),
    ]
    return samples


def _ties(**more: Any) -> list[Sample]:
    """What an argsort may show and finite differences may not: ties, extremes."""
    return [
        Sample((Arr((2, 70), "ties"),), {**more}, frozenset({"kink"})),
        Sample((Arr((2, 70), "ties"),), {**more, "descending": True}, frozenset({"kink"})),
        Sample((Arr((2, 51), ("specials", 3)),), {**more}, frozenset({"special"})),
        Sample(
            (Arr((51,), ("specials", 0)),), {**more, "descending": True}, frozenset({"special"})
        ),
    ]


def _topk_samples() -> list[Sample]:
    def row(shape: Any, k: int, layout: str = "c", tags: Any = (), **o: Any) -> Sample:
        return Sample((Arr(shape, "distinct", layout),), {"k": k, **o}, frozenset(tags))

    return [
        row((3, 7), 2),
        row((3, 7), 7, largest=False),
        row((5, 4), 3, dim=0),
        row((3, 4, 5), 2, dim=1, largest=False),
        row((2, 331), 5, tags=("odd",)),
        row((2, 331), 60, largest=False),
        row((60,), 45, "reversed", ("negative",)),
        row((1,), 1, tags=("size1",)),
        row((3, 5), 0, tags=("empty",)),
        row((0, 5), 2, tags=("empty",)),
        Sample(
            (Arr((2, 51), ("specials", 3)),), {"k": 30}, frozenset({"special", "torch_differs"})
        ),
    ]


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3))
    dim_errors = (
        ErrorSample((x,), {"dim": 2}, IndexError, r"dim must be in \[-2, 2\)"),
        ErrorSample((x,), {"dim": 1.5}, TypeError, "dim must be an int"),
        ErrorSample((3.0,), {}, TypeError, "must be a tensor"),
    )
    return [
        OpInfo(
            name="sort",
            covers=("sort_order", "gather_dim", "scatter_sum"),
            call=by_path("sort"),
            reference=reference.sort,
            samples=lambda: [*_samples(), Sample((Arr(()),))],
            errors=dim_errors,
        ),
        OpInfo(
            name="sort_stable",
            covers=("sort_order",),
            call=by_path("sort"),
            reference=lambda x, stable, **o: reference.sort(x, **o),
            samples=lambda: _ties(stable=True),
            differentiable=False,
            second=False,
            second_reason="equal elements: no derivative",
        ),
        OpInfo(
            name="argsort",
            covers=("sort_order",),
            call=by_path("argsort"),
            reference=lambda x, stable=False, **o: reference.argsort(x, **o),
            samples=lambda: [*_samples(), *_ties(stable=True)],
            errors=dim_errors,
            differentiable=False,
            second=False,
            second_reason="indices",
            keeps_dtype=False,
        ),
        OpInfo(
            name="topk",
            covers=("topk_order",),
            call=by_path("topk"),
            reference=reference.topk,
            samples=_topk_samples,
            errors=(
                ErrorSample((x,), {"k": 4}, RuntimeError, r"topk: k must be in \[0, size of dim 1"),
                ErrorSample((x,), {"k": -1}, RuntimeError, "topk: k must be in"),
                ErrorSample((x,), {"k": 1, "dim": 2}, IndexError, "topk: dim must be in"),
            ),
        ),
        OpInfo(
            name="msort",
            covers=("sort_order",),
            call=by_path("msort"),
            reference=lambda x: reference.sort(x, 0)[0],
            samples=lambda: [Sample((Arr((5, 3), "distinct"),)), Sample((Arr((4,), "distinct"),))],
        ),
        OpInfo(
            name="topk_order",
            covers=("topk_order",),
            call=by_record("topk_order"),
            reference=lambda x, largest, out_shape: reference.topk(x, out_shape[-1], -1, largest)[
                1
            ],
            samples=lambda: [
                Sample((Arr((3, 90), "ties"),), {"largest": largest, "out_shape": (3, k)})
                for largest in (True, False)
                for k in (1, 44, 90)
            ],
            torch=False,
            differentiable=False,
            second=False,
            second_reason="indices",
            keeps_dtype=False,
        ),
    ]
