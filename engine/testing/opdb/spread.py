"""Samples of the reductions about a center."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import spread as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _samples(fill: str, *more: dict[str, Any], scalar: bool = True) -> list[Sample]:
    def row(shape: Any, layout: str = "c", tags: Any = (), values: Any = fill, **o: Any) -> Sample:
        return Sample((Arr(shape, values, layout),), o, frozenset(tags))

    samples = [
        row((3, 4, 5), dim=0),
        row((3, 4, 5), dim=(0, 2), keepdim=True),
        row((3, 4, 5), dim=-1),
        row((2, 131), dim=1, tags=("odd",)),
        row((131, 3), dim=0, tags=("odd",)),
        row((4, 5), "reversed", ("negative",), dim=1),
        row((4, 6), "f", ("strided",), dim=0),
        row((5, 4), "expanded_last", ("expanded",), dim=0),
        row((0, 3), dim=1, tags=("empty",)),
        row((5, 20), dim=1, values=("specials", 2), tags=("special",)),
        row((1, 7), dim=1, tags=("size1",)),
    ]
    if scalar:
        samples.append(row((3, 7), dim=None))
    return samples + [row((3, 8), **o) for o in more]


def _terms(x: Any, dim: Any = None, **options: Any) -> int:
    return 2 * x.size + 8


def _size(x: Any, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """Of the order of the result: the largest |x|, or its square."""
    shape = np.asarray(reference.norm(np.zeros(x.shape), 2.0, dim, keepdim)).shape
    with np.errstate(all="ignore"):
        return np.full(shape, np.max(np.abs(x), initial=1.0) ** 2)


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3))
    integers = Arr((2, 3), ("classes", 3), dtype="int64")

    def errors(name: str, **options: Any) -> tuple[ErrorSample, ...]:
        return (
            ErrorSample((x,), {**options, "dim": 2}, IndexError, f"{name}: dim must be in"),
            ErrorSample((x,), {**options, "dim": (0, 0)}, RuntimeError, "a dim appears twice"),
            ErrorSample((integers,), {**options, "dim": 0}, RuntimeError, "floating-point dtype"),
        )

    return [
        *[
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=getattr(reference, name),
                samples=lambda: _samples("normal", {"dim": 1, "correction": 0}, {"correction": 2}),
                errors=errors(name),
                terms=_terms,
                magnitude=_size,
            )
            for name in ("var", "std")
        ],
        OpInfo(
            name="norm",
            covers=("norm2",),
            call=by_path("norm"),
            reference=reference.norm,
            samples=lambda: _samples("nonzero", {"p": 1, "dim": 1}, {"p": "fro"}, {"p": 2.0}),
            errors=(
                *errors("norm"),
                ErrorSample((x,), {"p": "max"}, ValueError, "norm: p must be a number or 'fro'"),
            ),
            terms=_terms,
            magnitude=_size,
        ),
        OpInfo(
            name="norm_others",
            covers=("norm_p",),
            call=by_path("norm"),
            reference=reference.norm,
            samples=lambda: (
                [
                    Sample((Arr((3, 7), "distinct"),), {"p": p, "dim": 1})
                    for p in (3, 0.5, 1.5, -2, float("inf"), -float("inf"))
                ]
                + [Sample((Arr((3, 7), "nonzero"),), {"p": 3.0})]
            ),
            terms=lambda x, **o: 64 * x.size,
            magnitude=lambda x, p, dim=None, **o: 4 * np.abs(reference.norm(x, p, dim)),
        ),
        OpInfo(
            name="norm_0",
            covers=("norm2",),
            call=by_path("norm"),
            reference=reference.norm,
            samples=lambda: [Sample((Arr((3, 7), "ties"),), {"p": 0, "dim": 1})],
            differentiable=False,
            second=False,
            second_reason="a count",
        ),
        OpInfo(
            name="logsumexp",
            covers=("logsumexp",),
            call=by_path("logsumexp"),
            reference=reference.logsumexp,
            samples=lambda: [
                *_samples("normal", scalar=False),
                Sample((Arr((2, 3), ("values", -np.inf)),), {"dim": 1}, frozenset({"special"})),
            ],
            errors=errors("logsumexp")[:2],
            terms=_terms,
            magnitude=_size,
        ),
        OpInfo(
            name="sum_squares",
            covers=("sum_squares",),
            call=by_record("sum_squares"),
            reference=reference.sum_squares,
            samples=lambda: [
                Sample((Arr((3, 4, 5)),), {"dims": (0, 2), "out_shape": (4,)}),
                Sample((Arr((3, 40), "normal", "f"),), {"dims": (1,), "out_shape": (3, 1)}),
            ],
            terms=lambda x, dims, out_shape: x.size,
            torch=False,
        ),
        OpInfo(
            name="sum_exp",
            covers=("sum_exp",),
            call=by_record("sum_exp"),
            reference=reference.sum_exp,
            samples=lambda: [
                Sample((Arr((3, 4, 5)), Arr((4,))), {"dims": (0, 2), "out_shape": (4,)}),
                Sample(
                    (Arr((3, 40), "normal", "f"), Arr((3, 1))), {"dims": (1,), "out_shape": (3,)}
                ),
            ],
            terms=lambda x, center, dims, out_shape: 4 * x.size,
            magnitude=reference.sum_exp,
            torch=False,
        ),
        OpInfo(
            name="norm_p",
            covers=("norm_p",),
            call=by_record("norm_p"),
            reference=reference.norm_p,
            samples=lambda: [
                Sample((Arr((3, 4), "nonzero"),), {"dims": (0,), "p": 2.5, "out_shape": (4,)})
            ],
            terms=lambda x, **o: 64 * x.size,
            torch=False,
        ),
    ]
