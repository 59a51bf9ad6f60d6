"""Charts as SVG text: inline in a page, where they follow its colours, or as files of their own.

Nothing is drawn that was not measured; every mark says in its title what it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = [
    "CSS",
    "Bar",
    "Dot",
    "Line",
    "Row",
    "Scale",
    "bars",
    "curves",
    "number",
    "ratio",
    "scatter",
    "shortened",
    "standalone",
    "switches",
]

#: Shapes that tell series apart without their colours.
SHAPES = ("circle", "diamond", "square", "up", "down", "cross", "ring")
WIDTH = 960
#: Pixels of a character of 12 px, about; a little more than most fonts take.
CHARACTER = 6.5
#: The longest name of a row of bars.
LABEL = 56

#: Colours as variables; c0, c1 .. are the series'.
LIGHT = """--ink: #1b2330; --soft: #5b6472; --line: #dfe3ea; --card: #ffffff; --good: #1d7f5c;
  --bad: #b3261e; --c0: #2158c9; --c1: #0a8f9c; --c2: #c2570c; --c3: #8a3a12; --c4: #4b8b1d;
  --c5: #2f5d12; --c6: #8b3fb5; --bar: #2158c9; --bar2: #8fb0ee; --slow: #b3261e;
  --slow2: #e3a09b;"""
DARK = """--ink: #e4e9f1; --soft: #a2adbd; --line: #333c4a; --card: #1a212c; --good: #58c79b;
  --bad: #ff8a80; --c0: #7aa5ff; --c1: #3fc7d4; --c2: #ff9d5c; --c3: #d9793d; --c4: #9ad165;
  --c5: #6f9f47; --c6: #cf94f0; --bar: #6f9cff; --bar2: #3d5f9f; --slow: #ff8a80;
  --slow2: #8c4a45;"""
CSS = """
svg.chart { display: block; width: 100%; min-width: 640px; height: auto; margin: 6px 0 4px;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
.chart text { fill: var(--ink); font-variant-numeric: tabular-nums; }
.chart .soft { fill: var(--soft); font-size: 12px; } .chart .strong { font-weight: 650; }
.chart .halo { paint-order: stroke; stroke: var(--card); stroke-width: 4px;
  stroke-linejoin: round; }
.chart .grid { stroke: var(--line); stroke-width: 1; fill: none; }
.chart .axis { stroke: var(--soft); stroke-width: 1; fill: none; }
.chart .one { stroke: var(--ink); stroke-width: 1.4; fill: none; }
.chart .roof { stroke: var(--soft); stroke-width: 1.7; fill: none; }
.chart .thin { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 5 4; fill: none; }
.chart .bar { fill: var(--bar); } .chart .bar2 { fill: var(--bar2); }
.chart .slow { fill: var(--slow); } .chart .slow2 { fill: var(--slow2); }
.chart .case { fill: var(--ink); fill-opacity: 0.45; }
"""
CSS += "".join(
    f".chart .c{i} {{ fill: var(--c{i}); stroke: var(--c{i}); }}\n" for i in range(len(SHAPES))
)
CSS += "".join(
    f"section:has(.x{i}:not(:checked)) .s{i} {{ display: none; }}\n" for i in range(len(SHAPES))
)
CSS += """svg.chart.key { display: inline; width: 14px; min-width: 0; height: 14px; margin: 0;
  vertical-align: -2px; }
.chart .mark { fill-opacity: 0.7; stroke-width: 1; }
.chart .hollow { fill: none; stroke-width: 1.6; } .chart .curve { fill: none; stroke-width: 2; }
"""


