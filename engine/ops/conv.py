"""Convolution and its transpose: one N-D op behind conv1d, conv2d, conv3d.

conv_fwd, conv_bwd_input and conv_bwd_weight are linear in each operand, and each one's gradients
are the other two: they close over one another, to any order. conv_bwd_weight_bias is the last and
the bias's gradient in one pass over grad_y.
"""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..tensor import Tensor
from . import shapes
from .operands import need_tensors

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

_SOURCE = "Dumoulin & Visin 2016, A guide to convolution arithmetic for deep learning"


def _bias_gradient(k, grad_y):
    """The sum over everything but the channels."""
    return k.sum(grad_y, (0, *range(2, len(grad_y.shape))), (grad_y.shape[1],))


@op(
    inputs="x weight bias?",
    kernel="conv_fwd",
    formula="y[n, o, p] = bias[o] + sum over c, r of x[n, c, p * stride - padding + r * dilation]"
    " * weight[o, c, r]",
    source=_SOURCE,
)
def conv(k, x, weight, bias, out_shape, stride, padding, dilation, groups):
    y = k.conv_fwd(x, weight, bias, out_shape, stride, padding, dilation, groups)
    return y, (x, weight)


@conv.gradient
def _(k, saved, grad_y, need, out_shape, stride, padding, dilation, groups):
    x, weight = saved
    options = (stride, padding, dilation, groups)
    grad_weight = grad_bias = None
    shape = tuple(weight.shape)
    if need[1] and need[2]:
        grad_weight, grad_bias = k.conv_bwd_weight_bias(grad_y, x, shape, shape[:1], *options)
    elif need[1]:
        grad_weight = k.conv_bwd_weight(grad_y, x, shape, *options)
    elif need[2]:
        grad_bias = _bias_gradient(k, grad_y)
    return (
        k.conv_bwd_input(grad_y, weight, None, tuple(x.shape), *options) if need[0] else None,
        grad_weight,
        grad_bias,
    )


@op(
    inputs="grad_y weight bias?",
    kernel="conv_bwd_input",
    name="conv_transpose",
    formula="the adjoint of conv in x: <conv(x), grad_y> = <x, y>",
    source=_SOURCE,
)
def conv_bwd_input(k, grad_y, weight, bias, x_shape, stride, padding, dilation, groups):
    grad_x = k.conv_bwd_input(grad_y, weight, bias, x_shape, stride, padding, dilation, groups)
    return grad_x, (grad_y, weight)


@conv_bwd_input.gradient
def _(k, saved, grad, need, x_shape, stride, padding, dilation, groups):
    grad_y, weight = saved
    options = (stride, padding, dilation, groups)
    return (
        k.conv_fwd(grad, weight, None, tuple(grad_y.shape), *options) if need[0] else None,
        k.conv_bwd_weight(grad_y, grad, tuple(weight.shape), *options) if need[1] else None,
        _bias_gradient(k, grad) if need[2] else None,
    )


@op(
    inputs="grad_y x",
    kernel="conv_bwd_weight",
    formula="the adjoint of conv in weight: <conv(x), grad_y> = <weight, y>",
    source=_SOURCE,
)
def conv_bwd_weight(k, grad_y, x, weight_shape, stride, padding, dilation, groups):
    y = k.conv_bwd_weight(grad_y, x, weight_shape, stride, padding, dilation, groups)
    return y, (grad_y, x)


@conv_bwd_weight.gradient
def _(k, saved, grad, need, weight_shape, stride, padding, dilation, groups):
    grad_y, x = saved
    options = (stride, padding, dilation, groups)
    return (
        k.conv_fwd(x, grad, None, tuple(grad_y.shape), *options) if need[0] else None,
        k.conv_bwd_input(grad_y, grad, None, tuple(x.shape), *options) if need[1] else None,
    )


@op(
    inputs="grad_y x",
    kernel="conv_bwd_weight_bias",
    outputs=2,
    differentiable=2,
    formula="conv's gradients for weight and bias: conv_bwd_weight, and the sums of grad_y over all"
    " dims but the channels",
    source=_SOURCE,
)
def conv_bwd_weight_bias(k, grad_y, x, weight_shape, bias_shape, stride, padding, dilation, groups):
    options = (weight_shape, bias_shape, stride, padding, dilation, groups)
    return k.conv_bwd_weight_bias(grad_y, x, *options), (grad_y, x)


@conv_bwd_weight_bias.gradient
def _(k, saved, grads, need, weight_shape, bias_shape, stride, padding, dilation, groups):
    grad_y, x = saved
    of_weight, of_bias = grads
    options = (stride, padding, dilation, groups)
    return (
        k.conv_fwd(x, of_weight, of_bias, tuple(grad_y.shape), *options) if need[0] else None,
        k.conv_bwd_input(grad_y, of_weight, None, tuple(x.shape), *options) if need[1] else None,
    )


# ---- the public functions ----


