"""Samples of the activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kernels import ACTIVATIONS
from ..reference import activation as reference
from .calls import by_path, by_record
from .elementwise import LANES
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

#: name, the options of further samples, ULP, what rounding is relative to where it is not y.
_FUNCTIONS: tuple[tuple[str, tuple[dict[str, Any], ...], float, Any], ...] = (
    ("relu6", (), 0.0, None),
    ("leaky_relu", ({"negative_slope": 0.2}, {"negative_slope": 0.0}), 1.0, None),
    ("rrelu", ({"lower": 0.1, "upper": 0.4},), 1.0, None),
    ("elu", ({"alpha": 0.7},), 3.0, None),
    ("celu", ({"alpha": 2.0},), 3.0, None),
    ("selu", (), 3.0, None),
    ("gelu", ({"approximate": "tanh"}, {"approximate": "none"}), 0.0, np.abs),
    ("silu", (), 4.0, None),
    ("mish", (), 8.0, None),
    ("logsigmoid", (), 4.0, None),
    ("hardsigmoid", (), 0.0, lambda x: np.abs(x) + 3),
    ("hardtanh", ({"min_val": -0.5, "max_val": 2.0},), 0.0, None),
    ("hardswish", (), 0.0, lambda x: np.abs(x) * 4),
    ("softplus", ({"beta": 2.0}, {"beta": 0.5, "threshold": 1.0}), 5.0, None),
    ("softsign", (), 2.0, None),
    ("softshrink", ({"lambd": 1.25}, {"lambd": 0.0}), 1.0, None),
    ("hardshrink", ({"lambd": 1.25},), 0.0, None),
    ("tanhshrink", (), 0.0, np.abs),
    ("threshold", ({"threshold": -0.25, "value": 3.0},), 0.0, None),
)
_GRADIENTS = {"hardsigmoid": "torch multiplies by 1 / 6 rounded to float32"}
_OPTIONS = {"threshold": {"threshold": 0.13, "value": -1.0}}
#: torch makes 0 of results below 1e-33 that are none.
_FLUSHED = frozenset({"special", "torch_differs"})
_SILU = {"kind": ACTIVATIONS.index("silu"), "a": 0.0, "b": 0.0, "c": 0.0}


def _samples(name: str, further: tuple[dict[str, Any], ...]) -> list[Sample]:
    """No value is near a kink: "distinct" stays clear of multiples of 0.1."""
    o = _OPTIONS.get(name, {})
    # torch: gelu(inf) is NaN, silu(-90) is 0, hardswish(3e38) is inf.
    special = {"special", "torch_differs"} if name in ("gelu", "silu", "hardswish") else {"special"}
    samples = [
        Sample((Arr((0, 3), "distinct"),), o, frozenset({"empty"})),
        Sample((Arr((), "distinct"),), o, frozenset({"size1"})),
        Sample((Arr((2, 3, 37), "distinct"),), o, frozenset({"odd"})),
        Sample((Arr((15, 7), "distinct", "last2"),), o, frozenset({"strided"})),
        Sample((Arr((3, 34), "distinct", "reversed"),), o, frozenset({"negative"})),
        Sample((Arr((4, 6), "distinct", "expanded"),), o, frozenset({"expanded"})),
        Sample((Arr((LANES,), ("specials", 0)),), o, frozenset(special)),
        Sample(
            (Arr((LANES,), ("values", 0.0, 3.0, -3.0, 6.0, 0.5, -1.0)),), o, frozenset({"special"})
        ),
    ]
    return [*samples, *(Sample((Arr((5, 37), "distinct"),), options) for options in further)]


def _errors(name: str) -> tuple[ErrorSample, ...]:
    found = [ErrorSample((3.0,), _OPTIONS.get(name, {}), TypeError, "must be a tensor; got float")]
    x = Arr((3,))
    if name == "celu":
        found.append(ErrorSample((x,), {"alpha": 0.0}, RuntimeError, "alpha must not be 0"))
    if name == "gelu":
        found.append(ErrorSample((x,), {"approximate": "erf"}, RuntimeError, "'none' or 'tanh'"))
    if name == "hardtanh":
        options = {"min_val": 1.0, "max_val": 0.0}
        found.append(ErrorSample((x,), options, ValueError, "min_val must be at most max_val"))
    if name == "softshrink":
        found.append(ErrorSample((x,), {"lambd": -1.0}, RuntimeError, "lambd must be at least 0"))
    if name == "rrelu":
        options = {"lower": 0.5, "upper": 0.25, "training": True}
        found.append(ErrorSample((x,), options, RuntimeError, "lower must be at most upper"))
    return tuple(found)


def _prelu_samples() -> list[Sample]:
    def two(shape: tuple[int, ...], weight: tuple[int, ...], *tags: str, layout: str = "c") -> Any:
        return Sample((Arr(shape, "distinct", layout), Arr(weight)), {}, frozenset(tags))

    return [
        two((0, 3), (3,), "empty"),
        two((), (), "size1"),
        two((7,), (1,), "odd"),
        two((2, 3, 37), (3,)),
        two((2, 3, 4, 5), (1,)),
        two((6, 5), (5,), "strided", layout="last2"),
        two((6, 5), (), "negative", layout="reversed"),
        Sample((Arr((4, LANES), ("specials", 0)), Arr((LANES,))), {}, frozenset({"special"})),
    ]


def _glu_samples() -> list[Sample]:
    return [
        Sample((Arr((0, 4)),), {}, frozenset({"empty"})),
        Sample((Arr((2,)),), {}, frozenset({"size1"})),
        Sample((Arr((3, 74)),)),
        Sample((Arr((4, 3, 5)),), {"dim": 0}),
        Sample((Arr((2, 6, 5), "normal", "last2"),), {"dim": 1}, frozenset({"strided"})),
        Sample((Arr((3, 8), "normal", "reversed"),), {"dim": -1}, frozenset({"negative"})),
        Sample((Arr((2, LANES), ("specials", 0)),), {"dim": 0}, _FLUSHED),
    ]


def _maxout_samples() -> list[Sample]:
    return [
        Sample((Arr((2, 6), "distinct"),), {"pieces": 2}),
        Sample((Arr((2, 6, 5), "distinct"),), {"pieces": 3}),
        Sample((Arr((4, 2, 3), "distinct", "last2"),), {"pieces": 2, "dim": 0}),
        Sample((Arr((3, 4), "distinct"),), {"pieces": 1, "dim": -1}),
        Sample((Arr((2, 4, 5), ("specials", 0)),), {"pieces": 2}, frozenset({"special"})),
    ]


def _three(second: Any = "normal", third: Any = "distinct", grad: bool = True) -> list[Sample]:
    shapes = ((7,), (3, 37))
    return [Sample((Arr(s), Arr(s, second), Arr(s, third, grad=grad))) for s in shapes]


def _product_size(*arrays: Any, **options: Any) -> Any:
    size = np.abs(arrays[0])
    for x in arrays[1:]:
        size = size * (1 + np.abs(x))
    return size


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for name, further, ulp, size in _FUNCTIONS:

        def samples(name: str = name, further: Any = further) -> list[Sample]:
            return _samples(name, further)

        def magnitude(x: Any, size: Any = size, **options: Any) -> Any:
            return size(x)

        record = ("gelu", "gelu_tanh") if name == "gelu" else (name,)
        if name == "rrelu":
            record = ("leaky_relu",)
        found.append(
            OpInfo(
                name=name,
                covers=record,
                call=by_path(f"nn.functional.{name}"),
                reference=reference.FUNCTIONS[name],
                samples=samples,
                errors=_errors(name),
                ulp=ulp,
                torch_gradient=_GRADIENTS.get(name, ""),
                terms=None if size is None else lambda x, **options: 4,
                magnitude=None if size is None else magnitude,
            )
        )
    shape_error = (
        ErrorSample(
            (Arr((2, 3)), Arr((2,))), {}, RuntimeError, "prelu: weight must have one value, or one"
        ),
        ErrorSample((Arr((2, 3)), 0.5), {}, TypeError, "prelu: weight must be a tensor"),
    )
    glu_errors = (
        ErrorSample((Arr((2, 3)),), {}, RuntimeError, "glu: the size of dim -1 must be even"),
        ErrorSample((Arr(()),), {}, RuntimeError, "glu: input must have at least one dimension"),
        ErrorSample((Arr((2, 4)),), {"dim": 2}, IndexError, r"glu: dim must be in \[-2, 2\)"),
    )
    maxout_errors = (
        ErrorSample((Arr((2, 3)),), {"pieces": 2}, RuntimeError, "pieces must divide"),
        ErrorSample((Arr((2, 3)),), {"pieces": 0}, ValueError, "pieces must be >= 1"),
    )
    found += [
        OpInfo(
            name="prelu",
            covers=("prelu",),
            call=by_path("nn.functional.prelu"),
            reference=reference.prelu,
            samples=_prelu_samples,
            errors=shape_error,
            ulp=0.5,
        ),
        OpInfo(
            name="glu",
            covers=("glu",),
            call=by_path("nn.functional.glu"),
            reference=reference.glu,
            samples=_glu_samples,
            errors=glu_errors,
            ulp=3.0,
        ),
        OpInfo(
            name="maxout",
            covers=("amax",),
            call=by_path("nn.functional.maxout"),
            reference=reference.maxout,
            samples=_maxout_samples,
            errors=maxout_errors,
            torch=False,
        ),
        OpInfo(
            name="activation",
            covers=("activation",),
            call=by_record("activation"),
            reference=reference.activation,
            samples=lambda: [Sample((Arr((3, 37)),), _SILU), Sample((Arr(()),), _SILU)],
            ulp=4.0,
            torch=False,
        ),
        OpInfo(
            name="activation_bwd",
            covers=("activation_bwd",),
            call=by_record("activation_bwd"),
            reference=reference.silu_bwd,
            second=False,
            second_reason="it would be the third derivative, which is refused",
            samples=lambda: [Sample((Arr((3, 37)), Arr((3, 37))), _SILU)],
            terms=lambda *arrays, **options: 6,
            magnitude=_product_size,
            torch=False,
        ),
        OpInfo(
            name="activation_bwd_bwd",
            covers=("activation_bwd_bwd",),
            call=by_record("activation_bwd_bwd"),
            reference=reference.silu_bwd_bwd,
            samples=lambda: [Sample(s.inputs, _SILU) for s in _three(third="normal", grad=False)],
            terms=lambda *arrays, **options: 8,
            magnitude=_product_size,
            torch=False,
        ),
        OpInfo(
            name="prelu_bwd",
            covers=("prelu_bwd",),
            call=by_record("prelu_bwd"),
            reference=reference.prelu_bwd,
            samples=lambda: [Sample((s.inputs[0], s.inputs[2], s.inputs[1])) for s in _three()],
            ulp=0.5,
            torch=False,
        ),
        OpInfo(
            name="negative_product",
            covers=("negative_product",),
            call=by_record("negative_product"),
            reference=reference.negative_product,
            samples=_three,
            ulp=0.5,
            torch=False,
        ),
        OpInfo(
            name="gate",
            covers=("gate",),
            call=by_record("gate"),
            reference=reference.gate,
            samples=lambda: [Sample((Arr((3, 37)), Arr((3, 37))))],
            ulp=3.0,
            torch=False,
        ),
        OpInfo(
            name="gate_bwd",
            covers=("gate_bwd",),
            call=by_record("gate_bwd"),
            reference=reference.gate_bwd,
            samples=lambda: _three(third="normal"),
            terms=lambda *arrays: 6,
            magnitude=_product_size,
            torch=False,
        ),
    ]
    return found
