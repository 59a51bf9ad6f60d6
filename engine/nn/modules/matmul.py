"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any

from ...ops import shapes
from ...ops.creation import empty
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module

__all__ = ["Linear"]


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
