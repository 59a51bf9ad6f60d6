"""Samples of pooling to a given size."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..reference import adaptive as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

_SIZES = {1: (11,), 2: (7, 9), 3: (5, 6, 4)}


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _samples(n: int, maximum: bool) -> list[Sample]:
    size = _SIZES[n]
    fill = "distinct" if maximum else "normal"
    x = Arr((2, 3, *size), fill)
    mixed = {1: (4,), 2: (3, None), 3: (2, None, 3)}[n]
    rows: list[tuple[Arr, Any]] = [
        (x, 1),  # the whole plane
        (x, 3),
        (x, mixed),
        (x, size),  # nothing to do
        (x, tuple(m + 2 for m in size)),  # more outputs than inputs
        (Arr((1, 2, *((2,) * n)), fill), 5),  # many more of them
        (Arr((3, *size), fill), 2),
        (Arr((2, 3, *((12,) * n)), fill), (5, 4, 7)[:n]),
    ]
    samples = [Sample((a,), {"output_size": s}) for a, s in rows]
    for layout, tag in (("channels_last", "strided"), ("reversed", "negative")):
        samples.append(Sample((Arr(x.shape, fill, layout),), {"output_size": 4}, _tags(tag)))
    expanded = Sample((Arr(x.shape, fill, "expanded"),), {"output_size": 2}, _tags("expanded"))
    samples += [
        *([] if maximum else [expanded]),
        Sample((Arr((0, 3, *size), fill),), {"output_size": 3}, _tags("empty")),
        Sample((x,), {"output_size": (0, *mixed[1:])}, _tags("empty", "torch_differs")),
        Sample((Arr((1, 1, *((1,) * n)), fill),), {"output_size": 1}, _tags("size1")),
        Sample((Arr((2, 3, *size), ("specials", 3)),), {"output_size": 3}, _tags("special")),
    ]
    if maximum:
        indices = {"output_size": (3, 4, 2)[:n], "return_indices": True}
        samples += [
            Sample((x,), indices),
            Sample((Arr((3, *size), fill, "strided"),), indices, _tags("strided")),
            Sample((Arr(x.shape, "ties"),), indices, _tags("kink")),
            Sample((Arr(x.shape, ("diagonal", np.nan)),), indices, _tags("special")),
        ]
    return samples


def _max_reference(x: Any, n: int, return_indices: bool = False, **options: Any) -> Any:
    y, indices = reference.adaptive_max_pool(x, n=n, **options)
    return (y, indices) if return_indices else y


def _errors(name: str, n: int) -> tuple[ErrorSample, ...]:
    x = Arr((2, 3, *((6,) * n)))

    def row(
        size: Any, error: type[Exception], match: str, input: Any = x, torch: bool = True
    ) -> ErrorSample:
        return ErrorSample((input,), {"output_size": size}, error, f"{name}: .*{match}", torch)

    return (
        row(-1, RuntimeError, "output_size must be >= 0; got -1"),
        row((2,) * (n + 1), ValueError, f"output_size must be an int or {n}", torch=False),
        row(2.5, TypeError, "output_size must be an int"),
        row("x", TypeError, "output_size must be an int"),
        row(2, RuntimeError, "input must be", Arr((6,) * n)),
        row(2, TypeError, "input must be a tensor", "x"),
        row(2, RuntimeError, "planes must not be empty", Arr((2, 3, *((6,) * (n - 1)), 0))),
    )


def _record_samples() -> list[Sample]:
    samples = []
    for x_shape, out in (((2, 3, 7, 9), (3, 4)), ((1, 2, 11), (4,)), ((1, 2, 3, 4, 5), (2, 5, 3))):
        for layout in ("c", "channels_last", "reversed"):
            grad_y = Arr((*x_shape[:2], *out), "normal", layout)
            samples.append(Sample((grad_y,), {"x_shape": x_shape}))
    return samples


def _terms(x: Any, **options: Any) -> int:
    return int(np.prod(x.shape[-3:]))


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for n in (1, 2, 3):
        found += [
            OpInfo(
                name=f"adaptive_avg_pool{n}d",
                covers=("adaptive_avg_pool", "avg_pool", "mean"),
                call=by_path(f"nn.functional.adaptive_avg_pool{n}d"),
                reference=partial(reference.adaptive_avg_pool, n=n),
                samples=partial(_samples, n, False),
                errors=_errors(f"adaptive_avg_pool{n}d", n),
                terms=_terms,
            ),
            OpInfo(
                name=f"adaptive_max_pool{n}d",
                covers=("adaptive_max_pool", "max_pool"),
                call=by_path(f"nn.functional.adaptive_max_pool{n}d"),
                reference=partial(_max_reference, n=n),
                samples=partial(_samples, n, True),
                errors=_errors(f"adaptive_max_pool{n}d", n),
            ),
        ]
    found.append(
        OpInfo(
            name="adaptive_avg_pool_bwd",
            covers=("adaptive_avg_pool_bwd",),
            call=by_record("adaptive_avg_pool_bwd"),
            reference=reference.adaptive_avg_pool_bwd,
            samples=_record_samples,
            terms=lambda grad_y, **options: 8,
            torch=False,
        )
    )
    return found
