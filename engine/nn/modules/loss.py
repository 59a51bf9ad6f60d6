"""log_softmax and the losses of classification."""

from __future__ import annotations

from ...ops import shapes
from ...tensor import Tensor
from .. import functional as F
from ..module import Module

__all__ = ["CrossEntropyLoss", "LogSoftmax", "NLLLoss"]


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


class _ClassLoss(Module):
    """What NLLLoss and CrossEntropyLoss share."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}"
            )
        least = -shapes.INT64_MAX - 1
        (self.ignore_index,) = shapes.spatial(name, "ignore_index", ignore_index, 1, least)
        self.reduction = reduction
        self.register_buffer("weight", weight)


class NLLLoss(_ClassLoss):
    """The negative log likelihood of the target classes.

    Formula: l[n] = -weight[target[n]] * input[n, target[n]]; the mean divides the sum by the sum of
    the weights that took part

    Shape: input (N, C, ...) or (C,) of log-probabilities, target (N, ...) or () of int64 classes ->
    (), or target's shape with reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.

    PyTorch's deprecated size_average and reduce are left out.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(_ClassLoss):
    """The cross entropy between softmax(input) and the target classes.

    Formula: NLLLoss of log_softmax(input, dim=1)

    Shape: input (N, C, ...) or (C,) of scores, target (N, ...) or () of int64 classes -> (), or
    target's shape with reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.

    PyTorch's deprecated size_average and reduce are left out, targets are classes (not
    probabilities), and there is no label_smoothing yet.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )
