"""Launchers of scan.cu: cumsum, cumprod, recurrence, prod_bwd."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_arrays, check_floats, contiguous
from .launch import Module, launch

__all__ = ["ENTRIES"]

_THREADS = 128  # kScanThreads in scan.cu
_MAX_BLOCKS = 1 << 16
_TILE = 1024  # kTile in scan.cu
_WIDE = {"float": "double", "double": "double", "long long": "long long"}

MODULE = Module(
    "scan.cu",
    [
        *(f"cumulate<{t}, {wide}, {p}>" for t, wide in _WIDE.items() for p in ("false", "true")),
        *(f"{name}<{t}>" for name in ("recurrence", "prod_bwd") for t in ("float", "double")),
    ],
)


def _rows(kernel: str, shape: tuple[int, ...], dim: int) -> tuple[int, tuple[Any, ...]]:
    """Blocks, and the sizes that the kernels take."""
    if not 0 <= dim < len(shape):
        raise Fault(kernel, "shape", 0)
    inner = math.prod(shape[dim + 1 :])
    rows = math.prod(shape[:dim]) * inner
    return min(rows, _MAX_BLOCKS), (np.int64(rows), np.int64(shape[dim]), np.int64(inner))


def _cumulate(kernel: str, x: Any, dim: int, reverse: bool, exclusive: bool) -> Any:
    check_arrays(kernel, x=x)
    t = "long long" if x.dtype == np.int64 else check_floats(kernel, x=x)
    blocks, sizes = _rows(kernel, x.shape, dim)
    y = memory.empty(x.shape, x.dtype)
    if y.size:
        name = f"cumulate<{t}, {_WIDE[t]}, {'true' if kernel == 'cumprod' else 'false'}>"
        args = (contiguous(x), y, *sizes, np.int32(reverse), np.int32(exclusive))
        launch(MODULE, name, (blocks,), (_THREADS,), 0, args)
    return y


def cumsum(x: Any, dim: int, reverse: bool, exclusive: bool) -> Any:
    """The sums of the elements up to each along dim."""
    return _cumulate("cumsum", x, dim, reverse, exclusive)


def cumprod(x: Any, dim: int, reverse: bool, exclusive: bool) -> Any:
    """The products of the elements up to each along dim."""
    return _cumulate("cumprod", x, dim, reverse, exclusive)


def recurrence(a: Any, b: Any, dim: int, reverse: bool) -> Any:
    """y[j] = b[j] + a[j] y[j - 1] along dim, or its adjoint from the end."""
    t = check_floats("recurrence", a=a, b=b)
    if a.shape != b.shape:
        raise Fault("recurrence", "shape", 0)
    blocks, sizes = _rows("recurrence", b.shape, dim)
    y = memory.empty(b.shape, b.dtype)
    if y.size:
        args = (contiguous(a), contiguous(b), y, *sizes, np.int32(reverse))
        launch(MODULE, f"recurrence<{t}>", (blocks,), (_THREADS,), 0, args)
    return y


def prod_bwd(grad_y: Any, x: Any) -> Any:
    """The products of the other elements of each row, times the row's grad_y."""
    t = check_floats("prod_bwd", grad_y=grad_y, x=x)
    if not x.shape or grad_y.shape != x.shape[:-1]:
        raise Fault("prod_bwd", "shape", 0)
    grad_x = memory.empty(x.shape, x.dtype)
    if grad_x.size:
        extent = x.shape[-1]
        rows, tiles = x.size // extent, -(-extent // _TILE)
        behind = memory.empty((rows * tiles if tiles > 1 else 1,), np.float64)
        args = (contiguous(grad_y), contiguous(x), grad_x, behind, np.int64(rows), np.int64(extent))
        launch(MODULE, f"prod_bwd<{t}>", (min(rows, _MAX_BLOCKS),), (_THREADS,), 0, args)
    return grad_x


ENTRIES = {"cumsum": cumsum, "cumprod": cumprod, "recurrence": recurrence, "prod_bwd": prod_bwd}
