"""Samples of the recurrent layers and cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import recurrent as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
_SECOND = "the fused layers have no second derivative yet"


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _small(shape: tuple[int, ...], layout: str = "c") -> Arr:
    """Weights of a size at which gates are neither shut nor linear."""
    return Arr(shape, "nonzero" if len(shape) == 1 else "normal", layout)


# ---- layers ----


def _call(mode: str) -> Any:
    def call(
        lib: Any,
        x: Any,
        h_0: Any,
        c_0: Any,
        params: Any,
        has_biases: bool = True,
        num_layers: int = 1,
        bidirectional: bool = False,
        batch_first: bool = False,
        batch_sizes: Any = None,
    ) -> Any:
        hx = (h_0, c_0) if mode == "lstm" else h_0
        options = (has_biases, num_layers, 0.0, False, bidirectional)
        function = getattr(lib, mode)
        if batch_sizes is None:
            return function(x, hx, list(params), *options, batch_first)
        sizes = lib.from_numpy(np.array(batch_sizes))
        return function(x, sizes, hx, list(params), *options)

    return call


def _reference(mode: str) -> Any:
    def layers(x: Any, h_0: Any, c_0: Any, params: Any, **options: Any) -> Any:
        return reference.stack(x, h_0, c_0, list(params), mode, **options)

    layers.__module__ = reference.__name__
    return layers


def _layers(
    mode: str,
    steps: int,
    batch: int,
    features: int,
    hidden: int,
    *tags: str,
    out: int = 0,
    layout: str = "c",
    **options: Any,
) -> Sample:
    """A stack of layers; out: the projection's size."""
    directions = 2 if options.get("bidirectional") else 1
    count = options.get("num_layers", 1) * directions
    width = out or hidden
    params = []
    for i in range(count):
        size = features if i < directions else width * directions
        gates = GATES[mode] * hidden
        params += [_small((gates, size), layout), _small((gates, width), layout)]
        if options.get("has_biases", True):
            params += [_small((gates,)), _small((gates,))]
        if out:
            params.append(_small((out, hidden), layout))
    sizes = options.get("batch_sizes")
    if sizes is not None:
        x = Arr((sum(sizes), features), "normal", layout)
        batch = sizes[0]
    else:
        shape = (batch, steps, features) if options.get("batch_first") else (steps, batch, features)
        x = Arr(shape, "normal", layout)
    h_0 = Arr((count, batch, width), "normal", layout)
    c_0 = Arr((count, batch, hidden), "normal", layout) if mode == "lstm" else None
    return Sample((x, h_0, c_0, tuple(params)), options, _tags(*tags))


def _layer_samples(mode: str) -> Any:
    def samples() -> list[Sample]:
        found = [
            _layers(mode, 3, 2, 3, 4),
            _layers(mode, 2, 3, 2, 3, has_biases=False),
            _layers(mode, 3, 2, 2, 3, num_layers=2, bidirectional=True),
            _layers(mode, 2, 2, 3, 3, batch_first=True),
            _layers(mode, 0, 0, 2, 3, bidirectional=True, batch_sizes=(4, 2, 2, 1)),
            _layers(mode, 1, 1, 1, 1, "size1"),
            _layers(mode, 2, 9, 5, 19, "odd", "large"),
            _layers(mode, 2, 3, 3, 4, "strided", layout="f"),
            _layers(mode, 2, 3, 3, 4, "negative", layout="reversed"),
        ]
        if mode == "lstm":
            found.append(_layers(mode, 3, 2, 3, 5, out=2, num_layers=2, bidirectional=True))
            found.append(_layers(mode, 0, 0, 3, 4, out=2, batch_sizes=(3, 1)))
        return found

    return samples


def _scale(x: Any, h_0: Any, c_0: Any, params: Any) -> float:
    """What the gates' sums of absolute values are at most, and the states."""
    weights = max(float(np.abs(p).sum(-1).max(initial=0.0)) for p in params if p.ndim == 2)
    values = max(float(np.abs(a).max(initial=1.0)) for a in (x, h_0, c_0) if a is not None)
    return (1.0 + weights) * values


