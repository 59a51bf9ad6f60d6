"""gradsmith.cuda: the CUDA device, PyTorch's names; and the emulator that stands in for it.

Importing this imports neither CuPy nor the emulator: they are loaded when a function needs them.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from ..device import device as _Device
from ..random import Generator
from ..random import default_generator as _generator
from .stream import Event, Stream, StreamContext, current_stream, default_stream, set_stream, stream

__all__ = [
    "DeviceProperties",
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_emulated",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "set_device",
    "set_rng_state",
    "set_stream",
    "stream",
    "synchronize",
    "use_emulator",
]


def _device() -> Any:
    from ..kernels import cuda

    return cuda


def is_available() -> bool:
    """Whether device="cuda" can be used: there is a GPU with CuPy, or the emulator is on."""
    return _device().is_available()


def is_emulated() -> bool:
    """Whether device "cuda" is the emulator: the CUDA kernels, run on the CPU."""
    return _device().is_emulated()


def use_emulator(on: bool = True) -> None:
    """Makes device="cuda" work on any machine with a C++ compiler, slowly.

    The kernels' own CUDA C++ is compiled for the CPU and executed thread by thread. Call it before
    the first use of the device; GRADSMITH_CUDA_EMULATOR=1 does the same.
    """
    _device().use_emulator(on)


def device_count() -> int:
    """How many CUDA devices can be used: 0 or 1."""
    return int(is_available())


def current_device() -> int:
    """The index of the device in use: 0.

    Raises:
        RuntimeError: if there is none.
    """
    if not is_available():
        raise RuntimeError(
            "current_device: no CUDA device (GRADSMITH_CUDA_EMULATOR=1 runs on the CPU)"
        )
    return 0


def synchronize(device: Any = None) -> None:
    """Waits until the device has done everything, and raises what its kernels reported."""
    if is_available():
        _device().synchronize()


# ---- the device ----

DeviceProperties = namedtuple(
    "DeviceProperties", "name major minor total_memory multi_processor_count"
)


def _index(name: str, device: Any) -> int:
    """0, after the check that `device` is the one CUDA device."""
    if device is None:
        return 0
    if isinstance(device, int):
        device = f"cuda:{device}"
    found = _Device(device)
    if found.type != "cuda":
        raise ValueError(f"{name}: needs a CUDA device; got {device!r}")
    return 0


def set_device(device: Any) -> None:
    """Chooses the CUDA device; there is one, number 0.

    Raises:
        RuntimeError: another number. ValueError: a device that is not CUDA's.
    """
    _index("set_device", device)


class device:
    """In its block CUDA device `device` is the current one; there is one, number 0."""

    def __init__(self, device: Any) -> None:
        self.idx = _index("cuda.device", device)

    def __enter__(self) -> device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def get_device_properties(device: Any = None) -> DeviceProperties:
    """What the device is: name, compute capability, memory in bytes, multiprocessors.

    Raises:
        RuntimeError: if there is none.
    """
    _index("get_device_properties", device)
    current_device()
    from ..kernels.cuda import streams

    return DeviceProperties(**streams.properties())


def get_device_name(device: Any = None) -> str:
    """The device's name."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The device's compute capability, (major, minor)."""
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported() -> bool:
    """Whether the device computes in bfloat16: capability 8.0 and up."""
    return is_available() and get_device_capability() >= (8, 0)


def init() -> None:
    """Makes the device ready; otherwise its first use does.

    Raises:
        RuntimeError: if there is none.
    """
    _device().connect()


def is_initialized() -> bool:
    """Whether the device was made ready."""
    from ..kernels import TABLE_OF_ARRAY

    return any(table.device == "cuda" for table in TABLE_OF_ARRAY.values())


# ---- memory ----


def _stats() -> dict[str, int]:
    from ..kernels.cuda import memory

    return memory.stats()


def memory_allocated(device: Any = None) -> int:
    """Bytes of the device's arrays that live."""
    return _stats()["allocated"]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that memory_allocated has been since the start, or the last reset."""
    return _stats()["peak"]


def memory_reserved(device: Any = None) -> int:
    """Bytes held from the device, in use or kept for reuse."""
    return _stats()["reserved"]


def max_memory_reserved(device: Any = None) -> int:
    """At least max_memory_allocated; what is reserved now if that is more."""
    found = _stats()
    return max(found["peak"], found["reserved"])


def memory_stats(device: Any = None) -> dict[str, int]:
    """The numbers of memory_allocated and its like, under PyTorch's keys."""
    found = _stats()
    return {
        "allocated_bytes.all.current": found["allocated"],
        "allocated_bytes.all.peak": found["peak"],
        "reserved_bytes.all.current": found["reserved"],
        "allocation.all.allocated": found["allocations"],
    }


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts max_memory_allocated anew."""
    from ..kernels.cuda import memory

    memory.reset_peak()


def empty_cache() -> None:
    """Gives memory that is kept for reuse back to the device."""
    from ..kernels.cuda import memory

    memory.release()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the device."""
    total = get_device_properties(device).total_memory
    if is_emulated():
        return total - memory_allocated(), total
    import cupy

    free, whole = cupy.cuda.runtime.memGetInfo()
    return int(free), int(whole)


# ---- random numbers: the default generator is one for all devices ----


def manual_seed(seed: int) -> None:
    """As gradsmith.manual_seed: the devices draw the same numbers from one generator."""
    _generator.manual_seed(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """As gradsmith.seed."""
    _generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return _generator.initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """The default generator's state."""
    return _generator.get_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Goes to where get_rng_state was taken."""
    _generator.set_state(new_state)


default_generators: tuple[Generator, ...] = (_generator,)
