"""Outputs and gradients in float32, float16 and bfloat16 against a float64 oracle.

Differences cannot judge a narrow dtype: their own rounding is larger than the errors looked for.
What can is the same function in float64, whose gradient is itself checked by differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import tolerances
from .adapters import Adapter, adapter_of
from .differences import Problem, scale

__all__ = ["against_float64"]

Array = np.ndarray[Any, Any]
#: An oracle without a gradient is differentiated element by element, up to this many.
MOST_BY_DIFFERENCES = 4096


def _by_differences(problem: Problem, u: Array, eps: float = 1e-5) -> Array:
    """The oracle's gradient by central differences; NaN at a kink."""
    y = problem.at(problem.x)
    if problem.x.size > MOST_BY_DIFFERENCES:
        raise ValueError(
            f"gradcheck: an oracle without a gradient is for up to {MOST_BY_DIFFERENCES} input "
            f"elements; got {problem.x.size}"
        )
    found = np.zeros(problem.x.size)
    for j in range(problem.x.size):
        v = np.zeros(problem.x.size)
        v[j] = scale(problem.x[j])
        slope = problem.slope(v, y, eps)
        touched = (slope.low != slope.high) & slope.kinked
        value = float(np.sum(u * (slope.low + slope.high) / 2)) / v[j]
        found[j] = np.nan if touched.any() else value
    return found


def _oracle(
    problem: Problem, oracle: Callable[..., Any] | None
) -> tuple[Adapter, Callable[..., Any], list[Any], bool]:
    """(adapter, function, float64 inputs, whether it has a gradient)."""
    if oracle is None:
        return problem.adapter, problem.func, problem.widened(), True
    wide = problem.widened()
    arrays = [problem.adapter.to_numpy(v) if problem.adapter.owns(v) else v for v in problem.inputs]
    try:
        result = oracle(*arrays)
        first = result[0] if isinstance(result, (tuple, list)) else result
        if isinstance(first, (np.ndarray, np.floating, float)):
            return (
                adapter_of(arrays),
                lambda *a: _arrays(oracle(*a)),
                arrays,
                hasattr(oracle, "vjp"),
            )
    except (TypeError, AttributeError, RuntimeError):
        pass  # it takes tensors
    return problem.adapter, oracle, wide, True


def _arrays(result: Any) -> Any:
    if isinstance(result, (tuple, list)):
        return tuple([np.asarray(r) for r in result])
    return np.asarray(result)


def _rounded(values: Array, problem: Problem, outputs: Sequence[Any], at: int) -> Array:
    """Values as the output's dtype holds them."""
    adapter = problem.adapter
    like = outputs[at]
    return adapter.to_numpy(adapter.make(values, like, adapter.dtype(like)))


def _terms(wide: Problem, has_gradient: bool, seed: int) -> tuple[list[int], int]:
    """How many terms an element of each variable's gradient sums at most, and one of the outputs.

    Some elements are looked at, in float64: as many outputs as change with an input, and as many
    inputs as an output depends on (its own gradient is not zero there). An elementwise function has
    1 of each, so that errors cannot hide behind the size of its arrays.
    """
    rng = np.random.default_rng(seed)
    y = wide.at(wide.x)
    rows = np.zeros(y.size, np.int64)
    columns, begin = [], 0
    for size in wide.sizes:
        column = 1
        for j in _some(size, rng) if has_gradient else range(size):
            x = wide.x.copy()
            x[begin + j] += 2.0**-8 * scale(x[begin + j])
            there = wide.at(x)
            changed = (there != y) & ~(np.isnan(there) & np.isnan(y))
            column = max(column, int(np.count_nonzero(changed)))
            rows += changed
        columns.append(column)
        begin += size
    row = int(np.max(rows, initial=1))
    if has_gradient:
        ones = [np.bincount([k], minlength=y.size) * 1.0 for k in _some(y.size, rng)]
        row = max([row, *[int(np.count_nonzero(g)) for g in wide.gradient(ones)]])
    return [max(column, row) for column in columns], max([row, *columns])


def _some(size: int, rng: np.random.Generator) -> list[int]:
    """The first, the last, and a few other positions."""
    return sorted({0, size - 1, *rng.integers(0, size, 6).tolist()}) if size else []


