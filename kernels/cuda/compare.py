"""Launchers of compare.cu: comparisons, bits, minimum, maximum, where, sign, clamp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    Fault,
    broadcast,
    check_arrays,
    check_floats,
    convert_number,
    cxx_name,
    grid_for,
    is_number,
    operand_strides,
    size_of,
    strided_loop,
)
from .launch import Module, launch

__all__ = ["ENTRIES", "as_bytes", "split_operands"]

_FLOATS = ("float", "double")
_INTS = ("int", "long long", "short", "signed char", "unsigned char")
_NUMBERS = (*_FLOATS, *_INTS)
_BOOL = np.dtype(np.bool_)
_UINT8 = np.dtype(np.uint8)

#: Kernel -> operation, and whether its operands are exchanged.
_COMPARE = {
    "eq": ("Eq", False),
    "ne": ("Ne", False),
    "lt": ("Lt", False),
    "le": ("Le", False),
    "gt": ("Lt", True),
    "ge": ("Le", True),
}
#: Kernel -> operation, its types, and whether bool is one of them.
_CHOOSE = {
    "bitwise_and": ("And", _INTS, True),
    "bitwise_or": ("Or", _INTS, True),
    "bitwise_xor": ("Xor", _INTS, True),
    "bitwise_left_shift": ("LeftShift", _INTS, False),
    "bitwise_right_shift": ("RightShift", _INTS, False),
    "minimum": ("Minimum", _NUMBERS, True),
    "maximum": ("Maximum", _NUMBERS, True),
}
_CLASSIFY = {"isinf": "IsInf", "isfinite": "IsFinite"}
#: Item size -> the type that `choose` moves, and its NumPy scalar.
_BITS: dict[int, tuple[str, Any]] = {
    1: ("unsigned char", np.uint8),
    2: ("unsigned short", np.uint16),
    4: ("unsigned", np.uint32),
    8: ("unsigned long long", np.uint64),
}

MODULE = Module(
    "compare.cu",
    [
        *(f"compare_binary<{op}, {t}, bool>" for op in ("Eq", "Ne", "Lt", "Le") for t in _NUMBERS),
        *(f"compare_binary<{op}, {t}, {t}>" for op, types, _ in _CHOOSE.values() for t in types),
        *(f"compare_unary<{op}, {t}, bool>" for op in _CLASSIFY.values() for t in _FLOATS),
        *(f"compare_unary<Sign, {t}, {t}>" for t in _NUMBERS),
        *(f"choose<{bits}>" for bits, _ in _BITS.values()),
        *(f"extremum_bwd<{t}>" for t in _FLOATS),
        *(f"clamp<{t}>" for t in _NUMBERS),
        *(f"clamp_bwd<{t}>" for t in _FLOATS),
    ],
)


def as_bytes(x: Any) -> Any:
    """Bools as the bytes that they are."""
    if x is None or x.dtype != _BOOL:
        return x
    return memory.viewed(x, _UINT8)


def split_operands(name: str, a: Any, b: Any) -> tuple[Any, Any, Any]:
    """The operands, None for a number, and the number in the other's dtype."""
    number: Any = None
    if is_number(a) and not is_number(b):
        number, a = a, None
    elif is_number(b):
        number, b = b, None
    check_arrays(name, a=a, b=b)
    given = a if a is not None else b
    if given is None:
        raise TypeError(f"{name}: one operand must be an array")
    return a, b, convert_number(name, False if number is None else number, given.dtype)


def _binary(name: str, op: str, a: Any, b: Any, types: Any, dtype: Any) -> Any:
    for argument, value in (("a", a), ("b", b)):
        if value is None:  # None stands for "a number" below
            raise Fault(name, "not_array", (argument, "NoneType"))
    a, b, number = split_operands(name, a, b)
    given = [x for x in (a, b) if x is not None]
    source = given[0].dtype
    t = "unsigned char" if source == _BOOL else cxx_name(name, source)
    shape = broadcast(name, *(x.shape for x in given))
    n = size_of(name, shape)
    if t not in types:
        raise Fault(name, "dtype")
    y = memory.empty(shape, source if dtype is None else dtype)
    if n == 0:
        return y
    nowhere = (0,) * len(shape)
    loop = strided_loop(
        shape,
        nowhere if a is None else operand_strides(a, shape),
        nowhere if b is None else operand_strides(b, shape),
    )
    if source == _BOOL:
        a, b, number = as_bytes(a), as_bytes(b), np.uint8(number)
    out = y if dtype is not None else as_bytes(y)
    kernel = f"compare_binary<{op}, {t}, {t if dtype is None else 'bool'}>"
    launch(MODULE, kernel, *grid_for(n), 0, (a, b, number, out, loop, np.int64(n)))
    return y


def _compare_entry(name: str, op: str, exchanged: bool) -> Callable[..., Any]:
    def entry(a: Any, b: Any) -> Any:
        if exchanged:
            a, b = b, a
        return _binary(name, op, a, b, _NUMBERS, _BOOL)

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(a, b), broadcast; bool"
    return entry


