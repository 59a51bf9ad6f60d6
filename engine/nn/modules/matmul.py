"""The fully connected layer, and the bilinear one."""

from __future__ import annotations

import math
from typing import Any

from ...ops import shapes
from ...ops.creation import empty
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module
from .container import LAYERS

__all__ = ["Bilinear", "Linear"]


class Linear(Module):
    """A fully connected layer.

    Formula: y = x @ weight^T + bias

    Shape: (..., in_features) -> (..., out_features)

    Args:
        in_features, out_features: the sizes of the last dimension.
        bias: whether a learned value is added to each output feature.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: a size that is negative or no int.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        (self.in_features,) = shapes.spatial("Linear", "in_features", in_features, 1, 0)
        (self.out_features,) = shapes.spatial("Linear", "out_features", out_features, 1, 0)
        self.weight = Parameter(
            empty((self.out_features, self.in_features), device=device, dtype=dtype)
        )
        if bias:
            self.bias: Parameter | None = Parameter(
                empty((self.out_features,), device=device, dtype=dtype)
            )
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew: U(-b, b) with b = 1 / sqrt(in_features), as PyTorch."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


LAYERS[Linear] = lambda layer, input, word: F.linear_activation(
    input, layer.weight, layer.bias, word
)


class Bilinear(Module):
    """A layer that is linear in each of two inputs.

    Formula: y[o] = sum over i, j of x1[i] weight[o, i, j] x2[j] + bias[o]

    Shape: (*, in1_features), (*, in2_features) -> (*, out_features)

    Args:
        in1_features, in2_features, out_features: the sizes of the last dimensions.
        bias: whether a learned value is added to each output feature.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: a size that is not positive or no int.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        (self.in1_features,) = shapes.spatial("Bilinear", "in1_features", in1_features, 1, 1)
        (self.in2_features,) = shapes.spatial("Bilinear", "in2_features", in2_features, 1, 0)
        (self.out_features,) = shapes.spatial("Bilinear", "out_features", out_features, 1, 0)
        sizes = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(empty(sizes, device=device, dtype=dtype))
        if bias:
            self.bias: Parameter | None = Parameter(
                empty((self.out_features,), device=device, dtype=dtype)
            )
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew: U(-b, b) with b = 1 / sqrt(in1_features), as PyTorch."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
