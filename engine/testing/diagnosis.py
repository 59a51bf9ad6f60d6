"""What kind of fault a wrong gradient looks like: its scale, sign, order, or a term that it lacks.

The analytic gradient a of one variable is compared with the numeric one, n, as arrays: is a = c n,
a = n^T, n shifted, another variable's n; is n - a a multiple of a product that gradients are made
of (grad_y, x, y, their sums)? The first relation that holds to 4 digits is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from .differences import Problem, scale
from .safety import LAYOUT, STALE, moved

__all__ = ["Evidence", "diagnose"]

Array = np.ndarray[Any, Any]
#: As many elements of a variable are looked at.
MOST = 512


@dataclass
class Evidence:
    """A wrong gradient.

    Attributes:
        problem: the function.
        y: its outputs, one vector.
        u: what they were contracted with.
        analytic: the gradient found, one vector over all variables.
        variable: which one is wrong.
        eps: the step of differences.
        worst: the wrong element, in its variable.
        together: whether no element is wrong alone.
        kinked: where an element's numeric derivative is at a kink, of each variable looked at.
    """

    problem: Problem
    y: Array
    u: Array
    analytic: Array
    variable: int
    eps: float
    worst: int = 0
    together: bool = False
    kinked: dict[int, Array] = field(default_factory=dict)

    def numeric(self, variable: int) -> Array:
        """The gradient of a variable by differences; NaN at kinks, and where there are too many.

        The worst element is always among those looked at.
        """
        begin = sum(self.problem.sizes[:variable])
        size = self.problem.sizes[variable]
        found = np.full(size, np.nan)
        kinked = self.kinked[variable] = np.zeros(self.problem.shapes[variable], bool)
        looked = list(range(min(size, MOST)))
        if variable == self.variable and MOST <= self.worst < size:
            looked[-1] = self.worst
        for j in looked:
            v = np.zeros(self.problem.x.size)
            v[begin + j] = scale(self.problem.x[begin + j])
            slope = self.problem.slope(v, self.y, self.eps)
            with np.errstate(all="ignore"):
                middle = (slope.low + slope.high) / 2
                value = float(np.sum(self.u * middle)) / v[begin + j]
            found[j] = np.nan if slope.kinks else value
            kinked.reshape(-1)[j] = bool(slope.kinks)
        return found.reshape(self.problem.shapes[variable])

    def own(self, variable: int) -> Array:
        """The analytic gradient of a variable."""
        begin = sum(self.problem.sizes[:variable])
        part = self.analytic[begin : begin + self.problem.sizes[variable]]
        return part.reshape(self.problem.shapes[variable])


def _alike(a: Array, b: Array) -> bool:
    """Equal to four digits, where both are known; and known at a few places at least."""
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return False
    size = float(np.max(np.abs(b[known])))
    return bool(np.max(np.abs(a[known] - b[known])) <= 1e-4 * size and size > 1e-9)


def _right(a: Array, n: Array) -> bool:
    """Whether each element that is known is equal to four digits."""
    known = np.isfinite(n)
    size = float(np.max(np.abs(n), initial=1.0, where=known))
    return bool((np.abs(a - n)[known] <= 1e-4 * np.abs(n[known]) + 1e-6 * size).all())


def _factor(a: Array, b: Array) -> float | None:
    """c with a = c b; None if there is none."""
    known = np.isfinite(a) & np.isfinite(b)
    below = float(np.sum(b[known] ** 2))
    if below == 0.0:
        return None
    c = float(np.sum(a[known] * b[known])) / below
    return c if abs(c) > 1e-9 and _alike(c * b, a) else None


def diagnose(evidence: Evidence, rng: np.random.Generator) -> str:
    """In words, what kind of fault it is."""
    a, n = evidence.own(evidence.variable), evidence.numeric(evidence.variable)
    known = np.isfinite(n)
    if not np.isfinite(a).all():
        count = int(np.count_nonzero(~np.isfinite(a)))
        return f"not finite: {count} of {a.size} elements are NaN or infinite"
    if _right(a, n):
        if evidence.together:
            return "wrong at the kinks: all together outside the subgradients"
        if evidence.kinked[evidence.variable].any():
            return "wrong at the kink: outside the subgradients"
        if known.any():
            return "right to four digits: less exact than the tolerance asks"
    if not known.any():
        return "nothing is known: the function is not smooth, or not finite, at any element"
    if not a.any() and np.abs(n[known]).max() > 0:
        return "missing: the gradient is zero everywhere (cut off from the graph, or None)"
    return (
        _copied(evidence, n)
        or _whole(a, n)
        or _exchanged(evidence, a)
        or _term(evidence, a, n)
        or _part(a, n)
        or _constant(evidence, a, n, rng)
        or "no simple relation of the two: a term that is wrong, or one of many that is missing"
    )


def _copied(evidence: Evidence, n: Array) -> str:
    """Whether contiguous copies of the inputs make it right."""
    problem = evidence.problem
    try:
        outputs, back = problem.pullback(problem.inputs_at(problem.x))
        found = problem.vector(back(problem.weights(outputs, evidence.u)))
    except Exception:
        return ""
    begin = sum(problem.sizes[: evidence.variable])
    copied = found[begin : begin + n.size].reshape(n.shape)
    if _alike(copied, n) and not _alike(evidence.own(evidence.variable), n):
        return f"{LAYOUT}: with contiguous copies of the inputs the gradient is right"
    return ""


def _whole(a: Array, n: Array) -> str:
    """A relation of the whole arrays."""
    c = _factor(a, n) if n.size > 1 or a.any() else None
    if c is not None and abs(c - 1) < 1e-4:
        c = None  # right as a whole: what is wrong is elsewhere
    if c is not None and abs(c + 1) < 1e-4:
        return "wrong sign: analytic = -numeric"
    if n.ndim > 1:
        for i, j in combinations(range(n.ndim), 2):
            if n.shape[i] == n.shape[j] and _alike(np.swapaxes(a, i, j), n):
                return f"transposed: dims {i} and {j} of the gradient are exchanged"
        turned = np.transpose(n).reshape(n.shape)
        if not _alike(n, turned) and _alike(a, turned):
            return "transposed: the gradient's elements lie in the order of the transpose"
    if c is not None and n.size > 1:
        return f"wrong scale: analytic = {c:.5g} x numeric (multiply it by {1 / c:.5g})"
    for dim in range(n.ndim):
        for shift in (1, -1, 2, -2):
            if abs(shift) < n.shape[dim] and _alike(np.roll(n, shift, dim), a):
                return f"shifted: by {shift} along dim {dim}"
        if n.shape[dim] > 1 and _alike(np.flip(n, dim), a):
            return f"reversed: along dim {dim}"
    if n.size > 2 and np.isfinite(n).all() and _alike(np.sort(a, None), np.sort(n, None)):
        return "permuted: the right values in other places"
    if c is not None:
        return f"wrong scale: analytic = {c:.5g} x numeric (multiply it by {1 / c:.5g})"
    return ""


def _exchanged(evidence: Evidence, a: Array) -> str:
    problem = evidence.problem
    for other, shape in enumerate(problem.shapes):
        if other != evidence.variable and shape == a.shape and _alike(a, evidence.numeric(other)):
            return (
                f"exchanged: {problem.names[evidence.variable]} has the gradient of "
                f"{problem.names[other]}"
            )
    return ""


def _term(evidence: Evidence, a: Array, n: Array) -> str:
    """A multiple of a product that gradients are made of, missing or too many."""
    rest = n - a
    first = ""
    for name, term in _terms(evidence, a.shape):
        c = _factor(rest, term)
        if c is None:
            continue
        times = "" if abs(abs(c) - 1) < 1e-4 else f"{abs(c):.5g} x "
        text = f"missing term: numeric - analytic = {'-' if c < 0 else ''}{times}{name}"
        # Formulas have small whole factors; another one comes of a sum that is constant here.
        if abs(c) < 10 and abs(2 * c - round(2 * c)) < 1e-3:
            return text
        first = first or text
    return first


def _terms(evidence: Evidence, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Products of what there is, in the variable's shape."""
    problem = evidence.problem
    names = ["grad_y", "y"] + problem.names
    values: list[Array] = []
    outputs, _ = problem.pullback()
    if len(outputs) == 1:
        of_y = tuple(outputs[0].shape)
        values += [evidence.u.reshape(of_y), evidence.y.reshape(of_y)]
    else:
        names = names[2:]
    values += problem.split(problem.x)
    for name, value in zip(names, values, strict=True):
        yield from _shaped(name, value, shape)
    pairs = [(i, j) for i in range(len(values)) for j in range(i, len(values))]
    for i, j in pairs:
        try:
            product = values[i] * values[j]
        except ValueError:
            continue
        name = f"{names[i]} * {names[j]}" if i != j else f"{names[i]}^2"
        yield from _shaped(name, product, shape)
        for dims in {None, -1, 0} if product.ndim else set():
            total = np.sum(product, axis=dims, keepdims=True)
            for k, value in enumerate(values):
                label = f"sum({name})" if dims is None else f"sum({name}, {dims})"
                yield from _shaped(f"{names[k]} * {label}", _times(value, total), shape)
    yield "a constant", np.ones(shape)
    for i, j in pairs:
        for k in range(j, len(values)):
            try:
                product = values[i] * values[j] * values[k]
            except ValueError:
                continue
            yield from _shaped(f"{names[i]} * {names[j]} * {names[k]}", product, shape)
    for i, j in pairs:
        for k, value in enumerate(values):
            if k not in (i, j) and value.size and (value != 0).all():
                name = f"{names[i]} * {names[j]} / {names[k]}"
                yield from _shaped(name, _times(_times(values[i], values[j]), 1 / value), shape)


