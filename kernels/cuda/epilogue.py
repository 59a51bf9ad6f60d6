"""Launcher of epilogue.cu."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from . import memory
from .arguments import THREADS, Fault, blocks_for, check_floats, contiguous, size_of
from .launch import Module, launch
from .reduce import team_of

__all__ = ["ACTIVATIONS", "ENTRIES"]

MODULE = Module(
    "epilogue.cu",
    [f"{kernel}<{t}>" for kernel in ("channel_slopes", "fold_slopes") for t in ("float", "double")],
)
#: How many there are: enum Activation of epilogue.cuh.
ACTIVATIONS = 6
#: A sum is cut into chunks until there are about this many blocks, each with this many elements
#: for every thread.
_MANY_BLOCKS = 512
_ELEMENTS_PER_THREAD = 32
_MAX_BLOCKS = 1 << 20


def epilogue_bwd(
    grad_y: Any, value: Any, sums_shape: tuple[int, ...], dim: int, activation: int
) -> tuple[Any, Any]:
    """(grad_y f'(z), its sums over all dims but `dim`)."""
    name = "epilogue_bwd"
    t = check_floats(name, grad_y=grad_y, value=value)
    if grad_y.size != value.size:
        raise Fault(name, "shape", 0)
    if not 0 <= dim < value.ndim or size_of(name, sums_shape) != value.shape[dim]:
        raise Fault(name, "shape", 2)
    if not 0 <= activation < ACTIVATIONS:
        raise Fault(name, "shape", 4)
    grad_z = memory.empty(value.shape, value.dtype)
    if value.size == 0:
        from . import copy

        return grad_z, copy.full(tuple(sums_shape), 0.0, value.dtype)
    sums = memory.empty(tuple(sums_shape), value.dtype)
    outer, channels, inner = prod(value.shape[:dim]), value.shape[dim], prod(value.shape[dim + 1 :])
    count, along = outer * inner, inner > 1
    lanes, slots = team_of(channels, count, along)
    blocks = min(-(-channels // slots), _MAX_BLOCKS)
    chunks = max(1, min(count // (lanes * _ELEMENTS_PER_THREAD), _MANY_BLOCKS // blocks))
    chunk = -(-count // chunks)
    chunks = -(-count // chunk)
    partials = memory.empty((chunks, channels), np.dtype(np.float64))
    arrays = (contiguous(grad_y), contiguous(value), grad_z, partials)
    sizes = tuple(np.int64(n) for n in (outer, channels, inner, chunk))
    args = (*arrays, *sizes, np.int32(activation), np.int32(lanes), np.int32(along))
    launch(MODULE, f"channel_slopes<{t}>", (blocks, chunks), (lanes * slots,), 0, args)
    counts = (np.int64(channels), np.int64(chunks))
    fold = (blocks_for(channels),), (THREADS,), 0, (partials, sums, *counts)
    launch(MODULE, f"fold_slopes<{t}>", *fold)
    return grad_z, sums


ENTRIES = {"epilogue_bwd": epilogue_bwd}
