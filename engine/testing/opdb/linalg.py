"""Samples of dense linear algebra. Factors are checked by what they multiply to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference import linalg as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _of(*shapes: Any, layout: str = "c", **options: Any) -> Sample:
    return Sample(tuple(Arr(s, "normal", layout) for s in shapes), options)


#: Square matrices: one, a batch, one of one element, transposed in memory.
SQUARE = ((3, 3), (2, 4, 4), (1, 1))


def _dominant(lib: Any, x: Any) -> Any:
    """Square matrices far from singular: x + 6 on the diagonal."""
    return x + 6.0 * (lib.ones_like(x).tril() - lib.ones_like(x).tril(-1))


def _np_dominant(x: Any) -> Any:
    return x + 6.0 * np.eye(x.shape[-1])


def _symmetric(x: Any) -> Any:
    return x + x.swapaxes(-1, -2)


def _t(x: Any) -> Any:
    return x.transpose(-1, -2)


def _on_dominant(path: str) -> Callable[..., Any]:
    function = by_path(path)

    def call(lib: Any, x: Any, *rest: Any, **options: Any) -> Any:
        return function(lib, _dominant(lib, x), *rest, **options)

    return call


def _cholesky_call(lib: Any, x: Any, **options: Any) -> Any:
    a = _dominant(lib, lib.matmul(x, _t(x)))
    return lib.linalg.cholesky(a, **options)


def _np_cholesky(x: Any, upper: bool = False) -> Any:
    lower = np.linalg.cholesky(_np_dominant(x @ x.swapaxes(-1, -2)))
    return lower.swapaxes(-1, -2) if upper else lower


def _eigh_call(lib: Any, x: Any, **options: Any) -> Any:
    w, v = lib.linalg.eigh(x + _t(x), **options)
    return lib.matmul(v * (w * w + w).unsqueeze(-2), _t(v))


def _np_eigh(x: Any, UPLO: str = "L") -> Any:
    a = _symmetric(x)
    return a @ a + a


def _svd_call(lib: Any, x: Any) -> Any:
    u, s, vh = lib.linalg.svd(x, full_matrices=False)
    return lib.matmul(u * (s * s).unsqueeze(-2), vh)


def _np_cubed(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * (s * s)[..., None, :]) @ vh


def _info(name: str, call: Any, function: Any, samples: list[Sample], **record: Any) -> OpInfo:
    def size(*arrays: Any, **options: Any) -> Any:
        value = function(*arrays, **options)
        first = value[0] if isinstance(value, tuple) else value
        largest = max(np.max(np.abs(v), initial=1.0) for v in (*arrays[:1], first))
        whole = 60.0 * largest**2
        if isinstance(value, tuple):
            return tuple(np.full(np.shape(v), whole) for v in value)
        return np.full(np.shape(value), whole)

    return OpInfo(
        name=name,
        covers=record.pop("covers", ()),
        call=call,
        reference=function,
        samples=lambda: samples,
        terms=lambda *arrays, **options: 64,
        magnitude=size,
        **record,
    )


def _matrix_norm(x: Any, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, ord, (-2, -1))


def infos() -> list[OpInfo]:
    """The family's ops."""
    square = [*(_of(s) for s in SQUARE), _of((3, 3), layout="reversed")]
    one, wide = Arr((3, 3)), Arr((2, 3))

    def shape_error(name: str) -> tuple[ErrorSample, ...]:
        return (ErrorSample((wide,), {}, RuntimeError, f"linalg.{name}: input must be square"),)

    return [
        _info(
            "linalg_inv",
            _on_dominant("linalg.inv"),
            lambda x: np.linalg.inv(_np_dominant(x)),
            square,
            covers=("linalg_inv",),
        ),
        _info(
            "linalg_solve",
            _on_dominant("linalg.solve"),
            lambda x, b: reference.solve(_np_dominant(x), b),
            [
                _of((3, 3), (3, 2)),
                _of((3, 3), (3,)),
                _of((2, 4, 4), (4, 1)),
                _of((2, 3, 3), (2, 3)),
            ],
            covers=("linalg_solve",),
        ),
        _info(
            "linalg_det",
            by_path("linalg.det"),
            np.linalg.det,
            square,
            covers=("linalg_det", "linalg_adjugate", "linalg_adjugate_bwd"),
            errors=shape_error("det"),
        ),
        _info(
            "slogdet",
            lambda lib, x: tuple(reversed(lib.slogdet(_dominant(lib, x)))),
            lambda x: tuple(reversed(tuple(np.linalg.slogdet(_np_dominant(x))))),
            square,
            covers=("linalg_slogdet",),
            errors=(),
        ),
        _info(
            "linalg_cholesky",
            _cholesky_call,
            _np_cholesky,
            [*square, _of((3, 3), upper=True)],
            covers=("linalg_cholesky",),
        ),
        _info(
            "linalg_qr",
            lambda lib, x: lib.matmul(*lib.linalg.qr(x)),
            lambda x: x,
            [_of((4, 3)), _of((2, 3, 3))],
            covers=("linalg_qr",),
        ),
        _info(
            "linalg_eigh",
            _eigh_call,
            _np_eigh,
            [_of((3, 3)), _of((2, 4, 4)), _of((3, 3), UPLO="U")],
            covers=("linalg_eigh",),
        ),
        _info(
            "linalg_svd",
            _svd_call,
            _np_cubed,
            [_of((4, 3)), _of((3, 4)), _of((2, 3, 3))],
            covers=("linalg_svd",),
        ),
        _info(
            "linalg_pinv",
            by_path("linalg.pinv"),
            reference.pinv,
            [_of((4, 3)), _of((2, 3))],
            covers=("linalg_pinv",),
            widen=20.0,
            exception="small singular values magnify rounding",
        ),
        _info(
            "linalg_matrix_power",
            by_path("linalg.matrix_power"),
            lambda x, n: np.linalg.matrix_power(x, n),
            [_of((3, 3), n=5), _of((2, 3, 3), n=2), _of((3, 3), n=1)],
        ),
        _info(
            "linalg_multi_dot",
            lambda lib, *tensors: lib.linalg.multi_dot(list(tensors)),
            lambda *arrays: np.linalg.multi_dot(list(arrays)),
            [_of((2, 3), (3, 4)), _of((3,), (3, 4), (4, 2)), _of((2, 3), (3, 4), (4,))],
        ),
        _info(
            "linalg_vector_norm",
            by_path("linalg.vector_norm"),
            lambda x, ord=2, dim=None, keepdim=False: np.linalg.norm(
                x.reshape(-1) if dim is None else x, ord, dim, keepdim
            ),
            [
                _of((3, 4)),
                *(_of((3, 4), ord=p, dim=1) for p in (1, 2, 3, float("inf"), float("-inf"))),
                _of((3, 4), dim=0, keepdim=True),
            ],
            errors=(
                ErrorSample((one,), {"dim": 2}, IndexError, "linalg.vector_norm: dim must be in"),
            ),
        ),
        _info(
            "linalg_matrix_norm",
            by_path("linalg.matrix_norm"),
            _matrix_norm,
            [_of((3, 4), ord=o) for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"))]
            + [_of((2, 3, 4))],
            errors=(
                ErrorSample((one,), {"ord": 3}, ValueError, "linalg.matrix_norm: ord must be"),
            ),
        ),
        _info(
            "linalg_norm",
            by_path("linalg.norm"),
            lambda x, ord=None, dim=None: np.linalg.norm(x, ord, dim),
            [_of((3, 4)), _of((3, 4), ord="nuc"), _of((3, 4), ord=2, dim=1), _of((5,), ord=1)],
        ),
        _info(
            "cov",
            by_path("cov"),
            reference.cov,
            [_of((3, 6)), _of((6,)), _of((3, 6), correction=0)],
        ),
        _info("corrcoef", by_path("corrcoef"), reference.corrcoef, [_of((3, 6))]),
    ]
