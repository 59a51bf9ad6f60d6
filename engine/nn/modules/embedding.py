"""Layers that look rows up."""

from __future__ import annotations

from typing import Any

from ...autograd.grad_mode import no_grad
from ...ops import creation
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both layers share: the weight."""

    weight: Parameter
    padding_idx: int | None

    def _make(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        freeze: bool,
        place: dict[str, Any],
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"{name}: padding_idx must be in [{-num_embeddings}, {num_embeddings}); "
                    f"got {padding_idx}"
                )
            padding_idx += num_embeddings if padding_idx < 0 else 0
        self.padding_idx = padding_idx
        shape = (num_embeddings, embedding_dim)
        if weight is not None and tuple(weight.shape) != shape:
            raise ValueError(
                f"{name}: the given weight must have shape {shape}; got {tuple(weight.shape)}"
            )
        value = creation.empty(*shape, **place) if weight is None else weight
        self.weight = Parameter(value, requires_grad=not freeze)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts over: standard normal numbers, zeros in the row of padding_idx."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0.0)

    def _options(self, names: tuple[tuple[str, Any], ...]) -> str:
        """`, name=value` of those that are not as by default."""
        found = [(name, getattr(self, name), default) for name, default in names]
        return "".join([f", {n}={v!r}" for n, v, default in found if v != default])


class Embedding(_Table):
    """Looks up rows of a table of vectors.

    Shape: (*) of integers -> (*, embedding_dim); weight: (num_embeddings, embedding_dim)

    Args:
        num_embeddings: how many rows there are.
        embedding_dim: their length.
        padding_idx: the row that begins as zeros and gets no gradient.
        max_norm: rows that are looked up with a larger norm are scaled down to it, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide gradients by how often their row is named.
        sparse: accepted; the gradient is dense.
        device, dtype: of the weight.

    Raises:
        ValueError: padding_idx out of range.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, _freeze, place)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer over given vectors.

        Args:
            embeddings: (num_embeddings, embedding_dim).
            freeze: whether they stay as they are: no gradient.

        Raises:
            ValueError: embeddings that are not 2-D.
        """
        if len(embeddings.shape) != 2:
            raise ValueError(
                f"Embedding: embeddings must be 2-D; got shape {tuple(embeddings.shape)}"
            )
        rows, width = embeddings.shape
        options = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        return cls(rows, width, *options, _weight=embeddings, _freeze=freeze)

    def forward(self, input: Tensor) -> Tensor:
        options = (self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)
        return F.embedding(input, self.weight, *options, self.sparse)

    def extra_repr(self) -> str:
        """The options."""
        names = (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2.0),
            ("scale_grad_by_freq", False),
            ("sparse", False),
        )
        return f"{self.num_embeddings}, {self.embedding_dim}{self._options(names)}"


class EmbeddingBag(_Table):
    """Sums, averages or takes the maximum of bags of rows of a table.

    Shape: (B, N) of integers, or (n,) with offsets (B,) -> (B, embedding_dim);
    weight: (num_embeddings, embedding_dim)

    Args:
        num_embeddings: how many rows there are.
        embedding_dim: their length.
        max_norm: rows that are looked up with a larger norm are scaled down to it, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide gradients by how often their row is named.
        mode: 'sum', 'mean' or 'max'.
        sparse: accepted; the gradient is dense.
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: the row that takes no part.
        device, dtype: of the weight.

    Raises:
        ValueError: padding_idx out of range.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self._make(num_embeddings, embedding_dim, padding_idx, _weight, False, place)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A layer over given vectors.

        Args:
            embeddings: (num_embeddings, embedding_dim).
            freeze: whether they stay as they are: no gradient.

        Raises:
            ValueError: embeddings that are not 2-D.
        """
        if len(embeddings.shape) != 2:
            raise ValueError(
                f"EmbeddingBag: embeddings must be 2-D; got shape {tuple(embeddings.shape)}"
            )
        rows, width = embeddings.shape
        options = (max_norm, norm_type, scale_grad_by_freq, mode, sparse)
        layer = cls(rows, width, *options, embeddings, include_last_offset, padding_idx)
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The options."""
        before = (("max_norm", None), ("norm_type", 2.0), ("scale_grad_by_freq", False))
        options = self._options(before) + f", mode={self.mode!r}"
        return (
            f"{self.num_embeddings}, {self.embedding_dim}{options}"
            f"{self._options((('padding_idx', None),))}"
        )
