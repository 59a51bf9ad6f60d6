"""Samples of // % **, fmod, and of the arithmetic of integers and bools."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..reference import arithmetic as reference
from .calls import by_path
from .record import SPECIALS, Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

LANES = 79
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
_EMPTY = frozenset({"empty"})


def _tags(*names: str) -> frozenset[str]:
    return frozenset(name for name in names if name)


def _floats(
    fill_a: str, fill_b: str, *more: Sample, number: float = 1.7, special: str = ""
) -> list[Sample]:
    """Broadcasting, layouts, numbers and pairs of extreme values (tagged `special` too)."""

    def pair(a: Any, b: Any, *tags: str) -> Sample:
        return Sample((a, b), tags=_tags(*tags))

    return [
        pair(Arr((0,), fill_a), Arr((0,), fill_b), "empty"),
        pair(Arr((), fill_a), Arr((), fill_b), "size1"),
        pair(Arr((7,), fill_a), Arr((7,), fill_b), "odd"),
        pair(Arr((3, 1, 5), fill_a), Arr((4, 1), fill_b), "expanded"),
        pair(Arr((5, 37), fill_a, "f"), Arr((5, 37), fill_b, "reversed"), "strided", "negative"),
        pair(Arr((5, 37), fill_a, "strided"), Arr((37,), fill_b, "offset"), "strided"),
        pair(Arr((3, 5), fill_a), number),
        # PyTorch has no gradient of remainder here, and no fmod.
        *([] if special else [pair(2.5, Arr((3, 5), fill_b))]),
        *more,
        *(
            pair(
                Arr((LANES,), ("specials", 0)),
                Arr((LANES,), ("specials", shift)),
                "special",
                special,
            )
            for shift in range(0, SPECIALS, 3)
        ),
    ]


_DIVIDENDS = ("values", 7, -7, 100, 3, 0, -1, 64, 127, -128)
_DIVISORS = ("values", 2, -2, 3, -3, 7, 1, -1)


def _integers(a: Any, b: Any, *more: Sample, dtypes: Sequence[str] = INTEGERS) -> list[Sample]:
    """Two operands of each integer dtype."""

    def positive(values: Any) -> Any:
        return (values[0], *(abs(v) for v in values[1:]))

    rows = []
    for d in dtypes:
        p, q = (positive(a), positive(b)) if d == "uint8" else (a, b)
        rows.append(Sample((Arr((3, 70), p, dtype=d), Arr((70,), q, dtype=d))))
    return [*rows, *more]


def _no_gradient(name: str, **more: Any) -> OpInfo:
    return OpInfo(
        name=name,
        differentiable=False,
        second=False,
        second_reason="integers have no gradient",
        **more,
    )


def _errors(name: str) -> tuple[ErrorSample, ...]:
    zero = (Arr((3,), "ones", dtype="int64"), Arr((3,), "zeros", dtype="int64"))
    bools = (Arr((3,), "ties", dtype="bool"), Arr((3,), "ties", dtype="bool"))
    found = (
        ErrorSample((Arr((3,)), Arr((4,))), {}, RuntimeError, f"{name}: shapes must match"),
        ErrorSample((Arr((3,)), "x"), {}, TypeError, f"{name}: .*must be a tensor; got str"),
        ErrorSample(bools, {}, NotImplementedError, f"{name} has no version for bool"),
    )
    if name == "pow":
        negative = (Arr((3,), "ones", dtype="int64"), -1)
        return (*found, ErrorSample(negative, {}, RuntimeError, "to negative integer powers are"))
    return (
        *found,
        ErrorSample(zero, {}, RuntimeError, "ZeroDivisionError: an integer was divided by 0"),
    )


def _divisions() -> list[OpInfo]:
    found = []
    for name, function, ulp in (
        ("floor_divide", reference.floor_divide, 1.0),
        ("remainder", reference.remainder, 1.0),
        ("fmod", reference.fmod, 0.0),
    ):
        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=function,
                # PyTorch's remainders lose quotients beyond 2^24 and subnormal numbers.
                samples=partial(
                    _floats,
                    "distinct",
                    "nonzero",
                    special="" if name == "floor_divide" else "torch_differs",
                ),
                errors=_errors(name),
                ulp=ulp,
                torch_gradient="PyTorch's floor_divide has none" if name == "floor_divide" else "",
            )
        )
        found.append(
            _no_gradient(
                f"integer_{name}",
                covers=(name,),
                call=by_path(name),
                reference=function,
                samples=partial(
                    _integers,
                    _DIVIDENDS,
                    _DIVISORS,
                    Sample((Arr((9,), _DIVIDENDS, dtype="int64"), -4)),
                    Sample((Arr((9,), _DIVIDENDS, "reversed", dtype="int32"), 3)),
                ),
            )
        )
    for mode, function in (("floor", reference.floor_divide), ("trunc", reference.truncated)):

        def divide(lib: Any, a: Any, b: Any, mode: str = mode) -> Any:
            return lib.div(a, b, rounding_mode=mode)

        def samples() -> list[Sample]:
            x = Arr((5, 7), "distinct")
            ints = [Arr((70,), v, dtype="int32") for v in (_DIVIDENDS, _DIVISORS)]
            return [Sample((x, Arr((5, 7), "nonzero"))), Sample((x, 0.7)), Sample(tuple(ints))]

        found.append(
            OpInfo(
                name=f"div_{mode}",
                covers=("floor_divide", "fmod"),
                call=divide,
                reference=function,
                samples=samples,
                ulp=1.0,
            )
        )
    return found


def _powers() -> list[OpInfo]:
    def floats() -> list[Sample]:
        numbers = (
            Sample((Arr((5, 7), "positive"), number)) for number in (2, 3.0, 0.5, -1, 2.5, 0)
        )
        negative = Sample((Arr((5, 7), "nonzero"), -2))
        return _floats("positive", "normal", *numbers, negative)

    exponents = ("values", 0, 1, 2, 3, 7, 5, 13)
    negative = Sample(
        (
            Arr((9,), ("values", 1, -1, 2, -3), dtype="int64"),
            Arr((9,), ("values", -1, -2, -3), dtype="int64"),
        )
    )
    return [
        OpInfo(
            name="pow",
            covers=("pow",),
            call=by_path("pow"),
            reference=reference.pow,
            samples=floats,
            errors=_errors("pow"),
            ulp=2.0,
        ),
        _no_gradient(
            "integer_pow",
            covers=("pow",),
            call=by_path("pow"),
            reference=reference.pow,
            samples=partial(
                _integers,
                ("values", 2, -3, 5, -1, 0),
                exponents,
                negative,
                Sample((Arr((9,), "integers", dtype="int16"), 3)),
            ),
        ),
    ]


def _wrapping() -> list[OpInfo]:
    found = []
    big = ("values", 120, -120, 100, 3, 0, -1, 64, 127, -128)
    bools = tuple(Arr((2, 71), "ties", layout, dtype="bool") for layout in ("c", "f"))
    for name, function, numpy_function in (
        ("add", operator.add, np.add),
        ("sub", operator.sub, np.subtract),
        ("mul", operator.mul, np.multiply),
    ):

        def call(lib: Any, a: Any, b: Any, function: Any = function) -> Any:
            return function(a, b)

        more = (
            Sample((Arr((9,), big, dtype="int8"), 100)),
            Sample((-3, Arr((9,), big, dtype="int64"))),
            Sample((Arr((5, 37), "integers", "f", dtype="int32"), Arr((37,), big, dtype="int32"))),
            Sample((Arr((0,), dtype="int32"), Arr((0,), dtype="int32")), tags=_EMPTY),
        )
        if name != "sub":
            more = (*more, Sample(bools))
        errors: tuple[ErrorSample, ...] = ()
        if name == "sub":
            errors = (ErrorSample(bools, {}, RuntimeError, "sub: bool tensors have no difference"),)
        found.append(
            _no_gradient(
                f"integer_{name}",
                covers=(name,),
                call=call,
                reference=partial(reference.integer, numpy_function),
                samples=partial(_integers, big, big, *more),
                errors=errors,
            )
        )

    def ones() -> list[Sample]:
        return [
            *(Sample((Arr((69,), big, dtype=d),)) for d in INTEGERS[:4]),
            Sample((Arr((69,), ("classes", 250), dtype="uint8"),)),
            Sample((Arr((3, 37), "integers", "f", dtype="int32"),), tags=_tags("strided")),
        ]

    bool_error = (
        ErrorSample(
            (Arr((3,), "ties", dtype="bool"),), {}, RuntimeError, "bool tensors have no negative"
        ),
    )
    for name, numpy_function in (("neg", np.negative), ("abs", np.abs)):
        found.append(
            _no_gradient(
                f"integer_{name}",
                covers=(name,),
                call=by_path(name),
                reference=partial(reference.integer, numpy_function),
                samples=ones,
                errors=bool_error if name == "neg" else (),
            )
        )

    def quotients() -> list[Sample]:
        return [
            *(
                Sample((Arr((70,), _DIVIDENDS, dtype=d), Arr((70,), _DIVISORS, dtype=d)))
                for d in INTEGERS[:4]
            ),
            Sample((Arr((9,), ("values", 1, 0, 5), dtype="uint8"), 0)),
            Sample((7, Arr((9,), _DIVISORS, dtype="int64"))),
        ]

    def divide(lib: Any, a: Any, b: Any) -> Any:
        return a / b

    found.append(
        _no_gradient(
            "integer_div",
            covers=("div",),
            call=divide,
            reference=reference.divided,
            samples=quotients,
            keeps_dtype=False,
            ulp=1.0,
        )
    )
    return found


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [*_divisions(), *_powers(), *_wrapping()]
