"""Reductions about a center: var, std, norm, logsumexp."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import get_default_dtype
from ..tensor import Tensor
from . import shapes
from .choose import sign, where
from .elementwise import exp, log
from .install import method, numpy_names
from .operands import need_tensors
from .reduce import amax, amin, mean, sum

__all__ = ["logsumexp", "norm", "std", "std_mean", "var", "var_mean"]


def _count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    n = 1
    for d in dims:
        n *= shape[d]
    return n


def _spread(k: Any, y: Any, dims: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """y with the reduced dims put back, as a view."""
    return k.expand(k.reshape(y, shapes.reduced(shape, dims, True)), shape)


def _ratio(k: Any, grad_y: Any, y: Any) -> Any:
    """grad_y / y, but 0 where y is."""
    return k.where(k.eq(y, 0.0), 0.0, k.div(grad_y, y))


def _about_mean(k: Any, x: Any, factor: Any, dims: tuple[int, ...], divisor: float) -> Any:
    """factor * (x - mean) / divisor: how a sum of squared distances grows, by half."""
    shape = tuple(x.shape)
    kept = shapes.reduced(shape, dims, True)
    distance = k.sub(x, k.mean(x, dims, kept))
    scale = 1.0 / divisor if divisor > 0 else math.nan
    return k.mul(_spread(k, k.mul(factor, scale), dims, shape), distance)


@op(inputs="x", kernel="var", formula="y = sum of (x - mean)^2 / (n - correction)")
def var_(k, x, dims, correction, root, out_shape):
    y = k.var(x, dims, correction, root, out_shape)
    return y, (x, y if root else None)


@var_.gradient
def _(k, saved, grad_y, need, dims, correction, root, out_shape):
    x, y = saved
    divisor = _count(tuple(x.shape), dims) - correction
    factor = _ratio(k, grad_y, y) if root else k.mul(grad_y, 2.0)
    return (_about_mean(k, x, factor, dims, divisor),)


@op(inputs="x", formula="y = sqrt(sum of (x - mean)^2 / (n - correction))")
def std_(k, x, dims, correction, out_shape):
    y = k.var(x, dims, correction, True, out_shape)  # the root in float64, before it is rounded
    return y, (x, y)


@std_.gradient
def _(k, saved, grad_y, need, dims, correction, out_shape):
    x, y = saved
    divisor = _count(tuple(x.shape), dims) - correction
    return (_about_mean(k, x, _ratio(k, grad_y, y), dims, divisor),)


@op(inputs="x", kernel="sum_squares", formula="y = sum of x^2 over dims")
def sum_squares_(k, x, dims, out_shape):
    return k.sum_squares(x, dims, out_shape), (x,)


@sum_squares_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    (x,) = saved
    return (k.mul(_spread(k, k.mul(grad_y, 2.0), dims, tuple(x.shape)), x),)


@op(inputs="x", formula="y = sqrt(sum of x^2 over dims)")
def norm2_(k, x, dims, out_shape):
    y = k.sqrt(k.sum_squares(x, dims, out_shape))
    return y, (x, y)


@norm2_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    x, y = saved
    return (k.mul(_spread(k, _ratio(k, grad_y, y), dims, tuple(x.shape)), x),)


@op(inputs="x", formula="y = (sum of |x|^p over dims)^(1/p)")
def norm_p_(k, x, dims, p, out_shape):
    powers = k.exp(k.mul(k.log(k.abs(x)), p))
    y = k.exp(k.mul(k.log(k.sum(powers, dims, out_shape)), 1.0 / p))
    return y, (x, y)


@norm_p_.gradient
def _(k, saved, grad_y, need, dims, p, out_shape):
    # sign(x) |x|^(p - 1) / y^(p - 1), and 0 where x or y is
    x, y = saved
    ratio = k.mul(grad_y, k.exp(k.mul(k.log(y), 1.0 - p)))
    ratio = k.where(k.eq(y, 0.0), 0.0, ratio)
    power = k.where(k.eq(x, 0.0), 0.0, k.exp(k.mul(k.log(k.abs(x)), p - 1.0)))
    return (k.mul(_spread(k, ratio, dims, tuple(x.shape)), k.mul(k.sign(x), power)),)


@op(inputs="x center", kernel="sum_exp", formula="y = sum of e^(x - center) over dims")
def sum_exp_(k, x, center, dims, out_shape):
    y = k.sum_exp(x, center, dims, out_shape)
    return y, (x, center, y)


@sum_exp_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    x, center, y = saved
    grad_x = None
    if need[0]:
        shape = tuple(x.shape)
        grown = k.exp(k.sub(x, _spread(k, center, dims, shape)))
        grad_x = k.mul(_spread(k, grad_y, dims, shape), grown)
    grad_center = k.reshape(k.neg(k.mul(grad_y, y)), tuple(center.shape)) if need[1] else None
    return grad_x, grad_center


@op(inputs="x", formula="y = ln of the sum of e^x over dims")
def logsumexp_(k, x, dims, out_shape):
    # An infinite maximum would leave inf - inf: the largest number does as well.
    largest = k.amax(x, dims, out_shape)
    limit = float(np.finfo(x.dtype).max)
    center = k.clamp(largest, -limit, limit)
    y = k.add(k.log(k.sum_exp(x, center, dims, out_shape)), center)
    return y, (x, y)


@logsumexp_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    x, y = saved
    shape = tuple(x.shape)
    share = k.exp(k.sub(x, _spread(k, y, dims, shape)))
    return (k.mul(_spread(k, grad_y, dims, shape), share),)


# ---- the public functions ----


def _apply(name: str, record: Any, input: Any, dim: Any, keepdim: bool, *options: Any) -> Tensor:
    need_tensors(name, input=input)
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            f"{name}: needs a floating-point dtype; got {input.dtype} (use .float())"
        )
    shape = tuple(input._data.shape)
    dims = shapes.dims(name, dim, len(shape))
    return apply(record, (input,), (dims, *options, shapes.reduced(shape, dims, bool(keepdim))))


def _correction(name: str, dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """dim and the correction from the forms that PyTorch takes; f(x, True) is unbiased alone."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}: unbiased and correction cannot both be given")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return dim, float(correction)


