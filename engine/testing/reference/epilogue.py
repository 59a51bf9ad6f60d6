"""Layers with their epilogue in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conv import conv
from .math import erf

__all__ = ["conv_activation", "epilogue_bwd", "linear_activation"]

_FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: 0.5 * z * (1 + erf(z / np.sqrt(np.asarray(2, z.dtype)))),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    None: lambda z: z,
}
#: In the order of the kernels' codes.
_CODES = (None, "relu", "gelu", "tanh", "sigmoid", "silu")


def linear_activation(
    x: Any, weight: Any, bias: Any = None, activation: Any = "relu", residual: Any = None
) -> Any:
    """activation(x @ weight^T + bias + residual)"""
    z = x @ weight.T
    z = z if bias is None else z + bias
    return _FUNCTIONS[activation](z if residual is None else z + residual)


def conv_activation(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = "relu",
    residual: Any = None,
) -> Any:
    """activation(conv(x, weight, bias) + residual)"""
    z = conv(x, weight, bias, stride, padding, dilation, groups)
    return _FUNCTIONS[activation](z if residual is None else z + residual)


def _slope(value: Any, activation: Any) -> Any:
    """The derivative, from the output, or for gelu and silu from the sum before."""
    if activation == "relu":
        return np.where(value <= 0, 0.0, 1.0)
    if activation == "tanh":
        return 1 - value**2
    if activation == "sigmoid":
        return value * (1 - value)
    if activation == "gelu":
        share = 0.5 * (1 + erf(value / np.sqrt(2)))
        return share + value * np.exp(-(value**2) / 2) / np.sqrt(2 * np.pi)
    if activation == "silu":
        s = 1 / (1 + np.exp(-value))
        return s * (1 + value * (1 - s))
    return np.ones_like(value)


def epilogue_bwd(grad_y: Any, value: Any, sums_shape: Any, dim: int, activation: int) -> Any:
    """g = grad_y f'(z), and its sums over all dims but one."""
    g = grad_y * _slope(value, _CODES[activation])
    return g, g.sum(tuple(d for d in range(g.ndim) if d != dim))
