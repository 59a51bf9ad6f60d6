"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.creation import zeros_like
from ..ops.optim import adam_step
from .optimizer import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: steps scaled by running averages of the gradient and its square.

    One kernel call a group and step.

    Formula: g = gradient + weight_decay * p (the gradient's negative to maximize);
    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) at step t

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate.
        betas: how much of the averages of the gradient and its square is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty's gradient.
        amsgrad: must be False; that variant has no kernel yet.
        foreach, fused: are ignored; every step is fused.
        maximize: go up instead of down.
        decoupled_weight_decay: shrink p by 1 - lr * weight_decay instead (AdamW).

    Raises:
        ValueError: no parameters, one of them twice, lr, eps or weight_decay below 0, betas out of
            [0, 1).
        TypeError: something other than tensors.
        NotImplementedError: amsgrad.

    A gradient of NaN makes its parameter NaN, as in PyTorch; a missing one leaves it as it is, and
    its step does not count.

    Source: Kingma & Ba 2015; Loshchilov & Hutter 2019 (decoupled).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{self._name}: betas must be two numbers; got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= beta < 1:
                raise ValueError(f"{self._name}: betas[{i}] must be in [0, 1); got {beta}")
        if group.get("amsgrad"):
            raise NotImplementedError(f"{self._name}: no kernel for amsgrad yet")

    def _step_group(self, group: dict[str, Any], hyper: Any) -> None:
        hyper[0] = float(group["lr"])
        state = self.state
        params = [p for p in group["params"] if p.grad is not None]
        states = [state[p] or self._started(p) for p in params]
        steps = [s["step"] for s in states]
        beta1, beta2 = group["betas"]
        options = (
            hyper,
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
        for step in dict.fromkeys(steps):  # one, unless gradients were missing now and then
            some, some_states = params, states
            if steps.count(step) != len(steps):
                some = [p for p, n in zip(params, steps, strict=True) if n == step]
                some_states = [s for s, n in zip(states, steps, strict=True) if n == step]
            hyper[1] = step + 1
            adam_step(
                some,
                [p.grad for p in some],
                [s["exp_avg"] for s in some_states],
                [s["exp_avg_sq"] for s in some_states],
                *options,
            )
            for s in some_states:
                s["step"] = step + 1

    def _started(self, p: Any) -> dict[str, Any]:
        """The state of a parameter before its first step."""
        fresh = {"step": 0, "exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}
        self.state[p] = fresh
        return fresh


class AdamW(Adam):
    """Adam with decoupled weight decay: Adam(..., decoupled_weight_decay=True).

    Formula: p = p * (1 - lr * weight_decay), then Adam's step without a penalty in the gradient

    Args:
        weight_decay: 0.01 by default; the others are Adam's.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adam.

    Source: Loshchilov & Hutter 2019.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            fused=fused,
            decoupled_weight_decay=True,
        )
