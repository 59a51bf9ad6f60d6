"""Dense linear algebra: norms, and solvers with their gradients (kernels/solvers.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..kernels.solvers import SolverError
from ..tensor import Tensor
from . import creation, products, shapes
from .choose import where
from .install import method
from .matmul import matmul
from .operands import need_tensors, own_errors
from .reduce import sum_to_shape

__all__ = ["det", "slogdet"]


def _t(k: Any, x: Any) -> Any:
    """A view of x with its last two dims exchanged."""
    n = len(x.shape)
    return k.permute(x, (*range(n - 2), n - 1, n - 2))


def _mm(k: Any, a: Any, b: Any) -> Any:
    return k.matmul(a, b, None, shapes.matmul("matmul", tuple(a.shape), tuple(b.shape)))


def _spread(k: Any, g: Any, like: Any) -> Any:
    """g (..) as (.., N, N)."""
    shape = tuple(g.shape)
    return k.expand(k.reshape(g, (*shape, 1, 1)), tuple(like.shape))


def _lower(k: Any, x: Any) -> Any:
    """The lower triangle with half of the diagonal."""
    return k.mul(k.add(k.triangle(x, 0, False), k.triangle(x, -1, False)), 0.5)


def _identity(k: Any, x: Any) -> Any:
    """Ones on the diagonal of square matrices like x, which are finite."""
    ones = k.exp(k.mul(x, 0.0))
    return k.sub(k.triangle(ones, 0, False), k.triangle(ones, -1, False))


@op(inputs="a", kernel="linalg_inv", formula="y = a^-1")
def linalg_inv(k, a):
    y = k.linalg_inv(a)
    return y, (y,)


@linalg_inv.gradient
def _(k, saved, grad_y, need):
    turned = _t(k, saved[0])
    return (k.neg(_mm(k, _mm(k, turned, grad_y), turned)),)


@op(inputs="a b", kernel="linalg_solve", formula="a y = b")
def linalg_solve(k, a, b):
    y = k.linalg_solve(a, b)
    return y, (a, y, tuple(b.shape))


@linalg_solve.gradient
def _(k, saved, grad_y, need):
    a, y, b_shape = saved
    grad_b = k.linalg_solve(_t(k, a), grad_y)
    return (
        sum_to_shape(k, k.neg(_mm(k, grad_b, _t(k, y))), tuple(a.shape)) if need[0] else None,
        sum_to_shape(k, grad_b, b_shape) if need[1] else None,
    )


@op(inputs="a", kernel="linalg_det", formula="y = det a")
def linalg_det(k, a):
    return k.linalg_det(a), (a,)


@linalg_det.gradient
def _(k, saved, grad_y, need):
    (a,) = saved
    return (k.mul(_spread(k, grad_y, a), _t(k, k.linalg_adjugate(a))),)


@op(inputs="a", kernel="linalg_adjugate", formula="y = a^-1 det a, of singular a too")
def linalg_adjugate(k, a):
    return k.linalg_adjugate(a), (a,)


@linalg_adjugate.gradient
def _(k, saved, grad_y, need):
    return (k.linalg_adjugate_bwd(grad_y, saved[0]),)


@op(
    inputs="grad_y a",
    kernel="linalg_adjugate_bwd",
    formula="grad_a = (tr(grad_y^T x) x^T - x^T grad_y x^T) det a, x = a^-1; of singular a too",
)
def linalg_adjugate_bwd(k, grad_y, a):
    return k.linalg_adjugate_bwd(grad_y, a), (grad_y, a)


def _trace(k: Any, a: Any, b: Any) -> Any:
    """tr(a^T b), spread over the matrices."""
    n = len(a.shape)
    shape = (*tuple(a.shape)[:-2], 1, 1)
    return k.expand(k.sum(k.mul(a, b), (n - 2, n - 1), shape), tuple(a.shape))


@linalg_adjugate_bwd.gradient
def _(k, saved, grad, need):
    g, a = saved
    of_a = None
    if need[1]:  # a third derivative: of matrices that have an inverse
        x = k.linalg_inv(a)
        t = _t(k, x)
        det = _spread(k, k.linalg_det(a), a)

        def turned(m: Any) -> Any:
            return _mm(k, _mm(k, t, m), t)

        w = _t(k, grad)
        p, q, product = _trace(k, g, x), _trace(k, grad, t), turned(g)
        r = _trace(k, grad, product)
        both = k.add(_mm(k, g, _mm(k, t, w)), _mm(k, w, _mm(k, t, g)))
        slopes = k.add(k.mul(q, product), k.mul(p, turned(w)))
        whole = k.sub(k.mul(k.sub(k.mul(p, q), r), t), slopes)
        of_a = k.mul(det, k.add(whole, turned(both)))
    return (k.linalg_adjugate_bwd(grad, _t(k, a)) if need[0] else None, of_a)


@op(
    inputs="a",
    kernel="linalg_slogdet",
    outputs=2,
    differentiable=2,
    formula="y = ln |det a|, and the sign of det a",
)
def linalg_slogdet(k, a):
    return k.linalg_slogdet(a), (a,)


@linalg_slogdet.gradient
def _(k, saved, grads, need):
    (a,) = saved
    try:
        inverse = k.linalg_inv(a)
    except SolverError:  # infinities and NaN, as PyTorch
        inverse = k.div(k.linalg_adjugate(a), _spread(k, k.linalg_det(a), a))
    return (k.mul(_spread(k, grads[0], a), _t(k, inverse)),)


@op(inputs="a", kernel="linalg_cholesky", formula="y y^T = a, y lower triangular")
def linalg_cholesky(k, a):
    y = k.linalg_cholesky(a)
    return y, (y,)


@linalg_cholesky.gradient
def _(k, saved, grad_y, need):
    # S = L^-T P(L^T G) L^-1, P the lower triangle with half of the diagonal (Murray 2016).
    (lower,) = saved
    upper = _t(k, lower)
    inner = _lower(k, _mm(k, upper, k.triangle(grad_y, 0, False)))
    left = k.linalg_solve(upper, inner)
    whole = k.linalg_solve(upper, _t(k, left))
    return (k.mul(k.add(whole, _t(k, whole)), 0.5),)


@op(
    inputs="a",
    kernel="linalg_qr",
    outputs=2,
    differentiable=2,
    formula="a = q r, q of orthonormal columns, r upper triangular",
)
def linalg_qr(k, a, mode):
    q, r = k.linalg_qr(a, mode)
    return (q, r), (q, r)


@linalg_qr.gradient
def _(k, saved, grads, need, mode):
    q, r = saved
    m = k.sub(_mm(k, r, _t(k, grads[1])), _mm(k, _t(k, grads[0]), q))
    low = k.add(k.triangle(m, 0, False), _t(k, k.triangle(m, -1, False)))
    right = k.add(grads[0], _mm(k, q, low))
    return (_t(k, k.linalg_solve(r, _t(k, right))),)


@op(
    inputs="a",
    kernel="linalg_eigh",
    outputs=2,
    differentiable=2,
    formula="a = v diag(w) v^T, w ascending",
)
def linalg_eigh(k, a, upper):
    w, v = k.linalg_eigh(a, upper)
    return (w, v), (w, v)


def _pairs(k: Any, w: Any) -> Any:
    """w[j] - w[i], with 1 on the diagonal."""
    n = tuple(w.shape)[-1]
    shape = (*tuple(w.shape), n)
    across = k.expand(k.reshape(w, (*tuple(w.shape)[:-1], 1, n)), shape)
    down = k.expand(k.reshape(w, (*tuple(w.shape)[:-1], n, 1)), shape)
    apart = k.sub(across, down)
    return k.add(apart, _identity(k, apart))


def _on_diagonal(k: Any, g: Any, like: Any) -> Any:
    n = tuple(g.shape)[-1]
    row = k.reshape(g, (*tuple(g.shape)[:-1], 1, n))
    return k.mul(_identity(k, like), row)


@linalg_eigh.gradient
def _(k, saved, grads, need, upper):
    w, v = saved
    turned = _t(k, v)
    inner = _mm(k, turned, grads[1])
    apart = _pairs(k, w)
    inner = k.sub(inner, k.mul(inner, _identity(k, apart)))
    inner = k.add(k.div(inner, apart), _on_diagonal(k, grads[0], apart))
    return (_mm(k, _mm(k, v, inner), turned),)


@op(
    inputs="a",
    kernel="linalg_svd",
    outputs=3,
    differentiable=3,
    formula="a = u diag(s) vh, s descending",
)
def linalg_svd(k, a, full):
    u, s, vh = k.linalg_svd(a, full)
    return (u, s, vh), (u, s, vh)


def _first(k: Any, x: Any, n: int, dim: int) -> Any:
    """The first n rows or columns."""
    shape = tuple(x.shape)
    wanted = tuple([n if d == dim else m for d, m in enumerate(shape)])
    return x if wanted == shape else k.slice(x, (0,) * len(shape), (1,) * len(shape), wanted)


@linalg_svd.gradient
def _(k, saved, grads, need, full):
    u, s, vh = saved
    n = tuple(s.shape)[-1]
    grad_u, grad_s, grad_vh = grads
    if full:  # what full matrices have more is any basis: it has no gradient, as in PyTorch
        u, grad_u = (_first(k, x, n, len(x.shape) - 1) for x in (u, grad_u))
        vh, grad_vh = (_first(k, x, n, len(x.shape) - 2) for x in (vh, grad_vh))
    u_t = _t(k, u)
    apart = _pairs(k, k.square(s))
    row = k.reshape(s, (*tuple(s.shape)[:-1], 1, n))
    column = k.reshape(s, (*tuple(s.shape)[:-1], n, 1))

    def turning(x: Any) -> Any:
        skew = k.sub(x, _t(k, x))
        return k.div(skew, apart)

    to_u, to_v = _mm(k, u_t, grad_u), _mm(k, vh, _t(k, grad_vh))
    inner = k.add(k.mul(turning(to_u), row), k.mul(column, turning(to_v)))
    inner = k.add(inner, _on_diagonal(k, grad_s, apart))
    grad = _mm(k, _mm(k, u, inner), vh)
    # What lies outside of the spans of u and v.
    outside_u = k.div(k.sub(grad_u, _mm(k, u, to_u)), row)
    outside_v = k.div(k.sub(grad_vh, _mm(k, _t(k, to_v), vh)), column)
    grad = k.add(grad, _mm(k, outside_u, vh))
    return (k.add(grad, _mm(k, u, outside_v)),)


@op(inputs="a", kernel="linalg_pinv", formula="y = v diag(1 / s) u^T, a = u diag(s) v^T")
def linalg_pinv(k, a, rcond):
    y = k.linalg_pinv(a, rcond)
    return y, (a, y)


@linalg_pinv.gradient
def _(k, saved, grad_y, need, rcond):
    # Of constant rank (Golub & Pereyra 1973).
    a, y = saved
    turned, grad = _t(k, y), _t(k, grad_y)
    inner = _mm(k, _mm(k, turned, grad_y), turned)
    left = _mm(k, grad, _mm(k, y, turned))
    right = _mm(k, _mm(k, turned, y), grad)
    outside_left = k.sub(left, _mm(k, a, _mm(k, y, left)))
    outside_right = k.sub(right, _mm(k, _mm(k, right, y), a))
    return (k.sub(k.add(outside_left, outside_right), inner),)


# ---- the public functions ----


def _matrix(name: str, x: Tensor, square: bool, integers: bool = False) -> None:
    need_tensors(f"linalg.{name}", input=x)
    shape = x._data.shape
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        kind = "square matrices (.., N, N)" if square else "matrices (.., M, N)"
        raise RuntimeError(f"linalg.{name}: input must be {kind}; got shape {tuple(shape)}")
    if not integers and not x.dtype.is_floating_point:
        raise RuntimeError(f"linalg.{name}: input must be floating-point; got {x.dtype}")


@method("inverse")
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices.

    Shape: (.., N, N)

    Raises:
        LinAlgError: a singular matrix.
        RuntimeError: another shape.
    """
    _matrix("inv", A, True)
    return apply(linalg_inv, (A,))


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B; with left=False, X A = B.

    Shape: A (.., N, N), B (.., N, K), or (N,) or (.., N) for vectors -> B's

    Raises:
        LinAlgError: a singular matrix.
        RuntimeError: shapes that do not fit.
    """
    _matrix("solve", A, True)
    need_tensors("linalg.solve", B=B)
    a, b = tuple(A._data.shape), tuple(B._data.shape)
    vector = len(b) == 1 or (len(b) == len(a) - 1 and b == a[:-1])
    if vector:
        if not left:
            raise RuntimeError(f"linalg.solve: left=False takes matrices; got B {b}")
        B = B.unsqueeze(-1)
    elif not left:
        return solve(A.transpose(-1, -2), B.transpose(-1, -2)).transpose(-1, -2)
    rows = tuple(B._data.shape)
    if len(rows) < 2 or rows[-2] != a[-1]:
        raise RuntimeError(f"linalg.solve: A must be (.., N, N), B (.., N, K); got A {a}, B {b}")
    batch = products.broadcast_shape("linalg.solve", a[:-2], rows[:-2])
    if a[:-2] != batch:
        A = A.expand(*batch, *a[-2:])
    if rows[:-2] != batch:
        B = B.expand(*batch, *rows[-2:])
    x = apply(linalg_solve, (A, B))
    return x.squeeze(-1) if vector else x


@method("det")
def det(A: Tensor) -> Tensor:
    """The determinant of square matrices; its gradient holds for singular ones too.

    Shape: (.., N, N) -> (..)

    Raises:
        RuntimeError: another shape.
    """
    _matrix("det", A, True)
    return apply(linalg_det, (A,))


@method("slogdet")
def slogdet(A: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its magnitude.

    Shape: (.., N, N) -> (..), (..)

    Raises:
        RuntimeError: another shape.
    """
    _matrix("slogdet", A, True)
    logarithm, sign = apply(linalg_slogdet, (A,))
    return sign, logarithm


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The triangular factor of symmetric positive definite matrices.

    Formula: A = L L^T; with upper, A = U^T U

    Shape: (.., N, N)

    Raises:
        LinAlgError: a matrix that is not positive definite.
        RuntimeError: another shape.
    """
    _matrix("cholesky", A, True)
    lower = apply(linalg_cholesky, (A,))
    return lower.transpose(-1, -2) if upper else lower


def qr(A: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """The factors of orthonormal columns and of triangular shape.

    Formula: A = Q R

    Shape: (.., M, N) -> (.., M, K), (.., K, N) with K = min(M, N), or M with mode 'complete'

    Args:
        mode: 'reduced', 'complete', or 'r' (Q is then empty). A gradient needs 'reduced', M >= N.

    Raises:
        ValueError: another mode.
        RuntimeError: another shape.
    """
    _matrix("qr", A, False)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r'; got {mode!r}")
    m, n = A._data.shape[-2:]
    if (mode == "complete" and m > n) or m < n:
        A = A.detach()  # PyTorch refuses a gradient there too
    q, r = apply(linalg_qr, (A,), ("complete" if mode == "complete" else "reduced",))
    return (creation.empty((0,), dtype=A.dtype, device=A.device) if mode == "r" else q), r


def svd(A: Tensor, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition.

    Formula: A = U diag(S) Vh, S descending

    Shape: (.., M, N) -> (.., M, M), (.., K), (.., N, N) with K = min(M, N); with
    full_matrices=False (.., M, K), (.., K), (.., K, N)

    Args:
        full_matrices: whether U and Vh are square; the columns of U and rows of Vh beyond K, which
            are any basis of what is left, have no gradient.

    Raises:
        RuntimeError: another shape.
    """
    _matrix("svd", A, False)
    u, s, vh = apply(linalg_svd, (A,), (bool(full_matrices),))
    return u, s, vh


