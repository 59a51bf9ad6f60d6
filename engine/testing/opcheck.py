"""opcheck: everything that is claimed of an op, checked on its samples, as one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from .. import _cpu
from ..autograd.op import Op
from ..cuda import is_available, is_emulated
from . import checks as run
from .layout_check import check_layouts
from .opdb import ErrorSample, OpInfo, Sample, op_infos
from .report import FAILED, PASSED, SKIPPED, CheckResult, Failure, Measure, OpReport
from .report import reproduce_command as command

__all__ = ["CHECKS", "find_ops", "opcheck"]

#: The checks, in the order in which they run: what each one shows.
CHECKS: dict[str, str] = {
    "forward": "outputs against the float64 reference, within the op's tolerance",
    "unchanged": "inputs, and the gradient that comes in, hold every byte that they held",
    "gradient": "first derivatives against differences in float64, slope of the remainder",
    "second": "second derivatives against differences of the first",
    "precision": "gradients in float32 and narrower against float64",
    "layouts": "strided, negative, expanded, misaligned and empty inputs give what they must",
    "inplace": "values changed in place before backward: an error or the right gradient",
    "repeat": "two runs, the same bits",
    "threads": "1, 2, 3 and 7 threads, the same bits",
    "isas": "every ISA build against the reference",
    "devices": "the other device gives the same, forward and back",
    "errors": "what must be refused is refused, with the documented message",
}
#: Under the emulator a kernel costs milliseconds, a large one seconds.
EMULATOR_LIMIT = 4000
#: Inputs of up to this many elements are checked element by element, larger ones along directions.
ONE_BY_ONE = 32
DIRECTIONS = 4
#: A report keeps this many failures of a check; it counts them all.
KEPT = 5

Work = Callable[[OpInfo, Any, str], Measure]


def find_ops(op: Any) -> list[OpInfo]:
    """The entries of the sample database for an op.

    Args:
        op: an OpInfo (it is the answer, in the database or not); its name; an op record
            (`gradsmith.autograd.op.OPS[...]`) or its name: every entry that runs it; or one of
            gradsmith's functions.

    Raises:
        ValueError: no entry is called so.
        TypeError: something else.
    """
    if isinstance(op, OpInfo):
        return [op]
    name = op if isinstance(op, str) else getattr(op, "name", getattr(op, "__name__", None))
    if not isinstance(name, str):
        raise TypeError(
            f"opcheck: op must be a name, an OpInfo or an op record; got {type(op).__name__}"
        )
    if not isinstance(op, Op):
        named = [info for info in op_infos() if info.name == name]
        if named:
            return named
    covering = [info for info in op_infos() if name in info.covers]
    if not covering:
        raise ValueError(
            f"opcheck: no op of the sample database is called {name!r} "
            "(pass an OpInfo for an op of your own, or use gradsmith.testing.validate)"
        )
    return covering


def opcheck(
    op: Any,
    *,
    dtype: str | Sequence[str] | None = None,
    device: str = "cpu",
    isa: str | None = None,
    threads: int | None = None,
    checks: str | Sequence[str] | None = None,
    samples: Any = None,
    seed: int = 0,
    budget: float | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
    on_case: Callable[[str, str, str], None] | None = None,
    raise_exception: bool = True,
) -> OpReport:
    """Checks everything that is claimed of an op, and reports it.

    Args:
        op: an op's name ("conv2d"), an OpInfo, an op record, or a function of gradsmith; see
            `find_ops`.
        dtype: "float32", "float64", or several; None: all that the op has. Derivatives are
            compared with differences in float64 whatever is asked for here.
        device: "cpu" or "cuda" (the emulator, where it is on).
        isa: the CPU build to use, of `gradsmith.backends.cpu.isas()`; None: the one in use.
        threads: of the CPU kernels; None: as they are set.
        checks: names out of `CHECKS`; None: all.
        samples: how many samples at most, chosen by `seed` (each tag keeps its first one); or the
            ids of the samples to use, a str or several; or a function of a Sample to a bool; or
            Samples; None: all.
        seed: of what is chosen at random: samples, directions.
        budget: seconds; what is left when they are over is not run, and the report says so.
        on_result: called with each check's result when it is known.
        on_case: called with the names of check, sample and dtype before each of them is run.
        raise_exception: raise when a check fails, instead of only saying so in the report.

    Returns:
        The report: for each check passed, failed or skipped with a reason, the number of
        comparisons, the largest error in ULP, the gradient's slope, and the failing samples with
        one command each that repeats them. `report.to_dict()` is plain data.

    Raises:
        AssertionError: a check failed; the message is the report.
        ValueError: an unknown op, check, dtype, ISA or sample.
        RuntimeError: device="cuda" with neither a GPU nor the emulator.
    """
    infos = find_ops(op)
    wanted = _wanted(checks)
    dtypes = _dtypes(infos, dtype)
    if device not in ("cpu", "cuda"):
        raise ValueError(f"opcheck: device must be 'cpu' or 'cuda'; got {device!r}")
    if device == "cuda" and not is_available():
        raise RuntimeError(
            "opcheck: there is no CUDA device (gradsmith.cuda.use_emulator() runs its kernels "
            "on the CPU)"
        )
    with run.using(isa, threads):
        checker = _Checker(
            [(info, _chosen(info, samples, seed, device)) for info in infos],
            _errors(infos, samples),
            dtypes,
            device,
            seed,
            None if budget is None else time.perf_counter() + budget,
            on_case,
        )
        if isinstance(samples, (str, list, tuple)) and not checker.count and not checker.errors:
            raise ValueError(f"opcheck: no sample of {_name(op)} has the id {samples!r}")
        began = time.perf_counter()
        results = []
        for name in wanted:
            result = checker.check(name)
            results.append(result)
            if on_result is not None:
                on_result(result)
        report = OpReport(
            op=_name(op),
            dtypes=dtypes,
            device=device,
            isa=_cpu.isa() if device == "cpu" else None,
            threads=_cpu.num_threads(),
            seed=seed,
            samples=checker.count,
            checks=tuple(results),
            seconds=time.perf_counter() - began,
        )
    if raise_exception and not report.passed:
        raise AssertionError(str(report))
    return report


def _name(op: Any) -> str:
    return op if isinstance(op, str) else getattr(op, "name", getattr(op, "__name__", str(op)))


def _wanted(checks: str | Sequence[str] | None) -> list[str]:
    names = [checks] if isinstance(checks, str) else list(CHECKS if checks is None else checks)
    for name in names:
        if name not in CHECKS:
            raise ValueError(f"opcheck: checks are {', '.join(CHECKS)}; got {name!r}")
    return [name for name in CHECKS if name in names]


def _dtypes(infos: Sequence[OpInfo], dtype: str | Sequence[str] | None) -> tuple[str, ...]:
    known = list(dict.fromkeys(d for info in infos for d in info.dtypes))
    if dtype is None:
        return tuple(known)
    asked = [dtype] if isinstance(dtype, str) else list(dtype)
    for d in asked:
        if d not in known:
            raise ValueError(f"opcheck: {infos[0].name} runs in {', '.join(known)}; got {d!r}")
    return tuple(asked)


def _chosen(info: OpInfo, samples: Any, seed: int, device: str) -> list[Sample]:
    """The samples that are asked for, small ones where kernels run in the emulator."""
    limit = EMULATOR_LIMIT if device == "cuda" and is_emulated() else None
    if samples is None or isinstance(samples, int):
        return run.samples_of(info, samples, seed=seed, limit=limit)
    if callable(samples):
        return [s for s in info.samples() if samples(s)]
    asked = [samples] if isinstance(samples, (str, Sample)) else list(samples)
    given = [s for s in asked if isinstance(s, Sample)]
    return given + [s for s in info.samples() if s.id in asked]


def _errors(infos: Sequence[OpInfo], samples: Any) -> list[tuple[OpInfo, ErrorSample]]:
    found = [(info, e) for info in infos for e in info.errors]
    if samples is None or isinstance(samples, int):
        return found
    asked = [samples] if isinstance(samples, str) else samples
    if isinstance(asked, (list, tuple)):
        return [(info, e) for info, e in found if e.id in asked]
    return []


class _Checker:
    """The samples of an op, and where they run."""

    def __init__(
        self,
        samples: list[tuple[OpInfo, list[Sample]]],
        errors: list[tuple[OpInfo, ErrorSample]],
        dtypes: tuple[str, ...],
        device: str,
        seed: int,
        deadline: float | None,
        on_case: Callable[[str, str, str], None] | None,
    ) -> None:
        self.samples = samples
        self.errors = errors
        self.dtypes = dtypes
        self.device = device
        self.seed = seed
        self.deadline = deadline
        self.on_case = on_case
        self.count = sum(len(found) for _, found in samples)

    def check(self, name: str) -> CheckResult:
        """One check on everything that it is for."""
        began = time.perf_counter()
        work: Work
        reason, cases, work = getattr(self, f"_{name}")()
        if reason:
            return CheckResult(name, SKIPPED, reason)
        total: Measure | None = None
        failures: list[Failure] = []
        failed = done = 0
        for info, sample, dtype in cases:
            if self.deadline is not None and time.perf_counter() > self.deadline:
                break
            done += 1
            if self.on_case is not None:
                self.on_case(name, sample.id, dtype)
            try:
                measure = work(info, sample, dtype)
                total = measure if total is None else total.joined(measure)
            except Exception as error:
                failed += 1
                if len(failures) < KEPT:
                    failures.append(self._failure(name, info, sample, dtype, error))
        left = len(cases) - done
        if not done:
            return CheckResult(name, SKIPPED, "the time was over" if left else "no sample for it")
        total = Measure(count=0) if total is None else total
        return CheckResult(
            name,
            FAILED if failed else PASSED,
            f"the time was over: {left} of {len(cases)} cases were not run" if left else "",
            total.count + failed,
            total.ulp,
            total.used,
            total.slope,
            tuple(failures),
            failed,
            time.perf_counter() - began,
        )

    def _failure(
        self, name: str, info: OpInfo, sample: Any, dtype: str, error: Exception
    ) -> Failure:
        message = str(error)
        if not isinstance(error, AssertionError) and type(error).__name__ != "GradcheckError":
            message = f"{type(error).__name__}: {message}"
        isa = _cpu.isa() if self.device == "cpu" else None
        threads = _cpu.num_threads() if self.device == "cpu" else None
        known = any(info is other for other in op_infos())
        words = ""
        if known:
            words = command(
                info.name,
                sample=sample.id,
                check=name,
                dtype=dtype if name not in ("gradient", "second", "inplace", "errors") else None,
                device=self.device,
                isa=isa,
                threads=threads,
                seed=self.seed,
            )
        return Failure(info.name, name, sample.id, dtype, self.device, isa, threads, message, words)

    # ---- what each check runs: (why not, cases, the work) ----

    def _every(self, dtypes: Sequence[str] | None = None) -> list[tuple[OpInfo, Sample, str]]:
        return [
            (info, sample, dtype)
            for info, found in self.samples
            for sample in found
            for dtype in (self.dtypes if dtypes is None else dtypes)
            if dtype in info.dtypes
        ]

    def _smooth(self, dtypes: Sequence[str]) -> list[tuple[OpInfo, Sample, str]]:
        return [c for c in self._every(dtypes) if c[0].differentiable and c[1].has_gradient]

    def _no_gradient(self) -> str:
        if not any(info.differentiable for info, _ in self.samples):
            return "the op has no gradient"
        return ""

    def _forward(self) -> tuple[str, Any, Work]:
        return "", self._every(), lambda i, s, d: run.check_forward(i, s, d, self.device)

    def _unchanged(self) -> tuple[str, Any, Work]:
        return "", self._every(), lambda i, s, d: run.check_unchanged(i, s, d, self.device)

    def _gradient(self) -> tuple[str, Any, Work]:
        def work(info: OpInfo, sample: Sample, dtype: str) -> Measure:
            directions = None if run.size_of(sample) <= ONE_BY_ONE else DIRECTIONS
            if self.device != "cpu":
                directions = 2
            return run.check_gradient(info, sample, self.device, directions, self.seed)

        return self._no_gradient(), self._smooth(("float64",)), work

    def _second(self) -> tuple[str, Any, Work]:
        directions = 3 if self.device == "cpu" else 1

        def work(info: OpInfo, sample: Sample, dtype: str) -> Measure:
            return run.check_second(info, sample, self.device, directions, self.seed)

        reasons = [info.second_reason for info, _ in self.samples if not info.second]
        if reasons and len(reasons) == len(self.samples):
            return reasons[0], (), work
        cases = [
            c
            for c in self._smooth(("float64",))
            if c[0].second
            and "large" not in c[1].tags
            and (self.device == "cpu" or run.size_of(c[1]) <= EMULATOR_LIMIT)
        ]
        return self._no_gradient(), cases, work

    def _precision(self) -> tuple[str, Any, Work]:
        narrow = [d for d in self.dtypes if d != "float64"]
        reason = "" if narrow else "only float64 was asked for"
        return (
            self._no_gradient() or reason,
            self._smooth(narrow),
            lambda i, s, d: run.check_precision(i, s, self.device, d),
        )

    def _layouts(self) -> tuple[str, Any, Work]:
        views = [i for i, _ in self.samples if run.depends_on_layout(i)]
        reason = "what it may do depends on the layout: a view" if views else ""
        cases = [c for c in self._every() if "large" not in c[1].tags]
        return reason, cases, lambda i, s, d: check_layouts(i, s, d, self.device)

    def _inplace(self) -> tuple[str, Any, Work]:
        return (
            self._no_gradient(),
            self._smooth(("float64",)),
            lambda i, s, d: run.check_inplace(i, s, self.device, d),
        )

    def _repeat(self) -> tuple[str, Any, Work]:
        return "", self._every(), lambda i, s, d: run.check_repeatable(i, s, d, self.device)

    def _threads(self) -> tuple[str, Any, Work]:
        reason = "" if self.device == "cpu" else "a property of the CPU kernels"
        return reason, self._every(), lambda i, s, d: run.check_threads(i, s, d)

    def _isas(self) -> tuple[str, Any, Work]:
        reason = "" if self.device == "cpu" else "a property of the CPU kernels"
        if len(_cpu.isas()) == 1:
            reason = "this processor runs one build only"
        return reason, self._every(), run.check_isas

    def _devices(self) -> tuple[str, Any, Work]:
        reason = "" if is_available() else "no CUDA device, and the emulator is off"
        small = is_available() and is_emulated()
        cases = [
            c
            for c in self._every()
            if not small or (run.size_of(c[1]) <= EMULATOR_LIMIT and "slow" not in c[1].tags)
        ]
        return reason, cases, lambda i, s, d: run.check_other_device(i, s, d, self.device)

    def _errors(self) -> tuple[str, Any, Work]:
        reason = "" if self.errors else "no error samples"
        cases = [(info, e, "float64") for info, e in self.errors]
        return reason, cases, lambda i, s, d: run.check_error(i, s, self.device)
