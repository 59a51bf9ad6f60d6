"""Launchers of pad.cu: pad, pad_bwd."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import BITS, Fault, check_arrays, check_floats, contiguous, grid_for, size_of
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_PADDED = 3

MODULE = Module(
    "pad.cu",
    [*(f"pad<{bits}>" for bits in BITS.values()), *(f"pad_bwd<{t}>" for t in _TYPES)],
)


def _padding(
    kernel: str, shape: tuple[int, ...], out: tuple[int, ...], before: tuple[int, ...], mode: int
) -> bytes:
    """The kernel's Padding; Fault where the padding is more than the mode allows."""
    lead = len(shape) - len(before)
    if (
        len(before) > _PADDED
        or lead < 0
        or len(out) != len(shape)
        or mode not in (1, 2, 3)
        or shape[:lead] != out[:lead]
    ):
        raise Fault(kernel, "shape", 0)
    for n, m, left in zip(shape[lead:], out[lead:], before, strict=True):
        most = {1: n - 1, 2: m, 3: n}[mode]
        if not 0 <= left <= most or not 0 <= m - n - left <= most or (n == 0 and m > 0):
            raise Fault(kernel, "shape", 0)
    ones = (1,) * (_PADDED - len(before))
    zeros = (0,) * len(ones)
    return struct.pack("10q", *ones, *shape[lead:], *ones, *out[lead:], *zeros, *before, mode)


def pad(x: Any, before: tuple[int, ...], mode: int, out_shape: tuple[int, ...]) -> Any:
    """x with its last dims padded by what they hold."""
    check_arrays("pad", x=x)
    if x.itemsize not in BITS:
        raise Fault("pad", "dtype")
    size_of("pad", out_shape)
    padding = _padding("pad", x.shape, tuple(out_shape), before, mode)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        args = (contiguous(x), y, padding, np.int64(y.size))
        launch(MODULE, f"pad<{BITS[x.itemsize]}>", *grid_for(y.size), 0, args)
    return y


def pad_bwd(grad_y: Any, before: tuple[int, ...], mode: int, x_shape: tuple[int, ...]) -> Any:
    """grad_y with the copies of each element summed."""
    t = check_floats("pad_bwd", grad_y=grad_y)
    size_of("pad_bwd", x_shape)
    padding = _padding("pad_bwd", tuple(x_shape), grad_y.shape, before, mode)
    grad_x = memory.empty(tuple(x_shape), grad_y.dtype)
    if grad_x.size:
        args = (contiguous(grad_y), grad_x, padding, np.int64(grad_x.size))
        launch(MODULE, f"pad_bwd<{t}>", *grid_for(grad_x.size), 0, args)
    return grad_x


ENTRIES = {"pad": pad, "pad_bwd": pad_bwd}
