"""Margin and embedding losses, loop by loop, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .distance import pairwise_distance
from .math import PI
from .pair_loss import binary_cross_entropy_with_logits, reduced

__all__ = [
    "cosine_embedding_loss",
    "dice_loss",
    "gaussian_nll_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "triplet_margin_loss",
]


def multi_margin_loss(
    x: Any,
    t: Any,
    weight: Any = None,
    p: int = 1,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Any:
    """sum over c != t of weight[t] max(0, margin - x[t] + x[c])^p / C"""
    rows, targets = (x, t) if x.ndim == 2 else (x[None], t.reshape(1))
    losses = np.zeros(len(rows), x.dtype)
    for n, (row, c) in enumerate(zip(rows, targets, strict=True)):
        others = np.delete(row, c)
        w = 1.0 if weight is None else weight[c]
        losses[n] = w * np.sum(np.maximum(0, margin - row[c] + others) ** p) / len(row)
    return reduced(losses if x.ndim == 2 else losses[0], reduction)


def multilabel_margin_loss(x: Any, t: Any, reduction: str = "mean") -> Any:
    """sum over labels y and other classes c of max(0, 1 - x[y] + x[c]) / C"""
    rows, targets = (x, t) if x.ndim == 2 else (x[None], t[None])
    losses = np.zeros(len(rows), x.dtype)
    for n, (row, labels) in enumerate(zip(rows, targets, strict=True)):
        ends = np.flatnonzero(labels < 0)
        labels = labels[: ends[0]] if len(ends) else labels
        others = np.setdiff1d(np.arange(len(row)), labels)
        for y in labels:
            losses[n] += np.sum(np.maximum(0, 1 - row[y] + row[others])) / len(row)
    return reduced(losses if x.ndim == 2 else losses[0], reduction)


def multilabel_soft_margin_loss(x: Any, t: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over the last axis of the cross entropy of yes or no."""
    losses = binary_cross_entropy_with_logits(x, t, weight, None, "none")
    return reduced(np.mean(losses, axis=-1), reduction)


def cosine_embedding_loss(
    x1: Any, x2: Any, t: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 - cos where t is 1, max(0, cos - margin) where it is -1"""
    squares = [np.sum(x * x, axis=-1) + 1e-12 for x in (x1, x2)]
    cosine = np.sum(x1 * x2, axis=-1) / np.sqrt(squares[0] * squares[1])
    other = np.where(t == -1, np.maximum(0, cosine - margin), 0.0)
    return reduced(np.where(t == 1, 1 - cosine, other), reduction)


def triplet_margin_loss(
    a: Any,
    p_: Any,
    n: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, d(a, p) - d(a, n) + margin)"""
    far = pairwise_distance(a, n, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(p_, n, p, eps))
    return reduced(np.maximum(0, pairwise_distance(a, p_, p, eps) - far + margin), reduction)


def gaussian_nll_loss(
    x: Any, t: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(ln v + (x - t)^2 / v) / 2, v = max(var, eps)"""
    v = np.maximum(var if np.ndim(var) in (0, x.ndim) else var[..., None], eps)
    constant = 0.5 * np.log(2 * PI.astype(x.dtype)) if full else 0.0
    losses = (np.log(v) + (x - t) ** 2 / v) / 2 + constant
    return reduced(losses, reduction)


def dice_loss(x: Any, t: Any, smooth: float = 1.0, reduction: str = "mean") -> Any:
    """1 - (2 sum x t + smooth) / (sum x + sum t + smooth) for each sample"""
    axes = tuple(range(1, x.ndim))
    parts = [np.sum(v, axis=axes) if axes else v for v in (x * t, x, t)]
    return reduced(1 - (2 * parts[0] + smooth) / (parts[1] + parts[2] + smooth), reduction)
