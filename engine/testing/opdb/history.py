"""Samples of changes of a part of a tensor; tests/test_inplace_views.py has those in place."""

from __future__ import annotations

from ..reference import history as reference
from .calls import by_record
from .record import Arr, OpInfo, Sample

__all__ = ["infos"]

#: Base, the views, the shape of the last one; the order of the base's dims in memory, if another.
_CHAINS = (
    ((4, 6), (("slice", ((1, 0), (2, 1), (2, 6))),), (2, 6)),
    ((4, 6), (("reshape", ((24,),)), ("slice", ((3,), (5,), (4,)))), (4,)),
    (
        (2, 3, 5),
        (("permute", ((2, 0, 1),)), ("slice", ((1, 0, 0), (1, 1, 1), (1, 2, 3)))),
        (1, 2, 3),
    ),
    ((5,), (), (5,)),
    ((4, 6), (("slice", ((0, 0), (1, 1), (0, 6))),), (0, 6)),
    ((4, 6), (("permute", ((1, 0),)), ("reshape", ((24,),))), (24,), (1, 0)),
)


def _options(base: tuple[int, ...], chain: object, *order: tuple[int, ...]) -> dict[str, object]:
    return {"chain": chain, "order": order[0] if order else tuple(range(len(base)))}


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [
        OpInfo(
            name="copy_slices",
            covers=("copy_slices",),
            call=by_record("copy_slices"),
            reference=reference.copy_slices,
            samples=lambda: [
                Sample((Arr(base), Arr(value, "normal", layout)), _options(base, chain, *order))
                for base, chain, value, *order in _CHAINS
                for layout in ("c", "reversed")
            ],
            torch=False,
        ),
        OpInfo(
            name="without_view",
            covers=("without_view",),
            call=by_record("without_view"),
            reference=reference.without_view,
            samples=lambda: [
                Sample((Arr(base),), _options(base, chain, *order))
                for base, chain, _, *order in _CHAINS
            ],
            torch=False,
        ),
    ]
