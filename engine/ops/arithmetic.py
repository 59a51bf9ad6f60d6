"""Division with rounding, remainders and powers: // % ** and their functions."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.dispatch import binary
from ..autograd.op import op
from ..autograd.promotion import result_dtype
from ..dtype import bfloat16, float16, float32
from ..tensor import Tensor
from . import creation
from .elementwise import div, sub
from .install import method
from .math import reciprocal, sqrt, square, trunc
from .operands import own_errors
from .reduce import sum_to_shape

__all__ = [
    *("divide", "floor_divide", "float_power", "fmod", "positive", "pow", "remainder", "rsub"),
    "true_divide",
]


def _shape(x: Any) -> tuple[int, ...]:
    """The shape of an array or tensor; a Python number has none."""
    return getattr(x, "shape", ())


def _zeros(k: Any, grad_y: Any, shape: tuple[int, ...]) -> Any:
    """Zeros: where(condition, 0, 0) of a condition that holds nowhere, so that NaN is none."""
    return sum_to_shape(k, k.where(k.lt(grad_y, grad_y), grad_y, 0.0), shape)


@op(inputs="a| b|", kernel="floor_divide", formula="y = floor(a / b)")
def floor_divide_(k, a, b):
    return k.floor_divide(a, b), (_shape(a), _shape(b))


@floor_divide_.gradient
def _(k, saved, grad_y, need):
    shape_a, shape_b = saved
    return (
        _zeros(k, grad_y, shape_a) if need[0] else None,
        _zeros(k, grad_y, shape_b) if need[1] else None,
    )


@op(inputs="a| b|", kernel="remainder", formula="y = a - b * floor(a / b)")
def remainder_(k, a, b):
    return k.remainder(a, b), (a, b)


@remainder_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    return (
        sum_to_shape(k, grad_y, _shape(a)) if need[0] else None,
        k.neg(sum_to_shape(k, k.mul(grad_y, k.floor_divide(a, b)), _shape(b))) if need[1] else None,
    )


@op(inputs="a| b|", kernel="fmod", formula="y = a - b * trunc(a / b)")
def fmod_(k, a, b):
    return k.fmod(a, b), (a, b)


@fmod_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    grad_b = None
    if need[1]:
        grad_b = k.neg(sum_to_shape(k, k.mul(grad_y, k.trunc(k.div(a, b))), _shape(b)))
    return (sum_to_shape(k, grad_y, _shape(a)) if need[0] else None, grad_b)


@op(inputs="a| b|", kernel="pow", formula="y = a^b")
def pow_(k, a, b):
    y = k.pow(a, b)
    return y, (a, b, y)


@pow_.gradient
def _(k, saved, grad_y, need):
    a, b, y = saved
    grad_a = grad_b = None
    if need[0]:
        # b a^(b - 1); 0 for b = 0, also at a = 0
        zero = isinstance(b, (int, float)) and b == 0  # a^-1 * 0 is no number at a = 0
        slope = k.mul(k.pow(a, b if zero else _one_less(k, b)), b)
        grad_a = sum_to_shape(k, k.mul(grad_y, _unless_zero(k, b, slope)), a.shape)
    if need[1]:
        # y ln a; 0 for a = 0 and b >= 0
        slope = _log_times(k, a, b, y)
        grad_b = sum_to_shape(k, k.mul(grad_y, slope), getattr(b, "shape", ()))
    return grad_a, grad_b


def _one_less(k: Any, b: Any) -> Any:
    """b - 1, of a number or an array."""
    return b - 1 if isinstance(b, (int, float)) else k.sub(b, 1.0)


def _unless_zero(k: Any, b: Any, slope: Any) -> Any:
    """slope, but 0 where b is 0."""
    return slope if isinstance(b, (int, float)) else k.where(k.eq(b, 0.0), 0.0, slope)


def _log_times(k: Any, a: Any, b: Any, y: Any) -> Any:
    """y ln a, but 0 where a is 0 and b at least 0."""
    if isinstance(a, (int, float)):
        if a == 0:
            return k.where(k.ge(b, 0.0), 0.0, k.mul(y, -math.inf))
        return k.mul(y, math.log(a) if a > 0 else math.nan)
    zero = k.bitwise_and(k.eq(a, 0.0), k.ge(b, 0.0))
    return k.where(zero, 0.0, k.mul(y, k.log(a)))


# ---- the public functions ----


@method("floor_divide", "__floordiv__")
def floor_divide(input: Any, other: Any) -> Tensor:
    """The quotient rounded towards -infinity, element by element; shapes broadcast.

    Formula: y = floor(input / other); integers stay integers

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.

    Raises:
        RuntimeError: an integer divided by 0; shapes that do not broadcast.
    """
    return binary(floor_divide_, input, other)


@method("remainder", "__mod__")
def remainder(input: Any, other: Any) -> Tensor:
    """The remainder of floor_divide, with the sign of other, as Python's %.

    Formula: y = input - other * floor(input / other)

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.

    Raises:
        RuntimeError: an integer divided by 0; shapes that do not broadcast.
    """
    return binary(remainder_, input, other)


@method("fmod")
def fmod(input: Any, other: Any) -> Tensor:
    """The remainder with the sign of input, as C's fmod.

    Formula: y = input - other * trunc(input / other)

    Raises:
        RuntimeError: an integer divided by 0; shapes that do not broadcast.
    """
    return binary(fmod_, input, other)


def _integers(name: str, input: Tensor, exponent: Any) -> None:
    """Refuses a negative integer power of integers."""
    if type(exponent) is int and exponent < 0 and not input.dtype.is_floating_point:
        raise RuntimeError(
            f"{name}: integers to negative integer powers are not allowed; got exponent {exponent}"
        )
    if type(exponent) is int and input.dtype.name in ("uint8", "int8", "int16", "int32", "int64"):
        creation._integer(name, exponent, input.dtype.numpy)


@method("pow", "__pow__")
def pow(input: Any, exponent: Any) -> Tensor:
    """The power, element by element; shapes broadcast.

    Formula: y = input^exponent

    Integers are raised exactly, their low bits kept; a tensor of negative exponents gives 0, but
    for 1 and -1. The gradient with respect to the exponent is 0 at input 0.

    Args:
        input, exponent: tensors, arrays or numbers, at least one a tensor.

    Raises:
        RuntimeError: integers to a negative number; shapes that do not broadcast.
        NotImplementedError: bools to bools.
    """
    if isinstance(input, Tensor) and isinstance(exponent, (int, float)):
        _integers("pow", input, exponent)
        if input.dtype.is_floating_point:
            # What people mostly write, exact to rounding and quicker.
            if exponent == 2:
                return square(input)
            if exponent == 0.5:
                return sqrt(input)
            if exponent == -1:
                return reciprocal(input)
    return binary(pow_, input, exponent)


@method("float_power")
def float_power(input: Any, exponent: Any) -> Tensor:
    """The power in float64. Formula: y = input^exponent"""
    from ..dtype import float64

    def wide(value: Any) -> Any:
        return value.to(float64) if isinstance(value, Tensor) else float(value)

    return pow(wide(input), wide(exponent))


@own_errors
def rsub(input: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """The difference the other way around. Formula: y = other - alpha * input"""
    return sub(other, input, alpha=alpha)


def divide_rounded(input: Any, other: Any, rounding_mode: str) -> Tensor:
    """div with rounding_mode "floor" or "trunc"."""
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div: rounding_mode must be None, 'trunc' or 'floor'; got {rounding_mode!r}"
        )
    values = [
        v if isinstance(v, (Tensor, int, float)) else creation.as_operand("div", v)
        for v in (input, other)
    ]
    dtype = result_dtype(values)
    if dtype in (float16, bfloat16):  # rounding the quotient to them first may reach a whole number
        wide = [v.to(float32) if isinstance(v, Tensor) else v for v in values]
        return trunc(div(*wide)).to(dtype)
    if dtype.is_floating_point:
        return trunc(div(*values))
    whole = sub(values[0], fmod(*values))  # divides without a remainder
    return floor_divide(whole, values[1])


divide = true_divide = div


@method("__rfloordiv__")
def _rfloordiv(input: Tensor, other: Any) -> Tensor:
    return binary(floor_divide_, other, input)


@method("__rmod__")
def _rmod(input: Tensor, other: Any) -> Tensor:
    return binary(remainder_, other, input)


@method("__rpow__")
def _rpow(input: Tensor, other: Any) -> Tensor:
    return binary(pow_, other, input)


@own_errors
@method("__pos__", "positive")
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    if input.dtype.name == "bool":
        raise RuntimeError("positive: the operator + of a bool tensor is not supported")
    return input
