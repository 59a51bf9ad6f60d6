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


#: Name -> what it calls. Arguments: matrices (.., M, N), then options.
SOLVERS: dict[str, Callable[..., Any]] = {
    "linalg_inv": lambda library, a: library.linalg.inv(a),
    "linalg_solve": lambda library, a, b: library.linalg.solve(a, b),
    "linalg_det": lambda library, a: library.asarray(library.linalg.det(a)),
    "linalg_slogdet": _slogdet,
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
