"""The grids of pooling: max, average, adaptive, power-average and unpooling, with gradients."""

from __future__ import annotations

from math import inf, lcm, prod
from typing import Any

import numpy as np

from ...nn import functional as F
from . import oracle
from .case import Case
from .space import SCALES, Space

__all__ = [
    "check_adaptive",
    "check_average",
    "check_max",
    "check_power",
    "check_unpool",
    "space_of_adaptive",
    "space_of_unpool",
    "space_of_windows",
    "work",
]

Array = np.ndarray[Any, Any]
Ints = tuple[int, ...]

_X = (
    *("contiguous", "channels_last", "sliced", "strided", "reversed"),
    *("transposed", "expanded", "expanded_last", "offset"),
)
_GRADIENT = ("contiguous", "channels_last", "strided", "expanded", "reversed_last")
_SIZES = {1: (1, 2, 3, 5, 8, 16, 17, 33, 70), 2: (1, 2, 3, 5, 8, 17, 34), 3: (1, 2, 3, 5, 9)}
#: Elements of the input that a case may have, and a large one, of several blocks.
_ELEMENTS = {"small": 8_000, "large": 100_000}
#: Pairs of an input and a window that may contain it.
_PAIRS = {"small": 200_000, "large": 1_000_000}
#: Stands for padding and for -inf in the oracle's integers.
_PADDING, _LEAST = -(2**40), -(2**39)


def _common(n: int) -> dict[str, Any]:
    return {
        "images": (1, 2, 3),
        "channels": (1, 2, 3, 5, 17),
        "batched": (True, True, False),
        "x_layout": _X,
        "gradient_layout": _GRADIENT,
        "scale": SCALES,
        "dtype": ("float32", "float64"),
    }


def space_of_windows(n: int, kind: str) -> Space:
    """The space of "max", "avg" or "power" pooling with n spatial dims."""
    axes: dict[str, Any] = {}
    for i in range(n):
        axes[f"kernel{i}"] = ((1, 2, 3, 4, 5, 9), (1, 2, 3, 4), (1, 2, 3))[n - 1]
        # None: the kernel's.
        axes[f"stride{i}"] = (None, 1, 2, 3, 5)
        axes[f"before{i}"] = (0, 1, 2)
        axes[f"dilation{i}"] = (1, 2, 3)
        axes[f"positions{i}"] = _SIZES[n]
        axes[f"rest{i}"] = (0, 1, 2, 3)
    axes["ceil_mode"] = (False, True)
    if kind == "max":
        axes["values"] = ("few", "many", "infinite")
    if kind == "avg":
        axes["include_pad"] = (True, False)
        axes["divisor"] = (None, None, 1, 3, 7) if n > 1 else (None,)
    if kind == "power":
        axes["norm"] = (1, 1.0, inf, -inf)
    return Space(axes | _common(n))


def space_of_adaptive(n: int, kind: str) -> Space:
    """The space of adaptive "max" or "avg" pooling with n spatial dims."""
    most = (24, 13, 6)[n - 1]
    axes: dict[str, Any] = {}
    for i in range(n):
        axes[f"size{i}"] = range(1, most + 1)
        # None keeps the size, where the function takes None.
        axes[f"out{i}"] = (*range(1, most + 4), *((None,) if n > 1 else ()))
    return Space({**axes, "values": ("few", "many"), "number": (False, True), **_common(n)})


def space_of_unpool(n: int) -> Space:
    """The space of max unpooling with n spatial dims."""
    axes: dict[str, Any] = {}
    for i in range(n):
        axes[f"kernel{i}"] = (1, 2, 3, 4)
        axes[f"stride{i}"] = (None, 1, 2, 3)
        axes[f"before{i}"] = (0, 1, 2)
        axes[f"positions{i}"] = (1, 2, 3, 5, 8)
        axes[f"rest{i}"] = (-2, -1, 0, 1, 2)
    axes["indices"] = ("of a pooling", "any")
    axes["output_size"] = ("none", "spatial", "whole")
    return Space(axes | _common(n))


