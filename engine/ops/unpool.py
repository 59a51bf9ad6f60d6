"""Max unpooling: values put back where max pooling found them."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import int64
from ..tensor import Tensor
from . import shapes
from .conv import _batched
from .operands import need_tensors
from .pool import _window

__all__ = [
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


@op(
    inputs="x indices",
    kernel="max_unpool",
    formula="y = 0 but y[n, c, indices[n, c, o]] = x[n, c, o], the last o of several",
)
def max_unpool(k, x, indices, out_shape):
    return k.max_unpool(x, indices, out_shape), (indices, tuple(x.shape))


@max_unpool.gradient
def _(k, saved, grad_y, need, out_shape):
    indices, x_shape = saved
    return k.gather_dim(grad_y, indices, 2, x_shape), None


def _max_unpool(
    n: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
) -> Tensor:
    name = f"max_unpool{n}d"
    x, batched = _batched(name, input, n)
    need_tensors(name, indices=indices)
    if indices.dtype is not int64:
        raise RuntimeError(f"{name}: indices must be int64; got {indices.dtype}")
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            f"{name}: indices must have the input's shape {tuple(input.shape)}; "
            f"got {tuple(indices.shape)}"
        )
    kernel, stride, padding, _ = _window(name, n, kernel_size, stride, padding)
    shape = tuple(x._data.shape)
    usual = [(shape[2 + i] - 1) * stride[i] + kernel[i] - 2 * padding[i] for i in range(n)]
    size = usual
    if output_size is not None:
        size = [shapes._index(name, "output_size", v) for v in output_size]
        size = size[2:] if len(size) == n + 2 else size
        if len(size) != n:
            raise ValueError(
                f"{name}: output_size must have {n} elements (or {n + 2}, with N and C); "
                f"got {tuple(output_size)}"
            )
        for i in range(n):
            if not usual[i] - stride[i] < size[i] < usual[i] + stride[i]:
                raise ValueError(
                    f"{name}: output_size must be within {stride[i] - 1} of {usual[i]} in spatial "
                    f"dim {i}; got {size[i]}"
                )
    if min(size) < 0:
        raise ValueError(f"{name}: the output's size must be >= 0; got {tuple(size)}")
    flat = (*shape[:2], math.prod(shape[2:]))
    out = (*shape[:2], math.prod(size))
    y = apply(max_unpool, (x.reshape(flat), indices.reshape(flat)), (out,))
    return y.reshape((*shape[:2], *size) if batched else (shape[1], *size))


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts values back where max_pool1d found them, and zeros elsewhere.

    Formula: y[indices[o]] = x[o], the last one where several o say the same

    Shape: input and indices (N, C, L) or (C, L) -> (N, C, L_out), L_out = (L - 1) * stride -
    2 * padding + kernel_size, or output_size

    Args:
        indices: int64, from max_pool1d(..., return_indices=True).
        kernel_size, stride, padding: max_pool1d's.
        output_size: L_out, less than stride away from that; or with N and C before it.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: indices of another shape or dtype.
        IndexError: an index outside of the output.
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts values back where max_pool2d found them; options as max_unpool1d.

    Formula: y.flat[indices[o]] = x[o] in each plane

    Shape: input and indices (N, C, H, W) or (C, H, W) -> (N, C, H_out, W_out)

    Raises:
        ValueError, RuntimeError, IndexError: as max_unpool1d.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Puts values back where max_pool3d found them; options as max_unpool1d.

    Formula: y.flat[indices[o]] = x[o] in each volume

    Shape: input and indices (N, C, D, H, W) or (C, D, H, W) -> (N, C, D_out, H_out, W_out)

    Raises:
        ValueError, RuntimeError, IndexError: as max_unpool1d.
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
