"""Activations, element by element."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .activation import GELU, SiLU
from .container import ACTIVATIONS

__all__ = ["ReLU", "Sigmoid", "Tanh"]


class ReLU(Module):
    """The rectified linear unit.

    Formula: y = max(x, 0)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """The logistic function.

    Formula: y = 1 / (1 + e^-x)

    Shape: unchanged.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    Formula: y = tanh x

    Shape: unchanged.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


ACTIVATIONS.update({ReLU: "relu", Sigmoid: "sigmoid", Tanh: "tanh", GELU: "gelu", SiLU: "silu"})
