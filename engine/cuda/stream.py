"""Streams and events, PyTorch's names over CuPy's; in the emulator all work is done at once."""

from __future__ import annotations

from typing import Any

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "set_stream",
    "stream",
]


def _streams() -> Any:
    from ..kernels import table

    table("cuda")  # raises, with what to do, if there is no device
    from ..kernels.cuda import streams

    return streams


class Stream:
    """A queue of work on the device; kernels of one stream run one after another.

    Args:
        device: accepted as PyTorch does; there is one.
        priority: lower numbers go first.
    """

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        wrapped = kwargs.pop("wrapped", None)
        if kwargs:
            raise TypeError(f"Stream: takes device and priority; got {sorted(kwargs)}")
        self._stream = (
            _streams().stream(non_blocking=True, priority=priority) if wrapped is None else wrapped
        )

    @property
    def cuda_stream(self) -> int:
        """The driver's handle."""
        return int(self._stream.ptr)

    def synchronize(self) -> None:
        """Waits until all of its work is done."""
        self._stream.synchronize()

    def query(self) -> bool:
        """Whether all of its work is done."""
        return bool(self._stream.done)

    def wait_event(self, event: Event) -> None:
        """What is given from now on waits for the event."""
        self._stream.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """What is given from now on waits for what `stream` has been given."""
        self.wait_event(stream.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """Records an event, a new one if none is given, behind the work given so far."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<gradsmith.cuda.Stream {self.cuda_stream:#x}>"


class Event:
    """A mark in a stream.

    Args:
        enable_timing: elapsed_time can be asked.
        blocking: synchronize sleeps instead of spinning.
        interprocess: accepted as PyTorch does; must be False.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess:
            raise NotImplementedError("Event: interprocess events are not supported")
        self._timing = enable_timing
        self._event = _streams().event(enable_timing, blocking)

    def record(self, stream: Stream | None = None) -> None:
        """Puts the mark behind the work given so far to the stream, or to the current one."""
        self._event.record(None if stream is None else stream._stream)

    def wait(self, stream: Stream | None = None) -> None:
        """The stream's further work, or the current one's, waits for the mark."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return bool(self._event.done)

    def synchronize(self) -> None:
        """Waits until the work before the mark is done."""
        self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to `end_event`.

        Raises:
            RuntimeError: without enable_timing, or before both are recorded.
        """
        if not (self._timing and end_event._timing):
            raise RuntimeError("elapsed_time: both events must be made with enable_timing=True")
        return float(_streams().elapsed_ms(self._event, end_event._event))


def current_stream(device: Any = None) -> Stream:
    """The stream that kernels are launched on."""
    return Stream(wrapped=_streams().current())


def default_stream(device: Any = None) -> Stream:
    """The device's default stream."""
    return Stream(wrapped=_streams().stream(null=True))


def set_stream(stream: Stream) -> None:
    """Launches kernels of this thread on `stream` from now on."""
    stream._stream.use()


class StreamContext:
    """In its block kernels are launched on `stream`; None: the block changes nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream
        self._before: list[Stream] = []

    def __enter__(self) -> StreamContext:
        if self.stream is not None:
            self._before.append(current_stream())
            set_stream(self.stream)
        return self

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            set_stream(self._before.pop())


def stream(stream: Stream | None) -> StreamContext:
    """`with gradsmith.cuda.stream(s):` launches the block's kernels on s."""
    return StreamContext(stream)
