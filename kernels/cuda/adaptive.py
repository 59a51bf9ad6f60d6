"""Launchers of adaptive.cu: adaptive_avg_pool, adaptive_avg_pool_bwd, adaptive_max_pool.

max_unpool is made of the index family's kernels.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

import numpy as np

from . import copy, index, memory
from .arguments import THREADS, Fault, blocks_for, check_floats, contiguous, size_of
from .launch import Module, launch

__all__ = ["ENTRIES"]

MODULE = Module(
    "adaptive.cu",
    [
        f"{kernel}<{t}>"
        for kernel in ("adaptive_avg_pool", "adaptive_avg_pool_bwd", "adaptive_max_pool")
        for t in ("float", "double")
    ],
)

_Ints = tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def _planes(kernel: str, in_shape: _Ints, out_shape: _Ints) -> bytes:
    """The kernel's Planes; Fault if the shapes do not fit together."""
    spatial = len(in_shape) - 2
    if (
        not 1 <= spatial <= 3
        or len(out_shape) != len(in_shape)
        or in_shape[:2] != out_shape[:2]
        or min(*in_shape, *out_shape) < 0
    ):
        raise Fault(kernel, "shape", 0)
    ones = (1,) * (3 - spatial)
    sizes = (math.prod(in_shape[2:]), math.prod(out_shape[2:]))
    return struct.pack("8q", *ones, *in_shape[2:], *ones, *out_shape[2:], *sizes)


def _pool(kernel: str, x: Any, out_shape: _Ints, *more: Any) -> Any:
    """Launches a forward kernel whose results are y and `more`."""
    t = check_floats(kernel, x=x)
    size_of(kernel, out_shape)
    planes = _planes(kernel, x.shape, tuple(out_shape))
    y = memory.empty(out_shape, x.dtype)
    if y.size:
        if not 0 < math.prod(x.shape[2:]) < 2**31:
            raise Fault(kernel, "shape", 0)
        args = (contiguous(x), y, *more, planes, np.int64(y.size))
        launch(MODULE, f"{kernel}<{t}>", (blocks_for(y.size),), (THREADS,), 0, args)
    return y


def adaptive_avg_pool(x: Any, out_shape: _Ints) -> Any:
    """The averages over windows that cut the planes of x into out_shape."""
    return _pool("adaptive_avg_pool", x, out_shape)


def adaptive_avg_pool_bwd(grad_y: Any, x_shape: _Ints) -> Any:
    """The adjoint of adaptive_avg_pool."""
    kernel = "adaptive_avg_pool_bwd"
    t = check_floats(kernel, grad_y=grad_y)
    size_of(kernel, x_shape)
    planes = _planes(kernel, tuple(x_shape), grad_y.shape)
    grad_x = memory.empty(x_shape, grad_y.dtype)
    if grad_x.size:
        args = (contiguous(grad_y), grad_x, planes, np.int64(grad_x.size))
        launch(MODULE, f"{kernel}<{t}>", (blocks_for(grad_x.size),), (THREADS,), 0, args)
    return grad_x


def adaptive_max_pool(x: Any, out_shape: _Ints) -> tuple[Any, Any]:
    """(y, int32 indices): the maxima over the same windows, and where in the plane they stood."""
    size_of("adaptive_max_pool", out_shape)
    indices = memory.empty(out_shape, np.dtype(np.int32))
    return _pool("adaptive_max_pool", x, out_shape, indices), indices


def max_unpool(x: Any, indices: Any, out_shape: _Ints) -> Any:
    """Zeros of out_shape, with x where the int64 indices say; the last of equal ones."""
    kernel = "max_unpool"
    check_floats(kernel, x=x)
    size_of(kernel, out_shape)
    _planes(kernel, x.shape, tuple(out_shape))
    if type(indices) is not type(x):
        raise Fault(kernel, "not_array", ("indices", type(indices).__name__))
    if indices.dtype != np.int64:
        raise Fault(kernel, "dtype")
    if indices.size != x.size:
        raise Fault(kernel, "shape", 1)
    y = copy.full(tuple(out_shape), 0, x.dtype)
    if x.size:
        planes, taken = math.prod(x.shape[:2]), math.prod(x.shape[2:])
        flat_shape = (planes, math.prod(out_shape[2:]), 1)
        places = contiguous(indices).reshape((planes, taken, 1))
        flat = index.flat_along(places, flat_shape, 1).reshape((-1,))
        index.put_into(y.reshape((-1,)), contiguous(x).reshape((-1,)), flat, 0)
    return y


ENTRIES = {
    "max_unpool": max_unpool,
    "adaptive_avg_pool": adaptive_avg_pool,
    "adaptive_avg_pool_bwd": adaptive_avg_pool_bwd,
    "adaptive_max_pool": adaptive_max_pool,
}
