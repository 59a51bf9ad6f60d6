"""Sliding windows: unfold (im2col), fold (col2im), Tensor.unfold."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_, float32
from ..tensor import Tensor
from . import shapes
from .install import method
from .operands import need_tensors
from .view import reshape, slice_

__all__ = ["fold", "unfold"]


@op(inputs="x", kernel="unfold", formula="y[(c, i, j), (p, q)] = x[c, p s + i d, q s + j d]")
def unfold_(k, x, kernel, stride, padding, dilation, out_shape):
    return k.unfold(x, kernel, stride, padding, dilation, out_shape), (tuple(x.shape),)


@unfold_.gradient
def _(k, saved, grad_y, need, kernel, stride, padding, dilation, out_shape):
    return (k.fold(grad_y, kernel, stride, padding, dilation, saved[0]),)


@op(inputs="x", kernel="fold", formula="y[c, p s + i d, q s + j d] += x[(c, i, j), (p, q)]")
def fold_(k, x, kernel, stride, padding, dilation, out_shape):
    return k.fold(x, kernel, stride, padding, dilation, out_shape), (tuple(x.shape),)


@fold_.gradient
def _(k, saved, grad_y, need, kernel, stride, padding, dilation, out_shape):
    return (k.unfold(grad_y, kernel, stride, padding, dilation, saved[0]),)


@op(inputs="x", kernel="windows", views=True, formula="y[.., i, .., j] = x[.., i step + j, ..]")
def windows_(k, x, dim, size, step):
    return k.windows(x, dim, size, step), (tuple(x.shape),)


@windows_.gradient
def _(k, saved, grad_y, need, dim, size, step):
    (shape,) = saved
    n = len(shape)
    # Every line along dim is an image of one column: (lines, size, windows).
    order = (*range(dim), *range(dim + 1, n), n, dim)
    moved = tuple([grad_y.shape[d] for d in order])
    lines = 1
    for m in moved[:-2]:
        lines *= m
    columns = k.reshape(k.permute(grad_y, order), (lines, size, moved[-1]))
    image = (lines, 1, shape[dim], 1)
    summed = k.fold(columns, (size, 1), (step, 1), (0, 0), (1, 1), image)
    back = k.reshape(summed, (*shape[:dim], *shape[dim + 1 :], shape[dim]))
    return (k.permute(back, (*range(dim), n - 1, *range(dim, n - 1))),)


def _options(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """(kernel, stride, padding, dilation), two numbers each."""
    return (
        shapes.spatial(name, "kernel_size", kernel_size, 2, 1),
        shapes.spatial(name, "stride", stride, 2, 1),
        shapes.spatial(name, "padding", padding, 2, 0),
        shapes.spatial(name, "dilation", dilation, 2, 1),
    )


def _positions(name: str, image: tuple[int, ...], options: Any) -> int:
    """The number of windows; each must fit into the padded image."""
    count = 1
    for n, k, s, p, d in zip(image, *options, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0:
            raise RuntimeError(
                f"{name}: the window must fit into the padded input; got kernel_size={options[0]}, "
                f"dilation={options[3]}, padding={options[2]}, image {image}"
            )
        count *= room // s + 1
    return count


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The sliding windows of images, each as a column.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C * kh * kw, L) or (C * kh * kw, L), L windows.

    Args:
        kernel_size, dilation, padding, stride: a number or two.

    Raises:
        RuntimeError: another number of dims; a window that does not fit.
        ValueError: options out of range.
    """
    need_tensors("unfold", input=input)
    shape = tuple(input._data.shape)
    if len(shape) not in (3, 4):
        raise RuntimeError(f"unfold: input must have 3 or 4 dims; got shape {shape}")
    options = _options("unfold", kernel_size, dilation, padding, stride)
    batch = input if len(shape) == 4 else reshape(input, (1, *shape))
    if input.dtype is bool_:
        return unfold(input.to(float32), kernel_size, dilation, padding, stride).to(bool_)
    n, c = batch._data.shape[:2]
    count = _positions("unfold", tuple(batch._data.shape[2:]), options)
    out = (n, c * options[0][0] * options[0][1], count)
    y = apply(unfold_, (batch,), (*options, out))
    return y if len(shape) == 4 else reshape(y, out[1:])


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Images as the sums of windows: where they overlap, they add. The adjoint of unfold.

    Shape: (N, C * kh * kw, L) or (C * kh * kw, L) -> (N, C, H, W) or (C, H, W)

    Args:
        output_size: (H, W).
        kernel_size, dilation, padding, stride: a number or two.

    Raises:
        RuntimeError: another number of dims; columns that do not fit.
        ValueError: options out of range.
    """
    need_tensors("fold", input=input)
    shape = tuple(input._data.shape)
    if len(shape) not in (2, 3):
        raise RuntimeError(f"fold: input must have 2 or 3 dims; got shape {shape}")
    options = _options("fold", kernel_size, dilation, padding, stride)
    size = shapes.spatial("fold", "output_size", output_size, 2, 1)
    batch = input if len(shape) == 3 else reshape(input, (1, *shape))
    if input.dtype is bool_:
        whole = fold(input.to(float32), output_size, kernel_size, dilation, padding, stride)
        return whole.to(bool_)
    n, rows, columns = batch._data.shape
    taps = options[0][0] * options[0][1]
    count = _positions("fold", size, options)
    if rows % taps or columns != count:
        raise RuntimeError(
            f"fold: input must have a multiple of {taps} rows and {count} columns, for the "
            f"windows of {size}; got shape {shape}"
        )
    out = (n, rows // taps, *size)
    y = apply(fold_, (batch,), (*options, out))
    return y if len(shape) == 3 else reshape(y, out[1:])


@method("unfold")
def _windows(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of the windows of `size` elements along a dimension, `step` apart.

    Shape: the dimension counts the windows; their elements are a new last dimension.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a size larger than the dim's, or a step below 1.
    """
    shape = tuple(input._data.shape)
    d = shapes.dim("unfold", dimension, len(shape))
    if not shape and size in (0, 1) and step > 0:  # the window alone, as PyTorch has it
        return apply(slice_, (reshape(input, (1,)),), ((0,), (1,), (int(size),)))
    shape = shape or (1,)
    if not 0 <= size <= shape[d] or step < 1:
        raise RuntimeError(
            f"unfold: size must be in [0, {shape[d]}] and step positive; got {size}, {step}"
        )
    return apply(windows_, (input,), (d, size, step))
