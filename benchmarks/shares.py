"""How near a result comes to what the machine can do: the share of its measured ceiling."""

from __future__ import annotations

from dataclasses import dataclass

from .results import OURS, Ceilings, Report, Result

__all__ = ["Bound", "Share", "bound", "level_of", "share", "stream_share"]


@dataclass(frozen=True)
class Bound:
    """What a case cannot take less time than, by one of the measured ceilings.

    Attributes:
        kind: of `roofline`'s loops: "fma32", "fma64" or "copy".
        where: an ISA, or the first level that holds the data.
        threads: of the ceiling.
        amount: operations or bytes of the case.
        rate: 1e9 of them a second at most.
    """

    kind: str
    where: str
    threads: int
    amount: float
    rate: float

    @property
    def seconds(self) -> float:
        """The least time."""
        return self.amount / (1e9 * self.rate)

    @property
    def name(self) -> str:
        """Such as "v4 multiply-adds" or "DRAM copy"."""
        return f"{self.where} {'copy' if self.kind == 'copy' else 'multiply-adds'}"


@dataclass(frozen=True)
class Share:
    """A part of a ceiling.

    Attributes:
        value: 1 is the ceiling itself; Winograd's convolutions may exceed it, because they need
            fewer operations than are counted.
        ceiling: what it is a part of: "v4 multiply-adds", "DRAM copy".
    """

    value: float
    ceiling: str


def level_of(ceilings: Ceilings, size: float, threads: int) -> str | None:
    """The first level that holds so many bytes; the measured loops went over half of each cache."""
    found = {m.level for m in ceilings.memory if m.threads == threads}
    for level in sorted(found - {"DRAM"}):
        held = ceilings.sizes.get(level, {}).get(str(threads))
        if held is not None and size <= 2 * held:
            return level
    return "DRAM" if "DRAM" in found else None


def bound(
    ceilings: Ceilings,
    isa: str,
    threads: int,
    dtype: str,
    flops: float,
    size: float,
    level: str | None = None,
) -> Bound | None:
    """The ceiling that bounds a case; None if unknown.

    The arithmetic takes at least its operations over the multiply-add peak of the ISA in use,
    moving the data at least its bytes over a copy's bandwidth in the first level that holds them
    (or in `level`); the longer of the two bounds the result.
    """
    found = []
    kind, table = ("fma64", ceilings.fma64) if dtype == "float64" else ("fma32", ceilings.fma)
    rows = {isa: table[isa]} if isa in table else table
    peaks = [(row[str(threads)], name) for name, row in rows.items() if row.get(str(threads))]
    if flops and not peaks:
        return None
    if flops:
        peak, name = max(peaks)
        found.append(Bound(kind, name, threads, flops, peak))
    level = level or level_of(ceilings, size, threads)
    speed = ceilings.gbs(threads, level) if level else None
    if size and level and speed:
        found.append(Bound("copy", level, threads, size, speed))
    return max(found, key=lambda b: b.seconds, default=None)


def share(report: Report, result: Result, engine: str = OURS) -> Share | None:
    """The least time that the ceiling allows (`bound`), divided by the time taken.

    Where the ceiling's loop was timed in turns with the engines, that rate counts: both have then
    had the same machine, whatever else it did. None if the ceiling is unknown.
    """
    if engine not in result.engines:
        return None
    beside = result.extra.get("ceiling")
    if beside is not None:
        return Share(beside["seconds"] / result.engines[engine].median, beside["name"])
    return _share_of(_bound(report, result), result, engine)


def stream_share(report: Report, result: Result, engine: str = OURS) -> Share | None:
    """As share, beside a copy of arrays that no cache holds ('stream copy'), wherever data lies.

    By the run's ceilings: a machine has one such bandwidth, where that of a cache is its own, and
    with a cache of hundreds of megabytes depends on who else uses it.
    """
    return _share_of(_bound(report, result, "DRAM"), result, engine)


def _bound(report: Report, result: Result, level: str | None = None) -> Bound | None:
    isa = str(report.environment.get("isa") or "")
    threads = int(result.extra.get("threads_used") or report.environment.get("threads") or 1)
    return bound(report.ceilings, isa, threads, result.dtype, result.flops, result.bytes, level)


def _share_of(limit: Bound | None, result: Result, engine: str) -> Share | None:
    if limit is None or engine not in result.engines:
        return None
    return Share(limit.seconds / result.engines[engine].median, limit.name)