@dataclass(frozen=True)
class Scale:
    """From a value to a place on the picture; logarithmic, or linear."""

    low: float
    high: float
    start: float
    end: float
    log: bool = True

    def __call__(self, value: float) -> float:
        """The place of a value; values beyond the ends lie on them."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, base: int = 10, most: int = 12) -> list[float]:
        """Round values inside: powers of `base`, for 10 also 2 and 5 times them if few."""
        if not self.log:
            step = 10 ** math.floor(math.log10(max(self.high - self.low, 1e-9)))
            for unit in (step / 5, step / 2, step, 2 * step):
                if (self.high - self.low) / unit <= most:
                    step = unit
                    break
            first = math.ceil(self.low / step - 1e-9)
            return [i * step for i in range(first, int(self.high / step + 1e-9) + 1)]
        first = math.floor(math.log(self.low, base)) - 1
        last = math.ceil(math.log(self.high, base)) + 1
        powers = [float(base) ** k for k in range(first, last + 1)]
        parts = (1, 2, 5) if base == 10 else (1,)
        for chosen in (parts, (1,)):
            found = [p * u for p in powers for u in chosen]
            found = [v for v in found if self.low * 0.999 <= v <= self.high * 1.001]
            if len(found) <= most:
                break
        while len(found) > most:
            found = found[::2]
        return found


def number(value: float) -> str:
    """A number of at most three figures or so."""
    size = abs(value)
    if not math.isfinite(value):
        return "?"
    if size == 0:
        return "0"
    if size >= 1e4 or size < 1e-3:
        return f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-")
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.3g}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if size >= 0.1 else f"{value:.2g}"


def ratio(value: float) -> str:
    """A ratio, with as many decimals as its neighbours have."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _at(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def _text(
    x: float, y: float, words: str, kind: str = "", anchor: str = "start", turn: float = 0.0
) -> str:
    turned = f' transform="rotate({_at(turn)} {_at(x)} {_at(y)})"' if turn else ""
    named = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{_at(x)}" y="{_at(y)}"{named} text-anchor="{anchor}"{turned}>'
        f"{escape(words)}</text>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_at(x0)}" y1="{_at(y0)}" x2="{_at(x1)}" y2="{_at(y1)}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    inner = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect class="{kind}" x="{_at(x)}" y="{_at(y)}" width="{_at(max(width, 0.5))}" '
        f'height="{_at(height)}">{inner}</rect>'
    )


def _mark(x: float, y: float, series: int, title: str = "", size: float = 4.2) -> str:
    """The series' shape."""
    shape, inner = SHAPES[series % len(SHAPES)], f"<title>{escape(title)}</title>" if title else ""
    kind = f"c{series % len(SHAPES)} mark"
    r = size
    if shape in ("circle", "ring"):
        kind = kind.replace("mark", "hollow") if shape == "ring" else kind
        return f'<circle class="{kind}" cx="{_at(x)}" cy="{_at(y)}" r="{_at(r)}">{inner}</circle>'
    if shape == "cross":
        path = f"M{_at(x - r)} {_at(y - r)}L{_at(x + r)} {_at(y + r)}"
        path += f"M{_at(x - r)} {_at(y + r)}L{_at(x + r)} {_at(y - r)}"
        return f'<path class="{kind.replace("mark", "hollow")}" d="{path}">{inner}</path>'
    corners = {
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "up": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
        "down": ((0, 1.2), (1.1, -0.9), (-1.1, -0.9)),
    }[shape]
    points = "L".join(f"{_at(x + r * a)} {_at(y + r * b)}" for a, b in corners)
    return f'<path class="{kind}" d="M{points}Z">{inner}</path>'


def _svg(height: float, label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_at(height)}"'
        f' role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def shortened(words: str, most: int) -> str:
    """At most so many characters; the last ones, which tell passes apart, are kept."""
    if len(words) <= most:
        return words
    return words[: most - 16].rstrip() + "…" + words[-15:]


def _legend(
    entries: Sequence[tuple[str, str]], x: float, y: float, right: float
) -> tuple[str, float]:
    """Keys (their SVG at 0, 0) and words in rows from (x, y); also the height that they take."""
    parts, at, row = [], x, y
    for key, words in entries:
        width = 20 + CHARACTER * len(words) + 18
        if at + width > right and at > x:
            at, row = x, row + 18
        parts.append(f'<g transform="translate({_at(at + 6)} {_at(row - 4)})">{key}</g>')
        parts.append(_text(at + 18, row, words))
        at += width
    return "".join(parts), row - y + 18


# ---- bars of ratios ----


@dataclass(frozen=True)
class Bar:
    """A ratio and what it is: its title is shown when it is pointed at."""

    value: float
    title: str


