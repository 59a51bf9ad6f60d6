"""Normalisation: of batches, layers, groups, instances, by root mean square, across channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..autograd.promotion import halves, widened
from ..errors import call
from ..tensor import Tensor
from . import math, pool, shapes
from .operands import need_tensors
from .spread import sum_squares_

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]

#: The least that a logarithm is taken of.
_LEAST = 1e-30

# ---- batch_norm ----


@op(
    inputs="x weight? bias?",
    kernel="batch_norm",
    outputs=3,
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias; each channel's mean and variance",
    source="Ioffe & Szegedy 2015",
)
def batch_norm_(k, x, weight, bias, stats_shape, eps):
    y, mean, var = k.batch_norm(x, weight, bias, stats_shape, eps)
    return (y, mean, var), (x, weight, mean, var)


@batch_norm_.gradient
def _(k, saved, grad_y, need, stats_shape, eps):
    x, weight, mean, var = saved
    return k.batch_norm_bwd(grad_y, x, weight, mean, var, eps, True)


@op(
    inputs="grad_y x weight? mean var",
    kernel="batch_norm_bwd",
    outputs=3,
    differentiable=3,
    formula="grad_x, grad_weight, grad_bias of batch_norm; in training mean and var are x's",
)
def batch_norm_bwd_(k, grad_y, x, weight, mean, var, eps, training):
    grads = k.batch_norm_bwd(grad_y, x, weight, mean, var, eps, training)
    return grads, (grad_y, x, weight, mean, var)


@batch_norm_bwd_.gradient
def _(k, saved, grads, need, eps, training):
    """The second derivative, P(z) being z - mean(z) - u mean(z u) and u the normalised x.

    With r = 1 / sqrt(var + eps), V, U and W the gradients of grad_x = weight r P(g), grad_weight
    and grad_bias:
    of g: weight r P(V) + U u + W; of weight: sum(V r P(g));
    of x: r P(U g - weight r / M (V sum(g u) + g sum(V u))) - weight r / M u sum(V r P(g)).
    """
    g, x, weight, mean, var = saved
    of_x, of_weight, of_bias = grads
    shape = tuple(x.shape)
    dims = tuple([d for d in range(len(shape)) if d != 1])
    kept = shapes.reduced(shape, dims, True)
    count = prod(shape) // shape[1] if shape[1] else 0
    if not training:
        u = k.batch_norm_eval(x, None, None, mean, var, eps)
        down = k.batch_norm_eval(of_x, weight, None, None, var, eps)
        of_weight, of_bias = k.reshape(of_weight, kept), k.reshape(of_bias, kept)
        product = k.mul(of_x, k.batch_norm_eval(g, None, None, None, var, eps))
        return (
            k.add(k.add(down, k.mul(of_weight, u)), of_bias),
            k.batch_norm_eval(k.mul(of_weight, g), None, None, None, var, eps),
            None if weight is None else k.sum(product, dims, tuple(weight.shape)),
            None,
            None,
        )
    rstd, u = _normalised(k, x, dims, kept, count, eps, True)
    down, sum_u, _sum = k.batch_norm_bwd(of_x, x, None, mean, var, eps, True)
    projected, sum_gu, _sum = k.batch_norm_bwd(g, x, None, mean, var, eps, True)
    product = k.sum(k.mul(of_x, projected), dims, kept)
    of_weight, of_bias = k.reshape(of_weight, kept), k.reshape(of_bias, kept)
    scale = rstd if weight is None else k.mul(rstd, k.reshape(weight, kept))
    if weight is not None:
        down = k.mul(down, k.reshape(weight, kept))
    part = k.mul(scale, 1.0 / count if count else 0.0)
    cross = k.add(k.mul(of_x, k.reshape(sum_gu, kept)), k.mul(g, k.reshape(sum_u, kept)))
    inner = k.sub(k.mul(of_weight, g), k.mul(part, cross))
    of_x = k.batch_norm_bwd(inner, x, None, mean, var, eps, True)[0]
    return (
        k.add(k.add(down, k.mul(of_weight, u)), of_bias),
        k.sub(of_x, k.mul(u, k.mul(part, product))),
        None if weight is None else k.reshape(product, tuple(weight.shape)),
        None,
        None,
    )


def _normalised(
    k: Any, x: Any, dims: Any, kept: Any, count: int, eps: float, centered: bool
) -> tuple[Any, Any]:
    """1 / sqrt(var + eps) and x normalised with it."""
    share = 1.0 / count if count else 0.0
    if centered:
        x = k.sub(x, k.mul(k.sum(x, dims, kept), share))
    var = k.mul(k.sum(k.mul(x, x), dims, kept), share)
    rstd = k.exp(k.mul(k.log(k.add(var, eps)), -0.5))
    return rstd, k.mul(x, rstd)


@op(
    inputs="x weight? bias? mean? var",
    kernel="batch_norm_eval",
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias, mean and var given",
)
def batch_norm_eval_(k, x, weight, bias, mean, var, eps):
    return k.batch_norm_eval(x, weight, bias, mean, var, eps), (x, weight, mean, var)


@batch_norm_eval_.gradient
def _(k, saved, grad_y, need, eps):
    x, weight, mean, var = saved
    if mean is None or not (need[1] or need[2]):  # without a mean: a gradient's own call
        grad_x = k.batch_norm_eval(grad_y, weight, None, None, var, eps)
        grad_weight = None
        if need[1]:
            product = k.mul(grad_y, k.batch_norm_eval(x, None, None, None, var, eps))
            dims = tuple([d for d in range(len(x.shape)) if d != 1])
            grad_weight = k.sum(product, dims, tuple(var.shape))
        return grad_x, grad_weight, None, None, None
    return (*k.batch_norm_bwd(grad_y, x, weight, mean, var, eps, False), None, None)


# ---- rows ----


@op(
    inputs="x weight? bias?",
    kernel="row_norm",
    outputs=3,
    formula="y = (x - mean) / sqrt(var + eps) * weight + bias; each row's mean and variance",
    source="Ba et al. 2016; Wu & He 2018; Zhang & Sennrich 2019",
)
def row_norm_(k, x, weight, bias, stats_shape, groups, inner, eps, centered):
    y, mean, var = k.row_norm(x, weight, bias, stats_shape, groups, inner, eps, centered)
    given = bias if weight is None else weight
    shape = () if given is None else tuple(given.shape)
    return (y, mean, var), (x, weight, mean, var, shape)


@row_norm_.gradient
def _(k, saved, grad_y, need, stats_shape, groups, inner, eps, centered):
    x, weight, mean, var, shape = saved
    shape = shape if need[1] or need[2] else (0,)
    return k.row_norm_bwd(grad_y, x, weight, mean, var, shape, groups, inner, eps, centered)


@op(
    inputs="grad_y x weight? mean var",
    kernel="row_norm_bwd",
    outputs=3,
    differentiable=3,
    formula="grad_x, grad_weight, grad_bias of row_norm; mean and var are functions of x",
)
def row_norm_bwd_(k, grad_y, x, weight, mean, var, weight_shape, groups, inner, eps, centered):
    options = (weight_shape, groups, inner, eps, centered)
    grads = k.row_norm_bwd(grad_y, x, weight, mean, var, *options)
    return grads, (grad_y, x, weight, mean, var)


@row_norm_bwd_.gradient
def _(k, saved, grads, need, weight_shape, groups, inner, eps, centered):
    """As batch_norm_bwd's, with the weight inside: h = g weight, grad_x = r P(h).

    of g: weight r P(V) + U u + W; of weight: sum(g r P(V));
    of x: r P(U g - r / D (V sum(h u) + h sum(V u))) - r / D u sum(V r P(h)).
    """
    g, x, weight, mean, var = saved
    of_x, of_weight, of_bias = grads
    x_shape, rows = tuple(x.shape), prod(mean.shape)
    if not prod(x_shape):
        zero = None if weight is None else k.mul(weight, 0.0)
        return k.mul(g, 0.0), k.mul(x, 0.0), zero, None, None
    length = prod(x_shape) // rows
    full = (rows // groups, groups, length // inner, inner)
    per_row, per_weight = (full[0], groups, 1, 1), (1, groups, full[2], 1)

    def project(z):
        options = ((0,), groups, inner, eps, centered)
        z = k.row_norm_bwd(k.reshape(z, x_shape), x, None, mean, var, *options)[0]
        return k.reshape(z, full)

    h = g = k.reshape(g, full)
    of_x = k.reshape(of_x, full)
    rstd, u = _normalised(k, k.reshape(x, full), (2, 3), per_row, length, eps, centered)
    down = project(of_x)
    grad_weight = None
    if weight is not None:
        grad_weight = k.reshape(k.sum(k.mul(g, down), (0, 3), per_weight), tuple(weight.shape))
        weight = k.reshape(weight, per_weight)
        h, down = k.mul(g, weight), k.mul(down, weight)
    part = k.mul(rstd, 1.0 / length)
    sum_hu = k.sum(k.mul(h, u), (2, 3), per_row)
    sum_vu = k.sum(k.mul(of_x, u), (2, 3), per_row)
    inner_grad = k.neg(k.mul(part, k.add(k.mul(of_x, sum_hu), k.mul(h, sum_vu))))
    if prod(weight_shape):
        of_weight, of_bias = k.reshape(of_weight, per_weight), k.reshape(of_bias, per_weight)
        inner_grad = k.add(inner_grad, k.mul(of_weight, g))
        down = k.add(k.add(down, k.mul(of_weight, u)), of_bias)
    product = k.sum(k.mul(of_x, project(h)), (2, 3), per_row)
    grad_x = k.sub(project(inner_grad), k.mul(u, k.mul(part, product)))
    return k.reshape(down, x_shape), k.reshape(grad_x, x_shape), grad_weight, None, None


# ---- the public functions ----


def _given(**arrays: Any) -> dict[str, Tensor]:
    """Those that are not None."""
    return {name: value for name, value in arrays.items() if value is not None}


def _check_channels(name: str, channels: int, **arrays: Any) -> None:
    """That each given array holds one value a channel."""
    for argument, array in _given(**arrays).items():
        if array._data.shape != (channels,):
            raise RuntimeError(
                f"{name}: {argument} must have shape ({channels},), one value a channel; "
                f"got {tuple(array.shape)}"
            )


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises each channel over the batch and the spatial dimensions.

    Formula: y = (input - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and biased
    variance in training, the running ones otherwise

    Shape: (N, C, ...) -> unchanged; all else (C,)

    Args:
        running_mean, running_var: used as they are unless `training`; in training they move by
            momentum * (the batch's - theirs), in place, the variance unbiased.
        weight, bias: scale and shift of each channel; default: 1 and 0.
        training: whether the batch's statistics are used.
        momentum: the step of the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: training with one value a channel.
        RuntimeError: shapes that do not fit; no running statistics and not training.

    Source: Ioffe & Szegedy 2015.
    """
    given = _given(running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    need_tensors("batch_norm", input=input, **given)
    shape = tuple(input._data.shape)
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm: input must be (N, C, ...); got {shape}")
    channels = shape[1]
    _check_channels("batch_norm", channels, **given)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "batch_norm: running_mean and running_var must be given when not training; got "
                f"{type(running_mean).__name__} and {type(running_var).__name__}"
            )
        inputs = (input, weight, bias, running_mean.detach(), running_var.detach())
        return apply(batch_norm_eval_, inputs, (float(eps),))
    count = prod(shape) // channels if channels else 0
    if count == 1:
        raise ValueError(
            f"batch_norm: expected more than 1 value per channel when training; got input {shape}"
        )
    y, mean, var = apply(batch_norm_, (input, weight, bias), ((channels,), float(eps)))
    if count:
        _move("batch_norm", running_mean, running_var, mean, var, momentum, count)
    return y