def _times(a: Array, b: Array) -> Array:
    try:
        return a * b
    except ValueError:
        return np.zeros(())


def _shaped(name: str, value: Array, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """The value in this shape: as it is, repeated, or summed as broadcasting's gradient is."""
    if value.shape == shape:
        yield name, value
        return
    if value.ndim <= len(shape) and value.size:
        try:
            yield name, np.broadcast_to(value, shape)
        except ValueError:
            pass
        else:
            return
    if value.ndim >= len(shape):
        extra = value.ndim - len(shape)
        kept = value.shape[extra:]
        if all(s in (1, k) for s, k in zip(shape, kept, strict=True)):
            dims = tuple(range(extra)) + tuple(
                extra + d for d, (s, k) in enumerate(zip(shape, kept, strict=True)) if s != k
            )
            yield f"sum({name})", np.sum(value, axis=dims, keepdims=True).reshape(shape)


def _constant(evidence: Evidence, a: Array, n: Array, rng: np.random.Generator) -> str:
    """Whether the gradient stays when the inputs change, while the numeric one does not."""
    problem = evidence.problem
    other = moved(problem, rng)
    inputs = sum(problem.sizes[: len(problem.wanted)])
    other[inputs:] = problem.x[inputs:]  # parameters stay
    if np.array_equal(other, problem.x):
        return ""
    try:
        outputs, back = problem.pullback(problem.inputs_at(other))
        there = problem.vector(back(problem.weights(outputs, evidence.u)))
    except Exception:
        return ""
    begin = sum(problem.sizes[: evidence.variable])
    if not _alike(there[begin : begin + a.size].reshape(a.shape), a):
        return ""
    place = copy(problem)
    place.x = other
    try:
        changed = copy(evidence)
        changed.problem, changed.y, changed.kinked = place, place.at(other), {}
        numeric = changed.numeric(evidence.variable)
    except Exception:
        return ""
    both = np.isfinite(numeric) & np.isfinite(n)
    if both.any() and not _right(numeric[both], n[both]):
        return f"{STALE}, or a constant: the gradient stays the same when the inputs change"
    return ""


def _part(a: Array, n: Array) -> str:
    """Where the wrong elements are, if most are right."""
    known = np.isfinite(n)
    size = float(np.max(np.abs(n[known])))
    bad = known & (np.abs(a - np.where(known, n, 0.0)) > 1e-4 * max(size, 1e-9))
    count = int(np.count_nonzero(bad))
    if not 0 < count <= 0.6 * known.sum():
        return ""
    places = np.argwhere(bad)
    looked = int(np.count_nonzero(known))
    of = f"{a.size}" if a.size <= MOST else f"the {looked} looked at of {a.size}"
    for dim in range(n.ndim):
        index = np.unique(places[:, dim])
        if len(index) == 1 and n.shape[dim] > 1:
            at = int(index[0])
            end = " (the last one: a tail?)" if at == n.shape[dim] - 1 else ""
            return f"wrong in a part: {count} of {of} elements, all at {at} of dim {dim}{end}"
    c = _factor(a[bad], n[bad]) if count > 1 else None
    more = f", there analytic = {c:.5g} x numeric" if c is not None else ""
    return f"wrong in a part: {count} of {of} elements{more}"
