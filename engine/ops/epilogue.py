"""Layers with their epilogue in one kernel: a residual that is added, and an activation."""

from __future__ import annotations

from math import prod
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..kernels import ACTIVATIONS as FUNCTIONS
from ..tensor import Tensor
from . import shapes
from .conv import arguments
from .operands import need_tensors
from .reduce import sum_to_shape

__all__ = ["conv1d_activation", "conv2d_activation", "conv3d_activation", "linear_activation"]

#: The words for `activation`, and the kernels' codes.
ACTIVATIONS = {None: 0, "relu": 1, "gelu": 2, "tanh": 3, "sigmoid": 4, "silu": 5}
_RELU, _GELU, _TANH, _SIGMOID = 1, 2, 3, 4
#: Of those whose gradient is made of the sum before them, not of their output: the number of the
#: function in the list of activations.
_OF_THE_SUM = {2: FUNCTIONS.index("gelu"), 5: FUNCTIONS.index("silu")}


def _turned(k: Any, x: Any) -> Any:
    n = len(x.shape)
    return k.permute(x, (*range(n - 2), n - 1, n - 2))


def _product(k: Any, a: Any, b: Any) -> Any:
    return k.matmul(a, b, None, shapes.matmul("matmul", tuple(a.shape), tuple(b.shape)))


def _slope(k: Any, grad_y: Any, value: Any, activation: int) -> Any:
    """grad_y times the activation's derivative; value: see epilogue_bwd."""
    if activation == _RELU:
        return k.relu_bwd(grad_y, value)
    if activation == _TANH:
        return k.tanh_bwd(grad_y, value)
    if activation == _SIGMOID:
        return k.sigmoid_bwd(grad_y, value)
    if activation:
        return k.activation_bwd(grad_y, value, _OF_THE_SUM[activation], 0.0, 0.0, 0.0)
    return grad_y


def _before(
    k: Any, grad_y: Any, value: Any, dim: int, activation: int, sums: bool
) -> tuple[Any, Any]:
    """The gradient of the sum before the activation, and the bias's: its sums beside `dim`."""
    shape = tuple(grad_y.shape)
    if activation and sums:
        return k.epilogue_bwd(grad_y, value, (shape[dim],), dim, activation)
    g = _slope(k, grad_y, value, activation)
    others = tuple([d for d in range(len(shape)) if d != dim])
    return g, k.sum(g, others, (shape[dim],)) if sums else None


@op(
    inputs="grad_y value",
    kernel="epilogue_bwd",
    outputs=2,
    differentiable=2,
    formula="g = grad_y * f'(z), f the activation, and the sums of g over all dims but one; "
    "value is y = f(z), or z itself for gelu and silu",
)
def epilogue_bwd_(k, grad_y, value, sums_shape, dim, activation):
    return k.epilogue_bwd(grad_y, value, sums_shape, dim, activation), (grad_y, value)


@epilogue_bwd_.gradient
def _(k, saved, grads, need, sums_shape, dim, activation):
    grad_y, value = saved
    of_g, of_sums = grads
    kept = tuple([n if d == dim else 1 for d, n in enumerate(value.shape)])
    h = k.add(of_g, k.reshape(of_sums, kept))
    of_value = None
    if need[1]:
        if activation == _TANH:
            of_value = k.mul(k.mul(h, grad_y), k.mul(value, -2.0))
        elif activation == _SIGMOID:
            of_value = k.mul(k.mul(h, grad_y), k.sub(1.0, k.mul(value, 2.0)))
        elif activation in _OF_THE_SUM:
            options = (_OF_THE_SUM[activation], 0.0, 0.0, 0.0)
            of_value = k.activation_bwd_bwd(h, grad_y, value, *options)
    return _slope(k, h, value, activation) if need[0] else None, of_value


@op(
    inputs="a b bias? residual?",
    kernel="matmul_epilogue",
    formula="y = activation(a @ b + bias + residual)",
)
def matmul_epilogue_(k, a, b, bias, residual, out_shape, activation):
    y = k.matmul_epilogue(a, b, bias, residual, out_shape, activation)
    return y, (a, b, bias, residual) if activation in _OF_THE_SUM else (a, b, y)


