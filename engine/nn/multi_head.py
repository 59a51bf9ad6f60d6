"""Attention of several heads as functions: what the module and the function of nn.functional do."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import bool_
from ..ops.attention import scaled_dot_product_attention
from ..ops.creation import zeros
from ..ops.matmul import linear, matmul
from ..ops.operands import own_errors
from ..ops.random import dropout as drop_out
from ..ops.softmax import softmax
from ..ops.view import cat
from ..tensor import Tensor

__all__ = ["multi_head_attention_forward"]


def projected(
    inputs: tuple[Tensor, Tensor, Tensor],
    whole: Tensor | None,
    separate: tuple[Any, Any, Any],
    bias: Tensor | None,
) -> list[Tensor]:
    """query W_q^T + b_q, and so on; in one product where the inputs are one.

    whole has the three weights behind one another; None: they are separate.
    """
    query, key, value = inputs
    n = query.shape[-1]
    if whole is not None and query is key and key is value:
        y = linear(query, whole, bias)
        return [y[..., i * n : (i + 1) * n] for i in range(3)]
    biases = [None if bias is None else bias[i * n : (i + 1) * n] for i in range(3)]
    weights = separate
    if whole is not None and key is value:
        q = linear(query, whole[:n], biases[0])
        kv = linear(key, whole[n:], None if bias is None else bias[n:])
        return [q, kv[..., :n], kv[..., n:]]
    if whole is not None:
        weights = tuple([whole[i * n : (i + 1) * n] for i in range(3)])
    return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]


def heads(x: Any, count: int, batch_first: bool) -> Tensor:
    """(N, count, rows, width): a view."""
    x = x.reshape((*x.shape[:2], count, x.shape[-1] // count))
    return x.permute(0, 2, 1, 3) if batch_first else x.permute(1, 2, 0, 3)


def joined(y: Any, batch_first: bool) -> Tensor:
    """The heads' features behind one another: the inverse of heads."""
    y = y.permute(*((0, 2, 1, 3) if batch_first else (2, 0, 1, 3)))
    return y.reshape((*y.shape[:2], y.shape[2] * y.shape[3]))


def attended(
    q: Any,
    k: Any,
    v: Any,
    *,
    added: tuple[Any, Any] = (None, None),
    add_zero_attn: bool,
    dropout: float,
    key_padding_mask: Tensor | None,
    need_weights: bool,
    attn_mask: Tensor | None,
    average: bool,
    is_causal: bool,
) -> tuple[Tensor, Tensor | None]:
    """What the heads see (N, heads, L, width), and the weights if they are needed."""
    if is_causal and attn_mask is None:
        raise RuntimeError("MultiheadAttention: is_causal is a hint; attn_mask is needed too")
    hinted = is_causal and key_padding_mask is None and not need_weights
    batch, _, rows, width = q.shape
    keys = k.shape[2]
    mask: Any = None if hinted else _mask(attn_mask, q, keys)
    padding: Any = added_mask("key_padding_mask", key_padding_mask, q)
    if padding is not None:
        if tuple(padding.shape) != (batch, keys):
            raise RuntimeError(
                f"MultiheadAttention: key_padding_mask must have shape {(batch, keys)}; "
                f"got {tuple(padding.shape)}"
            )
        padding = padding.reshape((batch, 1, 1, keys))
        mask = padding if mask is None else mask + padding
    k, v, mask = _extended(k, v, mask, added, add_zero_attn)
    if not need_weights:
        return scaled_dot_product_attention(q, k, v, mask, dropout, hinted), None
    scores: Any = matmul(q * math.sqrt(1.0 / width), k.transpose(-1, -2))
    if mask is not None:
        scores = scores + mask
    weights: Any = drop_out(softmax(scores, -1), dropout, dropout > 0)
    return matmul(weights, v), weights.mean(1) if average else weights


def _mask(mask: Any, q: Any, keys: int) -> Tensor | None:
    """attn_mask, added to the scores (N, heads, L, S)."""
    mask = added_mask("attn_mask", mask, q)
    if mask is None:
        return None
    batch, count, rows, _ = q.shape
    shape = tuple(mask.shape)
    if shape == (rows, keys):
        return mask
    if shape != (batch * count, rows, keys):
        raise RuntimeError(
            f"MultiheadAttention: attn_mask must have shape {(rows, keys)} or "
            f"{(batch * count, rows, keys)}; got {shape}"
        )
    return mask.reshape((batch, count, rows, keys))


