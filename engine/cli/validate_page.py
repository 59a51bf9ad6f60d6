"""The page of `gradsmith validate`: the verdict, what failed, every op; nothing outside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from ..testing import CHECKS
from .page import document, facts, tiles
from .validate_text import by_check, left, verdict

__all__ = ["render"]

MARKS = {"passed": "✓", "failed": "✗", "skipped": "–", "not run": "·"}
LABELS = {"inplace": "in place", "isas": "ISAs", "unchanged": "inputs kept", "errors": "refusals"}
#: Checks whose heading is narrower than their name.
NARROW = {"gradient": "grad.", "precision": "prec.", "second": "2nd", "threads": "thr."}
#: Failing ops first, then those that the time did not suffice for.
ORDER = {"failed": 0, "passed": 1, "skipped": 2, "not run": 3}

CSS = """
main { max-width: 1320px; }
.verdict { font-size: 17px; font-weight: 650; } .verdict.bad { color: var(--bad); }
.verdict.good { color: var(--good); }
td.none { color: #a3abb8; }
.checks td { padding-right: 0; text-align: center; } .checks th { padding-right: 0; }
.checks td.number, .checks th.number { text-align: right; padding-right: 12px;
  white-space: nowrap; }
.checks td.left, .checks th.left { text-align: left; padding-right: 10px; }
.checks td.status { white-space: nowrap; }
.checks th { font-size: 12px; font-weight: 600; text-align: center; vertical-align: bottom;
  line-height: 1.25; padding-left: 3px; padding-right: 3px; }
.checks td.name small { color: var(--soft); display: block; line-height: 1.2; }
.checks tr.bad { background: #fdf1f0; }
.mark { font-weight: 700; } .mark.passed { color: var(--good); } .mark.failed { color: var(--bad); }
.mark.skipped, .mark.not { color: #a3abb8; font-weight: 400; }
.filter { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin: 8px 0 12px; }
.filter input, .filter select { font: inherit; font-size: 15px; padding: 7px 11px; color: inherit;
  border: 1px solid #b9c1cd; border-radius: 8px; background: #fff; min-width: 0; }
.filter input { flex: 1 1 220px; }
.failure { border-left: 4px solid var(--bad); padding: 2px 0 2px 14px; margin: 14px 0; }
.failure p { margin: 2px 0 6px; overflow-wrap: anywhere; }
pre { background: #f3f5f8; border-radius: 6px; padding: 9px 12px; margin: 0; font-size: 13px;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.full { max-width: none; }
.names { font-size: 14px; overflow-wrap: anywhere; }
@media (max-width: 760px) {
  main { padding: 20px 12px 32px; } section { padding: 16px 14px; }
  h1 { font-size: 23px; } .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile { padding: 10px 13px; } .tile b { font-size: 21px; }
  .cards thead { display: none; }
  .cards, .cards tbody, .cards tr { display: block; }
  .cards tr { border-top: 1px solid var(--line); padding: 9px 6px; display: flex;
    flex-wrap: wrap; gap: 2px 14px; }
  .cards tr[hidden] { display: none; }
  .cards th, .cards td, .checks td.number { border: 0; padding: 0; text-align: left;
    white-space: normal; }
  .cards td.name, .cards th.name { flex: 1 1 100%; font-weight: 600; }
  .cards td.name small { display: inline; font-weight: 400; margin-left: 8px; }
  .cards td[data-label]::before { content: attr(data-label) " "; color: var(--soft);
    font-size: 13px; font-weight: 400; }
  .cards td.none { display: none; }
  .cards td.wide-text { flex: 1 1 100%; }
}
"""
#: Shows the rows whose name, family or status has what was typed.
SCRIPT = """<script>
(function () {
  var box = document.getElementById("find"), kind = document.getElementById("kind");
  var rows = document.querySelectorAll("#ops tbody tr"), shown = document.getElementById("shown");
  function filter() {
    var words = box.value.toLowerCase().split(/\\s+/), n = 0;
    rows.forEach(function (row) {
      var text = row.dataset.text, ok = words.every(function (w) { return text.includes(w); });
      ok = ok && (!kind.value || row.dataset.kind.split(" ").includes(kind.value));
      row.hidden = !ok;
      n += ok;
    });
    shown.textContent = n + " of " + rows.length + " ops";
  }
  box.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  document.querySelector(".filter").hidden = false;
  filter();
})();
</script>"""


def render(data: dict[str, Any]) -> str:
    """The page as HTML.

    Args:
        data: What `--json` writes.

    Returns:
        A whole document without a reference to anything outside itself.
    """
    kind = "good" if data["verdict"] == "passed" else "bad"
    parts = [
        "<header><h1>gradsmith validate</h1>"
        f'<p class="verdict {kind}">{escape(verdict(data))}</p></header>',
        _tiles(data),
        _failures(data["failures"], data["counts"]["failed"]),
        _left(data),
        _by_check(data),
        _ops(data),
        _grid(data["grid"]),
        _run(data),
    ]
    title = f"gradsmith validate: {data['verdict']}"
    return document(title, [p for p in parts if p], CSS)


def _tiles(data: dict[str, Any]) -> str:
    counts, here, grid = data["counts"], data["machine"], data["grid"]
    bad = counts["ops_failed"] > 0
    entries = [
        (
            "bad" if bad else "good" if counts["ops_passed"] else "",
            f"{counts['ops_passed']} of {counts['ops']}",
            "ops passed",
            f"{counts['ops_failed']} failed, {counts['ops_skipped']} skipped, "
            f"{counts['ops_not_run']} not run",
        ),
        (
            "",
            f"{counts['samples_run']:,}",
            "samples",
            f"of {counts['samples']:,}; {counts['ops_complete']} ops have had all of theirs",
        ),
        ("", f"{counts['comparisons']:,}", "comparisons", f"{counts['failed']} failed"),
    ]
    if grid is not None:
        entries.append(
            (
                "bad" if grid["failed"] else "",
                f"{grid['count']:,}",
                "exact-integer cases",
                f"{grid['failed']} failed; tolerance zero",
            )
        )
    entries.append(("", f"{data['seconds']:.1f} s", "time", here["device"]))
    return tiles(entries)


def _failures(found: Sequence[dict[str, Any]], count: int) -> str:
    if not found:
        return ""
    parts = []
    for f in found:
        where = " ".join(
            str(v)
            for v in (f["dtype"], f["device"], f["isa"], f["threads"] and f"{f['threads']} threads")
            if v
        )
        command = f"<pre>{escape(f['reproduce'])}</pre>" if f["reproduce"] else ""
        parts.append(
            f"<div class=failure><b><code>{escape(f['op'])}</code>: "
            f"{escape(_label(f['check']))}</b> "
            f'<span class="soft">{escape(where)}</span>'
            f"<p><code>{escape(f['sample'])}</code></p><p>{escape(f['message'])}</p>"
            f"{command}</div>"
        )
    of = f"The first {len(found)} of {count}; the" if len(found) < count else "The"
    return (
        f"<section><h2>Failures</h2><p class=soft>{of} command below each one repeats it alone."
        f"</p>{''.join(parts)}</section>"
    )


def _left(data: dict[str, Any]) -> str:
    """What was not run, in words."""
    why, lacking, besides = left(data, ", ".join)
    lines = [f"Not run, as {why}; <code>--budget 0</code> runs everything."] if why else []
    for what, ops in (*lacking, *besides):
        head = what[0].upper() + what[1:]
        lines.append(f"<b>{escape(head)}{':' if ops else '.'}</b> {escape(', '.join(ops))}")
    if not lines:
        return ""
    body = "".join(f"<p class=names>{line}</p>" for line in lines)
    return f"<section><h2>Not run</h2>{body}</section>"


def _by_check(data: dict[str, Any]) -> str:
    rows = []
    for name, row in by_check(data).items():
        cells = "".join(
            f'<td data-label="{status}" class="number{"" if row[status] else " none"}'
            f'{" failed" if status == "failed" and row[status] else ""}">{row[status]}</td>'
            for status in ("passed", "failed", "skipped", "not run")
        )
        rows.append(
            f"<tr><td class='left name'>{escape(LABELS.get(name, name))}</td>{cells}"
            f'<td data-label="comparisons" class=number>{row["count"]:,}</td>'
            f'<td class="left wide-text{"" if row["worst"] else " none"}">{escape(row["worst"])}'
            f"</td><td class='left soft wide-text'>{escape(CHECKS[name])}</td></tr>"
        )
    if not rows:
        return ""
    return (
        "<section><h2>By check</h2><p class=soft>Ops, and the comparisons that they came to.</p>"
        '<table class="wide checks cards"><thead><tr><th class=left>check</th>'
        "<th class=number>passed</th><th class=number>failed</th><th class=number>skipped</th>"
        "<th class=number>not run</th><th class=number>comparisons</th><th class=left>worst</th>"
        f"<th class=left>what it shows</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        "</section>"
    )


def _figure(value: Any, form: str) -> str:
    """A figure of a check: None is nothing, what is not finite is written as words."""
    if value is None:
        return ""
    number = float(value)
    return form.format(number) if math.isfinite(number) else str(number)


def _ulp(value: Any) -> str:
    if value is None:
        return ""
    size = float(value)
    return _figure(size, "{:.3g}" if size < 100 or size >= 1e6 else "{:,.0f}")


def _slope(value: Any) -> str:
    """The order of the remainder; a function without a second derivative has no more to show."""
    return "> 3" if value is not None and 3 < float(value) < math.inf else _figure(value, "{:.2f}")


def _ops(data: dict[str, Any]) -> str:
    ops = sorted(data["ops"], key=lambda op: (ORDER[op["status"]], op["op"]))
    if not ops:
        return ""
    wanted = [c["check"] for c in ops[0]["checks"]]
    heads = "".join(
        f'<th scope=col title="{escape(CHECKS[name])}">'
        f"{escape(NARROW.get(name, _label(name)))}</th>"
        for name in wanted
    )
    kinds = [
        f"<option value={value}>{text}</option>"
        for value, text in (
            ('""', "all ops"),
            ("failed", "failed"),
            ("partial", "not all samples run"),
            ("unreached", "not run"),
            ("skipped", "skipped"),
        )
    ]
    return (
        "<section><h2>By op</h2>"
        "<p class='soft full'>✓ passed, ✗ failed, – skipped (the reason is its tooltip), · not "
        "reached. "
        "Error: the largest of the forward results against float64, in units of the last place of "
        "the element it is at (sums that cancel have large ones), and as a part of the tolerance "
        "that the op's sums allow. Slope: the least order of the Taylor remainder; 2 is a right "
        "gradient, 1 a wrong one; none where the op is linear.</p>"
        '<div class="filter" hidden><input id="find" type="search" placeholder="filter: a name, a '
        f'family, a status" aria-label="filter"><select id="kind" aria-label="which ops">'
        f'{"".join(kinds)}</select><span class="soft" id="shown"></span></div>'
        '<table class="wide checks cards" id="ops"><thead><tr><th scope=col class=left>op</th>'
        "<th scope=col class=left>result</th><th scope=col class=number>samples</th>"
        "<th scope=col class=number>error, ULP</th><th scope=col class=number>of tol.</th>"
        f"<th scope=col class=number>slope</th>{heads}</tr></thead><tbody>"
        f"{''.join(_row(op) for op in ops)}</tbody></table></section>{SCRIPT}"
    )


def _row(op: dict[str, Any]) -> str:
    by_name = {c["check"]: c for c in op["checks"]}
    used = by_name.get("forward", {}).get("used")
    kinds = [op["status"].replace("not run", "unreached")]
    if op["status"] in ("passed", "failed") and (op["not_run"] or op["samples"] < op["samples_of"]):
        kinds.append("partial")
    figures = (
        ("samples", f"{op['samples']}/{op['samples_of']}"),
        ("ULP", _ulp(op["ulp"])),
        ("of tolerance", _figure(None if used is None else 100 * float(used), "{:.0f} %")),
        ("slope", _slope(op["slope"])),
    )
    numbers = "".join(
        f'<td data-label="{label}" class="number{"" if text else " none"}">{escape(text)}</td>'
        for label, text in figures
    )
    marks = "".join(_mark(c) for c in op["checks"])
    text = f"{op['op']} {op['family']} {op['status']}".lower()
    return (
        f'<tr{" class=bad" if op["status"] == "failed" else ""} data-text="{escape(text)}" '
        f'data-kind="{" ".join(kinds)}"><td class="left name"><code>{_breakable(op["op"])}</code>'
        f"<small>{escape(op['family'])}</small></td>"
        f'<td class="left status {op["status"].split()[0]}">{op["status"]}</td>'
        f"{numbers}{marks}</tr>"
    )


def _breakable(name: str) -> str:
    """A name that may be broken behind its underscores."""
    return escape(name).replace("_", "_<wbr>")


def _label(check: str) -> str:
    return LABELS.get(check, check)


def _mark(c: dict[str, Any]) -> str:
    status, name = c["status"], c["check"]
    words = {
        "passed": f"{c['count']} comparisons",
        "failed": f"{c['failed']} of {c['count']} failed",
        "skipped": c["reason"],
        "not run": "the budget was over",
    }[status]
    label = _label(name)
    number = f" {c['failed']}" if status == "failed" else ""
    return (
        f'<td data-label="{escape(label)}" title="{escape(f"{label}: {words}")}">'
        f'<span class="mark {status.split()[0]}">{MARKS[status]}{number}</span></td>'
    )


def _grid(grid: dict[str, Any] | None) -> str:
    if grid is None:
        return ""
    rows = "".join(
        f"<tr><td class='left name'><code>{escape(name)}</code></td>"
        f'<td data-label="cases" class=number>{count:,}</td></tr>'
        for name, count in grid["cases"].items()
    )
    return (
        "<section><h2>Exact-integer grid</h2>"
        f"<p class=soft>{grid['count']:,} cases of {grid['space']:.2g}, chosen by the seed; "
        f"{grid['failed']} failed. Inputs are small integers, so every sum is exact and every "
        "result must equal integer arithmetic in every bit; each case draws its own build, "
        "number of threads and layout.</p>"
        "<details><summary>The families</summary><table class='checks'><thead><tr>"
        "<th class=left>family</th><th class=number>cases</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details></section>"
    )


def _run(data: dict[str, Any]) -> str:
    here, plan = data["machine"], data["plan"]
    words = []
    for name in ("ops", "device", "isa", "threads", "budget", "seed"):
        if plan[name] not in (None, ""):
            value = plan[name]
            words.append(f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}")
    if plan["dtypes"]:
        words.append(f"--dtype {','.join(plan['dtypes'])}")
    words += [f"--sample {s}" for s in plan["samples"]]
    rows = [
        ("gradsmith", here["version"]),
        ("Python", f"{here['python']}, NumPy {here['numpy']}, {here['system']}"),
        ("processor", here["cpu"]),
        ("ISA", f"{here['isa']}; this processor runs {', '.join(here['isas'])}"),
        ("threads", str(here["threads"])),
        ("device", here["device"]),
        ("options", " ".join(words)),
        ("checks", ", ".join(plan["checks"])),
    ]
    return facts("How it was run", rows)
