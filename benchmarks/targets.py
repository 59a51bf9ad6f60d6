"""The targets of each class, and whether a run meets them: geometric means against PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .results import EXACT, TORCH, TORCH_TUNED, Result, by_class, geometric_mean

__all__ = ["TARGETS", "Target", "Verdict", "verdicts"]


@dataclass(frozen=True)
class Target:
    """PyTorch's time divided by ours, at least; None: none is set.

    Attributes:
        shipped: beside PyTorch as installed (on AMD; its products take another path on Intel).
        tuned: beside PyTorch's best.
    """

    shipped: float | None = None
    tuned: float | None = None


#: (class, pass) -> target; pass "": both.
TARGETS: dict[tuple[str, str], Target] = {
    ("matmul, 256 and more", ""): Target(2.0, 1.0),
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
    ("elementwise, 51 MB", ""): Target(8.0, 1.0),
    ("activation, 51 MB", ""): Target(8.0, 1.0),
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
class Verdict:
    """A class in a pass, beside its target.

    Attributes:
        family, kind: the class, and the pass; "" where both count together.
        count: how many cases were timed beside PyTorch.
        shipped, least: geometric mean and least of the ratios as shipped.
        tuned, least_tuned: the same beside PyTorch's best; None where it was not timed.
        target: what it should be.
        met: whether both means reach it; None where there is no target.
        only_fast: met, but not with conv_precision "exact".
    """

    family: str
    kind: str
    count: int
    shipped: float
    least: float
    tuned: float | None
    least_tuned: float | None
    target: Target
    met: bool | None
    only_fast: bool


def verdicts(results: Iterable[Result]) -> list[Verdict]:
    """One for each class, or for each of its passes where these have targets of their own."""
    found = []
    for family, every in by_class(results).items():
        kinds = [kind for name, kind in TARGETS if name == family]
        apart = [""] if not kinds or "" in kinds else ["forward", "training"]
        for kind in apart:
            chosen = [r for r in every if r.as_shipped is not None and (not kind or r.kind == kind)]
            if chosen:
                found.append(_verdict(family, kind, chosen))
    return found


def _verdict(family: str, kind: str, results: list[Result]) -> Verdict:
    shipped = [r.as_shipped for r in results if r.as_shipped is not None]
    tuned = [r.tuned for r in results if r.tuned is not None]
    target = TARGETS.get((family, kind), Target())
    mean = geometric_mean(shipped)
    mean_tuned = geometric_mean(tuned) if tuned else None
    met = None
    if target.shipped is not None:
        met = mean >= target.shipped and _reaches(mean_tuned, target.tuned)
    exact = any(EXACT in r.engines for r in results)
    return Verdict(
        family,
        kind,
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
