"""Samples of log_softmax, nll_loss and cross_entropy."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from ..reference import loss as reference
from .calls import by_path, by_record
from .elementwise import LANES, LAYOUTS
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _log_softmax_samples() -> list[Sample]:
    samples = [Sample((Arr((3, 4, 5)),), {"dim": d}) for d in (0, 1, 2, -1, -3)]
    samples += [
        Sample((Arr(()),), {"dim": 0}, _tags("size1")),
        Sample((Arr((1,)),), {"dim": 0}, _tags("size1")),
        Sample((Arr((3, 1)),), {"dim": 1}, _tags("size1")),
        Sample((Arr((0, 3)),), {"dim": 1}, _tags("empty")),
        Sample((Arr((3, 0)),), {"dim": 1}, _tags("empty")),
        Sample((Arr((37,)),), {"dim": 0}, _tags("odd")),
        Sample((Arr((17, 101)),), {"dim": 1}, _tags("odd")),
        Sample((Arr((17, 101)),), {"dim": 0}, _tags("odd")),
        Sample((Arr((257, 513)),), {"dim": 1}, _tags("large")),
        Sample((Arr((257, 513)),), {"dim": 0}, _tags("large")),
        Sample((Arr((2, 5), ("values", 1000.0, 1001.0, 999.0)),), {"dim": 1}, name="high"),
        Sample((Arr((2, 5), ("values", -1e4, 0.0, 1e4)),), {"dim": 1}, name="far"),
        Sample((Arr((3, 7), "zeros"),), {"dim": 1}),
    ]
    for layout in LAYOUTS:
        tag = {"reversed": "negative"}.get(layout, "expanded" if "exp" in layout else "strided")
        for d in (0, 1):
            samples.append(Sample((Arr((5, 19), "normal", layout),), {"dim": d}, _tags(tag)))
    for value in ("nan", "inf", "-inf", "3e38"):
        for d in (0, 1):
            x = Arr((LANES, LANES), ("diagonal", float(value)))
            samples.append(Sample((x,), {"dim": d}, _tags("special")))
    all_lowest = Arr((2, 5), ("values", float("-inf")))
    return [*samples, Sample((all_lowest,), {"dim": 1}, _tags("special"))]


def _log_softmax_size(x: Any, dim: int) -> Any:
    """Rounding is relative to the largest number that is met: |x|, |x - max| and the result."""
    y = reference.log_softmax(x, dim)
    finite = np.abs(x[np.isfinite(x)])
    return np.where(np.isfinite(y), np.abs(y), 0.0) + np.max(finite, initial=0.0) + 1.0


def _bwd_samples() -> list[Sample]:
    """y is any array here: the formula holds for it too."""
    samples = []
    fill = ("values", -0.5, -1.5, -2.0, -0.1, -3.0)
    for shape, dim in (
        ((3, 4, 5), 0),
        ((3, 4, 5), 1),
        ((3, 4, 5), 2),
        ((37,), 0),
        ((0, 3), 1),
        ((), 0),
        ((17, 101), 1),
    ):
        for layout in ("c",) if len(shape) < 2 else ("c", "f", "reversed"):
            inputs = (Arr(shape, "normal", layout), Arr(shape, fill, layout))
            samples.append(Sample(inputs, {"dim": dim}))
    return samples


def _bwd_size(grad_y: Any, y: Any, dim: int) -> Any:
    total = np.sum(np.abs(grad_y), axis=dim, keepdims=True) if y.ndim else np.abs(grad_y)
    return np.abs(grad_y) + np.exp(y) * total


def _nll_samples() -> list[Sample]:
    """Every reduction with and without weights and ignored positions; 0 to 3 inner dimensions."""
    samples = []
    for reduction, weighted, ignore in product(("mean", "sum", "none"), (False, True), (-100, 2)):
        for shape in ((6, 5), (3, 4, 7), (2, 4, 3, 5)):
            target_shape = (shape[0], *shape[2:])
            target = Arr(target_shape, ("classes", 4, ignore), dtype="int64")
            weight = (Arr((shape[1],), "positive", grad=False),) if weighted else ()
            options = {"reduction": reduction, "ignore_index": ignore}
            samples.append(Sample((Arr(shape), target, *weight), options))
    for layout in LAYOUTS:
        tag = {"reversed": "negative"}.get(layout, "expanded" if "exp" in layout else "strided")
        target = Arr((6, 3), ("classes", 5), "f" if layout == "f" else "reversed", dtype="int64")
        samples.append(Sample((Arr((6, 5, 3), "normal", layout), target), {}, _tags(tag)))
    one = Arr((), ("classes", 5), dtype="int64")
    samples += [
        Sample((Arr((5,)), one)),
        Sample((Arr((5,)), one), {"reduction": "none"}),
        Sample((Arr((5,)), one, Arr((5,), "positive", grad=False)), {"reduction": "sum"}),
        Sample((Arr((1, 1)), Arr((1,), ("classes", 1), dtype="int64")), {}, _tags("size1")),
        Sample((Arr((37, 11)), Arr((37,), ("classes", 11), dtype="int64")), {}, _tags("odd")),
        Sample((Arr((513, 10)), Arr((513,), ("classes", 10), dtype="int64")), {}, _tags("large")),
        Sample(
            (Arr((40, 7, 300)), Arr((40, 300), ("classes", 7), dtype="int64")), {}, _tags("large")
        ),
    ]
    for reduction in ("mean", "sum", "none"):
        empty = (Arr((0, 5)), Arr((0,), ("classes", 5), dtype="int64"))
        # the mean of nothing is NaN, and so is its gradient
        tags = _tags("empty", "special") if reduction == "mean" else _tags("empty")
        samples.append(Sample(empty, {"reduction": reduction}, tags))
        ignored = (Arr((4, 5)), Arr((4,), ("values", 3.0), dtype="int64"))
        options = {"reduction": reduction, "ignore_index": 3}
        samples.append(Sample(ignored, options, _tags("special"), "all_ignored"))
    for value in ("nan", "inf", "-inf"):
        x = Arr((LANES, 10), ("diagonal", float(value)))
        target = Arr((LANES,), ("classes", 10), dtype="int64")
        samples.append(Sample((x, target), {"reduction": "none"}, _tags("special")))
    return samples


def _nll_terms(x: Any, target: Any, weight: Any = None, **options: Any) -> int:
    return 1 if options.get("reduction") == "none" else max(int(target.size), 1)


def _nll_size(x: Any, target: Any, weight: Any = None, **options: Any) -> Any:
    return np.abs(reference.nll_loss(-np.abs(x), target, weight, **options))


def _cross_entropy_size(x: Any, target: Any, weight: Any = None, **options: Any) -> Any:
    """The largest number that is met at a position, for each."""
    scores = _log_softmax_size(x, 1 if x.ndim > 1 else 0)
    if target.shape == x.shape:
        dim = 1 if x.ndim > 1 else 0
        each = np.sum(scores, axis=dim) * 2 * np.max(np.abs(target), initial=1.0)
        each = each * (1.0 if weight is None else np.max(weight))
        if options.get("reduction") == "none":
            return each
        total = np.sum(each)
        return total if options.get("reduction") == "sum" else total / np.size(each)
    options = {key: value for key, value in options.items() if key != "label_smoothing"}
    scores = np.max(scores, 1 if x.ndim > 1 else 0, keepdims=True, initial=0) + np.zeros(x.shape)
    return 3 * np.abs(reference.nll_loss(-scores, target, weight, **options))


def _cross_entropy_terms(x: Any, target: Any, weight: Any = None, **options: Any) -> int:
    return _nll_terms(x, target, weight, **options) + x.shape[1 if x.ndim > 1 else 0]


def _nll_bwd_samples() -> list[Sample]:
    samples = []
    weights = np.array([1.0, 0.5, 2.0, 1.5, 0.25])
    for reduction, weighted in product((0, 1, 2), (False, True)):
        grad_y = Arr((6, 3) if reduction == 0 else ())
        target = Sample((Arr((6, 3), ("classes", 5, -100), dtype="int64"),)).build()[0]
        # What forward hands over: the weights of the targets that take part.
        part = target[target != -100]
        sum_of_weights = weights[part].sum() if weighted else float(part.size)
        total = Arr((), ("values", sum_of_weights), grad=False)
        weight = Arr((5,), ("values", *weights), grad=False) if weighted else None
        options = {"x_shape": (6, 5, 3), "ignore_index": -100, "reduction": reduction}
        samples.append(Sample((grad_y, target, weight, total), options))
    return samples


def _cross_entropy_samples() -> list[Sample]:
    """nll_loss's, label smoothing, and probabilities."""
    samples = _nll_samples()
    for shape in ((6, 5), (3, 4, 7), (2, 4, 3, 5), (17, 37)):
        target = Arr((shape[0], *shape[2:]), ("classes", 4, 2), dtype="int64")
        weight = Arr((shape[1],), "positive", grad=False)
        for reduction, more in (("mean", ()), ("sum", (weight,)), ("none", (weight,))):
            options = {"reduction": reduction, "label_smoothing": 0.2, "ignore_index": 2}
            samples.append(Sample((Arr(shape), target, *more), options))
        for reduction, more in (("mean", (weight,)), ("sum", ()), ("none", (weight,))):
            options = {"reduction": reduction, "label_smoothing": 0.1 if more else 0.0}
            samples.append(Sample((Arr(shape), Arr(shape, "positive"), *more), options))
    one = Arr((), ("classes", 5), dtype="int64")
    return [
        *samples,
        Sample((Arr((5,)), one), {"label_smoothing": 1.0}),
        Sample((Arr((5,)), Arr((5,), "positive")), {"reduction": "none"}),
        Sample((Arr((6, 5)), Arr((6,), ("classes", 5), dtype="uint8"))),
        Sample((Arr((2, 5), ("values", 1000.0, 1001.0, 999.0)), Arr((2,), "zeros", dtype="int64"))),
    ]