def work(p: dict[str, Any]) -> int:
    """About how many elements the larger of input and output have, were there no limit."""
    count = p["images"] * p["channels"]
    for i in range(3):
        side = p.get(f"size{i}", p.get(f"positions{i}", 1))
        count *= side * (p.get(f"stride{i}") or p.get(f"kernel{i}", 1))
    return count


def _windows(p: dict[str, Any], n: int, kind: str) -> dict[str, Any]:
    """Sizes and options of a pooling; the input's sizes follow from the number of windows."""
    kernel = [p[f"kernel{i}"] for i in range(n)]
    stride = [p[f"stride{i}"] for i in range(n)]
    steps = [k if s is None else s for k, s in zip(kernel, stride, strict=True)]
    # None is for all dims: the first says it.
    if stride[0] is None:
        steps = kernel
    dilation = [p[f"dilation{i}"] if kind == "max" else 1 for i in range(n)]
    before = [0 if kind == "power" else min(p[f"before{i}"], kernel[i] // 2) for i in range(n)]
    out = [p[f"positions{i}"] for i in range(n)]
    images = p["images"] if p["batched"] else 1
    planes = images * p["channels"]
    most = _ELEMENTS[p["scale"]]
    if p["scale"] == "large":
        out = [o * 4 for o in out]

    def size_of(i: int) -> int:
        window = dilation[i] * (kernel[i] - 1) + 1
        return (out[i] - 1) * steps[i] + window - 2 * before[i] + p[f"rest{i}"] % steps[i]

    while max(out) > 1 and planes * prod(max(1, size_of(i)) for i in range(n)) > most:
        at = out.index(max(out))
        out[at] = out[at] * 2 // 3
    size = []
    for i in range(n):
        window = dilation[i] * (kernel[i] - 1) + 1
        # With padding, an input shorter than the dilation could be stepped over.
        least = dilation[i] if before[i] else 1
        size.append(max(size_of(i), least, window - 2 * before[i]))
        room = size[i] + 2 * before[i] - window
        out[i] = (room + (steps[i] - 1 if p["ceil_mode"] else 0)) // steps[i] + 1
        if p["ceil_mode"] and (out[i] - 1) * steps[i] >= size[i] + before[i]:
            out[i] -= 1
    return {
        "shape": (images, p["channels"], *size),
        "size": tuple(size),
        "kernel": tuple(kernel),
        "stride": None if stride[0] is None else tuple(steps),
        "steps": tuple(steps),
        "before": tuple(before),
        "dilation": tuple(dilation),
        "out": tuple(out),
    }


def _values(case: Case, shape: Ints, fill: str, layout: str) -> Array:
    """Integers for a maximum: with many ties, with few, or with ties of -inf."""
    x = case.integers(shape, layout)
    if fill == "many":
        return x
    wide = case.below(1000, shape) - 500
    if fill == "few":
        values = np.where(wide == 0, 1, wide)
    else:
        values = np.where(wide < 100, -inf, wide % 3 + 1)
    return case.laid_out(values, layout)


def _first_maxima(x: Array, s: dict[str, Any]) -> tuple[Array, Array]:
    """The maxima of integers (-inf as _LEAST) and where in the plane the first of each stands."""
    window = (s["kernel"], s["steps"], s["dilation"], s["out"])
    reach = oracle.reach(*window)
    wide = oracle.padded(x, s["before"], reach, _PADDING)
    seen = oracle.windows(wide, *window).reshape(*x.shape[:2], *s["out"], -1)
    plane = np.arange(prod(s["size"])).reshape(1, 1, *s["size"])
    places = oracle.padded(plane, s["before"], reach, -1)
    places = oracle.windows(places, *window).reshape(*s["out"], -1)
    first = seen.argmax(-1)
    where = np.take_along_axis(places[(None,) * 2], first[..., None], -1)[..., 0]
    return np.take_along_axis(seen, first[..., None], -1)[..., 0], where


def _scattered(seen: Array, places: Array, shape: Ints) -> Array:
    """seen added up at its places in each plane."""
    planes = shape[0] * shape[1]
    grad = np.zeros((planes, prod(shape[2:])), np.int64)
    np.add.at(
        grad, (np.arange(planes)[:, None], places.reshape(planes, -1)), seen.reshape(planes, -1)
    )
    return grad.reshape(shape)


def _backward(case: Case, y: Any, x: Any, seen: Array, grad: Array, meant: int) -> None:
    """The gradient of one input."""
    unbatched = len(y.shape) == seen.ndim - 1
    y.backward(case.tensor(seen[0] if unbatched else seen))
    case.compare("input gradient", x.grad, grad[0] if unbatched else grad)
    case.judge("input gradient", grad, meant)


def _maxima(case: Case, p: dict[str, Any], x: Array, tx: Any, found: Any, expected: Any) -> None:
    """Compares maxima, indices and gradient."""
    y, indices = found
    values, places = expected
    shown = np.where(values == _LEAST, -inf, values)
    at = slice(None) if p["batched"] else 0
    case.compare("forward", y.detach(), shown[at])
    case.judge("forward", np.where(values == _LEAST, 1, values), values.size)
    case.compare("indices", indices, places[at], np.int64)
    seen = case.integers(values.shape, p["gradient_layout"])
    grad = _scattered(seen.astype(np.int64), places, x.shape)
    planes = places.reshape(places.shape[0] * places.shape[1], -1)
    meant = sum(np.unique(plane).size for plane in planes)
    _backward(case, y, tx, seen, grad, meant)


def _integers(x: Array) -> Array:
    """x as int64, -inf as _LEAST."""
    finite = np.isfinite(x)
    return np.where(finite, np.where(finite, x, 0), _LEAST).astype(np.int64)


def check_max(case: Case, p: dict[str, Any], n: int) -> None:
    """Maxima, the indices of the first of them, and the gradient."""
    s = _windows(p, n, "max")
    x = _values(case, s["shape"], p["values"], p["x_layout"])
    tx = case.tensor(x if p["batched"] else x[0], leaf=True)
    found = getattr(F, f"max_pool{n}d")(
        tx, s["kernel"], s["stride"], s["before"], s["dilation"], p["ceil_mode"], True
    )
    _maxima(case, p, x, tx, found, _first_maxima(_integers(x), s))


def _average(case: Case, p: dict[str, Any], s: dict[str, Any], y: Any, tx: Any, x: Array) -> None:
    """Compares sums over windows, divided; x and the gradient are multiples of every divisor."""
    n = len(s["size"])
    window = (s["kernel"], s["steps"], s["before"], (1,) * n)
    sums = oracle.unfold(x.astype(np.int64), *window, s["out"]).sum(tuple(range(2 + n, 2 + 2 * n)))
    expected = sums * s["factor"] // s["divisor"]
    at = slice(None) if p["batched"] else 0
    met = oracle.reached(s["size"], s["kernel"], s["steps"], s["before"], (1,) * n, s["out"])
    planes = x.shape[0] * x.shape[1]
    case.compare("forward", y.detach(), expected[at])
    case.judge("forward", expected, planes * met[0])
    seen = case.integers(expected.shape, p["gradient_layout"], s["multiple"])
    share = seen.astype(np.int64) * s["factor"] // s["divisor"]
    spread = np.broadcast_to(share[(..., *(None,) * n)], (*share.shape, *s["kernel"]))
    grad = oracle.fold(spread, s["size"], *window)
    _backward(case, y, tx, seen, grad, planes * met[1])


def check_average(case: Case, p: dict[str, Any], n: int) -> None:
    """Averages and their gradient."""
    s = _windows(p, n, "avg")
    by = p["divisor"]
    sizes = oracle.divisors(
        s["size"], s["kernel"], s["steps"], s["before"], s["out"], p["include_pad"]
    )
    # A window that lies in the padding alone is 0, whatever it is divided by.
    s["divisor"] = np.maximum(sizes, 1) if by is None else np.int64(by)
    s["multiple"] = lcm(*np.unique(s["divisor"]).tolist())
    s["factor"] = 1
    x = case.integers(s["shape"], p["x_layout"], s["multiple"])
    tx = case.tensor(x if p["batched"] else x[0], leaf=True)
    options = (s["kernel"], s["stride"], s["before"], p["ceil_mode"], p["include_pad"])
    y = getattr(F, f"avg_pool{n}d")(tx, *options, *((by,) if n > 1 else ()))
    _average(case, p, s, y, tx, x)


def check_power(case: Case, p: dict[str, Any], n: int) -> None:
    """Power-average pooling of the powers that are exact: 1 and infinity."""
    s = _windows(p, n, "power")
    x = case.integers(s["shape"], p["x_layout"])
    options = (s["kernel"], s["stride"], p["ceil_mode"])
    function = getattr(F, f"lp_pool{n}d")
    if p["norm"] == 1:
        # The mean times the kernel's size: both exact, when x is a multiple of them.
        s["divisor"] = oracle.divisors(
            s["size"], s["kernel"], s["steps"], s["before"], s["out"], True
        )
        s["factor"] = prod(s["kernel"])
        s["multiple"] = lcm(*np.unique(s["divisor"]).tolist())
        x = case.laid_out(np.abs(x) * s["multiple"], p["x_layout"])
        tx = case.tensor(x if p["batched"] else x[0], leaf=True)
        _average(case, p, s, function(tx, p["norm"], *options), tx, x)
        return
    # With -inf the smallest magnitude.
    sign = 1 if p["norm"] > 0 else -1
    tx = case.tensor(x if p["batched"] else x[0], leaf=True)
    y = function(tx, p["norm"], *options)
    values, places = _first_maxima(sign * np.abs(x).astype(np.int64), s)
    values *= sign
    case.compare("forward", y.detach(), values if p["batched"] else values[0])
    case.judge("forward", values, values.size)
    seen = case.integers(values.shape, p["gradient_layout"])
    grad = np.sign(x).astype(np.int64) * _scattered(seen.astype(np.int64), places, x.shape)
    planes = places.reshape(places.shape[0] * places.shape[1], -1)
    _backward(case, y, tx, seen, grad, sum(np.unique(plane).size for plane in planes))


def check_adaptive(case: Case, p: dict[str, Any], n: int, kind: str) -> None:
    """Adaptive pooling: windows of sizes that differ."""
    size = [p[f"size{i}"] for i in range(n)]
    out = [p[f"out{i}"] for i in range(n)]
    if p["number"]:
        out = [out[0]] * n
    images = p["images"] if p["batched"] else 1
    planes = images * p["channels"]
    if p["scale"] == "large":
        size = [m * 3 for m in size]

    def windows() -> list[int]:
        return [m if o is None else o for o, m in zip(out, size, strict=True)]

    while max(size) > 1 and (
        planes * prod(size) > _ELEMENTS[p["scale"]]
        or planes * prod(size) * prod(windows()) > _PAIRS[p["scale"]]
    ):
        size[size.index(max(size))] -= 1
    asked = out[0] if n == 1 or p["number"] else tuple(out)
    out = windows()
    bounds = [oracle.adaptive_bounds(m, o) for m, o in zip(size, out, strict=True)]
    shape = (images, p["channels"], *size)
    # Windows as rows of a matrix a dim: 1 where the window of output o covers the input.
    covers = [
        ((np.arange(m) >= b[:, None]) & (np.arange(m) < e[:, None])).astype(np.int64)
        for m, (b, e) in zip(size, bounds, strict=True)
    ]
    cover = covers[0]
    for c in covers[1:]:
        cover = np.kron(cover, c)
    if kind == "avg":
        divisor = cover.sum(1)
        multiple = lcm(*np.unique(divisor).tolist())
        x = case.integers(shape, p["x_layout"], multiple)
        tx = case.tensor(x if p["batched"] else x[0], leaf=True)
        y = getattr(F, f"adaptive_avg_pool{n}d")(tx, asked)
        flat = x.reshape(*shape[:2], -1).astype(np.int64)
        expected = (np.einsum("ncq,pq->ncp", flat, cover) // divisor).reshape(*shape[:2], *out)
        case.compare("forward", y.detach(), expected if p["batched"] else expected[0])
        case.judge("forward", expected, expected.size)
        seen = case.integers(expected.shape, p["gradient_layout"], multiple)
        share = seen.reshape(*shape[:2], -1).astype(np.int64) // divisor
        grad = np.einsum("ncp,pq->ncq", share, cover).reshape(shape)
        _backward(case, y, tx, seen, grad, grad.size)
        return
    x = _values(case, shape, p["values"], p["x_layout"])
    tx = case.tensor(x if p["batched"] else x[0], leaf=True)
    found = getattr(F, f"adaptive_max_pool{n}d")(tx, asked, True)
    flat = _integers(x).reshape(*shape[:2], 1, -1)
    seen = np.where(cover == 1, flat, _PADDING)
    places = seen.argmax(-1)
    values = np.take_along_axis(seen, places[..., None], -1)[..., 0]
    where = (*shape[:2], *out)
    _maxima(case, p, x, tx, found, (values.reshape(where), places.reshape(where)))


def check_unpool(case: Case, p: dict[str, Any], n: int) -> None:
    """Values put where indices say, of several the last; the gradient reads there."""
    kernel = tuple(p[f"kernel{i}"] for i in range(n))
    stride = None
    if p["stride0"] is not None:
        stride = tuple(p[f"stride{i}"] or kernel[i] for i in range(n))
    steps = stride or kernel
    before = tuple(min(p[f"before{i}"], kernel[i] // 2) for i in range(n))
    out = [p[f"positions{i}"] for i in range(n)]
    while n == 3 and max(out) > 3:
        out[out.index(max(out))] -= 2
    usual = [(o - 1) * s + k - 2 * b for o, s, k, b in zip(out, steps, kernel, before, strict=True)]
    size = usual
    if p["output_size"] != "none":
        size = [
            u + max(-steps[i] + 1, min(p[f"rest{i}"], steps[i] - 1)) for i, u in enumerate(usual)
        ]
    for i in range(n):
        if size[i] < 1:  # padding takes it all: more windows
            out[i] += 2
            usual[i] += 2 * steps[i]
            size[i] = max(1, usual[i])
            usual[i] = size[i]
    images = p["images"] if p["batched"] else 1
    shape = (images, p["channels"], *out)
    whole = (*shape[:2], *size)
    x = case.integers(shape, p["x_layout"])
    plane = prod(size)
    if p["indices"] == "any" or plane < prod(out):
        indices = case.below(plane, shape)
    else:
        indices = np.stack([case.shuffled(plane)[: prod(out)] for _ in range(prod(shape[:2]))])
        indices = indices.reshape(shape)
    options: tuple[Any, ...] = (kernel, stride, before)
    at = slice(None) if p["batched"] else 0
    if p["output_size"] == "spatial":
        options = (*options, tuple(size))
    elif p["output_size"] == "whole":
        options = (*options, whole if p["batched"] else tuple(size))
    tx = case.tensor(x[at], leaf=True)
    y = getattr(F, f"max_unpool{n}d")(tx, case.tensor(indices[at]), *options)
    expected = oracle.unpool(x.astype(np.int64), indices, tuple(size))
    planes = indices.reshape(images * p["channels"], -1)
    case.compare("forward", y.detach(), expected[at])
    case.judge("forward", expected, sum(np.unique(row).size for row in planes))
    seen = case.integers(whole, p["gradient_layout"])
    flat = seen.reshape(len(planes), -1).astype(np.int64)
    grad = np.take_along_axis(flat, planes, -1).reshape(shape)
    _backward(case, y, tx, seen, grad, grad.size)
