"""Samples of the matrix products."""

from __future__ import annotations

from typing import Any

from ..reference import matmul as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

_LAYOUTS = ("c", "last2", "strided", "reversed", "offset")


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _matmul_samples() -> list[Sample]:
    def pair(a: Any, b: Any, *tags: str, fill: Any = "normal", la: str = "c", lb: str = "c") -> Any:
        return Sample((Arr(a, fill, la), Arr(b, fill, lb)), {}, _tags(*tags))

    samples = [
        # vectors
        pair((5,), (5,)),
        pair((5,), (5, 3)),
        pair((4, 5), (5,)),
        pair((2, 4, 5), (5,)),
        pair((5,), (2, 5, 3)),
        pair((37,), (37,), "odd"),
        # matrices
        pair((1, 1), (1, 1), "size1"),
        pair((1, 5), (5, 1), "size1"),
        pair((5, 1), (1, 5), "size1"),
        pair((2, 3), (3, 4)),
        pair((7, 13), (13, 11), "odd"),
        pair((17, 31), (31, 33), "odd"),
        pair((33, 65), (65, 17), "odd"),
        pair((13, 1), (1, 67), "odd"),
        pair((1, 300), (300, 1), "odd"),
        pair((3, 1031), (1031, 5), "odd"),
        pair((70, 65), (65, 130), "large"),
        pair((129, 515), (515, 67), "large"),
        # empty
        pair((0, 3), (3, 4), "empty"),
        pair((3, 0), (0, 4), "empty"),
        pair((3, 4), (4, 0), "empty"),
        pair((0,), (0,), "empty"),
        pair((0, 2, 3), (3, 4), "empty"),
        pair((2, 3, 0), (2, 0, 4), "empty"),
        # batches
        pair((2, 3, 4), (2, 4, 5)),
        pair((2, 3, 4), (4, 5)),
        pair((3, 4), (2, 4, 5)),
        pair((1, 3, 4), (5, 4, 2)),
        pair((2, 1, 3, 4), (3, 4, 2)),
        pair((2, 1, 3, 4), (1, 3, 4, 2)),
        pair((3, 1, 17, 9), (1, 2, 9, 18), "odd"),
    ]
    for la in _LAYOUTS:
        for lb in _LAYOUTS:
            if (la, lb) != ("c", "c"):
                tag = "negative" if "reversed" in (la, lb) else "strided"
                samples.append(pair((6, 19), (19, 17), tag, la=la, lb=lb))
    for layout in ("last2", "f", "expanded", "reversed"):
        tag = "expanded" if layout == "expanded" else "strided"
        samples.append(pair((3, 6, 9), (3, 9, 7), tag, la=layout))
        samples.append(pair((3, 6, 9), (3, 9, 7), tag, lb=layout))
    samples.append(pair((6, 19), (19, 17), "expanded", la="expanded_last", lb="expanded"))
    samples += [
        pair((40, 300), (300, 33), "exact", fill="integers"),
        pair((65, 129), (129, 65), "exact", fill="integers", la="last2", lb="last2"),
        pair((2, 9, 700), (700, 40), "exact", fill="integers"),
    ]
    for value in ("nan", "inf", "-inf"):
        special = Arr((35, 35), ("diagonal", float(value)))
        samples.append(Sample((special, Arr((35, 34))), {}, _tags("special")))
        samples.append(Sample((Arr((34, 35)), special), {}, _tags("special")))
    return samples


def _linear_samples() -> list[Sample]:
    samples = []
    for x in ((5,), (4, 5), (2, 3, 5), (0, 5), (1, 5), (2, 0, 5)):
        tags = _tags("empty") if 0 in x else _tags()
        samples.append(Sample((Arr(x), Arr((3, 5))), {}, tags))
        samples.append(Sample((Arr(x), Arr((3, 5)), Arr((3,))), {}, tags))
    samples += [
        Sample((Arr((5,)), Arr((5,)))),
        Sample((Arr((3, 5)), Arr((5,)))),
        Sample((Arr((3, 0)), Arr((4, 0)), Arr((4,))), {}, _tags("empty")),
        Sample((Arr((3, 4)), Arr((0, 4)), Arr((0,))), {}, _tags("empty")),
        Sample((Arr((32, 65)), Arr((10, 65)), Arr((10,))), {}, _tags("odd")),
        Sample((Arr((70, 130)), Arr((67, 130)), Arr((67,))), {}, _tags("large")),
        Sample(
            (Arr((9, 33), "integers"), Arr((18, 33), "integers"), Arr((18,), "integers")),
            {},
            _tags("exact"),
        ),
    ]
    for layout in _LAYOUTS[1:]:
        inputs = (Arr((6, 9), "normal", layout), Arr((7, 9), "normal", layout), Arr((7,)))
        samples.append(Sample(inputs, {}, _tags("strided")))
    return samples


