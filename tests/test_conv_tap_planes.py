"""Convolutions that write one channel: planes of products by tap, exact on integers."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from integer_grid import assert_same, builds, integers

K = table("cpu")


def forward(x: np.ndarray, weight: np.ndarray, padding, dilation, groups: int) -> np.ndarray:
    """In float64, tap by tap."""
    n, c, h, w = x.shape
    k, _, rows, columns = weight.shape
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *((p, p) for p in padding)))
    height, width = (x.shape[2 + d] - dilation[d] * (weight.shape[2 + d] - 1) for d in range(2))
    y = np.zeros((n, groups, k // groups, height, width))
    of_x = x.reshape(n, groups, c // groups, *x.shape[2:])
    of_weight = weight.astype(np.float64).reshape(groups, k // groups, *weight.shape[1:])
    for r in range(rows):
        for s in range(columns):
            top, left = r * dilation[0], s * dilation[1]
            part = of_x[..., top : top + height, left : left + width]
            with np.errstate(invalid="ignore"):
                y += np.einsum("ngchw,gkc->ngkhw", part, of_weight[..., r, s])
    return y.reshape(n, k, height, width)


# (N, channels of a group, H, W, kernel, padding, dilation, groups)
CASES = {
    "rows of a vector": (2, 8, 9, 16, (3, 3), (1, 1), (1, 1), 1),
    "odd": (3, 37, 13, 29, (5, 5), (2, 2), (1, 1), 1),
    "groups": (2, 11, 7, 21, (3, 2), (0, 1), (1, 1), 3),
    "many bands": (1, 9, 61, 300, (5, 5), (2, 2), (1, 1), 1),
    "bands of many images": (5, 9, 33, 170, (7, 7), (3, 3), (1, 1), 2),
    "dilated": (2, 16, 23, 40, (3, 3), (4, 3), (4, 3), 1),
    "one row": (2, 20, 1, 333, (1, 9), (0, 4), (1, 1), 1),
    "padding beyond the filter": (1, 8, 5, 17, (3, 3), (4, 5), (1, 1), 1),
    "a filter larger than the image": (1, 8, 3, 18, (7, 8), (5, 6), (1, 1), 1),
    "chains": (1, 600, 4, 19, (2, 2), (1, 0), (1, 1), 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_exact_on_integers(name: str, dtype: type) -> None:
    """Both passes, with a bias and an epilogue, in every build and on any number of threads."""
    n, depth, h, w, kernel, padding, dilation, groups = CASES[name]
    rng = np.random.default_rng(2)
    x = integers(rng, (n, depth * groups, h, w), dtype)
    weight, bias = integers(rng, (groups, depth, *kernel), dtype), integers(rng, (groups,), dtype)
    wanted = forward(x, weight, padding, dilation, groups) + bias.reshape(-1, 1, 1)
    residual = integers(rng, wanted.shape, dtype)
    # The input gradient is a sum of the filters turned, groups exchanged.
    grad_y = integers(rng, (n, depth * groups, h, w), dtype)
    out = [h + dilation[0] * (kernel[0] - 1) - 2 * padding[0],
           w + dilation[1] * (kernel[1] - 1) - 2 * padding[1]]  # fmt: skip
    of_x = integers(rng, (depth * groups, 1, *kernel), dtype)
    turned = of_x.reshape(groups, depth, *kernel)[..., ::-1, ::-1]
    back = [dilation[d] * (kernel[d] - 1) - padding[d] for d in range(2)]
    options = ((1, 1), padding, dilation, groups)
    for build in builds():
        y = K.conv_fwd(x, weight, bias, wanted.shape, *options)
        assert_same(y, wanted.astype(dtype), f"{name}, forward, {build}")
        y = K.conv_epilogue(x, weight, bias, residual, wanted.shape, *options, 1)
        assert_same(y, np.maximum(wanted + residual, 0).astype(dtype), f"{name}, relu, {build}")
        if min(back) < 0 or min(out) < 1:
            continue
        got = K.conv_bwd_input(grad_y, of_x, bias, (n, groups, *out), *options)
        exact = forward(grad_y, turned, back, dilation, groups) + bias.reshape(-1, 1, 1)
        assert_same(got, exact.astype(dtype), f"{name}, input gradient, {build}")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_stays_where_it_is_read(value: float) -> None:
    rng = np.random.default_rng(3)
    x, weight = integers(rng, (2, 9, 12, 35), np.float32), integers(rng, (1, 9, 3, 3), np.float32)
    weight[weight == 0] = 1
    for where in ((0, 4, 0, 0), (1, 8, 11, 34), (1, 0, 5, 15), (0, 2, 7, 16)):
        odd = x.copy()
        odd[where] = value
        wanted = forward(odd, weight, (1, 1), (1, 1), 1)
        y = K.conv_fwd(odd, weight, None, wanted.shape, (1, 1), (1, 1), (1, 1), 1)
        assert_same(y, wanted.astype(np.float32), where)


def test_same_bits_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 40, 70, 90), np.float32)
    weight = rng.standard_normal((1, 40, 5, 5), np.float32)
    before, bits = _cpu.num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            _cpu.set_num_threads(threads)
            y = K.conv_fwd(x, weight, None, (3, 1, 70, 90), (1, 1), (2, 2), (1, 1), 1)
            bits.add(y.tobytes())
    finally:
        _cpu.set_num_threads(before)
    assert len(bits) == 1
    exact = forward(x, weight, (2, 2), (1, 1), 1)
    assert np.abs(y - exact).max() < 1e-4 * np.sqrt(np.mean(exact**2))


def test_gradients() -> None:
    x = gs.randn(2, 1, 6, 17, dtype=gs.float64, requires_grad=True)
    weight = gs.randn(9, 1, 3, 3, dtype=gs.float64, requires_grad=True)
    assert gs.testing.gradcheck(lambda x, w: gs.nn.functional.conv2d(x, w, padding=1), (x, weight))
