"""The kernels of device "cuda": CUDA C++ with a Python launcher beside each .cu file.

They run on a GPU through CuPy, or in the emulator (emulator/) on a machine without one. Nothing
here is imported by `import gradsmith`; `gradsmith.kernels.table("cuda")` comes here first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import environment

__all__ = [
    "connect",
    "from_host",
    "gpu_problem",
    "is_available",
    "is_emulated",
    "pinned",
    "synchronize",
    "to_host",
    "use_emulator",
]

_emulated = environment.CUDA_EMULATOR


def use_emulator(on: bool = True) -> None:
    """Runs device "cuda" on the CPU: slowly, on any machine with a C++ compiler."""
    global _emulated
    _emulated = on
    if on:
        connect()


def is_emulated() -> bool:
    """Whether device "cuda" is the emulator."""
    return _emulated


def is_available() -> bool:
    """Whether device "cuda" can be used: the emulator is on, or there is a GPU with CuPy."""
    return _emulated or gpu_problem() is None


def connect() -> Any:
    """Makes device "cuda" ready and returns its kernel table.

    Raises:
        RuntimeError: if the emulator is off and there is no GPU, or CuPy is missing.
    """
    from .. import KernelTable, register_device
    from ..views import make_views
    from . import launch, memory

    if _emulated:
        device_memory: Any = memory.EmulatorMemory()
    else:
        problem = gpu_problem()
        if problem is not None:
            raise RuntimeError(f"cuda: {problem}")
        device_memory = memory.CupyMemory()
    memory.select(device_memory)
    launch.use("emulator" if _emulated else "cupy", checked=device_memory.guarded)
    entries = _entries()
    table = KernelTable("cuda", entries, make_views(entries["copy"], memory.strided))
    register_device("cuda", table, device_memory.array_type)
    return table


def from_host(x: np.ndarray[Any, Any]) -> Any:
    """A contiguous copy of a NumPy array on the device."""
    from . import memory

    return memory.from_host(x)


def to_host(x: Any) -> np.ndarray[Any, Any]:
    """A contiguous copy of a device array as a NumPy array; waits for the device.

    Raises:
        IndexError: if a kernel met a bad index since the device was last waited for.
    """
    from . import launch, memory

    result: np.ndarray[Any, Any] = memory.to_host(x)
    launch.raise_late_index_error()
    return result


def pinned(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy of a NumPy array in page-locked memory; the array itself where there is no GPU."""
    if _emulated or gpu_problem() is not None:
        return x
    import cupy

    memory = cupy.cuda.alloc_pinned_memory(max(x.nbytes, 1))
    y = np.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
    y[...] = x
    return y


def synchronize() -> None:
    """Waits for the device and raises the index errors that kernels reported."""
    from . import launch

    if not _emulated:
        import cupy

        cupy.cuda.Device().synchronize()
    launch.raise_late_index_error()


def _entries() -> dict[str, Any]:
    """The kernel table's entries, from every launcher module."""
    from . import launchers

    return launchers.entries()


def gpu_problem() -> str | None:
    """Why no GPU can be used, with what to do, or None."""
    emulate = "or set GRADSMITH_CUDA_EMULATOR=1 to run on the CPU"
    try:
        import cupy
    except ImportError:
        return f"needs CuPy (pip install 'gradsmith[cuda13]', {emulate})"
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no GPU can be used: {error} (check the driver with nvidia-smi, {emulate})"
    if devices < 1:
        return f"no GPU found ({emulate})"
    return None
