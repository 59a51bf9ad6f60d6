"""Launchers of window.cu: unfold, fold."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import Fault, check_floats, contiguous, grid_for, size_of
from .launch import Module, launch

__all__ = ["ENTRIES"]

MODULE = Module(
    "window.cu", [f"{kernel}<{t}>" for kernel in ("unfold", "fold") for t in ("float", "double")]
)

_Ints = tuple[int, ...]


def _windows(kernel: str, image: _Ints, columns: _Ints, *options: _Ints) -> bytes:
    """The kernel's Windows; Fault where shapes and options do not fit together."""
    size, stride, padding, dilation = options
    if (
        len(image) != 4
        or len(columns) != 3
        or any(len(o) != 2 for o in options)
        or min(*size, *stride, *dilation) < 1
        or min(padding) < 0
    ):
        raise Fault(kernel, "shape", 0)
    rooms = [image[2 + k] + 2 * padding[k] - dilation[k] * (size[k] - 1) - 1 for k in range(2)]
    out = [0 if room < 0 else room // stride[k] + 1 for k, room in enumerate(rooms)]
    if columns != (image[0], image[1] * size[0] * size[1], out[0] * out[1]):
        raise Fault(kernel, "shape", 0)
    return struct.pack("12q", *image[2:], *out, *size, *stride, *padding, *dilation)


def unfold(
    x: Any, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints, out_shape: _Ints
) -> Any:
    """The windows of x as columns."""
    t = check_floats("unfold", x=x)
    size_of("unfold", out_shape)
    windows = _windows("unfold", x.shape, tuple(out_shape), kernel, stride, padding, dilation)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        args = (contiguous(x), y, windows, np.int64(y.size))
        launch(MODULE, f"unfold<{t}>", *grid_for(y.size), 0, args)
    return y


def fold(
    x: Any, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints, out_shape: _Ints
) -> Any:
    """The sums of columns where unfold takes them from."""
    t = check_floats("fold", x=x)
    size_of("fold", out_shape)
    windows = _windows("fold", tuple(out_shape), x.shape, kernel, stride, padding, dilation)
    y = memory.empty(tuple(out_shape), x.dtype)
    if y.size:
        args = (contiguous(x), y, windows, np.int64(y.size))
        launch(MODULE, f"fold<{t}>", *grid_for(y.size), 0, args)
    return y


ENTRIES = {"unfold": unfold, "fold": fold}