def _move(
    name: str,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    momentum: float,
    count: int,
) -> None:
    """Moves the running statistics towards these."""
    if running_mean is None and running_var is None:
        return
    if running_mean is None or running_var is None:
        raise RuntimeError(f"{name}: running_mean and running_var must be given both, or neither")
    table = input_table(mean)
    arrays = (running_mean._data, running_var._data, mean._data, var._data)
    names = ("running_mean", "running_var", "mean", "var")
    if halves(arrays) is None:
        call(name, table.batch_norm_update, names, *arrays, float(momentum), count)
    else:  # as other ops do: in float32, rounded once
        wide = widened(arrays)
        call(name, table.batch_norm_update, names, *wide, float(momentum), count)
        for old, new in zip(arrays[:2], wide[:2], strict=True):
            if old is not new:
                table.copy_into(old, table.copy(new, old.dtype))
    running_mean._version[0] += 1
    running_var._version[0] += 1


def input_table(t: Tensor) -> Any:
    """The kernel table of a tensor's device."""
    return t._table()


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises over the last dimensions.

    Formula: y = (input - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the
    last dimensions

    Shape: (..., *normalized_shape) -> unchanged; weight and bias: normalized_shape

    Args:
        normalized_shape: the sizes of the last dimensions.
        weight, bias: scale and shift of each element; default: 1 and 0.
        eps: added to the variance.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Ba, Kiros, Hinton 2016.
    """
    return _last_dims("layer_norm", input, normalized_shape, weight, bias, float(eps), True)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divides by the root mean square over the last dimensions.

    Formula: y = input / sqrt(mean(input^2) + eps) * weight

    Shape: (..., *normalized_shape) -> unchanged; weight: normalized_shape

    Args:
        normalized_shape: the sizes of the last dimensions.
        weight: scale of each element; default: 1.
        eps: added to the mean square; default: the dtype's machine epsilon.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Zhang & Sennrich 2019.
    """
    need_tensors("rms_norm", input=input)
    if eps is None:
        eps = 2.0 ** {2: -10, 4: -23}.get(input._data.dtype.itemsize, -52)
    return _last_dims("rms_norm", input, normalized_shape, weight, None, float(eps), False)


def _last_dims(
    name: str,
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    centered: bool,
) -> Tensor:
    given = _given(weight=weight, bias=bias)
    need_tensors(name, input=input, **given)
    if isinstance(normalized_shape, int):
        normalized_shape = (normalized_shape,)
    last = shapes.sizes(name, tuple(normalized_shape))
    shape = tuple(input._data.shape)
    split = len(shape) - len(last)
    if not last or split < 0 or shape[split:] != last:
        raise RuntimeError(
            f"{name}: normalized_shape must be the last sizes of the input, at least one; "
            f"got normalized_shape={list(last)}, input {shape}"
        )
    for argument, array in given.items():
        if array._data.shape != last:
            raise RuntimeError(
                f"{name}: {argument} must have shape {last}; got {tuple(array.shape)}"
            )
    options = (shape[:split], 1, 1, eps, centered)
    return apply(row_norm_, (input, weight, bias), options)[0]


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises groups of neighbouring channels.

    Formula: y = (input - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the
    channels of a group and the spatial dimensions

    Shape: (N, C, ...) -> unchanged; weight and bias: (C,)

    Args:
        num_groups: how many groups; it divides C.
        weight, bias: scale and shift of each channel; default: 1 and 0.
        eps: added to the variance.

    Raises:
        ValueError: one value a group.
        RuntimeError: shapes that do not fit, groups that do not divide C.

    Source: Wu & He 2018.
    """
    given = _given(weight=weight, bias=bias)
    need_tensors("group_norm", input=input, **given)
    shape = tuple(input._data.shape)
    if len(shape) < 2:
        raise RuntimeError(f"group_norm: input must be (N, C, ...); got {shape}")
    groups = shapes.groups("group_norm", num_groups)
    if shape[1] % groups:
        raise RuntimeError(
            f"group_norm: num_groups must divide the channels; got num_groups={groups}, "
            f"input {shape}"
        )
    _check_channels("group_norm", shape[1], **given)
    if shape[0] * shape[1] // groups * prod(shape[2:]) == 1:
        raise ValueError(
            f"group_norm: expected more than 1 value per channel when training; got input {shape}"
        )
    options = ((shape[0] * groups,), groups, prod(shape[2:]) or 1, float(eps), True)
    return apply(row_norm_, (input, weight, bias), options)[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Tensor:
    """Normalises each channel of each sample over the spatial dimensions.

    Formula: y = (input - mean) / sqrt(var + eps) * weight + bias

    Shape: (N, C, ...) -> unchanged; all else (C,)

    Args:
        running_mean, running_var: moved, in place, by momentum * (the samples' average - theirs);
            used as they are without `use_input_stats`.
        weight, bias: scale and shift of each channel; default: 1 and 0.
        use_input_stats: whether the input's statistics are used.
        momentum: the step of the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: one spatial element.
        RuntimeError: shapes that do not fit; no statistics at all.

    Source: Ulyanov, Vedaldi, Lempitsky 2016.
    """
    given = _given(running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    need_tensors("instance_norm", input=input, **given)
    shape = tuple(input._data.shape)
    if len(shape) < 3:
        raise RuntimeError(f"instance_norm: input must be (N, C, L, ...); got {shape}")
    _check_channels("instance_norm", shape[1], **given)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "instance_norm: running_mean and running_var must be given with "
                "use_input_stats=False"
            )
        inputs = (input, weight, bias, running_mean.detach(), running_var.detach())
        return apply(batch_norm_eval_, inputs, (float(eps),))
    batch, channels, length = shape[0], shape[1], prod(shape[2:])
    if length == 1:
        raise ValueError(
            f"instance_norm: expected more than 1 spatial element when training; got input {shape}"
        )
    options = ((batch, channels), channels, length or 1, float(eps), True)
    y, mean, var = apply(row_norm_, (input, weight, bias), options)
    if running_mean is not None and input._data.size:
        k = input_table(mean)
        mean, var = (Tensor._make(k.mean(t._data, (0,), (channels,))) for t in (mean, var))
        _move("instance_norm", running_mean, running_var, mean, var, momentum, length)
    return y


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divides each channel by the energy of its neighbours.

    Formula: y[c] = input[c] / (k + alpha / size * sum of input^2 over the channels c - size // 2 ..
    c + (size - 1) // 2)^beta, zeros beyond the first and the last

    Shape: (N, C, ...) -> unchanged

    Args:
        size: how many neighbouring channels count.
        alpha, beta, k: see the formula.

    Raises:
        ValueError: fewer than 3 dimensions.

    Source: Krizhevsky, Sutskever, Hinton 2012.
    """
    need_tensors("local_response_norm", input=input)
    shape = tuple(input._data.shape)
    if len(shape) < 3:
        raise ValueError(
            f"local_response_norm: input must have 3 dimensions or more; got {len(shape)} ({shape})"
        )
    (window,) = shapes.spatial("local_response_norm", "size", size, 1, 1)
    if not prod(shape):
        return input * 1.0
    squares = (input * input).reshape((shape[0], 1, shape[1], prod(shape[2:])))
    average = pool.avg_pool2d(squares, (window, 1), 1, (window // 2, 0))[:, :, : shape[1]]
    energy = average.reshape(shape) * alpha + k
    return input * (energy.log() * -beta).exp()


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    """Divides by the p-norm along dim.

    Formula: y = input / max(norm(input, p, dim), eps)

    Shape: unchanged.

    Args:
        p: of the norm: a number > 0, or inf.
        dim: an int or a tuple of ints.
        eps: the least that is divided by.

    Raises:
        IndexError: a dim out of range.
        ValueError: p <= 0.
    """
    need_tensors("normalize", input=input)
    if not p > 0:
        raise ValueError(f"normalize: p must be > 0; got {p}")
    size = lengths(input, p, dim, eps)
    # Products are quicker; no length has a reciprocal out of range: its square was finite.
    return input * size.reciprocal() if p == 2 and eps >= 1e-30 else input / size


def lengths(input: Tensor, p: float, dim: Any, eps: float) -> Tensor:
    """The p-norm along dim, which stays as 1, but eps at least."""
    if p == 2:
        # The bound goes below the root, whose gradient at 0 would be infinite.
        shape = tuple(input._data.shape)
        dims = shapes.dims("normalize", dim, len(shape))
        squares = apply(sum_squares_, (input,), (dims, shapes.reduced(shape, dims, True)))
        return math.sqrt(squares.clamp(min=eps * eps))
    size = math.abs(input)
    if p == float("inf"):
        return size.amax(dim, keepdim=True).clamp(min=eps)
    if p == 1:
        return size.sum(dim, keepdim=True).clamp(min=eps)
    # |x|^p and its root through logarithms, which have a least argument.
    powers = (size.clamp(min=_LEAST).log() * p).exp().sum(dim, keepdim=True)
    return (powers.clamp(min=_LEAST).log() * (1.0 / p)).exp().clamp(min=eps)
