"""Launchers of conv.cu: forward, with an epilogue, and the gradients; 1 to 3 dims."""

from __future__ import annotations

import struct
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import memory, reduce
from .arguments import (
    Fault,
    check_floats,
    contiguous,
    extent,
    grid_for,
    size_of,
)
from .epilogue import ACTIVATIONS
from .launch import Module, launch
from .matmul import Tile, choose_tile

__all__ = ["ENTRIES", "conv_bwd_input", "conv_bwd_weight", "conv_fwd"]

Ints = tuple[int, ...]

#: C++ type -> tiles, largest first.
TILES = {
    "float": (Tile(128, 128, 8, 8, 8), Tile(32, 32, 8, 4, 4)),
    "double": (Tile(64, 64, 8, 4, 4), Tile(32, 32, 8, 4, 4)),
}
_KERNELS = ("conv_fwd", "conv_bwd_input", "conv_bwd_weight")

MODULE = Module(
    "conv.cu",
    [
        *(
            f"{kernel}<{t}, {tile.cxx}>"
            for kernel in _KERNELS
            for t, tiles in TILES.items()
            for tile in tiles
        ),
        *(f"{kernel}<{t}>" for kernel in ("depthwise_fwd", "depthwise_bwd_input") for t in TILES),
        *(f"conv_fwd<{t}, {tile.cxx}, true>" for t, tiles in TILES.items() for tile in tiles),
        *(f"depthwise_fwd<{t}, true>" for t in TILES),
        *(f"sum_splits<{t}>" for t in TILES),
    ],
)

#: conv_bwd_weight cuts its sum so that about this many blocks are at work,
_WANTED_BLOCKS = 512
#: into parts of at least this many places.
_LEAST_SPLIT = 1024
_WIDE_FROM = 2**31


