"""What a benchmark run found, as data: written as JSON, read again, compared, and put on a page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log
from pathlib import Path
from statistics import median
from typing import Any

from .harness import Timing

__all__ = [
    "ENGINES",
    "EXACT",
    "NUMPY",
    "NUMPY_TUNED",
    "OURS",
    "JAX",
    "TORCH",
    "TORCH_TUNED",
    "Ceilings",
    "Memory",
    "Report",
    "Result",
    "by_class",
    "dump",
    "from_dict",
    "geometric_mean",
    "load",
    "merged",
    "to_dict",
]

OURS, EXACT = "gradsmith", "gradsmith-exact"
TORCH, TORCH_TUNED = "torch", "torch-tuned"
NUMPY, NUMPY_TUNED, JAX = "numpy", "numpy-tuned", "jax"
#: Every engine, in the order in which they are shown.
ENGINES = (OURS, EXACT, TORCH, TORCH_TUNED, NUMPY, NUMPY_TUNED, JAX)


@dataclass(frozen=True)
class Memory:
    """Measured bytes a second.

    Attributes:
        level: "L1", "L2", "L3" or "DRAM".
        kind: "read", "copy" or "triad"; bytes read and written are counted.
        huge_pages: whether the buffers lay in huge pages.
        threads: how many ran.
        gbs: 1e9 bytes a second.
    """

    level: str
    kind: str
    huge_pages: bool
    threads: int
    gbs: float


@dataclass(frozen=True)
class Ceilings:
    """What this machine can do at most, measured.

    Attributes:
        fma: ISA -> threads (as text) -> 1e9 float32 operations a second of multiply-adds.
        memory: bandwidths.
        fma64: as fma, of float64.
        sizes: level -> threads (as text) -> bytes that the memory loops went over, all together.
    """

    fma: dict[str, dict[str, float]] = field(default_factory=dict)
    memory: tuple[Memory, ...] = ()
    fma64: dict[str, dict[str, float]] = field(default_factory=dict)
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)

    def gflops(self, threads: int, isa: str = "") -> float | None:
        """The multiply-add peak of some threads: of `isa`, or the best that was measured."""
        rows = [self.fma[isa]] if isa in self.fma else list(self.fma.values())
        found = [row[str(threads)] for row in rows if str(threads) in row]
        return max(found, default=None)

    def gbs(self, threads: int, level: str = "DRAM", kind: str = "copy") -> float | None:
        """The bandwidth of a level, with the pages that gave more."""
        found = [
            m.gbs for m in self.memory if (m.level, m.kind, m.threads) == (level, kind, threads)
        ]
        return max(found, default=None)


@dataclass(frozen=True)
class Result:
    """One case in one pass, in every engine that ran it.

    Attributes:
        family: the class of the target table ("class" in JSON).
        case: its name.
        dtype: "float32" or "float64".
        kind: "forward" or "training" ("pass" in JSON).
        flops, bytes: what the arithmetic needs at least; 0 where the figure says nothing.
        error: engine -> max |result - float64's| / max |float64's|; None where it is not finite.
        engines: engine -> seconds of a call.
        extra: what else was measured: page faults, memory, the tuning that won, notes; "ceiling":
            the loop of `shares.bound`, timed in turns with the engines: its "name", and the
            "seconds" that the case takes at least by it.
    """

    family: str
    case: str
    dtype: str
    kind: str
    flops: float
    bytes: float
    error: dict[str, float | None]
    engines: dict[str, Timing]
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it in another run."""
        return self.family, self.case, self.dtype, self.kind

    @property
    def label(self) -> str:
        """`conv 1x1: ResNet-50 .., training`: the case's label, and the pass."""
        dtype = "" if self.dtype == "float32" else f" {self.dtype}"
        return f"{self.family}: {self.case}{dtype}, {self.kind}"

    def ratio(self, reference: str, engine: str = OURS) -> float | None:
        """The reference's time divided by the engine's: above 1 the engine is faster."""
        if reference not in self.engines or engine not in self.engines:
            return None
        return self.engines[reference].median / self.engines[engine].median

    @property
    def as_shipped(self) -> float | None:
        """Against PyTorch as `pip install` gives it."""
        return self.ratio(TORCH)

    @property
    def tuned(self) -> float | None:
        """Against PyTorch at its best: as shipped or tuned, whichever took less time."""
        found = [r for r in (self.ratio(TORCH), self.ratio(TORCH_TUNED)) if r is not None]
        return min(found) if self.ratio(TORCH_TUNED) is not None else None

    def rate(self, engine: str = OURS) -> tuple[float, str] | None:
        """(1e9 a second, "GFLOP/s" or "GB/s"): operations where they are counted, else bytes."""
        if engine not in self.engines or not (self.flops or self.bytes):
            return None
        seconds = self.engines[engine].median
        if self.flops:
            return self.flops / seconds / 1e9, "GFLOP/s"
        return self.bytes / seconds / 1e9, "GB/s"


