"""Two runs beside each other: which cases became slower by more than the spread."""

from __future__ import annotations

from dataclasses import dataclass

from .results import OURS, TORCH, Report, Result

__all__ = ["LEAST", "Change", "Comparison", "compare"]

#: A change of less is none, however narrow the spread.
LEAST = 0.05


@dataclass(frozen=True)
class Change:
    """A case in both runs.

    Attributes:
        old, new: its results.
        drift: how much longer PyTorch took in the new run; 1 where it was not timed in both.
    """

    old: Result
    new: Result
    drift: float

    @property
    def factor(self) -> float:
        """The new time divided by the old: above 1 it became slower."""
        return self.new.engines[OURS].median / self.old.engines[OURS].median

    @property
    def relative(self) -> float:
        """The same, in units of PyTorch's time in the same run."""
        return self.factor / self.drift

    def beyond_spread(self, relative: bool = False) -> int:
        """1: slower, -1: quicker, 0: within the spread of both runs, or less than `LEAST`.

        Beyond it is where the middle halves of the samples do not overlap.
        """
        old, new = self.old.engines[OURS], self.new.engines[OURS]
        drift = self.drift if relative else 1.0
        if new.low / drift > old.high and self._moved(relative) > 1 + LEAST:
            return 1
        if new.high / drift < old.low and self._moved(relative) < 1 / (1 + LEAST):
            return -1
        return 0

    def _moved(self, relative: bool) -> float:
        return self.relative if relative else self.factor


@dataclass(frozen=True)
class Comparison:
    """What two runs say.

    Attributes:
        changes: the cases of both.
        slower, quicker: those beyond the spread, the largest change first.
        gone, added: names of cases that only one of them has.
        differences: parts of the environment that differ: (name, old, new).
    """

    changes: list[Change]
    slower: list[Change]
    quicker: list[Change]
    gone: list[str]
    added: list[str]
    differences: list[tuple[str, str, str]]


def compare(old: Report, new: Report, relative: bool = False) -> Comparison:
    """Compare gradsmith's times of two runs.

    Args:
        old, new: the runs.
        relative: in units of PyTorch's time in the same run, for two machines or two loads.
    """
    before = {r.key: r for r in old.results if OURS in r.engines}
    after = {r.key: r for r in new.results if OURS in r.engines}
    changes = []
    for key, result in after.items():
        if key in before:
            drift, earlier = 1.0, before[key]
            if TORCH in result.engines and TORCH in earlier.engines:
                drift = result.engines[TORCH].median / earlier.engines[TORCH].median
            changes.append(Change(earlier, result, drift))

    def size(change: Change) -> float:
        return change.relative if relative else change.factor

    verdicts = [(change, change.beyond_spread(relative)) for change in changes]
    return Comparison(
        changes=changes,
        slower=sorted([c for c, v in verdicts if v > 0], key=size, reverse=True),
        quicker=sorted([c for c, v in verdicts if v < 0], key=size),
        gone=[r.label for key, r in before.items() if key not in after],
        added=[r.label for key, r in after.items() if key not in before],
        differences=[
            (name, str(old.environment.get(name)), str(new.environment.get(name)))
            for name in ("cpu", "cores", "threads", "isa", "os", "python", "numpy", "torch", "jax")
            if old.environment.get(name) != new.environment.get(name)
        ],
    )
