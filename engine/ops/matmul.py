"""Matrix products: matmul with batches and broadcasting, and linear."""

from __future__ import annotations

import math

from ..autograd.dispatch import apply, binary
from ..autograd.op import op
from ..tensor import Tensor
from . import shapes
from .install import method
from .operands import need_tensors
from .reduce import sum_to_shape

__all__ = ["bmm", "linear", "matmul", "mm"]


def _transposed(k, x):
    """A view of x with its last two dims exchanged."""
    n = len(x.shape)
    return k.permute(x, (1, 0) if n == 2 else (*range(n - 2), n - 1, n - 2))


def _product(k, a, b, shape=None):
    """a @ b, of this shape where it is known."""
    if a.shape[-1] == 1:  # an outer product
        return k.mul(a, b)
    if shape is None:
        shape = shapes.matmul("matmul", tuple(a.shape), tuple(b.shape))
    return k.matmul(a, b, None, shape)


def _matrices(k, a, b):
    """The operands with the dimension that a vector lacks: a row by a column."""
    if len(a.shape) == 1:
        a = k.reshape(a, (1, a.shape[0]))
    if len(b.shape) == 1:
        b = k.reshape(b, (b.shape[0], 1))
    return a, b


@op(inputs="a b bias?", kernel="matmul", formula="y = a @ b + bias")
def matmul_(k, a, b, bias=None, out_shape=None):
    if out_shape is not None:
        return k.matmul(a, b, bias, out_shape), (a, b)
    # From matmul, mm and bmm: matrices or vectors, or batches of one length; no bias.
    a_shape, b_shape = a.shape, b.shape
    if len(b_shape) == 3:
        return k.matmul(a, b, None, (a_shape[0], a_shape[1], b_shape[2])), (a, b)
    if a_shape[-1] != b_shape[0]:
        a_shape = a_shape if len(a_shape) > 1 else (1, *a_shape)
        raise RuntimeError(shapes.unfit("matmul", a_shape, (*b_shape, 1)[:2]))
    if len(a_shape) == len(b_shape) == 2:
        return k.matmul(a, b, None, (a_shape[0], b_shape[1])), (a, b)
    return k.matmul(a, b, None, (*a_shape[:-1], *b_shape[1:])), (a, b)


@matmul_.gradient
def _(k, saved, grad_y, need, out_shape=None):
    a, b = saved
    a_shape, b_shape = tuple(a.shape), tuple(b.shape)
    grad_a = grad_b = None
    tall = len(b_shape) == 2 < len(a_shape)  # a batch by one matrix: one tall product
    if tall or (len(a_shape) == len(b_shape) > 1 and a_shape[:-2] == b_shape[:-2]):
        if need[0]:
            grad_a = _product(k, grad_y, _transposed(k, b), a_shape)
        if need[1]:
            left, right = a, grad_y
            if tall:
                rows = math.prod(a_shape[:-1])
                left = k.reshape(a, (rows, a_shape[-1]))
                right = k.reshape(grad_y, (rows, b_shape[-1]))
            grad_b = _product(k, _transposed(k, left), right, b_shape)
    else:
        left, right = _matrices(k, a, b)
        if left is not a or right is not b:
            grad_y = k.reshape(grad_y, (left.shape[0], right.shape[1]))
        if need[0]:
            grad_a = sum_to_shape(k, _product(k, grad_y, _transposed(k, right)), left.shape)
            if left is not a:
                grad_a = k.reshape(grad_a, a_shape)
        if need[1]:
            grad_b = sum_to_shape(k, _product(k, _transposed(k, left), grad_y), right.shape)
            if right is not b:
                grad_b = k.reshape(grad_b, b_shape)
    if len(need) == 2:
        return grad_a, grad_b
    return (
        grad_a,
        grad_b,
        sum_to_shape(k, grad_y, (grad_y.shape[-1],)) if need[2] else None,
    )


@op(inputs="a b c?", kernel="matmul_add", formula="y = alpha * (a @ b) + beta * c")
def matmul_add_(k, a, b, c, out_shape, alpha, beta, c_shape=()):
    return k.matmul_add(a, b, c, out_shape, alpha, beta), (a, b)


@matmul_add_.gradient
def _(k, saved, grad_y, need, out_shape, alpha, beta, c_shape=()):
    a, b = saved
    left, right = _matrices(k, a, b)
    g = grad_y
    if left is not a or right is not b:
        g = k.reshape(grad_y, (left.shape[0], right.shape[1]))
    grad_a = grad_b = grad_c = None
    if need[0]:
        grad_a = sum_to_shape(k, _scaled_product(k, g, _transposed(k, right), alpha), left.shape)
        if left is not a:
            grad_a = k.reshape(grad_a, a.shape)
    if need[1]:
        grad_b = sum_to_shape(k, _scaled_product(k, _transposed(k, left), g, alpha), right.shape)
        if right is not b:
            grad_b = k.reshape(grad_b, b.shape)
    if need[2]:
        grad_c = sum_to_shape(k, grad_y, c_shape)
        if beta != 1:
            grad_c = k.mul(grad_c, beta)
    return grad_a, grad_b, grad_c


def _scaled_product(k, a, b, alpha):
    """alpha * (a @ b)"""
    if alpha == 1:
        return _product(k, a, b)
    shape = shapes.matmul("matmul", tuple(a.shape), tuple(b.shape))
    return k.matmul_add(a, b, None, shape, alpha, 0.0)


@op(inputs="x weight bias?", formula="y = x @ weight^T + bias")
def linear_(k, x, weight, bias, out_shape):
    return k.matmul(x, k.permute(weight, (1, 0)), bias, out_shape), (x, weight)


