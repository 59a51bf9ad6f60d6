"""Comparisons, logic and bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.dispatch import apply, plain
from ..autograd.op import op
from ..tensor import Tensor
from . import creation
from .install import method
from .operands import need_tensors

__all__ = [
    *("bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift"),
    *("bitwise_xor", "eq", "ge", "greater", "greater_equal", "gt", "isfinite", "isinf", "isnan"),
    *("isneginf", "isposinf", "le", "less", "less_equal", "logical_and", "logical_not"),
    *("logical_or", "logical_xor", "lt", "ne", "not_equal"),
]

_BOOL = np.dtype(np.bool_)


# ---- comparisons: bools, without a gradient ----


@op(inputs="a| b|", kernel="eq", formula="y = a == b")
def eq_(k, a, b):
    return k.eq(a, b), ()


@op(inputs="a| b|", kernel="ne", formula="y = a != b")
def ne_(k, a, b):
    return k.ne(a, b), ()


@op(inputs="a| b|", kernel="lt", formula="y = a < b")
def lt_(k, a, b):
    return k.lt(a, b), ()


@op(inputs="a| b|", kernel="le", formula="y = a <= b")
def le_(k, a, b):
    return k.le(a, b), ()


@op(inputs="a| b|", kernel="gt", formula="y = a > b")
def gt_(k, a, b):
    return k.gt(a, b), ()


@op(inputs="a| b|", kernel="ge", formula="y = a >= b")
def ge_(k, a, b):
    return k.ge(a, b), ()


@op(inputs="x", kernel="isinf", formula="y = |x| = infinity")
def isinf_(k, x):
    return k.isinf(x), ()


@op(inputs="x", kernel="isfinite", formula="y = |x| < infinity")
def isfinite_(k, x):
    return k.isfinite(x), ()


# ---- logic and bits ----


def _truth(k: Any, x: Any) -> Any:
    """x != 0."""
    return x if x.dtype == _BOOL else k.ne(x, False)


@op(inputs="a b", formula="y = a != 0 and b != 0")
def logical_and_(k, a, b):
    return k.bitwise_and(_truth(k, a), _truth(k, b)), ()


@op(inputs="a b", formula="y = a != 0 or b != 0")
def logical_or_(k, a, b):
    return k.bitwise_or(_truth(k, a), _truth(k, b)), ()


@op(inputs="a b", formula="y = (a != 0) != (b != 0)")
def logical_xor_(k, a, b):
    return k.bitwise_xor(_truth(k, a), _truth(k, b)), ()


@op(inputs="x", formula="y = x == 0")
def logical_not_(k, x):
    return k.eq(x, False), ()


@op(inputs="a| b|", kernel="bitwise_and", formula="y = a & b")
def bitwise_and_(k, a, b):
    return k.bitwise_and(a, b), ()


@op(inputs="a| b|", kernel="bitwise_or", formula="y = a | b")
def bitwise_or_(k, a, b):
    return k.bitwise_or(a, b), ()


@op(inputs="a| b|", kernel="bitwise_xor", formula="y = a ^ b")
def bitwise_xor_(k, a, b):
    return k.bitwise_xor(a, b), ()


@op(inputs="x", formula="y = ~x")
def bitwise_not_(k, x):
    return k.bitwise_xor(x, True if x.dtype == _BOOL else -1), ()


@op(inputs="a| b|", kernel="bitwise_left_shift", formula="y = a * 2^b, its low bits")
def bitwise_left_shift_(k, a, b):
    return k.bitwise_left_shift(a, b), ()


@op(inputs="a| b|", kernel="bitwise_right_shift", formula="y = floor(a / 2^b)")
def bitwise_right_shift_(k, a, b):
    return k.bitwise_right_shift(a, b), ()


# ---- the public functions ----


def _operands(name: str, input: Any, other: Any) -> None:
    """Raises TypeError unless input is a tensor and other one, an array or a number."""
    need_tensors(name, input=input)
    if not isinstance(other, (Tensor, int, float)):
        creation.as_operand(name, other)


@method("eq")
def eq(input: Tensor, other: Any) -> Tensor:
    """Where input equals other, element by element; shapes broadcast.

    Formula: y = (input == other), bool; NaN equals nothing

    Args:
        input: a tensor.
        other: a tensor, an array or a number.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    _operands("eq", input, other)
    return plain(eq_, input, other)


@method("ne", "not_equal")
def ne(input: Tensor, other: Any) -> Tensor:
    """Where input differs from other, element by element. Formula: y = (input != other), as eq"""
    _operands("ne", input, other)
    return plain(ne_, input, other)


@method("lt", "less")
def lt(input: Tensor, other: Any) -> Tensor:
    """Where input is less than other, element by element. Formula: y = (input < other), as eq"""
    _operands("lt", input, other)
    return plain(lt_, input, other)


