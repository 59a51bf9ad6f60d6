"""Choosing between values: where, masked_fill, minimum, maximum, clamp, sign."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.dispatch import apply, binary, unary
from ..autograd.op import op
from ..autograd.promotion import result_dtype
from ..dtype import bool_, uint8
from ..dtype import dtype as DType
from ..tensor import Tensor
from . import creation
from .install import method
from .operands import need_tensors, own_errors
from .reduce import sum_to_shape

__all__ = [
    *("clamp", "clamp_max", "clamp_min", "clip", "masked_fill", "maximum", "minimum", "sgn"),
    *("sign", "where"),
]


def _shape(x: Any) -> tuple[int, ...]:
    """The shape of an array or tensor; a Python number has none."""
    return getattr(x, "shape", ())


@op(inputs="condition a| b|", kernel="where", formula="y = a where condition, else b")
def where_(k, condition, a, b):
    return k.where(condition, a, b), (condition, _shape(a), _shape(b))


@where_.gradient
def _(k, saved, grad_y, need):
    condition, shape_a, shape_b = saved
    return (
        None,
        sum_to_shape(k, k.where(condition, grad_y, 0.0), shape_a) if need[1] else None,
        sum_to_shape(k, k.where(condition, 0.0, grad_y), shape_b) if need[2] else None,
    )


@op(inputs="a| b|", kernel="maximum", formula="y = max(a, b); NaN if either is")
def maximum_(k, a, b):
    return k.maximum(a, b), (a, b)


@maximum_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    return (
        sum_to_shape(k, k.extremum_bwd(grad_y, a, b), a.shape) if need[0] else None,
        sum_to_shape(k, k.extremum_bwd(grad_y, b, a), b.shape) if need[1] else None,
    )


@op(inputs="a| b|", kernel="minimum", formula="y = min(a, b); NaN if either is")
def minimum_(k, a, b):
    return k.minimum(a, b), (a, b)


@minimum_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    return (
        sum_to_shape(k, k.extremum_bwd(grad_y, b, a), a.shape) if need[0] else None,
        sum_to_shape(k, k.extremum_bwd(grad_y, a, b), b.shape) if need[1] else None,
    )


@op(
    inputs="grad_y a b",
    kernel="extremum_bwd",
    formula="grad_a = grad_y, half of it where a == b, 0 where a < b",
)
def extremum_bwd_(k, grad_y, a, b):
    return k.extremum_bwd(grad_y, a, b), (a, b, grad_y.shape)


@extremum_bwd_.gradient
def _(k, saved, grad_y, need):
    a, b, shape = saved
    # Linear in grad_y; what a and b choose is constant almost everywhere.
    return (sum_to_shape(k, k.extremum_bwd(grad_y, a, b), shape) if need[0] else None, None, None)


@op(inputs="x", kernel="clamp", formula="y = min(max(x, low), high)")
def clamp_(k, x, low, high):
    return k.clamp(x, low, high), (x,)


@clamp_.gradient
def _(k, saved, grad_y, need, low, high):
    return (k.clamp_bwd(grad_y, saved[0], low, high),)


@op(inputs="grad_y x", kernel="clamp_bwd", formula="grad_x = grad_y where low <= x <= high, else 0")
def clamp_bwd_(k, grad_y, x, low, high):
    return k.clamp_bwd(grad_y, x, low, high), (x,)


@clamp_bwd_.gradient
def _(k, saved, grad_y, need, low, high):
    return (k.clamp_bwd(grad_y, saved[0], low, high) if need[0] else None, None)


@op(inputs="x low? high?", formula="y = min(max(x, low), high)")
def clamp_tensor_(k, x, low, high):
    y = x if low is None else k.maximum(x, low)
    return y if high is None else k.minimum(y, high), (x, low, high)


@clamp_tensor_.gradient
def _(k, saved, grad_y, need):
    x, low, high = saved
    inside = above = None  # above low; the lower of the two bounds is low's
    if low is not None:
        inside = k.ge(x, low)
    if high is not None:
        below = k.le(x, high)
        inside = below if inside is None else k.bitwise_and(inside, below)
    grad_low = grad_high = None
    if need[1] and low is not None:
        above = k.lt(x, low)
        if high is not None:
            above = k.bitwise_and(above, k.lt(low, high))
        grad_low = sum_to_shape(k, k.where(above, grad_y, 0.0), low.shape)
    if need[2] and high is not None:
        above = k.gt(x, high)
        if low is not None:
            above = k.bitwise_or(above, k.lt(high, low))
        grad_high = sum_to_shape(k, k.where(above, grad_y, 0.0), high.shape)
    grad_x = sum_to_shape(k, k.where(inside, grad_y, 0.0), x.shape) if need[0] else None
    return grad_x, grad_low, grad_high


@op(inputs="x", kernel="sign", formula="y = -1, 0 or 1, with the sign of x; 0 for NaN")
def sign_(k, x):
    return k.sign(x), (x.dtype,)


@sign_.gradient
def _(k, saved, grad_y, need):
    return (k.copy(k.lt(grad_y, grad_y), saved[0]),)  # zeros: nothing is less than itself


# ---- the public functions ----


def _condition(name: str, condition: Any) -> Tensor:
    """A bool tensor; uint8 stands for bools, as in PyTorch."""
    if not isinstance(condition, Tensor):
        raise TypeError(f"{name}: condition must be a tensor; got {type(condition).__name__}")
    if condition.dtype is uint8:
        return condition.to(bool_)
    if condition.dtype is not bool_:
        raise RuntimeError(f"{name}: condition must be of dtype bool; got {condition.dtype}")
    return condition


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Elements of input where the condition holds, of other elsewhere; shapes broadcast.

    Formula: y_i = input_i if condition_i else other_i

    Args:
        condition: a bool tensor.
        input, other: tensors, arrays or numbers; promoted to one dtype. Without both: the indices
            at which the condition holds, as nonzero(as_tuple=True).

    Raises:
        TypeError: operands that are neither tensors nor numbers.
        RuntimeError: shapes that do not broadcast; a condition that is not bool.
    """
    if input is None and other is None:
        need_tensors("where", condition=condition)
        return condition.nonzero(as_tuple=True)
    condition = _condition("where", condition)
    input, other = [
        v if isinstance(v, (Tensor, int, float)) else creation.as_operand("where", v)
        for v in (input, other)
    ]
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        dtype = result_dtype((input, other))
        number: Any = input
        input = creation.full((), number, dtype=dtype, device=condition.device)
    input, other = _beside("where", input, other), _beside("where", other, input)
    return apply(where_, (condition, input, other))


