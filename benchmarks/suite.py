"""Runs cases in several engines, in turns, and gathers what was measured."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any

import numpy as np

from .case import Case
from .cases import GROUPS, select
from .engines import Engine, Local, Remote, Unsupported, importable
from .harness import Timing, in_turns
from .programs import program
from .results import ENGINES, EXACT, OURS, TORCH, Ceilings, Report, Result
from .shares import Bound, bound

__all__ = ["LARGEST_ERROR", "Plan", "Suite", "available", "quickened", "within"]

#: A larger error, relative to the largest value, is a wrong result.
LARGEST_ERROR = 1e-3
#: Engines that share this process, where a case has none of its own; the others have one each.
HERE = (OURS, EXACT, TORCH)
#: What is timed in turns with the engines: the loop of the ceiling that bounds the case.
CEILING = "ceiling|"
VARIABLES = ("GRADSMITH_", "OMP_", "MKL_", "OPENBLAS_", "MALLOC_", "KMP_", "GOMP_")
Array = np.ndarray[Any, Any]


def available() -> list[str]:
    """The engines whose library is installed."""
    return [name for name in ENGINES if importable(name)]


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        groups: of `cases.GROUPS`, and "roofline".
        only: a regular expression; "": all.
        engines: names in `results.ENGINES`.
        threads: numbers of threads; the first is the run's, with the others gradsmith runs alone.
        quick: fewer cases, fewer and shorter blocks.
        rounds: blocks of each engine.
        seconds: about how long a block takes.
        least: blocks that each engine has in any case.
        limit: no case takes more seconds, once each engine had these.
        budget: cases that are late by it have a third of the rounds, and after a fifth more seconds
            none begins; 0: no limit.
    """

    groups: tuple[str, ...]
    only: str = ""
    engines: tuple[str, ...] = (OURS, TORCH)
    threads: tuple[int, ...] = (1,)
    quick: bool = False
    rounds: int = 7
    seconds: float = 0.04
    least: int = 3
    limit: float = 8.0
    budget: float = 0.0


