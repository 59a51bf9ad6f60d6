"""Device memory: arrays of the GPU (CuPy's) or of the emulator (DeviceArray), by one interface.

An emulator array is opaque: a pointer with shape, strides and dtype. Nothing computes on it but a
kernel, so code that would quietly compute on the host fails at once.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from typing import Any

import numpy as np

from ... import environment

__all__ = [
    "CupyMemory",
    "DeviceArray",
    "EmulatorMemory",
    "empty",
    "from_host",
    "guard",
    "select",
    "strided",
    "to_host",
    "viewed",
]

_POISON = 0xFF  # floats read NaN, integers -1
_ALIGNMENT = 64
_POISONED = 64 << 20  # bytes at an array's start: more would only take time, and memory not used
#: Item size -> signalling NaN of that size.
_SLACK = {4: bytes.fromhex("a1a1a17f"), 8: bytes.fromhex("a1a1a1a1a1a1f17f")}


class DeviceArray:
    """An array in the emulator's device memory: shape and strides can be seen, values cannot.

    Views (`reshape` of contiguous memory, `transpose`, slices) are made without touching memory.
    To read it: `gradsmith.kernels.cuda.memory.to_host`.
    """

    __slots__ = ("__weakref__", "_host", "_ptr", "base")

    #: Keeps NumPy's operators away, so that mixing with NumPy arrays is a TypeError.
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(self, host: np.ndarray[Any, Any], parent: DeviceArray | None = None) -> None:
        self._host = host  # the same memory, for the arithmetic of strides; never handed out
        self._ptr = -1
        #: The array whose memory this is a view of; None: its own.
        self.base = parent if parent is None or parent.base is None else parent.base

    @property
    def ptr(self) -> int:
        """Address of the first element."""
        if self._ptr < 0:
            self._ptr = self._host.__array_interface__["data"][0]
        return self._ptr

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one element to the next, by dimension."""
        return self._host.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def flags(self) -> Any:
        """`flags.c_contiguous` and its like, as NumPy's."""
        return self._host.flags

    @property
    def T(self) -> DeviceArray:  # noqa: N802
        return DeviceArray(self._host.T, self)

    def __len__(self) -> int:
        return len(self._host)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("device array: its values are on the device (copy them with .cpu())")

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same memory as another shape; the array must be contiguous."""
        if not self._host.flags.c_contiguous:
            raise ValueError(
                f"reshape: needs contiguous memory; got shape {self.shape}, strides {self.strides}"
            )
        return DeviceArray(self._host.reshape(*shape), self)

    def transpose(self, *dims: Any) -> DeviceArray:
        """The same memory with its dimensions in another order."""
        return DeviceArray(self._host.transpose(*dims), self)

    def __getitem__(self, index: Any) -> DeviceArray:
        """A view by integers, slices, None and Ellipsis."""
        items = index if isinstance(index, tuple) else (index,)
        for item in items:
            if not (item is None or item is Ellipsis or isinstance(item, (int, slice, np.integer))):
                raise TypeError(
                    f"device array: an index is an integer, a slice, None or ...; got {item!r}"
                )
        if Ellipsis not in items:
            items = (*items, Ellipsis)
        return DeviceArray(self._host[items], self)


# ---- guard pages -------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

_guarded: weakref.WeakValueDictionary[int, _Pages] = weakref.WeakValueDictionary()


class _Pages:
    """Memory whose end is an unmapped page, and whose start is preceded by one.

    Kernels want 16-byte alignment, so up to 15 bytes behind the last element are slack instead:
    signalling NaNs, which change when anything computed from them is written back.
    """

    def __init__(self, nbytes: int, itemsize: int) -> None:
        page = mmap.PAGESIZE
        self.nbytes = nbytes
        rounded = -(-nbytes // 16) * 16
        inner = max(1, -(-rounded // page)) * page
        self._mapped = inner + 2 * page
        self._base = _libc.mmap(None, self._mapped, mmap.PROT_READ | mmap.PROT_WRITE, 0x22, -1, 0)
        if self._base in (None, ctypes.c_void_p(-1).value):
            self._base = None
            raise MemoryError(f"CUDA emulator: no memory for {nbytes} bytes")
        _libc.mprotect(self._base, page, 0)
        _libc.mprotect(self._base + page + inner, page, 0)
        pattern = _SLACK[8 if itemsize == 8 else 4]
        self.slack = (pattern * 4)[: rounded - nbytes]
        self.start = self._base + page + inner - rounded
        self.lead = self.start - (self._base + page)
        ctypes.memset(self._base + page, _POISON, inner)
        ctypes.memmove(self.start + nbytes, self.slack, len(self.slack))
        _guarded[id(self)] = self

    def damaged(self) -> bool:
        """Whether something was written around the array, between it and the guard pages."""
        before = ctypes.string_at(self.start - self.lead, self.lead)
        after = ctypes.string_at(self.start + self.nbytes, len(self.slack))
        return before.count(_POISON) != len(before) or after != self.slack

    def __del__(self) -> None:
        if self._base is not None:
            _libc.munmap(self._base, self._mapped)


def check_guards() -> None:
    """Raises RuntimeError if a kernel wrote just outside a guarded array."""
    for pages in list(_guarded.values()):
        if pages.damaged():
            del _guarded[id(pages)]
            raise RuntimeError(
                f"out of bounds: something was written just outside an array of {pages.nbytes} "
                "bytes"
            )


# ---- the two kinds of memory -------------------------------------------------------------------


class EmulatorMemory:
    """The emulator's device memory: the host's, poisoned when fresh, guarded on request.

    Attributes:
        allocated, peak: bytes of the arrays that live, and the most that ever did.
        allocations: how many arrays were made.
    """

    array_type: type = DeviceArray

    def __init__(self) -> None:
        self.guarded = environment.CUDA_EMULATOR_GUARD
        self.allocated = self.peak = self.allocations = 0

    def _count(self, owner: Any, nbytes: int) -> None:
        """Counts memory that lives as long as its owner."""
        self.allocated += nbytes
        self.peak = max(self.peak, self.allocated)
        self.allocations += 1
        weakref.finalize(owner, self._freed, nbytes).atexit = False

    def _freed(self, nbytes: int) -> None:
        self.allocated -= nbytes

    def empty(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        dtype = np.dtype(dtype)
        nbytes = dtype.itemsize
        for n in shape:
            nbytes *= n
        if nbytes < 0 or nbytes >= 2**63:
            raise MemoryError(f"CUDA emulator: no memory for shape {shape} of {dtype}")
        if self.guarded:
            pages = _Pages(nbytes, dtype.itemsize)
            self._count(pages, nbytes)
            buffer = (ctypes.c_ubyte * max(nbytes, 1)).from_address(pages.start)
            buffer.owner = pages  # type: ignore[attr-defined]  # lives as long as its views
            # Through bytes that are an array: `strided` looks for them at the end of the bases.
            return DeviceArray(np.ndarray(shape, dtype, np.frombuffer(buffer, np.uint8)))
        memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
        memory[:_POISONED].fill(_POISON)
        self._count(memory, nbytes)
        offset = -memory.__array_interface__["data"][0] % _ALIGNMENT
        return DeviceArray(np.ndarray(shape, dtype, memory, offset))

    def from_host(self, x: np.ndarray[Any, Any]) -> DeviceArray:
        y = self.empty(x.shape, x.dtype)
        y._host[...] = x
        return y

    def to_host(self, x: DeviceArray) -> np.ndarray[Any, Any]:
        return np.array(x._host, order="C", copy=True)

    def stats(self) -> dict[str, int]:
        """Bytes in use and reserved, their peaks, and the number of allocations."""
        return {
            "allocated": self.allocated,
            "peak": self.peak,
            "reserved": self.allocated,
            "allocations": self.allocations,
        }

    def reset_peak(self) -> None:
        self.peak = self.allocated

    def release(self) -> None:
        """Nothing is kept that could be given back."""

    def viewed(self, x: DeviceArray, dtype: Any) -> DeviceArray:
        return DeviceArray(x._host.view(dtype), x)

    def strided(
        self, x: DeviceArray, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> DeviceArray:
        root = x._host
        while isinstance(root.base, np.ndarray):
            root = root.base
        start = root.__array_interface__["data"][0]
        return DeviceArray(np.ndarray(shape, x.dtype, root, x.ptr - start, strides), x)


class CupyMemory:
    """The GPU's memory, as CuPy arrays: CuPy allocates and copies to and from the host, no more."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self.array_type: type = cupy.ndarray
        self.guarded = False
        self._peak = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        y = self._cupy.ndarray(shape, dtype)
        self._peak = max(self._peak, self._cupy.get_default_memory_pool().used_bytes())
        return y

    def from_host(self, x: np.ndarray[Any, Any]) -> Any:
        y = self._cupy.ndarray(x.shape, x.dtype)
        if x.size:
            y.set(np.ascontiguousarray(x).reshape(x.shape))
        return y

    def to_host(self, x: Any) -> np.ndarray[Any, Any]:
        if not x.flags.c_contiguous:
            from . import copy

            x = copy.copy(x, x.dtype)
        return x.get()

    def stats(self) -> dict[str, int]:
        """Bytes in use and reserved by CuPy's pool, and the most that were in use."""
        pool = self._cupy.get_default_memory_pool()
        used = pool.used_bytes()
        return {
            "allocated": used,
            "peak": max(self._peak, used),
            "reserved": pool.total_bytes(),
            "allocations": 0,
        }

    def reset_peak(self) -> None:
        self._peak = 0

    def release(self) -> None:
        """Gives what the pool keeps back to the device."""
        self._cupy.get_default_memory_pool().free_all_blocks()

    def viewed(self, x: Any, dtype: Any) -> Any:
        return x.view(dtype)

    def strided(self, x: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
        return self._cupy.ndarray(shape, x.dtype, memptr=x.data, strides=strides)


_memory: EmulatorMemory | CupyMemory | None = None


def select(memory: EmulatorMemory | CupyMemory) -> None:
    """Makes `memory` what the functions of this module work on."""
    global _memory, empty, from_host, to_host, strided, viewed
    _memory = memory
    # Bound once: a launcher calls them for every op.
    empty = memory.empty
    from_host = memory.from_host
    to_host = memory.to_host
    strided = memory.strided
    viewed = memory.viewed


def array_type() -> type | None:
    """The type of the device's arrays; None: not connected."""
    return None if _memory is None else _memory.array_type


def stats() -> dict[str, int]:
    """Bytes in use and reserved, their peak, the number of allocations; 0 if unconnected."""
    if _memory is None:
        return dict.fromkeys(("allocated", "peak", "reserved", "allocations"), 0)
    return _memory.stats()


def reset_peak() -> None:
    """Starts the peak anew at what is in use."""
    if _memory is not None:
        _memory.reset_peak()


def release() -> None:
    """Gives memory that is kept for reuse back to the device."""
    if _memory is not None:
        _memory.release()


def _unconnected(*args: Any) -> Any:
    raise RuntimeError("cuda: not connected (call gradsmith.kernels.cuda.connect() first)")


def guard(on: bool = True) -> None:
    """Whether arrays made from now on lie between guard pages (emulator only)."""
    if isinstance(_memory, EmulatorMemory):
        _memory.guarded = on


#: `empty(shape, dtype)`: an array of unspecified content.
empty: Any = _unconnected
#: `from_host(ndarray)`: a contiguous copy on the device.
from_host: Any = _unconnected
#: `to_host(array)`: a contiguous copy as a NumPy array.
to_host: Any = _unconnected
#: `strided(x, shape, strides)`: x's memory from its first element with other shape and strides.
strided: Any = _unconnected
#: `viewed(x, dtype)`: x's memory as another dtype of the same size.
viewed: Any = _unconnected