@dataclass(frozen=True)
class Report:
    """A whole run.

    Attributes:
        gradsmith: the version.
        when: ISO date and time, UTC.
        environment: cpu, cores, threads, isa, os, python, numpy, torch, jax, variables.
        ceilings: measured; empty where they were not.
        results: one entry for each case and pass.
        failures: what could not be run, or is wrong, in words.
        left_out: the cases that the time did not suffice for.
    """

    gradsmith: str
    when: str
    environment: dict[str, Any]
    ceilings: Ceilings = field(default_factory=Ceilings)
    results: tuple[Result, ...] = ()
    failures: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean logarithm; NaN of nothing."""
    logs = [log(v) for v in values]
    return exp(sum(logs) / len(logs)) if logs else math.nan


def by_class(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Class -> its results, in their order."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.family, []).append(result)
    return found


def merged(reports: Sequence[Report]) -> Report:
    """Several runs as one: of each case and engine the median of the runs' times.

    A minute in which the machine does something else spoils cases of one run only. The ceilings are
    the highest measured; failures of any run stay. Runs of different cases are put together.
    """
    if len(reports) == 1:
        return reports[0]
    found: dict[tuple[str, str, str, str], list[Result]] = {}
    for report in reports:
        for result in report.results:
            found.setdefault(result.key, []).append(result)
    measured = {results[0].label for results in found.values()}
    missing = dict.fromkeys(label for r in reports for label in r.left_out if label not in measured)
    most = max((len(results) for results in found.values()), default=1)
    return replace(
        reports[0],
        environment={**reports[0].environment, **({"runs": most} if most > 1 else {})},
        ceilings=_highest([r.ceilings for r in reports]),
        results=tuple([_median_result(results) for results in found.values()]),
        failures=tuple(dict.fromkeys(f for r in reports for f in r.failures)),
        left_out=tuple(missing),
    )


def _median_result(results: Sequence[Result]) -> Result:
    """The medians of one case's times; what else was measured is the first run's that has it."""
    engines = {}
    for name in dict.fromkeys(name for r in results for name in r.engines):
        times = [r.engines[name] for r in results if name in r.engines]
        engines[name] = Timing(
            median(t.median for t in times),
            median(t.low for t in times),
            median(t.high for t in times),
        )
    error = next((r.error for r in results if r.error), {})
    extra = {name: value for r in reversed(results) for name, value in r.extra.items()}
    ceilings = [r.extra["ceiling"] for r in results if "ceiling" in r.extra]
    if ceilings:
        # Runs may differ in the ceiling that bounds a case: times compare, rates do not. Of two in
        # the middle the shorter: other programs only lower what the machine can do.
        middle = (len(ceilings) - 1) // 2
        extra["ceiling"] = sorted(ceilings, key=lambda c: float(c["seconds"]))[middle]
    return replace(results[0], engines=engines, error=error, extra=extra)


def _highest(every: Sequence[Ceilings]) -> Ceilings:
    memory: dict[tuple[str, str, bool, int], Memory] = {}
    for m in (m for ceilings in every for m in ceilings.memory):
        key = (m.level, m.kind, m.huge_pages, m.threads)
        memory[key] = max(m, memory.get(key, m), key=lambda found: found.gbs)

    def peaks(tables: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
        best: dict[str, dict[str, float]] = {}
        for table in tables:
            for isa, row in table.items():
                for threads, value in row.items():
                    known = best.setdefault(isa, {})
                    known[threads] = max(value, known.get(threads, value))
        return best

    return Ceilings(
        fma=peaks([c.fma for c in every]),
        memory=tuple(memory.values()),
        fma64=peaks([c.fma64 for c in every]),
        sizes=every[0].sizes,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain data for JSON."""
    return {
        "gradsmith": report.gradsmith,
        "when": report.when,
        "environment": report.environment,
        "ceilings": {
            "fma": report.ceilings.fma,
            "memory": [vars(m) for m in report.ceilings.memory],
            "fma64": report.ceilings.fma64,
            "sizes": report.ceilings.sizes,
        },
        "results": [
            {
                "class": r.family,
                "case": r.case,
                "dtype": r.dtype,
                "pass": r.kind,
                "flops": r.flops,
                "bytes": r.bytes,
                "error": {name: _finite(value) for name, value in r.error.items()},
                "engines": {name: vars(timing) for name, timing in r.engines.items()},
                "extra": r.extra,
            }
            for r in report.results
        ],
        "failures": list(report.failures),
        "left_out": list(report.left_out),
    }


def from_dict(data: dict[str, Any]) -> Report:
    """The inverse of `to_dict`.

    Raises:
        ValueError: the data is no report.
    """
    try:
        return Report(
            gradsmith=data["gradsmith"],
            when=data["when"],
            environment=data["environment"],
            ceilings=Ceilings(
                fma=data["ceilings"]["fma"],
                memory=tuple([Memory(**m) for m in data["ceilings"]["memory"]]),
                fma64=data["ceilings"].get("fma64", {}),
                sizes=data["ceilings"].get("sizes", {}),
            ),
            results=tuple(
                [
                    Result(
                        family=r["class"],
                        case=r["case"],
                        dtype=r["dtype"],
                        kind=r["pass"],
                        flops=r["flops"],
                        bytes=r["bytes"],
                        error=r["error"],
                        engines={name: Timing(**t) for name, t in r["engines"].items()},
                        extra=r["extra"],
                    )
                    for r in data["results"]
                ]
            ),
            failures=tuple(data.get("failures", ())),
            left_out=tuple(data.get("left_out", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"no results of `gradsmith bench --json`: {type(error).__name__}: {error}"
        ) from None


def dump(report: Report, path: str | Path) -> None:
    """Write the report as JSON."""
    text = json.dumps(to_dict(report), indent=1, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def load(path: str | Path) -> Report:
    """Read a report that `dump` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no report.
    """
    return from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
