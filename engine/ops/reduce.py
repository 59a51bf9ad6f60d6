"""Reductions: sum, prod, mean, max, min, argmax, argmin, any, all."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_, int64, uint8
from ..dtype import dtype as DType
from ..tensor import Tensor
from . import shapes
from .install import method, numpy_names
from .operands import ValuesIndices, need_tensors

__all__ = [
    *("all", "amax", "amin", "any", "argmax", "argmin", "max", "mean", "min", "prod", "sum"),
]


def sum_to_shape(k: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """x summed over the dimensions along which `shape` was broadcast to x's shape."""
    wide = x.shape  # made anew each time
    if wide == shape:
        return x
    return k.sum(x, _broadcast_dims(wide, shape), shape)


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
    # Divided, not multiplied by 1 / count: that would round twice.
    return (_spread(k, k.div(grad_y, float(count or 1)), dims, x_shape),)


@op(inputs="x", kernel="amax", formula="y = max of x over dims; ties share the gradient")
def amax_(k, x, dims, out_shape):
    y = k.amax(x, dims, out_shape)
    return y, (x, y)


@amax_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    return (_shared(k, saved, grad_y, dims),)


@op(inputs="x", kernel="amin", formula="y = min of x over dims; ties share the gradient")
def amin_(k, x, dims, out_shape):
    y = k.amin(x, dims, out_shape)
    return y, (x, y)


@amin_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    return (_shared(k, saved, grad_y, dims),)


def _shared(k: Any, saved: Any, grad_y: Any, dims: tuple[int, ...]) -> Any:
    """The gradient of an extreme, shared by the elements that equal it."""
    x, y = saved
    kept = shapes.reduced(tuple(x.shape), dims, True)
    weight = k.amax_weight(x, k.reshape(y, kept))
    return k.mul(k.expand(k.reshape(grad_y, kept), tuple(x.shape)), weight)


@op(inputs="x", formula="y = max of x; ties, or all NaN, share the gradient")
def max_all_(k, x, dims):
    y = k.amax(x, dims, ())
    return y, (x, y, x.dtype)


@max_all_.gradient
def _(k, saved, grad_y, need, dims):
    return (_shared_by_nan(k, saved, grad_y, dims),)


@op(inputs="x", formula="y = min of x; ties, or all NaN, share the gradient")
def min_all_(k, x, dims):
    y = k.amin(x, dims, ())
    return y, (x, y, x.dtype)


@min_all_.gradient
def _(k, saved, grad_y, need, dims):
    return (_shared_by_nan(k, saved, grad_y, dims),)


def _shared_by_nan(k: Any, saved: Any, grad_y: Any, dims: tuple[int, ...]) -> Any:
    """As _shared over everything; a NaN's gradient goes to the NaNs."""
    x, y, dtype = saved
    nans = k.bitwise_and(k.ne(x, x), k.ne(y, y))
    weight = k.copy(k.bitwise_or(k.eq(x, y), nans), dtype)
    return k.mul(weight, k.div(grad_y, k.sum(weight, dims, ())))


@op(inputs="x", kernel="prod", formula="y = product of x over dims")
def prod_(k, x, dims, out_shape):
    return k.prod(x, dims, out_shape), (x,)


@prod_.gradient
def _(k, saved, grad_y, need, dims, out_shape):
    (x,) = saved
    shape = tuple(x.shape)
    # The dims behind the kept ones, as one.
    order = tuple([d for d in range(len(shape)) if d not in dims]) + dims
    moved = tuple([shape[d] for d in order])
    n = len(moved) - len(dims)
    extent = 1
    for size in moved[n:]:
        extent *= size
    rows = k.reshape(k.permute(x, order), (*moved[:n], extent))
    grad = k.prod_bwd(k.reshape(grad_y, moved[:n]), rows)
    inverse = tuple([order.index(d) for d in range(len(order))])
    return (k.permute(k.reshape(grad, moved), inverse),)


