"""What `gradsmith bench` prints: progress, a table for each class, the verdict, comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..benchmarks.compare import Change, Comparison, name_of
from ..benchmarks.results import (
    EXACT,
    JAX,
    NUMPY,
    OURS,
    TORCH,
    TORCH_TUNED,
    Ceilings,
    Report,
    Result,
    by_class,
    geometric_mean,
)
from ..benchmarks.shares import share
from ..benchmarks.suite import Plan, Suite
from ..benchmarks.targets import verdicts

__all__ = [
    "LiveBench",
    "PlainBench",
    "ceilings",
    "class_table",
    "comparison",
    "head",
    "seconds",
    "verdict",
]


#: A ratio is marked where the middle half of the samples is wider than this part of the median.
WIDE = 1 / 3


def seconds(value: float) -> str:
    """`812 ns`, `12.3 us`, `4.56 ms`, `1.23 s`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            scaled = value / size
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f} {unit}"
    return f"{value * 1e9:.0f} ns"


def _number(value: float | None, form: str = "{:.2f}") -> str:
    return "-" if value is None or not math.isfinite(value) else form.format(value)


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

#: heading, whether any result has it, the cell.
Column = tuple[str, Callable[[Result], Any], Callable[[Report, Result], str]]
COLUMNS: tuple[Column, ...] = (
    ("time", lambda r: True, lambda _, r: seconds(r.engines[OURS].median)),
    ("target", lambda r: "target_us" in r.extra, lambda _, r: f"{r.extra.get('target_us', 0)} us"),
    ("rate", lambda r: r.rate(), lambda _, r: _rate(r)),
    ("of ceiling", lambda r: r.rate(), lambda p, r: _share(p, r)),
    ("shipped", lambda r: r.as_shipped, lambda _, r: _unsure(r, TORCH) + _number(r.as_shipped)),
    ("tuned", lambda r: r.tuned, lambda _, r: _unsure(r, TORCH_TUNED) + _number(r.tuned)),
    ("exact", lambda r: r.ratio(TORCH, EXACT), lambda _, r: _number(r.ratio(TORCH, EXACT))),
    ("numpy", lambda r: r.ratio(NUMPY), lambda _, r: _number(r.ratio(NUMPY))),
    ("jax", lambda r: r.ratio(JAX), lambda _, r: _number(r.ratio(JAX))),
    ("faults a step", lambda r: "faults" in r.extra, lambda _, r: _both(r, "faults")),
    ("peak MB", lambda r: "peak_mb" in r.extra, lambda _, r: _both(r, "peak_mb")),
    ("error", lambda r: r.error, lambda _, r: _number(r.error.get(OURS), "{:.1e}")),
)  # fmt: skip


def _rate(r: Result) -> str:
    found = r.rate()
    return "" if found is None else f"{found[0]:.{0 if found[0] >= 100 else 1}f} {found[1]}"


def _share(report: Report, r: Result) -> str:
    found = share(report, r)
    return "" if found is None else f"{100 * found.value:.0f} %"


def _unsure(r: Result, reference: str) -> str:
    """A mark, where the samples of one of the two scatter widely."""
    found = [r.engines[name].spread for name in (OURS, reference) if name in r.engines]
    return "~" if len(found) == 2 and max(found) > WIDE else ""


def _both(r: Result, name: str) -> str:
    """gradsmith's and PyTorch's."""
    theirs = r.extra.get(f"{TORCH}_{name}")
    ours = f"{r.extra.get(name, 0):.0f}"
    return ours if theirs is None else f"{ours} ({theirs:.0f})"


def class_table(report: Report, family: str | None) -> str:
    """The table of a class, None: of the last; with its geometric means."""
    classes = by_class([r for r in report.results if OURS in r.engines])
    if not classes:
        return ""
    family = family if family in classes else list(classes)[-1]
    results = classes[family]
    columns = [c for c in COLUMNS if any(c[1](r) for r in results)]
    rows = [[_name(r), r.kind, *[cell(report, r) for _, _, cell in columns]] for r in results]
    lines = _lines(["case", "pass", *[c[0] for c in columns]], rows, 2)
    return "\n".join([family, *[f"  {line}" for line in lines], f"  {_means(results)}", ""])


def _name(r: Result) -> str:
    return r.case if r.dtype == "float32" else f"{r.case} {r.dtype}"


def _means(results: Sequence[Result]) -> str:
    """`geometric mean: shipped 2.10 (least 0.95), tuned 1.30`."""
    parts = []
    for name, values in (
        ("shipped", [r.as_shipped for r in results]),
        ("tuned", [r.tuned for r in results]),
        ("exact", [r.ratio(TORCH, EXACT) for r in results]),
    ):
        found = [v for v in values if v is not None]
        if found:
            parts.append(f"{name} {geometric_mean(found):.2f} (least {min(found):.2f})")
    return f"geometric mean: {', '.join(parts)}" if parts else "no reference was timed"


def ceilings(found: Ceilings) -> str:
    """What the machine can do, as lines."""
    from ..benchmarks.roofline import table

    return "\n".join([*table(found), ""])


def _verdicts(report: Report) -> list[str]:
    """Each class beside its target."""
    rows, fast = [], False
    for v in verdicts(report.results):
        met = "" if v.met is None else "no" if not v.met else "fast only" if v.only_fast else "yes"
        fast = fast or v.only_fast
        rows.append([
            v.family, v.kind, str(v.count), f"{v.shipped:.2f}", _number(v.target.shipped),
            f"{v.least:.2f}", _number(v.tuned), _number(v.target.tuned), _number(v.least_tuned),
            met,
        ])  # fmt: skip
    if not rows:
        return []
    heads = ["class", "pass", "timed", "shipped", "target", "least", "tuned", "target", "least",
             "met"]  # fmt: skip
    words = ["geometric means of PyTorch's time / gradsmith's, and the least"]
    if fast:
        words.append("fast only: not with gradsmith.backends.cpu.conv_precision = 'exact'")
    return [*_lines(heads, rows, 2), "", *words, ""]


def verdict(report: Report, suite: Suite, interrupted: bool) -> str:
    """What came of it, in a few lines."""
    lines = []
    lines += _verdicts(report)
    slower = sorted(
        [r for r in report.results if (r.as_shipped or 1) < 0.9], key=lambda r: r.as_shipped or 0
    )
    if slower:
        lines.append("more than 10 % slower than PyTorch as shipped:")
        lines += [f"  {r.as_shipped:.2f}  {name_of(r)}" for r in slower[:20]]
        lines += [f"  and {len(slower) - 20} more"] if len(slower) > 20 else []
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
        return f"  x{factor:.2f}  {name_of(change.new)}: {seconds(old)} -> {seconds(new)}{against}"

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
