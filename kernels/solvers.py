"""The solvers of dense linear algebra: the one exception to hand-written kernels.

Factorisations are LAPACK's, as NumPy calls it on the host, and cuSOLVER's, as CuPy calls it on a
GPU; under the emulator arrays go to the host and back. Everything around them, gradients too, is
made of our kernels. No other file may call them (tests/meta/test_no_compute.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["SOLVERS", "SolverError", "solver"]


class SolverError(RuntimeError):
    """A matrix that a solver cannot take: singular, not positive definite, not converging."""


def _eigh(library: Any, a: Any, upper: bool) -> Any:
    values, vectors = library.linalg.eigh(a, UPLO="U" if upper else "L")
    return values, vectors


def _svd(library: Any, a: Any, full: bool) -> Any:
    return tuple(library.linalg.svd(a, full_matrices=full))


def _qr(library: Any, a: Any, mode: str) -> Any:
    return tuple(library.linalg.qr(a, mode=mode))


def _slogdet(library: Any, a: Any) -> Any:
    sign, logarithm = library.linalg.slogdet(a)
    return library.asarray(logarithm), library.asarray(sign)


def _ordered(library: Any, a: Any) -> tuple[Any, Any, Any, Any]:
    """u, s, vh of a in float64, and the sign of det u det vh."""
    u, s, vh = library.linalg.svd(a.astype(np.float64), full_matrices=True)
    return u, s, vh, library.linalg.det(u) * library.linalg.det(vh)


def _ratio(library: Any, a: Any, b: Any) -> Any:
    """a / b, and 0 where b is: a product of singular values then has another 0."""
    zero = b == 0
    return library.where(zero, 0.0, a / library.where(zero, 1.0, b))


def _adjugate(library: Any, a: Any) -> Any:
    """The transposed cofactors by singular values, without dividing by any that is 0."""
    if not a.size:
        return a
    u, s, vh, sign = _ordered(library, a)
    rest = library.prod(s[..., :-1], axis=-1)[..., None]
    others = _ratio(library, rest * s[..., -1:], s)
    others[..., -1:] = rest
    turned = others[..., None] * u.swapaxes(-1, -2)
    return sign[..., None, None] * library.matmul(vh.swapaxes(-1, -2), turned)


def _adjugate_bwd(library: Any, grad_y: Any, a: Any) -> Any:
    """The gradient of _adjugate, from products of all singular values but two."""
    n = a.shape[-1]
    if not a.size or n == 1:
        return library.zeros_like(a)
    u, s, vh, sign = _ordered(library, a)
    h = library.matmul(library.matmul(vh, grad_y), u) * sign[..., None, None]
    # Of the two least, p and q, and all others at once: 0 / 0 is 0, the others' product has a 0.
    rest = library.prod(s[..., :-2], axis=-1)[..., None]
    p, q = s[..., -2:-1], s[..., -1:]
    but_two = _ratio(library, (rest * p * q)[..., None], s[..., :, None] * s[..., None, :])
    but_two[..., -1] = _ratio(library, rest * p, s)
    but_two[..., -2] = _ratio(library, rest * q, s)
    but_two[..., -1, :], but_two[..., -2, :] = but_two[..., -1].copy(), but_two[..., -2].copy()
    but_two[..., -1, -2] = but_two[..., -2, -1] = rest[..., 0]
    places = library.arange(n)
    but_two[..., places, places] = 0.0
    inner = -but_two * h
    along = library.matmul(but_two, h[..., places, places][..., None])[..., 0]
    inner[..., places, places] = along
    return library.matmul(library.matmul(u, inner), vh)


#: Name -> what it calls. Arguments: matrices (.., M, N), then options.
SOLVERS: dict[str, Callable[..., Any]] = {
    "linalg_inv": lambda library, a: library.linalg.inv(a),
    "linalg_solve": lambda library, a, b: library.linalg.solve(a, b),
    "linalg_det": lambda library, a: library.asarray(library.linalg.det(a)),
    "linalg_slogdet": _slogdet,
    "linalg_adjugate": _adjugate,
    "linalg_adjugate_bwd": _adjugate_bwd,
    "linalg_pinv": lambda library, a, rcond: library.linalg.pinv(a, rcond),
    "linalg_cholesky": lambda library, a: library.linalg.cholesky(a),
    "linalg_qr": _qr,
    "linalg_svd": _svd,
    "linalg_eigh": _eigh,
}


def solver(name: str, transfer: Callable[[Any, str], Any]) -> Callable[..., Any]:
    """The entry of a kernel table: arrays of any device in, arrays of the same device out."""
    function = SOLVERS[name]

    def entry(*args: Any) -> Any:
        first = args[0]
        if type(first).__module__.startswith("cupy"):
            import cupy

            return _run(name, function, cupy, args)
        if isinstance(first, np.ndarray):
            return _own(_run(name, function, np, args), first.dtype)
        host = [transfer(a, "cpu") if hasattr(a, "strides") else a for a in args]
        result = _own(_run(name, function, np, host), host[0].dtype)
        if isinstance(result, tuple):
            return tuple([transfer(r, "cuda") for r in result])
        return transfer(result, "cuda")

    entry.__name__ = name
    return entry


def _run(name: str, function: Callable[..., Any], library: Any, args: Any) -> Any:
    try:
        return function(library, *args)
    except np.linalg.LinAlgError as error:
        raise SolverError(f"{name.replace('_', '.')}: {error}") from None


def _own(result: Any, dtype: Any) -> Any:
    """Contiguous arrays in the matrix' dtype."""
    if isinstance(result, tuple):
        return tuple([np.array(r, dtype=dtype, order="C") for r in result])
    return np.array(result, dtype=dtype, order="C")
