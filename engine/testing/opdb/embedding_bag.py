"""Samples of embedding_bag."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import embedding_bag as reference
from .calls import by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _call(
    lib: Any, input: Any, weight: Any, offsets: Any = None, *rest: Any, **options: Any
) -> Any:
    """per_sample_weights is the fourth input, so that its gradient is checked."""
    if rest:
        options["per_sample_weights"] = rest[0]
    return lib.nn.functional.embedding_bag(input, weight, offsets, **options)


def _reference(input: Any, weight: Any, offsets: Any = None, *rest: Any, **options: Any) -> Any:
    if rest:
        options["per_sample_weights"] = rest[0]
    return reference.embedding_bag(input, weight, offsets, **options)


def _places(*values: int) -> Arr:
    return Arr((len(values),), ("values", *values), dtype="int64")


def _samples() -> list[Sample]:
    table = Arr((7, 3), "distinct")
    square = Arr((4, 5), ("classes", 7), dtype="int64")
    line = Arr((9,), ("classes", 7), dtype="int64")
    samples = []
    for mode in ("sum", "mean", "max"):
        kink = frozenset({"kink"}) if mode == "max" else frozenset()
        samples += [
            Sample((square, table), {"mode": mode}, kink),
            Sample((square, table), {"mode": mode, "padding_idx": 2}, kink),
            Sample((line, table, _places(0, 3, 3, 7)), {"mode": mode}, kink),
            Sample((line, table, _places(0, 4, 9)), {"mode": mode, "padding_idx": -1}, kink),
            Sample(
                (line, table, _places(0, 4, 9)), {"mode": mode, "include_last_offset": True}, kink
            ),
        ]
    summed = {"mode": "sum"}
    long = Arr((40,), ("classes", 7), dtype="int64")
    samples += [
        Sample((square, table, None, Arr((4, 5))), summed),
        Sample((long, Arr((7, 83)), _places(0, 1, 30), Arr((40,))), summed),
        Sample((long, Arr((7, 197)), _places(0, 33)), {"padding_idx": 0}),
        Sample((line, table, _places(0, 2), Arr((9,))), {**summed, "padding_idx": 1}),
        Sample((line, Arr((7, 3), "distinct", "f"), _places(0, 2)), {}, frozenset({"strided"})),
        Sample((Arr((1, 1), ("values", 0.0), dtype="int64"), Arr((1, 1)))),
    ]
    return samples


def _spread_samples() -> list[Sample]:
    """bag_sum_bwd: the last places of the index are in no bag."""
    index = Arr((9,), ("classes", 5), dtype="int64")
    edges = _places(0, 3, 3, 8)
    options = {"skip": -1, "mean": False, "weight_shape": (5, 4)}
    return [
        Sample((Arr((3, 4)), index, edges, None), options),
        Sample((Arr((3, 4), "normal", "f"), index, edges, Arr((9,))), {**options, "skip": 2}),
        Sample((Arr((3, 4)), index, edges, None), {**options, "mean": True, "skip": 1}),
        Sample(
            (Arr((1, 37)), index, _places(0, 9), Arr((9,), "normal", "strided")),
            {**options, "weight_shape": (6, 37)},
        ),
    ]


def _dot_samples() -> list[Sample]:
    index = Arr((9,), ("classes", 5), dtype="int64")
    edges = _places(0, 3, 3, 8)
    options = {"skip": -1, "out_shape": (9,)}
    return [
        Sample((Arr((3, 4)), Arr((5, 4)), index, edges), options),
        Sample((Arr((3, 35)), Arr((5, 35), "normal", "f"), index, edges), {**options, "skip": 2}),
    ]


def _errors() -> tuple[ErrorSample, ...]:
    table = Arr((7, 3))
    line = Arr((4,), ("classes", 7), dtype="int64")
    square = Arr((2, 2), ("classes", 7), dtype="int64")

    def row(inputs: Any, options: Any, error: Any, match: str, torch: bool = True) -> ErrorSample:
        return ErrorSample(inputs, options, error, match, torch)

    return (
        row((line, table), {}, ValueError, "offsets must be given"),
        row((square, table, _places(0)), {}, ValueError, "bags as rows"),
        row((line, table, _places(1, 2)), {}, RuntimeError, "begin with 0"),
        row((line, table, _places(0, 9)), {}, RuntimeError, "nor go beyond"),
        row((square, table), {"mode": "prod"}, ValueError, "mode must be"),
        row((square, table, None, Arr((2, 2))), {}, NotImplementedError, "needs mode='sum'"),
        row((square, table, None, Arr((2, 3))), {"mode": "sum"}, ValueError, "input's shape"),
        row((square, table), {"padding_idx": 7}, (ValueError), "padding_idx must be in"),
        row((_places(9), table, _places(0)), {}, IndexError, r"must be in \[0, 7\)"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [
        OpInfo(
            name="embedding_bag",
            covers=("take", "index_sum", "bag_sum"),
            call=_call,
            reference=_reference,
            samples=_samples,
            errors=_errors(),
            terms=lambda input, *rest, **options: max(int(input.size), 1),
            magnitude=lambda input, weight, *rest, **options: np.full(1, 10 * np.abs(weight).max()),
        ),
        OpInfo(
            name="bag_sum_bwd",
            covers=("bag_sum_bwd",),
            call=by_record("bag_sum_bwd"),
            reference=reference.bag_sum_bwd,
            samples=_spread_samples,
            terms=lambda grad_y, index, *rest, **options: index.size,
            torch=False,
        ),
        OpInfo(
            name="bag_dot",
            covers=("bag_dot",),
            call=by_record("bag_dot"),
            reference=reference.bag_dot,
            samples=_dot_samples,
            terms=lambda grad_y, *rest, **options: max(grad_y.shape[1], 1),
            magnitude=lambda *inputs, **options: np.full(1, 30.0),
            torch=False,
        ),
    ]
