"""Time gradsmith beside PyTorch, NumPy and JAX, as shipped and at their best; compare two runs.

what: op, net (training steps), overhead, optimizer, roofline (what the machine can do), all; or
`compare OLD NEW`, which names cases of NEW that became slower by more than the spread; or
`report FILE ...`, which makes the page (--html), the tables (--markdown) and the pictures
(--pictures) of a run's --json; of several runs' the medians.

Exit status: 0 all ran; 1 a case could not be run or is wrong, or `compare` found a regression; 2
wrong arguments. How fast something is never decides it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CommandError, writable
from .info import cpu_name
from .packages import OPTIONAL, found
from .progress import live_terminal

if TYPE_CHECKING:
    from ..benchmarks.results import Report
    from ..benchmarks.suite import Plan

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "time every op, layer and training step beside PyTorch, NumPy and JAX"
GROUPS = ("op", "net", "overhead", "optimizer", "roofline")
#: What --quick leaves out unless --engines asks for it.
SLOW_ENGINES = ("jax", "numpy-tuned")


def _threads(text: str) -> tuple[int, ...]:
    try:
        values = tuple([int(word) for word in text.split(",")])
    except ValueError:
        values = ()
    if not values or not all(1 <= n <= 1024 for n in values):
        raise argparse.ArgumentTypeError(
            f"must be whole numbers from 1 to 1024, with commas between; got {text!r}"
        )
    return tuple(dict.fromkeys(values))


def _words(text: str) -> tuple[str, ...]:
    return tuple([word for word in text.split(",") if word])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gradsmith bench`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        default=["all"],
        metavar="what",
        help=f"some of {', '.join(GROUPS)}; all (default); or: compare OLD NEW; report FILE ...",
    )
    add("--only", default="", metavar="REGEX", help="cases in whose name this is found")
    add("--engines", type=_words, metavar="ENGINE", help="one or several: a,b; default: all there")
    add(
        "--threads",
        type=_threads,
        metavar="N",
        help="default: as gradsmith is set; with several (2,1) gradsmith runs with the others too",
    )
    add("--quick", action="store_true", help="fewer cases, shorter: under two minutes")
    add(
        "--minutes",
        type=float,
        metavar="M",
        help="about how long all may take: shorter blocks, then fewer; says what is not reached",
    )
    add("--json", type=Path, metavar="FILE", help="the results as JSON")
    add("--html", type=Path, metavar="FILE", help="the results as a page")
    add("--markdown", type=Path, metavar="FILE", help="the tables, or in a page's marked part")
    add("--pictures", type=Path, metavar="FOLDER", help="the page's charts, as SVG files")
    add(
        "--relative",
        action="store_true",
        help="compare: in units of PyTorch's time in the same run (another machine, another load)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the benchmarks, or compare two runs; returns the exit status."""
    if options.what[:1] == ["compare"]:
        return _compare(options)
    reporting = options.what[:1] == ["report"]
    plan = None if reporting else _plan(options)
    for name, path in (
        ("--json", options.json), ("--html", options.html), ("--markdown", options.markdown),
    ):  # fmt: skip
        if path is not None:
            writable(name, path)
    if options.markdown is not None:
        from .bench_markdown import refuse_unmarked

        refuse_unmarked(options.markdown)
    _folder(options.pictures)
    if plan is None:
        return _report(options)
    from ..benchmarks.suite import Suite
    from .bench_text import LiveBench, PlainBench, ceilings, head, verdict

    suite = Suite(plan)
    if not suite.cases and "roofline" not in plan.groups:
        raise CommandError(f"--only: no case is named like {options.only!r}", status=2)

    def report() -> Report:
        return suite.report(cpu_name())

    live = live_terminal() and found(OPTIONAL[0]) is not None
    progress = (LiveBench if live else PlainBench)(suite, report)
    print(head(report(), plan), flush=True)
    interrupted = False
    try:
        progress.started()
        suite.measure_ceilings(progress.ran)
        if "roofline" in plan.groups:
            progress.say(ceilings(suite.ceilings))
        suite.run(progress.ran)
        progress.finished()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.close()
    done = report()
    _write(options, done)
    print(verdict(done, suite, interrupted))
    if interrupted:
        return 130
    return 1 if suite.failures or suite.left_out and not suite.results else 0


