"""Recurrent layers: stacks of RNN, LSTM and GRU layers, and their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd.dispatch import apply
from ..kernels import table
from ..tensor import Tensor
from .matmul import linear
from .operands import need_tensors, own_errors
from .random import dropout as drop
from .recurrent import gru_, lstm_, rnn_
from .view import cat

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

#: mode -> how many gates a unit has
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


class Weights(NamedTuple):
    """The parameters of one layer in one direction."""

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None = None
    bias_hh: Tensor | None = None
    hr: Tensor | None = None


def _even(steps: int, batch: int) -> Any:
    """The batch sizes of sequences of one length: a host array."""
    return table("cpu").full((steps,), batch, np.dtype(np.int64))


def _check(name: str, mode: str, x: Tensor, w: Weights, states: dict[str, Any], batch: int) -> None:
    """Raises unless the layer's tensors fit together."""
    tensors = {"weight_ih": w.ih, "weight_hh": w.hh, "bias_ih": w.bias_ih, "bias_hh": w.bias_hh}
    tensors |= {"weight_hr": w.hr, **states}
    need_tensors(name, **{n: t for n, t in tensors.items() if t is not None})
    gates = GATES[mode]
    hidden = w.hr.shape[1] if w.hr is not None and len(w.hr.shape) == 2 else None
    shape = tuple(w.hh.shape)
    out = shape[1] if len(shape) == 2 else -1
    hidden = out if hidden is None else hidden
    wanted = {
        "weight_ih": (gates * hidden, x.shape[-1]),
        "weight_hh": (gates * hidden, out),
        "bias_ih": (gates * hidden,),
        "bias_hh": (gates * hidden,),
        "weight_hr": (out, hidden),
        "h": (batch, out),
        "c": (batch, hidden),
    }
    for n, t in tensors.items():
        if t is not None and tuple(t.shape) != wanted[n]:
            raise RuntimeError(
                f"{name}: {n} must have shape {wanted[n]}; got {tuple(t.shape)} "
                f"with input {tuple(x.shape)}, weight_hh {shape}"
            )


def _direction(
    name: str,
    mode: str,
    x: Tensor,
    sizes: Any,
    batch: int,
    w: Weights,
    h: Tensor | None,
    c: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """(y, h_n[, c_n]) of one layer in one direction; x is (rows of all steps, features)."""
    _check(name, mode, x, w, {"h": h, "c": c}, batch)
    rows, out = x.shape[0], w.hh.shape[1]
    hidden = out if w.hr is None else w.hr.shape[1]
    gates = linear(x, w.ih, w.bias_ih)
    y_shape, h_shape = (rows, out), (batch, out)
    if mode == "lstm":
        saved_shape = (rows, (5 if w.hr is None else 6) * hidden)
        options = (sizes, y_shape, h_shape, (batch, hidden), saved_shape, reverse)
        return apply(lstm_, (gates, h, c, w.hh, w.bias_hh, w.hr), options)
    inputs = (gates, h, w.hh, w.bias_hh)
    if mode == "gru":
        return apply(gru_, inputs, (sizes, y_shape, h_shape, (rows, 4 * hidden), reverse))
    return apply(rnn_, inputs, (sizes, h_shape, mode == "rnn_relu", reverse))


def layers(
    name: str,
    mode: str,
    x: Tensor,
    sizes: Any,
    batch: int,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Weights],
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Tensor, ...]:
    """(y, h_n[, c_n]) of a stack of layers.

    Args:
        x: (rows of all steps, features), sizes[t] rows a step.
        sizes: int64 host array; None: as many steps as `batch` rows each fit.
        h_0, c_0: (layers * directions, batch, features), or None for zeros.
        weights: one a layer and direction.
    """
    directions = 2 if bidirectional else 1
    states = ("h_0", h_0), ("c_0", c_0)
    for argument, state in states:
        if state is None:
            continue
        need_tensors(name, **{argument: state})
        if len(state.shape) != 3 or tuple(state.shape[:2]) != (len(weights), batch):
            raise RuntimeError(
                f"{name}: {argument} must have shape (layers * directions, batch, features) = "
                f"({len(weights)}, {batch}, ...); got {tuple(state.shape)}"
            )
    finals: list[Any] = []
    for first in range(0, len(weights), directions):
        outputs = []
        for i in range(first, first + directions):
            y, *final = _direction(
                name,
                mode,
                x,
                sizes,
                batch,
                weights[i],
                None if h_0 is None else h_0[i],
                None if c_0 is None else c_0[i],
                i > first,
            )
            outputs.append(y)
            finals.append(tuple(final))
        x = outputs[0] if directions == 1 else cat(outputs, 1)
        if dropout > 0 and train and first + directions < len(weights):
            x = drop(x, dropout)
    kinds: Any = zip(*finals, strict=True)  # h of every layer, c of every layer
    stacked = [
        cat([s.reshape((1, *s.shape)) for s in states], 0)
        if len(states) > 1
        else states[0].reshape((1, *states[0].shape))
        for states in kinds
    ]
    return (x, *stacked)


