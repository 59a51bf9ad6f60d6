"""Sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["argsort", "sort", "topk"]


def argsort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    """NumPy's stable sort, NaN the largest, the first of equal ones first."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # Stable and descending: the reverse of the order of the reversed.
    flipped = np.flip(x, dim)
    order = np.flip(np.argsort(flipped, axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - order


def sort(x: Any, dim: int = -1, descending: bool = False) -> Any:
    """The sorted elements and where they stood."""
    order = argsort(x, dim, descending)
    return (x, order) if x.ndim == 0 else (np.take_along_axis(x, order, dim), order)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    """The first k of the sorted ones."""
    values, order = sort(x, dim, largest)
    if x.ndim == 0:
        return values, order
    first = np.arange(k)
    return np.take(values, first, axis=dim), np.take(order, first, axis=dim)
