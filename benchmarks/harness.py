"""Times engines side by side in one process: interleaved, warm, medians with their spread.

Every ratio that gradsmith claims comes from here.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles

__all__ = ["Timing", "interleave"]

# The other engine's idle threads spin for some milliseconds and would take the cores from the next
# one: wait until they sleep.
REST_SECONDS = 0.02


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


def interleave(
    candidates: dict[str, Callable[[], object]],
    *,
    rounds: int = 12,
    seconds: float = 0.05,
    warm_up: int = 3,
) -> dict[str, Timing]:
    """Times each candidate, block by block in turns (A B A B ...).

    Args:
        candidates: name -> what to time.
        rounds: blocks of each.
        seconds: about how long a block takes; quick calls are timed many to a block.
        warm_up: calls before each block that are not counted.

    Returns:
        name -> seconds of one call.
    """
    counts = {}
    for name, call in candidates.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in candidates.items():
                time.sleep(REST_SECONDS)
                for _ in range(warm_up):
                    call()
                batch = max(1, counts[name] // 20)  # about 20 samples a block
                for _ in range(max(1, counts[name] // batch)):
                    start = time.perf_counter()
                    for _ in range(batch):
                        call()
                    samples[name].append((time.perf_counter() - start) / batch)
    finally:
        if collecting:
            gc.enable()
    result = {}
    for name, taken in samples.items():
        low, _, high = quantiles(taken, n=4) if len(taken) > 1 else (taken[0],) * 3
        result[name] = Timing(median(taken), low, high)
    return result
