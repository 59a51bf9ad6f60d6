"""What can be wrong with a gradient that is right once: stale state, and memory layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .differences import MACHINE_EPSILON, Problem, dot, scale
from .layouts import lay_out

__all__ = ["unsafe"]

Array = np.ndarray[Any, Any]
STALE = "stale saved tensor"
LAYOUT = "not contiguous-safe"
UNDEFINED = "undefined gradients"
#: Functions of more outputs are not taken apart.
MOST_OUTPUTS = 8


def differs(problem: Problem, found: Array, expected: Array, tolerance: float) -> str:
    """Where two gradients differ by more than rounding; "" if they do not."""
    with np.errstate(invalid="ignore"):
        size = float(np.max(np.abs(expected), initial=0.0))
        off = np.abs(found - expected)
        bad = ~(off <= tolerance + 1e-9 * max(size, 1.0)) & ~(np.isnan(found) & np.isnan(expected))
    if not bad.any():
        return ""
    j = int(np.argmax(np.where(np.isnan(off), np.inf, np.where(bad, off, -1.0))))
    return f"worst at {problem.locate(j)}: got {found[j]:.10g}, must be {expected[j]:.10g}"


def unsafe(
    problem: Problem,
    y: Array,
    u: Array,
    analytic: Array,
    *,
    layouts: bool,
    tolerance: float,
    atol: float,
    rtol: float,
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """(diagnosis, details) of the first fault that another call or another layout shows."""
    found = _stale(problem, u, analytic, tolerance, atol, rtol, rng)
    if found is None:
        found = _undefined(problem, u, analytic)
    if found is None and layouts and problem.adapter.strides:
        found = _layouts(problem, y, u, analytic, tolerance)
    return found


def moved(problem: Problem, rng: np.random.Generator) -> Array:
    """A point some per cent away; what is zero stays so."""
    size = problem.x.size
    return problem.x * (1 + 0.05 * rng.uniform(0.5, 1.0, size) * rng.choice([-1.0, 1.0], size))


def _stale(
    problem: Problem,
    u: Array,
    analytic: Array,
    tolerance: float,
    atol: float,
    rtol: float,
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    other = moved(problem, rng)
    if problem.parameters:
        other = np.concatenate(
            [
                other[: sum(problem.sizes[: len(problem.wanted)])],
                problem.x[sum(problem.sizes[: len(problem.wanted)]) :],
            ]
        )
    outputs, back = problem.pullback()
    try:
        outputs_there, back_there = problem.pullback(problem.inputs_at(other))
    except Exception:
        return None  # not in the function's domain
    first = problem.vector(back(problem.weights(outputs, u)))
    where = differs(problem, first, analytic, tolerance)
    if where:
        return STALE, (
            "another call between forward and backward changed the gradient: its state is not the "
            f"call's own (keep it in ctx), {where}"
        )
    if [tuple(t.shape) for t in outputs_there] != [tuple(t.shape) for t in outputs]:
        return None
    there = problem.vector(back_there(problem.weights(outputs_there, u)))
    return _at(problem, u, analytic, other, there, atol, rtol, rng)


def _at(
    problem: Problem,
    u: Array,
    analytic: Array,
    other: Array,
    there: Array,
    atol: float,
    rtol: float,
    rng: np.random.Generator,
) -> tuple[str, str] | None:
    """The gradient at the other point, along one direction."""
    v = rng.uniform(0.5, 1.5, other.size) * rng.choice([-1.0, 1.0], other.size) * scale(other)
    v[sum(problem.sizes[: len(problem.wanted)]) :] = 0.0
    eps = 1e-6
    try:
        y, ahead, behind = (problem.at(other + h * v) for h in (0.0, eps, -eps))
    except Exception:
        return None
    with np.errstate(all="ignore"):
        sides = dot(u, ahead - y) / eps, dot(u, y - behind) / eps
        noise = (
            16 * MACHINE_EPSILON * (dot(np.abs(u), np.abs(y)) + dot(np.abs(there), scale(other)))
        )
        noise /= eps
        value = dot(there, v)
        size = max(abs(s) for s in sides)
    if not np.isfinite([*sides, noise]).all() or abs(sides[0] - sides[1]) > 1e-3 * max(1.0, size):
        return None  # outside the domain, or a kink
    numeric = sum(sides) / 2
    share = float(np.sqrt(np.mean(np.square(there * v)))) if v.size else 0.0
    if abs(value - numeric) <= 100 * atol + 10 * rtol * max(share, abs(numeric)) + 4 * noise:
        return None
    if not differs(problem, there, analytic, 0.0):
        return STALE, (
            "at other inputs the gradient is still that of the first ones: "
            f"along a direction analytic {value:.10g}, numeric {numeric:.10g}"
        )
    return "wrong at other inputs", (
        f"a second point, along a direction: analytic {value:.10g}, numeric {numeric:.10g}"
    )


def _undefined(problem: Problem, u: Array, analytic: Array) -> tuple[str, str] | None:
    """With several outputs: the gradients that come of one output alone add up to all."""
    outputs, back = problem.pullback()
    if not 1 < len(outputs) <= MOST_OUTPUTS:
        return None
    weights = problem.weights(outputs, u)
    total = np.zeros(analytic.size)
    for i in range(len(weights)):
        try:
            alone = back([w if k == i else None for k, w in enumerate(weights)])
        except Exception as error:
            return UNDEFINED, (
                f"with a gradient for output {i} alone backward raises "
                f"{type(error).__name__}: {error}"
            )
        total = total + problem.vector(alone)
    where = differs(problem, total, analytic, 0.0)
    if where:
        return UNDEFINED, f"the gradients that each output alone gives do not add up, {where}"
    return None


def _layouts(
    problem: Problem, y: Array, u: Array, analytic: Array, tolerance: float
) -> tuple[str, str] | None:
    """Inputs, and then the gradients that come in, in another layout; and repeated by stride 0."""
    inputs = list(problem.inputs)
    for i, value in zip(problem.wanted, problem.split(problem.x), strict=False):
        inputs[i] = problem.adapter.make(_relaid(value), problem.inputs[i])
    try:
        outputs, back = problem.pullback(inputs)
        weights = problem.weights(outputs, u)
        values = np.concatenate([problem.adapter.to_numpy(t).reshape(-1) for t in outputs])
        found = problem.vector(back(weights))
    except Exception as error:
        return LAYOUT, f"inputs with other strides raise {type(error).__name__}: {error}"
    with np.errstate(invalid="ignore"):
        same = np.abs(values - y) <= 1e-9 * np.maximum(1.0, np.abs(y))
    if not (same | (values == y) | (np.isnan(values) & np.isnan(y))).all():
        return LAYOUT, "inputs with other strides give other outputs"
    where = differs(problem, found, analytic, tolerance)
    if where:
        return LAYOUT, f"inputs with other strides give another gradient, {where}"
    outputs, back = problem.pullback()
    ones = [np.ones(w.shape) for w in weights]
    repeated = [np.broadcast_to(np.ones(()), w.shape) for w in weights]
    for name, one, other in (
        ("with other strides", weights, [_relaid(w) for w in weights]),
        ("repeated with stride 0, as sum().backward() gives it,", ones, repeated),
    ):
        where = _incoming(problem, back, one, other, tolerance)
        if where:
            return LAYOUT, f"a gradient that comes in {name} gives another gradient, {where}"
    return None


def _incoming(
    problem: Problem, back: Any, one: Sequence[Array], other: Sequence[Array], tolerance: float
) -> str:
    try:
        return differs(problem, problem.vector(back(other)), problem.vector(back(one)), tolerance)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _relaid(values: Array) -> Array:
    return lay_out(values, "transposed" if values.ndim > 1 else "stepped")
