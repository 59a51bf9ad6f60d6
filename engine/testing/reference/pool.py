"""Max and average pooling, for any number of spatial dimensions: a loop over the windows."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

__all__ = ["avg_pool", "avg_pool_bwd", "max_pool", "max_pool_bwd", "max_pool_gather"]


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    return values * n if len(values) != n else values


def out_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """How many windows there are; with ceil_mode the last may hang over, but not begin outside."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def _positions(p: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """For each dim the input positions inside the window of output p."""
    found = []
    for i in range(len(p)):
        q = p[i] * stride[i] - padding[i] + np.arange(kernel[i]) * dilation[i]
        found.append(q[(q >= 0) & (q < size[i])])
    return found


def max_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    n: int = 2,
) -> Any:
    """The maximum over each window and where in the plane it stood first; NaN wins."""
    if x.ndim == n + 1:
        y, indices = max_pool(x[None], kernel_size, stride, padding, dilation, ceil_mode, n)
        return y[0], indices[0]
    kernel = _tuple(kernel_size, n)
    stride = kernel if stride is None else _tuple(stride, n)
    padding, dilation = _tuple(padding, n), _tuple(dilation, n)
    size = x.shape[2:]
    out = tuple(
        out_size(size[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode)
        for i in range(n)
    )
    y = np.zeros((*x.shape[:2], *out), np.result_type(x, np.float64))
    indices = np.zeros((*x.shape[:2], *out), np.int64)
    flat_index = np.arange(int(np.prod(size))).reshape(size)
    for p in product(*[range(m) for m in out]):
        here = np.ix_(*_positions(p, size, kernel, stride, padding, dilation))
        places = flat_index[here].reshape(-1)
        window = x.reshape(*x.shape[:2], flat_index.size)[:, :, places]
        nan = np.isnan(window)
        last = window.shape[-1] - 1 - np.argmax(nan[..., ::-1], axis=-1)
        # The last NaN, as PyTorch; else the first maximum.
        first = np.where(nan.any(-1), last, np.argmax(window, axis=-1))
        y[(slice(None), slice(None), *p)] = np.max(window, axis=-1)
        indices[(slice(None), slice(None), *p)] = places[first]
    return y, indices


def max_pool_bwd(grad_y: Any, indices: Any, x_shape: Any, *window: Any, **options: Any) -> Any:
    """grad_y added up where each window's maximum stood."""
    shape = (*x_shape[:2], int(np.prod(x_shape[2:])))
    grad_x = np.zeros(shape, np.result_type(grad_y, np.float64))
    planes = (*x_shape[:2], int(np.prod(grad_y.shape[2:])))
    for i in range(x_shape[0]):
        for c in range(x_shape[1]):
            np.add.at(grad_x[i, c], indices.reshape(planes)[i, c], grad_y.reshape(planes)[i, c])
    return grad_x.reshape(x_shape)


def max_pool_gather(x: Any, indices: Any) -> Any:
    """x where each window's maximum stood."""
    flat_x = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))
    flat_indices = indices.reshape(*x.shape[:2], int(np.prod(indices.shape[2:])))
    found = np.take_along_axis(flat_x, flat_indices.astype(np.int64), -1)
    return found.reshape(indices.shape)


def _divisor(
    p: Any,
    size: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool,
    divisor_override: Any,
) -> int:
    """The window's size: all of it inside the padded input, or inside the input."""
    if divisor_override:
        return int(divisor_override)
    count = 1
    for i in range(len(p)):
        begin = p[i] * stride[i] - padding[i]
        end = min(begin + kernel[i], size[i] + padding[i])
        if not count_include_pad:
            begin, end = max(begin, 0), min(end, size[i])
        count *= end - begin
    return count


def avg_pool(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
    n: int = 2,
) -> Any:
    """The sum over each window divided by its size."""
    if x.ndim == n + 1:
        options = (padding, ceil_mode, count_include_pad, divisor_override, n)
        return avg_pool(x[None], kernel_size, stride, *options)[0]
    kernel = _tuple(kernel_size, n)
    stride = kernel if stride is None else _tuple(stride, n)
    padding = _tuple(padding, n)
    size = x.shape[2:]
    out = tuple(out_size(size[i], kernel[i], stride[i], padding[i], 1, ceil_mode) for i in range(n))
    y = np.zeros((*x.shape[:2], *out), np.result_type(x, np.float64))
    with np.errstate(all="ignore"):
        for p in product(*[range(m) for m in out]):
            places = _positions(p, size, kernel, stride, padding, (1,) * n)
            window = x[np.ix_(np.arange(x.shape[0]), np.arange(x.shape[1]), *places)]
            total = np.sum(window, axis=tuple(range(2, n + 2)))
            options = (kernel, stride, padding, count_include_pad, divisor_override)
            y[(slice(None), slice(None), *p)] = total / _divisor(p, size, *options)
    return y


def avg_pool_bwd(
    grad_y: Any,
    x_shape: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool,
    divisor: int,
) -> Any:
    """Each window's grad_y, divided by its size, added to all of its elements."""
    n = len(x_shape) - 2
    grad_x = np.zeros(x_shape, np.result_type(grad_y, np.float64))
    size = x_shape[2:]
    for p in product(*[range(m) for m in grad_y.shape[2:]]):
        places = _positions(p, size, kernel, stride, padding, (1,) * n)
        here = np.ix_(np.arange(x_shape[0]), np.arange(x_shape[1]), *places)
        share = _divisor(p, size, kernel, stride, padding, count_include_pad, divisor)
        part = grad_y[(slice(None), slice(None), *p)] / share
        grad_x[here] += part.reshape(*x_shape[:2], *(1,) * n)
    return grad_x
