"""log_softmax, and a module for each loss."""

from __future__ import annotations

from ...ops import shapes
from ...ops.loss_options import check_reduction, legacy_reduction
from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
]


class LogSoftmax(Module):
    """The logarithm of softmax along a dimension.

    Formula: y = x - ln(sum of e^x along dim)

    Shape: unchanged.

    Args:
        dim: the dimension; None: 1 for 2-D and 4-D input and beyond, else 0, as PyTorch.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        dim = self.dim
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
        return F.log_softmax(input, dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class _Loss(Module):
    """A loss with its reduction."""

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = legacy_reduction(size_average, reduce) or reduction
        elif not (reduction == "batchmean" and isinstance(self, KLDivLoss)):
            check_reduction(type(self).__name__, reduction)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a weight, which is a buffer."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """The squared difference.

    Formula: l = (input - target)^2

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The absolute difference.

    Formula: l = |input - target|

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """The squared difference where it is small, the absolute one elsewhere.

    Formula: with d = |input - target|, l = d^2 / (2 beta) where d < beta, else d - beta / 2

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        beta: where the two meet; 0: the absolute difference.

    Raises:
        ValueError: another reduction.

    Source: Girshick 2015, "Fast R-CNN", equation 3.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)


class HuberLoss(_Loss):
    """Half the squared difference where it is small, linear beyond.

    Formula: with d = |input - target|, l = d^2 / 2 where d <= delta, else delta (d - delta / 2)

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        reduction: 'mean', 'sum' or 'none'.
        delta: where the two meet, > 0.

    Raises:
        ValueError: another reduction.

    Source: Huber 1964, "Robust estimation of a location parameter".
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(_WeightedLoss):
    """The negative log likelihood of the target classes.

    Formula: l[n] = -weight[target[n]] * input[n, target[n]]; the mean divides the sum by the sum of
    the weights that took part

    Shape: input (N, C, ...) or (C,), target (N, ...) or () of classes -> (), or target's shape with
    reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        size_average, reduce: PyTorch's old words for the reduction.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        least = -shapes.INT64_MAX - 1
        (self.ignore_index,) = shapes.spatial("NLLLoss", "ignore_index", ignore_index, 1, least)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(_WeightedLoss):
    """The cross entropy between softmax(input) and target classes or class probabilities.

    Formula: NLLLoss of log_softmax(input, dim=1); for probabilities q of input's shape l = -sum
    over c of weight[c] q[c] log_softmax(input)[c]

    Shape: input (N, C, ...) or (C,) of scores, target (N, ...) or () of classes, or probabilities
    of input's shape -> (), or (N, ...) with reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        size_average, reduce: PyTorch's old words for the reduction.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.
        label_smoothing: the part of the target that is spread over all classes, in [0, 1].

    Raises:
        ValueError: another reduction.

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture" (label smoothing).
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        least = -shapes.INT64_MAX - 1
        (self.ignore_index,) = shapes.spatial(
            "CrossEntropyLoss", "ignore_index", ignore_index, 1, least
        )
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class BCELoss(_WeightedLoss):
    """The cross entropy of probabilities of yes or no.

    Formula: l = -weight (target ln input + (1 - target) ln(1 - input)), each logarithm at least
    -100

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        weight: a factor of each element.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(
            input,
            target,
            weight=self.weight,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(_WeightedLoss):
    """The cross entropy of yes or no, of scores before the sigmoid; never infinite.

    Formula: l = weight ((1 - target) input + (1 + (pos_weight - 1) target) ln(1 + e^-input))

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        weight: a factor of each element; broadcasts, a buffer.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        pos_weight: what a positive target counts for; broadcasts, a buffer.

    Raises:
        ValueError: another reduction.
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            reduction=self.reduction,
        )


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of log-probabilities from target probabilities.

    Formula: l = target (ln target - input), 0 where the target is 0

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'batchmean', 'sum' or 'none'.
        log_target: whether target is a logarithm too.

    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, log_target=self.log_target, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """The logistic loss of targets -1 and 1.

    Formula: l = ln(1 + e^(-target * input))

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Distances of similar pairs, and how much dissimilar ones fall short of the margin.

    Formula: l = input where target is 1, max(0, margin - input) where it is -1

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        margin: what dissimilar pairs should be apart.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """How much pairs miss the wanted order.

    Formula: l = max(0, margin - target (input1 - input2))

    Shape: three tensors that broadcast -> (), or that shape with reduction 'none'

    Args:
        margin: by how much they should differ.
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
        return F.margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class PoissonNLLLoss(_Loss):
    """The negative log likelihood of counts that are Poisson distributed.

    Formula: l = e^input - target * input; without log_input l = input - target ln(input + eps)

    Shape: input and target of one shape -> (), or that shape with reduction 'none'

    Args:
        log_input: whether input is the logarithm of the rate.
        full: whether Stirling's term of the target is added.
        eps: keeps the logarithm of a rate of 0 finite.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )
