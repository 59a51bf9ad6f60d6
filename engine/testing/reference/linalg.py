"""Dense linear algebra in NumPy, and its checks that need no one answer."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["cov", "corrcoef", "pinv", "solve"]


def solve(a: Any, b: Any) -> Any:
    """a^-1 b; a vector for a vector."""
    if b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]):
        return (np.linalg.inv(a) @ b[..., None])[..., 0]
    return np.linalg.inv(a) @ b


def pinv(a: Any) -> Any:
    """NumPy's."""
    return np.linalg.pinv(a)


def cov(x: Any, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """NumPy's."""
    return np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)


def corrcoef(x: Any) -> Any:
    """NumPy's."""
    return np.corrcoef(x)
