"""Norms of vectors and matrices; covariances and correlations."""

from __future__ import annotations

import math
from typing import Any

from ..dtype import bool_, get_default_dtype
from ..tensor import Tensor
from . import creation, shapes
from .distance import norm_over
from .install import method
from .linalg import _matrix, svdvals
from .matmul import matmul
from .operands import need_tensors, own_errors
from .reduce import amax, mean, sum

__all__ = ["corrcoef", "cov"]


def _dims(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    return shapes.dims(name, dim, ndim)


def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of the elements along dim, or of all, as of one vector.

    Formula: y = (sum of |x|^ord)^(1/ord); the largest or smallest magnitude for inf and -inf; the
    number of elements that are not 0 for 0

    Args:
        ord: the power.
        dim: an int, a tuple of ints, or None for all.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to first.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: of nothing, for ord inf or negative.
    """
    name = "linalg.vector_norm"
    need_tensors(name, x=x)
    if dtype is not None:
        x = x.to(dtype)
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"{name}: x must be floating-point; got {x.dtype}")
    return norm_over(name, x, ord, _dims(name, dim, x.ndim), bool(keepdim))


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: tuple[int, int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """The norm of matrices.

    Formula: 'fro' the root of the sum of squares; 'nuc' the sum of the singular values; inf and
    -inf the largest and smallest sum of a row's magnitudes; 1 and -1 of a column's; 2 and -2 the
    largest and smallest singular value

    Args:
        ord: which.
        dim: rows and columns.
        keepdim: whether the dims stay, with size 1.
        dtype: the type to convert to first.

    Raises:
        ValueError: another ord.
        RuntimeError: another shape.
    """
    name = "linalg.matrix_norm"
    if dtype is not None:
        A = A.to(dtype)
    _matrix("matrix_norm", A, False)
    rows, columns = (shapes.dim(name, d, A.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must differ; got {dim}")
    both = tuple(sorted((rows, columns)))
    if ord == "fro":
        return norm_over(name, A, 2.0, both, keepdim)
    if ord in ("nuc", 2, -2):
        values = svdvals(A.movedim((rows, columns), (-2, -1)))
        if ord == "nuc":
            y = sum(values, -1)
        else:
            y = amax(values, -1) if ord == 2 else -amax(-values, -1)
        for d in both if keepdim else ():
            y = y.unsqueeze(d)
        return y
    if ord in (1, -1, math.inf, -math.inf):
        along, other = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = norm_over(name, A, 1.0, (along,), True)
        y = amax(sums, other, True) if ord > 0 else -amax(-sums, other, True)
        if keepdim:
            return y
        return y.reshape(tuple([n for i, n in enumerate(y._data.shape) if i not in both]))
    raise ValueError(f"{name}: ord must be 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2; got {ord!r}")


def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """vector_norm or matrix_norm, as NumPy chooses: matrices for two dims with an ord.

    Args:
        ord: as theirs; None: the root of the sum of squares.
        dim: an int, or a pair for matrices; None: all, as one vector where ord is None.
        keepdim: whether the reduced dims stay, with size 1.
        dtype: the type to convert to first.

    Raises:
        RuntimeError: another number of dims.
    """
    need_tensors("linalg.norm", A=A)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.ndim not in (1, 2):
            raise RuntimeError(f"linalg.norm: dim must be given for shape {tuple(A.shape)}")
        dim = tuple(range(A.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) == 1 and not isinstance(ord, str):
        return vector_norm(A, ord, dims, keepdim, dtype=dtype)
    if len(dims) != 2:
        raise RuntimeError(f"linalg.norm: dim must be one or two dims; got {dim}")
    return matrix_norm(A, ord, dims, keepdim, dtype=dtype)


@method("cov")
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariances of variables, one a row, over observations, one a column.

    Formula: y = (x - m) diag(w) (x - m)^T / (sum w - correction * sum (w a) / sum w), w = f a

    Shape: (V, N) -> (V, V); (N,) or () -> ()

    Args:
        correction: 1 for an unbiased estimate, 0 for the mean.
        fweights: (N,) of int64, how often each observation counts.
        aweights: (N,), how much.

    Raises:
        RuntimeError: more than 2 dims, weights of another shape.
    """
    need_tensors("cov", input=input)
    if input.ndim > 2:
        raise RuntimeError(f"cov: at most 2 dims; got shape {tuple(input.shape)}")
    if not input.dtype.is_floating_point and input.dtype is not bool_:
        input = input.to(get_default_dtype())
    x = input.reshape((1, -1)) if input.ndim < 2 else input
    n = x._data.shape[1]
    weight: Tensor | None = None
    for label, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        need_tensors("cov", **{label: w})
        if w._data.shape != (n,):
            raise RuntimeError(f"cov: {label} must have shape ({n},); got {tuple(w.shape)}")
        w = w.to(x.dtype)
        weight = w if weight is None else weight * w
    if weight is None:
        centred = x - mean(x, 1, True)
        y = matmul(centred, centred.transpose(0, 1)) / max(n - correction, 0)
    else:
        total = sum(weight)
        centred = x - (sum(x * weight, 1) / total).unsqueeze(1)
        divisor: Any = total
        if correction:
            lost = correction
            if aweights is not None:
                lost = sum(weight * aweights.to(x.dtype)) / total * correction
            divisor = total - lost
        y = matmul(centred * weight, centred.transpose(0, 1)) / divisor
    return y if input.ndim == 2 else y.reshape(())


@own_errors
@method("corrcoef")
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of variables, one a row: cov over the roots of the variances.

    Shape: (V, N) -> (V, V); (N,) or () -> ()

    Raises:
        RuntimeError: more than 2 dims.
    """
    y = cov(input)
    if y.ndim == 0:
        return y / y
    ones = creation.ones_like(y)
    eye = ones.tril() - ones.tril(-1)
    deviation = sum(y * eye, 1).sqrt()
    y = y / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    return y.clamp(-1, 1)
