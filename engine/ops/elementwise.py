"""Elementwise ops: arithmetic with broadcasting, exp, log and activations."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply, binary, unary
from ..autograd.grad_mode import mode
from ..autograd.op import op
from ..autograd.promotion import result_dtype
from ..kernels.order import inverse, order_of
from ..tensor import Tensor
from . import shapes
from .install import method
from .reduce import sum_to_shape

__all__ = [
    "add",
    "div",
    "exp",
    "log",
    "mul",
    "multiply",
    "neg",
    "negative",
    "relu",
    "sigmoid",
    "sub",
    "subtract",
    "tanh",
]


@op(inputs="a| b|", kernel="add", formula="y = a + b")
def add_(k, a, b):
    return k.add(a, b), (getattr(a, "shape", ()), getattr(b, "shape", ()))


@add_.gradient
def _(k, saved, grad_y, need):
    shape_a, shape_b = saved
    return (
        sum_to_shape(k, grad_y, shape_a) if need[0] else None,
        sum_to_shape(k, grad_y, shape_b) if need[1] else None,
    )


@op(inputs="a| b|", kernel="sub", formula="y = a - b")
def sub_(k, a, b):
    return k.sub(a, b), (getattr(a, "shape", ()), getattr(b, "shape", ()))


@sub_.gradient
def _(k, saved, grad_y, need):
    shape_a, shape_b = saved
    return (
        sum_to_shape(k, grad_y, shape_a) if need[0] else None,
        k.neg(sum_to_shape(k, grad_y, shape_b)) if need[1] else None,
    )


@op(inputs="a| b|", kernel="mul", formula="y = a * b")
def mul_(k, a, b):
    return k.mul(a, b), (a, b)


@mul_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    return (
        sum_to_shape(k, k.mul(grad_y, b), a.shape) if need[0] else None,
        sum_to_shape(k, k.mul(grad_y, a), b.shape) if need[1] else None,
    )


@op(inputs="a| b|", kernel="div", formula="y = a / b")
def div_(k, a, b):
    return k.div(a, b), (a, b)


@div_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    grad_a = k.div(grad_y, b)
    return (
        sum_to_shape(k, grad_a, a.shape) if need[0] else None,
        # -grad_y * a / b^2
        k.neg(sum_to_shape(k, k.mul(grad_a, k.div(a, b)), b.shape)) if need[1] else None,
    )


@op(inputs="x", kernel="neg", formula="y = -x")
def neg_(k, x):
    return k.neg(x), (order_of(x),)


@neg_.gradient
def _(k, saved, grad_y, need):
    order = saved[0]
    if k.device == "recording":
        return (k.neg(grad_y),)
    lies = grad_y if order is None else k.permute(grad_y, order)
    if lies.flags.c_contiguous:
        return (k.neg(grad_y),)
    # In x's order of memory, in one pass: a leaf that x shows (-w.T) need not be given a copy.
    grad_x = k.neg_bwd(lies)
    return (grad_x if order is None else k.permute(grad_x, inverse(order)),)


@op(inputs="grad_y", kernel="neg_bwd", formula="grad_x = -grad_y, in C order")
def neg_bwd_(k, grad_y):
    return k.neg_bwd(grad_y), ()


@neg_bwd_.gradient
def _(k, saved, grad, need):
    return (k.neg(grad),)


@op(inputs="x", kernel="exp", formula="y = e^x")
def exp_(k, x):
    y = k.exp(x)
    return y, (y,)


@exp_.gradient
def _(k, saved, grad_y, need):
    return (k.mul(grad_y, saved[0]),)


@op(inputs="x", kernel="log", formula="y = ln x")
def log_(k, x):
    return k.log(x), (x,)


@log_.gradient
def _(k, saved, grad_y, need):
    return (k.div(grad_y, saved[0]),)


@op(inputs="x", kernel="relu", formula="y = max(x, 0)")
def relu_(k, x):
    y = k.relu(x)
    return y, (y,)


@relu_.gradient
def _(k, saved, grad_y, need):
    return (k.relu_bwd(grad_y, saved[0]),)


@op(inputs="grad_y y", kernel="relu_bwd", formula="grad_x = 0 where y <= 0, else grad_y")
def relu_bwd_(k, grad_y, y):
    return k.relu_bwd(grad_y, y), (y,)


@relu_bwd_.gradient
def _(k, saved, grad_y, need):
    # The second derivative of relu is 0 almost everywhere: nothing flows into y.
    return (k.relu_bwd(grad_y, saved[0]) if need[0] else None, None)


@op(
    inputs="x",
    kernel="relu_signs",
    formula="y = max(x, 0); kept for the gradient: a bit an element, in y's order of memory",
)
def relu_signs_(k, x, signs_shape):
    order = order_of(x)
    if order is None:
        y, signs = k.relu_signs(x, signs_shape)
    else:
        y, signs = k.relu_signs(k.permute(x, order), signs_shape)
        y = k.permute(y, inverse(order))
    return y, (y, signs)


@relu_signs_.gradient
def _(k, saved, grad_y, need, signs_shape):
    y, signs = saved
    # y is kept as well: it must not change in place, a recorded backward takes it, and so does a
    # gradient that lies otherwise in memory. Its elements are not read again.
    if k.device == "recording" or grad_y.dtype != y.dtype:
        return (k.relu_bwd(grad_y, y),)
    order = order_of(y)
    lies = grad_y if order is None else k.permute(grad_y, order)
    if not lies.flags.c_contiguous:
        return (k.relu_bwd(grad_y, y),)
    grad_x = k.relu_signs_bwd(lies, signs)
    return (grad_x if order is None else k.permute(grad_x, inverse(order)),)


@op(
    inputs="grad_y signs",
    kernel="relu_signs_bwd",
    formula="grad_x = grad_y where its bit, in C order, is set, else 0",
)
def relu_signs_bwd_(k, grad_y, signs):
    return k.relu_signs_bwd(grad_y, signs), (signs,)


@relu_signs_bwd_.gradient
def _(k, saved, grad_y, need):
    return (k.relu_signs_bwd(grad_y, saved[0]) if need[0] else None, None)


@op(inputs="x", kernel="sigmoid", formula="y = 1 / (1 + e^-x)")
def sigmoid_(k, x):
    y = k.sigmoid(x)
    return y, (y,)


@sigmoid_.gradient
def _(k, saved, grad_y, need):
    return (k.sigmoid_bwd(grad_y, saved[0]),)


@op(inputs="grad_y y", kernel="sigmoid_bwd", formula="grad_x = grad_y * y * (1 - y)")
def sigmoid_bwd_(k, grad_y, y):
    return k.sigmoid_bwd(grad_y, y), (grad_y, y)


@sigmoid_bwd_.gradient
def _(k, saved, grad_y, need):
    g, y = saved
    return (
        k.sigmoid_bwd(grad_y, y) if need[0] else None,
        # d/dy of g y (1 - y) is g (1 - 2 y)
        k.mul(k.mul(grad_y, g), k.sub(1.0, k.mul(y, 2.0))) if need[1] else None,
    )


@op(inputs="x", kernel="tanh", formula="y = tanh x")
def tanh_(k, x):
    y = k.tanh(x)
    return y, (y,)


@tanh_.gradient
def _(k, saved, grad_y, need):
    return (k.tanh_bwd(grad_y, saved[0]),)


@op(inputs="grad_y y", kernel="tanh_bwd", formula="grad_x = grad_y * (1 - y^2)")
def tanh_bwd_(k, grad_y, y):
    return k.tanh_bwd(grad_y, y), (grad_y, y)


@tanh_bwd_.gradient
def _(k, saved, grad_y, need):
    g, y = saved
    return (
        k.tanh_bwd(grad_y, y) if need[0] else None,
        k.mul(k.mul(grad_y, g), k.mul(y, -2.0)) if need[1] else None,
    )


# ---- the public functions ----

#: Bytes beyond which relu keeps a bit an element: such a result has left the caches when its
#: gradient is computed, which then need not read it again. Both passes of float32, ms on Emerald
#: Rapids with two threads: 12 MB 1.24 to 1.23, 17 MB 1.75 to 1.16, 26 MB 2.55 to 1.77, 51 MB 6.49
#: to 5.24. On a GPU it is as far beyond the second level; not measured.
LARGE = 1 << 24


def _scaled(name: str, input: Any, other: Any, alpha: float) -> Any:
    """alpha * other; integers take no floating-point alpha, as in PyTorch."""
    if isinstance(alpha, float) and not any(
        isinstance(v, float) or (isinstance(v, Tensor) and v.dtype.is_floating_point)
        for v in (input, other)
    ):
        raise RuntimeError(f"{name}: alpha must be an integer beside integers; got {alpha}")
    if isinstance(other, Tensor):
        dtype = result_dtype((input, other))
        other = other.to(dtype)
        if dtype.name == "bool":
            return other & bool(alpha)
        if not dtype.is_floating_point:
            from .creation import _integer

            alpha = _integer(name, alpha, dtype.numpy)
    return other * alpha


@method("__add__", "add")
def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """The sum, element by element; shapes broadcast.

    Formula: y = input + alpha * other

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.
        alpha: a factor of other.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    return binary(add_, input, other if alpha == 1 else _scaled("add", input, other, alpha))


