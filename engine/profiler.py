"""Where the time goes: a table per op and kernel, and a trace that Chrome and Perfetto show.

    with gradsmith.profiler.profile() as prof:
        loss = model(x).sum()
        loss.backward()
    print(prof.key_averages().table(sort_by="self_time", row_limit=10))
    prof.export_chrome_trace("trace.json")

While a profile runs, each op and each kernel entry stands behind a function that takes the time;
afterwards the entries are what they were: without a profile nothing is paid. On a GPU each kernel
is waited for, so that its time is its own.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from math import prod
from typing import Any

from . import kernels
from .autograd.op import OPS
from .dtype import float32
from .kernels import KERNELS, TABLE_OF_ARRAY

__all__ = [
    "Average",
    "Averages",
    "Event",
    "ProfilerActivity",
    "profile",
    "record_function",
]


class ProfilerActivity(Enum):
    """What to profile; accepted as PyTorch does, everything is."""

    CPU = "cpu"
    CUDA = "cuda"


def _matmul_flops(a: Any, b: Any, bias: Any, out_shape: Any, *_: Any) -> int:
    return 2 * prod(out_shape) * a.shape[-1]


def _conv_flops(x: Any, weight: Any, bias: Any, out_shape: Any, *_: Any) -> int:
    return 2 * prod(out_shape) * prod(weight.shape[1:])


def _conv_input_flops(grad_y: Any, weight: Any, *_: Any) -> int:
    return 2 * grad_y.size * prod(weight.shape[1:])


def _conv_weight_flops(grad_y: Any, x: Any, weight_shape: Any, *_: Any) -> int:
    return 2 * grad_y.size * prod(weight_shape[1:])


#: Multiplications and additions of the kernels that are bound by them; the others count none.
FLOPS: dict[str, Callable[..., int]] = {
    "matmul": _matmul_flops,
    "conv_fwd": _conv_flops,
    "conv_bwd_input": _conv_input_flops,
    "conv_bwd_weight": _conv_weight_flops,
    "conv_bwd_weight_bias": _conv_weight_flops,
}


class Event:
    """One call.

    Attributes:
        name: of the op, the kernel or the block.
        kind: "op", "backward", "kernel" or "block" (record_function).
        start, duration, children: ns; children is the time of the calls inside.
        nbytes: what a kernel reads and writes, each array once. flops: as FLOPS says.
        shapes: of the arrays it was given.
        thread: the thread's number.
    """

    __slots__ = (
        "name",
        "kind",
        "start",
        "duration",
        "children",
        "nbytes",
        "flops",
        "shapes",
        "thread",
        "device",
    )

    def __init__(self, name: str, kind: str, start: int) -> None:
        self.name = name
        self.kind = kind
        self.start = start
        self.duration = 0
        self.children = 0
        self.nbytes = 0
        self.flops = 0
        self.shapes: tuple[Any, ...] = ()
        self.thread = threading.get_ident()
        self.device = "cpu"


class _Stack(threading.local):
    def __init__(self) -> None:
        self.open: list[Event] = []


_stack = _Stack()
_active: profile | None = None


def _begin(name: str, kind: str) -> Event:
    event = Event(name, kind, time.perf_counter_ns())
    _stack.open.append(event)
    return event


def _end(event: Event) -> None:
    event.duration = time.perf_counter_ns() - event.start
    opened = _stack.open
    opened.pop()
    if opened:
        opened[-1].children += event.duration
    if _active is not None:
        _active._record(event)


class record_function:
    """A named block, as a context manager or a decorator; costs next to nothing unprofiled."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self._events: list[Event | None] = []

    def __enter__(self) -> record_function:
        self._events.append(_begin(self.name, "block") if _active is not None else None)
        return self

    def __exit__(self, *_: object) -> None:
        event = self._events.pop()
        if event is not None:
            _end(event)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As a decorator: every call is a block."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapped


class Average:
    """What all calls of one name took together.

    Attributes:
        key, kind: the name, and what it is the name of. shapes: if they were grouped by.
        count: calls. total, self_time: ns with and without the calls inside.
        nbytes, flops: of all calls.
    """

    def __init__(self, key: str, kind: str, shapes: tuple[Any, ...]) -> None:
        self.key = key
        self.kind = kind
        self.shapes = shapes
        self.count = 0
        self.total = 0
        self.self_time = 0
        self.nbytes = 0
        self.flops = 0

    # PyTorch's names, in microseconds.

    @property
    def cpu_time_total(self) -> float:
        """Time with the calls inside, in us."""
        return self.total / 1e3

    @property
    def self_cpu_time_total(self) -> float:
        """Time without the calls inside, in us."""
        return self.self_time / 1e3

    @property
    def cpu_time(self) -> float:
        """Time of one call, in us."""
        return self.total / 1e3 / max(self.count, 1)


