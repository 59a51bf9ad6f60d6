"""Margin and embedding losses, of several labels, of normal values, dice; made of other ops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from ..autograd.dispatch import apply
from ..dtype import int64, uint8
from ..tensor import Tensor
from . import creation
from .distance import pairwise_distance
from .elementwise import log, relu
from .index import gather_dim_, scatter_sum_
from .loss_options import (
    broadcast_pair,
    check_reduction,
    reduce_loss,
    reduction_code,
    same_dtype,
)
from .math import abs, square
from .matmul import matmul
from .operands import need_tensors, own_errors
from .pair_loss import binary_cross_entropy_with_logits
from .reduce import amax, mean, sum
from .view import cat

__all__ = [
    "cosine_embedding_loss",
    "dice_loss",
    "elastic_net_penalty",
    "gaussian_nll_loss",
    "l1_penalty",
    "l2_penalty",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _rows(name: str, input: Tensor, target: Tensor, per_row: bool) -> tuple[Tensor, Tensor]:
    """input (N, C) and the int64 target (N,), or (N, C), from batched or single ones."""
    need_tensors(name, input=input, target=target)
    x, t = tuple(input._data.shape), tuple(target._data.shape)
    if target.dtype is uint8:
        target = target.to(int64)
    if target.dtype is not int64:
        raise RuntimeError(
            f"{name}: target must be class indices of dtype int64; got {target.dtype} "
            "(convert with .long())"
        )
    wanted = (x[:1] if len(x) == 2 else ()) if per_row else x
    if len(x) not in (1, 2) or x[-1] == 0 or t not in (wanted, (1,) if per_row else wanted):
        raise RuntimeError(
            f"{name}: input must be (N, C) with target {'(N,)' if per_row else '(N, C)'}, or (C,) "
            f"with {'()' if per_row else '(C,)'}; got input {x}, target {t}"
        )
    if per_row and len(x) == 2 and t != x[:1]:
        raise RuntimeError(f"{name}: target must have shape {x[:1]}; got {t}")
    if len(x) == 1:
        return input.unsqueeze(0), target.reshape((1,) if per_row else (1, x[0]))
    return input, target


@own_errors
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The multiclass hinge loss: the target's score should be above all others by the margin.

    Formula: l = sum over c != t of weight[t] max(0, margin - input[t] + input[c])^p / C

    Shape: input (N, C), target (N,) -> (), or (N,) with reduction 'none'; input (C,), target () ->
    ()

    Args:
        p: 1 or 2.
        margin: by how much.
        weight: (C,), a factor for each class, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another p or reduction; a weight that is not 1-D.
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: a class out of [0, C).

    Source: Weston & Watkins 1999, "Support vector machines for multi-class pattern recognition".
    """
    name = "multi_margin_loss"
    code = reduction_code(name, reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"{name}: p must be 1 or 2; got {p}")
    if weight is not None and weight.ndim != 1:
        raise ValueError(f"{name}: weight must be 1-D; got shape {tuple(weight.shape)}")
    single = input.ndim == 1
    x, t = _rows(name, input, target, True)
    n, c = x._data.shape
    if weight is not None and weight._data.shape != (c,):
        raise RuntimeError(f"{name}: weight must have shape ({c},); got {tuple(weight.shape)}")
    place = t.reshape((n, 1))
    own = apply(gather_dim_, (x, place), (1, (n, 1)))
    hinge = relu(x - own + margin)
    losses = hinge if p == 1 else square(hinge)
    ones = creation.ones((n, 1), dtype=x.dtype, device=x.device)
    losses = losses * (1.0 - apply(scatter_sum_, (ones, place), ((n, c), 1)))
    total = sum(losses, 1) / c
    if weight is not None:
        total = total * apply(gather_dim_, (weight.detach(), t), (0, (n,)))
    return reduce_loss(total.reshape(()) if single else total, code)


