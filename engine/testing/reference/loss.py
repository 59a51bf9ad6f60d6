"""log_softmax, nll_loss and cross_entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cross_entropy", "log_softmax", "log_softmax_bwd", "nll_loss", "nll_loss_bwd"]


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
    weights, values = np.zeros(target.shape), np.zeros(target.shape)
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
    grad_x = np.zeros(x_shape if len(x_shape) > 1 else (1, *x_shape))
    targets = target if len(x_shape) > 1 else target[None]
    for place in np.ndindex(targets.shape):
        c = int(targets[place])
        if c == ignore_index:
            continue
        g = float(grad_y) if reduction else (grad_y if len(x_shape) > 1 else grad_y[None])[place]
        w = 1.0 if weight is None else weight[c]
        scale = float(total_weight) if reduction == 1 else 1.0
        grad_x[(place[0], c, *place[1:])] = -w * g / scale
    return grad_x.reshape(x_shape)


def cross_entropy(
    x: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """nll_loss of log_softmax over the classes."""
    scores = log_softmax(x, 1 if x.ndim > 1 else 0)
    return nll_loss(scores, target, weight, ignore_index, reduction)
