"""Taking and putting by index: gather, scatter, index_select, embedding, nonzero, tril."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_, int64
from ..tensor import Tensor
from . import creation, shapes
from .arrange import narrow
from .install import method
from .operands import need_tensors, own_errors

__all__ = [
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_select",
    "masked_select",
    "nonzero",
    "scatter",
    "scatter_add",
    "take_along_dim",
    "tril",
    "triu",
]


@op(inputs="x index", kernel="take", formula="y[o, j, i] = x[o, index[j], i]; 0 at skip")
def take_(k, x, index, dim, skip, out_shape):
    return k.take(x, index, dim, skip, out_shape), (index, tuple(x.shape))


@take_.gradient
def _(k, saved, grad_y, need, dim, skip, out_shape):
    index, x_shape = saved
    return k.index_sum(grad_y, index, dim, skip, x_shape), None


@op(inputs="grad_y index", kernel="index_sum", formula="grad_x[index[j]] = sum of grad_y[j]")
def index_sum_(k, grad_y, index, dim, skip, x_shape):
    return k.index_sum(grad_y, index, dim, skip, x_shape), (index, tuple(grad_y.shape))


@index_sum_.gradient
def _(k, saved, grad_y, need, dim, skip, x_shape):
    index, out_shape = saved
    return k.take(grad_y, index, dim, skip, out_shape), None


@op(inputs="x src index", kernel="put", formula="y = x, with y[o, index[j], i] = src[o, j, i]")
def put_(k, x, src, index, dim):
    zero = k.full((1,), 0.0, x.dtype)
    return k.put(x, src, index, dim), (index, zero, tuple(x.shape), tuple(src.shape))


@put_.gradient
def _(k, saved, grad_y, need, dim):
    return put_gradient(k, saved, grad_y, need, dim)


def put_gradient(k: Any, saved: Any, grad_y: Any, need: Any, dim: int) -> Any:
    """What was overwritten has no gradient; src has it where it was put."""
    index, zero, x_shape, src_shape = saved
    grad_x = k.put(grad_y, zero, index, dim) if need[0] else None
    if not need[1]:
        return grad_x, None, None
    taken = (*x_shape[:dim], prod(index.shape), *x_shape[dim + 1 :])
    if prod(src_shape) == prod(taken):
        return grad_x, k.take(grad_y, index, dim, -1, src_shape), None
    all_dims = tuple(range(len(taken)))
    return grad_x, k.sum(k.take(grad_y, index, dim, -1, taken), all_dims, src_shape), None


@op(inputs="x src indices", kernel="put_dim", formula="y = x, with y[indices[j]] = src[j]")
def put_dim_(k, x, src, indices, dim):
    zero = k.full((1,), 0.0, x.dtype)
    return k.put_dim(x, src, indices, dim), (indices, zero, tuple(src.shape))


@put_dim_.gradient
def _(k, saved, grad_y, need, dim):
    # What was overwritten has no gradient; src has it where it was put.
    indices, zero, src_shape = saved
    grad_x = k.put_dim(grad_y, zero, indices, dim) if need[0] else None
    if not need[1]:
        return grad_x, None, None
    taken = k.gather_dim(grad_y, indices, dim, tuple(indices.shape))
    if prod(src_shape) == prod(indices.shape):
        return grad_x, k.reshape(taken, src_shape), None
    return grad_x, k.sum(taken, tuple(range(len(indices.shape))), src_shape), None


@op(inputs="indices*", kernel="index_flat", formula="y = indices of the flattened dims")
def index_flat_(k, indices, sizes, out_shape):
    return k.index_flat(indices, sizes, out_shape), ()


@op(inputs="indices", kernel="flat_along", formula="y = places in x.flat of indices along dim")
def flat_along_(k, indices, x_shape, dim):
    return k.flat_along(indices, x_shape, dim), ()


@op(inputs="x indices", kernel="gather_dim", formula="y[.., j, ..] = x[.., indices[j], ..]")
def gather_dim_(k, x, indices, dim, out_shape):
    return k.gather_dim(x, indices, dim, out_shape), (indices, tuple(x.shape))


@gather_dim_.gradient
def _(k, saved, grad_y, need, dim, out_shape):
    indices, x_shape = saved
    return k.scatter_sum(grad_y, indices, x_shape, dim), None


@op(inputs="src indices", kernel="scatter_sum", formula="y[indices[j]] = sum of src[j]")
def scatter_sum_(k, src, indices, x_shape, dim):
    return k.scatter_sum(src, indices, x_shape, dim), (indices, tuple(src.shape))


@scatter_sum_.gradient
def _(k, saved, grad_y, need, x_shape, dim):
    indices, src_shape = saved
    return k.gather_dim(grad_y, indices, dim, src_shape), None


@op(inputs="x", kernel="nonzero_count", formula="y = number of elements that are not 0")
def nonzero_count_(k, x):
    return k.nonzero_count(x), ()


@op(inputs="x", kernel="nonzero", formula="y = indices of the elements that are not 0")
def nonzero_(k, x, out_shape):
    return k.nonzero(x, out_shape), ()


@op(inputs="x", kernel="triangle", formula="y = x on one side of a diagonal, else 0")
def triangle_(k, x, diagonal, upper):
    return k.triangle(x, diagonal, upper), ()


@triangle_.gradient
def _(k, saved, grad_y, need, diagonal, upper):
    return (k.triangle(grad_y, diagonal, upper),)


# ---- the public functions ----


def index_tensor(name: str, index: Any, argument: str = "index") -> Tensor:
    """An index as an int64 tensor."""
    need_tensors(name, **{argument: index})
    if index.dtype is int64:
        return index
    if index.dtype.is_floating_point or index.dtype is bool_:
        raise TypeError(f"{name}: {argument} must be of integers (int64); got {index.dtype}")
    return index.to(int64)


def _from_the_front(index: Tensor, size: int) -> Tensor:
    """The index with what is negative counted from the end, as PyTorch does in few functions."""
    from .choose import where

    return where(index < 0, index + size, index)


def flat_nonzero(mask: Tensor) -> Tensor:
    """The places in mask.flat that are not 0."""
    flat = mask.detach().reshape(-1)
    count = int(apply(nonzero_count_, (flat,)).item())
    return apply(nonzero_, (flat,), ((count, 1),)).reshape(count)


def _fit(name: str, input: Tensor, dim: Any, index: Tensor) -> int:
    """dim from the front, for an index with as many dims as input."""
    shape, wanted = tuple(input._data.shape), tuple(index._data.shape)
    d = shapes.dim(name, dim, len(shape))
    if len(wanted) != len(shape) and index._data.size:
        raise RuntimeError(
            f"{name}: index must have as many dims as input; got index {wanted}, input {shape}"
        )
    return d


def _corner(input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The first elements along each dim, as a view."""
    if tuple(input._data.shape) == sizes:
        return input
    from .view import slice_

    zeros = (0,) * len(sizes)
    return apply(slice_, (input,), (zeros, (1,) * len(sizes), sizes))


