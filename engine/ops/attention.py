"""scaled_dot_product_attention."""

from __future__ import annotations

import math

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_
from ..random import default_generator
from ..tensor import Tensor
from .elementwise import log
from .operands import need_tensors

__all__ = ["scaled_dot_product_attention"]


@op(
    inputs="query key value mask?",
    kernel="attention_fwd",
    formula="y = softmax(scale * query key^T + mask) value",
    source="Vaswani et al. 2017; block by block: Dao et al. 2022, FlashAttention",
)
def attention_(k, query, key, value, mask, out_shape, rows_shape, causal, scale, p, seed, offset):
    options = (out_shape, rows_shape, causal, scale, p, seed, offset)
    y, log_sum = k.attention_fwd(query, key, value, mask, *options)
    return y, (query, key, value, mask, y, log_sum)


@attention_.gradient
def _(k, saved, grad_y, need, out_shape, rows_shape, causal, scale, p, seed, offset):
    query, key, value, mask, y, log_sum = saved
    mask_shape = tuple(mask.shape) if need[3] else (0,)
    options = (mask_shape, causal, scale, p, seed, offset)
    grads = k.attention_bwd(grad_y, query, key, value, mask, y, log_sum, *options)
    return grads if need[3] else (*grads[:3], None)


@op(
    inputs="grad_y query key value mask? y log_sum",
    kernel="attention_bwd",
    outputs=4,
    differentiable=4,
    formula="with P = softmax(s): grad_value = P^T grad_y, "
    "grad_s = P * (grad_y value^T - sum of grad_y y), grad_query = scale grad_s key, "
    "grad_key = scale grad_s^T query",
    source="Dao et al. 2022, FlashAttention",
)
def attention_bwd_(
    k, grad_y, query, key, value, mask, y, log_sum, mask_shape, causal, scale, p, seed, offset
):
    options = (mask_shape, causal, scale, p, seed, offset)
    return k.attention_bwd(grad_y, query, key, value, mask, y, log_sum, *options), ()


@attention_bwd_.gradient
def _(k, saved, grads, need, mask_shape, causal, scale, p, seed, offset):
    raise NotImplementedError("no second derivative of scaled_dot_product_attention yet")


# ---- the public function ----


def _got(**tensors: Tensor) -> str:
    """The shapes of the tensors, for a message."""
    return ", ".join(f"{n} {tuple(t.shape)}" for n, t in tensors.items())


def _batch(name: str, **tensors: Tensor) -> tuple[int, ...]:
    """The shape that the dims before the last two broadcast to."""
    shapes = [tuple(t.shape[:-2]) for t in tensors.values()]
    if all(s == shapes[0] for s in shapes):  # as nearly always
        return shapes[0]
    result = [1] * max(len(s) for s in shapes)
    for shape in shapes:
        for i, n in enumerate(shape, len(result) - len(shape)):
            if n != 1 and result[i] not in (1, n):
                raise RuntimeError(
                    f"{name}: the batch dims must match or broadcast; got {_got(**tensors)}"
                )
            result[i] = n if n != 1 else result[i]
    return tuple(result)


def _grouped(name: str, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
    """Keys and values seen by as many heads as the query has: views with stride 0."""
    tensors = {"query": query, "key": key, "value": value}
    if any(len(t.shape) < 3 for t in tensors.values()):
        raise RuntimeError(
            f"{name}: enable_gqa needs a dim of heads, (.., H, L, E); got {_got(**tensors)}"
        )
    heads, groups = query.shape[-3], key.shape[-3]
    if key.shape[-3] != value.shape[-3] or not groups or heads % groups:
        raise RuntimeError(
            f"{name}: enable_gqa needs as many heads of key as of value, that divide the query's; "
            f"got {heads}, {groups}, {value.shape[-3]}"
        )
    each = heads // groups
    query = query.reshape((*query.shape[:-3], groups, each, *query.shape[-2:]))
    return query, key.unsqueeze(-3), value.unsqueeze(-3)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention: each query's mean of the values, weighted by how well their keys fit.

    The scores are made, used and forgotten block by block: memory grows with L + S, not with L * S.

    Formula: y = dropout(softmax(scale * query @ key^T + mask)) @ value

    Shape: query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V); the dims before
    the last two broadcast

    Args:
        attn_mask: broadcasts to (..., L, S); bool: True where a query sees a key; else it is added
            to the scores.
        dropout_p: the probability of dropping a weight, whether in training or not.
        is_causal: query i sees keys 0 to i, besides what attn_mask says.
        scale: default: 1 / sqrt(E).
        enable_gqa: key and value may have fewer heads (dim -3), each for several of the query's.

    A query that sees no key gives zeros. There is no second derivative yet.

    Raises:
        RuntimeError: shapes, dtypes or a dropout_p that do not fit.

    Source: Vaswani et al. 2017; Dao et al. 2022 (blocks).
    """
    name = "scaled_dot_product_attention"
    tensors = {"query": query, "key": key, "value": value}
    need_tensors(name, **tensors, **({} if attn_mask is None else {"attn_mask": attn_mask}))
    wide, seen, given = query.shape, key.shape, value.shape
    rule = ""
    if min(len(wide), len(seen), len(given)) < 2:
        rule = "query, key and value must be at least 2-D"
    elif wide[-1] != seen[-1]:
        rule = "query and key must have one last dim"
    elif seen[-2] != given[-2]:
        rule = "key and value must have one dim -2"
    if rule:
        raise RuntimeError(f"{name}: {rule}; got {_got(**tensors)}")
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"{name}: dropout_p must be in [0, 1]; got {dropout_p}")
    heads = wide[-3] if len(wide) > 2 else 1
    if enable_gqa:
        query, key, value = _grouped(name, query, key, value)
    batch = _batch(name, query=query, key=key, value=value)
    rows, columns, width = wide[-2], seen[-2], given[-1]
    query, key, value = (
        t if tuple(t.shape[:-2]) == batch else t.expand((*batch, *t.shape[-2:]))
        for t in (query, key, value)
    )
    mask = attn_mask
    if mask is not None:
        whole = (*batch[:-2], heads, rows, columns) if enable_gqa else (*batch, rows, columns)
        shape = tuple(mask.shape)
        fits = len(shape) <= len(whole) and all(
            n in (1, m) for n, m in zip(shape[::-1], whole[::-1], strict=False)
        )
        if not fits:
            raise RuntimeError(
                f"{name}: attn_mask must broadcast to {whole}; got {shape} with {_got(**tensors)}"
            )
        if mask.dtype is bool_:
            mask = log(mask.to(query.dtype))  # 0 where a key is seen, else -inf
        elif mask.dtype is not query.dtype:
            mask = mask.to(query.dtype)
        mask = mask.expand(whole)
        if enable_gqa:
            mask = mask.reshape((*batch, rows, columns))
    seed, offset = 0, 0
    if dropout_p > 0:
        drawn = math.prod(batch) * columns * (rows + 3)
        seed, offset = default_generator.reserve(drawn)
    if scale is None:
        scale = 1.0 / math.sqrt(wide[-1]) if wide[-1] else 1.0
    options = ((*batch, rows, width), (*batch, rows), bool(is_causal), float(scale))
    options = (*options, float(dropout_p), seed, offset)
    y = apply(attention_, (query, key, value, mask), options)
    return y.reshape((*batch[:-2], heads, rows, width)) if enable_gqa else y
