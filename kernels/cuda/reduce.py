"""Launchers of reduce.cu: sums, products, extremes and where they stand, var, any, all."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import elementwise, memory
from .arguments import (
    CXX_NAME,
    THREADS,
    Fault,
    address,
    blocks_for,
    check_arrays,
    check_floats,
    contiguous,
    element_strides,
    operand_strides,
    size_of,
    strided_loop,
)
from .copy import copy
from .launch import Module, launch

__all__ = ["ENTRIES", "TEAM_THREADS", "power_of_two", "team_of"]

_VECTOR_BYTES = 16
#: Threads of a block of teams (kTeamThreads in reduce.cuh).
TEAM_THREADS = 256
#: A reduction is cut into chunks until there are about this many blocks...
_MANY_BLOCKS = 1024
#: ...each of which still has this many vectors for every thread.
_VECTORS_PER_THREAD = 16
#: Blocks along the results; more results are the kernel's loop's.
_MAX_BLOCKS = 1 << 20

_TYPES = {"float": 4, "double": 2}  # elements in a vector of 16 bytes
_SUMS = ("Sum", "Product", "Squares", "SumExp")
_FOLDS = (
    *(f"{fold}<{t}, {to}>" for fold in _SUMS for t in _TYPES for to in _TYPES),
    *(f"{fold}<{t}>" for fold in ("Max", "Min") for t in (*_TYPES, "long long")),
    *(f"Ties<{t}, {to}>" for t in _TYPES for to in dict.fromkeys((t, "double"))),
    *(
        f"Place<{t}, {least}, {folded}>"
        for t in (*_TYPES, "long long")
        for least in ("false", "true")
        for folded in ("false", "true")
    ),
    *("SumIntegers", "ProductIntegers", "Any", "All"),
)
#: Elements in a vector of 16 bytes, of the folds that are of one type.
_VECTORS = {"SumIntegers": 2, "ProductIntegers": 2, "Any": 1, "All": 1}


def _vector_of(fold: str) -> int:
    """Elements in a vector of the fold's input."""
    t = fold.partition("<")[2].partition(",")[0].rstrip(">")
    return _VECTORS[fold] if fold in _VECTORS else _TYPES.get(t, 2)


MODULE = Module(
    "reduce.cu",
    [
        *(
            f"reduce<{fold}, {vector}>"
            for fold in _FOLDS
            for vector in sorted({1, _vector_of(fold)})
        ),
        *(f"amax_weight<{t}>" for t in _TYPES),
    ],
)


class _Plan(NamedTuple):
    """How `reduce` goes over an array; see its parameters."""

    kept: bytes
    reduced: bytes
    outputs: int
    extent: int
    vector: int
    tail: int
    lanes: int
    along: bool
    threads: int
    blocks: int
    chunk: int
    chunks: int


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(0, n - 1).bit_length()


