"""Losses of two tensors, element by element, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .math import PI

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "pair_loss_bwd",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]


def reduced(losses: Any, reduction: str) -> Any:
    """Each, their mean, or their sum."""
    with np.errstate(all="ignore"):
        if reduction == "none":
            return losses
        total = np.sum(losses)
        return total if reduction == "sum" else total / total.dtype.type(np.size(losses))


def _weighted(losses: Any, weight: Any, reduction: str, by_weight: bool = True) -> Any:
    if weight is None:
        return reduced(losses, reduction)
    if reduction == "mean" and by_weight:
        return np.sum(losses * weight) / np.sum(weight)
    return reduced(losses * weight, reduction)


def mse_loss(x: Any, t: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """(x - t)^2"""
    with np.errstate(all="ignore"):
        return _weighted((x - t) ** 2, weight, reduction)


def l1_loss(x: Any, t: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """|x - t|"""
    with np.errstate(all="ignore"):
        return _weighted(np.abs(x - t), weight, reduction)


def smooth_l1_loss(x: Any, t: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d^2 / (2 beta) where d < beta, else d - beta / 2, d = |x - t|"""
    if beta == 0:
        return l1_loss(x, t, None, reduction)
    with np.errstate(all="ignore"):
        d = np.abs(x - t)
        return reduced(np.where(d < beta, d * d / (2 * beta), d - beta / 2), reduction)


def huber_loss(
    x: Any, t: Any, weight: Any = None, reduction: str = "mean", delta: float = 1.0
) -> Any:
    """d^2 / 2 where d <= delta, else delta (d - delta / 2), d = |x - t|"""
    with np.errstate(all="ignore"):
        d = np.abs(x - t)
        losses = np.where(d <= delta, d * d / 2, delta * (d - delta / 2))
        return _weighted(losses, weight, reduction, by_weight=False)


def binary_cross_entropy(x: Any, t: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-(t ln x + (1 - t) ln(1 - x)), the logarithms at least -100"""
    with np.errstate(all="ignore"):
        losses = -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))
        return _weighted(losses, weight, reduction, by_weight=False)


def _softplus(x: Any) -> Any:
    return np.logaddexp(0.0, x)


def binary_cross_entropy_with_logits(
    x: Any, t: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """(1 - t) x + (1 + (p - 1) t) ln(1 + e^-x)"""
    p = 1.0 if pos_weight is None else pos_weight
    with np.errstate(all="ignore"):
        losses = (1 - t) * x + (1 + (p - 1) * t) * _softplus(-x)
        return _weighted(losses, weight, reduction, by_weight=False)


def kl_div(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """t (ln t - x), or e^t (t - x)"""
    with np.errstate(all="ignore"):
        if log_target:
            losses = np.exp(t) * (t - x)
        else:
            losses = np.where(t == 0, 0.0, t * np.log(np.where(t == 0, 1.0, t))) - t * x
        if reduction == "batchmean":
            return np.sum(losses) / (x.shape[0] if x.ndim else 1)
        return reduced(losses, reduction)


def soft_margin_loss(x: Any, t: Any, reduction: str = "mean") -> Any:
    """ln(1 + e^(-t x))"""
    with np.errstate(all="ignore"):
        return reduced(_softplus(-t * x), reduction)


def hinge_embedding_loss(x: Any, t: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """x where t != -1, plus max(0, margin - x) where t != 1"""
    with np.errstate(all="ignore"):
        hinge = np.where(t != 1, np.maximum(0, margin - x), 0.0)
        return reduced(np.where(t != -1, x, 0.0) + hinge, reduction)


def margin_ranking_loss(
    x1: Any, x2: Any, t: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """max(0, margin - t (x1 - x2))"""
    with np.errstate(all="ignore"):
        return reduced(np.maximum(0, margin - t * (x1 - x2)), reduction)


def poisson_nll_loss(
    x: Any,
    t: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """e^x - t x, or x - t ln(x + eps); with `full` Stirling's term of t too"""
    with np.errstate(all="ignore"):
        losses = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
        if full:
            stirling = t * np.log(t) - t + 0.5 * np.log(2 * PI.astype(t.dtype) * t)
            losses = losses + np.where(t > 1, stirling, 0.0)
        return reduced(losses, reduction)


#: Kind -> (value, derivative to x, to t) for pair_loss_bwd.
def pair_loss_bwd(
    grad_y: Any,
    x: Any,
    t: Any,
    weight: Any,
    other: Any,
    kind: int,
    order: int,
    param: float,
    reduction: int,
) -> Any:
    """grad_y weight times the derivative of `order`; divided by the number for the mean."""
    p = 1.0 if other is None else other
    d = x - t
    with np.errstate(all="ignore"):
        s = 1 / (1 + np.exp(-x))
        z = 1 / (1 + np.exp(t * x))
        q = np.maximum(x * (1 - x), 1e-12)
        one, zero = np.ones_like(x), np.zeros_like(x)
        inside = np.abs(d) < param
        room, slope = param - x, param - t * x >= 0
        large = x > 1
        table = {
            0: (2 * d, -2 * d, 2 * one, -2 * one, 2 * one),
            1: (np.sign(d), -np.sign(d), zero, zero, zero),
            2: _smooth(np.where(inside, d / (param or 1), np.sign(d)), inside / (param or 1)),
            3: _smooth(np.clip(d, -param, param), inside * one),
            4: (
                d / q,
                np.maximum(np.log1p(-x), -100) - np.maximum(np.log(x), -100),
                (x * x - 2 * x * t + t) / q**2,
                -1 / q,
                zero,
            ),
            5: (
                (1 - t) - (1 + (p - 1) * t) * (1 - s),
                (p - 1) * _softplus(-x) - x,
                (1 + (p - 1) * t) * s * (1 - s),
                -1 - (p - 1) * (1 - s),
                zero,
            ),
            6: (-t, np.log(t) + 1 - x, zero, -one, 1 / t),
            7: (-np.exp(t), np.exp(t) * (t - x + 1), zero, -np.exp(t), np.exp(t) * (t - x + 2)),
            8: (-t * z, -x * z, t * t * z * (1 - z), t * x * z * (1 - z) - z, x * x * z * (1 - z)),
            9: ((t != -1) * one - (t != 1) * (room >= 0), zero, zero, zero, zero),
            10: (-t * slope, -x * slope, zero, -one * slope, zero),
            11: (np.exp(x) - t, -x, np.exp(x), -one, zero),
            12: (
                1 - t / (x + param),
                -np.log(x + param),
                t / (x + param) ** 2,
                -1 / (x + param),
                zero,
            ),
            13: (
                np.where(large, np.log(x) + 0.5 / x, 0.0),
                zero,
                np.where(large, 1 / x - 0.5 / x**2, 0.0),
                zero,
                zero,
            ),
        }
        grad = table[kind][order - 1] * (1.0 if weight is None else weight) * grad_y
        return grad / x.size if reduction == 1 else grad


def _smooth(first: Any, second: Any) -> Any:
    return first, -first, second, -second, second
