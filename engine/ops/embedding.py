"""Classes as vectors: one_hot, embedding."""

from __future__ import annotations

from ..autograd.dispatch import apply
from ..autograd.grad_mode import no_grad
from ..autograd.op import op
from ..dtype import int64
from ..tensor import Tensor
from . import creation, shapes
from .index import index_select, index_tensor, put_, scatter
from .norm import lengths
from .operands import need_tensors, own_errors

__all__ = ["embedding", "one_hot"]


@op(inputs="weight index", formula="y = weight[index]")
def embedding_(k, weight, index, padding_idx, by_frequency):
    out_shape = (*index.shape, weight.shape[1])
    share = None
    if by_frequency:
        ones = k.full(index.shape, 1.0, weight.dtype)
        counts = k.index_sum(ones, index, 0, -1, (weight.shape[0],))
        share = k.reshape(k.take(counts, index, 0, -1, index.shape), (*index.shape, 1))
    return k.take(weight, index, 0, -1, out_shape), (index, share, tuple(weight.shape))


@embedding_.gradient
def _(k, saved, grad_y, need, padding_idx, by_frequency):
    index, share, shape = saved
    grad = grad_y if share is None else k.div(grad_y, share)
    return k.index_sum(grad, index, 0, padding_idx, shape), None


@own_errors
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Each class as a row of zeros with a 1 at its place.

    Shape: (*) int64 -> (*, num_classes) int64

    Args:
        num_classes: how many there are; -1: one more than the largest.

    Raises:
        TypeError: classes that are not integers.
        IndexError: a class that is negative or not below num_classes.
        RuntimeError: no classes to count.
    """
    index = index_tensor("one_hot", tensor, "tensor")
    shape = tuple(index._data.shape)
    count = shapes._index("one_hot", "num_classes", num_classes)
    if count == -1:
        if not index._data.size:
            raise RuntimeError("one_hot: num_classes must be given for an empty tensor; got -1")
        count = int(index.double().max().item()) + 1
    if count < 1:
        raise RuntimeError(f"one_hot: num_classes must be positive, or -1; got {num_classes}")
    zeros = creation.zeros(*shape, count, dtype=int64, device=index.device)
    return scatter(zeros, -1, index.reshape((*shape, 1)), 1)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight that input names.

    Shape: (*) -> (*, D); weight: (V, D)

    Args:
        padding_idx: the row that gets no gradient; negative ones count from the end.
        max_norm: rows of input with a larger norm are scaled down to it first, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide gradients by how often their row is named.
        sparse: accepted; the gradient is dense.

    Raises:
        TypeError: indices that are not integers.
        IndexError: an index out of range.
        RuntimeError: a weight that has not two dims.
        ValueError: padding_idx out of range.
    """
    need_tensors("embedding", weight=weight)
    index = index_tensor("embedding", input, "input")
    if len(weight._data.shape) != 2:
        raise RuntimeError(
            f"embedding: weight must have 2 dims; got shape {tuple(weight._data.shape)}"
        )
    rows = weight._data.shape[0]
    skip = -1
    if padding_idx is not None:
        skip = shapes._index("embedding", "padding_idx", padding_idx)
        if not -rows <= skip < rows:
            raise ValueError(
                f"embedding: padding_idx must be in [{-rows}, {rows}); got {padding_idx}"
            )
        skip += rows if skip < 0 else 0
    if max_norm is not None:
        _limit_norms(weight, index, float(max_norm), norm_type)
    return apply(embedding_, (weight, index), (skip, bool(scale_grad_by_freq)))


def _limit_norms(weight: Tensor, index: Tensor, limit: float, p: float) -> None:
    """Scales the named rows of weight to at most this norm, in place."""
    with no_grad():
        flat = index.reshape(-1)
        rows = index_select(weight, 0, flat)
        norms = lengths(rows, float(p), 1, 0.0)
        scale = (limit / (norms + 1e-7)).clamp(max=1.0)
        weight.copy_(apply(put_, (weight, rows * scale, flat), (0,)))
