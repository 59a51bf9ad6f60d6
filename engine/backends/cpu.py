"""Settings of the CPU kernels: which ISA build runs."""

from __future__ import annotations

from .. import _cpu

__all__ = ["isa", "isas", "set_isa"]


def isas() -> tuple[str, ...]:
    """The builds that this processor can run, least first: of "v2", "v3", "v4", or "neon".

    v2, v3 and v4 are x86-64's levels: SSE4.2, AVX2 with FMA, AVX-512.
    """
    return tuple(_cpu.isas())


def isa() -> str:
    """The build in use; the best one unless GRADSMITH_ISA or set_isa chose another."""
    return _cpu.isa()


def set_isa(name: str) -> None:
    """Uses the build `name` from now on.

    Raises:
        ValueError: if this processor cannot run it.
    """
    _cpu.set_isa(name)