def _batched(name: str, input: Tensor, n: int) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    need_tensors(name, input=input)
    ndim = len(input._data.shape)
    if ndim == n + 2:
        return input, True
    if ndim == n + 1:
        return input.unsqueeze(0), False
    raise RuntimeError(
        f"{name}: input must be {n + 2}-D (N, C, ...) or {n + 1}-D (C, ...); "
        f"got shape {tuple(input.shape)}"
    )


def _weight(name: str, weight: Tensor, bias: Tensor | None) -> Any:
    """The shapes of weight and bias."""
    need_tensors(name, weight=weight, **({} if bias is None else {"bias": bias}))
    return weight._data.shape, None if bias is None else bias._data.shape


def arguments(
    name: str,
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> tuple[Tensor, bool, tuple[Any, ...]]:
    """The input with its batch dim, whether it had one, and the record's options, checked."""
    x, batched = _batched(name, input, n)
    w, b = _weight(name, weight, bias)
    stride = shapes.spatial(name, "stride", stride, n, 1)
    dilation = shapes.spatial(name, "dilation", dilation, n, 1)
    groups = shapes.groups(name, groups)
    padding, end = shapes.conv_padding(name, padding, w[2:], stride, dilation)
    out_shape = shapes.conv(name, x._data.shape, w, b, stride, padding, dilation, groups, end)
    # The kernels read zeros outside of x; how far the output reaches says the padding at the end.
    return x, batched, (out_shape, stride, padding, dilation, groups)


def _conv(n: int, input: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    x, batched, found = arguments(f"conv{n}d", n, input, weight, bias, *options)
    y = apply(conv, (x, weight, bias), found)
    return y if batched else y.reshape(found[0][1:])


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A 1-D convolution (cross-correlation).

    Formula: y[n, o, p] = bias[o] + sum over c, r of
    x[n, c, p * stride - padding + r * dilation] * weight[o, c, r]

    Shape: input (N, C_in, L) or (C_in, L), weight (C_out, C_in / groups, K) -> (N, C_out, L_out),
    L_out = floor((L + 2 * padding - dilation * (K - 1) - 1) / stride) + 1

    Args:
        bias: (C_out,).
        stride: steps of the window, >= 1.
        padding: zeros on each side, >= 0; or 'same' (stride 1 only), or 'valid'; not in PyTorch:
            ((before, behind),), or 'causal', all that the kernel needs before.
        dilation: steps between the kernel's elements, >= 1.
        groups: input and output channels in that many groups that do not mix.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A 2-D convolution (cross-correlation). Formula and options as conv1d, one per dimension.

    Shape: input (N, C_in, H, W) or (C_in, H, W), weight (C_out, C_in / groups, KH, KW) ->
    (N, C_out, H_out, W_out)

    Args:
        bias: (C_out,).
        stride, padding, dilation: an int, or (for H, for W); padding also 'same' or 'valid', or a
            pair (before, behind) for each of H and W.
        groups: input and output channels in that many groups that do not mix.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A 3-D convolution (cross-correlation). Formula and options as conv1d, one per dimension.

    Shape: input (N, C_in, D, H, W) or (C_in, D, H, W), weight (C_out, C_in / groups, KD, KH, KW) ->
    (N, C_out, D_out, H_out, W_out)

    Args:
        bias: (C_out,).
        stride, padding, dilation: an int, or one for each of D, H, W; padding also 'same', 'valid',
            or a pair (before, behind) for each.
        groups: input and output channels in that many groups that do not mix.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{n}d"
    x, batched = _batched(name, input, n)
    w, b = _weight(name, weight, bias)
    stride = shapes.spatial(name, "stride", stride, n, 1)
    padding = shapes.spatial(name, "padding", padding, n, 0)
    output_padding = shapes.spatial(name, "output_padding", output_padding, n, 0)
    dilation = shapes.spatial(name, "dilation", dilation, n, 1)
    groups = shapes.groups(name, groups)
    out_shape = shapes.conv_transpose(
        name, x._data.shape, w, b, stride, padding, output_padding, dilation, groups
    )
    options = (out_shape, stride, padding, dilation, groups)
    y = apply(conv_bwd_input, (x, weight, bias), options)
    return y if batched else y.reshape(out_shape[1:])


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv1d in its input, as a layer.

    Shape: input (N, C_in, L) or (C_in, L), weight (C_in, C_out / groups, K) -> (N, C_out, L_out),
    L_out = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1

    Args:
        output_padding: added to the size on one side; smaller than stride or dilation.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(1, input, weight, bias, *options)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv2d in its input, as a layer; options as conv_transpose1d.

    Shape: input (N, C_in, H, W) or (C_in, H, W), weight (C_in, C_out / groups, KH, KW) ->
    (N, C_out, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(2, input, weight, bias, *options)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The adjoint of conv3d in its input, as a layer; options as conv_transpose1d.

    Shape: input (N, C_in, D, H, W) or (C_in, D, H, W), weight (C_in, C_out / groups, KD, KH, KW) ->
    (N, C_out, D_out, H_out, W_out)

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: Dumoulin & Visin 2016.
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _conv_transpose(3, input, weight, bias, *options)