def _choose_entry(name: str, op: str, types: Any, bools: bool) -> Callable[..., Any]:
    def entry(a: Any, b: Any) -> Any:
        if not bools and _BOOL in (getattr(a, "dtype", None), getattr(b, "dtype", None)):
            check_arrays(name, **{k: x for k, x in (("a", a), ("b", b)) if not is_number(x)})
            raise Fault(name, "dtype")
        return _binary(name, op, a, b, types, None)

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(a, b), broadcast"
    return entry


def _classify_entry(name: str, op: str) -> Callable[..., Any]:
    def entry(x: Any) -> Any:
        t = check_floats(name, x=x)
        y = memory.empty(x.shape, _BOOL)
        if y.size:
            loop = strided_loop(x.shape, operand_strides(x, x.shape))
            kernel = f"compare_unary<{op}, {t}, bool>"
            launch(MODULE, kernel, *grid_for(y.size), 0, (x, y, loop, np.int64(y.size)))
        return y

    entry.__name__ = name
    entry.__doc__ = f"y = {name}(x), bool"
    return entry


def where(condition: Any, a: Any, b: Any) -> Any:
    """y = a where condition, else b; a or b may be a number."""
    check_arrays("where", condition=condition)
    if condition is None or condition.dtype != _BOOL:
        raise Fault("where", "dtype")
    for argument, value in (("a", a), ("b", b)):
        if value is None:
            raise Fault("where", "not_array", (argument, "NoneType"))
    a, b, number = split_operands("where", a, b)
    given = [x for x in (a, b) if x is not None]
    dtype = given[0].dtype
    cxx_name("where", dtype)
    shape = broadcast("where", condition.shape, *(x.shape for x in given))
    n = size_of("where", shape)
    y = memory.empty(shape, dtype)
    if n == 0:
        return y
    bits, scalar = _BITS[dtype.itemsize]
    nowhere = (0,) * len(shape)
    loop = strided_loop(
        shape,
        operand_strides(condition, shape),
        nowhere if a is None else operand_strides(a, shape),
        nowhere if b is None else operand_strides(b, shape),
    )
    value = np.frombuffer(number.tobytes(), scalar)[0]
    launch(
        MODULE, f"choose<{bits}>", *grid_for(n), 0, (condition, a, b, value, y, loop, np.int64(n))
    )
    return y


def extremum_bwd(grad_y: Any, a: Any, b: Any) -> Any:
    """grad_y, half of it where a == b, 0 where a < b."""
    t = check_floats("extremum_bwd", grad_y=grad_y, a=a, b=b)
    shape = broadcast("extremum_bwd", grad_y.shape, a.shape, b.shape)
    y = memory.empty(shape, a.dtype)
    if y.size:
        loop = strided_loop(shape, *(operand_strides(x, shape) for x in (grad_y, a, b)))
        args = (grad_y, a, b, y, loop, np.int64(y.size))
        launch(MODULE, f"extremum_bwd<{t}>", *grid_for(y.size), 0, args)
    return y


def sign(x: Any) -> Any:
    """y = -1, 0 or 1."""
    check_arrays("sign", x=x)
    t = "unsigned char" if x.dtype == _BOOL else cxx_name("sign", x.dtype)
    if t not in _NUMBERS:
        raise Fault("sign", "dtype")
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        loop = strided_loop(x.shape, operand_strides(x, x.shape))
        args = (as_bytes(x), as_bytes(y), loop, np.int64(y.size))
        launch(MODULE, f"compare_unary<Sign, {t}, {t}>", *grid_for(y.size), 0, args)
    return y


def clamp(x: Any, low: float, high: float) -> Any:
    """y = min(max(x, low), high)."""
    check_arrays("clamp", x=x)
    t = cxx_name("clamp", x.dtype)
    if t not in _NUMBERS:
        raise Fault("clamp", "dtype")
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        loop = strided_loop(x.shape, operand_strides(x, x.shape))
        bounds = [_bound(b, x.dtype) for b in (low, high)]
        args = (x, *bounds, y, loop, np.int64(y.size))
        launch(MODULE, f"clamp<{t}>", *grid_for(y.size), 0, args)
    return y


def _bound(value: float, dtype: Any) -> Any:
    with np.errstate(over="ignore"):
        return dtype.type(value if dtype.kind == "f" else int(value))


def clamp_bwd(grad_y: Any, x: Any, low: float, high: float) -> Any:
    """grad_y where low <= x <= high, else 0."""
    t = check_floats("clamp_bwd", grad_y=grad_y, x=x)
    shape = broadcast("clamp_bwd", grad_y.shape, x.shape)
    y = memory.empty(shape, x.dtype)
    if y.size:
        loop = strided_loop(shape, operand_strides(grad_y, shape), operand_strides(x, shape))
        bounds = [_bound(b, x.dtype) for b in (low, high)]
        args = (grad_y, x, *bounds, y, loop, np.int64(y.size))
        launch(MODULE, f"clamp_bwd<{t}>", *grid_for(y.size), 0, args)
    return y


ENTRIES: dict[str, Callable[..., Any]] = {
    **{name: _compare_entry(name, *row) for name, row in _COMPARE.items()},
    **{name: _choose_entry(name, *row) for name, row in _CHOOSE.items()},
    **{name: _classify_entry(name, op) for name, op in _CLASSIFY.items()},
    "where": where,
    "extremum_bwd": extremum_bwd,
    "sign": sign,
    "clamp": clamp,
    "clamp_bwd": clamp_bwd,
}
