"""Reductions about a center."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["logsumexp", "norm", "norm_p", "std", "sum_exp", "sum_squares", "var"]


def _axes(dim: Any) -> Any:
    """NumPy's axis argument: None and () are all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    return tuple(dim) if isinstance(dim, list) else dim


def var(x: Any, dim: Any = None, keepdim: bool = False, correction: float = 1) -> Any:
    """The sum of squared distances from the mean, by n - correction."""
    if x.ndim == 0:
        x, dim, keepdim = x.reshape(1), None, False
    axes = _axes(dim)
    with np.errstate(all="ignore"):
        distance = x - np.mean(x, axis=axes, keepdims=True)
        total = np.sum(distance**2, axis=axes, keepdims=keepdim)
        count = x.size // max(np.asarray(total).size, 1)
        return np.asarray(total) / max(count - correction, 0)


def std(x: Any, dim: Any = None, keepdim: bool = False, correction: float = 1) -> Any:
    """The root of var."""
    return np.sqrt(var(x, dim, keepdim, correction))


def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm of the elements."""
    size, axes = np.abs(x), _axes(dim)
    if x.ndim == 0:
        size, axes, keepdim = size.reshape(1), None, False
    if p in (float("inf"), -float("inf")):
        return (np.max if p > 0 else np.min)(size, axis=axes, keepdims=keepdim)
    if p == 0:
        return np.sum(size != 0, axis=axes, keepdims=keepdim) * 1.0
    q = 2.0 if p == "fro" else p
    with np.errstate(all="ignore"):
        return np.sum(size**q, axis=axes, keepdims=keepdim) ** (1.0 / q)


def norm_p(x: Any, dims: Any, p: float, out_shape: Any) -> Any:
    """As norm, in the record's form."""
    return np.asarray(norm(x, p, dims)).reshape(out_shape)


def sum_squares(x: Any, dims: Any, out_shape: Any) -> Any:
    """The sum of squares."""
    return np.sum(x * x, axis=dims).reshape(out_shape)


def sum_exp(x: Any, center: Any, dims: Any, out_shape: Any) -> Any:
    """The sum of e^(x - center)."""
    kept = [1 if d in dims else n for d, n in enumerate(x.shape)]
    return np.sum(np.exp(x - center.reshape(kept)), axis=dims).reshape(out_shape)


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    """The logarithm of the sum of e^x, shifted by a finite maximum."""
    if x.ndim == 0:
        return x
    axes = _axes(dim)
    with np.errstate(all="ignore"):
        top = np.max(x, axis=axes, keepdims=True)
        top = np.where(np.isinf(top), 0.0, top)
        total = np.log(np.sum(np.exp(x - top), axis=axes, keepdims=True)) + top
        return total if keepdim else np.squeeze(total, axes)
