"""Running sums and products."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cumulate", "prod_bwd", "recurrence"]


def cumulate(x: Any, dim: int, reverse: bool, exclusive: bool, product: bool) -> Any:
    """np.cumsum or np.cumprod, from the end and without the element itself."""
    if x.ndim == 0:
        return x
    x = np.flip(x, dim) if reverse else x
    with np.errstate(all="ignore"):
        y = (np.cumprod if product else np.cumsum)(x, axis=dim)
    if exclusive:
        first = np.full_like(np.take(x, [0], axis=dim), 1 if product else 0)
        y = np.concatenate([first, np.take(y, range(x.shape[dim] - 1), axis=dim)], axis=dim)
    return np.flip(y, dim) if reverse else y


def recurrence(a: Any, b: Any, dim: int, reverse: bool) -> Any:
    """y[j] = b[j] + a[j] y[j - 1], element by element; reverse: + a[j + 1] y[j + 1]."""
    a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    y = np.zeros_like(b)
    n = len(b)
    for t in range(n):
        j = n - 1 - t if reverse else t
        y[j] = b[j]
        if t:
            y[j] += a[j + 1] * y[j + 1] if reverse else a[j] * y[j - 1]
    return np.moveaxis(y, 0, dim)


def prod_bwd(grad_y: Any, x: Any) -> Any:
    """grad_y times the product of the row's other elements."""
    y = np.empty_like(x)
    with np.errstate(all="ignore"):
        for j in range(x.shape[-1]):
            y[..., j] = grad_y * np.prod(np.delete(x, j, -1), axis=-1)
    return y
