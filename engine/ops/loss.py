"""log_softmax, nll_loss and cross_entropy."""

from __future__ import annotations

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import int64, uint8
from ..tensor import Tensor
from . import shapes
from .install import method, numpy_names
from .loss_options import reduction_code
from .operands import need_tensors, own_errors
from .softmax import implied_dim

__all__ = ["cross_entropy", "log_softmax", "nll_loss"]


@op(inputs="x", kernel="log_softmax", formula="y = x - ln(sum of e^x along dim)")
def log_softmax_(k, x, dim):
    y = k.log_softmax(x, dim)
    return y, (y,)


@log_softmax_.gradient
def _(k, saved, grad_y, need, dim):
    return (k.log_softmax_bwd(grad_y, saved[0], dim),)


@op(
    inputs="grad_y y",
    kernel="log_softmax_bwd",
    formula="grad_x = grad_y - e^y * sum of grad_y along dim",
)
def log_softmax_bwd_(k, grad_y, y, dim):
    return k.log_softmax_bwd(grad_y, y, dim), (grad_y, y)


@log_softmax_bwd_.gradient
def _(k, saved, grad, need, dim):
    g, y = saved
    kept = shapes.reduced(tuple(y.shape), (dim,) if y.shape else (), True)
    dims = (dim,) if y.shape else ()
    weighted = k.mul(grad, k.exp(y))
    return (
        k.sub(grad, k.sum(weighted, dims, kept)) if need[0] else None,
        k.neg(k.mul(weighted, k.sum(g, dims, kept))) if need[1] else None,
    )


@op(
    inputs="x target weight?",
    kernel="nll_loss",
    outputs=2,
    formula="y = -weight[target] * x[target], averaged over the weights or summed",
)
def nll_loss_(k, x, target, weight, out_shape, ignore_index, reduction):
    y, total = k.nll_loss(x, target, weight, out_shape, ignore_index, reduction)
    return (y, total), (target, weight, total, tuple(x.shape))


@nll_loss_.gradient
def _(k, saved, grad_y, need, out_shape, ignore_index, reduction):
    target, weight, total, x_shape = saved
    grad_x = k.nll_loss_bwd(grad_y, target, weight, total, x_shape, ignore_index, reduction)
    return grad_x, None, None


@op(
    inputs="grad_y target weight? total_weight",
    kernel="nll_loss_bwd",
    formula="grad_x[target] = -weight[target] * grad_y (/ total_weight for the mean), else 0",
)
def nll_loss_bwd_(k, grad_y, target, weight, total, x_shape, ignore_index, reduction):
    grad_x = k.nll_loss_bwd(grad_y, target, weight, total, x_shape, ignore_index, reduction)
    return grad_x, (target, weight, tuple(grad_y.shape))


@nll_loss_bwd_.gradient
def _(k, saved, grad, need, x_shape, ignore_index, reduction):
    target, weight, y_shape = saved
    # nll_loss is linear in x: the gradient of its adjoint is itself.
    y, _total = k.nll_loss(grad, target, weight, y_shape, ignore_index, reduction)
    return y, None, None, None


@op(
    inputs="x target weight?",
    kernel="cross_entropy",
    outputs=3,
    formula="y = nll_loss of log_softmax(x), a part `smoothing` spread over the classes",
)
def cross_entropy_(
    k, x, target, weight, out_shape, stats_shape, softmax, smoothing, ignore_index, reduction
):
    y, stats, total = k.cross_entropy(
        x, target, weight, out_shape, stats_shape, softmax, smoothing, ignore_index, reduction
    )
    return (y, stats, total), (x, target, weight, stats, total)


@cross_entropy_.gradient
def _(k, saved, grad_y, need, out_shape, stats_shape, softmax, smoothing, ignore_index, reduction):
    options = (softmax, smoothing, ignore_index, reduction)
    return k.cross_entropy_bwd(grad_y, *saved, *options), None, None


@op(
    inputs="grad_y x target weight? stats total_weight",
    kernel="cross_entropy_bwd",
    formula="grad_x = grad_y * (sum of q * softmax(x) - q), q the weighted target "
    "(/ total_weight for the mean)",
)
def cross_entropy_bwd_(
    k, grad_y, x, target, weight, stats, total, softmax, smoothing, ignore_index, reduction
):
    options = (softmax, smoothing, ignore_index, reduction)
    grad_x = k.cross_entropy_bwd(grad_y, x, target, weight, stats, total, *options)
    return grad_x, (grad_y, x, target, weight, stats, total)


@cross_entropy_bwd_.gradient
def _(k, saved, grad, need, softmax, smoothing, ignore_index, reduction):
    # The loss is l(log_softmax(x)) with l linear: nll_loss, smoothed. The op is the adjoint of
    # log_softmax at l's adjoint u of grad_y; without softmax it is u itself.
    g, x, target, weight, stats, total = saved
    shapes_ = (tuple(g.shape), tuple(stats.shape))
    options = (False, smoothing, ignore_index, reduction)
    grad_g = grad_x = None
    if not softmax:
        if need[0]:
            grad_g, _stats, _total = k.cross_entropy(grad, target, weight, *shapes_, *options)
        return grad_g, None, None, None, None, None
    dim = 1 if len(x.shape) > 1 else 0
    kept = shapes.reduced(tuple(x.shape), (dim,), True)
    y = k.log_softmax(x, dim)
    weighted = k.mul(grad, k.exp(y))
    if need[0]:
        centred = k.sub(grad, k.sum(weighted, (dim,), kept))
        grad_g, _stats, _total = k.cross_entropy(centred, target, weight, *shapes_, *options)
    if need[1]:
        u = k.cross_entropy_bwd(g, x, target, weight, stats, total, *options)
        to_y = k.neg(k.mul(weighted, k.sum(u, (dim,), kept)))
        grad_x = k.log_softmax_bwd(to_y, y, dim)
    # stats and total_weight follow from x and weight: what flows into them is in grad_x.
    return grad_g, grad_x, None, None, None, None


