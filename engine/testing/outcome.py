"""What a campaign finds: an outcome an op, one for the grid, each put together run by run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .. import _cpu
from .opcheck import KEPT
from .opdb import OpInfo, Sample
from .report import FAILED, PASSED, SKIPPED, CheckResult, Failure, Measure, OpReport

if TYPE_CHECKING:
    from .campaign import Plan

__all__ = ["NOT_RUN", "GridOutcome", "OpOutcome", "joined"]

NOT_RUN = "not run"


@dataclass
class OpOutcome:
    """One op: its checks over all its samples that were run.

    Attributes:
        info: the op.
        family: which family it is of.
        dtypes: what it is run in.
        samples: those to run, the first one first.
        left_out: how many are too large for the emulator.
        errors: the ids of the calls that must be refused.
        done: how many samples every check has run on.
        results: what each check came to; a check that is not in it was not run.
        wanted: the checks that were asked for.
        seconds: how long it took.
    """

    info: OpInfo
    family: str
    dtypes: tuple[str, ...]
    samples: list[Sample]
    left_out: int
    errors: tuple[str, ...]
    wanted: tuple[str, ...]
    done: int = 0
    results: dict[str, CheckResult] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, report: OpReport) -> None:
        """Counts another sample's report in."""
        self.seconds += report.seconds
        for result in report.checks:
            before = self.results.get(result.check)
            self.results[result.check] = result if before is None else joined(before, result)

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """One result a check that was asked for, in their order."""
        return tuple([self.results.get(name) or CheckResult(name, NOT_RUN) for name in self.wanted])

    @property
    def status(self) -> str:
        """failed, passed, skipped (there was nothing to run) or not run."""
        found = {c.status for c in self.checks}
        return next((s for s in (FAILED, PASSED, NOT_RUN) if s in found), SKIPPED)

    @property
    def not_run(self) -> tuple[str, ...]:
        """The checks that the time did not suffice for."""
        return tuple([c.check for c in self.checks if c.status == NOT_RUN])

    @property
    def left(self) -> int:
        """How many samples the time did not suffice for."""
        return len(self.samples) - self.done if set(self.wanted) - {"errors"} else 0

    def report(self, plan: Plan) -> OpReport:
        """All of it as opcheck reports an op."""
        return OpReport(
            op=self.info.name,
            dtypes=self.dtypes,
            device=plan.device,
            isa=(plan.isa or _cpu.isa()) if plan.device == "cpu" else None,
            threads=plan.threads or _cpu.num_threads(),
            seed=plan.seed,
            samples=self.done,
            checks=self.checks,
            seconds=self.seconds,
        )


def joined(a: CheckResult, b: CheckResult) -> CheckResult:
    """Two results of one check as one: a failure counts before a pass, a pass before a skip."""
    rank = (FAILED, PASSED, SKIPPED)
    status = min(a.status, b.status, key=rank.index)
    both = Measure(a.ulp, a.used, a.slope, a.count).joined(Measure(b.ulp, b.used, b.slope, b.count))
    return replace(
        a,
        status=status,
        reason=(a.reason or b.reason) if status == SKIPPED else "",
        count=both.count,
        ulp=both.ulp,
        used=both.used,
        slope=both.slope,
        failures=(a.failures + b.failures)[:KEPT],
        failed=a.failed + b.failed,
        seconds=a.seconds + b.seconds,
    )


@dataclass
class GridOutcome:
    """The exact-integer grid: tolerance zero.

    Attributes:
        cases: family -> how many of its cases ran; 0 where the time was over before.
        failed: how many failed, `failures` are the first of them.
        space: how many cases there are in all.
        seconds: how long it took.
    """

    cases: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    space: int = 0
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many cases ran."""
        return sum(self.cases.values())
