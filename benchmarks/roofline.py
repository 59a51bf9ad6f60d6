"""What this machine can do at most, measured: multiply-adds a second, bytes a second of each cache.

    python -m gradsmith.benchmarks.roofline [--threads N ...] [--json FILE] [--quick]

A ceiling is the best of several samples: whatever else the machine does only lowers them. Bytes
count what a loop reads and writes, each once: 2 arrays a copy, 3 a triad. Stores past the caches
are tried too and count where they are quicker, which is far beyond the last cache.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gradsmith import _cpu

from .harness import REST_SECONDS
from .results import Ceilings, Memory

__all__ = ["Cache", "Loop", "caches", "disturbed", "main", "measure", "table", "working_sets"]

HUGE_PAGE = 2 << 20
#: What is taken where the system does not say: bytes of a cache level.
FALLBACKS = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
KINDS = ("read", "copy", "triad")
#: Passes over the memory before one counts, between two of other engines: with one, 130 MB in an L3
#: of 260 MB give 40 GB/s, what DRAM gives; with two 54, four 62, eight and sixteen 64.
WARM_UP = 8
CPU_FOLDER = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Cache:
    """A level of the data cache.

    Attributes:
        level: "L1", "L2" or "L3".
        size: its bytes.
        shared: how many of the processors that this process may use share one.
        known: whether the system said so; else it is a guess.
    """

    level: str
    size: int
    shared: int
    known: bool = True


def _bytes(text: str) -> int:
    """The bytes of sysfs's "48K"; 0 where it is not of that form."""
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
    digits = text.rstrip("KMG")
    return int(digits) * unit if digits.isdigit() else 0


