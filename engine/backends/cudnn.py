"""The switches of cuDNN that programs set: taken, and of no effect; nothing here uses cuDNN."""

from __future__ import annotations

__all__ = ["is_available", "version"]

enabled = False
benchmark = False
deterministic = True
allow_tf32 = False


def is_available() -> bool:
    """False: the kernels are gradsmith's own."""
    return False


def version() -> int | None:
    """None: there is no cuDNN."""
    return None
