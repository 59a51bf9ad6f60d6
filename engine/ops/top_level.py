"""Functions whose form at the top level differs from nn.functional's: order, names, defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtype import dtype as DType
from ..random import Generator
from ..tensor import Tensor
from . import adaptive, linalg, loss, margin_loss, norm, pair_loss, pool, random
from . import dropout as _dropout
from . import embedding as _embedding
from . import embedding_bag as _bags
from . import softmax as _softmax
from .install import numpy_names
from .interpolate import channel_shuffle, pixel_shuffle, pixel_unshuffle
from .norm import rms_norm
from .operands import own_errors

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "alpha_dropout",
    "alpha_dropout_",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "channel_shuffle",
    "cosine_embedding_loss",
    "det",
    "detach",
    "dropout",
    "dropout_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "group_norm",
    "hinge_embedding_loss",
    "instance_norm",
    "inverse",
    "kl_div",
    "layer_norm",
    "log_softmax",
    "margin_ranking_loss",
    "matrix_power",
    "max_pool1d_with_indices",
    "pinverse",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "rms_norm",
    "slogdet",
    "softmax",
    "triplet_margin_loss",
]

adaptive_avg_pool1d = adaptive.adaptive_avg_pool1d
matrix_power = linalg.matrix_power

#: The reductions by the numbers that the top level has for them.
_REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}


def _reduction(name: str, value: Any) -> str:
    """'none', 'mean' or 'sum' by its number or its name."""
    if isinstance(value, str):
        return value
    if value not in _REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 0 (none), 1 (mean) or 2 (sum); got {value!r}")
    return _REDUCTIONS[value]


@own_errors
def detach(input: Tensor) -> Tensor:
    """A view of the same memory that does not require a gradient."""
    return input.detach()


# ---- pooling ----


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> Any:
    """The maxima over a given number of windows, and their indices; as nn.functional's."""
    return adaptive.adaptive_max_pool1d(input, output_size, True)


@own_errors
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The maxima over windows, and their indices; as nn.functional.max_pool1d."""
    return pool.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


# ---- softmax ----


@numpy_names
def softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """Exponentials that sum to 1 along `dim`; as nn.functional.softmax."""
    return _softmax.softmax(input, dim, dtype=dtype)


@numpy_names
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """The logarithms of softmax along `dim`; as nn.functional.log_softmax."""
    return loss.log_softmax(input, dim, dtype=dtype)


# ---- dropout ----


def _in_place(
    function: Callable[..., Tensor], name: str
) -> Callable[[Tensor, float, bool], Tensor]:
    """nn.functional's function with a positional `train`, written into its input."""

    def dropped(input: Tensor, p: float, train: bool) -> Tensor:
        return function(input, p, train, True)

    dropped.__name__ = dropped.__qualname__ = name
    dropped.__doc__ = f"Like {name[:-1]}, in place."
    return own_errors(dropped)


def dropout(
    input: Tensor, p: float = 0.5, train: bool = True, *, generator: Generator | None = None
) -> Tensor:
    """Sets elements to 0 with probability p, and scales the others; as nn.functional.dropout."""
    return random.dropout(input, p, train, generator=generator)


dropout_ = _in_place(random.dropout, "dropout_")


def alpha_dropout(
    input: Tensor, p: float, train: bool, *, generator: Generator | None = None
) -> Tensor:
    """Dropout that keeps mean and variance; as nn.functional.alpha_dropout."""
    return _dropout.alpha_dropout(input, p, train, generator=generator)


alpha_dropout_ = _in_place(_dropout.alpha_dropout, "alpha_dropout_")


def feature_alpha_dropout(
    input: Tensor, p: float, train: bool, *, generator: Generator | None = None
) -> Tensor:
    """alpha_dropout of whole channels; as nn.functional.feature_alpha_dropout."""
    return _dropout.feature_alpha_dropout(input, p, train, generator=generator)


feature_alpha_dropout_ = _in_place(_dropout.feature_alpha_dropout, "feature_alpha_dropout_")


# ---- embedding ----


