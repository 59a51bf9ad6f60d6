"""Adam and its kin: AdamW, Adamax, NAdam, RAdam, Lion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .optimizer import Optimizer

__all__ = ["Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Adam: steps scaled by running averages of the gradient and its square.

    One kernel call a group and step.

    Formula: g = gradient + weight_decay * p (the gradient's negative to maximize);
    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) at step t

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the averages of the gradient and its square is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty's gradient.
        amsgrad: divide by the largest v so far (AMSGrad).
        foreach, capturable, fused: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        decoupled_weight_decay: shrink p by 1 - lr * weight_decay instead (AdamW).
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError: no parameters, one of them twice, lr, eps or weight_decay below 0, betas out of
            [0, 1).
        TypeError: something other than tensors.
        NotImplementedError: differentiable.

    A gradient of NaN makes its parameter NaN, as in PyTorch; a missing one leaves it as it is, and
    its step does not count.

    Source: Kingma & Ba 2015; Loshchilov & Hutter 2019 (decoupled); Reddi et al. 2018 (AMSGrad).
    """

    _kernel = "adam_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "weight_decay")
        self._check_betas(group)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t = counts[0] + 1
        beta1, beta2 = map(float, group["betas"])
        step_size = float(group["lr"]) / (1 - beta1**t)
        inverse_root = (1 - beta2**t) ** -0.5
        numbers = (step_size, 1 - beta1, beta2, 1 - beta2, inverse_root, group["eps"])
        return (t,), (*numbers, bool(group["amsgrad"]))


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
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
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
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
            clip_grad_norm=clip_grad_norm,
            clip_grad_value=clip_grad_value,
        )


class Adamax(Optimizer):
    """Adamax: Adam with the largest recent gradient in place of the average square.

    Formula: m = beta1 * m + (1 - beta1) * g; u = max(beta2 * u, |g| + eps);
    p = p - lr / (1 - beta1^t) * m / u

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of m, and of u, is kept.
        eps: added to |g|.
        weight_decay: factor of the L2 penalty's gradient.
        foreach, capturable: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adam.

    Source: Kingma & Ba 2015, section 7.1.
    """

    _kernel = "adamax_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
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
        self._check_at_least(group, "lr", "eps", "weight_decay")
        self._check_betas(group)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t = counts[0] + 1
        beta1, beta2 = group["betas"]
        return (t,), (float(group["lr"]) / (1 - beta1**t), 1 - beta1, beta2, group["eps"])


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov momentum.

    Formula: m, v as Adam; mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2);
    p = p - lr * ((1 - mu_t) / (1 - mu_1 .. mu_t) * g + mu_(t+1) / (1 - mu_1 .. mu_(t+1)) * m)
    / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the averages of the gradient and its square is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty's gradient.
        momentum_decay: how fast mu rises to beta1.
        decoupled_weight_decay: shrink p by 1 - lr * weight_decay instead (NAdamW).
        foreach, capturable: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adam.

    A state's "mu_product" is a float64 number, where PyTorch has a float32 tensor.

    Source: Dozat 2016.
    """

    _kernel = "nadam_step"
    _counts = ("step", "mu_product")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "weight_decay", "momentum_decay")
        self._check_betas(group)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _new_state(self, p: Any, name: str, group: dict[str, Any]) -> Any:
        return 1.0 if name == "mu_product" else super()._new_state(p, name, group)

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t = counts[0] + 1
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        mu, mu_next = (
            beta1 * (1 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (t, t + 1)
        )
        product = counts[1] * mu
        sizes = (lr * (1 - mu) / (1 - product), lr * mu_next / (1 - product * mu_next))
        root = (1 - beta2**t) ** -0.5
        return (t, product), (*sizes, 1 - beta1, beta2, 1 - beta2, root, group["eps"])


class RAdam(Optimizer):
    """RAdam: Adam whose adaptive part waits until its variance is known.

    Formula: m, v as Adam; rho = 2 / (1 - beta2) - 1; rho_t = rho - 2 t beta2^t / (1 - beta2^t);
    p = p - lr * m / (1 - beta1^t) where rho_t <= 5, else times r_t * sqrt(1 - beta2^t) /
    (sqrt(v) + eps), r_t^2 = (rho_t - 4)(rho_t - 2) rho / ((rho - 4)(rho - 2) rho_t)

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the averages of the gradient and its square is kept.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty's gradient.
        decoupled_weight_decay: shrink p by 1 - lr * weight_decay instead (RAdamW).
        foreach, capturable: change nothing; every step is fused.
        maximize: go up instead of down.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adam.

    Source: Liu et al. 2020.
    """

    _kernel = "radam_step"

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "eps", "weight_decay")
        self._check_betas(group)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        t = counts[0] + 1
        beta1, beta2 = group["betas"]
        step_size = float(group["lr"]) / (1 - beta1**t)
        left = 1 - beta2**t
        rho = 2 / (1 - beta2) - 1
        rho_t = rho - 2 * t * beta2**t / left
        rectified = rho_t > 5
        if rectified:
            step_size *= ((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)) ** 0.5
        eps = group["eps"]
        return (t,), (step_size, 1 - beta1, beta2, 1 - beta2, left**0.5, eps, rectified)


class Lion(Optimizer):
    """Lion: steps of one size, along the sign of an average of the gradient.

    Formula: p = p * (1 - lr * weight_decay) - lr * sign(beta1 * m + (1 - beta1) * g);
    m = beta2 * m + (1 - beta2) * g

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        lr: learning rate; 3 to 10 times less than Adam's.
        betas: how much of m is in the step, and how much of it is kept.
        weight_decay: decoupled; 3 to 10 times more than AdamW's.
        maximize: go up instead of down.
        foreach, capturable, fused: change nothing; every step is fused.
        differentiable: must be False.
        clip_grad_norm, clip_grad_value: as Optimizer; clip within the step.

    Raises:
        ValueError, TypeError, NotImplementedError: as Adam.

    PyTorch has no Lion; options and names are those of its Adam.

    Source: Chen et al. 2023, Symbolic discovery of optimization algorithms, algorithm 2.
    """

    _kernel = "lion_step"
    _counts = ()

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(
            params, defaults, clip_grad_norm=clip_grad_norm, clip_grad_value=clip_grad_value
        )

    def _check_options(self, group: dict[str, Any]) -> None:
        self._check_at_least(group, "lr", "weight_decay")
        self._check_betas(group)

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg",)

    def _decay(self, group: dict[str, Any]) -> tuple[float, float]:
        return 0.0, 1 - float(group["lr"]) * float(group["weight_decay"])

    def _advance(self, group: dict[str, Any], counts: tuple[Any, ...]) -> Any:
        beta1, beta2 = group["betas"]
        return (), (float(group["lr"]), 1 - beta1, 1 - beta2)
