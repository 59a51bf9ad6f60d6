"""Samples of linear with its activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import epilogue as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _samples() -> list[Sample]:
    def of(x: Any, n: int, layout: str = "c", *tags: str, bias: bool = True, **o: Any) -> Sample:
        inputs = (Arr(x, "normal", layout), Arr((n, x[-1])), *((Arr((n,)),) if bias else ()))
        return Sample(inputs, o, frozenset(tags))

    return [
        *(of((4, 5), 3, activation=a) for a in ("relu", "gelu", "tanh", "sigmoid", "silu", None)),
        of((2, 3, 5), 7, activation="gelu", bias=False),
        of((5,), 3, activation="silu"),
        of((17, 37), 19, "reversed", "odd", "negative", activation="tanh"),
        of((70, 65), 67, "f", "large", activation="gelu"),
        of((0, 5), 3, "c", "empty"),
        of((3, 0), 4, "c", "empty", activation="sigmoid"),
        of((1, 1), 1, "c", "size1", activation="sigmoid"),
    ]


def _integer_samples() -> list[Sample]:
    def of(a: Any, b: Any, dtype: str, layout: str = "c") -> Sample:
        inputs = (
            Arr(a, "integers", layout, dtype=dtype),
            Arr(b, "integers", layout, dtype=dtype),
        )
        return Sample(inputs, {}, frozenset({"exact"}))

    return [
        of((3, 4), (4, 5), "int64"),
        of((3, 4), (4, 5), "int32", "f"),
        of((2, 3, 4), (4, 5), "int64", "reversed"),
        of((4,), (4,), "int32"),
        of((37, 19), (19, 41), "int64"),
        of((2, 0), (0, 3), "int64"),
    ]


def _size(x: Any, weight: Any, bias: Any = None, activation: Any = "relu") -> Any:
    total = np.abs(x) @ np.abs(weight).T + (0.0 if bias is None else np.abs(bias))
    return 2 * total + 1.0


def infos() -> list[OpInfo]:
    """The family's ops."""
    x, w = Arr((2, 3)), Arr((4, 3))
    return [
        OpInfo(
            name="linear_activation",
            covers=("matmul_epilogue",),
            call=by_path("nn.functional.linear_activation"),
            reference=reference.linear_activation,
            samples=_samples,
            errors=(
                ErrorSample((x, Arr((4, 5))), {}, RuntimeError, "input's last dim must equal"),
                ErrorSample((x, w, Arr((3,))), {}, RuntimeError, "bias must have shape"),
                ErrorSample(
                    (x, w), {"activation": "selu"}, ValueError, "activation must be one of"
                ),
            ),
            terms=lambda x, *rest, **options: int(x.shape[-1]) + 8,
            magnitude=_size,
            torch=False,
        ),
        OpInfo(
            name="matmul_integers",
            covers=("matmul",),
            call=by_path("matmul"),
            reference=np.matmul,
            samples=_integer_samples,
            errors=(
                ErrorSample(
                    (Arr((2, 3), "integers", dtype="int64"), Arr((3, 2))),
                    {},
                    RuntimeError,
                    "matmul: inputs must be of one dtype",
                ),
            ),
            differentiable=False,
            keeps_dtype=False,
        ),
    ]
