"""Launchers of recurrent.cu: whole layers, a product (matmul.cu) and a cell for each time step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import copy, elementwise, memory
from .arguments import Fault, check_floats, contiguous, grid_for
from .launch import Module, launch
from .matmul import matmul

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
MODULE = Module(
    "recurrent.cu",
    [
        f"{kernel}<{t}>"
        for kernel in (
            "rnn_cell",
            "rnn_cell_bwd",
            "lstm_cell",
            "lstm_cell_bwd",
            "gru_cell",
            "gru_cell_bwd",
        )
        for t in _TYPES
    ],
)
_add = elementwise.ENTRIES["add"]


class _Step(NamedTuple):
    """The rows of one time step, and of the step that came before it."""

    at: slice  # in the packed arrays
    rows: int
    before: slice  # the step before: as many of its rows as go on here


def _steps(
    kernel: str, batch_sizes: Any, total: int, h_shape: tuple[int, ...], reverse: bool
) -> list[_Step]:
    """The steps in the order of the forward, those without rows left out."""
    if len(h_shape) != 2:
        raise Fault(kernel, "shape", 1)
    sizes = [int(n) for n in batch_sizes]
    if sum(sizes) != total or any(n < 0 for n in sizes):
        raise Fault(kernel, "shape", 2)
    if any(a < b for a, b in zip([h_shape[0], *sizes], sizes, strict=False)):
        raise Fault(kernel, "shape", 2)
    result = []
    offset = 0
    for t, n in enumerate(sizes):
        if not reverse:
            before = slice(offset - sizes[t - 1], offset - sizes[t - 1] + n) if t else slice(0, 0)
        else:
            more = sizes[t + 1] if t + 1 < len(sizes) else 0
            before = slice(offset + n, offset + n + more)
        result.append(_Step(slice(offset, offset + n), n, before))
        offset += n
    steps = [step for step in result if step.rows]
    return steps[::-1] if reverse else steps


def _cells(step: _Step, units: int) -> tuple[Any, Any]:
    return grid_for(step.rows * units)


def _check(kernel: str, **shapes: tuple[Any, tuple[int, ...]]) -> None:
    """Raises Fault unless each array (None passes) has its shape."""
    for i, (x, shape) in enumerate(shapes.values()):
        if x is not None and tuple(x.shape) != shape:
            raise Fault(kernel, "shape", i)


def _columns(kernel: str, x: Any) -> int:
    if x.ndim != 2:
        raise Fault(kernel, "shape", 0)
    return x.shape[1]


def _state(given: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """A state to work on: a copy of the one given, or zeros."""
    if given is None:
        return copy.full(shape, 0.0, dtype)
    return copy.copy(given, dtype)


def _fill_before(h_before: Any, step: _Step, y: Any, h_0: Any, rows: int) -> None:
    """The state that each row of a step began with."""
    known = step.before.stop - step.before.start
    start = step.at.start
    if known:
        copy.copy_into(h_before[start : start + known], y[step.before])
    if known < rows:
        first = 0.0 if h_0 is None else h_0[known:rows]
        copy.copy_into(h_before[start + known : step.at.stop], first)


def _times(a: Any, weight: Any, bias: Any = None) -> Any:
    """a @ weight.T + bias."""
    return matmul(a, weight.T, bias, (a.shape[0], weight.shape[0]))


def _into(to: Any, value: Any) -> None:
    copy.copy_into(to, value)


def rnn_fwd(
    x: Any,
    h_0: Any,
    weight_hh: Any,
    bias_hh: Any,
    batch_sizes: Any,
    h_shape: tuple[int, ...],
    relu: bool,
    reverse: bool,
) -> tuple[Any, Any]:
    """(y, h_n) of a layer of plain cells."""
    name = "rnn_fwd"
    t = check_floats(name, x=x, h_0=h_0, weight_hh=weight_hh, bias_hh=bias_hh)
    H = _columns(name, weight_hh)
    _check(name, x=(x, (x.shape[0], H)), h_0=(h_0, h_shape), w=(weight_hh, (H, H)))
    steps = _steps(name, batch_sizes, x.shape[0], h_shape, reverse)
    x, y = contiguous(x), memory.empty(tuple(x.shape), x.dtype)
    h = _state(h_0, h_shape, x.dtype)
    for step in steps if H else ():
        w = _times(h[: step.rows], weight_hh, bias_hh)
        args = (x[step.at], w, y[step.at], h, np.int64(step.rows * H), np.int32(relu))
        launch(MODULE, f"rnn_cell<{t}>", *_cells(step, H), 0, args)
    return y, h


def rnn_bwd(
    grad_y: Any,
    grad_h_n: Any,
    y: Any,
    h_0: Any,
    weight_hh: Any,
    batch_sizes: Any,
    h_shape: tuple[int, ...],
    relu: bool,
    reverse: bool,
) -> tuple[Any, Any, Any]:
    """(grad_x, grad_h_0, h_before)."""
    name = "rnn_bwd"
    t = check_floats(name, grad_y=grad_y, grad_h_n=grad_h_n, y=y, h_0=h_0, weight_hh=weight_hh)
    H = _columns(name, weight_hh)
    whole = (y.shape[0], H)
    _check(name, grad_y=(grad_y, whole), y=(y, whole), w=(weight_hh, (H, H)))
    _check(name, grad_h_n=(grad_h_n, h_shape), h_0=(h_0, h_shape))
    steps = _steps(name, batch_sizes, y.shape[0], h_shape, reverse)
    grad_y, y, h_0 = contiguous(grad_y), contiguous(y), contiguous(h_0)
    grad_x, h_before = memory.empty(whole, y.dtype), memory.empty(whole, y.dtype)
    h = _state(grad_h_n, h_shape, y.dtype)
    for step in steps[::-1] if H else ():
        own = grad_x[step.at]
        args = (grad_y[step.at], h, y[step.at], own, np.int64(step.rows * H), np.int32(relu))
        launch(MODULE, f"rnn_cell_bwd<{t}>", *_cells(step, H), 0, args)
        _fill_before(h_before, step, y, h_0, step.rows)
        _into(h[: step.rows], _times(own, weight_hh.T))
    return grad_x, h, h_before


def lstm_fwd(
    x: Any,
    h_0: Any,
    c_0: Any,
    weight_hh: Any,
    bias_hh: Any,
    weight_hr: Any,
    batch_sizes: Any,
    y_shape: tuple[int, ...],
    h_shape: tuple[int, ...],
    c_shape: tuple[int, ...],
    saved_shape: tuple[int, ...],
    reverse: bool,
) -> tuple[Any, Any, Any, Any]:
    """(y, h_n, c_n, saved) of a layer of LSTM cells."""
    name = "lstm_fwd"
    arrays = {"x": x, "h_0": h_0, "c_0": c_0, "weight_hh": weight_hh, "bias_hh": bias_hh}
    t = check_floats(name, **arrays, weight_hr=weight_hr)
    P = _columns(name, weight_hh)
    H = P if weight_hr is None else _columns(name, weight_hr)
    total, pitch = x.shape[0], (5 if weight_hr is None else 6) * H
    _check(name, x=(x, (total, 4 * H)), w=(weight_hh, (4 * H, P)), r=(weight_hr, (P, H)))
    _check(name, h_0=(h_0, h_shape), c_0=(c_0, c_shape))
    if (tuple(y_shape), tuple(saved_shape)) != ((total, P), (total, pitch)):
        raise Fault(name, "shape", 0)
    if tuple(c_shape) != (h_shape[0], H):
        raise Fault(name, "shape", 1)
    steps = _steps(name, batch_sizes, total, h_shape, reverse)
    x, y = contiguous(x), memory.empty(tuple(y_shape), x.dtype)
    saved = memory.empty(tuple(saved_shape), x.dtype)
    h, c = _state(h_0, h_shape, x.dtype), _state(c_0, c_shape, x.dtype)
    for step in steps if H and P else ():
        w = _times(h[: step.rows], weight_hh, bias_hh)
        kept = saved[step.at]
        to = (y[step.at], h) if weight_hr is None else (None, None)
        sizes = (np.int64(step.rows), np.int64(H), np.int64(pitch))
        args = (x[step.at], w, c, kept, *to, *sizes)
        launch(MODULE, f"lstm_cell<{t}>", *_cells(step, H), 0, args)
        if weight_hr is not None:
            hidden = _times(kept[:, 5 * H :], weight_hr)
            _into(y[step.at], hidden)
            _into(h[: step.rows], hidden)
    return y, h, c, saved


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
    x_shape: tuple[int, ...],
    h_shape: tuple[int, ...],
    c_shape: tuple[int, ...],
    projected_shape: tuple[int, ...],
    reverse: bool,
) -> tuple[Any, Any, Any, Any, Any]:
    """(grad_x, grad_h_0, grad_c_0, h_before, grad_projected)."""
    name = "lstm_bwd"
    arrays = {"grad_y": grad_y, "grad_h_n": grad_h_n, "grad_c_n": grad_c_n, "saved": saved, "y": y}
    weights = {"weight_hh": weight_hh, "weight_hr": weight_hr}
    t = check_floats(name, **arrays, h_0=h_0, c_0=c_0, **weights)
    P = _columns(name, weight_hh)
    H = P if weight_hr is None else _columns(name, weight_hr)
    total, pitch = y.shape[0], (5 if weight_hr is None else 6) * H
    whole = (total, P)
    _check(name, grad_y=(grad_y, whole), y=(y, whole), saved=(saved, (total, pitch)))
    _check(name, w=(weight_hh, (4 * H, P)), r=(weight_hr, (P, H)))
    _check(name, grad_h_n=(grad_h_n, h_shape), h_0=(h_0, h_shape))
    _check(name, grad_c_n=(grad_c_n, c_shape), c_0=(c_0, c_shape))
    if tuple(x_shape) != (total, 4 * H) or tuple(c_shape) != (h_shape[0], H):
        raise Fault(name, "shape", 0)
    if weight_hr is not None and tuple(projected_shape) != whole:
        raise Fault(name, "shape", 0)
    steps = _steps(name, batch_sizes, total, h_shape, reverse)
    grad_y, y, saved = contiguous(grad_y), contiguous(y), contiguous(saved)
    h_0, c_0 = contiguous(h_0), contiguous(c_0)
    grad_x = memory.empty(tuple(x_shape), y.dtype)
    h_before = memory.empty(whole, y.dtype)
    projected = memory.empty(tuple(projected_shape), y.dtype)
    h, c = _state(grad_h_n, h_shape, y.dtype), _state(grad_c_n, c_shape, y.dtype)
    for step in steps[::-1] if H and P else ():
        hidden = _add(grad_y[step.at], h[: step.rows])
        if weight_hr is not None:
            _into(projected[step.at], hidden)
            hidden = _times(hidden, weight_hr.T)
        known = step.before.stop - step.before.start
        before = saved[step.before][:, 4 * H :] if known else None
        own = grad_x[step.at]
        sizes = (np.int64(step.rows), np.int64(known), np.int64(H), np.int64(pitch))
        args = (hidden, saved[step.at], before, c_0, own, c, *sizes)
        launch(MODULE, f"lstm_cell_bwd<{t}>", *_cells(step, H), 0, args)
        _fill_before(h_before, step, y, h_0, step.rows)
        _into(h[: step.rows], _times(own, weight_hh.T))
    return grad_x, h, c, h_before, projected


def gru_fwd(
    x: Any,
    h_0: Any,
    weight_hh: Any,
    bias_hh: Any,
    batch_sizes: Any,
    y_shape: tuple[int, ...],
    h_shape: tuple[int, ...],
    saved_shape: tuple[int, ...],
    reverse: bool,
) -> tuple[Any, Any, Any]:
    """(y, h_n, saved) of a layer of GRU cells."""
    name = "gru_fwd"
    t = check_floats(name, x=x, h_0=h_0, weight_hh=weight_hh, bias_hh=bias_hh)
    H = _columns(name, weight_hh)
    total = x.shape[0]
    _check(name, x=(x, (total, 3 * H)), h_0=(h_0, h_shape), w=(weight_hh, (3 * H, H)))
    if (tuple(y_shape), tuple(saved_shape)) != ((total, H), (total, 4 * H)):
        raise Fault(name, "shape", 0)
    steps = _steps(name, batch_sizes, total, h_shape, reverse)
    x, y = contiguous(x), memory.empty(tuple(y_shape), x.dtype)
    saved = memory.empty(tuple(saved_shape), x.dtype)
    h = _state(h_0, h_shape, x.dtype)
    for step in steps if H else ():
        w = _times(h[: step.rows], weight_hh, bias_hh)
        sizes = (np.int64(step.rows), np.int64(H))
        args = (x[step.at], w, saved[step.at], y[step.at], h, *sizes)
        launch(MODULE, f"gru_cell<{t}>", *_cells(step, H), 0, args)
    return y, h, saved


def gru_bwd(
    grad_y: Any,
    grad_h_n: Any,
    saved: Any,
    y: Any,
    h_0: Any,
    weight_hh: Any,
    batch_sizes: Any,
    x_shape: tuple[int, ...],
    h_shape: tuple[int, ...],
    reverse: bool,
) -> tuple[Any, Any, Any, Any]:
    """(grad_x, grad_hidden, grad_h_0, h_before)."""
    name = "gru_bwd"
    arrays = {"grad_y": grad_y, "grad_h_n": grad_h_n, "saved": saved, "y": y, "h_0": h_0}
    t = check_floats(name, **arrays, weight_hh=weight_hh)
    H = _columns(name, weight_hh)
    total = y.shape[0]
    whole = (total, H)
    _check(name, grad_y=(grad_y, whole), y=(y, whole), saved=(saved, (total, 4 * H)))
    _check(name, grad_h_n=(grad_h_n, h_shape), h_0=(h_0, h_shape), w=(weight_hh, (3 * H, H)))
    if tuple(x_shape) != (total, 3 * H):
        raise Fault(name, "shape", 0)
    steps = _steps(name, batch_sizes, total, h_shape, reverse)
    grad_y, y, saved, h_0 = contiguous(grad_y), contiguous(y), contiguous(saved), contiguous(h_0)
    grad_x, grad_hidden = (memory.empty(tuple(x_shape), y.dtype) for _ in range(2))
    h_before = memory.empty(whole, y.dtype)
    h = _state(grad_h_n, h_shape, y.dtype)
    for step in steps[::-1] if H else ():
        _fill_before(h_before, step, y, h_0, step.rows)
        own = grad_hidden[step.at]
        sizes = (np.int64(step.rows), np.int64(H))
        args = (grad_y[step.at], saved[step.at], h_before[step.at], grad_x[step.at], own, h, *sizes)
        launch(MODULE, f"gru_cell_bwd<{t}>", *_cells(step, H), 0, args)
        _into(h[: step.rows], _add(h[: step.rows], _times(own, weight_hh.T)))
    return grad_x, grad_hidden, h, h_before


ENTRIES = {
    "rnn_fwd": rnn_fwd,
    "rnn_bwd": rnn_bwd,
    "lstm_fwd": lstm_fwd,
    "lstm_bwd": lstm_bwd,
    "gru_fwd": gru_fwd,
    "gru_bwd": gru_bwd,
}
