"""Recurrent layers, cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "bwd",
    "gru_bwd",
    "gru_cell",
    "layer",
    "lstm_bwd",
    "lstm_cell",
    "rnn_bwd",
    "rnn_cell",
    "stack",
]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm_cell(
    x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0
) -> Any:
    """(h', c') of one step."""
    i, f, g, o = np.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=-1)
    new = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(new), new


def gru_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0) -> Any:
    """h' of one step."""
    x_r, x_z, x_n = np.split(x @ w_ih.T + b_ih, 3, axis=-1)
    h_r, h_z, h_n = np.split(h @ w_hh.T + b_hh, 3, axis=-1)
    z = _sigmoid(x_z + h_z)
    return (1 - z) * np.tanh(x_n + _sigmoid(x_r + h_r) * h_n) + z * h


def rnn_cell(
    x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0, relu: bool = False
) -> Any:
    """h' of one step."""
    a = x @ w_ih.T + b_ih + h @ w_hh.T + b_hh
    return np.maximum(a, 0) if relu else np.tanh(a)


def _step(mode: str, x: Any, h: Any, c: Any, weights: list[Any], w_hr: Any) -> tuple[Any, Any]:
    if mode == "lstm":
        h, c = lstm_cell(x, h, c, *weights)
        return (h if w_hr is None else h @ w_hr.T), c
    if mode == "gru":
        return gru_cell(x, h, *weights), c
    return rnn_cell(x, h, *weights, relu=mode == "rnn_relu"), c


def layer(
    mode: str, x: Any, h_0: Any, c_0: Any, weights: list[Any], w_hr: Any, sizes: Any, reverse: bool
) -> tuple[Any, Any, Any]:
    """(y, h_n, c_n) over packed rows: step t is the first sizes[t] rows of the batch."""
    h, c = h_0.copy(), None if c_0 is None else c_0.copy()
    offsets = np.cumsum([0, *sizes])
    y = np.zeros((x.shape[0], h.shape[1]), x.dtype)
    order = range(len(sizes))
    for t in reversed(order) if reverse else order:
        n, at = int(sizes[t]), int(offsets[t])
        part = None if c is None else c[:n]
        h[:n], new = _step(mode, x[at : at + n], h[:n], part, weights, w_hr)
        if c is not None:
            c[:n] = new
        y[at : at + n] = h[:n]
    return y, h, c


def stack(
    x: Any,
    h_0: Any,
    c_0: Any,
    params: list[Any],
    mode: str,
    has_biases: bool = True,
    num_layers: int = 1,
    bidirectional: bool = False,
    batch_first: bool = False,
    batch_sizes: Any = None,
) -> tuple[Any, ...]:
    """Layers on top of one another: y, h_n[, c_n]."""
    dense = batch_sizes is None
    if dense:
        x = np.swapaxes(x, 0, 1) if batch_first else x
        steps, batch = x.shape[:2]
        sizes: Any = [batch] * steps
        x = x.reshape(steps * batch, x.shape[2])
    else:
        sizes = batch_sizes
        steps = batch = 0
    directions = 2 if bidirectional else 1
    each = len(params) // (num_layers * directions)
    finals: list[Any] = []
    for first in range(0, num_layers * directions, directions):
        outputs = []
        for i in range(first, first + directions):
            own = params[i * each : (i + 1) * each]
            w_hr = own.pop() if each > (4 if has_biases else 2) else None
            cell = None if c_0 is None else c_0[i]
            y, *final = layer(mode, x, h_0[i], cell, own, w_hr, sizes, i > first)
            outputs.append(y)
            finals.append(final)
        x = np.concatenate(outputs, 1)
    if dense:
        x = x.reshape(steps, batch, x.shape[1])
        x = np.swapaxes(x, 0, 1) if batch_first else x
    h_n = np.stack([f[0] for f in finals])
    return (x, h_n) if c_0 is None else (x, h_n, np.stack([f[1] for f in finals]))


# ---- the backward kernels, on any arrays ----


def bwd(sizes: Any, reverse: bool, cell: Any) -> None:
    """Runs cell(rows of the step, rows before, n) from the last step of forward to its first.

    `rows before` is an array of packed rows, -1 where a sequence begins.
    """
    offsets = np.cumsum([0, *sizes])
    steps = list(range(len(sizes)))
    for t in steps if reverse else steps[::-1]:
        n = int(sizes[t])
        s = t + 1 if reverse else t - 1
        known = int(sizes[s]) if 0 <= s < len(sizes) else 0
        before = np.array([int(offsets[s]) + b if b < known else -1 for b in range(n)], int)
        cell(slice(int(offsets[t]), int(offsets[t]) + n), before, n)


