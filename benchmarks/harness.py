"""Times engines side by side: interleaved, warm, medians with their spread.

Every ratio that gradsmith claims comes from here.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["Block", "Timing", "in_turns", "interleave"]

# The other engine's idle threads spin for some milliseconds and would take the cores from the next
# one: wait until they sleep.
REST_SECONDS = 0.02
#: Samples of a block, about: quick calls are timed several to a sample.
SAMPLES = 20


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median, and the middle half's borders."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """(high - low) / median: what a difference must exceed to mean something."""
        return (self.high - self.low) / self.median

    @classmethod
    def of(cls, samples: list[float]) -> Timing:
        """The timing of some samples."""
        low, _, high = quantiles(samples, n=4) if len(samples) > 1 else (samples[0],) * 3
        return cls(median(samples), low, high)


class Block:
    """A block of calls of one candidate: called, it gives the seconds of a call, sample by sample.

    Args:
        call: what to time; it is called some times at once, to see how long it takes.
        seconds: about how long a block takes.
        warm_up: calls before each block that are not counted; one for calls longer than a block.

    Attributes:
        ran: calls in the last block, those that are not counted too.
    """

    def __init__(self, call: Callable[[], object], seconds: float, warm_up: int = 3) -> None:
        call()
        took, begin = float("inf"), time.perf_counter()
        for done in range(5):  # the least: another program may have had the core meanwhile
            start = time.perf_counter()
            call()
            end = time.perf_counter()
            took = min(took, max(end - start, 1e-7))
            if done and end - begin > seconds:
                break
        self.call, self.seconds = call, seconds
        self.count = max(1, int(seconds / took))
        self.warm_up = warm_up if took < seconds else min(1, warm_up)
        self.ran = 0

    def __call__(self) -> list[float]:
        """Waits until other threads sleep, warms up, times."""
        call, samples = self.call, []
        batch = max(1, self.count // SAMPLES)
        time.sleep(REST_SECONDS)
        for _ in range(self.warm_up):
            call()
        begin = time.perf_counter()
        for _ in range(max(1, self.count // batch)):
            start = time.perf_counter()
            for _ in range(batch):
                call()
            end = time.perf_counter()
            samples.append((end - start) / batch)
            if end - begin > 10 * self.seconds and len(samples) > 2:
                break  # disturbed: a block is no place to wait
        self.ran = self.warm_up + batch * len(samples)
        return samples


def in_turns(
    blocks: Mapping[str, Callable[[], list[float]]],
    rounds: int,
    limit: float = float("inf"),
    least: int = 3,
) -> dict[str, Timing]:
    """Runs the candidates' blocks in turns (A B A B ...).

    Args:
        blocks: name -> runs a block, here or in another process, and gives its samples.
        rounds: blocks of each.
        limit: no further round is begun after so many seconds ..
        least: .. unless there were fewer than these.

    Returns:
        name -> seconds of one call.
    """
    samples: dict[str, list[float]] = {name: [] for name in blocks}
    collecting = gc.isenabled()
    gc.disable()
    begin = time.perf_counter()
    try:
        for done in range(rounds):
            if done >= least and time.perf_counter() - begin > limit:
                break
            for name, block in blocks.items():
                samples[name] += block()
    finally:
        if collecting:
            gc.enable()
    return {name: Timing.of(taken) for name, taken in samples.items()}


def interleave(
    candidates: dict[str, Callable[[], object]],
    *,
    rounds: int = 12,
    seconds: float = 0.05,
    warm_up: int = 3,
) -> dict[str, Timing]:
    """Times calls of this process in turns.

    Args:
        candidates: name -> what to time.
        rounds: blocks of each.
        seconds: about how long a block takes; quick calls are timed many to a block.
        warm_up: calls before each block that are not counted.

    Returns:
        name -> seconds of one call.
    """
    blocks = {name: Block(call, seconds, warm_up) for name, call in candidates.items()}
    return in_turns(blocks, rounds)
