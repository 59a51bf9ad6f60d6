"""Launchers of index.cu: taking and putting by index, nonzero, triangle."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    BITS,
    CXX_NAME,
    MAX_DIMS,
    Fault,
    check_arrays,
    contiguous,
    element_strides,
    grid_for,
    operand_strides,
    size_of,
    strided_loop,
)
from .launch import Module, index_flag, launch, raise_index_error
from .sort import order_of

__all__ = ["ENTRIES"]

_INT64 = np.dtype(np.int64)
_COUNTED = 256  # kCounted in index.cu
#: scatter_sum compares every element with so many indices at most, and sorts more of them.
_FEW = 16
_NUMBERS = ("float", "double", "long long")

MODULE = Module(
    "index.cu",
    [
        *(
            f"{kernel}<{bits}>"
            for kernel in ("take", "put_into", "gather_dim", "count_set", "nonzero", "triangle")
            for bits in BITS.values()
        ),
        *(f"{kernel}<{t}>" for kernel in ("index_sum", "scatter_few") for t in _NUMBERS),
        "put_last",
        "index_flat",
        "flat_along",
        "count_before",
    ],
)


def _along(kernel: str, shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    """The shape as (outer, extent, inner)."""
    if not 0 <= dim < len(shape):
        raise Fault(kernel, "shape", 0)
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :])


def _bits(kernel: str, x: Any) -> str:
    bits = BITS.get(x.itemsize)
    if bits is None:
        raise Fault(kernel, "dtype")
    return bits


def _number(kernel: str, x: Any) -> str:
    t = CXX_NAME.get(x.dtype, "")
    if t not in _NUMBERS:
        raise Fault(kernel, "dtype")
    return t


def _check_index(kernel: str, index: Any) -> None:
    check_arrays(kernel, index=index)
    if index.dtype != _INT64:
        raise Fault(kernel, "dtype")


def _fill(array: Any, value: int) -> None:
    from .copy import copy_into

    copy_into(array, value)


def take(x: Any, index: Any, dim: int, skip: int, out_shape: tuple[int, ...]) -> Any:
    """The elements of x at the index along dim; zeros where it is `skip`."""
    check_arrays("take", x=x)
    _check_index("take", index)
    n = size_of("take", out_shape)
    outer, extent, inner = _along("take", x.shape, dim)
    if n != outer * index.size * inner:
        raise Fault("take", "shape", 1)
    y = memory.empty(tuple(out_shape), x.dtype)
    if n:
        sizes = (extent, index.size, inner, skip, n)
        args = (contiguous(x), contiguous(index), y, *map(np.int64, sizes), index_flag())
        launch(MODULE, f"take<{_bits('take', x)}>", *grid_for(n), 0, args)
        raise_index_error("take")
    return y


def index_sum(grad_y: Any, index: Any, dim: int, skip: int, x_shape: tuple[int, ...]) -> Any:
    """Zeros of x_shape, with grad_y added where the index points along dim."""
    check_arrays("index_sum", grad_y=grad_y)
    _check_index("index_sum", index)
    t = _number("index_sum", grad_y)
    size_of("index_sum", x_shape)
    outer, extent, inner = _along("index_sum", tuple(x_shape), dim)
    n = grad_y.size
    if n != outer * index.size * inner:
        raise Fault("index_sum", "shape", 1)
    grad_x = memory.empty(tuple(x_shape), grad_y.dtype)
    if grad_x.size:
        _fill(grad_x, 0)
    if n:
        index = contiguous(index)
        order = order_of("index_sum", index, index.size, False)
        sizes = (extent, index.size, inner, skip, n)
        args = (contiguous(grad_y), index, order, grad_x, *map(np.int64, sizes), index_flag())
        launch(MODULE, f"index_sum<{t}>", *grid_for(n), 0, args)
        raise_index_error("index_sum")
    return grad_x


def put_into(dst: Any, src: Any, index: Any, dim: int) -> None:
    """Writes src where the index points along dim; the last of equal indices stays."""
    check_arrays("put_into", dst=dst, src=src)
    _check_index("put_into", index)
    outer, extent, inner = _along("put_into", dst.shape, dim)
    m = index.size
    n = outer * m * inner
    if src.size not in (1, n):
        raise Fault("put_into", "shape", 1)
    if n == 0:
        return
    index = contiguous(index)
    last = memory.empty((max(extent, 1),), _INT64)
    _fill(last, -1)
    args = (index, last, np.int64(extent), np.int64(m), index_flag())
    launch(MODULE, "put_last", *grid_for(m), 0, args)
    raise_index_error("put_into")
    strides = element_strides(dst)
    shape = (*dst.shape[:dim], m, *dst.shape[dim + 1 :])
    loop = strided_loop(shape, (*strides[:dim], 0, *strides[dim + 1 :]))
    sizes = map(np.int64, (extent, m, inner, strides[dim]))
    one = np.int32(src.size == 1)
    args = (dst, contiguous(src), index, last, loop, *sizes, one, np.int64(n))
    launch(MODULE, f"put_into<{_bits('put_into', dst)}>", *grid_for(n), 0, args)


def put(x: Any, src: Any, index: Any, dim: int) -> Any:
    """A copy of x with src where the index points along dim."""
    from .copy import copy

    check_arrays("put", x=x, src=src)
    y = copy(x, x.dtype)
    put_into(y, src, index, dim)
    return y


def index_flat(indices: Any, sizes: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """Several indices as one of the flattened dims; negative ones count from the end."""
    check_arrays("index_flat", **{f"indices[{i}]": x for i, x in enumerate(indices)})
    if len(indices) != len(sizes) or not indices:
        raise Fault("index_flat", "shape", 0)
    n = size_of("index_flat", out_shape)
    flat = memory.empty(tuple(out_shape), _INT64)
    for i, (index, limit) in enumerate(zip(indices, sizes, strict=True)):
        lead = len(out_shape) - index.ndim
        if index.dtype != _INT64:
            raise Fault("index_flat", "dtype")
        if lead < 0 or any(
            m not in (1, k) for m, k in zip(index.shape, out_shape[lead:], strict=True)
        ):
            raise Fault("index_flat", "shape", i)
        if n == 0:
            continue
        loop = strided_loop(tuple(out_shape), operand_strides(index, tuple(out_shape)))
        args = (index, flat, loop, np.int64(limit), np.int32(i == 0), np.int64(n), index_flag())
        launch(MODULE, "index_flat", *grid_for(n), 0, args)
        raise_index_error("index_flat")
    return flat


def flat_along(indices: Any, x_shape: tuple[int, ...], dim: int) -> Any:
    """The places in x.flat that indices along dim mean; they may be fewer in other dims."""
    _check_index("flat_along", indices)
    if indices.ndim != len(x_shape) or not 0 <= dim < indices.ndim:
        raise Fault("flat_along", "shape", 0)
    if any(m > n for d, (m, n) in enumerate(zip(indices.shape, x_shape, strict=True)) if d != dim):
        raise Fault("flat_along", "shape", 0)
    size_of("flat_along", x_shape)
    flat = memory.empty(indices.shape, _INT64)
    n = indices.size
    if n:
        steps = [math.prod(x_shape[d + 1 :]) for d in range(len(x_shape))]
        step = steps[dim]
        steps[dim] = 0
        loop = strided_loop(indices.shape, tuple(steps))
        sizes = (np.int64(x_shape[dim]), np.int64(step), np.int64(n))
        args = (contiguous(indices), flat, loop, *sizes, index_flag())
        launch(MODULE, "flat_along", *grid_for(n), 0, args)
        raise_index_error("flat_along")
    return flat


def gather_dim(x: Any, indices: Any, dim: int, out_shape: tuple[int, ...]) -> Any:
    """The elements of x at the indices along dim."""
    check_arrays("gather_dim", x=x)
    _check_index("gather_dim", indices)
    n = size_of("gather_dim", out_shape)
    outer, extent, inner = _along("gather_dim", x.shape, dim)
    if indices.size != n:
        raise Fault("gather_dim", "shape", 1)
    y = memory.empty(tuple(out_shape), x.dtype)
    if n == 0:
        return y
    if outer * inner == 0 or n % (outer * inner):
        raise Fault("gather_dim", "shape", 1)
    loop = strided_loop((outer, n // (outer * inner), inner), (extent * inner, 0, 1))
    sizes = (np.int64(extent), np.int64(inner), np.int64(n))
    args = (contiguous(x), contiguous(indices), y, loop, *sizes, index_flag())
    launch(MODULE, f"gather_dim<{_bits('gather_dim', x)}>", *grid_for(n), 0, args)
    raise_index_error("gather_dim")
    return y


def scatter_sum(src: Any, indices: Any, x_shape: tuple[int, ...], dim: int) -> Any:
    """Zeros of x_shape, with src added where the indices point along dim."""
    check_arrays("scatter_sum", src=src)
    _check_index("scatter_sum", indices)
    t = _number("scatter_sum", src)
    size_of("scatter_sum", x_shape)
    outer, extent, inner = _along("scatter_sum", tuple(x_shape), dim)
    columns = outer * inner
    if indices.size != src.size:
        raise Fault("scatter_sum", "shape", 1)
    if src.size % columns if columns else src.size:
        raise Fault("scatter_sum", "shape", 0)
    y = memory.empty(tuple(x_shape), src.dtype)
    taken = src.size // columns if columns else 0
    if taken > _FEW and y.size:
        shape = (outer, extent, inner)
        flat = flat_along(contiguous(indices).reshape((outer, taken, inner)), shape, 1)
        summed = index_sum(
            contiguous(src).reshape((-1,)), flat.reshape((-1,)), 0, -1, (math.prod(shape),)
        )
        return summed.reshape(tuple(x_shape))
    n = columns * max(extent, 1)
    if n:
        sizes = (extent, taken, inner, n)
        args = (contiguous(src), contiguous(indices), y, *map(np.int64, sizes), index_flag())
        launch(MODULE, f"scatter_few<{t}>", *grid_for(n), 0, args)
        raise_index_error("scatter_sum")
    return y


def put_dim(x: Any, src: Any, indices: Any, dim: int) -> Any:
    """A copy of x with src where the indices point along dim; the last of equal ones stays."""
    check_arrays("put_dim", x=x, src=src)
    _check_index("put_dim", indices)
    outer, extent, inner = _along("put_dim", x.shape, dim)
    columns, count = outer * inner, indices.size
    if src.size not in (1, count):
        raise Fault("put_dim", "shape", 1)
    if count % columns if columns else count:
        raise Fault("put_dim", "shape", 2)
    shape = (outer, extent, inner)
    taken = count // columns if columns else 0
    flat = flat_along(contiguous(indices).reshape((outer, taken, inner)), shape, 1)
    whole = contiguous(x).reshape((x.size,))
    y = put(whole, contiguous(src).reshape((src.size,)), flat.reshape((count,)), 0)
    return y.reshape(x.shape)


def _counts(kernel: str, x: Any) -> Any:
    """For each block of _COUNTED elements how many before it are not 0; behind them all of them."""
    blocks = -(-x.size // _COUNTED)
    counts = memory.empty((max(blocks, 1),), _INT64)
    before = memory.empty((blocks + 1,), _INT64)
    if blocks:
        floating = np.int32(x.dtype.kind not in "iub")
        args = (contiguous(x), counts, floating, np.int64(x.size))
        launch(MODULE, f"count_set<{_bits(kernel, x)}>", (blocks,), (_COUNTED,), 0, args)
    args = (counts, before, np.int64(blocks))
    launch(MODULE, "count_before", (1,), (_COUNTED,), 0, args)
    return before


def nonzero_count(x: Any) -> Any:
    """How many elements are not 0."""
    check_arrays("nonzero_count", x=x)
    before = _counts("nonzero_count", x)
    return memory.strided(before[before.size - 1 :], (), ())


def nonzero(x: Any, out_shape: tuple[int, ...]) -> Any:
    """The indices of the elements that are not 0, in C order."""
    check_arrays("nonzero", x=x)
    if len(out_shape) != 2 or out_shape[1] != x.ndim:
        raise Fault("nonzero", "shape", 0)
    indices = memory.empty(tuple(out_shape), _INT64)
    if indices.size and x.size:
        before = _counts("nonzero", x)
        digits = struct.pack(f"i4x{MAX_DIMS}q", x.ndim, *x.shape, *(0,) * (MAX_DIMS - x.ndim))
        floating = np.int32(x.dtype.kind not in "iub")
        sizes = (np.int64(out_shape[0]), np.int64(x.size))
        args = (contiguous(x), before, indices, digits, floating, *sizes)
        blocks = -(-x.size // _COUNTED)
        launch(MODULE, f"nonzero<{_bits('nonzero', x)}>", (blocks,), (_COUNTED,), 0, args)
    return indices


def triangle(x: Any, diagonal: int, upper: bool) -> Any:
    """x on one side of a diagonal, 0 on the other."""
    check_arrays("triangle", x=x)
    if x.ndim < 2:
        raise Fault("triangle", "shape", 0)
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        sizes = map(np.int64, (x.shape[-2], x.shape[-1], diagonal))
        args = (contiguous(x), y, *sizes, np.int32(upper), np.int64(y.size))
        launch(MODULE, f"triangle<{_bits('triangle', x)}>", *grid_for(y.size), 0, args)
    return y


ENTRIES = {
    "take": take,
    "index_sum": index_sum,
    "put": put,
    "put_into": put_into,
    "put_dim": put_dim,
    "index_flat": index_flat,
    "flat_along": flat_along,
    "gather_dim": gather_dim,
    "scatter_sum": scatter_sum,
    "nonzero_count": nonzero_count,
    "nonzero": nonzero,
    "triangle": triangle,
}
