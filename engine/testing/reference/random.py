"""Philox4x32-10 and what is drawn with it (Salmon et al., Parallel random numbers, SC 2011)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["dropout", "normal", "philox", "uniform"]


def philox(seed: int, counters: Any) -> Any:
    """The four 32-bit words of each 64-bit counter, as an array (counters, 4)."""
    low = np.uint64(0xFFFFFFFF)
    n = np.asarray(counters, dtype=np.uint64)
    c = [n & low, n >> np.uint64(32), np.zeros_like(n), np.zeros_like(n)]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]),
            b & low,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]),
            a & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=-1)


def _counters(offset: int, count: int) -> Any:
    return np.uint64(offset % 2**64) + np.arange(count, dtype=np.uint64)


def _words(seed: int, offset: int, count: int) -> Any:
    """One word an element, four elements a counter."""
    return philox(seed, _counters(offset, -(-count // 4))).reshape(-1)[:count]


def _fraction53(a: Any, b: Any) -> Any:
    """53 bits of two words, as a whole number."""
    return (a >> np.uint64(5)).astype(np.float64) * 2.0**26 + (b >> np.uint64(6))


def dropout(x: Any, p: float, seed: int, offset: int) -> Any:
    """x / (1 - p) where a uniform number is at least p, else 0."""
    u = (_words(seed, offset, x.size) >> np.uint64(8)) * 2.0**-24
    kept = u.reshape(x.shape) >= p
    return np.where(kept, x * (1 / (1 - p) if p < 1 else 0.0), 0.0)


def uniform(
    shape: Any, low: float, high: float, seed: int, offset: int, dtype: Any = "float32"
) -> Any:
    """Numbers in [low, high): 24 bits of a word for float32, 53 of two for float64."""
    count = int(np.prod(shape, dtype=np.int64))
    if np.dtype(dtype) == np.float32:
        u = (_words(seed, offset, count) >> np.uint64(8)) * 2.0**-24
    else:
        w = philox(seed, _counters(offset, -(-count // 2))).reshape(-1, 2)[:count]
        u = _fraction53(w[:, 0], w[:, 1]) * 2.0**-53
    return (u * (high - low) + low).reshape(shape)


def normal(
    shape: Any, mean: float, std: float, seed: int, offset: int, dtype: Any = "float32"
) -> Any:
    """Box-Muller: r cos and r sin of a pair of uniform numbers, turn by turn."""
    count = int(np.prod(shape, dtype=np.int64))
    pairs = -(-count // 2)
    if np.dtype(dtype) == np.float32:
        w = _words(seed, offset, 2 * pairs).reshape(-1, 2)
        u1, u2 = (w[:, 0] + np.uint64(1)) * 2.0**-32, w[:, 1] * 2.0**-32
    else:
        w = philox(seed, _counters(offset, pairs))
        u1 = (_fraction53(w[:, 0], w[:, 1]) + 1) * 2.0**-53
        u2 = _fraction53(w[:, 2], w[:, 3]) * 2.0**-53
    r = np.sqrt(-2 * np.log(u1))
    z = np.stack([r * np.cos(2 * np.pi * u2), r * np.sin(2 * np.pi * u2)], axis=-1)
    return (z.reshape(-1)[:count] * std + mean).reshape(shape)
