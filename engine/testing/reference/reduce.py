"""Reductions over dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "amax_weight",
    "max_all",
    "max_dim",
    "mean",
    "min_dim",
    "prod",
    "sum",
]


def _axes(dim: Any) -> Any:
    """NumPy's axis argument: None and () are all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    return tuple(dim) if isinstance(dim, list) else dim


def sum(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The sum over dim."""
    if x.ndim == 0:
        return x
    with np.errstate(all="ignore"):
        return np.sum(x, axis=_axes(dim), keepdims=keepdim)


def mean(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The sum over dim, divided by how many there are; NaN for none."""
    if x.ndim == 0:
        return x
    total = np.asarray(sum(x, dim, keepdim))
    count = x.size // max(total.size, 1) if x.size else 0
    if x.size == 0 and total.size:
        return np.full(total.shape, np.nan)
    with np.errstate(all="ignore"):
        return total / max(count, 1)


def amax(x: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The maximum over dim; NaN if there is one."""
    if x.ndim == 0:
        return x
    return np.max(x, axis=_axes(dim), keepdims=keepdim)


def max_all(x: Any) -> Any:
    """The maximum of everything."""
    return np.max(x)


def max_dim(x: Any, dim: int, keepdim: bool = False) -> Any:
    """The maximum along dim and the index of the first one; the first NaN if there is one."""
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    indices = np.argmax(x, axis=dim)  # NumPy's: the first NaN, else the first maximum
    values = np.max(x, axis=dim)
    if keepdim:
        indices, values = np.expand_dims(indices, dim), np.expand_dims(values, dim)
    return values, indices


def amax_weight(x: Any, y: Any) -> Any:
    """1 / (number of ties) where x is the maximum y (whose reduced dims have size 1), else 0."""
    hits = (x == y).astype(x.dtype)
    dims = tuple(i for i, (m, n) in enumerate(zip(x.shape, y.shape, strict=True)) if n == 1 != m)
    counts = np.sum(hits, axis=dims, keepdims=True)
    return np.where(hits > 0, hits / np.maximum(counts, 1), 0.0)


def prod(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The product over dim."""
    with np.errstate(all="ignore"):
        return x if x.ndim == 0 else np.prod(x, axis=_axes(dim), keepdims=keepdim)


def amin(x: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The minimum over dim; NaN if there is one."""
    return x if x.ndim == 0 else np.min(x, axis=_axes(dim), keepdims=keepdim)


def min_dim(x: Any, dim: int, keepdim: bool = False) -> Any:
    """The minimum along dim and the index of the first one; the first NaN if there is one."""
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    indices, values = np.argmin(x, axis=dim), np.min(x, axis=dim)
    if keepdim:
        indices, values = np.expand_dims(indices, dim), np.expand_dims(values, dim)
    return values, indices


def argmax(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The index of the first maximum, or NaN."""
    return np.argmax(x, axis=dim, keepdims=keepdim) if x.ndim else np.zeros((), np.int64)


def argmin(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The index of the first minimum, or NaN."""
    return np.argmin(x, axis=dim, keepdims=keepdim) if x.ndim else np.zeros((), np.int64)


def any(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element is not 0."""
    return np.any(x != 0, axis=_axes(dim) if x.ndim else None, keepdims=keepdim)


def all(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether no element is 0."""
    return np.all(x != 0, axis=_axes(dim) if x.ndim else None, keepdims=keepdim)
