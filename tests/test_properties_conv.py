"""What is true of every convolution and pooling; on integers, and so to the bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn import functional as F
from hypothesis import given
from hypothesis import strategies as st
from properties import device_examples, examples, integers, same, seeds

dims = st.integers(1, 3)


class Geometry(NamedTuple):
    """A convolution without its numbers."""

    n: int
    images: int
    groups: int
    channels: int
    filters: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def conv(self, x: Any, weight: Any, bias: Any = None, **changed: Any) -> Any:
        return getattr(F, f"conv{self.n}d")(x, weight, bias, **{**self.options, **changed})

    def transposed(self, y: Any, weight: Any, size: Any = None) -> Any:
        """The transposed convolution whose output has the spatial size."""
        usual = [
            (o - 1) * s - 2 * p + d * (k - 1) + 1
            for o, s, p, d, k in zip(
                y.shape[2:], self.stride, self.padding, self.dilation, self.kernel, strict=True
            )
        ]
        more = tuple(a - b for a, b in zip(self.size if size is None else size, usual, strict=True))
        return getattr(F, f"conv_transpose{self.n}d")(
            y, weight, **self.options, output_padding=more
        )

    def draw(self, seed: int, device: str = "cpu") -> tuple[Any, Any]:
        x = integers(seed, self.images, self.channels * self.groups, *self.size)
        w = integers(seed + 1, self.filters * self.groups, self.channels, *self.kernel)
        return gs.tensor(x).to(device), gs.tensor(w).to(device)


@st.composite
def geometries(draw: Any, strided: bool = True, padded: bool = True) -> Geometry:
    """Any convolution whose window fits; sizes shrink to 1."""
    n = draw(dims)

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel = each(1, 5 - n)
    dilation = each(1, 3)
    stride = each(1, 3) if strided else (1,) * n
    padding = each(0, 2) if padded else (0,) * n
    rest = each(0, (20, 8, 4)[n - 1])
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + r
        for d, k, p, r in zip(dilation, kernel, padding, rest, strict=True)
    )
    channels = [draw(st.integers(1, m)) for m in (3, 3, 4, 5)]
    return Geometry(n, *channels, size, kernel, stride, padding, dilation)


def inner(a: Any, b: Any) -> float:
    """<a, b>, of integers."""
    return float((a.double() * b.double()).sum())


@examples(60)
@given(geometries(), seeds, st.integers(-3, 3), st.integers(-3, 3))
def test_conv_is_linear(g: Geometry, seed: int, a: int, b: int) -> None:
    x, w = g.draw(seed)
    u, v = g.draw(seed + 9)
    same(g.conv(x * a + u * b, w), g.conv(x, w) * a + g.conv(u, w) * b)
    same(g.conv(x, w * a + v * b), g.conv(x, w) * a + g.conv(x, v) * b)


@examples(120)
@given(geometries(), seeds, device_examples)
def test_conv_transpose_is_convs_adjoint(cuda: str, g: Geometry, seed: int, device: str) -> None:
    """<conv(x), y> = <x, conv^T(y)>, and the gradients are those adjoints."""
    x, w = (t.requires_grad_() for t in g.draw(seed, device))
    conv = g.conv(x, w)
    y = gs.tensor(integers(seed + 2, *conv.shape)).to(device)
    back = None
    fits = all(
        (m + 2 * p - d * (k - 1) - 1) % s < max(s, d)
        for m, p, d, k, s in zip(g.size, g.padding, g.dilation, g.kernel, g.stride, strict=True)
    )
    assert fits
    with gs.no_grad():
        back = g.transposed(y, w)
    assert inner(conv.detach(), y) == inner(x.detach(), back)
    conv.backward(y)
    same(x.grad, back)
    assert inner(conv.detach(), y) == inner(w.detach(), w.grad)
    # The transposed one's gradients are the convolution's.
    z = y.detach().requires_grad_()
    v = w.detach().requires_grad_()
    g.transposed(z, v).backward(x.detach())
    same(z.grad, conv.detach())
    same(v.grad, w.grad)


@examples(60)
@given(geometries(padded=False), seeds, st.data())
def test_conv_follows_a_shift(g: Geometry, seed: int, data: Any) -> None:
    """The input moved by whole strides: the output by as many positions."""
    x, w = g.draw(seed)
    y = g.conv(x, w)
    moves = tuple(data.draw(st.integers(0, o - 1)) for o in y.shape[2:])
    here = tuple(slice(m * s, None) for m, s in zip(moves, g.stride, strict=True))
    there = tuple(slice(m, None) for m in moves)
    same(g.conv(x[(..., *here)], w), y[(..., *there)])


@examples(60)
@given(geometries(), seeds)
def test_groups_are_convolutions_side_by_side(g: Geometry, seed: int) -> None:
    x, w = g.draw(seed)
    parts = [
        g.conv(a, b, groups=1)
        for a, b in zip(x.split(g.channels, 1), w.split(g.filters, 0), strict=True)
    ]
    same(g.conv(x, w), gs.cat(parts, 1))


@examples(80)
@given(geometries(), seeds)
def test_options_mean_what_they_say(g: Geometry, seed: int) -> None:
    """Stride skips outputs, padding is zeros around, dilation zeros within the kernel."""
    x, w = g.draw(seed)
    y = g.conv(x, w)
    every = tuple(slice(None, None, s) for s in g.stride)
    same(g.conv(x, w, stride=1)[(..., *every)], y)
    around = [p for p in reversed(g.padding) for _ in range(2)]
    same(g.conv(F.pad(x, around), w, padding=0), y)
    same(g.conv(x, w, padding=tuple((p, p) for p in g.padding)), y)
    wide = [d * (k - 1) + 1 for d, k in zip(g.dilation, g.kernel, strict=True)]
    spread = gs.zeros(*w.shape[:2], *wide)
    spread[(..., *(slice(None, None, d) for d in g.dilation))] = w
    same(g.conv(x, spread, dilation=1), y)
    bias = gs.tensor(integers(seed + 3, w.shape[0]))
    same(g.conv(x, w, bias), y + bias.reshape(-1, *(1,) * g.n))


@examples(60)
@given(geometries(), seeds)
def test_fewer_dims_are_dims_of_size_one(g: Geometry, seed: int) -> None:
    if g.n == 3:
        return
    x, w = g.draw(seed)
    more = {
        "stride": (1, *g.stride),
        "padding": (0, *g.padding),
        "dilation": (1, *g.dilation),
        "groups": g.groups,
    }
    y = getattr(F, f"conv{g.n + 1}d")(x.unsqueeze(2), w.unsqueeze(2), **more)
    same(y.squeeze(2), g.conv(x, w))


# ---- pooling ----


def pools(draw: Any) -> tuple[int, Any, Any, int, int, int]:
    """n, x, its seed, kernel, stride, padding."""
    n = draw(dims)
    kernel = draw(st.integers(1, 4))
    stride = draw(st.integers(1, 4))
    padding = draw(st.integers(0, kernel // 2))
    size = [kernel + draw(st.integers(0, (20, 8, 4)[n - 1])) for _ in range(n)]
    seed = draw(seeds)
    x = gs.tensor(integers(seed, 2, draw(st.integers(1, 3)), *size))
    return n, x, seed, kernel, stride, padding


@examples(80)
@given(st.data())
def test_max_pool_is_a_maximum(data: Any) -> None:
    n, x, seed, kernel, stride, padding = pools(data.draw)
    max_pool = getattr(F, f"max_pool{n}d")
    window = (kernel, stride, padding)
    y = max_pool(x, *window)
    other = gs.tensor(integers(seed + 1, *x.shape))
    same(max_pool(gs.maximum(x, other), *window), gs.maximum(y, max_pool(other, *window)))
    same(max_pool(x + 7, *window), y + 7)
    same(max_pool(x * 3, *window), y * 3)
    # Windows of windows are longer windows.
    second = data.draw(st.integers(1, 3))
    plain = max_pool(x, kernel, 1)
    if min(plain.shape[2:]) >= second:
        same(max_pool(plain, second, 1), max_pool(x, kernel + second - 1, 1))
    # And separable.
    one = [1] * n
    result = x
    for i in range(n):
        k, s, p = list(one), list(one), [0] * n
        k[i], s[i], p[i] = window
        result = max_pool(result, tuple(k), tuple(s), tuple(p))
    same(result, y)


@examples(60)
@given(st.data())
def test_max_pool_indices_say_where(data: Any) -> None:
    n, x, _, kernel, stride, padding = pools(data.draw)
    y, indices = getattr(F, f"max_pool{n}d")(x, kernel, stride, padding, 1, False, True)
    flat = x.reshape(*x.shape[:2], -1)
    same(flat.gather(2, indices.reshape(*x.shape[:2], -1)).reshape(tuple(y.shape)), y)
    if padding == 0 and stride >= kernel:
        # Windows apart: unpooling puts every maximum back, and pooling finds it again.
        size = tuple(x.shape[2:])
        usual = [(m - 1) * stride + kernel for m in y.shape[2:]]
        if all(abs(a - b) < stride for a, b in zip(size, usual, strict=True)):
            positive = x - x.min() + 1
            y = getattr(F, f"max_pool{n}d")(positive, kernel, stride)
            back = getattr(F, f"max_unpool{n}d")(y, indices, kernel, stride, 0, size)
            same(getattr(F, f"max_pool{n}d")(back, kernel, stride), y)
            same(back.sum(), y.sum())


@examples(80)
@given(st.data())
def test_avg_pool_is_a_convolution(data: Any) -> None:
    """Of ones in every channel, divided; and its gradient is that one's."""
    n, x, seed, kernel, stride, padding = pools(data.draw)
    x = x * kernel**n
    channels = x.shape[1]
    ones = gs.ones(channels, 1, *(kernel,) * n)
    a, b = (x.detach().requires_grad_() for _ in range(2))
    y = getattr(F, f"avg_pool{n}d")(a, kernel, stride, padding)
    total = getattr(F, f"conv{n}d")(b, ones, None, stride, padding, 1, channels)
    same(y * kernel**n, total)
    seen = gs.tensor(integers(seed + 1, *y.shape)) * kernel**n
    y.backward(seen)
    total.backward(seen / kernel**n)
    same(a.grad, b.grad)
    if n > 1:
        same(getattr(F, f"avg_pool{n}d")(x, kernel, stride, padding, divisor_override=1), total)


