"""A run of `gradsmith bench` as Markdown: a part of a page, which a later run replaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..benchmarks.results import TORCH, Report
from ..benchmarks.targets import PEAK
from .bench_tables import classes, doubles, goals, means, slower, table_of, targets
from .errors import CommandError

__all__ = ["page", "refuse_unmarked", "section"]

#: What stands between these two lines of a page is the last run's.
BEGIN, END = "<!-- gradsmith bench: begin -->", "<!-- gradsmith bench: end -->"


#: That part of a page. Each mark is a line of its own: a page may name them in a sentence, too.
MARKED = re.compile(f"^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", re.DOTALL | re.MULTILINE)


def page(report: Report, path: Path) -> str:
    """The file's text with this run between its two marks; of a new or empty file the run alone."""
    before = _marked(path)
    text = section(report)
    return MARKED.sub(lambda _: text, before, count=1) if before else text


def refuse_unmarked(path: Path) -> None:
    """So that a page somebody has written is not lost.

    Raises:
        CommandError: the file holds something, but not the two marks.
    """
    _marked(path)


def _marked(path: Path) -> str:
    """The file's text, which has the marks; "" of a new or empty file."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except UnicodeDecodeError as error:
        raise CommandError(f"--markdown: {path} is not text: {error}", status=2) from None
    if text and not MARKED.search(text):
        raise CommandError(
            f"--markdown: {path} has no lines {BEGIN!r} and {END!r}, between which a run stands; "
            "another file, or add them",
            status=2,
        )
    return text


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
            f"GFLOP/s are those of a peak of {PEAK:.0f} GFLOP/s, in proportion to this machine's. "
            "*: where moving data bounds a case, its ceiling here is a stream copy, of arrays that "
            "no cache holds; the last column has the copy of the cache level that holds its data:"
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
