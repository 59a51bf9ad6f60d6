"""embedding_bag: sums, means and maxima of bags of rows."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import float32, float64
from ..tensor import Tensor
from . import creation, ranges, shapes
from .embedding import _limit_norms, embedding_
from .index import index_sum_, index_tensor, take_
from .operands import need_tensors, own_errors
from .pad import pad_constant_

__all__ = ["embedding_bag"]

_MODES = ("sum", "mean", "max")


@op(
    inputs="weight index offsets factor?",
    kernel="bag_sum",
    formula="y[b] = sum or mean over bag b of factor[j] weight[index[j]]",
)
def bag_sum_(k, weight, index, offsets, factor, skip, mean, out_shape):
    y = k.bag_sum(weight, index, offsets, factor, skip, mean, out_shape)
    return y, (weight, index, offsets, factor)


@bag_sum_.gradient
def _(k, saved, grad_y, need, skip, mean, out_shape):
    weight, index, offsets, factor = saved
    shape = tuple(weight.shape)
    return (
        k.bag_sum_bwd(grad_y, index, offsets, factor, skip, mean, shape) if need[0] else None,
        None,
        None,
        k.bag_dot(grad_y, weight, index, offsets, skip, index.shape) if need[3] else None,
    )


@op(
    inputs="grad_y index offsets factor?",
    kernel="bag_sum_bwd",
    formula="grad_weight[v] = sum over index[j] = v of factor[j] grad_y[b]",
)
def bag_sum_bwd_(k, grad_y, index, offsets, factor, skip, mean, weight_shape):
    y = k.bag_sum_bwd(grad_y, index, offsets, factor, skip, mean, weight_shape)
    return y, (grad_y, index, offsets, factor)


@bag_sum_bwd_.gradient
def _(k, saved, grad, need, skip, mean, weight_shape):
    grad_y, index, offsets, factor = saved
    shape = tuple(grad_y.shape)
    return (
        k.bag_sum(grad, index, offsets, factor, skip, mean, shape) if need[0] else None,
        None,
        None,
        k.bag_dot(grad_y, grad, index, offsets, skip, index.shape) if need[3] else None,
    )


@op(
    inputs="grad_y weight index offsets",
    kernel="bag_dot",
    formula="y[j] = grad_y[b] . weight[index[j]] for j of bag b",
)
def bag_dot_(k, grad_y, weight, index, offsets, skip, out_shape):
    return k.bag_dot(grad_y, weight, index, offsets, skip, out_shape), (
        *(grad_y, weight),
        *(index, offsets),
    )


@bag_dot_.gradient
def _(k, saved, grad, need, skip, out_shape):
    grad_y, weight, index, offsets = saved
    per_bag, rows = tuple(grad_y.shape), tuple(weight.shape)
    return (
        k.bag_sum(weight, index, offsets, grad, skip, False, per_bag) if need[0] else None,
        k.bag_sum_bwd(grad_y, index, offsets, grad, skip, False, rows) if need[1] else None,
        None,
        None,
    )


@own_errors
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of weight that each bag of input names.

    Shape: input (B, N): B bags of N; or (n,) with offsets (B,), where each bag begins -> (B, D);
    weight: (V, D)

    Args:
        offsets: for a 1-D input, the first of them 0. They are read on the host.
        max_norm: rows of input with a larger norm are scaled down to it first, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide gradients by how often their row is named.
        mode: 'sum', 'mean' or 'max'; an empty bag gives zeros.
        sparse: accepted; the gradient is dense.
        per_sample_weights: of input's shape, a factor of each row (mode 'sum').
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: the row that takes no part; negative ones count from the end.

    Raises:
        TypeError: indices that are not integers.
        IndexError: an index out of range.
        ValueError: options or shapes that do not go together.
        NotImplementedError: per_sample_weights with another mode than 'sum'.
        RuntimeError: offsets that do not begin with 0, or go beyond the input.
    """
    need_tensors("embedding_bag", weight=weight)
    index = index_tensor("embedding_bag", input, "input")
    if mode not in _MODES:
        raise ValueError(f"embedding_bag: mode must be 'sum', 'mean' or 'max'; got {mode!r}")
    shape = tuple(index._data.shape)
    if per_sample_weights is not None:
        need_tensors("embedding_bag", per_sample_weights=per_sample_weights)
        if mode != "sum":
            raise NotImplementedError(
                f"embedding_bag: per_sample_weights needs mode='sum'; got mode={mode!r}"
            )
        if tuple(per_sample_weights._data.shape) != shape:
            raise ValueError(
                "embedding_bag: per_sample_weights must have input's shape; "
                f"got {tuple(per_sample_weights.shape)}, input {shape}"
            )
    if scale_grad_by_freq and mode == "max":
        raise RuntimeError("embedding_bag: scale_grad_by_freq does not go with mode='max'")
    if len(weight._data.shape) != 2:
        raise RuntimeError(f"embedding_bag: weight must have 2 dims; got {tuple(weight.shape)}")
    fused = mode != "max" and not scale_grad_by_freq and weight.dtype in (float32, float64)
    edges = _edges(shape, offsets, include_last_offset, weight.device) if fused else None
    sizes = _bags(shape, offsets, include_last_offset) if edges is None else []
    rows, width = weight._data.shape
    skip = -1
    if padding_idx is not None:
        skip = shapes._index("embedding_bag", "padding_idx", padding_idx)
        if not -rows <= skip < rows:
            raise ValueError(
                f"embedding_bag: padding_idx must be in [{-rows}, {rows}); got {padding_idx}"
            )
        skip += rows if skip < 0 else 0
    flat = index.reshape((-1,)) if len(shape) == 2 else index
    if max_norm is not None:
        _limit_norms(weight, flat, float(max_norm), norm_type)
    n = flat.numel()
    if edges is not None:
        factor = per_sample_weights
        factor = factor.reshape((n,)) if factor is not None and len(shape) == 2 else factor
        options = (skip, mode == "mean", (edges._data.shape[0] - 1, width))
        try:
            return apply(bag_sum_, (weight, flat, edges, factor), options)
        except (RuntimeError, IndexError):
            _bags(shape, offsets, include_last_offset)  # words what is wrong with the offsets
            raise
    if n == 0:
        return weight[:0].sum() + creation.zeros(
            len(sizes), width, dtype=weight.dtype, device=weight.device
        )
    kept = None  # 1 for a row that takes part
    if skip >= 0:
        kept = (flat != skip).to(weight.dtype)
    if scale_grad_by_freq:
        taken = apply(embedding_, (weight, flat), (skip, True))
        taken = taken if kept is None else taken * kept.reshape((n, 1))
    else:
        taken = apply(take_, (weight, flat), (0, skip, (n, width)))
    if mode == "max":
        return _maxima(taken, flat, sizes, skip)
    if per_sample_weights is not None:
        taken = taken * per_sample_weights.reshape((n, 1))
    even = n == len(sizes) * sizes[0] and min(sizes) == max(sizes)  # then bags are rows of a table
    bags = None if even else _bag_of_each(sizes, weight.device)
    total = _sums(taken, sizes, bags)
    if mode == "sum":
        return total
    if kept is None:
        counts = creation.tensor(
            [float(max(s, 1)) for s in sizes], dtype=weight.dtype, device=weight.device
        )
    else:
        counts = _sums(kept.reshape((n, 1)), sizes, bags).clamp(min=1.0)
    return total / counts.reshape((len(sizes), 1))


