"""The random numbers of transforms: from gradsmith's generators, so that a seed decides them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..random import Generator
from ..utils.data.sampler import permutation, uniform_numbers

__all__ = ["Drawing"]


class Drawing:
    """The base of random transforms.

    Args:
        generator: default: the default generator, which `manual_seed` seeds, and DataLoader in each
            of its workers.
    """

    generator: Generator | None = None

    def uniforms(self, count: int) -> np.ndarray[Any, Any]:
        """Random float64 numbers in [0, 1)."""
        return uniform_numbers(count, self.generator)

    def uniform(self, low: float, high: float) -> float:
        """A random number in [low, high)."""
        return float(low + (high - low) * self.uniforms(1)[0])

    def integer(self, low: int, high: int) -> int:
        """A random integer in [low, high]."""
        return low + min(int(self.uniforms(1)[0] * (high - low + 1)), high - low)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return float(self.uniforms(1)[0]) < p

    def order(self, count: int) -> list[int]:
        """0..count-1 in random order."""
        return permutation(count, self.generator)


def check_probability(name: str, p: float) -> float:
    """A probability.

    Raises:
        ValueError: outside of [0, 1].
    """
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: p must be in [0, 1]; got {p!r}")
    return p
