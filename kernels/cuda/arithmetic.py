"""Launchers of arithmetic.cu: floor_divide, remainder, fmod, pow; integers' add sub mul neg abs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    Fault,
    broadcast,
    check_arrays,
    cxx_name,
    grid_for,
    operand_strides,
    size_of,
    strided_loop,
)
from .compare import as_bytes, split_operands
from .launch import Module, launch

__all__ = ["ENTRIES", "integer_binary", "integer_unary", "is_integer"]

_FLOATS = ("float", "double")
_INTS = ("int", "long long", "short", "signed char", "unsigned char")
_RAMPS = ("float", "double", "int", "long long")
_DIVIDE = {"floor_divide": "FloorDivide", "remainder": "Remainder", "fmod": "Fmod"}
#: Of integers; and what bools have instead.
_BINARY = {"add": ("Add", "Or"), "sub": ("Sub", ""), "mul": ("Mul", "And")}
_UNARY = {"neg": "Neg", "abs": "Abs"}

MODULE = Module(
    "arithmetic.cu",
    [
        *(f"arithmetic_binary<{op}, {t}>" for op in _DIVIDE.values() for t in _FLOATS),
        *(f"arithmetic_divide<{op}, {t}>" for op in _DIVIDE.values() for t in _INTS),
        *(f"arithmetic_binary<Power, {t}>" for t in (*_FLOATS, *_INTS)),
        *(f"arithmetic_binary<{op}, {t}>" for op, _ in _BINARY.values() for t in _INTS),
        *(f"arithmetic_binary<{op}, unsigned char>" for _, op in _BINARY.values() if op),
        *(f"ramp<{t}>" for t in _RAMPS),
        *(f"arithmetic_unary<{op}, {t}>" for op in _UNARY.values() for t in _INTS),
    ],
)


def is_integer(*operands: Any) -> bool:
    """Whether some operand is an array of integers or bools."""
    dtypes = [getattr(x, "dtype", None) for x in operands]
    return any(isinstance(d, np.dtype) and d.kind in "iub" for d in dtypes)


def _binary(name: str, op: str, bool_op: str, a: Any, b: Any, divides: bool) -> Any:
    for argument, value in (("a", a), ("b", b)):
        if value is None:  # None stands for "a number" below
            raise Fault(name, "not_array", (argument, "NoneType"))
    a, b, number = split_operands(name, a, b)
    given = [x for x in (a, b) if x is not None]
    dtype = given[0].dtype
    shape = broadcast(name, *(x.shape for x in given))
    n = size_of(name, shape)
    if dtype.kind == "b":
        if not bool_op:
            raise Fault(name, "dtype")
        op, t = bool_op, "unsigned char"
        number = np.uint8(number)
    else:
        t = cxx_name(name, dtype)
        if t not in (*_FLOATS, *_INTS):
            raise Fault(name, "dtype")
    y = memory.empty(shape, dtype)
    if n == 0:
        return y
    nowhere = (0,) * len(shape)
    loop = strided_loop(
        shape,
        nowhere if a is None else operand_strides(a, shape),
        nowhere if b is None else operand_strides(b, shape),
    )
    args = (as_bytes(a), as_bytes(b), number, as_bytes(y))
    if divides and t in _INTS:
        flag = memory.from_host(np.zeros(1, np.int32))
        kernel = f"arithmetic_divide<{op}, {t}>"
        launch(MODULE, kernel, *grid_for(n), 0, (*args, flag, loop, np.int64(n)))
        if memory.to_host(flag)[0]:  # waits for the device
            raise Fault(name, "zero_division")
    else:
        kernel = f"arithmetic_binary<{op}, {t}>"
        launch(MODULE, kernel, *grid_for(n), 0, (*args, loop, np.int64(n)))
    return y


def integer_binary(name: str, a: Any, b: Any) -> Any:
    """add, sub or mul where an operand is an array of integers or bools."""
    return _binary(name, *_BINARY[name], a, b, False)


def integer_unary(name: str, x: Any) -> Any:
    """neg or abs of an array of integers."""
    check_arrays(name, x=x)
    t = cxx_name(name, x.dtype)
    if t not in _INTS:
        raise Fault(name, "dtype")
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        loop = strided_loop(x.shape, operand_strides(x, x.shape))
        kernel = f"arithmetic_unary<{_UNARY[name]}, {t}>"
        launch(MODULE, kernel, *grid_for(y.size), 0, (x, y, loop, np.int64(y.size)))
    return y


def _entry(name: str, op: str, divides: bool) -> Callable[..., Any]:
    def entry(a: Any, b: Any) -> Any:
        return _binary(name, op, "", a, b, divides)

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(a, b), broadcast"
    return entry


def ramp(shape: tuple[int, ...], start: float, step: float, end: float, dtype: Any) -> Any:
    """start + i * step; from the middle on counted from end, unless it is NaN."""
    t = cxx_name("ramp", np.dtype(dtype))
    if t not in _RAMPS:
        raise Fault("ramp", "dtype")
    n = size_of("ramp", shape)
    y = memory.empty(tuple(shape), dtype)
    if n:
        args = (y, np.float64(start), np.float64(step), np.float64(end), np.int64(n))
        launch(MODULE, f"ramp<{t}>", *grid_for(n), 0, args)
    return y


ENTRIES: dict[str, Callable[..., Any]] = {
    **{name: _entry(name, op, True) for name, op in _DIVIDE.items()},
    "pow": _entry("pow", "Power", False),
    "ramp": ramp,
}
