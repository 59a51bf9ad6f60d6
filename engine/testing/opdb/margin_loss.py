"""Samples of the margin and embedding losses, dice, and the penalties."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import margin_loss as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


_REDUCTIONS = ("mean", "sum", "none")


def _classes(shape: Any, *values: float) -> Arr:
    return Arr(shape, ("values", *values), dtype="int64")


def _multi_margin_call(lib: Any, x: Any, t: Any, weight: Any = None, **options: Any) -> Any:
    return lib.nn.functional.multi_margin_loss(x, t, weight=weight, **options)


def _multi_margin_samples() -> list[Sample]:
    x, t = Arr((4, 5), "distinct"), _classes((4,), 0, 3, 3, 1)
    weight = Arr((5,), "positive", grad=False)
    return [
        *(Sample((x, t), {"reduction": r, "margin": 0.77}) for r in _REDUCTIONS),
        *(Sample((x, t, weight), {"reduction": r, "p": 2, "margin": 0.77}) for r in _REDUCTIONS),
        Sample((Arr((5,), "distinct"), _classes((), 2)), {"margin": 0.77}),
        Sample((Arr((5,), "distinct"), _classes((), 2)), {"margin": 0.77, "reduction": "none"}),
        Sample((Arr((1, 1)), _classes((1,), 0)), {}, _tags("size1")),
        Sample((Arr((7, 6), "distinct", "f"), _classes((7,), 1, 5)), {"margin": 0.77}),
    ]


def _row_errors(name: str) -> tuple[ErrorSample, ...]:
    x, t = Arr((4, 5)), _classes((4,), 0, 3)
    return (
        ErrorSample((x, t), {"reduction": "avg"}, ValueError, f"{name}: reduction must be 'mean'"),
        ErrorSample((x, _classes((3,), 0)), {}, RuntimeError, f"{name}: "),
        ErrorSample((x, Arr((4,))), {}, RuntimeError, "class indices of dtype int64"),
        ErrorSample((x, _classes((4,), 5)), {}, IndexError, r"in \[0, 5\); got 5", torch=False),
    )


def _multilabel_samples() -> list[Sample]:
    x = Arr((4, 4), "distinct")
    t = _classes((4, 4), 1, 2, -1, 0, 0, -1, -1, -1, 3, 3, 1, -1, -1, 2, 1, 0)
    return [
        *(Sample((x, t), {"reduction": r}) for r in _REDUCTIONS),
        Sample((Arr((4,), "distinct"), _classes((4,), 1, 3, -1, -1))),
        Sample((Arr((4,), "distinct"), _classes((4,), -1))),
        Sample((Arr((3, 5), "distinct", "f"), _classes((3, 5), 4, 0, -1))),
        Sample((Arr((2, 1)), _classes((2, 1), 0)), {}, _tags("size1")),
    ]


def _triplet_samples() -> list[Sample]:
    def three(*shape: int, layout: str = "c", **options: Any) -> Sample:
        inputs = tuple(Arr(shape, "normal", layout) for _ in range(3))
        return Sample(inputs, {"margin": 2.3, **options})

    return [
        *(three(4, 5, reduction=r) for r in _REDUCTIONS),
        *(three(4, 5, p=p) for p in (1.0, 3.0, float("inf"))),
        three(4, 5, swap=True),
        three(5, reduction="none"),
        three(3, 7, layout="f", eps=0.01),
    ]


def _positive_sizes(function: Any) -> Any:
    """Rounding is relative to magnitudes of a few units an element."""

    def size(*arrays: Any, **options: Any) -> Any:
        value = np.abs(function(*arrays, **options))
        largest = np.max(np.abs(arrays[0]), initial=1.0)
        count = 1 if options.get("reduction", "mean") != "sum" else len(np.atleast_1d(arrays[0]))
        return value + 8 * count * (1 + largest) ** 2

    return size


def _info(name: str, samples: Any, errors: Any, **record: Any) -> OpInfo:
    function = record.pop("reference", None) or getattr(reference, name)
    return OpInfo(
        name=name,
        covers=record.pop("covers", ()),
        call=record.pop("call", by_path(f"nn.functional.{name}")),
        reference=function,
        samples=samples,
        errors=errors,
        terms=lambda *arrays, **options: 16,
        magnitude=_positive_sizes(function),
        **record,
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    x, signs = Arr((4, 5)), Arr((4,), ("values", 1.0, -1.0, -1.0), grad=False)
    half, region = Arr((3, 4), ("values", 0.2, 0.7, 0.9)), Arr((3, 4), ("values", 1.0, 0.0))
    three = (x, x, x)
    return [
        _info(
            "multi_margin_loss",
            _multi_margin_samples,
            (
                *_row_errors("multi_margin_loss"),
                ErrorSample((x, _classes((4,), 0)), {"p": 3}, ValueError, "p must be 1 or 2"),
            ),
            call=_multi_margin_call,
        ),
        _info(
            "multilabel_margin_loss",
            _multilabel_samples,
            (
                ErrorSample((x, Arr((4, 5))), {}, RuntimeError, "class indices of dtype int64"),
                ErrorSample((x, _classes((4, 4), 0)), {}, RuntimeError, "input must be"),
            ),
        ),
        _info(
            "multilabel_soft_margin_loss",
            lambda: [
                *(
                    Sample((x, Arr((4, 5), ("values", 1.0, 0.0, 1.0))), {"reduction": r})
                    for r in _REDUCTIONS
                ),
                Sample(
                    (x, Arr((4, 5), ("values", 1.0, 0.0)), Arr((5,), "positive", grad=False)), {}
                ),
                Sample((Arr((5,)), Arr((5,), ("values", 1.0, 0.0)))),
                Sample((Arr((2, 3, 4), "normal", "f"), Arr((2, 3, 4), "ties")), {}),
            ],
            (ErrorSample((x, Arr((4, 4))), {}, RuntimeError, "must match or broadcast"),),
        ),
        _info(
            "cosine_embedding_loss",
            lambda: [
                *(Sample((x, x, signs), {"reduction": r}) for r in _REDUCTIONS),
                Sample((x, Arr((4, 5), "positive"), signs), {"margin": 0.23}),
                Sample((Arr((5,)), Arr((5,)), Arr((), "ones", grad=False))),
                Sample((x, x, _classes((4,), 1, -1))),
                Sample((Arr((4, 5), "normal", "f"), x, Arr((4,), "zeros", grad=False))),
            ],
            (
                ErrorSample((x, x, x), {}, RuntimeError, "inputs must be .N, D. with target"),
                ErrorSample((x, x, signs), {"reduction": "avg"}, ValueError, "reduction must be"),
            ),
        ),
        _info(
            "triplet_margin_loss",
            _triplet_samples,
            (
                ErrorSample((x, x, Arr((5,))), {}, RuntimeError, "as many dimensions"),
                ErrorSample(three, {"margin": 0.0}, ValueError, "margin must be > 0; got 0"),
                ErrorSample(three, {"reduction": "avg"}, ValueError, "reduction must be"),
            ),
        ),
        _info(
            "triplet_margin_with_distance_loss",
            lambda: [
                Sample(three, {"margin": 2.3}),
                Sample(three, {"margin": 2.3, "swap": True, "reduction": "none"}),
                Sample(three, {"margin": 2.3, "reduction": "sum"}),
            ],
            (
                ErrorSample((x, x, Arr((5,))), {}, RuntimeError, "as many dimensions"),
                ErrorSample(three, {"margin": 0.0}, ValueError, "margin must be > 0; got 0"),
            ),
            reference=reference.triplet_margin_loss,
        ),
        _info(
            "gaussian_nll_loss",
            lambda: [
                *(
                    Sample((x, x, Arr((4, 5), "positive")), {"reduction": r, "full": r == "sum"})
                    for r in _REDUCTIONS
                ),
                Sample((x, x, Arr((4, 1), "positive"))),
                Sample((x, x, Arr((4,), "positive"))),
                Sample((x, x, 0.7)),
                Sample((x, x, Arr((4, 5), ("values", 0.5, 2.0), "f")), {"eps": 1e-4}),
            ],
            (
                ErrorSample((x, x, Arr((5, 4), "ones")), {}, ValueError, "var must fit input"),
                ErrorSample(
                    (x, x, Arr((4, 5), ("values", -1.0))), {}, ValueError, "negative entries"
                ),
                ErrorSample((x, x, -1.0), {}, ValueError, "var must be >= 0; got -1.0"),
                ErrorSample(
                    (x, x, Arr((4, 5), "ones")), {"reduction": "avg"}, ValueError, "reduction must"
                ),
            ),
        ),
        _info(
            "dice_loss",
            lambda: [
                *(Sample((half, region), {"reduction": r}) for r in _REDUCTIONS),
                Sample((Arr((2, 3, 4), "positive"), Arr((2, 3, 4), "ties")), {"smooth": 0.1}),
                Sample((Arr((3,), "positive"), Arr((3,), "positive"))),
            ],
            (
                ErrorSample((half, Arr((4,))), {}, RuntimeError, "must have one shape"),
                ErrorSample((half, region), {"reduction": "avg"}, ValueError, "reduction must be"),
            ),
            torch=False,
        ),
        _penalty("l1_penalty", lambda x, weight=1.0: weight * np.sum(np.abs(x))),
        _penalty("l2_penalty", lambda x, weight=1.0: weight * np.sum(x * x)),
        _penalty(
            "elastic_net_penalty",
            lambda x, l1=1.0, l2=1.0: l1 * np.sum(np.abs(x)) + l2 * np.sum(x * x),
            {"l1": 0.3, "l2": 0.2},
        ),
    ]


def _penalty(name: str, function: Any, options: dict[str, float] | None = None) -> OpInfo:
    return OpInfo(
        name=name,
        covers=(),
        call=by_path(f"nn.functional.{name}"),
        reference=function,
        samples=lambda: [
            Sample((Arr((3, 4), "nonzero"),), options or {"weight": 0.3}),
            Sample((Arr((37,), "nonzero", "reversed"),), {}, _tags("odd", "negative")),
            Sample((Arr((0,)),), {}, _tags("empty")),
        ],
        errors=(ErrorSample(([],), {}, ValueError, "takes at least one tensor", torch=False),),
        terms=lambda x, **o: int(x.size) + 4,
        magnitude=lambda x, **o: function(x, **o) + 1.0,
        torch=False,
    )