@dataclass(frozen=True)
class Row:
    """A name and its bars; `cases` are single values that are strewn over the first one."""

    name: str
    bars: tuple[Bar | None, ...]
    cases: tuple[Bar, ...] = ()


def bars(rows: Sequence[Row], names: Sequence[str], label: str, thick: float = 9.0) -> str:
    """Horizontal bars from 1 on a logarithmic axis: to the right faster, to the left slower.

    Args:
        rows: What is compared, from above.
        names: What the first and the second bar of a row are.
        label: What the picture shows, for those who do not see it.
        thick: Pixels of a bar.
    """
    values = [b.value for row in rows for b in (*row.bars, *row.cases) if b is not None]
    values = [v for v in values if v > 0 and math.isfinite(v)]
    low, high = min([0.75, *values]) / 1.15, max([2.0, *values]) * 1.15
    left = 24 + CHARACTER * min(LABEL, max((len(r.name) for r in rows), default=1))
    x = Scale(low, high, left, WIDTH - 82)
    kinds = (("bar", "slow"), ("bar2", "slow2"))
    entries = [(_rect(-6, -4, 12, 8, kinds[i][0]), name) for i, name in enumerate(names)] + [
        (_rect(-6, -4, 6, 8, "slow") + _rect(0, -4, 6, 8, "slow2"), "slower than the reference")
    ]
    if any(row.cases for row in rows):
        entries.append(('<circle class="case" r="3"/>', "a case, as shipped"))
    keys, top = _legend(entries, left, 16, WIDTH - 20)
    top += 14
    step = (thick + 1) * len(names) + 7
    bottom = top + step * len(rows)
    parts = [keys]
    for tick in x.ticks(2, 11):
        kind = "one" if tick == 1 else "grid"
        parts.append(_line(x(tick), top - 4, x(tick), bottom, kind))
        parts.append(_text(x(tick), bottom + 16, f"{number(tick)}×", "soft", "middle"))
    for i, row in enumerate(rows):
        y = top + i * step + 2
        middle = y + (thick + 1) * len(names) / 2
        name = shortened(row.name, LABEL)
        parts.append(_text(left - 10, middle + 4, name, "", "end"))
        end = x(1)
        for j, bar in enumerate(row.bars):
            if bar is None or not (bar.value > 0 and math.isfinite(bar.value)):
                continue
            at, place = y + j * (thick + 1), x(bar.value)
            kind = kinds[j][bar.value < 1]
            parts.append(_rect(min(place, x(1)), at, abs(place - x(1)), thick, kind, bar.title))
            end = max(end, place)
        for case in row.cases:
            if case.value > 0 and math.isfinite(case.value):
                parts.append(
                    f'<circle class="case" cx="{_at(x(case.value))}" cy="{_at(middle)}" r="2.6">'
                    f"<title>{escape(case.title)}</title></circle>"
                )
        shown = [ratio(b.value) if b is not None else "–" for b in row.bars]
        words = " / ".join(shown)
        if row.cases:  # the furthest may lie far from what the bars show
            parts.append(_text(WIDTH - 8, middle + 4, words, "", "end"))
        else:
            parts.append(_text(end + 7, middle + 4, words, "halo"))
    parts.append(
        _text(
            (left + WIDTH - 82) / 2, bottom + 33, "reference's time / gradsmith's", "soft", "middle"
        )
    )  # noqa: E501
    return _svg(bottom + 40, label, parts)


# ---- dots under ceilings ----


@dataclass(frozen=True)
class Dot:
    """A measurement: place, series, title."""

    x: float
    y: float
    series: int
    title: str


@dataclass(frozen=True)
class Line:
    """A ceiling through some points.

    Attributes:
        points: From left to right.
        name: What is written: along its beginning ("start"), above its end ("end") or beside it,
            right of the frame ("margin").
        kind: Its class: "roof" or "thin".
    """

    points: tuple[tuple[float, float], ...]
    name: str
    at: str = "end"
    kind: str = "roof"


