"""Functions of one tensor, element by element, rounding, and lerp, addcmul, addcdiv."""

from __future__ import annotations

import builtins
from typing import Any

from ..autograd.dispatch import apply, unary
from ..autograd.op import op
from ..dtype import float32
from ..tensor import Tensor
from .install import method
from .operands import need_tensors
from .reduce import sum_to_shape

__all__ = [
    "abs",
    "absolute",
    "addcdiv",
    "addcmul",
    "ceil",
    "cos",
    "erf",
    "expm1",
    "fix",
    "floor",
    "lerp",
    "log1p",
    "log2",
    "reciprocal",
    "round",
    "rsqrt",
    "sin",
    "sqrt",
    "square",
    "tan",
    "trunc",
]

LN_2 = 0.6931471805599453
TWO_OVER_SQRT_PI = 1.1283791670955126


def _zeros(k: Any, grad_y: Any) -> Any:
    """Zeros like grad_y: the gradient of a function that is constant almost everywhere."""
    shape = tuple(grad_y.shape)
    if not shape:
        return k.reshape(_zeros(k, k.reshape(grad_y, (1,))), ())
    nothing = (0,) * len(shape)
    every = (1,) * len(shape)
    empty = k.slice(grad_y, nothing, every, (0, *shape[1:]))
    return k.slice_bwd(empty, shape, nothing, every)


@op(inputs="x", kernel="abs", formula="y = |x|")
def abs_(k, x):
    return k.abs(x), (x,)


@abs_.gradient
def _(k, saved, grad_y, need):
    return (k.abs_bwd(grad_y, saved[0]),)


@op(inputs="x", kernel="sqrt", formula="y = x^(1/2)")
def sqrt_(k, x):
    y = k.sqrt(x)
    return y, (y,)


@sqrt_.gradient
def _(k, saved, grad_y, need):
    return (k.div(grad_y, k.mul(saved[0], 2.0)),)


@op(inputs="x", kernel="rsqrt", formula="y = x^(-1/2)")
def rsqrt_(k, x):
    y = k.rsqrt(x)
    return y, (y,)


@rsqrt_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(k.mul(grad_y, -0.5), k.mul(k.square(saved[0]), saved[0])),)


@op(inputs="x", kernel="square", formula="y = x^2")
def square_(k, x):
    return k.square(x), (x,)


@square_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(grad_y, k.mul(saved[0], 2.0)),)


@op(inputs="x", kernel="reciprocal", formula="y = 1 / x")
def reciprocal_(k, x):
    y = k.reciprocal(x)
    return y, (y,)


@reciprocal_.gradient
def _(k, saved, grad_y, need):
    return (k.neg(k.mul(grad_y, k.square(saved[0]))),)


@op(inputs="x", kernel="expm1", formula="y = e^x - 1")
def expm1_(k, x):
    y = k.expm1(x)
    return y, (y,)


@expm1_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(grad_y, k.add(saved[0], 1.0)),)


@op(inputs="x", kernel="log1p", formula="y = ln(1 + x)")
def log1p_(k, x):
    return k.log1p(x), (x,)


@log1p_.gradient
def _(k, saved, grad_y, need):
    return (k.div(grad_y, k.add(saved[0], 1.0)),)


@op(inputs="x", kernel="log2", formula="y = log2 x")
def log2_(k, x):
    return k.log2(x), (x,)


@log2_.gradient
def _(k, saved, grad_y, need):
    return (k.div(grad_y, k.mul(saved[0], LN_2)),)


@op(inputs="x", kernel="sin", formula="y = sin x")
def sin_(k, x):
    return k.sin(x), (x,)


@sin_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(grad_y, k.cos(saved[0])),)


@op(inputs="x", kernel="cos", formula="y = cos x")
def cos_(k, x):
    return k.cos(x), (x,)


@cos_.gradient
def _(k, saved, grad_y, need):
    return (k.neg(k.mul(grad_y, k.sin(saved[0]))),)


@op(inputs="x", kernel="tan", formula="y = tan x")
def tan_(k, x):
    y = k.tan(x)
    return y, (y,)


@tan_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(grad_y, k.add(k.square(saved[0]), 1.0)),)


@op(inputs="x", kernel="erf", formula="y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to x")
def erf_(k, x):
    return k.erf(x), (x,)