# ---- the public functions ----


@own_errors
@method("log_softmax")
@numpy_names
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """The logarithm of softmax, computed without overflow.

    Formula: y = x - max - ln(sum of e^(x - max) along dim)

    Shape: unchanged.

    Args:
        dim: whose exponentials sum to 1; None, with a warning: 0 or 1, as PyTorch chooses.
        dtype: the type to convert to first.

    Raises:
        IndexError: dim out of range.
    """
    ndim = len(input._data.shape)
    if dim is None:
        dim = implied_dim("log_softmax", ndim)
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    d = shapes.dim("log_softmax", dim, ndim)
    return apply(log_softmax_, (input,), (d,))


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the target classes.

    Formula: l[n] = -weight[target[n]] * input[n, target[n]]; the mean divides the sum by the sum of
    the weights that took part

    Shape: input (N, C, ...) or (C,) of log-probabilities, target (N, ...) or () of int64 or uint8
    classes -> (), or target's shape with reduction 'none'

    Args:
        weight: (C,), a factor for each class, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: a class out of [0, C).
    """
    code = reduction_code("nll_loss", reduction, size_average, reduce)
    target = _check_classes("nll_loss", input, target, weight)
    out_shape = tuple(target._data.shape) if code == 0 else ()
    return apply(nll_loss_, (input, target, weight), (out_shape, int(ignore_index), code))[0]


def _check_classes(name: str, input: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """The target as int64.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.
    """
    weights = {} if weight is None else {"weight": weight}
    need_tensors(name, input=input, target=target, **weights)
    x, t = input._data.shape, target._data.shape
    if target.dtype is uint8:
        target = target.to(int64)
    if target.dtype is not int64:
        raise RuntimeError(
            f"{name}: target must be class indices of dtype int64 or uint8; got {target.dtype} "
            "(convert with .long())"
        )
    if not x or t != (x[:1] + x[2:] if len(x) > 1 else ()):
        raise RuntimeError(
            f"{name}: input must be (N, C, ...) with target (N, ...), or (C,) with target (); "
            f"got input {tuple(x)}, target {tuple(t)}"
        )
    _check_weight(name, input, weight)
    return target


def _check_weight(name: str, input: Tensor, weight: Tensor | None) -> None:
    x = input._data.shape
    channels = x[1] if len(x) > 1 else x[0]
    if weight is not None and weight._data.shape != (channels,):
        raise RuntimeError(
            f"{name}: weight must have shape ({channels},), one value a class; "
            f"got {tuple(weight.shape)}"
        )


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy between softmax(input) and target classes or class probabilities.

    Formula: nll_loss(log_softmax(input, dim=1), target) for classes; for probabilities q of
    input's shape l = -sum over c of weight[c] q[c] log_softmax(input)[c], whose mean is over the
    positions. label_smoothing s replaces the target by (1 - s) target + s / C

    Shape: input (N, C, ...) or (C,) of scores; target (N, ...) or () of int64 or uint8 classes, or
    floating-point probabilities of input's shape -> (), or (N, ...) with reduction 'none'

    Args:
        weight: (C,), a factor for each class, without a gradient.
        size_average, reduce: PyTorch's old words for the reduction.
        ignore_index: a target class that takes no part.
        reduction: 'mean', 'sum' or 'none'.
        label_smoothing: the part of the target that is spread over all classes, in [0, 1].

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes or dtypes that do not fit; label_smoothing outside of [0, 1]; an
            ignore_index >= 0 with probabilities.
        IndexError: a class out of [0, C).

    Source: Szegedy et al. 2016, "Rethinking the Inception architecture" (label smoothing).
    """
    name = "cross_entropy"
    code = reduction_code(name, reduction, size_average, reduce)
    need_tensors(name, input=input, target=target)
    if isinstance(label_smoothing, str):
        raise TypeError(f"{name}: label_smoothing must be a number; got {label_smoothing!r}")
    smoothing = float(label_smoothing)
    if not 0.0 <= smoothing <= 1.0:
        raise RuntimeError(f"{name}: label_smoothing must be in [0, 1]; got {label_smoothing}")
    x = tuple(input._data.shape)
    if x and x == tuple(target._data.shape):
        return _soft_cross_entropy(input, target, weight, int(ignore_index), code, smoothing)
    target = _check_classes(name, input, target, weight)
    t = tuple(target._data.shape)
    options = (t if code == 0 else (), (2, *t), True, smoothing, int(ignore_index), code)
    return apply(cross_entropy_, (input, target, weight), options)[0]


def _soft_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    code: int,
    smoothing: float,
) -> Tensor:
    """cross_entropy with class probabilities."""
    name = "cross_entropy"
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            f"{name}: a target of input's shape holds class probabilities, of a floating-point "
            f"dtype; got {target.dtype}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"{name}: ignore_index is not supported with class probabilities; got {ignore_index}"
        )
    if weight is not None:
        need_tensors(name, weight=weight)
    _check_weight(name, input, weight)
    shape = tuple(input._data.shape)
    dim = 1 if len(shape) > 1 else 0
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / max(shape[dim], 1)
    terms = log_softmax(input, dim) * target
    if weight is not None:
        terms = terms * weight.reshape((shape[dim],) + (1,) * (len(shape) - dim - 1))
    if code == 0:
        return -terms.sum(dim)
    positions = 1
    for i, n in enumerate(shape):
        positions *= 1 if i == dim else n
    total = -terms.sum()
    return total if code == 2 else total / positions
