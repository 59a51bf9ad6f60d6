"""How near a result comes to what the machine can do: the share of its measured ceiling."""

from __future__ import annotations

from dataclasses import dataclass

from .results import OURS, Ceilings, Report, Result

__all__ = ["Share", "level_of", "share"]


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


def share(report: Report, result: Result, engine: str = OURS) -> Share | None:
    """The least time that the ceilings allow, divided by the time taken; None if unknown.

    The arithmetic takes at least its operations over the multiply-add peak of the ISA in use,
    moving the data at least its bytes over a copy's bandwidth in the first level that holds them;
    the longer of the two bounds the result.
    """
    if engine not in result.engines:
        return None
    environment = report.environment
    threads = int(result.extra.get("threads_used") or environment.get("threads") or 1)
    bounds = []
    isa = str(environment.get("isa") or "")
    table = report.ceilings.fma64 if result.dtype == "float64" else report.ceilings.fma
    rows = {isa: table[isa]} if isa in table else table
    peaks = [(row[str(threads)], name) for name, row in rows.items() if row.get(str(threads))]
    if result.flops and peaks:
        peak, name = max(peaks)
        bounds.append((result.flops / (1e9 * peak), f"{name} multiply-adds"))
    level = level_of(report.ceilings, result.bytes, threads)
    speed = report.ceilings.gbs(threads, level) if level else None
    if result.bytes and speed:
        bounds.append((result.bytes / (1e9 * speed), f"{level} copy"))
    if not bounds or (result.flops and not peaks):
        return None
    least, name = max(bounds)
    return Share(least / result.engines[engine].median, name)
