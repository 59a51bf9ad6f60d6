"""Apple's GPUs, of which programs ask whether there is one: gradsmith has no kernels for them."""

from __future__ import annotations

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """False: there are no kernels for Apple's GPUs."""
    return False


def is_built() -> bool:
    """False: there are no kernels for Apple's GPUs."""
    return False