@method("gather")
@own_errors
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The elements of input that index points to along `dim`.

    Formula: y[i][j][k] = input[i][index[i][j][k]][k] for dim 1.

    Shape: index's, which may be smaller than input's in the other dims.

    Args:
        index: int64, in [0, size of dim).
        sparse_grad: accepted; the gradient is dense.

    Raises:
        IndexError: a dim or an index out of range.
        RuntimeError: an index with another number of dims, or larger elsewhere than input.
    """
    need_tensors("gather", input=input)
    index = index_tensor("gather", index)
    d = _fit("gather", input, dim, index)
    shape, wanted = tuple(input._data.shape), tuple(index._data.shape)
    if not index._data.size:
        return _corner(input.reshape(-1), (0,)).reshape(wanted)
    if not shape:
        return apply(gather_dim_, (input.reshape(1), index.reshape(1)), (0, ()))
    if any(m > n for i, (m, n) in enumerate(zip(wanted, shape, strict=True)) if i != d):
        raise RuntimeError(
            f"gather: index must not be larger than input but in dim {d}; got index {wanted}, "
            f"input {shape}"
        )
    corner = _corner(input, (*wanted[:d], shape[d], *wanted[d + 1 :]))
    return apply(gather_dim_, (corner, index), (d, wanted))


@method("take_along_dim")
@own_errors
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As gather, but the other dims broadcast; without dim, of the flattened input.

    Raises:
        IndexError: a dim or an index out of range.
        RuntimeError: an index with another number of dims.
    """
    need_tensors("take_along_dim", input=input)
    indices = index_tensor("take_along_dim", indices, "indices")
    if dim is None:
        every = _from_the_front(indices.reshape(-1), input._data.size)
        return gather(input.reshape(-1), 0, every)
    shape, wanted = list(input._data.shape), list(indices._data.shape)
    d = shapes.dim("take_along_dim", dim, len(shape))
    if len(shape) != len(wanted):
        raise RuntimeError(
            f"take_along_dim: indices must have as many dims as input; got indices "
            f"{tuple(wanted)}, input {tuple(shape)}"
        )
    for i in range(len(shape)):
        if i != d:
            shape[i] = wanted[i] = wanted[i] if shape[i] == 1 else shape[i]
    indices = _from_the_front(indices, shape[d] if shape else 1)
    return gather(input.expand(shape), d, indices.expand(wanted))


