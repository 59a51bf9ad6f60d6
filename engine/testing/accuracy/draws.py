"""Arguments drawn where functions are hard to compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "Draw",
    "angles",
    "bits",
    "each",
    "normal",
    "shifted",
    "subnormal",
    "tiny",
    "uniform",
    "wide",
]

Array = np.ndarray[Any, Any]
#: Gives an array of a dtype.
Draw = Callable[[np.random.Generator, str], Array]
COUNT = 20_000


def uniform(low: float, high: float, shape: Any = COUNT) -> Draw:
    """Uniform in [low, high)."""
    return lambda rng, dtype: rng.uniform(low, high, shape).astype(dtype)


def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Draw:
    """Normal."""
    return lambda rng, dtype: (rng.standard_normal(shape) * scale + mean).astype(dtype)


def each(float32: Draw, float64: Draw) -> Draw:
    """One draw for float32, another for float64."""
    return lambda rng, dtype: (float32 if dtype == "float32" else float64)(rng, dtype)


def bits(signed: bool = True, shape: Any = COUNT) -> Draw:
    """Finite numbers of every exponent alike, subnormal ones too."""

    def draw(rng: np.random.Generator, dtype: str) -> Array:
        unsigned = np.dtype(f"uint{8 * np.dtype(dtype).itemsize}")
        top = np.iinfo(unsigned).max if signed else np.iinfo(unsigned).max // 2
        with np.errstate(all="ignore"):
            values = rng.integers(0, top, shape, unsigned, endpoint=True).view(dtype)
            return np.where(np.isfinite(values), values, np.ones((), dtype))

    return draw


def wide(low: float, high: float, signed: bool = True, shape: Any = COUNT) -> Draw:
    """Powers of ten between 10^low and 10^high, of either sign."""

    def draw(rng: np.random.Generator, dtype: str) -> Array:
        values = 10.0 ** rng.uniform(low, high, shape)
        return (values * rng.choice([-1.0, 1.0], shape) if signed else values).astype(dtype)

    return draw


def subnormal(signed: bool = False) -> Draw:
    """Below the normal numbers."""

    def draw(rng: np.random.Generator, dtype: str) -> Array:
        values = rng.uniform(0, 1, COUNT) * np.finfo(dtype).tiny
        return (values * rng.choice([-1.0, 1.0], COUNT) if signed else values).astype(dtype)

    return draw


def tiny() -> Draw:
    """Small, normal, of either sign."""
    return each(wide(-37, -2), wide(-300, -2))


def angles() -> Draw:
    """The numbers next to multiples of pi / 2."""

    def draw(rng: np.random.Generator, dtype: str) -> Array:
        near = (rng.integers(-100_000, 100_000, COUNT) * (np.pi / 2)).astype(dtype)
        return np.nextafter(near, np.asarray(rng.choice([-np.inf, np.inf], COUNT), dtype))

    return draw


def shifted(offset: float, *shape: int, scale: float = 1.0) -> Draw:
    """Normal about a mean that is large beside the spread."""
    return normal(*shape, scale=scale, mean=offset)
