"""Launchers of copy.cu: copy, convert, copy_into, full, slice_bwd, cat."""

from __future__ import annotations

import functools
import struct
from math import prod
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    MAX_DIMS,
    Fault,
    address,
    check_arrays,
    cxx_name,
    element_strides,
    grid_for,
    merge_dims,
    operand_strides,
    size_of,
    strided_loop,
)
from .launch import Module, launch

__all__ = ["ENTRIES", "cat", "copy", "copy_into", "full", "slice_bwd"]

#: Item size -> the type that moves elements of one dtype, and its NumPy scalar.
_BITS = {
    1: ("unsigned char", np.uint8),
    2: ("unsigned short", np.uint16),
    4: ("unsigned", np.uint32),
    8: ("unsigned long long", np.uint64),
}

#: As in copy.cu.
_TILE = 32
_TILE_THREADS = 256

#: C++ name of a dtype -> its number in copy.cu.
_CODES = {
    name: np.int32(i)
    for i, name in enumerate(
        (
            *("float", "double", "int", "long long", "bool"),
            *("unsigned char", "signed char", "short", "gs::Half", "gs::BFloat16"),
        )
    )
}
_COMMON = tuple(_CODES)[:5]
#: The conversions with a kernel of their own; the others take the source's dtype as a number.
_PAIRS = {(to, source) for to in _COMMON for source in _COMMON if to != source} | {
    *(("float", narrow) for narrow in ("gs::Half", "gs::BFloat16", "unsigned char")),
    *((half, "float") for half in ("gs::Half", "gs::BFloat16")),
}

MODULE = Module(
    "copy.cu",
    [
        "copy_bytes",
        *(f"copy_bits<{bits}>" for bits, _ in _BITS.values()),
        *(f"copy_transposed<{bits}>" for bits, _ in _BITS.values()),
        *(f"copy_strided<{to}, {source}>" for to, source in sorted(_PAIRS)),
        *(f"copy_from_any<{to}>" for to in _CODES),
        *(f"fill<{bits}>" for bits, _ in _BITS.values()),
    ],
)


def _converting(kernel: str, to: Any, source: Any) -> tuple[str, tuple[Any, ...]]:
    """The kernel that copies from one dtype to another, and its arguments behind the arrays."""
    to_name, source_name = cxx_name(kernel, to), cxx_name(kernel, source)
    if to == source:
        return f"copy_bits<{_BITS[to.itemsize][0]}>", ()
    if (to_name, source_name) in _PAIRS:
        return f"copy_strided<{to_name}, {source_name}>", ()
    return f"copy_from_any<{to_name}>", (_CODES[source_name],)


