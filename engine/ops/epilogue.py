"""linear with its activation in one kernel: the epilogue of the matrix product."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..tensor import Tensor
from . import shapes
from .operands import need_tensors
from .reduce import sum_to_shape

__all__ = ["linear_activation"]

#: The words for `activation`, and the kernel's codes.
ACTIVATIONS = {None: 0, "relu": 1, "gelu": 2, "tanh": 3, "sigmoid": 4, "silu": 5}
_RELU, _GELU, _TANH, _SIGMOID = 1, 2, 3, 4


def _turned(k: Any, x: Any) -> Any:
    n = len(x.shape)
    return k.permute(x, (*range(n - 2), n - 1, n - 2))


def _product(k: Any, a: Any, b: Any) -> Any:
    return k.matmul(a, b, None, shapes.matmul("matmul", tuple(a.shape), tuple(b.shape)))


@op(inputs="a b bias?", kernel="matmul_epilogue", formula="y = activation(a @ b + bias)")
def matmul_epilogue_(k, a, b, bias, out_shape, activation):
    y = k.matmul_epilogue(a, b, bias, out_shape, activation)
    return y, (a, b, bias, y)


@matmul_epilogue_.gradient
def _(k, saved, grad_y, need, out_shape, activation):
    a, b, bias, y = saved
    if activation == _RELU:
        g = k.relu_bwd(grad_y, y)
    elif activation == _TANH:
        g = k.tanh_bwd(grad_y, y)
    elif activation == _SIGMOID:
        g = k.sigmoid_bwd(grad_y, y)
    elif activation:
        # The sum before the activation was not kept: it is computed again.
        z = k.matmul(a, b, bias, out_shape)
        if activation == _GELU:  # P + z p, the normal distribution and its density
            normal = k.mul(k.add(k.erf(k.mul(z, 0.7071067811865476)), 1.0), 0.5)
            density = k.mul(k.exp(k.mul(k.mul(z, z), -0.5)), 0.3989422804014327)
            slope = k.add(normal, k.mul(z, density))
        else:  # s (1 + z (1 - s))
            s = k.sigmoid(z)
            slope = k.mul(s, k.add(k.mul(z, k.sub(1.0, s)), 1.0))
        g = k.mul(grad_y, slope)
    else:
        g = grad_y
    return (
        sum_to_shape(k, _product(k, g, _turned(k, b)), tuple(a.shape)) if need[0] else None,
        sum_to_shape(k, _product(k, _turned(k, a), g), tuple(b.shape)) if need[1] else None,
        sum_to_shape(k, g, (out_shape[-1],)) if need[2] else None,
    )


def linear_activation(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = "relu",
) -> Tensor:
    """A fully connected layer and its activation in one kernel. Not in PyTorch.

    Bias and activation are applied while the product's block is still in registers (CUDA) or cache
    (CPU), which saves writing and reading the layer's output once. For gelu and silu the backward
    computes the product again instead of keeping the sum before the activation.

    Formula: y = activation(input @ weight^T + bias)

    Shape: input (..., in_features), weight (out_features, in_features), bias (out_features,) ->
    (..., out_features)

    Args:
        activation: 'relu', 'gelu' (exact), 'tanh', 'sigmoid', 'silu', or None.

    Raises:
        ValueError: another activation.
        RuntimeError: sizes that do not fit.
    """
    name = "linear_activation"
    code = ACTIVATIONS.get(activation)
    if code is None:
        words = ", ".join(repr(word) for word in ACTIVATIONS)
        raise ValueError(f"{name}: activation must be one of {words}; got {activation!r}")
    need_tensors(name, input=input, weight=weight, **({} if bias is None else {"bias": bias}))
    x, w = tuple(input._data.shape), tuple(weight._data.shape)
    if len(w) != 2 or not x or x[-1] != w[1]:
        raise RuntimeError(
            f"{name}: input's last dim must equal weight.shape[1]; got input {x}, weight {w}"
        )
    if bias is not None and bias._data.shape != (w[0],):
        raise RuntimeError(f"{name}: bias must have shape ({w[0]},); got {tuple(bias.shape)}")
    rows = 1
    for n in x[:-1]:
        rows *= n
    flat = input if len(x) == 2 else input.reshape((rows, x[-1]))
    y = apply(matmul_epilogue_, (flat, weight.transpose(0, 1), bias), ((rows, w[0]), code))
    return y if len(x) == 2 else y.reshape((*x[:-1], w[0]))
