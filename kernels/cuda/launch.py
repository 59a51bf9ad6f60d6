"""One `launch()` for every kernel, on the GPU and in the emulator.

A launcher declares its kernels once, `MODULE = Module("conv.cu", [...name expressions...])`, and
calls `launch(MODULE, "conv_fwd<float>", grid, block, smem, args)`. Arguments are device arrays,
None (a null pointer), NumPy scalars of the kernel's exact types, and `bytes` for structs by value;
they are checked against the kernel's signature, because the driver would take anything.
"""

from __future__ import annotations

import ctypes
import re
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import environment
from . import memory

__all__ = [
    "KernelFault",
    "Module",
    "count",
    "index_flag",
    "launch",
    "raise_index_error",
    "raise_late_index_error",
    "use",
]

HERE = Path(__file__).resolve().parent

#: Kernels launched so far, by every module.
count = 0

#: Every Module, by the name of its source: what the compile gate goes through.
modules: list[Module] = []

_backend = ""  # "emulator" or "cupy", set by use()
_target: tuple[str, bool] = ("", False)  # what modules must be loaded for: backend, checked
_lock = threading.Lock()  # the emulator's runtime is global, and so are the argument buffers


class KernelFault(RuntimeError):
    """What the emulator found while a kernel ran: a bad access, divergence, a deadlock."""


class Parameter(NamedTuple):
    """One parameter of a kernel. On the GPU only its size is known: `code` is then ""."""

    code: str
    pointee: str
    nbytes: int
    type_name: str


class Module:
    """The kernels of one .cu file that a launcher uses.

    Args:
        source: the .cu file; a relative path is next to this module.
        names: the kernels as C++ name expressions, e.g. "unary<Exp, float>".
        defines: macros for the compiler, "NAME=value".
    """

    def __init__(
        self, source: str | Path, names: Sequence[str], defines: Sequence[str] = ()
    ) -> None:
        self.source = HERE / source
        self.names = tuple(names)
        self.defines = tuple(defines)
        self.kernels: dict[str, _Kernel] = {}
        self.loaded_for = ("", False)
        if self.source.parent == HERE:
            modules.append(self)

    def load(self, name: str) -> _Kernel:
        """Builds and loads the module if need be; returns a kernel of it."""
        with _lock:
            if self.loaded_for is not _target:
                self.kernels.clear()
                if _backend == "emulator":
                    self.kernels.update(_load_emulated(self, checked=_target[1]))
                elif _backend == "cupy":
                    self.kernels.update(_load_cubin(self))
                else:
                    raise RuntimeError("cuda: not connected (no device or emulator is in use)")
                self.loaded_for = _target
        if name not in self.kernels:
            raise KeyError(f"{self.source.name} declares no kernel {name!r}; it has {self.names}")
        return self.kernels[name]


def launch(
    module: Module,
    kernel: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    smem: int,
    args: Sequence[Any],
) -> None:
    """Runs a kernel: `grid` blocks of `block` threads with `smem` bytes of dynamic shared memory.

    Raises:
        TypeError: if the arguments do not fit the kernel's signature.
        KernelFault: what the emulator found.
    """
    global count
    found = module.kernels.get(kernel)
    if found is None or module.loaded_for is not _target:
        found = module.load(kernel)
    with _lock:
        found.run(grid, block, smem, args)
        count += 1


def use(backend: str, checked: bool = False) -> None:
    """Sends the launches from now on to "emulator" or "cupy".

    Args:
        backend: which of the two.
        checked: the emulator's kernels check the bounds of arrays of constant size; slower.
    """
    global _backend, _target
    if (backend, checked) != _target:
        _backend, _target = backend, (backend, checked)


# ---- arguments ---------------------------------------------------------------------------------

_SCALARS: dict[str, Any] = {
    "?": np.bool_,
    "b": np.int8,
    "B": np.uint8,
    "h": np.int16,
    "H": np.uint16,
    "i": np.int32,
    "I": np.uint32,
    "q": np.int64,
    "Q": np.uint64,
    "f": np.float32,
    "d": np.float64,
}
_CODE_OF_SCALAR = {scalar: code for code, scalar in _SCALARS.items()}
_SLOT = 16  # each argument gets its own aligned slot of a multiple of this size