def _scatter_operand(
    name: str, input: Tensor, dim: Any, index: Any, src: Any
) -> tuple[int, Tensor, Tensor]:
    """dim, the index, and src in the index's shape and input's dtype."""
    need_tensors(name, input=input)
    index = index_tensor(name, index)
    d = _fit(name, input, dim, index)
    wanted, shape = tuple(index._data.shape), tuple(input._data.shape)
    if not isinstance(src, Tensor):
        if not isinstance(src, (int, float, np.number)):
            raise TypeError(f"{name}: src must be a tensor or a number; got {type(src).__name__}")
        value = src.item() if isinstance(src, np.number) else src
        src = creation.full((1,), value, dtype=input.dtype, device=input.device)
        return d, index, src
    if src.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: src must have input's dtype; got {src.dtype}, input {input.dtype}"
        )
    have = tuple(src._data.shape)
    if index._data.size and (
        len(have) != len(wanted) or any(m > n for m, n in zip(wanted, have, strict=True))
    ):
        raise RuntimeError(
            f"{name}: index must not be larger than src; got index {wanted}, src {have}"
        )
    if index._data.size and any(
        m > n for i, (m, n) in enumerate(zip(wanted, shape, strict=True)) if i != d
    ):
        raise RuntimeError(
            f"{name}: index must not be larger than input but in dim {d}; got index {wanted}, "
            f"input {shape}"
        )
    return d, index, _corner(src, wanted) if index._data.size else src


def _flat_scatter(input: Tensor, d: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """input and the index, both flattened."""
    shape = tuple(input._data.shape)
    if not shape:
        return input.reshape(1), index.reshape(1)
    return input.reshape(-1), apply(flat_along_, (index,), (shape, d)).reshape(-1)


def _scatter_products(input: Tensor, d: int, index: Tensor, src: Tensor) -> Tensor:
    """input times src where index points to: one position along dim d after the other."""
    if not index._data.shape:
        index, src = index.reshape(1), src.reshape(1)
    whole = input if input._data.shape else input.reshape(1)
    for i in range(index._data.shape[d]):
        places, factors = (narrow(t, d, i, 1) for t in (index, src))
        whole = scatter(whole, d, places, gather(whole, d, places) * factors)
    return whole.reshape(tuple(input._data.shape))


@method("scatter")
@own_errors
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: float | None = None,
    reduce: str | None = None,
) -> Tensor:
    """input with src where index points to along `dim`: the opposite of gather.

    Formula: y[i][index[i][j][k]][k] = src[i][j][k] for dim 1. The last of equal indices stays.

    Shape: input's.

    Args:
        src: a tensor at least as large as index; a number (also as `value`) is put everywhere.
        reduce: "add" or "multiply" instead of writing.

    Raises:
        IndexError: a dim or an index out of range.
        RuntimeError: shapes or dtypes that do not fit.
        ValueError: another reduce.
    """
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce must be None, 'add' or 'multiply'; got {reduce!r}")
    d, index, src = _scatter_operand("scatter", input, dim, index, value if src is None else src)
    if not index._data.size:
        return input.clone()
    if reduce:
        if src._data.size != index._data.size or src._data.shape != index._data.shape:
            src = src.expand(tuple(index._data.shape))
        if reduce == "multiply":
            return _scatter_products(input, d, index, src)
        return scatter_add(input, d, index, src)
    shape, wanted = tuple(input._data.shape), tuple(index._data.shape)
    if shape and (*shape[:d], *shape[d + 1 :]) == (*wanted[:d], *wanted[d + 1 :]):
        return apply(put_dim_, (input, src, index), (d,))
    flat, places = _flat_scatter(input, d, index)
    return apply(put_, (flat, src.reshape(-1), places), (0,)).reshape(shape)


