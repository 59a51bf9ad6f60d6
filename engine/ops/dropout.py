"""Dropout of whole channels, of samples, and the one that keeps mean and variance."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..random import Generator, default_generator
from ..tensor import Tensor
from . import creation
from .operands import need_tensors
from .random import dropout_

__all__ = [
    "alpha_dropout",
    "drop_path",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

#: What an element that is dropped becomes: -scale * alpha of SELU, its lowest value.
_LOWEST = -1.7580993408473766


def _check(name: str, input: Any, p: Any) -> None:
    need_tensors(name, input=input)
    if not isinstance(p, (int, float)) or not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p must be in [0, 1]; got {p}")


def _factors(input: Tensor, kept: int, p: float, generator: Generator | None) -> Tensor:
    """0 or 1 / (1 - p) for the first `kept` dimensions of input, 1 in size along the rest."""
    shape = tuple(input._data.shape)
    noise = shape[:kept] + (1,) * (len(shape) - kept)
    ones = creation.ones(*noise, dtype=input.dtype, device=input.device)
    seed, offset = (generator or default_generator).reserve(ones.numel())
    return apply(dropout_, (ones,), (float(p), seed, offset))


def _done(input: Tensor, y: Tensor, inplace: bool) -> Tensor:
    return input.copy_(y) if inplace else y


def _channels(
    n: int, input: Tensor, p: float, training: bool, inplace: bool, generator: Generator | None
) -> Tensor:
    name = f"dropout{n}d"
    _check(name, input, p)
    ndim = len(input._data.shape)
    if ndim not in (n + 1, n + 2):
        raise RuntimeError(
            f"{name}: input must have {n + 1} or {n + 2} dimensions; got {tuple(input.shape)}"
        )
    if not training or p == 0.0:
        return input
    # As PyTorch: dropout2d takes three dimensions for (N, C, L), the others theirs for (C, ...).
    batched = ndim == n + 2 or n == 2
    return _done(input, input * _factors(input, 2 if batched else 1, p, generator), inplace)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, L) or (C, L) -> unchanged

    Args:
        p: the probability, in [0, 1].
        training: without it the input is returned as it is.
        inplace: write the result into the input.
        generator: default: the default generator.

    Raises:
        ValueError: p outside of [0, 1].
        RuntimeError: another number of dimensions.

    Source: Tompson et al. 2015.
    """
    return _channels(1, input, p, training, inplace, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, H, W) or (N, C, L) -> unchanged

    Args, Raises: as dropout1d.
    """
    return _channels(2, input, p, training, inplace, generator)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each channel to 0 with probability p and divides the others by 1 - p.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> unchanged

    Args, Raises: as dropout1d.
    """
    return _channels(3, input, p, training, inplace, generator)


def _alpha(input: Tensor, p: float, dropped: Any) -> Tensor:
    """a * (dropped - shift): `dropped` is dropout of input - lowest."""
    if p == 1:
        return input * 0.0
    a = ((1 - p) * (1 + p * _LOWEST**2)) ** -0.5
    return (dropped + _LOWEST) * (a * (1 - p))


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each element to SELU's lowest value with probability p, then restores mean and variance.

    Formula: y = a * (keep ? x : v) + b, v = -1.7581, a = ((1 - p) (1 + p v^2))^-1/2, b = -a p v

    Shape: unchanged.

    Args:
        p: the probability, in [0, 1].
        training: without it the input is returned as it is.
        inplace: write the result into the input.
        generator: default: the default generator.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Klambauer et al. 2017.
    """
    _check("alpha_dropout", input, p)
    if not training or p == 0.0:
        return input
    seed, offset = (generator or default_generator).reserve(input.numel())
    # keep ? x : v is dropout(x - v) * (1 - p) + v, and b turns that v into (1 - p) v.
    dropped = apply(dropout_, (input - _LOWEST,), (float(p), seed, offset))
    return _done(input, _alpha(input, p, dropped), inplace)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """alpha_dropout of whole channels.

    Shape: (N, C, ...) -> unchanged

    Args: as alpha_dropout.

    Raises:
        ValueError: p outside of [0, 1].
        RuntimeError: fewer than 2 dimensions.
    """
    _check("feature_alpha_dropout", input, p)
    if len(input._data.shape) < 2:
        raise RuntimeError(
            f"feature_alpha_dropout: input must be (N, C, ...); got {tuple(input.shape)}"
        )
    if not training or p == 0.0:
        return input
    dropped = (input - _LOWEST) * _factors(input, 2, p, generator)
    return _done(input, _alpha(input, p, dropped), inplace)


def drop_path(
    input: Tensor,
    p: float = 0.0,
    training: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each sample to 0 with probability p and divides the others by 1 - p.

    PyTorch has it only in torchvision and timm ("stochastic depth"): for the branch of a residual
    block, which a dropped sample then skips.

    Shape: (N, ...) -> unchanged

    Args:
        p: the probability, in [0, 1].
        training: without it the input is returned as it is.
        generator: default: the default generator.

    Raises:
        ValueError: p outside of [0, 1].
        RuntimeError: no dimensions.

    Source: Huang et al. 2016.
    """
    _check("drop_path", input, p)
    if not input._data.shape:
        raise RuntimeError("drop_path: input must be (N, ...); got ()")
    if not training or p == 0.0:
        return input
    return input * _factors(input, 1, p, generator)
