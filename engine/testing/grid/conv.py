"""The grids of convolution and transposed convolution, forward and all gradients."""

from __future__ import annotations

from math import prod
from operator import mul
from typing import Any

import numpy as np

from ...nn import functional as F
from . import oracle
from .case import Case
from .space import SCALES, Space

__all__ = ["check", "shape_of", "space"]

#: (groups, input channels of a group, output channels of a group)
CHANNELS = (
    *((1, 1, 1), (1, 1, 4), (1, 2, 3), (1, 3, 2), (1, 3, 8), (1, 4, 5), (1, 5, 17), (1, 8, 8)),
    *((1, 16, 9), (1, 17, 16), (1, 33, 3), (2, 1, 1), (2, 2, 3), (2, 3, 1), (2, 8, 5), (2, 9, 16)),
    *((3, 1, 2), (3, 2, 2), (4, 4, 4), (3, 1, 1), (8, 1, 1), (5, 1, 3), (16, 1, 1), (7, 2, 1)),
    # Enough of them for the product of columns (the weight's gradient, and also the input's).
    *((1, 130, 130), (1, 256, 257)),
)
_SIZES = {1: (1, 2, 3, 5, 8, 17, 33, 70), 2: (1, 2, 3, 5, 8, 17), 3: (1, 2, 3, 5)}
#: Multiply-adds that a case may cost, and one of very many channels.
_WORK, _MUCH_WORK, _MANY = 150_000, 600_000, 16_000
#: Elements that the weight, and that the larger of input and output, may have.
_WEIGHTS, _ELEMENTS = 300_000, 16_000
#: How many times as large the large cases may be: those that threads share, in blocks.
_LARGER = 16
_X = ("contiguous", "channels_last", "sliced", "strided", "reversed", "expanded", "offset")
_WEIGHT = ("contiguous", "channels_last", "sliced", "reversed", "transposed", "expanded_last")
_GRADIENT = ("contiguous", "channels_last", "strided", "expanded", "reversed_last")


def space(n: int, transposed: bool) -> Space:
    """The space of convolutions with n spatial dims."""
    axes: dict[str, Any] = {}
    for i in range(n):
        axes[f"kernel{i}"] = (1, 2, 3, 4, 5, 7) if n < 3 else (1, 2, 3)
        axes[f"stride{i}"] = (1, 2, 3, 4) if n < 3 else (1, 2, 3)
        axes[f"dilation{i}"] = (1, 2, 3) if n > 1 else (1, 2, 3, 9)
        axes[f"before{i}"] = (0, 1, 2, 3)
        axes[f"behind{i}"] = (0, 1, 2, 3)
        axes[f"positions{i}"] = _SIZES[n]
        axes[f"rest{i}"] = (0, 1, 2)
    padding = ("even", "pairs", "same", "number", "valid", *(("causal",) if n == 1 else ()))
    axes["padding"] = ("even", "number") if transposed else padding
    axes["channels"] = CHANNELS
    axes["images"] = (1, 2, 3, 5, 17)
    axes["bias"] = (True, False)
    axes["batched"] = (True, True, False)
    axes["x_layout"] = _X
    axes["weight_layout"] = _WEIGHT
    axes["gradient_layout"] = _GRADIENT
    axes["leaves"] = ("x weight bias", "weight bias", "x")
    axes["scale"] = SCALES
    axes["dtype"] = ("float32", "float64")
    return Space(axes)