@method("le", "less_equal")
def le(input: Tensor, other: Any) -> Tensor:
    """Where input is at most other, element by element. Formula: y = (input <= other), as eq"""
    _operands("le", input, other)
    return plain(le_, input, other)


@method("gt", "greater")
def gt(input: Tensor, other: Any) -> Tensor:
    """Where input is greater than other, element by element. Formula: y = (input > other), as eq"""
    _operands("gt", input, other)
    return plain(gt_, input, other)


@method("ge", "greater_equal")
def ge(input: Tensor, other: Any) -> Tensor:
    """Where input is at least other, element by element. Formula: y = (input >= other), as eq"""
    _operands("ge", input, other)
    return plain(ge_, input, other)


not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


@method("isnan")
def isnan(input: Tensor) -> Tensor:
    """Where input is NaN, element by element. Formula: y = (input != input)"""
    need_tensors("isnan", input=input)
    return plain(ne_, input, input)


@method("isinf")
def isinf(input: Tensor) -> Tensor:
    """Where input is infinite, element by element. Formula: y = (|input| == infinity)"""
    need_tensors("isinf", input=input)
    if not input.dtype.is_floating_point:
        return plain(ne_, input, input)
    return apply(isinf_, (input,))


@method("isfinite")
def isfinite(input: Tensor) -> Tensor:
    """Where input is neither infinite nor NaN. Formula: y = (|input| < infinity)"""
    need_tensors("isfinite", input=input)
    if not input.dtype.is_floating_point:
        return plain(eq_, input, input)
    return apply(isfinite_, (input,))


@method("isposinf")
def isposinf(input: Tensor) -> Tensor:
    """Where input is +infinity. Formula: y = (input == infinity)"""
    need_tensors("isposinf", input=input)
    if not input.dtype.is_floating_point:
        return plain(ne_, input, input)
    return plain(eq_, input, math.inf)


@method("isneginf")
def isneginf(input: Tensor) -> Tensor:
    """Where input is -infinity. Formula: y = (input == -infinity)"""
    need_tensors("isneginf", input=input)
    if not input.dtype.is_floating_point:
        return plain(ne_, input, input)
    return plain(eq_, input, -math.inf)


@method("logical_and")
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are not 0 (NaN is not 0), element by element; shapes broadcast; bool.

    Formula: y = (input != 0) and (other != 0)

    Raises:
        TypeError: something else than tensors.
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("logical_and", input=input, other=other)
    return apply(logical_and_, (input, other))


@method("logical_or")
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where one of them is not 0, as logical_and. Formula: y = (input != 0) or (other != 0)"""
    need_tensors("logical_or", input=input, other=other)
    return apply(logical_or_, (input, other))


@method("logical_xor")
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where just one is not 0, as logical_and. Formula: y = (input != 0) != (other != 0)"""
    need_tensors("logical_xor", input=input, other=other)
    return apply(logical_xor_, (input, other))


@method("logical_not")
def logical_not(input: Tensor) -> Tensor:
    """Where input is 0, element by element; bool. Formula: y = (input == 0)"""
    need_tensors("logical_not", input=input)
    return apply(logical_not_, (input,))


@method("bitwise_and")
def bitwise_and(input: Any, other: Any) -> Tensor:
    """The bits that both have; for bools "and". Shapes broadcast. Formula: y = input & other

    Args:
        input, other: tensors of integers or bools, arrays or numbers, at least one a tensor.

    Raises:
        NotImplementedError: floating-point operands.
        RuntimeError: shapes that do not broadcast.
    """
    return plain(bitwise_and_, input, other)


@method("bitwise_or")
def bitwise_or(input: Any, other: Any) -> Tensor:
    """The bits that either has, as bitwise_and. Formula: y = input | other"""
    return plain(bitwise_or_, input, other)


@method("bitwise_xor")
def bitwise_xor(input: Any, other: Any) -> Tensor:
    """The bits that just one has, as bitwise_and. Formula: y = input ^ other"""
    return plain(bitwise_xor_, input, other)


@method("bitwise_not", "__invert__")
def bitwise_not(input: Tensor) -> Tensor:
    """Every bit turned over; for bools "not". Formula: y = ~input

    Raises:
        NotImplementedError: a floating-point tensor.
    """
    need_tensors("bitwise_not", input=input)
    return apply(bitwise_not_, (input,))


@method("bitwise_left_shift")
def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """The bits moved up by `other`. Formula: y = input << other

    A shift by less than 0 or by all bits leaves 0.

    Raises:
        NotImplementedError: floating-point or bool operands.
    """
    return plain(bitwise_left_shift_, input, other)


@method("bitwise_right_shift")
def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """The bits moved down by `other`, keeping the sign. Formula: y = input >> other

    A shift by less than 0 or by all bits leaves the sign: 0 or -1.

    Raises:
        NotImplementedError: floating-point or bool operands.
    """
    return plain(bitwise_right_shift_, input, other)
