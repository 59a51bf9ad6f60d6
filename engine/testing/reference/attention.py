"""Attention, with all scores in one array."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["attention_bwd", "scaled_dot_product_attention"]


def _scores(query: Any, key: Any, mask: Any, causal: bool, scale: float) -> Any:
    """scale query key^T + mask; -inf where a key is not seen."""
    with np.errstate(all="ignore"):
        scores = scale * (query @ np.swapaxes(key, -1, -2))
        if mask is not None:
            scores = scores + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask)
    if causal:
        seen = np.tril(np.ones(scores.shape[-2:], bool))
        scores = np.where(seen, scores, -np.inf)
    return scores


def _softmax(scores: Any) -> Any:
    """Along the last dim; zeros where all is -inf."""
    with np.errstate(all="ignore"):
        most = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(most == -np.inf, 0.0, most))
        total = weights.sum(-1, keepdims=True)
        return np.where(total == 0, 0.0, weights / total)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(scale query key^T + mask) value."""
    if enable_gqa:
        each = query.shape[-3] // key.shape[-3]
        key, value = np.repeat(key, each, -3), np.repeat(value, each, -3)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return _softmax(_scores(query, key, attn_mask, is_causal, factor)) @ value


def attention_bwd(
    grad_y: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    y: Any,
    log_sum: Any,
    mask_shape: Any,
    causal: bool,
    scale: float,
    p: float,
    seed: int,
    offset: int,
) -> Any:
    """(grad_query, grad_key, grad_value, grad_mask), without dropout."""
    weights = np.exp(_scores(query, key, mask, causal, scale) - log_sum[..., None])
    delta = (grad_y * y).sum(-1, keepdims=True)
    grad_s = weights * (grad_y @ np.swapaxes(value, -1, -2) - delta)
    return (
        scale * (grad_s @ key),
        scale * (np.swapaxes(grad_s, -1, -2) @ query),
        np.swapaxes(weights, -1, -2) @ grad_y,
        grad_s if mask_shape != (0,) else np.zeros(0),
    )
