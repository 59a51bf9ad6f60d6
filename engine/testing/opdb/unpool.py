"""Samples of max unpooling."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..reference import pool as pooled
from ..reference import unpool as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _unpool_samples(n: int) -> list[Sample]:
    """Of the indices that max pooling finds in planes of distinct values."""
    size = (12, 6, 4)[:n]
    samples = []
    for layout, options, extra in (
        ("c", {"kernel_size": 2}, {}),
        ("c", {"kernel_size": 2}, {"output_size": tuple(m + 1 for m in size)}),
        ("c", {"kernel_size": 2}, {"output_size": (2, 3, *size)}),
        ("reversed", {"kernel_size": 2, "stride": 2}, {}),
        ("channels_last", {"kernel_size": (2,) * n, "stride": (2,) * n, "padding": 0}, {}),
    ):
        x = Sample((Arr((2, 3, *size), "distinct"),)).build()[0]
        window: dict[str, Any] = {key: v for key, v in options.items() if key != "output_size"}
        y, indices = pooled.max_pool(x, n=n, **window)
        tag = {"c": (), "reversed": ("negative",)}.get(layout, ("strided",))
        inputs = (Arr(y.shape, "normal", layout), indices)
        samples.append(Sample(inputs, {**options, **extra}, _tags(*tag)))
    one = np.arange(2).reshape(1, 2, *(1,) * n)
    samples += [
        Sample((Arr((2, *(1,) * n)), one[0]), {"kernel_size": 2}),
        Sample((Arr((1, 2, *(1,) * n)), one), {"kernel_size": 2}, _tags("size1")),
    ]
    return samples


def _errors(n: int) -> tuple[ErrorSample, ...]:
    name = f"max_unpool{n}d"
    x = Arr((2, 3, *((3,) * n)))
    zeros = np.zeros((2, 3, *((3,) * n)), np.int64)

    def row(
        inputs: tuple[Any, ...], options: dict[str, Any], error: type[Exception], match: str
    ) -> ErrorSample:
        return ErrorSample(inputs, options, error, f"{name}: .*{match}")

    two = {"kernel_size": 2}
    return (
        row((x, zeros[:1]), two, RuntimeError, "indices must have the input's shape"),
        row((x, zeros.astype(np.int32)), two, RuntimeError, "indices must be int64"),
        row((x, zeros), {**two, "output_size": (9,) * n}, ValueError, "must be within 1 of 6"),
        row((x, zeros), {**two, "output_size": (6,) * (n + 1)}, ValueError, "must have"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for n in (1, 2, 3):
        found += [
            OpInfo(
                name=f"max_unpool{n}d",
                covers=("max_unpool",),
                call=by_path(f"nn.functional.max_unpool{n}d"),
                reference=partial(reference.max_unpool, n=n),
                samples=partial(_unpool_samples, n),
                errors=_errors(n),
            ),
        ]
    return found
