"""Random tensors and dropout: Philox in the kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import float32, float64, get_default_dtype, int64, to_numpy_dtype
from ..errors import call
from ..kernels.order import order_of
from ..memory_format import preserve_format
from ..random import Generator, default_generator
from ..tensor import Tensor
from . import creation, sort
from .arrange import narrow
from .index import scatter
from .install import method, size_by_name
from .operands import need_tensors, own_errors
from .scan import cumsum
from .view import cat, in_order

__all__ = [
    "bernoulli",
    "dropout",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


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
    if (order := order_of(input._data)) is not None:
        y = in_order(y, order)  # drawn in C order: the same elements in every layout
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
    wanted = get_default_dtype() if dtype is None else dtype
    drawn = wanted if wanted in (float32, float64) or not wanted.is_floating_point else float32
    seed, offset = _reserve(shape, generator)
    k = creation.device_table(device)
    options = (shape, first, second, seed, offset, to_numpy_dtype(drawn))
    t = Tensor._make(call(kernel, getattr(k, kernel), (), *options)).to(wanted)
    return t.requires_grad_() if requires_grad else t


def _reserve(shape: tuple[int, ...], generator: Generator | None) -> tuple[int, int]:
    """(seed, counter) for the elements of a shape."""
    count = 1
    for n in shape:
        count *= n
    return (generator or default_generator).reserve(count)


@size_by_name
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


@size_by_name
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


@own_errors
def rand_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Uniform random numbers in [0, 1), of input's shape, dtype, device and order of memory."""
    like = (dtype or input.dtype, device or input.device, requires_grad, generator)
    return creation.arranged(
        memory_format.order_for("rand_like", input._data),
        tuple(input._data.shape),
        lambda shape: _draw("uniform", shape, 0.0, 1.0, *like),
    )


@own_errors
def randn_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    generator: Generator | None = None,
    memory_format: Any = preserve_format,
) -> Tensor:
    """Normal random numbers, of input's shape, dtype, device and order of memory unless given."""
    like = (dtype or input.dtype, device or input.device, requires_grad, generator)
    return creation.arranged(
        memory_format.order_for("randn_like", input._data),
        tuple(input._data.shape),
        lambda shape: _draw("normal", shape, 0.0, 1.0, *like),
    )


def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers of these means and standard deviations.

    Formula: y = mean + std * z

    Shape: mean's and std's broadcast; `size` if both are numbers

    Args:
        mean, std: tensors or numbers.
        size: for two numbers.
        generator: default: the default generator.

    Raises:
        RuntimeError: a negative std; shapes that do not broadcast.
        TypeError: two numbers without a size.
    """
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal: std must be >= 0; got {std}")
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if size is None:
            raise TypeError("normal: size must be given for a number as mean and as std")
        shape = creation.size_of("normal", (size,))
        return _draw("normal", shape, mean, std, dtype, device, requires_grad, generator)
    if size is not None:
        raise TypeError("normal: size is for a number as mean and as std alone")
    like = (mean if isinstance(mean, Tensor) else std).detach()
    if isinstance(mean, Tensor) and isinstance(std, Tensor):
        like = mean.detach() + std.detach()
    z = randn_like(like, generator=generator)
    parts = [t.detach() if isinstance(t, Tensor) else t for t in (mean, std)]
    return z * parts[1] + parts[0]


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability that input gives for the element, else 0.

    Shape: unchanged. The result has input's dtype and no gradient.

    Args:
        p: one probability for all elements, instead of input's.
        generator: default: the default generator.

    Raises:
        RuntimeError: p outside of [0, 1]. (Probabilities in a tensor count as 0 or 1 there, where
            PyTorch refuses them on the CPU.)
    """
    need_tensors("bernoulli", input=input)
    shape = tuple(input._data.shape)
    seed, offset = _reserve(shape, generator)
    drawn = input.dtype if input.dtype in (float32, float64) else float32
    if p is None:
        chances = input.detach().to(drawn)
    else:
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli: p must be in [0, 1]; got {p}")
        chances = creation.full(shape, float(p), dtype=drawn, device=input.device)
    y = call("bernoulli", input._table().bernoulli, ("input",), chances._data, seed, offset)
    return Tensor._make(y).to(input.dtype)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Whole random numbers in [low, high).

    Args:
        low: the least; `randint(high, size)` counts from 0.
        high: one more than the largest.
        size: the shape.
        generator: default: the default generator.
        dtype: default: int64.

    Raises:
        RuntimeError: low >= high.
    """
    if size is None:
        low, high, size = 0, low, high
    shape = creation.size_of("randint", (tuple(size),))
    t = _whole("randint", shape, low, high, device, generator).to(dtype or int64)
    return t.requires_grad_() if requires_grad else t


def _whole(
    name: str, shape: tuple[int, ...], low: Any, high: Any, device: Any, generator: Any
) -> Tensor:
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(f"{name}: low must be less than high; got low={low}, high={high}")
    seed, offset = _reserve(shape, generator)
    k = creation.device_table(device)
    return Tensor._make(call(name, k.randint, (), shape, low, high, seed, offset))


@own_errors
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | None = None,
    device: Any = None,
    generator: Generator | None = None,
    memory_format: Any = preserve_format,
) -> Tensor:
    """randint of input's shape, dtype and device unless given; `randint_like(x, high)` from 0."""
    if high is None:
        low, high = 0, low
    t = creation.arranged(
        memory_format.order_for("randint_like", input._data),
        tuple(input._data.shape),
        lambda shape: _whole("randint_like", shape, low, high, device or input.device, generator),
    )
    return t.to(dtype or input.dtype)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DType | None = None,
    device: Any = None,
) -> Tensor:
    """The whole numbers from 0 to n - 1 in random order, the same on every device.

    Each order is as probable as the others, to 2^-64 a number: buckets are drawn, then shuffled.

    Args:
        n: how many.
        generator: default: the default generator.
        dtype: default: int64.

    Raises:
        RuntimeError: n < 0.

    Source: Rao 1961; Sandelius 1962; Fisher & Yates 1938.
    """
    shape = creation.size_of("randperm", (n,))
    seed, offset = (generator or default_generator).reserve(2 * shape[0] + 4)
    k = creation.device_table(device)
    y = call("randperm", k.permutation, (), shape, seed, offset)
    return Tensor._make(y).to(dtype or int64)


