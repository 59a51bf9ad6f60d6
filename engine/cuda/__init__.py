"""gradsmith.cuda: the CUDA device, PyTorch's names; and the emulator that stands in for it.

Importing this imports neither CuPy nor the emulator: they are loaded when a function needs them.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "current_device",
    "device_count",
    "is_available",
    "is_emulated",
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