@own_errors
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The hinge loss of several classes each: those of the target above all others, by 1.

    Formula: l = sum over labels y and other classes c of max(0, 1 - input[y] + input[c]) / C

    Shape: input and target (N, C) -> (), or (N,) with reduction 'none'; both (C,) -> (). A target's
    labels end at its first -1.

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: a class out of [0, C).
    """
    name = "multilabel_margin_loss"
    code = reduction_code(name, reduction, size_average, reduce)
    single = input.ndim == 1
    x, t = _rows(name, input, target, False)
    n, c = x._data.shape
    labels = t.to(x.dtype)
    # 1 for a label, 0 from the first -1 on: no ends among those up to it.
    ends = 1.0 - relu(1.0 - relu(-labels))
    order = creation.ones((c, c), dtype=x.dtype, device=x.device).triu()
    valid = relu(1.0 - matmul(ends, order))
    places = (labels * valid).long()
    marks = apply(scatter_sum_, (valid, places), ((n, c), 1))
    is_label = 1.0 - relu(1.0 - marks)
    own = apply(gather_dim_, (x, places), (1, (n, c)))
    hinge = relu(1.0 - own.unsqueeze(2) + x.unsqueeze(1))
    losses = hinge * valid.unsqueeze(2) * (1.0 - is_label).unsqueeze(1)
    total = sum(losses, (1, 2)) / c
    return reduce_loss(total.reshape(()) if single else total, code)


@own_errors
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the classes of the cross entropy of yes or no.

    Formula: l = -mean over c of weight[c] (target ln sigmoid(input) + (1 - target) ln
    sigmoid(-input))

    Shape: (..., C) both -> (), or (...) with reduction 'none'

    Args:
        weight: broadcasts; a factor for each class, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not broadcast.
    """
    name = "multilabel_soft_margin_loss"
    code = reduction_code(name, reduction, size_average, reduce)
    pair = same_dtype(name, True, input=input, target=target)
    input, target = broadcast_pair(name, pair[0], pair[1], False)
    losses = binary_cross_entropy_with_logits(input, target, weight, reduction="none")
    return reduce_loss(mean(losses, -1), code)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far similar pairs are from one direction, and how near dissimilar ones.

    Formula: l = 1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1; cos
    with 1e-12 added to both squared lengths, as PyTorch

    Shape: input1 and input2 (N, D) with target (N,), or (D,) with () -> (), or target's shape with
    reduction 'none'

    Args:
        margin: the cosine from which dissimilar pairs count, in [-1, 1].
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not fit.
    """
    name = "cosine_embedding_loss"
    code = reduction_code(name, reduction, size_average, reduce)
    input1, input2 = same_dtype(name, True, input1=input1, input2=input2)
    need_tensors(name, target=target)
    a, b, t = (tuple(x._data.shape) for x in (input1, input2, target))
    if len(t) not in (0, 1) or len(a) != len(t) + 1 or len(b) != len(t) + 1:
        raise RuntimeError(
            f"{name}: inputs must be (N, D) with target (N,), or (D,) with (); got input1 {a}, "
            f"input2 {b}, target {t}"
        )
    dim = len(t)
    product = sum(input1 * input2, dim)
    squares = [sum(square(x), dim) + 1e-12 for x in (input1, input2)]
    cosine = product / (squares[0] * squares[1]).sqrt()
    t_like = target.to(cosine.dtype) if target.dtype is not cosine.dtype else target
    t_like = t_like.detach()
    # 1 where target is 1, and where it is -1; 0 elsewhere.
    similar, other = relu(1.0 - abs(t_like - 1.0)), relu(1.0 - abs(t_like + 1.0))
    if tuple(cosine._data.shape) != t:
        broadcast_pair(name, cosine, t_like, False)
    losses = (1.0 - cosine) * similar + relu(cosine - margin) * other
    return reduce_loss(losses, code)


def _smaller(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two, element by element; equal ones share the gradient."""
    return -amax(cat([-a.unsqueeze(0), -b.unsqueeze(0)]), 0)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How much farther the negative should be from the anchor than the positive.

    Formula: l = max(0, d(anchor, positive) - d(anchor, negative) + margin), d = pairwise_distance

    Shape: three (N, D) or (D,) -> (), or (N,) or () with reduction 'none'

    Args:
        margin: by how much, > 0.
        p: the norm of the distance.
        eps: added to each difference.
        swap: whether the negative's distance to the positive is taken where it is smaller.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; a margin not > 0.
        RuntimeError: ranks that differ, or shapes that do not broadcast.

    Source: Balntas et al. 2016, "Learning shallow convolutional feature descriptors with triplet
    losses".
    """
    name = "triplet_margin_loss"
    code = reduction_code(name, reduction, size_average, reduce)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(name, anchor, positive, negative, distance, margin, swap, code)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss with a distance of one's own.

    Formula: l = max(0, d(anchor, positive) - d(anchor, negative) + margin)

    Shape: as the distance takes them.

    Args:
        distance_function: of two tensors; default: pairwise_distance.
        margin: by how much, > 0.
        swap: whether the negative's distance to the positive is taken where it is smaller.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; a margin not > 0.
        RuntimeError: ranks that differ.
    """
    name = "triplet_margin_with_distance_loss"
    code = reduction_code(name, reduction)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(name, anchor, positive, negative, distance, margin, swap, code)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[..., Tensor],
    margin: float,
    swap: bool,
    code: int,
) -> Tensor:
    need_tensors(name, anchor=anchor, positive=positive, negative=negative)
    if margin <= 0:
        raise ValueError(f"{name}: margin must be > 0; got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"{name}: all must have as many dimensions; got anchor {tuple(anchor.shape)}, positive "
            f"{tuple(positive.shape)}, negative {tuple(negative.shape)}"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _smaller(far, distance(positive, negative))
    return reduce_loss(relu(near - far + margin), code)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of values that are normally distributed.

    Formula: l = (ln v + (input - target)^2 / v) / 2 with v = max(var, eps); the gradient to var is
    the one to v, as PyTorch's

    Shape: input and target of one shape, var of it, or without or with 1 in its last dim or one
    other -> (), or that shape with reduction 'none'

    Args:
        var: the variance, >= 0; a number or a tensor.
        full: whether ln(2 pi) / 2 is added.
        eps: the least variance.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; a var of another shape; a negative number as var.
    """
    name = "gaussian_nll_loss"
    need_tensors(name, input=input, target=target)
    shape = tuple(input._data.shape)
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError(f"{name}: var must be >= 0; got {var}")
        var = creation.full(shape, float(var), dtype=input.dtype, device=input.device)
    need_tensors(name, var=var)
    if float(-amax(-var).detach().item() if var.numel() else 0.0) < 0:
        raise ValueError(f"{name}: var has negative entries")
    given = tuple(var._data.shape)
    if given != shape:
        differ = [i for i, (m, n) in enumerate(zip(shape, given, strict=False)) if m != n]
        if shape[:-1] == given:
            var = var.unsqueeze(-1)
        elif len(given) != len(shape) or len(differ) != 1 or given[differ[0]] != 1:
            raise ValueError(f"{name}: var must fit input; got var {given}, input {shape}")
    code = reduction_code(name, check_reduction(name, reduction))
    fixed = var.detach()
    var = var + (relu(fixed - eps) + eps - fixed)
    losses = 0.5 * (log(var) + square(input - target) / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_loss(losses, code)


def dice_loss(
    input: Tensor, target: Tensor, smooth: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """How little predicted and true regions overlap; for segmentation. Not in PyTorch.

    Formula: l = 1 - (2 sum of input * target + smooth) / (sum of input + sum of target + smooth),
    the sums over all dimensions but the first

    Shape: input (N, ...) of probabilities, target of that shape -> (), or (N,) with reduction
    'none'

    Args:
        smooth: keeps empty regions from 0 / 0.
        reduction: over the samples: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that differ, or no dimension.

    Source: Milletari et al. 2016, "V-Net".
    """
    code = reduction_code("dice_loss", reduction)
    input, target = same_dtype("dice_loss", True, input=input, target=target)
    shape = tuple(input._data.shape)
    if not shape or shape != tuple(target._data.shape):
        raise RuntimeError(
            f"dice_loss: input and target must have one shape (N, ...); got input {shape}, target "
            f"{tuple(target.shape)}"
        )
    dims = tuple(range(1, len(shape)))
    parts = [input * target, input, target]
    overlap, first, second = [sum(x, dims) if dims else x for x in parts]
    losses = 1.0 - (2.0 * overlap + smooth) / (first + second + smooth)
    return reduce_loss(losses, code)


def _total(name: str, parameters: Any, function: Callable[[Tensor], Tensor]) -> Tensor:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not tensors:
        raise ValueError(f"{name}: takes at least one tensor; got none")
    total = sum(function(tensors[0]))
    for t in tensors[1:]:
        total = total + sum(function(t))
    return total


@own_errors
def l1_penalty(parameters: Tensor | Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """The sum of the magnitudes of all elements, a penalty that makes them sparse. Not in PyTorch.

    Formula: y = weight * sum of |w|

    Args:
        parameters: a tensor, or several, model.parameters() say.
        weight: a factor.

    Raises:
        ValueError: no tensors.

    Source: Tibshirani 1996, "Regression shrinkage and selection via the lasso".
    """
    return _total("l1_penalty", parameters, abs) * weight


@own_errors
def l2_penalty(parameters: Tensor | Iterable[Tensor], weight: float = 1.0) -> Tensor:
    """The sum of the squares of all elements, a penalty that keeps them small. Not in PyTorch.

    Formula: y = weight * sum of w^2

    Args:
        parameters: a tensor, or several, model.parameters() say.
        weight: a factor; a weight decay of d is weight = d / 2.

    Raises:
        ValueError: no tensors.

    Source: Hoerl & Kennard 1970, "Ridge regression".
    """
    return _total("l2_penalty", parameters, square) * weight


@own_errors
def elastic_net_penalty(
    parameters: Tensor | Iterable[Tensor], l1: float = 1.0, l2: float = 1.0
) -> Tensor:
    """Both penalties: magnitudes and squares. Not in PyTorch.

    Formula: y = l1 * sum of |w| + l2 * sum of w^2

    Args:
        parameters: a tensor, or several, model.parameters() say.
        l1, l2: the factors.

    Raises:
        ValueError: no tensors.

    Source: Zou & Hastie 2005, "Regularization and variable selection via the elastic net".
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return l1_penalty(tensors, l1) + l2_penalty(tensors, l2)