def against_float64(
    problem: Problem,
    oracle: Callable[..., Any] | None,
    terms: int | None,
    nondet_tol: float,
    check_safety: bool,
    again: Callable[[Any, Any, Adapter], Any],
    seed: int,
) -> dict[str, Any]:
    """The fields of a GradcheckResult."""
    adapter, function, inputs, has_gradient = _oracle(problem, oracle)
    if has_gradient:
        first = again(function, inputs, adapter)
        if not first.passed:
            words = first.message.removeprefix("gradcheck: ")
            fields = dict(first.__dict__)
            return {**fields, "message": f"gradcheck: already in float64: {words}"}
    outputs, back = problem.pullback()
    rng = np.random.default_rng(seed)
    parts = []
    for i, t in enumerate(outputs):
        shape = tuple(t.shape)
        values = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
        parts.append(_rounded(np.array(values), problem, outputs, i))
    narrow = problem.vector(back(parts))
    wide_problem = Problem(adapter, function, inputs, (), problem.wanted)
    u = np.concatenate([p.reshape(-1) for p in parts])
    if has_gradient:
        expected = wide_problem.gradient([u])[0]
    else:
        expected = _by_differences(wide_problem, u)
    dtype = (problem.narrow() or ["float64"])[0]
    if terms is None:
        counts, of_output = _terms(wide_problem, has_gradient, seed)
    else:
        counts, of_output = [terms] * len(problem.sizes), terms
    result: dict[str, Any] = {
        "passed": True, "error": 0.0, "checked": narrow.size, "kinks": 0, "ulp": 0.0,
    }  # fmt: skip
    known = np.isfinite(expected)
    result["kinks"] = int(np.count_nonzero(np.isnan(expected)))
    upstream = float(np.max(np.abs(u), initial=0.0))
    wide = problem.split(np.where(known, expected, np.nan))
    for i, (g, e) in enumerate(zip(problem.split(narrow), wide, strict=True)):
        _one(result, problem, i, g, e, dtype, upstream, counts[i], seed)
    if result["passed"] and problem.narrow():
        _outputs(result, problem, wide_problem, outputs, dtype, of_output)
    if result["passed"] and check_safety:
        twice = problem.vector(problem.pullback()[1](parts))
        off = float(np.max(np.abs(twice - narrow), initial=0.0))
        if not np.array_equal(twice, narrow, equal_nan=True) and not off <= nondet_tol:
            result.update(
                passed=False,
                diagnosis="not repeatable",
                message="gradcheck: backward must give the same gradient twice; two passes differ "
                f"by {off:.3g}",
            )
    return result


def _one(
    result: dict[str, Any],
    problem: Problem,
    i: int,
    g: Array,
    e: Array,
    dtype: str,
    upstream: float,
    terms: int,
    seed: int,
) -> None:
    """One variable's gradient."""
    known = ~np.isnan(e)
    if not known.any():
        return
    atol = tolerances.gradient(dtype, e[known], upstream, terms)
    with np.errstate(invalid="ignore"):
        off = np.where(known, np.abs(g - np.where(known, e, 0.0)), 0.0)
        ulp = off / tolerances.spacing(dtype, np.where(known, e, 1.0))
    largest = max(1.0, float(np.abs(e[known]).max()))
    result["error"] = max(result["error"], float(np.max(off)) / largest)
    result["ulp"] = max(result["ulp"], float(np.max(ulp)))
    bad = ~(off <= atol)
    if not bad.any() or not result["passed"]:
        return
    at = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), g.shape)
    index = tuple(int(k) for k in at)
    c = _ratio(g[known], e[known])
    kind = (
        f"wrong scale: {c:.5g} x the float64 gradient"
        if c is not None
        else (f"{dtype} is worse than rounding explains")
    )
    name = problem.names[i]
    result.update(
        passed=False,
        diagnosis=kind,
        worst={
            "variable": name,
            "index": index,
            "analytic": float(g[at]),
            "numeric": (float(e[at]), float(e[at])),
        },
        message=(
            f"gradcheck: the gradient in {dtype} must be the float64 one but for rounding; "
            f"{int(np.count_nonzero(bad))} of {g.size} differ, worst at {name} "
            f"[{', '.join(map(str, index))}]: {dtype} {float(g[at]):.10g}, float64 "
            f"{float(e[at]):.10g} (off by {float(off[at]):.3g} = {float(ulp[at]):.3g} ULP, "
            f"tolerance {atol:.3g} for {terms} terms); {kind} (seed {seed})"
        ),
    )


def _ratio(g: Array, e: Array) -> float | None:
    below = float(np.sum(e * e))
    if below == 0.0 or g.size < 2 or not np.isfinite(g).all():
        return None
    c = float(np.sum(g * e)) / below
    rest = float(np.max(np.abs(g - c * e)))
    return c if rest <= 0.1 * abs(c - 1) * float(np.max(np.abs(e))) else None


def _outputs(
    result: dict[str, Any],
    problem: Problem,
    wide: Problem,
    outputs: Sequence[Any],
    dtype: str,
    terms: int,
) -> None:
    """The outputs themselves, within a sum's bound of the largest."""
    y = np.concatenate([problem.adapter.to_numpy(t).reshape(-1) for t in outputs])
    e = wide.at(wide.x)
    with np.errstate(invalid="ignore"):
        size = float(np.max(np.abs(e[np.isfinite(e)]), initial=0.0))
        size = max(size, float(np.max(np.abs(wide.x), initial=0.0)))
        off = np.abs(y - e)
        good = (off <= tolerances.gradient(dtype, np.array(size), 0.0, terms)) | (y == e)
        good |= np.isnan(y) & np.isnan(e)
    if not good.all():
        j = int(np.argmax(np.where(good, -1.0, np.where(np.isnan(off), np.inf, off))))
        result.update(
            passed=False,
            diagnosis="the outputs differ",
            message=(
                f"gradcheck: the outputs in {dtype} must be the float64 ones but for rounding; "
                f"worst at element {j}: {y[j]:.10g}, float64 {e[j]:.10g}"
            ),
        )
