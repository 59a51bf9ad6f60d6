"""softmax and softmin; log_softmax is in loss.py."""

from __future__ import annotations

import warnings

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..tensor import Tensor
from . import elementwise, shapes
from .install import method, numpy_names
from .operands import need_tensors

__all__ = ["softmax"]


@op(inputs="x", kernel="softmax", formula="y = e^x / sum of e^x along dim")
def softmax_(k, x, dim):
    y = k.softmax(x, dim)
    return y, (y,)


@softmax_.gradient
def _(k, saved, grad_y, need, dim):
    return (k.softmax_bwd(grad_y, saved[0], dim),)


@op(
    inputs="grad_y y",
    kernel="softmax_bwd",
    formula="grad_x = y * (grad_y - sum of grad_y * y along dim)",
)
def softmax_bwd_(k, grad_y, y, dim):
    return k.softmax_bwd(grad_y, y, dim), (grad_y, y)


@softmax_bwd_.gradient
def _(k, saved, grad, need, dim):
    g, y = saved
    dims = (dim,) if y.shape else ()
    kept = shapes.reduced(tuple(y.shape), dims, True)
    to_y = None
    if need[1]:  # grad (g - sum(g y)) - g sum(grad y)
        first = k.mul(grad, k.sub(g, k.sum(k.mul(g, y), dims, kept)))
        to_y = k.sub(first, k.mul(g, k.sum(k.mul(grad, y), dims, kept)))
    return (k.softmax_bwd(grad, y, dim) if need[0] else None, to_y)


# ---- the public functions ----


def implied_dim(name: str, ndim: int) -> int:
    """The dim that None stands for, as PyTorch chooses it, with a warning."""
    dim = 0 if ndim in (0, 1, 3) else 1
    warnings.warn(f"{name}: dim=None means dim={dim} here; say which", stacklevel=4)
    return dim


def _softmax(
    name: str, input: Tensor, dim: int | None, dtype: DType | None, negative: bool = False
) -> Tensor:
    need_tensors(name, input=input)
    ndim = len(input._data.shape)
    if dim is None:
        dim = implied_dim(name, ndim)
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    d = shapes.dim(name, dim, ndim)
    return apply(softmax_, (elementwise.neg(input) if negative else input,), (d,))


@method("softmax")
@numpy_names
def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """Exponentials that sum to 1 along a dimension, computed without overflow.

    Formula: y = e^(input - max) / sum of e^(input - max) along dim

    Shape: unchanged.

    Args:
        dim: where they sum to 1; None, with a warning: 0 or 1, as PyTorch chooses.
        dtype: the type to convert to first.

    Raises:
        IndexError: dim out of range.
    """
    return _softmax("softmax", input, dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """softmax of the negative input.

    Formula: y = e^(-input) / sum of e^(-input) along dim

    Shape: unchanged.

    Args:
        dim: where they sum to 1; None, with a warning: 0 or 1, as PyTorch chooses.
        dtype: the type to convert to first.

    Raises:
        IndexError: dim out of range.
    """
    return _softmax("softmin", input, dim, dtype, negative=True)
