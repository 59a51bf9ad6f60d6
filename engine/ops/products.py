"""Products of matrices and vectors made of matmul: mv, dot, addmm and the like, tensordot, kron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.dispatch import apply, binary
from ..dtype import int32, int64
from ..tensor import Tensor
from . import shapes
from .inplace import in_place
from .install import method
from .loss_options import broadcast_shape
from .matmul import matmul, matmul_, matmul_add_
from .operands import need_tensors, own_errors
from .view import cat, expand

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bilinear",
    "chain_matmul",
    "cross",
    "dot",
    "ger",
    "inner",
    "kron",
    "mv",
    "outer",
    "tensordot",
    "vdot",
]


def _ranks(name: str, **tensors: tuple[Tensor, int]) -> None:
    """Each must be a tensor of so many dimensions."""
    for argument, (t, ndim) in tensors.items():
        need_tensors(name, **{argument: t})
        if len(t._data.shape) != ndim:
            raise RuntimeError(f"{name}: {argument} must be {ndim}-D; got shape {tuple(t.shape)}")


@method("mv")
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector.

    Formula: y[i] = sum over j of input[i, j] vec[j]

    Shape: (M, K), (K,) -> (M,)

    Raises:
        RuntimeError: other ranks, or sizes that do not fit.
    """
    if not (isinstance(input, Tensor) and isinstance(vec, Tensor)) or not (
        len(input._data.shape) == 2 and len(vec._data.shape) == 1
    ):
        _ranks("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


@method("dot")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The dot product of two vectors.

    Formula: y = sum over i of input[i] tensor[i]

    Shape: (N,), (N,) -> ()

    Raises:
        RuntimeError: other ranks, or lengths that differ.
    """
    return _dot("dot", input, tensor)


@method("vdot")
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The dot product of two real vectors, as dot.

    Formula: y = sum over i of input[i] other[i]

    Shape: (N,), (N,) -> ()

    Raises:
        RuntimeError: other ranks, or lengths that differ.
    """
    return _dot("vdot", input, other)


def _dot(name: str, a: Tensor, b: Tensor) -> Tensor:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        shape = a._data.shape
        if len(shape) == 1 and b._data.shape == shape:
            return binary(matmul_, a, b)
    _ranks(name, input=(a, 1), other=(b, 1))
    if a._data.shape != b._data.shape:
        raise RuntimeError(
            f"{name}: both must have as many elements; got {tuple(a.shape)}, {tuple(b.shape)}"
        )
    return matmul(a, b)


@method("inner")
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The dot products along the last dimensions.

    Formula: y[..., i, ..., j] = sum over k of input[..., i, k] other[..., j, k]

    Shape: (*A, K), (*B, K) -> (*A, *B); with a 0-dim operand the product.

    Raises:
        RuntimeError: last dimensions that differ.
    """
    need_tensors("inner", input=input, other=other)
    a, b = tuple(input._data.shape), tuple(other._data.shape)
    if not a or not b:
        return input * other
    if a[-1] != b[-1]:
        raise RuntimeError(f"inner: the last dims must be equal; got {a}, {b}")
    return tensordot(input, other, ([-1], [-1]))


@method("outer")
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of every element of one vector with every element of another.

    Formula: y[i, j] = input[i] vec2[j]

    Shape: (N,), (M,) -> (N, M)

    Raises:
        RuntimeError: other ranks.
    """
    _ranks("outer", input=(input, 1), vec2=(vec2, 1))
    return input.unsqueeze(1) * vec2


@own_errors
@method("ger")
def ger(input: Tensor, vec2: Tensor) -> Tensor:
    """As outer, under BLAS' name."""
    return outer(input, vec2)


#: Whole numbers up to here are exact as the kernel's factors, which are floats.
_EXACT = 1 << 53


def _added(
    name: str, input: Tensor, a: Tensor, b: Tensor, shape: tuple[int, ...], beta: Any, alpha: Any
) -> Tensor:
    """beta * input + alpha * (a @ b) by one kernel; with beta 0, input is not looked at."""
    kind = input._data.dtype
    if a._data.dtype != kind or b._data.dtype != kind or not _factors(input.dtype, beta, alpha):
        return _sum(name, input, matmul(a, b), beta, alpha)
    given = tuple(input._data.shape)
    _need_fit(name, given, shape)
    options = (shape, float(alpha), float(beta), given)
    return apply(matmul_add_, (a, b, None if beta == 0 else input), options)


def _factors(dtype: Any, beta: Any, alpha: Any) -> bool:
    """Whether the kernel takes them."""
    if dtype.is_floating_point:
        return isinstance(beta, int | float) and isinstance(alpha, int | float)
    if dtype not in (int32, int64) or not (isinstance(beta, int) and isinstance(alpha, int)):
        return False
    return -_EXACT <= beta <= _EXACT and -_EXACT <= alpha <= _EXACT


def _need_fit(name: str, given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if given == shape:
        return
    lead = len(shape) - len(given)
    if lead < 0 or not all(m in (1, n) for m, n in zip(given, shape[lead:], strict=True)):
        raise RuntimeError(f"{name}: input must broadcast to {shape}; got {given}")


def _sum(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product; with beta 0, input is not looked at."""
    if alpha != 1:
        product = product * alpha
    _need_fit(name, tuple(input._data.shape), tuple(product._data.shape))
    if input.dtype is not product.dtype:
        raise RuntimeError(
            f"{name}: all must be of one dtype; got input {input.dtype}, product {product.dtype}"
        )
    if beta == 0:
        return product
    return product + (input if beta == 1 else input * beta)


@method("addmm")
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """A product of matrices added to a matrix, by one kernel.

    Formula: y = beta input + alpha (mat1 @ mat2)

    Shape: input broadcasts to (M, N); (M, K), (K, N) -> (M, N)

    Args:
        beta, alpha: factors; with beta = 0, NaN in input does not matter.

    Raises:
        RuntimeError: other ranks, sizes that do not fit, dtypes that differ.
    """
    if isinstance(mat1, Tensor) and isinstance(mat2, Tensor) and isinstance(input, Tensor):
        a, b = mat1._data.shape, mat2._data.shape
        fits = len(a) == 2 and len(b) == 2 and a[1] == b[0]
    else:
        fits = False
    if not fits:
        need_tensors("addmm", input=input)
        _ranks("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
        shapes.matmul("addmm", mat1._data.shape, mat2._data.shape)
    shape = (mat1._data.shape[0], mat2._data.shape[1])
    row = input._data.shape == (shape[1],) and input.dtype is mat1.dtype
    if row and beta == 1 and alpha == 1 and input.dtype.is_floating_point:
        return apply(matmul_, (mat1, mat2, input), (shape,))
    return _added("addmm", input, mat1, mat2, shape, beta, alpha)


@method("addmv")
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """The product of a matrix and a vector, added to a vector.

    Formula: y = beta input + alpha (mat @ vec)

    Shape: input broadcasts to (M,); (M, K), (K,) -> (M,)

    Args:
        beta, alpha: factors; with beta = 0, NaN in input does not matter.

    Raises:
        RuntimeError: other ranks, sizes that do not fit, dtypes that differ.
    """
    need_tensors("addmv", input=input)
    _ranks("addmv", mat=(mat, 2), vec=(vec, 1))
    if mat._data.shape[1] != vec._data.shape[0]:
        matmul(mat, vec)  # says what does not fit
    return _added("addmv", input, mat, vec, tuple(mat._data.shape[:1]), beta, alpha)


@method("addr")
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """The outer product of two vectors, added to a matrix.

    Formula: y = beta input + alpha outer(vec1, vec2)

    Shape: input broadcasts to (N, M); (N,), (M,) -> (N, M)

    Args:
        beta, alpha: factors; with beta = 0, NaN in input does not matter.

    Raises:
        RuntimeError: other ranks, sizes that do not fit, dtypes that differ.
    """
    need_tensors("addr", input=input)
    _ranks("addr", vec1=(vec1, 1), vec2=(vec2, 1))
    dtype = vec1.dtype
    if vec2.dtype is not dtype or not _factors(dtype, beta, alpha):  # these promote
        return _sum("addr", input, outer(vec1, vec2), beta, alpha)
    shape = (vec1._data.shape[0], vec2._data.shape[0])
    return _added("addr", input, vec1.unsqueeze(1), vec2.unsqueeze(0), shape, beta, alpha)


@method("baddbmm")
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """Products of matrices, pair by pair, added to matrices.

    Formula: y[b] = beta input[b] + alpha (batch1[b] @ batch2[b])

    Shape: input broadcasts to (B, M, N); (B, M, K), (B, K, N) -> (B, M, N)

    Args:
        beta, alpha: factors; with beta = 0, NaN in input does not matter.

    Raises:
        RuntimeError: other ranks, sizes that do not fit, dtypes that differ.
    """
    need_tensors("baddbmm", input=input)
    _batched("baddbmm", batch1, batch2, check_only=True)
    shape = (*batch1._data.shape[:2], batch2._data.shape[2])
    return _added("baddbmm", input, batch1, batch2, shape, beta, alpha)


@method("addbmm")
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """The sum of the products of matrices, pair by pair, added to a matrix.

    Formula: y = beta input + alpha sum over b of batch1[b] @ batch2[b]

    Shape: input broadcasts to (M, N); (B, M, K), (B, K, N) -> (M, N)

    Args:
        beta, alpha: factors; with beta = 0, NaN in input does not matter.

    Raises:
        RuntimeError: other ranks, sizes that do not fit, dtypes that differ.
    """
    need_tensors("addbmm", input=input)
    _batched("addbmm", batch1, batch2, check_only=True)
    b, m, k = batch1._data.shape
    n = batch2._data.shape[2]
    # One product over batch and inner dimension together.
    flat = batch1.permute(1, 0, 2).reshape((m, b * k))
    return _added("addbmm", input, flat, batch2.reshape((b * k, n)), (m, n), beta, alpha)


def _batched(name: str, batch1: Tensor, batch2: Tensor, check_only: bool = False) -> Any:
    _ranks(name, batch1=(batch1, 3), batch2=(batch2, 3))
    a, b = batch1._data.shape, batch2._data.shape
    if a[0] != b[0]:
        raise RuntimeError(
            f"{name}: batches must be equal; got batch1 {tuple(a)}, batch2 {tuple(b)}"
        )
    shapes.matmul(name, a, b)
    return None if check_only else matmul(batch1, batch2)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, in the order that takes the fewest multiplications.

    Shape: (A, B), (B, C), .., (Y, Z) -> (A, Z)

    Raises:
        RuntimeError: no matrices, other ranks, or sizes that do not fit.

    Source: Cormen et al., "Introduction to Algorithms", 15.2.
    """
    if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)):
        matrices = tuple(matrices[0])
    if not matrices:
        raise RuntimeError("chain_matmul: takes one or more matrices; got none")
    for i, m in enumerate(matrices):
        _ranks("chain_matmul", **{f"matrices[{i}]": (m, 2)})
    sizes = [m._data.shape[0] for m in matrices] + [matrices[-1]._data.shape[1]]
    for a, b in zip(matrices, matrices[1:], strict=False):
        shapes.matmul("chain_matmul", a._data.shape, b._data.shape)
    n = len(matrices)
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                cost[i][s] + cost[s + 1][j] + sizes[i] * sizes[s + 1] * sizes[j + 1]
                for s in range(i, j)
            ]
            cost[i][j] = min(options)
            split[i][j] = i + options.index(cost[i][j])

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return matrices[i]
        return matmul(product(i, split[i][j]), product(split[i][j] + 1, j))

    return product(0, n - 1)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The product of two tensors, summed over pairs of dimensions.

    Args:
        dims: how many of a's last dimensions go with b's first; or a pair of sequences, a's
            dimensions and b's.

    Shape: a's other dimensions, then b's.

    Raises:
        RuntimeError: dimensions that differ in size, or not as many of each.
        IndexError: a dim out of range.
    """
    need_tensors("tensordot", a=a, b=b)
    p, q = len(a._data.shape), len(b._data.shape)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(p, q):
            raise RuntimeError(
                f"tensordot: dims must be in [0, {min(p, q)}] for these ranks; got {dims}"
            )
        in_a, in_b = list(range(p - dims, p)), list(range(dims))
    else:
        pair = [[d] if isinstance(d, int) else list(d) for d in dims]
        if len(pair) != 2 or len(pair[0]) != len(pair[1]):
            raise RuntimeError(f"tensordot: dims must be as many of each; got {dims}")
        in_a = [shapes.dim("tensordot", d, p) for d in pair[0]]
        in_b = [shapes.dim("tensordot", d, q) for d in pair[1]]
    if len(set(in_a)) != len(in_a) or len(set(in_b)) != len(in_b):
        raise RuntimeError(f"tensordot: a dim appears twice; got {dims}")
    shape_a, shape_b = a._data.shape, b._data.shape
    if [shape_a[i] for i in in_a] != [shape_b[i] for i in in_b]:
        raise RuntimeError(
            f"tensordot: contracted dims must be of equal size; got a {tuple(shape_a)} in {in_a}, "
            f"b {tuple(shape_b)} in {in_b}"
        )
    free_a = [i for i in range(p) if i not in in_a]
    free_b = [i for i in range(q) if i not in in_b]
    m = _count(shape_a, free_a)
    k = _count(shape_a, in_a)
    n = _count(shape_b, free_b)
    left = a.permute(*free_a, *in_a).reshape((m, k))
    right = b.permute(*in_b, *free_b).reshape((k, n))
    out = [shape_a[i] for i in free_a] + [shape_b[i] for i in free_b]
    return matmul(left, right).reshape(tuple(out))


def _count(shape: Sequence[int], dims: Sequence[int]) -> int:
    count = 1
    for d in dims:
        count *= shape[d]
    return count


@method("kron")
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of input times the whole of other.

    Shape: (*A), (*B) -> the products of their sizes; the shorter one gets leading 1s.
    """
    need_tensors("kron", input=input, other=other)
    n = max(input.ndim, other.ndim)
    a = (1,) * (n - input.ndim) + tuple(input._data.shape)
    b = (1,) * (n - other.ndim) + tuple(other._data.shape)
    wide_a = tuple([v for size in a for v in (size, 1)])
    wide_b = tuple([v for size in b for v in (1, size)])
    product = input.reshape(wide_a) * other.reshape(wide_b)
    return product.reshape(tuple([p * q for p, q in zip(a, b, strict=True)]))


