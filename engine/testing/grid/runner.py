"""Runs stretches of a grid, and says of each failure how to see it again."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ... import _cpu
from ...kernels.cuda import emulator, launch, memory
from . import conv, matmul, pool
from .case import Case, Untrusted
from .space import Space, shuffled

__all__ = ["FAMILIES", "Failure", "Family", "Result", "plan", "run", "run_case", "select"]

#: Draws of a case before it counts as one that cannot be trusted: where all elements are one and
#: the same (strides of 0), it is 0 now and then.
_ATTEMPTS = 8
#: Failures that are kept word for word.
_KEPT = 20
#: The CPU's builds and thread counts take turns, by the case's index; so do the emulator's orders.
_THREADS = (1, 2, 3)
#: Convolutions: the planner's choice, and sums in order where a special kernel would be taken.
_CONVOLUTIONS = ("auto", "direct")
_ORDERS = ("forward", "reverse", "random", "skewed")


@dataclass(frozen=True)
class Family:
    """A space of cases and what is done with each.

    Attributes:
        name: "conv2d", say.
        space: its parameters.
        check: check(case, parameters): draws, runs, compares.
        work: work(parameters): multiply-adds, for those who want small cases only.
        share: its part of a mixture, relative to the others'.
    """

    name: str
    space: Space
    check: Callable[[Case, dict[str, Any]], None]
    work: Callable[[dict[str, Any]], int]
    share: int


@dataclass(frozen=True)
class Failure:
    """One case that failed, and the command that runs it again."""

    family: str
    index: int
    parameters: dict[str, Any]
    message: str
    command: str

    def __str__(self) -> str:
        """All of it, the command last."""
        return (
            f"{self.family} case {self.index}: {self.message}\n  {self.parameters}\n"
            f"  repeat with: {self.command}"
        )


@dataclass
class Result:
    """What a run found.

    Attributes:
        cases: how many ran.
        passes: how often each pass (forward, input gradient, ...) was compared.
        failed: how many cases failed; `failures` keeps the first of them.
        seconds: how long it took.
    """

    cases: int = 0
    passes: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Result) -> None:
        """Counts another run's cases in."""
        self.cases += other.cases
        self.failed += other.failed
        self.failures = (self.failures + other.failures)[:_KEPT]
        self.seconds += other.seconds
        for name, count in other.passes.items():
            self.passes[name] = self.passes.get(name, 0) + count

    def raise_failures(self) -> None:
        """Raises AssertionError with the failures, if there are any."""
        if self.failed:
            shown = "\n".join(str(f) for f in self.failures)
            raise AssertionError(f"{self.failed} of {self.cases} cases failed:\n{shown}")


def _convolutions() -> Iterator[Family]:
    shares = {
        (1, False): 12,
        (2, False): 18,
        (3, False): 8,
        (1, True): 6,
        (2, True): 8,
        (3, True): 3,
    }
    for (n, transposed), share in shares.items():
        name = f"conv_transpose{n}d" if transposed else f"conv{n}d"
        check = partial(conv.check, n=n, transposed=transposed)
        shape = partial(conv.shape_of, n=n, transposed=transposed)
        yield Family(
            name,
            conv.space(n, transposed),
            check,
            lambda p, shape=shape: shape(p)["work"],
            share,
        )


def _poolings() -> Iterator[Family]:
    """Max, average, adaptive, power-average and unpooling, in 1 to 3 dims."""
    checks = {"max": pool.check_max, "avg": pool.check_average, "power": pool.check_power}
    for n in (1, 2, 3):
        for kind, check in checks.items():
            space = pool.space_of_windows(n, kind)
            name = f"{'lp' if kind == 'power' else kind}_pool{n}d"
            yield Family(name, space, partial(check, n=n), pool.work, 1 if kind == "power" else 4)
        for kind in ("max", "avg"):
            space = pool.space_of_adaptive(n, kind)
            check = partial(pool.check_adaptive, n=n, kind=kind)
            yield Family(f"adaptive_{kind}_pool{n}d", space, check, pool.work, 2)
        check = partial(pool.check_unpool, n=n)
        yield Family(f"max_unpool{n}d", pool.space_of_unpool(n), check, pool.work, 1)


def _products() -> Iterator[Family]:
    """Products; products added to something; linear, its activation fused or not."""
    kinds = {
        "product": ("matmul", matmul.check_product, 10),
        "added": ("matmul_added", matmul.check_added, 6),
        "linear": ("linear", matmul.check_linear, 6),
    }
    for kind, (name, check, share) in kinds.items():
        yield Family(name, matmul.space_of(kind), check, matmul.work, share)


#: Every family, by name.
FAMILIES: dict[str, Family] = {f.name: f for f in (*_convolutions(), *_poolings(), *_products())}


def select(name: str) -> list[Family]:
    """The families whose name is, or begins with, `name`; all for "all".

    Raises:
        ValueError: there is none.
    """
    found = [f for f in FAMILIES.values() if name in ("all", f.name)]
    found = found or [f for f in FAMILIES.values() if f.name.startswith(name)]
    if not found:
        raise ValueError(f"grid: family must be one of {', '.join(FAMILIES)}; got {name!r}")
    return found


