"""Layers that draw random numbers."""

from __future__ import annotations

from collections.abc import Callable

from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "AlphaDropout",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


class _Dropout(Module):
    """What the dropout layers share."""

    _function: Callable[..., Tensor]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p must be in [0, 1]; got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, sets each element to 0 with probability p and divides the others by 1 - p.

    Shape: unchanged.

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Srivastava et al. 2014.
    """

    _function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """In training, sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, L) or (C, L) -> unchanged

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Tompson et al. 2015.
    """

    _function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """In training, sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, H, W) or (N, C, L) -> unchanged

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Tompson et al. 2015.
    """

    _function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """In training, sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> unchanged

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Tompson et al. 2015.
    """

    _function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """In training, sets elements to SELU's lowest value, and restores mean and variance.

    Shape: unchanged.

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Klambauer et al. 2017.
    """

    _function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels.

    Shape: (N, C, ...) -> unchanged

    Args:
        p: the probability, in [0, 1].
        inplace: write the result into the input.

    Raises:
        ValueError: p outside of [0, 1].
    """

    _function = staticmethod(F.feature_alpha_dropout)


class DropPath(Module):
    """In training, sets each sample to 0 with probability p and divides the others by 1 - p.

    PyTorch has it only in torchvision and timm; see functional.drop_path.

    Shape: (N, ...) -> unchanged

    Args:
        p: the probability, in [0, 1].

    Raises:
        ValueError: p outside of [0, 1].

    Source: Huang et al. 2016.
    """

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"DropPath: p must be in [0, 1]; got {p}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return F.drop_path(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