@op(inputs="x", kernel="any", formula="y = whether any of x over dims")
def any_(k, x, dims, out_shape):
    return k.any(x, dims, out_shape), ()


@op(inputs="x", kernel="all", formula="y = whether all of x over dims")
def all_(k, x, dims, out_shape):
    return k.all(x, dims, out_shape), ()


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


@op(inputs="x", kernel="min_dim", outputs=2, formula="values, indices = min of x along dim")
def min_dim_(k, x, dim, out_shape):
    values, indices = k.min_dim(x, dim, out_shape)
    return (values, indices), (indices, tuple(x.shape))


@min_dim_.gradient
def _(k, saved, grad_y, need, dim, out_shape):
    indices, x_shape = saved
    return (k.scatter_sum(grad_y, indices, x_shape, dim),)


# ---- the public functions ----


def _reduce(record: Any, input: Tensor, dim: Any, keepdim: bool, dtype: DType | None) -> Tensor:
    if not isinstance(input, Tensor):
        need_tensors(record.name, input=input)
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    shape = input._data.shape
    dims = shapes.dims(record.name, dim, len(shape))
    return apply(record, (input,), (dims, shapes.reduced(shape, dims, bool(keepdim))))


def _summed(input: Any, dtype: DType | None) -> DType | None:
    """The dtype that sums and products are of: int64 for integers and bools."""
    if dtype is None and isinstance(input, Tensor) and not input.dtype.is_floating_point:
        return int64
    return dtype


@method("sum")
@numpy_names
def sum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The sum over `dim`, or over everything; of integers and bools in int64.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to before summing.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _reduce(sum_, input, dim, keepdim, _summed(input, dtype))


