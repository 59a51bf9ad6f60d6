"""Attention with learned projections."""

from __future__ import annotations

from typing import Any

from ...ops.creation import empty
from ...tensor import Parameter, Tensor
from .. import init
from ..module import Module
from ..multi_head import attended, heads, joined, projected
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
        q, k, v = projected(
            (query, key, value),
            self.in_proj_weight,  # type: ignore[arg-type]
            (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight),  # type: ignore[arg-type]
            self.in_proj_bias,  # type: ignore[arg-type]
        )
        y, weights = attended(
            *(heads(t, self.num_heads, self.batch_first) for t in (q, k, v)),
            added=(self.bias_k, self.bias_v),
            add_zero_attn=self.add_zero_attn,
            dropout=self.dropout if self.training else 0.0,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            average=average_attn_weights,
            is_causal=is_causal,
        )
        y = self.out_proj(joined(y, self.batch_first))
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
