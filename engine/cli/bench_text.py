"""What `gradsmith bench` prints: progress, a table for each class, the verdict, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..benchmarks.compare import Change, Comparison
from ..benchmarks.results import (
    OURS,
    TORCH,
    TORCH_TUNED,
    Ceilings,
    Report,
    Result,
    by_class,
    geometric_mean,
)
from ..benchmarks.suite import Plan, Suite
from .bench_tables import classes, means, seconds, slower, table_of, targets

__all__ = [
    "LiveBench",
    "PlainBench",
    "ceilings",
    "class_table",
    "comparison",
    "head",
    "verdict",
]


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns; the first `left` of them begin at the left."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return [
        "  ".join(
            f"{cell:<{width}}" if i < left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def head(report: Report, plan: Plan) -> str:
    """Where it runs, and beside what."""
    here = report.environment
    engines = []
    for name in plan.engines:
        library = name.split("-")[0]
        version = here.get(library)
        engines.append(f"{name} {version}" if version and name == library else name)
    also = f", and {', '.join(map(str, plan.threads[1:]))}" if len(plan.threads) > 1 else ""
    return (
        f"{here['cpu']}, {here['cores']} cores, ISA {here['isa']}, threads {here['threads']}{also};"
        f" load {here['load']}\n{', '.join(engines)}\n"
        "ratios: the other's time / gradsmith's, above 1 it is faster; ~: the samples scatter\n"
    )


# ---- tables ----


def class_table(report: Report, family: str | None) -> str:
    """The table of a class, None: of the last; with its geometric means."""
    found = classes(report)
    if not found:
        return ""
    family = family if family in found else list(found)[-1]
    lines = _lines(*table_of(report, found[family]), 2)
    return "\n".join([family, *[f"  {line}" for line in lines], f"  {means(found[family])}", ""])


def ceilings(found: Ceilings) -> str:
    """What the machine can do, as lines."""
    from ..benchmarks.roofline import table

    return "\n".join([*table(found), ""])


def _targets(report: Report) -> list[str]:
    """Each class beside its target."""
    (heads, rows), fast = targets(report)
    if not rows:
        return []
    words = ["geometric means of PyTorch's time / gradsmith's, and the least"]
    if fast:
        words.append("fast only: not with gradsmith.backends.cpu.conv_precision = 'exact'")
    return [*_lines(heads, rows, 2), "", *words, ""]


def verdict(report: Report, suite: Suite, interrupted: bool) -> str:
    """What came of it, in a few lines."""
    lines = []
    lines += _targets(report)
    behind = slower(report)
    if behind:
        lines.append("more than 10 % slower than PyTorch as shipped:")
        lines += [f"  {r.as_shipped:.2f}  {r.label}" for r in behind[:20]]
        lines += [f"  and {len(behind) - 20} more"] if len(behind) > 20 else []
        lines.append("")
    if suite.failures:
        lines += ["FAILED:", *[f"  {line}" for line in suite.failures], ""]
    if suite.left_out:
        lines.append(f"{len(suite.left_out)} cases not run: the time was over")
    if interrupted:
        lines.append("stopped by Ctrl-C: what was measured until then")
    references = [e for e in (TORCH, TORCH_TUNED) if any(e in r.engines for r in report.results)]
    beside = "" if references else "; PyTorch is not installed or was not asked for"
    if suite.cases:
        lines.append(f"{len(report.results)} measurements in {suite.elapsed:.0f} s{beside}")
    return "\n".join(lines)


def comparison(found: Comparison, relative: bool) -> str:
    """Two runs beside each other, as lines."""

    def line(change: Change) -> str:
        old, new = change.old.engines[OURS].median, change.new.engines[OURS].median
        factor = change.relative if relative else change.factor
        against = "" if change.drift == 1 else f"; PyTorch x{change.drift:.2f}"
        return f"  x{factor:.2f}  {change.new.label}: {seconds(old)} -> {seconds(new)}{against}"

    lines = [f"{name}: {old} -> {new}" for name, old, new in found.differences]
    for title, changes in (("slower", found.slower), ("quicker", found.quicker)):
        if changes:
            lines += [f"{title} beyond the spread:", *[line(c) for c in changes]]
    for title, names in (("only in the old run", found.gone), ("only in the new", found.added)):
        if names:
            lines.append(f"{title}: {len(names)}")
    factors = [c.relative if relative else c.factor for c in found.changes]
    unit = "in units of PyTorch's time, " if relative else ""
    lines.append(
        f"{len(found.changes)} cases in both, {unit}geometric mean of the times "
        f"x{geometric_mean(factors):.3f}: {len(found.slower)} slower, {len(found.quicker)} quicker"
    )
    return "\n".join(lines)


# ---- progress ----


class PlainBench:
    """A class's table when it is finished.

    Args:
        suite: what runs.
        report: gives what there is so far.
    """

    def __init__(self, suite: Suite, report: Callable[[], Report]) -> None:
        self.suite, self.report = suite, report
        self.shown: set[str] = set()
        self.family, self.done = "", 0

    def started(self) -> None:
        """Nothing is shown yet."""

    def say(self, text: str) -> None:
        """Print it."""
        print(text, flush=True)

    def ran(self, label: str, result: Result | None) -> None:
        """A case begins (no result), or has ended."""
        if result is not None:
            self.done += 1
            if self.family and result.family != self.family:
                self._table(self.family)
            self.family = result.family

    def finished(self) -> None:
        """The tables that are left: where the time was over, of a class without its last cases."""
        for family in by_class(self.report().results):
            self._show(family)

    def _table(self, family: str) -> None:
        """A class's table, once none of its cases is left."""
        done = len(self.suite.results)
        if family not in {case.family for case, _ in self.suite.cases[done:]}:
            self._show(family)

    def _show(self, family: str) -> None:
        if family not in self.shown:
            self.shown.add(family)
            self.say(class_table(self.report(), family))

    def close(self) -> None:
        """Gives the terminal back."""


class LiveBench(PlainBench):
    """A bar with the case that runs (rich)."""

    def started(self) -> None:
        """Show the bar."""
        from rich import progress

        columns: list[Any] = [
            progress.TextColumn("{task.description}", justify="left"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(compact=True),
        ]
        self.bar = progress.Progress(*columns, expand=True, refresh_per_second=4)
        self.task = self.bar.add_task("starting", total=max(1, len(self.suite.cases)))
        self.bar.start()

    def say(self, text: str) -> None:
        """Print it above the bar."""
        self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def ran(self, label: str, result: Result | None) -> None:
        """Move the bar on."""
        super().ran(label, result)
        self.bar.update(self.task, completed=self.done, description=f"{label:<50.50}")

    def close(self) -> None:
        """Leave the bar on the terminal."""
        if hasattr(self, "bar"):
            self.bar.stop()
