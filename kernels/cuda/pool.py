"""Launchers of pool.cu: max_pool, max_pool_bwd, max_pool_gather, avg_pool, avg_pool_bwd."""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import THREADS, Fault, blocks_for, check_arrays, check_floats, contiguous, size_of
from .launch import Module, index_flag, launch, raise_index_error

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")

MODULE = Module(
    "pool.cu",
    [
        *(
            f"{kernel}<{t}, {spatial}>"
            for kernel in ("max_pool", "max_pool_bwd", "avg_pool", "avg_pool_bwd")
            for t in _TYPES
            for spatial in (1, 2, 3)
        ),
        *(f"max_pool_gather<{t}>" for t in _TYPES),
    ],
)

_Ints = tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def _window(
    kernel: str,
    in_shape: _Ints,
    out_shape: _Ints,
    size: _Ints,
    stride: _Ints,
    padding: _Ints,
    dilation: _Ints,
) -> bytes:
    """The kernel's Window; Fault if shapes and options do not fit together."""
    spatial = len(in_shape) - 2
    options = (in_shape[2:], out_shape[2:], size, stride, padding, dilation)
    least = (0, 0, 1, 1, 0, 1)
    if (
        not 1 <= spatial <= 3
        or len(out_shape) != len(in_shape)
        or in_shape[:2] != out_shape[:2]
        or any(len(option) != spatial for option in options)
        or any(min(option) < low for option, low in zip(options, least, strict=True))
        or any(max(option) >= 2**62 for option in options)
    ):
        raise Fault(kernel, "shape", 0)
    planes = (math.prod(in_shape[2:]), math.prod(out_shape[2:]))
    numbers = [v for option in options for v in option]
    return struct.pack(f"{len(numbers) + 2}q", *numbers, *planes)


def _int32_indices(kernel: str, indices: Any) -> None:
    check_arrays(kernel, indices=indices)
    if indices.dtype != np.int32:
        raise Fault(kernel, "dtype")


def max_pool(
    x: Any, out_shape: _Ints, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints
) -> tuple[Any, Any]:
    """(y, int32 indices): each window's maximum, and its first place in the plane."""
    t = check_floats("max_pool", x=x)
    size_of("max_pool", out_shape)
    window = _window("max_pool", x.shape, out_shape, kernel, stride, padding, dilation)
    y = memory.empty(out_shape, x.dtype)
    indices = memory.empty(out_shape, np.dtype(np.int32))
    n = y.size
    if n:
        if not 0 < math.prod(x.shape[2:]) < 2**31:
            raise Fault("max_pool", "shape", 0)
        args = (contiguous(x), y, indices, window, np.int64(n))
        name = f"max_pool<{t}, {x.ndim - 2}>"
        launch(MODULE, name, (blocks_for(n),), (THREADS,), 0, args)
    return y, indices


def max_pool_bwd(
    grad_y: Any,
    indices: Any,
    x_shape: _Ints,
    kernel: _Ints,
    stride: _Ints,
    padding: _Ints,
    dilation: _Ints,
) -> Any:
    """Each input element's sum of grad_y over the windows whose maximum it is."""
    t = check_floats("max_pool_bwd", grad_y=grad_y)
    _int32_indices("max_pool_bwd", indices)
    size_of("max_pool_bwd", x_shape)
    window = _window("max_pool_bwd", x_shape, grad_y.shape, kernel, stride, padding, dilation)
    if indices.size != grad_y.size:
        raise Fault("max_pool_bwd", "shape", 1)
    if math.prod(x_shape[2:]) >= 2**31:
        raise Fault("max_pool_bwd", "shape", 0)
    grad_x = memory.empty(x_shape, grad_y.dtype)
    n, outputs = grad_x.size, grad_y.size
    if n or outputs:
        sizes = (np.int64(n), np.int64(outputs))
        arrays = (contiguous(grad_y), contiguous(indices), grad_x)
        args = (*arrays, window, *sizes, index_flag())
        name = f"max_pool_bwd<{t}, {grad_y.ndim - 2}>"
        launch(MODULE, name, (blocks_for(max(n, outputs)),), (THREADS,), 0, args)
        raise_index_error("max_pool_bwd")
    return grad_x


def max_pool_gather(x: Any, indices: Any) -> Any:
    """The elements of each plane of x at the indices."""
    t = check_floats("max_pool_gather", x=x)
    _int32_indices("max_pool_gather", indices)
    if x.ndim < 2 or x.ndim != indices.ndim or x.shape[:2] != indices.shape[:2]:
        raise Fault("max_pool_gather", "shape", 1)
    y = memory.empty(indices.shape, x.dtype)
    n = y.size
    if n:
        sizes = (math.prod(x.shape[2:]), math.prod(indices.shape[2:]), n)
        arrays = (contiguous(x), contiguous(indices), y)
        args = (*arrays, *map(np.int64, sizes), index_flag())
        launch(MODULE, f"max_pool_gather<{t}>", (blocks_for(n),), (THREADS,), 0, args)
        raise_index_error("max_pool_gather")
    return y


def avg_pool(
    x: Any,
    out_shape: _Ints,
    kernel: _Ints,
    stride: _Ints,
    padding: _Ints,
    count_include_pad: bool,
    divisor: int,
) -> Any:
    """Each window's average; `divisor` 0 divides by the window's size."""
    t = check_floats("avg_pool", x=x)
    size_of("avg_pool", out_shape)
    ones = (1,) * (x.ndim - 2)
    window = _window("avg_pool", x.shape, out_shape, kernel, stride, padding, ones)
    y = memory.empty(out_shape, x.dtype)
    n = y.size
    if n:
        options = (np.int32(bool(count_include_pad)), np.int64(divisor), np.int64(n))
        args = (contiguous(x), y, window, *options)
        name = f"avg_pool<{t}, {x.ndim - 2}>"
        launch(MODULE, name, (blocks_for(n),), (THREADS,), 0, args)
    return y


def avg_pool_bwd(
    grad_y: Any,
    x_shape: _Ints,
    kernel: _Ints,
    stride: _Ints,
    padding: _Ints,
    count_include_pad: bool,
    divisor: int,
) -> Any:
    """The adjoint of avg_pool."""
    t = check_floats("avg_pool_bwd", grad_y=grad_y)
    size_of("avg_pool_bwd", x_shape)
    ones = (1,) * (grad_y.ndim - 2)
    window = _window("avg_pool_bwd", x_shape, grad_y.shape, kernel, stride, padding, ones)
    grad_x = memory.empty(x_shape, grad_y.dtype)
    n = grad_x.size
    if n:
        options = (np.int32(bool(count_include_pad)), np.int64(divisor), np.int64(n))
        args = (contiguous(grad_y), grad_x, window, *options)
        name = f"avg_pool_bwd<{t}, {grad_y.ndim - 2}>"
        launch(MODULE, name, (blocks_for(n),), (THREADS,), 0, args)
    return grad_x


ENTRIES = {
    "max_pool": max_pool,
    "max_pool_bwd": max_pool_bwd,
    "max_pool_gather": max_pool_gather,
    "avg_pool": avg_pool,
    "avg_pool_bwd": avg_pool_bwd,
}
