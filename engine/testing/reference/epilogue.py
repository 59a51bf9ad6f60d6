"""linear and its activation in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .math import erf

__all__ = ["linear_activation"]

_FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: 0.5 * z * (1 + erf(z / np.sqrt(np.asarray(2, z.dtype)))),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    None: lambda z: z,
}


def linear_activation(x: Any, weight: Any, bias: Any = None, activation: Any = "relu") -> Any:
    """activation(x @ weight^T + bias)"""
    z = x @ weight.T
    return _FUNCTIONS[activation](z if bias is None else z + bias)
