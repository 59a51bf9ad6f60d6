"""Interpolation: resizing along one dimension after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import float32, uint8
from ..tensor import Tensor
from . import shapes
from .operands import need_tensors

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle"]

#: mode -> (the kernel's number, numbers of spatial dimensions)
_MODES = {
    "nearest": (0, (1, 2, 3)),
    "nearest-exact": (1, (1, 2, 3)),
    "linear": (2, (1,)),
    "bilinear": (2, (2,)),
    "trilinear": (2, (3,)),
    "bicubic": (3, (2,)),
    "area": (4, (1, 2, 3)),
}


@op(inputs="x", kernel="resample", formula="y[o] = sum of weight * x over the taps of o, along dim")
def resample_(k, x, dim, out_shape, mode, align_corners, scale):
    return k.resample(x, dim, out_shape, mode, align_corners, scale), (tuple(x.shape),)


@resample_.gradient
def _(k, saved, grad_y, need, dim, out_shape, mode, align_corners, scale):
    return (k.resample_bwd(grad_y, dim, saved[0], mode, align_corners, scale),)


@op(inputs="grad_y", kernel="resample_bwd", formula="the adjoint of resample")
def resample_bwd_(k, grad_y, dim, x_shape, mode, align_corners, scale):
    grad_x = k.resample_bwd(grad_y, dim, x_shape, mode, align_corners, scale)
    return grad_x, (tuple(grad_y.shape),)


@resample_bwd_.gradient
def _(k, saved, grad, need, dim, x_shape, mode, align_corners, scale):
    return (k.resample(grad, dim, saved[0], mode, align_corners, scale),)


def _per_dim(name: str, value: Any, n: int) -> tuple[Any, ...]:
    """One value for each of n spatial dimensions."""
    if not isinstance(value, (tuple, list)):
        return (value,) * n
    if len(value) != n:
        raise ValueError(
            f"interpolate: {name} must be one value or one for each of the {n} spatial dimensions; "
            f"got {value!r}"
        )
    return tuple(value)


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resizes the spatial dimensions.

    Shape: (N, C, *in) -> (N, C, *out), out = size or floor(in * scale_factor); 1 to 3 spatial
    dimensions

    Args:
        size: the spatial sizes wanted, or one for all.
        scale_factor: what to multiply the sizes by; one of size and scale_factor is given.
        mode: 'nearest', 'nearest-exact', 'linear' (one spatial dimension), 'bilinear', 'bicubic'
            (two), 'trilinear' (three) or 'area'.
        align_corners: whether the corner elements' centres are kept, instead of the corners.
        recompute_scale_factor: interpolate with the ratio of the sizes, not with scale_factor.
        antialias: not supported.

    Raises:
        ValueError: options that do not go together.
        NotImplementedError: a mode for another number of dimensions; antialias.
        RuntimeError: sizes < 1.
    """
    need_tensors("interpolate", input=input)
    shape = tuple(input._data.shape)
    n = len(shape) - 2
    if mode not in _MODES:
        raise NotImplementedError(
            f"interpolate: mode must be one of {', '.join(_MODES)}; got {mode!r}"
        )
    number, dimensions = _MODES[mode]
    if n not in dimensions:
        raise NotImplementedError(
            f"interpolate: mode {mode!r} is for inputs (N, C, ...) with "
            f"{' or '.join(map(str, dimensions))} spatial dimensions; got {shape}"
        )
    if antialias:
        raise NotImplementedError(
            "interpolate: antialias=True is not supported (use mode='area' to make an image "
            "smaller)"
        )
    if align_corners is not None and number not in (2, 3):
        raise ValueError(
            "interpolate: align_corners can only be set with the modes linear, bilinear, bicubic "
            f"and trilinear; got mode={mode!r}"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "interpolate: either size or scale_factor must be given; "
            f"got size={size}, scale_factor={scale_factor}"
        )
    scales: tuple[float, ...] = (0.0,) * n
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("interpolate: recompute_scale_factor needs scale_factor, not size")
        sizes = shapes.sizes("interpolate", _per_dim("size", size, n))
    else:
        factors = tuple([float(f) for f in _per_dim("scale_factor", scale_factor, n)])
        sizes = tuple([math.floor(s * f) for s, f in zip(shape[2:], factors, strict=True)])
        # As PyTorch: the area's windows come from the sizes.
        if not recompute_scale_factor and mode != "area":
            scales = factors
    if any(s < 1 for s in (*sizes, *shape[2:])):
        raise RuntimeError(
            f"interpolate: input and output sizes must be >= 1; got input {shape}, output {sizes}"
        )
    if input.dtype is uint8 and number in (0, 1):  # a choice: float32 holds every byte
        options = (scale_factor, mode, align_corners, recompute_scale_factor)
        return interpolate(input.to(float32), size, *options).to(uint8)
    align = bool(align_corners)
    y = input
    # What grows least comes first: the others then have less to do.
    for i in sorted(range(n), key=lambda i: sizes[i] / shape[2 + i]):
        if sizes[i] == y._data.shape[2 + i] and scales[i] in (0.0, 1.0):
            continue
        out_shape = (*y._data.shape[: 2 + i], sizes[i], *y._data.shape[3 + i :])
        y = apply(resample_, (y,), (2 + i, out_shape, number, align, scales[i]))
    return input * 1.0 if y is input else y


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Moves channels into space: each group of r^2 channels becomes an r times finer plane.

    Shape: (..., C * r^2, H, W) -> (..., C, H * r, W * r)

    Args:
        upscale_factor: r.

    Raises:
        RuntimeError: r^2 does not divide the channels.

    Source: Shi et al. 2016.
    """
    shape, (r,) = _plane("pixel_shuffle", input, "upscale_factor", upscale_factor)
    *batch, channels, height, width = shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle: the channels must be divisible by upscale_factor^2; "
            f"got input {shape}, upscale_factor={r}"
        )
    channels //= r * r
    n = len(batch)
    split = input.reshape((*batch, channels, r, r, height, width))
    moved = split.permute((*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return moved.reshape((*batch, channels, height * r, width * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Moves space into channels: the inverse of pixel_shuffle.

    Shape: (..., C, H * r, W * r) -> (..., C * r^2, H, W)

    Args:
        downscale_factor: r.

    Raises:
        RuntimeError: r does not divide height and width.
    """
    shape, (r,) = _plane("pixel_unshuffle", input, "downscale_factor", downscale_factor)
    *batch, channels, height, width = shape
    if height % r or width % r:
        raise RuntimeError(
            "pixel_unshuffle: height and width must be divisible by downscale_factor; "
            f"got input {shape}, downscale_factor={r}"
        )
    n = len(batch)
    split = input.reshape((*batch, channels, height // r, r, width // r, r))
    moved = split.permute((*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return moved.reshape((*batch, channels * r * r, height // r, width // r))


def _plane(name: str, input: Any, argument: str, factor: Any) -> tuple[Any, tuple[int, ...]]:
    need_tensors(name, input=input)
    shape = tuple(input._data.shape)
    if len(shape) < 3:
        raise RuntimeError(f"{name}: input must be (..., C, H, W); got {shape}")
    try:
        return shape, shapes.spatial(name, argument, factor, 1, 1)
    except ValueError as error:
        raise RuntimeError(str(error)) from None


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Takes the channels of groups in turn.

    Formula: y[:, i * groups + g] = input[:, g * (C / groups) + i]

    Shape: (N, C, ...) -> unchanged

    Args:
        groups: how many; they divide C.

    Raises:
        RuntimeError: groups that do not divide the channels.

    Source: Zhang et al. 2018.
    """
    need_tensors("channel_shuffle", input=input)
    shape = tuple(input._data.shape)
    if len(shape) < 3:
        raise RuntimeError(f"channel_shuffle: input must be (N, C, ...); got {shape}")
    try:
        groups = shapes.groups("channel_shuffle", groups)
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    if shape[1] % groups:
        raise RuntimeError(
            f"channel_shuffle: groups must divide the channels; got input {shape}, groups={groups}"
        )
    split = input.reshape((shape[0], groups, shape[1] // groups, *shape[2:]))
    return split.transpose(1, 2).reshape(shape)
