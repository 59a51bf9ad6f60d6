"""Reductions: sum, mean and max over dimensions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..tensor import Tensor
from . import shapes
from .install import method

__all__ = ["amax", "max", "mean", "sum"]


def sum_to_shape(k: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """x summed over the dimensions along which `shape` was broadcast to x's shape."""
    if x.shape == shape:
        return x
    return k.sum(x, _broadcast_dims(x.shape, shape), shape)


@lru_cache(maxsize=4096)
def _broadcast_dims(wide: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dims of `wide` along which `shape` was broadcast."""
    lead = len(wide) - len(shape)
    return tuple([i for i, n in enumerate(wide) if i < lead or (shape[i - lead] == 1 and n != 1)])


def _spread(k: Any, grad_y: Any, dims: tuple[int, ...], x_shape: tuple[int, ...]) -> Any:
    """grad_y with the reduced dims put back, as a view without memory of its own."""
    return k.expand(k.reshape(grad_y, shapes.reduced(x_shape, dims, True)), x_shape)


@op(inputs="x", kernel="sum", formula="y = sum of x over dims")
def sum_(k, x, dims, out_shape):
    return k.sum(x, dims, out_shape), (tuple(x.shape),)


@sum_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    return (_spread(k, grad_y, dims, saved[0]),)


@op(inputs="x", kernel="mean", formula="y = sum of x over dims / count")
def mean_(k, x, dims, out_shape):
    return k.mean(x, dims, out_shape), (tuple(x.shape),)


@mean_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    (x_shape,) = saved
    count = 1
    for d in dims:
        count *= x_shape[d]
    return (_spread(k, k.mul(grad_y, 1.0 / count if count else 0.0), dims, x_shape),)


@op(inputs="x", kernel="amax", formula="y = max of x over dims; ties share the gradient")
def amax_(k, x, dims, out_shape):
    y = k.amax(x, dims, out_shape)
    return y, (x, y)


@amax_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    x, y = saved
    kept = shapes.reduced(tuple(x.shape), dims, True)
    weight = k.amax_weight(x, k.reshape(y, kept))
    return (k.mul(k.expand(k.reshape(grad_y, kept), tuple(x.shape)), weight),)


@op(inputs="x y", kernel="amax_weight", formula="w = (x == y) / number of ties")
def amax_weight_(k, x, y):
    return k.amax_weight(x, y), ()


@amax_weight_.gradient
def _(k, saved, grad_y, need):
    return None, None  # piecewise constant


@op(inputs="x", kernel="max_dim", outputs=2, formula="values, indices = max of x along dim")
def max_dim_(k, x, dim, out_shape):
    values, indices = k.max_dim(x, dim, out_shape)
    return (values, indices), (indices, tuple(x.shape))


@max_dim_.gradient
def _(k, saved, grad_y, need, dim, out_shape):
    indices, x_shape = saved
    return (k.scatter_sum(grad_y, indices, x_shape, dim),)


# ---- the public functions ----


def _reduce(record: Any, input: Tensor, dim: Any, keepdim: bool, dtype: DType | None) -> Tensor:
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    shape = input._data.shape
    dims = shapes.dims(record.name, dim, len(shape))
    return apply(record, (input,), (dims, shapes.reduced(shape, dims, bool(keepdim))))


@method("sum")
def sum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The sum over `dim`, or over everything.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to before summing.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _reduce(sum_, input, dim, keepdim, dtype)


@method("mean")
def mean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The mean over `dim`, or over everything; NaN where there is nothing.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to before summing.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _reduce(mean_, input, dim, keepdim, dtype)


@method("amax")
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The maximum over `dim`, or over everything; NaN wins. Equal maxima share the gradient.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int or a tuple of ints; () is all.
        keepdim: whether the reduced dims stay, with size 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice, or nothing to take the maximum of.
    """
    _not_empty("amax", input, dim)
    return _reduce(amax_, input, dim, keepdim, None)


@method("max")
def max(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The maximum of all elements; with `dim`, (values, indices) along it. NaN wins.

    Shape: without dim, or with 1 there if keepdim. Indices are int64, of the first maximum.
    Without dim, equal maxima share the gradient; with dim, the element at the index has it.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: nothing to take the maximum of.
    """
    _not_empty("max", input, dim)
    if dim is None:
        return _reduce(amax_, input, None, keepdim, None)
    shape = input._data.shape
    d = shapes.dim("max", dim, len(shape))
    if not shape:
        flat = input.reshape((1,))
        values, indices = apply(max_dim_, (flat,), (0, ()))
        return values, indices
    return apply(max_dim_, (input,), (d, shapes.reduced(shape, (d,), bool(keepdim))))


def _not_empty(name: str, input: Tensor, dim: Any) -> None:
    shape = input._data.shape
    for d in shapes.dims(name, dim, len(shape)):
        if shape[d] == 0:
            raise RuntimeError(f"{name}: dim {d} must not be empty; got shape {tuple(shape)}")
