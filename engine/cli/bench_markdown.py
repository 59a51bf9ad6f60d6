"""A run of `gradsmith bench` as Markdown: a part of a page, which a later run replaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..benchmarks.results import TORCH, Report
from ..benchmarks.targets import PEAK
from .bench_tables import classes, doubles, goals, means, slower, table_of, targets

__all__ = ["page", "section"]

#: What stands between these two lines of a page is the last run's.
BEGIN, END = "<!-- gradsmith bench: begin -->", "<!-- gradsmith bench: end -->"


def page(report: Report, path: Path) -> str:
    """The file's text with this run between its two marks; the run alone where it has none."""
    text = section(report)
    if not path.exists():
        return text
    before = path.read_text(encoding="utf-8")
    marked = re.compile(re.escape(BEGIN) + ".*" + re.escape(END) + "\n?", re.DOTALL)
    return marked.sub(lambda _: text, before, count=1) if marked.search(before) else text


def section(report: Report) -> str:
    """All of a run: where it ran, the targets, what is slower, a table for each class."""
    parts = [BEGIN, _where(report)]
    rows, fast = targets(report)
    if rows[1]:
        parts += ["Geometric means of PyTorch's time over gradsmith's, and the least of a case:"]
        parts += [_table(*rows, left=2)]
    if fast:
        parts.append('fast only: not with `gradsmith.backends.cpu.conv_precision = "exact"`.')
    rates = goals(report)
    if rates[1]:
        parts.append(
            "Rates beside what the machine should give, in parts of the ceiling that bounds a case "
            "(geometric means; large: of cases that the ceiling allows 100 us or more). Goals in "
            f"GFLOP/s are those of a peak of {PEAK:.0f} GFLOP/s, in proportion to this machine's:"
        )
        parts.append(_table(*rates, left=2))
    both = doubles(report)
    if both[1]:
        parts.append("float64 beside float32 without Winograd's algorithm (goal: 45 %):")
        parts.append(_table(*both, left=2))
    behind = slower(report)
    if behind:
        parts.append("More than 10 % slower than PyTorch as shipped:")
        parts.append(_table(*table_of(report, behind, mixed=True), left=2))
    elif any(TORCH in r.engines for r in report.results):
        parts.append("No case is more than 10 % slower than PyTorch as shipped.")
    for family, results in classes(report).items():
        parts += [f"### {family}", _table(*table_of(report, results), left=2), means(results)]
    parts.append(END)
    return "\n\n".join(parts) + "\n"


def _where(report: Report) -> str:
    """The machine and the versions, in a sentence or two."""
    here, found = report.environment, report.ceilings
    threads = int(here.get("threads") or 1)
    libraries = ", ".join(
        f"{name} {here[key]}"
        for key, name in (
            ("python", "Python"), ("numpy", "NumPy"), ("torch", "PyTorch"), ("jax", "JAX"),
            ("gradsmith", "gradsmith"),
        )
        if here.get(key)
    )  # fmt: skip
    missing = len(report.left_out)
    words = [
        f"{here.get('cpu', 'unknown processor')}, ISA {here.get('isa', '?')}, "
        f"threads: {threads}; {libraries}; {report.when[:10]}.",
        f"{len(report.results)} measurements; {missing} cases were not reached.",
        *([f"Medians of {here['runs']} runs."] if "runs" in here else []),
    ]
    peak = found.gflops(threads)
    copies = [
        f"{speed:.0f} ({level})"
        for level in ("L1", "L2", "L3", "DRAM")
        if (speed := found.gbs(threads, level)) is not None
    ]
    if peak is not None and copies:
        words.append(
            f"Ceilings of this run: {peak:.0f} GFLOP/s of float32; "
            f"copies of {', '.join(copies)} GB/s."
        )
    return " ".join(words)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """The first `left` columns begin at the left."""
    lines = [heads, ["---" if i < left else "--:" for i in range(len(heads))], *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
