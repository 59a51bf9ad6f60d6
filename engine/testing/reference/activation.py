"""Activations: their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementwise import sigmoid
from .math import PI, erf, quiet

__all__ = ["FUNCTIONS", "gate", "gate_bwd", "glu", "maxout", "negative_product", "prelu"]


def _hold(x: Any, low: float, high: float) -> Any:
    return np.where(np.isnan(x), x, np.minimum(np.maximum(x, low), high))


def _elu(x: Any, alpha: float, scale: float = 1.0, inner: float = 1.0) -> Any:
    return np.where(x <= 0, alpha * np.expm1(inner * np.minimum(x, 0)), scale * x)


def _log1p_exp(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * (0.5 + 0.5 * erf(x / np.sqrt(np.asarray(2, x.dtype))))
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / PI.astype(x.dtype)) * (x + 0.044715 * x**3)))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(beta * x > threshold, x, _log1p_exp(beta * x) / beta)


def _mish(x: Any) -> Any:
    return x * np.tanh(_log1p_exp(x))


SELU = (1.0507009873554805 * 1.6732632423543772, 1.0507009873554805)

#: name -> its definition, on float64.
FUNCTIONS: dict[str, Any] = {
    "relu6": lambda x: _hold(x, 0, 6),
    "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    "rrelu": lambda x, lower=1 / 8, upper=1 / 3: np.where(x > 0, x, (lower + upper) / 2 * x),
    "elu": lambda x, alpha=1.0: _elu(x, alpha),
    "celu": lambda x, alpha=1.0: _elu(x, alpha, 1.0, 1 / alpha),
    "selu": lambda x: _elu(x, *SELU),
    "gelu": _gelu,
    "silu": lambda x: x * sigmoid(x),
    "mish": _mish,
    "logsigmoid": lambda x: -_log1p_exp(-x),
    "hardsigmoid": lambda x: _hold(x + 3, 0, 6) / 6,
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: _hold(x, min_val, max_val),
    "hardswish": lambda x: x * (_hold(x + 3, 0, 6) / 6),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softshrink": lambda x, lambd=0.5: np.where(
        x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0 * x)
    ),
    "hardshrink": lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
    "tanhshrink": lambda x: x - np.tanh(x),
    "threshold": lambda x, threshold, value: np.where(x <= threshold, value, x),
}
FUNCTIONS = {name: quiet(function) for name, function in FUNCTIONS.items()}


@quiet
def activation(x: Any, kind: int, a: float, b: float, c: float) -> Any:
    """silu, whose number the samples give."""
    return x * sigmoid(x)


@quiet
def silu_bwd(grad_y: Any, x: Any, kind: int, a: float, b: float, c: float) -> Any:
    """grad_y times the derivative of silu."""
    s = sigmoid(x)
    return grad_y * s * (1 + x * (1 - s))


@quiet
def silu_bwd_bwd(grad: Any, grad_y: Any, x: Any, kind: int, a: float, b: float, c: float) -> Any:
    """grad grad_y times the second derivative of silu."""
    s = sigmoid(x)
    return grad * grad_y * s * (1 - s) * (2 + x * (1 - 2 * s))


@quiet
def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, else weight x, a weight a channel."""
    if weight.ndim and x.ndim > 1:
        weight = weight.reshape(weight.shape + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, weight * x)


@quiet
def prelu_bwd(grad_y: Any, x: Any, weight: Any) -> Any:
    """grad_y where x > 0, else weight grad_y."""
    return np.where(x > 0, grad_y, weight * grad_y)


@quiet
def negative_product(u: Any, v: Any, x: Any) -> Any:
    """0 where x > 0, else u v."""
    return np.where(x > 0, 0, u * v)


@quiet
def gate(a: Any, b: Any) -> Any:
    """a sigmoid(b)."""
    return a * sigmoid(b)


@quiet
def gate_bwd(grad_y: Any, a: Any, b: Any) -> Any:
    """grad_y a s (1 - s)."""
    return grad_y * a * sigmoid(b) * sigmoid(-b)


def glu(x: Any, dim: int = -1) -> Any:
    """The first half times the sigmoid of the second."""
    a, b = np.split(x, 2, axis=dim)
    return gate(a, b)


def maxout(x: Any, pieces: int, dim: int = 1) -> Any:
    """The largest of every `pieces` neighbours."""
    dim %= x.ndim
    shape = x.shape[:dim] + (x.shape[dim] // pieces, pieces) + x.shape[dim + 1 :]
    return np.max(x.reshape(shape), axis=dim + 1)
