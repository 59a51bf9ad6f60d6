"""What launchers do before a launch: check arrays, broadcast, and describe strides to a kernel.

Refusals are `Fault(kernel, kind, details...)`, as the CPU's entries raise them; gradsmith.errors
words both.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..._cpu import Fault
from . import memory

__all__ = [
    "BITS",
    "CXX_NAME",
    "Fault",
    "address",
    "blocks_for",
    "broadcast",
    "check_arrays",
    "check_floats",
    "contiguous",
    "convert_number",
    "cxx_name",
    "element_strides",
    "extent",
    "grid_for",
    "is_number",
    "merge_dims",
    "operand_strides",
    "size_of",
    "strided_loop",
]

MAX_DIMS = 16
#: C++ name of a dtype, as name expressions spell it.
CXX_NAME = {
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
    np.dtype(np.int32): "int",
    np.dtype(np.int64): "long long",
    np.dtype(np.bool_): "bool",
    np.dtype(np.uint8): "unsigned char",
    np.dtype(np.int8): "signed char",
    np.dtype(np.int16): "short",
    np.dtype(np.float16): "gs::Half",
}
#: What no NumPy dtype stands for until bfloat16 is used (`cxx_name`).
_BFLOAT16 = "gs::BFloat16"
#: Item size -> the type that moves elements of any dtype of that size.
BITS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned", 8: "unsigned long long"}
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
#: Loops of this many elements or more divide in 64 bits.
_WIDE_FROM = 2**31

THREADS = 256
#: Enough blocks to fill a large GPU several times over; the rest is the grid-stride loop's.
MAX_BLOCKS = 4096


def cxx_name(kernel: str, dtype: Any) -> str:
    """The C++ name of a dtype; Fault if no kernel has it."""
    found = CXX_NAME.get(dtype)
    if found is None:
        if dtype.name != "bfloat16":
            raise Fault(kernel, "dtype")
        found = CXX_NAME[dtype] = _BFLOAT16
    return found


def is_number(x: Any) -> bool:
    """Whether an operand is a Python number."""
    return isinstance(x, (float, int))


def convert_number(kernel: str, value: Any, dtype: Any) -> Any:
    """A Python number beside an array of this dtype, as its NumPy scalar; integers wrap around.

    Fault if the result is of another dtype: a float beside integers, a number beside bools.
    """
    kind = 0 if dtype.kind == "b" else 1 if dtype.kind in "iu" else 2
    if (0 if isinstance(value, bool) else 1 if isinstance(value, int) else 2) > kind:
        raise Fault(kernel, "dtype_mismatch")
    if kind == 1:
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError(f"{kernel}: an int beside integers must fit into 64 bits")
        bits = 8 * dtype.itemsize
        low = 0 if dtype.kind == "u" else -(1 << (bits - 1))
        return dtype.type((int(value) - low) % (1 << bits) + low)
    with np.errstate(over="ignore"):
        return dtype.type(np.float32(value) if dtype.itemsize == 2 else value)


def check_arrays(kernel: str, **arrays: Any) -> None:
    """Raises Fault unless all are device arrays of one dtype (None passes)."""
    array_type = memory._memory.array_type if memory._memory is not None else ()
    dtype = None
    for name, x in arrays.items():
        if x is None:
            continue
        if type(x) is not array_type:
            raise Fault(kernel, "not_array", (name, type(x).__name__))
        if x.ndim > MAX_DIMS:
            raise Fault(kernel, "ndim", x.ndim)
        if dtype is None:
            dtype = x.dtype
        elif x.dtype != dtype:
            raise Fault(kernel, "dtype_mismatch")


def check_floats(kernel: str, **arrays: Any) -> str:
    """The same, and that the dtype is float32 or float64; returns its C++ name."""
    check_arrays(kernel, **arrays)
    for x in arrays.values():
        if x is not None:
            if x.dtype not in _FLOATS:
                raise Fault(kernel, "dtype")
            return CXX_NAME[x.dtype]
    raise TypeError(f"{kernel}: no arrays")


def address(x: Any) -> int:
    """Where the first element is."""
    return int(x.ptr if type(x) is memory.DeviceArray else x.data.ptr)


def contiguous(x: Any) -> Any:
    """x, or a contiguous copy of it."""
    if x is None or x.flags.c_contiguous:
        return x
    from . import copy

    return copy.copy(x, x.dtype)


def size_of(kernel: str, shape: Sequence[int]) -> int:
    """The number of elements of a shape; Fault if 63 bits cannot count them."""
    size = 1
    for n in shape:
        size *= n
    if size >= 2**63 or any(n < 0 for n in shape):
        raise Fault(kernel, "size")
    return size


def broadcast(kernel: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to, by NumPy's rules."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    ndim = max(len(shape) for shape in shapes)
    if ndim > MAX_DIMS:
        raise Fault(kernel, "ndim", ndim)
    result = [1] * ndim
    for shape in shapes:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if result[i] not in (1, n):
                    raise Fault(kernel, "broadcast")
                result[i] = n
    return tuple(result)


def element_strides(x: Any) -> tuple[int, ...]:
    """x's strides in elements instead of bytes."""
    size = x.itemsize
    return tuple(stride // size for stride in x.strides)


def operand_strides(x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of x as it is broadcast to `shape`; 0 where it repeats."""
    lead = len(shape) - x.ndim
    strides = element_strides(x)
    return tuple(
        0 if i < lead or (x.shape[i - lead] == 1 and n != 1) else strides[i - lead]
        for i, n in enumerate(shape)
    )


def extent(n: int) -> bytes:
    """gs::Extent (common.cuh): a divisor with what multiplies instead of dividing by it."""
    shift = (n - 1).bit_length() if n > 0 else 0
    multiplier = ((1 << 32) * ((1 << shift) - n)) // n + 1 if 0 < n < _WIDE_FROM else 0
    return struct.pack("IIq", multiplier & 0xFFFFFFFF, shift, n)


@functools.lru_cache(maxsize=4096)
def merge_dims(
    shape: tuple[int, ...], *strides: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Shape and each operand's strides with fewer dimensions, at least one.

    Dimensions that lie evenly behind one another in every operand become one; those of size 1 go.
    """
    sizes: list[int] = []  # innermost first
    merged: list[list[int]] = [[] for _ in strides]
    for d in range(len(shape) - 1, -1, -1):
        n = shape[d]
        if n == 1:
            continue
        if sizes and all(
            own[d] == m[-1] * sizes[-1] for own, m in zip(strides, merged, strict=True)
        ):
            sizes[-1] *= n
            continue
        sizes.append(n)
        for own, m in zip(strides, merged, strict=True):
            m.append(own[d])
    if not sizes:
        sizes = [1]
        merged = [[0] for _ in strides]
    return tuple(sizes[::-1]), tuple(tuple(m[::-1]) for m in merged)


@functools.lru_cache(maxsize=4096)
def strided_loop(shape: tuple[int, ...], *strides: tuple[int, ...]) -> bytes:
    """gs::StridedLoop (common.cuh) over `shape` for operands of these strides, in elements."""
    sizes, merged = merge_dims(shape, *strides)
    packed = struct.pack("ii", len(sizes), prod(sizes) >= _WIDE_FROM)
    packed += b"".join(map(extent, sizes)) + bytes(16 * (MAX_DIMS - len(sizes)))
    for own in merged:
        packed += struct.pack(f"{len(own)}q", *own) + bytes(8 * (MAX_DIMS - len(own)))
    return packed


def blocks_for(work: int, threads: int = THREADS) -> int:
    """Blocks of a grid-stride loop over `work` items."""
    return max(1, min(MAX_BLOCKS, -(-work // threads)))


def grid_for(work: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of a grid-stride loop over `work` items; small work gets few threads."""
    threads = min(THREADS, -(-work // 32) * 32)
    return (blocks_for(work, threads),), (threads,)
