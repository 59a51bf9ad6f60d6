"""Normalisation: subtract the mean, divide by the root of the variance, over some dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "batch_norm",
    "batch_norm_bwd",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
    "row_norm_bwd",
]


def _channelwise(v: Any, ndim: int, otherwise: float) -> Any:
    return otherwise if v is None else v.reshape(1, -1, *(1,) * (ndim - 2))


def _normalised(x: Any, axes: Any, eps: float, centered: bool = True) -> tuple[Any, Any]:
    """(x - mean) / sqrt(var + eps), and 1 / sqrt(var + eps)."""
    with np.errstate(all="ignore"):
        if centered:
            x = x - np.mean(x, axis=axes, keepdims=True)
        rstd = 1 / np.sqrt(np.mean(x * x, axis=axes, keepdims=True) + eps)
        return x * rstd, rstd


def _but_channels(x: Any) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel with the batch's statistics in training, the running ones otherwise."""
    if not x.size:
        return x
    if training:
        u, _ = _normalised(x, _but_channels(x), eps)
    else:
        mean = _channelwise(running_mean, x.ndim, 0.0)
        u = (x - mean) / np.sqrt(_channelwise(running_var, x.ndim, 1.0) + eps)
    return u * _channelwise(weight, x.ndim, 1.0) + _channelwise(bias, x.ndim, 0.0)


def _backward(h: Any, u: Any, rstd: Any, axes: Any, centered: bool = True) -> Any:
    """The gradient of normalised values u, h having come for them."""
    average = np.mean(h, axis=axes, keepdims=True) if centered else 0.0
    return rstd * (h - average - u * np.mean(h * u, axis=axes, keepdims=True))


def batch_norm_bwd(
    grad_y: Any, x: Any, weight: Any = None, eps: float = 1e-5, training: bool = True
) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias."""
    axes = _but_channels(x)
    u, rstd = _normalised(x, axes, eps)
    h = grad_y * _channelwise(weight, x.ndim, 1.0)
    grad_x = _backward(h, u, rstd, axes) if training else h * rstd
    return grad_x, np.sum(grad_y * u, axis=axes), np.sum(grad_y, axis=axes)


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Over the last dimensions."""
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y, _ = _normalised(x, axes, eps) if x.size else (x, 1)
    return y * (1 if weight is None else weight) + (0 if bias is None else bias)


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float = 1e-5) -> Any:
    """The same without the mean and the bias."""
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y, _ = _normalised(x, axes, eps, False) if x.size else (x, 1)
    return y * (1 if weight is None else weight)


def row_norm_bwd(
    grad_y: Any,
    x: Any,
    weight: Any = None,
    groups: int = 1,
    inner: int = 1,
    eps: float = 1e-5,
    centered: bool = True,
) -> tuple[Any, Any, Any]:
    """x (rows, length); the gradients of x, weight and bias."""
    rows, length = x.shape
    full = (rows // groups, groups, length // inner, inner)
    u, rstd = _normalised(x.reshape(full), (2, 3), eps, centered)
    g = grad_y.reshape(full)
    w = 1.0 if weight is None else weight.reshape(1, groups, full[2], 1)
    grad_x = _backward(g * w, u, rstd, (2, 3), centered)
    sums = [np.sum(v, axis=(0, 3)).reshape(-1) for v in (g * u, g)]
    return grad_x.reshape(x.shape), *sums


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Over groups of neighbouring channels."""
    if x.size:
        groups = x.reshape(x.shape[0], num_groups, -1)
        x = _normalised(groups, 2, eps)[0].reshape(x.shape)
    return x * _channelwise(weight, x.ndim, 1.0) + _channelwise(bias, x.ndim, 0.0)


def instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Over the spatial dimensions, or with the running statistics."""
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return group_norm(x, max(x.shape[1], 1), weight, bias, eps)


def local_response_norm(
    x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Each channel over a power of its neighbours' energy."""
    energy = np.full(x.shape, k, x.dtype)
    for c in range(x.shape[1]):
        low, high = max(0, c - size // 2), c + (size - 1) // 2 + 1
        energy[:, c] += alpha / size * np.sum(x[:, low:high] ** 2, axis=1)
    return x / energy**beta


def normalize(x: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """Over the p-norm along dim."""
    size = np.abs(x)
    if np.isinf(p):
        length = np.max(size, axis=dim, keepdims=True)
    else:
        length = np.sum(size**p, axis=dim, keepdims=True) ** (1 / p)
    return x / np.maximum(length, eps)