@dataclass
class Suite:
    """A run: its plan, and what came of it so far.

    Attributes:
        plan: what to run.
        cases: the chosen cases with their passes.
        results: what was measured.
        failures: what could not be run, or is wrong: a line each.
        left_out: labels of cases that the budget did not reach.
        ceilings: what the machine can do, if it was measured.
    """

    plan: Plan
    cases: list[tuple[Case, str]] = field(init=False)
    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    ceilings: Ceilings = field(default_factory=Ceilings)

    def __post_init__(self) -> None:
        groups = [g for g in self.plan.groups if g != "roofline"]
        if self.plan.budget:  # the many last: they are what it may cut
            groups.sort(key=lambda name: len(GROUPS[name]))
        self.cases = select(groups, self.plan.only, self.plan.quick)
        self._engines: dict[tuple[str, str], Engine] = {}
        self._loops: dict[tuple[str, str, int], Callable[[], list[float]]] = {}
        self.begin = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.begin

    def run(self, ran: Callable[[str, Result | None], None]) -> None:
        """Runs all; `ran(label, result)` is called before each case, without one, and after it."""
        import gradsmith

        self.begin = time.perf_counter()
        plan, threads = self.plan, gradsmith.get_num_threads()
        try:
            for case, kind in self.cases:
                label = f"{case.label}, {kind}"
                if plan.budget and self.elapsed > 1.2 * plan.budget:
                    self.left_out.append(label)
                    continue
                ran(label, None)
                result = self._case(case, kind)
                if result is not None:
                    self.results.append(result)
                    ran(label, result)
        finally:
            self.close()
            gradsmith.set_num_threads(threads)

    def measure_ceilings(self, ran: Callable[[str, Result | None], None]) -> None:
        """Measures what the machine can do: a few seconds."""
        from .roofline import measure

        self.ceilings = measure(
            sorted({1, *self.plan.threads}),
            quick=self.plan.quick,
            progress=lambda what: ran(what, None),
        )

    def close(self) -> None:
        """Ends the processes of engines."""
        self._end({apart for _, apart in self._engines})
        self._loops = {}

    def report(self, cpu: str) -> Report:
        """What there is so far; `cpu`: the processor's name."""
        import gradsmith

        now = datetime.datetime.now(datetime.timezone.utc)
        return Report(
            gradsmith=gradsmith.__version__,
            when=now.isoformat(timespec="seconds"),
            environment={"cpu": cpu, **environment(self.plan)},
            ceilings=self.ceilings,
            results=tuple(self.results),
            failures=tuple(self.failures),
            left_out=tuple(self.left_out),
        )

    # ---- one case ----

    def _engine(self, name: str, case: Case) -> Engine:
        """The engine, in a process of the case's own where it has one; those of others end."""
        self._end({apart for _, apart in self._engines} - {"", case.apart})
        key = name, case.apart
        if key not in self._engines:
            here = name in HERE and not case.apart
            self._engines[key] = (Local if here else Remote)(name, self.plan.threads[0])
        return self._engines[key]

    def _end(self, apart: set[str]) -> None:
        """Ends the engines of such cases."""
        for key in [key for key in self._engines if key[1] in apart]:
            self._engines.pop(key).close()

    def _case(self, case: Case, kind: str) -> Result | None:
        plan, label = self.plan, f"{case.label}, {kind}"
        late = bool(plan.budget) and self.elapsed > plan.budget * self._part()
        blocks: dict[str, Callable[[], list[float]]] = {}
        engines: dict[str, Engine] = {}
        try:
            # All at once: the processes import their libraries at the same time.
            names = [
                n for n in plan.engines if not (n == EXACT and case.op == "net" and plan.quick)
            ]
            engines = {name: self._engine(name, case) for name in names}
            for name, engine in list(engines.items()):
                try:
                    for variant in engine.prepare(case, kind, plan.seconds):
                        blocks[f"{name}|{variant}"] = lambda e=engine, v=variant: e.block(v)
                except Unsupported:
                    del engines[name]
                except Exception as error:
                    del engines[name]
                    self.failures.append(f"{label}: {name}: {type(error).__name__}: {error}")
            if not blocks:
                return None
            shape = () if case.op in ("net", "chain", "optimizer") else _shape(case)
            limit = self._limit(case, kind, shape)
            if limit is not None:
                blocks[CEILING] = self._loop(limit)
            rounds = max(1, plan.rounds // 3) if late else plan.rounds
            timings = in_turns(blocks, rounds, plan.limit, least=plan.least)
            return self._result(case, kind, shape, engines, timings, limit)
        except Exception as error:
            self.failures.append(f"{label}: {type(error).__name__}: {error}")
            return None

    def _limit(self, case: Case, kind: str, shape: tuple[int, ...]) -> Bound | None:
        """The ceiling that bounds a case; none with --quick, or where none is known."""
        from gradsmith.backends import cpu

        if self.plan.quick:
            return None
        threads = case.threads or self.plan.threads[0]
        flops, size = case.flops(kind, shape), case.bytes(kind, shape)
        return bound(self.ceilings, cpu.isa(), threads, case.dtype, flops, size)

    def _loop(self, limit: Bound) -> Callable[[], list[float]]:
        """A ceiling's loop, timed in turns with the engines."""
        key = limit.kind, limit.where, limit.threads
        if key not in self._loops:
            from .roofline import Loop

            sizes = self.ceilings.sizes.get(limit.where, {})
            self._loops[key] = Loop(*key, sizes.get(str(limit.threads), 0))
        return self._loops[key]

    def _part(self) -> float:
        """How much of the budget should be used by now."""
        begun = len(self.results) + 5
        return min(1.0, begun / max(1, len(self.cases)))

    def _result(
        self,
        case: Case,
        kind: str,
        shape: tuple[int, ...],
        engines: dict[str, Engine],
        timings: dict[str, Timing],
        limit: Bound | None,
    ) -> Result:
        ceiling = timings.pop(CEILING, None)
        best: dict[str, tuple[str, Timing]] = {}
        for key, timing in timings.items():
            name, variant = key.split("|")
            if name not in best or timing.median < best[name][1].median:
                best[name] = (variant, timing)
        n = case.calls
        times = {name: Timing(t.median / n, t.low / n, t.high / n) for name, (_, t) in best.items()}
        extra: dict[str, Any] = {}
        if limit is not None and ceiling is not None:
            extra["ceiling"] = {"name": limit.name, "seconds": limit.amount * ceiling.median}
        if case.threads:
            extra["threads_used"] = case.threads
        if "target_us" in case.options:
            extra["target_us"] = case.options["target_us"][kind]
        for variant, _ in best.values():
            if variant not in ("default", "contiguous"):
                extra["tuned_by"] = variant
        if case.op == "net":
            for name, engine in engines.items():
                memory, prefix = engine.memory(), "" if name == OURS else f"{name}_"
                extra[f"{prefix}faults"] = round(memory["faults"], 1)
                extra[f"{prefix}peak_mb"] = round((memory["peak"] - memory["base"]) / 1e6, 1)
        error: dict[str, float | None] = {}
        if (
            not case.random
            and case.dtype == "float32"
            and not (self.plan.quick and kind == "training" and case.flops(kind, shape) > 1e8)
        ):
            outputs = {name: engine.results() for name, engine in engines.items()}
            error = self._errors(case, kind, outputs)
        if len(self.plan.threads) > 1 and OURS in times and not case.threads and case.op != "net":
            extra["threads"] = self._scaling(case, kind, times[OURS])
        return Result(
            family=case.family,
            case=case.name,
            dtype=case.dtype,
            kind=kind,
            flops=case.flops(kind, shape),
            bytes=case.bytes(kind, shape),
            error=error,
            engines=times,
            extra=extra,
        )

    def _errors(
        self, case: Case, kind: str, outputs: dict[str, list[Array]]
    ) -> dict[str, float | None]:
        """Each engine's error against float64; a wrong result of ours is a failure."""
        if not any(outputs.values()):
            return {}
        exact = _float64(case, kind)
        found: dict[str, float | None] = {}
        for name, arrays in outputs.items():
            if len(arrays) != len(exact):
                continue
            errors = [_error(a, e) for a, e in zip(arrays, exact, strict=True)]
            found[name] = max(errors, default=0.0)
            if name in (OURS, EXACT) and not max(errors, default=0.0) <= LARGEST_ERROR:
                self.failures.append(
                    f"{case.label}, {kind}: {name}: the error is {max(errors):.2g} of the largest "
                    "value"
                )
        return found

    def _scaling(self, case: Case, kind: str, known: Timing) -> dict[str, float]:
        """Seconds of gradsmith by number of threads."""
        import gradsmith

        found = {str(self.plan.threads[0]): known.median}
        try:
            for threads in self.plan.threads[1:]:
                engine = Local(OURS, threads)
                (variant,) = engine.prepare(case, kind, self.plan.seconds)
                timings = in_turns({OURS: lambda e=engine, v=variant: e.block(v)}, 3)
                found[str(threads)] = timings[OURS].median
        finally:
            gradsmith.set_num_threads(self.plan.threads[0])
        return found


def _shape(case: Case) -> tuple[int, ...]:
    """The shape of a case's result."""
    import gradsmith

    tensors = [gradsmith.from_numpy(a) for a in case.build()]
    with gradsmith.no_grad():
        return tuple(program(gradsmith, case)(*tensors).shape)


def _float64(case: Case, kind: str) -> list[Array]:
    """The results in float64: PyTorch's where it is installed, so that it is not ours."""
    name = TORCH if importable(TORCH) else OURS
    lib: Any = __import__(name)
    arrays = [a.astype(np.float64) if a.dtype == np.float32 else a for a in case.build()]
    tensors = [lib.from_numpy(a) for a in arrays]
    call = program(lib, case)
    if kind == "forward":
        with lib.no_grad():
            return [np.asarray(call(*tensors).numpy())]
    leaves = [t for t, i in zip(tensors, case.inputs, strict=True) if i.differentiable]
    for leaf in leaves:
        leaf.requires_grad_()
    y = call(*tensors)
    y.backward(lib.from_numpy(case.cotangent(y.shape).astype(np.float64)))
    return [np.asarray(leaf.grad.numpy()) for leaf in leaves]


def _error(result: Array, exact: Array) -> float:
    """max |result - exact| / max |exact|; infinite for another shape, or where only one is NaN."""
    if result.shape != exact.shape:
        return float("inf")
    if not exact.size:
        return 0.0
    a, b = result.astype(np.float64), exact.astype(np.float64)
    largest = float(np.max(np.abs(b))) or 1.0
    error = float(np.max(np.abs(a - b))) / largest
    return error if error == error else float("inf")


def environment(plan: Plan) -> dict[str, Any]:
    """What the figures depend on."""
    import gradsmith
    from gradsmith.backends import cpu

    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else
        os.cpu_count(),
        "threads": plan.threads[0],
        "isa": cpu.isa(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": version("torch"),
        "jax": version("jax"),
        "gradsmith": gradsmith.__version__,
        "quick": plan.quick,
        "load": round(os.getloadavg()[0], 2),
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLES)
        },
    }  # fmt: skip


def quickened(plan: Plan) -> Plan:
    """The plan with --quick: under two minutes where nothing else runs, and never much more."""
    return replace(plan, quick=True, rounds=3, seconds=0.01, least=1, limit=0.5, budget=90.0)


def within(plan: Plan, minutes: float) -> Plan:
    """The plan with --minutes: all its cases, each as long as its part of the time allows.

    A third of a case's part goes into its inputs, processes and errors (measured).
    """
    groups = [g for g in plan.groups if g != "roofline"]
    part = 60.0 * minutes / max(1, len(select(groups, plan.only, plan.quick)))
    limit = min(plan.limit, part / 1.5)
    seconds = min(plan.seconds, limit / (plan.rounds * max(1, len(plan.engines))))
    return replace(plan, seconds=seconds, least=1, limit=limit, budget=60.0 * minutes / 1.2)
