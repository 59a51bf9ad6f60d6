"""Launchers of pair_loss.cu: pair_loss, pair_loss_bwd."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_floats, contiguous, grid_for, size_of
from .launch import Module, index_flag, launch, raise_index_error
from .reduce import TEAM_THREADS, power_of_two

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_KINDS = 14
_ORDERS = 6
#: Elements that each thread takes before there is a second block, and the most blocks.
_PER_THREAD = 8
_BLOCKS = 1024
_NONE = 0

MODULE = Module(
    "pair_loss.cu",
    [
        f"{kernel}<{t}>"
        for kernel in ("pair_loss", "pair_loss_fold", "pair_loss_bwd")
        for t in _TYPES
    ],
)


def _check(kernel: str, first: int, x: Any, **others: Any) -> str:
    """The C++ type; the operands must be of x's size. `first` is x's place in the arguments."""
    t = check_floats(kernel, x=x, **others)
    for i, other in enumerate(others.values()):
        if other is not None and other.size != x.size:
            raise Fault(kernel, "shape", first + 1 + i)
    return t


def pair_loss(
    x: Any,
    target: Any,
    weight: Any,
    other: Any,
    kind: int,
    param: float,
    out_shape: tuple[int, ...],
    reduction: int,
) -> Any:
    """f(x, target) * weight: each, their mean, or their sum."""
    t = _check("pair_loss", 0, x, target=target, weight=weight, other=other)
    n = x.size
    if not 0 <= kind < _KINDS or size_of("pair_loss", out_shape) != (
        n if reduction == _NONE else 1
    ):
        raise Fault("pair_loss", "shape", 4)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size == 0:
        return y
    threads = min(TEAM_THREADS, max(32, power_of_two(n)))
    blocks = max(1, min(_BLOCKS, n // (threads * _PER_THREAD)))
    partials = memory.empty((blocks,), np.dtype(np.float64)) if blocks > 1 else None
    arrays = (contiguous(x), contiguous(target), contiguous(weight), contiguous(other), y, partials)
    options = (np.int32(kind), y.dtype.type(param), np.int32(reduction), np.int64(n))
    launch(MODULE, f"pair_loss<{t}>", (blocks,), (threads,), 0, (*arrays, *options, index_flag()))
    raise_index_error("pair_loss")
    if blocks > 1 and reduction != _NONE:
        threads = min(TEAM_THREADS, max(32, power_of_two(blocks)))
        args = (partials, np.int32(blocks), y, np.int32(reduction), np.int64(n))
        launch(MODULE, f"pair_loss_fold<{t}>", (1,), (threads,), 0, args)
    return y


def pair_loss_bwd(
    grad_y: Any,
    x: Any,
    target: Any,
    weight: Any,
    other: Any,
    kind: int,
    order: int,
    param: float,
    reduction: int,
) -> Any:
    """grad_y times a derivative of f, times weight; divided by the number for the mean."""
    check_floats("pair_loss_bwd", grad_y=grad_y, x=x)
    t = _check("pair_loss_bwd", 1, x, target=target, weight=weight, other=other)
    n = x.size
    if grad_y.size != (n if reduction == _NONE else 1):
        raise Fault("pair_loss_bwd", "shape", 0)
    if not (0 <= kind < _KINDS and 0 < order < _ORDERS):
        raise Fault("pair_loss_bwd", "shape", 5)
    grad = memory.empty(x.shape, x.dtype)
    if n == 0:
        return grad
    arrays = [contiguous(a) for a in (grad_y, x, target, weight, other)]
    options = (np.int32(kind), np.int32(order), grad.dtype.type(param), np.int32(reduction))
    args = (*arrays, grad, *options, np.int64(n))
    launch(MODULE, f"pair_loss_bwd<{t}>", *grid_for(n), 0, args)
    return grad


ENTRIES = {"pair_loss": pair_loss, "pair_loss_bwd": pair_loss_bwd}
