"""Norms of vectors and distances between them."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..tensor import Tensor
from . import creation, shapes
from .choose import sign, where
from .compare import ne
from .elementwise import neg, relu
from .loss_options import broadcast_shape, same_dtype
from .math import abs
from .reduce import amax, sum, sum_to_shape
from .view import expand

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]

#: The least number that a norm is divided by: 0 / this is 0.
_LEAST = 1e-37


def _not_zero(k: Any, y: Any) -> Any:
    """max(y, a very small number), for y >= 0."""
    return k.add(k.relu(k.sub(y, _LEAST)), _LEAST)


@op(inputs="x", formula="y = (sum of |x|^p over dims)^(1/p)")
def vector_norm_(k, x, p, dims, out_shape):
    if p == 1.0:
        y = k.sum(k.abs(x), dims, out_shape)
    elif p == 2.0:
        y = k.sqrt(k.sum_squares(x, dims, out_shape))
    else:
        powers = k.exp(k.mul(k.log(k.abs(x)), p))
        total = k.sum(powers, dims, out_shape)
        y = k.exp(k.mul(k.log(total), 1.0 / p))
    return y, (x, y)


@vector_norm_.gradient
def _(k, saved, grad_y, need, p, dims, out_shape):
    x, y = saved
    x_shape = tuple(x.shape)
    kept = shapes.reduced(x_shape, dims, True)
    g = k.expand(k.reshape(grad_y, kept), x_shape)
    if p == 1.0:
        return (k.abs_bwd(g, x),)
    if p == 2.0:  # x / y; 0 where y is 0
        scale = k.reshape(k.div(grad_y, _not_zero(k, y)), kept)
        return (k.mul(x, k.expand(scale, x_shape)),)
    # sign(x) (|x| / y)^(p - 1); 0 where x is 0
    logs = k.sub(k.log(k.abs(x)), k.expand(k.reshape(k.log(y), kept), x_shape))
    return (k.abs_bwd(k.mul(g, k.exp(k.mul(logs, p - 1.0))), x),)


def norm_over(name: str, x: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """The p-norm over dims.

    Raises:
        RuntimeError: of nothing, where p is infinite or negative.
    """
    p = float(p)
    shape = tuple(x._data.shape)
    if p in (math.inf, -math.inf):
        if any(shape[d] == 0 for d in dims):
            raise RuntimeError(f"{name}: p = {p} of nothing; got shape {shape}")
        if not dims:
            return abs(x)
        if p > 0:
            return amax(abs(x), dims, keepdim)
        return neg(amax(neg(abs(x)), dims, keepdim))
    if p == 0.0:
        # 1 where x is not 0; elsewhere its sign, which is 0 and keeps x on the tape.
        return sum(where(ne(x, 0.0), 1.0, sign(x)), dims, keepdim)
    return apply(vector_norm_, (x,), (p, dims, shapes.reduced(shape, dims, keepdim)))


@op(inputs="a b", kernel="distance", formula="y[.., i, j] = |a[.., i, :] - b[.., j, :]|_p")
def distance_(k, a, b, p, pairs, out_shape):
    y = k.distance(a, b, p, pairs, out_shape)
    return y, (a, b, y)


@distance_.gradient
def _(k, saved, grad_y, need, p, pairs, out_shape):
    a, b, y = saved
    if pairs:  # b is a: the sum over all others of each row is both operands' gradient
        n = tuple(a.shape)[0]
        whole, lengths = k.square_form(grad_y, (n, n)), k.square_form(y, (n, n))
        return k.distance_bwd(whole, lengths, a, a, p), None
    return (
        k.distance_bwd(grad_y, y, a, b, p) if need[0] else None,
        k.distance_bwd(_transposed(k, grad_y), _transposed(k, y), b, a, p) if need[1] else None,
    )


@op(
    inputs="grad_y y a b",
    kernel="distance_bwd",
    formula="grad_a[i] = sum over j of grad_y[i, j] sign(u) (|u| / y[i, j])^(p - 1), u = a_i - b_j",
)
def distance_bwd_(k, grad_y, y, a, b, p):
    return k.distance_bwd(grad_y, y, a, b, p), (grad_y, y, a, b)


@distance_bwd_.gradient
def _(k, saved, grad, need, p):
    grad_y, y, a, b = saved
    if p == 0.0:
        return k.mul(grad_y, 0.0), None, None, None
    # By broadcasting: every tensor is (.., P, R, D), or 1 in some of them.
    batch, rows, others = tuple(y.shape)[:-2], tuple(a.shape)[-2], tuple(b.shape)[-2]
    depth, last = tuple(a.shape)[-1], len(tuple(y.shape))
    whole = (*batch, rows, others, depth)
    own = (*batch, rows, 1, depth)
    u = k.sub(k.reshape(a, own), k.reshape(b, (*batch, 1, others, depth)))
    g = k.expand(k.reshape(grad, own), whole)
    if p in (1.0, math.inf):
        signed = k.abs_bwd(g, u)
        if p != 1.0:
            lengths = k.expand(k.reshape(y, (*batch, rows, others, 1)), whole)
            signed = k.where(k.eq(k.abs(u), lengths), signed, 0.0)
        return k.sum(signed, (last,), tuple(y.shape)), None, None, None
    length = k.reshape(y, (*batch, rows, others, 1))
    least = _not_zero(k, length)
    inverse = k.div(k.div(length, least), least)  # 1 / y; 0 where y is 0
    if p == 2.0:
        product, second = k.mul(k.mul(g, u), inverse), k.mul(g, inverse)
    else:
        logs = k.sub(k.log(k.abs(u)), k.log(least))
        product = k.abs_bwd(k.mul(g, k.exp(k.mul(logs, p - 1.0))), u)
        bent = k.mul(k.mul(g, k.exp(k.mul(logs, p - 2.0))), k.mul(inverse, p - 1.0))
        second = k.abs_bwd(k.abs_bwd(bent, u), u)  # 0 where u is 0
    inner = k.sum(product, (last,), tuple(y.shape))
    slopes = k.mul(second, k.reshape(grad_y, (*batch, rows, others, 1)))
    return (
        inner,
        k.mul(k.mul(inner, grad_y), k.mul(k.reshape(inverse, tuple(y.shape)), 1.0 - p)),
        k.sum(slopes, (last - 1,), tuple(a.shape)) if need[2] else None,
        k.neg(k.sum(slopes, (last - 2,), tuple(b.shape))) if need[3] else None,
    )


@op(inputs="x", kernel="square_form", formula="y[i, j] = y[j, i] = x[pair (i, j)]; 0 for i = j")
def square_form_(k, x, out_shape):
    return k.square_form(x, out_shape), (tuple(x.shape),)


@square_form_.gradient
def _(k, saved, grad_y, need, out_shape):
    return (k.pair_sum(grad_y, saved[0]),)


@op(inputs="x", kernel="pair_sum", formula="y[pair (i, j)] = x[i, j] + x[j, i]")
def pair_sum_(k, x, out_shape):
    return k.pair_sum(x, out_shape), (tuple(x.shape),)


@pair_sum_.gradient
def _(k, saved, grad_y, need, out_shape):
    return (k.square_form(grad_y, saved[0]),)


@op(inputs="a b", formula="y[.., i, j] = |a[.., i, :] - b[.., j, :]|")
def euclidean_(k, a, b, out_shape):
    # |a|^2 + |b|^2 - 2 a b: one matrix product, but for rounding where both are far from 0.
    columns = _transposed(k, b)
    squares_a = k.sum(k.square(a), (len(a.shape) - 1,), (*tuple(a.shape)[:-1], 1))
    squares_b = k.sum(k.square(columns), (len(b.shape) - 2,), _row(columns))
    squares = k.add(k.add(k.matmul(k.mul(a, -2.0), columns, None, out_shape), squares_a), squares_b)
    y = k.sqrt(k.relu(squares))
    return y, (a, b, y)


def _transposed(k: Any, x: Any) -> Any:
    n = len(x.shape)
    return k.permute(x, (*range(n - 2), n - 1, n - 2))


def _row(columns: Any) -> tuple[int, ...]:
    shape = tuple(columns.shape)
    return (*shape[:-2], 1, shape[-1])


@euclidean_.gradient
def _(k, saved, grad_y, need, out_shape):
    a, b, y = saved
    least = _not_zero(k, y)
    ratio = k.div(k.mul(grad_y, k.div(y, least)), least)  # grad_y / y; 0 where y is 0
    n = len(out_shape)
    grads = [None, None]
    for i, (own, other, r) in enumerate(((a, b, ratio), (b, a, _transposed(k, ratio)))):
        if not need[i]:
            continue
        r_shape = tuple(r.shape)
        total = k.sum(r, (n - 1,), (*r_shape[:-1], 1))
        out = (*r_shape[:-1], tuple(other.shape)[-1])
        grad = k.sub(k.mul(own, total), k.matmul(r, other, None, out))
        grads[i] = sum_to_shape(k, grad, tuple(own.shape))
    return tuple(grads)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors.

    Formula: y = x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along dim

    Shape: both broadcast; without dim.

    Args:
        dim: along which the vectors lie.
        eps: the least length.

    Raises:
        RuntimeError: shapes that do not broadcast.
        IndexError: dim out of range.
    """
    name = "cosine_similarity"
    x1, x2 = same_dtype(name, True, x1=x1, x2=x2)
    shape = broadcast_shape(name, tuple(x1._data.shape), tuple(x2._data.shape))
    d = shapes.dim(name, dim, len(shape))
    dims = (d,) if shape else ()
    xs, lengths = [], []
    for x in (x1, x2):
        x = x if tuple(x._data.shape) == shape else expand(x, shape)
        length = norm_over(name, x, 2.0, dims, True)
        # PyTorch raises short lengths to eps without telling the gradient.
        fixed = length.detach()
        xs.append(x)
        lengths.append(length + (relu(fixed - eps) + eps - fixed))
    # One unit vector suffices to keep the product in range; the other length divides the sum.
    y = sum(xs[0] / lengths[0] * xs[1], dims, True) / lengths[1]
    return y.reshape(shape[:d] + shape[d + 1 :])


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The distance between vectors that lie along the last dimension.

    Formula: y = (sum over d of |x1[d] - x2[d] + eps|^p)^(1/p)

    Shape: (*, D), (*, D), which broadcast -> (*), or (*, 1) with keepdim

    Args:
        p: the norm; inf: the largest difference.
        eps: added to each difference, which keeps the gradient finite.
        keepdim: whether the last dimension stays, with size 1.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    name = "pairwise_distance"
    x1, x2 = same_dtype(name, True, x1=x1, x2=x2)
    shape = broadcast_shape(name, tuple(x1._data.shape), tuple(x2._data.shape))
    difference = x1 - x2 + eps
    return norm_over(name, difference, p, (len(shape) - 1,) if shape else (), bool(keepdim))


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The distances between every row of one matrix and every row of another.

    Formula: y[.., i, j] = (sum over d of |x1[.., i, d] - x2[.., j, d]|^p)^(1/p)

    Shape: (*B, P, D), (*B, R, D), whose batches broadcast -> (*B, P, R)

    Args:
        p: the norm, >= 0.
        compute_mode: whether p = 2 is computed by a matrix product, |a|^2 + |b|^2 - 2 a b, which is
            fast, and less accurate for near rows far from 0: PyTorch's three words; by default
            where there are more than 25 rows. Otherwise by the differences.

    Raises:
        ValueError: another compute_mode.
        RuntimeError: a negative p, or shapes that do not fit.
    """
    x1, x2 = same_dtype("cdist", True, x1=x1, x2=x2)
    if not x1.dtype.is_floating_point:
        raise RuntimeError(f"cdist: floating-point tensors; got {x1.dtype}")
    if compute_mode not in _MODES:
        raise ValueError(f"cdist: compute_mode must be one of {_MODES}; got {compute_mode!r}")
    if p < 0:
        raise RuntimeError(f"cdist: p must be >= 0; got {p}")
    a, b = tuple(x1._data.shape), tuple(x2._data.shape)
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-1]:
        raise RuntimeError(f"cdist: both must be (.., rows, D) with one D; got x1 {a}, x2 {b}")
    batch = broadcast_shape("cdist", a[:-2], b[:-2])
    by_product = compute_mode == _MODES[1] or (
        compute_mode == _MODES[0] and (a[-2] > 25 or b[-2] > 25)
    )
    if p == 2 and by_product:
        return apply(euclidean_, (x1, x2), ((*batch, a[-2], b[-2]),))
    if not a[-1]:
        return creation.zeros((*batch, a[-2], b[-2]), dtype=x1.dtype, device=x1.device)
    whole = [
        x if tuple(x._data.shape[:-2]) == batch else expand(x, (*batch, *x._data.shape[-2:]))
        for x in (x1, x2)
    ]
    return apply(distance_, tuple(whole), (float(p), False, (*batch, a[-2], b[-2])))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances between every two rows of a matrix, each pair once.

    Formula: y = |input[i] - input[j]|_p for i < j, in order

    Shape: (N, D) -> (N (N - 1) / 2,)

    Args:
        p: the norm, >= 0.

    Raises:
        RuntimeError: another rank, or a negative p.
    """
    (input,) = same_dtype("pdist", True, input=input)
    if input.ndim != 2:
        raise RuntimeError(f"pdist: input must be 2-D; got shape {tuple(input.shape)}")
    if p < 0:
        raise RuntimeError(f"pdist: p must be >= 0; got {p}")
    n, depth = tuple(input._data.shape)
    count = n * (n - 1) // 2
    if not depth:
        return creation.zeros(count, dtype=input.dtype, device=input.device)
    return apply(distance_, (input, input.detach()), (float(p), True, (count,)))
