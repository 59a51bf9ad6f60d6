"""Search for hyper-parameters: every point of a grid, or random points."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..random import Generator
from ..utils.data.sampler import uniform_numbers

__all__ = ["Trial", "grid", "integers", "log_uniform", "random_points", "search", "uniform"]


@dataclass(frozen=True)
class _Range:
    """What random_points draws from: the inverse of a distribution function."""

    text: str
    at: Callable[[float], Any]

    def __repr__(self) -> str:
        return self.text


def uniform(low: float, high: float) -> _Range:
    """Numbers in [low, high), all equally likely."""
    if not low < high:
        raise ValueError(f"uniform: low must be below high; got {low}, {high}")
    return _Range(f"uniform({low}, {high})", lambda u: low + (high - low) * u)


def log_uniform(low: float, high: float) -> _Range:
    """Numbers in [low, high) whose logarithms are equally likely: for learning rates."""
    if not 0 < low < high:
        raise ValueError(f"log_uniform: 0 < low < high is needed; got {low}, {high}")
    a, b = math.log(low), math.log(high)
    return _Range(f"log_uniform({low}, {high})", lambda u: math.exp(a + (b - a) * u))


def integers(low: int, high: int) -> _Range:
    """Whole numbers from low to high, both included, all equally likely."""
    if not low <= high:
        raise ValueError(f"integers: low must be at most high; got {low}, {high}")
    return _Range(f"integers({low}, {high})", lambda u: low + int((high - low + 1) * u))


def grid(space: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of a space.

    Args:
        space: Name -> values.

    Raises:
        TypeError: A range without an end of values, e.g. uniform.
    """
    for name, values in space.items():
        if isinstance(values, _Range):
            raise TypeError(f"grid: {name} must be a list of values; got {values!r}")
    for values in itertools.product(*space.values()):
        yield dict(zip(space, values, strict=True))


def random_points(
    space: Mapping[str, Any], count: int, generator: Generator | None = None
) -> Iterator[dict[str, Any]]:
    """Random points of a space.

    Args:
        space: Name -> values, or uniform, log_uniform, integers.
        count: How many points.
        generator: Default: the default generator. All numbers are drawn at once: training between
            two points does not change them.

    Source: Bergstra, Bengio (2012), Random search for hyper-parameter optimization.
    """
    numbers = iter(uniform_numbers(count * len(space), generator).tolist())
    for _ in range(count):
        point = {}
        for name, values in space.items():
            u = next(numbers)
            point[name] = (
                values.at(u) if isinstance(values, _Range) else values[int(u * len(values))]
            )
        yield point


@dataclass
class Trial:
    """One point of a search.

    Attributes:
        options: The point.
        value: What the run returned; NaN if it failed.
        error: Why it failed; None if it did not.
    """

    options: dict[str, Any]
    value: float
    error: str | None = None


def search(
    run: Callable[..., float],
    points: Iterator[dict[str, Any]] | Sequence[dict[str, Any]],
    mode: str = "min",
    report: Callable[[Trial], object] | None = None,
) -> list[Trial]:
    """Try points, the best first in the result.

    Ctrl-C ends the search after what has been done so far.

    Args:
        run: Is called with each point's options; returns what is to be small, or large.
        points: Of grid or random_points.
        mode: "min": a small value is good; "max": a large one.
        report: Is told of each trial.

    Returns:
        The trials, the best first; at the end those that failed: with a value that is not finite,
        or a FloatingPointError, RuntimeError or ValueError.

    Raises:
        ValueError: Another mode.
    """
    if mode not in ("min", "max"):
        raise ValueError(f"search: mode must be 'min' or 'max'; got {mode!r}")
    trials: list[Trial] = []
    try:
        for options in points:
            try:
                trial = Trial(options, float(run(**options)))
            except (FloatingPointError, RuntimeError, ValueError) as error:
                trial = Trial(options, math.nan, f"{type(error).__name__}: {error}")
            trials.append(trial)
            if report is not None:
                report(trial)
    except KeyboardInterrupt:
        pass
    sign = 1.0 if mode == "min" else -1.0
    return sorted(trials, key=lambda t: sign * t.value if math.isfinite(t.value) else math.inf)