@erf_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(k.mul(grad_y, TWO_OVER_SQRT_PI), k.exp(k.neg(k.square(saved[0])))),)


@op(inputs="x", kernel="floor", formula="y = the largest integer <= x")
def floor_(k, x):
    return k.floor(x), ()


@floor_.gradient
def _(k, saved, grad_y, need):
    return (_zeros(k, grad_y),)


@op(inputs="x", kernel="ceil", formula="y = the smallest integer >= x")
def ceil_(k, x):
    return k.ceil(x), ()


@ceil_.gradient
def _(k, saved, grad_y, need):
    return (_zeros(k, grad_y),)


@op(inputs="x", kernel="trunc", formula="y = x without its fraction")
def trunc_(k, x):
    return k.trunc(x), ()


@trunc_.gradient
def _(k, saved, grad_y, need):
    return (_zeros(k, grad_y),)


@op(inputs="x", kernel="round", formula="y = the nearest integer, halves to the even one")
def round_(k, x):
    return k.round(x), ()


@round_.gradient
def _(k, saved, grad_y, need):
    return (_zeros(k, grad_y),)


@op(inputs="grad_y x", kernel="abs_bwd", formula="grad_x = grad_y, 0 or -grad_y by the sign of x")
def abs_bwd_(k, grad_y, x):
    return k.abs_bwd(grad_y, x), (x,)


@abs_bwd_.gradient
def _(k, saved, grad_y, need):
    return (k.abs_bwd(grad_y, saved[0]) if need[0] else None, None)


@op(inputs="a| b| weight|", kernel="lerp", formula="y = a + weight * (b - a)")
def lerp_(k, a, b, weight):
    return k.lerp(a, b, weight), (a, b, weight)


@lerp_.gradient
def _(k, saved, grad_y, need):
    a, b, weight = saved
    rest = 1.0 - weight if isinstance(weight, float) else k.sub(1.0, weight)
    return (
        sum_to_shape(k, k.mul(grad_y, rest), tuple(a.shape)) if need[0] else None,
        sum_to_shape(k, k.mul(grad_y, weight), tuple(b.shape)) if need[1] else None,
        sum_to_shape(k, k.mul(grad_y, k.sub(b, a)), getattr(weight, "shape", ()))
        if need[2]
        else None,
    )


@op(inputs="x| a| b|", kernel="addcmul", formula="y = x + value * a * b")
def addcmul_(k, x, a, b, value):
    return k.addcmul(x, a, b, value), (tuple(x.shape), a, b)


@addcmul_.gradient
def _(k, saved, grad_y, need, value):
    shape, a, b = saved
    scaled = k.mul(grad_y, value) if need[1] or need[2] else None
    return (
        sum_to_shape(k, grad_y, shape) if need[0] else None,
        sum_to_shape(k, k.mul(scaled, b), tuple(a.shape)) if need[1] else None,
        sum_to_shape(k, k.mul(scaled, a), tuple(b.shape)) if need[2] else None,
    )


@op(inputs="x| a| b|", kernel="addcdiv", formula="y = x + value * a / b")
def addcdiv_(k, x, a, b, value):
    return k.addcdiv(x, a, b, value), (tuple(x.shape), a, b)


@addcdiv_.gradient
def _(k, saved, grad_y, need, value):
    shape, a, b = saved
    grad_a = k.div(k.mul(grad_y, value), b) if need[1] or need[2] else None
    return (
        sum_to_shape(k, grad_y, shape) if need[0] else None,
        sum_to_shape(k, grad_a, tuple(a.shape)) if need[1] else None,
        # -value * grad_y * a / b^2
        k.neg(sum_to_shape(k, k.mul(grad_a, k.div(a, b)), tuple(b.shape))) if need[2] else None,
    )


# ---- the public functions ----


@method("abs", "__abs__", "absolute")
def abs(input: Tensor) -> Tensor:
    """The absolute value, element by element.

    Formula: y = |input|
    """
    return unary(abs_, input)


@method("sqrt")
def sqrt(input: Tensor) -> Tensor:
    """The square root, element by element.

    Formula: y = input^(1/2) (NaN below 0)
    """
    return unary(sqrt_, input)


@method("rsqrt")
def rsqrt(input: Tensor) -> Tensor:
    """The reciprocal of the square root, element by element; within 2 ULP.

    Formula: y = input^(-1/2)
    """
    return unary(rsqrt_, input)


