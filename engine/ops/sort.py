"""Sorting and the largest elements."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import int64
from ..tensor import Tensor
from . import shapes
from .creation import zeros_like
from .index import gather_dim_
from .install import method, numpy_names
from .operands import ValuesIndices, need_tensors, own_errors
from .view import permute_

__all__ = ["argsort", "msort", "sort", "topk"]


@op(inputs="x", kernel="sort_order", formula="y sorts each row of x")
def sort_order_(k, x, descending):
    return k.sort_order(x, descending), ()


@op(inputs="x", kernel="topk_order", formula="y = the places of each row's largest elements")
def topk_order_(k, x, largest, out_shape):
    return k.topk_order(x, largest, out_shape), ()


def _sortable(input: Tensor) -> Tensor:
    """The elements in a dtype that the kernels sort, in the same order."""
    input = input.detach()
    dtype = input.dtype
    if dtype.is_floating_point:
        return input if dtype.itemsize >= 4 else input.float()
    return input if dtype is int64 else input.to(int64)


def _last(input: Tensor, d: int) -> Tensor:
    """A view with dim d and the last one exchanged; its own inverse."""
    n = len(input._data.shape)
    if d >= n - 1:
        return input
    order = list(range(n))
    order[d], order[-1] = order[-1], d
    return apply(permute_, (input,), (tuple(order),))


def _order(name: str, input: Tensor, dim: Any, descending: bool) -> tuple[Tensor, int]:
    """The indices that sort along dim, and dim counted from the front."""
    need_tensors(name, input=input)
    d = shapes.dim(name, dim, len(input._data.shape))
    if not input._data.shape:
        return zeros_like(input, dtype=int64), d
    order = apply(sort_order_, (_last(_sortable(input), d),), (bool(descending),))
    return _last(order, d), d


def _at(input: Tensor, indices: Tensor, d: int) -> ValuesIndices:
    """The elements at the indices along d, with them."""
    if not input._data.shape:
        return ValuesIndices(input.clone(), indices)
    values = apply(gather_dim_, (input, indices), (d, tuple(indices._data.shape)))
    return ValuesIndices(values, indices)


@method("sort")
@numpy_names
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> ValuesIndices:
    """The elements in order along `dim`, and where each of them stood.

    NaN counts as the largest. Equal elements keep their order, whether `stable` or not.

    Shape: unchanged, both.

    Raises:
        IndexError: a dim out of range.
    """
    order, d = _order("sort", input, dim, descending)
    return _at(input, order, d)


@method("argsort")
@numpy_names
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The int64 indices that sort along `dim`; see sort.

    Raises:
        IndexError: a dim out of range.
    """
    return _order("argsort", input, dim, descending)[0]


@own_errors
@method("msort")
def msort(input: Tensor) -> Tensor:
    """The elements in order along the first dimension."""
    return sort(input, 0).values


@method("topk")
@numpy_names
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """The k largest (or smallest) elements along `dim`, the first of equal ones first.

    Shape: dim has size k, both.

    Args:
        k: how many.
        largest: False: the smallest.
        sorted: accepted; they are sorted in any case.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: k is not between 0 and the dim's size.
    """
    need_tensors("topk", input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim("topk", dim, len(shape))
    count = shapes._index("topk", "k", k)
    if not 0 <= count <= (shape[d] if shape else 1):
        raise RuntimeError(f"topk: k must be in [0, size of dim {d}]; got {k} for shape {shape}")
    if not shape:
        indices = zeros_like(input, dtype=int64)
        return _at(input, indices, d)
    moved = _last(_sortable(input), d)
    out_shape = (*moved._data.shape[:-1], count)
    order = apply(topk_order_, (moved,), (bool(largest), tuple(out_shape)))
    return _at(input, _last(order, d), d)