def _before(y: Any, h_0: Any, before: Any) -> Any:
    start = np.zeros((len(before), y.shape[1])) if h_0 is None else h_0[: len(before)]
    return np.where((before >= 0)[:, None], y[before], start)


def rnn_bwd(
    grad_y: Any,
    grad_h_n: Any,
    y: Any,
    h_0: Any,
    weight_hh: Any,
    batch_sizes: Any,
    h_shape: Any,
    relu: bool,
    reverse: bool,
) -> tuple[Any, Any, Any]:
    """(grad_x, grad_h_0, h_before)."""
    h, grad_x, h_before = grad_h_n.copy(), np.zeros_like(y), np.zeros_like(y)

    def cell(at: Any, before: Any, n: int) -> None:
        g = grad_y[at] + h[:n]
        grad_x[at] = g * (y[at] > 0) if relu else g * (1 - y[at] ** 2)
        h_before[at] = _before(y, h_0, before)
        h[:n] = grad_x[at] @ weight_hh

    bwd(batch_sizes, reverse, cell)
    return grad_x, h, h_before


def lstm_bwd(
    grad_y: Any,
    grad_h_n: Any,
    grad_c_n: Any,
    saved: Any,
    y: Any,
    h_0: Any,
    c_0: Any,
    weight_hh: Any,
    weight_hr: Any,
    batch_sizes: Any,
    x_shape: Any,
    h_shape: Any,
    c_shape: Any,
    projected_shape: Any,
    reverse: bool,
) -> tuple[Any, ...]:
    """(grad_x, grad_h_0, grad_c_0, h_before, grad_projected)."""
    h, c = grad_h_n.copy(), grad_c_n.copy()
    grad_x, h_before = np.zeros(x_shape, y.dtype), np.zeros_like(y)
    projected = np.zeros(projected_shape, y.dtype)
    width = c_shape[1]
    i, f, g, o, cells = (saved[:, k * width : (k + 1) * width] for k in range(5))

    def cell(at: Any, before: Any, n: int) -> None:
        gh = grad_y[at] + h[:n]
        if weight_hr is not None:
            projected[at] = gh
            gh = gh @ weight_hr
        shown = np.tanh(cells[at])
        gc = c[:n] + gh * o[at] * (1 - shown**2)
        grad_x[at] = np.concatenate(
            [
                gc * g[at] * i[at] * (1 - i[at]),
                gc * _before(cells, c_0, before) * f[at] * (1 - f[at]),
                gc * i[at] * (1 - g[at] ** 2),
                gh * shown * o[at] * (1 - o[at]),
            ],
            1,
        )
        c[:n] = gc * f[at]
        h_before[at] = _before(y, h_0, before)
        h[:n] = grad_x[at] @ weight_hh

    bwd(batch_sizes, reverse, cell)
    return grad_x, h, c, h_before, projected


def gru_bwd(
    grad_y: Any,
    grad_h_n: Any,
    saved: Any,
    y: Any,
    h_0: Any,
    weight_hh: Any,
    batch_sizes: Any,
    x_shape: Any,
    h_shape: Any,
    reverse: bool,
) -> tuple[Any, ...]:
    """(grad_x, grad_hidden, grad_h_0, h_before)."""
    h, h_before = grad_h_n.copy(), np.zeros_like(y)
    grad_x, grad_hidden = np.zeros(x_shape, y.dtype), np.zeros(x_shape, y.dtype)
    width = y.shape[1]
    r, z, new, own = (saved[:, k * width : (k + 1) * width] for k in range(4))

    def cell(at: Any, before: Any, n: int) -> None:
        old = h_before[at] = _before(y, h_0, before)
        g = grad_y[at] + h[:n]
        grad_n = g * (1 - z[at]) * (1 - new[at] ** 2)
        grad_z = g * (old - new[at]) * z[at] * (1 - z[at])
        grad_r = grad_n * own[at] * r[at] * (1 - r[at])
        grad_x[at] = np.concatenate([grad_r, grad_z, grad_n], 1)
        grad_hidden[at] = np.concatenate([grad_r, grad_z, grad_n * r[at]], 1)
        h[:n] = g * z[at] + grad_hidden[at] @ weight_hh

    bwd(batch_sizes, reverse, cell)
    return grad_x, grad_hidden, h, h_before
