"""Samples of the elementwise ops."""

from __future__ import annotations

import operator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..reference import elementwise as reference
from .calls import by_path, by_record
from .record import SPECIALS, Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

# Four AVX-512 vectors of float32 and a tail of 15: every lane and tail position occurs, in the
# narrower ISAs too.
LANES = 79
LAYOUTS = ("f", "last2", "strided", "reversed", "expanded", "expanded_last", "offset")
_TAGS = {
    "f": "strided",
    "last2": "strided",
    "strided": "strided",
    "offset": "strided",
    "reversed": "negative",
    "expanded": "expanded",
    "expanded_last": "expanded",
}
_EMPTY = frozenset({"empty"})


def unary_samples(fill: str) -> list[Sample]:
    """Shapes, layouts and extreme values for an op of one input."""
    samples = [
        Sample((Arr((0,), fill),), tags=_EMPTY),
        Sample((Arr((3, 0, 2), fill),), tags=_EMPTY),
        Sample((Arr((), fill),), tags=frozenset({"size1"})),
        Sample((Arr((1,), fill),), tags=frozenset({"size1"})),
        Sample((Arr((1, 1, 1), fill),), tags=frozenset({"size1"})),
        Sample((Arr((7,), fill),), tags=frozenset({"odd"})),
        Sample((Arr((3, 5), fill),), tags=frozenset({"odd"})),
        Sample((Arr((2, 3, 4), fill),)),
        Sample((Arr((1, 2, 1, 3, 1, 2), fill),)),
        Sample((Arr((1031,), fill),), tags=frozenset({"odd"})),
        Sample((Arr((61, 1117), fill),), tags=frozenset({"large"})),
    ]
    for layout in LAYOUTS:
        samples.append(Sample((Arr((5, 7), fill, layout),), tags=frozenset({_TAGS[layout]})))
        samples.append(Sample((Arr((3, 4, 37), fill, layout),), tags=frozenset({_TAGS[layout]})))
    for shift in range(SPECIALS):
        x = Arr((LANES,), ("specials", shift))
        samples.append(Sample((x,), tags=frozenset({"special"})))
    samples.append(
        Sample((Arr((5, LANES), ("specials", 0), "strided"),), tags=frozenset({"special"}))
    )
    return samples


def binary_samples(fill_a: str, fill_b: str) -> list[Sample]:
    """Broadcasting, layouts and pairs of extreme values for an op of two inputs."""

    def pair(a: Any, b: Any, *tags: str, **layouts: str) -> Sample:
        return Sample(
            (
                Arr(a, fill_a, layouts.get("la", "c")) if isinstance(a, tuple) else a,
                Arr(b, fill_b, layouts.get("lb", "c")) if isinstance(b, tuple) else b,
            ),
            tags=frozenset(tags),
        )

    samples = [
        pair((0,), (0,), "empty"),
        pair((0,), (1,), "empty"),
        pair((0, 3), (1, 3), "empty"),
        pair((2, 0, 3), (), "empty"),
        pair((), (), "size1"),
        pair((1,), (1,), "size1"),
        pair((), (1, 1), "size1"),
        pair((7,), (7,), "odd"),
        pair((3, 5), (3, 5), "odd"),
        pair((2, 3, 4), (2, 3, 4)),
        pair((1031,), (1031,), "odd"),
        pair((61, 1117), (61, 1117), "large"),
        pair((61, 1117), (1117,), "large", "expanded"),
        # broadcasting
        pair((3, 4), (4,), "expanded"),
        pair((4,), (3, 4), "expanded"),
        pair((3, 1), (1, 4), "expanded"),
        pair((3, 4), (3, 1), "expanded"),
        pair((2, 3, 4), (3, 1), "expanded"),
        pair((5,), (), "expanded"),
        pair((), (5,), "expanded"),
        pair((2, 1, 3, 1), (4, 1, 5), "expanded"),
        pair((1, 1), (5, 6), "expanded"),
        pair((2, 3, 1, 17), (1, 3, 2, 1), "expanded"),
        # Python numbers on either side
        pair((3, 5), 2.5),
        pair(-1.5, (3, 5)),
        pair((37,), 2),
        pair((), 0.5, "size1"),
        pair((0,), 1.0, "empty"),
    ]
    for layout in LAYOUTS:
        samples.append(pair((5, 7), (5, 7), _TAGS[layout], la=layout))
        samples.append(pair((5, 7), (5, 7), _TAGS[layout], lb=layout))
        samples.append(pair((3, 4, 37), (3, 4, 37), _TAGS[layout], la=layout, lb=layout))
    samples.append(pair((5, 7), (5, 7), "strided", la="f", lb="strided"))
    samples.append(pair((6, 19), (6, 1), "negative", la="reversed", lb="reversed"))
    for shift in range(SPECIALS):
        a, b = Arr((LANES,), ("specials", 0)), Arr((LANES,), ("specials", shift))
        samples.append(Sample((a, b), tags=frozenset({"special"})))
    return samples


def _relu_samples() -> list[Sample]:
    ties = Sample((Arr((4, 9), ("values", 0.0, -0.0, 1.0, -1.0)),), tags=frozenset({"kink"}))
    return [*unary_samples("distinct"), ties]