@method("prod")
@numpy_names
def prod(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The product over `dim`, or over everything; of integers and bools in int64.

    The gradient is right where elements are 0, too.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to before.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _reduce(prod_, input, dim, keepdim, _summed(input, dtype))


@method("mean")
@numpy_names
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
        RuntimeError: a dim given twice; integers without a floating-point dtype.
    """
    if isinstance(input, Tensor):
        wanted = input.dtype if dtype is None else dtype
        if not wanted.is_floating_point:
            raise RuntimeError(
                f"mean: needs a floating-point dtype; got {wanted} (use dtype= or .float())"
            )
    return _reduce(mean_, input, dim, keepdim, dtype)


def _extreme(name: str, record: Any, input: Any, dim: Any, keepdim: bool) -> Tensor:
    """amax or amin; integers by way of int64."""
    need_tensors(name, input=input)
    _not_empty(name, input, dim)
    dtype = input.dtype
    if dtype.is_floating_point or dtype is int64:
        return _reduce(record, input, dim, keepdim, None)
    return _reduce(record, input, dim, keepdim, int64).to(dtype)


@method("amax")
@numpy_names
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
    return _extreme("amax", amax_, input, dim, keepdim)


@method("amin")
@numpy_names
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The minimum over `dim`, or over everything; NaN wins. Equal minima share the gradient.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int or a tuple of ints; () is all.
        keepdim: whether the reduced dims stay, with size 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice, or nothing to take the minimum of.
    """
    return _extreme("amin", amin_, input, dim, keepdim)


def _of_all(name: str, record: Any, input: Tensor) -> Tensor:
    _not_empty(name, input, None)
    dims = tuple(range(len(input._data.shape)))
    dtype = input.dtype
    if dtype.is_floating_point or dtype is int64:
        return apply(record, (input,), (dims,))
    return apply(record, (input.to(int64),), (dims,)).to(dtype)


def _along(name: str, record: Any, input: Tensor, dim: Any, keepdim: bool) -> ValuesIndices:
    """Values and indices along dim; integers by way of int64."""
    _not_empty(name, input, dim)
    shape = tuple(input._data.shape)
    d = shapes.dim(name, dim, len(shape))
    dtype = input.dtype
    exact = dtype.is_floating_point or dtype is int64
    wide = input if exact else input.to(int64)
    if shape:
        found = apply(record, (wide,), (d, shapes.reduced(shape, (d,), bool(keepdim))))
    else:
        found = apply(record, (wide.reshape((1,)),), (0, ()))
    values, indices = found
    return ValuesIndices(values if exact else values.to(dtype), indices)


@method("max")
@numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The maximum of all elements; with `dim`, (values, indices) along it. NaN wins.

    With a tensor for `dim` (or as `other`): the elementwise maximum of both.

    Shape: without dim, or with 1 there if keepdim. Indices are int64, of the first maximum.
    Without dim, equal maxima share the gradient; with dim, the element at the index has it.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: nothing to take the maximum of.
    """
    need_tensors("max", input=input)
    if isinstance(dim, Tensor) or other is not None:
        from .choose import maximum

        return maximum(input, dim if other is None else other)
    if dim is None:
        return _of_all("max", max_all_, input)
    return _along("max", max_dim_, input, dim, keepdim)


@method("min")
@numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The minimum of all elements; with `dim`, (values, indices) along it. NaN wins.

    With a tensor for `dim` (or as `other`): the elementwise minimum of both.

    Shape: without dim, or with 1 there if keepdim. Indices are int64, of the first minimum.
    Without dim, equal minima share the gradient; with dim, the element at the index has it.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: nothing to take the minimum of.
    """
    need_tensors("min", input=input)
    if isinstance(dim, Tensor) or other is not None:
        from .choose import minimum

        return minimum(input, dim if other is None else other)
    if dim is None:
        return _of_all("min", min_all_, input)
    return _along("min", min_dim_, input, dim, keepdim)


def _place(name: str, record: Any, input: Any, dim: Any, keepdim: bool) -> Tensor:
    """argmax or argmin."""
    need_tensors(name, input=input)
    input = input.detach()
    if dim is not None:
        return _along(name, record, input, dim, keepdim).indices
    found = _along(name, record, input.reshape((-1,)), 0, False).indices
    return found.reshape((1,) * len(input._data.shape)) if keepdim else found


@method("argmax")
@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the first maximum along `dim`; without it, in the flattened tensor.

    Shape: without dim, or with 1 there if keepdim.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: nothing to take the maximum of.
    """
    return _place("argmax", max_dim_, input, dim, keepdim)


@method("argmin")
@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the first minimum along `dim`; without it, in the flattened tensor.

    Shape: without dim, or with 1 there if keepdim.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: nothing to take the minimum of.
    """
    return _place("argmin", min_dim_, input, dim, keepdim)


def _truth(name: str, record: Any, input: Any, dim: Any, keepdim: bool) -> Tensor:
    """any or all; of uint8 in uint8, as PyTorch."""
    need_tensors(name, input=input)
    if isinstance(dim, (tuple, list)) and not dim:  # over no dims, as PyTorch has it
        found = input.detach().to(bool_, copy=True)  # type: ignore[attr-defined]
    else:
        found = _reduce(record, input.detach(), dim, keepdim, bool_)
    return found.to(uint8) if input.dtype is uint8 else found


@method("any")
@numpy_names
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` is not 0; false where there is nothing.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all; () is none of them.
        keepdim: whether the reduced dims stay, with size 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _truth("any", any_, input, dim, keepdim)


@method("all")
@numpy_names
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether no element over `dim` is 0; true where there is nothing.

    Shape: without the reduced dims, or with 1 there if keepdim.

    Args:
        dim: an int, a tuple of ints, or None for all; () is none of them.
        keepdim: whether the reduced dims stay, with size 1.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    return _truth("all", all_, input, dim, keepdim)


def _not_empty(name: str, input: Tensor, dim: Any) -> None:
    shape = input._data.shape
    for d in shapes.dims(name, dim, len(shape)):
        if shape[d] == 0:
            raise RuntimeError(f"{name}: dim {d} must not be empty; got shape {tuple(shape)}")
