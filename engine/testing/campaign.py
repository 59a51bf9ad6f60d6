"""Many ops checked within a time: what is run first, what it came to, what was not reached.

A campaign is made of units: one sample of one op under some of opcheck's checks. Every op's forward
and gradient come first, on one plain sample, then the other checks on that sample and what the op
must refuse, then the exact-integer grid, then the other samples, one of each op in turn. Ops of one
family lie as far apart as they can. So whatever the budget, what was run is spread over everything;
`OpOutcome.not_run` and `left` (outcome.py) say what the time did not suffice for.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cuda import is_emulated
from .checks import samples_of, size_of
from .opcheck import CHECKS, EMULATOR_LIMIT, KEPT, opcheck
from .opdb import OpInfo, Sample, op_infos
from .outcome import NOT_RUN, GridOutcome, OpOutcome
from .report import FAILED, PASSED, SKIPPED, CheckResult, Failure, OpReport

if TYPE_CHECKING:
    from .isolation import Isolated

__all__ = [
    "GRID",
    "Campaign",
    "Plan",
    "family_of",
    "prepare",
]

#: The name of the exact-integer grid among the checks.
GRID = "grid"
_STATUSES = (PASSED, FAILED, SKIPPED, NOT_RUN)
#: What comes first of every op.
FIRST = ("forward", "gradient")
#: The grid's part of the time, its cases without a limit (or at GRID_SECONDS), and the largest case
#: for the emulator.
GRID_SHARE, GRID_CASES, GRID_SECONDS, GRID_EMULATED = 0.1, 20_000, 120.0, 2000
#: So many cases of it are begun at a time.
GRID_BATCH = 20
#: Tags of samples that are no plain first one.
_SPECIAL = frozenset({"special", "empty", "size1", "large", "slow", "kink"})


def family_of(info: OpInfo) -> str:
    """The family of an op: the part of the sample database that it is in."""
    return _families().get(info.name, "own")


def _families() -> dict[str, str]:
    from importlib import import_module

    from . import opdb

    if not _FAMILY:
        for name in opdb.FAMILIES:
            for info in import_module(f".{name}", opdb.__name__).infos():
                _FAMILY[info.name] = name
    return _FAMILY


_FAMILY: dict[str, str] = {}


@dataclass(frozen=True)
class Plan:
    """What to check.

    Attributes:
        ops: a regex that is looked for in the ops' names; "" for all.
        device: "cpu" or "cuda".
        dtypes: only these; none: all that an op has.
        isa, threads: of the CPU kernels; None: as they are set.
        checks: names out of `gradsmith.testing.CHECKS` and "grid".
        samples: only samples with these ids; none: all.
        budget: seconds; 0: everything, however long it takes.
        seed: of the order of samples, of directions, of the grid's cases.
    """

    ops: str = ""
    device: str = "cpu"
    dtypes: tuple[str, ...] = ()
    isa: str | None = None
    threads: int | None = None
    checks: tuple[str, ...] = (*CHECKS, GRID)
    samples: tuple[str, ...] = ()
    budget: float = 120.0
    seed: int = 0


def prepare(report: Callable[[int, int], None] | None = None) -> None:
    """Compiles every CUDA kernel for the device in use, or finds it in the cache.

    Args:
        report: called with (how many source files are ready, how many there are) behind each.
    """
    from ..kernels import table
    from ..kernels.cuda import launch
    from ..kernels.cuda.emulator import build

    table("cuda")

    def one(module: launch.Module) -> None:
        if is_emulated():  # the compiler is a process of its own: as many as there are processors
            build.kernel_library(module.source, module.names, module.defines)
        else:
            module.load(module.names[0])

    found = list(launch.modules)
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        for done, _ in enumerate(pool.map(one, found), start=1):
            if report is not None:
                report(done, len(found))


@dataclass(frozen=True)
class Unit:
    """One op's sample (or refusals), and the checks to run on it."""

    outcome: OpOutcome
    checks: tuple[str, ...]
    samples: tuple[Any, ...]
    last: bool  # whether the sample is done with it


