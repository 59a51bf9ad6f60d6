"""Convolution, pooling and products of integers, in NumPy: what the grid's results must equal.

Whole windows at a time, so that a case costs a fraction of a millisecond, and another road than
gradsmith.testing.reference goes, which walks kernel elements or outputs. Imports nothing of ours.
All of it in int64: nothing is rounded, and no library's threads stand in the way of ours.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

__all__ = [
    "adaptive_bounds",
    "correlate",
    "divisors",
    "kernel_gradient",
    "padded",
    "reached",
    "spread",
    "unpool",
    "windows",
]

Array = np.ndarray[Any, Any]
Ints = tuple[int, ...]


def padded(x: Array, before: Ints, size: Ints, fill: int = 0) -> Array:
    """x with `before` elements of `fill` before each spatial dim, cut or filled up to `size`."""
    y = np.full((*x.shape[:2], *size), fill, x.dtype)
    kept = [max(0, min(n, s - b)) for n, b, s in zip(x.shape[2:], before, size, strict=True)]
    inner = tuple(slice(b, b + n) for b, n in zip(before, kept, strict=True))
    y[(..., *inner)] = x[(..., *(slice(0, n) for n in kept))]
    return y


def reach(kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Ints:
    """How much of a padded input `out` windows see, in each dim."""
    return tuple(
        (o - 1) * s + d * (k - 1) + 1
        for k, s, d, o in zip(kernel, stride, dilation, out, strict=True)
    )


def windows(x: Array, kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Array:
    """The view w[n, c, *p, *r] = x[n, c, p * stride + r * dilation]."""
    steps = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *out, *kernel),
        (
            *x.strides[:2],
            *(a * s for a, s in zip(steps, stride, strict=True)),
            *(a * d for a, d in zip(steps, dilation, strict=True)),
        ),
        writeable=False,
    )


def unfold(x: Array, kernel: Ints, stride: Ints, before: Ints, dilation: Ints, out: Ints) -> Array:
    """windows of x with zeros around it."""
    wide = padded(x, before, reach(kernel, stride, dilation, out))
    return windows(wide, kernel, stride, dilation, out)


def fold(w: Array, size: Ints, kernel: Ints, stride: Ints, before: Ints, dilation: Ints) -> Array:
    """The adjoint of unfold: every w[n, c, *p, *r] added to the input that it was read from."""
    n = len(size)
    out = w.shape[2 : 2 + n]
    ends = reach(kernel, stride, dilation, out)
    # Also where no window comes, so that cutting the padding off is one slice.
    room = tuple(max(e, b + s) for e, b, s in zip(ends, before, size, strict=True))
    y = np.zeros((*w.shape[:2], *room), w.dtype)
    for r in product(*map(range, kernel)):
        here = tuple(
            slice(i * d, i * d + (o - 1) * s + 1, s)
            for i, d, o, s in zip(r, dilation, out, stride, strict=True)
        )
        y[(..., *here)] += w[(..., *r)]
    return y[(..., *(slice(b, b + s) for b, s in zip(before, size, strict=True)))]


def _columns(x: Array, groups: int, kernel: Ints, out: Ints, *steps: Ints) -> Array:
    """(groups, positions of all images, channels of a group times taps)."""
    n = len(kernel)
    w = unfold(x, kernel, steps[0], steps[1], steps[2], out)
    w = w.reshape(x.shape[0], groups, -1, *out, *kernel)
    w = w.transpose(1, 0, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
    return w.reshape(groups, x.shape[0] * prod(out), -1)


def _rows(y: Array, groups: int) -> Array:
    """(groups, positions of all images, channels of a group)."""
    y = y.reshape(y.shape[0], groups, y.shape[1] // groups, -1)
    return y.transpose(1, 0, 3, 2).reshape(groups, y.shape[0] * y.shape[3], -1)


def correlate(
    x: Array, weight: Array, out: Ints, stride: Ints, before: Ints, dilation: Ints, groups: int
) -> Array:
    """y[n, o, p] = the sum over c, r of x[n, c, p * stride - before + r * dilation] w[o, c, r]."""
    columns = _columns(x, groups, weight.shape[2:], out, stride, before, dilation)
    flat = weight.reshape(groups, weight.shape[0] // groups, -1)
    y = np.einsum("gpk,gok->gpo", columns, flat)
    y = y.reshape(groups, x.shape[0], prod(out), -1).transpose(1, 0, 3, 2)
    return y.reshape(x.shape[0], weight.shape[0], *out)


def spread(
    y: Array, weight: Array, size: Ints, stride: Ints, before: Ints, dilation: Ints, groups: int
) -> Array:
    """The adjoint of correlate in x, which had the spatial size `size`."""
    n, out, kernel = len(size), y.shape[2:], weight.shape[2:]
    flat = weight.reshape(groups, weight.shape[0] // groups, -1)
    w = np.einsum("gpo,gok->gpk", _rows(y, groups), flat)
    w = w.reshape(groups, y.shape[0], *out, weight.shape[1], *kernel)
    w = w.transpose(1, 0, 2 + n, *range(2, 2 + n), *range(3 + n, 3 + 2 * n))
    w = w.reshape(y.shape[0], groups * weight.shape[1], *out, *kernel)
    return fold(w, size, kernel, stride, before, dilation)


def kernel_gradient(
    y: Array, x: Array, kernel: Ints, stride: Ints, before: Ints, dilation: Ints, groups: int
) -> Array:
    """The adjoint of correlate in weight."""
    columns = _columns(x, groups, kernel, y.shape[2:], stride, before, dilation)
    w = np.einsum("gpo,gpk->gok", _rows(y, groups), columns)
    return w.reshape(y.shape[1], x.shape[1] // groups, *kernel)


def reached(
    size: Ints, kernel: Ints, stride: Ints, before: Ints, dilation: Ints, out: Ints
) -> tuple[int, int, int]:
    """How many outputs, inputs and kernel elements meet any: the others are zero by right."""
    counts = [1, 1, 1]
    for n, k, s, b, d, o in zip(size, kernel, stride, before, dilation, out, strict=True):
        q = np.arange(o)[:, None] * s - b + np.arange(k) * d
        inside = (q >= 0) & (q < n)
        counts[0] *= int(inside.any(1).sum())
        counts[1] *= np.unique(q[inside]).size
        counts[2] *= int(inside.any(0).sum())
    return counts[0], counts[1], counts[2]


def divisors(
    size: Ints, kernel: Ints, stride: Ints, before: Ints, out: Ints, include_pad: bool
) -> Array:
    """What each window's sum is divided by: its size within the (padded) input."""
    total = np.ones((), np.int64)
    for n, k, s, b, o in zip(size, kernel, stride, before, out, strict=True):
        begin = np.arange(o) * s - b
        end = np.minimum(begin + k, n + b)
        if not include_pad:
            begin, end = np.maximum(begin, 0), np.minimum(end, n)
        total = total[..., None] * (end - begin)
    return total


def adaptive_bounds(size: int, out: int) -> tuple[Array, Array]:
    """Where the windows of an adaptive pooling begin and end, in one dim."""
    o = np.arange(out)
    return o * size // out, -((o + 1) * size // -out)


def unpool(x: Array, indices: Array, size: Ints) -> Array:
    """Zeros with x where its indices say; of several the last."""
    planes = x.shape[0] * x.shape[1]
    y = np.zeros((planes, prod(size)), x.dtype)
    # NumPy assigns in order, and so keeps the last one.
    y[np.arange(planes)[:, None], indices.reshape(planes, -1)] = x.reshape(planes, -1)
    return y.reshape(*x.shape[:2], *size)