@method("cross")
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of three elements.

    Formula: y = (a1 b2 - a2 b1, a2 b0 - a0 b2, a0 b1 - a1 b0)

    Shape: both of as many dimensions, which broadcast, with size 3 in dim.

    Args:
        dim: where the vectors lie; None: the first dimension of size 3.

    Raises:
        RuntimeError: no dimension of size 3, or shapes that do not fit.
        IndexError: a dim out of range.
    """
    need_tensors("cross", input=input, other=other)
    a, b = tuple(input._data.shape), tuple(other._data.shape)
    if len(a) != len(b):
        raise RuntimeError(f"cross: both must have as many dimensions; got {a}, {b}")
    shape = broadcast_shape("cross", a, b)
    if dim is None:
        if 3 not in shape:
            raise RuntimeError(f"cross: no dimension of size 3; got {a}, {b}")
        d = shape.index(3)
    else:
        d = shapes.dim("cross", dim, len(shape))
    if not shape or a[d] != 3 or b[d] != 3:
        raise RuntimeError(f"cross: dim {d} must have size 3; got {a}, {b}")
    x = input if a == shape else expand(input, shape)
    y = other if b == shape else expand(other, shape)
    return _turned(x, d, 1) * _turned(y, d, 2) - _turned(x, d, 2) * _turned(y, d, 1)


def _turned(x: Tensor, d: int, by: int) -> Tensor:
    """x with its three entries along d moved round by one or two places."""
    before = (slice(None),) * d
    return cat([x[(*before, slice(by, 3))], x[(*before, slice(0, by))]], d)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A form that is linear in each of two inputs.

    Formula: y[..., o] = sum over i, j of input1[..., i] weight[o, i, j] input2[..., j] + bias[o]

    Shape: input1 (*, in1), input2 (*, in2), weight (out, in1, in2), bias (out,) -> (*, out)

    Raises:
        RuntimeError: sizes that do not fit.
    """
    need_tensors("bilinear", input1=input1, input2=input2, weight=weight)
    a, b, w = input1._data.shape, input2._data.shape, weight._data.shape
    if len(w) != 3 or not a or not b or a[:-1] != b[:-1] or (a[-1], b[-1]) != w[1:]:
        raise RuntimeError(
            f"bilinear: weight must be (out, in1, in2) and the inputs (*, in1), (*, in2); got "
            f"input1 {tuple(a)}, input2 {tuple(b)}, weight {tuple(w)}"
        )
    if bias is not None:
        need_tensors("bilinear", bias=bias)
        if bias._data.shape != (w[0],):
            raise RuntimeError(f"bilinear: bias must have shape ({w[0]},); got {tuple(bias.shape)}")
    rows = _count(a, range(len(a) - 1))
    out, i, j = w
    inner_part = matmul(input1.reshape((rows, i)), weight.permute(1, 0, 2).reshape((i, out * j)))
    y = matmul(inner_part.reshape((rows, out, j)), input2.reshape((rows, j, 1)))
    y = y.reshape((*a[:-1], out))
    return y if bias is None else y + bias


for _function in (addbmm, addmm, addmv, addr, baddbmm):
    in_place(f"{_function.__name__}_", _function)
