"""Activations: functions of one tensor with up to three options, prelu, rrelu, glu, maxout."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import Op, op
from ..dtype import bool_
from ..kernels import ACTIVATIONS
from ..random import Generator, default_generator
from ..tensor import Tensor
from . import random, shapes, view
from .choose import clamp, where
from .inplace import old_of, write
from .install import method
from .operands import need_tensors
from .reduce import amax, sum_to_shape

__all__ = ["celu", "hardshrink", "prelu", "rrelu", "selu", "threshold"]

#: Functions whose second derivative is 0 wherever there is one.
_PIECEWISE_LINEAR = frozenset(
    ACTIVATIONS.index(name)
    for name in (
        *("leaky_relu", "hardsigmoid", "hardtanh", "softshrink", "hardshrink", "threshold"),
    )
)
_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@op(inputs="x", kernel="activation", formula="y = f(x), f by its number in ACTIVATIONS")
def activation_(k, x, kind, a, b, c):
    return k.activation(x, kind, a, b, c), (x,)


@activation_.gradient
def _(k, saved, grad_y, need, kind, a, b, c):
    return (k.activation_bwd(grad_y, saved[0], kind, a, b, c),)


@op(inputs="grad_y x", kernel="activation_bwd", formula="grad_x = grad_y * f'(x)")
def activation_bwd_(k, grad_y, x, kind, a, b, c):
    return k.activation_bwd(grad_y, x, kind, a, b, c), (grad_y, x)


@activation_bwd_.gradient
def _(k, saved, grad, need, kind, a, b, c):
    grad_y, x = saved
    curved = need[1] and kind not in _PIECEWISE_LINEAR
    return (
        k.activation_bwd(grad, x, kind, a, b, c) if need[0] else None,
        k.activation_bwd_bwd(grad, grad_y, x, kind, a, b, c) if curved else None,
    )


@op(inputs="grad grad_y x", kernel="activation_bwd_bwd", formula="y = grad * grad_y * f''(x)")
def activation_bwd_bwd_(k, grad, grad_y, x, kind, a, b, c):
    return k.activation_bwd_bwd(grad, grad_y, x, kind, a, b, c), (grad, grad_y, x)


@activation_bwd_bwd_.gradient
def _(k, saved, g, need, kind, a, b, c):
    grad, grad_y, x = saved
    if need[2]:
        raise NotImplementedError(f"{ACTIVATIONS[kind]}: no third derivative")
    return (
        k.activation_bwd_bwd(g, grad_y, x, kind, a, b, c) if need[0] else None,
        k.activation_bwd_bwd(grad, g, x, kind, a, b, c) if need[1] else None,
        None,
    )


def _declare(name: str, function: str, formula: str, source: str = "") -> Op:
    """The op `name`: `function` of ACTIVATIONS."""
    kind = ACTIVATIONS.index(function)

    @op(inputs="x", name=name, formula=formula, source=source)
    def record(k: Any, x: Any, a: float, b: float, c: float) -> Any:
        return k.activation(x, kind, a, b, c), (x,)

    @record.gradient
    def _(k: Any, saved: Any, grad_y: Any, need: Any, a: float, b: float, c: float) -> Any:
        return (k.activation_bwd(grad_y, saved[0], kind, a, b, c),)

    return record


_relu6 = _declare("relu6", "hardtanh", "y = min(max(x, 0), 6)", "Krizhevsky 2010")
_leaky_relu = _declare("leaky_relu", "leaky_relu", "y = x where x > 0, else slope * x")
_elu = _declare("elu", "elu", "y = x where x > 0, else alpha (e^x - 1)", "Clevert et al. 2015")
_celu = _declare("celu", "elu", "y = x where x > 0, else alpha (e^(x / alpha) - 1)", "Barron 2017")
_selu = _declare(
    "selu", "elu", "y = scale * (x where x > 0, else alpha (e^x - 1))", "Klambauer et al. 2017"
)
_gelu = _declare("gelu", "gelu", "y = x * P(X <= x), X normal", "Hendrycks & Gimpel 2016")
_gelu_tanh = _declare(
    "gelu_tanh", "gelu_tanh", "y = x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))"
)
_silu = _declare("silu", "silu", "y = x / (1 + e^-x)", "Elfwing et al. 2017")
_mish = _declare("mish", "mish", "y = x * tanh(ln(1 + e^x))", "Misra 2019")
_logsigmoid = _declare("logsigmoid", "logsigmoid", "y = -ln(1 + e^-x)")
_hardsigmoid = _declare("hardsigmoid", "hardsigmoid", "y = min(max(x + 3, 0), 6) / 6")
_hardtanh = _declare("hardtanh", "hardtanh", "y = min(max(x, min_val), max_val)")
_hardswish = _declare(
    "hardswish", "hardswish", "y = x * min(max(x + 3, 0), 6) / 6", "Howard et al. 2019"
)
_softplus = _declare(
    "softplus", "softplus", "y = ln(1 + e^(beta x)) / beta; x where beta x > threshold"
)
_softsign = _declare("softsign", "softsign", "y = x / (1 + |x|)")
_softshrink = _declare(
    "softshrink", "softshrink", "y = x - sign(x) lambd where |x| > lambd, else 0"
)
_hardshrink = _declare("hardshrink", "hardshrink", "y = x where |x| > lambd, else 0")
_tanhshrink = _declare("tanhshrink", "tanhshrink", "y = x - tanh x")
_threshold = _declare("threshold", "threshold", "y = x where x > threshold, else value")


@op(inputs="x weight", kernel="prelu", formula="y = x where x > 0, else weight * x")
def prelu_(k, x, weight):
    return k.prelu(x, weight), (x, weight)


@prelu_.gradient
def _(k, saved, grad_y, need):
    x, weight = saved
    to_weight = need[1]
    return (
        k.prelu_bwd(grad_y, x, weight) if need[0] else None,
        sum_to_shape(k, k.negative_product(grad_y, x, x), tuple(weight.shape))
        if to_weight
        else None,
    )


@op(
    inputs="grad_y x weight",
    kernel="prelu_bwd",
    formula="grad_x = grad_y where x > 0, else weight * grad_y",
)
def prelu_bwd_(k, grad_y, x, weight):
    return k.prelu_bwd(grad_y, x, weight), (grad_y, x, weight)


@prelu_bwd_.gradient
def _(k, saved, grad, need):
    grad_y, x, weight = saved
    return (
        k.prelu_bwd(grad, x, weight) if need[0] else None,
        None,
        sum_to_shape(k, k.negative_product(grad, grad_y, x), tuple(weight.shape))
        if need[2]
        else None,
    )


@op(inputs="u v x", kernel="negative_product", formula="y = 0 where x > 0, else u * v")
def negative_product_(k, u, v, x):
    return k.negative_product(u, v, x), (u, v, x)


@negative_product_.gradient
def _(k, saved, grad, need):
    u, v, x = saved
    return (
        k.negative_product(grad, v, x) if need[0] else None,
        k.negative_product(grad, u, x) if need[1] else None,
        None,
    )


@op(inputs="a b", kernel="gate", formula="y = a / (1 + e^-b)")
def gate_(k, a, b):
    return k.gate(a, b), (a, b)


@gate_.gradient
def _(k, saved, grad_y, need):
    a, b = saved
    return (
        k.gate(grad_y, b) if need[0] else None,
        k.gate_bwd(grad_y, a, b) if need[1] else None,
    )


@op(
    inputs="grad_y a b",
    kernel="gate_bwd",
    formula="grad_b = grad_y * a * s * (1 - s), s = 1 / (1 + e^-b)",
)
def gate_bwd_(k, grad_y, a, b):
    return k.gate_bwd(grad_y, a, b), (grad_y, a, b)


@gate_bwd_.gradient
def _(k, saved, grad, need):
    grad_y, a, b = saved
    to_b = None
    if need[2]:  # s'' = s' (1 - 2 s)
        first = k.gate_bwd(k.mul(grad, grad_y), a, b)
        to_b = k.mul(first, k.sub(1.0, k.mul(k.sigmoid(b), 2.0)))
    return (
        k.gate_bwd(grad, a, b) if need[0] else None,
        k.gate_bwd(grad, grad_y, b) if need[1] else None,
        to_b,
    )


def _halves(k: Any, x: Any, dim: int) -> tuple[Any, Any]:
    """Views of x's first and second half along dim."""
    shape = tuple(x.shape)
    half = (*shape[:dim], shape[dim] // 2, *shape[dim + 1 :])
    step = (1,) * len(shape)
    start = tuple(half[i] if i == dim else 0 for i in range(len(shape)))
    return k.slice(x, (0,) * len(shape), step, half), k.slice(x, start, step, half)


@op(inputs="x", formula="y = a / (1 + e^-b), a and b the halves of x", source="Dauphin et al. 2016")
def glu_(k, x, dim):
    a, b = _halves(k, x, dim)
    return k.gate(a, b), (x,)


@glu_.gradient
def _(k, saved, grad_y, need, dim):
    x = saved[0]
    a, b = _halves(k, x, dim)
    return (k.cat([k.gate(grad_y, b), k.gate_bwd(grad_y, a, b)], dim, tuple(x.shape)),)


# ---- the public functions ----


def _run(
    name: str, record: Op, input: Tensor, a: float, b: float, c: float, inplace: bool = False
) -> Tensor:
    """The op on input, written into it if `inplace`."""
    if not isinstance(input, Tensor):
        need_tensors(name, input=input)
    options = (float(a), float(b), float(c))
    if not inplace:
        return apply(record, (input,), options)
    return write(name, input, apply(record, (old_of(input),), options))


def _written(name: str, input: Tensor, y: Tensor, inplace: bool) -> Tensor:
    """y, written into input if `inplace`."""
    return write(name, input, y) if inplace else y


def _of_integers(input: Any) -> bool:
    """Whether these are integers, which no activation kernel takes."""
    return (
        isinstance(input, Tensor)
        and input.dtype is not bool_
        and (not input.dtype.is_floating_point)
    )


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """The rectified linear unit with a ceiling.

    Formula: y = min(max(input, 0), 6)

    Args:
        inplace: write the result into the input.

    Source: Krizhevsky 2010.
    """
    if _of_integers(input):
        return _written("relu6", input, clamp(input, 0, 6), inplace)
    return _run("relu6", _relu6, input, 0.0, 6.0, 0.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """The rectified linear unit with a slope below 0.

    Formula: y = input where input > 0, else negative_slope * input

    Args:
        inplace: write the result into the input.
    """
    return _run("leaky_relu", _leaky_relu, input, negative_slope, 0.0, 0.0, inplace)


@method("prelu")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """The rectified linear unit with learned slopes below 0.

    Formula: y = input where input > 0, else weight * input

    Shape: input (N, C, ...); weight (C,), (1,) or ().

    Raises:
        RuntimeError: another shape of weight.

    Source: He et al. 2015.
    """
    need_tensors("prelu", input=input, weight=weight)
    x, w = input._data.shape, weight._data.shape
    channels = x[1] if len(x) > 1 else 1
    if len(w) > 1 or (w and w[0] not in (1, channels)):
        raise RuntimeError(
            "prelu: weight must have one value, or one for each of input's channels (dim 1); got "
            f"weight {tuple(w)}, input {tuple(x)}"
        )
    if w and len(x) > 1:
        weight = view.reshape(weight, (w[0],) + (1,) * (len(x) - 2))
    elif w:
        weight = view.reshape(weight, ())
    return apply(prelu_, (input, weight))


@method("rrelu")
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """The rectified linear unit with random slopes below 0.

    Formula: y = input where input > 0, else r * input; in training r is uniform in [lower, upper),
    drawn for each element, else (lower + upper) / 2

    Args:
        inplace: write the result into the input.
        generator: default: the default generator.

    Raises:
        RuntimeError: lower > upper.

    Source: Xu et al. 2015. The slopes are Philox numbers, as dropout's.
    """
    need_tensors("rrelu", input=input)
    if not lower <= upper:
        raise RuntimeError(f"rrelu: lower must be at most upper; got {lower}, {upper}")
    if not training:
        return _run("rrelu", _leaky_relu, input, (lower + upper) / 2, 0.0, 0.0, inplace)
    slopes = random.uniform_like(input, lower, upper, generator or default_generator)
    y = apply(prelu_, (old_of(input) if inplace else input, slopes))
    return write("rrelu", input, y) if inplace else y


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """The exponential linear unit.

    Formula: y = input where input > 0, else alpha * (e^input - 1)

    Args:
        inplace: write the result into the input.

    Source: Clevert et al. 2015.
    """
    return _run("elu", _elu, input, alpha, 1.0, 1.0, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """The exponential linear unit whose slope is continuous for every alpha.

    Formula: y = input where input > 0, else alpha * (e^(input / alpha) - 1)

    Args:
        alpha: not 0.
        inplace: write the result into the input.

    Raises:
        RuntimeError: alpha = 0.

    Source: Barron 2017.
    """
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0; got 0")
    return _run("celu", _celu, input, alpha, 1.0, 1.0 / alpha, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled exponential linear unit of self-normalising networks.

    Formula: y = scale * (input where input > 0, else alpha * (e^input - 1)), scale = 1.0507...,
    alpha = 1.6732...

    Args:
        inplace: write the result into the input.

    Source: Klambauer et al. 2017.
    """
    return _run("selu", _selu, input, _SELU_SCALE * _SELU_ALPHA, _SELU_SCALE, 1.0, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """The Gaussian error linear unit; within 4 ULP, with 'tanh' within 4 + 6 |the tanh's argument|.

    Formula: y = input * P(X <= input), X normal; with approximate='tanh'
    y = input / 2 * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input^3)))

    Args:
        approximate: 'none' or 'tanh'.

    Raises:
        RuntimeError: another approximation.

    Source: Hendrycks & Gimpel 2016.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh'; got {approximate!r}")
    return _run("gelu", _gelu if approximate == "none" else _gelu_tanh, input, 0.0, 0.0, 0.0)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """The sigmoid linear unit, also called swish.

    Formula: y = input / (1 + e^-input)

    Args:
        inplace: write the result into the input.

    Source: Elfwing et al. 2017.
    """
    return _run("silu", _silu, input, 0.0, 0.0, 0.0, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Mish, a smooth activation without monotony.

    Formula: y = input * tanh(ln(1 + e^input))

    Args:
        inplace: write the result into the input.

    Source: Misra 2019.
    """
    return _run("mish", _mish, input, 0.0, 0.0, 0.0, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the logistic function, without overflow.

    Formula: y = -ln(1 + e^-input)
    """
    return _run("logsigmoid", _logsigmoid, input, 0.0, 0.0, 0.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """A sigmoid of three straight pieces.

    Formula: y = min(max(input + 3, 0), 6) / 6

    Args:
        inplace: write the result into the input.
    """
    return _run("hardsigmoid", _hardsigmoid, input, 0.0, 0.0, 0.0, inplace)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """The input held between two values.

    Formula: y = min(max(input, min_val), max_val)

    Args:
        inplace: write the result into the input.

    Raises:
        ValueError: min_val > max_val.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must be at most max_val; got {min_val}, {max_val}")
    if _of_integers(input):
        y = clamp(input, int(min_val), int(max_val))
        return _written("hardtanh", input, y, inplace)
    return _run("hardtanh", _hardtanh, input, min_val, max_val, 0.0, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """silu with a sigmoid of three straight pieces.

    Formula: y = input * min(max(input + 3, 0), 6) / 6

    Args:
        inplace: write the result into the input.

    Source: Howard et al. 2019.
    """
    return _run("hardswish", _hardswish, input, 0.0, 0.0, 0.0, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """A smooth form of relu.

    Formula: y = ln(1 + e^(beta * input)) / beta; input itself where beta * input > threshold
    """
    return _run("softplus", _softplus, input, beta, threshold, 0.0)


def softsign(input: Tensor) -> Tensor:
    """A sigmoid without an exponential. Formula: y = input / (1 + |input|)"""
    return _run("softsign", _softsign, input, 0.0, 0.0, 0.0)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """The input moved towards 0 by lambd, and 0 within it.

    Formula: y = input - sign(input) * lambd where |input| > lambd, else 0

    Raises:
        RuntimeError: lambd < 0.
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must be at least 0; got {lambd}")
    return _run("softshrink", _softshrink, input, lambd, 0.0, 0.0)


@method("hardshrink")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """The input, and 0 within lambd of 0. Formula: y = input where |input| > lambd, else 0"""
    return _run("hardshrink", _hardshrink, input, lambd, 0.0, 0.0)


def tanhshrink(input: Tensor) -> Tensor:
    """The input less its hyperbolic tangent. Formula: y = input - tanh input"""
    return _run("tanhshrink", _tanhshrink, input, 0.0, 0.0, 0.0)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """The input above a threshold, a value elsewhere.

    Formula: y = input where input > threshold, else value

    Args:
        inplace: write the result into the input.
    """
    if _of_integers(input):
        y = where(input > int(threshold), input, int(value))  # type: ignore[operator]
        return _written("threshold", input, y, inplace)
    return _run("threshold", _threshold, input, threshold, value, 0.0, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The gated linear unit: the first half of the input times the sigmoid of the second.

    Formula: y = a / (1 + e^-b), a and b the halves of input along dim

    Shape: (..., 2 n, ...) -> (..., n, ...)

    Raises:
        RuntimeError: an odd size along dim, or a 0-dim input.
        IndexError: dim out of range.

    Source: Dauphin et al. 2016.
    """
    need_tensors("glu", input=input)
    shape = input._data.shape
    if not shape:
        raise RuntimeError("glu: input must have at least one dimension; got ()")
    d = shapes.dim("glu", dim, len(shape))
    if shape[d] % 2:
        raise RuntimeError(f"glu: the size of dim {dim} must be even; got shape {tuple(shape)}")
    return apply(glu_, (input,), (d,))


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of every `pieces` neighbouring channels. PyTorch has no such function.

    Formula: y[c] = max over j < pieces of input[c * pieces + j]; equal maxima share the gradient

    Shape: (N, C, ...) -> (N, C / pieces, ...)

    Args:
        pieces: how many channels make one.
        dim: where the channels are.

    Raises:
        ValueError: pieces < 1.
        RuntimeError: pieces does not divide the channels.
        IndexError: dim out of range.

    Source: Goodfellow et al. 2013.
    """
    need_tensors("maxout", input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim("maxout", dim, len(shape))
    if pieces < 1:
        raise ValueError(f"maxout: pieces must be >= 1; got {pieces}")
    if not shape or shape[d] % pieces:
        raise RuntimeError(
            f"maxout: pieces must divide the size of dim {dim}; got pieces={pieces}, shape {shape}"
        )
    groups = (*shape[:d], shape[d] // pieces, pieces, *shape[d + 1 :])
    return amax(view.reshape(input, groups), d + 1)
