"""Distances between vectors."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """The cosine of the angle between vectors.

    Formula: y = x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim

    Shape: both broadcast; without dim.

    Args:
        dim: along which the vectors lie.
        eps: the least length.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The distance between vectors that lie along the last dimension.

    Formula: y = (sum over d of |x1[d] - x2[d] + eps|^p)^(1/p)

    Shape: (*, D), (*, D) -> (*), or (*, 1) with keepdim

    Args:
        p: the norm.
        eps: added to each difference.
        keepdim: whether the last dimension stays, with size 1.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
