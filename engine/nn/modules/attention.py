"""Attention with learned projections."""

from __future__ import annotations

import math
from typing import Any

from ...dtype import bool_
from ...ops.creation import empty, zeros
from ...ops.matmul import matmul
from ...ops.view import cat
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module
from .matmul import Linear

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that PyTorch prints for the projection of the result."""


class MultiheadAttention(Module):
    """Attention of several heads, each on its own projection of query, key and value.

    Formula: y = concat(head_1, ..) W_o^T + b_o, head_h = attention(query W_q^T, key W_k^T, value
    W_v^T) of the h-th part of the features

    Shape: query (L, N, E), key (S, N, kdim), value (S, N, vdim), the batch first with batch_first,
    or all without N -> y as query, and weights (N, L, S), (N, num_heads, L, S) where they are not
    averaged

    Args:
        embed_dim: E, a multiple of num_heads.
        num_heads: how many heads.
        dropout: the probability of dropping a weight, in training.
        bias: whether the projections have a bias.
        add_bias_kv: whether a learned key and value are added.
        add_zero_attn: whether a key and value of zeros are added.
        kdim, vdim: the features of key and value; default: embed_dim.
        batch_first: whether the batch is dim 0.
        device, dtype: of the parameters; default: the default ones.

    Without weights (need_weights=False) no array of all scores is made, and a query that sees no
    key gives zeros; with them it gives NaN, as in PyTorch.

    Raises:
        ValueError, AssertionError: sizes that do not fit.

    Source: Vaswani et al. 2017.
    """

    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "MultiheadAttention: embed_dim and num_heads must be positive; got "
                f"embed_dim={embed_dim}, num_heads={num_heads}"
            )
        if embed_dim % num_heads:
            raise AssertionError(
                "MultiheadAttention: embed_dim must be divisible by num_heads; got "
                f"embed_dim={embed_dim}, num_heads={num_heads}"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        options = {"device": device, "dtype": dtype}

        def parameter(name: str, *shape: int, wanted: bool = True) -> None:
            self.register_parameter(name, Parameter(empty(shape, **options)) if wanted else None)

        same = self._qkv_same_embed_dim
        parameter("q_proj_weight", embed_dim, embed_dim, wanted=not same)
        parameter("k_proj_weight", embed_dim, self.kdim, wanted=not same)
        parameter("v_proj_weight", embed_dim, self.vdim, wanted=not same)
        parameter("in_proj_weight", 3 * embed_dim, embed_dim, wanted=same)
        parameter("in_proj_bias", 3 * embed_dim, wanted=bias)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, **options)
        parameter("bias_k", 1, 1, embed_dim, wanted=add_bias_kv)
        parameter("bias_v", 1, 1, embed_dim, wanted=add_bias_kv)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Weights by xavier_uniform_, biases 0, the added key and value by xavier_normal_."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            weight = getattr(self, name)
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)  # type: ignore[arg-type]
        for added in (self.bias_k, self.bias_v):
            if added is not None:
                init.xavier_normal_(added)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """(y, weights).

        Args:
            key_padding_mask: (N, S) or (S,); bool: True where a key is ignored; else it is added.
            need_weights: whether the weights are returned, which then all stand in memory.
            attn_mask: (L, S) or (N * num_heads, L, S); bool: True where a key is not seen.
            average_attn_weights: whether the weights are their mean over the heads.
            is_causal: a hint that attn_mask is causal; it must be given too.
        """
        alone = self._checked(query, key, value, key_padding_mask)
        batch_dim = 0 if self.batch_first else 1
        if alone:
            same_kv, same_qk = key is value, query is key
            query = query.unsqueeze(batch_dim)
            key = query if same_qk else key.unsqueeze(batch_dim)
            value = key if same_kv else value.unsqueeze(batch_dim)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        if is_causal and attn_mask is None:
            raise RuntimeError("MultiheadAttention: is_causal is a hint; attn_mask is needed too")
        hinted = is_causal and key_padding_mask is None and not need_weights
        q, k, v = (self._heads(t) for t in self._projected(query, key, value))
        batch, _, rows, _ = q.shape
        mask = None if hinted else self._mask(attn_mask, batch, rows, k.shape[2], q)
        padding = added_mask("key_padding_mask", key_padding_mask, q)
        if padding is not None:
            if tuple(padding.shape) != (batch, k.shape[2]):
                raise RuntimeError(
                    f"MultiheadAttention: key_padding_mask must have shape {(batch, k.shape[2])}; "
                    f"got {tuple(padding.shape)}"
                )
            padding = padding.reshape((batch, 1, 1, k.shape[2]))
            mask = padding if mask is None else mask + padding
        k, v, mask = self._extended(k, v, mask)
        drop = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = matmul(q * math.sqrt(1.0 / self.head_dim), k.transpose(-1, -2))
            if mask is not None:
                scores = scores + mask
            weights = F.dropout(F.softmax(scores, -1), drop, drop > 0)
            y = matmul(weights, v)
            if average_attn_weights:
                weights = weights.mean(1)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, drop, hinted)
        order = (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        y = y.permute(*order)
        y = self.out_proj(y.reshape((*y.shape[:2], self.embed_dim)))
        if alone:
            y = y.squeeze(batch_dim)
            weights = None if weights is None else weights.squeeze(0)
        return y, weights

    def _checked(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> bool:
        """Raises unless the inputs fit together; whether they have no batch."""
        shapes = [tuple(t.shape) for t in (query, key, value)]
        got = "query {}, key {}, value {}".format(*shapes)
        if {len(s) for s in shapes} not in ({2}, {3}):
            raise AssertionError(
                f"MultiheadAttention: query, key and value must be 2-D, or all 3-D; got {got}"
            )
        features = (self.embed_dim, self.kdim, self.vdim)
        if tuple(s[-1] for s in shapes) != features:
            raise AssertionError(
                "MultiheadAttention: the last dims must be embed_dim, kdim and vdim "
                f"{features}; got {got}"
            )
        if shapes[1][:-1] != shapes[2][:-1]:
            raise AssertionError(
                f"MultiheadAttention: key and value must match but in the last dim; got {got}"
            )
        batch_dim = 0 if self.batch_first else 1
        if len(shapes[0]) == 3 and shapes[0][batch_dim] != shapes[1][batch_dim]:
            raise AssertionError(
                f"MultiheadAttention: query and key must have one batch size; got {got}"
            )
        alone = len(shapes[0]) == 2
        if padding is not None and padding.dim() != (1 if alone else 2):
            raise AssertionError(
                f"MultiheadAttention: key_padding_mask must be {1 if alone else 2}-D; "
                f"got {tuple(padding.shape)}"
            )
        return alone

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """query W_q^T + b_q, and so on; in one product where the inputs are one."""
        n = self.embed_dim
        bias = self.in_proj_bias
        weight: Any = self.in_proj_weight
        if weight is not None and query is key and key is value:
            y = F.linear(query, weight, bias)
            return [y[..., i * n : (i + 1) * n] for i in range(3)]
        biases = [None if bias is None else bias[i * n : (i + 1) * n] for i in range(3)]
        if weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        elif key is value:
            q = F.linear(query, weight[:n], biases[0])
            kv = F.linear(key, weight[n:], None if bias is None else bias[n:])
            return [q, kv[..., :n], kv[..., n:]]
        else:
            weights = [weight[i * n : (i + 1) * n] for i in range(3)]
        inputs = zip((query, key, value), weights, biases, strict=True)
        return [F.linear(x, w, b) for x, w, b in inputs]  # type: ignore[arg-type]

    def _heads(self, x: Tensor) -> Tensor:
        """(N, num_heads, rows, head_dim): a view."""
        x = x.reshape((*x.shape[:2], self.num_heads, self.head_dim))
        return x.permute(0, 2, 1, 3) if self.batch_first else x.permute(1, 2, 0, 3)

    def _mask(
        self, mask: Tensor | None, batch: int, rows: int, keys: int, like: Tensor
    ) -> Tensor | None:
        """attn_mask, added to the scores (N, num_heads, L, S)."""
        mask = added_mask("attn_mask", mask, like)
        if mask is None:
            return None
        shape = tuple(mask.shape)
        if shape == (rows, keys):
            return mask
        if shape != (batch * self.num_heads, rows, keys):
            raise RuntimeError(
                f"MultiheadAttention: attn_mask must have shape {(rows, keys)} or "
                f"{(batch * self.num_heads, rows, keys)}; got {shape}"
            )
        return mask.reshape((batch, self.num_heads, rows, keys))

    def _extended(
        self, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values with the learned one and the one of zeros behind them, and their mask."""
        batch, heads, _, width = k.shape
        more: list[list[Tensor]] = [[], []]
        if self.bias_k is not None and self.bias_v is not None:
            for parts, added in zip(more, (self.bias_k, self.bias_v), strict=True):
                one = added.reshape((1, heads, 1, width))
                parts.append(one.expand((batch, heads, 1, width)))
        if self.add_zero_attn:
            for parts in more:
                parts.append(zeros((batch, heads, 1, width), dtype=k.dtype, device=k.device))
        if not more[0]:
            return k, v, mask
        if mask is not None:
            shape = (*mask.shape[:-1], len(more[0]))
            mask = cat([mask, zeros(shape, dtype=mask.dtype, device=mask.device)], -1)
        return cat([k, *more[0]], 2), cat([v, *more[1]], 2), mask


def added_mask(name: str, mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A mask to add to the scores: -inf where a bool one is True."""
    if mask is None:
        return None
    if mask.dtype is bool_:
        nothing = zeros(tuple(mask.shape), dtype=like.dtype, device=like.device)
        return nothing.masked_fill(mask, -math.inf)
    if not mask.dtype.is_floating_point:
        raise AssertionError(
            f"MultiheadAttention: {name} must be bool or floating-point; got {mask.dtype.name}"
        )
    return mask if mask.dtype is like.dtype else mask.to(like.dtype)
