"""Launchers of random.cu: dropout, uniform, normal, bernoulli, randint, permutation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    CXX_NAME,
    MAX_DIMS,
    THREADS,
    Fault,
    address,
    blocks_for,
    check_floats,
    contiguous,
    grid_for,
    size_of,
)
from .launch import Module, launch
from .sort import order_of

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_ONE_BUCKET, _BUCKET, _MOST_BITS = 512, 256, 12  # as in kernels/cpu/random.cpp
_FILLS = (
    "random_fill<Uniform, float, float>",
    "random_fill<Uniform, double, double>",
    "random_fill<Normal, float, double>",
    "random_fill<Normal, double, double>",
)
MODULE = Module(
    "random.cu",
    [
        *(f"{kernel}<{t}>" for kernel in ("dropout", "bernoulli") for t in _TYPES),
        *_FILLS,
        "randint",
        "permutation_keys",
        "permutation_edges",
        "permutation_shuffle",
    ],
)


def dropout(x: Any, p: float, seed: int, offset: int) -> Any:
    """x / (1 - p) where the element's random number is at least p, else 0."""
    t = check_floats("dropout", x=x)
    if not 0 <= p <= 1:
        raise Fault("dropout", "shape", 1)
    x = contiguous(x)
    y = memory.empty(x.shape, x.dtype)
    n = y.size
    if n == 0:
        return y
    limit = np.uint32(math.ceil(p * 16777216.0))
    scale = y.dtype.type(1 / (1 - p) if p < 1 else 0)
    state = (np.uint64(seed), np.uint64(offset))
    args = (x, y, limit, scale, *state, np.int64(n), np.int32((address(x) | address(y)) % 16 == 0))
    launch(MODULE, f"dropout<{t}>", (blocks_for(-(-n // 4)),), (THREADS,), 0, args)
    return y


def _fill(
    kernel: str,
    distribution: str,
    shape: tuple[int, ...],
    parameters: tuple[Any, Any],
    seed: int,
    offset: int,
    dtype: np.dtype[Any],
) -> Any:
    """An array of random numbers; the parameters are NumPy scalars of the kernel's types."""
    if len(shape) > MAX_DIMS:
        raise Fault(kernel, "ndim", len(shape))
    size_of(kernel, shape)
    y = memory.empty(tuple(shape), dtype)
    n = y.size
    if n == 0:
        return y
    types = f"{CXX_NAME[dtype]}, {CXX_NAME[parameters[0].dtype]}"
    counters = -(-n // (4 if dtype.itemsize == 4 else 2))
    args = (y, *parameters, np.uint64(seed), np.uint64(offset), np.int64(n))
    name = f"random_fill<{distribution}, {types}>"
    launch(MODULE, name, (blocks_for(counters),), (THREADS,), 0, args)
    return y


def _float_dtype(kernel: str, dtype: Any) -> np.dtype[Any]:
    dtype = np.dtype(dtype)
    if CXX_NAME.get(dtype) not in _TYPES:
        raise Fault(kernel, "dtype")
    return dtype


def uniform(
    shape: tuple[int, ...], low: float, high: float, seed: int, offset: int, dtype: Any
) -> Any:
    """Random numbers in [low, high)."""
    dtype = _float_dtype("uniform", dtype)
    # The difference is taken in float64 and rounded once, as on every device.
    parameters = (dtype.type(low), dtype.type(float(high) - float(low)))
    return _fill("uniform", "Uniform", shape, parameters, seed, offset, dtype)


def normal(
    shape: tuple[int, ...], mean: float, std: float, seed: int, offset: int, dtype: Any
) -> Any:
    """Normal random numbers."""
    dtype = _float_dtype("normal", dtype)
    parameters = (np.float64(mean), np.float64(std))
    return _fill("normal", "Normal", shape, parameters, seed, offset, dtype)


def bernoulli(p: Any, seed: int, offset: int) -> Any:
    """1 with probability p, else 0."""
    t = check_floats("bernoulli", p=p)
    p = contiguous(p)
    y = memory.empty(p.shape, p.dtype)
    n = y.size
    if n:
        aligned = np.int32((address(p) | address(y)) % 16 == 0)
        args = (p, y, np.uint64(seed), np.uint64(offset), np.int64(n), aligned)
        launch(MODULE, f"bernoulli<{t}>", (blocks_for(-(-n // 4)),), (THREADS,), 0, args)
    return y


def randint(shape: tuple[int, ...], low: int, high: int, seed: int, offset: int) -> Any:
    """Whole numbers in [low, high)."""
    if low >= high:
        raise Fault("randint", "shape", 1)
    size_of("randint", shape)
    y = memory.empty(tuple(shape), np.dtype(np.int64))
    n = y.size
    if n:
        options = (np.int64(low), np.uint64(high - low), np.uint64(seed), np.uint64(offset))
        blocks = blocks_for(-(-n // 2))
        launch(MODULE, "randint", (blocks,), (THREADS,), 0, (y, *options, np.int64(n)))
    return y


def permutation(shape: tuple[int, ...], seed: int, offset: int) -> Any:
    """The whole numbers from 0 to n - 1 in random order."""
    n = size_of("permutation", shape)
    if n == 0:
        return memory.empty(tuple(shape), np.dtype(np.int64))
    bits = 0  # as the CPU's bucket_bits
    while n > _ONE_BUCKET and bits < _MOST_BITS and n >> bits > _BUCKET:
        bits += 1
    keys = memory.empty((n,), np.dtype(np.int64))
    state = (np.uint64(seed), np.uint64(offset))
    args = (keys, np.int32(bits), *state, np.int64(n))
    launch(MODULE, "permutation_keys", *grid_for(-(-n // 4)), 0, args)
    y = order_of("permutation", keys, n, False)
    base = np.uint64((offset + (n + 3) // 4) % 2**64)
    buckets = np.int64(1 << bits)
    edges = memory.empty((int(buckets) + 1,), np.dtype(np.int64))
    args = (keys, y, edges, buckets, np.int64(n))
    launch(MODULE, "permutation_edges", *grid_for(edges.size), 0, args)
    args = (edges, y, np.uint64(seed), base, buckets)
    launch(MODULE, "permutation_shuffle", *grid_for(int(buckets)), 0, args)
    return y.reshape(tuple(shape))


ENTRIES = {
    "permutation": permutation,
    "dropout": dropout,
    "uniform": uniform,
    "normal": normal,
    "bernoulli": bernoulli,
    "randint": randint,
}
