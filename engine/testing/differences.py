"""A function as vectors in and out, and its derivatives by differences: one-sided, and Taylor's.

Of each output the derivative along a direction is taken from both sides. Where a function is smooth
they agree to O(eps) and their mean, the central difference, is what is compared. Where they keep
differing as the step shrinks there is a kink (relu at 0, a tie of max): there any value between the
two is a subgradient and passes, and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .adapters import Adapter, Back

__all__ = ["Problem", "Slope", "scale", "taylor"]

Array = np.ndarray[Any, Any]

MACHINE_EPSILON = float(np.finfo(np.float64).eps)
#: Sides that differ by more than this (relative to the slope) are looked at with a smaller step.
_SUSPICIOUS = 1e-4
_SHRINK = 16.0
#: Slopes above this are looked at with a smaller step too: a jump has one that looks smooth.
_STEEP = 1e3
#: Steps of the Taylor remainder: from the first, each a quarter of the one before.
_FIRST_STEP, _STEPS, _MOST_STEPS = 2.0**-6, 5, 10


def scale(x: Array) -> Array:
    """What a step is relative to."""
    return np.maximum(1.0, np.abs(x))


@dataclass
class Slope:
    """Bounds of the derivative of each output along one direction; equal where it is smooth.

    Infinite where the output jumps: there every gradient passes.
    """

    low: Array
    high: Array
    noise: Array  # bound of what rounding adds
    kinked: Array  # which outputs have a kink here

    @property
    def kinks(self) -> int:
        """How many outputs have a kink."""
        return int(np.count_nonzero(self.kinked))


class Problem:
    """A function of the variables being checked, as float64 vectors in and out."""

    def __init__(
        self,
        adapter: Adapter,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        parameters: Sequence[Any] = (),
        argnums: Sequence[int] | None = None,
    ) -> None:
        self.adapter = adapter
        self.func = func
        self.inputs = tuple(inputs)
        chosen = range(len(self.inputs)) if argnums is None else argnums
        self.wanted = [
            i for i in chosen if adapter.owns(self.inputs[i]) and adapter.wanted(self.inputs[i])
        ]
        self.parameters = [p for p in parameters if adapter.wanted(p)]
        self.variables = [self.inputs[i] for i in self.wanted] + self.parameters
        self.names = [f"input {i}" for i in self.wanted] + [
            f"parameter {i}" for i, p in enumerate(parameters) if adapter.wanted(p)
        ]
        if not self.variables:
            raise ValueError(
                "gradcheck: at least one input must require a gradient (use .requires_grad_())"
            )
        self.shapes = [tuple(t.shape) for t in self.variables]
        self.sizes = [math.prod(s) for s in self.shapes]
        self.x = self._join([adapter.to_numpy(t) for t in self.variables])

    def narrow(self) -> list[str]:
        """The dtypes of the variables that are not float64."""
        found = {self.adapter.dtype(t) for t in self.variables} - {"float64"}
        return sorted(found)

    def widened(self) -> list[Any]:
        """The inputs with the variables, and what else is floating-point, in float64."""
        made = []
        for value in self.inputs:
            if self.adapter.owns(value):
                array = self.adapter.to_numpy(value)
                if array.dtype == np.float64:
                    value = self.adapter.make(array, value, "float64")
            made.append(value)
        return made

    def _join(self, arrays: Sequence[Array]) -> Array:
        parts = [np.asarray(a, dtype=np.float64).reshape(-1) for a in arrays]
        return np.concatenate(parts) if parts else np.zeros(0)

    def split(self, x: Array) -> list[Array]:
        """A vector as one array a variable."""
        parts = np.split(x, np.cumsum(self.sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def position(self, j: int) -> tuple[int, tuple[int, ...]]:
        """(which variable, index in it) of element j of the vector."""
        for i, (shape, size) in enumerate(zip(self.shapes, self.sizes, strict=True)):
            if j < size:
                return i, tuple(int(k) for k in np.unravel_index(j, shape)) if shape else ()
            j -= size
        raise IndexError(j)

    def locate(self, j: int) -> str:
        """Where element j of the vector is: `input 0 [1, 2]`."""
        i, index = self.position(j)
        return f"{self.names[i]} [{', '.join(map(str, index))}]"

    def inputs_at(self, x: Array) -> list[Any]:
        """The inputs with other values, contiguous."""
        values = self.split(x)
        arrays = list(self.inputs)
        for i, value in zip(self.wanted, values, strict=False):
            arrays[i] = self.adapter.make(np.array(value, order="C"), self.inputs[i])
        return arrays

    def at(self, x: Array) -> Array:
        """The outputs at x, as one vector."""
        inputs = self.inputs_at(x)
        try:
            self._put(self.split(x))
            return self._join(
                [self.adapter.to_numpy(t) for t in self.adapter.outputs(self.func, inputs)]
            )
        finally:
            self._put(self.split(self.x))

    def _put(self, values: Sequence[Array]) -> None:
        for p, value in zip(self.parameters, values[len(self.wanted) :], strict=True):
            self.adapter.put(p, value)

    def pullback(self, inputs: Sequence[Any] | None = None) -> tuple[list[Any], Back]:
        """The outputs on these inputs (or those given, strides included) and the way back."""
        given = self.inputs if inputs is None else inputs
        return self.adapter.pullback(self.func, given, self.wanted, self.parameters)

    def vector(self, found: Sequence[Array | None]) -> Array:
        """Gradients as one vector; what nothing came to is zero."""
        return self._join(
            [np.zeros(size) if g is None else g for g, size in zip(found, self.sizes, strict=True)]
        )

    def weights(self, outputs: Sequence[Any], u: Array) -> list[Array]:
        """A vector as one array an output."""
        shapes = [tuple(t.shape) for t in outputs]
        parts = np.split(u, np.cumsum([math.prod(s) for s in shapes])[:-1])
        return [np.array(p.reshape(s), order="C") for p, s in zip(parts, shapes, strict=True)]

    def gradient(self, weights: Sequence[Array]) -> list[Array]:
        """J^T u for each u of weights, on the inputs as they were given."""
        outputs, back = self.pullback()
        return [self.vector(back(self.weights(outputs, u))) for u in weights]

    # ---- differences ----

    def slope(self, v: Array, y: Array, eps: float) -> Slope:
        """The derivative of each output at x along v, from both sides."""
        low, high, noise = self._sides(v, y, eps)
        jump = high - low
        slope = np.maximum(np.abs(low), np.abs(high))
        suspicious = ~(jump <= _SUSPICIOUS * np.maximum(1.0, slope) + noise)
        suspicious |= slope > _STEEP * np.maximum(1.0, np.abs(y))
        middle = (low + high) / 2
        if not suspicious.any():
            return Slope(middle, middle, noise, suspicious)
        fine_low, fine_high, fine_noise = self._sides(v, y, eps / _SHRINK)
        # Curvature's part of the jump shrinks with the step; a kink's stays.
        kink = suspicious & ~(fine_high - fine_low <= jump / 4 + fine_noise)
        with np.errstate(invalid="ignore"):
            fine_slope = np.maximum(np.abs(fine_low), np.abs(fine_high))
            # A jump's difference quotient grows as the step shrinks: no derivative to speak of.
            broken = suspicious & (fine_slope > 8 * slope) & np.isfinite(fine_slope)
        broken &= slope * eps > 1e-6 * np.maximum(1.0, np.abs(y))
        kink |= broken
        smooth = suspicious & ~kink
        fine_low, fine_high = (
            np.where(broken, -np.inf, fine_low),
            np.where(broken, np.inf, fine_high),
        )
        with np.errstate(invalid="ignore"):
            fine_middle = np.where(broken, 0.0, (fine_low + fine_high) / 2)
        return Slope(
            np.where(kink, fine_low, np.where(smooth, fine_middle, middle)),
            np.where(kink, fine_high, np.where(smooth, fine_middle, middle)),
            np.where(suspicious, fine_noise, noise),
            kink,
        )

    def _sides(self, v: Array, y: Array, eps: float) -> tuple[Array, Array, Array]:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            forward = (self.at(self.x + eps * v) - y) / eps
            backward = (y - self.at(self.x - eps * v)) / eps
            # Rounding of f, and of x + eps * v, which moves f by its slope.
            slope = np.maximum(np.abs(forward), np.abs(backward))
            moved = np.max(np.abs(self.x), initial=0.0, where=v != 0)
            noise = 8 * MACHINE_EPSILON * (np.abs(y) + slope * moved) / eps
        return np.minimum(forward, backward), np.maximum(forward, backward), noise


def dot(a: Array, b: Array) -> float:
    """Their sum of products, quiet about infinities."""
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sum(a * b))


@dataclass(frozen=True)
class Taylor:
    """The Taylor remainder along a direction.

    Attributes:
        slope: its order, log R(h) / log h at the smallest steps above rounding; None: no remainder
            is above rounding, or it vanishes from one step to the next: the function is linear.
        last: R(h) / h at the smallest step that was looked at.
    """

    slope: float | None
    last: float


def taylor(problem: Problem, y: Array, u: Array, analytic: Array, v: Array) -> Taylor:
    """The order of R(h) = |u . f(x + h v) - u . f(x) - h g . v| in h.

    With the right gradient g it is h^2 times the curvature (order 2), or less; with a wrong one
    h times the error (order 1). Steps go on shrinking while the order looks wrong: a kink or a
    jump that the first steps crossed is left behind.
    """
    expected = dot(analytic, v)
    size = dot(np.abs(u), np.abs(np.where(np.isfinite(y), y, 0.0))) + abs(expected)
    reach = float(np.max(np.abs(problem.x), initial=0.0))
    # Where y and g . v are zero, x + h v was still rounded, and so may be what f makes of it.
    inner = (dot(np.abs(u), np.ones(u.size)) + abs(expected)) * reach
    noise = 16 * MACHINE_EPSILON * (size + inner) + 1e-300
    slope: float | None = None
    before = math.nan
    h, last = _FIRST_STEP, 0.0
    for step in range(_MOST_STEPS):
        if step >= _STEPS and (slope is None or slope >= 1.5):
            break
        with np.errstate(all="ignore"):
            remainder = abs(dot(u, problem.at(problem.x + h * v) - y) - h * expected)
        if before > 4 * noise and remainder == remainder:
            # Below rounding only a bound of the order is known: it counts where it is enough.
            if remainder >= noise:
                slope = math.log(before / remainder, 4)
            elif before >= 64 * noise:
                slope = None  # it vanishes at once: linear behind a kink that a step crossed
            elif before >= 16 * noise:
                slope = math.log(before / noise, 4)
        if remainder == remainder:
            before, last = remainder, remainder / h
        if remainder <= noise:
            last = 0.0
            break
        h /= 4
    return Taylor(slope, last)
