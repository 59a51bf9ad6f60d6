"""Samples of layers with their epilogue."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import epilogue as reference
from ..reference.conv import conv
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _samples() -> list[Sample]:
    def of(
        x: Any,
        n: int,
        layout: str = "c",
        *tags: str,
        bias: bool = True,
        residual: bool = False,
        **o: Any,
    ) -> Sample:
        inputs = (
            Arr(x, "normal", layout),
            Arr((n, x[-1])),
            Arr((n,)) if bias else None,
            *((Arr((*x[:-1], n), "normal", layout),) if residual else ()),
        )
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
        of((2, 3, 5), 7, residual=True),
        of((5,), 3, residual=True, activation="silu"),
        of((9, 5), 33, "strided", "odd", residual=True, bias=False, activation=None),
        of((130, 3), 17, residual=True, activation="sigmoid"),
    ]


def _conv_samples(n: int) -> list[Sample]:
    size, kernel = {1: (11,), 2: (7, 9), 3: (3, 4, 5)}[n], {1: (3,), 2: (3, 2), 3: (2, 3, 2)}[n]

    def of(
        images: int = 2,
        channels: tuple[int, int] = (4, 6),
        *,
        size: Any = size,
        kernel: Any = kernel,
        layout: str = "c",
        tags: str = "",
        bias: bool = True,
        out: Any = None,
        fill: Any = "normal",
        **options: Any,
    ) -> Sample:
        c, k = channels
        inputs = (
            Arr((images, c, *size) if images else (c, *size), fill, layout),
            Arr((k, c // options.get("groups", 1), *kernel)),
            Arr((k,)) if bias else None,
            *((Arr(((images,) if images else ()) + (k, *out), "normal", layout),) if out else ()),
        )
        return Sample(inputs, options, frozenset(tags.split()))

    if n == 1:
        return [
            of(activation="tanh", padding="causal"),
            of(activation="gelu", bias=False, stride=2),
            of(0, out=(9,)),
            of(1, (1, 1), size=(1,), kernel=(1,), tags="size1"),
        ]
    if n == 3:
        return [of(), of(activation="silu", padding=1, stride=2), of(out=(2, 2, 4), bias=False)]
    return [
        *(of(activation=a, padding=1) for a in ("relu", "gelu", "sigmoid", "silu", None)),
        of(out=(5, 8), layout="strided", activation="tanh"),
        of(layout="channels_last", stride=2, bias=False, tags="strided"),
        of(0, layout="reversed", out=(5, 8), tags="negative"),
        of(3, (4, 8), groups=4, padding=1, out=(7, 10)),  # depthwise, of two outputs each
        of(2, (5, 5), groups=5, kernel=(3, 3), padding=1, activation="sigmoid"),
        of(2, (6, 4), groups=2, stride=2, out=(3, 4)),
        # Winograd's tiles; images as lanes; 1x1; columns that are no whole vectors
        of(2, (17, 18), kernel=(3, 3), padding=1, size=(9, 11), out=(9, 11), tags="odd"),
        of(17, (3, 5), size=(4, 4), kernel=(3, 3), padding=1, out=(4, 4)),
        of(2, (19, 35), kernel=(1, 1), out=(7, 9), tags="odd"),
        of(1, (3, 9), size=(25, 23), kernel=(5, 5), stride=2, tags="large"),
        of(2, (2, 3), size=(13, 15), kernel=(3, 3), dilation=6, padding=6, out=(13, 15)),
        of(1, (4, 0), tags="empty"),
        Sample(
            (Arr((0, 4, 7, 9)), Arr((6, 4, 3, 2)), Arr((6,))),
            {"activation": "relu"},
            frozenset({"empty"}),
        ),
        of(fill=("diagonal", float("nan")), padding=1, tags="special"),
    ]


def _bwd_samples() -> list[Sample]:
    return [
        Sample(
            (Arr(shape, "normal", layout), Arr(shape, "nonzero", layout)),
            {"sums_shape": (shape[dim],), "dim": dim, "activation": code},
            frozenset(tags),
        )
        for code, (shape, dim, layout, *tags) in zip(
            (1, 2, 3, 4, 5, 0, 1, 1, 3, 1, 4),
            (
                ((5, 3), 1, "c"),
                ((2, 3, 4), 1, "c"),
                ((9, 37), 1, "c", "odd"),
                ((2, 3, 3, 5), 1, "strided"),
                ((2, 3, 5), 2, "reversed", "negative"),
                ((3, 4), 0, "f"),
                ((130, 21), 1, "c"),
                ((2, 2, 65, 67), 1, "c", "large"),
                ((0, 3), 1, "c", "empty"),
                ((2, 0, 3), 1, "c", "empty"),
                ((1, 1, 1), 1, "c", "size1"),
            ),
            strict=True,
        )
    ]


def _with_residual(function: Any) -> Any:
    """A call with the inputs (x, weight, bias, residual)."""

    def call(x: Any, weight: Any, bias: Any = None, residual: Any = None, **options: Any) -> Any:
        return function(x, weight, bias, residual=residual, **options)

    return call


def _called(name: str) -> Any:
    function = by_path(f"nn.functional.{name}")

    def call(lib: Any, *inputs: Any, **options: Any) -> Any:
        residual = inputs[3] if len(inputs) > 3 else None
        return function(lib, *inputs[:3], residual=residual, **options)

    return call


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


def _size(x: Any, weight: Any, bias: Any = None, residual: Any = None, **_: Any) -> Any:
    total = np.abs(x) @ np.abs(weight).T + (0.0 if bias is None else np.abs(bias))
    return 2 * (total if residual is None else total + np.abs(residual)) + 1.0


def _conv_size(
    x: Any, weight: Any, bias: Any = None, residual: Any = None, activation: Any = "", **o: Any
) -> Any:
    total = conv(np.abs(x), np.abs(weight), None if bias is None else np.abs(bias), **o)
    return 2 * (total if residual is None else total + np.abs(residual)) + 1.0


def _bwd_size(grad_y: Any, value: Any, dim: int = 1, **_: Any) -> Any:
    g = 2 * np.abs(grad_y) * (1 + np.abs(value))
    return g, g.sum(tuple(d for d in range(g.ndim) if d != dim))


def _product(a: Any, b: Any, bias: Any, residual: Any, out_shape: Any, activation: int) -> Any:
    word = (None, "relu", "gelu", "tanh", "sigmoid", "silu")[activation]
    return reference.linear_activation(a, b.T, bias, word, residual)


def _product_samples() -> list[Sample]:
    a, b, bias, residual = Arr((5, 4)), Arr((4, 3), "normal", "f"), Arr((3,)), Arr((5, 3))
    return [
        Sample((a, b, bias, residual), {"out_shape": (5, 3), "activation": code})
        for code in range(6)
    ]


def _conv_infos() -> list[OpInfo]:
    found = []
    for n in (1, 2, 3):

        def samples(n: int = n) -> list[Sample]:
            return _conv_samples(n)

        x, w = Arr((2, 3, *((5,) * n))), Arr((4, 3, *((3,) * n)))
        found.append(
            OpInfo(
                name=f"conv{n}d_activation",
                covers=("conv_epilogue",),
                call=_called(f"conv{n}d_activation"),
                reference=_with_residual(reference.conv_activation),
                samples=samples,
                errors=(
                    ErrorSample(
                        (x, w, None, Arr((2, 4))),
                        {},
                        RuntimeError,
                        "residual must have the output's shape",
                    ),
                    ErrorSample(
                        (x, w), {"activation": "elu"}, ValueError, "activation must be one of"
                    ),
                    ErrorSample((x, Arr((4, 2, *((3,) * n)))), {}, RuntimeError, "weight.shape"),
                    ErrorSample((x, w, None, 3), {}, TypeError, "residual must be a tensor"),
                ),
                terms=lambda x, weight, *rest, **options: int(np.prod(weight.shape[1:])) + 8,
                magnitude=_conv_size,
                torch=False,
            )
        )
    return found


def infos() -> list[OpInfo]:
    """The family's ops."""
    x, w = Arr((2, 3)), Arr((4, 3))
    return [
        OpInfo(
            name="linear_activation",
            covers=("linear_epilogue",),
            call=_called("linear_activation"),
            reference=_with_residual(reference.linear_activation),
            samples=_samples,
            errors=(
                ErrorSample((x, Arr((4, 5))), {}, RuntimeError, "input's last dim must equal"),
                ErrorSample((x, w, Arr((3,))), {}, RuntimeError, "bias must have shape"),
                ErrorSample((x, w, None, Arr((2, 3))), {}, RuntimeError, "residual must have"),
                ErrorSample(
                    (x, w), {"activation": "selu"}, ValueError, "activation must be one of"
                ),
            ),
            terms=lambda x, *rest, **options: int(x.shape[-1]) + 8,
            magnitude=_size,
            torch=False,
        ),
        *_conv_infos(),
        OpInfo(
            name="matmul_epilogue_record",
            covers=("matmul_epilogue",),
            call=by_record("matmul_epilogue"),
            reference=_product,
            samples=_product_samples,
            terms=lambda a, *rest, **options: int(a.shape[-1]) + 8,
            magnitude=lambda a, b, bias, residual, **o: _size(a, b.T, bias, residual),
            torch=False,
        ),
        OpInfo(
            name="epilogue_bwd_record",
            covers=("epilogue_bwd",),
            call=by_record("epilogue_bwd"),
            reference=reference.epilogue_bwd,
            samples=_bwd_samples,
            terms=lambda grad_y, *rest, **options: int(np.prod(grad_y.shape)) + 8,
            magnitude=_bwd_size,
            second=False,
            second_reason="it would be the third derivative of gelu and silu, which is refused",
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
