"""The pictures of a benchmark's report: which measurements go into which chart."""

from __future__ import annotations

from collections.abc import Sequence

from ..benchmarks.results import (
    ENGINES,
    JAX,
    NUMPY,
    NUMPY_TUNED,
    OURS,
    TORCH,
    TORCH_TUNED,
    Report,
    Result,
    by_class,
    geometric_mean,
)
from .charts import Bar, Dot, Line, Row, bars, curves, number, ratio, scatter, standalone

__all__ = [
    "case_name",
    "memory_chart",
    "pictures",
    "ratio_charts",
    "ratios",
    "reference",
    "roofline_chart",
    "scaling",
    "scaling_chart",
    "summary_chart",
    "threads_of",
]

NAMES = {TORCH: "PyTorch", NUMPY: "NumPy", JAX: "JAX"}
#: Rows of one picture: a page of paper holds it.
MOST_ROWS = 34
#: Classes in the chart of threads, beside the two ceilings.
MOST_CURVES = 5


def threads_of(report: Report) -> int:
    """How many threads the results were measured with."""
    return int(report.environment.get("threads") or 1)


def reference(report: Report) -> tuple[str, str, str]:
    """What ratios are against: engine as shipped, engine tuned, name; PyTorch if it was there."""
    for shipped, tuned in ((TORCH, TORCH_TUNED), (NUMPY, NUMPY_TUNED), (JAX, "")):
        if any(shipped in r.engines and OURS in r.engines for r in report.results):
            return shipped, tuned, NAMES[shipped]
    return TORCH, TORCH_TUNED, NAMES[TORCH]


def ratios(report: Report, result: Result) -> tuple[float | None, float | None]:
    """As shipped, and against the reference at its best: the faster of shipped and tuned."""
    shipped, tuned, _ = reference(report)
    first = result.ratio(shipped)
    second = result.ratio(tuned)
    if second is not None and first is not None:
        second = min(first, second)
    return first, second


def case_name(result: Result) -> str:
    """A case with its dtype, unless that is float32, and its pass."""
    dtype = "" if result.dtype == "float32" else f" {result.dtype}"
    return f"{result.case}{dtype}, {result.kind}"


def _bar(value: float | None, words: str) -> Bar | None:
    return None if value is None else Bar(value, f"{words}: {ratio(value)}×")


def summary_chart(report: Report) -> str:
    """Geometric means by class, every case as a dot; "" without a reference."""
    name = reference(report)[2]
    rows = []
    for family, results in by_class(report.results).items():
        pairs = [(r, *ratios(report, r)) for r in results]
        shipped = [a for _, a, _ in pairs if a is not None]
        tuned = [b for _, _, b in pairs if b is not None]
        if not shipped:
            continue
        means = (
            Bar(geometric_mean(shipped), f"{family}, {len(shipped)} cases, as shipped"),
            Bar(geometric_mean(tuned), f"{family}, {len(tuned)} cases, tuned") if tuned else None,
        )
        cases = tuple(Bar(a, f"{case_name(r)}: {ratio(a)}×") for r, a, _ in pairs if a is not None)
        rows.append(Row(f"{family} ({len(shipped)})", means, cases))
    if not rows:
        return ""
    words = [f"against {name} as shipped, geometric mean", f"against {name} tuned"]
    told = "; ".join(
        f"{row.name} {' and '.join(ratio(b.value) for b in row.bars if b)}" for row in rows
    )
    return bars(rows, words, f"How much faster gradsmith is than {name}, by class: {told}", 11)


