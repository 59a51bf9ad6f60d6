"""Settings of the CPU kernels: which ISA build runs, and how convolutions are computed.

`conv_precision` and `conv_algorithm` are read and set like variables:

    gradsmith.backends.cpu.conv_precision = "exact"
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from .. import _cpu, environment

__all__ = ["conv_algorithms", "isa", "isas", "set_isa"]

_PRECISIONS = ("fast", "exact")

if TYPE_CHECKING:
    #: "fast": float32 convolutions may take Winograd's algorithm, whose rms error is about 8 times
    #: that of sums in order. "exact": sums in order only. float64 is always "exact".
    conv_precision: Literal["fast", "exact"]
    #: The algorithm that convolutions take wherever it can compute them; "auto": the quickest.
    conv_algorithm: str


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


def conv_algorithms() -> tuple[str, ...]:
    """The names that `conv_algorithm` takes: "auto" and the algorithms."""
    return tuple(_cpu.conv_algorithms())


def _set_precision(name: str, value: object) -> None:
    if value not in _PRECISIONS:
        raise ValueError(f"{name}: must be one of fast, exact; got {value!r}")
    _cpu.set_conv_exact(value == "exact")


class _Settings(ModuleType):
    """The module, whose settings are the core's."""

    @property
    def conv_precision(self) -> str:
        return _PRECISIONS[_cpu.conv_exact()]

    @conv_precision.setter
    def conv_precision(self, value: str) -> None:
        _set_precision("conv_precision", value)

    @property
    def conv_algorithm(self) -> str:
        return _cpu.conv_algorithm()

    @conv_algorithm.setter
    def conv_algorithm(self, value: str) -> None:
        if value not in conv_algorithms():
            names = ", ".join(conv_algorithms())
            raise ValueError(f"conv_algorithm: must be one of {names}; got {value!r}")
        _cpu.set_conv_algorithm(value)


sys.modules[__name__].__class__ = _Settings

if environment.CONV_PRECISION:
    _set_precision("GRADSMITH_CONV_PRECISION", environment.CONV_PRECISION)