@method("var")
@numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance over `dim`, or over everything, in two passes.

    Formula: y = sum of (x - mean)^2 / max(0, n - correction)

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all.
        unbiased: True is correction 1, False is 0.
        keepdim: whether the reduced dims stay, with size 1.
        correction: default 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice; integers.
        TypeError: both unbiased and correction.
    """
    dim, by = _correction("var", dim, unbiased, correction)
    return _apply("var", var_, input, dim, keepdim, by, False)


@method("std")
@numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation over `dim`, or over everything: the root of var.

    Where it is 0 the gradient is 0.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim, unbiased, keepdim, correction: as var's.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice; integers.
        TypeError: both unbiased and correction.
    """
    dim, by = _correction("std", dim, unbiased, correction)
    return _apply("std", std_, input, dim, keepdim, by)


def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean; see var."""
    dim, by = _correction("var_mean", dim, unbiased, correction)
    return _apply("var_mean", var_, input, dim, keepdim, by, False), mean(input, dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean; see std."""
    dim, by = _correction("std_mean", dim, unbiased, correction)
    return _apply("std_mean", std_, input, dim, keepdim, by), mean(input, dim, keepdim)


@method("norm")
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The p-norm of the elements over `dim`, or of all of them.

    Formula: (sum of |x|^p)^(1/p); p = inf: the largest |x|, -inf: the smallest, 0: how many are
    not 0. "fro" is p = 2.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        p: a number, or "fro".
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to before.

    Raises:
        IndexError: a dim out of range.
        ValueError: another p.
        RuntimeError: integers; nothing to take an extreme of.
    """
    need_tensors("norm", input=input)
    if dtype is not None:
        input = input.to(dtype)
    if isinstance(p, str):
        if p != "fro":
            raise ValueError(f"norm: p must be a number or 'fro'; got {p!r}")
        p = 2.0
    p = float(p)
    if p == 2.0:
        return _apply("norm", norm2_, input, dim, keepdim)
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"norm: needs a floating-point dtype; got {input.dtype} (use .float())")
    if p == 0.0:
        # 1 where it is not 0; elsewhere its sign, which is 0 and keeps it on the tape.
        return sum(where(input != 0.0, 1.0, sign(input)), dim, keepdim)
    size = input.abs()
    if math.isinf(p):
        return (amax if p > 0 else amin)(size, () if dim is None else dim, keepdim)
    if p == 1.0:
        return sum(size, dim, keepdim)
    return _apply("norm", norm_p_, input, dim, keepdim, p)


@method("logsumexp")
@numpy_names
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The logarithm of the sum of e^x over `dim`, without overflow.

    Formula: y = m + ln(sum of e^(x - m)), m the maximum

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int or a tuple of ints.
        keepdim: whether the reduced dims stay, with size 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    if isinstance(input, Tensor) and not input.dtype.is_floating_point:
        input = input.to(get_default_dtype())
    if isinstance(input, Tensor) and input._data.size == 0:  # no maximum: ln 0 is -inf
        return log(sum(exp(input), dim, keepdim))
    return _apply("logsumexp", logsumexp_, input, dim, keepdim)