@own_errors
def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending. Shape: (.., M, N) -> (.., min(M, N))"""
    return svd(A, False)[1]


def eigh(A: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
    """The eigenvalues, ascending, and eigenvectors of symmetric matrices.

    Formula: A = V diag(w) V^T

    Shape: (.., N, N) -> (.., N), (.., N, N)

    Args:
        UPLO: which triangle is read, 'L' or 'U'.

    Raises:
        ValueError: another UPLO.
        RuntimeError: another shape.
    """
    _matrix("eigh", A, True)
    if UPLO not in ("L", "U"):
        raise ValueError(f"linalg.eigh: UPLO must be 'L' or 'U'; got {UPLO!r}")
    w, v = apply(linalg_eigh, (A,), (UPLO == "U",))
    return w, v


@own_errors
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending. Shape: (.., N, N) -> (.., N)"""
    return eigh(A, UPLO)[0]


def pinv(A: Tensor, *, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse, by singular values; its gradient is that of matrices of one rank.

    Formula: V diag(1 / s) U^T, without the s below rcond times the largest

    Shape: (.., M, N) -> (.., N, M)

    Args:
        rcond: default: max(M, N) times the dtype's epsilon.

    Raises:
        RuntimeError: another shape.
    """
    _matrix("pinv", A, False)
    cut = max(A._data.shape[-2:]) * (1.1920929e-07 if A.dtype.itemsize == 4 else 2.2e-16)
    return apply(linalg_pinv, (A,), (cut if rcond is None else float(rcond),))


@method("matrix_power")
def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied by itself n times; negative n of its inverse.

    Shape: (.., N, N)

    Raises:
        RuntimeError: another shape.
    """
    _matrix("matrix_power", A, True, n >= 0)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        size = A._data.shape[-1]
        ones = creation.ones((size, size), dtype=A.dtype, device=A.device)
        eye = ones.tril() - ones.tril(-1)
        always = creation.full((1,), True, device=A.device)
        return where(always, eye, A)  # on the tape, with a gradient of 0
    result: Tensor | None = None
    power = A
    while True:
        if n & 1:
            result = power if result is None else matmul(result, power)
        n >>= 1
        if not n:
            assert result is not None
            return result
        power = matmul(power, power)


@own_errors
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the cheapest order; the first and last may be vectors.

    Raises:
        RuntimeError: fewer than two, or sizes that do not fit.
    """
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError(f"linalg.multi_dot: takes two or more tensors; got {len(parts)}")
    need_tensors("linalg.multi_dot", **{f"tensors[{i}]": t for i, t in enumerate(parts)})
    row, column = parts[0].ndim == 1, parts[-1].ndim == 1
    if row:
        parts[0] = parts[0].unsqueeze(0)
    if column:
        parts[-1] = parts[-1].unsqueeze(1)
    y = products.chain_matmul(*parts)
    if row:
        y = y.squeeze(0)
    return y.squeeze(-1) if column else y


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors of three elements along dim; as gradsmith.cross."""
    return products.cross(input, other, dim)
