"""gradcheck and gradgradcheck: gradients against differences, and what is wrong with a wrong one.

Outputs are contracted with one random vector u, so that one backward pass tests every column of the
Jacobian: analytic J^T u, numeric sum_k u_k d_k. `fast_mode=False` takes the outputs one by one.
docs/testing.md has the mathematics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .adapters import Adapter, GradientShapeError, adapter_of
from .diagnosis import Evidence, diagnose
from .differences import Problem, Slope, dot, scale, taylor
from .safety import unsafe

__all__ = ["GradcheckError", "GradcheckResult", "check_gradients", "gradcheck", "gradgradcheck"]

Array = np.ndarray[Any, Any]

#: Without `directions`: up to this many input elements are moved one by one, more along directions.
ELEMENTS_ONE_BY_ONE = 256
DIRECTIONS = 6
#: A direction that meets kinks is halved this often, to part them from what is smooth.
SPLITS = 32
#: A right gradient has order 2.
LEAST_ORDER = 1.5


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
            1 for a wrong one; None where the function is linear nearby, or at a kink.
        diagnosis: for a failure, what kind of fault it looks like: wrong scale with the factor,
            wrong sign, transposed, missing term, stale saved tensor, not contiguous-safe, ...
        worst: for a failure, the worst element: "variable" ("input 0"), "index", "analytic",
            "numeric" (its bounds, equal but at a kink). Where elements at ties are wrong only
            together: the first of them, with the values along the direction.
        ulp: of a gradient in float32 or narrower, its largest error in ULP against float64.
    """

    passed: bool
    error: float
    checked: int
    kinks: int
    message: str = ""
    slope: float | None = None
    diagnosis: str = ""
    worst: dict[str, Any] = field(default_factory=dict)
    ulp: float | None = None


def check_gradients(
    func: Callable[..., Any],
    inputs: Any,
    *,
    vjp: Callable[..., Any] | None = None,
    oracle: Callable[..., Any] | None = None,
    terms: int | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    nondet_tol: float = 0.0,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Any] = (),
    argnums: Sequence[int] | None = None,
    check_safety: bool = True,
    check_layouts: bool = True,
    adapter: Adapter | None = None,
    seed: int = 0,
) -> GradcheckResult:
    """As gradcheck, with the largest error and where it is, instead of a bool."""
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    chosen = adapter_of(inputs, vjp) if adapter is None else adapter
    problem = Problem(chosen, func, inputs, tuple(parameters), argnums)
    rng = np.random.default_rng(seed)
    if problem.narrow() or oracle is not None:
        from .narrow import against_float64

        def again(wide: Any, given: Any, own: Adapter) -> GradcheckResult:
            return check_gradients(
                wide, given, adapter=own, eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol,
                directions=directions, argnums=argnums, check_safety=False, seed=seed,
            )  # fmt: skip

        return GradcheckResult(
            **against_float64(problem, oracle, terms, nondet_tol, check_safety, again, seed)
        )
    y = problem.at(problem.x)
    if not np.array_equal(problem.at(problem.x), y, equal_nan=True):
        return _failed(
            "gradcheck: func must give the same outputs for the same inputs; two calls differ "
            "(seed its random numbers inside func)",
            "not repeatable",
        )
    if full_jacobian:
        weights = list(np.eye(y.size))
    else:
        weights = [rng.uniform(0.5, 1.5, y.size) * rng.choice([-1.0, 1.0], y.size)]
    try:
        analytic = problem.gradient(weights)
    except GradientShapeError as error:
        raise GradcheckError(str(error)) from None
    for first, again_ in zip(analytic, problem.gradient(weights), strict=True):
        if not np.array_equal(first, again_, equal_nan=True):
            difference = float(np.max(np.abs(first - again_)))
            if not difference <= nondet_tol:
                return _failed(
                    "gradcheck: backward must give the same gradient twice; two passes differ by "
                    f"{difference:.3g}",
                    "not repeatable",
                    difference,
                )
    run = _Run(problem, y, weights, analytic, eps, atol, rtol)
    if problem.x.size == 0:
        return run.result(seed)  # nothing can be wrong
    if directions is None and (full_jacobian or problem.x.size <= ELEMENTS_ONE_BY_ONE):
        run.elements()
        # At a kink every element by itself may be a subgradient, and all of them together none.
        for _ in range(2 if run.kinks and not full_jacobian else 0):
            run.all_together(rng.uniform(0.5, 1.5, problem.x.size))
    else:
        for _ in range(DIRECTIONS if directions is None else directions):
            size = rng.uniform(0.5, 1.5, problem.x.size)
            run.direction(size * rng.choice([-1.0, 1.0], problem.x.size) * scale(problem.x))
    if not full_jacobian:
        run.remainder(np.random.default_rng(seed + 1))
    if check_safety and not run.wrong and y.size:
        run.safety(check_layouts, nondet_tol, np.random.default_rng(seed + 2))
    return run.result(seed)


