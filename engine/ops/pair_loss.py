"""Losses of two equal tensors, element by element, each one fused kernel with its reduction."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..tensor import Tensor
from .loss_options import (
    broadcast_pair,
    broadcast_shape,
    check_reduction,
    reduction_code,
    same_dtype,
)
from .view import expand

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]

#: The kinds of the kernel (kernels/__init__.py).
_SQUARE, _ABSOLUTE, _SMOOTH, _HUBER, _BINARY, _LOGITS, _DIVERGENCE, _LOG_DIVERGENCE = range(8)
_SOFT_MARGIN, _HINGE_EMBEDDING, _HINGE, _POISSON_LOG, _POISSON, _STIRLING = range(8, 14)
#: The orders: derivatives to x, to the target, and again.
_X, _T, _XX, _XT, _TT = range(1, 6)
_AGAIN = {_X: (_XX, _XT), _T: (_XT, _TT)}


def _everything(k: Any, x: Any, reduction: int) -> Any:
    """x as a loss of this reduction: itself, its mean, or its sum."""
    if reduction == 0:
        return x
    dims = tuple(range(len(x.shape)))
    return k.mean(x, dims, ()) if reduction == 1 else k.sum(x, dims, ())


@op(
    inputs="x target weight? other?",
    kernel="pair_loss",
    formula="y = f(x, target) * weight of the kind's f, each, averaged or summed",
)
def pair_loss_(k, x, target, weight, other, kind, param, out_shape, reduction):
    y = k.pair_loss(x, target, weight, other, kind, param, out_shape, reduction)
    return y, (x, target, weight, other)


@pair_loss_.gradient
def _(k, saved, grad_y, need, kind, param, out_shape, reduction):
    arrays = (grad_y, *saved)
    grad_x = grad_target = None
    if need[0]:
        grad_x = k.pair_loss_bwd(*arrays, kind, _X, param, reduction)
    if need[1]:
        if need[0] and kind <= _HUBER:  # a function of x - target
            grad_target = k.neg(grad_x)
        else:
            grad_target = k.pair_loss_bwd(*arrays, kind, _T, param, reduction)
    return grad_x, grad_target, None, None


@op(
    inputs="grad_y x target weight? other?",
    kernel="pair_loss_bwd",
    formula="grad = grad_y * weight * a derivative of f (/ count for the mean)",
)
def pair_loss_bwd_(k, grad_y, x, target, weight, other, kind, order, param, reduction):
    grad = k.pair_loss_bwd(grad_y, x, target, weight, other, kind, order, param, reduction)
    return grad, (grad_y, x, target, weight, other)


@pair_loss_bwd_.gradient
def _(k, saved, grad, need, kind, order, param, reduction):
    g, *operands = saved
    grads = [None, None, None]
    if need[0]:
        each = k.pair_loss_bwd(grad, *operands, kind, order, param, 0)
        grads[0] = _everything(k, each, reduction)
    if order in _AGAIN and (need[1] or need[2]):
        up = k.mul(grad, g)
        if reduction == 1:
            count = 1
            for n in grad.shape:
                count *= n
            up = k.mul(up, 1.0 / max(count, 1))
        for i in (0, 1):
            if need[1 + i]:
                again = _AGAIN[order][i]
                grads[1 + i] = k.pair_loss_bwd(up, *operands, kind, again, param, 0)
    elif kind > _HUBER and (need[1] or need[2]):
        raise NotImplementedError("pair_loss: this loss has no third derivative yet")
    return (*grads, None, None)


def _loss(
    input: Tensor,
    target: Tensor,
    kind: int,
    code: int,
    param: float = 0.0,
    weight: Tensor | None = None,
    other: Tensor | None = None,
) -> Tensor:
    out_shape = tuple(input._data.shape) if code == 0 else ()
    inputs = (input, target, weight, other)
    return apply(pair_loss_, inputs, (kind, float(param), out_shape, code))


def _expanded(t: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    return t if t is None or tuple(t._data.shape) == shape else expand(t, shape)


# ---- the public functions ----


def _difference(
    name: str, kind: int, input: Tensor, target: Tensor, code: int, param: float, weight: Any
) -> Tensor:
    """A loss of input - target, which broadcast with PyTorch's warning."""
    given = tuple(getattr(input, "shape", ()))
    pair = same_dtype(name, True, input=input, target=target)
    input, target = broadcast_pair(name, pair[0], pair[1], True)
    if weight is None:
        return _loss(input, target, kind, code, param)
    if tuple(weight.shape) != given:
        raise ValueError(
            f"{name}: weight and input must have the same size; got weight {tuple(weight.shape)}, "
            f"input {given}"
        )
    losses = _loss(input, target, kind, 0, param) * weight
    if code == 0:
        return losses
    if code == 1 and kind == _HUBER:
        return losses.mean()
    return losses.sum() / weight.sum() if code == 1 else losses.sum()


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared difference.

    Formula: l = (input - target)^2; with weights the mean is sum of weight * l / sum of weight

    Shape: input and target of one shape (others broadcast, with a warning) -> (), or that shape
    with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        weight: of input's shape; a factor of each element.

    Raises:
        ValueError: another reduction; a weight of another shape.
        RuntimeError: shapes that do not broadcast.
    """
    code = reduction_code("mse_loss", reduction, size_average, reduce)
    return _difference("mse_loss", _SQUARE, input, target, code, 0.0, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute difference.

    Formula: l = |input - target|; with weights the mean is sum of weight * l / sum of weight

    Shape: input and target of one shape (others broadcast, with a warning) -> (), or that shape
    with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        weight: of input's shape; a factor of each element.

    Raises:
        ValueError: another reduction; a weight of another shape.
        RuntimeError: shapes that do not broadcast.
    """
    code = reduction_code("l1_loss", reduction, size_average, reduce)
    return _difference("l1_loss", _ABSOLUTE, input, target, code, 0.0, weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The squared difference where it is small, the absolute one elsewhere.

    Formula: with d = |input - target|, l = d^2 / (2 beta) where d < beta, else d - beta / 2

    Shape: input and target of one shape (others broadcast, with a warning) -> (), or that shape
    with reduction 'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        beta: where the two meet; 0: the absolute difference.

    Raises:
        ValueError: another reduction.
        RuntimeError: a negative beta; shapes that do not broadcast.

    Source: Girshick 2015, "Fast R-CNN", equation 3.
    """
    code = reduction_code("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must be >= 0; got {beta}")
    kind = _SMOOTH if beta > 0 else _ABSOLUTE
    return _difference("smooth_l1_loss", kind, input, target, code, beta, None)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference where it is small, linear beyond.

    Formula: with d = |input - target|, l = d^2 / 2 where d <= delta, else delta (d - delta / 2);
    with weights l is multiplied by them before the reduction

    Shape: input and target of one shape (others broadcast, with a warning) -> (), or that shape
    with reduction 'none'

    Args:
        reduction: 'mean', 'sum' or 'none'.
        delta: where the two meet, > 0.
        weight: of input's shape; a factor of each element.

    Raises:
        ValueError: another reduction; a weight of another shape.
        RuntimeError: delta not > 0; shapes that do not broadcast.

    Source: Huber 1964, "Robust estimation of a location parameter".
    """
    code = reduction_code("huber_loss", reduction)
    if not delta > 0:
        raise RuntimeError(f"huber_loss: delta must be > 0; got {delta}")
    return _difference("huber_loss", _HUBER, input, target, code, delta, weight)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy of probabilities of yes or no.

    Formula: l = -weight (target ln input + (1 - target) ln(1 - input)), each logarithm at least
    -100

    Shape: input and target of one shape, weight broadcasts to it -> (), or that shape with
    reduction 'none'

    Args:
        weight: a factor of each element, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction; shapes that differ.
        RuntimeError: a value of input or target outside of [0, 1]; dtypes that differ.
    """
    code = reduction_code("binary_cross_entropy", reduction, size_average, reduce)
    input, target = same_dtype("binary_cross_entropy", False, input=input, target=target)
    shape = tuple(input._data.shape)
    if tuple(target._data.shape) != shape:
        raise ValueError(
            "binary_cross_entropy: target must have the size of input; got target "
            f"{tuple(target.shape)}, input {shape}"
        )
    if weight is not None:
        same_dtype("binary_cross_entropy", False, input=input, weight=weight)
        weight = _expanded(weight, shape)
    return _loss(input, target, _BINARY, code, 0.0, weight)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The cross entropy of yes or no, of scores before the sigmoid; never infinite.

    Formula: l = weight ((1 - target) input + (1 + (pos_weight - 1) target) ln(1 + e^-input))

    Shape: input and target of one shape, weight and pos_weight broadcast to it -> (), or that
    shape with reduction 'none'

    Args:
        weight: a factor of each element, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.
        pos_weight: what a positive target counts for, without a gradient.

    Raises:
        ValueError: another reduction; a target of another shape.
        RuntimeError: shapes that do not broadcast; dtypes that differ.
    """
    name = "binary_cross_entropy_with_logits"
    code = reduction_code(name, reduction, size_average, reduce)
    input, target = same_dtype(name, True, input=input, target=target)
    shape = tuple(input._data.shape)
    if tuple(target._data.shape) != shape:
        raise ValueError(
            f"{name}: target must have the size of input; got target {tuple(target.shape)}, "
            f"input {shape}"
        )
    extra = []
    for t in (weight, pos_weight):
        if t is not None:
            t = same_dtype(name, True, input=input, weight=t)[1]
            t = _expanded(t, broadcast_shape(name, shape, tuple(t._data.shape)))
        extra.append(t)
    return _loss(input, target, _LOGITS, code, 0.0, extra[0], extra[1])


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence of log-probabilities from target probabilities.

    Formula: l = target (ln target - input), 0 where the target is 0; with log_target l = e^target
    (target - input)

    Shape: input and target of one shape (others broadcast) -> (), or that shape with reduction
    'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean' (over all elements, with PyTorch's warning), 'batchmean' (the sum divided
            by input.shape[0]), 'sum' or 'none'.
        log_target: whether target is a logarithm too.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not broadcast.

    Source: Kullback & Leibler 1951, "On information and sufficiency".
    """
    import warnings

    batch = reduction == "batchmean"
    if size_average is None and reduce is None:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size. 'batchmean' divides only by the batch size, and aligns with the KL div math "
                "definition.",
                stacklevel=2,
            )
        code = reduction_code("kl_div", "sum" if batch else reduction)
    else:
        batch = False
        code = reduction_code("kl_div", reduction, size_average, reduce)
    rows = tuple(getattr(input, "shape", ()))[:1]
    pair = same_dtype("kl_div", True, input=input, target=target)
    input, target = broadcast_pair("kl_div", pair[0], pair[1], False)
    loss = _loss(input, target, _LOG_DIVERGENCE if log_target else _DIVERGENCE, code)
    return loss / rows[0] if batch and rows else loss


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The logistic loss of targets -1 and 1; never infinite.

    Formula: l = ln(1 + e^(-target * input))

    Shape: input and target of one shape (others broadcast) -> (), or that shape with reduction
    'none'

    Args:
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not broadcast.
    """
    code = reduction_code("soft_margin_loss", reduction, size_average, reduce)
    pair = same_dtype("soft_margin_loss", True, input=input, target=target)
    input, target = broadcast_pair("soft_margin_loss", pair[0], pair[1], False)
    return _loss(input, target, _SOFT_MARGIN, code)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Distances of similar pairs, and how much dissimilar ones fall short of the margin.

    Formula: l = input where target is 1, max(0, margin - input) where it is -1

    Shape: input and target of one shape (others broadcast) -> (), or that shape with reduction
    'none'

    Args:
        margin: what dissimilar pairs should be apart.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not broadcast.
    """
    code = reduction_code("hinge_embedding_loss", reduction, size_average, reduce)
    pair = same_dtype("hinge_embedding_loss", True, input=input, target=target)
    input, target = broadcast_pair("hinge_embedding_loss", pair[0], pair[1], False)
    return _loss(input, target, _HINGE_EMBEDDING, code, margin)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How much pairs miss the wanted order: input1 above input2 where target is 1, else below.

    Formula: l = max(0, margin - target (input1 - input2))

    Shape: three tensors of as many dimensions, which broadcast -> (), or that shape with reduction
    'none'

    Args:
        margin: by how much they should differ.
        size_average, reduce: PyTorch's old words for the reduction.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: numbers of dimensions that differ, or shapes that do not broadcast.
    """
    name = "margin_ranking_loss"
    code = reduction_code(name, reduction, size_average, reduce)
    input1, input2, target = same_dtype(name, True, input1=input1, input2=input2, target=target)
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        raise RuntimeError(
            f"{name}: all inputs must have as many dimensions; got input1 {tuple(input1.shape)}, "
            f"input2 {tuple(input2.shape)}, target {tuple(target.shape)}"
        )
    difference, target = broadcast_pair(name, input1 - input2, target, False)
    return _loss(difference, target, _HINGE, code, margin)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts that are Poisson distributed.

    Formula: l = e^input - target * input; without log_input l = input - target ln(input + eps);
    full adds Stirling's target ln target - target + ln(2 pi target) / 2 where target > 1

    Shape: input and target of one shape (others broadcast) -> (), or that shape with reduction
    'none'

    Args:
        log_input: whether input is the logarithm of the rate.
        full: whether the term without input is added.
        size_average, reduce: PyTorch's old words for the reduction.
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes that do not broadcast.
    """
    if size_average is None and reduce is None:
        check_reduction("poisson_nll_loss", reduction)
    code = reduction_code("poisson_nll_loss", reduction, size_average, reduce)
    pair = same_dtype("poisson_nll_loss", True, input=input, target=target)
    input, target = broadcast_pair("poisson_nll_loss", pair[0], pair[1], False)
    kind = _POISSON_LOG if log_input else _POISSON
    if not full:
        return _loss(input, target, kind, code, eps)
    loss = _loss(input, target, kind, 0, eps) + _loss(target, target.detach(), _STIRLING, 0)
    return loss if code == 0 else loss.mean() if code == 1 else loss.sum()
