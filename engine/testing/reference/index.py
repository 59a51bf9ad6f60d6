"""Taking and putting by index."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "embedding",
    "flat_along",
    "gather",
    "gather_dim",
    "index_add",
    "index_flat",
    "index_put",
    "index_sum",
    "masked_select",
    "nonzero",
    "one_hot",
    "put",
    "put_dim",
    "scatter",
    "scatter_sum",
    "take",
    "triangle",
]


def take(x: Any, index: Any, dim: int, skip: int, out_shape: Any) -> Any:
    """x's slices along dim at the index; zeros where it is `skip`."""
    flat = index.reshape(-1)
    y = np.take(x, flat, axis=dim)
    y[(slice(None),) * dim + (flat == skip,)] = 0
    return y.reshape(out_shape)


def index_sum(grad_y: Any, index: Any, dim: int, skip: int, x_shape: Any) -> Any:
    """Zeros of x_shape, with grad_y's slices added one by one."""
    grad_x = np.zeros(x_shape, grad_y.dtype)
    flat = index.reshape(-1)
    parts = grad_y.reshape(*x_shape[:dim], len(flat), *x_shape[dim + 1 :])
    for j, place in enumerate(flat):
        if place != skip:
            grad_x[(slice(None),) * dim + (place,)] += parts[(slice(None),) * dim + (j,)]
    return grad_x


def put(x: Any, src: Any, index: Any, dim: int) -> Any:
    """x with src's slices written one by one."""
    y = x.copy()
    flat = index.reshape(-1)
    shape = (*x.shape[:dim], len(flat), *x.shape[dim + 1 :])
    parts = np.broadcast_to(src, shape) if src.size == 1 else src.reshape(shape)
    for j, place in enumerate(flat):
        y[(slice(None),) * dim + (place,)] = parts[(slice(None),) * dim + (j,)]
    return y


def put_dim(x: Any, src: Any, indices: Any, dim: int) -> Any:
    """x with src written at the indices along dim, element by element."""
    y = x.copy()
    for at in np.ndindex(*indices.shape):
        value = src.reshape(-1)[0] if src.size == 1 else src[at]
        y[(*at[:dim], indices[at], *at[dim + 1 :])] = value
    return y


def index_put(x: Any, value: Any, key: Any) -> Any:
    """x with x[key] = value."""
    y = x.copy()
    y[key] = value
    return y


def index_flat(indices: Any, sizes: Any, out_shape: Any) -> Any:
    """Several indices, broadcast, as one of the flattened dims."""
    flat = np.zeros(out_shape, np.int64)
    for index, size in zip(indices, sizes, strict=True):
        flat = flat * size + np.where(index < 0, index + size, index)
    return flat


def flat_along(indices: Any, x_shape: Any, dim: int) -> Any:
    """The places in x.flat that indices along dim mean."""
    places = np.arange(int(np.prod(x_shape))).reshape(x_shape)
    corner = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(indices.shape))
    return np.take_along_axis(places[corner], indices, dim)


def gather_dim(x: Any, indices: Any, dim: int, out_shape: Any) -> Any:
    """x at the indices along dim; out_shape may lack dim."""
    kept = tuple(-1 if i == dim else n for i, n in enumerate(x.shape))
    if not x.size or not indices.size:
        return np.zeros(out_shape, x.dtype)
    return np.take_along_axis(x, indices.reshape(kept), dim).reshape(out_shape)


def scatter_sum(src: Any, indices: Any, x_shape: Any, dim: int) -> Any:
    """Zeros of x_shape, with src added where the indices point along dim."""
    y = np.zeros(x_shape, src.dtype)
    if src.size == 0:
        return y
    kept = tuple(-1 if i == dim else n for i, n in enumerate(x_shape))
    indices, src = indices.reshape(kept), src.reshape(kept)
    for at in np.ndindex(*indices.shape):
        y[(*at[:dim], indices[at], *at[dim + 1 :])] += src[at]
    return y


def gather(x: Any, dim: int, index: Any) -> Any:
    """x at the index along dim; the index may be smaller elsewhere."""
    if index.size == 0:
        return np.zeros(index.shape, x.dtype)
    if x.ndim == 0:
        return x
    d = dim % x.ndim
    corner = tuple(slice(None) if i == d else slice(n) for i, n in enumerate(index.shape))
    return np.take_along_axis(x[corner], index, d)


def scatter(x: Any, dim: int, index: Any, src: Any, reduce: Any = None) -> Any:
    """x with src written (or added) at the index along dim, element by element."""
    y = np.array(x)
    d = dim % max(x.ndim, 1)
    for at in np.ndindex(*index.shape):
        to = (*at[:d], index[at], *at[d + 1 :]) if x.ndim else ()
        value = src[at] if isinstance(src, np.ndarray) and src.ndim == index.ndim else src
        y[to] = y[to] + value if reduce else value
    return y


def index_add(x: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
    """x with alpha * source added to the slices that the index names."""
    y = x.copy()
    np.add.at(np.moveaxis(y, dim, 0), index, alpha * np.moveaxis(source, dim, 0))
    return y


def masked_select(x: Any, mask: Any) -> Any:
    """The elements where the mask is true."""
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]


def nonzero(x: Any) -> Any:
    """The indices of what is not 0, a row each."""
    return np.argwhere(x).astype(np.int64)


def triangle(x: Any, diagonal: int = 0, upper: bool = False) -> Any:
    """np.triu or np.tril."""
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


def one_hot(classes: Any, num_classes: int = -1) -> Any:
    """Rows of the identity."""
    count = int(classes.max()) + 1 if num_classes == -1 else num_classes
    return np.eye(count, dtype=np.int64)[classes]


def embedding(index: Any, weight: Any, **options: Any) -> Any:
    """weight's rows."""
    return weight[index]
