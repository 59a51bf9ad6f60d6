"""Samples of sliding windows."""

from __future__ import annotations

from typing import Any

from ..reference import window as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _unfold_samples() -> list[Sample]:
    def row(shape: Any, layout: str = "c", tags: Any = (), **options: Any) -> Sample:
        return Sample((Arr(shape, "normal", layout),), options, frozenset(tags))

    return [
        row((2, 3, 5, 6), kernel_size=2),
        row((2, 3, 5, 6), kernel_size=(3, 2), padding=(1, 2), stride=2),
        row((1, 2, 7, 5), "f", ("strided",), kernel_size=2, dilation=(2, 3), padding=1),
        row((2, 4, 5), "reversed", ("negative",), kernel_size=3, stride=(1, 3), padding=2),
        row((1, 1, 1, 1), tags=("size1",), kernel_size=1),
        row((0, 2, 4, 4), tags=("empty", "torch_differs"), kernel_size=2),
        row((1, 1, 3, 37), tags=("odd",), kernel_size=(1, 5), padding=(0, 9)),
        # The second tap's first place is the first one behind the row.
        row((1, 2, 2, 3), kernel_size=(1, 2), dilation=(1, 4), padding=(0, 1), stride=(1, 2)),
    ]


def _fold_samples() -> list[Sample]:
    def row(shape: Any, size: Any, layout: str = "c", **options: Any) -> Sample:
        return Sample((Arr(shape, "normal", layout),), {"output_size": size, **options})

    return [
        row((2, 12, 20), (5, 6), kernel_size=2),
        row((1, 12, 15), (5, 6), "f", kernel_size=(3, 2), padding=(1, 2), stride=2),
        row((8, 6), (5, 4), kernel_size=2, dilation=2),
        row((4, 4), (4, 4), kernel_size=2, stride=2),
    ]


def _window_samples() -> list[Sample]:
    rows = (
        ((7,), 0, 3, 1),
        ((7,), 0, 2, 3),
        ((3, 8, 2), 1, 3, 2),
        ((3, 5), -1, 5, 1),
        ((4, 3), 0, 1, 2),
    )
    return [
        Sample((Arr(shape, "normal", layout),), {"dimension": d, "size": n, "step": s})
        for shape, d, n, s in rows
        for layout in ("c", "reversed")
    ]


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3, 5, 6))
    columns = Arr((2, 12, 20))
    return [
        OpInfo(
            name="unfold",
            covers=("unfold",),
            call=by_path("nn.functional.unfold"),
            reference=reference.unfold,
            samples=_unfold_samples,
            errors=(
                ErrorSample((x,), {"kernel_size": 7}, RuntimeError, "unfold: the window must fit"),
                ErrorSample((x,), {"kernel_size": 0}, ValueError, "kernel_size must be >= 1"),
                ErrorSample((Arr((3,)),), {"kernel_size": 1}, RuntimeError, "3 or 4 dims"),
            ),
        ),
        OpInfo(
            name="fold",
            covers=("fold",),
            call=by_path("nn.functional.fold"),
            reference=reference.fold,
            samples=_fold_samples,
            errors=(
                ErrorSample(
                    (columns,), {"output_size": (5, 5), "kernel_size": 2}, RuntimeError, "columns"
                ),
                ErrorSample(
                    (Arr((2, 11, 20)),),
                    {"output_size": (5, 6), "kernel_size": 2},
                    RuntimeError,
                    "multiple of 4 rows",
                ),
                ErrorSample(
                    (Arr((2,)),), {"output_size": 4, "kernel_size": 2}, RuntimeError, "2 or 3 dims"
                ),
            ),
            terms=lambda x, **o: x.size,
        ),
        OpInfo(
            name="windows",
            covers=("windows",),
            call=lambda lib, x, dimension, size, step: x.unfold(dimension, size, step),
            reference=reference.windows,
            samples=_window_samples,
            errors=(
                ErrorSample(
                    (x,), {"dimension": 0, "size": 3, "step": 1}, RuntimeError, "size must be in"
                ),
                ErrorSample(
                    (x,), {"dimension": 4, "size": 1, "step": 1}, IndexError, "dim must be in"
                ),
            ),
        ),
        OpInfo(
            name="unfold_record",
            covers=("unfold",),
            call=by_record("unfold"),
            reference=lambda x, kernel, stride, padding, dilation, out_shape: reference.unfold(
                x, kernel, dilation, padding, stride
            ),
            samples=lambda: [
                Sample(
                    (Arr((1, 2, 4, 5)),),
                    {
                        "kernel": (2, 3),
                        "stride": (2, 1),
                        "padding": (0, 1),
                        "dilation": (1, 1),
                        "out_shape": (1, 12, 10),
                    },
                )
            ],
            torch=False,
        ),
    ]
