"""L-BFGS: steps by an estimate of the curvature, from the last gradients; with a line search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..autograd.grad_mode import enable_grad, no_grad
from ..ops.view import cat
from ..tensor import Tensor
from .optimizer import Optimizer

__all__ = ["LBFGS"]


class _Point(NamedTuple):
    """A place on the line that is searched: how far, and the loss, gradient and slope there."""

    t: float
    loss: float
    grad: Any
    slope: float


def _dot(a: Any, b: Any) -> float:
    return float(a.dot(b))


def _largest(x: Any) -> float:
    return float(x.abs().max()) if x.numel() else 0.0


def _cubic_minimum(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where the cubic through two points and slopes is least, held in [low, high].

    Source: Nocedal & Wright 2006, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    apart = b.t - a.t
    if not apart:
        return (low + high) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    divisor = b.slope - a.slope + 2 * d2
    if not divisor:
        return (low + high) / 2
    return min(max(b.t - apart * ((b.slope + d2 - d1) / divisor), low), high)


def _strong_wolfe(
    at: Callable[[float], _Point], start: _Point, t: float, length: float, least: float
) -> tuple[_Point, int]:
    """A point where the loss has fallen enough and the slope is flat enough; and how many tries.

    Args:
        at: the point at a distance.
        start: the point at 0.
        t: the first distance to try.
        length: the largest magnitude of the direction's elements.
        least: how near two points of a bracket may come, times length.

    Source: Nocedal & Wright 2006, algorithms 3.5 and 3.6.
    """
    c1, c2, tries = 1e-4, 0.9, 25

    def too_high(p: _Point) -> bool:
        return p.loss > start.loss + c1 * p.t * start.slope

    def flat(p: _Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    # A bracket: the minimum lies between two points.
    before, here = start, at(t)
    count = 1
    for i in range(tries):
        if too_high(here) or (i > 1 and here.loss >= before.loss):
            break
        if flat(here):
            return here, count
        if here.slope >= 0:
            break
        near, far = here.t + 0.01 * (here.t - before.t), here.t * 10
        t = _cubic_minimum(before, here, near, far)
        before, here = here, at(t)
        count += 1
    else:
        before = start
        i = tries
    # The bracket shrinks: `best` is the end whose loss is less.
    best, other = (before, here) if before.loss <= here.loss else (here, before)
    stalled = False
    while i < tries:
        low, high = sorted((best.t, other.t))
        if (high - low) * length < least:
            break
        t = _cubic_minimum(best, other, low, high)
        margin = 0.1 * (high - low)
        if min(high - t, t - low) < margin:  # too near an end: a second time it is moved away
            if stalled or t >= high or t <= low:
                t = high - margin if abs(t - high) < abs(t - low) else low + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        here = at(t)
        count += 1
        i += 1
        if too_high(here) or here.loss >= best.loss:
            other = here
            if other.loss < best.loss:
                best, other = other, best
        else:
            if flat(here):
                return here, count
            if here.slope * (other.t - best.t) >= 0:
                other = best
            best = here
    return best, count


class LBFGS(Optimizer):
    """L-BFGS: a quasi-Newton method with a limited memory of past steps.

    Formula: p = p - t H g, H the estimate of the inverse of the second derivatives by the last
    history_size pairs (step, change of the gradient)

    Args:
        params: the tensors to optimise: one group.
        lr: the length of a step, or the line search's first try.
        max_iter: iterations a step.
        max_eval: evaluations of the closure a step; default: max_iter * 1.25.
        tolerance_grad: ends the step when no element of the gradient is larger.
        tolerance_change: ends it when the parameters or the loss change by less.
        history_size: how many pairs are kept.
        line_search_fn: None or "strong_wolfe".

    step() needs a closure that computes the loss and its gradients anew; it is called many times.
    It is the one optimizer whose step is not one fused kernel call: all parameters are handled as
    one vector.

    Raises:
        ValueError: no parameters, several groups, an option out of its range.
        TypeError: something other than tensors.

    Source: Liu & Nocedal 1989.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: dict[str, Any]) -> None:
        if self.param_groups and group.get("params") is not self.param_groups[0]["params"]:
            raise ValueError("LBFGS: takes one group of parameters, no options for each")
        self._check_at_least(group, "lr")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise ValueError(
                "LBFGS: line_search_fn must be None or 'strong_wolfe'; "
                f"got {group['line_search_fn']!r}"
            )

    def _gradient(self) -> Any:
        """The gradients as one vector."""
        return cat(
            [
                (p.new_zeros(p.numel()) if p.grad is None else p.grad.detach()).reshape(-1)  # type: ignore[attr-defined]
                for p in self.param_groups[0]["params"]
            ]
        )

    def _move(self, direction: Any, t: float) -> None:
        """Adds t * direction to the parameters."""
        begin = 0
        for p in self.param_groups[0]["params"]:
            n = p.numel()
            p.add_(direction[begin : begin + n].reshape(tuple(p.shape)), alpha=t)
            begin += n

    def _loaded(self, number: Any, p: Tensor, name: str, value: Any) -> Any:
        """State is of all parameters together: kept as it is, on the first one's device."""

        def copied(v: Any) -> Any:
            if isinstance(v, list):
                return [copied(item) for item in v]
            if isinstance(v, Tensor):
                return v.detach().to(device=p.device, dtype=p.dtype, copy=True)
            return v

        return copied(value)

    def _direction(self, state: dict[str, Any], grad: Any, size: int) -> Any:
        """-H grad by the pairs of the last steps, of which one more is known now."""
        if "d" not in state:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -grad
        change = grad - state["prev_flat_grad"]
        step = state["d"] * state["t"]
        curvature = _dot(change, step)
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        if curvature > 1e-10:
            if len(changes) == size:
                for kept in (changes, steps, ro):
                    del kept[0]
            changes.append(change)
            steps.append(step)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / _dot(change, change)
        q = -grad
        weights = []
        for y, s, r in zip(reversed(changes), reversed(steps), reversed(ro), strict=True):
            weights.append(_dot(s, q) * r)
            q = q.add(y, alpha=-weights[-1])
        q = q * state["H_diag"]
        for y, s, r, a in zip(changes, steps, ro, reversed(weights), strict=True):
            q = q.add(s, alpha=a - _dot(y, q) * r)
        return q

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Moves the parameters until an end of the step is reached.

        Args:
            closure: clears the gradients, computes the loss and its gradients, returns the loss.

        Returns:
            The closure's first loss.
        """
        if closure is None:
            raise RuntimeError("LBFGS: step needs a closure; got None")
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def loss_now() -> Any:
            with enable_grad():
                return closure()

        with no_grad():
            first = loss_now()
            self._minimise(group, state, loss_now, float(first))
        return first

    def _minimise(
        self, group: dict[str, Any], state: dict[str, Any], loss_now: Callable[[], Any], loss: float
    ) -> None:
        lr, least = float(group["lr"]), float(group["tolerance_change"])
        flat_enough = float(group["tolerance_grad"])
        count = 1
        state["func_evals"] += 1
        grad = self._gradient()
        if _largest(grad) <= flat_enough:
            return
        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            t = lr
            if state["n_iter"] == 1:
                t = min(1.0, 1.0 / float(grad.abs().sum())) * lr
            before, state["prev_flat_grad"] = loss, grad
            state["prev_loss"], state["d"], state["t"] = loss, direction, t
            slope = _dot(grad, direction)
            if slope > -least:
                return
            tried = 0
            if group["line_search_fn"] is not None:
                loss, grad, t, tried = self._search(
                    loss_now, _Point(0.0, loss, grad, slope), t, direction, least
                )
                state["t"] = t
                self._move(direction, t)
            else:
                self._move(direction, t)
                if i != group["max_iter"]:
                    loss, tried = float(loss_now()), 1
                    grad = self._gradient()
            count += tried
            state["func_evals"] += tried
            if (
                count >= group["max_eval"]
                or _largest(grad) <= flat_enough
                or _largest(direction) * abs(t) <= least
                or abs(loss - before) < least
            ):
                return

    def _search(
        self, loss_now: Callable[[], Any], start: _Point, t: float, direction: Any, least: float
    ) -> tuple[float, Any, float, int]:
        """The line search's loss, gradient, distance and number of tries; nothing has moved."""
        params = self.param_groups[0]["params"]
        origin = [p.clone() for p in params]

        def back() -> None:
            for p, x in zip(params, origin, strict=True):
                p.copy_(x)

        def at(t: float) -> _Point:
            self._move(direction, t)
            loss = float(loss_now())
            grad = self._gradient()
            back()
            return _Point(t, loss, grad, _dot(grad, direction))

        found, count = _strong_wolfe(at, start, t, _largest(direction), least)
        return found.loss, found.grad, found.t, count
