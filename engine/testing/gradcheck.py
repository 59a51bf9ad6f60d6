"""gradcheck and gradgradcheck: gradients against finite differences in float64.

The derivative of the outputs along x_j is taken from both sides, d+ and d-. Where a function is
smooth they agree to O(eps) and their mean, the central difference, is compared. Where they keep
differing as the step shrinks there is a kink (relu at 0, a tie of max): there any value between d+
and d- is a subgradient and passes, and nothing else does.

Outputs are contracted with one random vector u, so that one backward pass tests every column of the
Jacobian: analytic J^T u, numeric sum_k u_k d_k. `full_jacobian` takes the outputs one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.backward import grad
from ..autograd.grad_mode import enable_grad
from ..dtype import float64
from ..tensor import Tensor

__all__ = ["GradcheckError", "GradcheckResult", "check_gradients", "gradcheck", "gradgradcheck"]

Array = np.ndarray[Any, Any]

#: Without `directions`: up to this many input elements are moved one by one, more along directions.
ELEMENTS_ONE_BY_ONE = 256
DIRECTIONS = 6
_MACHINE_EPSILON = float(np.finfo(np.float64).eps)
#: Sides that differ by more than this (relative to the slope) are looked at with a smaller step.
_SUSPICIOUS = 1e-4
_SHRINK = 16.0


class GradcheckError(RuntimeError):
    """A gradient that finite differences do not confirm."""


@dataclass(frozen=True)
class GradcheckResult:
    """What a check found.

    Attributes:
        passed: whether every derivative was within its tolerance.
        error: the largest difference, relative to max(|numeric|, 1); NaN if one was NaN.
        checked: how many derivatives were compared.
        kinks: how many of them were taken at a kink, where d+ and d- differ.
        message: for a failure, the worst element with its analytic and numeric value.
        slope: the order of the Taylor remainder along a random direction: 2 for a right gradient,
            1 for a wrong one; None where the function is linear.
    """

    passed: bool
    error: float
    checked: int
    kinks: int
    message: str = ""
    slope: float | None = None


@dataclass
class _Slope:
    """Bounds of the derivative of each output along one direction; equal where it is smooth."""

    low: Array
    high: Array
    noise: Array  # bound of what rounding adds
    kinks: int


class _Problem:
    """A function of the variables being checked, as float64 vectors in and out."""

    def __init__(
        self, func: Callable[..., Any], inputs: Sequence[Any], parameters: Sequence[Tensor]
    ) -> None:
        self.func = func
        self.inputs = tuple(inputs)
        self.wanted = [
            i for i, t in enumerate(self.inputs) if isinstance(t, Tensor) and t.requires_grad
        ]
        self.parameters = [p for p in parameters if p.requires_grad]
        self.variables = [self.inputs[i] for i in self.wanted] + self.parameters
        self.names = [f"input {i}" for i in self.wanted] + [
            f"parameter {i}" for i, p in enumerate(parameters) if p.requires_grad
        ]
        if not self.variables:
            raise ValueError(
                "gradcheck: at least one input must require a gradient (use .requires_grad_())"
            )
        for name, t in zip(self.names, self.variables, strict=True):
            if t.dtype is not float64:
                raise ValueError(
                    f"gradcheck: what requires a gradient must be float64; got {name} {t.dtype} "
                    "(use .double())"
                )
        self.shapes = [tuple(t.shape) for t in self.variables]
        self.sizes = [t.numel() for t in self.variables]
        self.x = np.concatenate(
            [np.array(t._host(), dtype=np.float64).reshape(-1) for t in self.variables]
        )

    def split(self, x: Array) -> list[Array]:
        """A vector as one array a variable."""
        parts = np.split(x, np.cumsum(self.sizes)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def locate(self, j: int) -> str:
        """Where element j of the vector is: `input 0 [1, 2]`."""
        for name, shape, size in zip(self.names, self.shapes, self.sizes, strict=True):
            if j < size:
                index = ", ".join(str(int(i)) for i in np.unravel_index(j, shape)) if shape else ""
                return f"{name} [{index}]"
            j -= size
        return "?"

    def call(self, tensors: Sequence[Any]) -> list[Tensor]:
        """The floating-point outputs of func on these inputs."""
        with enable_grad():
            result = self.func(*tensors)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        for t in outputs:
            if not isinstance(t, Tensor):
                raise ValueError(f"gradcheck: func must return tensors; got {type(t).__name__}")
        outputs = [t for t in outputs if t.dtype.is_floating_point]
        if not outputs:
            raise ValueError("gradcheck: func must return a floating-point tensor")
        return outputs

    def at(self, x: Array) -> Array:
        """The outputs at x, as one vector."""
        values = self.split(x)
        tensors = list(self.inputs)
        for i, value in zip(self.wanted, values, strict=False):
            here = tensors[i]._table().device
            t = Tensor._make(tensors[i]._table().transfer(np.array(value, order="C"), here))
            tensors[i] = t.requires_grad_()
        try:
            self._put(values[len(self.wanted) :])
            outputs = self.call(tensors)
            return np.concatenate(
                [np.array(t._host(), dtype=np.float64).reshape(-1) for t in outputs]
            )
        finally:
            self._put(self.split(self.x)[len(self.wanted) :])

    def _put(self, values: Sequence[Array]) -> None:
        for p, value in zip(self.parameters, values, strict=True):
            k = p._table()
            k.copy_into(p._data, k.transfer(np.array(value, order="C"), k.device))

    def gradient(self, weights: Sequence[Array]) -> list[Array]:
        """J^T u for each u of weights, on the inputs as they were given, strides included."""
        tensors = list(self.inputs)
        for i in self.wanted:
            tensors[i] = tensors[i].detach().requires_grad_()
        variables = [tensors[i] for i in self.wanted] + self.parameters
        outputs = self.call(tensors)
        sizes = [t.numel() for t in outputs]
        results = []
        for u in weights:
            roots, grads = [], []
            for t, part in zip(outputs, np.split(u, np.cumsum(sizes)[:-1]), strict=True):
                if t.requires_grad:
                    k = t._table()
                    value = part.reshape(tuple(t.shape)).astype(t._data.dtype)
                    roots.append(t)
                    grads.append(Tensor._make(k.transfer(np.array(value, order="C"), k.device)))
            found: Sequence[Any] = [None] * len(variables)
            if roots:
                found = grad(roots, variables, grads, retain_graph=True, allow_unused=True)
            parts = []
            for name, t, g in zip(self.names, variables, found, strict=True):
                if g is None:
                    parts.append(np.zeros(t.numel()))
                    continue
                if tuple(g.shape) != tuple(t.shape) or g.dtype is not t.dtype:
                    raise GradcheckError(
                        f"gradcheck: the gradient of {name} must have its shape and dtype "
                        f"{tuple(t.shape)} {t.dtype}; got {tuple(g.shape)} {g.dtype}"
                    )
                parts.append(np.array(g._host(), dtype=np.float64).reshape(-1))
            results.append(np.concatenate(parts))
        return results

    def slope(self, v: Array, y: Array, eps: float) -> _Slope:
        """The derivative of each output at x along v, from both sides."""
        low, high, noise = self._sides(v, y, eps)
        jump = high - low
        slope = np.maximum(np.abs(low), np.abs(high))
        suspicious = ~(jump <= _SUSPICIOUS * np.maximum(1.0, slope) + noise)
        middle = (low + high) / 2
        if not suspicious.any():
            return _Slope(middle, middle, noise, 0)
        fine_low, fine_high, fine_noise = self._sides(v, y, eps / _SHRINK)
        # Curvature's part of the jump shrinks with the step; a kink's stays.
        kink = suspicious & ~(fine_high - fine_low <= jump / 4 + fine_noise)
        smooth = suspicious & ~kink
        fine_middle = (fine_low + fine_high) / 2
        return _Slope(
            np.where(kink, fine_low, np.where(smooth, fine_middle, middle)),
            np.where(kink, fine_high, np.where(smooth, fine_middle, middle)),
            np.where(suspicious, fine_noise, noise),
            int(np.count_nonzero(kink)),
        )

    def _sides(self, v: Array, y: Array, eps: float) -> tuple[Array, Array, Array]:
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            forward = (self.at(self.x + eps * v) - y) / eps
            backward = (y - self.at(self.x - eps * v)) / eps
            # Rounding of f, and of x + eps * v, which moves f by its slope.
            slope = np.maximum(np.abs(forward), np.abs(backward))
            moved = np.max(np.abs(self.x), initial=0.0, where=v != 0)
            noise = 8 * _MACHINE_EPSILON * (np.abs(y) + slope * moved) / eps
        return np.minimum(forward, backward), np.maximum(forward, backward), noise


def check_gradients(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    nondet_tol: float = 0.0,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Tensor] = (),
    seed: int = 0,
) -> GradcheckResult:
    """As gradcheck, with the largest error and where it is, instead of a bool."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    problem = _Problem(func, inputs, tuple(parameters))
    rng = np.random.default_rng(seed)
    y = problem.at(problem.x)
    if not np.array_equal(problem.at(problem.x), y, equal_nan=True):
        return GradcheckResult(
            False,
            float("nan"),
            0,
            0,
            "gradcheck: func must give the same outputs for the same inputs; two calls differ "
            "(seed its random numbers inside func)",
        )
    if full_jacobian:
        weights = list(np.eye(y.size))
    else:
        weights = [rng.uniform(0.5, 1.5, y.size) * rng.choice([-1.0, 1.0], y.size)]
    analytic = problem.gradient(weights)
    for first, again in zip(analytic, problem.gradient(weights), strict=True):
        if not np.array_equal(first, again, equal_nan=True):
            difference = float(np.max(np.abs(first - again)))
            if not difference <= nondet_tol:
                return GradcheckResult(
                    False,
                    difference,
                    0,
                    0,
                    "gradcheck: backward must give the same gradient twice; two passes differ by "
                    f"{difference:.3g}",
                )
    run = _Run(problem, y, weights, analytic, eps, atol, rtol)
    if problem.x.size == 0:
        pass  # nothing can be wrong
    elif directions is None and (full_jacobian or problem.x.size <= ELEMENTS_ONE_BY_ONE):
        run.elements()
    else:
        for _ in range(DIRECTIONS if directions is None else directions):
            size = rng.uniform(0.5, 1.5, problem.x.size)
            run.direction(size * rng.choice([-1.0, 1.0], problem.x.size) * _scale(problem.x))
    return run.result(seed)


