"""Launchers of embedding_bag.cu: bag_sum, bag_sum_bwd, bag_dot."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_arrays, check_floats, contiguous, grid_for, size_of
from .launch import Module, index_flag, launch, raise_index_error
from .sort import order_of

__all__ = ["ENTRIES"]

_INT64 = np.dtype(np.int64)
_WARP = 32

MODULE = Module(
    "embedding_bag.cu",
    [
        f"{kernel}<{t}>"
        for kernel in ("bag_scale", "bag_sum", "bag_sum_bwd", "bag_dot")
        for t in ("float", "double")
    ],
)


def _check(
    kernel: str,
    index: Any,
    offsets: Any,
    factor: Any,
    table: tuple[int, ...],
    per_bag: tuple[int, ...],
) -> None:
    check_arrays(kernel, index=index, offsets=offsets)
    if index.dtype != _INT64:
        raise Fault(kernel, "dtype")
    if len(table) != 2 or len(per_bag) != 2 or table[1] != per_bag[1]:
        raise Fault(kernel, "shape", 0)
    if offsets.size != per_bag[0] + 1:
        raise Fault(kernel, "shape", 2)
    if factor is not None and factor.size != index.size:
        raise Fault(kernel, "shape", 3)


def _scale(t: str, index: Any, offsets: Any, skip: int, mean: bool, dtype: Any) -> Any:
    bags = offsets.size - 1
    if not mean or not bags:
        return None
    scale = memory.empty((bags,), dtype)
    args = (index, offsets, scale, np.int64(index.size), np.int64(skip), np.int64(bags))
    launch(MODULE, f"bag_scale<{t}>", *grid_for(bags), 0, args)
    return scale


def bag_sum(
    weight: Any,
    index: Any,
    offsets: Any,
    factor: Any,
    skip: int,
    mean: bool,
    out_shape: tuple[int, ...],
) -> Any:
    """The sum or mean of each bag's rows, times their factors."""
    t = check_floats("bag_sum", weight=weight, factor=factor)
    n = size_of("bag_sum", out_shape)
    _check("bag_sum", index, offsets, factor, weight.shape, tuple(out_shape))
    y = memory.empty(tuple(out_shape), weight.dtype)
    if n:
        index, offsets = contiguous(index), contiguous(offsets)
        scale = _scale(t, index, offsets, skip, mean, weight.dtype)
        sizes = map(np.int64, (weight.shape[0], index.size, weight.shape[1], skip, n))
        arrays = (contiguous(weight), index, offsets, contiguous(factor), scale, y)
        launch(MODULE, f"bag_sum<{t}>", *grid_for(n), 0, (*arrays, *sizes, index_flag()))
        raise_index_error("bag_sum")
    return y


def bag_sum_bwd(
    grad_y: Any,
    index: Any,
    offsets: Any,
    factor: Any,
    skip: int,
    mean: bool,
    weight_shape: tuple[int, ...],
) -> Any:
    """bag_sum's gradient for the weight."""
    from .copy import copy_into

    t = check_floats("bag_sum_bwd", grad_y=grad_y, factor=factor)
    size_of("bag_sum_bwd", weight_shape)
    _check("bag_sum_bwd", index, offsets, factor, tuple(weight_shape), grad_y.shape)
    grad = memory.empty(tuple(weight_shape), grad_y.dtype)
    if grad.size:
        copy_into(grad, 0)
    rows, width = weight_shape
    n = index.size * width
    if n and grad_y.size:
        index, offsets = contiguous(index), contiguous(offsets)
        scale = _scale(t, index, offsets, skip, mean, grad_y.dtype)
        order = order_of("bag_sum_bwd", index, index.size, False)
        sizes = map(np.int64, (rows, index.size, width, offsets.size - 1, skip, n))
        arrays = (contiguous(grad_y), index, order, offsets, contiguous(factor), scale, grad)
        launch(MODULE, f"bag_sum_bwd<{t}>", *grid_for(n), 0, (*arrays, *sizes, index_flag()))
        raise_index_error("bag_sum_bwd")
    return grad


def bag_dot(
    grad_y: Any, weight: Any, index: Any, offsets: Any, skip: int, out_shape: tuple[int, ...]
) -> Any:
    """The dot product of each named row with its bag's."""
    t = check_floats("bag_dot", grad_y=grad_y, weight=weight)
    n = size_of("bag_dot", out_shape)
    _check("bag_dot", index, offsets, None, weight.shape, grad_y.shape)
    if n != index.size:
        raise Fault("bag_dot", "shape", 2)
    y = memory.empty(tuple(out_shape), grad_y.dtype)
    if n:
        rows, width = weight.shape
        sizes = map(np.int64, (rows, n, width, offsets.size - 1, skip))
        arrays = (contiguous(grad_y), contiguous(weight), contiguous(index), contiguous(offsets), y)
        launch(MODULE, f"bag_dot<{t}>", *grid_for(n * _WARP), 0, (*arrays, *sizes, index_flag()))
        raise_index_error("bag_dot")
    return y


ENTRIES = {"bag_sum": bag_sum, "bag_sum_bwd": bag_sum_bwd, "bag_dot": bag_dot}
