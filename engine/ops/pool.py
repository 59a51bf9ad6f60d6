"""Max and average pooling: one N-D op of each behind the 1d, 2d and 3d functions."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_, int64
from ..tensor import Tensor
from . import ranges, shapes
from .choose import where
from .conv import _batched
from .pad import pad
from .view import expand, slice_

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]


@op(
    inputs="x",
    kernel="max_pool",
    outputs=2,
    formula="y = max of x over each window; indices: where in the plane it stood first",
)
def max_pool(k, x, out_shape, kernel, stride, padding, dilation):
    y, indices = k.max_pool(x, out_shape, kernel, stride, padding, dilation)
    return (y, indices), (indices, tuple(x.shape))


@max_pool.gradient
def _(k, saved, grad_y, need, out_shape, kernel, stride, padding, dilation):
    indices, x_shape = saved
    return (k.max_pool_bwd(grad_y, indices, x_shape, kernel, stride, padding, dilation),)


@op(
    inputs="grad_y indices",
    kernel="max_pool_bwd",
    formula="grad_x[i] = sum of grad_y over the windows whose maximum is i",
)
def max_pool_bwd(k, grad_y, indices, x_shape, kernel, stride, padding, dilation):
    grad_x = k.max_pool_bwd(grad_y, indices, x_shape, kernel, stride, padding, dilation)
    return grad_x, (indices,)


@max_pool_bwd.gradient
def _(k, saved, grad, need, x_shape, kernel, stride, padding, dilation):
    return k.max_pool_gather(grad, saved[0]), None


@op(inputs="x indices", kernel="max_pool_gather", formula="y = x at the windows' maxima")
def max_pool_gather(k, x, indices):
    return k.max_pool_gather(x, indices), (indices, tuple(x.shape))


@max_pool_gather.gradient
def _(k, saved, grad_y, need):
    indices, x_shape = saved
    # Only where the maxima stood matters: this window reaches the whole plane from every output.
    plane = x_shape[2:]
    reach = tuple([2 * n for n in plane])
    ones = (1,) * len(plane)
    return k.max_pool_bwd(grad_y, indices, x_shape, reach, ones, plane, ones), None


@op(inputs="x", kernel="avg_pool", formula="y = sum of x over each window / its size")
def avg_pool(k, x, out_shape, kernel, stride, padding, count_include_pad, divisor):
    y = k.avg_pool(x, out_shape, kernel, stride, padding, count_include_pad, divisor)
    return y, (tuple(x.shape),)


@avg_pool.gradient
def _(k, saved, grad_y, need, out_shape, *options):
    return (k.avg_pool_bwd(grad_y, saved[0], *options),)


@op(inputs="grad_y", kernel="avg_pool_bwd", formula="the adjoint of avg_pool")
def avg_pool_bwd(k, grad_y, x_shape, kernel, stride, padding, count_include_pad, divisor):
    grad_x = k.avg_pool_bwd(grad_y, x_shape, kernel, stride, padding, count_include_pad, divisor)
    return grad_x, (tuple(grad_y.shape),)


@avg_pool_bwd.gradient
def _(k, saved, grad, need, x_shape, *options):
    return (k.avg_pool(grad, saved[0], *options),)


# ---- the public functions ----


def _window(
    name: str, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> tuple[tuple[int, ...], ...]:
    """kernel, stride (default: the kernel), padding and dilation, one int a dimension."""
    kernel = shapes.spatial(name, "kernel_size", kernel_size, n, 1)
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        stride = kernel
    return (
        kernel,
        shapes.spatial(name, "stride", stride, n, 1),
        shapes.spatial(name, "padding", padding, n, 0),
        shapes.spatial(name, "dilation", dilation, n, 1),
    )


def _max_of_integers(
    x: Tensor,
    out_shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """max_pool of integers: one place in the window after the other, over all windows at once."""
    sizes = x._data.shape[2:]
    n = len(sizes)
    windows = list(zip(sizes, out_shape[2:], kernel, stride, padding, dilation, strict=True))
    behind = [max((o - 1) * s + (k - 1) * d + 1 - m - p, 0) for m, o, k, s, p, d in windows]
    both = [v for p, b in zip(reversed(padding), reversed(behind), strict=True) for v in (p, b)]
    padded = pad(x, both, value=int(np.iinfo(x.dtype.numpy).min))
    count = math.prod(sizes)
    # Where in the plane each element is; -1 is padding, which never wins.
    plane = ranges.arange(1, count + 1, device=x.device).reshape((1, 1, *sizes))  # type: ignore[attr-defined]
    plane = pad(plane, both, value=0) - 1
    step = (1, 1, *stride)
    y = indices = None
    for taps in product(*[range(k) for k in kernel]):
        start = (0, 0, *[t * d for t, d in zip(taps, dilation, strict=True)])
        here = apply(slice_, (padded,), (start, step, out_shape))
        places = apply(slice_, (plane,), (start, step, (1, 1, *out_shape[2:])))
        places = expand(places, out_shape)
        if y is None:
            y, indices = here, places
            continue
        better = ((here > y) | (indices < 0)) & (places >= 0)  # type: ignore[operator]
        y, indices = where(better, here, y), where(better, places, indices)
    assert y is not None and indices is not None and n
    return y, indices


def _max_pool(
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{n}d"
    x, batched = _batched(name, input, n)
    window = _window(name, n, kernel_size, stride, padding, dilation)
    out_shape = shapes.pool(name, x._data.shape, *window, bool(ceil_mode))
    if not x.dtype.is_floating_point and x.dtype is not bool_ and x._data.size:
        found = _max_of_integers(x, out_shape, *window)
        y, indices = found if batched else (t.reshape(out_shape[1:]) for t in found)
        return (y, indices) if return_indices else y
    _, _, padding, dilation = window
    sizes = x._data.shape[2:]
    if any([p and d > m for p, d, m in zip(padding, dilation, sizes, strict=True)]):
        # A window may lie between the elements, where there is only padding: its maximum is -inf.
        if return_indices:
            raise NotImplementedError(
                f"{name}: no indices where windows may miss the input: with padding, dilation must "
                f"be at most the size; got dilation={dilation}, padding={padding}, x "
                f"{tuple(x.shape)}"
            )
        x = pad(x, [p for p in reversed(padding) for _ in range(2)], value=-math.inf)
        window = (window[0], window[1], (0,) * n, dilation)
    y, indices = apply(max_pool, (x,), (out_shape, *window))
    if not batched:
        y = y.reshape(out_shape[1:])
    if not return_indices:
        return y
    indices = indices.to(int64)
    return y, indices if batched else indices.reshape(out_shape[1:])


def _avg_pool(
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{n}d"
    x, batched = _batched(name, input, n)
    kernel, stride, padding, dilation = _window(name, n, kernel_size, stride, padding)
    if divisor_override is not None:
        (divisor,) = shapes.spatial(name, "divisor_override", divisor_override, 1, 1)
    else:
        divisor = 0
    out_shape = shapes.pool(name, x._data.shape, kernel, stride, padding, dilation, bool(ceil_mode))
    options = (out_shape, kernel, stride, padding, bool(count_include_pad), divisor)
    y = apply(avg_pool, (x,), options)
    return y if batched else y.reshape(out_shape[1:])


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum over a sliding window; NaN wins, padding never does.

    Shape: (N, C, L) or (C, L) -> (N, C, L_out),
    L_out = floor((L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1

    Args:
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        padding: on each side, at most half of kernel_size.
        dilation: steps between the window's elements.
        ceil_mode: round L_out up instead of down.
        return_indices: also return where in each plane the first maximum stood (int64).

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(1, input, *options)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum over a sliding 2-D window; options as max_pool1d, an int or one per dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(2, input, *options)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum over a sliding 3-D window; options as max_pool1d, an int or one per dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool(3, input, *options)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The average over a sliding window.

    Shape: (N, C, L) or (C, L) -> (N, C, L_out), as max_pool1d without dilation

    Args:
        kernel_size: the window.
        stride: its steps; default: kernel_size.
        padding: zeros on each side, at most half of kernel_size.
        ceil_mode: round L_out up instead of down.
        count_include_pad: whether padding counts in the average.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, None)
    return _avg_pool(1, input, *options)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average over a sliding 2-D window; options as avg_pool1d, an int or one per dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out)

    Args:
        divisor_override: divide by this instead of the window's size.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(2, input, *options)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average over a sliding 3-D window; options as avg_pool2d, an int or one per dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(3, input, *options)
