"""Dropout of channels and of samples, and the one that keeps mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from .random import dropout

__all__ = ["alpha_dropout", "channels", "drop_path"]

#: -scale * alpha of SELU.
_LOWEST = -1.7580993408473766


def _blocks(x: Any, kept: int, p: float, seed: int) -> Any:
    """x with whole blocks dropped: one draw for each index of the first `kept` dims."""
    shape = x.shape[:kept] + (1,) * (x.ndim - kept)
    return x * dropout(np.ones(shape), p, seed, 0)


def channels(n: int, x: Any, p: float = 0.5, training: bool = True, seed: int = 0) -> Any:
    """dropout1d, 2d, 3d."""
    if not training or p == 0:
        return x
    return _blocks(x, 2 if x.ndim == n + 2 or n == 2 else 1, p, seed)


def drop_path(x: Any, p: float = 0.0, training: bool = False, seed: int = 0) -> Any:
    """Whole samples."""
    return _blocks(x, 1, p, seed) if training and p else x


def alpha_dropout(x: Any, p: float = 0.5, training: bool = False, seed: int = 0) -> Any:
    """a * (keep ? x : lowest) + b, with a and b for mean 0 and variance 1."""
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    kept = dropout(np.ones(x.shape), p, seed, 0) > 0
    a = ((1 - p) * (1 + p * _LOWEST**2)) ** -0.5
    return a * np.where(kept, x, _LOWEST) - a * p * _LOWEST
