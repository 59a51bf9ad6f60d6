"""Products of matrices and vectors in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["added", "bilinear", "chain", "cross", "einsum", "kron", "tensordot"]


def added(x: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1, product: Any = None) -> Any:
    """beta x + alpha product(a, b); without beta, x is not looked at."""
    y = alpha * (np.matmul if product is None else product)(a, b)
    return y if beta == 0 else beta * x + y


def matmul_add(
    a: Any, b: Any, c: Any, out_shape: Any, alpha: float, beta: float, c_shape: Any = None
) -> Any:
    """alpha a b + beta c"""
    y = alpha * np.matmul(a, b)
    return y if c is None else y + beta * c


def chain(*matrices: Any) -> Any:
    """The product from left to right."""
    y = matrices[0]
    for m in matrices[1:]:
        y = y @ m
    return y


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """NumPy's."""
    return np.tensordot(a, b, dims)


def kron(a: Any, b: Any) -> Any:
    """NumPy's."""
    return np.kron(a, b)


def cross(a: Any, b: Any, dim: int = -1) -> Any:
    """Component by component."""
    a, b = (np.moveaxis(v, dim, 0) for v in np.broadcast_arrays(a, b))
    y = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return np.moveaxis(np.array(y), 0, dim)


def bilinear(a: Any, b: Any, weight: Any, bias: Any = None) -> Any:
    """sum over i, j of a[i] weight[o, i, j] b[j]"""
    y = np.einsum("...i,oij,...j->...o", a, weight, b)
    return y if bias is None else y + bias


def einsum(equation: str, *operands: Any) -> Any:
    """NumPy's."""
    return np.einsum(equation, *operands)
