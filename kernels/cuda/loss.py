"""Launchers of loss.cu: log_softmax, nll_loss, cross_entropy, and their backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory, reduce
from .arguments import (
    THREADS,
    Fault,
    blocks_for,
    check_arrays,
    check_floats,
    contiguous,
    size_of,
    strided_loop,
)
from .launch import Module, index_flag, launch, raise_index_error
from .reduce import TEAM_THREADS, power_of_two, team_of

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
#: Elements of a row that a thread keeps in registers (kHeldElements in softmax_rows.cuh).
_HELD = 8
#: Blocks of log_softmax; more rows are the kernel's loop's.
_MAX_BLOCKS = 1 << 20
#: Targets that each thread of nll_loss takes before there is a second block, and the most blocks.
_TARGETS_PER_THREAD = 8
_LOSS_BLOCKS = 512
_NONE = 0

MODULE = Module(
    "loss.cu",
    [
        *(
            f"{kernel}<{t}, {held}>"
            for kernel in ("log_softmax", "log_softmax_bwd", "cross_entropy")
            for t in _TYPES
            for held in ("true", "false")
        ),
        *(
            f"{kernel}<{t}>"
            for kernel in ("nll_loss", "nll_loss_fold", "nll_loss_bwd", "cross_entropy_bwd")
            for t in _TYPES
        ),
    ],
)


def _launch_rows(kernel: str, t: str, shape: tuple[int, ...], dim: int, arrays: Any) -> None:
    """Launches a kernel that gives each row along `dim` to a team."""
    extent = shape[dim] if shape else 1
    inner = math.prod(shape[dim + 1 :])
    rows = math.prod(shape) // extent
    along = inner == 1
    lanes, slots = team_of(rows, extent, along)
    held = "true" if extent <= lanes * _HELD else "false"
    sizes = (np.int64(rows), np.int64(extent), np.int64(inner), np.int32(lanes), np.int32(along))
    blocks = min(-(-rows // slots), _MAX_BLOCKS)
    name = f"{kernel}<{t}, {held}>"
    launch(MODULE, name, (blocks,), (lanes * slots,), 0, (*arrays, *sizes))


def _check_dim(kernel: str, shape: tuple[int, ...], dim: int) -> None:
    if not 0 <= dim < max(1, len(shape)):
        raise Fault(kernel, "shape", 0)


def log_softmax(x: Any, dim: int) -> Any:
    """x minus the logarithm of the sum of its exponentials along dim."""
    t = check_floats("log_softmax", x=x)
    _check_dim("log_softmax", x.shape, dim)
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        _launch_rows("log_softmax", t, x.shape, dim, (contiguous(x), y))
    return y


def log_softmax_bwd(grad_y: Any, y: Any, dim: int) -> Any:
    """grad_y - exp(y) * sum(grad_y) along dim."""
    t = check_floats("log_softmax_bwd", grad_y=grad_y, y=y)
    _check_dim("log_softmax_bwd", y.shape, dim)
    if grad_y.size != y.size:
        raise Fault("log_softmax_bwd", "shape", 0)
    grad_x = memory.empty(y.shape, y.dtype)
    if y.size:
        arrays = (contiguous(grad_y), contiguous(y), grad_x)
        _launch_rows("log_softmax_bwd", t, y.shape, dim, arrays)
    return grad_x


def _classes(kernel: str, shape: tuple[int, ...], target: Any, weight: Any) -> tuple[int, int, int]:
    """x's shape as (batch, classes, inner), checked against target's and weight's."""
    check_arrays(kernel, target=target)
    if target.dtype != np.int64:
        raise Fault(kernel, "dtype")
    batch, classes = (1, *shape) if len(shape) == 1 else shape[:2] or (0, 0)
    inner = math.prod(shape[2:])
    if not shape or target.size != batch * inner or (weight is not None and weight.size != classes):
        raise Fault(kernel, "shape", 1)
    return batch, classes, inner


