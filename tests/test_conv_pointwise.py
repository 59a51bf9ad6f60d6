"""Convolutions with kernels of one element: exact on an integer grid, on every build."""

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.backends import cpu
from gradsmith.kernels import table
from gradsmith.nn import functional as F
from integer_grid import assert_same, builds, integers

K = table("cpu")

# (images, channels in, out, positions, groups)
SHAPES = {
    "whole vectors": (2, 24, 16, (8, 8), 1),
    "a last tile that starts earlier": (2, 19, 17, (13, 11), 1),
    "small images, joined": (11, 40, 24, (7, 7), 1),
    "tiny images, joined": (13, 16, 20, (3, 3), 1),
    "several chains of channels": (1, 530, 300, (9, 9), 1),
    "slices of positions": (2, 16, 48, (40, 41), 1),
    "groups": (2, 48, 24, (10, 10), 2),
    "one dim": (5, 24, 72, (56,), 3),
    "three dims": (2, 9, 100, (3, 17, 5), 1),
    "one position": (3, 16, 8, (1, 1), 1),
    "one channel out": (2, 64, 1, (20, 20), 1),
    "two channels out": (2, 64, 2, (20, 20), 1),
    "three channels out, chunks of positions": (3, 41, 3, (50, 41), 1),
    "few channels out of each group": (3, 32, 8, (7, 7), 2),
    "few channels": (2, 3, 40, (20, 20), 1),
    "many weights": (1, 1100, 264, (4, 12), 1),
    "side by side, a plane's last lanes": (3, 144, 272, (14, 14), 2),
    "side by side, several chains": (5, 300, 150, (5, 7), 1),
    "side by side, weights beyond the cache": (9, 1100, 264, (7, 7), 1),
    "what is left over of eight images": (8, 70, 130, (7, 7), 1),
    "what is left over, more than a vector": (7, 24, 40, (5, 5), 2),
    "what is left over, few rows": (8, 64, 8, (7, 9), 1),
    "what is left over, rows apart": (3, 132, 264, (14, 14), 1),
    "results fetched in turns": (2, 100, 72, (12, 16), 1),
    "short sums, many panels of results": (3, 200, 11, (14, 14), 1),
    "turned weights, two panels at once, an odd row": (2, 40, 33, (7, 8), 1),
    "turned weights, odd panels of groups": (2, 48, 42, (6, 7), 2),
    "three blocks of rows": (8, 528, 20, (14, 14), 1),
    "side by side, planes shorter than a vector": (37, 20, 33, (2, 3), 1),
}


def expected(x, weight, grad_y, groups):
    """The three passes in float64."""
    n, c, k = len(x), x.shape[1] // groups, len(weight) // groups
    x3 = x.reshape(n, groups, c, -1).astype(np.float64)
    w3 = weight.reshape(groups, k, c).astype(np.float64)
    g3 = grad_y.reshape(n, groups, k, -1).astype(np.float64)
    return (
        np.matmul(w3, x3).reshape(grad_y.shape),
        np.matmul(w3.transpose(0, 2, 1), g3).reshape(x.shape),
        np.matmul(g3, x3.transpose(0, 1, 3, 2)).sum(0).reshape(weight.shape),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SHAPES)
def test_pointwise_is_exact(name, dtype):
    n, c, k, positions, groups = SHAPES[name]
    rng = np.random.default_rng(0)
    ones, zeros = (1,) * len(positions), (0,) * len(positions)
    x = integers(rng, (n, c, *positions), dtype)
    weight = integers(rng, (k, c // groups, *ones), dtype)
    grad_y = integers(rng, (n, k, *positions), dtype)
    options = (ones, zeros, ones, groups)
    y, grad_x, grad_weight = expected(x, weight, grad_y, groups)
    bias_y, bias_x = integers(rng, (k,), dtype), integers(rng, (c,), dtype)
    column = (1, -1, *ones)
    for build in builds((1, 3)):
        got = K.conv_fwd(x, weight, None, grad_y.shape, *options)
        assert_same(got, y, ("conv_fwd", build))
        got = K.conv_fwd(x, weight, bias_y, grad_y.shape, *options)
        assert_same(got, y + bias_y.reshape(column), ("conv_fwd, bias", build))
        got = K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *options)
        assert_same(got, grad_x + bias_x.reshape(column), ("conv_bwd_input", build))
        got = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
        assert_same(got, grad_weight, ("conv_bwd_weight", build))


@pytest.mark.parametrize(
    "name",
    [
        "several chains of channels",
        "what is left over of eight images",
        "three channels out, chunks of positions",
    ],
)
def test_bits_for_every_number_of_threads_and_every_address(name):
    """Parts of images, tiles or rows; x read in place, at any offset from a line, or copied."""
    n, c, k, positions, groups = SHAPES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, *positions), np.float32)
    weight = rng.standard_normal((k, c, 1, 1), np.float32)
    grad_y = rng.standard_normal((n, k, *positions), np.float32)
    options = ((1, 1), (0, 0), (1, 1), groups)
    room = np.empty(x.size + 16, np.float32)
    found = set()
    before = gs.get_num_threads()
    try:
        for threads in (1, 2, 3, 7):
            gs.set_num_threads(threads)
            for offset in (0, 1, 12):
                moved = room[offset : offset + x.size].reshape(x.shape)
                moved[:] = x
                y = K.conv_fwd(moved, weight, None, grad_y.shape, *options)
                found.add(
                    (
                        y.tobytes(),
                        K.conv_bwd_input(grad_y, weight, None, x.shape, *options).tobytes(),
                        K.conv_bwd_weight(grad_y, moved, weight.shape, *options).tobytes(),
                    )
                )
    finally:
        gs.set_num_threads(before)
    assert len(found) == 1


