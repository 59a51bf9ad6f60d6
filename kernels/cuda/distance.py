"""Launchers of distance.cu: distance, distance_bwd, square_form, pair_sum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_floats, contiguous, grid_for, size_of
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TILE = 16  # kTile in distance.cu
_MOST_BLOCKS = 65535
_KERNELS = ("distance", "distance_bwd", "square_form", "pair_sum")

MODULE = Module("distance.cu", [f"{k}<{t}>" for k in _KERNELS for t in ("float", "double")])


def _power(p: float, x: Any) -> tuple[Any, Any]:
    """The kernel's Power, and p as the dtype's number."""
    kind = {0.0: 0, 1.0: 1, 2.0: 2, math.inf: 3}.get(float(p), 4)
    return np.int32(kind), x.dtype.type(1.0 if math.isinf(p) else p)


def _sizes(kernel: str, place: int, a: Any, b: Any) -> tuple[int, int, int, int]:
    """Matrices, rows of a, rows of b, and their length."""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise Fault(kernel, "shape", place)
    batch = math.prod(a.shape[:-2])
    if math.prod(b.shape[:-2]) != batch:
        raise Fault(kernel, "shape", place)
    return batch, a.shape[-2], b.shape[-2], a.shape[-1]


def distance(a: Any, b: Any, p: float, pairs: bool, out_shape: tuple[int, ...]) -> Any:
    """The distances of every row of a from every row of b; with pairs, of i < j only."""
    t = check_floats("distance", a=a, b=b)
    batch, rows, others, depth = _sizes("distance", 1, a, b)
    count = rows * (rows - 1) // 2 if pairs else batch * rows * others
    if size_of("distance", out_shape) != count or (pairs and (batch != 1 or rows != others)):
        raise Fault("distance", "shape", 4)
    y = memory.empty(tuple(out_shape), a.dtype)
    if not y.size:
        return y
    grid = (-(-others // _TILE), -(-rows // _TILE), batch)
    if max(grid[1:]) > _MOST_BLOCKS:
        raise Fault("distance", "shape", 0)
    kind, power = _power(p, a)
    sizes = map(np.int64, (rows, others, depth))
    args = (contiguous(a), contiguous(b), y, *sizes, kind, power, np.int32(pairs))
    launch(MODULE, f"distance<{t}>", grid, (_TILE, _TILE), 0, args)
    return y


def distance_bwd(grad_y: Any, y: Any, a: Any, b: Any, p: float) -> Any:
    """The gradient of a."""
    t = check_floats("distance_bwd", grad_y=grad_y, y=y, a=a, b=b)
    batch, rows, others, depth = _sizes("distance_bwd", 3, a, b)
    if {grad_y.size, y.size} != {batch * rows * others}:
        raise Fault("distance_bwd", "shape", 0)
    grad_a = memory.empty(a.shape, a.dtype)
    n = grad_a.size
    if n:
        kind, power = _power(p, a)
        arrays = [contiguous(x) for x in (grad_y, y, a, b)]
        sizes = map(np.int64, (rows, others, depth))
        args = (*arrays, grad_a, *sizes, kind, power, np.int64(n))
        launch(MODULE, f"distance_bwd<{t}>", *grid_for(n), 0, args)
    return grad_a


def _pairs(kernel: str, condensed: tuple[int, ...], square: tuple[int, ...]) -> int:
    """How many rows there are pairs of."""
    n = square[0] if square else 0
    if tuple(square) != (n, n) or tuple(condensed) != (n * (n - 1) // 2,):
        raise Fault(kernel, "shape", 1)
    return n


def square_form(x: Any, out_shape: tuple[int, ...]) -> Any:
    """Pairs as a symmetric matrix, 0 on the diagonal."""
    t = check_floats("square_form", x=x)
    rows = _pairs("square_form", x.shape, tuple(out_shape))
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        args = (contiguous(x), y, np.int64(rows), np.int64(y.size))
        launch(MODULE, f"square_form<{t}>", *grid_for(y.size), 0, args)
    return y


def pair_sum(x: Any, out_shape: tuple[int, ...]) -> Any:
    """The sums of both places of each pair in a matrix."""
    t = check_floats("pair_sum", x=x)
    rows = _pairs("pair_sum", tuple(out_shape), x.shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        args = (contiguous(x), y, np.int64(rows), np.int64(x.size))
        launch(MODULE, f"pair_sum<{t}>", *grid_for(x.size), 0, args)
    return y


ENTRIES = {
    "distance": distance,
    "distance_bwd": distance_bwd,
    "square_form": square_form,
    "pair_sum": pair_sum,
}
