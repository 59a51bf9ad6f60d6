"""Pooling to a given size, for any number of spatial dimensions: a loop over the outputs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

__all__ = ["adaptive_avg_pool", "adaptive_avg_pool_bwd", "adaptive_max_pool"]


def sizes(shape: Any, output_size: Any, n: int) -> tuple[int, ...]:
    """The output's spatial sizes; None is the input's."""
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    return tuple(int(size if w is None else w) for w, size in zip(wanted, shape[-n:], strict=True))


def _windows(in_size: Any, out_size: Any) -> Any:
    """(output position, slices of its window) for every output."""
    for p in product(*[range(m) for m in out_size]):
        yield (
            p,
            tuple(
                slice(o * m // k, -(-(o + 1) * m // k))
                for o, m, k in zip(p, in_size, out_size, strict=True)
            ),
        )


def adaptive_avg_pool(x: Any, output_size: Any, n: int = 2) -> Any:
    """The mean of each window."""
    out = sizes(x.shape, output_size, n)
    y = np.zeros((*x.shape[:-n], *out), np.result_type(x, np.float64))
    with np.errstate(all="ignore"):
        for p, window in _windows(x.shape[-n:], out):
            y[(..., *p)] = x[(..., *window)].mean(axis=tuple(range(-n, 0)))
    return y


def adaptive_avg_pool_bwd(grad_y: Any, x_shape: Any) -> Any:
    """Each output's gradient, divided by its window's size, added to the window's elements."""
    n = len(x_shape) - 2
    grad_x = np.zeros(x_shape, np.result_type(grad_y, np.float64))
    for p, window in _windows(x_shape[2:], grad_y.shape[2:]):
        part = grad_x[(..., *window)]
        part += (grad_y[(..., *p)] / np.prod(part.shape[2:])).reshape(*x_shape[:2], *(1,) * n)
    return grad_x


def adaptive_max_pool(x: Any, output_size: Any, n: int = 2) -> Any:
    """The maximum of each window, and where in the plane it stood first; the last NaN wins."""
    out = sizes(x.shape, output_size, n)
    y = np.zeros((*x.shape[:-n], *out), np.result_type(x, np.float64))
    indices = np.zeros(y.shape, np.int64)
    flat = np.arange(int(np.prod(x.shape[-n:]))).reshape(x.shape[-n:])
    for p, window in _windows(x.shape[-n:], out):
        places = flat[window].reshape(-1)
        values = x[(..., *window)].reshape(*x.shape[:-n], len(places))
        nan = np.isnan(values)
        last = values.shape[-1] - 1 - np.argmax(nan[..., ::-1], axis=-1)
        first = np.argmax(values, axis=-1)
        y[(..., *p)] = np.max(values, axis=-1)
        indices[(..., *p)] = places[np.where(nan.any(-1), last, first)]
    return y, indices