def team_of(outputs: int, extent: int, along: bool) -> tuple[int, int]:
    """(threads of a team, teams of a block) for folds of `extent` elements; see reduce.cuh."""
    if along:
        lanes = min(TEAM_THREADS, power_of_two(-(-extent // 4)))
    else:
        side_by_side = min(32, power_of_two(outputs))
        lanes = min(TEAM_THREADS // side_by_side, power_of_two(-(-extent // 8)))
    slots = min(TEAM_THREADS // lanes, power_of_two(outputs))
    return lanes, max(slots, 32 // lanes)


def _merged(dimensions: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """(size, stride) of dimensions, outermost first, with those that lie evenly merged."""
    runs: list[tuple[int, int]] = []
    for size, stride in dimensions:
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    return runs


def _loop(runs: Sequence[tuple[int, int]]) -> bytes:
    return strided_loop(tuple(size for size, _ in runs), tuple(stride for _, stride in runs))


@functools.lru_cache(maxsize=4096)
def _plan(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dims: tuple[int, ...],
    lanes_of_vector: int,
    ordered: bool,
    chunked: bool,
) -> _Plan:
    """The plan for an array of these element strides; vectors of 1 if it is not aligned.

    `ordered`: the reduced elements must keep their order. `chunked`: chunks are allowed.
    """
    outer = [(shape[d], strides[d]) for d in range(len(shape)) if d not in dims]
    inner = [(shape[d], strides[d]) for d in dims]
    if not ordered:
        inner.sort(key=lambda dimension: -abs(dimension[1]))
    outputs = math.prod(size for size, _ in outer)
    extent = math.prod(size for size, _ in inner)
    kept = _merged(outer)
    reduced = _merged(inner) if extent else []
    along = not kept or bool(reduced) and abs(reduced[-1][1]) < abs(kept[-1][1])
    # Vectors: along contiguous elements, every row of which begins aligned.
    vector, tail = 1, 0
    if lanes_of_vector > 1 and along and reduced and reduced[-1][1] == 1:
        size = reduced[-1][0]
        aligned = all(stride % lanes_of_vector == 0 for _, stride in kept + reduced[:-1])
        whole = size % lanes_of_vector == 0
        if aligned and size >= lanes_of_vector and (whole or len(reduced) == 1):
            vector = lanes_of_vector
            tail = size % vector
            reduced = [*reduced[:-1], (size // vector, vector)]
            extent //= vector
    lanes, slots = team_of(outputs, extent, along)
    if tail > lanes:
        lanes, slots = 4, max(slots // 4, 8)
    blocks = -(-outputs // slots)
    chunks = 1
    if chunked:
        chunks = min(-(-extent // (lanes * _VECTORS_PER_THREAD)), _MANY_BLOCKS // blocks)
    chunk = -(-extent // max(1, chunks)) or 1
    return _Plan(
        _loop(kept),
        _loop(reduced),
        outputs,
        extent,
        vector,
        tail,
        lanes,
        along,
        lanes * slots,
        min(blocks, _MAX_BLOCKS),
        chunk,
        max(1, -(-extent // chunk)),
    )


def _fold(
    fold: str,
    x: Any,
    dims: tuple[int, ...],
    y: Any,
    aux: Any = None,
    places: Any = None,
    divisor: float = 1.0,
    chunked: bool = True,
    second: str = "Sum<double, {to}>",
) -> None:
    """Launches `reduce` into y (and places): once, or twice where chunks are folded by the second.

    `fold` names what is reduced; with "{to}" in it, its result's type may be chosen, and `second`
    folds the float64 results of chunks.
    """
    ordered = places is not None
    aligned = address(x) % _VECTOR_BYTES == 0
    vector = _vector_of(fold) if aligned else 1
    plan = _plan(x.shape, element_strides(x), dims, vector, ordered, chunked)
    partial, partial_places = y, places
    if plan.chunks > 1:
        dtype = np.dtype(np.float64) if "{to}" in fold else x.dtype
        partial = memory.empty((plan.chunks, plan.outputs), dtype)
        if places is not None:
            partial_places = memory.empty((plan.chunks, plan.outputs), places.dtype)
    name = fold.format(to=CXX_NAME[partial.dtype])
    launch(
        MODULE,
        f"reduce<{name}, {plan.vector}>",
        (plan.blocks, plan.chunks),
        (plan.threads,),
        0,
        (
            x,
            aux,
            partial,
            partial_places,
            plan.kept,
            plan.reduced,
            np.int64(plan.outputs),
            np.int64(plan.extent),
            np.int64(plan.chunk),
            np.int32(plan.tail),
            np.int32(plan.lanes),
            np.int32(plan.along),
            np.float64(divisor if plan.chunks == 1 else 1.0),
        ),
    )
    if plan.chunks == 1:
        return
    if places is not None:
        folded = fold.replace("false>", "true>")
        _fold(folded, partial, (0,), y, partial_places, places, chunked=False)
    elif "{to}" in fold:
        _fold(second, partial, (0,), y, divisor=divisor, chunked=False)
    else:
        _fold(fold, partial, (0,), y, chunked=False)


def _extents(
    kernel: str, shape: tuple[int, ...], dims: tuple[int, ...], out_shape: tuple[int, ...]
) -> int:
    """The number of elements folded into each of out_shape's; Fault if the shapes do not fit."""
    outputs = math.prod(n for d, n in enumerate(shape) if d not in dims)
    if any(not 0 <= d < len(shape) for d in dims) or size_of(kernel, out_shape) != outputs:
        raise Fault(kernel, "shape", 0)
    return math.prod(shape[d] for d in dims)


def _typed(kernel: str, x: Any, floats: str, integers: str) -> str:
    """The fold of x's dtype; {t} is its C++ name."""
    check_arrays(kernel, x=x)
    if x.dtype == np.int64:
        return integers
    return floats.replace("{t}", check_floats(kernel, x=x))


def sum(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:  # noqa: A001
    """The sum over dims; 0 where there is nothing."""
    fold = _typed("sum", x, "Sum<{t}, {to}>", "SumIntegers")
    _extents("sum", x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(fold, x, dims, y)
    return y


def prod(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The product over dims; 1 where there is nothing."""
    fold = _typed("prod", x, "Product<{t}, {to}>", "ProductIntegers")
    _extents("prod", x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(fold, x, dims, y, second="Product<double, {to}>")
    return y


def mean(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The mean over dims; NaN where there is nothing."""
    t = check_floats("mean", x=x)
    extent = _extents("mean", x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(f"Sum<{t}, {{to}}>", x, dims, y, divisor=extent)
    return y


def _extremum(kernel: str, fold: str, x: Any, dims: Any, out_shape: Any) -> Any:
    name = _typed(kernel, x, fold + "<{t}>", fold + "<long long>")
    extent = _extents(kernel, x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        if extent == 0:
            raise Fault(kernel, "shape", 0)
        _fold(name, x, dims, y)
    return y


def amax(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The maximum over dims; NaN wins."""
    return _extremum("amax", "Max", x, dims, out_shape)


def amin(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The minimum over dims; NaN wins."""
    return _extremum("amin", "Min", x, dims, out_shape)


def _truth(kernel: str, fold: str, x: Any, dims: Any, out_shape: Any) -> Any:
    check_arrays(kernel, x=x)
    if x.dtype != np.bool_:
        raise Fault(kernel, "dtype")
    _extents(kernel, x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(fold, x, dims, y)
    return y


def any_(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """Whether any is true; false where there is nothing."""
    return _truth("any", "Any", x, dims, out_shape)


def all_(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """Whether all are true; true where there is nothing."""
    return _truth("all", "All", x, dims, out_shape)


def amax_weight(x: Any, y: Any) -> Any:
    """Each element's share of its maximum's gradient: (x == y) / number of ties."""
    t = check_floats("amax_weight", x=x, y=y)
    fits = all(m in (1, n) for m, n in zip(y.shape, x.shape, strict=False))
    if x.ndim != y.ndim or not fits:
        raise Fault("amax_weight", "shape", 1)
    w = memory.empty(x.shape, x.dtype)
    if w.size == 0:
        return w
    y = contiguous(y)
    dims = tuple(d for d in range(x.ndim) if y.shape[d] != x.shape[d])
    ties = memory.empty(y.shape, y.dtype)
    _fold(f"Ties<{t}, {{to}}>", x, dims, ties, y)
    loop = strided_loop(x.shape, operand_strides(x, x.shape), operand_strides(y, x.shape))
    args = (x, y, ties, w, loop, np.int64(w.size))
    launch(MODULE, f"amax_weight<{t}>", (blocks_for(w.size),), (THREADS,), 0, args)
    return w


def _place(kernel: str, least: str, x: Any, dim: int, out_shape: Any) -> tuple[Any, Any]:
    fold = _typed(kernel, x, f"Place<{{t}}, {least}, false>", f"Place<long long, {least}, false>")
    extent = _extents(kernel, x.shape, (dim,), out_shape)
    values = memory.empty(tuple(out_shape), x.dtype)
    indices = memory.empty(tuple(out_shape), np.dtype(np.int64))
    if values.size:
        if extent == 0:
            raise Fault(kernel, "shape", 0)
        _fold(fold, x, (dim,), values, places=indices)
    return values, indices


def max_dim(x: Any, dim: int, out_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """(values, int64 indices) of the first maxima along dim; NaN wins."""
    return _place("max_dim", "false", x, dim, out_shape)


def min_dim(x: Any, dim: int, out_shape: tuple[int, ...]) -> tuple[Any, Any]:
    """(values, int64 indices) of the first minima along dim; NaN wins."""
    return _place("min_dim", "true", x, dim, out_shape)


def var(
    x: Any, dims: tuple[int, ...], correction: float, root: bool, out_shape: tuple[int, ...]
) -> Any:
    """The sum of squared distances from the mean, by n - correction; or its root."""
    t = check_floats("var", x=x)
    extent = _extents("var", x.shape, dims, out_shape)
    # The root is of the float64 value: float32 would not hold that of a spread above 1.8e19.
    y = memory.empty(tuple(out_shape), np.dtype(np.float64) if root else x.dtype)
    if y.size:
        means = memory.empty(tuple(out_shape), np.dtype(np.float64))
        _fold(f"Sum<{t}, {{to}}>", x, dims, means, divisor=extent)
        divisor = extent - correction if extent > correction else 0.0
        _fold(f"Squares<{t}, {{to}}>", x, dims, y, means, divisor=divisor)
    return copy(elementwise.ENTRIES["sqrt"](y), x.dtype) if root else y


def sum_squares(x: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The sum of squares over dims."""
    t = check_floats("sum_squares", x=x)
    _extents("sum_squares", x.shape, dims, out_shape)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(f"Squares<{t}, {{to}}>", x, dims, y)
    return y


def sum_exp(x: Any, center: Any, dims: tuple[int, ...], out_shape: tuple[int, ...]) -> Any:
    """The sum of e^(x - center) over dims, with a center for each result."""
    t = check_floats("sum_exp", x=x, center=center)
    _extents("sum_exp", x.shape, dims, out_shape)
    if center.size != size_of("sum_exp", out_shape):
        raise Fault("sum_exp", "shape", 1)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        _fold(f"SumExp<{t}, {{to}}>", x, dims, y, contiguous(center))
    return y


ENTRIES = {
    "sum": sum,
    "prod": prod,
    "amin": amin,
    "any": any_,
    "all": all_,
    "min_dim": min_dim,
    "var": var,
    "sum_squares": sum_squares,
    "sum_exp": sum_exp,
    "mean": mean,
    "amax": amax,
    "amax_weight": amax_weight,
    "max_dim": max_dim,
}