def scatter(
    dots: Sequence[Dot],
    lines: Sequence[Line],
    series: Sequence[str],
    axes: tuple[str, str],
    label: str,
    *,
    height: float = 520,
    bytes_axis: bool = False,
    legend: bool = True,
) -> str:
    """Dots under measured ceilings, both axes logarithmic.

    Args:
        dots: The measurements; later ones lie above earlier ones.
        lines: The ceilings.
        series: The names of the series.
        axes: What x and y are.
        label: What the picture shows, for those who do not see it.
        height: Pixels of the frame and the axis below it.
        bytes_axis: x is bytes.
        legend: Whether the series are named above the frame; `switches` names them too.
    """
    every = [(d.x, d.y) for d in dots] + [p for line in lines for p in line.points]
    xs, ys = [p[0] for p in every], [p[1] for p in every]
    low_y = min([d.y for d in dots] or [min(ys)])
    used = sorted({d.series for d in dots})
    entries = [(_mark(0, 0, i), series[i]) for i in used]
    keys, top = _legend(entries, 62, 16, WIDTH - 20) if legend else ("", 4.0)
    top += 4
    beside = [len(line.name) for line in lines if line.at == "margin"]
    x = Scale(min(xs), max(xs), 62, WIDTH - 22 - max(4, CHARACTER * max(beside, default=0)))
    y = Scale(low_y / 1.3, max(ys) * 1.7, top + height - 46, top)
    parts = [keys]
    for tick in x.ticks(4 if bytes_axis else 10, 13):
        parts.append(_line(x(tick), y.start, x(tick), y.end, "grid"))
        words = _size(tick) if bytes_axis else number(tick)
        parts.append(_text(x(tick), y.start + 17, words, "soft", "middle"))
    for tick in y.ticks(10, 13):
        parts.append(_line(x.start, y(tick), x.end, y(tick), "grid"))
        parts.append(_text(x.start - 7, y(tick) + 4, number(tick), "soft", "end"))
    parts.append(_line(x.start, y.start, x.end, y.start, "axis"))
    parts.append(_text((x.start + x.end) / 2, y.start + 38, axes[0], "soft", "middle"))
    parts.append(_text(14, (y.start + y.end) / 2, axes[1], "soft", "middle", -90))
    names = []
    taken: list[float] = []
    for line in lines:
        # What lies below the frame is cut off where the line enters it.
        inside = _clipped(line.points, y.low)
        if len(inside) < 2:
            continue
        places = [(x(a), y(b)) for a, b in inside]
        path = "L".join(f"{_at(a)} {_at(b)}" for a, b in places)
        parts.append(f'<path class="{line.kind}" d="M{path}"/>')
        (x0, y0), (x1, y1) = places[:2]
        if line.at == "start":
            turn = math.degrees(math.atan2(y1 - y0, x1 - x0))
            a, b = x0 + 0.06 * (x1 - x0), y0 + 0.06 * (y1 - y0)
            names.append(_text(a, b - 6, line.name, "halo soft", "start", turn))
        elif line.at == "margin":
            beside = places[-1][1] + 4
            while any(abs(beside - v) < 14 for v in taken):
                beside += 14
            taken.append(beside)
            names.append(_text(x.end + 6, beside, line.name, "soft"))
        else:
            names.append(_text(places[-1][0] - 2, places[-1][1] - 6, line.name, "halo soft", "end"))
    parts += names
    # Each series is a group of its own, which a page can hide.
    size = 4.2 if len(dots) < 400 else 3.2
    for series_number in dict.fromkeys(d.series for d in dots):
        marks = (
            _mark(x(d.x), y(d.y), d.series, d.title, size)
            for d in dots
            if d.series == series_number
        )
        parts.append(f'<g class="s{series_number}">{"".join(marks)}</g>')
    return _svg(top + height, label, parts)


def switches(series: Sequence[str], used: Iterable[int], on: Iterable[int], name: str) -> str:
    """Boxes that show and hide the series of the charts in the same section; no script.

    Args:
        series: The names of the series.
        used: Those that have a box.
        on: Those that are shown at first.
        name: Tells the boxes of one section from those of others.
    """
    shown = set(on)
    boxes = "".join(
        f'<label><input type="checkbox" class="x{i}" name="{escape(name)}-{i}"'
        f"{' checked' if i in shown else ''}> "
        f'<svg class="chart key" viewBox="-7 -7 14 14" aria-hidden="true">{_mark(0, 0, i)}</svg> '
        f"{escape(series[i])}</label> "
        for i in used
    )
    return f'<p class="switches">{boxes}</p>'


