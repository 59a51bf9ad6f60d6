"""Samples of the losses of two tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference import pair_loss as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _pairs(x: Any = "normal", t: Any = "normal", grad_t: bool = True, **options: Any) -> Any:
    """Samples that every such loss has: reductions, layouts, sizes."""

    def pair(shape: Any, *tags: str, la: str = "c", lb: str = "c", **more: Any) -> Sample:
        inputs = (Arr(shape, x, la), Arr(shape, t, lb, grad=grad_t))
        return Sample(inputs, {**options, **more}, _tags(*tags))

    return [
        pair((3, 4)),
        pair((3, 4), reduction="sum"),
        pair((3, 4), reduction="none"),
        pair((), "size1"),
        pair((1,), "size1", reduction="none"),
        pair((37,), "odd"),
        pair((0, 3), "empty", reduction="sum"),
        pair((0,), "empty", reduction="none"),
        pair((5, 7), "strided", la="f", lb="strided"),
        pair((5, 7), "negative", la="reversed", reduction="none"),
        pair((5, 7), "expanded", la="expanded", reduction="sum"),
        pair((70, 31), "large"),
    ]


def _special(other: float, reduction: str = "none", **options: Any) -> list[Sample]:
    """Every extreme value on either side."""
    some, extreme = Arr((16,), ("values", other)), Arr((16,), ("specials", 0))
    return [
        Sample(inputs, {"reduction": reduction, **options}, _tags("special"))
        for inputs in ((extreme, some), (some, extreme))
    ]


def _difference_samples(**options: Any) -> list[Sample]:
    return [
        *_pairs("distinct", "zeros", **options),
        *_special(0.0, **options),
        Sample((Arr((3, 4)), Arr((1, 4))), {**options}, name="broadcast"),
        Sample((Arr((4,)), Arr((3, 1))), {"reduction": "none", **options}, name="broadcast"),
    ]


def _at_zero() -> Sample:
    """Where |x| has no derivative: 0, as PyTorch's. Too large for checks of the second one."""
    x = Arr((1300,), ("values", 0.0, -0.0, 1.0, -1.0, 0.5, -2.0))
    return Sample((x, Arr((1300,), "zeros")), {"reduction": "sum"}, _tags("kink", "large"))