def _move(kernel: str, dst: Any, src: Any, shape: tuple[int, ...]) -> None:
    """dst = src, broadcast to `shape`, dst's shape; no overlap, no repeated destination."""
    name, more = _converting(kernel, dst.dtype, src.dtype)
    n = dst.size
    if n == 0:
        return
    if (
        dst.dtype == src.dtype
        and src.size == n
        and dst.flags.c_contiguous
        and src.flags.c_contiguous
        and not (address(dst) | address(src)) % 16
    ):
        grid, block = grid_for(dst.nbytes // 16 + 16)  # and the bytes behind the last 16
        launch(MODULE, "copy_bytes", grid, block, 0, (dst, src, np.int64(dst.nbytes)))
        return
    strides = element_strides(dst), operand_strides(src, shape)
    if dst.dtype == src.dtype and (found := _transpose(shape, *strides)) is not None:
        blocks, description, batches = found
        name = f"copy_transposed<{_BITS[dst.itemsize][0]}>"
        launch(MODULE, name, (blocks,), (_TILE_THREADS,), 0, (dst, src, description, batches))
        return
    loop = strided_loop(shape, *strides)
    launch(MODULE, name, *grid_for(n), 0, (dst, src, *more, loop, np.int64(n)))


@functools.lru_cache(maxsize=1024)
def _transpose(
    shape: tuple[int, ...], dst: tuple[int, ...], src: tuple[int, ...]
) -> tuple[int, bytes, bytes] | None:
    """Blocks, Transpose (copy.cu) and batches, if dst and src run fast along different dims."""
    shape, (dst, src) = merge_dims(shape, dst, src)
    if 1 not in dst or 1 not in src:
        return None
    row, column = dst.index(1), src.index(1)
    if row == column or min(shape[row], shape[column]) < _TILE // 2:
        return None
    others = [d for d in range(len(shape)) if d not in (row, column)]
    batch_shape, batch_dst, batch_src = (tuple(v[d] for d in others) for v in (shape, dst, src))
    tiles = -(-shape[row] // _TILE), -(-shape[column] // _TILE)
    description = struct.pack("6q", shape[row], shape[column], dst[column], src[row], *tiles)
    blocks = prod(tiles) * prod(batch_shape)
    return blocks, description, strided_loop(batch_shape, batch_dst, batch_src)


def _fill(dst: Any, value: Any) -> None:
    """Sets a contiguous array to a NumPy scalar of its dtype."""
    if dst.size == 0:
        return
    bits, scalar = _BITS[dst.itemsize]
    launch(
        MODULE,
        f"fill<{bits}>",
        *grid_for(dst.size),
        0,
        (dst, np.frombuffer(value.tobytes(), scalar)[0], np.int64(dst.size)),
    )


def copy(x: Any, dtype: Any) -> Any:
    """A contiguous copy of x in another dtype."""
    return _copied("copy", x, dtype)


def convert(x: Any, dtype: Any) -> Any:
    """The same; launchers.py makes it one in x's order of memory."""
    return _copied("convert", x, dtype)


def _copied(kernel: str, x: Any, dtype: Any) -> Any:
    check_arrays(kernel, x=x)
    dtype = np.dtype(dtype)
    _converting(kernel, dtype, x.dtype)
    y = memory.empty(x.shape, dtype)
    _move(kernel, y, x, y.shape)
    return y


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> Any:
    """An array of one value."""
    dtype = np.dtype(dtype)
    cxx_name("full", dtype)
    if len(shape) > MAX_DIMS:
        raise Fault("full", "ndim", len(shape))
    size_of("full", shape)
    y = memory.empty(tuple(shape), dtype)
    _fill(y, _converted(value, dtype))
    return y


def _converted(value: Any, dtype: Any) -> Any:
    """A Python number as a NumPy scalar, converted as the kernels do."""
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        if dtype.itemsize < 4:  # the low bits; as the kernels do
            whole = int(value) if -(2.0**31) <= value < 2.0**31 or type(value) is int else 0
            return dtype.type((whole - int(ends.min)) % 2 ** (8 * dtype.itemsize) + int(ends.min))
        if isinstance(value, float):
            if value != value:
                return dtype.type(ends.min)
            value = max(float(ends.min), min(value, float(ends.max)))
        return dtype.type(min(max(int(value), int(ends.min)), int(ends.max)))
    with np.errstate(over="ignore"):
        if dtype.itemsize == 2:
            value = np.float32(value)
        return dtype.type(value)


def copy_into(dst: Any, src: Any) -> None:
    """dst[...] = src: src, an array or a number, is broadcast and converted."""
    check_arrays("copy_into", dst=dst)
    if isinstance(src, (bool, int, float)):
        cxx_name("copy_into", dst.dtype)
        if dst.flags.c_contiguous:
            _fill(dst, _converted(src, dst.dtype))
            return
        src = full((), src, dst.dtype)
    check_arrays("copy_into", src=src)
    extra = src.ndim - dst.ndim  # leading dimensions of extent 1 are let go, as in NumPy
    for d, n in enumerate(src.shape):
        if n != 1 and n != (1 if d < extra else dst.shape[d - extra]):
            raise Fault("copy_into", "shape", 1)
    if extra > 0:
        src = src[(0,) * extra]
    if dst.size == 0 or _same_view(dst, src):
        _converting("copy_into", dst.dtype, src.dtype)
        return
    if _overlap(dst, src):
        src = copy(src, src.dtype)
    # Where dst repeats an element, the last of the values written to it stays, as in a loop.
    for d, (n, stride) in enumerate(zip(dst.shape, dst.strides, strict=True)):
        if n > 1 and stride == 0:
            dst = dst[(slice(None),) * d + (slice(n - 1, n),)]
            lead = dst.ndim - src.ndim
            if d >= lead and src.shape[d - lead] == n:
                src = src[(slice(None),) * (d - lead) + (slice(n - 1, n),)]
    _move("copy_into", dst, src, dst.shape)


def _same_view(a: Any, b: Any) -> bool:
    return (
        address(a) == address(b)
        and a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
    )


def _overlap(a: Any, b: Any) -> bool:
    """Whether the addresses that two arrays span have any in common."""

    def span(x: Any) -> tuple[int, int]:
        low = high = address(x)
        for n, stride in zip(x.shape, x.strides, strict=True):
            if stride < 0:
                low += (n - 1) * stride
            else:
                high += (n - 1) * stride
        return low, high + x.itemsize

    (low_a, high_a), (low_b, high_b) = span(a), span(b)
    return low_a < high_b and low_b < high_a


def slice_bwd(
    grad_y: Any, x_shape: tuple[int, ...], start: tuple[int, ...], step: tuple[int, ...]
) -> Any:
    """Zeros of x_shape, with grad_y at x[start::step]."""
    check_arrays("slice_bwd", grad_y=grad_y)
    if not len(start) == len(step) == len(x_shape) == grad_y.ndim:
        raise Fault("slice_bwd", "shape", 0)
    cxx_name("slice_bwd", grad_y.dtype)
    for n, first, by, size in zip(grad_y.shape, start, step, x_shape, strict=True):
        if grad_y.size and not (0 <= first < size and 0 <= first + (n - 1) * by < size):
            raise Fault("slice_bwd", "shape", 0)
    grad_x = memory.empty(tuple(x_shape), grad_y.dtype)
    if grad_x.size != grad_y.size:
        _fill(grad_x, grad_x.dtype.type(0))
    if grad_y.size:
        corner = grad_x[tuple(slice(first, None) for first in start)]
        strides = tuple(stride * by for stride, by in zip(grad_x.strides, step, strict=True))
        _move("slice_bwd", memory.strided(corner, grad_y.shape, strides), grad_y, grad_y.shape)
    return grad_x


def cat(xs: Any, dim: int, out_shape: tuple[int, ...]) -> Any:
    """The arrays one after another along `dim`."""
    check_arrays("cat", **{f"xs[{i}]": x for i, x in enumerate(xs)})
    if not xs or not 0 <= dim < len(out_shape):
        raise Fault("cat", "shape", 0)
    cxx_name("cat", xs[0].dtype)
    end = 0
    for i, x in enumerate(xs):
        wanted = (*out_shape[:dim], x.shape[dim] if x.ndim > dim else -1, *out_shape[dim + 1 :])
        if x.shape != wanted:
            raise Fault("cat", "shape", i)
        end += x.shape[dim]
    if end != out_shape[dim]:
        raise Fault("cat", "shape", 0)
    y = memory.empty(tuple(out_shape), xs[0].dtype)
    start = 0
    for x in xs:
        stop = start + x.shape[dim]
        _move("cat", y[(slice(None),) * dim + (slice(start, stop),)], x, x.shape)
        start = stop
    return y


ENTRIES = {
    "copy": copy,
    "convert": convert,
    "copy_into": copy_into,
    "full": full,
    "slice_bwd": slice_bwd,
    "cat": cat,
}