def shape_of(p: dict[str, Any], n: int, transposed: bool) -> dict[str, Any]:
    """What convolution the parameters mean: its sizes, padding and options.

    The outputs' sizes are the parameter; the inputs' follow. Where they would be too small, so
    that no window met any element, or the work too large, the sizes give way.
    """
    kernel, stride, dilation, before, behind, out, rest = (
        [p[f"{name}{i}"] for i in range(n)]
        for name in ("kernel", "stride", "dilation", "before", "behind", "positions", "rest")
    )
    groups, cg, kg = p["channels"]
    images = p["images"] if p["batched"] else 1
    mode = p["padding"]
    if mode == "number":
        stride, dilation, before = [stride[0]] * n, [dilation[0]] * n, [before[0]] * n
    while groups * cg * kg * prod(kernel) > _WEIGHTS and max(kernel) > 1:
        kernel[kernel.index(max(kernel))] -= 1
    if mode in ("even", "number"):
        behind = list(before)
    if mode in ("same", "causal"):
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        stride = [1] * n if mode == "same" else stride
        before = [t // 2 for t in total] if mode == "same" else total
        behind = [t - b for t, b in zip(total, before, strict=True)]
    if mode == "valid":
        before, behind = [0] * n, [0] * n
    limit = _MUCH_WORK if cg * kg >= _MANY else _WORK
    elements = _ELEMENTS
    if p["scale"] == "large":
        limit, elements = limit * _LARGER, elements * _LARGER
        # What is asked for is small: more positions.
        out = [o * 3 for o in out]
    channels = groups * cg * kg * prod(kernel)

    def too_much() -> bool:
        planes = groups * max(cg * prod(map(mul, out, stride)), kg * prod(out))
        return images * channels * prod(out) > limit or images * planes > elements

    while images > 1 and prod(out) < 100 and too_much():
        images -= 1
    while max(out) > 1 and too_much():
        at = out.index(max(out))
        out[at] = out[at] * 2 // 3
    while images > 1 and too_much():
        images -= 1
    size, reach = [], []
    for i in range(n):
        window = dilation[i] * (kernel[i] - 1) + 1
        pads = before[i] + behind[i]
        inner = (out[i] - 1) * stride[i] + window - pads + rest[i] % stride[i]
        inner = max(inner, 1, window - pads)
        # A window may step over a small input, by its dilation or into the padding.
        while True:
            out[i] = (inner + pads - window) // stride[i] + 1
            sizes = ((inner,), (kernel[i],), (stride[i],), (before[i],), (dilation[i],), (out[i],))
            if oracle.reached(*sizes)[0]:
                break
            inner += 1
        size.append(inner)
        reach.append(window)
    if transposed:
        # Its input has the positions; what it makes is the convolution's input.
        for i in range(n):
            extra = size[i] - ((out[i] - 1) * stride[i] - before[i] - behind[i] + reach[i])
            if extra < 0 or extra >= max(stride[i], dilation[i]):
                size[i] -= extra
                extra = 0
            rest[i] = extra
    return {
        "kernel": tuple(kernel),
        "stride": tuple(stride),
        "dilation": tuple(dilation),
        "before": tuple(before),
        "behind": tuple(behind),
        "out": tuple(out),
        "size": tuple(size),
        "rest": tuple(rest),
        "groups": groups,
        "images": images,
        "channels": groups * cg,
        "filters": groups * kg,
        "work": images * channels * prod(out),
    }


def _options(p: dict[str, Any], s: dict[str, Any], transposed: bool) -> dict[str, Any]:
    """The public function's options."""
    mode = p["padding"]
    options: dict[str, Any] = {k: s[k] for k in ("stride", "dilation", "groups")}
    options["padding"] = s["before"]
    if mode == "number":
        options |= {k: s[k][0] for k in ("stride", "dilation")} | {"padding": s["before"][0]}
    elif mode == "pairs":
        options["padding"] = tuple(zip(s["before"], s["behind"], strict=True))
    elif mode in ("same", "valid", "causal"):
        options["padding"] = mode
    if transposed:
        options["output_padding"] = s["rest"]
    return options


def check(case: Case, p: dict[str, Any], n: int, transposed: bool) -> None:
    """Forward and the gradients of input, weight and bias."""
    s = shape_of(p, n, transposed)
    groups, images, positions = s["groups"], s["images"], s["out"]
    wide = (images, s["channels"], *s["size"])
    narrow = (images, s["filters"], *positions)
    weight_shape = (s["filters"], s["channels"] // groups, *s["kernel"])
    x_shape, y_shape = (narrow, wide) if transposed else (wide, narrow)
    x = case.integers(x_shape, p["x_layout"])
    weight = case.integers(weight_shape, p["weight_layout"])
    bias = case.integers((y_shape[1],)) if p["bias"] else None
    seen = case.integers(y_shape, p["gradient_layout"])
    steps = (s["stride"], s["before"], s["dilation"], groups)
    met = oracle.reached(s["size"], s["kernel"], *steps[:2], s["dilation"], positions)
    outputs, inputs, taps = met

    given = x if p["batched"] else x[0]
    leaves = p["leaves"]
    tx = case.tensor(given, "x" in leaves)
    tw = case.tensor(weight, "weight" in leaves)
    tb = None if bias is None else case.tensor(bias, "bias" in leaves)
    # Some with an epilogue: a residual, and what is not positive made 0.
    finished = not transposed and p["gradient_layout"] == "contiguous" and p["bias"]
    options = _options(p, s, transposed)
    residual = None
    if finished:
        residual = case.integers(y_shape if p["batched"] else y_shape[1:], p["x_layout"])
        options |= {"activation": "relu", "residual": case.tensor(residual)}
    name = f"conv{'_transpose' * transposed}{n}d{'_activation' * finished}"
    y = getattr(F, name)(tx, tw, tb, **options)

    x64, w64, g64 = (a.astype(np.int64) for a in (x, weight, seen))
    if transposed:
        expected = oracle.spread(x64, w64, s["size"], *steps)
        meant = images * s["channels"] * inputs
    else:
        expected = oracle.correlate(x64, w64, positions, *steps)
        meant = images * s["filters"] * outputs
    # Without the bias, which no zero would survive.
    plain = expected
    if bias is not None:
        expected = expected + bias.astype(np.int64).reshape(-1, *(1,) * n)
    if not p["batched"]:
        expected, plain, seen = expected[0], plain[0], seen[0]
    if residual is not None:
        expected = np.maximum(expected + residual.astype(np.int64), 0)
        g64 = np.where(expected.reshape(g64.shape) > 0, g64, 0)
    case.compare("forward", y.detach(), expected)
    case.judge("forward", plain, meant)
    y.backward(case.tensor(seen))
    if "x" in leaves:
        if transposed:
            grad, meant = oracle.correlate(g64, w64, positions, *steps), s["filters"] * outputs
        else:
            grad, meant = oracle.spread(g64, w64, s["size"], *steps), s["channels"] * inputs
        case.compare("input gradient", tx.grad, grad if p["batched"] else grad[0])
        if not finished:
            case.judge("input gradient", grad, images * meant)
    if "weight" in leaves:
        pair = (x64, g64) if transposed else (g64, x64)
        grad = oracle.kernel_gradient(*pair, s["kernel"], *steps)
        case.compare("weight gradient", tw.grad, grad)
        if not finished:
            case.judge("weight gradient", grad, s["filters"] * s["channels"] // groups * taps)
    if tb is not None and "bias" in leaves:
        case.compare("bias gradient", tb.grad, g64.sum(axis=(0, *range(2, n + 2))))
