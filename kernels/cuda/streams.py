"""Streams and events: CuPy's on a GPU; in the emulator, where all is done at once, clocks."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["EmulatorEvent", "EmulatorStream", "current", "event", "properties", "stream"]


class EmulatorStream:
    """A queue whose work is done when it is given."""

    ptr = 0

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    @property
    def done(self) -> bool:
        return True

    def wait_event(self, event: Any) -> None:
        """What comes before is done."""

    def use(self) -> None:
        """Makes it the current one."""
        global _current
        _current = self


class EmulatorEvent:
    """The time at which it was recorded."""

    def __init__(self) -> None:
        self.time: float | None = None

    def record(self, stream: Any = None) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    @property
    def done(self) -> bool:
        return True


_default = EmulatorStream()
_current = _default


def _emulated() -> bool:
    from . import is_emulated

    return is_emulated()


def stream(null: bool = False, non_blocking: bool = False, priority: int = 0) -> Any:
    """A new stream, or the default one."""
    if _emulated():
        return _default if null else EmulatorStream()
    import cupy

    if null:
        return cupy.cuda.Stream.null
    return cupy.cuda.Stream(non_blocking=non_blocking, priority=priority)


def current() -> Any:
    """The stream that kernels are launched on."""
    if _emulated():
        return _current
    import cupy

    return cupy.cuda.get_current_stream()


def event(timing: bool, blocking: bool) -> Any:
    """A new event."""
    if _emulated():
        return EmulatorEvent()
    import cupy

    return cupy.cuda.Event(block=blocking, disable_timing=not timing)


def elapsed_ms(start: Any, end: Any) -> float:
    """Milliseconds between two recorded events."""
    if isinstance(start, EmulatorEvent):
        if start.time is None or end.time is None:
            raise RuntimeError("elapsed_time: both events must be recorded")
        return (end.time - start.time) * 1e3
    import cupy

    return cupy.cuda.get_elapsed_time(start, end)


def properties() -> dict[str, Any]:
    """What the device is: name, major, minor, total_memory (bytes), multi_processor_count."""
    if _emulated():
        import os

        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {
            "name": "gradsmith CUDA emulator",
            "major": 8,
            "minor": 0,
            "total_memory": pages,
            "multi_processor_count": 1,
        }
    import cupy

    raw = cupy.cuda.runtime.getDeviceProperties(0)
    name = raw["name"]
    return {
        "name": name.decode() if isinstance(name, bytes) else name,
        "major": raw["major"],
        "minor": raw["minor"],
        "total_memory": raw["totalGlobalMem"],
        "multi_processor_count": raw["multiProcessorCount"],
    }
