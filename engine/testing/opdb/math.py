"""Samples of the functions of one tensor, rounding, lerp, addcmul and addcdiv."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import math as reference
from .calls import by_path, by_record
from .elementwise import LANES
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos", "few_samples"]

#: Clear of tan's poles, and of the integers.
_ANGLES = ("values", 0.3, -0.7, 1.1, -1.2, 0.05, 2.4, 4.0, -3.0)
_FRACTIONS = ("values", 0.3, -0.7, 1.2, -1.4, 2.6, -3.3, 17.7)
_HALVES = ("values", 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.0, -0.0, 3.0)

#: name, fill, ULP, NumPy's function, how far the gradient may be off.
_FUNCTIONS: tuple[tuple[str, Any, float, Any], ...] = (
    ("abs", "distinct", 0.0, np.abs),
    ("sqrt", "positive", 0.5, np.sqrt),
    ("rsqrt", "positive", 2.0, lambda x: 1 / np.sqrt(x)),
    ("square", "normal", 0.0, np.square),
    ("reciprocal", "nonzero", 0.5, lambda x: 1 / x),
    ("expm1", "normal", 2.0, np.expm1),
    ("log1p", "positive", 2.0, np.log1p),
    ("log2", "positive", 2.0, np.log2),
    ("sin", "normal", 2.0, np.sin),
    ("cos", "normal", 2.0, np.cos),
    ("tan", _ANGLES, 3.0, np.tan),
    ("erf", "normal", 2.0, reference.erf),
    ("floor", _FRACTIONS, 0.0, np.floor),
    ("ceil", _FRACTIONS, 0.0, np.ceil),
    ("trunc", _FRACTIONS, 0.0, np.trunc),
    ("round", _FRACTIONS, 0.0, reference.round_decimals),
)


def few_samples(fill: Any) -> list[Sample]:
    """Every shape and layout that a function of one tensor should see once."""

    def one(shape: tuple[int, ...], *tags: str, layout: str = "c", kind: Any = fill) -> Sample:
        return Sample((Arr(shape, kind, layout),), tags=frozenset(tags))

    return [
        one((0,), "empty"),
        one((), "size1"),
        one((7,), "odd"),
        one((2, 3, 37)),
        one((5, 7), "strided", layout="last2"),
        one((5, 37), "strided", layout="strided"),
        one((3, 4), "negative", layout="reversed"),
        one((4, 6), "expanded", layout="expanded"),
        one((LANES,), "special", kind=("specials", 0)),
        one((LANES,), "special", kind=("specials", 7)),
    ]


def _samples(name: str, fill: Any) -> list[Sample]:
    samples = few_samples(fill)
    if name == "round":
        samples.append(Sample((Arr((9,), _HALVES),), tags=frozenset({"special"})))
        for decimals in (2, -1):
            values = ("values", 12.3456, -7.891, 0.126, 104.44)
            samples.append(Sample((Arr((8,), values),), {"decimals": decimals}))
    if name == "abs":
        zeros = Arr((9,), ("values", 0.0, -0.0, 1.0, -1.0))
        samples.append(Sample((zeros,), tags=frozenset({"special"})))
    if name in ("sin", "cos", "tan"):
        values = ("values", 1e5, -31415.9, 1e7, 1e12, -3e30, 22.0)
        samples.append(Sample((Arr((37,), values),), tags=frozenset({"special"})))
    return samples


def _ternary_samples(fill_b: str) -> list[Sample]:
    """Three tensors of equal shape, broadcast, and laid out differently; the factor."""

    def three(*shapes: Any, tags: Any = (), **options: Any) -> Sample:
        fills = ("normal", "normal", fill_b)
        arrays = [
            Arr(s, f) if isinstance(s, tuple) else s for s, f in zip(shapes, fills, strict=True)
        ]
        return Sample(tuple(arrays), options, frozenset(tags))

    return [
        three((0,), (0,), (0,), tags={"empty"}),
        three((), (), (), tags={"size1"}),
        three((37,), (37,), (37,), tags={"odd"}),
        three((3, 5), (5,), (3, 1), tags={"expanded"}),
        three((5,), (3, 5), (), tags={"expanded"}),
        Sample((Arr((5, 7), "normal", "last2"), Arr((5, 7)), Arr((5, 7), fill_b, "reversed"))),
        Sample((Arr((2, 70), "normal", "strided"), Arr((70,)), Arr((2, 1), fill_b))),
        Sample(
            (Arr((LANES,), ("specials", 0)), Arr((LANES,), ("specials", 3)), Arr((LANES,), fill_b)),
            tags=frozenset({"special"}),
        ),
    ]


def _scaled_samples(fill_b: str) -> list[Sample]:
    samples = _ternary_samples(fill_b)
    options = {"value": -0.5}
    same = (Arr((4, 9)), Arr((4, 9)), Arr((4, 9), fill_b))
    return [*samples, Sample(same, options), Sample((Arr(()), Arr((9,)), same[2]), {"value": 2})]


def _lerp_samples() -> list[Sample]:
    samples = _ternary_samples("positive")
    for weight in (0.0, 0.3, 0.5, 1.0, -1.5):
        samples.append(Sample((Arr((3, 7)), Arr((3, 7)), weight)))
    return samples


def _errors(name: str) -> tuple[ErrorSample, ...]:
    return (
        ErrorSample((3.0,), {}, TypeError, "must be a tensor; got float"),
        ErrorSample((None,), {}, TypeError, "must be a tensor; got NoneType"),
    )


def _ternary_errors(name: str) -> tuple[ErrorSample, ...]:
    return (
        ErrorSample(
            (Arr((3,)), Arr((4,)), Arr((3,))), {}, RuntimeError, f"{name}: shapes must match"
        ),
        ErrorSample((Arr((3,)), 2.0, Arr((3,))), {}, TypeError, f"{name}: .* must be a tensor"),
    )


def _magnitude(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    return np.abs(x) + np.abs(value * a * b)


def _magnitude_of_quotient(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    with np.errstate(all="ignore"):
        return np.abs(x) + np.abs(value * a / b)


def _magnitude_of_lerp(a: Any, b: Any, weight: Any) -> Any:
    return (np.abs(a) + np.abs(b)) * (1 + np.abs(weight))


def _abs_bwd_samples() -> list[Sample]:
    samples = []
    for shape in ((0,), (), (7,), (3, 37)):
        samples.append(Sample((Arr(shape), Arr(shape, "distinct"))))
    zeros = Arr((5, 7), ("values", 0.0, -0.0, 1.0, -2.0))
    at_kinks = (Arr((5, 7), "normal", "strided"), zeros)
    return [*samples, Sample(at_kinks, tags=frozenset({"special"}))]


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for name, fill, ulp, function in _FUNCTIONS:

        def samples(name: str = name, fill: Any = fill) -> list[Sample]:
            return _samples(name, fill)

        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=reference.quiet(function),
                samples=samples,
                errors=_errors(name),
                ulp=ulp,
            )
        )
    found.append(
        OpInfo(
            name="abs_bwd",
            covers=("abs_bwd",),
            call=by_record("abs_bwd"),
            reference=reference.abs_bwd,
            samples=_abs_bwd_samples,
            torch=False,
        )
    )
    found.append(
        OpInfo(
            name="lerp",
            covers=("lerp",),
            call=by_path("lerp"),
            reference=reference.lerp,
            samples=_lerp_samples,
            errors=_ternary_errors("lerp"),
            terms=lambda *a: 3,
            magnitude=_magnitude_of_lerp,
        )
    )
    for name, fill_b, magnitude in (
        ("addcmul", "normal", _magnitude),
        ("addcdiv", "nonzero", _magnitude_of_quotient),
    ):

        def scaled(fill_b: str = fill_b) -> list[Sample]:
            return _scaled_samples(fill_b)

        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=getattr(reference, name),
                samples=scaled,
                errors=_ternary_errors(name),
                terms=lambda *a, **options: 3,
                magnitude=magnitude,
            )
        )
    return found