class _Kernel:
    """A loaded kernel: checks the arguments, packs them, and hands them on (`_start`)."""

    def __init__(self, name: str, parameters: Sequence[Parameter]) -> None:
        self.name = name
        self.parameters = tuple(parameters)
        offsets, end = [], 0
        for parameter in parameters:
            offsets.append(end)
            end += -(-parameter.nbytes // _SLOT) * _SLOT
        self._buffer = (ctypes.c_char * (end + 64))()
        base = ctypes.addressof(self._buffer)
        self._first = -base % 64
        self._offsets = offsets
        pointers = [base + self._first + offset for offset in offsets]
        self._pointers = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        self._formats: dict[str, struct.Struct] = {}

    def run(self, grid: Any, block: Any, smem: int, args: Sequence[Any]) -> None:
        parameters = self.parameters
        if len(args) != len(parameters):
            raise TypeError(
                f"{self.name}: takes {len(parameters)} arguments "
                f"({', '.join(p.type_name for p in parameters)}); got {len(args)}"
            )
        array_type = memory._memory.array_type if memory._memory else ()
        codes = ""
        values = []
        for i, (value, parameter) in enumerate(zip(args, parameters, strict=True)):
            kind = type(value)
            if kind is array_type:
                code = "Q"
                fits = (
                    parameter.code == "P"
                    and (
                        parameter.pointee in ("", "v")
                        or _CODE_OF_SCALAR.get(value.dtype.type) == parameter.pointee
                    )
                    or (not parameter.code and parameter.nbytes == 8)
                )
                value = value.ptr if kind is memory.DeviceArray else value.data.ptr
            elif value is None:
                code = "Q"
                value = 0
                fits = parameter.code == "P" or (not parameter.code and parameter.nbytes == 8)
            elif kind is bytes:
                code = "s"
                fits = parameter.code in ("S", "") and len(value) == parameter.nbytes
            else:
                code = _CODE_OF_SCALAR.get(kind, "")
                fits = code != "" and (
                    code == parameter.code
                    or (not parameter.code and value.nbytes == parameter.nbytes)
                )
            if not fits:
                raise TypeError(
                    f"{self.name}: argument {i} is {_described(args[i])}, "
                    f"kernel wants {parameter.type_name}"
                )
            codes += code
            values.append(value)
        packer = self._formats.get(codes)
        if packer is None:
            packer = self._formats[codes] = self._packer(codes)
        packer.pack_into(self._buffer, self._first, *values)
        self._start(grid, block, smem)

    def _packer(self, codes: str) -> struct.Struct:
        """Packs values into their slots; 'x' bytes skip the rest of each slot."""
        text = "="
        for code, parameter in zip(codes, self.parameters, strict=True):
            size = parameter.nbytes
            text += (f"{size}s" if code == "s" else code) + f"{-size % _SLOT}x"
        return struct.Struct(text)

    def _start(self, grid: Any, block: Any, smem: int) -> None:
        raise NotImplementedError


def _described(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "strides") and not isinstance(value, np.generic):
        return f"{value.dtype} {type(value).__name__}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return type(value).__name__


def _three(sizes: Any) -> tuple[int, ...]:
    return (*sizes, 1, 1, 1)[:3]


# ---- the emulator ------------------------------------------------------------------------------


class _EmulatedParameter(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_char),
        ("pointee", ctypes.c_char),
        ("nbytes", ctypes.c_uint32),
        ("text", ctypes.c_char_p),
    ]


class _EmulatedEntry(ctypes.Structure):
    _fields_ = [
        ("body", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_EmulatedParameter)),
        ("count", ctypes.c_uint64),
    ]


class _EmulatedKernel(_Kernel):
    def __init__(
        self, name: str, parameters: Sequence[Parameter], library: ctypes.CDLL, index: int
    ) -> None:
        super().__init__(name, parameters)
        self._library = library
        self._index = index
        self._config = (ctypes.c_uint64 * 7)()

    def _place(self, code: re.Match[str]) -> str:
        """The place in the source that the runtime names as an offset in the library."""
        from .emulator import build

        place = build.place_in_source(Path(self._library._name), code[1])
        return f"at {place}" if place else code[0]

    def _start(self, grid: Any, block: Any, smem: int) -> None:
        self._config[:] = (*_three(grid), *_three(block), smem)
        if self._library.gs_launch(self._index, self._pointers, self._config):
            from . import emulator

            message = emulator.runtime().gs_error().decode(errors="replace")
            raise KernelFault(f"{self.name}: {_CODE_OFFSET.sub(self._place, message)}")
        if memory._memory is not None and memory._memory.guarded:
            memory.check_guards()


_CODE_OFFSET = re.compile(r"\(code (0x[0-9a-f]+)\)")
_TYPE_IN_TEXT = re.compile(r"T = (.*?)[\];]")


