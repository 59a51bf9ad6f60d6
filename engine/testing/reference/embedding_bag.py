"""embedding_bag: a loop over the bags."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["embedding_bag"]


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
    y = np.zeros((len(bags), weight.shape[1]))
    for b, (indices, scale) in enumerate(bags):
        kept = indices != padding if padding is not None else np.ones(len(indices), bool)
        if kept.any():
            rows = weight[indices[kept]] * scale[kept][:, None]
            y[b] = getattr(np, mode)(rows, axis=0)
    return y