def _size(mode: str) -> Any:
    """Errors of a step are the gates' rounding; they pass through the steps that follow."""

    def size(x: Any, h_0: Any, c_0: Any, params: Any, **options: Any) -> Any:
        outputs = _reference(mode)(x, h_0, c_0, params, **options)
        scale = _scale(x, h_0, c_0, params)
        if mode == "rnn_relu":
            scale *= 1.0 + max(float(np.abs(y).max(initial=0.0)) for y in outputs)
        return tuple(np.full(y.shape, scale) for y in outputs)

    return size


def _terms(x: Any, h_0: Any, c_0: Any, params: Any, **options: Any) -> int:
    steps = len(options.get("batch_sizes") or ()) or max(x.shape[:2])
    return steps * len(params) * (x.shape[-1] + h_0.shape[-1])


def _layer_errors(mode: str) -> tuple[ErrorSample, ...]:
    good = _layers(mode, 3, 2, 3, 4)
    x, h_0, c_0, params = good.inputs
    wide = Arr((1, 3, 4)), None if c_0 is None else Arr((1, 3, 4))
    name = f"{mode}: "
    return (
        ErrorSample((Arr((3, 2, 5)), h_0, c_0, params), {}, RuntimeError, name + "weight_ih must"),
        ErrorSample((x, *wide, params), {}, RuntimeError, name + "h_0 must have shape"),
        ErrorSample((x, h_0, c_0, params[:-1]), {}, ValueError, name + "params must be"),
        ErrorSample((x, h_0, c_0, params), {"num_layers": 2}, ValueError, name + "params must be"),
    )


def _layer_info(mode: str, record: str) -> OpInfo:
    return OpInfo(
        name=mode,
        covers=(record,),
        call=_call(mode),
        reference=_reference(mode),
        samples=_layer_samples(mode),
        errors=_layer_errors(mode),
        terms=_terms,
        magnitude=_size(mode),
        second=False,
        second_reason=_SECOND,
    )


# ---- cells ----


def _cell_samples(mode: str) -> Any:
    def sample(batch: int, features: int, hidden: int, *tags: str, **kw: Any) -> Sample:
        layout, gates = kw.get("layout", "c"), GATES[mode] * hidden
        states = [Arr((batch, hidden), kw.get("fill", "normal"), layout)]
        states *= 2 if mode == "lstm" else 1
        weights = [Arr((gates, features), "normal", layout), Arr((gates, hidden), "normal", layout)]
        if kw.get("bias", True):
            weights += [Arr((gates,)), Arr((gates,))]
        x = Arr((batch, features), kw.get("fill", "normal"), layout)
        return Sample((x, *states, *weights), {}, _tags(*tags))

    def samples() -> list[Sample]:
        return [
            sample(3, 4, 5),
            sample(2, 3, 4, bias=False),
            sample(1, 1, 1, "size1"),
            sample(0, 3, 4, "empty"),
            sample(7, 5, 17, "odd"),
            sample(3, 4, 5, "strided", layout="f"),
            sample(3, 4, 5, "expanded", layout="expanded"),
            sample(
                17, 3, 6, "special", fill=("values", 1.0, np.nan, -0.5, np.inf, 2.0, -np.inf, 0.0)
            ),
        ]

    return samples


def _cell_call(mode: str) -> Any:
    function = by_path(f"{mode}_cell")

    def call(lib: Any, x: Any, *rest: Any) -> Any:
        if mode == "lstm":
            return function(lib, x, (rest[0], rest[1]), *rest[2:])
        return function(lib, x, *rest)

    return call


