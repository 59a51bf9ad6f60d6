"""Samples of convolution and its transpose, and the grid of all options in small integers.

Integers make every order of summation exact, so on the grid the tolerance is zero: that finds what
a tolerance hides (a peer shipped grouped, strided gradients that were wrong by 500 %).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..reference import conv as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["grid", "infos", "transpose_grid"]

#: Spatial sizes of the input, by number of dimensions: different in each, so that no swap passes.
_SIZES = {1: (11,), 2: (7, 9), 3: (5, 6, 4)}
_LAYOUTS = ("c", "channels_last", "strided", "reversed")


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _options(n: int) -> list[dict[str, Any]]:
    """What every convolution is tried with; per-dimension tuples differ from dim to dim."""
    mixed = {1: (2,), 2: (2, 1), 3: (1, 2, 3)}[n]
    return [
        {},
        {"stride": 2},
        {"padding": 1},
        {"dilation": 2},
        {"stride": 2, "padding": 1},
        {"stride": 3, "padding": 2, "dilation": 2},
        {"stride": mixed, "padding": mixed[::-1], "dilation": mixed},
    ]


def _conv_samples(n: int) -> list[Sample]:
    size = _SIZES[n]
    kernel = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}[n]
    x, w = Arr((2, 4, *size)), Arr((6, 4, *kernel))
    samples = []
    for i, options in enumerate(_options(n)):
        bias = (Arr((6,)),) if i % 2 == 0 else ()
        samples.append(Sample((x, w, *bias), options))
    for groups, c_in, c_out in ((2, 4, 6), (4, 4, 4), (3, 3, 6), (1, 1, 1), (1, 1, 5)):
        weight = Arr((c_out, c_in // groups, *kernel))
        options = {"groups": groups, "padding": 1}
        samples.append(Sample((Arr((2, c_in, *size)), weight, Arr((c_out,))), options))
        options = {**options, "stride": 2, "dilation": 2, "padding": 2}
        samples.append(Sample((Arr((2, c_in, *size)), weight), options))
    for layout in ("channels_last", "strided", "reversed", "f", "expanded", "offset"):
        tag = {"reversed": "negative", "expanded": "expanded"}.get(layout, "strided")
        laid_x, laid_w = (
            Arr((2, 4, *size), "normal", layout),
            Arr((6, 4, *kernel), "normal", layout),
        )
        samples.append(Sample((laid_x, w, Arr((6,))), {"padding": 1}, _tags(tag)))
        samples.append(Sample((x, laid_w), {"stride": 2}, _tags(tag)))
    ones = (1,) * n
    samples += [
        # no batch dimension
        Sample((Arr((4, *size)), w, Arr((6,))), {"padding": 1}),
        # kernel of one element, kernel as large as the input, a single output
        Sample((x, Arr((5, 4, *ones)))),
        Sample((x, Arr((5, 4, *ones))), {"stride": 2, "padding": 1}),
        Sample((x, Arr((3, 4, *size)), Arr((3,)))),
        Sample((Arr((1, 1, *ones)), Arr((1, 1, *ones)), Arr((1,))), {}, _tags("size1")),
        Sample((Arr((1, 1, *ones)), Arr((1, 1, *((3,) * n)))), {"padding": 1}, _tags("size1")),
        # padding beyond the kernel; stride beyond the input
        Sample((x, w), {"padding": 5, "stride": 4}),
        Sample((x, w), {"stride": 100}),
        Sample((x, w), {"padding": "valid"}),
        Sample((x, w), {"padding": "same"}),
        Sample((x, Arr((6, 4, *((4,) * n)))), {"padding": "same", "dilation": 1}),
        # empty
        Sample((Arr((0, 4, *size)), w, Arr((6,))), {"padding": 1}, _tags("empty")),
        Sample((x, Arr((0, 4, *kernel)), Arr((0,))), {}, _tags("empty")),
        Sample(
            (Arr((2, 0, *size)), Arr((3, 0, *kernel)), Arr((3,))),
            {},
            _tags("empty", "torch_differs"),
        ),
        # more channels than a tile, odd ones
        Sample(
            (Arr((3, 19, *size)), Arr((35, 19, *kernel)), Arr((35,))), {"padding": 1}, _tags("odd")
        ),
    ]
    if n == 2:
        samples += [
            Sample(
                (Arr((2, 33, 29, 31)), Arr((40, 33, 3, 3)), Arr((40,))),
                {"padding": 1},
                _tags("large"),
            ),
            Sample((Arr((2, 3, 33, 31)), Arr((32, 3, 5, 5))), {"stride": 2}, _tags("large")),
        ]
    # not in PyTorch: another padding before than behind
    pairs = ((0, 2), (3, 1), (1, 0))[:n]
    extra = _tags("torch_differs")
    samples += [
        Sample((x, w, Arr((6,))), {"padding": pairs}, extra),
        Sample((x, w), {"padding": pairs[::-1], "stride": 2, "dilation": 2}, extra),
        Sample((Arr((4, *size)), w), {"padding": ((2, 2),) * n, "stride": 3}, extra),
    ]
    if n == 1:
        samples += [
            Sample((x, w), {"padding": "causal", "dilation": 3}, extra),
            Sample((x, w), {"padding": "causal", "stride": 2}, extra),
        ]
    for value in ("nan", "inf"):
        special = Arr((2, 4, *size), ("diagonal", float(value)))
        samples.append(Sample((special, w), {"padding": 1}, _tags("special")))
    return samples


def _transpose_samples(n: int) -> list[Sample]:
    size = {1: (7,), 2: (4, 5), 3: (3, 2, 4)}[n]
    kernel = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}[n]
    x, w = Arr((2, 4, *size)), Arr((4, 6, *kernel))
    mixed = {1: (2,), 2: (2, 3), 3: (1, 2, 3)}[n]
    samples = []
    for i, options in enumerate(
        (
            {},
            {"stride": 2},
            {"padding": 1},
            {"dilation": 2},
            {"stride": 2, "output_padding": 1},
            {"stride": 3, "padding": 1, "output_padding": 2, "dilation": 2},
            {"stride": mixed, "dilation": mixed[::-1]},
            {"dilation": 3, "output_padding": 2},
        )
    ):
        bias = (Arr((6,)),) if i % 2 == 0 else ()
        samples.append(Sample((x, w, *bias), dict(options)))
    for groups, c_in, c_out in ((2, 4, 6), (4, 4, 4), (3, 3, 6)):
        weight = Arr((c_in, c_out // groups, *kernel))
        options = {"groups": groups, "stride": 2, "padding": 1}
        samples.append(Sample((Arr((2, c_in, *size)), weight, Arr((c_out,))), options))
    for layout in ("channels_last", "strided", "reversed", "expanded"):
        tag = {"reversed": "negative", "expanded": "expanded"}.get(layout, "strided")
        laid = Arr((2, 4, *size), "normal", layout)
        samples.append(Sample((laid, w, Arr((6,))), {"stride": 2}, _tags(tag)))
        samples.append(Sample((x, Arr((4, 6, *kernel), "normal", layout)), {}, _tags(tag)))
    samples += [
        Sample((Arr((4, *size)), w, Arr((6,))), {"stride": 2}),
        Sample((Arr((0, 4, *size)), w, Arr((6,))), {}, _tags("empty")),
        Sample((Arr((1, 1, *((1,) * n))), Arr((1, 1, *((1,) * n)))), {}, _tags("size1")),
        Sample((Arr((3, 19, *size)), Arr((19, 21, *kernel))), {"stride": 2}, _tags("odd")),
    ]
    return samples


def grid(n: int) -> Iterator[Sample]:
    """Every combination of groups, stride, dilation, padding, kernel and layout, in integers."""
    size = _SIZES[n]
    for groups, stride, dilation, padding, k, layout in product(
        (1, 2, 4), (1, 2, 3), (1, 2), (0, 1, 2), (1, 2, 3), _LAYOUTS
    ):
        if any(m + 2 * padding < dilation * (k - 1) + 1 for m in size):
            continue
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        x = Arr((2, 4, *size), "integers", layout)
        weight = Arr((8, 4 // groups, *((k,) * n)), "integers", layout)
        yield Sample((x, weight, Arr((8,), "integers")), options, _tags("grid", "exact"))
        if padding and layout == "c":
            sides = ((padding, 0), (0, padding), (padding, padding + 2))
            for pair in sides:
                if any(m + sum(pair) < dilation * (k - 1) + 1 for m in size):
                    continue
                uneven = {**options, "padding": (pair, *((0, 1), (2, 0))[: n - 1])}
                tags = _tags("grid", "exact", "torch_differs")
                yield Sample((x, weight, Arr((8,), "integers")), uneven, tags)


def transpose_grid(n: int) -> Iterator[Sample]:
    """As grid, for the transposed convolution, with output_padding."""
    size = {1: (6,), 2: (4, 5), 3: (3, 2, 3)}[n]
    for groups, stride, dilation, padding, output_padding, k, layout in product(
        (1, 2, 4), (1, 2, 3), (1, 2), (0, 1), (0, 1), (1, 2, 3), _LAYOUTS[:2]
    ):
        if output_padding >= max(stride, dilation):
            continue
        if any((m - 1) * stride - 2 * padding + dilation * (k - 1) < 0 for m in size):
            continue
        options = {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
        }
        x = Arr((2, 4, *size), "integers", layout)
        weight = Arr((4, 8 // groups, *((k,) * n)), "integers", layout)
        yield Sample((x, weight, Arr((8,), "integers")), options, _tags("grid", "exact"))


def _record_samples(kernel: str) -> list[Sample]:
    """Samples of the records of conv's gradients, which take shapes and normalised options."""
    samples = []
    for stride, padding, dilation, groups in (
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 1), (1, 0), (1, 2), 2),
        ((3, 2), (2, 2), (2, 1), 4),
        ((2, 2), (1, 1), (1, 1), 1),
    ):
        x_shape, w_shape = (2, 4, 7, 9), (8, 4 // groups, 3, 2)
        out = tuple(
            (x_shape[2 + i] + 2 * padding[i] - dilation[i] * (w_shape[2 + i] - 1) - 1) // stride[i]
            + 1
            for i in range(2)
        )
        window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        for layout in ("c", "channels_last", "reversed"):
            grad_y = Arr((2, 8, *out), "normal", layout)
            if kernel == "conv":
                inputs = (Arr(x_shape, "normal", layout), Arr(w_shape), Arr((8,)))
                options: dict[str, Any] = {"out_shape": (2, 8, *out), **window}
            elif kernel == "conv_transpose":
                bias = Arr((4,)) if layout == "c" else None
                inputs = (grad_y, Arr(w_shape), bias)
                options = {"x_shape": x_shape, **window}
            else:
                inputs = (grad_y, Arr(x_shape, "normal", layout))
                options = {"weight_shape": w_shape, **window}
                if kernel == "conv_bwd_weight_bias":
                    options = {"weight_shape": w_shape, "bias_shape": (8,), **window}
            samples.append(Sample(inputs, options, _tags() if layout == "c" else _tags("strided")))
    return samples


def _errors(n: int) -> tuple[ErrorSample, ...]:
    name = f"conv{n}d"
    size, kernel = (6,) * n, (3,) * n
    x, w = Arr((2, 4, *size)), Arr((8, 4, *kernel))

    def row(
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        error: type[Exception],
        match: str,
        torch: bool = True,
    ) -> ErrorSample:
        return ErrorSample(inputs, options, error, f"{name}: .*{match}", torch)

    rows = [
        row((x, Arr((8, 3, *kernel))), {}, RuntimeError, r"weight.shape\[1\] \* groups must equal"),
        row((x, w), {"groups": 2}, RuntimeError, r"weight.shape\[1\] \* groups must equal"),
        row((x, Arr((7, 2, *kernel))), {"groups": 2}, RuntimeError, "groups must divide"),
        row((x, w), {"groups": 0}, ValueError, "groups must be >= 1; got 0"),
        row((x, w), {"groups": -1}, ValueError, "groups must be >= 1; got -1"),
        row((x, w), {"groups": 1.0}, TypeError, "groups must be an int"),
        row((x, w), {"stride": 0}, ValueError, "stride must be >= 1; got 0"),
        row((x, w), {"stride": -1}, ValueError, "stride must be >= 1; got -1"),
        row((x, w), {"stride": 1.0}, TypeError, "stride must be an int"),
        row((x, w), {"stride": (1,) * (n + 1)}, ValueError, f"stride must be an int or {n} ints"),
        row((x, w), {"stride": ()}, ValueError, "stride must be", torch=False),
        row((x, w), {"stride": True}, TypeError, "stride must be an int", torch=False),
        row((x, w), {"padding": -1}, ValueError, "padding must be >= 0; got -1"),
        row((x, w), {"padding": (1,) * (n + 1)}, ValueError, "padding must be an int or"),
        row((x, w), {"padding": "full"}, ValueError, "padding must be ints, 'same' or 'valid'"),
        row((x, w), {"padding": "same", "stride": 2}, ValueError, "'same' needs stride 1"),
        row((x, w), {"padding": ((1, -1),) * n}, ValueError, "padding must be >= 0"),
        row((x, w), {"padding": ((1, 2),) * (n + 1)}, ValueError, "padding of pairs must have one"),
        row((x, w), {"padding": ((1, 2, 3),) * n}, ValueError, "padding of pairs must have one"),
        row((x, w), {"dilation": 0}, ValueError, "dilation must be >= 1; got 0"),
        row((x, w), {"dilation": -2}, ValueError, "dilation must be >= 1; got -2"),
        row((x, w), {"dilation": 3}, RuntimeError, r"kernel must fit .* got kernel size 7 > 6"),
        row((x, w), {"dilation": 2**31 - 1}, RuntimeError, "kernel must fit"),
        row((x, w), {"dilation": 2**62}, RuntimeError, "kernel must fit", torch=False),
        row((x, w), {"stride": 2**63}, ValueError, "stride must be", torch=False),
        row((x, w), {"padding": 2**62}, RuntimeError, "63 bits", torch=False),
        row((x, w, Arr((7,))), {}, RuntimeError, r"bias must have shape \(8,\)"),
        row((x, w, Arr((0,))), {}, RuntimeError, r"bias must have shape \(8,\)"),
        row((x, w, Arr((8, 1))), {}, RuntimeError, r"bias must have shape \(8,\)"),
        row((x, Arr((8, 4, *kernel[1:]))), {}, RuntimeError, "weight must have as many dim"),
        row((Arr(size),) + (w,), {}, RuntimeError, f"input must be {n + 2}-D"),
        row((Arr((1, *x.shape)), w), {}, RuntimeError, f"input must be {n + 2}-D"),
        row((x, Arr((8, 4, *kernel[1:], 0))), {}, RuntimeError, "the kernel must not be empty"),
        row((Arr((2, 4, *size[1:], 0)), w), {}, RuntimeError, "kernel must fit"),
        row((Arr((2, 4, *size[1:], 2)), w), {}, RuntimeError, "kernel must fit"),
        row((x, None), {}, TypeError, "weight must be a tensor; got NoneType"),
        row((x, w, 1.0), {}, TypeError, "bias must be a tensor; got float"),
        row(("x", w), {}, TypeError, "input must be a tensor; got str"),
    ]
    return tuple(rows)


def _transpose_errors(n: int) -> tuple[ErrorSample, ...]:
    name = f"conv_transpose{n}d"
    size, kernel = (5,) * n, (3,) * n
    x, w = Arr((2, 4, *size)), Arr((4, 6, *kernel))

    def row(
        inputs: tuple[Any, ...],
        options: dict[str, Any],
        error: type[Exception],
        match: str,
        torch: bool = True,
    ) -> ErrorSample:
        return ErrorSample(inputs, options, error, f"{name}: .*{match}", torch)

    return (
        row((x, Arr((3, 6, *kernel))), {}, RuntimeError, r"weight.shape\[0\] must equal x.shape"),
        row((x, w), {"groups": 3}, RuntimeError, "groups must divide"),
        row((x, w), {"groups": 0}, ValueError, "groups must be >= 1"),
        row((x, w), {"output_padding": 1}, RuntimeError, "output_padding must be smaller"),
        row((x, w), {"output_padding": -1}, ValueError, "output_padding must be >= 0"),
        row((x, w), {"stride": 0}, ValueError, "stride must be >= 1"),
        row((x, w), {"padding": 10}, RuntimeError, "output must have at least one element"),
        row((x, w), {"stride": 2**62}, RuntimeError, "63 bits", torch=False),
        row((x, w, Arr((4,))), {}, RuntimeError, r"bias must have shape \(6,\)"),
        row((Arr(size), w), {}, RuntimeError, f"input must be {n + 2}-D"),
        row((x, w), {"padding": "same"}, TypeError, "padding must be an int"),
    )


def _terms(x: Any, weight: Any, bias: Any = None, **options: Any) -> int:
    return int(np.prod(weight.shape[1:])) + (bias is not None)


def _transpose_terms(x: Any, weight: Any, bias: Any = None, **options: Any) -> int:
    groups = options.get("groups", 1)
    return int(weight.shape[0] // groups * np.prod(weight.shape[2:])) + (bias is not None)


def _weight_terms(grad_y: Any, x: Any, **options: Any) -> int:
    return int(grad_y.shape[0] * np.prod(grad_y.shape[2:]))


def _record_reference(x: Any, weight: Any, bias: Any, out_shape: Any, **options: Any) -> Any:
    return reference.conv(x, weight, bias, **options)


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for n in (1, 2, 3):

        def samples(n: int = n) -> list[Sample]:
            return _conv_samples(n)

        def transposed(n: int = n) -> list[Sample]:
            return _transpose_samples(n)

        found += [
            OpInfo(
                name=f"conv{n}d",
                covers=("conv",),
                call=by_path(f"nn.functional.conv{n}d"),
                reference=reference.conv,
                samples=samples,
                errors=_errors(n),
                terms=_terms,
            ),
            OpInfo(
                name=f"conv_transpose{n}d",
                covers=("conv_transpose",),
                call=by_path(f"nn.functional.conv_transpose{n}d"),
                reference=reference.conv_transpose,
                samples=transposed,
                errors=_transpose_errors(n),
                terms=_transpose_terms,
            ),
        ]
    for name, function, terms in (
        ("conv", _record_reference, _terms),
        ("conv_transpose", reference.conv_bwd_input, _transpose_terms),
        ("conv_bwd_weight", reference.conv_bwd_weight, _weight_terms),
        ("conv_bwd_weight_bias", reference.conv_bwd_weight_bias, _weight_terms),
    ):

        def records(name: str = name) -> list[Sample]:
            return _record_samples(name)

        found.append(
            OpInfo(
                name=f"{name}_record",
                covers=(name,),
                call=by_record(name),
                reference=function,
                samples=records,
                terms=terms,
                torch=False,
            )
        )
    return found
