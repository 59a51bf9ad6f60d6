"""The CPU convolution kernels: exact on an integer grid, the same bits on any number of threads."""

import itertools

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.backends import cpu
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes
from integer_grid import assert_same, builds, integers

K = table("cpu")
FLOATS = (np.float32, np.float64)


@pytest.fixture
def samples(pytestconfig):
    return 6000 if pytestconfig.getoption("--full", default=False) else 700


def out_shape(inner, kernel, stride, padding, dilation):
    return tuple(
        (i + 2 * p - d * (k - 1) - 1) // s + 1
        for i, k, s, p, d in zip(inner, kernel, stride, padding, dilation, strict=True)
    )


def reference(x, weight, grad_y, stride, padding, dilation, groups, inside=False):
    """y, grad_x and grad_weight in float64: one einsum a tap on the zero-padded input.

    inside: grad_weight without the products with the padding, which are not zero where grad_y is
    not finite.
    """
    x, weight, grad_y = (a.astype(np.float64) for a in (x, weight, grad_y))
    (n, c, *inner), (k, cg, *kernel), out = x.shape, weight.shape, grad_y.shape[2:]
    high = [
        max(0, (o - 1) * s + d * (t - 1) + 1 - p - i)
        for i, o, t, s, p, d in zip(inner, out, kernel, stride, padding, dilation, strict=True)
    ]
    pads = [(0, 0), (0, 0), *zip(padding, high, strict=True)]
    padded = np.pad(x, pads)
    padding_here = np.pad(np.zeros(inner, bool), pads[2:], constant_values=inside)
    grad_padded = np.zeros_like(padded)
    y = np.zeros((n, groups, k // groups, *out))
    grad_weight = np.zeros_like(weight)
    grouped = weight.reshape(groups, k // groups, cg, *kernel)
    grad = grad_y.reshape(y.shape)
    for tap in np.ndindex(*kernel):
        window = (slice(None), slice(None)) + tuple(
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, dilation, out, stride, strict=True)
        )
        at_tap = grouped[(..., *tap)]
        seen = padded[window].reshape(n, groups, cg, *out)
        y += np.einsum("ngc...,gkc->ngk...", seen, at_tap)
        to_x = np.einsum("ngk...,gkc->ngc...", grad, at_tap)
        grad_padded[window] += to_x.reshape(n, c, *out)
        read = np.where(padding_here[window[2:]], 0, grad)
        inner_sum = np.einsum(
            "ngco,ngko->gkc", *(a.reshape(*a.shape[:3], -1) for a in (seen, read))
        )
        grad_weight[(..., *tap)] = inner_sum.reshape(k, cg)
    crop = tuple(slice(p, p + i) for p, i in zip(padding, inner, strict=True))
    return y.reshape(n, k, *out), grad_padded[(..., *crop)], grad_weight


def check(x, weight, grad_y, stride, padding, dilation, groups, threads, bias=True):
    """All three kernels against the reference."""
    rng = np.random.default_rng(0)
    options = (stride, padding, dilation, groups)
    y, grad_x, grad_weight = reference(x, weight, grad_y, *options)
    bias_y = integers(rng, (weight.shape[0],), x.dtype) if bias else None
    bias_x = integers(rng, (x.shape[1],), x.dtype) if bias else None
    if bias:
        column = (1, -1) + (1,) * (x.ndim - 2)
        y, grad_x = y + bias_y.reshape(column), grad_x + bias_x.reshape(column)
    shapes = (x.shape, weight.shape, grad_y.shape, *options, x.dtype.name)
    sums = grad_y.sum((0, *range(2, grad_y.ndim)))
    for turn, build in enumerate(builds(threads)):
        got = K.conv_fwd(x, weight, bias_y, grad_y.shape, *options)
        assert_same(got, y, ("conv_fwd", build, *shapes))
        # With a residual (grad_y) and a bias, or without: some algorithms take only the one.
        whole = turn % 2 == 0
        got = K.conv_epilogue(x, weight, bias_y, grad_y if whole else None, y.shape, *options, 1)
        finished = np.maximum(y + grad_y if whole else y, 0)
        assert_same(got, finished, ("conv_epilogue", build, *shapes))
        got = K.conv_bwd_input(grad_y, weight, bias_x if whole else None, x.shape, *options)
        expected = grad_x if whole or not bias else grad_x - bias_x.reshape(column)
        assert_same(got, expected, ("conv_bwd_input", build, *shapes))
        got = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
        expected = grad_weight
        if np.isnan(grad_weight).any():  # a product with the padding may be left out
            inner = reference(x, weight, grad_y, *options, inside=True)[2]
            expected = np.where(np.isnan(got), grad_weight, inner)
        assert_same(got, expected, ("conv_bwd_weight", build, *shapes))
        both = K.conv_bwd_weight_bias(grad_y, x, weight.shape, weight.shape[:1], *options)
        assert_same(both[0], got, ("conv_bwd_weight_bias", build, *shapes))
        assert_same(both[1], sums, ("conv_bwd_weight_bias", build, *shapes))


def make(rng, n, groups, cg, kg, inner, kernel, out, dtype):
    x = integers(rng, (n, groups * cg, *inner), dtype)
    weight = integers(rng, (groups * kg, cg, *kernel), dtype)
    return x, weight, integers(rng, (n, groups * kg, *out), dtype)


def test_integers_exact(samples):
    rng = np.random.default_rng(1)

    def pick(*values):
        return int(rng.choice(values))

    done = 0
    while done < samples:
        nd = pick(1, 2, 2, 3)
        n, groups = pick(1, 2, 3, 8, 9, 17), pick(1, 1, 2, 3)
        cg, kg = pick(1, 2, 3, 5, 8, 17, 20), pick(1, 2, 3, 4, 5, 8, 9, 17, 33)
        kernel = tuple(pick(1, 2, 3, 5) for _ in range(nd))
        stride = tuple(pick(1, 1, 2, 3, 4) for _ in range(nd))
        dilation = tuple(pick(1, 1, 2, 3, 5, 40) for _ in range(nd))
        padding = tuple(pick(0, 1, 2, 3) for _ in range(nd))
        inner = tuple(int(rng.integers(1, (300, 40, 12)[nd - 1])) for _ in range(nd))
        out = out_shape(inner, kernel, stride, padding, dilation)
        work = n * groups * cg * kg * np.prod(kernel) * np.prod(np.maximum(out, 0))
        if min(out) < 1 or work > 2e6:
            continue
        dtype = FLOATS[pick(0, 1)]
        arrays = make(rng, n, groups, cg, kg, inner, kernel, out, dtype)
        check(*arrays, stride, padding, dilation, groups, (pick(1, 2, 3, 7),), bool(pick(0, 1)))
        done += 1


# (N, groups, C / groups, K / groups, inner, kernel, stride, padding, dilation)
LARGE = {
    "boxes of some rows": (2, 1, 40, 12, (60, 57), (3, 3), (1, 1), (1, 1), (1, 1)),
    "blocks of channels": (1, 1, 300, 20, (24, 25), (3, 3), (1, 1), (1, 1), (1, 1)),
    "parts of the output channels": (1, 1, 24, 130, (7, 9), (3, 3), (1, 1), (1, 1), (1, 1)),
    "image lanes, a last block of one": (33, 1, 20, 24, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1)),
    "image lanes, strided, grouped": (48, 2, 10, 9, (9, 7), (3, 2), (2, 3), (1, 1), (1, 2)),
    "image lanes, blocks of channels": (16, 1, 400, 9, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "image lanes, 3 dims": (32, 1, 4, 5, (4, 5, 3), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "first layer": (3, 1, 3, 16, (64, 67), (7, 7), (2, 2), (3, 3), (1, 1)),
    "first layer, rows of whole vectors": (2, 1, 3, 13, (9, 48), (3, 3), (1, 1), (1, 1), (1, 1)),
    "first layer, rows with a tail": (
        2,
        2,
        2,
        11,
        (5, 9, 62),
        (3, 3, 3),
        (1, 1, 1),
        (1, 1, 1),
        (1, 1, 1),
    ),
    "first layer, stride 2": (5, 1, 3, 20, (41, 43), (3, 3), (2, 2), (1, 1), (1, 1)),
    "first layer, boxes of a whole image, one channel": (
        3,
        1,
        1,
        7,
        (28, 27),
        (5, 3),
        (1, 1),
        (2, 0),
        (1, 2),
    ),
    "first layer, stride 4": (2, 1, 3, 20, (75, 77), (11, 11), (4, 4), (2, 2), (1, 1)),
    "first layer, whole panels": (1, 1, 3, 40, (33, 64), (3, 3), (1, 1), (1, 1), (1, 1)),
    "first layer, boxes with a tail": (3, 1, 3, 17, (40, 45), (3, 3), (1, 1), (1, 1), (1, 1)),
    "first layer, past the caches": (2, 1, 1, 43, (224, 224), (3, 1), (1, 1), (1, 0), (1, 1)),
    "first layer, large filters": (3, 1, 3, 40, (41, 75), (7, 7), (2, 2), (3, 3), (1, 1)),
    "first layer, long sums": (2, 1, 5, 40, (37, 75), (7, 7), (2, 2), (3, 3), (1, 1)),
    "first layer, two tiles of a row": (3, 1, 4, 32, (40, 84), (8, 8), (4, 4), (0, 0), (1, 1)),
    "first layer, parts of the channels": (
        1,
        1,
        3,
        24,
        (23, 224),
        (11, 11),
        (4, 4),
        (2, 2),
        (1, 1),
    ),
    "first layer, wide filters": (1, 1, 2, 64, (9, 91), (3, 17), (1, 3), (1, 5), (1, 1)),
    "first layer, rows not read": (2, 1, 1, 24, (40, 98), (8, 8), (5, 4), (0, 0), (1, 1)),
    "first layer, wide padding": (1, 1, 5, 32, (7, 30), (3, 4), (1, 2), (4, 6), (1, 1)),
    "first layer, strides apart": (2, 1, 5, 24, (31, 90), (9, 9), (2, 3), (1, 1), (1, 1)),
    "first layer, strides apart, one": (1, 1, 5, 24, (40, 50), (9, 9), (4, 1), (1, 1), (1, 1)),
    "first layer, narrow": (2, 1, 5, 24, (90, 10), (9, 9), (2, 2), (1, 1), (1, 1)),
    "first layer, padding of a tile": (2, 1, 5, 24, (13, 15), (11, 11), (2, 2), (10, 10), (1, 1)),
    "first layer, 1 dim": (2, 1, 5, 48, (700,), (10,), (5,), (3,), (1,)),
    "depthwise": (2, 40, 1, 1, (40, 41), (3, 3), (1, 1), (1, 1), (1, 1)),
    "pointwise": (2, 1, 130, 30, (28, 30), (1, 1), (1, 1), (0, 0), (1, 1)),
    "pointwise, strided": (2, 1, 30, 30, (28, 30), (1, 1), (2, 2), (0, 0), (1, 1)),
    "patches": (2, 1, 3, 8, (32, 48), (16, 16), (16, 16), (0, 0), (1, 1)),
    "kernel smaller than the stride": (2, 1, 5, 6, (40, 41), (2, 3), (5, 4), (1, 1), (1, 1)),
    "a long line": (2, 1, 3, 5, (20000,), (9,), (1,), (4,), (3,)),
    "kernel as large as the image": (5, 1, 16, 20, (6, 6), (6, 6), (1, 1), (0, 0), (1, 1)),
    "a window of 3 dims": (2, 1, 7, 9, (2, 3, 2), (2, 3, 2), (4, 1, 2), (0, 0, 0), (1, 1, 1)),
    "one pixel": (19, 1, 40, 24, (1, 1), (3, 3), (2, 2), (1, 1), (1, 1)),
    "one pixel, a dilated kernel": (3, 1, 20, 17, (1,), (5,), (1,), (4,), (2,)),
    "columns": (1, 1, 256, 256, (5, 7), (3, 2), (2, 1), (1, 1), (1, 2)),
    "columns, 1 dim": (1, 1, 300, 230, (9,), (3,), (2,), (3,), (2,)),
    "columns, 3 dims": (1, 1, 256, 257, (2, 3, 3), (2, 3, 1), (1, 2, 1), (1, 0, 0), (1, 1, 1)),
    "columns, one output": (1, 1, 129, 140, (1, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
    "columns, few outputs": (3, 1, 140, 130, (2, 3), (3, 3), (2, 1), (1, 1), (1, 1)),
    "columns, taps side by side": (4, 1, 260, 258, (8, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    "columns, one tap": (3, 1, 1040, 1030, (5, 6), (1, 1), (2, 2), (0, 0), (1, 1)),
    "depthwise, short rows": (3, 6, 1, 1, (5, 7), (3, 2), (1, 1), (2, 1), (2, 1)),
    "depthwise, strided": (2, 4, 1, 3, (13, 50), (3, 5), (2, 3), (1, 4), (1, 2)),
    "depthwise, stride 2": (2, 4, 1, 1, (29, 47), (3, 3), (2, 2), (1, 1), (1, 1)),
    "depthwise, 5x5": (2, 5, 1, 2, (23, 17), (5, 5), (1, 1), (2, 2), (1, 1)),
    "depthwise, 7x7, stride 2": (2, 3, 1, 1, (30, 37), (7, 7), (2, 2), (3, 3), (1, 1)),
    "depthwise, dilated rows": (3, 4, 1, 1, (16, 21), (7, 5), (1, 1), (3, 4), (1, 2)),
    "depthwise, narrow": (9, 37, 1, 2, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "depthwise, 1 dim": (2, 3, 1, 2, (300,), (7,), (4,), (9,), (3,)),
    "depthwise, 3 dims": (1, 3, 1, 1, (4, 5, 20), (2, 3, 3), (1, 1, 1), (1, 0, 2), (1, 2, 1)),
    "blocks of channels, few filters": (1, 1, 300, 3, (24, 25), (3, 3), (1, 1), (1, 1), (1, 1)),
    "depthwise, rows of 3": (3, 6, 1, 1, (9, 3), (3, 3), (1, 1), (1, 1), (1, 1)),
    "depthwise, stride 3": (2, 4, 1, 1, (14, 50), (3, 3), (3, 3), (1, 1), (1, 1)),
    "depthwise, strided rows": (2, 4, 1, 1, (13, 30), (3, 4), (2, 1), (1, 1), (1, 1)),
    "depthwise, strided columns": (2, 4, 1, 1, (13, 24), (4, 3), (1, 2), (1, 1), (1, 1)),
    "depthwise, 6 rows": (2, 3, 1, 1, (20, 21), (6, 3), (1, 1), (2, 1), (1, 1)),
    "depthwise, 5x5, stride 2": (2, 3, 1, 1, (21, 35), (5, 5), (2, 2), (2, 2), (1, 1)),
    # Nearly the 3x3 kernel of stride 2 and padding 1, whose input gradient has a way of its own.
    "depthwise, stride 2, 3x5": (2, 3, 1, 1, (9, 21), (3, 5), (2, 2), (1, 1), (1, 1)),
    "depthwise, stride 2, 5x3": (2, 3, 1, 1, (11, 20), (5, 3), (2, 2), (1, 1), (1, 1)),
    "depthwise, stride 2, rows not padded": (2, 3, 1, 1, (9, 20), (3, 3), (2, 2), (0, 1), (1, 1)),
    "depthwise, stride 2, padding 2": (2, 3, 1, 1, (9, 20), (3, 3), (2, 2), (1, 2), (1, 1)),
    "depthwise, stride 2, dilated": (2, 3, 1, 1, (9, 20), (3, 3), (2, 2), (1, 1), (1, 2)),
    "channel lanes, a large image": (1, 1, 8, 8, (140, 140), (3, 3), (1, 1), (1, 1), (1, 1)),
    "channel lanes, boxes of rows": (2, 1, 32, 22, (81, 70), (3, 3), (2, 2), (1, 1), (1, 1)),
    "channel lanes, images, grouped": (7, 2, 16, 12, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "channel lanes, parts": (1, 1, 15, 130, (6, 9), (5, 5), (1, 1), (2, 2), (1, 1)),
    "channel lanes, dilated": (2, 1, 16, 24, (9, 40), (3, 5), (1, 1), (9, 16), (9, 8)),
    "channel lanes, 1 dim": (1, 1, 16, 15, (1300,), (2,), (1,), (7,), (512,)),
    "channel lanes, 3 dims": (2, 1, 16, 6, (5, 6, 9), (2, 3, 4), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
    "filter lanes, strided": (2, 1, 20, 40, (39, 37), (3, 3), (2, 2), (1, 1), (1, 1)),
    "filter lanes, dilated": (1, 1, 60, 33, (20, 21), (3, 3), (1, 1), (6, 8), (6, 8)),
    "filter lanes, grouped": (2, 2, 33, 47, (9, 13), (3, 5), (1, 2), (1, 2), (1, 1)),
    "filter lanes, 1 dim": (2, 1, 28, 33, (1700,), (3,), (2,), (2,), (3,)),
    "filter lanes, 3 dims": (1, 1, 33, 26, (4, 5, 12), (3, 2, 4), (1, 3, 2), (1, 0, 1), (2, 1, 1)),
    "filter lanes, cut rows": (1, 1, 80, 40, (13, 31), (3, 3), (1, 1), (5, 7), (5, 7)),
    "filter lanes, a row a tile": (3, 3, 16, 16, (9, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "filter lanes, rows of two images": (3, 1, 21, 40, (11, 13), (3, 3), (2, 2), (1, 1), (1, 1)),
    "filter lanes, rows of one image": (1, 2, 16, 33, (14, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "filter lanes, many boxes": (2, 1, 17, 33, (90, 45), (3, 3), (2, 2), (1, 1), (1, 1)),
    "patches, 2x2": (2, 1, 5, 512, (14, 34), (2, 2), (2, 2), (0, 0), (1, 1)),
    "patches, first layer": (2, 1, 3, 130, (30, 85), (5, 5), (5, 5), (0, 0), (1, 1)),
    "patches, 1 dim": (3, 1, 20, 512, (40,), (4,), (4,), (0,), (1,)),
    "patches, 3 dims": (1, 1, 6, 130, (4, 6, 40), (2, 3, 5), (2, 3, 5), (0, 0, 0), (1, 1, 1)),
    "filter lanes, images": (19, 1, 40, 24, (4, 4), (4, 4), (1, 1), (3, 3), (1, 1)),
    "filters smaller than the stride": (1, 1, 40, 36, (14, 25), (2, 2), (3, 3), (0, 1), (1, 1)),
    "phases": (1, 1, 64, 64, (32, 32), (3, 3), (1, 1), (2, 2), (2, 2)),
    "3 dims": (1, 1, 6, 9, (12, 20, 21), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", FLOATS)
def test_integers_exact_large(name, dtype):
    n, groups, cg, kg, inner, kernel, stride, padding, dilation = LARGE[name]
    out = out_shape(inner, kernel, stride, padding, dilation)
    arrays = make(np.random.default_rng(2), n, groups, cg, kg, inner, kernel, out, dtype)
    check(*arrays, stride, padding, dilation, groups, (1, 3))


def test_strided_input_gradients_of_rows_that_fill_tiles_take_no_columns():
    def plan(*shapes):
        return cpu.conv_plan(*shapes, stride=2, padding=1)["input gradient"]

    assert plan((8, 256, 14, 14), (512, 256, 3, 3)) == "direct"
    assert plan((8, 256, 6, 6), (512, 256, 3, 3)) == "columns"  # rows of three
    assert plan((1, 256, 8, 8), (512, 256, 3, 3)) == "columns"  # too few to repay packed filters


def test_windows_side_by_side_are_patches():
    def plan(*shapes, **options):
        return set(cpu.conv_plan(*shapes, **options).values())

    assert plan((4, 256, 32, 32), (512, 256, 2, 2), stride=2) == {"columns"}
    assert plan((8, 3, 224, 224), (192, 3, 16, 16), stride=16) == {"columns"}
    for size, options in ((33, {"stride": 2}), (32, {"stride": 2, "padding": 1}), (32, {})):
        assert plan((4, 256, size, size), (512, 256, 2, 2), **options) == {"direct"}
    assert plan((4, 64, 32, 32), (128, 64, 2, 2), stride=2) == {"direct"}  # few products an input


def test_no_case_keeps_memory():
    """What a kernel allocates for itself it gives back, also where only large shapes need it."""
    threads = _cpu.num_threads()
    _cpu.set_num_threads(1)  # each thread keeps its scratch memory
    try:
        for name, (n, groups, cg, kg, inner, kernel, *steps) in LARGE.items():
            out = out_shape(inner, kernel, *steps)
            rng = np.random.default_rng(2)
            x, weight, grad_y = make(rng, n, groups, cg, kg, inner, kernel, out, np.float32)
            used = []
            for _ in range(2):
                K.conv_fwd(x, weight, None, grad_y.shape, *steps, groups)
                K.conv_bwd_input(grad_y, weight, None, x.shape, *steps, groups)
                K.conv_bwd_weight(grad_y, x, weight.shape, *steps, groups)
                used.append(_cpu.memory_stats()["in_use"])
            assert used[1] <= used[0], name
    finally:
        _cpu.set_num_threads(threads)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    [
        "boxes of some rows",
        "image lanes, a last block of one",
        "a long line",
        "columns",
        "channel lanes, boxes of rows",
        "depthwise",
        "filter lanes, strided",
        "filter lanes, rows of two images",
        "filter lanes, many boxes",
        "patches, 2x2",
    ],
)
def test_same_bits_on_any_number_of_threads(name, dtype):
    n, groups, cg, kg, inner, kernel, stride, padding, dilation = LARGE[name]
    options = (stride, padding, dilation, groups)
    out = out_shape(inner, kernel, stride, padding, dilation)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, groups * cg, *inner)).astype(dtype)
    weight = rng.standard_normal((groups * kg, cg, *kernel)).astype(dtype)
    grad_y = rng.standard_normal((n, groups * kg, *out)).astype(dtype)
    exact = reference(x, weight, grad_y, *options)
    bound = [a.max() for a in reference(abs(x), abs(weight), abs(grad_y), *options)]
    first = {}
    for build in builds():
        got = (
            K.conv_fwd(x, weight, None, grad_y.shape, *options),
            K.conv_bwd_input(grad_y, weight, None, x.shape, *options),
            K.conv_bwd_weight(grad_y, x, weight.shape, *options),
        )
        for a, b, most in zip(got, exact, bound, strict=True):
            # Errors grow as the root of the length; this allows for the worst element of many.
            assert not (np.abs(a - b).max() > 8 * np.finfo(dtype).eps * most), build
        bits = b"".join(a.tobytes() for a in got)
        assert same_bytes(first.setdefault(build.split(",")[0], bits), bits), build


@pytest.mark.parametrize("low", [0, 1, 3])
def test_output_shape_decides_the_high_padding(low):
    """Output padding of a transposed convolution, and padding of the high side alone."""
    rng = np.random.default_rng(4)
    for extra, stride, kernel in itertools.product((0, 1, 2), (1, 2, 3), (2, 3)):
        out = (9 + low + extra - kernel) // stride + 1
        arrays = make(rng, 2, 1, 3, 4, (9, 5), (kernel, 1), (out, 5), np.float32)
        check(*arrays, (stride, 1), (low, 0), (1, 1), 1, (1,))


def test_huge_options():
    huge = 2**31 - 1
    rng = np.random.default_rng(5)
    # A kernel of one reads the same whatever the dilation; a stride beyond the input: one output.
    check(*make(rng, 2, 1, 3, 2, (9,), (1,), (9,), np.float32), (1,), (0,), (huge,), 1, (1,))
    check(*make(rng, 2, 1, 3, 2, (9,), (3,), (1,), np.float32), (huge,), (0,), (2,), 1, (1,))
    # Taps far apart: only the padding is read by most of them.
    x, weight = integers(rng, (1, 1, 1), np.float32), integers(rng, (1, 1, 3), np.float32)
    for build in builds((1,)):
        y = K.conv_fwd(x, weight, None, (1, 1, 1), (1,), (huge,), (huge,), 1)
        assert_same(y, x * weight[:, :, 1:2], build)
        grad_x = K.conv_bwd_input(y, weight, None, x.shape, (1,), (huge,), (huge,), 1)
        assert_same(grad_x, y * weight[:, :, 1:2], build)
        grad_weight = K.conv_bwd_weight(y, x, weight.shape, (1,), (huge,), (huge,), 1)
        assert_same(grad_weight, y * x * np.array([0, 1, 0]), build)
    # Options that no index arithmetic holds are refused, not wrapped around.
    for _ in builds((1,)):
        with pytest.raises(_cpu.Fault, match="shape"):
            K.conv_fwd(x, weight, None, (1, 1, 1), (1,), (0,), (2**62,), 1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_empty(dtype):
    bias = np.arange(1, 17).astype(dtype)
    for build in builds((1, 2)):
        one = ((1, 1), (1, 1), (1, 1), 1)
        for n, c, k, inner, out in [
            (0, 2, 3, (5, 5), (5, 5)),
            (2, 0, 3, (5, 5), (5, 5)),
            (2, 2, 0, (5, 5), (5, 5)),
            (2, 2, 3, (5, 0), (5, 0)),
            (2, 2, 3, (5, 0), (5, 1)),
            (2, 16, 16, (0, 9), (0, 9)),
        ]:
            x, weight = np.ones((n, c, *inner), dtype), np.ones((k, c, 3, 3), dtype)
            grad_y = np.ones((n, k, *out), dtype)
            y = K.conv_fwd(x, weight, bias[:k], grad_y.shape, *one)
            expected = np.zeros(grad_y.shape) + bias[:k, None, None]
            if 0 in (c, *inner):
                assert_same(y, expected, (build, x.shape))
            assert y.shape == grad_y.shape
            grad_x = K.conv_bwd_input(grad_y, weight, None, x.shape, *one)
            assert grad_x.shape == x.shape
            if k == 0:
                assert_same(grad_x, np.zeros(x.shape), build)
            grad_weight = K.conv_bwd_weight(grad_y, x, weight.shape, *one)
            assert grad_weight.shape == weight.shape
            if n == 0 or 0 in inner:
                assert_same(grad_weight, np.zeros(weight.shape), (build, x.shape))
        # No taps: nothing is summed.
        y = K.conv_fwd(
            np.ones((2, 2, 5), dtype),
            np.ones((3, 2, 0), dtype),
            bias[:3],
            (2, 3, 6),
            (1,),
            (0,),
            (1,),
            1,
        )
        assert_same(y, np.zeros((2, 3, 6)) + bias[:3, None], build)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(2, 3, 9, 11), (16, 2, 5, 5), (1, 1, 3, 40), (2, 1, 9, 41)])
def test_not_finite_goes_where_it_is_read(value, shape):
    rng = np.random.default_rng(6)
    n, c, *inner = shape
    for stride, padding, dilation in [
        ((1, 1),) * 3,
        ((2, 1), (0, 1), (1, 2)),
        ((3, 3), (0, 0), (1, 1)),
    ]:
        out = out_shape(inner, (3, 3), stride, padding, dilation)
        if min(out) < 1:
            continue
        x, weight, grad_y = make(rng, n, 1, c, 4, inner, (3, 3), out, np.float32)
        for spot in [(0, 0, 0, 0), (n - 1, c - 1, inner[0] - 1, inner[1] - 1), (0, 0, 1, 3)]:
            odd_x, odd_y = x.copy(), grad_y.copy()
            odd_x[spot] = value
            odd_y[spot[0], 1, 0, spot[3] % out[1]] = value
            with np.errstate(invalid="ignore"):
                check(odd_x, weight, grad_y, stride, padding, dilation, 1, (1,))
                check(x, weight, odd_y, stride, padding, dilation, 1, (1,))


def test_inputs_of_any_strides_are_unchanged():
    rng = np.random.default_rng(7)
    x = integers(rng, (6, 5, 4, 3), np.float32).T[:, ::-1]
    weight = np.broadcast_to(integers(rng, (4, 1, 1, 2), np.float32), (4, 4, 3, 2))
    out = (3, 4, 3, 5)
    grad_y = np.broadcast_to(integers(rng, (1, 4, 3, 1), np.float32), out)
    before = [a.copy() for a in (x, weight, grad_y)]
    check(x, weight, grad_y, (1, 1), (0, 0), (1, 1), 1, (1,))
    for now, then in zip((x, weight, grad_y), before, strict=True):
        np.testing.assert_array_equal(now, then)


BAD = {
    "channels": ((2, 3, 9), (4, 2, 3), None, (2, 4, 7), (1,), (0,), (1,), 1),
    "groups": ((2, 4, 9), (4, 2, 3), None, (2, 4, 7), (1,), (0,), (1,), 3),
    "no groups": ((2, 3, 9), (4, 3, 3), None, (2, 4, 7), (1,), (0,), (1,), 0),
    "bias": ((2, 3, 9), (4, 3, 3), (3,), (2, 4, 7), (1,), (0,), (1,), 1),
    "stride": ((2, 3, 9), (4, 3, 3), None, (2, 4, 7), (0,), (0,), (1,), 1),
    "dilation": ((2, 3, 9), (4, 3, 3), None, (2, 4, 7), (1,), (0,), (-1,), 1),
    "options": ((2, 3, 9), (4, 3, 3), None, (2, 4, 7), (1, 1), (0,), (1,), 1),
    "rank": ((2, 3, 9), (4, 3, 3, 3), None, (2, 4, 7), (1,), (0,), (1,), 1),
    "no space": ((2, 3), (4, 3), None, (2, 4), (), (), (), 1),
    "four dims": ((1,) * 6, (1,) * 6, None, (1,) * 6, (1,) * 4, (0,) * 4, (1,) * 4, 1),
    "batch": ((2, 3, 9), (4, 3, 3), None, (1, 4, 7), (1,), (0,), (1,), 1),
}


@pytest.mark.parametrize("name", BAD)
def test_shapes_that_do_not_fit(name):
    x, weight, bias, out, *options = BAD[name]
    bias = None if bias is None else np.ones(bias)
    for _ in builds((1,)):
        with pytest.raises(_cpu.Fault, match="shape"):
            K.conv_fwd(np.ones(x), np.ones(weight), bias, out, *options)
        if bias is None:
            with pytest.raises(_cpu.Fault, match="shape"):
                K.conv_bwd_input(np.ones(out), np.ones(weight), None, x, *options)
            with pytest.raises(_cpu.Fault, match="shape"):
                K.conv_bwd_weight(np.ones(out), np.ones(x), weight, *options)


def test_dtypes():
    x, weight = np.ones((1, 1, 4), np.float32), np.ones((1, 1, 3))
    for _ in builds((1,)):
        with pytest.raises(_cpu.Fault, match="dtype"):
            K.conv_fwd(x, weight, None, (1, 1, 2), (1,), (0,), (1,), 1)
        whole = x.astype(np.int64)
        with pytest.raises(_cpu.Fault, match="dtype"):
            K.conv_fwd(whole, whole[:, :, :3], None, (1, 1, 2), (1,), (0,), (1,), 1)
