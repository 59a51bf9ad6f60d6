"""The page of `gradsmith bench`: verdict, charts, every table, the machine; nothing outside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from ..benchmarks.results import (
    ENGINES,
    OURS,
    Report,
    Result,
    by_class,
    geometric_mean,
)
from ..benchmarks.roofline import disturbed
from ..benchmarks.shares import share
from ..benchmarks.targets import verdicts
from . import bench_charts as charts
from .bench_tables import SLOWER
from .charts import CSS as CHART_CSS
from .charts import DARK, LIGHT, number, ratio, switches
from .page import document, facts, tiles

__all__ = ["render"]


CSS = f"""
:root {{ {LIGHT} --page: #f3f5f8; --accent: #2158c9; color-scheme: light dark; }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ {DARK} --page: #10151d; --accent: #8db4ff; }}
}}
main {{ max-width: 1240px; }}
h3 {{ font-size: 15px; margin: 16px 0 4px; }}
.verdict {{ font-size: 17px; font-weight: 600; }}
td, th {{ white-space: nowrap; }} td.name, th.name {{ white-space: normal; min-width: 170px; }}
table {{ font-size: 13px; }} th, td {{ padding: 3px 10px 3px 0; }} th {{ white-space: normal; }}
td.wrap {{ white-space: normal; overflow-wrap: anywhere; }}
td.slower {{ color: var(--bad); font-weight: 600; }} td.faster {{ color: var(--good); }}
tbody tr:hover {{ background: color-mix(in srgb, var(--line) 35%, transparent); }}
thead th {{ vertical-align: bottom; line-height: 1.25; }}
.scroll {{ overflow-x: auto; }}
.switches {{ font-size: 13px; margin: 0; max-width: none; }}
.switches label {{ margin-right: 14px; white-space: nowrap; }}
.switches input {{ accent-color: var(--accent); vertical-align: -1px; }}
.lines {{ font-size: 13px; padding-left: 18px; overflow-wrap: anywhere; }}
nav {{ font-size: 14px; margin: 0 0 18px; }} nav a {{ color: var(--accent); margin-right: 14px; }}
{CHART_CSS}
@media print {{
  @page {{ margin: 12mm; }}
  body {{ font-size: 12px; }} .soft, .note {{ font-size: 11px; }}
  main {{ max-width: none; padding: 0; }} nav {{ display: none; }}
  section {{ break-inside: auto; overflow: visible; padding: 10px 12px; }}
  .scroll {{ overflow: visible; }} h2, h3 {{ break-after: avoid; }}
  svg.chart, tr {{ break-inside: avoid; }} svg.chart {{ min-width: 0; }}
  details::details-content {{ content-visibility: visible; height: auto; }}
  summary {{ display: none; }}
  table {{ font-size: 9px; }} th, td {{ padding: 2px 6px 2px 0; }}
  td.name, th.name {{ min-width: 0; }}
}}
"""


def render(report: Report) -> str:
    """The page as HTML.

    Args:
        report: A run's results.

    Returns:
        A whole document without a reference to anything outside itself.
    """
    parts = [
        _head(report),
        _tiles(report),
        _contents(report),
        _summary(report),
        _targets(report),
        _slower(report),
        _failures(report),
        _roofline(report),
        _memory(report),
        *(_class(report, name, found) for name, found in by_class(report.results).items()),
        _scaling(report),
        _ceilings(report),
        _environment(report),
    ]
    return document("gradsmith bench", [p for p in parts if p], CSS)


def _pairs(report: Report) -> list[tuple[Result, float, float | None]]:
    """The results that have a reference, with both ratios."""
    found = [(r, *charts.ratios(report, r)) for r in report.results]
    return [(r, a, b) for r, a, b in found if a is not None]


def _head(report: Report) -> str:
    pairs, name = _pairs(report), charts.reference(report)[2]
    if pairs:
        ahead = sum(a >= 1 for _, a, _ in pairs)
        mean = geometric_mean(a for _, a, _ in pairs)
        words = (
            f"{ahead} of {len(pairs)} cases are at least as fast as {name} as shipped; "
            f"the geometric mean of all is {ratio(mean)}×."
        )
    elif report.results:
        words = "No reference engine was measured beside gradsmith."
    else:
        words = "What this machine can do at most; no case was run."
    return (
        f"<header><h1>gradsmith bench</h1><p class=verdict>{escape(words)}</p>"
        "<p class=soft>Engines in turns on the same inputs, warm; medians. As shipped: what "
        "<code>pip install</code> gives. Tuned: the reference's best, whatever that takes "
        "(channels_last, warm memory, fused optimizers). Of ceiling: the least time that the "
        "measured peaks of this machine allow, divided by the time taken. Error: the largest "
        "difference of gradsmith's result from float64's, relative to the largest value. Cases "
        "that lose are shown like all others. What is pointed at says more: the middle half of a "
        "time's samples, the ceiling that binds, the case behind a mark.</p></header>"
    )


def _tiles(report: Report) -> str:
    pairs, name = _pairs(report), charts.reference(report)[2]
    threads = charts.threads_of(report)
    entries = []
    if pairs:
        tuned = [b for _, _, b in pairs if b is not None]
        worst = min(pairs, key=lambda p: p[1])
        entries.append(
            ("", f"{ratio(geometric_mean(a for _, a, _ in pairs))}×", f"{name} as shipped",
             f"geometric mean of {len(pairs)} cases")
        )  # fmt: skip
        if tuned:
            entries.append(
                ("", f"{ratio(geometric_mean(tuned))}×", f"{name} tuned",
                 f"geometric mean of {len(tuned)} cases")
            )  # fmt: skip
        slow = sum(a < SLOWER for _, a, _ in pairs)
        entries.append(
            ("bad" if slow else "good", str(slow), "slower by over 10 %",
             f"least ratio {ratio(worst[1])}×: {worst[0].family}, {charts.case_name(worst[0])}")
        )  # fmt: skip
    peak = report.ceilings.gflops(threads, str(report.environment.get("isa") or ""))
    copy = report.ceilings.gbs(threads)
    if peak:
        more = "multiply-adds, the most measured"
        more += "" if copy is None else f"; copy from memory {number(copy)} GB/s"
        entries.append(("", number(peak), "GFLOP/s", more))
    more = f"ISA {report.environment.get('isa')}, {report.environment.get('cpu')}"
    entries.append(("", str(threads), "threads", more))
    return tiles(entries)


def _anchor(name: str) -> str:
    return "class-" + "".join(c if c.isalnum() else "-" for c in name.lower())


def _contents(report: Report) -> str:
    links = "".join(
        f'<a href="#{_anchor(name)}">{escape(name)}</a> ' for name in by_class(report.results)
    )
    return f"<nav>{links}</nav>" if links else ""


def _summary(report: Report) -> str:
    chart, name = charts.summary_chart(report), charts.reference(report)[2]
    if not chart:
        return ""
    engines = [e for e in ENGINES if any(e in r.engines for r in report.results) and e != OURS]
    rows = []
    for family, found in by_class(report.results).items():
        cells = [f"<td class='left name'>{escape(family)}</td><td>{len(found)}</td>"]
        for engine in engines:
            values = [v for r in found if (v := r.ratio(engine)) is not None]
            cells.append(_ratio(geometric_mean(values) if values else None))
        shares = [s.value for r in found if (s := share(report, r)) is not None]
        cells.append(f"<td>{_percent(geometric_mean(shares)) if shares else ''}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th scope=col>{escape(e)}</th>" for e in engines)
    return (
        f"<section><h2>How much faster than {escape(name)}</h2>"
        f"<p class=soft>{escape(name)}'s time divided by gradsmith's: right of 1 gradsmith is "
        "faster. Bars are geometric means of a class, dots its cases.</p>"
        f"{chart}<details><summary>The means against every engine</summary>"
        "<div class=scroll><table class=wide><thead><tr><th scope=col class=left>class</th>"
        f"<th scope=col>cases</th>{head}<th scope=col>of ceiling</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details></section>"
    )


def _targets(report: Report) -> str:
    """Each class beside what it should reach; those without a target have no mark."""
    found = [v for v in verdicts(report) if v.met is not None]
    if not found:
        return ""
    met = sum(v.met is True for v in found)
    rows = "".join(
        f"<tr><td class='left name'>{escape(v.name)}{escape(', ' * bool(v.kind) + v.kind)}</td>"
        f"<td>{v.count}</td><td>{ratio(v.shipped)}×</td><td class=soft>{_goal(v.target.shipped)}"
        f"</td><td>{ratio(v.least)}×</td><td>{'' if v.tuned is None else f'{ratio(v.tuned)}×'}</td>"
        f"<td class=soft>{_goal(v.target.tuned)}</td>"
        f"<td>{'' if v.least_tuned is None else f'{ratio(v.least_tuned)}×'}</td>"
        f"<td class='left {'passed' if v.met else 'failed'}'>{'met' if v.met else 'missed'}"
        f"{', by fast convolutions alone' if v.only_fast else ''}</td></tr>"
        for v in found
    )
    return (
        f"<section><h2>Targets</h2><p class=soft>{met} of {len(found)} are met: geometric means "
        "against PyTorch as shipped and tuned.</p><div class=scroll><table class=wide><thead><tr>"
        "<th scope=col class='left name'>class</th><th scope=col>cases</th>"
        "<th scope=col>as shipped</th><th scope=col>target</th><th scope=col>least</th>"
        "<th scope=col>tuned</th><th scope=col>target</th><th scope=col>least</th>"
        f"<th scope=col class=left></th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _goal(value: float | None) -> str:
    return "" if value is None else f"≥ {number(value)}"


def _slower(report: Report) -> str:
    name = charts.reference(report)[2]
    found = sorted((p for p in _pairs(report) if p[1] < SLOWER), key=lambda p: p[1])
    if not _pairs(report):
        return ""
    if not found:
        words = f"<p>None by more than 10 % against {escape(name)} as shipped.</p>"
        return f"<section><h2>Slower cases</h2>{words}</section>"
    rows = "".join(
        f"<tr><td class='left name'>{escape(r.family)}</td>"
        f"<td class='left name'>{escape(charts.case_name(r))}</td>{_ratio(a)}{_ratio(b)}"
        f"<td class='left wrap'>{escape(str(r.extra.get('note', '')))}</td></tr>"
        for r, a, b in found
    )
    return (
        f"<section><h2>Slower cases</h2><p class=soft>By more than 10 % against {escape(name)} as "
        "shipped, the slowest first.</p><div class=scroll><table class=wide><thead><tr>"
        "<th scope=col class=left>class</th><th scope=col class=left>case</th>"
        "<th scope=col>as shipped</th><th scope=col>tuned</th><th scope=col class=left></th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )


def _failures(report: Report) -> str:
    """What could not be run or is wrong, and what the time did not suffice for."""
    parts = []
    if report.failures:
        lines = "".join(f"<li>{escape(line)}</li>" for line in report.failures)
        parts.append(f"<section><h2>Failures</h2><ul class=lines>{lines}</ul></section>")
    if report.left_out:
        lines = "".join(f"<li>{escape(line)}</li>" for line in report.left_out)
        parts.append(
            f"<section><h2>Not run</h2><p class=soft>The time was over before "
            f"{len(report.left_out)} cases.</p><details><summary>Which</summary>"
            f"<ul class=lines>{lines}</ul></details></section>"
        )
    return "".join(parts)


def _roofline(report: Report) -> str:
    chart = charts.roofline_chart(report, legend=False)
    if not chart:
        return ""
    return (
        "<section><h2>Roofline</h2><p class=soft>One mark for each kernel and engine, float32; "
        "lines are ceilings measured on this machine in the same run. A mark above the "
        "multiply-add line needs fewer operations than the definition counts "
        "(Winograd's convolutions).</p>"
        f"{_switches(report, 'roofline')}{chart}</section>"
    )


def _switches(report: Report, name: str) -> str:
    """Boxes for the engines; ours and the reference as shipped are shown at first."""
    used = [i for i, e in enumerate(ENGINES) if any(e in r.engines for r in report.results)]
    on = [i for i in used if ENGINES[i] in (OURS, charts.reference(report)[0])]
    return switches(ENGINES, used, on, name)


def _memory(report: Report) -> str:
    chart = charts.memory_chart(report, legend=False)
    if not chart:
        return ""
    return (
        "<section><h2>Memory-bound kernels</h2><p class=soft>Kernels whose time goes into moving "
        "data: every array counts once. Lines are a copy's bandwidth in each cache level, up to "
        "what the level holds.</p>"
        f"{_switches(report, 'memory')}{chart}</section>"
    )


def _class(report: Report, family: str, results: Sequence[Result]) -> str:
    pictures = "".join(charts.ratio_charts(report, family, results))
    pairs = [p for p in _pairs(report) if p[0].family == family]
    words = f"{len(results)} measurement{'s' * (len(results) != 1)}"
    if pairs:
        words += f"; geometric mean as shipped {ratio(geometric_mean(a for _, a, _ in pairs))}×"
        tuned = [b for _, _, b in pairs if b is not None]
        words += f", tuned {ratio(geometric_mean(tuned))}×" if tuned else ""
    engines = [e for e in ENGINES if any(e in r.engines for r in results)]
    unit = max((found[1] for r in results if (found := r.rate())), default="")
    keys = _extra_keys(results)
    heads = [
        "<th scope=col class='left name'>case</th><th scope=col>as shipped</th>"
        f"<th scope=col>tuned</th><th scope=col>{escape(unit or 'rate')}</th>"
        "<th scope=col>of ceiling</th><th scope=col>error</th>",
        *(f"<th scope=col>{escape(e)}</th>" for e in engines),
        *(f"<th scope=col>{escape(k.replace('_', ' '))}</th>" for k in keys),
    ]
    body = "".join(_row(report, r, engines, unit, keys) for r in results)
    return (
        f'<section id="{_anchor(family)}"><h2>{escape(family)}</h2>'
        f"<p class=soft>{escape(words)}.</p>{pictures}"
        "<details><summary>The numbers</summary><div class=scroll><table class=wide>"
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table></div></details></section>"
    )


def _extra_keys(results: Sequence[Result]) -> list[str]:
    """What else was measured, as columns: plain values only."""
    found: dict[str, None] = {}
    for r in results:
        for key, value in r.extra.items():
            if isinstance(value, (int, float, str, bool)):
                found[key] = None
    return list(found)[:6]


def _row(report: Report, r: Result, engines: Sequence[str], unit: str, keys: Sequence[str]) -> str:
    times = []
    for engine in engines:
        timing = r.engines.get(engine)
        if timing is None:
            times.append("<td></td>")
        else:
            middle = f"{seconds(timing.low)} to {seconds(timing.high)}"
            times.append(f'<td title="{escape(middle)}">{seconds(timing.median)}</td>')
    rate, found = r.rate(), share(report, r)
    words = "" if rate is None else number(rate[0])
    if rate is not None and rate[1] != unit:
        words += f" {rate[1]}"
    part = "<td></td>"
    if found is not None:
        part = f'<td title="{escape(found.ceiling)}">{_percent(found.value)}</td>'
    shipped, tuned = charts.ratios(report, r)
    error = r.error.get(OURS)
    extra = "".join(
        f"<td class='wrap'>{escape(_plain(r.extra[k]) if k in r.extra else '')}</td>" for k in keys
    )
    return (
        f"<tr><td class='left name'>{escape(charts.case_name(r))}</td>{_ratio(shipped)}"
        f"{_ratio(tuned)}<td>{escape(words)}</td>{part}"
        f"<td>{'' if error is None else f'{error:.1e}'}</td>{''.join(times)}{extra}</tr>"
    )


def _plain(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _ratio(value: float | None) -> str:
    """A cell; what is slower stands out, what is faster beyond doubt too."""
    if value is None or not math.isfinite(value):
        return "<td></td>"
    kind = "slower" if value < SLOWER else "faster" if value > 1 / SLOWER else ""
    return f"<td class='{kind}'>{ratio(value)}×</td>"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"


def seconds(value: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value * 1e9)} ns"


def _scaling(report: Report) -> str:
    chart = charts.scaling_chart(report)
    if not chart:
        return ""
    return (
        "<section><h2>Threads</h2><p class=soft>Speed relative to one thread; the dashed line is "
        "as many times the speed as there are threads. The classes with most cases and the "
        "ceilings; all classes are in the table.</p>"
        f"{chart}{_scaling_table(report)}</section>"
    )


def _scaling_table(report: Report) -> str:
    found = charts.scaling(report)
    counts = sorted({n for _, mean in found.values() for n in mean})
    if not found:
        return ""
    head = "".join(f"<th scope=col>{n} thread{'s' * (n > 1)}</th>" for n in counts)
    rows = "".join(
        f"<tr><td class=left>{escape(family)}</td><td>{cases}</td>"
        + "".join(f"<td>{ratio(mean[n]) if n in mean else ''}</td>" for n in counts)
        + "</tr>"
        for family, (cases, mean) in found.items()
    )
    return (
        "<details><summary>Every class</summary><table><thead><tr><th class=left>class</th>"
        f"<th scope=col>cases</th>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _ceilings(report: Report) -> str:
    found = report.ceilings
    if not found.fma and not found.memory:
        return ""
    counts = sorted(
        {int(n) for row in found.fma.values() for n in row} | {m.threads for m in found.memory}
    )
    head = "".join(f"<th scope=col>{n} thread{'s' * (n > 1)}</th>" for n in counts)
    rows = []
    for dtype, table in (("float32", found.fma), ("float64", found.fma64)):
        for isa, row in table.items():
            cells = "".join(f"<td>{_rate(row.get(str(n)))}</td>" for n in counts)
            rows.append(f"<tr><td class=left>{dtype}, {escape(isa)}</td>{cells}</tr>")
    rates = {(m.level, m.kind, m.huge_pages, m.threads): m.gbs for m in found.memory}
    lines = []
    for level in dict.fromkeys(m.level for m in found.memory):
        size = found.sizes.get(level, {}).get(str(charts.threads_of(report)))
        name = level if size is None else f"{level} ({size / 1024:,.0f} KiB)"
        for kind in ("read", "copy", "triad"):
            cells = "".join(
                f"<td>{_rate(rates.get((level, kind, huge, n)))}</td>"
                for n in counts
                for huge in (True, False)
            )
            lines.append(
                f"<tr><td class=left>{escape(name)}</td><td class=left>{kind}</td>{cells}</tr>"
            )
    note = disturbed(found)
    warning = f"<p class=failed>{escape(note[0].upper() + note[1:])}.</p>" if note else ""
    pages = "".join(
        f"<th scope=col>{n} thr., {pages}</th>" for n in counts for pages in ("huge", "small")
    )
    return (
        "<section><h2>Measured ceilings</h2><p class=soft>Loops that do nothing else, the best of "
        "some samples: multiply-adds on registers (GFLOP/s), and bytes read and written (GB/s) in "
        "as many bytes of each level as stand beside it, with huge and with small pages.</p>"
        f"{warning}"
        f"<h3>Multiply-adds, GFLOP/s</h3><table><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><h3>Memory, GB/s</h3><div class=scroll><table>"
        f"<thead><tr><th></th><th></th>{pages}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        "</div></section>"
    )


def _rate(value: float | None) -> str:
    return "" if value is None else number(value)


def _environment(report: Report) -> str:
    rows = [("gradsmith", report.gradsmith), ("when", report.when)]
    for name, value in report.environment.items():
        if name == "gradsmith":
            continue
        if isinstance(value, dict):
            rows += [(f"{name}: {k}", str(v)) for k, v in value.items()]
            if not value:
                rows.append((name, "none set"))
        elif isinstance(value, (list, tuple)):
            rows.append((name, ", ".join(str(v) for v in value)))
        else:
            rows.append((name, "not installed" if value in (None, "") else str(value)))
    return facts("Environment", rows)
