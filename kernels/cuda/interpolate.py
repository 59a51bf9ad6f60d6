"""Launchers of interpolate.cu: resample, resample_bwd."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import THREADS, Fault, blocks_for, check_floats, contiguous, size_of
from .launch import Module, launch

__all__ = ["ENTRIES"]

MODULE = Module(
    "interpolate.cu",
    [f"{kernel}<{t}>" for kernel in ("resample", "resample_bwd") for t in ("float", "double")],
)


def _run(
    kernel: str,
    x: Any,
    dim: int,
    shape: tuple[int, ...],
    options: tuple[int, bool, float],
    turned: bool,
) -> Any:
    t = check_floats(kernel, x=x)
    size_of(kernel, shape)
    mode, align, scale = options
    others = (*x.shape[:dim], *x.shape[dim + 1 :])
    if not (0 <= dim < x.ndim == len(shape) and others == (*shape[:dim], *shape[dim + 1 :])):
        raise Fault(kernel, "shape", 0)
    result = memory.empty(tuple(shape), x.dtype)
    if result.size == 0:
        return result
    if x.size == 0 or not 0 <= mode <= 4:
        raise Fault(kernel, "shape", 0)
    inputs, outputs = (shape[dim], x.shape[dim]) if turned else (x.shape[dim], shape[dim])
    if align:
        step = (inputs - 1) / (outputs - 1) if outputs > 1 else 0.0
    else:
        step = 1 / scale if scale > 0 else inputs / outputs
    packed = struct.pack("qqiid", inputs, outputs, mode, bool(align), step)
    inner = math.prod(shape[dim + 1 :])
    args = (contiguous(x), result, packed, np.int64(inner), np.int64(result.size))
    launch(MODULE, f"{kernel}<{t}>", (blocks_for(result.size),), (THREADS,), 0, args)
    return result


def resample(
    x: Any, dim: int, out_shape: tuple[int, ...], mode: int, align_corners: bool, scale: float
) -> Any:
    """x interpolated along dim."""
    return _run("resample", x, dim, out_shape, (mode, align_corners, scale), False)


def resample_bwd(
    grad_y: Any, dim: int, x_shape: tuple[int, ...], mode: int, align_corners: bool, scale: float
) -> Any:
    """The adjoint of resample."""
    return _run("resample_bwd", grad_y, dim, x_shape, (mode, align_corners, scale), True)


ENTRIES = {"resample": resample, "resample_bwd": resample_bwd}
