"""Functions that write their result into their first argument, by PyTorch's names."""

from __future__ import annotations

from ..tensor import Tensor
from . import inplace, operators, products, subscript  # noqa: F401  (they install the methods)
from .activation import celu, elu, hardtanh, leaky_relu, rrelu, selu
from .activation import threshold as _threshold
from .operands import own_errors

__all__ = [
    "abs_",
    "addmv_",
    "ceil_",
    "celu_",
    "clamp_",
    "clamp_max_",
    "clamp_min_",
    "clip_",
    "cos_",
    "detach_",
    "erf_",
    "exp_",
    "expm1_",
    "fill_",
    "fix_",
    "floor_",
    "index_put_",
    "log1p_",
    "log2_",
    "log_",
    "neg_",
    "negative_",
    "reciprocal_",
    "relu_",
    "round_",
    "rrelu_",
    "rsqrt_",
    "selu_",
    "sigmoid_",
    "sin_",
    "sqrt_",
    "square_",
    "tan_",
    "tanh_",
    "threshold_",
    "trunc_",
    "zero_",
]

abs_ = own_errors(Tensor.abs_)
addmv_ = own_errors(Tensor.addmv_)
ceil_ = own_errors(Tensor.ceil_)
clamp_ = own_errors(Tensor.clamp_)
clamp_max_ = own_errors(Tensor.clamp_max_)
clamp_min_ = own_errors(Tensor.clamp_min_)
clip_ = own_errors(Tensor.clip_)
cos_ = own_errors(Tensor.cos_)
detach_ = own_errors(Tensor.detach_)
erf_ = own_errors(Tensor.erf_)
exp_ = own_errors(Tensor.exp_)
expm1_ = own_errors(Tensor.expm1_)
fill_ = own_errors(Tensor.fill_)
fix_ = own_errors(Tensor.fix_)
floor_ = own_errors(Tensor.floor_)
index_put_ = own_errors(Tensor.index_put_)
log1p_ = own_errors(Tensor.log1p_)
log2_ = own_errors(Tensor.log2_)
log_ = own_errors(Tensor.log_)
neg_ = own_errors(Tensor.neg_)
negative_ = own_errors(Tensor.negative_)
reciprocal_ = own_errors(Tensor.reciprocal_)
relu_ = own_errors(Tensor.relu_)
round_ = own_errors(Tensor.round_)
rsqrt_ = own_errors(Tensor.rsqrt_)
sigmoid_ = own_errors(Tensor.sigmoid_)
sin_ = own_errors(Tensor.sin_)
sqrt_ = own_errors(Tensor.sqrt_)
square_ = own_errors(Tensor.square_)
tan_ = own_errors(Tensor.tan_)
tanh_ = own_errors(Tensor.tanh_)
trunc_ = own_errors(Tensor.trunc_)
zero_ = own_errors(Tensor.zero_)


@own_errors
def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Like celu, in place."""
    return celu(input, alpha, inplace=True)


@own_errors
def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Like elu, in place."""
    return elu(input, alpha, inplace=True)


@own_errors
def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Like hardtanh, in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


@own_errors
def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Like leaky_relu, in place."""
    return leaky_relu(input, negative_slope, inplace=True)


@own_errors
def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """Like rrelu, in place."""
    return rrelu(input, lower, upper, training, inplace=True)


@own_errors
def selu_(input: Tensor) -> Tensor:
    """Like selu, in place."""
    return selu(input, inplace=True)


@own_errors
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """Like threshold, in place."""
    return _threshold(input, threshold, value, inplace=True)
