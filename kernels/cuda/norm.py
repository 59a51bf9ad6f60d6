"""Launchers of norm.cu: batch_norm and row_norm, their backwards, evaluation and running update."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    THREADS,
    Fault,
    blocks_for,
    check_floats,
    contiguous,
    element_strides,
    size_of,
)
from .launch import Module, launch
from .reduce import team_of

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_KERNELS = (
    "channel_moments",
    "fold_moments",
    "channel_sums",
    "fold_sums",
    "channel_scale",
    "channel_gradient",
    "batch_norm_update",
    "row_norm",
    "row_norm_bwd",
)
MODULE = Module("norm.cu", [f"{kernel}<{t}>" for kernel in _KERNELS for t in _TYPES])
#: A sum is cut into chunks until there are about this many blocks, each with this many elements
#: for every thread.
_MANY_BLOCKS = 512
_ELEMENTS_PER_THREAD = 32
_MAX_BLOCKS = 1 << 20


def _zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    from . import copy

    return copy.full(shape, 0.0, dtype)


def _channels(
    kernel: str, x: Any, like: int, *optional: Any, argument: int = 0
) -> tuple[int, int, int]:
    """x as (batch, channels, length), checked against arrays of one value a channel."""
    if x.ndim < 2 or like != x.shape[1]:
        raise Fault(kernel, "shape", argument)
    if any(o is not None and o.size != x.shape[1] for o in optional):
        raise Fault(kernel, "shape", argument)
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def _over_channels(
    kernel: str, t: str, arrays: tuple[Any, ...], sizes: tuple[int, int, int], *more: int
) -> tuple[Any, int, int]:
    """Launches a kernel of chunks of channels; (partials, chunks, elements of a chunk)."""
    batch, channels, length = sizes
    count = batch * length
    along = length > 1
    lanes, slots = team_of(channels, count, along)
    blocks = min(-(-channels // slots), _MAX_BLOCKS)
    chunks = max(1, min(count // (lanes * _ELEMENTS_PER_THREAD), _MANY_BLOCKS // blocks))
    chunk = -(-count // chunks)
    chunks = -(-count // chunk)
    partials = memory.empty((chunks, channels, 2), np.dtype(np.float64))
    options = tuple(np.int64(n) for n in (*sizes, *more, chunk))
    args = (*arrays, partials, *options, np.int32(lanes), np.int32(along))
    launch(MODULE, f"{kernel}<{t}>", (blocks, chunks), (lanes * slots,), 0, args)
    return partials, chunks, chunk


def batch_norm(
    x: Any, weight: Any, bias: Any, stats_shape: tuple[int, ...], eps: float
) -> tuple[Any, Any, Any]:
    """(y, mean, variance) with the statistics of x."""
    t = check_floats("batch_norm", x=x, weight=weight, bias=bias)
    like = size_of("batch_norm", stats_shape)
    sizes = _channels("batch_norm", x, like, weight, bias)
    if x.size == 0:
        return memory.empty(x.shape, x.dtype), *(_zeros(stats_shape, x.dtype) for _ in range(2))
    x = contiguous(x)
    mean, var = (memory.empty(tuple(stats_shape), x.dtype) for _ in range(2))
    partials, chunks, chunk = _over_channels("channel_moments", t, (x,), sizes)
    batch, channels, length = sizes
    counts = (np.int64(channels), np.int64(chunks), np.int64(chunk), np.int64(batch * length))
    args = (partials, mean, var, *counts)
    launch(MODULE, f"fold_moments<{t}>", (blocks_for(channels),), (THREADS,), 0, args)
    return _scale(t, x, weight, bias, mean, var, eps, sizes), mean, var


def _scale(
    t: str, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float, sizes: Any
) -> Any:
    y = memory.empty(x.shape, x.dtype)
    arrays = (x, contiguous(weight), contiguous(bias), contiguous(mean), contiguous(var), y)
    _batch, channels, length = sizes
    args = (*arrays, x.dtype.type(eps), np.int64(channels), np.int64(length), np.int64(x.size))
    launch(MODULE, f"channel_scale<{t}>", (blocks_for(x.size),), (THREADS,), 0, args)
    return y


def batch_norm_eval(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """y with the given statistics; no mean is 0."""
    t = check_floats("batch_norm_eval", x=x, weight=weight, bias=bias, mean=mean, var=var)
    sizes = _channels("batch_norm_eval", x, var.size, weight, bias, mean)
    if x.size == 0:
        return memory.empty(x.shape, x.dtype)
    return _scale(t, contiguous(x), weight, bias, mean, var, eps, sizes)


def batch_norm_bwd(
    grad_y: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float, training: bool
) -> tuple[Any, Any, Any]:
    """(grad_x, grad_weight, grad_bias) of batch_norm, or of batch_norm_eval if not training."""
    name = "batch_norm_bwd"
    t = check_floats(name, grad_y=grad_y, x=x, weight=weight, mean=mean, var=var)
    sizes = _channels(name, x, mean.size, var, weight)
    if grad_y.size != x.size:
        raise Fault(name, "shape", 0)
    grad_x = memory.empty(x.shape, x.dtype)
    if x.size == 0:
        return grad_x, *(_zeros(mean.shape, x.dtype) for _ in range(2))
    grad_y, x, weight = contiguous(grad_y), contiguous(x), contiguous(weight)
    mean, var = contiguous(mean), contiguous(var)
    grad_weight, grad_bias = (memory.empty(mean.shape, x.dtype) for _ in range(2))
    batch, channels, length = sizes
    partials, chunks, _ = _over_channels("channel_sums", t, (grad_y, x, mean, None), sizes, 0, 1)
    counts = (np.int64(channels), np.int64(chunks))
    args = (partials, var, grad_weight, grad_bias, np.float64(eps), *counts)
    launch(MODULE, f"fold_sums<{t}>", (blocks_for(channels),), (THREADS,), 0, args)
    T = x.dtype.type
    arrays = (grad_y, x, weight, mean, var, grad_weight, grad_bias, grad_x)
    share = T(1 / (batch * length) if training else 0)
    options = (T(eps), np.int64(channels), np.int64(length), share, np.int64(x.size))
    blocks = blocks_for(x.size)
    launch(MODULE, f"channel_gradient<{t}>", (blocks,), (THREADS,), 0, (*arrays, *options))
    return grad_x, grad_weight, grad_bias


def batch_norm_update(
    running_mean: Any, running_var: Any, mean: Any, var: Any, momentum: float, count: int
) -> None:
    """Moves the running statistics towards these, in place."""
    name = "batch_norm_update"
    t = check_floats(name, running_mean=running_mean, running_var=running_var, mean=mean, var=var)
    n = mean.size
    if var.size != n or running_mean.shape != (n,) or running_var.shape != (n,):
        raise Fault(name, "shape", 0)
    if n == 0:
        return
    unbias = count / (count - 1) if count != 1 else math.inf
    steps = (np.int64(element_strides(a)[0]) for a in (running_mean, running_var))
    options = (np.float64(momentum), np.float64(unbias), *steps, np.int64(n))
    args = (running_mean, running_var, contiguous(mean), contiguous(var), *options)
    launch(MODULE, f"batch_norm_update<{t}>", (blocks_for(n),), (THREADS,), 0, args)


def _rows(
    kernel: str, x: Any, rows: int, groups: int, inner: int, *weights: Any
) -> tuple[int, int, int, int]:
    """(rows, their length, groups, inner), checked."""
    if x.size == 0:
        return 0, 0, 1, 1
    length = x.size // rows if rows else 0
    if groups < 1 or inner < 1 or rows * length != x.size or length % inner or rows % groups:
        raise Fault(kernel, "shape", 0)
    count = groups * (length // inner)
    if any(w is not None and w.size != count for w in weights):
        raise Fault(kernel, "shape", 0)
    return rows, length, groups, inner


def _launch_rows(kernel: str, t: str, arrays: Any, sizes: Any, options: Any) -> None:
    lanes, slots = team_of(sizes[0], sizes[1], True)
    blocks = min(-(-sizes[0] // slots), _MAX_BLOCKS)
    args = (*arrays, *map(np.int64, sizes), *options, np.int32(lanes))
    launch(MODULE, f"{kernel}<{t}>", (blocks,), (lanes * slots,), 0, args)


def row_norm(
    x: Any,
    weight: Any,
    bias: Any,
    stats_shape: tuple[int, ...],
    groups: int,
    inner: int,
    eps: float,
    centered: bool,
) -> tuple[Any, Any, Any]:
    """(y, mean, variance) of rows."""
    t = check_floats("row_norm", x=x, weight=weight, bias=bias)
    rows = size_of("row_norm", stats_shape)
    sizes = _rows("row_norm", x, rows, groups, inner, weight, bias)
    y = memory.empty(x.shape, x.dtype)
    if x.size == 0:
        return y, *(_zeros(stats_shape, x.dtype) for _ in range(2))
    mean, var = (memory.empty(tuple(stats_shape), x.dtype) for _ in range(2))
    arrays = (contiguous(x), contiguous(weight), contiguous(bias), y, mean, var)
    _launch_rows("row_norm", t, arrays, sizes, (np.float64(eps), np.int32(bool(centered))))
    return y, mean, var


def row_norm_bwd(
    grad_y: Any,
    x: Any,
    weight: Any,
    mean: Any,
    var: Any,
    weight_shape: tuple[int, ...],
    groups: int,
    inner: int,
    eps: float,
    centered: bool,
) -> tuple[Any, Any, Any]:
    """(grad_x, grad_weight, grad_bias) of row_norm."""
    name = "row_norm_bwd"
    t = check_floats(name, grad_y=grad_y, x=x, weight=weight, mean=mean, var=var)
    sizes = _rows(name, x, mean.size, groups, inner, weight)
    if grad_y.size != x.size or var.size != mean.size:
        raise Fault(name, "shape", 0)
    grad_x = memory.empty(x.shape, x.dtype)
    wanted = size_of(name, weight_shape)
    if x.size == 0:
        return grad_x, *(_zeros(weight_shape, x.dtype) for _ in range(2))
    rows, length, groups, inner = sizes
    runs = length // inner
    if wanted not in (0, groups * runs):
        raise Fault(name, "shape", 5)
    grad_weight, grad_bias = (memory.empty(tuple(weight_shape), x.dtype) for _ in range(2))
    grad_y, x, weight = contiguous(grad_y), contiguous(x), contiguous(weight)
    mean, var = contiguous(mean), contiguous(var)
    rstd = memory.empty(mean.shape, x.dtype)
    arrays = (grad_y, x, weight, mean, var, rstd, grad_x)
    _launch_rows("row_norm_bwd", t, arrays, sizes, (np.float64(eps), np.int32(bool(centered))))
    if wanted:
        channels = (rows // groups, groups * runs, inner)
        statistics = (grad_y, x, mean, rstd)
        partials, chunks, _ = _over_channels("channel_sums", t, statistics, channels, groups, runs)
        counts = (np.int64(wanted), np.int64(chunks))
        args = (partials, None, grad_weight, grad_bias, np.float64(0), *counts)
        launch(MODULE, f"fold_sums<{t}>", (blocks_for(wanted),), (THREADS,), 0, args)
    return grad_x, grad_weight, grad_bias


ENTRIES = {
    "batch_norm": batch_norm,
    "batch_norm_bwd": batch_norm_bwd,
    "batch_norm_eval": batch_norm_eval,
    "batch_norm_update": batch_norm_update,
    "row_norm": row_norm,
    "row_norm_bwd": row_norm_bwd,
}
