"""The tables of `gradsmith bench` as rows of words, for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..benchmarks.results import (
    EXACT,
    JAX,
    NUMPY,
    OURS,
    TORCH,
    TORCH_TUNED,
    Report,
    Result,
    by_class,
    geometric_mean,
)
from ..benchmarks.shares import share
from ..benchmarks.targets import attained, verdicts

__all__ = [
    "SLOWER",
    "Rows",
    "classes",
    "doubles",
    "goals",
    "means",
    "seconds",
    "slower",
    "table_of",
    "targets",
]

#: The headings, and the rows.
Rows = tuple[list[str], list[list[str]]]

#: A ratio as shipped below this is named as slower.
SLOWER = 1 / 1.1

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


def classes(report: Report) -> dict[str, list[Result]]:
    """Class -> what gradsmith was timed in."""
    return by_class([r for r in report.results if OURS in r.engines])


def table_of(report: Report, results: Sequence[Result], mixed: bool = False) -> Rows:
    """A row for each result, with the columns that any of them has; mixed: with its class too."""
    columns = [c for c in COLUMNS if any(c[1](r) for r in results)]
    rows = [
        [
            (f"{r.family}: " if mixed else "") + _name(r),
            r.kind,
            *[cell(report, r) for _, _, cell in columns],
        ]
        for r in results
    ]
    return ["case", "pass", *[c[0] for c in columns]], rows


def _name(r: Result) -> str:
    return r.case if r.dtype == "float32" else f"{r.case} {r.dtype}"


def means(results: Sequence[Result]) -> str:
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


def targets(report: Report) -> tuple[Rows, bool]:
    """Each class beside its target, and whether one is met with 'fast' alone."""
    rows, fast = [], False
    for v in verdicts(report):
        met = "" if v.met is None else "no" if not v.met else "fast only" if v.only_fast else "yes"
        fast = fast or v.only_fast
        rows.append([
            v.name, v.kind, str(v.count), f"{v.shipped:.2f}", _number(v.target.shipped),
            f"{v.least:.2f}", _number(v.tuned), _number(v.target.tuned), _number(v.least_tuned),
            met,
        ])  # fmt: skip
    heads = ["class", "pass", "timed", "shipped", "target", "least", "tuned", "target", "least",
             "met"]  # fmt: skip
    return (heads, rows), fast


def goals(report: Report) -> Rows:
    """Each class beside what the machine should give."""
    rows = []
    for a in attained(report):
        form = "{:.0f} GFLOP/s" if a.goal.gflops else "{:.0%}"
        rows.append([
            ", ".join(filter(None, (a.family, a.goal.which))), a.kind,
            form.format(a.goal.value) + " *" * a.goal.stream,
            form.format(a.mean), "-" if a.large is None else form.format(a.large),
            form.format(a.best), f"{a.reached} of {a.count}",
            "" if a.near is None else form.format(a.near),
        ])  # fmt: skip
    heads = ["class", "pass", "goal", "mean", "mean, large", "best", "at the goal",
             "large, by its level"]  # fmt: skip
    return heads, rows


def doubles(report: Report) -> Rows:
    """float64's rate beside float32's, of the cases that were timed in both; with sums in order."""
    found = {r.key: r for r in report.results if r.flops and OURS in r.engines}
    rows = []
    for key, double in found.items():
        single = found.get((*key[:2], "float32", key[3]))
        if double.dtype != "float64" or single is None:
            continue
        engine = EXACT if double.family.startswith("conv") else OURS
        if engine not in single.engines:
            continue  # float32's time may be of Winograd's algorithm, which float64 never takes
        before, after = single.engines[engine].median, double.engines[OURS].median
        rows.append([
            f"{double.family}: {double.case}", double.kind, f"{1e-9 * single.flops / before:.3g}",
            f"{1e-9 * double.flops / after:.3g}", f"{before / after:.0%}",
        ])  # fmt: skip
    return ["case", "pass", "float32, GFLOP/s", "float64, GFLOP/s", "of float32's"], rows


def slower(report: Report) -> list[Result]:
    """What is more than 10 % slower than PyTorch as shipped, the worst first."""
    found = [r for r in report.results if (r.as_shipped or 1) < SLOWER]
    return sorted(found, key=lambda r: r.as_shipped or 0)