@method("where")
def _where(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This tensor's elements where the condition holds, `other` elsewhere; as gradsmith.where."""
    return where(condition, input, other)


def _fitting(name: str, value: Any, dtype: DType) -> Any:
    """A Python number as one that a tensor of this dtype can hold; fractions are cut off."""
    if dtype.is_floating_point:
        return value
    if dtype is bool_:
        return bool(value)
    return creation._integer(name, value, dtype.numpy)


def _beside(name: str, value: Any, other: Any) -> Any:
    """value; an int beside a tensor of integers as one that their dtype holds."""
    if type(value) is not int or not isinstance(other, Tensor) or other.dtype is bool_:
        return value
    return _fitting(name, value, other.dtype)


@method("masked_fill")
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of input with `value` where the mask holds; shapes broadcast.

    Formula: y_i = value if mask_i else input_i

    Args:
        mask: a bool tensor.
        value: a number, or a 0-dim tensor; it takes input's dtype.

    Raises:
        RuntimeError: a mask that is not bool; a value of several elements, or that input's dtype
            does not hold; shapes that do not broadcast.
    """
    need_tensors("masked_fill", input=input, mask=mask)
    if mask.dtype is not bool_:
        raise RuntimeError(f"masked_fill: mask must be of dtype bool; got {mask.dtype}")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Tensor):
        if value._data.shape:
            raise RuntimeError(
                f"masked_fill: value must be a number or 0-dim; got shape {tuple(value.shape)}"
            )
        value = value.to(input)
    elif isinstance(value, (int, float)):
        value = _fitting("masked_fill", value, input.dtype)
    else:
        raise TypeError(
            f"masked_fill: value must be a number or a tensor; got {type(value).__name__}"
        )
    return apply(where_, (mask, value, input))


@method("maximum")
def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The greater of two, element by element; NaN where either is. Shapes broadcast.

    Formula: y = max(input, other); in a tie each gets half of the gradient

    Raises:
        TypeError: something else than tensors.
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("maximum", input=input, other=other)
    return binary(maximum_, input, other)


@method("minimum")
def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The lesser of two, element by element, as maximum. Formula: y = min(input, other)"""
    need_tensors("minimum", input=input, other=other)
    return binary(minimum_, input, other)


#: Integers up to here are doubles without loss.
_EXACT = 2**53


@method("clamp", "clip")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Elements below min raised to it, those above max lowered to it; NaN stays NaN.

    Formula: y = min(max(input, min), max); where min > max it is max

    Args:
        min, max: numbers, or tensors that broadcast with input; None for no bound.

    Raises:
        RuntimeError: neither bound; a bound that an integer dtype does not hold.
        TypeError: a number as one bound and a tensor as the other.
    """
    need_tensors("clamp", input=input)
    bounds = [b for b in (min, max) if b is not None]
    if not bounds:
        raise RuntimeError("clamp: min or max must be given; got None for both")
    dtype = result_dtype((input, *bounds))
    x = input.to(dtype)
    if any(isinstance(b, Tensor) for b in bounds):
        need_tensors("clamp", **{n: b for n, b in (("min", min), ("max", max)) if b is not None})
        low, high = (None if b is None else b.to(dtype) for b in (min, max))
        return apply(clamp_tensor_, (x, low, high))
    for b in bounds:
        if not isinstance(b, (int, float)):
            raise TypeError(f"clamp: bounds must be numbers or tensors; got {type(b).__name__}")
    if dtype.is_floating_point:
        low = -math.inf if min is None else float(min)
        high = math.inf if max is None else float(max)
        exact = low == low and high == high
    else:
        ends = np.iinfo(dtype.numpy)
        low = int(ends.min) if min is None else _fitting("clamp", min, dtype)
        high = int(ends.max) if max is None else _fitting("clamp", max, dtype)
        if dtype is uint8 and any([b < 0 for b in bounds]):
            raise RuntimeError(f"clamp: the value does not fit into uint8; got {bounds}")
        exact = dtype.itemsize < 8 or all(abs(b) <= _EXACT for b in bounds)
    if exact and (dtype.itemsize < 8 or dtype.is_floating_point or len(bounds) == 2):
        return apply(clamp_, (x,), (float(low), float(high)))
    # NaN as a bound, or an int64 that a double does not hold: bounds as 0-dim tensors.
    low, high = (
        None if b is None else creation.full((), b, dtype=dtype, device=input.device)
        for b in (min, max)
    )
    return apply(clamp_tensor_, (x, low, high))


clip = clamp


@own_errors
@method("clamp_min")
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Elements below min raised to it; as clamp."""
    return clamp(input, min=min)


@own_errors
@method("clamp_max")
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Elements above max lowered to it; as clamp."""
    return clamp(input, max=max)


@method("sign", "sgn")
def sign(input: Tensor) -> Tensor:
    """The sign: -1, 0 or 1 (0 for NaN); its gradient is 0.

    Formula: y = (input > 0) - (input < 0)
    """
    return unary(sign_, input)


sgn = sign