@linear_.gradient
def _(k, saved, grad_y, need, out_shape):
    x, weight = saved
    grad_x = grad_weight = grad_bias = None
    if need[0]:
        grad_x = k.matmul(grad_y, weight, None, tuple(x.shape))
    if need[1] or need[2]:
        n, m = weight.shape
        rows = 1
        for size in x.shape[:-1]:
            rows *= size
        flat = k.reshape(grad_y, (rows, n))
        if need[1]:
            columns = k.permute(flat, (1, 0))
            grad_weight = k.matmul(columns, k.reshape(x, (rows, m)), None, (n, m))
        if need[2]:
            grad_bias = k.sum(flat, (0,), (n,))
    return grad_x, grad_weight, grad_bias


# ---- the public functions ----


@method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product; batch dimensions broadcast, vectors are rows or columns as they fit.

    Formula: y[..., i, j] = sum over k of input[..., i, k] * other[..., k, j]

    Shape: (..., M, K), (..., K, N) -> (..., M, N). A 1-D input is a row, a 1-D other a column; that
    dimension is dropped from the result.

    Raises:
        RuntimeError: 0-dim operands, inner sizes that differ, batches that do not broadcast.
    """
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        m, n = input._data.ndim, other._data.ndim
        if 0 < m <= 2 and 0 < n <= 2 or n == 2 < m:
            return binary(matmul_, input, other)
        if m == n == 3 and input._data.shape[::2] == other._data.shape[:2]:
            return binary(matmul_, input, other)
    need_tensors("matmul", input=input, other=other)
    for name, t in (("input", input), ("other", other)):
        if not t._data.shape:
            raise RuntimeError(f"matmul: {name} must have at least one dimension; got shape ()")
    row, column = len(input._data.shape) == 1, len(other._data.shape) == 1
    if row:
        input = input.unsqueeze(0)
    if column:
        other = other.unsqueeze(1)
    a_shape, b_shape = input._data.shape, other._data.shape
    out_shape = shapes.matmul("matmul", a_shape, b_shape)
    y = apply(matmul_, (input, other, None), (out_shape,))
    if row or column:
        kept = out_shape[: len(out_shape) - 2]
        y = y.reshape(
            (*kept, *(() if row else out_shape[-2:-1]), *(() if column else out_shape[-1:]))
        )
    return y


@method("__rmatmul__")
def _rmatmul(input: Tensor, other: Tensor) -> Tensor:
    return matmul(other, input)


@method("mm")
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices.

    Shape: (M, K), (K, N) -> (M, N)

    Raises:
        RuntimeError: operands that are not 2-D, or inner sizes that differ.
    """
    if isinstance(input, Tensor) and isinstance(mat2, Tensor):
        a_shape, b_shape = input._data.shape, mat2._data.shape
        if len(a_shape) == 2 and len(b_shape) == 2 and a_shape[1] == b_shape[0]:
            return binary(matmul_, input, mat2)
    _rank("mm", 2, input=input, mat2=mat2)
    shape = shapes.matmul("mm", input._data.shape, mat2._data.shape)
    return apply(matmul_, (input, mat2, None), (shape,))


@method("bmm")
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, pair by pair.

    Shape: (B, M, K), (B, K, N) -> (B, M, N)

    Raises:
        RuntimeError: operands that are not 3-D, or sizes that do not fit.
    """
    if isinstance(input, Tensor) and isinstance(mat2, Tensor):
        a_shape, b_shape = input._data.shape, mat2._data.shape
        if len(a_shape) == len(b_shape) == 3 and a_shape[::2] == b_shape[:2]:
            return binary(matmul_, input, mat2)
    _rank("bmm", 3, input=input, mat2=mat2)
    if input._data.shape[0] != mat2._data.shape[0]:
        raise RuntimeError(
            f"bmm: batches must be equal; got input {tuple(input.shape)}, mat2 {tuple(mat2.shape)}"
        )
    shape = shapes.matmul("bmm", input._data.shape, mat2._data.shape)
    return apply(matmul_, (input, mat2, None), (shape,))


def _rank(name: str, ndim: int, **tensors: Tensor) -> None:
    need_tensors(name, **tensors)
    for argument, t in tensors.items():
        if len(t._data.shape) != ndim:
            raise RuntimeError(f"{name}: {argument} must be {ndim}-D; got shape {tuple(t.shape)}")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A fully connected layer.

    Formula: y = input @ weight^T + bias

    Shape: input (..., in_features), weight (out_features, in_features), bias (out_features,) ->
    (..., out_features). A 1-D weight of (in_features,) gives (...).

    Raises:
        RuntimeError: sizes that do not fit.
    """
    if not (isinstance(input, Tensor) and isinstance(weight, Tensor)) or not (
        bias is None or isinstance(bias, Tensor)
    ):
        given = {} if bias is None else {"bias": bias}
        need_tensors("linear", input=input, weight=weight, **given)
    x, w = input._data.shape, weight._data.shape
    if len(w) == 1 and bias is None:
        return matmul(input, weight)
    if len(w) != 2 or not x or x[-1] != w[1]:
        raise RuntimeError(
            f"linear: input's last dim must equal weight.shape[1]; got input {tuple(x)}, "
            f"weight {tuple(w)}"
        )
    if bias is not None and bias._data.shape != (w[0],):
        raise RuntimeError(
            f"linear: bias must have shape ({w[0]},); got {tuple(bias.shape)} "
            f"with weight {tuple(w)}"
        )
    if len(x) == 1:
        return apply(linear_, (input.unsqueeze(0), weight, bias), ((1, w[0]),)).reshape((w[0],))
    return apply(linear_, (input, weight, bias), ((*x[:-1], w[0]),))