def _cell_reference(mode: str) -> Any:
    def cell(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            if mode == "lstm":
                return reference.lstm_cell(*args)
            if mode == "gru":
                return reference.gru_cell(*args)
            return reference.rnn_cell(*args, relu=mode == "rnn_relu")

    cell.__module__ = reference.__name__
    return cell


def _cell_size(mode: str) -> Any:
    def size(x: Any, *rest: Any) -> Any:
        finite = [np.where(np.isfinite(a), np.abs(a), 0.0) for a in (x, *rest)]
        states = finite[: 3 if mode == "lstm" else 2]
        outputs = _cell_reference(mode)(x, *rest)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        values = max(float(a.max(initial=1.0)) for a in states)
        weights = max(float(a.sum(-1).max(initial=0.0)) for a in finite if a.ndim == 2)
        return tuple(np.full(np.shape(y), (1.0 + weights) * values) for y in outputs)

    return size


def _cell_errors(mode: str) -> tuple[ErrorSample, ...]:
    gates = GATES[mode] * 4
    weights = (Arr((gates, 3)), Arr((gates, 4)))
    name = f"{mode}_cell: "

    def states(*shape: int) -> tuple[Arr, ...]:
        return (Arr(shape),) * (2 if mode == "lstm" else 1)

    return (
        ErrorSample((Arr((2, 5)), *states(2, 4), *weights), {}, RuntimeError, name + "weight_ih"),
        ErrorSample(
            (Arr((2, 3)), *states(3, 4), *weights), {}, RuntimeError, name + "input and hx"
        ),
        ErrorSample((Arr((2, 3)), *states(2, 5), *weights), {}, RuntimeError, name + "h must have"),
        ErrorSample((Arr((2, 2, 3)), *states(2, 4), *weights), {}, RuntimeError, "must be 2-D"),
        ErrorSample(
            (Arr((2, 3)), *states(2, 4), *weights, Arr((3,))), {}, RuntimeError, "bias_ih must have"
        ),
    )


def _cell_info(mode: str, record: str) -> OpInfo:
    return OpInfo(
        name=f"{mode}_cell",
        covers=(record,),
        call=_cell_call(mode),
        reference=_cell_reference(mode),
        samples=_cell_samples(mode),
        errors=_cell_errors(mode),
        terms=lambda x, *rest: x.shape[-1] + rest[0].shape[-1],
        magnitude=_cell_size(mode),
        second=False,
        second_reason=_SECOND,
    )


# ---- the backward kernels ----

_SIZES = (3, 2, 2)


def _bwd_samples(mode: str) -> Any:
    def samples() -> list[Sample]:
        found = []
        rows, batch, hidden = sum(_SIZES), _SIZES[0], 3
        for reverse, given, layout in ((False, True, "c"), (True, False, "c"), (True, True, "f")):
            out = 2 if mode == "lstm" and reverse and given else hidden
            y, state = Arr((rows, out), "normal", layout), Arr((batch, out), "normal", layout)
            cell = Arr((batch, hidden), "normal", layout)
            weight = Arr((GATES[mode] * hidden, out), "normal", layout)
            h_0, c_0 = (state, cell) if given else (None, None)
            options: dict[str, Any] = {"batch_sizes": np.array(_SIZES), "h_shape": (batch, out)}
            x_shape = (rows, GATES[mode] * hidden)
            inputs: tuple[Any, ...]
            if mode == "lstm":
                projects = out != hidden
                saved = Arr((rows, (6 if projects else 5) * hidden), "positive")
                weight_hr = Arr((out, hidden)) if projects else None
                inputs = (y, state, cell, saved, y, h_0, c_0, weight, weight_hr)
                projected = (rows, out) if projects else (0,)
                options |= {"c_shape": (batch, hidden), "projected_shape": projected}
                options |= {"x_shape": x_shape}
            elif mode == "gru":
                inputs = (y, state, Arr((rows, 4 * hidden), "positive"), y, h_0, weight)
                options |= {"x_shape": x_shape}
            else:
                inputs = (y, state, y, h_0, weight)
                options |= {"relu": mode == "rnn_relu"}
            found.append(Sample(inputs, options | {"reverse": reverse}))
        return found

    return samples


def _bwd_info(mode: str, name: str) -> OpInfo:
    function = getattr(reference, name)

    def size(*arrays: Any, **options: Any) -> Any:
        # Products of steps: what one step makes of its input, to the power of the steps.
        outputs = function(*arrays, **options)
        largest = max(
            float(np.abs(a).max(initial=1.0)) for a in (*arrays, *outputs) if a is not None
        )
        return tuple(np.full(y.shape, 30.0 * largest) for y in outputs)

    return OpInfo(
        name=f"{mode}_bwd" if mode.startswith("rnn") else name,
        covers=(name,),
        call=by_record(name),
        reference=function,
        samples=_bwd_samples(mode),
        terms=lambda *arrays, **options: 12 * len(_SIZES),
        magnitude=size,
        differentiable=False,
        second=False,
        second_reason=_SECOND,
        torch=False,
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    records = {"rnn_tanh": "rnn", "rnn_relu": "rnn", "lstm": "lstm", "gru": "gru"}
    return [
        *(_layer_info(mode, record) for mode, record in records.items()),
        *(_cell_info(mode, record) for mode, record in records.items()),
        *(_bwd_info(mode, f"{record}_bwd") for mode, record in records.items()),
    ]
