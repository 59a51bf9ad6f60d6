"""Samples of comparisons, logic, bits, and choosing between values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..reference import compare as reference
from .calls import by_path, by_record
from .record import SPECIALS, Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

#: Four AVX-512 vectors of float32 and a tail, as in elementwise.
LANES = 79
_NO_GRADIENT = "a comparison is constant almost everywhere: PyTorch has no gradient either"
_EMPTY = frozenset({"empty"})
_STRIDED = frozenset({"strided"})
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _pairs(fill: str = "ties", number: float = 1.0) -> list[Sample]:
    """Broadcasting, layouts and numbers for an op of two floating-point operands."""

    def pair(a: Arr, b: Any, *tags: str) -> Sample:
        return Sample((a, b), tags=_tags(*tags))

    return [
        pair(Arr((0,), fill), Arr((0,), fill), "empty"),
        pair(Arr((), fill), Arr((), fill), "size1"),
        pair(Arr((7,), fill), Arr((7,), fill), "odd"),
        pair(Arr((3, 1, 5), fill), Arr((4, 1), fill), "expanded"),
        pair(Arr((1, 61, 130), fill), Arr((130,), fill), "expanded"),
        pair(Arr((5, 37), fill, "f"), Arr((5, 37), fill, "reversed"), "strided", "negative"),
        pair(Arr((5, 37), fill, "strided"), Arr((5, 37), fill, "offset"), "strided"),
        pair(Arr((5, 37), fill, "expanded"), Arr((5, 37), fill, "expanded_last"), "expanded"),
        pair(Arr((3, 5), fill), number),
        *(
            pair(Arr((LANES,), ("specials", 0)), Arr((LANES,), ("specials", shift)), "special")
            for shift in (0, 1, SPECIALS - 1)
        ),
    ]


def _integers(*more: Sample, dtypes: Sequence[str] = INTEGERS, bools: bool = True) -> list[Sample]:
    """Two operands of each integer dtype, and of bool."""
    samples = [
        Sample((Arr((3, 67), ("classes", 5), dtype=d), Arr((67,), ("classes", 4), dtype=d)))
        for d in dtypes
    ]
    if bools:
        samples.append(
            Sample((Arr((2, 71), "ties", dtype="bool"), Arr((2, 71), "ties", "f", dtype="bool")))
        )
    return [*samples, *more]


def _errors(name: str, torch: bool = True) -> tuple[ErrorSample, ...]:
    return (
        ErrorSample((Arr((3,)), Arr((4,))), {}, RuntimeError, f"{name}: shapes must match"),
        ErrorSample((Arr((3,)), "x"), {}, TypeError, f"{name}: .*; got str", torch=torch),
        ErrorSample((Arr((3,)), None), {}, TypeError, f"{name}: .*; got NoneType", torch=torch),
    )


def _comparisons() -> list[OpInfo]:
    found = []
    for name, function in (
        ("eq", np.equal),
        ("ne", np.not_equal),
        ("lt", np.less),
        ("le", np.less_equal),
        ("gt", np.greater),
        ("ge", np.greater_equal),
    ):
        found.append(
            _plain(
                name,
                function,
                lambda: [*_pairs(), *_integers()],
                _errors(name),
            )
        )
    return found


def _plain(
    name: str, function: Any, samples: Any, errors: tuple[ErrorSample, ...] = (), **more: Any
) -> OpInfo:
    """An op without a gradient."""
    return OpInfo(
        name=name,
        covers=more.pop("covers", (name,)),
        call=more.pop("call", by_path(name)),
        reference=function,
        samples=samples,
        errors=errors,
        differentiable=False,
        second=False,
        second_reason=_NO_GRADIENT,
        **more,
    )


def _singles(fill: str = "ties") -> list[Sample]:
    """Layouts, extreme values and integers for an op of one input."""
    return [
        Sample((Arr((0, 3)),), tags=_EMPTY),
        Sample((Arr(()),), tags=_tags("size1")),
        Sample((Arr((3, 37), fill, "f"),), tags=_STRIDED),
        Sample((Arr((3, 37), fill, "reversed"),), tags=_tags("negative")),
        Sample((Arr((3, 37), fill, "expanded"),), tags=_tags("expanded")),
        *(Sample((Arr((LANES,), ("specials", s)),), tags=_tags("special")) for s in (0, 5)),
        *(Sample((Arr((69,), ("classes", 3), dtype=d),)) for d in ("int64", "uint8", "bool")),
    ]


def _classes() -> list[OpInfo]:
    errors = (ErrorSample((3.0,), {}, TypeError, "input must be a tensor; got float"),)
    return [
        _plain("isnan", lambda x: x != x, _singles, errors, covers=("ne",)),
        _plain("isinf", np.isinf, _singles, errors, covers=("isinf", "ne")),
        _plain("isfinite", np.isfinite, _singles, errors, covers=("isfinite", "eq")),
        _plain("isposinf", lambda x: x == np.inf, _singles, errors, covers=("eq", "ne")),
        _plain("isneginf", lambda x: x == -np.inf, _singles, errors, covers=("eq", "ne")),
    ]


def _logic() -> list[OpInfo]:
    mixed = Sample((Arr((3, 5), "integers"), Arr((5,), ("classes", 3), dtype="int64")))
    number = (ErrorSample((Arr((3,)), 1.0), {}, TypeError, "other must be a tensor; got float"),)

    def samples() -> list[Sample]:
        kept = [s for s in _pairs() if not isinstance(s.inputs[1], float)]
        return [*kept, *_integers(dtypes=("int64", "uint8")), mixed]

    found = [
        _plain(name, function, samples, (*_errors(name), *number))
        for name, function in (
            ("logical_and", np.logical_and),
            ("logical_or", np.logical_or),
            ("logical_xor", np.logical_xor),
        )
    ]
    return [*found, _plain("logical_not", np.logical_not, _singles)]


def _bits() -> list[OpInfo]:
    def two(dtype: str, *layouts: str) -> Sample:
        a, b = (Arr((5, 37), ("classes", 100), layout, dtype=dtype) for layout in layouts)
        return Sample((a, b), tags=_STRIDED)

    layouts = (
        Sample((Arr((0,), dtype="int32"), Arr((0,), dtype="int32")), tags=_EMPTY),
        Sample((Arr((), "ones", dtype="int64"), Arr((), "ones", dtype="int64"))),
        two("int16", "f", "reversed"),
        two("int32", "strided", "expanded"),
        Sample((Arr((9,), "integers", dtype="int64"), 3)),
        Sample((Arr((9,), "integers", dtype="int8"), -1)),
    )
    floats = (
        ErrorSample(
            (Arr((3,)), Arr((3,))), {}, NotImplementedError, "bitwise_.*has no version for float64"
        ),
    )
    found = [
        _plain(
            name,
            function,
            lambda: _integers(*layouts),
            (*_errors(name), *floats),
        )
        for name, function in (
            ("bitwise_and", np.bitwise_and),
            ("bitwise_or", np.bitwise_or),
            ("bitwise_xor", np.bitwise_xor),
        )
    ]
    shifted = (
        Sample(
            (
                Arr((3, 70), ("values", 1, -3, 100, -128, 127, 5, -1), dtype=d),
                Arr((3, 70), ("values", 0, 1, 3, 7, 8, 64, -1, 2, 31), dtype=d),
            )
        )
        for d in ("int64", "int32", "int16", "int8")
    )
    unsigned = Sample(
        (
            Arr((70,), ("values", 1, 3, 100, 200, 255, 5), dtype="uint8"),
            Arr((70,), ("values", 0, 1, 3, 7, 8, 64, 255), dtype="uint8"),
        )
    )
    rows = [*shifted, unsigned, *layouts[:5]]
    bools = ErrorSample(
        (Arr((3,), "ties", dtype="bool"), Arr((3,), "ties", dtype="bool")),
        {},
        NotImplementedError,
        "shift has no version for bool",
    )
    for name, function in (
        ("bitwise_left_shift", reference.left_shift),
        ("bitwise_right_shift", reference.right_shift),
    ):

        def call(lib: Any, a: Any, b: Any, name: str = name) -> Any:
            return getattr(lib, name)(a, b)

        def shift(a: Any, b: Any, function: Any = function) -> Any:
            return function(a, np.asarray(b, a.dtype))

        found.append(_plain(name, shift, lambda: rows, (*_errors(name), *floats, bools), call=call))

    def inverted() -> list[Sample]:
        return [
            *(Sample((Arr((69,), ("classes", 3), dtype=d),)) for d in (*INTEGERS, "bool")),
            Sample((Arr((3, 37), "integers", "f", dtype="int32"),), tags=_STRIDED),
            Sample((Arr((0,), dtype="bool"),), tags=_EMPTY),
        ]

    float_error = (
        ErrorSample((Arr((3,)),), {}, NotImplementedError, "bitwise_xor has no version for float"),
    )
    found.append(_plain("bitwise_not", np.bitwise_not, inverted, float_error))
    return found


def _extremes() -> list[OpInfo]:
    found = []
    for name, function in (("maximum", reference.maximum), ("minimum", reference.minimum)):

        def samples() -> list[Sample]:
            kept = [s for s in _pairs("distinct") if not isinstance(s.inputs[1], float)]
            return [*kept, *_integers()]

        errors = (
            *_errors(name),
            ErrorSample((Arr((3,)), 1.0), {}, TypeError, f"{name}: other must be a tensor"),
        )
        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_path(name),
                reference=function,
                samples=samples,
                errors=errors,
            )
        )
        found.append(
            OpInfo(
                name=f"{name}_ties",
                covers=(name,),
                call=by_path(name),
                reference=function,
                samples=lambda: [
                    Sample((Arr((4, 9), "ties"), Arr((9,), "ties")), tags=_tags("kink"))
                ],
                second=False,
                second_reason="in a tie the first derivative jumps by as much on either side",
            )
        )

    def backward() -> list[Sample]:
        return [
            Sample((Arr((5, 37)), Arr((5, 37), "ties"), Arr((5, 37), "ties"))),
            Sample((Arr((5, 37), layout="f"), Arr((5, 1), "ties"), Arr((37,), "distinct"))),
            Sample((Arr((0, 2)), Arr((0, 2)), Arr((0, 2))), tags=_EMPTY),
            Sample(
                (Arr((LANES,)), Arr((LANES,), ("specials", 0)), Arr((LANES,), ("specials", 1))),
                tags=_tags("special"),
            ),
        ]

    found.append(
        OpInfo(
            name="extremum_bwd",
            covers=("extremum_bwd",),
            call=by_record("extremum_bwd"),
            reference=reference.extremum_bwd,
            samples=_fixed(backward, 1, 2),
            torch=False,
        )
    )
    return found


def _fixed(samples: Any, *places: int) -> Any:
    """The samples with the inputs at these places not differentiated."""
    from dataclasses import replace

    def listed() -> list[Sample]:
        return [
            replace(
                s,
                inputs=tuple(
                    replace(a, grad=False) if i in places and isinstance(a, Arr) else a
                    for i, a in enumerate(s.inputs)
                ),
            )
            for s in samples()
        ]

    return listed


def _where() -> list[OpInfo]:
    def mask(shape: tuple[int, ...], layout: str = "c") -> Arr:
        return Arr(shape, "ties", layout, dtype="bool")

    def samples() -> list[Sample]:
        return [
            Sample((mask((0,)), Arr((0,)), Arr((0,))), tags=_EMPTY),
            Sample((mask(()), Arr(()), Arr(())), tags=_tags("size1")),
            Sample((mask((7,)), Arr((7,)), Arr((7,))), tags=_tags("odd")),
            Sample((mask((5, 37)), Arr((5, 37)), Arr((5, 37)))),
            Sample((mask((37,)), Arr((5, 1)), Arr((2, 5, 37))), tags=_tags("expanded")),
            Sample((mask((5, 1)), Arr((37,)), Arr(())), tags=_tags("expanded")),
            Sample(
                (mask((5, 37), "f"), Arr((5, 37), layout="strided"), Arr((5, 37), layout="f")),
                tags=_STRIDED,
            ),
            Sample(
                (mask((5, 37), "reversed"), Arr((5, 37), layout="reversed"), Arr((5, 37))),
                tags=_tags("negative"),
            ),
            Sample((mask((3, 5)), Arr((3, 5)), 2.5)),
            Sample((mask((3, 5)), 1, Arr((3, 5)))),
            Sample((mask((3, 5)), 3, -1)),
            Sample(
                (mask((LANES,)), Arr((LANES,), ("specials", 0)), Arr((LANES,), ("specials", 1))),
                tags=_tags("special"),
            ),
            *(
                Sample((mask((67,)), *(Arr((67,), ("classes", 9), dtype=d),) * 2))
                for d in ("int64", "int16", "uint8", "bool")
            ),
        ]

    errors = (
        ErrorSample(
            (mask((3,)), Arr((4,)), Arr((3,))), {}, RuntimeError, "where: shapes must match"
        ),
        ErrorSample(
            (Arr((3,)), Arr((3,)), Arr((3,))), {}, RuntimeError, "where: condition must be of dtype"
        ),
        ErrorSample(
            (3, Arr((3,)), Arr((3,))), {}, TypeError, "condition must be a tensor; got int"
        ),
        ErrorSample((mask((3,)), Arr((3,)), "x"), {}, TypeError, "where: operands must be"),
    )
    fill_errors = (
        ErrorSample((Arr((3,)), Arr((3,)), 1.0), {}, RuntimeError, "mask must be of dtype bool"),
        ErrorSample((Arr((3,)), mask((3,)), "a"), {}, TypeError, "value must be a number or"),
        ErrorSample(
            (Arr((3,)), mask((3,)), Arr((3,))), {}, RuntimeError, r"value must be .*got shape \(3,"
        ),
        ErrorSample(
            (Arr((3,), "ones", dtype="uint8"), mask((3,)), 300),
            {},
            RuntimeError,
            "the value does not fit into uint8; got 300",
        ),
        ErrorSample((Arr((3,)), mask((4,)), 1.0), {}, RuntimeError, "shapes must match"),
    )

    def fills() -> list[Sample]:
        return [
            Sample((Arr((5, 37)), mask((5, 37)), 1.5)),
            Sample((Arr((5, 37), layout="f"), mask((37,)), -3), tags=_STRIDED),
            Sample((Arr((37,)), mask((2, 37)), float("-inf")), tags=_tags("special")),
            Sample((Arr((3, 4)), mask((3, 1)), Arr(()))),
            Sample((Arr((3, 4), ("classes", 9), dtype="int32"), mask((3, 4)), 2.75)),
            Sample((Arr((0, 4)), mask((4,)), 1.0), tags=_EMPTY),
        ]

    def fill(lib: Any, x: Any, mask: Any, value: Any) -> Any:
        return x.masked_fill(mask, value)

    return [
        OpInfo(
            name="where",
            covers=("where",),
            call=by_path("where"),
            reference=reference.where,
            samples=samples,
            errors=errors,
        ),
        OpInfo(
            name="masked_fill",
            covers=("where",),
            call=fill,
            reference=reference.masked_fill,
            samples=fills,
            errors=fill_errors,
        ),
    ]


def _clamps() -> list[OpInfo]:
    def numbers() -> list[Sample]:
        x = Arr((5, 37), "distinct")
        return [
            Sample((x,), {"min": -0.52, "max": 0.77}),
            Sample((x,), {"min": 0.01}),
            Sample((x,), {"max": 1}),
            Sample((x,), {"min": 2.0, "max": -1.0}),
            Sample((Arr((5, 37), "distinct", "f"),), {"max": 0.5}, _STRIDED),
            Sample((Arr((5, 37), "distinct", "reversed"),), {"min": 0.5}, _tags("negative")),
            Sample((Arr((0,)),), {"min": 0.0}, _EMPTY),
            Sample((Arr((4, 9), "ties"),), {"min": 0.0, "max": 1.0}, _tags("kink")),
            Sample((Arr((LANES,), ("specials", 0)),), {"min": -1.0, "max": 2}, _tags("special")),
            Sample((Arr((LANES,), ("specials", 3)),), {"min": float("nan")}, _tags("special")),
            *(
                Sample((Arr((69,), ("classes", 100), dtype=d),), {"min": 20, "max": 70})
                for d in INTEGERS
            ),
            Sample((Arr((9,), ("classes", 100), dtype="int64"),), {"max": 2**62 + 1}),
            Sample((Arr((9,), ("classes", 100), dtype="int64"),), {"min": 50}),
        ]

    def tensors() -> list[Sample]:
        x, low, high = (Arr((5, 37), "distinct"), Arr((37,), "distinct"), Arr((5, 1), "distinct"))
        special = (Arr((LANES,), ("specials", s)) for s in (0, 1, 5))
        return [
            Sample((x, low, high)),
            Sample((x, low, None)),
            Sample((x, None, high)),
            Sample((Arr((3,)), Arr((2, 3)), Arr(())), tags=_tags("expanded", "torch_differs")),
            Sample((Arr((4, 9), "ties"), Arr((9,), "ties"), None), tags=_tags("kink")),
            Sample((Arr((0,)), Arr((0,)), None), tags=_EMPTY),
            Sample(tuple(special), tags=_tags("special")),
        ]

    x = Arr((3,))
    errors = (
        ErrorSample((x,), {}, RuntimeError, "clamp: min or max must be given"),
        ErrorSample((x,), {"min": "a"}, TypeError, "clamp"),
        ErrorSample(
            (Arr((3,), "ones", dtype="uint8"),),
            {"min": 300},
            RuntimeError,
            "the value does not fit into uint8; got 300",
        ),
    )
    tensor_errors = (
        ErrorSample((x, Arr((3,)), 1.0), {}, TypeError, "clamp: max must be a tensor; got float"),
        ErrorSample((x, Arr((4,)), None), {}, RuntimeError, "shapes must match"),
    )

    def backward() -> list[Sample]:
        options = {"low": -0.5, "high": 1.0}
        return [
            Sample((Arr((5, 37)), Arr((5, 37), "ties")), options),
            Sample((Arr((5, 37), layout="f"), Arr((5, 37))), options, _STRIDED),
            Sample((Arr((LANES,)), Arr((LANES,), ("specials", 0))), options, _tags("special")),
            Sample((Arr((0,)), Arr((0,))), options, _EMPTY),
        ]

    return [
        OpInfo(
            name="clamp",
            covers=("clamp", "clamp_tensor"),
            call=by_path("clamp"),
            reference=reference.clamp,
            samples=numbers,
            errors=errors,
        ),
        OpInfo(
            name="clamp_tensor",
            covers=("clamp_tensor",),
            call=by_path("clamp"),
            reference=reference.clamp,
            samples=tensors,
            errors=tensor_errors,
        ),
        OpInfo(
            name="clamp_min",
            covers=("clamp",),
            call=by_path("clamp_min"),
            reference=lambda x, min: reference.clamp(x, min=min),
            samples=lambda: [Sample((Arr((5, 7), "distinct"),), {"min": 0.2})],
        ),
        OpInfo(
            name="clamp_max",
            covers=("clamp",),
            call=by_path("clamp_max"),
            reference=lambda x, max: reference.clamp(x, max=max),
            samples=lambda: [Sample((Arr((5, 7), "distinct"),), {"max": 0.2})],
        ),
        OpInfo(
            name="clamp_bwd",
            covers=("clamp_bwd",),
            call=by_record("clamp_bwd"),
            reference=reference.clamp_bwd,
            samples=_fixed(backward, 1),
            torch=False,
        ),
        OpInfo(
            name="sign",
            covers=("sign",),
            call=by_path("sign"),
            reference=reference.sign,
            samples=partial(_signs),
            errors=(ErrorSample((3.0,), {}, TypeError, "must be a tensor; got float"),),
        ),
    ]


def _signs() -> list[Sample]:
    values = Sample((Arr((69,), ("values", -3, 0, 5), dtype="int8"),))
    return [*(s for s in _singles("distinct") if s.inputs[0].dtype != "bool"), values]


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [*_comparisons(), *_classes(), *_logic(), *_bits(), *_extremes(), *_where(), *_clamps()]
