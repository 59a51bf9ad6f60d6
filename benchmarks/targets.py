"""The targets of each class, and whether a run meets them: geometric means against PyTorch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .results import EXACT, OURS, TORCH, TORCH_TUNED, Report, Result, by_class, geometric_mean
from .shares import Share, share, stream_share

__all__ = [
    "GOALS",
    "LARGE",
    "PARTS",
    "PEAK",
    "TARGETS",
    "Attained",
    "Goal",
    "Part",
    "Target",
    "Verdict",
    "attained",
    "verdicts",
]


@dataclass(frozen=True)
class Target:
    """PyTorch's time divided by ours, at least; None: none is set.

    Attributes:
        shipped: beside PyTorch as installed.
        tuned: beside PyTorch's best.
        on_intel: in the place of `shipped` on Intel's processors: there MKL, which multiplies for
            PyTorch, uses AVX-512, on others AVX2 (measured: half the rate on a Zen 5).
    """

    shipped: float | None = None
    tuned: float | None = None
    on_intel: float | None = None

    def on(self, cpu: str) -> Target:
        """What counts on this processor, by its name."""
        if self.on_intel is None or "Intel" not in cpu:
            return self
        return replace(self, shipped=self.on_intel)


#: (class, pass) -> target; pass "": both.
TARGETS: dict[tuple[str, str], Target] = {
    ("matmul, 256 and more", ""): Target(2.0, 1.0, on_intel=1.0),
    ("matmul, small, skinny, batched", ""): Target(1.6, 1.3),
    ("linear", "training"): Target(2.0, 1.1),
    ("conv 3x3 stride 1", "forward"): Target(2.2, 2.2),
    ("conv 3x3 stride 1", "training"): Target(1.7, 1.7),
    ("conv 3x3 at 7x7", "forward"): Target(1.4, 1.4),
    ("conv 3x3 at 7x7", "training"): Target(1.3, 1.3),
    ("conv 1x1", "training"): Target(1.5, 1.0),
    ("conv first layer", "training"): Target(3.0, 1.1),
    ("conv strided, dilated, grouped", ""): Target(1.1, 0.95),
    ("conv depthwise", "forward"): Target(1.5),
    ("conv depthwise", "training"): Target(2.0),
    # Eight times PyTorch as shipped is what page faults cost it where results are new memory of
    # many megabytes. What stays in the caches has none: there nothing may be lost.
    ("elementwise and activation, 51 MB", ""): Target(8.0, 1.0),
    ("elementwise", ""): Target(1.0, 1.0),
    ("activation", ""): Target(1.0, 1.0),
    ("reduction", ""): Target(1.0, 1.0),
    ("loss", ""): Target(1.0, 1.0),
    ("pooling", ""): Target(3.0),
    ("softmax, norms", ""): Target(1.5),
    ("optimizer", ""): Target(3.0, 1.0),
    ("overhead", ""): Target(1.0),
    ("training step", ""): Target(1.5),
}


@dataclass(frozen=True)
class Part:
    """Some cases of a class, which have a target besides the class's.

    Attributes:
        family: the class.
        only: a regular expression that is found in their names.
        which: in words, which they are.
        target: of their geometric mean.
    """

    family: str
    only: str
    which: str
    target: Target


PARTS = (
    # Set where PyTorch's products are MKL's with AVX2 (see on_intel).
    Part("matmul, small, skinny, batched", r"x([1-9]|1[0-6])$", "16 columns or fewer", Target(4.0)),
    Part("conv first layer", r"\b1->", "1 channel", Target(1.0)),
    Part(
        "conv strided, dilated, grouped",
        r"ResNeXt.*\b(128->128|256->256) ",
        "groups of 4 and 8 channels",
        Target(2.0),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """What the machine should give, whatever another library makes of it.

    Attributes:
        value: a part of the ceiling that bounds the case, or GFLOP/s.
        stream: whether the ceiling of moving data is a copy of arrays that no cache holds, the
            'stream copy' that the goal was set by.
        gflops: whether it is GFLOP/s, where the peak of multiply-adds is PEAK; elsewhere it is in
            proportion to the peak.
        only: of the cases in whose name this regular expression is found; "": of all.
        which: in words, the cases that it is of; "": all.
    """

    value: float
    stream: bool = False
    gflops: bool = False
    only: str = ""
    which: str = ""

    def on(self, peak: float | None) -> Goal:
        """The goal on a machine with this peak of multiply-adds, in GFLOP/s."""
        return replace(self, value=self.value * peak / PEAK) if self.gflops and peak else self


#: GFLOP/s of multiply-adds of the machine for which the goals in GFLOP/s were set: two Zen 5 cores.
PEAK = 503.0
#: Seconds: of what takes less, the fixed cost of a call and of waking a thread is a large part.
LARGE = 100e-6

#: (class, pass) -> goal; pass "": both.
GOALS: dict[tuple[str, str], Goal] = {
    ("matmul, 256 and more", ""): Goal(0.9),
    ("matmul, small, skinny, batched", ""): Goal(0.6),
    ("linear", "training"): Goal(0.84, stream=True),
    ("conv 3x3 stride 1", "forward"): Goal(1000, gflops=True),
    ("conv 3x3 stride 1", "training"): Goal(750, gflops=True),
    ("conv 3x3 at 7x7", "forward"): Goal(700, gflops=True),
    ("conv 1x1", "training"): Goal(0.75),
    # Of three channels: with one there is a third of the work for each value that is written.
    ("conv first layer", "training"): Goal(300, gflops=True, only=r"\b3->", which="3 channels"),
    ("conv strided, dilated, grouped", ""): Goal(0.75),
    # Where 18 operations stand against 8 bytes: 3x3, stride 1.
    ("conv depthwise", "forward"): Goal(100, gflops=True, only=r"\bs1$", which="3x3, stride 1"),
    ("conv depthwise", "training"): Goal(85, gflops=True, only=r"\bs1$", which="3x3, stride 1"),
    ("elementwise and activation, 51 MB", ""): Goal(0.9, stream=True),
    ("pooling", ""): Goal(0.75, stream=True),
    ("softmax, norms", ""): Goal(0.8, stream=True),
    ("optimizer", ""): Goal(0.9, stream=True),
}


@dataclass(frozen=True)
class Attained:
    """What a class came to, beside its goal.

    Attributes:
        family, kind: the class, and the pass; "" where both count together.
        goal: what it should be on this machine.
        mean, best: geometric mean and best of its cases, in the goal's unit.
        large: the mean of those that the ceiling gives at least LARGE seconds; None without any.
        near: the same by the copy of the cache level that holds a case's data, where the goal is by
            a stream copy; None elsewhere.
        count, reached: how many cases have such a figure, and how many of them are at the goal.
    """

    family: str
    kind: str
    goal: Goal
    mean: float
    best: float
    large: float | None
    near: float | None
    count: int
    reached: int


def attained(report: Report) -> list[Attained]:
    """One for each class with a goal of which anything was timed."""
    classes = by_class(report.results)
    threads, isa = int(report.environment.get("threads") or 1), report.environment.get("isa")
    peak = report.ceilings.gflops(threads, str(isa or ""))
    found = []
    for (family, kind), stated in GOALS.items():
        goal = stated.on(peak)
        results = [
            r
            for r in classes.get(family, [])
            if (not kind or r.kind == kind) and re.search(goal.only, r.case)
        ]
        figures = {r.key: v for r in results if (v := _figure(report, r, goal))}
        if not figures:
            continue
        values = list(figures.values())
        large = [r for r in results if r.key in figures and _is_large(report, r, goal)]
        near = [part.value for r in large if goal.stream and (part := share(report, r))]
        found.append(
            Attained(
                family,
                kind,
                goal,
                geometric_mean(values),
                max(values),
                geometric_mean([figures[r.key] for r in large]) if large else None,
                geometric_mean(near) if near else None,
                len(values),
                sum(v >= goal.value for v in values),
            )
        )
    return found


def _part(report: Report, result: Result, goal: Goal) -> Share | None:
    return (stream_share if goal.stream else share)(report, result)


def _is_large(report: Report, result: Result, goal: Goal) -> bool:
    part = _part(report, result, goal)
    return part is not None and part.value * result.engines[OURS].median >= LARGE


def _figure(report: Report, result: Result, goal: Goal) -> float | None:
    if not goal.gflops:
        part = _part(report, result, goal)
        return part.value if part else None
    rate = result.rate()
    ours = OURS in result.engines and result.dtype == "float32"
    return rate[0] if rate and ours and rate[1] == "GFLOP/s" else None


@dataclass(frozen=True)
class Verdict:
    """A class in a pass, beside its target.

    Attributes:
        family, kind: the class, and the pass; "" where both count together.
        which: the part of the class, in words; "": all of it.
        count: how many cases were timed beside PyTorch.
        shipped, least: geometric mean and least of the ratios as shipped.
        tuned, least_tuned: the same beside PyTorch's best; None where it was not timed.
        target: what it should be.
        met: whether both means reach it; None where there is no target.
        only_fast: met, but not with conv_precision "exact".
    """

    family: str
    kind: str
    which: str
    count: int
    shipped: float
    least: float
    tuned: float | None
    least_tuned: float | None
    target: Target
    met: bool | None
    only_fast: bool

    @property
    def name(self) -> str:
        """The class and its part."""
        return ", ".join(filter(None, (self.family, self.which)))


def verdicts(report: Report) -> list[Verdict]:
    """One for each class, or each of its passes that have targets of their own, and each part."""
    cpu = str(report.environment.get("cpu") or "")
    found = []
    for family, every in by_class(report.results).items():
        kinds = [kind for name, kind in TARGETS if name == family]
        apart = [""] if not kinds or "" in kinds else ["forward", "training"]
        for kind in apart:
            chosen = [r for r in every if r.as_shipped is not None and (not kind or r.kind == kind)]
            if chosen:
                target = TARGETS.get((family, kind), Target()).on(cpu)
                found.append(_verdict(family, kind, "", chosen, target))
        for part in PARTS:
            chosen = [r for r in every if r.as_shipped is not None and re.search(part.only, r.case)]
            if part.family == family and chosen:
                found.append(_verdict(family, "", part.which, chosen, part.target))
    return found


def _verdict(family: str, kind: str, which: str, results: list[Result], target: Target) -> Verdict:
    shipped = [r.as_shipped for r in results if r.as_shipped is not None]
    tuned = [r.tuned for r in results if r.tuned is not None]
    mean = geometric_mean(shipped)
    mean_tuned = geometric_mean(tuned) if tuned else None
    met = None
    if target.shipped is not None:
        met = mean >= target.shipped and _reaches(mean_tuned, target.tuned)
    exact = any(EXACT in r.engines for r in results)
    return Verdict(
        family,
        kind,
        which,
        len(results),
        mean,
        min(shipped),
        mean_tuned,
        min(tuned, default=None),
        target,
        met,
        bool(met) and exact and not _met_exactly(results, target),
    )


def _reaches(mean: float | None, target: float | None) -> bool:
    """What was not timed, or has no target, misses none."""
    return mean is None or target is None or mean >= target


def _met_exactly(results: list[Result], target: Target) -> bool:
    """Whether the target is met where 'exact' stands for ours."""
    shipped, tuned = [], []
    for r in results:
        ours = r.ratio(TORCH, EXACT) or r.as_shipped
        if ours is not None:
            shipped.append(ours)
        if TORCH_TUNED in r.engines:
            best = min(r.engines[TORCH].median, r.engines[TORCH_TUNED].median)
            engine = EXACT if EXACT in r.engines else "gradsmith"
            tuned.append(best / r.engines[engine].median)
    mean_tuned = geometric_mean(tuned) if tuned else None
    return geometric_mean(shipped) >= (target.shipped or 0) and _reaches(mean_tuned, target.tuned)
