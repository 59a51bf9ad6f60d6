"""The page of a benchmark: everything in it, escaped, nothing outside it; its pictures are XML."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from gradsmith.benchmarks.harness import Timing
from gradsmith.benchmarks.results import (
    ENGINES,
    Ceilings,
    Memory,
    Report,
    Result,
    dump,
    load,
    merged,
)
from gradsmith.benchmarks.roofline import disturbed
from gradsmith.benchmarks.shares import level_of, share
from gradsmith.cli import bench_charts, charts
from gradsmith.cli.bench_markdown import BEGIN, END
from gradsmith.cli.bench_page import render, seconds
from gradsmith.cli.bench_tables import SLOWER
from gradsmith.cli.main import main

CLASSES = {
    "matmul >= 256": (["256", "512", "1024", "2048", "prime 509x1021x257"], 2),
    "matmul small, skinny, batched": ([f"{n}x{n}x{n}" for n in (8, 16, 33, 64)], 2),
    "conv 3x3 s1": ([f"ResNet-18 layer{i} C{64 << i} {56 >> i}x{56 >> i} N{n}"
                     for i in range(4) for n in (1, 8, 32)], 2),
    "elementwise, activations": ([f"{f} {n}" for f in ("relu", "exp", "tanh")
                                  for n in ("64 KiB", "1 MiB", "51 MB")], 0),
    "optimizer step": (["SGD 11M", "Adam 11M"], 0),
}  # fmt: skip
EVIL = "<script>alert('x & y')</script> \"q\""


def made_up(torch=True, **changes):
    """A report with invented numbers."""
    rng = np.random.default_rng(0)
    results = []
    for family, (cases, counted) in CLASSES.items():
        for i, case in enumerate(cases):
            for kind in ("forward", "training"):
                size = 10.0 ** rng.uniform(4, 8.4)
                flops = size * 10.0 ** rng.uniform(0, 2.4) if counted else 0.0
                best = max(flops / 5.1e11, size / (5e10 if size > 3e7 else 3e11)) + 1e-6
                ours = best * rng.uniform(1.02, 2)
                names = [n for n in ENGINES if torch or not n.startswith("torch")]
                factors = dict(zip(ENGINES, (1, 1.3, 2.4, 1.2, 3, 2, 1.8), strict=True))
                times = {
                    n: ours * factors[n] * (rng.uniform(0.6, 1.7) if n != "gradsmith" else 1)
                    for n in names
                }
                timings = {n: Timing(t, t * 0.97, t * 1.05) for n, t in times.items()}
                extra = {"threads": {"1": ours * 1.8, "2": ours}} if i == 0 else {"faults": 3}
                error = {"gradsmith": 3e-7, "torch": 2e-7}
                results.append(
                    Result(family, case, "float32", kind, flops, size, error, timings, extra)
                )
    memory = [
        Memory(level, kind, huge, n, rate * n**0.7 * factor * (1.0 if huge else 0.93))
        for level, rate in (("L1", 500), ("L2", 245), ("L3", 110), ("DRAM", 36))
        for kind, factor in (("read", 0.9), ("copy", 1.0), ("triad", 1.1))
        for huge in (True, False)
        for n in (1, 2)
    ]
    ceilings = Ceilings(
        fma={"v2": {"1": 58.0, "2": 113.0}, "v3": {"1": 136.0, "2": 268.0},
             "v4": {"1": 258.0, "2": 517.0}},
        memory=tuple(memory),
        fma64={"v4": {"1": 131.0, "2": 261.0}},
        sizes={"L1": {"1": 24576, "2": 49152}, "L2": {"1": 1 << 19, "2": 1 << 20},
               "L3": {"1": 1 << 24, "2": 1 << 24}, "DRAM": {"1": 1 << 27, "2": 1 << 27}},
    )  # fmt: skip
    environment = {
        "cpu": "A processor", "cores": 2, "threads": 2, "isa": "v4", "os": "Linux 6.1",
        "python": "3.11.2", "numpy": "2.4.1", "torch": "2.13.0", "jax": None,
        "env": {"OMP_NUM_THREADS": "2"},
    }  # fmt: skip
    return Report(
        **{
            "gradsmith": "0.1.0",
            "when": "2026-11-21T21:00:00+00:00",
            "environment": environment,
            "ceilings": ceilings,
            "results": tuple(results),
            **changes,
        }
    )


class Checker(HTMLParser):
    """Collects text and references; fails on tags that do not match or bring something in."""

    VOID = {"meta", "br", "input"}

    def __init__(self, document):
        super().__init__()
        self.open, self.words, self.references, self.headings = [], [], [], []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe", "object", "img", "image", "use")
        self.references += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag not in ("script", "image", "use")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if "h2" in self.open:
            self.headings.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page():
    return render(made_up())


def svgs(page):
    return re.findall(r'<svg class="chart" .*?</svg>', page, re.S)


def test_every_section_is_there(page):
    found = Checker(page)
    assert found.headings == [
        "How much faster than PyTorch", "Slower cases", "Roofline", "Memory-bound kernels",
        *CLASSES, "Threads", "Measured ceilings", "Environment",
    ]  # fmt: skip
    for words in ("OMP_NUM_THREADS", "2.13.0", "not installed", "prime 509x1021x257", "517"):
        assert words in found.text
    # Only the places of the page itself, and each of them exists.
    assert found.references and all(r.startswith("#") for r in found.references)
    assert all(f'id="{r[1:]}"' in page for r in found.references)
    assert "http" not in re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", page)
    assert "url(" not in page and "@import" not in page


def test_every_chart_is_xml_inside_its_frame(page):
    found = svgs(page)
    assert len(found) == 4 + len(CLASSES)
    for text in found:
        root = ElementTree.fromstring(text)
        _, _, width, height = map(float, root.get("viewBox").split())
        assert root.get("aria-label")
        for node in root.iter():
            for key in ("x", "x1", "x2", "cx"):
                assert -7 <= float(node.get(key, 0)) <= width, ElementTree.tostring(node)
            for key in ("y", "y1", "y2", "cy"):
                assert -7 <= float(node.get(key, 0)) <= height, ElementTree.tostring(node)


def test_a_mark_for_every_kernel_and_engine():
    report = made_up()
    counted = [r for r in report.results if r.flops]
    chart = bench_charts.roofline_chart(report)
    assert chart.count("GFLOP/s</title>") == sum(len(r.engines) for r in counted)
    moved = [r for r in report.results if not r.flops]
    chart = bench_charts.memory_chart(report)
    assert chart.count("GB/s</title>") == sum(len(r.engines) for r in moved)


def test_all_text_is_escaped():
    report = made_up()
    r = report.results[0]
    timing = Timing(1.0, 0.9, 1.1)
    evil = Result(
        EVIL, EVIL, EVIL, EVIL, 1e6, 1e6, {"gradsmith": 1e-7},
        {"gradsmith": timing, "torch": Timing(0.5, 0.4, 0.6), EVIL: timing},
        {EVIL: EVIL, "note": EVIL},
    )  # fmt: skip
    changed = made_up(
        gradsmith=EVIL,
        when=EVIL,
        environment={**report.environment, "cpu": EVIL, "isa": EVIL, "env": {EVIL: EVIL}},
        results=(r, evil),
        failures=(EVIL,),
        left_out=(EVIL,),
    )
    page = render(changed)
    assert "<script" not in page and "alert('x" not in page
    assert Checker(page).text.count("<script>alert('x & y')</script> \"q\"") > 8
    for text in [*svgs(page), *bench_charts.pictures(changed).values()]:
        ElementTree.fromstring(text)
        assert "<script" not in text


def test_classes_with_a_target_stand_beside_it():
    results = made_up().results[:2]
    changed = tuple(replace(r, family="softmax, norms") for r in results)
    assert all(r.as_shipped > 1.5 for r in changed)
    found = Checker(render(made_up(results=changed)))
    assert "Targets" in found.headings and "1 of 1 are met" in found.text
    slow = [replace(r, engines={**r.engines, "torch": r.engines["gradsmith"]}) for r in changed]
    found = Checker(render(made_up(results=tuple(slow))))
    assert "0 of 1 are met" in found.text and "missed" in found.text and "≥ 1.5" in found.text


def test_what_failed_and_what_was_not_run_is_said(tmp_path):
    report = made_up(failures=("conv 1x1: OSError: gone",), left_out=("loss: l1, forward",))
    dump(report, tmp_path / "x.json")
    assert load(tmp_path / "x.json") == report
    found = Checker(render(report))
    assert found.headings[2:4] == ["Failures", "Not run"]
    assert "conv 1x1: OSError: gone" in found.text and "loss: l1, forward" in found.text


def test_pictures_are_files_of_their_own():
    found = bench_charts.pictures(made_up())
    assert sorted(found) == [
        "benchmark-memory.svg", "benchmark-roofline.svg", "benchmark-scaling.svg",
        "benchmark-summary.svg",
    ]  # fmt: skip
    for text in found.values():
        root = ElementTree.fromstring(text)
        assert float(root.get("width")) > 0 and float(root.get("height")) > 0
        assert "prefers-color-scheme: dark" in text and "var(--card)" in text


def test_what_was_not_measured_is_left_out():
    empty = Report("0.1.0", "2026-11-21", {"threads": 2})
    found = Checker(render(empty))
    assert found.headings == ["Environment"]
    assert "no case was run" in found.text
    alone = [replace(r, engines={"gradsmith": r.engines["gradsmith"]}) for r in made_up().results]
    found = Checker(render(made_up(results=tuple(alone))))
    assert "No reference engine" in found.text and "Roofline" in found.headings
    assert bench_charts.pictures(empty) == {}
    # Ceilings alone, and results without ceilings.
    assert Checker(render(made_up(results=()))).headings == [
        "Threads", "Measured ceilings", "Environment"
    ]  # fmt: skip
    headings = Checker(render(made_up(ceilings=Ceilings()))).headings
    assert "Roofline" in headings and "Measured ceilings" not in headings


def test_without_torch_the_reference_is_numpy():
    report = made_up(torch=False)
    assert bench_charts.reference(report)[2] == "NumPy"
    assert "How much faster than NumPy" in Checker(render(report)).headings


def test_no_more_rows_to_a_picture_than_a_page_holds():
    report = made_up()
    many = [report.results[0]] * 80
    found = bench_charts.ratio_charts(report, "x", many)
    assert [text.count('text-anchor="end"') for text in found] == [27, 27, 26]


def test_share_of_the_ceiling_that_binds():
    report = made_up()
    timing = {"gradsmith": Timing(2.0, 2.0, 2.0)}

    def of(flops, size, dtype="float32"):
        return share(report, Result("c", "n", dtype, "forward", flops, size, {}, timing))

    found = of(517e9, 1e6)
    assert (found.value, found.ceiling) == (pytest.approx(0.5), "v4 multiply-adds")
    assert of(261e9, 1e6, "float64").value == pytest.approx(0.5)
    copy = report.ceilings.gbs(2)
    found = of(0, copy * 1e9)
    assert (found.value, found.ceiling) == (pytest.approx(0.5), "DRAM copy")
    assert of(1e6, copy * 1e9).ceiling == "DRAM copy"
    assert of(0, 0) is None
    sizes = (1e3, 2 << 19, 1 << 25, 1 << 26)
    assert [level_of(report.ceilings, n, 2) for n in sizes] == ["L1", "L2", "L3", "DRAM"]
    assert share(made_up(ceilings=Ceilings()), report.results[0]) is None


def test_ceilings_of_a_busy_machine_are_not_believed():
    report = made_up()
    assert disturbed(report.ceilings) == "" and disturbed(Ceilings()) == ""
    fma = {**report.ceilings.fma, "v4": {"1": 258.0, "2": 264.0}}
    busy = replace(report.ceilings, fma=fma)
    assert "2 threads make 1.0 times the multiply-adds of one (v4)" in disturbed(busy)
    assert "kept the machine busy" in Checker(render(made_up(ceilings=busy))).text


def test_numbers_in_words():
    assert [charts.number(v) for v in (0, 0.0312, 0.5, 1.234, 9.999, 12.34, 517.2, 123456)] == [
        "0", "0.031", "0.5", "1.23", "10", "12.3", "517", "1.23e5"
    ]  # fmt: skip
    assert [seconds(v) for v in (2, 3.2e-3, 4.51e-6, 2e-8)] == ["2 s", "3.2 ms", "4.51 µs", "20 ns"]


def bench(*words):
    return main(["bench", *map(str, words)])


def test_the_page_and_pictures_of_an_earlier_run(tmp_path, capsys):
    dump(made_up(), tmp_path / "run.json")
    folder = tmp_path / "new/pictures"
    assert (
        bench("report", tmp_path / "run.json", "--html", tmp_path / "p.html", "--pictures", folder)
        == 0
    )
    assert (tmp_path / "p.html").read_text(encoding="utf-8") == render(made_up())
    found = {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir()}
    assert found == bench_charts.pictures(made_up())
    assert capsys.readouterr().out.count("written: ") == 5


def test_a_run_in_a_page_replaces_the_one_before(tmp_path):
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    dump(made_up(), run)
    assert bench("report", run, "--markdown", page) == 0
    alone = page.read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", alone, re.MULTILINE)
    behind = any((r.as_shipped or 1) < SLOWER for r in made_up().results)
    assert len(tables) == 1 + behind + len({r.family for r in made_up().results})
    assert ("More than 10 % slower" in alone) == behind
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1 and not re.search(r"\| *(nan|inf|None) *\|", table)
    for r in made_up().results:
        assert any(line.startswith(f"| {r.case} ") for line in alone.splitlines()), r.case
    mine = f"# Mine\n\nBetween `{BEGIN}` and `{END}`:\n\n"
    page.write_text(f"{mine}{alone}\nThe end\n", encoding="utf-8")
    dump(replace(made_up(), results=made_up().results[:1]), run)
    assert bench("report", run, "--markdown", page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"{mine}<!--") and text.endswith("-->\n\nThe end\n")
    assert text.count("\n<!-- gradsmith bench: begin") == 1 and len(text) < len(alone)


@pytest.mark.parametrize(
    "held", [b"# Mine\n", f"{END}\n{BEGIN}\n".encode(), f"`{BEGIN}`, `{END}`".encode(), b"\xff"]
)
def test_a_page_without_the_marks_is_not_replaced(tmp_path, capsys, held):
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    dump(made_up(), run)
    page.write_bytes(held)
    assert bench("report", run, "--markdown", page) == 2
    assert "--markdown: " in capsys.readouterr().err
    assert page.read_bytes() == held
    page.write_bytes(b"")
    assert bench("report", run, "--markdown", page) == 0
    assert page.read_text(encoding="utf-8").startswith(BEGIN)


def test_float64_stands_beside_float32(tmp_path):
    report = made_up()
    single = next(r for r in report.results if r.flops and r.family.startswith("conv"))
    times = {n: Timing(4 * t.median, 0.0, 0.0) for n, t in single.engines.items()}
    double = replace(single, dtype="float64", engines=times)
    run, page = tmp_path / "run.json", tmp_path / "page.md"
    dump(replace(report, results=(*report.results, double)), run)
    assert bench("report", run, "--markdown", page) == 0
    (line,) = re.findall(r"^.*GFLOP/s \| of float32's \|\n.*\n(.*)$", page.read_text(), re.M)
    factor = single.engines["gradsmith-exact"].median / single.engines["gradsmith"].median
    assert line.startswith(f"| {single.family}: {single.case} | {single.kind} |")
    assert line.endswith(f" {factor / 4:.0%} |")
    # Without the sums in order the time may be of Winograd's algorithm: float64 has none.
    fast = replace(single, engines={n: t for n, t in single.engines.items() if "exact" not in n})
    dump(replace(report, results=(fast, double)), run)
    assert bench("report", run, "--markdown", page) == 0
    assert "of float32's" not in page.read_text()


def test_several_runs_are_one_by_their_medians(tmp_path):
    def run(factor, slow, **changes):
        """All times `factor` longer, those of the first case `slow` besides."""
        results = [
            replace(r, engines={
                name: Timing(*(v * factor * (slow if i == 0 else 1) for v in vars(t).values()))
                for name, t in r.engines.items()
            })
            for i, r in enumerate(made_up().results)
        ]  # fmt: skip
        # A run that finds another bound has another rate; the times compare.
        limit = {"name": "DRAM copy" if slow > 1 else "L3 copy", "seconds": 1e-4 * factor * slow}
        beside = {**results[0].extra, "ceiling": limit}
        results[0] = replace(results[0], extra=beside)
        return made_up(results=tuple(results), **changes)

    last = made_up().results[-1].label
    runs = [run(1.1, 1), run(1, 9, left_out=("a", last)), run(0.9, 1, left_out=(last, "a", "b"))]
    runs[2] = replace(runs[2], results=runs[2].results[:-1], failures=("one is wrong",))
    both = merged(runs)
    assert [r.key for r in both.results] == [r.key for r in runs[0].results]
    for i, plain in enumerate(made_up().results[:-1]):
        found = both.results[i]
        for name, t in found.engines.items():
            factor = 1.1 if i == 0 else 1  # of 1.1, 9 and 0.9
            assert t.median == pytest.approx(factor * plain.engines[name].median)
            assert t.low <= t.median <= t.high
        limit = {"name": "L3 copy", "seconds": pytest.approx(1.1e-4)}
        assert found.extra == {**plain.extra, **({"ceiling": limit} if i == 0 else {})}
    assert both.failures == ("one is wrong",) and both.left_out == ("a", "b")
    assert both.ceilings == made_up().ceilings and both.environment["runs"] == 3
    assert merged(runs[:1]) is runs[0]
    pair = merged(runs[1:])  # of two ceilings the higher one: the shorter time
    assert pair.results[0].extra["ceiling"]["seconds"] == pytest.approx(0.9e-4)
    halves = [replace(runs[0], results=r) for r in (runs[0].results[:5], runs[0].results[5:])]
    together = merged(halves)
    assert together.results == runs[0].results and "runs" not in together.environment
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    for path, report in zip(paths, runs, strict=True):
        dump(report, path)
    assert bench("report", *paths, "--markdown", tmp_path / "page.md") == 0
    assert "Medians of 3 runs." in (tmp_path / "page.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words,message",
    [
        (("report", "--html", "p.html"), "report: needs a file"),
        (("report", "no.json"), "needs --html FILE, --markdown FILE or --pictures"),
        (("report", "no.json", "--html", "p.html"), "report: no.json cannot be read"),
        (("report", "bad.json", "--html", "p.html"), "no results of `gradsmith bench --json`"),
        (("report", "bad.json", "--pictures", "bad.json"), "--pictures: bad.json cannot be made"),
    ],
)
def test_what_report_refuses(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text('{"gradsmith": "0"}')
    assert bench(*words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()
