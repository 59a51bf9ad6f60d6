"""Optimizers with a step size for each element: Adagrad, Adadelta, RMSprop, Rprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..ops.creation import full
from .optimizer import Optimizer

__all__ = ["Adadelta", "Adagrad", "RMSprop", "Rprop"]


def _filled(p: Any, value: float) -> Any:
    """A tensor like p full of a number."""
    return full(tuple(p.shape), value, dtype=p.dtype, device=p.device)


class Adagrad(Optimizer):
    """Adagrad: steps scaled by the sum of all squared gradients.

    Formula: s = s + g^2; p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        lr_decay: how fast lr falls.
        weight_decay: factor of the L2 penalty's gradient.
        initial_accumulator_value: what s begins with.
        eps: added to the denominator.
        foreach, fused: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError: no parameters, one of them twice, an option below 0.
        TypeError: something other than tensors.
        NotImplementedError: differentiable.

    Source: Duchi et al. 2011.
    """

    _kernel = "adagrad_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group, with its state; see Optimizer."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            self._start(p, self.param_groups[-1])

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "lr_decay", "weight_decay", "eps")
        self._check_at_least(group, "initial_accumulator_value")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _new_state(self, p: Any, name: str, group: dict[str, Any]) -> Any:
        if name == "sum":
            return _filled(p, float(group["initial_accumulator_value"]))
        return super()._new_state(p, name, group)

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t = counts[0] + 1
        return (t,), (float(group["lr"]) / (1 + (t - 1) * group["lr_decay"]), group["eps"])


class Adadelta(Optimizer):
    """Adadelta: steps of the size of recent steps.

    Formula: s = rho * s + (1 - rho) * g^2; d = g * sqrt(u + eps) / sqrt(s + eps);
    u = rho * u + (1 - rho) * d^2; p = p - lr * d

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: factor of the step, a number or a tensor of one element.
        rho: how much of both averages is kept.
        eps: added to both.
        weight_decay: factor of the L2 penalty's gradient.
        foreach, capturable: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adagrad; rho out of [0, 1].

    Source: Zeiler 2012.
    """

    _kernel = "adadelta_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "weight_decay")
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"Adadelta: rho must be in [0, 1]; got {group['rho']}")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        rho = float(group["rho"])
        return (counts[0] + 1,), (float(group["lr"]), rho, 1 - rho, group["eps"])


class RMSprop(Optimizer):
    """RMSprop: steps scaled by a running average of the squared gradient.

    Formula: s = alpha * s + (1 - alpha) * g^2; r = sqrt(s) + eps, centered sqrt(s - a^2) + eps with
    the gradient's average a; b = momentum * b + g / r; p = p - lr * b (lr * g / r without momentum)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        alpha: how much of the averages is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty's gradient.
        momentum: how much of the last step is kept.
        centered: divide by the gradient's standard deviation instead.
        capturable, foreach: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adagrad.

    Source: Tieleman & Hinton 2012, lecture 6.5; Graves 2013 (centered).
    """

    _kernel = "rmsprop_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "momentum", "weight_decay", "alpha")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = "momentum_buffer" if group["momentum"] > 0 else ""
        return ("square_avg", momentum, "grad_avg" if group["centered"] else "")

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        alpha = float(group["alpha"])
        numbers = (float(group["lr"]), alpha, 1 - alpha, group["eps"], group["momentum"])
        return (counts[0] + 1,), (*numbers, bool(group["centered"]))


class Rprop(Optimizer):
    """Rprop: steps of sizes that follow the gradient's sign alone; for whole batches.

    Formula: r grows by etas[1] where g keeps its sign, shrinks by etas[0] where it changes it (g is
    then taken for 0), within step_sizes; p = p - r * sign(g)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: the first step size.
        etas: the factors of shrinking and growing.
        step_sizes: the least and the largest step size.
        capturable, foreach: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError: lr below 0; etas not 0 < etas[0] < 1 < etas[1].
        TypeError, NotImplementedError: as Adagrad.

    Source: Riedmiller & Braun 1993.
    """

    _kernel = "rprop_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr")
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise ValueError(f"Rprop: etas must be 0 < etas[0] < 1 < etas[1]; got {group['etas']}")

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _new_state(self, p: Any, name: str, group: dict[str, Any]) -> Any:
        if name == "step_size":
            return _filled(p, float(group["lr"]))
        return super()._new_state(p, name, group)

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        return (counts[0] + 1,), (*group["etas"], *group["step_sizes"])
