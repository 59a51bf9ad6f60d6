"""Launchers of activation.cu: the activations, their derivatives, prelu, and the gate of glu."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ACTIVATIONS
from . import memory
from .arguments import Fault, broadcast, check_floats, grid_for, operand_strides, size_of
from .arguments import strided_loop as loop_over
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_GATED = {
    "prelu": "Prelu",
    "prelu_bwd": "PreluBwd",
    "negative_product": "NegativeProduct",
    "gate": "Gate",
    "gate_bwd": "GateBwd",
}
MODULE = Module(
    "activation.cu",
    [
        *(
            f"{kernel}<{t}>"
            for kernel in ("activation", "activation_bwd", "activation_bwd_bwd")
            for t in _TYPES
        ),
        *(f"gated<{op}, {t}>" for op in _GATED.values() for t in _TYPES),
    ],
)


def _prepared(kernel: str, arrays: dict[str, Any]) -> tuple[str, Any, tuple[int, ...]]:
    """The C++ type, the result's memory and its shape, which the arrays broadcast to."""
    for name, x in arrays.items():
        if x is None:
            raise Fault(kernel, "not_array", (name, "NoneType"))
    t = check_floats(kernel, **arrays)
    shape = broadcast(kernel, *(x.shape for x in arrays.values()))
    size_of(kernel, shape)
    return t, memory.empty(shape, next(iter(arrays.values())).dtype), shape


def _function(kernel: str, kind: int, options: tuple[float, ...], **arrays: Any) -> Any:
    """Launches a kernel of function `kind`."""
    t, y, shape = _prepared(kernel, arrays)
    if not 0 <= kind < len(ACTIVATIONS):
        raise Fault(kernel, "shape", len(arrays))
    n = y.size
    if n:
        given = arrays.values()
        loop = loop_over(shape, *(operand_strides(x, shape) for x in given))
        numbers = [y.dtype.type(v) for v in options]
        args = (*given, y, np.int32(kind), *numbers, loop, np.int64(n))
        launch(MODULE, f"{kernel}<{t}>", *grid_for(n), 0, args)
    return y


def activation(x: Any, kind: int, a: float, b: float, c: float) -> Any:
    """f(x)."""
    return _function("activation", kind, (a, b, c), x=x)


def activation_bwd(grad_y: Any, x: Any, kind: int, a: float, b: float, c: float) -> Any:
    """grad_y * f'(x)."""
    return _function("activation_bwd", kind, (a, b, c), grad_y=grad_y, x=x)


def activation_bwd_bwd(
    grad: Any, grad_y: Any, x: Any, kind: int, a: float, b: float, c: float
) -> Any:
    """grad * grad_y * f''(x)."""
    return _function("activation_bwd_bwd", kind, (a, b, c), grad=grad, grad_y=grad_y, x=x)


def _gated(kernel: str, **arrays: Any) -> Any:
    t, y, shape = _prepared(kernel, arrays)
    n = y.size
    if n:
        given: list[Any] = list(arrays.values())
        strides = [operand_strides(x, shape) for x in given]
        if len(given) == 2:
            given.append(None)
            strides.append((0,) * len(shape))
        loop = loop_over(shape, *strides)
        args = (*given, y, loop, np.int64(n))
        launch(MODULE, f"gated<{_GATED[kernel]}, {t}>", *grid_for(n), 0, args)
    return y


def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, else weight * x."""
    return _gated("prelu", x=x, weight=weight)


def prelu_bwd(grad_y: Any, x: Any, weight: Any) -> Any:
    """grad_y where x > 0, else weight * grad_y."""
    return _gated("prelu_bwd", grad_y=grad_y, x=x, weight=weight)


def negative_product(u: Any, v: Any, x: Any) -> Any:
    """0 where x > 0, else u * v."""
    return _gated("negative_product", u=u, v=v, x=x)


def gate(a: Any, b: Any) -> Any:
    """a * sigmoid(b)."""
    return _gated("gate", a=a, b=b)


def gate_bwd(grad_y: Any, a: Any, b: Any) -> Any:
    """grad_y * a * s * (1 - s), s = sigmoid(b)."""
    return _gated("gate_bwd", grad_y=grad_y, a=a, b=b)


ENTRIES = {
    "activation": activation,
    "activation_bwd": activation_bwd,
    "activation_bwd_bwd": activation_bwd_bwd,
    "prelu": prelu,
    "prelu_bwd": prelu_bwd,
    "negative_product": negative_product,
    "gate": gate,
    "gate_bwd": gate_bwd,
}