@matmul_epilogue_.gradient
def _(k, saved, grad_y, need, out_shape, activation):
    a, b, *rest, y = saved
    if activation in _OF_THE_SUM:  # it was not kept: it is computed again
        y = k.matmul_epilogue(a, b, *rest, y, out_shape, 0)
    g, grad_bias = _before(k, grad_y, y, len(out_shape) - 1, activation, need[2])
    return (
        sum_to_shape(k, _product(k, g, _turned(k, b)), tuple(a.shape)) if need[0] else None,
        sum_to_shape(k, _product(k, _turned(k, a), g), tuple(b.shape)) if need[1] else None,
        grad_bias,
        g if need[3] else None,
    )


@op(inputs="x weight bias? residual?", formula="y = activation(x @ weight^T + bias + residual)")
def linear_epilogue_(k, x, weight, bias, residual, out_shape, activation):
    columns = k.permute(weight, (1, 0))
    y = k.matmul_epilogue(x, columns, bias, residual, out_shape, activation)
    return y, (x, weight, bias, residual) if activation in _OF_THE_SUM else (x, weight, y)


@linear_epilogue_.gradient
def _(k, saved, grad_y, need, out_shape, activation):
    x, weight, *rest, y = saved
    if activation in _OF_THE_SUM:
        y = k.matmul_epilogue(x, k.permute(weight, (1, 0)), *rest, y, out_shape, 0)
    g, grad_bias = _before(k, grad_y, y, len(out_shape) - 1, activation, need[2])
    grad_x = grad_weight = None
    if need[0]:
        grad_x = k.matmul(g, weight, None, tuple(x.shape))
    if need[1]:
        n, m = weight.shape
        rows = prod(x.shape[:-1])
        flat = k.permute(k.reshape(g, (rows, n)), (1, 0))
        grad_weight = k.matmul(flat, k.reshape(x, (rows, m)), None, (n, m))
    return grad_x, grad_weight, grad_bias, g if need[3] else None


@op(
    inputs="x weight bias? residual?",
    kernel="conv_epilogue",
    formula="y = activation(conv(x, weight) + bias + residual)",
)
def conv_epilogue_(
    k, x, weight, bias, residual, out_shape, stride, padding, dilation, groups, activation
):
    options = (out_shape, stride, padding, dilation, groups, activation)
    y = k.conv_epilogue(x, weight, bias, residual, *options)
    return y, (x, weight, bias, residual) if activation in _OF_THE_SUM else (x, weight, y)


@conv_epilogue_.gradient
def _(k, saved, grad_y, need, out_shape, stride, padding, dilation, groups, activation):
    x, weight, *rest, y = saved
    options = (stride, padding, dilation, groups)
    if activation in _OF_THE_SUM:
        y = k.conv_epilogue(x, weight, *rest, y, out_shape, *options, 0)
    shape = tuple(weight.shape)
    together = need[1] and need[2] and not activation  # else the sums cost the slope's pass nothing
    g, grad_bias = _before(k, grad_y, y, 1, activation, need[2] and not together)
    grad_weight = None
    if together:
        grad_weight, grad_bias = k.conv_bwd_weight_bias(g, x, shape, shape[:1], *options)
    elif need[1]:
        grad_weight = k.conv_bwd_weight(g, x, shape, *options)
    return (
        k.conv_bwd_input(g, weight, None, tuple(x.shape), *options) if need[0] else None,
        grad_weight,
        grad_bias,
        g if need[3] else None,
    )


# ---- the public functions ----


def _unknown(name: str, activation: Any) -> ValueError:
    words = ", ".join(repr(word) for word in ACTIVATIONS)
    return ValueError(f"{name}: activation must be one of {words}; got {activation!r}")


def _check_residual(name: str, residual: Tensor, shape: tuple[int, ...]) -> None:
    need_tensors(name, residual=residual)
    if tuple(residual._data.shape) != tuple(shape):
        raise RuntimeError(
            f"{name}: residual must have the output's shape {tuple(shape)}; "
            f"got {tuple(residual.shape)}"
        )