def nll_loss(
    x: Any,
    target: Any,
    weight: Any,
    out_shape: tuple[int, ...],
    ignore_index: int,
    reduction: int,
) -> tuple[Any, Any]:
    """(y, total weight): the negative log likelihood of the targets."""
    t = check_floats("nll_loss", x=x, weight=weight)
    _batch, classes, inner = _classes("nll_loss", x.shape, target, weight)
    n = target.size
    if size_of("nll_loss", out_shape) != (n if reduction == _NONE else 1):
        raise Fault("nll_loss", "shape", 3)
    y = memory.empty(tuple(out_shape), x.dtype)
    total_weight = memory.empty((), x.dtype)
    x, target, weight = contiguous(x), contiguous(target), contiguous(weight)
    threads = min(TEAM_THREADS, max(32, power_of_two(n)))
    blocks = max(1, min(_LOSS_BLOCKS, n // (threads * _TARGETS_PER_THREAD)))
    partials = memory.empty((blocks, 2), np.dtype(np.float64)) if blocks > 1 else None
    sizes = (np.int64(n), np.int64(classes), np.int64(inner), np.int64(ignore_index))
    args = (x, target, weight, y, total_weight, partials, *sizes, np.int32(reduction), index_flag())
    launch(MODULE, f"nll_loss<{t}>", (blocks,), (threads,), 0, args)
    raise_index_error("nll_loss")
    if blocks > 1:
        threads = min(TEAM_THREADS, max(32, power_of_two(blocks)))
        args = (partials, np.int32(blocks), y, total_weight, np.int32(reduction))
        launch(MODULE, f"nll_loss_fold<{t}>", (1,), (threads,), 0, args)
    return y, total_weight


def nll_loss_bwd(
    grad_y: Any,
    target: Any,
    weight: Any,
    total_weight: Any,
    x_shape: tuple[int, ...],
    ignore_index: int,
    reduction: int,
) -> Any:
    """nll_loss's gradient: -weight * grad_y at the targets, 0 elsewhere."""
    t = check_floats("nll_loss_bwd", grad_y=grad_y, weight=weight, total_weight=total_weight)
    size_of("nll_loss_bwd", x_shape)
    shape = _classes("nll_loss_bwd", x_shape, target, weight)
    if grad_y.size != (target.size if reduction == _NONE else 1) or total_weight.size != 1:
        raise Fault("nll_loss_bwd", "shape", 0)
    grad_x = memory.empty(tuple(x_shape), grad_y.dtype)
    n = grad_x.size
    if n == 0:
        return grad_x
    loop = strided_loop(shape, (shape[2], 0, 1), (0, 1, 0))
    arrays = (contiguous(grad_y), contiguous(target), contiguous(weight), total_weight, grad_x)
    sizes = (np.int64(shape[1]), np.int64(ignore_index), np.int32(reduction), np.int64(n))
    args = (*arrays, loop, *sizes, index_flag())
    launch(MODULE, f"nll_loss_bwd<{t}>", (blocks_for(n),), (THREADS,), 0, args)
    raise_index_error("nll_loss_bwd")
    return grad_x


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any,
    out_shape: tuple[int, ...],
    stats_shape: tuple[int, ...],
    softmax: bool,
    smoothing: float,
    ignore_index: int,
    reduction: int,
) -> tuple[Any, Any, Any]:
    """(y, stats, total weight): the cross entropy of the targets."""
    t = check_floats("cross_entropy", x=x, weight=weight)
    _batch, classes, inner = _classes("cross_entropy", x.shape, target, weight)
    n = target.size
    if (
        size_of("cross_entropy", out_shape) != (n if reduction == _NONE else 1)
        or size_of("cross_entropy", stats_shape) != 2 * n
    ):
        raise Fault("cross_entropy", "shape", 3)
    y = memory.empty(tuple(out_shape), x.dtype)
    stats = memory.empty(tuple(stats_shape), x.dtype)
    total_weight = memory.empty((), x.dtype)
    along = inner == 1
    lanes, slots = team_of(max(n, 1), max(classes, 1), along)
    held = "true" if classes <= lanes * _HELD else "false"
    blocks = max(1, min(-(-n // slots), _LOSS_BLOCKS))
    partials = memory.empty((blocks, 2), np.dtype(np.float64)) if blocks > 1 else None
    arrays = (contiguous(x), contiguous(target), contiguous(weight), y, stats, total_weight)
    sizes = (np.int64(n), np.int64(classes), np.int64(inner), np.int32(lanes), np.int32(along))
    options = (np.int32(softmax), np.float64(smoothing), np.int64(ignore_index))
    args = (*arrays, partials, *sizes, *options, np.int32(reduction), index_flag())
    launch(MODULE, f"cross_entropy<{t}, {held}>", (blocks,), (lanes * slots,), 0, args)
    raise_index_error("cross_entropy")
    if blocks > 1:
        threads = min(TEAM_THREADS, max(32, power_of_two(blocks)))
        args = (partials, np.int32(blocks), y, total_weight, np.int32(reduction))
        launch(MODULE, f"nll_loss_fold<{t}>", (1,), (threads,), 0, args)
    return y, stats, total_weight


def cross_entropy_bwd(
    grad_y: Any,
    x: Any,
    target: Any,
    weight: Any,
    stats: Any,
    total_weight: Any,
    softmax: bool,
    smoothing: float,
    ignore_index: int,
    reduction: int,
) -> Any:
    """cross_entropy's gradient."""
    name = "cross_entropy_bwd"
    t = check_floats(
        name, grad_y=grad_y, x=x, weight=weight, stats=stats, total_weight=total_weight
    )
    shape = _classes(name, x.shape, target, weight)
    if (
        grad_y.size != (target.size if reduction == _NONE else 1)
        or total_weight.size != 1
        or stats.size != 2 * target.size
    ):
        raise Fault(name, "shape", 0)
    grad_x = memory.empty(x.shape, x.dtype)
    n = grad_x.size
    if n == 0:
        return grad_x
    sum_of_weights = None
    if weight is not None and smoothing:
        sum_of_weights = reduce.ENTRIES["sum"](weight, (0,), ())
    loop = strided_loop(shape, (shape[2], 0, 1), (0, 1, 0))
    arrays = [contiguous(a) for a in (grad_y, x, target, weight, stats)]
    sizes = (np.int64(target.size), np.int64(shape[1]), np.int32(softmax), np.float64(smoothing))
    rest = (np.int64(ignore_index), np.int32(reduction), np.int64(n), index_flag())
    args = (*arrays, total_weight, sum_of_weights, grad_x, loop, *sizes, *rest)
    launch(MODULE, f"{name}<{t}>", (blocks_for(n),), (THREADS,), 0, args)
    raise_index_error(name)
    return grad_x


ENTRIES = {
    "log_softmax": log_softmax,
    "log_softmax_bwd": log_softmax_bwd,
    "nll_loss": nll_loss,
    "nll_loss_bwd": nll_loss_bwd,
    "cross_entropy": cross_entropy,
    "cross_entropy_bwd": cross_entropy_bwd,
}
