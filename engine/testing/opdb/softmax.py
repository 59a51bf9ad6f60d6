"""Samples of softmax and softmin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import softmax as reference
from .calls import by_path, by_record
from .elementwise import LANES
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _samples() -> list[Sample]:
    samples = [Sample((Arr((3, 4, 5)),), {"dim": d}) for d in (0, 1, -1)]
    samples += [
        Sample((Arr(()),), {"dim": 0}, _tags("size1")),
        Sample((Arr((3, 1)),), {"dim": 1}, _tags("size1")),
        Sample((Arr((0, 3)),), {"dim": 1}, _tags("empty")),
        Sample((Arr((3, 0)),), {"dim": 1}, _tags("empty")),
        Sample((Arr((2, 77)),), {"dim": 1}, _tags("odd")),
        Sample((Arr((3, 5, 37)),), {"dim": 1}, _tags("odd")),
        Sample((Arr((17, 1300)),), {"dim": 0}, _tags("large")),
        Sample((Arr((3, 2100)),), {"dim": 1}, _tags("large")),
        Sample((Arr((2065,)),), {"dim": 0}, _tags("large")),
        Sample((Arr((2, 5), ("values", 1000.0, 1001.0, 999.0)),), {"dim": 1}, name="high"),
        Sample((Arr((2, 5), ("values", -1e4, 0.0, 1e4)),), {"dim": 1}, name="far"),
        Sample((Arr((5, 19), "normal", "last2"),), {"dim": 1}, _tags("strided")),
        Sample((Arr((5, 19), "normal", "reversed"),), {"dim": 0}, _tags("negative")),
        Sample((Arr((5, 19), "normal", "expanded"),), {"dim": 0}, _tags("expanded")),
    ]
    for value in ("nan", "inf", "-inf"):
        for d in (0, 1):
            x = Arr((LANES, LANES), ("diagonal", float(value)))
            samples.append(Sample((x,), {"dim": d}, _tags("special")))
    lowest = Arr((2, 5), ("values", float("-inf")))
    return [*samples, Sample((lowest,), {"dim": 1}, _tags("special"))]


def _few() -> list[Sample]:
    return [Sample((Arr((3, 4, 5)),), {"dim": d}) for d in (0, 2)]


def _size(x: Any, dim: int) -> Any:
    """Rounding x - max moves e^x by |x - max| of it."""
    finite = np.abs(x[np.isfinite(x)])
    y = reference.softmax(x, dim)
    return np.where(np.isfinite(y), y, 0.0) * (1 + 2 * np.max(finite, initial=0.0))


def _bwd_samples() -> list[Sample]:
    found = []
    for shape, dim, layout in (
        ((3, 4, 5), 1, "c"),
        ((3, 4, 5), 2, "reversed"),
        ((7,), 0, "c"),
        ((), 0, "c"),
        ((0, 3), 1, "c"),
        ((6, 37), 0, "last2"),
    ):
        found.append(Sample((Arr(shape, "normal", layout), Arr(shape, "positive")), {"dim": dim}))
    return found


def _bwd_size(grad_y: Any, y: Any, dim: int) -> Any:
    axis = dim if y.ndim else None
    return np.abs(y) * (np.abs(grad_y) + np.sum(np.abs(grad_y * y), axis=axis, keepdims=True))


def _extent(x: Any, *others: Any, dim: int) -> int:
    return x.shape[dim] if x.ndim else 1


def infos() -> list[OpInfo]:
    """The family's ops."""
    errors = (
        ErrorSample((Arr((2, 3)),), {"dim": 2}, IndexError, r"dim must be in \[-2, 2\); got 2"),
        ErrorSample((3.0,), {"dim": 0}, TypeError, "must be a tensor; got float"),
    )
    found = []
    for name, samples, size in (
        ("softmax", _samples, _size),
        ("softmin", _few, lambda x, dim: _size(-x, dim)),
    ):
        found.append(
            OpInfo(
                name=name,
                covers=("softmax",),
                call=by_path(f"nn.functional.{name}"),
                reference=getattr(reference, name),
                samples=samples,
                errors=errors,
                terms=_extent,
                magnitude=size,
            )
        )
    found.append(
        OpInfo(
            name="softmax_bwd",
            covers=("softmax_bwd",),
            call=by_record("softmax_bwd"),
            reference=reference.softmax_bwd,
            samples=_bwd_samples,
            terms=_extent,
            magnitude=_bwd_size,
            torch=False,
        )
    )
    return found