@method("scatter_add")
@own_errors
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with src added where index points to along `dim`, in a fixed order.

    Formula: y[i][index[i][j][k]][k] += src[i][j][k] for dim 1.

    Shape: input's.

    Raises:
        IndexError: a dim or an index out of range.
        RuntimeError: shapes or dtypes that do not fit.
    """
    need_tensors("scatter_add", src=src)
    d, index, src = _scatter_operand("scatter_add", input, dim, index, src)
    shape, wanted = tuple(input._data.shape), tuple(index._data.shape)
    if not index._data.size:
        return input.clone()
    if shape and (*shape[:d], *shape[d + 1 :]) == (*wanted[:d], *wanted[d + 1 :]):
        return input + apply(scatter_sum_, (src, index), (shape, d))
    flat, places = _flat_scatter(input, d, index)
    summed = apply(index_sum_, (src.reshape(-1), places), (0, -1, (flat._data.size,)))
    return input + summed.reshape(shape)


def _along(name: str, input: Tensor, dim: Any, index: Any) -> tuple[int, Tensor]:
    """dim from the front, and an index of at most one dim."""
    need_tensors(name, input=input)
    index = index_tensor(name, index)
    d = shapes.dim(name, dim, len(input._data.shape))
    if len(index._data.shape) > 1:
        raise IndexError(
            f"{name}: index must have at most 1 dim; got shape {tuple(index._data.shape)}"
        )
    return d, index


@method("index_select")
@own_errors
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of input along `dim` that the index names, one behind another.

    Shape: dim has the size of index.

    Args:
        index: int64 of at most one dim, in [0, size of dim).

    Raises:
        IndexError: a dim or an index out of range; an index of several dims.
    """
    d, index = _along("index_select", input, dim, index)
    shape = tuple(input._data.shape)
    if not shape:
        return apply(take_, (input.reshape(1), index), (0, -1, ()))
    return apply(take_, (input, index), (d, -1, (*shape[:d], index._data.size, *shape[d + 1 :])))


def _source(name: str, input: Tensor, d: int, index: Tensor, source: Any) -> Tensor:
    """`source` checked to be input's shape with the index along d."""
    need_tensors(name, source=source)
    shape = tuple(input._data.shape)
    wanted = (*shape[:d], index._data.size, *shape[d + 1 :]) if shape else ()
    have = tuple(source._data.shape)
    if have != wanted and not (have == () and prod(wanted) == 1):
        raise RuntimeError(
            f"{name}: source must have input's shape with the index along dim {d}; got source "
            f"{have}, wanted {wanted}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: source must have input's dtype; got {source.dtype}, input {input.dtype}"
        )
    return source


@method("index_add")
@own_errors
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1
) -> Tensor:
    """input with alpha * source added to the slices that the index names, in a fixed order.

    Shape: input's; source: the same with the size of index along dim.

    Raises:
        IndexError: a dim or an index out of range; an index of several dims.
        RuntimeError: a source of another shape or dtype.
    """
    d, index = _along("index_add", input, dim, index)
    source = _source("index_add", input, d, index, source)
    shape = tuple(input._data.shape)
    if alpha != 1:
        if not input.dtype.is_floating_point:  # of integers alpha is cut off, as in PyTorch
            alpha = int(bool(alpha) if input.dtype is bool_ else alpha)
        source = (source * alpha).to(input.dtype)
    summed = apply(index_sum_, (source, index), (d, -1, shape or (1,)))
    return input + (summed if shape else summed.reshape(()))