def _quietly(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call without the warnings that the losses owe to PyTorch."""

    def quiet(*args: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return call(*args, **options)

    return quiet


def _with_weight(path: str) -> Callable[..., Any]:
    """A call with the weight as the third input, by keyword."""
    plain = by_path(path)

    def call(lib: Any, input: Any, target: Any, weight: Any = None, **options: Any) -> Any:
        return plain(lib, input, target, weight=weight, **options)

    return call


def _weighted(x: Any = "normal", t: Any = "normal", grad: bool = True) -> list[Sample]:
    return [
        Sample(
            (Arr((3, 4), x), Arr((3, 4), t), Arr((3, 4), "positive", grad=grad)), {"reduction": r}
        )
        for r in ("mean", "sum", "none")
    ]


def _terms(x: Any, *rest: Any, **options: Any) -> int:
    return 4 if options.get("reduction") == "none" else int(np.size(x)) + 4


def _sizes(function: Any) -> Callable[..., Any]:
    """Rounding is relative to the sum of what each loss is made of."""

    def size(x: Any, t: Any, *rest: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            each = np.abs(function(x, t, *rest, **{**options, "reduction": "none"}))
            parts = 2 * (np.abs(x) + np.abs(t)) * (1 + np.abs(t) + np.abs(x)) + 1
            weight = np.abs(rest[0]) if rest and rest[0] is not None else 1.0
            both = (each + parts * weight) * np.maximum(1.0, np.abs(options.get("delta", 1.0)))
            return reference.reduced(np.where(np.isfinite(both), both, 0.0), _mean(options))

    return size


def _mean(options: dict[str, Any]) -> str:
    reduction = options.get("reduction", "mean")
    return "sum" if reduction == "batchmean" else reduction


def _bwd_samples() -> list[Sample]:
    samples = []
    fills: dict[int, tuple[Any, Any]] = {
        4: (("values", 0.2, 0.7, 0.5, 0.9), ("values", 1.0, 0.0, 0.3)),
        6: ("normal", "positive"),
        8: ("normal", ("values", 1.0, -1.0)),
        9: ("distinct", ("values", 1.0, -1.0)),
        10: ("distinct", ("values", 1.0, -1.0)),
        12: ("positive", "positive"),
        13: (("values", 0.5, 1.5, 3.0), "zeros"),
    }
    for kind in range(14):
        x, t = fills.get(kind, ("distinct", "zeros") if kind < 4 else ("normal", "positive"))
        for order in range(1, 6):
            reduction = (kind + order) % 3
            grad_y = Arr((3, 5) if reduction == 0 else ())
            weight = Arr((3, 5), "positive", grad=False) if order == 1 else None
            other = Arr((3, 5), "positive", grad=False) if kind == 5 else None
            inputs = (grad_y, Arr((3, 5), x), Arr((3, 5), t, grad=kind != 9), weight, other)
            options = {"kind": kind, "order": order, "param": 0.45, "reduction": reduction}
            # The third derivatives that are not 0 are missing.
            flat = order < 3 or kind < 4
            if not flat:
                inputs = (
                    grad_y,
                    Arr((3, 5), x, grad=False),
                    Arr((3, 5), t, grad=False),
                    *inputs[3:],
                )
            samples.append(Sample(inputs, options))
    return samples


def _error_samples(name: str) -> tuple[ErrorSample, ...]:
    x = Arr((3, 4))
    return (
        ErrorSample((x, x), {"reduction": "avg"}, ValueError, f"{name}: reduction must be 'mean'"),
        ErrorSample((x, 1.0), {}, TypeError, f"{name}: target must be a tensor; got float"),
        ErrorSample((x, Arr((3, 5))), {}, RuntimeError, f"{name}: shapes must match or broadcast"),
    )


def _info(name: str, samples: Any, errors: Any = None, **record: Any) -> OpInfo:
    function = getattr(reference, name)
    return OpInfo(
        name=name,
        covers=record.pop("covers", ("pair_loss",)),
        call=_quietly(record.pop("call", by_path(f"nn.functional.{name}"))),
        reference=function,
        samples=samples,
        errors=_error_samples(name) if errors is None else errors,
        terms=record.pop("terms", _terms),
        magnitude=record.pop("magnitude", _sizes(function)),
        **record,
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((3, 4))
    half = ("values", 0.2, 0.7, 0.5, 0.95, 0.05)
    partly = ("values", 0.9, 0.1, 0.3)
    yes_no = ("values", 1.0, 0.0, 0.3)
    signs = ("values", 1.0, -1.0, -1.0)
    weight_error = ErrorSample(
        (x, x, Arr((4,))), {}, ValueError, "weight and input must have the same size"
    )
    sizes_differ = (
        ErrorSample((x, x), {"reduction": "avg"}, ValueError, "reduction must be 'mean'"),
        ErrorSample((x, Arr((4,))), {}, ValueError, "target must have the size of input"),
    )

    def probabilities(*values: float) -> Arr:
        return Arr((4,), ("values", *values))

    return [
        _info(
            "mse_loss",
            lambda: [*_difference_samples(), *_weighted()],
            (*_error_samples("mse_loss"), weight_error),
            call=_with_weight("nn.functional.mse_loss"),
        ),
        _info(
            "l1_loss",
            lambda: [
                *_difference_samples(),
                _at_zero(),
                *_weighted("distinct", "zeros"),
            ],
            (*_error_samples("l1_loss"), weight_error),
            call=_with_weight("nn.functional.l1_loss"),
        ),
        _info(
            "smooth_l1_loss",
            lambda: [
                *_difference_samples(beta=0.33),
                Sample((Arr((3, 4), "distinct"), Arr((3, 4), "zeros")), {"beta": 0.0}),
            ],
            (
                *_error_samples("smooth_l1_loss"),
                ErrorSample((x, x), {"beta": -1.0}, RuntimeError, "beta must be >= 0; got -1.0"),
            ),
        ),
        _info(
            "huber_loss",
            lambda: [
                *_difference_samples(delta=0.33),
                *_weighted("distinct", "zeros"),
            ],
            (
                *_error_samples("huber_loss"),
                weight_error,
                ErrorSample((x, x), {"delta": 0.0}, RuntimeError, "delta must be > 0; got 0.0"),
            ),
            call=_with_weight("nn.functional.huber_loss"),
        ),
        _info(
            "binary_cross_entropy",
            lambda: [
                *_pairs(half, partly),
                *_weighted(half, partly, grad=False),
                Sample((Arr((3, 4), half), Arr((3, 4), yes_no, grad=False))),
                Sample((Arr((3, 4), half), Arr((3, 4), partly), Arr((4,), "positive", grad=False))),
                Sample(
                    (Arr((6,), ("values", 0.0, 1.0)), Arr((6,), ("values", 0.0, 0.0, 1.0))),
                    {"reduction": "none"},
                    _tags("special"),
                ),
            ],
            (
                *sizes_differ,
                ErrorSample(
                    (probabilities(0.5, 1.5), probabilities(0.5)),
                    {},
                    RuntimeError,
                    "all elements of (x|input) must be between 0 and 1",
                ),
                ErrorSample(
                    (probabilities(0.5, float("nan")), probabilities(0.5)),
                    {},
                    RuntimeError,
                    "all elements of (x|input) must be between 0 and 1",
                ),
                ErrorSample(
                    (probabilities(0.5), probabilities(-0.5, 1.0)),
                    {},
                    RuntimeError,
                    "all elements of target must be between 0 and 1",
                ),
                ErrorSample(
                    (Arr((3,), half), Arr((3,), ("classes", 2), dtype="int64")),
                    {},
                    RuntimeError,
                    "binary_cross_entropy: inputs must be of one dtype",
                ),
            ),
            magnitude=lambda x, t, *w, **o: reference.binary_cross_entropy(x, t, *w, **o) + 1.0,
        ),
        _info(
            "binary_cross_entropy_with_logits",
            lambda: [
                *_pairs("normal", yes_no),
                *_weighted("normal", yes_no, grad=False),
                *_special(1.0)[:1],
                *(
                    Sample(
                        (
                            Arr((3, 4)),
                            Arr((3, 4), yes_no),
                            weight,
                            Arr((4,), "positive", grad=False),
                        ),
                        {"reduction": r},
                    )
                    for r, weight in (
                        ("mean", None),
                        ("none", Arr((3, 1), "positive", grad=False)),
                        ("sum", Arr((3, 4), "positive", grad=False)),
                    )
                ),
                Sample((Arr((4,), ("values", 80.0, -80.0)), Arr((4,), yes_no)), name="far"),
            ],
            (
                *sizes_differ,
                ErrorSample((x, x, Arr((3,))), {}, RuntimeError, "must match or broadcast"),
            ),
            call=_logits_call,
        ),
        _info(
            "kl_div",
            lambda: [
                *_pairs("normal", "positive"),
                Sample((Arr((3, 4)), Arr((3, 4), "positive")), {"reduction": "batchmean"}),
                Sample((Arr((3, 4)), Arr((3, 4))), {"reduction": "batchmean", "log_target": True}),
                Sample((Arr((3, 4)), Arr((3, 4))), {"reduction": "none", "log_target": True}),
                Sample((Arr((3, 4)), Arr((4,), "positive")), {}, name="broadcast"),
                Sample(
                    (Arr((3, 4)), Arr((3, 4), ("values", 0.0, 0.5), grad=False)),
                    {"reduction": "sum"},
                    name="zero",
                ),
            ],
        ),
        _info(
            "soft_margin_loss",
            lambda: [
                *_pairs("normal", signs, grad_t=False),
                Sample(
                    (Arr((4,), ("values", 60.0, -60.0)), Arr((4,), signs, grad=False)), name="far"
                ),
            ],
        ),
        _info(
            "hinge_embedding_loss",
            lambda: [
                *_pairs("distinct", signs, grad_t=False, margin=0.66),
                Sample(
                    (Arr((6,), ("values", 1.0, 0.5)), Arr((6,), signs, grad=False)),
                    {},
                    _tags("kink"),
                ),
                Sample(
                    (Arr((6,), "distinct"), Arr((6,), ("values", 0.0, 2.0), grad=False)),
                    {"margin": 0.66},
                    name="other",
                ),
            ],
        ),
        _info(
            "margin_ranking_loss",
            lambda: (
                [
                    Sample(
                        (
                            Arr(shape, "distinct"),
                            Arr(shape, "zeros"),
                            Arr(shape, signs, grad=False),
                        ),
                        {"margin": 0.17, "reduction": r},
                        tags,
                    )
                    for shape, r, tags in (
                        ((3, 4), "mean", _tags()),
                        ((3, 4), "sum", _tags()),
                        ((3, 4), "none", _tags()),
                        ((), "mean", _tags("size1")),
                        ((37,), "mean", _tags("odd")),
                        ((0, 2), "sum", _tags("empty")),
                    )
                ]
                + [
                    Sample(
                        (
                            Arr((3, 1), "distinct"),
                            Arr((1, 4), "zeros"),
                            Arr((3, 4), signs, grad=False),
                        ),
                        {"margin": 0.17},
                    ),
                    Sample(
                        (
                            Arr((4,), ("values", 0.5, 1.0)),
                            Arr((4,), ("values", 0.0, 1.0)),
                            Arr((4,), signs, grad=False),
                        ),
                        {"margin": 0.5},
                        _tags("kink"),
                    ),
                ]
            ),
            (
                ErrorSample(
                    (x, x, x), {"reduction": "avg"}, ValueError, "reduction must be 'mean'"
                ),
                ErrorSample(
                    (x, x, Arr((4,))), {}, RuntimeError, "all inputs must have as many dimensions"
                ),
            ),
            magnitude=lambda a, b, t, **o: reference.margin_ranking_loss(
                -np.abs(a), np.abs(b), np.abs(t), **{**o, "margin": 1.0}
            ),
        ),
        _info(
            "poisson_nll_loss",
            lambda: [
                *_pairs("normal", ("values", 0.5, 2.0, 3.0)),
                *(
                    Sample(
                        (Arr((3, 4), "positive"), Arr((3, 4), ("values", 0.5, 2.0, 3.0))),
                        {"log_input": log_input, "full": full, "reduction": r},
                    )
                    for log_input, full, r in (
                        (False, False, "mean"),
                        (False, True, "none"),
                        (True, True, "mean"),
                        (True, True, "sum"),
                    )
                ),
            ],
        ),
        OpInfo(
            name="pair_loss_bwd",
            covers=("pair_loss_bwd",),
            call=by_record("pair_loss_bwd"),
            reference=reference.pair_loss_bwd,
            samples=_bwd_samples,
            terms=lambda *arrays, **options: 8,
            magnitude=_bwd_size,
            second=False,
            second_reason="it would be the third derivative of a loss",
            torch=False,
        ),
    ]


def _bwd_size(*arrays: Any, **options: Any) -> Any:
    grad_y, x, t = (np.abs(a) for a in arrays[:3])
    return np.abs(reference.pair_loss_bwd(*arrays, **options)) + 20 * grad_y * (1 + x + t)


def _logits_call(
    lib: Any, input: Any, target: Any, weight: Any = None, pos_weight: Any = None, **options: Any
) -> Any:
    function = lib.nn.functional.binary_cross_entropy_with_logits
    return function(input, target, weight, pos_weight=pos_weight, **options)
