"""Launchers of elementwise.cu: one entry an operation.

The model for other families: `MODULE` declares every kernel that may be launched, each entry checks
its arrays, allocates the result, chooses a kernel and launches it, and `ENTRIES` lists the entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import arithmetic, memory
from .arguments import (
    Fault,
    address,
    broadcast,
    check_arrays,
    check_floats,
    contiguous,
    grid_for,
    operand_strides,
    size_of,
    strided_loop,
)
from .launch import Module, launch

__all__ = ["ENTRIES"]

_UNARY = {
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "abs": "Abs",
    "sqrt": "Sqrt",
    "rsqrt": "Rsqrt",
    "square": "Square",
    "reciprocal": "Reciprocal",
    "expm1": "Expm1",
    "log1p": "Log1p",
    "log2": "Log2",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "erf": "Erf",
    "floor": "Floor",
    "ceil": "Ceil",
    "round": "Round",
    "trunc": "Trunc",
}
_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}
_BACKWARD = {
    "abs_bwd": "AbsBwd",
    "relu_bwd": "ReluBwd",
    "sigmoid_bwd": "SigmoidBwd",
    "tanh_bwd": "TanhBwd",
}
_TERNARY = {"lerp": "Lerp", "addcmul": "Addcmul", "addcdiv": "Addcdiv"}

_TYPES = ("float", "double")
#: How the operands of binary_whole may be given.
_PAIRS = ("Whole, Whole", "Whole, Repeated", "Repeated, Whole")
_VECTOR_BYTES = 16

MODULE = Module(
    "elementwise.cu",
    [
        *(f"unary_whole<{op}, {t}>" for op in _UNARY.values() for t in _TYPES),
        *(f"unary_strided<{op}, {t}>" for op in _UNARY.values() for t in _TYPES),
        *(
            f"binary_whole<{op}, {t}, {pair}>"
            for op in _BINARY.values()
            for t in _TYPES
            for pair in _PAIRS
        ),
        *(f"binary_whole<{op}, {t}, Whole, Whole>" for op in _BACKWARD.values() for t in _TYPES),
        *(
            f"binary_strided<{op}, {t}>"
            for op in (*_BINARY.values(), *_BACKWARD.values())
            for t in _TYPES
        ),
        *(f"ternary_strided<{op}, {t}>" for op in _TERNARY.values() for t in _TYPES),
        *(f"{kernel}<{t}>" for kernel in ("relu_signs", "relu_signs_bwd") for t in _TYPES),
    ],
)


def _aligned(x: Any) -> bool:
    """Contiguous, and where vector accesses may begin."""
    return x.flags.c_contiguous and address(x) % _VECTOR_BYTES == 0


def _vectors(y: Any) -> tuple[tuple[int], tuple[int]]:
    """Grid and block of a *_whole kernel: a vector a thread, and one thread each for the tail."""
    return grid_for(y.nbytes // _VECTOR_BYTES + _VECTOR_BYTES // y.itemsize)


def _is_number(x: Any) -> bool:
    return isinstance(x, (float, int))


def _unary_entry(name: str, op: str) -> Callable[..., Any]:
    def entry(x: Any) -> Any:
        if name in ("neg", "abs") and arithmetic.is_integer(x):
            return arithmetic.integer_unary(name, x)
        t = check_floats(name, x=x)
        y = memory.empty(x.shape, x.dtype)
        n = y.size
        if n == 0:
            return y
        if _aligned(x):
            args = (x, y, np.int64(n))
            launch(MODULE, f"unary_whole<{op}, {t}>", *_vectors(y), 0, args)
        else:
            loop = strided_loop(x.shape, operand_strides(x, x.shape))
            args = (x, y, loop, np.int64(n))
            launch(MODULE, f"unary_strided<{op}, {t}>", *grid_for(n), 0, args)
        return y

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(x)"
    return entry


def _binary_entry(name: str, op: str, numbers: bool) -> Callable[..., Any]:
    """An entry of two operands; with `numbers`, either may be a Python number."""

    def entry(a: Any, b: Any) -> Any:
        if name in ("add", "sub", "mul") and arithmetic.is_integer(a, b):
            return arithmetic.integer_binary(name, a, b)
        for argument, value in (("a", a), ("b", b)):
            if value is None:  # None stands for "a number" below
                raise Fault(name, "not_array", (argument, "NoneType"))
        number: Any = 0.0
        if numbers:
            if _is_number(a) and not _is_number(b):
                number, a = a, None
            elif _is_number(b):
                number, b = b, None
        t = check_floats(name, a=a, b=b)
        given = [x for x in (a, b) if x is not None]
        shape = broadcast(name, *(x.shape for x in given))
        n = size_of(name, shape)
        y = memory.empty(shape, given[0].dtype)
        if n == 0:
            return y
        value = y.dtype.type(number)
        pair = _pair(a, b, n)
        if pair == "Whole, Whole" or (pair and numbers):
            kernel = f"binary_whole<{op}, {t}, {pair}>"
            launch(MODULE, kernel, *_vectors(y), 0, (a, b, value, y, np.int64(n)))
        else:
            nowhere = (0,) * len(shape)
            loop = strided_loop(
                shape,
                nowhere if a is None else operand_strides(a, shape),
                nowhere if b is None else operand_strides(b, shape),
            )
            kernel = f"binary_strided<{op}, {t}>"
            args = (a, b, value, y, loop, np.int64(n))
            launch(MODULE, kernel, *grid_for(n), 0, args)
        return y

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(a, b), broadcast"
    return entry


def _pair(a: Any, b: Any, n: int) -> str:
    """How binary_whole would take the operands of an n-element result; "" if it cannot."""
    whole_a = a is not None and a.size == n and _aligned(a)
    whole_b = b is not None and b.size == n and _aligned(b)
    if whole_a and whole_b:
        return "Whole, Whole"
    if whole_a and (b is None or b.size == 1):
        return "Whole, Repeated"
    if whole_b and (a is None or a.size == 1):
        return "Repeated, Whole"
    return ""


def _ternary(name: str, a: Any, b: Any, c: Any, value: float) -> Any:
    """y = op(a, b, c, value), broadcast; c may be a number."""
    for argument, operand in (("a", a), ("b", b), ("c", c)):
        if operand is None:
            raise Fault(name, "not_array", (argument, "NoneType"))
    number: Any = 0.0
    if _is_number(c):
        number, c = c, None
    t = check_floats(name, a=a, b=b, c=c)
    shape = broadcast(name, *(x.shape for x in (a, b, c) if x is not None))
    n = size_of(name, shape)
    y = memory.empty(shape, a.dtype)
    if n == 0:
        return y
    nowhere = (0,) * len(shape)
    loop = strided_loop(
        shape,
        operand_strides(a, shape),
        operand_strides(b, shape),
        nowhere if c is None else operand_strides(c, shape),
    )
    scalar = y.dtype.type
    args = (a, b, c, scalar(number), scalar(value), y, loop, np.int64(n))
    launch(MODULE, f"ternary_strided<{_TERNARY[name]}, {t}>", *grid_for(n), 0, args)
    return y


def lerp(a: Any, b: Any, weight: Any) -> Any:
    """a + weight * (b - a)."""
    return _ternary("lerp", a, b, weight, 0.0)


def addcmul(x: Any, a: Any, b: Any, value: float) -> Any:
    """x + value * (a * b)."""
    return _ternary("addcmul", x, a, b, value)


def addcdiv(x: Any, a: Any, b: Any, value: float) -> Any:
    """x + value * (a / b)."""
    return _ternary("addcdiv", x, a, b, value)


def relu_signs(x: Any, signs_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """(max(x, 0), int32 words of a bit an element, in C order: where the gradient passes)."""
    t = check_floats("relu_signs", x=x)
    if size_of("relu_signs", signs_shape) != _words(x.size):
        raise Fault("relu_signs", "shape", 1)
    y = memory.empty(x.shape, x.dtype)
    signs = memory.empty(signs_shape, np.dtype(np.int32))
    n = y.size
    if n:
        launch(MODULE, f"relu_signs<{t}>", *grid_for(n), 0, (contiguous(x), y, signs, np.int64(n)))
    return y, signs


def relu_signs_bwd(grad_y: Any, signs: Any) -> Any:
    """grad_y where its bit is set, else 0."""
    t = check_floats("relu_signs_bwd", grad_y=grad_y)
    check_arrays("relu_signs_bwd", signs=signs)
    if signs.dtype != np.int32:
        raise Fault("relu_signs_bwd", "dtype")
    if signs.size != _words(grad_y.size):
        raise Fault("relu_signs_bwd", "shape", 1)
    grad_x = memory.empty(grad_y.shape, grad_y.dtype)
    n = grad_x.size
    if n:
        args = (contiguous(grad_y), contiguous(signs), grad_x, np.int64(n))
        launch(MODULE, f"relu_signs_bwd<{t}>", *grid_for(n), 0, args)
    return grad_x


def _words(n: int) -> int:
    """How many words of 32 bits n elements have."""
    return -(-n // 32)


ENTRIES: dict[str, Callable[..., Any]] = {
    **{name: _unary_entry(name, op) for name, op in _UNARY.items()},
    **{name: _binary_entry(name, op, numbers=True) for name, op in _BINARY.items()},
    **{name: _binary_entry(name, op, numbers=False) for name, op in _BACKWARD.items()},
    "neg_bwd": _unary_entry("neg_bwd", "Neg"),
    "lerp": lerp,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "relu_signs": relu_signs,
    "relu_signs_bwd": relu_signs_bwd,
}