@method("index_copy")
@own_errors
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """input with the slices that the index names replaced by those of source.

    Raises:
        IndexError: a dim or an index out of range; an index of several dims.
        RuntimeError: a source of another shape or dtype.
    """
    d, index = _along("index_copy", input, dim, index)
    source = _source("index_copy", input, d, index, source)
    shape = tuple(input._data.shape)
    result = apply(put_, (input if shape else input.reshape(1), source, index), (d,))
    return result if shape else result.reshape(())


@method("index_fill")
@own_errors
def index_fill(input: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """input with one value in all slices that the index names.

    Raises:
        IndexError: a dim or an index out of range; an index of several dims.
        RuntimeError: a value that is a tensor with dimensions.
    """
    d, index = _along("index_fill", input, dim, index)
    index = _from_the_front(index, input._data.shape[d] if input._data.shape else 1)
    if isinstance(value, Tensor):
        if value._data.shape:
            raise RuntimeError(
                f"index_fill: value must be a number or 0-dim; got shape {tuple(value.shape)}"
            )
        value = value.to(input.dtype).reshape(1)
    else:
        value = creation.full((1,), value, dtype=input.dtype, device=input.device)
    shape = tuple(input._data.shape)
    result = apply(put_, (input if shape else input.reshape(1), value, index), (d,))
    return result if shape else result.reshape(())


@method("nonzero")
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0, in C order.

    Shape: (count, input.ndim) int64; with as_tuple one tensor (count,) a dimension.
    """
    need_tensors("nonzero", input=input)
    x = input.detach()
    if as_tuple and not x._data.shape:
        x = x.reshape(1)
    count = int(apply(nonzero_count_, (x,)).item())
    found = apply(nonzero_, (x,), ((count, len(x._data.shape)),))
    return tuple([found[:, d] for d in range(x.ndim)]) if as_tuple else found


@method("masked_select")
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, as one dimension.

    Shape: (count,); input and mask broadcast.

    Raises:
        TypeError: a mask that is not of bools.
        RuntimeError: shapes that do not broadcast.
    """
    need_tensors("masked_select", input=input, mask=mask)
    if mask.dtype is not bool_:
        raise TypeError(f"masked_select: mask must be of bools; got {mask.dtype}")
    shape = shapes.broadcast("masked_select", tuple(input._data.shape), tuple(mask._data.shape))
    index = flat_nonzero(mask.expand(shape))
    return apply(take_, (input.expand(shape).reshape(-1), index), (0, -1, (index._data.size,)))


@method("tril")
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices: 0 above the diagonal.

    Shape: (..., M, N), unchanged.

    Args:
        diagonal: the last diagonal that is kept; above the main one if positive.

    Raises:
        RuntimeError: fewer than two dims.
    """
    return _triangle("tril", input, diagonal, False)


@method("triu")
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices: 0 below the diagonal.

    Shape: (..., M, N), unchanged.

    Args:
        diagonal: the first diagonal that is kept; above the main one if positive.

    Raises:
        RuntimeError: fewer than two dims.
    """
    return _triangle("triu", input, diagonal, True)


def _triangle(name: str, input: Tensor, diagonal: Any, upper: bool) -> Tensor:
    need_tensors(name, input=input)
    if len(input._data.shape) < 2:
        raise RuntimeError(f"{name}: at least 2 dims; got shape {tuple(input._data.shape)}")
    rows, columns = input._data.shape[-2:]
    # Beyond the corners nothing changes, and the kernels' sums stay within 64 bits.
    diagonal = max(-rows, min(shapes._index(name, "diagonal", diagonal), columns))
    return apply(triangle_, (input,), (diagonal, upper))
