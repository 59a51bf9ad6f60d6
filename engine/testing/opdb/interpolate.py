"""Samples of interpolation, pixel_shuffle and channel_shuffle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import interpolate as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

_SIZES = {1: (6,), 2: (5, 6), 3: (3, 4, 5)}


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _samples() -> list[Sample]:
    samples = []
    for mode, n in (
        ("nearest", 1),
        ("nearest", 2),
        ("nearest", 3),
        ("nearest-exact", 2),
        ("area", 1),
        ("area", 2),
        ("linear", 1),
        ("bilinear", 2),
        ("trilinear", 3),
        ("bicubic", 2),
    ):
        x = Arr((2, 2, *_SIZES[n]))
        between = mode.endswith("linear") or mode == "bicubic"
        samples += [
            Sample((x,), {"size": 4, "mode": mode}),
            Sample((x,), {"scale_factor": 2, "mode": mode}),
            Sample((x,), {"scale_factor": 1.7, "mode": mode}),
        ]
        if between:
            samples += [
                Sample((x,), {"size": 7, "mode": mode, "align_corners": True}),
                Sample((x,), {"size": 1, "mode": mode, "align_corners": True}),
            ]
    x = Arr((2, 3, 5, 7))
    special = Arr((3, 3, 4, 5), ("diagonal", np.nan))
    bilinear: dict[str, Any] = {"mode": "bilinear"}
    samples += [
        Sample((x,), {"scale_factor": (0.5, 2.3), **bilinear}, _tags("odd")),
        Sample((x,), {"scale_factor": 1.3, "recompute_scale_factor": True, **bilinear}),
        Sample((x,), {"size": (5, 7), **bilinear}),
        Sample((x,), {"size": (5, 3), "mode": "nearest"}),
        Sample((Arr((1, 1, 1, 1)),), {"size": (2, 3), **bilinear}, _tags("size1")),
        Sample((Arr((0, 3, 4, 4)),), {"size": 2, **bilinear}, _tags("empty")),
        Sample((Arr((2, 2, 37, 41)),), {"scale_factor": 2, **bilinear}, _tags("odd", "large")),
        Sample((special,), {"size": 3, **bilinear}, _tags("special")),
    ]
    for layout, tag in (
        ("channels_last", "strided"),
        ("reversed", "negative"),
        ("expanded", "expanded"),
        ("strided", "strided"),
    ):
        samples.append(Sample((Arr((2, 3, 4, 5), "normal", layout),), {"size": 6}, _tags(tag)))
    return samples


def _bwd_samples() -> list[Sample]:
    rows = (
        ((2, 7), 1, (2, 4), 0, False, 0.0),
        ((2, 9, 3), 1, (2, 4, 3), 2, False, 2.3),
        ((2, 3, 3), 1, (2, 7, 3), 2, True, 0.0),
        ((5, 4), 0, (3, 4), 3, False, 0.0),
        ((2, 3), 1, (2, 7), 4, False, 0.0),
        ((2, 5), 1, (2, 3), 1, False, 0.0),
    )
    names = ("dim", "x_shape", "mode", "align_corners", "scale")
    return [Sample((Arr(s),), dict(zip(names, rest, strict=True))) for s, *rest in rows]


def _moves(up: bool) -> list[Sample]:
    shape = (2, 8, 3, 2) if up else (2, 2, 6, 4)
    lead = {"upscale_factor" if up else "downscale_factor": 2}
    return [
        Sample((Arr(shape),), lead),
        Sample((Arr(shape[1:]),), lead),
        Sample((Arr(shape, "normal", "channels_last"),), lead, _tags("strided")),
        Sample((Arr(shape, "normal", "reversed"),), lead, _tags("negative")),
        Sample((Arr((0, *shape[1:])),), lead, _tags("empty", "torch_differs")),
        Sample((Arr((1, 9, 1, 1) if up else (1, 1, 3, 3)),), dict.fromkeys(lead, 3), _tags("odd")),
    ]


def _errors() -> tuple[ErrorSample, ...]:
    x = Arr((2, 3, 4, 5))

    def row(options: Any, error: Any, match: str, torch: bool = True, x: Any = x) -> ErrorSample:
        return ErrorSample((x,), options, error, f"interpolate: .*{match}", torch)

    linear = {"mode": "linear", "size": 3}
    return (
        row({}, ValueError, "either size or scale_factor"),
        row({"size": 3, "scale_factor": 2}, ValueError, "either size or scale_factor"),
        row({"size": (3,)}, ValueError, "size must be one value or one for each"),
        row({"scale_factor": (2, 2, 2)}, ValueError, "scale_factor must be one value"),
        row({"size": 0}, RuntimeError, "sizes must be >= 1"),
        row({"scale_factor": 0.1}, RuntimeError, "sizes must be >= 1"),
        row({"size": 3, "align_corners": True}, ValueError, "align_corners can only be set"),
        row({"size": 3, "recompute_scale_factor": True}, ValueError, "needs scale_factor"),
        row({"size": 3, "mode": "cubist"}, NotImplementedError, "mode must be one of"),
        row(linear, NotImplementedError, "mode 'linear' is for"),
        row({"size": 3}, NotImplementedError, "spatial dimensions", x=Arr((2, 3))),
        row(
            {"size": 3, "mode": "bilinear", "antialias": True},
            NotImplementedError,
            "antialias=True is not supported",
            torch=False,
        ),
        row({"size": 3}, TypeError, "input must be a tensor", x="x"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((2, 3, 4, 5))
    found = [
        OpInfo(
            name="interpolate",
            covers=("resample",),
            call=by_path("nn.functional.interpolate"),
            reference=reference.interpolate,
            samples=_samples,
            errors=_errors(),
            terms=lambda x, **options: 16,
            magnitude=lambda x, **options: np.full(1, 2 * np.max(np.abs(x[x == x]), initial=0.0)),
            widen=4.0,
            exception="PyTorch computes coordinates in float32; bicubic's weights exceed 1",
        ),
        OpInfo(
            name="resample_bwd",
            covers=("resample_bwd",),
            call=by_record("resample_bwd"),
            reference=reference.resample_bwd,
            samples=_bwd_samples,
            terms=lambda grad_y, **options: 16,
            magnitude=lambda grad_y, **options: np.full(1, 8 * np.max(np.abs(grad_y))),
            torch=False,
        ),
    ]
    for name, samples, errors in (
        (
            "pixel_shuffle",
            lambda: _moves(True),
            (
                ErrorSample((x, 2), {}, RuntimeError, "divisible by upscale_factor"),
                ErrorSample((x, 0), {}, RuntimeError, "upscale_factor must be >= 1"),
                ErrorSample((Arr((4, 4)), 2), {}, RuntimeError, r"input must be \(..., C"),
            ),
        ),
        (
            "pixel_unshuffle",
            lambda: _moves(False),
            (
                ErrorSample((x, 2), {}, RuntimeError, "divisible by downscale_factor"),
                ErrorSample((x, -1), {}, RuntimeError, "downscale_factor must be >= 1"),
            ),
        ),
        (
            "channel_shuffle",
            lambda: [
                Sample((Arr((2, 6, 3)), 2)),
                Sample((Arr((2, 6, 2, 2)), 3)),
                Sample((Arr((2, 6, 3), "normal", "reversed"), 3), {}, _tags("negative")),
            ],
            (
                ErrorSample((x, 2), {}, RuntimeError, "groups must divide"),
                ErrorSample((x, 0), {}, RuntimeError, "groups must be >= 1"),
            ),
        ),
    ):
        found.append(
            OpInfo(
                name=name,
                covers=("reshape", "permute"),
                call=by_path(f"nn.functional.{name}"),
                reference=getattr(reference, name),
                samples=samples,
                errors=errors,
            )
        )
    return found