_SORT_KEYS = {
    "cpu_time_total": "total",
    "self_cpu_time_total": "self_time",
    "cuda_time_total": "total",
    "self_cuda_time_total": "self_time",
    "total": "total",
    "self_time": "self_time",
    "count": "count",
    "flops": "flops",
    "nbytes": "nbytes",
}


class Averages(Sequence[Average]):
    """The averages of a profile, in the order they first came."""

    def __init__(self, averages: list[Average], device: str) -> None:
        self._averages = averages
        self._device = device

    def __len__(self) -> int:
        return len(self._averages)

    def __getitem__(self, index: Any) -> Any:
        return self._averages[index]

    def __iter__(self) -> Iterator[Average]:
        return iter(self._averages)

    def table(
        self, sort_by: str | None = "self_time", row_limit: int = 100, ceilings: bool = True
    ) -> str:
        """The averages as text.

        Args:
            sort_by: self_time, total, count, flops, nbytes, or PyTorch's cpu_time_total and
                self_cpu_time_total; None: as they came.
            row_limit: how many rows; -1: all.
            ceilings: measure the machine's copy bandwidth and matrix-product rate (0.1 s), and say
                what share of the nearer one each kernel reaches.

        Raises:
            ValueError: an unknown sort_by.
        """
        rows = list(self._averages)
        if sort_by is not None:
            if sort_by not in _SORT_KEYS:
                raise ValueError(
                    f"table: sort_by must be one of {sorted(_SORT_KEYS)}; got {sort_by!r}"
                )
            attribute = _SORT_KEYS[sort_by]
            rows.sort(key=lambda a: -getattr(a, attribute))
        if row_limit >= 0:
            rows = rows[:row_limit]
        whole = sum(a.self_time for a in self._averages) or 1
        limits = measure_ceilings(self._device) if ceilings else None
        head = ["name", "kind", "calls", "total", "self", "self %", "per call"]
        head += ["bytes", "GB/s", "GFLOP/s"]
        if limits:
            head.append("of ceiling")
        lines = [head]
        for a in rows:
            seconds = a.total / 1e9
            lines.append(
                [
                    a.key + (f" {a.shapes}" if a.shapes else ""),
                    a.kind,
                    str(a.count),
                    _time(a.total),
                    _time(a.self_time),
                    f"{100 * a.self_time / whole:.1f}",
                    _time(a.total / max(a.count, 1)),
                    _bytes(a.nbytes),
                    f"{a.nbytes / seconds / 1e9:.1f}" if a.nbytes and seconds else "",
                    f"{a.flops / seconds / 1e9:.1f}" if a.flops and seconds else "",
                ]
            )
            if limits:
                share = max(a.nbytes / limits[0], a.flops / limits[1])
                lines[-1].append(f"{100 * share / seconds:.0f} %" if share and seconds else "")
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = []
        for line in lines:
            cells = [
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        text.insert(1, "  ".join("-" * width for width in widths))
        if limits:
            text.append(
                f"ceilings: copy {limits[0] / 1e9:.0f} GB/s, "
                f"matrix product {limits[1] / 1e9:.0f} GFLOP/s"
            )
        return "\n".join(text)


def _time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}" if ns < 1000 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"


def _bytes(n: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n} B" if n else ""


def measure_ceilings(device: str = "cpu", tries: int = 5) -> tuple[float, float]:
    """What the machine reaches now: bytes/s of a copy and FLOP/s of a float32 matrix product.

    Args:
        device: "cpu" or "cuda".
        tries: the best of so many counts.
    """
    k = kernels.table(device)
    emulated = device == "cuda" and _is_emulated()
    elements, n = (1 << 12, 32) if emulated else (1 << 24, 768)
    x = k.full((elements,), 1.0, float32.numpy)
    a = k.full((n, n), 1.0, float32.numpy)

    def best(call: Callable[[], Any]) -> float:
        times = []
        for _ in range(tries):
            start = time.perf_counter_ns()
            call()
            _wait(device)
            times.append(time.perf_counter_ns() - start)
        return min(times) / 1e9

    dtype = x.dtype
    copied = best(lambda: k.copy(x, dtype))
    product = best(lambda: k.matmul(a, a, None, (n, n)))
    return 2 * 4 * elements / copied, 2 * n**3 / product


def _is_emulated() -> bool:
    from .kernels import cuda

    return cuda.is_emulated()


def _wait(device: str) -> None:
    if device == "cuda":
        from .kernels import cuda

        cuda.synchronize()


