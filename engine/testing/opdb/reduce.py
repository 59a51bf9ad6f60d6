"""Samples of the reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import reduce as reference
from .calls import by_path, by_record
from .elementwise import LANES, LAYOUTS
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _layout_tag(layout: str) -> str:
    return {"reversed": "negative"}.get(layout, "expanded" if "exp" in layout else "strided")


def _reduce_samples(fill: str, empty: bool) -> list[Sample]:
    """All combinations of dims; layouts; extreme values in every position of a row and a column."""
    dims: list[Any] = [0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (2, 0), (0, 1, 2)]
    samples = [Sample((Arr((3, 4, 5), fill),), {"dim": d}) for d in dims]
    samples += [Sample((Arr((3, 4, 5), fill),), {"dim": d, "keepdim": True}) for d in dims[:6]]
    samples += [
        Sample((Arr((3, 4, 5), fill),)),
        Sample((Arr((), fill),), tags=_tags("size1")),
        Sample((Arr((), fill),), {"dim": 0}, tags=_tags("size1")),
        Sample((Arr((), fill),), {"dim": -1, "keepdim": True}, tags=_tags("size1")),
        Sample((Arr((1,), fill),), tags=_tags("size1")),
        Sample((Arr((1, 7, 1), fill),), {"dim": 0}, tags=_tags("size1")),
        Sample((Arr((1, 7, 1), fill),), {"dim": (0, 2)}, tags=_tags("size1")),
        Sample((Arr((1031,), fill),), tags=_tags("odd")),
        Sample((Arr((17, 1031), fill),), {"dim": 0}, tags=_tags("odd")),
        Sample((Arr((17, 1031), fill),), {"dim": 1}, tags=_tags("odd")),
        Sample((Arr((2, 3, 5, 7), fill),), {"dim": (1, 3)}, tags=_tags("odd")),
        Sample((Arr((2, 3, 2, 3, 2, 3), fill),), {"dim": (0, 2, 4)}),
        Sample((Arr((257, 513), fill),), tags=_tags("large")),
        Sample((Arr((257, 513), fill),), {"dim": 0}, tags=_tags("large")),
        Sample((Arr((8, 16, 33, 35), fill),), {"dim": (0, 2, 3)}, tags=_tags("large")),
        Sample((Arr((0, 3), fill),), {"dim": 1}, tags=_tags("empty")),
        Sample((Arr((2, 0, 3), fill),), {"dim": 0, "keepdim": True}, tags=_tags("empty")),
    ]
    if empty:
        samples += [
            Sample((Arr((0,), fill),), tags=_tags("empty")),
            Sample((Arr((0, 3), fill),), {"dim": 0}, tags=_tags("empty")),
            Sample((Arr((2, 0, 3), fill),), {"dim": (0, 1)}, tags=_tags("empty")),
        ]
    for layout in LAYOUTS:
        for d in (0, 1, -1, (0, 2), (0, 1, 2)):
            x = Arr((3, 4, 19), fill, layout)
            tags = _tags(_layout_tag(layout))
            # An expanded input repeats its elements: ties.
            samples.append(Sample((x,), {"dim": d}, tags | ({"kink"} & {_kink(fill, layout)})))
    for value in ("nan", "inf", "-inf", "3e38", "1e-42"):
        for d in (0, 1):
            x = Arr((LANES, LANES), ("diagonal", float(value)))
            samples.append(Sample((x,), {"dim": d}, _tags("special")))
    mixed = Arr((4, LANES), ("specials", 3))
    return samples + [Sample((mixed,), {"dim": 0}, _tags("special"))]


def _kink(fill: str, layout: str) -> str:
    return "kink" if fill == "distinct" and "expanded" in layout else ""


def _terms(x: Any, dim: Any = None, keepdim: bool = False) -> int:
    out = np.asarray(reference.sum(np.zeros(x.shape), dim, keepdim)).size
    return x.size // max(out, 1)


def _amax_samples() -> list[Sample]:
    ties = [Sample((Arr((4, 9), "ties"),), {"dim": d}, _tags("kink")) for d in (0, 1, (0, 1))]
    return [*_reduce_samples("distinct", False), *ties]


def _max_dim_samples() -> list[Sample]:
    samples = [s for s in _amax_samples() if isinstance(s.options.get("dim"), int)]
    return [s for s in samples if "specials" not in s.id] + [
        Sample((Arr((4, LANES), ("specials", 3)),), {"dim": 1}, _tags("special")),
        Sample((Arr((5, 70), ("values", 1.0, 1.0, 2.0, 2.0)),), {"dim": 1}, _tags("kink")),
        Sample((Arr((40, 5), "zeros"),), {"dim": 0}, _tags("kink")),
    ]


def _max_all_samples() -> list[Sample]:
    shapes = ((), (1,), (7,), (3, 5), (1031,))
    return [Sample((Arr(shape, "distinct"),)) for shape in shapes] + [
        Sample((Arr((5, 7), "distinct", "strided"),), {}, _tags("strided")),
        Sample((Arr((5, 7), "ties"),), {}, _tags("kink")),
        Sample((Arr((LANES,), ("specials", 0)),), {}, _tags("special")),
    ]


def _weight_samples() -> list[Sample]:
    """x with its own maxima: of every row, column and plane of this pattern that is 1."""
    fill = ("values", 1.0, 0.0, 1.0, 1.0)
    return [
        Sample((Arr((4, 9), fill), Arr((4, 1), "ones"))),
        Sample((Arr((4, 9), fill), Arr((1, 9), "ones"))),
        Sample((Arr((3, 5, 7), fill, "reversed"), Arr((1, 5, 1), "ones")), {}, _tags("negative")),
        Sample((Arr((4, 37), fill, "f"), Arr((1, 1), "ones")), {}, _tags("strided")),
        Sample((Arr((0, 3), fill), Arr((0, 1), "ones")), {}, _tags("empty")),
    ]


def _dim_errors(name: str, several: bool) -> tuple[ErrorSample, ...]:
    rows = [
        ErrorSample((Arr((2, 3)),), {"dim": 2}, IndexError, rf"{name}: dim must be in \[-2, 2\)"),
        ErrorSample((Arr((2, 3)),), {"dim": -3}, IndexError, rf"{name}: dim .* got -3"),
        ErrorSample((Arr(()),), {"dim": 1}, IndexError, rf"{name}: dim must be in \[-1, 1\)"),
        ErrorSample(
            (Arr((2, 3)),), {"dim": 1.0}, TypeError, f"{name}: dim must be an int; got 1.0"
        ),
        ErrorSample(
            (Arr((2, 3)),), {"dim": "0"}, TypeError, f"{name}: dim must be an int; got '0'"
        ),
    ]
    if several:
        rows += [
            ErrorSample((Arr((2, 3)),), {"dim": (0, 0)}, RuntimeError, f"{name}: a dim appears tw"),
            ErrorSample((Arr((2, 3)),), {"dim": (0, -2)}, RuntimeError, "appears twice"),
            ErrorSample((Arr((2, 3)),), {"dim": (0, 2)}, IndexError, f"{name}: dim must be in"),
            ErrorSample((Arr((2, 3)),), {"dim": (0, 1.5)}, TypeError, f"{name}: dim must be an "),
        ]
    return tuple(rows)


def infos() -> list[OpInfo]:
    """The family's ops."""
    empty_max = (
        ErrorSample((Arr((0,)),), {"dim": 0}, RuntimeError, "must not be empty", torch=False),
        ErrorSample((Arr((2, 0)),), {"dim": 1}, RuntimeError, "must not be empty", torch=False),
    )
    return [
        OpInfo(
            name="sum",
            covers=("sum",),
            call=by_path("sum"),
            reference=reference.sum,
            samples=lambda: _reduce_samples("normal", True),
            errors=_dim_errors("sum", True),
            terms=_terms,
        ),
        OpInfo(
            name="mean",
            covers=("mean",),
            call=by_path("mean"),
            reference=reference.mean,
            samples=lambda: _reduce_samples("normal", True),
            errors=_dim_errors("mean", True),
            terms=_terms,
        ),
        OpInfo(
            name="amax",
            covers=("amax",),
            call=by_path("amax"),
            reference=reference.amax,
            samples=_amax_samples,
            errors=(*_dim_errors("amax", True), *empty_max),
        ),
        OpInfo(
            name="max_dim",
            covers=("max_dim",),
            call=by_path("max"),
            reference=reference.max_dim,
            samples=_max_dim_samples,
            errors=(*_dim_errors("max", False), *empty_max),
        ),
        OpInfo(
            name="max_all",
            covers=("max_all",),
            call=by_path("max"),
            reference=reference.max_all,
            samples=_max_all_samples,
            errors=(ErrorSample((Arr((0,)),), {}, RuntimeError, "max: dim 0 must not be empty"),),
        ),
        OpInfo(
            name="amax_weight",
            covers=("amax_weight",),
            call=by_record("amax_weight"),
            reference=reference.amax_weight,
            samples=_weight_samples,
            differentiable=False,
            second=False,
            second_reason="piecewise constant: its gradient is 0",
            torch=False,
        ),
        *_more(empty_max),
    ]


