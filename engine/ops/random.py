"""Random tensors and dropout: Philox in the kernel."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import get_default_dtype, to_numpy_dtype
from ..errors import call
from ..random import Generator, default_generator
from ..tensor import Tensor
from . import creation
from .install import method
from .operands import need_tensors

__all__ = ["dropout", "rand", "rand_like", "randn", "randn_like"]


@op(
    inputs="x",
    kernel="dropout",
    formula="y = x / (1 - p) where u(seed, offset) >= p, else 0",
    source="Srivastava et al. 2014; Philox: Salmon et al. 2011",
)
def dropout_(k, x, p, seed, offset):
    return k.dropout(x, p, seed, offset), ()


@dropout_.gradient
def _(k, saved, grad_y, need, p, seed, offset):
    return (k.dropout(grad_y, p, seed, offset),)  # the mask is drawn again, never stored


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Sets each element to 0 with probability p and divides the others by 1 - p.

    Shape: unchanged.

    Args:
        p: the probability, in [0, 1].
        training: without it the input is returned as it is.
        inplace: write the result into the input.
        generator: default: the default generator.

    Raises:
        ValueError: p outside of [0, 1].

    Source: Srivastava et al. 2014. The mask is a function of the generator's state; the backward
    draws it again.
    """
    need_tensors("dropout", input=input)
    if not isinstance(p, (int, float)) or not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be in [0, 1]; got {p}")
    if not training or p == 0.0:
        return input
    seed, offset = (generator or default_generator).reserve(input.numel())
    y = apply(dropout_, (input,), (float(p), seed, offset))
    return input.copy_(y) if inplace else y


def _draw(
    kernel: str,
    shape: tuple[int, ...],
    first: float,
    second: float,
    dtype: DType | None,
    device: Any,
    requires_grad: bool,
    generator: Generator | None,
) -> Tensor:
    count = 1
    for n in shape:
        count *= n
    seed, offset = (generator or default_generator).reserve(count)
    k = creation.device_table(device)
    numpy_dtype = to_numpy_dtype(get_default_dtype() if dtype is None else dtype)
    options = (shape, first, second, seed, offset, numpy_dtype)
    t = Tensor._make(call(kernel, getattr(k, kernel), (), *options))
    return t.requires_grad_() if requires_grad else t


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    shape = creation.size_of("rand", size)
    return _draw("uniform", shape, 0.0, 1.0, dtype, device, requires_grad, generator)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of mean 0 and standard deviation 1."""
    shape = creation.size_of("randn", size)
    return _draw("normal", shape, 0.0, 1.0, dtype, device, requires_grad, generator)


def rand_like(input: Tensor, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Uniform random numbers in [0, 1), of input's shape, dtype and device unless given."""
    return rand(tuple(input.shape), dtype=dtype or input.dtype, device=device or input.device)


def randn_like(input: Tensor, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Normal random numbers, of input's shape, dtype and device unless given."""
    return randn(tuple(input.shape), dtype=dtype or input.dtype, device=device or input.device)


@method("uniform_")
def _uniform_(
    input: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with uniform random numbers in [low, high)."""
    shape = tuple(input.shape)
    return input.copy_(
        _draw("uniform", shape, low, high, input.dtype, input.device, False, generator)
    )


@method("normal_")
def _normal_(
    input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with normal random numbers."""
    shape = tuple(input.shape)
    return input.copy_(
        _draw("normal", shape, mean, std, input.dtype, input.device, False, generator)
    )