def _dot(a: Array, b: Array) -> float:
    with np.errstate(invalid="ignore", over="ignore"):
        return float(np.sum(a * b))


def _scale(x: Array) -> Array:
    return np.maximum(1.0, np.abs(x))


class _Run:
    """The comparisons of one check, and the worst of them."""

    def __init__(
        self,
        problem: _Problem,
        y: Array,
        weights: list[Array],
        analytic: list[Array],
        eps: float,
        atol: float,
        rtol: float,
    ) -> None:
        self.problem, self.y, self.weights, self.analytic = problem, y, weights, analytic
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.checked = self.kinks = self.wrong = 0
        self.error = 0.0
        self.worst = -1.0
        self.worst_text = ""

    def elements(self) -> None:
        """Moves the input elements one by one."""
        for j in range(self.problem.x.size):
            v = np.zeros(self.problem.x.size)
            v[j] = _scale(self.problem.x[j])
            slope = self.problem.slope(v, self.y, self.eps)
            self.kinks += bool(slope.kinks)
            for o, (u, g) in enumerate(zip(self.weights, self.analytic, strict=True)):
                outside, low, high, noise = self._outside(u, g[j] * v[j], slope)
                size = max(abs(low), abs(high))
                tolerance = self.atol * v[j] + self.rtol * size + noise
                bad = self._count(outside, size, tolerance)
                if bad > self.worst:
                    self.worst = bad
                    place = self.problem.locate(j)
                    if len(self.weights) > 1:
                        place += f" for output element {o}"
                    self.worst_text = self._text(
                        place, g[j], low / v[j], high / v[j], outside / v[j], tolerance / v[j]
                    )

    def direction(self, v: Array) -> None:
        """Moves all input elements together; a failure is then traced to an element."""
        slope = self.problem.slope(v, self.y, self.eps)
        self.kinks += bool(slope.kinks)
        u, g = self.weights[0], self.analytic[0]
        outside, low, high, noise = self._outside(u, _dot(g, v), slope)
        # A typical element's share: one wrong element among many is still seen.
        size = float(np.sqrt(np.mean(np.square(g * v))))
        tolerance = self.atol + self.rtol * size + noise
        bad = self._count(outside, size, tolerance)
        if bad > self.worst:
            self.worst = bad
            if bad > 1:
                self._trace(u, g, v, tolerance)

    def _trace(self, u: Array, g: Array, v: Array, tolerance: float) -> None:
        """Halves the direction, keeping the half that is more wrong, down to one element."""
        left, right = 0, v.size
        outside, low, high = 0.0, 0.0, 0.0
        while True:
            best, keep = -1.0, (left, right)
            middle = (left + right) // 2
            for a, b in ((left, middle), (middle, right)) if right - left > 1 else ((left, right),):
                part = np.zeros(v.size)
                part[a:b] = v[a:b]
                slope = self.problem.slope(part, self.y, self.eps)
                found = self._outside(u, _dot(g[a:b], v[a:b]), slope)
                off = np.inf if np.isnan(found[0]) else abs(found[0])
                if off > best:
                    best, outside, low, high = off, *found[:3]
                    keep = (a, b)
            left, right = keep
            if right - left == 1:
                break
        self.worst_text = self._text(
            self.problem.locate(left),
            g[left],
            low / v[left],
            high / v[left],
            outside / abs(v[left]),
            tolerance,
        )

    def _outside(
        self, u: Array, analytic: float, slope: _Slope
    ) -> tuple[float, float, float, float]:
        """How far the analytic value is from the interval that the sides span."""
        with np.errstate(invalid="ignore", over="ignore"):
            low = float(np.sum(np.minimum(u * slope.low, u * slope.high)))
            high = float(np.sum(np.maximum(u * slope.low, u * slope.high)))
            noise = float(np.sum(np.abs(u) * slope.noise))
            return (
                max(low - analytic, analytic - high, 0.0)
                if (analytic == analytic and low == low and high == high)
                else float("nan"),
                low,
                high,
                noise,
            )

    def _count(self, outside: float, size: float, tolerance: float) -> float:
        """Books one comparison; returns how many times its tolerance it is off."""
        self.checked += 1
        # As `not (x <= y)`, so that NaN is wrong.
        wrong = not (outside <= tolerance and tolerance < float("inf"))
        self.wrong += wrong
        relative = float(outside) / max(size, 1.0)
        self.error = max(self.error, relative) if relative == relative else float("nan")
        if not wrong:
            return min(outside / tolerance, 1.0) if tolerance > 0 else 0.0
        return (
            max(outside / tolerance, 1.0 + 1e-9)
            if 0 < tolerance and outside == outside
            else (float("inf"))
        )

    @staticmethod
    def _text(
        place: str, analytic: float, low: float, high: float, off: float, tolerance: float
    ) -> str:
        low, high = min(low, high), max(low, high)
        numeric = f"{low:.10g}" if low == high else f"between {low:.10g} and {high:.10g} (a kink)"
        return (
            f"worst at {place}: analytic {analytic:.10g}, numeric {numeric} "
            f"(off by {off:.3g}, tolerance {tolerance:.3g})"
        )

    def result(self, seed: int) -> GradcheckResult:
        message = ""
        if self.wrong:
            message = (
                f"gradcheck: analytic and numeric gradients must agree; {self.wrong} of "
                f"{self.checked} differ, {self.worst_text} (seed {seed})"
            )
        return GradcheckResult(not self.wrong, self.error, self.checked, self.kinks, message)


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Tensor] = (),
    seed: int = 0,
) -> bool:
    """Whether func's gradients agree with finite differences.

    Formula: J^T u against sum_k u_k (f_k(x + eps e_j) - f_k(x - eps e_j)) / (2 eps), u random

    Args:
        func: any callable on tensors (an op, a Module, a Function's apply), deterministic, that
            returns a tensor or a tuple of them.
        inputs: a tensor or a sequence; the float64 tensors that require a gradient are checked. At
            kinks (relu at 0, ties of max) any value between the one-sided derivatives passes.
        eps: step, relative to max(|x|, 1).
        atol, rtol: |analytic - numeric| must be at most atol + rtol * |numeric|, and rounding.
        raise_exception: raise instead of returning False.
        nondet_tol: how much two backward passes may differ.
        fast_mode: as PyTorch's; the same as directions=6.
        directions: check along this many random directions instead of element by element; None:
            only for more than 256 input elements.
        full_jacobian: check every output against every input, one backward pass an output.
        parameters: further leaves that func reads (a Module's parameters), checked too.
        seed: of u and of the directions.

    Returns:
        True if all derivatives agree.

    Raises:
        GradcheckError: if not, with the worst element, its index and both values.
        ValueError: nothing to check, or not in float64.

    PyTorch compares whole Jacobians and knows no kinks; full_jacobian=True compares as it does.
    """
    result = check_gradients(
        func,
        inputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        directions=DIRECTIONS if fast_mode and directions is None else directions,
        full_jacobian=full_jacobian,
        parameters=parameters,
        seed=seed,
    )
    if not result.passed and raise_exception:
        raise GradcheckError(result.message)
    return result.passed


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Tensor] = (),
    seed: int = 0,
) -> bool:
    """Whether func's second derivatives agree with finite differences of its gradients.

    The gradient is itself a function, of the inputs and of the outputs' gradients; gradcheck is
    run on it.

    Args:
        func, inputs: as gradcheck.
        grad_outputs: the outputs' gradients, float64; None: random ones.
        eps, atol, rtol, raise_exception, nondet_tol, fast_mode, directions, full_jacobian,
            parameters, seed: as gradcheck.

    Returns:
        True if all derivatives agree.

    Raises:
        GradcheckError: if not, with the worst element, its index and both values.
        ValueError: nothing to check, or not in float64.
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    problem = _Problem(func, inputs, tuple(parameters))
    rng = np.random.default_rng(seed + 1)
    if grad_outputs is None:
        with enable_grad():
            outputs = problem.call(problem.inputs)
        grad_outputs = []
        for t in outputs:
            value = rng.uniform(0.5, 1.5, tuple(t.shape)) * rng.choice([-1.0, 1.0], tuple(t.shape))
            k = t._table()
            grad_outputs.append(Tensor._make(k.transfer(np.array(value), k.device)))
    grad_outputs = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    grad_outputs = [t.detach().requires_grad_() for t in grad_outputs]
    count = len(problem.inputs)
    variables = problem.parameters

    def gradient(*args: Any) -> tuple[Tensor, ...]:
        tensors, weights = args[:count], args[count:]
        outputs = problem.call(tensors)
        pairs = [(t, u) for t, u in zip(outputs, weights, strict=True) if t.requires_grad]
        if not pairs:
            raise ValueError("gradgradcheck: no output of func requires a gradient")
        wanted = [tensors[i] for i in problem.wanted] + variables
        grads = grad(
            [t for t, _ in pairs],
            wanted,
            [u for _, u in pairs],
            create_graph=True,
            allow_unused=True,
        )
        found = tuple(g for g in grads if g is not None)
        if not found:
            raise ValueError("gradgradcheck: func does not depend on what requires a gradient")
        return found

    return gradcheck(
        gradient,
        (*problem.inputs, *grad_outputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        fast_mode=fast_mode,
        directions=directions,
        full_jacobian=full_jacobian,
        parameters=parameters,
        seed=seed,
    )
