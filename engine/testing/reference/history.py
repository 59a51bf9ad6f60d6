"""Changes of a part of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["copy_slices", "without_view"]


def _part(places: Any, chain: Any) -> Any:
    """The places that a chain of views leads to."""
    for name, options in chain:
        if name == "slice":
            start, step, shape = options
            for d, (a, s, n) in enumerate(zip(start, step, shape, strict=True)):
                places = np.take(places, a + s * np.arange(n), axis=d)
        else:
            method = {"reshape": np.reshape, "permute": np.transpose}[name]
            places = method(places, options[0])
    return places


def copy_slices(base: Any, value: Any, chain: Any, order: Any) -> Any:
    """base, with the part replaced."""
    y = base.reshape(-1).copy()
    y[_part(np.arange(base.size).reshape(base.shape), chain)] = value
    return y.reshape(base.shape)


def without_view(x: Any, chain: Any, order: Any) -> Any:
    """x, with zeros for the part."""
    return copy_slices(x, 0.0, chain, order)
