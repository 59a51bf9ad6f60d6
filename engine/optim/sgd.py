"""Stochastic gradient descent, alone and averaged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.creation import zeros
from ..ops.optim import step as fused_step
from .optimizer import Optimizer

__all__ = ["ASGD", "SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted. One kernel call a group and step.

    Formula: g = gradient + weight_decay * p (the gradient's negative to maximize);
    with momentum b = momentum * b + (1 - dampening) * g, at first b = g;
    d = b, or g + momentum * b (Nesterov); p = p - lr * d

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        momentum: how much of the last step's direction is kept.
        dampening: how much less of the gradient then comes in.
        weight_decay: factor of the L2 penalty's gradient.
        nesterov: look ahead along the momentum.
        maximize: go up instead of down.
        foreach, fused: change nothing; every step is fused.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError: no parameters, one of them twice, an option below 0; Nesterov without momentum
            or with dampening.
        TypeError: something other than tensors.
        NotImplementedError: differentiable.

    A gradient of NaN makes its parameter NaN, as in PyTorch; a missing one leaves it as it is.

    Source: Sutskever et al. 2013, with PyTorch's choice of where lr stands.
    """

    _kernel = "sgd_step"
    _counts = ()

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum above 0 and no dampening; "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _step_group(self, group: dict[str, Any], clipping: dict[str, Any]) -> None:
        momentum = float(group["momentum"])
        params = [p for p in group["params"] if p.grad is not None]
        numbers = [float(group["lr"]), momentum, 1 - group["dampening"], bool(group["nesterov"])]
        options = {
            "weight_decay": float(group["weight_decay"]),
            "maximize": group["maximize"],
            **clipping,
        }

        def step(some: list[Any], buffers: list[Any], first: bool) -> None:
            grads: list[Any] = [p.grad for p in some]
            fused_step(self._kernel, some, grads, [buffers], [*numbers, first], **options)

        if not momentum:
            step(params, [], False)
            return
        state = self.state
        buffers: list[Any] = [state[p].get("momentum_buffer") for p in params]
        if all(buffer is not None for buffer in buffers):
            step(params, buffers, False)
            return
        old = [i for i, buffer in enumerate(buffers) if buffer is not None]
        new = [i for i, buffer in enumerate(buffers) if buffer is None]
        for i in new:
            p = params[i]
            buffers[i] = zeros(tuple(p.shape), dtype=p.dtype, device=p.device)
        for chosen, first in ((old, False), (new, True)):
            step([params[i] for i in chosen], [buffers[i] for i in chosen], first)
        # Behind the step, so that one that raises leaves the parameters without a buffer.
        for i in new:
            state[params[i]]["momentum_buffer"] = buffers[i]


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: state["ax"] is the average of the parameter.

    Formula: p = p * (1 - lambd * eta) - eta * g; a = a + mu * (p - a);
    eta = lr / (1 + lambd * lr * t)^alpha, mu = 1 / max(1, t - t0) after step t

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate.
        lambd: how much of the parameter decays.
        alpha: power of the learning rate's decay.
        t0: the step from which the average is one of several.
        weight_decay: factor of the L2 penalty's gradient.
        foreach, capturable: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as SGD.

    Source: Polyak & Juditsky 1992, as in PyTorch.
    """

    _kernel = "asgd_step"
    _counts = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "weight_decay")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _new_state(self, p: Any, name: str, group: dict[str, Any]) -> Any:
        if name in ("eta", "mu"):
            return float(group["lr"]) if name == "eta" else 1.0
        return super()._new_state(p, name, group)

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t, eta, mu = counts[0] + 1, counts[1], counts[2]
        lr, lambd = float(group["lr"]), float(group["lambd"])
        after = (t, lr / (1 + lambd * lr * t) ** group["alpha"], 1 / max(1.0, t - group["t0"]))
        return after, (eta, 1 - lambd * eta, mu)