def plan(count: int, families: Sequence[Family] | None = None) -> list[tuple[str, int]]:
    """(family, cases) for a mixture of at least `count` cases, by the families' shares."""
    families = list(FAMILIES.values()) if families is None else families
    total = sum(f.share for f in families)
    return [(f.name, -(-count * f.share // total)) for f in families]


@contextmanager
def _settings() -> Iterator[None]:
    """The CPU's settings, put back afterwards, sums in order; the emulator's memory is guarded."""
    isa, threads = _cpu.isa(), _cpu.num_threads()
    exact, algorithm = _cpu.conv_exact(), _cpu.conv_algorithm()
    guarded = _guard(True)
    _cpu.set_conv_exact(True)
    try:
        yield
    finally:
        _cpu.set_isa(isa)
        _cpu.set_num_threads(threads)
        _cpu.set_conv_exact(exact)
        _cpu.set_conv_algorithm(algorithm)
        _guard(guarded)


def _guard(on: bool) -> bool:
    """Whether arrays lie between guard pages from now on; returns whether they did."""
    if launch._backend != "emulator":
        return False
    before = getattr(memory._memory, "guarded", False)
    memory.guard(on)
    return before


@contextmanager
def _algorithm(index: int, device: str) -> Iterator[str]:
    """What else may differ between runs of a case: which build of the kernels, in which order."""
    isas = _cpu.isas()
    isa, threads = isas[index % len(isas)], _THREADS[index // len(isas) % len(_THREADS)]
    convolution = _CONVOLUTIONS[index // (len(isas) * len(_THREADS)) % len(_CONVOLUTIONS)]
    _cpu.set_isa(isa)
    _cpu.set_num_threads(threads)
    _cpu.set_conv_algorithm(convolution)
    if device == "cpu":
        yield f"{isa}, {threads} threads, {convolution}"
    elif launch._backend == "emulator":
        order, copies = _ORDERS[index % 4], emulator.COPIES[index // 4 % 2]
        with emulator.schedule(order, copies, 1 + index % 3):
            yield f"threads in {order} order, {copies} copies"
    else:
        yield "GPU"


def failure(family: Family, index: int, device: str, message: str) -> Failure:
    """A case that failed, with the command that runs it again."""
    return Failure(
        family.name,
        index,
        family.space.decode(index),
        message,
        f"python -m gradsmith.testing.grid --family {family.name} --case {index} --device {device}",
    )


def _run(family: Family, index: int, device: str) -> tuple[list[str], Failure | None]:
    parameters = family.space.decode(index)
    message = ""
    with _algorithm(index, device) as how:
        for attempt in range(_ATTEMPTS):
            case = Case(index, parameters["dtype"], device, attempt)
            try:
                family.check(case, parameters)
                case.finish()
                return case.passes, None
            except Untrusted as error:
                message = f"not to be trusted: {error}"
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{where.name}, line {where.lineno}; {how}"
                message = f"{type(error).__name__}: {error} ({place})"
                break
    return [], failure(family, index, device, message)


def run_case(family: str, index: int, device: str = "cpu") -> Result:
    """One case, by its index.

    Raises:
        ValueError, IndexError: no such family or index.
    """
    result = Result(cases=1)
    with _settings():
        passes, failure = _run(select(family)[0], index, device)
    result.passes = {name: passes.count(name) for name in passes}
    if failure:
        result.failed, result.failures = 1, [failure]
    return result


def run(
    family: str,
    start: int = 0,
    count: int = 1000,
    seed: int = 0,
    device: str = "cpu",
    largest: int | None = None,
    report: Callable[[Result], None] | None = None,
) -> Result:
    """`count` cases of a family, from position `start` of the order that `seed` says.

    Positions are those of a permutation of the whole space: stretches that do not overlap have no
    case in common, and from 0 to the space's size each is met once.

    Args:
        family: a name in FAMILIES.
        start, count: the stretch of positions; it ends with the space.
        seed: of the permutation.
        device: "cpu" or "cuda".
        largest: pass over cases of more multiply-adds, without counting them.
        report: called with what there is so far, about once a second.

    Raises:
        ValueError: no such family, or a stretch that is none.
    """
    if family not in FAMILIES:
        raise ValueError(f"grid: family must be one of {', '.join(FAMILIES)}; got {family!r}")
    if start < 0 or count < 0:
        raise ValueError(f"grid: start and count must be >= 0; got {start}, {count}")
    found = FAMILIES[family]
    result = Result()
    begun = reported = time.monotonic()
    with _settings():
        position = start
        while result.cases < count and position < found.space.size:
            index = shuffled(position, found.space.size, seed)
            position += 1
            if largest is not None and found.work(found.space.decode(index)) > largest:
                continue
            passes, failure = _run(found, index, device)
            result.cases += 1
            for name in passes:
                result.passes[name] = result.passes.get(name, 0) + 1
            if failure:
                result.failed += 1
                if len(result.failures) < _KEPT:
                    result.failures.append(failure)
            now = time.monotonic()
            if report is not None and now - reported >= 1:
                result.seconds, reported = now - begun, now
                report(result)
    result.seconds = time.monotonic() - begun
    return result