def _load_emulated(module: Module, checked: bool) -> dict[str, _Kernel]:
    from . import emulator
    from .emulator import build

    emulator.runtime()  # first: the kernels' library resolves against it
    path = build.kernel_library(module.source, module.names, module.defines, checked)
    library = ctypes.CDLL(str(path))
    library.gs_entries.restype = ctypes.POINTER(_EmulatedEntry)
    library.gs_launch.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    entries = library.gs_entries()
    kernels: dict[str, _Kernel] = {}
    for i, name in enumerate(module.names):
        parameters = []
        for p in entries[i].parameters[: entries[i].count]:
            match = _TYPE_IN_TEXT.search(p.text.decode())
            parameters.append(
                Parameter(
                    p.code.decode(),
                    p.pointee.decode().strip("\0"),
                    p.nbytes,
                    match.group(1) if match else "?",
                )
            )
        kernels[name] = _EmulatedKernel(name, parameters, library, i)
    return kernels


# ---- the GPU -----------------------------------------------------------------------------------


class _CubinKernel(_Kernel):
    """Compiled by NVRTC, loaded and launched through the driver as CuPy exposes it."""

    #: Dynamic shared memory above this must be asked for.
    _DEFAULT_SMEM = 48 << 10

    def __init__(self, name: str, parameters: Sequence[Parameter], function: Any) -> None:
        super().__init__(name, parameters)
        self._function = function
        self._smem = self._DEFAULT_SMEM

    def _start(self, grid: Any, block: Any, smem: int) -> None:
        from cupy.cuda import driver, get_current_stream

        if smem > self._smem:
            driver.funcSetAttribute(
                self._function.ptr, driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, smem
            )
            self._smem = smem
        stream = get_current_stream()
        driver.launchKernel(
            self._function.ptr,
            *_three(grid),
            *_three(block),
            smem,
            stream.ptr,
            ctypes.addressof(self._pointers),
            0,
        )
        if environment.CUDA_LAUNCH_BLOCKING:
            stream.synchronize()


def _load_cubin(module: Module) -> dict[str, _Kernel]:
    import cupy
    from cupy.cuda import function

    from . import compiler

    compiled = compiler.compile_cached(
        module.source,
        module.names,
        compiler.architecture(cupy.cuda.Device().compute_capability),
        module.defines,
    )
    loaded = function.Module()
    loaded.load(compiled.cubin)
    kernels: dict[str, _Kernel] = {}
    for name in module.names:
        lowered = compiled.lowered[name]
        parameters = [
            Parameter("", "", size, f"a parameter of {size} bytes")
            for size in compiled.kernels[lowered].parameter_bytes
        ]
        kernels[name] = _CubinKernel(name, parameters, loaded.get_function(lowered))
    return kernels


# ---- index errors ------------------------------------------------------------------------------
# A kernel that meets a bad index reports it to the flag (gs::check_index in common.cuh) and goes on
# with nothing. The emulator raises at the call; a GPU at the next synchronising call.

#: A limit that says instead: argument number `index` has a value outside of [0, 1].
RANGE = -1

_flag: Any = None
_flag_backend = ""


def index_flag() -> Any:
    """The array to hand to a kernel's `gs::IndexError*`."""
    global _flag, _flag_backend
    if _flag is None or _flag_backend != _backend:
        _flag = memory.from_host(np.zeros(3, np.int64))
        _flag_backend = _backend
    return _flag


def raise_index_error(kernel: str) -> None:
    """Raises what `kernel`, just launched, reported, if the device may be waited for.

    Raises:
        Fault: kind "index" with (index, limit), or "range" with the argument's number.
    """
    if (_backend == "emulator" or environment.CUDA_LAUNCH_BLOCKING) and (bad := _reported()):
        from ..._cpu import Fault

        if bad[1] == RANGE:
            raise Fault(kernel, "range", bad[0])
        raise Fault(kernel, "index", bad)


def raise_late_index_error() -> None:
    """Raises what kernels reported since the last call that waited for the device.

    Raises:
        IndexError: for the first bad index.
        RuntimeError: for a value that had to be between 0 and 1.
    """
    if bad := _reported():
        if bad[1] == RANGE:
            raise RuntimeError("cuda: all elements of a loss's input must be between 0 and 1")
        raise IndexError(
            f"cuda: a kernel met an index out of range: must be in [0, {bad[1]}); got {bad[0]} "
            "(GRADSMITH_CUDA_LAUNCH_BLOCKING=1 raises it at the op)"
        )


def _reported() -> tuple[int, int] | None:
    """The bad index and its limit, once."""
    global _flag
    if _flag is None or _flag_backend != _backend:
        return None
    reported, index, limit = memory.to_host(_flag).tolist()
    if not reported:
        return None
    _flag = None
    return index, limit
