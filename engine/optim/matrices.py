"""Optimizers that see a parameter as a matrix: Muon, Adafactor. Steps composed of kernels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..autograd.grad_mode import no_grad
from ..dtype import finfo
from ..ops.matmul import matmul
from ..ops.optim import clip_all
from ..ops.products import addmm
from ..tensor import Tensor
from .optimizer import Optimizer

__all__ = ["Adafactor", "Muon"]


class _Composed(Optimizer):
    """A step of several kernel calls for each parameter."""

    def _step_group(self, group: dict[str, Any], clipping: dict[str, Any]) -> None:
        with no_grad():
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.detach()
                if clipping:
                    grad = grad.clone()
                    clip_all([grad], **clipping)
                self._start(p, group)
                self._change(p, grad, self.state[p], group)

    def _change(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        raise NotImplementedError


class Muon(_Composed):
    """Muon: steps along the nearest orthogonal matrix to the averaged gradient.

    Formula: b = momentum * b + (1 - momentum) * g; u = b, or (1 - momentum) * g + momentum * b with
    nesterov; p = p * (1 - lr * weight_decay) - lr * s * O(u), O by Newton-Schulz iterations
    x = a x + (b x x^T + c (x x^T)^2) x from u / |u|

    Args:
        params: matrices; others (biases, embeddings) are for another optimizer.
        lr: learning rate.
        weight_decay: what is taken off the parameters themselves, times lr.
        momentum: how much of the average is kept.
        nesterov: see the formula.
        ns_coefficients: a, b, c.
        eps: the least that u is divided by.
        ns_steps: how many iterations.
        adjust_lr_fn: s: None or "original", sqrt(max(1, rows / columns)); or "match_rms_adamw",
            0.2 sqrt(max(rows, columns)).
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Differs from PyTorch: the iterations are in the parameter's dtype, where PyTorch rounds them to
    bfloat16.

    Raises:
        ValueError: a parameter that is no matrix; an option out of its range.
        TypeError: something other than tensors.

    Source: Jordan et al. 2024.
    """

    _counts = ()

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "momentum", "weight_decay")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                "Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw'; "
                f"got {group['adjust_lr_fn']!r}"
            )
        if len(group["ns_coefficients"]) != 3 or not 0 <= group["ns_steps"] < 100:
            raise ValueError(
                "Muon: ns_coefficients must be three numbers and ns_steps in [0, 100); "
                f"got {group['ns_coefficients']}, {group['ns_steps']}"
            )
        for p in group["params"]:
            if p.ndim != 2:
                raise ValueError(f"Muon: parameters must be matrices; got shape {tuple(p.shape)}")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def _change(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum = float(group["momentum"])
        average = state["momentum_buffer"]
        average.lerp_(grad, 1 - momentum)
        update = grad.lerp(average, momentum) if group["nesterov"] else average
        update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = p.shape
        scale = math.sqrt(max(1, rows / columns))
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        lr = float(group["lr"])
        p.mul_(1 - lr * float(group["weight_decay"]))
        p.add_(update, alpha=-lr * scale)


def _orthogonal(x: Any, coefficients: Any, steps: int, eps: float) -> Any:
    """About the orthogonal matrix nearest to x, by Newton-Schulz iterations."""
    a, b, c = (float(v) for v in coefficients)
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = matmul(x, x.t())
        x = addmm(x, addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


class Adafactor(_Composed):
    """Adafactor: Adam's scaling with the averages of the rows and the columns alone.

    Formula: r = rows' and c = columns' averages of mean(g^2), kept by 1 - t^beta2_decay;
    v = r c / mean(r) (of vectors: the average of g^2); u = g / sqrt(v);
    p = p (1 - lr weight_decay) - max(eps2, rms(p)) min(lr, 1 / sqrt(t)) u / max(1, rms(u) / d)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: the most that the relative step may be, a number or a tensor of one element.
        beta2_decay: how the averages' weight falls, in [.., 0].
        eps: (the least of the averages, None: the dtype's epsilon; the least rms(p)).
        d: the most that rms(u) may be.
        weight_decay: what is taken off the parameters themselves, times lr.
        foreach: changes nothing.
        maximize: go up instead of down.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError: no parameters, one of them twice, an option out of its range.
        TypeError: something other than tensors.

    Source: Shazeer & Stern 2018.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "weight_decay")
        if not float(group["beta2_decay"]) <= 0:
            raise ValueError(f"Adafactor: beta2_decay must be <= 0; got {group['beta2_decay']}")
        if not float(group["d"]) >= 1:
            raise ValueError(f"Adafactor: d must be >= 1; got {group['d']}")
        eps = group["eps"]
        if len(eps) != 2 or not (eps[0] is None or eps[0] >= 0) or not eps[1] >= 0:
            raise ValueError(f"Adafactor: eps must be (None or >= 0, >= 0); got {eps}")

    def _start(self, p: Tensor, group: dict[str, Any]) -> None:
        state: dict[str, Any] = self.state[p]
        if "step" in state:
            return
        state["step"] = 0
        shape = tuple(p.shape)
        if len(shape) > 1:
            state["row_var"] = p.new_zeros((*shape[:-1], 1))  # type: ignore[attr-defined]
            state["col_var"] = p.new_zeros((*shape[:-2], 1, shape[-1]))  # type: ignore[attr-defined]
        else:
            state["variance"] = p.new_zeros(shape)  # type: ignore[attr-defined]

    def _loaded(self, number: Any, p: Tensor, name: str, value: Any) -> Any:
        if name not in ("row_var", "col_var") or not isinstance(value, Tensor):
            return super()._loaded(number, p, name, value)
        shape = tuple(p.shape)
        wanted = (*shape[:-1], 1) if name == "row_var" else (*shape[:-2], 1, shape[-1])
        if tuple(value.shape) != wanted:
            raise ValueError(
                f"load_state_dict: {name} of parameter {number} must have shape {wanted}; "
                f"got {tuple(value.shape)}"
            )
        return value.detach().to(device=p.device, dtype=p.dtype, copy=True)

    def _change(self, p: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        if group["maximize"]:
            grad = -grad
        state["step"] += 1
        t, lr = float(state["step"]), float(group["lr"])
        least, least_rms = group["eps"]
        least = finfo(p.dtype).eps if least is None else least
        weight = t ** float(group["beta2_decay"])
        root = math.sqrt(p.numel()) or 1.0
        alpha = max(float(least_rms), float(p.norm()) / root) * min(lr, 1 / math.sqrt(t))
        if group["weight_decay"]:
            p.mul_(1 - lr * float(group["weight_decay"]))
        square = grad * grad
        if p.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows.lerp_(square.mean(-1, True), weight)
            columns.lerp_(square.mean(-2, True), weight)
            estimate = matmul(rows, columns) / rows.mean(-2, True).clamp(min=least)
        else:
            estimate = state["variance"].lerp_(square, weight)
        update = estimate.clamp(min=least * least).rsqrt() * grad
        divisor = max(1.0, float(update.norm()) / (root * float(group["d"])))
        p.add_(update, alpha=-alpha / divisor)
