"""Launchers of sort.cu: sort_order, topk_order."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .arguments import CXX_NAME, Fault, check_arrays, contiguous, grid_for, size_of
from .launch import Module, launch

__all__ = ["ENTRIES", "order_of"]

_CHUNK = 32  # kChunk in sort.cu
_TYPES = ("float", "double", "long long")
_INT64 = np.dtype(np.int64)

MODULE = Module(
    "sort.cu",
    [*(f"sort_keys<{t}>" for t in _TYPES), "sort_chunks", "sort_merge", "sort_first"],
)


def order_of(kernel: str, x: Any, row: int, descending: bool) -> Any:
    """The int64 indices that sort each run of `row` elements of x, stably."""
    t = CXX_NAME.get(x.dtype, "")
    if t not in _TYPES:
        raise Fault(kernel, "dtype")
    n = x.size
    order = memory.empty(x.shape, _INT64)
    if n == 0:
        return order
    keys = memory.empty(x.shape, np.dtype(np.uint64))
    other = memory.empty(x.shape, np.dtype(np.uint64)), memory.empty(x.shape, _INT64)
    here = keys, order
    size = np.int64(n)
    args = (contiguous(x), *here, np.int64(row), np.int32(descending), size)
    launch(MODULE, f"sort_keys<{t}>", *grid_for(n), 0, args)
    launch(MODULE, "sort_chunks", *grid_for(n), 0, (*here, *other, np.int64(row), size))
    here, other = other, here
    width = _CHUNK
    while width < row:
        args = (*here, *other, np.int64(row), np.int64(width), size)
        launch(MODULE, "sort_merge", *grid_for(n), 0, args)
        here, other = other, here
        width *= 2
    return here[1]


def sort_order(x: Any, descending: bool) -> Any:
    """The indices that sort x along its last dim."""
    check_arrays("sort_order", x=x)
    if x.ndim == 0:
        raise Fault("sort_order", "shape", 0)
    return order_of("sort_order", x, x.shape[-1], descending)


def topk_order(x: Any, largest: bool, out_shape: tuple[int, ...]) -> Any:
    """The indices of the first out_shape[-1] elements of x, sorted along its last dim."""
    check_arrays("topk_order", x=x)
    n = size_of("topk_order", out_shape)
    if x.ndim == 0 or x.shape[:-1] != tuple(out_shape[:-1]) or out_shape[-1] > x.shape[-1]:
        raise Fault("topk_order", "shape", 0)
    order = order_of("topk_order", x, x.shape[-1], largest)
    first = memory.empty(tuple(out_shape), _INT64)
    if n:
        sizes = (np.int64(x.shape[-1]), np.int64(out_shape[-1]), np.int64(n))
        launch(MODULE, "sort_first", *grid_for(n), 0, (order, first, *sizes))
    return first


ENTRIES = {"sort_order": sort_order, "topk_order": topk_order}
