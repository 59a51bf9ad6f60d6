"""Exact values: the references in extended precision, or forms of them where nothing cancels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..opdb import OpInfo
from ..reference.elementwise import sigmoid
from ..reference.math import PI, erfc

__all__ = ["BY_LAPACK", "exact", "widened"]

Array = np.ndarray[Any, Any]


def widened(value: Any, dtype: Any = np.longdouble) -> Any:
    """Floating-point arrays in a wider dtype."""
    if isinstance(value, list):
        return [widened(v, dtype) for v in value]
    if isinstance(value, np.ndarray) and (value.dtype.kind == "f" or value.dtype.kind == "V"):
        return value.astype(dtype)
    return value


def _gelu(x: Any, approximate: str = "none") -> Any:
    two = np.asarray(2, x.dtype)
    if approximate == "none":
        return np.where(x == -np.inf, -0.0, x * (erfc(-x / np.sqrt(two)) / 2))
    inner = np.sqrt(2 / PI.astype(x.dtype)) * (x + np.asarray(44715, x.dtype) / 1000000 * x**3)
    return np.where(x == -np.inf, -0.0, x * sigmoid(2 * inner))


def _tanhshrink(x: Any) -> Any:
    """x - tanh x = (x cosh x - sinh x) / cosh x, whose numerator is a sum of positive terms."""
    small = np.where(np.abs(x) < 1, x, 0)
    term, total = small, np.zeros_like(x)
    for k in range(1, 16):
        term = term * small * small / (2 * k * (2 * k + 1))
        total = total + 2 * k * term
    return np.where(np.abs(x) < 1, total / np.cosh(small), x - np.tanh(x))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    soft = np.maximum(beta * x, 0) + np.log1p(np.exp(-np.abs(beta * x)))
    return np.where(beta * x > threshold, x, soft / beta)


#: Whose references are NumPy's LAPACK: there is nothing beyond float64.
BY_LAPACK = (
    "linalg_inv",
    "linalg_solve",
    "linalg_det",
    "slogdet",
    "linalg_cholesky",
    "linalg_svd",
    "linalg_pinv",
    "linalg_matrix_norm",
    "linalg_norm",
)
#: In place of the reference, where that one cancels.
_FORMS: dict[str, Any] = {"gelu": _gelu, "tanhshrink": _tanhshrink, "softplus": _softplus}


def exact(info: OpInfo, arrays: Sequence[Any], options: dict[str, Any]) -> tuple[Any, ...]:
    """The op's outputs in extended precision."""
    function = _FORMS.get(info.name, info.reference)
    dtype = np.float64 if info.name in BY_LAPACK else np.longdouble
    with np.errstate(all="ignore"):
        result = function(*widened(list(arrays), dtype), **options)
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)
