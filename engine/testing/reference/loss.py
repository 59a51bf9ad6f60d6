"""log_softmax, nll_loss and cross_entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "cross_entropy",
    "cross_entropy_bwd",
    "log_softmax",
    "log_softmax_bwd",
    "nll_loss",
    "nll_loss_bwd",
]


def log_softmax(x: Any, dim: int) -> Any:
    """x - max - ln(sum of e^(x - max)) along dim."""
    if x.ndim == 0:
        return x - x
    if x.size == 0:
        return x
    with np.errstate(all="ignore"):
        shifted = x - np.max(x, axis=dim, keepdims=True)
        return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


def log_softmax_bwd(grad_y: Any, y: Any, dim: int) -> Any:
    """grad_y - e^y * sum of grad_y along dim."""
    if y.ndim == 0:
        return grad_y - np.exp(y) * grad_y
    return grad_y - np.exp(y) * np.sum(grad_y, axis=dim, keepdims=True)


def _terms(x: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """Position by position: the class's weight (0 where ignored), and x at the class."""
    if x.ndim == 1:
        x, target = x[None], target[None]
    if weight is None:
        weight = np.ones(x.shape[1])
    wide = np.result_type(x, np.float64)
    weights, values = np.zeros(target.shape, wide), np.zeros(target.shape, wide)
    for place in np.ndindex(target.shape):
        c = int(target[place])
        if c != ignore_index:
            weights[place] = weight[c]
            values[place] = x[(place[0], c, *place[1:])]
    return weights, values


def nll_loss(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-weight[target] x[target]: each, their sum, or the sum divided by the weights' sum."""
    weights, values = _terms(x, target, weight, ignore_index)
    with np.errstate(all="ignore"):
        losses = -weights * values
        if reduction == "none":
            return losses.reshape(target.shape)
        total = np.sum(losses)
        return total / np.sum(weights) if reduction == "mean" else total


def nll_loss_bwd(
    grad_y: Any,
    target: Any,
    weight: Any,
    total_weight: Any,
    x_shape: Any,
    ignore_index: int,
    reduction: int,
) -> Any:
    """-weight[target] grad_y at each target, divided by total_weight for the mean; else 0."""
    shape = x_shape if len(x_shape) > 1 else (1, *x_shape)
    grad_x = np.zeros(shape, np.result_type(grad_y, np.float64))
    targets = target if len(x_shape) > 1 else target[None]
    for place in np.ndindex(targets.shape):
        c = int(targets[place])
        if c == ignore_index:
            continue
        g = grad_y[()] if reduction else (grad_y if len(x_shape) > 1 else grad_y[None])[place]
        w = 1.0 if weight is None else weight[c]
        scale = total_weight[()] if reduction == 1 else 1.0
        grad_x[(place[0], c, *place[1:])] = -w * g / scale
    return grad_x.reshape(x_shape)


def _soft_target(x: Any, target: Any, weight: Any, ignore_index: int, smoothing: float) -> Any:
    """The weight of each class at each position, of x's shape, and what the mean divides by."""
    axis = 1 if x.ndim > 1 else 0
    classes = x.shape[axis]
    w = np.ones(classes) if weight is None else weight
    w = w.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    if target.shape == x.shape:
        q = (1 - smoothing) * target + smoothing / classes
        return q * w, target.size / classes
    taken = np.expand_dims(target != ignore_index, axis)
    numbers = np.arange(classes).reshape(w.shape)
    one = (np.expand_dims(target, axis) == numbers) & taken
    total = np.sum(one * w)
    return (one * (1 - smoothing) + taken * smoothing / classes) * w, total


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-sum over the classes of the weighted target times log_softmax(x)."""
    axis = 1 if x.ndim > 1 else 0
    q, total = _soft_target(x, target, weight, ignore_index, label_smoothing)
    with np.errstate(all="ignore"):
        scores = log_softmax(x, axis)
        losses = -np.sum(np.where(q == 0, 0.0, q * scores), axis=axis)
        if target.shape != x.shape:  # a row of NaN is NaN, whichever class is the target
            row = np.where(np.isnan(np.sum(scores, axis=axis)), np.nan, 0.0)
            bad = np.isnan(scores).any(axis=axis) if x.size else np.zeros(losses.shape, bool)
            losses = losses + np.where(bad & (target != ignore_index), row, 0.0)
        if reduction == "none":
            return losses
        return np.sum(losses) / total if reduction == "mean" else np.sum(losses)


def cross_entropy_bwd(
    grad_y: Any,
    x: Any,
    target: Any,
    weight: Any,
    stats: Any,
    total_weight: Any,
    softmax: bool,
    smoothing: float,
    ignore_index: int,
    reduction: int,
) -> Any:
    """grad_y (sum of q * softmax(x) - q), q the weighted target; without softmax -q grad_y."""
    axis = 1 if x.ndim > 1 else 0
    q, total = _soft_target(x, target, weight, ignore_index, smoothing)
    p = np.exp(log_softmax(x, axis)) if softmax else 0.0
    g = np.expand_dims(grad_y, axis) if reduction == 0 else grad_y
    grad = g * (np.sum(q, axis=axis, keepdims=True) * p - q)
    return grad / total if reduction == 1 else grad