def _relu_signs_samples() -> list[Sample]:
    """relu's, with the number of words that hold a bit an element."""
    samples = []
    for sample in _relu_samples():
        count = prod(sample.inputs[0].shape)
        samples.append(replace(sample, options={"signs_shape": (-(-count // 32),)}))
    return samples


def _relu_signs_bwd_samples() -> list[Sample]:
    """Gradients, and bits set and not in every position of a word."""
    samples = []
    for shape in ((0,), (), (1,), (7,), (3, 5), (2, 3, 4), (31,), (4, 8), (33,), (1031,)):
        samples.append(_marked(Arr(shape)))
    samples += [_marked(Arr((3, 37), "normal", layout), _TAGS[layout]) for layout in LAYOUTS]
    for shift in range(SPECIALS):
        samples.append(_marked(Arr((LANES,), ("specials", shift)), "special"))
    return samples


def _marked(grad_y: Arr, *tags: str) -> Sample:
    count = prod(grad_y.shape)
    marks = np.zeros(-(-count // 32) * 32, np.uint8)
    marks[:count] = np.random.default_rng(count).integers(0, 2, count)
    signs = np.packbits(marks, bitorder="little").view(np.int32)
    return Sample((grad_y, signs), tags=frozenset(tags))


def _unary_errors() -> tuple[ErrorSample, ...]:
    return (
        ErrorSample((3.0,), {}, TypeError, "must be a tensor; got float"),
        ErrorSample(("x",), {}, TypeError, "must be a tensor; got str"),
        ErrorSample((None,), {}, TypeError, "must be a tensor; got NoneType"),
    )


def _binary_errors(name: str) -> tuple[ErrorSample, ...]:
    return (
        ErrorSample(
            (Arr((3,)), Arr((4,))),
            {},
            RuntimeError,
            rf"{name}: shapes must match or broadcast .* a \(3,\) float64, b \(4,\) float64",
        ),
        ErrorSample((Arr((2, 3)), Arr((3, 2))), {}, RuntimeError, f"{name}: shapes must match"),
        ErrorSample((Arr((0,)), Arr((2,))), {}, RuntimeError, f"{name}: shapes must match"),
        ErrorSample((Arr((3,)), "x"), {}, TypeError, f"{name}: .*must be a tensor; got str"),
        ErrorSample((Arr((3,)), None), {}, TypeError, f"{name}: .*must be a tensor; got NoneType"),
        ErrorSample((Arr((3,)), [1, 2, 3]), {}, TypeError, f"{name}: .*must be a tensor; got list"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for name, function in (
        ("add", operator.add),
        ("sub", operator.sub),
        ("mul", operator.mul),
        ("div", operator.truediv),
    ):

        def call(lib: Any, a: Any, b: Any, function: Any = function) -> Any:
            return function(a, b)

        fill_b = "nonzero" if name == "div" else "normal"

        def pairs(fill_b: str = fill_b) -> list[Sample]:
            return binary_samples("nonzero" if fill_b == "nonzero" else "normal", fill_b)

        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=call,
                reference=getattr(reference, name),
                samples=pairs,
                errors=_binary_errors(name),
            )
        )
    for name, fill, ulp in (
        ("neg", "normal", 0.0),
        ("exp", "normal", 2.0),
        ("log", "positive", 2.0),
        ("sigmoid", "normal", 2.0),
        ("tanh", "normal", 2.0),
    ):

        def ones(fill: str = fill) -> list[Sample]:
            return unary_samples(fill)

        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=getattr(reference, name),
                samples=ones,
                errors=_unary_errors(),
                ulp=ulp,
            )
        )
    found.append(
        OpInfo(
            name="neg_bwd",
            covers=("neg_bwd",),
            call=by_record("neg_bwd"),
            reference=reference.neg,
            samples=lambda: unary_samples("normal"),
            torch=False,
        )
    )
    found.append(
        OpInfo(
            name="relu",
            covers=("relu",),
            call=by_path("relu"),
            reference=reference.relu,
            samples=_relu_samples,
            errors=_unary_errors(),
        )
    )
    found.append(
        OpInfo(
            name="relu_signs",
            covers=("relu_signs",),
            call=by_record("relu_signs"),
            reference=lambda x, signs_shape: reference.relu(x),
            samples=_relu_signs_samples,
            torch=False,
        )
    )
    found.append(
        OpInfo(
            name="relu_signs_bwd",
            covers=("relu_signs_bwd",),
            call=by_record("relu_signs_bwd"),
            reference=reference.relu_signs_bwd,
            samples=_relu_signs_bwd_samples,
            torch=False,
        )
    )
    for name, ulp in (("relu_bwd", 0.0), ("sigmoid_bwd", 3.0), ("tanh_bwd", 3.0)):
        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_record(name),
                reference=getattr(reference, name),
                samples=_activation_bwd_samples,
                ulp=ulp,
                torch=False,
            )
        )
    return found


def _activation_bwd_samples() -> list[Sample]:
    """Gradients and outputs of the same shape. y stays clear of 1, where 1 - y cancels."""
    samples = []
    y_fill = ("values", 0.5, -0.25, 0.75, 0.0625, -0.5, -0.75, 0.3)
    for shape in ((0,), (), (1,), (7,), (3, 5), (2, 3, 4), (1031,)):
        samples.append(Sample((Arr(shape), Arr(shape, y_fill))))
    for layout in LAYOUTS:
        both = (Arr((3, 37), "normal", layout), Arr((3, 37), y_fill, layout))
        samples.append(Sample(both, tags=frozenset({_TAGS[layout]})))
        mixed = (Arr((5, 7), "normal", layout), Arr((5, 7), y_fill))
        samples.append(Sample(mixed, tags=frozenset({_TAGS[layout]})))
    for value in ("nan", "inf", "-inf"):
        x = Arr((LANES, LANES), ("diagonal", float(value)))
        samples.append(Sample((x, Arr((LANES, LANES), y_fill)), tags=frozenset({"special"})))
    return samples