def _edges(
    shape: tuple[int, ...], offsets: Tensor | None, last: bool, device: Any
) -> Tensor | None:
    """Where each bag begins, and where the last one ends; None: _bags says what is wrong."""
    if len(shape) == 2:
        if offsets is not None:
            return None
        n = shape[1]
        if not n:
            return creation.zeros(shape[0] + 1, dtype=creation.int64, device=device)
        return ranges.arange(0, shape[0] * n + 1, n, device=device)
    if len(shape) != 1 or offsets is None:
        return None
    begins = index_tensor("embedding_bag", offsets, "offsets")
    if len(begins._data.shape) != 1 or not begins._data.shape[0]:
        return None
    if last:
        return begins
    return apply(pad_constant_, (begins,), ((0,), float(shape[0]), (begins._data.shape[0] + 1,)))


def _bags(shape: tuple[int, ...], offsets: Tensor | None, last: bool) -> list[int]:
    """How many rows each bag has."""
    if len(shape) == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: a 2-D input has its bags as rows; got offsets too")
        return [shape[1]] * shape[0]
    if len(shape) != 1:
        raise ValueError(f"embedding_bag: input must be (n,) or (B, N); got {shape}")
    if offsets is None:
        raise ValueError("embedding_bag: offsets must be given for a 1-D input")
    places = index_tensor("embedding_bag", offsets, "offsets")
    if len(places._data.shape) != 1:
        raise ValueError(f"embedding_bag: offsets must be 1-D; got {tuple(offsets.shape)}")
    begins = [int(i) for i in places.tolist()]
    if last and not begins:
        raise RuntimeError("embedding_bag: include_last_offset needs an offset; got none")
    if begins and begins[0] != 0:
        raise RuntimeError(f"embedding_bag: offsets must begin with 0; got {begins[0]}")
    ends = begins[1:] if last else [*begins[1:], shape[0]]
    if last:
        begins = begins[:-1]
    sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
    if any(s < 0 for s in sizes) or sum(sizes) > shape[0]:
        raise RuntimeError(
            f"embedding_bag: offsets must not decrease, nor go beyond the input of {shape[0]}; "
            f"got {begins[:8]}"
        )
    return sizes