class Campaign:
    """The ops that a plan names, checked until the time is over.

    Args:
        plan: what to check.
        infos: the ops to choose from; None: the sample database.
        isolated: the process that does the work; None: this one.

    Raises:
        ValueError: the plan names no op, no sample, or a dtype that no op of it has.
        re.error: its regex is none.

    Attributes:
        ops: one outcome an op, in the database's order.
        grid: what the grid came to; None where it was not asked for, or nothing in it is meant.
        complete: whether everything was run.
        seconds: how long it took.
    """

    def __init__(
        self,
        plan: Plan,
        infos: Sequence[OpInfo] | None = None,
        isolated: Isolated | None = None,
    ) -> None:
        self.plan = plan
        self.isolated = isolated
        infos = op_infos() if infos is None else infos
        pattern = re.compile(plan.ops)
        found = [i for i in infos if pattern.search(i.name)]
        self._grids = self._families_of_grid(pattern)
        if not found and not self._grids:
            raise ValueError(f"no op has a name that {plan.ops!r} is found in")
        self.without_dtype = [
            i.name for i in found if plan.dtypes and not set(plan.dtypes) & set(i.dtypes)
        ]
        found = [i for i in found if i.name not in self.without_dtype]
        if self.without_dtype and not found:
            raise ValueError(f"none of these ops runs in {', '.join(plan.dtypes)}")
        self.ops = [self._outcome(i) for i in found] if set(plan.checks) - {GRID} else []
        if plan.samples:
            self.ops = [o for o in self.ops if o.samples or o.errors]
            if not self.ops:
                raise ValueError(f"no op that is asked for has a sample {plan.samples[0]!r}")
        self.grid: GridOutcome | None = None
        if self._grids:
            space = sum(f.space.size for f in self._grids)
            self.grid = GridOutcome({f.name: 0 for f in self._grids}, space=space)
        self.seconds = 0.0
        self.interrupted = False
        self._work = {"all": 1, "done": 0}

    def _families_of_grid(self, pattern: re.Pattern[str]) -> list[Any]:
        """The grid's families that are asked for."""
        plan = self.plan
        if GRID not in plan.checks or plan.samples:
            return []
        if plan.isa is not None or plan.threads is not None or plan.dtypes:
            return []  # a case of the grid has its own
        from .grid import FAMILIES

        return [f for f in FAMILIES.values() if pattern.search(f.name)]

    def _outcome(self, info: OpInfo) -> OpOutcome:
        plan = self.plan
        limit = EMULATOR_LIMIT if plan.device == "cuda" and is_emulated() else None
        every = list(info.samples())
        usable = samples_of(info, None, limit=limit)
        if plan.samples:
            every = usable = [s for s in every if s.id in plan.samples]
        errors = [e.id for e in info.errors if not plan.samples or e.id in plan.samples]
        rng = np.random.default_rng(plan.seed)
        shuffled = [usable[i] for i in rng.permutation(len(usable))]
        plainest = _plainest(usable)
        # Plain ones first, then at random; what takes long comes last.
        order = sorted(
            shuffled,
            key=lambda s: (
                bool(s.tags & {"large", "slow"}),
                s is not plainest,
                size_of(s) > 100_000,
            ),
        )
        wanted = tuple([c for c in plan.checks if c != GRID])
        nothing = {c: order for c in wanted if c != "errors"} | {"errors": errors}
        outcome = OpOutcome(
            info=info,
            family=family_of(info),
            dtypes=tuple([d for d in info.dtypes if not plan.dtypes or d in plan.dtypes]),
            samples=order,
            left_out=len(every) - len(usable),
            errors=tuple(errors),
            wanted=wanted,
        )
        for name in wanted:
            if not nothing[name]:
                reason = "no error samples" if name == "errors" else "no sample for it"
                outcome.results[name] = CheckResult(name, SKIPPED, reason)
            elif plan.device != "cpu" and name in ("threads", "isas"):
                outcome.results[name] = CheckResult(name, SKIPPED, "a property of the CPU kernels")
        return outcome

    # ---- the order of things ----

    def spread(self) -> list[OpOutcome]:
        """The ops, those of one family as far apart as they can be."""
        families: dict[str, list[OpOutcome]] = {}
        for outcome in self.ops:
            families.setdefault(outcome.family, []).append(outcome)
        placed = [
            ((i + 0.5) / len(members), number, outcome)
            for number, members in enumerate(families.values())
            for i, outcome in enumerate(members)
        ]
        return [outcome for _, _, outcome in sorted(placed, key=lambda p: p[:2])]

    def units(self) -> tuple[list[Unit], list[Unit]]:
        """(what comes before the grid, what comes behind it)."""
        wanted = [c for c in self.plan.checks if c != GRID]
        first = tuple([c for c in wanted if c in FIRST])
        others = tuple([c for c in wanted if c not in (*FIRST, "errors")])
        on_samples = tuple([c for c in wanted if c != "errors"])
        ops = self.spread()
        before: list[Unit] = []
        if first:
            before += [Unit(o, first, (o.samples[0],), not others) for o in ops if o.samples]
        for o in ops:
            if others and o.samples:
                before.append(Unit(o, others, (o.samples[0],), True))
            if "errors" in wanted and o.errors:
                before.append(Unit(o, ("errors",), o.errors, False))
        behind = [
            Unit(o, on_samples, (o.samples[i],), True)
            for i in range(1, max([len(o.samples) for o in ops], default=0))
            for o in ops
            if on_samples and i < len(o.samples)
        ]
        return before, behind

    # ---- running ----

    def run(self, progress: Callable[[Campaign, str, OpReport | None], None] | None = None) -> None:
        """Runs it all, or what the budget allows: no unit begins when the time is over.

        Args:
            progress: called behind each unit with the campaign, what was run, and its report (None
                for cases of the grid).

        A Ctrl-C ends it as the budget does; `interrupted` says so.
        """
        self._began = time.perf_counter()
        before, behind = self.units()
        self._work = {"all": len(before) + len(behind) + bool(self.grid), "done": 0}
        share = GRID_SHARE * self.plan.budget if self.grid else 0.0
        try:
            self._run(before, share, progress)
            self._run_grid(share, progress)
            self._run(behind, 0.0, progress)
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = self.elapsed

    def _run(self, units: Sequence[Unit], kept: float, progress: Any) -> None:
        for unit in units:
            if self._over(kept):
                return
            outcome = unit.outcome
            report = self._check(unit)
            outcome.add(report)
            outcome.done += unit.last
            self._work["done"] += 1
            if progress is not None:
                progress(self, outcome.info.name, report)

    def _check(self, unit: Unit) -> OpReport:
        plan, info = self.plan, unit.outcome.info
        if self.isolated is not None:
            ids = [s if isinstance(s, str) else s.id for s in unit.samples]
            return self.isolated.check(info, unit.outcome.dtypes, unit.checks, ids)
        return opcheck(
            info,
            dtype=unit.outcome.dtypes,
            device=plan.device,
            isa=plan.isa,
            threads=plan.threads,
            checks=unit.checks,
            samples=list(unit.samples),
            seed=plan.seed,
            raise_exception=False,
        )

    def _run_grid(self, share: float, progress: Any) -> None:
        grid, plan = self.grid, self.plan
        if grid is None:
            return
        from .grid import plan as shares

        small = plan.device == "cuda" and is_emulated()
        began = time.perf_counter()
        total = GRID_CASES * (plan.budget or GRID_SECONDS) / GRID_SECONDS
        wanted = dict(shares(max(1, round(total)), self._grids))
        streams = {f.name: self._cases(f, GRID_EMULATED if small else None) for f in self._grids}
        turns = [
            name
            for _, name in sorted(
                ((i + 0.5) / count, name) for name, count in wanted.items() for i in range(count)
            )
        ]
        for start in range(0, len(turns), GRID_BATCH):
            if plan.budget and (self._over() or time.perf_counter() - began > share):
                break
            found = [(name, next(streams[name], None)) for name in turns[start:][:GRID_BATCH]]
            batch = [(name, index) for name, index in found if index is not None]
            for (name, _), result in zip(batch, self._run_cases(batch), strict=True):
                grid.cases[name] += 1
                grid.failed += result.failed
                if len(grid.failures) < KEPT:
                    grid.failures += tuple([self._grid_failure(f) for f in result.failures])
                grid.seconds = time.perf_counter() - began
                if progress is not None and (result.failed or grid.count % 100 == 0):
                    progress(self, GRID, None)
        self._work["done"] += 1
        if progress is not None:
            progress(self, GRID, None)

    def _run_cases(self, cases: Sequence[tuple[str, int]]) -> Iterator[Any]:
        """The grid's results of some cases."""
        if self.isolated is not None:
            return self.isolated.cases(cases)
        from .grid import run_case

        return (run_case(name, index, self.plan.device) for name, index in cases)

    def _cases(self, family: Any, largest: int | None) -> Iterator[int]:
        """Indices of a family, in the order that the seed says."""
        from .grid import shuffled

        for position in range(family.space.size):
            index = shuffled(position, family.space.size, self.plan.seed)
            if largest is None or family.work(family.space.decode(index)) <= largest:
                yield index

    def _grid_failure(self, found: Any) -> Failure:
        command = found.command
        if self.plan.device == "cuda" and is_emulated() and "--emulator" not in command:
            command += " --emulator"
        where = self.plan.device
        dtype = found.parameters.get("dtype")
        case = f"case {found.index}"
        return Failure(found.family, GRID, case, dtype, where, None, None, found.message, command)

    def _over(self, kept: float = 0.0) -> bool:
        return bool(self.plan.budget) and self.elapsed >= self.plan.budget - kept

    # ---- what it came to ----

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    @property
    def part(self) -> float:
        """How much of it is done, 0 to 1: of the work, or of the time, whichever is nearer."""
        work = self._work["done"] / self._work["all"]
        return min(1.0, max(work, self.elapsed / self.plan.budget if self.plan.budget else 0.0))

    @property
    def failures(self) -> list[Failure]:
        """The failures of the ops and of the grid, the first ones of each check."""
        found = [f for o in self.ops for c in o.checks for f in c.failures]
        return found + list(self.grid.failures if self.grid else ())

    @property
    def failed(self) -> int:
        """How many comparisons and cases failed."""
        return sum(c.failed for o in self.ops for c in o.checks) + (
            self.grid.failed if self.grid else 0
        )

    @property
    def comparisons(self) -> int:
        """How many comparisons and cases there were."""
        return sum(c.count for o in self.ops for c in o.checks) + (
            self.grid.count if self.grid else 0
        )

    @property
    def complete(self) -> bool:
        """Whether every op had every check on every sample, and the grid ran."""
        return not (
            self.interrupted
            or any(o.not_run or o.left for o in self.ops)
            or (self.grid is not None and not self.grid.count)
        )

    @property
    def verdict(self) -> str:
        """failed; passed; or nothing: not one comparison was made."""
        if self.failed:
            return FAILED
        return PASSED if self.comparisons else "nothing"

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: the plan, the counts, every op's report, the grid, the failures.

        An op's entry is `OpReport.to_dict()` with `family`, `samples_of` (how many there are to
        run), `samples_left_out` (too large for the emulator) and `not_run` (checks).
        """
        statuses = [o.status for o in self.ops]
        grid = self.grid
        return {
            "format": 1,
            "verdict": self.verdict,
            "complete": self.complete,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "plan": {f.name: _listed(getattr(self.plan, f.name)) for f in fields(self.plan)},
            "emulated": self.plan.device == "cuda" and is_emulated(),
            "counts": {
                "ops": len(self.ops),
                **{f"ops_{s.replace(' ', '_')}": statuses.count(s) for s in _STATUSES},
                "ops_complete": sum(not (o.not_run or o.left) for o in self.ops),
                "samples": sum(len(o.samples) for o in self.ops),
                "samples_run": sum(o.done for o in self.ops),
                "samples_left_out": sum(o.left_out for o in self.ops),
                "comparisons": self.comparisons,
                "failed": self.failed,
            },
            "ops": [
                {
                    **o.report(self.plan).to_dict(),
                    "status": o.status,
                    "family": o.family,
                    "samples_of": len(o.samples),
                    "samples_left_out": o.left_out,
                    "not_run": list(o.not_run),
                }
                for o in self.ops
            ],
            "grid": None
            if grid is None
            else {
                "cases": grid.cases,
                "count": grid.count,
                "failed": grid.failed,
                "space": grid.space,
                "seconds": grid.seconds,
                "failures": [f.to_dict() for f in grid.failures],
            },
            "failures": [f.to_dict() for f in self.failures],
            "without_dtype": self.without_dtype,
        }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _plainest(samples: Sequence[Sample]) -> Sample | None:
    """The first sample that has a gradient and nothing special about it, if there is one."""
    for test in (
        lambda s: s.has_gradient and not s.tags & _SPECIAL,
        lambda s: not s.tags & _SPECIAL,
        lambda s: not s.tags & {"large", "slow", "empty"},
    ):
        for sample in samples:
            if test(sample):
                return sample
    return None
