"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.creation import zeros_like
from ..ops.optim import sgd_step
from .optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted. One kernel call a group and step.

    Formula: g = gradient + weight_decay * p (the gradient's negative to maximize);
    with momentum b = momentum * b + (1 - dampening) * g, at first b = g;
    d = b, or g + momentum * b (Nesterov); p = p - lr * d

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate.
        momentum: how much of the last step's direction is kept.
        dampening: how much less of the gradient then comes in.
        weight_decay: factor of the L2 penalty's gradient.
        nesterov: look ahead along the momentum.
        maximize: go up instead of down.
        foreach, fused: are ignored; every step is fused.

    Raises:
        ValueError: no parameters, one of them twice, an option below 0; Nesterov without momentum
            or with dampening.
        TypeError: something other than tensors.

    A gradient of NaN makes its parameter NaN, as in PyTorch; a missing one leaves it as it is.

    Source: Sutskever et al. 2013, with PyTorch's choice of where lr stands.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum above 0 and no dampening; "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _step_group(self, group: dict[str, Any], hyper: Any) -> None:
        hyper[0] = float(group["lr"])
        momentum = group["momentum"]
        params = [p for p in group["params"] if p.grad is not None]
        options = (
            hyper,
            momentum,
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
        )
        if not momentum:
            sgd_step(params, [p.grad for p in params], [], *options, False)
            return
        state = self.state
        buffers: list[Any] = [state[p].get("momentum_buffer") for p in params]
        if all(buffer is not None for buffer in buffers):
            sgd_step(params, [p.grad for p in params], buffers, *options, False)
            return
        old = [i for i, buffer in enumerate(buffers) if buffer is not None]
        new = [i for i, buffer in enumerate(buffers) if buffer is None]
        for i in new:
            buffers[i] = zeros_like(params[i])
        for chosen, first in ((old, False), (new, True)):
            some = [params[i] for i in chosen]
            sgd_step(some, [p.grad for p in some], [buffers[i] for i in chosen], *options, first)
        # Behind the step, so that one that raises leaves the parameters without a buffer.
        for i in new:
            state[params[i]]["momentum_buffer"] = buffers[i]
