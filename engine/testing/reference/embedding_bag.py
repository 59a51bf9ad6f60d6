"""embedding_bag: a loop over the bags."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bag_dot", "bag_sum_bwd", "embedding_bag"]


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    mode: str = "mean",
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
    scale_grad_by_freq: bool = False,
) -> Any:
    """The sum, mean or maximum of each bag's rows, those of padding_idx left out."""
    factors = np.ones(input.shape) if per_sample_weights is None else per_sample_weights
    if input.ndim == 2:
        bags = list(zip(input, factors, strict=True))
    else:
        ends = list(offsets) if include_last_offset else [*offsets, len(input)]
        spans = [slice(a, b) for a, b in zip(ends, ends[1:], strict=False)]
        bags = [(input[s], factors[s]) for s in spans]
    padding = None if padding_idx is None else padding_idx % len(weight)
    y = np.zeros((len(bags), weight.shape[1]), np.result_type(weight, np.float64))
    for b, (indices, scale) in enumerate(bags):
        kept = indices != padding if padding is not None else np.ones(len(indices), bool)
        if kept.any():
            rows = weight[indices[kept]] * scale[kept][:, None]
            y[b] = getattr(np, mode)(rows, axis=0)
    return y


def bag_sum_bwd(
    grad_y: Any, index: Any, offsets: Any, factor: Any, skip: int, mean: bool, weight_shape: Any
) -> Any:
    """Zeros, with each bag's row of grad_y added to the rows that it names, one by one."""
    grad = np.zeros(weight_shape)
    for b, row in enumerate(grad_y):
        places = [j for j in range(offsets[b], offsets[b + 1]) if index[j] != skip]
        for j in places:
            scale = (1 if factor is None else factor[j]) / (len(places) if mean else 1)
            grad[index[j]] += row * scale
    return grad


def bag_dot(grad_y: Any, weight: Any, index: Any, offsets: Any, skip: int, out_shape: Any) -> Any:
    """The dot product of each named row with its bag's; 0 outside of bags, or where skipped."""
    y = np.zeros(out_shape)
    for b, row in enumerate(grad_y):
        for j in range(offsets[b], offsets[b + 1]):
            if index[j] != skip:
                y[j] = row @ weight[index[j]]
    return y
