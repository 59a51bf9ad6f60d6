"""Tensors cut up."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["chunk", "split"]


def split(x: Any, size: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of one size, or of several."""
    n = x.shape[dim]
    ends = np.cumsum(size)[:-1] if isinstance(size, list) else range(size, n, size)
    return tuple(np.split(x, list(ends), dim))


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of the size that makes at most so many."""
    return split(x, -(-x.shape[dim] // chunks), dim)
