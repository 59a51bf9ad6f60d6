"""Norms and distances in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cdist", "cosine_similarity", "distance_bwd", "norm", "pairwise_distance", "pdist"]
__all__ += ["square_form"]


def norm(x: Any, p: float, axis: Any = -1) -> Any:
    """(sum of |x|^p)^(1/p); the largest for inf."""
    a = np.abs(x)
    if p == np.inf:
        return np.max(a, axis=axis)
    if p == 0:
        return np.sum(a != 0, axis=axis).astype(np.float64)
    return np.sum(a**p, axis=axis) ** (1 / p)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps))"""
    x1, x2 = np.broadcast_arrays(x1, x2)
    lengths = [np.maximum(norm(x, 2, dim), eps) for x in (x1, x2)]
    return np.sum(x1 * x2, axis=dim) / (lengths[0] * lengths[1])


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """|x1 - x2 + eps|_p along the last axis."""
    y = norm(x1 - x2 + eps, p)
    return np.expand_dims(y, -1) if keepdim else y


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "") -> Any:
    """|x1[i] - x2[j]|_p"""
    return norm(x1[..., :, None, :] - x2[..., None, :, :], p)


def pdist(x: Any, p: float = 2.0) -> Any:
    """|x[i] - x[j]|_p for i < j."""
    n = len(x)
    pairs = [x[i] - x[j] for i in range(n) for j in range(i + 1, n)]
    return norm(np.array(pairs).reshape(-1, x.shape[1]), p)


def distance_bwd(grad_y: Any, y: Any, a: Any, b: Any, p: float) -> Any:
    """The sum over b's rows of grad_y sign(u) (|u| / y)^(p - 1), u = a - b; 0 where u or y is 0."""
    u = a[..., :, None, :] - b[..., None, :, :]
    length = np.broadcast_to(y[..., None], u.shape)
    if p == 0:
        return np.zeros_like(a)
    if p == np.inf:
        return np.sum(grad_y[..., None] * np.sign(u) * (np.abs(u) == length), axis=-2)
    none = (u == 0) | ((length == 0) & (p != 1))
    ratio = np.abs(np.where(none, 1.0, u)) / np.where(length == 0, 1.0, length)
    return np.sum(np.where(none, 0.0, grad_y[..., None] * np.sign(u) * ratio ** (p - 1)), axis=-2)


def square_form(x: Any, n: int) -> Any:
    """Pairs as a symmetric matrix."""
    y = np.zeros((n, n), x.dtype)
    y[np.triu_indices(n, 1)] = x
    return y + y.T
