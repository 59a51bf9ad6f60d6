"""What `gradsmith validate` says on the terminal, and the sums that its page says too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..testing.campaign import Campaign

__all__ = ["by_check", "head", "left", "summary", "verdict"]

#: So many names are printed; the files have all.
SHOWN = 12


def several(count: int, what: str) -> str:
    """`1 op`, `2 ops`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def head(campaign: Campaign, here: dict[str, Any]) -> str:
    """What will be run, and where."""
    plan = campaign.plan
    samples = sum(len(o.samples) for o in campaign.ops)
    time = f"{plan.budget:g} s" if plan.budget else "no limit of time"
    return (
        f"gradsmith {here['version']}: {several(len(campaign.ops), 'op')}, "
        f"{several(samples, 'sample')} on {here['device']}\n"
        f"{here['cpu']}, ISA {here['isa']}, {several(here['threads'], 'thread')}; "
        f"{time}, seed {plan.seed}\n"
    )


def summary(data: dict[str, Any]) -> list[str]:
    """The results as lines for the terminal."""
    counts, grid = data["counts"], data["grid"]
    lines = ["", *_table(data)]
    if grid is not None:
        lines.append(
            f"\nexact-integer grid: {grid['count']:,} of {grid['space']:.2g} cases in "
            f"{len(grid['cases'])} families, {grid['failed']} failed"
        )
    if data["failures"]:
        shown = len(data["failures"])
        of = f" (the first {shown} of {counts['failed']})" if shown < counts["failed"] else ""
        lines.append(f"\nfailures{of}:")
        for f in data["failures"]:
            lines.append(
                f"  {f['op']}: {f['check']} [{f['sample']}] {f['dtype']}: {f['message']}\n"
                f"      {f['reproduce']}"
            )
    lines += _left(data)
    lines.append("\n" + verdict(data))
    return lines


def _table(data: dict[str, Any]) -> list[str]:
    """How many ops passed each check."""
    rows = by_check(data)
    if not rows:
        return []
    lines = [
        f"{'check':<10} {'passed':>7} {'failed':>7} {'skipped':>8} {'not run':>8} "
        f"{'comparisons':>12}   worst"
    ]
    for name, row in rows.items():
        lines.append(
            f"{name:<10} {row['passed']:>7} {row['failed']:>7} {row['skipped']:>8} "
            f"{row['not run']:>8} {row['count']:>12,}   {row['worst']}".rstrip()
        )
    return lines


def by_check(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """For each check how many ops passed, failed, were skipped or not reached, and the worst."""
    rows: dict[str, dict[str, Any]] = {}
    for op in data["ops"]:
        for c in op["checks"]:
            row = rows.setdefault(
                c["check"],
                {"passed": 0, "failed": 0, "skipped": 0, "not run": 0, "count": 0, "worst": "",
                 "seconds": 0.0, "_used": -1.0, "_slope": math.inf},
            )  # fmt: skip
            row[c["status"]] += 1
            row["count"] += c["count"]
            row["seconds"] += c["seconds"]
            if c["check"] in ("forward", "precision", "isas") and c["used"] is not None:
                used = float(c["used"])
                if not used <= row["_used"]:
                    row["_used"] = used
                    row["worst"] = f"{100 * used:.0f} % of the tolerance ({op['op']})"
            if c["check"] == "gradient" and c["slope"] is not None:
                slope = float(c["slope"])
                if not slope >= row["_slope"]:
                    row["_slope"] = slope
                    row["worst"] = f"slope {slope:.2f} ({op['op']})"
    return rows


def names(found: Sequence[str], most: int = SHOWN) -> str:
    """The first of some names, and how many more."""
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def left(
    data: dict[str, Any], partly: Callable[[list[str]], str]
) -> tuple[str, list[tuple[str, list[str]]], list[tuple[str, list[str]]]]:
    """What was not run: why, what and of which ops, and what is left out in any case.

    Args:
        partly: what is said of an op for the checks that it did not have.
    """
    counts, ops = data["counts"], data["ops"]
    never = [op["op"] for op in ops if op["status"] == "not run"]
    some = [op for op in ops if op["not_run"] and op["status"] != "not run"]
    missing = counts["samples"] - counts["samples_run"]
    lacking: list[tuple[str, list[str]]] = []
    if never:
        lacking.append((f"{several(len(never), 'op')} not at all", never))
    if some:
        which = [f"{op['op']} ({partly(op['not_run'])})" for op in some]
        lacking.append((f"{several(len(some), 'op')} without some of their checks", which))
    if missing and not data["complete"]:
        lacking.append((f"{missing:,} of {counts['samples']:,} samples", []))
    if data["grid"] is not None and not data["grid"]["count"]:
        lacking.append(("the exact-integer grid", []))
    besides: list[tuple[str, list[str]]] = []
    if counts["samples_left_out"]:
        large = several(counts["samples_left_out"], "sample")
        besides.append((f"too large for the emulator: {large}", []))
    if data["without_dtype"]:
        besides.append((f"not run in {', '.join(data['plan']['dtypes'])}", data["without_dtype"]))
    why = "stopped by Ctrl-C" if data["interrupted"] else "the budget was over"
    return why if lacking else "", lacking, besides


def _left(data: dict[str, Any]) -> list[str]:
    """What was not run, and why."""
    why, lacking, besides = left(data, lambda checks: str(len(checks)))
    lines = [f"\nnot run, as {why} (--budget 0 runs everything):"] if why else []
    for before, lines_of in (("  ", lacking), ("\n", besides)):
        lines += [f"{before}{what}{f': {names(ops)}' if ops else ''}" for what, ops in lines_of]
    return lines


def verdict(data: dict[str, Any]) -> str:
    """The result in one sentence."""
    counts = data["counts"]
    what = (
        f"{counts['comparisons']:,} comparisons, {counts['ops_passed']} ops passed, "
        f"{counts['ops_failed']} failed, in {data['seconds']:.1f} s"
    )
    if data["verdict"] == "nothing":
        return "NOTHING WAS CHECKED: no sample is meant, or all that is meant was skipped"
    if data["verdict"] == "failed":
        return f"FAILED: {what}"
    if data["complete"]:
        return f"PASSED, everything: {what}"
    return (
        f"PASSED what was run: {what}; {counts['samples_run']:,} of {counts['samples']:,} samples"
    )
