"""Samples of running sums and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import scan as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _samples(fill: str) -> list[Sample]:
    def row(shape: Any, dim: int, layout: str = "c", tags: Any = (), values: Any = fill) -> Sample:
        return Sample((Arr(shape, values, layout),), {"dim": dim}, frozenset(tags))

    return [
        row((7,), 0),
        row((3, 5), 0),
        row((3, 5), -1),
        row((2, 3, 4), 1),
        row((2, 130), 1, tags=("odd",)),
        row((3, 2, 530), 1, tags=("large",)),
        row((4, 5), 1, "reversed", ("negative",)),
        row((4, 5), 0, "expanded", ("expanded",)),
        row((1, 3), 0, tags=("size1",)),
        row((), 0, tags=("size1",)),
        row((0, 3), 0, tags=("empty",)),
        row((3, 9), 1, values=("values", 1.5, 0.0, -2.0, 0.5, 0.0, 1.0, 3.0)),
        row((5, 6), 0, values=("specials", 1), tags=("special",)),
    ]


def _records() -> list[Sample]:
    return [
        Sample((Arr((4, 5)),), {"dim": d, "reverse": r, "exclusive": e})
        for d, r, e in ((0, True, False), (1, False, True), (1, True, True), (0, True, True))
    ]


def _terms(x: Any, dim: int, *_: Any, **options: Any) -> int:
    return 2 * (x.shape[dim] if x.ndim else 1) + 2


def _each(x: Any, dim: int, **options: Any) -> Any:
    product = reference.cumulate(np.abs(x), dim, False, False, True)
    return np.broadcast_to(np.max(product, initial=1.0), x.shape)


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3))
    errors = (
        ErrorSample((x,), {"dim": 2}, IndexError, "dim must be in"),
        ErrorSample((x,), {"dim": 0.5}, TypeError, "dim must be an int"),
    )
    result = []
    for name, product in (("cumsum", False), ("cumprod", True)):

        def plain(x: Any, dim: int, product: bool = product) -> Any:
            return reference.cumulate(x, dim, False, False, product)

        def record(x: Any, dim: int, reverse: bool, exclusive: bool, p: bool = product) -> Any:
            return reference.cumulate(x, dim, reverse, exclusive, p)

        fill = "nonzero" if product else "normal"
        result += [
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=plain,
                samples=lambda fill=fill: _samples(fill),
                errors=errors,
                terms=_terms,
                magnitude=_each if product else None,
            ),
            OpInfo(
                name=f"{name}_record",
                covers=(name,),
                call=by_record(name),
                reference=record,
                samples=_records,
                terms=_terms,
                magnitude=(lambda x, dim, **o: _each(x, dim)) if product else None,
                torch=False,
            ),
        ]
    result.append(
        OpInfo(
            name="recurrence",
            covers=("recurrence",),
            call=by_record("recurrence"),
            reference=reference.recurrence,
            samples=lambda: [
                Sample((Arr(s, "normal", layout), Arr(s)), {"dim": d, "reverse": r})
                for s, d, layout in (((3, 4), 0, "c"), ((2, 5, 3), 1, "f"), ((1, 131), 1, "c"))
                for r in (False, True)
            ],
            terms=lambda a, b, dim, reverse: 4 * a.shape[dim],
            magnitude=lambda a, b, dim, reverse: reference.recurrence(
                np.abs(a), np.abs(b), dim, reverse
            ),
            torch=False,
        )
    )
    zeros = ("values", 1.5, 0.0, -2.0, 0.5, 0.0, 1.0, 3.0)
    unreal = ("values", 1.5, np.nan, -2.0, 0.5, 2.0, np.inf, 1.0, 0.5, -1.0, 0.0, 3.0, 2.0, 0.5)

    def row(shape: Any, values: Any = "nonzero", layout: str = "c", tags: Any = ()) -> Sample:
        return Sample((Arr(shape[:-1]), Arr(shape, values, layout)), {}, frozenset(tags))

    result.append(
        OpInfo(
            name="prod_bwd",
            covers=("prod_bwd",),
            call=by_record("prod_bwd"),
            reference=reference.prod_bwd,
            samples=lambda: [
                row((7,)),
                row((3, 16), layout="reversed", tags=("negative",)),
                row((2, 2, 33), layout="strided", tags=("odd",)),
                row((4, 5), zeros),  # rows of one zero, of two and of none
                row((2, 1), tags=("size1",)),
                row((2, 0), tags=("empty",)),
                row((0, 3), tags=("empty",)),
                row((5, 6), unreal, tags=("special",)),
            ],
            terms=lambda grad_y, x: 2 * x.shape[-1] + 4,
            magnitude=lambda grad_y, x: np.abs(reference.prod_bwd(grad_y, x)),
            torch=False,
        )
    )
    return result
