"""Functions that write their result into their first argument, by PyTorch's names."""

from __future__ import annotations

from ..tensor import Tensor
from . import inplace, operators, products, subscript  # noqa: F401  (they install the methods)
from .activation import celu, elu, hardtanh, leaky_relu, rrelu, selu
from .activation import threshold as _threshold

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

abs_ = Tensor.abs_
addmv_ = Tensor.addmv_
ceil_ = Tensor.ceil_
clamp_ = Tensor.clamp_
clamp_max_ = Tensor.clamp_max_
clamp_min_ = Tensor.clamp_min_
clip_ = Tensor.clip_
cos_ = Tensor.cos_
detach_ = Tensor.detach_
erf_ = Tensor.erf_
exp_ = Tensor.exp_
expm1_ = Tensor.expm1_
fill_ = Tensor.fill_
fix_ = Tensor.fix_
floor_ = Tensor.floor_
index_put_ = Tensor.index_put_
log1p_ = Tensor.log1p_
log2_ = Tensor.log2_
log_ = Tensor.log_
neg_ = Tensor.neg_
negative_ = Tensor.negative_
reciprocal_ = Tensor.reciprocal_
relu_ = Tensor.relu_
round_ = Tensor.round_
rsqrt_ = Tensor.rsqrt_
sigmoid_ = Tensor.sigmoid_
sin_ = Tensor.sin_
sqrt_ = Tensor.sqrt_
square_ = Tensor.square_
tan_ = Tensor.tan_
tanh_ = Tensor.tanh_
trunc_ = Tensor.trunc_
zero_ = Tensor.zero_


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Like celu, in place."""
    return celu(input, alpha, inplace=True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Like elu, in place."""
    return elu(input, alpha, inplace=True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Like hardtanh, in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Like leaky_relu, in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """Like rrelu, in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def selu_(input: Tensor) -> Tensor:
    """Like selu, in place."""
    return selu(input, inplace=True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """Like threshold, in place."""
    return _threshold(input, threshold, value, inplace=True)