def _arrays(values: Any) -> Iterator[Any]:
    for value in values:
        if type(value) in TABLE_OF_ARRAY:
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _arrays(value)


class profile:
    """Profiles what runs in its block, in every thread.

    Args:
        activities: accepted as PyTorch does; everything is profiled.
        record_shapes: keep the shapes of each call's arrays.
        on_trace_ready: called with the profile when it stops.
        schedule, profile_memory, with_stack, with_flops, with_modules: accepted as PyTorch does;
            bytes and FLOPs are always counted, stacks never.

    Raises:
        RuntimeError: when started while another one runs.
    """

    def __init__(
        self,
        activities: Any = None,
        *,
        schedule: Any = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
    ) -> None:
        self._shapes = record_shapes
        self._ready = on_trace_ready
        self._events: list[Event] = []
        self._undo: list[Callable[[], None]] = []
        self._steps = 0

    def start(self) -> None:
        """Begins; `with profile()` does it."""
        global _active
        if _active is not None:
            raise RuntimeError("profile: another profile is running (stop it first)")
        _active = self
        for table in dict.fromkeys(TABLE_OF_ARRAY.values()):
            for name in KERNELS:
                self._replace(table, name, self._timed_kernel(name, getattr(table, name), table))
        for op in OPS.values():
            self._replace(op, "forward", self._timed(op.name, "op", op.forward))
            if op.backward is not None:
                self._replace(op, "backward", self._timed(op.name, "backward", op.backward))

    def stop(self) -> None:
        """Ends: every entry is again what it was."""
        global _active
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        _active = None
        if self._ready is not None:
            self._ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def step(self) -> None:
        """Marks the end of a training step in the trace."""
        event = Event(f"step {self._steps}", "block", time.perf_counter_ns())
        self._steps += 1
        self._record(event)

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        before = getattr(owner, name)
        setattr(owner, name, value)
        self._undo.append(lambda: setattr(owner, name, before))

    def _record(self, event: Event) -> None:
        self._events.append(event)

    def _timed(self, name: str, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        shapes = self._shapes

        @functools.wraps(function)
        def timed(k: Any, *args: Any) -> Any:
            event = _begin(name, kind)
            if shapes:
                event.shapes = tuple([tuple(a.shape) for a in _arrays(args)])
            try:
                return function(k, *args)
            finally:
                _end(event)

        return timed

    def _timed_kernel(self, name: str, entry: Callable[..., Any], table: Any) -> Any:
        shapes = self._shapes
        flops = FLOPS.get(name)
        device = table.device

        def timed(*args: Any) -> Any:
            event = _begin(name, "kernel")
            event.device = device
            try:
                result = entry(*args)
                _wait(device)
            finally:
                _end(event)
            given = list(_arrays(args))
            made = list(_arrays(result if isinstance(result, tuple) else (result,)))
            event.nbytes = sum([a.nbytes for a in given + made])
            if flops is not None:
                event.flops = flops(*args)
            if shapes:
                event.shapes = tuple([tuple(a.shape) for a in given])
            return result

        return timed

    def events(self) -> list[Event]:
        """Every call, in the order they ended."""
        return list(self._events)

    def key_averages(self, group_by_input_shape: bool = False) -> Averages:
        """The calls of each name together.

        Args:
            group_by_input_shape: and of each list of shapes; needs record_shapes.
        """
        found: dict[Any, Average] = {}
        for e in self._events:
            shapes = e.shapes if group_by_input_shape else ()
            key = (e.kind, e.name, shapes)
            average = found.get(key)
            if average is None:
                average = found[key] = Average(e.name, e.kind, shapes)
            average.count += 1
            average.total += e.duration
            average.self_time += e.duration - e.children
            average.nbytes += e.nbytes
            average.flops += e.flops
        devices = {e.device for e in self._events}
        return Averages(list(found.values()), "cuda" if "cuda" in devices else "cpu")

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the calls as a trace for chrome://tracing and ui.perfetto.dev."""
        import json

        threads = {t: i for i, t in enumerate(dict.fromkeys(e.thread for e in self._events))}
        rows = []
        for e in self._events:
            details: dict[str, Any] = {}
            if e.nbytes:
                details["bytes"] = e.nbytes
            if e.flops:
                details["flops"] = e.flops
            if e.shapes:
                details["shapes"] = [list(s) for s in e.shapes]
            rows.append(
                {
                    "name": e.name,
                    "cat": e.kind,
                    "ph": "X",
                    "ts": e.start / 1e3,
                    "dur": e.duration / 1e3,
                    "pid": os.getpid(),
                    "tid": threads[e.thread],
                    "args": details,
                }
            )
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": rows, "displayTimeUnit": "ms"}, file)
