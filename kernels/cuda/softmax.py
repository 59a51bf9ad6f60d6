"""Launchers of softmax.cu: softmax, softmax_bwd."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_floats, contiguous
from .launch import Module, launch
from .reduce import team_of

__all__ = ["ENTRIES"]

#: Elements of a row that a thread keeps in registers (kHeldElements in softmax_rows.cuh).
_HELD = 8
#: Blocks of a launch; more rows are the kernel's loop's.
_MAX_BLOCKS = 1 << 20

MODULE = Module(
    "softmax.cu",
    [
        f"{kernel}<{t}, {held}>"
        for kernel in ("softmax", "softmax_bwd")
        for t in ("float", "double")
        for held in ("true", "false")
    ],
)


def _launch_rows(kernel: str, t: str, dim: int, y: Any, arrays: Any) -> Any:
    """Launches a kernel that gives each row of y along `dim` to a team."""
    shape = y.shape
    if not 0 <= dim < max(1, len(shape)):
        raise Fault(kernel, "shape", 0)
    if y.size == 0:
        return y
    extent = shape[dim] if shape else 1
    inner = math.prod(shape[dim + 1 :])
    rows = y.size // extent
    along = inner == 1
    lanes, slots = team_of(rows, extent, along)
    held = "true" if extent <= lanes * _HELD else "false"
    sizes = (np.int64(rows), np.int64(extent), np.int64(inner), np.int32(lanes), np.int32(along))
    blocks = min(-(-rows // slots), _MAX_BLOCKS)
    args = (*map(contiguous, arrays), y, *sizes)
    launch(MODULE, f"{kernel}<{t}, {held}>", (blocks,), (lanes * slots,), 0, args)
    return y


def softmax(x: Any, dim: int) -> Any:
    """Exponentials divided by their sum along dim."""
    t = check_floats("softmax", x=x)
    return _launch_rows("softmax", t, dim, memory.empty(x.shape, x.dtype), (x,))


def softmax_bwd(grad_y: Any, y: Any, dim: int) -> Any:
    """y * (grad_y - sum(grad_y * y)) along dim."""
    t = check_floats("softmax_bwd", grad_y=grad_y, y=y)
    if grad_y.size != y.size:
        raise Fault("softmax_bwd", "shape", 0)
    return _launch_rows("softmax_bwd", t, dim, memory.empty(y.shape, y.dtype), (grad_y, y))


ENTRIES = {"softmax": softmax, "softmax_bwd": softmax_bwd}