def _clipped(points: Sequence[tuple[float, float]], low: float) -> list[tuple[float, float]]:
    """A rising line without its part below `low`; straight between points on logarithmic axes."""
    result: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if y0 < low < y1:
            part = math.log(low / y0) / math.log(y1 / y0)
            x0, y0 = x0 * (x1 / x0) ** part, low
        if y1 >= low and y0 >= low:
            result += [(x0, y0)] if not result else []
            result.append((x1, y1))
    return result


def _size(count: float) -> str:
    """Bytes in words."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.0f} GiB"


# ---- curves by number of threads ----


def curves(lines: Sequence[tuple[str, dict[int, float]]], label: str, height: float = 340) -> str:
    """Speed by number of threads, relative to one thread, beside the line of threads = speed.

    Args:
        lines: A name and threads -> speed over that of one thread.
        label: What the picture shows, for those who do not see it.
        height: Pixels of the frame and the axis below it.
    """
    counts = sorted({n for _, line in lines for n in line})
    most = max(max(counts), max((v for _, line in lines for v in line.values()), default=1.0))
    x = Scale(1, max(counts), 62, 520, log=max(counts) > 8)
    y = Scale(0, most * 1.06, height - 46, 14, log=False)
    parts = []
    for n in counts:
        parts.append(_line(x(n), y.start, x(n), y.end, "grid"))
        parts.append(_text(x(n), y.start + 17, str(n), "soft", "middle"))
    for tick in y.ticks(most=8):
        parts.append(_line(x.start, y(tick), x.end, y(tick), "grid"))
        parts.append(_text(x.start - 7, y(tick) + 4, number(tick), "soft", "end"))
    ideal = "L".join(f"{_at(x(n))} {_at(y(n))}" for n in counts)
    parts.append(f'<path class="thin" d="M{ideal}"/>')
    parts.append(_text((x.start + x.end) / 2, y.start + 38, "threads", "soft", "middle"))
    parts.append(_text(14, (y.start + y.end) / 2, "speed / one thread's", "soft", "middle", -90))
    ends = sorted(
        ((max(line), line[max(line)], i) for i, (_, line) in enumerate(lines)),
        key=lambda e: -e[1],
    )
    place = -math.inf
    for n, value, i in ends:
        name, line = lines[i]
        places = [(x(k), y(v)) for k, v in sorted(line.items())]
        path = "L".join(f"{_at(a)} {_at(b)}" for a, b in places)
        parts.append(f'<path class="c{i % len(SHAPES)} curve" d="M{path}"/>')
        parts += [_mark(a, b, i, name) for a, b in places]
        # Names stand right of the frame, one below the other, each led to by a thin line.
        place = max(place + 17, y(value) + 4)
        parts.append(_line(x(n) + 5, y(value), x.end + 34, place - 4, "grid"))
        parts.append(_mark(x.end + 42, place - 4, i))
        parts.append(_text(x.end + 52, place, f"{name}: {ratio(value)}× with {n}"))
    return _svg(max(height, place + 12), label, parts)


def standalone(svg: str, title: str = "") -> str:
    """A chart as a file of its own: with its colours, on a card, light or dark as the viewer is."""
    head, _, rest = svg.partition(">")
    size = head.split('viewBox="0 0 ', 1)[1].split('"', 1)[0]
    width, height = size.split()
    style = (
        f"svg {{ {LIGHT} }} @media (prefers-color-scheme: dark) {{ svg {{ {DARK} }} }}"
        f"{CSS} svg.chart {{ min-width: 0; margin: 0; }}"
    )
    more = 34 if title else 8
    high = float(height) + more + 8
    head = head.replace(f'viewBox="0 0 {size}"', f'viewBox="0 0 {width} {_at(high)}"')
    words = _text(18, 25, title, "strong title") if title else ""
    return (
        f'{head} width="{width}" height="{_at(high)}"><style>{style} .title {{ font-size: 15px; }}'
        f'</style><rect width="{width}" height="{_at(high)}" rx="10" fill="var(--card)"/>{words}'
        f'<g transform="translate(0 {more})">{rest.removesuffix("</svg>")}</g></svg>\n'
    )
