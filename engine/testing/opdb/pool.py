"""Samples of pooling."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from ..reference import pool as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["grid", "infos"]

_SIZES = {1: (13,), 2: (7, 9), 3: (5, 4, 6)}
_LAYOUTS = ("channels_last", "strided", "reversed", "f", "expanded", "offset")


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _common(n: int, fill: str) -> list[Sample]:
    """What max and average pooling share."""
    x = Arr((2, 3, *_SIZES[n]), fill)
    mixed_kernel = {1: (3,), 2: (3, 2), 3: (2, 3, 1)}[n]
    mixed_stride = {1: (2,), 2: (1, 2), 3: (2, 1, 3)}[n]
    mixed_padding = {1: (1,), 2: (1, 0), 3: (1, 1, 0)}[n]
    samples = [
        Sample((x,), {"kernel_size": 2}),
        Sample((x,), {"kernel_size": 3}),
        Sample((x,), {"kernel_size": 1}),
        Sample((x,), {"kernel_size": 3, "stride": 1}),
        Sample((x,), {"kernel_size": 3, "stride": 2, "padding": 1}),
        Sample((x,), {"kernel_size": 2, "stride": 3}),
        Sample((x,), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
        Sample((x,), {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True}),
        Sample((x,), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
        Sample(
            (x,), {"kernel_size": mixed_kernel, "stride": mixed_stride, "padding": mixed_padding}
        ),
        Sample((x,), {"kernel_size": _SIZES[n]}),
        # no batch dimension
        Sample((Arr((3, *_SIZES[n]), fill),), {"kernel_size": 2, "stride": 1}),
        Sample((Arr((1, 1, *((1,) * n)), fill),), {"kernel_size": 1}, _tags("size1")),
        Sample((Arr((0, 3, *_SIZES[n]), fill),), {"kernel_size": 2}, _tags("empty")),
        Sample((Arr((2, 0, *_SIZES[n]), fill),), {"kernel_size": 2}, _tags("empty")),
        Sample((Arr((2, 3, *((17,) * n)), fill),), {"kernel_size": 2}, _tags("odd", "slow")),
    ]
    for layout in _LAYOUTS:
        tag = {"reversed": "negative", "expanded": "expanded"}.get(layout, "strided")
        laid = Arr((2, 3, *_SIZES[n]), fill, layout)
        samples.append(Sample((laid,), {"kernel_size": 2}, _tags(tag)))
        samples.append(Sample((laid,), {"kernel_size": 3, "stride": 2, "padding": 1}, _tags(tag)))
    return samples


def _specials(n: int) -> list[Sample]:
    """NaN and infinities in every lane position, in the tail, and beside the padding."""
    found = []
    shape = {1: (3, 13, 39), 2: (2, 10, 4, 39), 3: (1, 3, 3, 5, 39)}[n]
    for value in ("nan", "inf", "-inf"):
        x = Arr(shape, ("diagonal", float(value)))
        found.append(Sample((x,), {"kernel_size": 2}, _tags("special")))
        options = {"kernel_size": 3, "stride": 1, "padding": 1}
        found.append(Sample((x,), options, _tags("special")))
    lowest = Arr((1, 2, *((5,) * n)), ("values", float("-inf")))
    found.append(Sample((lowest,), {"kernel_size": 3, "padding": 1}, _tags("special")))
    return found


def _max_samples(n: int) -> list[Sample]:
    x = Arr((2, 3, *_SIZES[n]), "distinct")
    samples = _common(n, "distinct") + [
        Sample((x,), {"kernel_size": 2, "dilation": 2}),
        Sample((x,), {"kernel_size": 2, "stride": 1, "dilation": 3, "padding": 1}),
        Sample((x,), {"kernel_size": 2, "dilation": 2, "stride": 2, "ceil_mode": True}),
        Sample((Arr(x.shape, "ties"),), {"kernel_size": 3, "stride": 1}, _tags("kink")),
        Sample((Arr(x.shape, "zeros"),), {"kernel_size": 2, "padding": 1}, _tags("kink")),
        Sample((Arr(x.shape, ("values", -5.0)),), {"kernel_size": 3, "padding": 1}, _tags("kink")),
    ]
    samples += _specials(n)
    with_indices = [
        Sample(s.inputs, {**s.options, "return_indices": True}, s.tags) for s in samples
    ]
    return samples + with_indices[::3]


def _avg_samples(n: int) -> list[Sample]:
    x = Arr((2, 3, *_SIZES[n]))
    window = {"kernel_size": 3, "stride": 2, "padding": 1}
    samples = _common(n, "normal") + [
        Sample((x,), {**window, "count_include_pad": False}),
        Sample((x,), {**window, "count_include_pad": False, "ceil_mode": True}),
        Sample((x,), {**window, "stride": 1, "count_include_pad": False}),
    ]
    if n > 1:
        samples.append(Sample((x,), {**window, "divisor_override": 5}))
        samples.append(Sample((x,), {**window, "divisor_override": 1, "ceil_mode": True}))
    return samples + [s for s in _specials(n) if "nan" in s.id]


def grid(n: int) -> Iterator[Sample]:
    """Every combination of window, stride, padding, dilation, rounding and layout, in integers."""
    for k, stride, padding, dilation, ceil_mode, layout in product(
        (1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True), ("c", "channels_last", "reversed")
    ):
        if 2 * padding > k or any(m + 2 * padding < dilation * (k - 1) + 1 for m in _SIZES[n]):
            continue
        options = {
            "kernel_size": k,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "ceil_mode": ceil_mode,
            "return_indices": True,
        }
        x = Arr((2, 3, *_SIZES[n]), "integers", layout)
        yield Sample((x,), options, _tags("grid", "exact", "kink"))


def _max_reference(x: Any, n: int, return_indices: bool = False, **options: Any) -> Any:
    y, indices = reference.max_pool(x, n=n, **options)
    return (y, indices) if return_indices else y


def _window(n: int) -> list[tuple[tuple[int, ...], ...]]:
    """(out, kernel, stride, padding) of 7 x 9 planes."""
    return [
        ((3, 4), (2, 2), (2, 2), (0, 0)),
        ((7, 9), (3, 3), (1, 1), (1, 1)),
        ((4, 5), (3, 2), (2, 2), (1, 1)),
        ((3, 3), (2, 3), (3, 3), (1, 0)),
    ]


def _record_samples(name: str) -> list[Sample]:
    """The records of pooling's gradients, in the plane of 7 x 9."""
    samples = []
    x_shape = (2, 3, 7, 9)
    for out, kernel, stride, padding in _window(2):
        y_shape = (2, 3, *out)
        for layout in ("c", "channels_last", "reversed"):
            window = {"kernel": kernel, "stride": stride, "padding": padding}
            if name == "avg_pool_bwd":
                for include, divisor in ((True, 0), (False, 0), (True, 5)):
                    options = {
                        "x_shape": x_shape,
                        **window,
                        "count_include_pad": include,
                        "divisor": divisor,
                    }
                    samples.append(Sample((Arr(y_shape, "normal", layout),), options))
                continue
            # Indices that lie in their windows: of maxima of a plane of distinct values.
            x = Sample((Arr(x_shape, "distinct"),)).build()[0]
            indices = reference.max_pool(x, kernel, stride, padding)[1].astype(np.int32)
            if name == "max_pool_bwd":
                options = {"x_shape": x_shape, **window, "dilation": (1, 1)}
                samples.append(Sample((Arr(y_shape, "normal", layout), indices), options))
            else:
                samples.append(Sample((Arr(x_shape, "normal", layout), indices), {}))
    return samples