# (images, channels in, out, positions in, stride, positions out)
STRIDED = {
    "even": (2, 16, 24, (12, 56), (2, 2), (6, 28)),
    "rows shorter than a vector": (3, 40, 24, (14, 14), (2, 2), (7, 7)),
    "a vector and some": (3, 16, 24, (9, 39), (2, 2), (5, 20)),
    "rows that nothing reads": (2, 16, 24, (14, 30), (3, 2), (4, 15)),
    "odd": (2, 16, 24, (13, 15), (2, 2), (7, 8)),
    "other strides": (2, 16, 24, (13, 35), (2, 3), (6, 11)),
    "inputs beyond the last one read": (1, 8, 8, (9, 20, 36), (3, 1, 2), (3, 20, 17)),
    "one dim": (3, 9, 40, (31,), (4,), (8,)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", STRIDED)
def test_strides_are_exact(name, dtype):
    n, c, k, inner, stride, out = STRIDED[name]
    rng = np.random.default_rng(0)
    ones, zeros = (1,) * len(inner), (0,) * len(inner)
    x = integers(rng, (n, c, *inner), dtype)
    weight = integers(rng, (k, c, *ones), dtype)
    grad_y = integers(rng, (n, k, *out), dtype)
    bias = integers(rng, (c,), dtype)
    options = (stride, zeros, ones, 1)
    read = (..., *(slice(0, (o - 1) * s + 1, s) for o, s in zip(out, stride, strict=True)))
    y, grad_read, grad_weight = expected(x[read], weight, grad_y, 1)
    grad_x = np.zeros(x.shape)
    grad_x[read] = grad_read
    for build in builds((1, 3)):
        got = K.conv_fwd(x, weight, None, grad_y.shape, *options)
        assert_same(got, y, ("conv_fwd", build))
        got = K.conv_bwd_input(grad_y, weight, None, x.shape, *options)
        assert_same(got, grad_x, ("conv_bwd_input", build))
        got = K.conv_bwd_input(grad_y, weight, bias, x.shape, *options)
        assert_same(got, grad_x + bias.reshape(1, -1, *ones), ("conv_bwd_input, bias", build))
        got = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
        assert_same(got, grad_weight, ("conv_bwd_weight", build))


def test_results_beyond_the_cache():
    """They are stored past it: 18 MB, where it has 32."""
    rng = np.random.default_rng(0)
    x, weight = (
        integers(rng, (1, 8, 336, 336), np.float32),
        integers(rng, (40, 8, 1, 1), np.float32),
    )
    y = K.conv_fwd(x, weight, None, (1, 40, 336, 336), (1, 1), (0, 0), (1, 1), 1)
    assert np.array_equal(y.reshape(40, -1), weight.reshape(40, 8) @ x.reshape(8, -1))
    # More than one chain of channels.
    x = integers(rng, (1, 264, 112, 112), np.float32)
    weight = integers(rng, (344, 264, 1, 1), np.float32)
    y = K.conv_fwd(x, weight, None, (1, 344, 112, 112), (1, 1), (0, 0), (1, 1), 1)
    assert np.array_equal(y.reshape(344, -1), weight.reshape(344, 264) @ x.reshape(264, -1))
    x = integers(rng, (1, 8, 336, 336), np.float32)
    # Planes small enough to be put together before they are stored, and larger ones.
    for size, channels in ((240, 80), (336, 40)):
        grad_y = x[:, :, : size // 2, : size // 2].copy()
        weight = integers(rng, (8, channels, 1, 1), np.float32)
        options = ((1, channels, size, size), (2, 2), (0, 0), (1, 1), 1)
        grad_x = K.conv_bwd_input(grad_y, weight, None, *options)
        product = weight.reshape(8, channels).T @ grad_y.reshape(8, -1)
        assert np.array_equal(grad_x[0, :, ::2, ::2].reshape(channels, -1), product)
        assert not grad_x[0, :, 1::2].any() and not grad_x[0, :, :, 1::2].any()


def test_the_plan_says_so():
    plan = cpu.conv_plan((8, 256, 14, 14), (64, 256, 1, 1))
    assert set(plan.values()) == {"pointwise"}
    plan = cpu.conv_plan((8, 256, 14, 14), (64, 256, 1, 1), stride=2)
    assert set(plan.values()) == {"pointwise"}
    for shape, options in (((64, 256, 1, 1), {"padding": 1}), ((64, 256, 1, 2), {})):
        plan = cpu.conv_plan((8, 256, 14, 14), shape, **options)
        assert "pointwise" not in plan.values()
    cpu.conv_algorithm = "direct"
    try:
        plan = cpu.conv_plan((8, 256, 14, 14), (64, 256, 1, 1))
    finally:
        cpu.conv_algorithm = "auto"
    assert set(plan.values()) == {"direct"}


def test_nothing_outside_is_read():
    """What is not finite stays in its own position, channel or sum."""
    x = np.ones((2, 16, 5, 13), np.float32)
    weight = np.ones((9, 16, 1, 1), np.float32)
    grad_y = np.ones((2, 9, 5, 13), np.float32)
    x[0, 3, 4, 12] = np.inf
    grad_y[1, 8, 0, 0] = np.nan
    options = ((1, 1), (0, 0), (1, 1), 1)
    y = K.conv_fwd(x, weight, None, grad_y.shape, *options)
    assert np.isinf(y[0, :, 4, 12]).all() and np.isfinite(y).sum() == y.size - 9
    grad_x = K.conv_bwd_input(grad_y, weight, None, x.shape, *options)
    assert np.isnan(grad_x[1, :, 0, 0]).all() and np.isfinite(grad_x).sum() == grad_x.size - 16
    grad_weight = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
    assert np.isnan(grad_weight[8]).all() and np.isinf(grad_weight[:8, 3]).all()
    assert np.isfinite(grad_weight).sum() == 8 * 15


@pytest.mark.parametrize("size", [7, 8, 11, 13])
def test_epilogues(size):
    """The activation and the residual, with each way in which results are stored."""
    rng = np.random.default_rng(0)
    x = gs.tensor(integers(rng, (3, 16, size, size), np.float32))
    weight = gs.tensor(integers(rng, (24, 16, 1, 1), np.float32))
    bias = gs.tensor(integers(rng, (24,), np.float32))
    residual = gs.tensor(integers(rng, (3, 24, size, size), np.float32))
    y = F.conv2d_activation(x, weight, bias, activation="relu", residual=residual)
    expected = F.relu(F.conv2d(x, weight, bias) + residual)
    assert np.array_equal(y.numpy(), expected.numpy())


def test_memory_of_tiles_that_is_out():
    """For what a thread gathers, too: no result, and no crash."""
    rng = np.random.default_rng(0)
    x = integers(rng, (5, 40, 7, 7), np.float32)
    weight = integers(rng, (24, 40, 1, 1), np.float32)
    shape, options = (5, 24, 7, 7), ((1, 1), (0, 0), (1, 1), 1)
    y = K.conv_fwd(x, weight, None, shape, *options)
    failed = 0
    for nth in (1, 2, 3, 4):
        _cpu.empty_cache()
        _cpu.fail_allocation(nth)
        try:
            again = K.conv_fwd(x, weight, None, shape, *options)
        except MemoryError:
            failed += 1
        else:
            assert np.array_equal(again, y)
        finally:
            _cpu.fail_allocation(0)
    assert failed >= 2


def test_memory_that_is_out():
    x, weight = np.ones((1, 16, 8, 8), np.float32), np.ones((16, 16, 1, 1), np.float32)
    options = ((1, 1), (0, 0), (1, 1), 1)
    for nth in (1, 2):
        _cpu.fail_allocation(nth)
        try:
            with pytest.raises(MemoryError):
                K.conv_bwd_weight(x, x, weight.shape, *options)
        finally:
            _cpu.fail_allocation(0)