def _grouped(
    name: str, params: Sequence[Tensor], has_biases: bool, projects: bool
) -> list[Weights]:
    """The flat list of parameters, as torch.lstm takes it, by layer and direction."""
    each = (4 if has_biases else 2) + projects
    if not params or len(params) % each:
        raise ValueError(
            f"{name}: params must be {each} tensors a layer and direction; got {len(params)}"
        )
    found = []
    for i in range(0, len(params), each):
        group = list(params[i : i + each])
        hr = group.pop() if projects else None
        found.append(Weights(*(group if has_biases else [*group, None, None]), hr))  # type: ignore[arg-type]
    return found


def _function(name: str, mode: str, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """torch.lstm and its like, of (input, hx, params, ..) or (data, batch_sizes, hx, ..)."""
    if len(args) != 9:
        raise TypeError(f"{name}: takes 9 arguments; got {len(args)}")
    packed = isinstance(args[3], (list, tuple))
    batch_sizes: Any = None
    if packed:
        data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional = args
        batch_first = False
    else:
        (data, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first) = (
            args
        )
    need_tensors(name, input=data)
    h_0: Any
    c_0: Any
    h_0, c_0 = hx if mode == "lstm" else (hx, None)
    need_tensors(name, hx=h_0)
    directions = 2 if bidirectional else 1
    projects = mode == "lstm" and c_0.shape[-1] != h_0.shape[-1]
    weights = _grouped(name, params, has_biases, projects)
    if len(weights) != num_layers * directions:
        raise ValueError(
            f"{name}: params must be of num_layers={num_layers} layers in {directions} "
            f"directions; got {len(weights)} groups"
        )
    options = (h_0, c_0, weights, dropout, train, bidirectional)
    if packed:
        need_tensors(name, batch_sizes=batch_sizes)
        return layers(name, mode, data, batch_sizes._data, h_0.shape[1], *options)
    if len(data.shape) != 3:
        raise RuntimeError(f"{name}: input must be 3-D; got shape {tuple(data.shape)}")
    return dense(name, mode, data, batch_first, *options)


def dense(name: str, mode: str, x: Tensor, batch_first: bool, *options: Any) -> tuple[Tensor, ...]:
    """`layers` on sequences of one length: (steps, batch, features), or the batch first."""
    if batch_first:
        x = x.transpose(0, 1)
    steps, batch, features = x.shape
    flat = x.reshape((steps * batch, features))
    y, *finals = layers(name, mode, flat, _even(steps, batch), batch, *options)
    y = y.reshape((steps, batch, y.shape[1]))
    return (y.transpose(0, 1) if batch_first else y, *finals)


def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A stack of LSTM layers, as nn.LSTM runs it.

    Formula: i, f, g, o = sigm, sigm, tanh, sigm of (W_ih x + b_ih + W_hh h + b_hh);
    c' = f c + i g; h' = o tanh(c')

    Shape: (T, N, features) -> y (T, N, directions * H), h_n and c_n (layers * directions, N, H)

    Args:
        input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first; or
        data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional for
        packed sequences. hx is (h_0, c_0); params are each layer's and direction's weight_ih,
        weight_hh[, bias_ih, bias_hh][, weight_hr].

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Hochreiter & Schmidhuber 1997.
    """
    return _function("lstm", "lstm", args)  # type: ignore[return-value]


def gru(*args: Any) -> tuple[Tensor, Tensor]:
    """A stack of GRU layers, as nn.GRU runs it; the arguments are `lstm`'s, hx being h_0.

    Formula: r, z = sigm(W_ih x + b_ih + W_hh h + b_hh); n = tanh(x_n + r (W_n h + b_n));
    h' = (1 - z) n + z h

    Shape: (T, N, features) -> y (T, N, directions * H), h_n (layers * directions, N, H)

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Cho et al. 2014.
    """
    return _function("gru", "gru", args)  # type: ignore[return-value]


def rnn_tanh(*args: Any) -> tuple[Tensor, Tensor]:
    """A stack of plain recurrent layers with tanh; the arguments are `lstm`'s, hx being h_0.

    Formula: h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Shape: (T, N, features) -> y (T, N, directions * H), h_n (layers * directions, N, H)

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Elman 1990.
    """
    return _function("rnn_tanh", "rnn_tanh", args)  # type: ignore[return-value]


def rnn_relu(*args: Any) -> tuple[Tensor, Tensor]:
    """A stack of plain recurrent layers with relu; the arguments are `lstm`'s, hx being h_0.

    Formula: h' = max(W_ih x + b_ih + W_hh h + b_hh, 0)

    Shape: (T, N, features) -> y (T, N, directions * H), h_n (layers * directions, N, H)

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Elman 1990.
    """
    return _function("rnn_relu", "rnn_relu", args)  # type: ignore[return-value]


# ---- cells: layers of one step ----


def _cell(
    mode: str, input: Tensor, hx: Tensor, cx: Tensor | None, weights: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """(h'[, c'])"""
    name = f"{mode}_cell"
    states = {"hx": hx} if cx is None else {"hx": hx, "cx": cx}
    need_tensors(name, input=input, **states)
    for argument, t in {"input": input, **states}.items():
        if len(t.shape) != 2:
            raise RuntimeError(f"{name}: {argument} must be 2-D; got shape {tuple(t.shape)}")
    batch = input.shape[0]
    if batch != hx.shape[0]:
        raise RuntimeError(
            f"{name}: input and hx must have one batch size; got {tuple(input.shape)} "
            f"and {tuple(hx.shape)}"
        )
    sizes = _even(1, batch)
    return _direction(name, mode, input, sizes, batch, Weights(*weights), hx, cx, False)[1:]


@own_errors
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: (h', c').

    Formula: i, f, g, o = sigm, sigm, tanh, sigm of (W_ih x + b_ih + W_hh h + b_hh);
    c' = f c + i g; h' = o tanh(c')

    Shape: input (N, features), hx = (h, c) of (N, H), w_ih (4 H, features),
    w_hh (4 H, H), biases (4 H,) -> h' and c' of h's shape

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Hochreiter & Schmidhuber 1997.
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ValueError(f"lstm_cell: hx must be two tensors, h and c; got {type(hx).__name__}")
    return _cell("lstm", input, hx[0], hx[1], (w_ih, w_hh, b_ih, b_hh))  # type: ignore[return-value]


@own_errors
def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a GRU.

    Formula: r, z = sigm(W_ih x + b_ih + W_hh h + b_hh); n = tanh(x_n + r (W_n h + b_n));
    h' = (1 - z) n + z h

    Shape: input (N, features), hx (N, H), w_ih (3 H, features),
    w_hh (3 H, H), biases (3 H,) -> hx's shape

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Cho et al. 2014.
    """
    return _cell("gru", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


@own_errors
def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a plain recurrent layer with tanh.

    Formula: h' = tanh(W_ih x + b_ih + W_hh h + b_hh)

    Shape: input (N, features), hx (N, H), w_ih (H, features), w_hh (H, H),
    biases (H,) -> hx's shape

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Elman 1990.
    """
    return _cell("rnn_tanh", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]


@own_errors
def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a plain recurrent layer with relu.

    Formula: h' = max(W_ih x + b_ih + W_hh h + b_hh, 0)

    Shape: input (N, features), hx (N, H), w_ih (H, features), w_hh (H, H),
    biases (H,) -> hx's shape

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Elman 1990.
    """
    return _cell("rnn_relu", input, hx, None, (w_ih, w_hh, b_ih, b_hh))[0]
