"""The margin and embedding losses, and those of several labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...tensor import Tensor
from .. import functional as F
from .distance import PairwiseDistance
from .loss import _Loss, _WeightedLoss

__all__ = [
    "CosineEmbeddingLoss",
    "DiceLoss",
    "GaussianNLLLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class MultiMarginLoss(_WeightedLoss):
    """The multiclass hinge loss.

    Formula: l = sum over c != t of weight[t] max(0, margin - input[t] + input[c])^p / C

    Shape: input (N, C) or (C,), target (N,) or () of classes -> (), or target's shape with
    reduction 'none'

    Args:
        p: 1 or 2.
        margin: by how much the target's score should be above the others.
        weight: (C,), a factor for each class.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.

    Source: Weston & Watkins 1999, "Support vector machines for multi-class pattern recognition".
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(
            input,
            target,
            weight=self.weight,
            p=self.p,
            margin=self.margin,
            reduction=self.reduction,
        )


class MultiLabelMarginLoss(_Loss):
    """The hinge loss of several classes each: those of the target above all others.

    Formula: l = sum over labels y and other classes c of max(0, 1 - input[y] + input[c]) / C

    Shape: input and target (N, C) or (C,); a target's labels end at its first -1 -> (), or (N,)
    with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over the classes of the cross entropy of yes or no.

    Formula: l = mean over c of weight binary_cross_entropy_with_logits(input, target)

    Shape: (..., C) both -> (), or (...) with reduction 'none'

    Args:
        weight: a factor of each element.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
        )


class CosineEmbeddingLoss(_Loss):
    """How far similar pairs are from one direction, and how near dissimilar ones.

    Formula: l = 1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1

    Shape: input1 and input2 (N, D) or (D,), target (N,) or () -> (), or target's shape with
    reduction 'none'

    Args:
        margin: the cosine from which dissimilar pairs count.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """How much farther the negative should be from the anchor than the positive.

    Formula: l = max(0, d(anchor, positive) - d(anchor, negative) + margin)

    Shape: three (N, D) or (D,) -> (), or (N,) with reduction 'none'

    Args:
        margin: by how much, > 0.
        p: the norm of the distance.
        eps: added to each difference.
        swap: whether the negative's distance to the positive is taken where it is smaller.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; a margin not > 0.

    Source: Balntas et al. 2016, "Learning shallow convolutional feature descriptors with triplet
    losses".
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: margin must be > 0; got {margin}")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """TripletMarginLoss with a distance of one's own.

    Formula: l = max(0, d(anchor, positive) - d(anchor, negative) + margin)

    Shape: as the distance takes them.

    Args:
        distance_function: of two tensors; default: PairwiseDistance().
        margin: by how much, > 0.
        swap: whether the negative's distance to the positive is taken where it is smaller.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; a margin not > 0.
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be > 0; got {margin}")
        self.distance_function: Any = (
            PairwiseDistance() if distance_function is None else distance_function
        )
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """The negative log likelihood of values that are normally distributed.

    Formula: l = (ln max(var, eps) + (input - target)^2 / max(var, eps)) / 2

    Shape: input and target of one shape, var broadcasts in one dim -> (), or that shape with
    reduction 'none'

    Args:
        full: whether ln(2 pi) / 2 is added.
        eps: the least variance.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class DiceLoss(_Loss):
    """How little predicted and true regions overlap; for segmentation. Not in PyTorch.

    Formula: l = 1 - (2 sum of input * target + smooth) / (sum of input + sum of target + smooth)

    Shape: input (N, ...) of probabilities, target of that shape -> (), or (N,) with reduction
    'none'

    Args:
        smooth: keeps empty regions from 0 / 0.
        reduction: over the samples: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.

    Source: Milletari et al. 2016, "V-Net".
    """

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.smooth = smooth

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.dice_loss(input, target, self.smooth, self.reduction)
