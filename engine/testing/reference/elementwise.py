"""Elementwise ops and the derivatives of activations."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "add",
    "div",
    "exp",
    "log",
    "mul",
    "neg",
    "relu",
    "relu_bwd",
    "relu_signs_bwd",
    "sigmoid",
    "sigmoid_bwd",
    "sub",
    "tanh",
    "tanh_bwd",
]


def _quiet(function: Any) -> Any:
    """Infinities and NaN are results here, not warnings."""

    def quiet(*args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*args, **options)

    quiet.__name__, quiet.__doc__ = function.__name__, function.__doc__
    return quiet


@_quiet
def add(a: Any, b: Any) -> Any:
    """a + b."""
    return np.add(a, b)


@_quiet
def sub(a: Any, b: Any) -> Any:
    """a - b."""
    return np.subtract(a, b)


@_quiet
def mul(a: Any, b: Any) -> Any:
    """a * b."""
    return np.multiply(a, b)


@_quiet
def div(a: Any, b: Any) -> Any:
    """a / b."""
    return np.divide(a, b)


@_quiet
def neg(x: Any) -> Any:
    """-x."""
    return -x


@_quiet
def exp(x: Any) -> Any:
    """e^x."""
    return np.exp(x)


@_quiet
def log(x: Any) -> Any:
    """ln x."""
    return np.log(x)


@_quiet
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    return np.where(np.isnan(x), x, np.where(x > 0, x, 0.0))


@_quiet
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), which for x < 0 is e^x / (1 + e^x): that keeps what is below the normals."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


@_quiet
def tanh(x: Any) -> Any:
    """tanh x."""
    return np.tanh(x)


@_quiet
def relu_bwd(grad_y: Any, y: Any) -> Any:
    """grad_y, and 0 where y <= 0; a NaN lets it pass."""
    return np.where(y <= 0, 0.0, grad_y)


@_quiet
def relu_signs_bwd(grad_y: Any, signs: Any) -> Any:
    """grad_y, and 0 where its bit, in C order, is not set."""
    bits = np.unpackbits(signs.astype("<i4").view(np.uint8), bitorder="little")
    return np.where(bits[: grad_y.size].reshape(grad_y.shape), grad_y, 0.0)


@_quiet
def sigmoid_bwd(grad_y: Any, y: Any) -> Any:
    """grad_y y (1 - y)."""
    return grad_y * y * (1.0 - y)


@_quiet
def tanh_bwd(grad_y: Any, y: Any) -> Any:
    """grad_y (1 - y^2)."""
    return grad_y * (1.0 - y * y)
