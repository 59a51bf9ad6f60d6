"""Padding."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["pad", "pad_bwd", "pad_constant", "pad_mode"]

_NUMPY: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_NAMES = {1: "reflect", 2: "replicate", 3: "circular"}


def pad(x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """By PyTorch's list, the last dimension first; negative amounts crop."""
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2)
    pairs += [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    keep = tuple(
        slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pairs, strict=True)
    )
    x = x[keep]
    pairs = [(max(b, 0), max(a, 0)) for b, a in pairs]
    if mode == "constant":
        return np.pad(x, pairs, constant_values=value or 0)
    return np.pad(x, pairs, mode=_NUMPY[mode])


def pad_mode(x: Any, before: Any, mode: int, out_shape: Any) -> Any:
    """The kernel's form: `before` of the last dims, and the result's shape."""
    lead = x.ndim - len(before)
    pairs = [(0, 0)] * lead
    pairs += [
        (b, m - n - b) for b, n, m in zip(before, x.shape[lead:], out_shape[lead:], strict=True)
    ]
    return np.pad(x, pairs, mode=_NUMPY[_NAMES[mode]])


def pad_bwd(grad_y: Any, before: Any, mode: int, x_shape: Any) -> Any:
    """Each element's copies summed: the places that np.pad copies from, counted."""
    if not grad_y.size:
        return np.zeros(x_shape, grad_y.dtype)
    places = np.arange(int(np.prod(x_shape))).reshape(x_shape)
    padded = pad_mode(places, before, mode, grad_y.shape)
    grad_x = np.zeros(places.size, grad_y.dtype)
    np.add.at(grad_x, padded.reshape(-1), grad_y.reshape(-1))
    return grad_x.reshape(x_shape)


def pad_constant(x: Any, before: Any, value: float, out_shape: Any) -> Any:
    """The value everywhere but where x is."""
    y = np.full(out_shape, value)
    y[tuple(slice(b, b + n) for b, n in zip(before, x.shape, strict=True))] = x
    return y