@examples(60)
@given(dims, st.integers(1, 6), st.integers(1, 3), seeds)
def test_adaptive_pooling(n: int, out: int, each: int, seed: int) -> None:
    """To the own size: itself. To a divisor of it: equal windows. To 1: mean and maximum."""
    x = gs.tensor(integers(seed, 2, 3, *(out * each,) * n)) * (out * each) ** n
    average = getattr(F, f"adaptive_avg_pool{n}d")
    maximum = getattr(F, f"adaptive_max_pool{n}d")
    same(average(x, out * each), x)
    same(maximum(x, out * each), x)
    same(average(x, out), getattr(F, f"avg_pool{n}d")(x, each))
    same(maximum(x, out), getattr(F, f"max_pool{n}d")(x, each))
    spatial = tuple(range(2, n + 2))
    same(average(x, 1), x.mean(spatial, keepdim=True))
    same(maximum(x, 1), x.amax(spatial, keepdim=True))


@examples(40)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), seeds)
def test_unfold_and_fold(kernel: int, stride: int, dilation: int, seed: int) -> None:
    """A convolution is a product with the unfolded input; fold is unfold's adjoint."""
    size = (dilation * (kernel - 1) + 1 + 2 * stride, dilation * (kernel - 1) + 4)
    x = gs.tensor(integers(seed, 2, 3, *size))
    w = gs.tensor(integers(seed + 1, 5, 3, kernel, kernel))
    columns = F.unfold(x, kernel, dilation, 1, stride)
    y = F.conv2d(x, w, None, stride, 1, dilation)
    same((w.reshape(5, -1) @ columns).reshape(tuple(y.shape)), y)
    seen = gs.tensor(integers(seed + 2, *columns.shape))
    assert inner(columns, seen) == inner(x, F.fold(seen, size, kernel, dilation, 1, stride))


@pytest.mark.parametrize("function", ["conv2d", "max_pool2d", "avg_pool2d", "interpolate"])
def test_layouts_give_the_same(function: str) -> None:
    """The memory's layout is no argument: channels_last, slices and flips give the same bits."""
    rng = np.random.default_rng(3)
    values = rng.standard_normal((2, 4, 9, 11)).astype(np.float32)
    call = {
        "conv2d": lambda x: F.conv2d(x, gs.ones(3, 4, 3, 3), padding=1),
        "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
        "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1),
        "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    }[function]
    y = call(gs.tensor(values))
    wide = np.zeros((2, 5, 12, 30), np.float32)
    wide[:, 1:, 2:11, 3:25:2] = values
    turned = np.ascontiguousarray(values[..., ::-1, :])[..., ::-1, :]
    for view in (
        np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1),
        wide[:, 1:, 2:11, 3:25:2],
        turned,
    ):
        same(call(gs.from_numpy(view)), y)