def linear_activation(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = "relu",
    residual: Tensor | None = None,
) -> Tensor:
    """A fully connected layer, a sum and an activation in one kernel. Not in PyTorch.

    Bias, residual and activation are applied while the product's block is still in registers (CUDA)
    or cache (CPU), which saves writing and reading the layer's output once. The backward makes the
    activation's gradient and the bias's in one pass; for gelu and silu it computes the product
    again instead of keeping the sum before the activation.

    Formula: y = activation(input @ weight^T + bias + residual)

    Shape: input (..., in_features), weight (out_features, in_features), bias (out_features,) ->
    (..., out_features)

    Args:
        activation: 'relu', 'gelu' (exact), 'tanh', 'sigmoid', 'silu', or None.
        residual: what is added before the activation; of the output's shape.

    Raises:
        ValueError: another activation.
        RuntimeError: sizes that do not fit.
    """
    name = "linear_activation"
    code = ACTIVATIONS.get(activation)
    if code is None:
        raise _unknown(name, activation)
    need_tensors(name, input=input, weight=weight, **({} if bias is None else {"bias": bias}))
    x, w = input._data.shape, weight._data.shape
    if len(w) != 2 or not x or x[-1] != w[1]:
        raise RuntimeError(
            f"{name}: input's last dim must equal weight.shape[1]; got input {tuple(x)}, "
            f"weight {tuple(w)}"
        )
    if bias is not None and bias._data.shape != (w[0],):
        raise RuntimeError(f"{name}: bias must have shape ({w[0]},); got {tuple(bias.shape)}")
    out_shape = (*x[:-1], w[0])
    if residual is not None:
        _check_residual(name, residual, out_shape)
    if len(x) == 1:
        input = input.unsqueeze(0)
        residual = residual if residual is None else residual.unsqueeze(0)
        y = apply(linear_epilogue_, (input, weight, bias, residual), ((1, w[0]), code))
        return y.reshape(out_shape)
    return apply(linear_epilogue_, (input, weight, bias, residual), (out_shape, code))


def _conv_activation(
    n: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    activation: str | None,
    residual: Tensor | None,
) -> Tensor:
    name = f"conv{n}d_activation"
    code = ACTIVATIONS.get(activation)
    if code is None:
        raise _unknown(name, activation)
    x, batched, options = arguments(name, n, input, weight, bias, stride, padding, dilation, groups)
    out_shape = options[0]
    if residual is not None:
        _check_residual(name, residual, out_shape if batched else out_shape[1:])
        residual = residual if batched else residual.unsqueeze(0)
    y = apply(conv_epilogue_, (x, weight, bias, residual), (*options, code))
    return y if batched else y.reshape(out_shape[1:])


def conv1d_activation(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = "relu",
    residual: Tensor | None = None,
) -> Tensor:
    """A 1-D convolution, a sum and an activation in one kernel. Not in PyTorch.

    Bias, residual and activation are applied while a block of the output is still in registers
    (CUDA) or cache (CPU). The backward makes the activation's gradient and the bias's in one pass;
    for gelu and silu it computes the convolution again instead of keeping the sum before the
    activation.

    Formula: y = activation(conv1d(input, weight, bias) + residual)

    Shape: as conv1d; residual as the output.

    Args:
        bias, stride, padding, dilation, groups: as conv1d.
        activation: 'relu', 'gelu' (exact), 'tanh', 'sigmoid', 'silu', or None.
        residual: what is added before the activation, as a residual network's shortcut is.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (stride, padding, dilation, groups, activation, residual)
    return _conv_activation(1, input, weight, bias, *options)


def conv2d_activation(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = "relu",
    residual: Tensor | None = None,
) -> Tensor:
    """A 2-D convolution, a sum and an activation in one kernel; see conv1d_activation.

    Formula: y = activation(conv2d(input, weight, bias) + residual)

    Shape: as conv2d; residual as the output.

    Args:
        bias, stride, padding, dilation, groups: as conv2d.
        activation, residual: as conv1d_activation.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.

    Source: the block that it serves: He et al. 2015, Deep residual learning, figure 2.
    """
    options = (stride, padding, dilation, groups, activation, residual)
    return _conv_activation(2, input, weight, bias, *options)


def conv3d_activation(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: str | None = "relu",
    residual: Tensor | None = None,
) -> Tensor:
    """A 3-D convolution, a sum and an activation in one kernel; see conv1d_activation.

    Formula: y = activation(conv3d(input, weight, bias) + residual)

    Shape: as conv3d; residual as the output.

    Args:
        bias, stride, padding, dilation, groups: as conv3d.
        activation, residual: as conv1d_activation.

    Raises:
        ValueError: an option out of its range.
        RuntimeError: shapes that do not fit.
    """
    options = (stride, padding, dilation, groups, activation, residual)
    return _conv_activation(3, input, weight, bias, *options)