@method("square")
def square(input: Tensor) -> Tensor:
    """The square, element by element.

    Formula: y = input^2
    """
    return unary(square_, input)


@method("reciprocal")
def reciprocal(input: Tensor) -> Tensor:
    """The reciprocal, element by element.

    Formula: y = 1 / input
    """
    return unary(reciprocal_, input)


@method("expm1")
def expm1(input: Tensor) -> Tensor:
    """The exponential minus 1, right for small arguments too; within 2 ULP.

    Formula: y = e^input - 1
    """
    return unary(expm1_, input)


@method("log1p")
def log1p(input: Tensor) -> Tensor:
    """The natural logarithm of 1 + input, right for small arguments too; within 2 ULP.

    Formula: y = ln(1 + input) (-inf at -1, NaN below)
    """
    return unary(log1p_, input)


@method("log2")
def log2(input: Tensor) -> Tensor:
    """The logarithm to base 2, element by element; within 2 ULP.

    Formula: y = log2 input (-inf at 0, NaN below)
    """
    return unary(log2_, input)


@method("sin")
def sin(input: Tensor) -> Tensor:
    """The sine of an angle in radians, of any size; within 2 ULP.

    Formula: y = sin input (NaN at the infinities)
    """
    return unary(sin_, input)


@method("cos")
def cos(input: Tensor) -> Tensor:
    """The cosine of an angle in radians, of any size; within 2 ULP.

    Formula: y = cos input (NaN at the infinities)
    """
    return unary(cos_, input)


@method("tan")
def tan(input: Tensor) -> Tensor:
    """The tangent of an angle in radians, of any size; within 2 ULP.

    Formula: y = tan input (NaN at the infinities)
    """
    return unary(tan_, input)


@method("erf")
def erf(input: Tensor) -> Tensor:
    """The error function, element by element; within 2 ULP.

    Formula: y = 2 / sqrt(pi) * integral of e^(-t^2) from 0 to input
    """
    return unary(erf_, input)


@method("floor")
def floor(input: Tensor) -> Tensor:
    """The largest integer that is at most the element. Its gradient is 0.

    Formula: y = floor(input)
    """
    return unary(floor_, input)


@method("ceil")
def ceil(input: Tensor) -> Tensor:
    """The smallest integer that is at least the element. Its gradient is 0.

    Formula: y = ceil(input)
    """
    return unary(ceil_, input)


@method("trunc", "fix")
def trunc(input: Tensor) -> Tensor:
    """The element without its fraction. Its gradient is 0.

    Formula: y = sign(input) * floor(|input|)
    """
    return unary(trunc_, input)


@method("round")
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to the even one. Its gradient is 0.

    Formula: y = round(input * 10^decimals) / 10^decimals

    Args:
        decimals: the decimal places to keep; negative: places left of the point.
    """
    if not isinstance(decimals, int):
        raise TypeError(f"round: decimals must be an int; got {type(decimals).__name__}")
    if decimals == 0:
        return unary(round_, input)
    need_tensors("round", input=input)
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"round: decimals needs floating point; got {input.dtype} (.float())")
    if input.dtype.itemsize == 2:  # rounded to the half dtype once
        return round(input.to(float32), decimals=decimals).to(input.dtype)
    power = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return unary(round_, input * power) / power
    return unary(round_, input / power) * power


@method("lerp")
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """The linear interpolation between two tensors; all three broadcast.

    Formula: y = input + weight * (end - input); for |weight| >= 1/2 from the other end, so that
    weight = 1 gives end

    Args:
        input, end: the values at weight 0 and 1.
        weight: a number or a tensor.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("lerp", input=input, end=end)
    if isinstance(weight, int):
        weight = float(weight)
    return apply(lerp_, (input, end, weight))


@method("addcmul")
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input plus a multiple of the product of two tensors; all three broadcast.

    Formula: y = input + value * tensor1 * tensor2

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("addcmul", input=input, tensor1=tensor1, tensor2=tensor2)
    return apply(addcmul_, (input, tensor1, tensor2), (float(value),))


@method("addcdiv")
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input plus a multiple of the quotient of two tensors; all three broadcast.

    Formula: y = input + value * tensor1 / tensor2

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("addcdiv", input=input, tensor1=tensor1, tensor2=tensor2)
    return apply(addcdiv_, (input, tensor1, tensor2), (float(value),))


absolute = abs
fix = trunc
