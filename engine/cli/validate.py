"""Prove on this machine that every op computes what it should: forward, gradients, layouts, bits.

Exit status: 0 nothing failed; 1 something failed, or nothing could be checked; 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import CommandError, writable
from .packages import OPTIONAL, found
from .progress import LiveChecks, NoChecks, PlainChecks, live_terminal
from .validate_text import head, summary

if TYPE_CHECKING:
    from ..testing.campaign import Campaign, Plan
    from ..testing.isolation import Isolated

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "check every op on this machine: errors, gradients, layouts, same bits"
BUDGET = 120.0
#: The CUDA kernels of so few ops are compiled when they are met, those of more before the budget.
FEW = 20


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be a number of seconds >= 0; got {text!r}")
    return value


def _whole(low: int, high: int) -> Any:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {low} to {high}; got {text!r}"
            )
        return value

    return convert


def _words(text: str) -> tuple[str, ...]:
    return tuple([word for word in text.split(",") if word])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gradsmith validate`."""
    add = parser.add_argument
    add("--ops", default="", metavar="REGEX", help="ops in whose name this is found; default: all")
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="cuda: the GPU; where there is none, the same kernels in the emulator on the CPU",
    )
    add("--dtype", type=_words, default=(), metavar="DTYPE", help="one or several: a,b")
    add("--isa", metavar="ISA", help="build of the CPU kernels; default: the one in use")
    add("--threads", type=_whole(1, 1024), metavar="N", help="of the CPU kernels")
    add("--checks", type=_words, default=(), metavar="CHECK", help="one or several: a,b")
    add(
        "--budget",
        type=_seconds,
        metavar="SECONDS",
        help=f"how long; 0: everything; default {BUDGET:g}, with --sample 0",
    )
    add("--sample", action="append", default=[], metavar="ID", help="this sample alone")
    add("--seed", type=_whole(0, 2**31 - 1), default=0, metavar="N", help="default 0")
    add(
        "--patience",
        type=_seconds,
        metavar="SECONDS",
        help="a case that takes longer is a failure; default 120",
    )
    add(
        "--no-isolation",
        action="store_true",
        help="run it all in this process: for a debugger; a crash ends it",
    )
    add("--json", metavar="FILE", help="the results as JSON; -: print them and nothing else")
    add("--html", type=Path, metavar="FILE", help="the results as a page")


def run(options: argparse.Namespace) -> int:
    """Check the ops; returns the exit status."""
    from ..testing.isolation import IsolationError

    quiet = options.json == "-"
    for name, path in (("--json", options.json), ("--html", options.html)):
        if path is not None and str(path) != "-":
            writable(name, Path(path))
    plan = _plan(options)
    with _device(options.device), _process(options, plan) as isolated:
        campaign = _campaign(plan, isolated)
        here = _machine(options)
        if not quiet:
            print(head(campaign, here), flush=True)
        if options.device == "cuda" and len(campaign.ops) > FEW:
            _prepare(quiet)
        progress = _progress(quiet)
        progress.started(campaign)
        try:
            campaign.run(progress.ran)
        except IsolationError as error:
            raise CommandError(str(error)) from None
        finally:
            progress.close()
        data = {**campaign.to_dict(), "machine": here}
    _write(options, data)
    if not quiet:
        print("\n".join(summary(data)))
        for path in (options.json, options.html):
            if path is not None:
                print(f"written: {path}")
    if data["interrupted"]:
        return 130
    return 0 if data["verdict"] == "passed" else 1


