"""Samples of padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import pad as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _sample(
    shape: tuple[int, ...],
    pad: tuple[int, ...],
    mode: str = "constant",
    value: float | None = None,
    layout: str = "c",
    fill: Any = "normal",
    tags: Any = (),
) -> Sample:
    options: dict[str, Any] = {"pad": pad}
    if mode != "constant":
        options["mode"] = mode
    if value is not None:
        options["value"] = value
    return Sample((Arr(shape, fill, layout),), options, frozenset(tags))


def _samples() -> list[Sample]:
    samples = [
        _sample((5,), (2, 1)),
        _sample((3, 4), (1, 0, 0, 2), value=1.5),
        _sample((2, 3, 4), (1, 1, 2, 0, 0, 1), value=-2.0),
        _sample((3, 5), (-1, 2), value=3.0),
        _sample((3, 5), (-2, -1, 1, -1)),
        _sample((3, 5), ()),
        _sample((3, 5), (0, 0)),
        _sample((0, 3), (1, 1), tags=("empty",)),
        _sample((2, 0), (1, 2), value=1.0, tags=("empty",)),
        _sample((2, 37), (3, 2), layout="reversed", tags=("negative",)),
        _sample((4, 5), (1, 2), layout="expanded", tags=("expanded",)),
        _sample((4, 17), (1, 2), value=1.0, fill=("specials", 3), tags=("special",)),
        _sample((1, 1), (1, 1, 1, 1), tags=("size1",)),
    ]
    for mode in ("reflect", "replicate", "circular"):
        samples += [
            _sample((2, 3, 5), (3, 4) if mode != "circular" else (5, 4), mode),
            _sample((2, 5), (1, 3), mode),
            _sample((2, 3, 4, 5), (2, 1, 3, 0), mode),
            _sample((2, 4, 37), (4, 3, 1, 2), mode, layout="f", tags=("strided", "odd")),
            _sample((1, 2, 3, 4, 3), (1, 2, 2, 1, 0, 2), mode),
            _sample((2, 3, 3, 4), (0, 1, 2, 1, 1, 2), mode, layout="reversed", tags=("negative",)),
            _sample((2, 6), (-1, 3), mode),
            _sample((2, 1, 1), (0, 0) if mode == "reflect" else (1, 1), mode, tags=("size1",)),
            _sample((0, 2, 4), (1, 1), mode, tags=("empty",)),
            _sample((2, 19), (3, 2), mode, fill=("specials", 1), tags=("special",)),
        ]
    return [*samples, _sample((2, 3, 4), (9, 6), "replicate")]


_RECORDS = (
    ((2, 3, 5), (2,), (2, 3, 9)),
    ((2, 3, 5), (1, 2), (2, 6, 8)),
    ((3, 3, 3), (1, 0, 2), (5, 5, 5)),
    ((1, 37), (5,), (1, 43)),
    ((0, 4), (1,), (0, 6)),
)


def _record_samples(backward: bool) -> list[Sample]:
    samples = []
    for mode in (1, 2, 3):
        for x, before, y in _RECORDS:
            options: dict[str, Any] = {"before": before, "mode": mode}
            options["x_shape" if backward else "out_shape"] = x if backward else y
            layout = "reversed" if mode == 2 else "f"
            samples.append(Sample((Arr(y if backward else x, "normal", layout),), options))
    return samples


def _terms(grad_y: Any, before: Any, mode: int, x_shape: Any) -> int:
    return int(np.prod([max(2, m - n + 1) for m, n in zip(grad_y.shape, x_shape, strict=True)]))


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3, 4))

    def error(pad: Any, error: type[Exception], match: str, **options: Any) -> ErrorSample:
        return ErrorSample((x,), {"pad": pad, **options}, error, match)

    errors = (
        error((1,), RuntimeError, "pad: pad must be two numbers a dim"),
        error((1,) * 8, RuntimeError, "of at most 3 dims"),
        error((-3, -2), RuntimeError, "pad: sizes must stay >= 0"),
        error((1, 1), ValueError, "pad: mode must be", mode="edge"),
        error((1, 1), ValueError, "takes no value", mode="reflect", value=1.0),
        error((4, 1), RuntimeError, "'reflect' can pad by at most 3", mode="reflect"),
        error((5, 1), RuntimeError, "'circular' can pad by at most 4", mode="circular"),
        error((1,) * 6, NotImplementedError, "pads the last 1 to 3 dims", mode="replicate"),
        error((1.5, 1), TypeError, "pad: pad must be an int"),
        ErrorSample((3.0,), {"pad": (1, 1)}, TypeError, "pad: input must be a tensor"),
    )
    return [
        OpInfo(
            name="pad",
            covers=("pad", "pad_constant", "slice_bwd"),
            call=by_path("nn.functional.pad"),
            reference=reference.pad,
            samples=_samples,
            errors=errors,
        ),
        OpInfo(
            name="pad_mode",
            covers=("pad",),
            call=by_record("pad"),
            reference=reference.pad_mode,
            samples=lambda: _record_samples(False),
            torch=False,
        ),
        OpInfo(
            name="pad_bwd",
            covers=("pad_bwd",),
            call=by_record("pad_bwd"),
            reference=reference.pad_bwd,
            samples=lambda: _record_samples(True),
            terms=_terms,
            torch=False,
        ),
    ]
