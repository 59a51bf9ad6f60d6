"""Random numbers: a seed and a counter, the same numbers on every device.

Philox is a function of (seed, counter): a generator is just these two, and drawing n numbers moves
the counter on. Nothing is drawn until a kernel runs.
"""

from __future__ import annotations

import os

from .device import device as Device

__all__ = [
    *("Generator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "seed"),
    "set_rng_state",
]


class Generator:
    """A stream of random numbers.

    Example: `Generator().manual_seed(0)`; give it to the functions that take `generator=`.
    """

    def __init__(self, device: object = "cpu") -> None:
        self.manual_seed(0)

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of this seed (any int; taken modulo 2**64)."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise TypeError(f"manual_seed: seed must be an int; got {seed!r}")
        self._seed = int(seed) & (2**64 - 1)
        self._offset = 0
        return self

    @property
    def device(self) -> Device:
        """The CPU: seed and counter lie there; the numbers are the same on every device."""
        return Device("cpu")

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def seed(self) -> int:
        """Starts a stream of a seed from the operating system, and returns the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def get_state(self) -> tuple[int, int]:
        """(seed, counter): where the stream stands."""
        return self._seed, self._offset

    def set_state(self, state: tuple[int, int]) -> Generator:
        """Goes to where get_state was taken."""
        self._seed, self._offset = state
        return self

    def reserve(self, count: int) -> tuple[int, int]:
        """(seed, counter) for `count` elements, which are then used up."""
        offset = self._offset
        # A counter gives 4 words of 32 bits; float64 takes two words an element.
        self._offset += (count + 1) // 2
        return self._seed, offset


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Starts the default generator's stream of this seed."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def seed() -> int:
    """Starts the default generator on a seed from the operating system, and returns the seed."""
    return default_generator.seed()


def get_rng_state() -> tuple[int, int]:
    """Where the default generator stands: (seed, counter), where PyTorch has a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: tuple[int, int]) -> None:
    """Takes the default generator to where get_rng_state was called."""
    default_generator.set_state(new_state)
