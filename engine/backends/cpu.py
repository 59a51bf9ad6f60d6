"""Settings of the CPU kernels: which ISA build runs, and how convolutions are computed.

`conv_precision` and `conv_algorithm` are read and set like variables:

    gradsmith.backends.cpu.conv_precision = "exact"
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from .. import _cpu, environment

__all__ = ["conv_algorithms", "conv_plan", "isa", "isas", "set_isa"]

_PRECISIONS = ("fast", "exact")
_DTYPES = ("float32", "float64", "float16", "bfloat16")

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


def conv_plan(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    dtype: Any = None,
) -> dict[str, str]:
    """Which algorithm each pass of a convolution takes, with the settings as they are.

    Args:
        input_shape: (N, C, ...), of 1 to 3 spatial dimensions.
        weight_shape: (K, C / groups, ...).
        stride, padding, dilation, groups: as those of `nn.functional.conv2d`.
        dtype: of gradsmith, or its name; float32, unless given. float16 and bfloat16 are
            convolved as float32.

    Returns:
        {"forward": ..., "input gradient": ..., "weight gradient": ...}, names as those of
        `conv_algorithm`; "direct" is the sum in order over channels and taps.

    Raises:
        RuntimeError: the shapes do not fit together, or have not 1 to 3 spatial dimensions.
        TypeError: a shape is no sequence of ints.
        ValueError: convolutions have no such dtype.
    """
    from ..ops import shapes

    input_shape = _shape("input_shape", input_shape)
    weight_shape = _shape("weight_shape", weight_shape)
    n = len(input_shape) - 2
    if n not in (1, 2, 3):
        raise RuntimeError(
            "conv_plan: input_shape must be (N, C, ...) with 1 to 3 spatial dimensions; "
            f"got {input_shape}"
        )
    name = "float32" if dtype is None else str(dtype).removeprefix("gradsmith.")
    if name not in _DTYPES:
        raise ValueError(f"conv_plan: dtype must be one of {', '.join(_DTYPES)}; got {dtype!r}")
    stride = shapes.spatial("conv_plan", "stride", stride, n, 1)
    dilation = shapes.spatial("conv_plan", "dilation", dilation, n, 1)
    padding, end = shapes.conv_padding("conv_plan", padding, weight_shape[2:], stride, dilation)
    options = (stride, padding, dilation, shapes.groups("conv_plan", groups))
    out_shape = shapes.conv("conv_plan", input_shape, weight_shape, None, *options, end)
    found = _cpu.conv_plan(input_shape, weight_shape, out_shape, *options, name == "float64")
    return dict(zip(("forward", "input gradient", "weight gradient"), found, strict=True))


def _shape(argument: str, value: Any) -> tuple[int, ...]:
    """A shape that conv_plan was given."""
    from ..ops import shapes

    if not isinstance(value, (tuple, list)):
        raise TypeError(
            f"conv_plan: {argument} must be a tuple of ints; got {value!r} ({type(value).__name__})"
        )
    return shapes.sizes("conv_plan", tuple(value))


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