@method("multinomial")
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Places drawn with the probabilities that input's rows give, which need not add up to 1.

    Formula: the places of the largest p / e, e exponential random numbers (the exponential race);
    with replacement the first place whose running sum of p is above u sum(p), u in [0, 1)

    Shape: (K,) -> (num_samples,), (N, K) -> (N, num_samples); int64

    Args:
        num_samples: how many places of each row.
        replacement: whether a place may be drawn again.
        generator: default: the default generator.

    Raises:
        RuntimeError: not 1-D or 2-D, not floating-point; num_samples < 1, or more than there are;
            a negative, infinite or NaN probability; a row of zeros.
    """
    need_tensors("multinomial", input=input)
    shape = tuple(input._data.shape)
    if len(shape) not in (1, 2) or not input.dtype.is_floating_point:
        raise RuntimeError(
            "multinomial: input must be (K,) or (N, K) of a floating-point dtype; "
            f"got {shape} {input.dtype}"
        )
    if num_samples < 1 or (not replacement and num_samples > shape[-1]):
        raise RuntimeError(
            "multinomial: num_samples must be >= 1, and without replacement at most the row's "
            f"length; got num_samples={num_samples}, input {shape}"
        )
    p = input.detach().to(input.dtype if input.dtype in (float32, float64) else float32)
    if 0 not in shape:
        largest = p.amax(-1)
        low, high, least = p.amin().item(), largest.amax().item(), largest.amin().item()
        if not (low >= 0 and high < math.inf and least > 0):
            raise RuntimeError(
                "multinomial: probabilities must be finite and >= 0, and some of each row above 0; "
                f"got {low} to {high}, a row's largest {least}"
            )
    if not replacement:
        race = p / _exponential(shape, p, generator)
        return sort.topk(race, num_samples)[1]
    if not shape[-1]:
        raise RuntimeError(f"multinomial: at least one probability a row; got shape {shape}")
    # Both sorted together, a sum before an equal number: as many sums are not above it.
    sums = cumsum(p.to(float64), -1)
    total = narrow(sums, -1, shape[-1] - 1, 1)
    drawn = (*shape[:-1], num_samples)
    numbers = _draw("uniform", drawn, 0.0, 1.0, float64, p.device, False, generator) * total
    order = sort.argsort(cat([sums, numbers], -1))
    passed = cumsum((order < shape[-1]).to(int64), -1)  # type: ignore[operator]
    return narrow(scatter(passed, -1, order, passed), -1, shape[-1], num_samples).contiguous()


def _exponential(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    u = _draw("uniform", shape, 1.0, 0.0, like.dtype, like.device, False, generator)  # (0, 1]
    return -u.log()


def uniform_like(input: Tensor, low: float, high: float, generator: Generator) -> Tensor:
    """Uniform random numbers in [low, high), of input's shape, dtype and device."""
    shape = tuple(input.shape)
    return _draw("uniform", shape, low, high, input.dtype, input.device, False, generator)


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


def _in_place(input: Tensor, values: Tensor) -> Tensor:
    return input.copy_(values)


@method("bernoulli")
def _bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that the element (or p) gives, else 0."""
    return bernoulli(input, p, generator=generator)


@method("bernoulli_")
def _bernoulli_(input: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fills the tensor with 1 with probability p (a number, or a tensor of them), else 0."""
    if isinstance(p, Tensor):
        return _in_place(input, bernoulli(p, generator=generator).expand(tuple(input.shape)))
    return _in_place(input, bernoulli(input, p, generator=generator))


@method("random_")
def _random_(
    input: Tensor,
    from_: int | None = None,
    to: int | None = None,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Fills the tensor with whole numbers in [from_, to), or in [0, from_).

    Without either: from 0 to the dtype's largest, or the largest below which a floating-point
    dtype has them all.
    """
    if to is None:
        from_, to = 0, from_
    if to is None:
        dtype = input._data.dtype
        if input.dtype.is_floating_point:
            to = 2 ** (np.finfo(dtype).nmant + 1 if dtype.kind == "f" else 8) + 1
        else:
            to = 2 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    shape = tuple(input._data.shape)
    return _in_place(input, _whole("random_", shape, from_, to, input.device, generator))


@method("exponential_")
def _exponential_(
    input: Tensor, lambd: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with numbers of density lambd * e^(-lambd * x), x > 0."""
    if not lambd > 0:
        raise RuntimeError(f"exponential_: lambd must be > 0; got {lambd}")
    shape = tuple(input._data.shape)
    u = _draw("uniform", shape, 1.0, 0.0, input.dtype, input.device, False, generator)  # (0, 1]
    return _in_place(input, u.log() * (-1.0 / lambd))


@method("log_normal_")
def _log_normal_(
    input: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with e to normal random numbers."""
    shape = tuple(input._data.shape)
    z = _draw("normal", shape, mean, std, input.dtype, input.device, False, generator)
    return _in_place(input, z.exp())