def _extended(
    k: Any, v: Any, mask: Any, added: tuple[Any, Any], add_zero_attn: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys and values with the learned one and the one of zeros behind them, and their mask."""
    batch, count, _, width = k.shape
    more: list[list[Tensor]] = [[], []]
    if added[0] is not None and added[1] is not None:
        for parts, one in zip(more, added, strict=True):
            parts.append(one.reshape((1, count, 1, width)).expand((batch, count, 1, width)))
    if add_zero_attn:
        for parts in more:
            parts.append(zeros((batch, count, 1, width), dtype=k.dtype, device=k.device))
    if not more[0]:
        return k, v, mask
    if mask is not None:
        shape = (*mask.shape[:-1], len(more[0]))
        mask = cat([mask, zeros(shape, dtype=mask.dtype, device=mask.device)], -1)
    return cat([k, *more[0]], 2), cat([v, *more[1]], 2), mask


def added_mask(name: str, mask: Any, like: Tensor) -> Tensor | None:
    """A mask to add to the scores: -inf where a bool one is True."""
    if mask is None:
        return None
    if mask.dtype is bool_:
        nothing: Any = zeros(tuple(mask.shape), dtype=like.dtype, device=like.device)
        return nothing.masked_fill(mask, -math.inf)
    if not mask.dtype.is_floating_point:
        raise AssertionError(
            f"MultiheadAttention: {name} must be bool or floating-point; got {mask.dtype.name}"
        )
    return mask if mask.dtype is like.dtype else mask.to(like.dtype)


def _static(name: str, given: Any, made: Any) -> Tensor:
    """Keys or values that are given, (N * heads, S, width), or those that were made."""
    if given is None:
        return made
    batch, count, _, width = made.shape
    shape = tuple(given.shape)
    if len(shape) != 3 or shape[0] != batch * count or shape[2] != width:
        raise AssertionError(
            f"multi_head_attention_forward: {name} must have shape ({batch * count}, S, {width}); "
            f"got {shape}"
        )
    return given.reshape((batch, count, shape[1], width))


@own_errors
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads with given projections; nn.MultiheadAttention as a function.

    Shape: query (L, N, E), key (S, N, kdim), value (S, N, vdim), or all without N -> y as query,
    and weights (N, L, S), (N, num_heads, L, S) where they are not averaged

    Args:
        embed_dim_to_check: what E must be.
        num_heads: how many heads.
        in_proj_weight: (3 E, E), the weights of query, key and value behind one another.
        in_proj_bias: (3 E,).
        bias_k, bias_v: (1, 1, E), a learned key and value behind the others.
        add_zero_attn: whether a key and value of zeros are added.
        dropout_p: the probability of dropping a weight, in training.
        out_proj_weight, out_proj_bias: of the result.
        training: whether weights are dropped.
        key_padding_mask: (N, S) or (S,); bool: True where a key is ignored; else it is added.
        need_weights: whether the weights are returned, which then all stand in memory.
        attn_mask: (L, S) or (N * num_heads, L, S); bool: True where a key is not seen.
        use_separate_proj_weight: whether q_proj_weight, k_proj_weight and v_proj_weight are taken.
        static_k, static_v: (N * num_heads, S, E / num_heads), in place of projected keys or values.
        average_attn_weights: whether the weights are their mean over the heads.
        is_causal: a hint that attn_mask is causal; it must be given too.

    Raises:
        AssertionError: sizes that do not fit.
        RuntimeError: masks that do not.

    Source: Vaswani et al. 2017.
    """
    name = "multi_head_attention_forward"
    ndims = {t.ndim for t in (query, key, value)}
    if ndims not in ({2}, {3}):
        raise AssertionError(f"{name}: query, key and value must be 2-D, or all 3-D; got {ndims}")
    features = query.shape[-1]
    if features != embed_dim_to_check or features % num_heads:
        raise AssertionError(
            f"{name}: query's last dim must be embed_dim_to_check, and divisible by num_heads; "
            f"got {features}, {embed_dim_to_check}, num_heads={num_heads}"
        )
    if key.shape[:-1] != value.shape[:-1]:
        raise AssertionError(
            f"{name}: key and value must match but in the last dim; got {tuple(key.shape)}, "
            f"{tuple(value.shape)}"
        )
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    whole = None if use_separate_proj_weight else in_proj_weight
    if whole is None and any(w is None for w in separate):
        raise AssertionError(
            f"{name}: in_proj_weight, or all three separate weights, must be given"
        )
    alone = ndims == {2}
    inputs: Any = (query, key, value)
    if alone:
        same = (key is query, value is key)
        q: Any = query.unsqueeze(1)  # type: ignore[attr-defined]
        k = q if same[0] else key.unsqueeze(1)  # type: ignore[attr-defined]
        inputs = (q, k, k if same[1] else value.unsqueeze(1))  # type: ignore[attr-defined]
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)  # type: ignore[attr-defined]
    parts = [heads(t, num_heads, False) for t in projected(inputs, whole, separate, in_proj_bias)]
    y, weights = attended(
        parts[0],
        _static("static_k", static_k, parts[1]),
        _static("static_v", static_v, parts[2]),
        added=(bias_k, bias_v),
        add_zero_attn=add_zero_attn,
        dropout=dropout_p if training else 0.0,
        key_padding_mask=key_padding_mask,
        need_weights=need_weights,
        attn_mask=attn_mask,
        average=average_attn_weights,
        is_causal=is_causal,
    )
    result: Any = linear(joined(y, False), out_proj_weight, out_proj_bias)
    if alone:
        result = result.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)  # type: ignore[attr-defined]
    return result, weights