def ratio_charts(report: Report, family: str, results: Sequence[Result]) -> list[str]:
    """Bars of every case of a class, some tens to a picture."""
    name = reference(report)[2]
    rows = []
    for result in results:
        shipped, tuned = ratios(report, result)
        if shipped is not None:
            label = case_name(result)
            pair = (_bar(shipped, f"{label}, as shipped"), _bar(tuned, f"{label}, tuned"))
            rows.append(Row(label, pair))
    words = [f"against {name} as shipped", f"against {name} tuned"]
    count = -(-len(rows) // MOST_ROWS)
    size = -(-len(rows) // count) if count else 1
    return [
        bars(rows[i : i + size], words, f"Ratios of {family}, cases {i + 1} to {i + size}")
        for i in range(0, len(rows), size)
    ]


def _series(engines: Sequence[str]) -> list[str]:
    """Engines from the last to the first: ours are drawn above the others."""
    return [e for e in reversed(ENGINES) if e in engines]


def _memory_roofs(report: Report) -> dict[str, tuple[float, str]]:
    """Level -> the highest bandwidth at the run's threads and what kind it is."""
    found: dict[str, tuple[float, str]] = {}
    for m in report.ceilings.memory:
        if m.threads == threads_of(report) and m.gbs > found.get(m.level, (0.0, ""))[0]:
            found[m.level] = (m.gbs, m.kind)
    return found


def roofline_chart(report: Report, engines: Sequence[str] = ENGINES, legend: bool = True) -> str:
    """Operations a second over operations a byte; "" if no case counts both."""
    dots = []
    for engine in _series(engines):
        for r in report.results:
            if r.flops and r.bytes and engine in r.engines and r.dtype == "float32":
                rate = r.flops / r.engines[engine].median / 1e9
                title = f"{r.family}: {case_name(r)}\n{engine}: {number(rate)} GFLOP/s"
                dots.append(Dot(r.flops / r.bytes, rate, ENGINES.index(engine), title))
    if not dots:
        return ""
    threads = str(threads_of(report))
    peaks = {isa: row[threads] for isa, row in report.ceilings.fma.items() if row.get(threads)}
    low, high = min(d.x for d in dots) / 1.6, max(d.x for d in dots) * 1.6
    lines = []
    top = max(peaks.values(), default=0.0)
    roofs = _memory_roofs(report)
    if roofs and top:
        low = min(low, 0.5 * top / max(speed for speed, _ in roofs.values()))
    for level, (speed, kind) in roofs.items():
        end = min(high, top / speed) if top else high
        if end > low:
            words = f"{level} {kind} {number(speed)} GB/s"
            lines.append(Line(((low, low * speed), (end, end * speed)), words, "start"))
    fastest = max((speed for speed, _ in roofs.values()), default=0.0)
    for isa, peak in sorted(peaks.items(), key=lambda item: item[1]):
        start = max(low, peak / fastest) if fastest else low
        kind = "roof" if peak == top else "thin"
        words = f"{isa} {number(peak)} GFLOP/s"
        lines.append(Line(((min(start, high / 2), peak), (high, peak)), words, "margin", kind))
    return scatter(
        dots,
        lines,
        ENGINES,
        ("operations a byte (FLOP/B)", "GFLOP/s"),
        f"Roofline of {len(dots)} measurements under the ceilings measured with {threads} threads",
        legend=legend,
    )


def memory_chart(report: Report, engines: Sequence[str] = ENGINES, legend: bool = True) -> str:
    """Bytes a second over bytes of the cases that count no operations; "" if there are none."""
    dots = []
    for engine in _series(engines):
        for r in report.results:
            if r.bytes and not r.flops and engine in r.engines:
                rate = r.bytes / r.engines[engine].median / 1e9
                title = f"{r.family}: {case_name(r)}\n{engine}: {number(rate)} GB/s"
                dots.append(Dot(r.bytes, rate, ENGINES.index(engine), title))
    if not dots:
        return ""
    threads = threads_of(report)
    low, high = min(d.x for d in dots) / 1.6, max(d.x for d in dots) * 1.6
    lines, start = [], low
    for level in sorted({m.level for m in report.ceilings.memory}, key=lambda s: (s == "DRAM", s)):
        speed = report.ceilings.gbs(threads, level)
        size = report.ceilings.sizes.get(level, {}).get(str(threads))
        end = high if level == "DRAM" or size is None else min(high, 2.0 * size)
        if speed and end > start:
            lines.append(Line(((start, speed), (end, speed)), f"{level} copy {number(speed)} GB/s"))
            start = end
    return scatter(
        dots,
        lines,
        ENGINES,
        ("bytes read and written by a call", "GB/s"),
        f"{len(dots)} measurements under the copy bandwidth measured with {threads} threads",
        bytes_axis=True,
        legend=legend,
    )


def scaling(report: Report) -> dict[str, tuple[int, dict[int, float]]]:
    """Class -> how many cases were run with several threads, threads -> their mean speedup."""
    grouped: dict[str, list[dict[int, float]]] = {}
    for result in report.results:
        seconds = {int(n): float(s) for n, s in (result.extra.get("threads") or {}).items()}
        if len(seconds) > 1 and 1 in seconds:
            speeds = {n: seconds[1] / s for n, s in seconds.items()}
            grouped.setdefault(result.family, []).append(speeds)
    means = {}
    for family, found in grouped.items():
        counts = sorted(set.intersection(*(set(s) for s in found)))
        means[family] = len(found), {n: geometric_mean(s[n] for s in found) for n in counts}
    return means


def scaling_chart(report: Report) -> str:
    """Speed by number of threads: the ceilings, and the classes with most cases."""
    lines: list[tuple[str, dict[int, float]]] = []
    isa = str(report.environment.get("isa") or "")
    row = report.ceilings.fma.get(isa) or next(iter(report.ceilings.fma.values()), {})
    largest = sorted(scaling(report).items(), key=lambda item: -item[1][0])[:MOST_CURVES]
    lines += [(f"{family} ({count})", mean) for family, (count, mean) in largest]
    if len(row) > 1 and "1" in row:
        speeds = {int(n): value / row["1"] for n, value in row.items()}
        lines.append(("ceiling: multiply-adds", dict(sorted(speeds.items()))))
    copies = {
        n: speed
        for n in sorted({m.threads for m in report.ceilings.memory})
        if (speed := report.ceilings.gbs(n)) is not None
    }
    if len(copies) > 1 and 1 in copies:
        lines.append(("ceiling: copy from DRAM", {n: s / copies[1] for n, s in copies.items()}))
    if not lines:
        return ""
    return curves(lines, "Speed by number of threads, relative to one thread")


def pictures(report: Report) -> dict[str, str]:
    """File name -> SVG, for documents: those charts that the results suffice for."""
    name, cpu = reference(report)[2], str(report.environment.get("cpu") or "")
    where = f"{cpu}, {threads_of(report)} threads"
    few = (OURS, reference(report)[0])
    found = {
        "benchmark-summary.svg": (
            summary_chart(report),
            f"How much faster than {name}, by class of ops ({where})",
        ),
        "benchmark-roofline.svg": (roofline_chart(report, few), f"Measured roofline ({where})"),
        "benchmark-memory.svg": (memory_chart(report, few), f"Memory-bound kernels ({where})"),
        "benchmark-scaling.svg": (scaling_chart(report), f"Threads ({where})"),
    }
    return {file: standalone(svg, title) for file, (svg, title) in found.items() if svg}