def _bag_of_each(sizes: list[int], device: Any) -> Tensor:
    bags = [b for b, size in enumerate(sizes) for _ in range(size)]
    return creation.as_tensor(creation.tensor(bags, dtype=creation.int64, device=device))


def _sums(rows: Tensor, sizes: list[int], bags: Tensor | None) -> Tensor:
    """The sum of each bag's rows."""
    width = rows._data.shape[1]
    if bags is None:
        return rows.reshape((len(sizes), sizes[0], width)).sum(1)
    used = bags._data.shape[0]
    rows = rows if used == rows._data.shape[0] else rows[:used]
    return apply(index_sum_, (rows, bags), (0, -1, (len(sizes), width)))


def _maxima(rows: Tensor, flat: Tensor, sizes: list[int], skip: int) -> Tensor:
    """The maximum of each bag, of the first where several are equal; zeros where it is empty."""
    names = flat.tolist() if skip >= 0 else []
    bags: list[list[int]] = []
    begin = 0
    for size in sizes:
        bags.append([i for i in range(begin, begin + size) if skip < 0 or names[i] != skip])
        begin += size
    longest = max([len(bag) for bag in bags], default=0)
    width = rows._data.shape[1]
    if longest == 0:
        return rows[:0].sum() + creation.zeros(
            len(sizes), width, dtype=rows.dtype, device=rows.device
        )
    # Shorter bags repeat their last row, which never comes first.
    places = [i for bag in bags for i in (bag + bag[-1:] * longest)[:longest] or [0] * longest]
    chosen = creation.tensor(places, dtype=creation.int64, device=rows.device)
    table = apply(take_, (rows, chosen), (0, -1, (len(places), width)))
    maxima = table.reshape((len(sizes), longest, width)).max(1)[0]
    if all(bags):
        return maxima
    there = [1.0 if bag else 0.0 for bag in bags]
    mask = creation.tensor(there, dtype=rows.dtype, device=rows.device)
    return maxima * mask.reshape((len(sizes), 1))