def _terms(a: Any, b: Any, *rest: Any) -> int:
    return int(a.shape[-1]) + len(rest)


def infos() -> list[OpInfo]:
    """The family's ops."""
    errors = (
        ErrorSample(
            (Arr((2, 3)), Arr((4, 5))),
            {},
            RuntimeError,
            r"matmul: the last dim of a must equal .* got a \(2, 3\), b \(4, 5\)",
        ),
        ErrorSample((Arr((3,)), Arr((4,))), {}, RuntimeError, "matmul: the last dim of a must"),
        ErrorSample((Arr(()), Arr((4,))), {}, RuntimeError, "must have at least one dimension"),
        ErrorSample((Arr((4,)), Arr(())), {}, RuntimeError, "must have at least one dimension"),
        ErrorSample(
            (Arr((2, 3, 4)), Arr((3, 4, 5))), {}, RuntimeError, "matmul: batch dimensions must"
        ),
        ErrorSample((Arr((2, 3)), 2.0), {}, TypeError, "other must be a tensor; got float"),
        ErrorSample((2.0, Arr((2, 3))), {}, TypeError, "input must be a tensor; got float"),
        ErrorSample((Arr((2, 3)), None), {}, TypeError, "other must be a tensor; got NoneType"),
    )
    x, w = Arr((2, 3)), Arr((4, 3))
    linear_errors = (
        ErrorSample((x, Arr((4, 5))), {}, RuntimeError, "linear: input's last dim must equal"),
        ErrorSample((Arr(()), w), {}, RuntimeError, "linear: input's last dim must equal"),
        ErrorSample((x, Arr((1, 4, 3))), {}, RuntimeError, "linear: ", torch=False),
        ErrorSample((x, w, Arr((3,))), {}, RuntimeError, r"linear: bias must have shape \(4,\)"),
        ErrorSample((x, w, Arr((0,))), {}, RuntimeError, r"linear: bias must have shape \(4,\)"),
        ErrorSample((x, w, Arr((4, 1))), {}, RuntimeError, "linear: bias must have shape"),
    )
    return [
        OpInfo(
            name="matmul",
            covers=("matmul",),
            call=by_path("matmul"),
            reference=reference.matmul,
            samples=_matmul_samples,
            errors=errors,
            terms=_terms,
        ),
        OpInfo(
            name="linear",
            covers=("linear", "matmul"),
            call=by_path("nn.functional.linear"),
            reference=reference.linear,
            samples=_linear_samples,
            errors=linear_errors,
            terms=_terms,
        ),
        OpInfo(
            name="mm",
            covers=("matmul",),
            call=by_path("mm"),
            reference=reference.matmul,
            samples=lambda: [
                Sample((Arr((3, 4)), Arr((4, 5)))),
                Sample((Arr((3, 4), "normal", "last2"), Arr((4, 5), "normal", "last2"))),
            ],
            errors=(
                ErrorSample((Arr((3,)), Arr((3, 2))), {}, RuntimeError, "mm: input must be 2-D"),
                ErrorSample((Arr((2, 3)), Arr((3,))), {}, RuntimeError, "mm: mat2 must be 2-D"),
            ),
            terms=_terms,
        ),
        OpInfo(
            name="bmm",
            covers=("matmul",),
            call=by_path("bmm"),
            reference=reference.matmul,
            samples=lambda: [
                Sample((Arr((2, 3, 4)), Arr((2, 4, 5)))),
                Sample((Arr((2, 3, 4), "normal", "f"), Arr((2, 4, 5), "normal", "last2"))),
                Sample((Arr((0, 3, 4)), Arr((0, 4, 5))), {}, _tags("empty")),
            ],
            errors=(
                ErrorSample((x, Arr((2, 3, 4))), {}, RuntimeError, "bmm: input must be 3-D"),
                ErrorSample(
                    (Arr((2, 3, 4)), Arr((3, 4, 5))), {}, RuntimeError, "bmm: batches must be equal"
                ),
            ),
            terms=_terms,
        ),
    ]
