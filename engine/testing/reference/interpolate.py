"""Interpolation as one matrix a dimension, and the moves between channels and space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle", "resample_bwd"]

_NUMBERS = {"nearest": 0, "nearest-exact": 1, "bicubic": 3, "area": 4}  # the others: 2


def _matrix(n: int, out: int, mode: int, align_corners: bool, scale: float) -> Any:
    """(out, n): what each output takes of each input; NaN: nothing, not even of a NaN."""
    if align_corners:
        step = (n - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = 1 / scale if scale else n / out
    found = np.full((out, n), np.nan)
    for o in range(out):
        if mode == 4:
            begin, end = o * n // out, -(-(o + 1) * n // out)
            found[o, begin:end] = 1 / (end - begin)
            continue
        if mode < 2:
            place = math.floor(np.float32(step * (o + 0.5 * mode)))
            found[o, min(place, n - 1)] = 1
            continue
        u = step * o if align_corners else step * (o + 0.5) - 0.5
        u = max(u, 0.0) if mode == 2 else u
        first = math.floor(u)
        t = u - first
        if mode == 2:
            weights = {first: 1 - t, first + 1: t}
        else:
            weights = {first + i: _cubic(t - i) for i in (-1, 0, 1, 2)}
        for i, w in weights.items():
            i = min(max(i, 0), n - 1)
            found[o, i] = w + np.nan_to_num(found[o, i])
    return found


def _cubic(d: float, a: float = -0.75) -> float:
    """Keys' kernel (1981) with PyTorch's constant."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


def _along(x: Any, matrix: Any, dim: int) -> Any:
    x = np.moveaxis(x, dim, -1)
    y = np.zeros((*x.shape[:-1], len(matrix)), np.result_type(x, np.float64))
    for o, i in np.argwhere(~np.isnan(matrix)):
        y[..., o] += x[..., i] * matrix[o, i]
    return np.moveaxis(y, -1, dim)


def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
) -> Any:
    """Every spatial dimension in turn."""
    n = x.ndim - 2
    for i in range(n):
        scale = 0.0
        if size is not None:
            out = size[i] if isinstance(size, tuple) else size
        else:
            factor = scale_factor[i] if isinstance(scale_factor, tuple) else scale_factor
            out = math.floor(x.shape[2 + i] * factor)
            scale = 0.0 if recompute_scale_factor or mode == "area" else factor
        number = _NUMBERS.get(mode, 2)
        x = _along(x, _matrix(x.shape[2 + i], out, number, bool(align_corners), scale), 2 + i)
    return x


def resample_bwd(
    grad_y: Any, dim: int, x_shape: Any, mode: int, align_corners: bool, scale: float
) -> Any:
    """The transposed matrix along one dimension."""
    matrix = _matrix(x_shape[dim], grad_y.shape[dim], mode, align_corners, scale)
    return _along(grad_y, matrix.T, dim)


def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """y[.., c, h r + i, w r + j] = x[.., (c r + i) r + j, h, w]."""
    r = upscale_factor
    channels, height, width = x.shape[-3:]
    y = np.zeros((*x.shape[:-3], channels // r**2, height * r, width * r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return y


def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """The inverse."""
    r = downscale_factor
    channels, height, width = x.shape[-3:]
    y = np.zeros((*x.shape[:-3], channels * r * r, height // r, width // r), x.dtype)
    for i in range(r):
        for j in range(r):
            y[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return y


def channel_shuffle(x: Any, groups: int) -> Any:
    """y[:, i groups + g] = x[:, g C / groups + i]."""
    share = x.shape[1] // groups
    order = [g * share + i for i in range(share) for g in range(groups)]
    return x[:, order]
