"""What opcheck finds, as data: a report an op, a result a check, a failure a sample.

Every class has `to_dict()`: plain dicts, lists, strings and numbers that `json.dumps` takes as they
are (what is not finite is written as a string). `OpReport.from_dict` reads them back.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["CheckResult", "Failure", "Measure", "OpReport", "reproduce_command"]

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value.to_dict() if isinstance(value, (Failure, CheckResult)) else value


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Measure:
    """What one comparison measured; None where it has no such figure.

    Attributes:
        ulp: the largest error in units of the last place of the result's dtype, against float64.
        used: the largest error as a part of its tolerance: 1 is just allowed.
        slope: the least order of the Taylor remainder, 2 for a right gradient.
        count: how many comparisons are behind it.
    """

    ulp: float | None = None
    used: float | None = None
    slope: float | None = None
    count: int = 1

    def joined(self, other: Measure) -> Measure:
        """Both together: the worse of each figure. NaN is worse than any number."""
        return Measure(
            _worse(self.ulp, other.ulp, max),
            _worse(self.used, other.used, max),
            _worse(self.slope, other.slope, min),
            self.count + other.count,
        )


def _worse(a: float | None, b: float | None, choose: Any) -> float | None:
    known = [v for v in (a, b) if v is not None]
    if any(v != v for v in known):
        return math.nan
    return choose(known) if known else None


def reproduce_command(
    op: str,
    *,
    sample: str,
    check: str,
    dtype: str | None,
    device: str,
    isa: str | None,
    threads: int | None,
    seed: int = 0,
) -> str:
    """The shell command that repeats one sample of an op of the database."""
    words = ["gradsmith", "validate", "--ops", f"^{op}$", "--sample", sample, "--checks", check]
    for option, value in (
        ("--dtype", dtype),
        ("--device", device),
        ("--isa", isa),
        ("--threads", threads),
        ("--seed", seed or None),
    ):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)


@dataclass(frozen=True)
class Failure:
    """One sample that one check did not pass.

    Attributes:
        op: the op's name in the sample database.
        check: which check: one of `gradsmith.testing.CHECKS`.
        sample: the sample's id.
        dtype: what it was run in.
        device, isa, threads: where; isa is None on a GPU.
        message: what was found: the worst element, its index, both values.
        reproduce: one shell command that repeats this sample alone; "" for an op that is not in
            the database.
    """

    op: str
    check: str
    sample: str
    dtype: str | None
    device: str
    isa: str | None
    threads: int | None
    message: str
    reproduce: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __str__(self) -> str:
        where = " ".join(str(v) for v in (self.dtype, self.device, self.isa) if v)
        text = f"{self.op}: {self.check} [{self.sample}] {where}: {self.message}"
        return text + (f"\n    {self.reproduce}" if self.reproduce else "")


@dataclass(frozen=True)
class CheckResult:
    """One check of an op, over all samples and dtypes.

    Attributes:
        check: its name: one of `gradsmith.testing.CHECKS`.
        status: "passed", "failed" or "skipped".
        reason: for a skipped check, why.
        count: how many comparisons were made.
        ulp: the largest error in ULP against float64, over the elements whose error the dtype can
            show; None where nothing was compared with float64.
        used: the largest error as a part of its tolerance: above 1 is a failure.
        slope: the least order of the Taylor remainder; 2 says that the gradient is right, 1 that
            it is not. None where the function is linear, or it was not measured.
        failures: the samples that failed; `failed` counts them all, this keeps the first ones.
        failed: how many comparisons failed.
        seconds: how long it took.
    """

    check: str
    status: str
    reason: str = ""
    count: int = 0
    ulp: float | None = None
    used: float | None = None
    slope: float | None = None
    failures: tuple[Failure, ...] = ()
    failed: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CheckResult:
        """What `to_dict` wrote."""
        read = dict(data)
        for name in ("ulp", "used", "slope"):
            read[name] = _number(read.get(name))
        read["failures"] = tuple([Failure(**f) for f in read.get("failures", ())])
        return cls(**read)

    def __str__(self) -> str:
        if self.status == SKIPPED:
            return f"{self.check}: skipped ({self.reason})"
        parts = [f"{self.check}: {self.status}, {self.count} comparisons"]
        if self.ulp is not None:
            parts.append(f"max {self.ulp:.3g} ULP")
        if self.slope is not None:
            parts.append(f"slope {self.slope:.2f}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


@dataclass(frozen=True)
class OpReport:
    """All checks of one op.

    Attributes:
        op: the name that was asked for.
        dtypes, device, isa, threads, seed: what it was run with; isa is None on a GPU.
        samples: how many samples were used.
        checks: the results, in the order of `gradsmith.testing.CHECKS`.
        seconds: how long it took.
    """

    op: str
    dtypes: tuple[str, ...]
    device: str
    isa: str | None
    threads: int
    seed: int
    samples: int
    checks: tuple[CheckResult, ...] = field(default=())
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(c.status != FAILED for c in self.checks)

    @property
    def status(self) -> str:
        """What it comes to: "failed" if a check failed, "skipped" if none ran, else "passed"."""
        if not self.passed:
            return FAILED
        return PASSED if any(c.status == PASSED for c in self.checks) else SKIPPED

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures of all checks."""
        return tuple([f for c in self.checks for f in c.failures])

    @property
    def count(self) -> int:
        """How many comparisons were made."""
        return sum(c.count for c in self.checks)

    @property
    def ulp(self) -> float | None:
        """The largest forward error against float64, in ULP."""
        found = self.check("forward")
        return None if found is None else found.ulp

    @property
    def slope(self) -> float | None:
        """The least order of the gradient's Taylor remainder."""
        found = self.check("gradient")
        return None if found is None else found.slope

    def check(self, name: str) -> CheckResult | None:
        """The result of the check `name`; None if it was not asked for."""
        return next((c for c in self.checks if c.check == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; `passed`, `status`, `count`, `ulp` and `slope` are in it too."""
        data = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        for name in ("passed", "status", "count", "ulp", "slope"):
            data[name] = _plain(getattr(self, name))
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> OpReport:
        """What `to_dict` wrote."""
        read = {f.name: data[f.name] for f in fields(cls)}
        read["dtypes"] = tuple(read["dtypes"])
        read["checks"] = tuple([CheckResult.from_dict(c) for c in read["checks"]])
        return cls(**read)

    def __str__(self) -> str:
        where = " ".join(str(v) for v in (self.device, self.isa) if v)
        head = (
            f"{self.op}: {self.status}, {self.samples} samples in {', '.join(self.dtypes)} on "
            f"{where}, {self.count} comparisons in {self.seconds:.2f} s"
        )
        rows = [f"  {c}" for c in self.checks]
        rows += [f"  {f}" for f in self.failures]
        return "\n".join([head, *rows])