def embedding(
    weight: Tensor,
    indices: Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight that indices name; as nn.functional.embedding, the weight first.

    Args:
        padding_idx: the row that gets no gradient; -1: none.
    """
    row = None if padding_idx == -1 else padding_idx
    return _embedding.embedding(
        indices, weight, row, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor | None = None,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of bags of rows; as nn.functional.embedding_bag, the weight first.

    Differs from PyTorch: gives the bags alone, without the tables of its backward.

    Args:
        mode: 0 (sum), 1 (mean) or 2 (max).

    Raises:
        ValueError: another mode.
    """
    modes = ("sum", "mean", "max")
    if mode not in (0, 1, 2):
        raise ValueError(f"embedding_bag: mode must be 0 (sum), 1 (mean) or 2 (max); got {mode!r}")
    return _bags.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=modes[mode],
        sparse=sparse,
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )


# ---- normalisation ----


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalises over the last dimensions; as nn.functional.layer_norm.

    Args:
        cudnn_enable: taken and not used.
    """
    return norm.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalises groups of neighbouring channels; as nn.functional.group_norm.

    Args:
        cudnn_enabled: taken and not used.
    """
    return norm.group_norm(input, num_groups, weight, bias, eps)


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalises each channel over the batch; as nn.functional.batch_norm, the weight first.

    Args:
        cudnn_enabled: taken and not used.
    """
    return norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalises each channel of each sample; as nn.functional.instance_norm, the weight first.

    Args:
        cudnn_enabled: taken and not used.
    """
    return norm.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


# ---- losses: reduction 0 (none), 1 (mean) or 2 (sum), or its name ----


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: Any = 1,
) -> Tensor:
    """The cross entropy of two classes; as nn.functional.binary_cross_entropy_with_logits."""
    return pair_loss.binary_cross_entropy_with_logits(
        input,
        target,
        weight,
        reduction=_reduction("binary_cross_entropy_with_logits", reduction),
        pos_weight=pos_weight,
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 1
) -> Tensor:
    """Draws pairs together or apart by their angle; as nn.functional.cosine_embedding_loss."""
    how = _reduction("cosine_embedding_loss", reduction)
    return margin_loss.cosine_embedding_loss(input1, input2, target, margin, reduction=how)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: Any = 1
) -> Tensor:
    """Draws distances down or above a margin; as nn.functional.hinge_embedding_loss."""
    how = _reduction("hinge_embedding_loss", reduction)
    return pair_loss.hinge_embedding_loss(input, target, margin, reduction=how)


def kl_div(
    input: Tensor, target: Tensor, reduction: Any = 1, *, log_target: bool = False
) -> Tensor:
    """The divergence of distributions from log-probabilities; as nn.functional.kl_div."""
    how = _reduction("kl_div", reduction)
    return pair_loss.kl_div(input, target, reduction=how, log_target=log_target)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 1
) -> Tensor:
    """Orders pairs of scores; as nn.functional.margin_ranking_loss."""
    how = _reduction("margin_ranking_loss", reduction)
    return pair_loss.margin_ranking_loss(input1, input2, target, margin, reduction=how)


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: Any
) -> Tensor:
    """The negative log-likelihood of counts; as nn.functional.poisson_nll_loss."""
    how = _reduction("poisson_nll_loss", reduction)
    return pair_loss.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=how)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-06,
    swap: bool = False,
    reduction: Any = 1,
) -> Tensor:
    """Draws one of two nearer than the other; as nn.functional.triplet_margin_loss."""
    how = _reduction("triplet_margin_loss", reduction)
    return margin_loss.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=how
    )


# ---- linear algebra ----


def det(input: Tensor) -> Tensor:
    """The determinant of square matrices; as linalg.det."""
    return linalg.det(input)


def slogdet(input: Tensor) -> tuple[Tensor, Tensor]:
    """The sign and the logarithm of the determinant; as linalg.slogdet."""
    return linalg.slogdet(input)


@own_errors
def inverse(input: Tensor) -> Tensor:
    """The inverse of square matrices; as linalg.inv."""
    return linalg.inv(input)


@own_errors
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; as linalg.pinv.

    Args:
        rcond: singular values below it times the largest count as 0.
    """
    return linalg.pinv(input, rcond=rcond)