def _cpus(text: str) -> set[int]:
    """The numbers of sysfs's "0-3,8"."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            found |= set(range(int(first), int(last or first) + 1))
    return found


def caches(folder: Path = CPU_FOLDER) -> list[Cache]:
    """The levels of the data cache, as the first processor that may be used sees them.

    Args:
        folder: Where the system describes its processors.
    """
    usable = os.sched_getaffinity(0)
    found: dict[str, Cache] = {}
    for entry in sorted(folder.glob(f"cpu{min(usable)}/cache/index*")):
        try:
            level, kind, size, shared = (
                (entry / name).read_text().strip()
                for name in ("level", "type", "size", "shared_cpu_list")
            )
        except OSError:
            continue
        if kind in ("Data", "Unified") and _bytes(size):
            name = f"L{level}"
            found[name] = Cache(name, _bytes(size), max(1, len(_cpus(shared) & usable)))
    silent = not found
    for name, size in FALLBACKS.items():
        if name not in found and (silent or name != "L3"):  # some processors end at L2
            shared = len(usable) if name == "L3" else 1
            found[name] = Cache(name, size, shared, known=False)
    return [found[name] for name in sorted(found)]


def _memory_available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 1 << 30


def working_sets(levels: Sequence[Cache], threads: int) -> dict[str, int]:
    """level -> bytes for all threads together: half of each cache; DRAM: four times the last one.

    A level whose half is no more than what the level before holds is left out.
    """
    sizes: dict[str, int] = {}
    before = 0
    for cache in levels:
        copies = -(-threads // cache.shared)
        total = cache.size * copies
        if total // 2 > before:
            sizes[cache.level] = total // 2
        before = total
    sizes["DRAM"] = max(min(4 * before, 1 << 30, _memory_available() // 4), 32 << 20)
    return sizes


class _Pages:
    """Bytes of our own, touched, with huge pages asked for or refused."""

    def __init__(self, size: int, huge_pages: bool) -> None:
        size = -(-size // HUGE_PAGE) * HUGE_PAGE
        self._map = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        advice = mmap.MADV_HUGEPAGE if huge_pages else mmap.MADV_NOHUGEPAGE
        try:
            self._map.madvise(advice)
        except OSError:  # a kernel without huge pages: they are small either way
            pass
        whole = memoryview(self._map)
        start = -_address(self._map) % HUGE_PAGE
        self.view = whole[start : start + size]
        for i in range(0, size, HUGE_PAGE):
            self.view[i : i + HUGE_PAGE] = bytes(HUGE_PAGE)


def _address(buffer: Any) -> int:
    import numpy as np

    return np.frombuffer(buffer, np.uint8).ctypes.data


def _rate(run: Callable[[int], float], seconds: float, samples: int, hoped: float = 0.0) -> float:
    """The best rate of some samples. run(rounds) gives the FLOPs or bytes that it came to.

    How many rounds a sample takes follows from the best rate so far: a sample that was interrupted
    by something else does not make those after it too short to mean anything. As long as the rate
    is below `hoped`, up to four times as many samples are taken.
    """
    rounds, best, taken = 1, 0.0, 0
    for _ in range(100):
        start = time.perf_counter()
        work = run(rounds)
        best = max(best, work / (time.perf_counter() - start))
        wanted = max(1, int(seconds * best * rounds / work))
        if wanted < 2 * rounds:
            taken += 1
            if taken >= samples and (best >= hoped or taken >= 4 * samples):
                break
        rounds = min(wanted, 16 * rounds)
    return best


def thread_counts(most: int) -> list[int]:
    """1, 2, 4, .. and the most."""
    counts = {most}
    n = 1
    while n < most:
        counts.add(n)
        n *= 2
    return sorted(counts)


def measure(
    threads: Sequence[int] | None = None,
    *,
    quick: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Ceilings:
    """Measures all ceilings; about 5 seconds on two cores, never more than 20.

    Args:
        threads: Numbers of threads; None: 1, 2, 4 .. and as many as are set.
        quick: Fewer and shorter samples.
        progress: Called with the name of what is measured next.
    """
    counts = sorted(set(threads or thread_counts(_cpu.num_threads())))
    isas = _cpu.isas()
    levels = caches()
    say = progress or (lambda _: None)
    # Ten seconds in all, in equal parts; a part is some samples and their calibration.
    measurements = len(counts) * (2 * len(isas) + 2 * (3 * (len(levels) + 1) + 4))
    seconds = min(0.01, 10 / measurements / 7) / (4 if quick else 1)
    samples = 4 if quick else 5
    rates: list[Memory] = []
    fma: dict[int, dict[str, dict[str, float]]] = {32: {}, 64: {}}
    sizes: dict[str, dict[str, int]] = {}
    # What every core has of its own should be twice as much on two.
    alone: dict[tuple[str, ...], float] = {}

    def best(kind: str, isa: str, n: int, memory: memoryview | None, own: tuple[str, ...]) -> float:
        hoped = 0.9 * n * alone.get(own, 0.0)
        scale = 1000 if memory is None else 1
        rate = _rate(
            lambda rounds: _cpu.ceiling_loop(kind, isa, n, scale * rounds, memory),
            seconds,
            samples,
            hoped,
        )
        if own:
            alone.setdefault(own, rate / n)
        return rate

    for dtype, rows in fma.items():
        kind = f"fma{dtype}"
        for isa in isas:
            say(f"multiply-adds of float{dtype}, {isa}")
            rows[isa] = {str(n): 1e-9 * best(kind, isa, n, None, (kind, isa)) for n in counts}
    shared = {c.level for c in levels if c.shared > 1} | {"DRAM"}
    for huge_pages in (True, False):
        largest = max(max(working_sets(levels, n).values()) for n in counts)
        pages = _Pages(largest, huge_pages)
        for n in counts:
            for level, size in working_sets(levels, n).items():
                say(f"{level}, {n} threads, {'huge' if huge_pages else 'small'} pages")
                sizes.setdefault(level, {})[str(n)] = size
                for kind in KINDS:
                    own = () if level in shared else (level, kind)
                    loops = [kind]
                    if level in ("L3", "DRAM") and kind != "read":
                        loops.append(f"{kind}_stream")
                    found = [best(k, isas[-1], n, pages.view[:size], own) for k in loops]
                    rates.append(Memory(level, kind, huge_pages, n, 1e-9 * max(found)))
    return Ceilings(fma[32], tuple(rates), fma[64], sizes)


class Loop:
    """One ceiling's loop as a block of `harness.in_turns`: its sample is seconds an operation.

    Args:
        kind: "fma32", "fma64", or "copy", whose operations are bytes.
        where: the ISA, or the level of memory.
        threads: how many run it.
        size: bytes that a copy goes over.
        seconds: about how long a block takes.
    """

    def __init__(
        self, kind: str, where: str, threads: int, size: int = 0, seconds: float = 0.004
    ) -> None:
        self._memory = _Pages(size, huge_pages=True).view[:size] if size else None
        self._isa = _cpu.isas()[-1] if size else where
        self._threads = threads
        self._warm_up = WARM_UP if size and where != "DRAM" else 1
        kinds = [kind, f"{kind}_stream"] if where in ("L3", "DRAM") else [kind]
        rates = {k: _rate(lambda rounds, k=k: self._run(k, rounds), seconds, 3) for k in kinds}
        self._kind = max(rates, key=lambda k: rates[k])
        self._rounds = max(1, int(seconds * rates[self._kind] / self._run(self._kind, 1)))

    def _run(self, kind: str, rounds: int) -> float:
        scale = 1 if self._memory is not None else 1000
        return _cpu.ceiling_loop(kind, self._isa, self._threads, scale * rounds, self._memory)

    def __call__(self) -> list[float]:
        time.sleep(REST_SECONDS)
        self._run(self._kind, self._warm_up)
        start = time.perf_counter()
        work = self._run(self._kind, self._rounds)
        return [(time.perf_counter() - start) / work]


def disturbed(ceilings: Ceilings) -> str:
    """What is to be said where several threads come to far less than as many times one; else ""."""
    for isa, row in reversed(ceilings.fma.items()):
        most = max(row, key=int)
        if "1" in row and int(most) > 1 and row[most] < 0.8 * int(most) * row["1"]:
            return (
                f"{most} threads make {row[most] / row['1']:.1f} times the multiply-adds of one "
                f"({isa}): other programs kept the machine busy, or threads share cores; shares of "
                "these ceilings come out too high"
            )
    return ""


def table(ceilings: Ceilings) -> list[str]:
    """The ceilings as lines of text."""
    lines = ["multiply-adds, GFLOP/s"]
    counts = sorted({int(n) for row in ceilings.fma.values() for n in row})
    head = "".join(f"{f'{n} thread' + 's' * (n > 1):>12}" for n in counts)
    lines.append(f"{'':22}{head}")
    for name, rows in (("float32", ceilings.fma), ("float64", ceilings.fma64)):
        for isa, row in rows.items():
            cells = "".join(f"{row[str(n)]:12.0f}" for n in counts)
            lines.append(f"{f'{name} {isa}':22}{cells}")
    lines += ["", "memory, GB/s read and written", f"{'':22}{head}"]
    rates = {(b.level, b.kind, b.huge_pages, b.threads): b.gbs for b in ceilings.memory}
    for level in dict.fromkeys(b.level for b in ceilings.memory):
        for kind in KINDS:
            for huge in (True, False):
                found = [rates.get((level, kind, huge, n)) for n in counts]
                cells = "".join(f"{'' if x is None else f'{x:.1f}':>12}" for x in found)
                name = f"{level} {kind}, {'huge' if huge else 'small'} pages"
                lines.append(f"{name:22}{cells}")
    if note := disturbed(ceilings):
        lines += ["", note]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Prints the ceilings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    ceilings = measure(options.threads, quick=options.quick)
    print("\n".join(table(ceilings)))
    if options.json:
        options.json.write_text(json.dumps(asdict(ceilings), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