@method("__sub__", "sub", "subtract")
def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """The difference, element by element; shapes broadcast.

    Formula: y = input - alpha * other

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.
        alpha: a factor of other.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    return binary(sub_, input, other if alpha == 1 else _scaled("sub", input, other, alpha))


@method("__mul__", "mul", "multiply")
def mul(input: Any, other: Any) -> Tensor:
    """The product, element by element; shapes broadcast.

    Formula: y = input * other

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    return binary(mul_, input, other)


@method("__truediv__", "div", "divide", "true_divide")
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """The quotient, element by element; shapes broadcast. Integers give floating point.

    Formula: y = input / other (x / 0 is an infinity, 0 / 0 NaN)

    Args:
        input, other: tensors, arrays or numbers, at least one a tensor.
        rounding_mode: "trunc" (towards 0) or "floor" (towards -infinity): integers stay integers.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    if rounding_mode is not None:
        from .arithmetic import divide_rounded

        return divide_rounded(input, other, rounding_mode)
    return binary(div_, input, other)


@method("__radd__")
def _radd(input: Tensor, other: Any) -> Tensor:
    return binary(add_, other, input)


@method("__rsub__")
def _rsub(input: Tensor, other: Any) -> Tensor:
    return binary(sub_, other, input)


@method("__rmul__")
def _rmul(input: Tensor, other: Any) -> Tensor:
    return binary(mul_, other, input)


@method("__rtruediv__")
def _rtruediv(input: Tensor, other: Any) -> Tensor:
    return binary(div_, other, input)


@method("__neg__", "neg", "negative")
def neg(input: Tensor) -> Tensor:
    """The negative, element by element. Formula: y = -input

    Raises:
        RuntimeError: a bool tensor.
    """
    try:
        return unary(neg_, input)
    except NotImplementedError:
        if input._data.dtype == bool:
            raise RuntimeError("neg: bool tensors have no negative (use ~, logical_not)") from None
        raise


@method("exp")
def exp(input: Tensor) -> Tensor:
    """The exponential, element by element; float32 within 2 ULP. Formula: y = e^input"""
    return unary(exp_, input)


@method("log")
def log(input: Tensor) -> Tensor:
    """The natural logarithm, element by element; float32 within 2 ULP.

    Formula: y = ln input (-inf at 0, NaN below)
    """
    return unary(log_, input)


@method("relu")
def relu(input: Tensor) -> Tensor:
    """The rectified linear unit. Formula: y = max(input, 0); NaN stays NaN"""
    if (
        isinstance(input, Tensor)
        and input._requires_grad
        and input._data.nbytes > LARGE
        and mode.enabled
        and _keeps_bits(input)
    ):
        return apply(relu_signs_, (input,), (shapes.signs(input._data.size),))
    return unary(relu_, input)


def _keeps_bits(input: Tensor) -> bool:
    """Whether the input is float32 or float64 and lies in some order of memory without gaps.

    Nothing else may count: inside a checkpoint the same op must run again on what is a leaf then.
    """
    x = input._data
    if x.dtype.name not in ("float32", "float64"):
        return False
    if x.flags.c_contiguous:
        return True
    order = order_of(x)
    return order is not None and input._table().permute(x, order).flags.c_contiguous


@method("sigmoid")
def sigmoid(input: Tensor) -> Tensor:
    """The logistic function; float32 within 2 ULP. Formula: y = 1 / (1 + e^-input)"""
    return unary(sigmoid_, input)


@method("tanh")
def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent; float32 within 2 ULP. Formula: y = tanh input"""
    return unary(tanh_, input)


multiply = mul
subtract = sub
negative = neg