def _errors(name: str, n: int) -> tuple[ErrorSample, ...]:
    x = Arr((2, 3, *((6,) * n)))

    def row(
        options: dict[str, Any],
        error: type[Exception],
        match: str,
        torch: bool = True,
        inputs: tuple[Any, ...] = (x,),
    ) -> ErrorSample:
        return ErrorSample(inputs, options, error, f"{name}: .*{match}", torch)

    rows = [
        row({"kernel_size": 0}, ValueError, "kernel_size must be >= 1; got 0"),
        row({"kernel_size": -1}, ValueError, "kernel_size must be >= 1; got -1"),
        row({"kernel_size": []}, ValueError, "kernel_size must be"),
        row({"kernel_size": (2,) * (n + 1)}, ValueError, "kernel_size must be an int or"),
        row({"kernel_size": 2.0}, TypeError, "kernel_size must be an int"),
        row({"kernel_size": 2, "stride": 0}, ValueError, "stride must be >= 1; got 0"),
        row({"kernel_size": 2, "stride": -1}, ValueError, "stride must be >= 1"),
        row({"kernel_size": 2, "padding": -1}, ValueError, "padding must be >= 0"),
        row({"kernel_size": 2, "padding": 2}, RuntimeError, "at most half of the kernel"),
        row({"kernel_size": 7}, RuntimeError, "the window must fit into the padded input"),
        row({"kernel_size": 2**31 - 1}, RuntimeError, "window must fit"),
        row({"kernel_size": 2**62}, RuntimeError, "window must fit", torch=False),
        row({"kernel_size": 2}, RuntimeError, "input must be", inputs=(Arr((6,) * n),)),
        row({"kernel_size": 2}, TypeError, "input must be a tensor", inputs=("x",)),
        row(
            {"kernel_size": 1},
            RuntimeError,
            "spatial dimensions must not be empty",
            inputs=(Arr((2, 3, *((6,) * (n - 1)), 0)),),
        ),
    ]
    if name.startswith("max"):
        rows += [
            row({"kernel_size": 2, "dilation": 0}, ValueError, "dilation must be >= 1"),
            row({"kernel_size": 2, "dilation": -1}, ValueError, "dilation must be >= 1"),
            row({"kernel_size": 3, "dilation": 4}, RuntimeError, "window must fit"),
        ]
    elif n > 1:
        rows.append(
            row({"kernel_size": 2, "divisor_override": 0}, ValueError, "divisor_override must be")
        )
    return tuple(rows)


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for n in (1, 2, 3):

        def maxima(n: int = n) -> list[Sample]:
            return _max_samples(n)

        def averages(n: int = n) -> list[Sample]:
            return _avg_samples(n)

        def terms(x: Any, n: int = n, **options: Any) -> int:
            k = options["kernel_size"]
            return int(np.prod(k)) if isinstance(k, tuple) else k**n

        found += [
            OpInfo(
                name=f"max_pool{n}d",
                covers=("max_pool",),
                call=by_path(f"nn.functional.max_pool{n}d"),
                reference=partial(_max_reference, n=n),
                samples=maxima,
                errors=_errors(f"max_pool{n}d", n),
            ),
            OpInfo(
                name=f"avg_pool{n}d",
                covers=("avg_pool",),
                call=by_path(f"nn.functional.avg_pool{n}d"),
                reference=partial(reference.avg_pool, n=n),
                samples=averages,
                errors=_errors(f"avg_pool{n}d", n),
                terms=terms,
            ),
        ]
    for name, function in (
        ("max_pool_bwd", reference.max_pool_bwd),
        ("max_pool_gather", reference.max_pool_gather),
        ("avg_pool_bwd", reference.avg_pool_bwd),
    ):

        def records(name: str = name) -> list[Sample]:
            return _record_samples(name)

        found.append(
            OpInfo(
                name=name,
                covers=(name,),
                call=by_record(name),
                reference=function,
                samples=records,
                terms=_overlaps,
                torch=False,
            )
        )
    return found


def _overlaps(*arrays: Any, **options: Any) -> int:
    """At most this many windows reach one element."""
    return int(np.prod(options["kernel"])) if "kernel" in options else 1