def _cross_entropy_bwd_samples() -> list[Sample]:
    samples = []
    for reduction, softmax, smoothing in product((0, 1, 2), (True, False), (0.0, 0.3)):
        x, target = Sample((Arr((6, 5, 3)), Arr((6, 3), ("classes", 5, 2), dtype="int64"))).build()
        weight = np.array([1.0, 0.5, 2.0, 1.5, 0.25])
        stats = np.zeros((2, 6, 3))
        if softmax:  # what forward hands over
            stats[0] = x.max(1)
            stats[1] = np.log(np.exp(x - x.max(1, keepdims=True)).sum(1))
        total = Arr((), ("values", weight[target[target != 2]].sum()), grad=False)
        samples.append(
            Sample(
                (
                    Arr((6, 3) if reduction == 0 else ()),
                    Arr((6, 5, 3), ("values", *x.reshape(-1)), grad=False),
                    target,
                    Arr((5,), ("values", *weight), grad=False),
                    Arr((2, 6, 3), ("values", *stats.reshape(-1)), grad=False),
                    total,
                ),
                {
                    "softmax": softmax,
                    "smoothing": smoothing,
                    "ignore_index": 2,
                    "reduction": reduction,
                },
                name=f"{reduction}{softmax}{smoothing}",
            )
        )
    return samples


