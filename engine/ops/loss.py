"""log_softmax, nll_loss and cross_entropy."""

from __future__ import annotations

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import int64
from ..tensor import Tensor
from . import shapes
from .install import method
from .operands import need_tensors

__all__ = ["cross_entropy", "log_softmax", "nll_loss"]

_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


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


# ---- the public functions ----


@method("log_softmax")
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """The logarithm of softmax, computed without overflow.

    Formula: y = x - max - ln(sum of e^(x - max) along dim)

    Shape: unchanged.

    Args:
        dim: the dimension whose exponentials sum to 1.
        dtype: the type to convert to first.

    Raises:
        IndexError: dim out of range.
    """
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    d = shapes.dim("log_softmax", dim, len(input._data.shape))
    return apply(log_softmax_, (input,), (d,))


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of the target classes.

    Formula: l[n] = -weight[target[n]] * input[n, target[n]]; the mean divides the sum by the sum of
    the weights that took part

    Shape: input (N, C, ...) or (C,) of log-probabilities, target (N, ...) or () of int64 classes ->
    (), or target's shape with reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Unlike PyTorch's, options behind `weight` are keywords only: there is no size_average or reduce.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: a class out of [0, C).
    """
    return _nll("nll_loss", input, target, weight, ignore_index, reduction)


def _nll(
    name: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    code = _REDUCTIONS.get(reduction)
    if code is None:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")
    weights = {} if weight is None else {"weight": weight}
    need_tensors(name, input=input, target=target, **weights)
    x, t = input._data.shape, target._data.shape
    if target.dtype is not int64:
        raise RuntimeError(
            f"{name}: target must be class indices of dtype int64; got {target.dtype} "
            "(convert with .long())"
        )
    if not x or t != (x[:1] + x[2:] if len(x) > 1 else ()):
        raise RuntimeError(
            f"{name}: input must be (N, C, ...) with target (N, ...), or (C,) with target (); "
            f"got input {tuple(x)}, target {tuple(t)}"
        )
    channels = x[1] if len(x) > 1 else x[0]
    if weight is not None and weight._data.shape != (channels,):
        raise RuntimeError(
            f"{name}: weight must have shape ({channels},), one value a class; "
            f"got {tuple(weight.shape)}"
        )
    out_shape = tuple(t) if code == 0 else ()
    return apply(nll_loss_, (input, target, weight), (out_shape, int(ignore_index), code))[0]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The cross entropy between softmax(input) and the target classes.

    Formula: nll_loss(log_softmax(input, dim=1), target)

    Shape: input (N, C, ...) or (C,) of scores, target (N, ...) or () of int64 classes -> (), or
    target's shape with reduction 'none'

    Args:
        weight: (C,), a factor for each class.
        ignore_index: a target value that takes no part.
        reduction: 'mean', 'sum' or 'none'.

    Unlike PyTorch's, options behind `weight` are keywords only: there is no size_average or reduce.

    Raises:
        ValueError: another reduction.
        RuntimeError: shapes or dtypes that do not fit.
        IndexError: a class out of [0, C).
    """
    need_tensors("cross_entropy", input=input)
    ndim = len(input._data.shape)
    scores = apply(log_softmax_, (input,), (1 if ndim > 1 else 0,))
    return _nll("cross_entropy", scores, target, weight, ignore_index, reduction)