class Geometry(NamedTuple):
    """A convolution's sizes; spatial ones lead with ones up to three dimensions."""

    images: int
    channels: int
    filters: int
    groups: int
    inner: Ints
    kernel: Ints
    outer: Ints
    stride: Ints
    padding: Ints
    dilation: Ints

    def pack(self, tile: Tile, rows: int, columns: int, splits: int, split_length: int) -> bytes:
        """ConvShape of conv.cu, for a product of `rows` x `columns` a group."""
        in_volume, kernel_volume, out_volume = map(prod, (self.inner, self.kernel, self.outer))
        group_channels = self.channels // self.groups
        group_filters = self.filters // self.groups
        # Every index that is divided, and every coordinate.
        largest = max(
            self.images * max(in_volume, out_volume),
            max(group_channels, group_filters) * kernel_volume,
            *(i + p for i, p in zip(self.inner, self.padding, strict=True)),
        )
        return b"".join(
            (
                struct.pack(
                    "ii12q",
                    largest >= _WIDE_FROM,
                    0,
                    self.images,
                    self.channels,
                    self.filters,
                    group_channels,
                    group_filters,
                    in_volume,
                    kernel_volume,
                    out_volume,
                    -(-rows // tile.block_m),
                    -(-columns // tile.block_n),
                    splits,
                    split_length,
                ),
                struct.pack("6q", *self.padding, *self.dilation),
                *map(extent, (*self.inner, *self.kernel, *self.outer, *self.stride)),
                extent(kernel_volume),
                extent(out_volume),
            )
        )


def _geometry(
    kernel: str,
    x_shape: Ints,
    weight_shape: Ints,
    y_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Geometry:
    """The sizes, checked against one another."""
    dims = len(x_shape) - 2
    if (
        not 1 <= dims <= 3
        or not len(weight_shape) == len(y_shape) == dims + 2
        or not len(stride) == len(padding) == len(dilation) == dims
        or groups < 1
        or min(stride) < 1
        or min(dilation) < 1
        or min(padding) < 0
        or x_shape[1] != weight_shape[1] * groups
        or weight_shape[0] % groups
        or y_shape[:2] != (x_shape[0], weight_shape[0])
    ):
        raise Fault(kernel, "shape", 0)
    for shape in (x_shape, weight_shape, y_shape):
        size_of(kernel, shape)
    ones, zeros = (1,) * (3 - dims), (0,) * (3 - dims)
    return Geometry(
        x_shape[0],
        x_shape[1],
        weight_shape[0],
        groups,
        (*ones, *x_shape[2:]),
        (*ones, *weight_shape[2:]),
        (*ones, *y_shape[2:]),
        (*ones, *stride),
        (*zeros, *padding),
        (*ones, *dilation),
    )


def _check_bias(kernel: str, bias: Any, channels: int) -> Any:
    if bias is not None and bias.shape != (channels,):
        raise Fault(kernel, "shape", 2)
    return contiguous(bias)


def conv_fwd(
    x: Any,
    weight: Any,
    bias: Any,
    out_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """y[n, k, o] = bias[k] + sum_{c, r} weight[k, c, r] x[n, c, o stride - padding + r dilation]"""
    options = (out_shape, stride, padding, dilation, groups)
    return _forward("conv_fwd", x, weight, bias, None, *options, 0)


def conv_epilogue(
    x: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    out_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    activation: int,
) -> Any:
    """The same, a residual added to it, and an activation of each element."""
    if not 0 <= activation < ACTIVATIONS:
        raise Fault("conv_epilogue", "shape", 4)
    options = (out_shape, stride, padding, dilation, groups)
    return _forward("conv_epilogue", x, weight, bias, residual, *options, activation)


def _forward(
    name: str,
    x: Any,
    weight: Any,
    bias: Any,
    residual: Any,
    out_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    activation: int,
) -> Any:
    t = check_floats(name, x=x, weight=weight, bias=bias, residual=residual)
    g = _geometry(name, x.shape, weight.shape, tuple(out_shape), stride, padding, dilation, groups)
    bias = _check_bias(name, bias, g.filters)
    y = memory.empty(tuple(out_shape), x.dtype)
    if residual is not None and residual.size != y.size:
        raise Fault(name, "shape", 3)
    ending = ", true>" if activation or residual is not None else ">"
    arrays = (contiguous(x), contiguous(weight), bias, contiguous(residual), y)
    if y.size and groups == g.channels > 1:
        args = (*arrays, g.pack(TILES[t][-1], 1, 1, 1, 0), np.int32(activation))
        launch(MODULE, f"depthwise_fwd<{t}{ending}", *grid_for(y.size), 0, args)
    elif y.size:
        rows, columns = g.filters // groups, g.images * prod(g.outer)
        tile = choose_tile(TILES[t], rows, columns, groups)
        args = (*arrays, g.pack(tile, rows, columns, 1, 0), np.int32(activation))
        _launch_tiles(f"conv_fwd<{t}, {tile.cxx}{ending}", tile, rows, columns, groups, args)
    return y


def conv_bwd_input(
    grad_y: Any,
    weight: Any,
    bias: Any,
    x_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """The gradient of conv_fwd for x; with a bias (C,), the transposed convolution."""
    t = check_floats("conv_bwd_input", grad_y=grad_y, weight=weight, bias=bias)
    g = _geometry(
        "conv_bwd_input",
        tuple(x_shape),
        weight.shape,
        grad_y.shape,
        stride,
        padding,
        dilation,
        groups,
    )
    bias = _check_bias("conv_bwd_input", bias, g.channels)
    grad_x = memory.empty(tuple(x_shape), grad_y.dtype)
    if grad_x.size and groups == g.channels > 1:
        shape = g.pack(TILES[t][-1], 1, 1, 1, 0)
        args = (contiguous(grad_y), contiguous(weight), bias, grad_x, shape)
        launch(MODULE, f"depthwise_bwd_input<{t}>", *grid_for(grad_x.size), 0, args)
    elif grad_x.size:
        in_volume = prod(g.inner)
        rows, columns = g.channels // groups, g.images * in_volume
        tile = choose_tile(TILES[t], rows, columns, groups)
        shape = g.pack(tile, rows, columns, 1, 0)
        args = (contiguous(grad_y), contiguous(weight), bias, grad_x, shape, extent(in_volume))
        _launch_tiles(f"conv_bwd_input<{t}, {tile.cxx}>", tile, rows, columns, groups, args)
    return grad_x


def conv_bwd_weight(
    grad_y: Any,
    x: Any,
    weight_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """The gradient of conv_fwd for weight."""
    t = check_floats("conv_bwd_weight", grad_y=grad_y, x=x)
    g = _geometry(
        "conv_bwd_weight",
        x.shape,
        tuple(weight_shape),
        grad_y.shape,
        stride,
        padding,
        dilation,
        groups,
    )
    grad_weight = memory.empty(tuple(weight_shape), x.dtype)
    if not grad_weight.size:
        return grad_weight
    rows, columns = g.filters // groups, g.channels // groups * prod(g.kernel)
    places = g.images * prod(g.outer)
    tile = choose_tile(TILES[t], rows, columns, groups)
    # The cut follows from the shape alone: the same bits on every device and for every launch.
    tiles = -(-rows // tile.block_m) * -(-columns // tile.block_n) * groups
    splits = max(1, min(-(-_WANTED_BLOCKS // tiles), places // _LEAST_SPLIT))
    split_length = -(-places // splits)
    splits = max(1, -(-places // max(1, split_length)))
    partial = grad_weight
    if splits > 1:
        partial = memory.empty((splits, *weight_shape), x.dtype)
    shape = g.pack(tile, rows, columns, splits, split_length)
    args = (contiguous(grad_y), contiguous(x), partial, shape)
    name = f"conv_bwd_weight<{t}, {tile.cxx}>"
    _launch_tiles(name, tile, rows, columns, groups * splits, args)
    if splits > 1:
        n = grad_weight.size
        sums = (partial, grad_weight, np.int64(n), np.int64(splits))
        launch(MODULE, f"sum_splits<{t}>", *grid_for(n), 0, sums)
    return grad_weight


def conv_bwd_weight_bias(
    grad_y: Any,
    x: Any,
    weight_shape: Ints,
    bias_shape: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> tuple[Any, Any]:
    """The gradients of conv_fwd for weight and bias."""
    if tuple(bias_shape) != grad_y.shape[1:2]:
        raise Fault("conv_bwd_weight_bias", "shape", 3)
    options = (stride, padding, dilation, groups)
    grad_weight = conv_bwd_weight(grad_y, x, weight_shape, *options)
    dims = (0, *range(2, grad_y.ndim))
    return grad_weight, reduce.sum(grad_y, dims, tuple(bias_shape))


def _launch_tiles(
    kernel: str, tile: Tile, rows: int, columns: int, repeats: int, args: tuple[Any, ...]
) -> None:
    blocks = -(-rows // tile.block_m) * -(-columns // tile.block_n) * repeats
    launch(MODULE, kernel, (blocks,), (tile.threads,), 0, args)


ENTRIES = {
    "conv_fwd": conv_fwd,
    "conv_epilogue": conv_epilogue,
    "conv_bwd_input": conv_bwd_input,
    "conv_bwd_weight": conv_bwd_weight,
    "conv_bwd_weight_bias": conv_bwd_weight_bias,
}