def _plan(options: argparse.Namespace) -> Plan:
    """The options as a plan; the wrong ones are refused."""
    for word in options.what:
        if word not in (*GROUPS, "all"):
            words = ", ".join((*GROUPS, "all", "compare", "report"))
            raise CommandError(f"what: must be of {words}; got {word!r}", status=2)
    if options.minutes is not None and not 0.0 < options.minutes <= 1440.0:
        raise CommandError(
            f"--minutes: must be above 0 and at most 1440; got {options.minutes:g}", status=2
        )
    if options.relative:
        raise CommandError("--relative: is of compare OLD NEW alone", status=2)
    try:
        re.compile(options.only)
    except re.error as error:
        raise CommandError(
            f"--only: {options.only!r} is no regular expression: {error}", status=2
        ) from None
    from .. import get_num_threads
    from ..benchmarks.results import ENGINES, OURS
    from ..benchmarks.suite import Plan, available, quickened, within

    there = available()
    for name in options.engines or ():
        if name not in ENGINES:
            raise CommandError(f"--engines: must be of {', '.join(ENGINES)}; got {name!r}", 2)
        if name not in there:
            raise CommandError(f"--engines: {name}: {name.split('-')[0]} is not installed", 2)
    chosen = options.engines or [
        name for name in there if not (options.quick and name in SLOW_ENGINES)
    ]
    if OURS not in chosen:
        chosen = (OURS, *chosen)
    groups = tuple([g for g in GROUPS if g in options.what or "all" in options.what])
    plan = Plan(
        groups=groups,
        only=options.only,
        engines=tuple([name for name in ENGINES if name in chosen]),
        threads=options.threads or (get_num_threads(),),
    )
    plan = quickened(plan) if options.quick else plan
    return plan if options.minutes is None else within(plan, options.minutes)


def _folder(path: Path | None) -> None:
    """Makes the pictures' folder."""
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"--pictures: {path} cannot be made: {error.strerror}", status=2
        ) from None


def _write(options: argparse.Namespace, report: Report) -> None:
    from ..benchmarks.results import dump

    written = [p for p in (options.json, options.html, options.markdown) if p is not None]
    try:
        if options.json is not None:
            dump(report, options.json)
        if options.html is not None:
            from .bench_page import render

            options.html.write_text(render(report), encoding="utf-8")
        if options.markdown is not None:
            from .bench_markdown import page

            options.markdown.write_text(page(report, options.markdown), encoding="utf-8")
        if options.pictures is not None:
            from .bench_charts import pictures

            for name, text in pictures(report).items():
                written.append(options.pictures / name)
                written[-1].write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"the results could not be written: {error}") from error
    for path in written:
        print(f"written: {path}")


def _load(command: str, path: str) -> Any:
    from ..benchmarks.results import load

    try:
        return load(path)
    except OSError as error:
        raise CommandError(f"{command}: {path} cannot be read: {error.strerror}", 2) from None
    except ValueError as error:
        raise CommandError(f"{command}: {path}: {error}", 2) from None


def _report(options: argparse.Namespace) -> int:
    from ..benchmarks.results import merged

    if len(options.what) < 2:
        raise CommandError("report: needs a file, of --json; got 0", status=2)
    if options.html is None and options.pictures is None and options.markdown is None:
        raise CommandError(
            "report: needs --html FILE, --markdown FILE or --pictures FOLDER", status=2
        )
    _write(options, merged([_load("report", path) for path in options.what[1:]]))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from ..benchmarks.compare import compare
    from .bench_text import comparison

    if len(options.what) != 3:
        raise CommandError(
            f"compare: needs two files, OLD and NEW; got {len(options.what) - 1}", status=2
        )
    old, new = (_load("compare", path) for path in options.what[1:])
    result = compare(old, new, options.relative)
    if not result.changes:
        raise CommandError("compare: the two runs have no case in common")
    print(comparison(result, options.relative))
    return 1 if result.slower else 0