def _errors(name: str) -> tuple[ErrorSample, ...]:
    x = Arr((4, 5))

    def classes(shape: Any, *values: float) -> Arr:
        return Arr(shape, ("values", *values) if values else ("classes", 5), dtype="int64")

    def row(
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        error: type[Exception],
        match: str,
        torch: bool = True,
    ) -> ErrorSample:
        named = f"({name}|nll_loss)" if error is IndexError else name
        return ErrorSample(inputs, options, error, f"{named}: .*{match}", torch)

    return (
        # cross_entropy's classes are read by nll_loss's kernel.
        row((x, classes((4,), 0, 5)), {}, IndexError, r"must be in \[0, 5\); got 5"),
        row((x, classes((4,), 0, -1)), {}, IndexError, r"must be in \[0, 5\); got -1"),
        row((x, classes((4,), 2.0**62)), {}, IndexError, r"must be in \[0, 5\); got 4611686018"),
        row((x, classes((4,), -100, 7)), {}, IndexError, r"got 7"),
        row((x, Arr((4,))), {}, RuntimeError, "target must be class indices of dtype int64"),
        row(
            (x, Arr((4,), ("classes", 5), dtype="int32")),
            {},
            RuntimeError,
            "dtype int64 or uint8; got gradsmith.int32",
        ),
        row((x, classes((3,))), {}, RuntimeError, r"got input \(4, 5\), target \(3,\)"),
        row((x, classes((4, 1))), {}, RuntimeError, "input must be"),
        row((Arr((4, 5, 3)), classes((4, 2))), {}, RuntimeError, "input must be"),
        row((Arr(()), classes(())), {}, RuntimeError, "input must be", torch=False),
        row((x, classes((4,)), Arr((4,))), {}, RuntimeError, r"weight must have shape \(5,\)"),
        row((x, classes((4,)), Arr((0,))), {}, RuntimeError, r"weight must have shape \(5,\)"),
        row((x, classes((4,))), {"reduction": "avg"}, ValueError, "reduction must be 'mean'"),
        row((x, classes((4,))), {"reduction": None}, ValueError, "reduction must be 'mean'"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3))
    return [
        OpInfo(
            name="log_softmax",
            covers=("log_softmax",),
            call=by_path("nn.functional.log_softmax"),
            reference=reference.log_softmax,
            samples=_log_softmax_samples,
            errors=(
                ErrorSample((x,), {"dim": 2}, IndexError, "log_softmax: dim must be in"),
                ErrorSample((x,), {"dim": -3}, IndexError, "log_softmax: dim must be in"),
                ErrorSample((x,), {"dim": 0.5}, TypeError, "log_softmax: dim must be an int"),
            ),
            terms=lambda x, dim: x.shape[dim] if x.ndim else 1,
            magnitude=_log_softmax_size,
        ),
        OpInfo(
            name="log_softmax_bwd",
            covers=("log_softmax_bwd",),
            call=by_record("log_softmax_bwd"),
            reference=reference.log_softmax_bwd,
            samples=_bwd_samples,
            terms=lambda grad_y, y, dim: y.shape[dim] if y.ndim else 1,
            magnitude=_bwd_size,
            torch=False,
        ),
        OpInfo(
            name="nll_loss",
            covers=("nll_loss",),
            call=by_path("nn.functional.nll_loss"),
            reference=reference.nll_loss,
            samples=_nll_samples,
            errors=_errors("nll_loss"),
            terms=_nll_terms,
            magnitude=_nll_size,
        ),
        OpInfo(
            name="nll_loss_bwd",
            covers=("nll_loss_bwd",),
            call=by_record("nll_loss_bwd"),
            reference=reference.nll_loss_bwd,
            samples=_nll_bwd_samples,
            ulp=4.0,
            torch=False,
        ),
        OpInfo(
            name="cross_entropy",
            covers=("cross_entropy",),
            call=by_path("nn.functional.cross_entropy"),
            reference=reference.cross_entropy,
            samples=_cross_entropy_samples,
            errors=(
                *_errors("cross_entropy"),
                ErrorSample(
                    (Arr((4, 5)), Arr((4,), ("classes", 5), dtype="int64")),
                    {"label_smoothing": 1.5},
                    RuntimeError,
                    r"label_smoothing must be in \[0, 1\]; got 1.5",
                ),
                ErrorSample(
                    (Arr((4, 5)), Arr((4, 5))),
                    {"ignore_index": 1},
                    RuntimeError,
                    "ignore_index is not supported with class probabilities; got 1",
                ),
                ErrorSample(
                    (Arr((4, 5)), Arr((4, 5), ("classes", 2), dtype="int64")),
                    {},
                    RuntimeError,
                    "a target of input's shape holds class probabilities",
                ),
            ),
            terms=_cross_entropy_terms,
            magnitude=_cross_entropy_size,
        ),
        OpInfo(
            name="cross_entropy_bwd",
            covers=("cross_entropy_bwd",),
            call=by_record("cross_entropy_bwd"),
            reference=reference.cross_entropy_bwd,
            samples=_cross_entropy_bwd_samples,
            terms=lambda *arrays, **options: 8,
            magnitude=lambda grad_y, x, *rest, **options: (
                np.full(x.shape, 4.0) * (1 + np.max(np.abs(grad_y)))
            ),
            torch=False,
        ),
    ]
