"""Spaces of cases that are counted and never stored: an index is decoded into its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

__all__ = ["SCALES", "Space", "shuffled"]

#: An axis of most families: one case of 30 is large.
SCALES = ("small",) * 29 + ("large",)
_ROUNDS = 4


class Space:
    """The product of named axes; case `index` is one value of each, by mixed-radix digits.

    Args:
        axes: the values of each axis, by its name.
    """

    def __init__(self, axes: Mapping[str, Sequence[Any]]) -> None:
        self.axes = {name: tuple(values) for name, values in axes.items()}
        self.size = prod(len(values) for values in self.axes.values())

    def decode(self, index: int) -> dict[str, Any]:
        """The value of each axis in case `index`.

        Raises:
            IndexError: an index that is not in [0, size).
        """
        if not 0 <= index < self.size:
            raise IndexError(f"Space: index must be in [0, {self.size}); got {index}")
        found = {}
        for name, values in self.axes.items():
            index, digit = divmod(index, len(values))
            found[name] = values[digit]
        return found

    def encode(self, **parameters: Any) -> int:
        """The index of the case with these parameters, and the first value of every other axis.

        Raises:
            ValueError: no such axis, or no such value on it.
        """
        if unknown := set(parameters) - set(self.axes):
            raise ValueError(f"Space: no axis is called {sorted(unknown)[0]!r}")
        index, step = 0, 1
        for name, values in self.axes.items():
            if name in parameters:
                if parameters[name] not in values:
                    raise ValueError(
                        f"Space: {name} must be one of {values}; got {parameters[name]!r}"
                    )
                index += step * values.index(parameters[name])
            step *= len(values)
        return index


def _mixed(value: int, key: int) -> int:
    """63 bits that depend on every bit of both."""
    value = (value ^ key) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    value = (value ^ value >> 29) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return value ^ value >> 32


def shuffled(position: int, size: int, seed: int) -> int:
    """Where `position` of [0, size) comes to lie in the permutation that `seed` says.

    A Feistel network over the bits of size, walked until it is back inside: each index is met
    once, and no list of them is kept.

    Raises:
        IndexError: a position that is not in [0, size).
    """
    if not 0 <= position < size:
        raise IndexError(f"shuffled: position must be in [0, {size}); got {position}")
    half = max(1, (size - 1).bit_length() + 1 >> 1)
    mask = (1 << half) - 1
    while True:
        left, right = position >> half, position & mask
        for i in range(_ROUNDS):
            left, right = right, left ^ (_mixed(right, seed * _ROUNDS + i) & mask)
        position = left << half | right
        if position < size:
            return position