def _failed(message: str, diagnosis: str, error: float = float("nan")) -> GradcheckResult:
    return GradcheckResult(False, error, 0, 0, message, diagnosis=diagnosis)


class _Run:
    """The comparisons of one check, and the worst of them."""

    def __init__(
        self,
        problem: Problem,
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
        self.worst_text = self.unsafe_text = self.diagnosis = ""
        self.worst_at: dict[str, Any] = {}
        self.together = False  # whether no element is wrong alone
        self.place = (0, 0)  # of the worst: which weights, which element
        self.slope: float | None = None

    def elements(self) -> None:
        """Moves the input elements one by one."""
        for j in range(self.problem.x.size):
            v = np.zeros(self.problem.x.size)
            v[j] = scale(self.problem.x[j])
            slope = self.problem.slope(v, self.y, self.eps)
            self.kinks += bool(slope.kinks)
            for o, (u, g) in enumerate(zip(self.weights, self.analytic, strict=True)):
                outside, low, high, noise = self._outside(u, g[j] * v[j], slope)
                size = max(abs(low), abs(high))
                tolerance = self.atol * v[j] + self.rtol * size + noise
                bad = self._count(outside, size, tolerance)
                if bad > self.worst:
                    self.worst = bad
                    self._book(o, j, low / v[j], high / v[j], outside / v[j], tolerance / v[j])

    def direction(self, v: Array) -> None:
        """Moves all input elements together; a failure is then traced to an element."""
        slope = self.problem.slope(v, self.y, self.eps)
        u, g = self.weights[0], self.analytic[0]
        if not slope.kinks:
            self._compare(u, g, v, slope)
            return
        # Behind the interval that a kink allows, nothing that is smooth may hide: outputs without
        # a kink are compared by themselves, and so are the parts of the direction that meet none.
        self.kinks += 1
        self._compare(u, g, v, slope)
        smooth = np.where(slope.kinked, 0.0, u)
        part = self.problem.gradient([smooth])[0]
        self._compare(smooth, part, v, slope)
        self._halve(u - smooth, g - part, v, 0, v.size, [SPLITS])

    def all_together(self, v: Array) -> None:
        """Moves all input elements; the interval at their kinks must hold the gradient."""
        v = v * scale(self.problem.x)
        self._compare(self.weights[0], self.analytic[0], v, self.problem.slope(v, self.y, self.eps))

    def _halve(self, u: Array, g: Array, v: Array, a: int, b: int, left: list[int]) -> None:
        middle = (a + b) // 2
        for begin, end in ((a, middle), (middle, b)) if b - a > 1 else ():
            left[0] -= 1
            part = np.zeros(v.size)
            part[begin:end] = v[begin:end]
            slope = self.problem.slope(part, self.y, self.eps)
            self._compare(u, g, part, slope)
            if slope.kinks and left[0] > 0:
                self._halve(u, g, v, begin, end, left)

    def _compare(self, u: Array, g: Array, v: Array, slope: Slope) -> None:
        outside, low, high, noise = self._outside(u, dot(g, v), slope)
        # A typical element's share: one wrong element among many is still seen.
        moving = v != 0
        size = float(np.sqrt(np.mean(np.square((g * v)[moving])))) if moving.any() else 0.0
        tolerance = self.atol + self.rtol * size + noise
        bad = self._count(outside, size, tolerance)
        if bad > self.worst:
            self.worst = bad
            if bad > 1:
                self._trace(u, g, v, tolerance, bool(slope.kinks))

    def _trace(self, u: Array, g: Array, v: Array, tolerance: float, kinks: bool) -> None:
        """Halves the direction, keeping the half that is more wrong, down to one element."""
        left, right = 0, v.size
        outside, low, high = 0.0, 0.0, 0.0
        whole = (0, v.size, *self._outside(u, dot(g, v), self.problem.slope(v, self.y, self.eps)))
        while True:
            best, keep = -1.0, (left, right)
            middle = (left + right) // 2
            for a, b in ((left, middle), (middle, right)) if right - left > 1 else ((left, right),):
                part = np.zeros(v.size)
                part[a:b] = v[a:b]
                if not part.any():
                    continue
                slope = self.problem.slope(part, self.y, self.eps)
                found = self._outside(u, dot(g[a:b], v[a:b]), slope)
                off = np.inf if np.isnan(found[0]) else abs(found[0])
                if off > best:
                    best, outside, low, high = off, *found[:3]
                    keep = (a, b)
            left, right = keep
            if best > tolerance:
                whole = (left, right, outside, low, high, 0.0)
            if right - left == 1:
                break
        if kinks and not best > tolerance:
            self._book_together(g, v, whole, tolerance)
            return
        step = v[left]
        self._book(0, left, low / step, high / step, outside / abs(step), tolerance)

    def _outside(
        self, u: Array, analytic: float, slope: Slope
    ) -> tuple[float, float, float, float]:
        """How far the analytic value is from the interval that the sides span."""
        with np.errstate(invalid="ignore", over="ignore"):
            sides = [np.where(u == 0, 0.0, u * side) for side in (slope.low, slope.high)]
            low, high = float(np.sum(np.minimum(*sides))), float(np.sum(np.maximum(*sides)))
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
        if size == np.inf and outside == 0:
            return 0.0  # a jump
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

    def _book_together(
        self, g: Array, v: Array, whole: tuple[int, int, float, float, float, float], off: float
    ) -> None:
        """No element is wrong by itself: the fewest that are wrong together, moved along v."""
        left, right, outside, low, high, _ = whole
        analytic = dot(g[left:right], v[left:right])
        variable, index = self.problem.position(left)
        self.place, self.together = (0, left), True
        self.worst_at = {
            "variable": self.problem.names[variable],
            "index": index,
            "analytic": analytic,
            "numeric": (low, high),
        }
        self.worst_text = (
            f"worst from {self.problem.locate(left)} to {self.problem.locate(right - 1)}, moved "
            f"together: analytic {analytic:.10g}, numeric between {low:.10g} and {high:.10g} "
            f"(off by {outside:.3g}, tolerance {off:.3g})"
        )

    def _book(self, o: int, j: int, low: float, high: float, off: float, tolerance: float) -> None:
        """The worst element so far: element j, weights o."""
        analytic = float(self.analytic[o][j])
        place = self.problem.locate(j)
        if len(self.weights) > 1:
            place += f" for output element {o}"
        low, high = min(low, high), max(low, high)
        numeric = f"{low:.10g}" if low == high else f"between {low:.10g} and {high:.10g} (a kink)"
        self.place, self.together = (o, j), False
        variable, index = self.problem.position(j)
        self.worst_at = {
            "variable": self.problem.names[variable],
            "index": index,
            "analytic": analytic,
            "numeric": (low, high),
        }
        self.worst_text = (
            f"worst at {place}: analytic {analytic:.10g}, numeric {numeric} "
            f"(off by {off:.3g}, tolerance {tolerance:.3g})"
        )

    def remainder(self, rng: np.random.Generator) -> None:
        """The order of the Taylor remainder along one direction."""
        u, g = self.weights[0], self.analytic[0]
        if self.kinks or not np.isfinite(g).all() or not self.y.size:
            return
        size = self.problem.x.size
        v = rng.uniform(0.5, 1.5, size) * rng.choice([-1.0, 1.0], size) / np.sqrt(size)
        found = taylor(self.problem, self.y, u, g, v)
        self.slope = found.slope
        if self.wrong or found.slope is None or found.slope >= LEAST_ORDER:
            return
        if found.last > 10 * (self.atol + self.rtol * abs(dot(g, v))):
            self.wrong += 1
            self.diagnosis = f"the Taylor remainder is of order {found.slope:.2f}, not 2"
            self.unsafe_text = f"along a random direction it is {found.last:.3g} per unit step"

    def safety(self, layouts: bool, nondet_tol: float, rng: np.random.Generator) -> None:
        """The same gradient when other calls come between, and for every layout."""
        found = unsafe(
            self.problem,
            self.y,
            self.weights[0],
            self.analytic[0],
            layouts=layouts,
            tolerance=nondet_tol,
            atol=self.atol,
            rtol=self.rtol,
            rng=rng,
        )
        if found is not None:
            self.wrong += 1
            self.diagnosis, self.unsafe_text = found

    def result(self, seed: int) -> GradcheckResult:
        """All of it; what is wrong is looked at once more, for its kind."""
        message = ""
        if self.wrong and self.unsafe_text:
            message = f"gradcheck: {self.diagnosis}: {self.unsafe_text} (seed {seed})"
        elif self.wrong:
            o, j = self.place
            evidence = Evidence(
                self.problem,
                self.y,
                self.weights[o],
                self.analytic[o],
                (variable := self.problem.position(j)[0]),
                self.eps,
                j - sum(self.problem.sizes[:variable]),
                self.together,
            )
            self.diagnosis = diagnose(evidence, np.random.default_rng(seed + 3))
            message = (
                f"gradcheck: analytic and numeric gradients must agree; {self.wrong} of "
                f"{self.checked} differ, {self.worst_text}; {self.diagnosis} (seed {seed})"
            )
        return GradcheckResult(
            not self.wrong,
            self.error,
            self.checked,
            self.kinks,
            message,
            self.slope,
            self.diagnosis,
            self.worst_at if self.wrong else {},
        )


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    vjp: Callable[..., Any] | None = None,
    oracle: Callable[..., Any] | None = None,
    terms: int | None = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool | None = None,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Any] = (),
    argnums: Sequence[int] | None = None,
    check_safety: bool = True,
    check_layouts: bool = True,
    adapter: Adapter | None = None,
    seed: int = 0,
) -> bool:
    """Whether func's gradients agree with finite differences.

    Formula: J^T u against sum_k u_k (f_k(x + eps e_j) - f_k(x - eps e_j)) / (2 eps), u random

    Args:
        func: any callable on arrays, deterministic, that returns one or a tuple of them: an op, a
            Module, a Function's apply; a function of PyTorch's tensors or JAX's arrays; a function
            of NumPy arrays that has a `vjp` method (see gradsmith.backend), or with vjp=.
        inputs: one or a sequence; float64 tensors that require a gradient are checked (of NumPy
            and JAX: every floating-point array). At kinks (relu at 0, ties of max) any value
            between the one-sided derivatives passes. float32, float16 and bfloat16 inputs: see
            oracle.
        vjp: for NumPy arrays, vjp(grad_y, *inputs) -> the gradient of each input.
        oracle: for inputs narrower than float64, or a func that computes in less: the function in
            float64, which outputs and gradient are compared with; None: func itself on float64
            inputs. The bound is (8 + 4 sqrt(terms)) u max(|gradient|, |grad_y|), u the unit
            roundoff of the dtype.
        terms: the most terms that an element of the gradient sums; None: as many outputs as an
            input element changes, or inputs as an output element depends on, at a few elements.
        eps: step, relative to max(|x|, 1).
        atol, rtol: |analytic - numeric| must be at most atol + rtol * |numeric|, and rounding.
        raise_exception: raise instead of returning False.
        nondet_tol: how much two backward passes may differ.
        fast_mode: as PyTorch's. True: along 6 random directions; False: every output against every
            input; None: element by element, with the outputs contracted by u.
        directions: check along this many random directions instead of element by element; None:
            only for more than 256 input elements.
        full_jacobian: the same as fast_mode=False.
        parameters: further leaves that func reads (a Module's parameters), checked too.
        argnums: which inputs to check; None: all that can be.
        check_safety: whether another call between forward and backward, and other inputs, must
            leave the gradient right (what a stale saved tensor does not), and outputs that nothing
            comes for (PyTorch's check_undefined_grad).
        check_layouts: whether inputs and gradients with other strides must give the same.
        adapter: for arrays of another framework, an object with `Adapter`'s methods.
        seed: of u and of the directions.

    Returns:
        True if all derivatives agree.

    Raises:
        GradcheckError: if not, with the worst element, its index, both values and what kind of
            fault it looks like.
        ValueError: nothing to check.

    PyTorch compares whole Jacobians and knows no kinks; fast_mode=False compares as it does.
    """
    result = check_gradients(
        func,
        inputs,
        vjp=vjp,
        oracle=oracle,
        terms=terms,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        directions=DIRECTIONS if fast_mode and directions is None else directions,
        full_jacobian=full_jacobian or fast_mode is False,
        parameters=parameters,
        argnums=argnums,
        check_safety=check_safety,
        check_layouts=check_layouts,
        adapter=adapter,
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
    fast_mode: bool | None = None,
    directions: int | None = None,
    full_jacobian: bool = False,
    parameters: Sequence[Any] = (),
    argnums: Sequence[int] | None = None,
    check_safety: bool = True,
    check_layouts: bool = True,
    adapter: Adapter | None = None,
    seed: int = 0,
) -> bool:
    """Whether func's second derivatives agree with finite differences of its gradients.

    The gradient is itself a function, of the inputs and of the outputs' gradients; gradcheck is
    run on it.

    Args:
        func, inputs: as gradcheck, in float64; NumPy's arrays record nothing to differentiate.
        grad_outputs: the outputs' gradients, float64; None: random ones.
        eps, atol, rtol, raise_exception, nondet_tol, fast_mode, directions, full_jacobian,
            parameters, argnums, check_safety, check_layouts, adapter, seed: as gradcheck.

    Returns:
        True if all derivatives agree.

    Raises:
        GradcheckError: if not, with the worst element, its index and both values.
        ValueError: nothing to check, or not in float64.
    """
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    chosen = adapter_of(inputs) if adapter is None else adapter
    problem = Problem(chosen, func, inputs, tuple(parameters), argnums)
    if problem.narrow():
        raise ValueError(
            f"gradgradcheck: what requires a gradient must be float64; got "
            f"{', '.join(problem.narrow())} (use .double())"
        )
    outputs = chosen.outputs(func, problem.inputs)
    rng = np.random.default_rng(seed + 1)
    if grad_outputs is None:
        shapes = [tuple(t.shape) for t in outputs]
        values = [rng.uniform(0.5, 1.5, s) * rng.choice([-1.0, 1.0], s) for s in shapes]
    else:
        given = grad_outputs if isinstance(grad_outputs, (tuple, list)) else [grad_outputs]
        values = [chosen.to_numpy(t) for t in given]
    # On each output's device, requiring a gradient where the output does.
    made = [chosen.make(np.array(v), t) for v, t in zip(values, outputs, strict=True)]
    gradient = chosen.gradient_function(
        func, len(problem.inputs), problem.wanted, problem.parameters
    )
    count = len(problem.inputs)
    numbers = [*problem.wanted, *range(count, count + len(made))]
    return gradcheck(
        gradient,
        (*problem.inputs, *made),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        fast_mode=fast_mode,
        directions=directions,
        full_jacobian=full_jacobian,
        parameters=parameters,
        argnums=numbers,
        check_safety=check_safety,
        check_layouts=check_layouts,
        adapter=adapter,
        seed=seed,
    )