def _plan(options: argparse.Namespace) -> Plan:
    """The options as a plan; the wrong ones are refused."""
    from ..backends import cpu
    from ..testing import CHECKS
    from ..testing.campaign import GRID, Plan
    from ..testing.opdb import op_infos

    known = (*CHECKS, GRID)
    for name in options.checks:
        if name not in known:
            raise CommandError(f"--checks: must be of {', '.join(known)}; got {name!r}", status=2)
    dtypes = dict.fromkeys(d for info in op_infos() for d in info.dtypes)
    for name in options.dtype:
        if name not in dtypes:
            raise CommandError(f"--dtype: must be of {', '.join(dtypes)}; got {name!r}", status=2)
    if options.device != "cpu" and (options.isa is not None or options.threads is not None):
        raise CommandError("--isa and --threads are of the CPU kernels: --device cpu", status=2)
    if options.isa is not None and options.isa not in cpu.isas():
        raise CommandError(
            f"--isa: this processor runs {', '.join(cpu.isas())}; got {options.isa!r}", status=2
        )
    budget = options.budget
    if budget is None:
        budget = 0.0 if options.sample else BUDGET
    return Plan(
        ops=options.ops,
        device=options.device,
        dtypes=options.dtype,
        isa=options.isa,
        threads=options.threads,
        checks=tuple([c for c in known if c in options.checks]) if options.checks else known,
        samples=tuple(options.sample),
        budget=budget,
        seed=options.seed,
    )


def _campaign(plan: Plan, isolated: Isolated | None) -> Campaign:
    from ..testing.campaign import Campaign

    try:
        return Campaign(plan, isolated=isolated)
    except re.error as error:
        raise CommandError(
            f"--ops: {plan.ops!r} is no regular expression: {error}", status=2
        ) from None
    except ValueError as error:
        raise CommandError(str(error), status=2) from None


@contextmanager
def _process(options: argparse.Namespace, plan: Plan) -> Iterator[Isolated | None]:
    """With the process that does the work; None: this one does it."""
    from ..testing.isolation import PATIENCE, Isolated

    if options.no_isolation:
        yield None
        return
    patience = PATIENCE if options.patience is None else options.patience
    if not patience:
        raise CommandError("--patience: must be more than 0 seconds", status=2)
    isolated = Isolated(plan, patience)
    try:
        yield isolated
    finally:
        isolated.close()


@contextmanager
def _device(device: str) -> Iterator[None]:
    """With the emulator, if cuda is asked for and there is no GPU."""
    from .. import cuda

    if device == "cpu" or cuda.is_available():
        yield
        return
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise CommandError(
            f"--device cuda: there is no GPU that gradsmith can use, and the emulator needs a C++ "
            f"compiler; {compiler} was not found"
        )
    cuda.use_emulator()
    try:
        yield
    finally:
        cuda.use_emulator(False)


def _prepare(quiet: bool) -> None:
    """Compile the CUDA kernels before the time runs; the cache has them from then on."""
    from ..testing.campaign import prepare

    began, said = time.perf_counter(), [0]

    def report(done: int, total: int) -> None:
        quarter = 4 * done // total
        if not quiet and time.perf_counter() - began > 1 and quarter > said[0]:
            said[0] = quarter
            print(f"compiling the CUDA kernels (kept for later): {done} of {total}", flush=True)

    prepare(report)


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    """Where it runs, and what runs it."""
    from .info import collect, machine

    facts, here = collect(), asdict(machine(options.device))
    if options.isa is not None:
        here["isa"] = options.isa
    if options.threads is not None:
        here["threads"] = options.threads
    return {
        **here,
        "isas": facts["isa"]["available"],
        "python": facts["python"],
        "numpy": facts["numpy"],
        "system": facts["system"],
    }


def _write(options: argparse.Namespace, data: dict[str, Any]) -> None:
    try:
        if options.json is not None:
            text = json.dumps(data, allow_nan=False)
            if options.json == "-":
                print(text)
            else:
                Path(options.json).write_text(text + "\n", encoding="utf-8")
        if options.html is not None:
            from .validate_page import render

            options.html.write_text(render(data), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"the results could not be written: {error}") from error


def _progress(quiet: bool) -> NoChecks:
    """How the work is shown here."""
    if quiet:
        return NoChecks()
    if not live_terminal() or found(OPTIONAL[0]) is None:
        return PlainChecks()
    return LiveChecks()