def _few(fill: Any, empty: bool = True) -> list[Sample]:
    """A sample of everything, for what shares its kernel with an op that has all of them."""

    def row(shape: Any, layout: str = "c", tags: Any = (), values: Any = fill, **o: Any) -> Sample:
        return Sample((Arr(shape, values, layout),), o, _tags(*tags))

    samples = [
        row((3, 4, 5), dim=0),
        row((3, 4, 5), dim=1, keepdim=True),
        row((3, 4, 5), dim=-1),
        row((3, 7)),
        row((), tags=("size1",)),
        row((2, 131), dim=1, tags=("odd",)),
        row((131, 3), dim=0, tags=("odd",)),
        row((4, 5), "reversed", ("negative",), dim=1),
        row((4, 6), "f", ("strided",), dim=0),
        row((5, 20), dim=1, values=("specials", 2), tags=("special",)),
        row((0, 3), dim=1, tags=("empty",)),
    ]
    if empty:
        samples.append(row((0, 3), dim=0, tags=("empty",)))
    return samples


def _more(empty_max: tuple[ErrorSample, ...]) -> list[OpInfo]:
    """prod, minima, places, truth."""
    zeros = ("values", 1.5, 0.0, -2.0, 0.5, 0.0, 1.0, 3.0)
    many: list[Any] = [(0, 2), (0, 1, 2)]
    wide = [Sample((Arr((3, 4, 5), "distinct"),), {"dim": d}) for d in many]
    truth = [Sample((Arr((3, 4, 5), "ties"),), {"dim": d}) for d in many]
    nothing = {"differentiable": False, "second": False, "second_reason": "no real numbers"}
    ties = Sample((Arr((5, 70), ("values", 1.0, 1.0, 2.0, 2.0)),), {"dim": 1}, _tags("kink"))
    infos = [
        OpInfo(
            name="prod",
            covers=("prod",),
            call=by_path("prod"),
            reference=reference.prod,
            samples=lambda: [
                *_few("nonzero"),
                Sample((Arr((3, 7), zeros),), {"dim": 1}),
                Sample((Arr((3, 3), zeros),)),
            ],
            errors=_dim_errors("prod", False),
            terms=lambda x, **o: 2 * x.size + 4,
            magnitude=lambda x, **o: np.maximum(np.abs(reference.prod(x, **o)), 1e-300),
        ),
        OpInfo(
            name="prod_dims",
            covers=("prod",),
            call=by_record("prod"),
            reference=lambda x, dims, out_shape: np.prod(x, axis=dims).reshape(out_shape),
            samples=lambda: [
                Sample((Arr((3, 4, 2)),), {"dims": (0, 2), "out_shape": (4,)}),
                Sample((Arr((2, 3, 2), zeros),), {"dims": (0, 1), "out_shape": (2,)}),
            ],
            terms=lambda x, **o: 2 * x.size,
            torch=False,
        ),
        OpInfo(
            name="amin",
            covers=("amin",),
            call=by_path("amin"),
            reference=reference.amin,
            samples=lambda: [*_few("distinct", False), *wide],
            errors=(*_dim_errors("amin", True), *empty_max),
        ),
        OpInfo(
            name="min_dim",
            covers=("min_dim",),
            call=by_path("min"),
            reference=reference.min_dim,
            samples=lambda: [*[s for s in _few("distinct", False) if "dim" in s.options], ties],
            errors=(*_dim_errors("min", False), *empty_max),
        ),
        OpInfo(
            name="min_all",
            covers=("min_all",),
            call=by_path("min"),
            reference=lambda x: np.min(x),
            samples=lambda: [
                Sample((Arr((3, 5), "distinct"),)),
                Sample((Arr((5, 7), "ties"),), {}, _tags("kink")),
                Sample((Arr((LANES,), ("specials", 0)),), {}, _tags("special")),
            ],
            errors=(ErrorSample((Arr((0,)),), {}, RuntimeError, "min: dim 0 must not be empty"),),
        ),
    ]
    for name in ("argmax", "argmin"):
        infos.append(
            OpInfo(
                name=name,
                covers=("max_dim" if name == "argmax" else "min_dim",),
                call=by_path(name),
                reference=getattr(reference, name),
                samples=lambda: [*_few("distinct", False), ties],
                errors=(*_dim_errors(name, False), *empty_max),
                keeps_dtype=False,
                **nothing,
            )
        )
    for name in ("any", "all"):
        infos.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=getattr(reference, name),
                samples=lambda: [*_few("ties"), *truth],
                errors=_dim_errors(name, True),
                keeps_dtype=False,
                **nothing,
            )
        )
    return infos
