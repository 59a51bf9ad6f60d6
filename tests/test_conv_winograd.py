"""Winograd's convolution: its error, its bits, its switches; the planner of convolutions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from integer_grid import assert_same, integers

K = table("cpu")
cpu = gs.backends.cpu

#: rms and largest error, relative to the rms of the output, that each tile may have.
BOUNDS = {
    "winograd_4x4": (2.5e-6, 5e-5),
    "winograd_3x3": (2.5e-6, 5e-5),
    "winograd_2x2": (8e-7, 1e-5),
}

# (N, C, K, H, W, padding)
SHAPES = {
    "whole tiles": (2, 64, 32, 16, 16, (1, 1)),
    "odd sizes": (2, 33, 37, 9, 13, (0, 0)),
    "more padding": (1, 40, 64, 21, 23, (2, 2)),
    "uneven padding": (3, 32, 33, 6, 11, (0, 2)),
    "padding beyond the filter": (1, 32, 32, 5, 6, (4, 3)),
    "rows longer than a block": (1, 32, 32, 6, 230, (1, 1)),
    "many blocks, many filters": (3, 34, 130, 30, 26, (1, 1)),
    "few tiles, many channels": (1, 200, 70, 7, 7, (1, 1)),
    "one tile": (1, 32, 32, 3, 3, (1, 1)),
    "narrower than a tile": (4, 35, 50, 30, 2, (1, 1)),
    # The weight gradient: parts with sums of their own; planes of some tiles only.
    "last tiles of one": (2, 32, 40, 45, 41, (1, 1)),
    "last tiles of two and three": (3, 33, 34, 14, 15, (1, 1)),
    # All passes: planes that have not the last lines' or columns' tiles, of several vectors.
    "last tiles of one and two": (8, 32, 33, 13, 10, (1, 1)),
    "last tiles of three and one": (16, 33, 34, 7, 5, (1, 1)),
    "last tiles of two, three blocks": (20, 32, 40, 10, 15, (1, 1)),
    # What is fetched ahead: the next filters, by channels and by rows; outputs that no L2 holds.
    "channels in three parts": (2, 390, 40, 6, 6, (1, 1)),
    "large outputs": (2, 16, 80, 90, 100, (1, 1)),
    "last lines alone": (9, 35, 32, 6, 8, (1, 1)),
    "last columns alone": (8, 34, 32, 8, 5, (1, 1)),
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Fast, and what the tests choose put back."""
    before = cpu.conv_precision, cpu.conv_algorithm
    cpu.conv_precision = "fast"
    yield
    cpu.conv_precision, cpu.conv_algorithm = before


def arrays(shape: tuple) -> tuple[np.ndarray, ...]:
    n, c, k, h, w, (top, left) = shape
    rng = np.random.default_rng(0)
    sizes = (n, c, h, w), (k, c, 3, 3), (k,), (c,), (n, k, h + 2 * top - 2, w + 2 * left - 2)
    return tuple(rng.standard_normal(s, np.float32) for s in sizes)


def run(shape: tuple, x, weight, bias, bias_x, grad_y) -> tuple[np.ndarray, ...]:
    """The three passes; the weight gradient has tiles of 4 x 4 only."""
    options = ((1, 1), shape[-1], (1, 1), 1)
    found = (
        K.conv_fwd(x, weight, bias, grad_y.shape, *options),
        K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *options),
    )
    if cpu.conv_algorithm in ("winograd_2x2", "winograd_3x3"):
        return found
    return *found, K.conv_bwd_weight(grad_y, x, weight.shape, *options)


@pytest.mark.parametrize("algorithm", BOUNDS)
@pytest.mark.parametrize("name", SHAPES)
def test_error_and_bits(name: str, algorithm: str, isa: str) -> None:
    """Within its bound of float64 in every build, with the same bits on any number of threads."""
    shape = SHAPES[name]
    data = arrays(shape)
    exact = run(shape, *(a.astype(np.float64) for a in data))
    direct = None
    before = _cpu.num_threads()
    bits = set()
    try:
        for threads in (1, 2, 7):
            _cpu.set_num_threads(threads)
            cpu.conv_algorithm = algorithm
            got = run(shape, *data)
            bits.add(b"".join(a.tobytes() for a in got))
            x, weight, bias, _, residual = data
            options = ((1, 1), shape[-1], (1, 1), 1)
            y = K.conv_epilogue(x, weight, bias, residual, residual.shape, *options, 1)
            assert np.array_equal(y, np.maximum(got[0] + residual, 0))
    finally:
        _cpu.set_num_threads(before)
    assert len(bits) == 1
    cpu.conv_precision = "exact"
    direct = run(shape, *data)
    most_rms, most = BOUNDS[algorithm]
    for a, b, other in zip(got, exact, direct, strict=False):
        scale = np.sqrt(np.mean(b * b))
        error = np.abs(a - b) / scale
        assert np.sqrt(np.mean(error * error)) < most_rms
        assert error.max() < most
        assert not np.array_equal(a, other), "not Winograd's"


def test_weight_gradient_of_several_stretches(isa: str) -> None:
    """More planes than are made at once: sums go on where the last stretch left them."""
    shape = (2, 160, 160, 58, 50, (1, 1))
    x, weight, _, _, grad_y = arrays(shape)
    options = ((1, 1), (1, 1), (1, 1), 1)
    cpu.conv_algorithm = "winograd_4x4"
    got = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
    part = K.conv_bwd_weight(grad_y[:1], x[:1], weight.shape, *options)
    cpu.conv_precision = "exact"
    wanted = K.conv_bwd_weight(grad_y, x, weight.shape, *options)
    scale = np.sqrt(np.mean(wanted * wanted))
    assert np.abs(got - wanted).max() < BOUNDS["winograd_4x4"][1] * scale
    assert np.abs(part - wanted).max() > scale


@pytest.mark.parametrize("name", SHAPES)
def test_2x2_tiles_are_exact_on_integers(name: str, isa: str) -> None:
    """Its transforms halve at most: small integers leave no error. (4 x 4 divides by 3.)"""
    shape = SHAPES[name]
    rng = np.random.default_rng(1)
    data = [integers(rng, a.shape, np.float32) for a in arrays(shape)]
    cpu.conv_algorithm = "winograd_2x2"
    got = run(shape, *data)
    cpu.conv_algorithm = "direct"
    exact = run(shape, *(a.astype(np.float64) for a in data))
    for a, b in zip(got, exact, strict=False):
        assert_same(a, b, name)
    x, weight, bias, _, residual = data
    cpu.conv_algorithm = "winograd_2x2"
    y = K.conv_epilogue(
        x, weight, bias, residual, residual.shape, *((1, 1), shape[-1], (1, 1), 1), 1
    )
    assert_same(y, np.maximum(exact[0] + residual, 0), name)


def test_exact_and_float64_are_sums_in_order() -> None:
    """What a forced algorithm cannot compute, or must not, is computed as ever."""
    shape = SHAPES["whole tiles"]
    data = arrays(shape)
    cpu.conv_precision = "exact"
    expected = run(shape, *data)
    wide = run(shape, *(a.astype(np.float64) for a in data))
    cpu.conv_algorithm = "winograd_4x4"
    for a, b in zip(run(shape, *data), expected, strict=True):
        assert np.array_equal(a, b)
    cpu.conv_precision = "fast"
    for a, b in zip(run(shape, *(a.astype(np.float64) for a in data)), wide, strict=True):
        assert np.array_equal(a, b)
    x, weight = gs.randn(2, 3, 9, 9), gs.randn(4, 3, 5, 5)
    forced = gs.nn.functional.conv2d(x, weight, stride=2)
    cpu.conv_algorithm = "auto"
    assert np.array_equal(gs.nn.functional.conv2d(x, weight, stride=2).numpy(), forced.numpy())


@pytest.mark.parametrize("algorithm", ["auto", *BOUNDS])
def test_images_without_lines(algorithm: str, isa: str) -> None:
    cpu.conv_algorithm = algorithm
    y, grad_x, *grad_weight = run((1, 32, 40, 0, 9, (1, 1)), *arrays((1, 32, 40, 0, 9, (1, 1))))
    assert y.shape == (1, 40, 0, 9) and grad_x.shape == (1, 32, 0, 9)
    assert not any(g.any() for g in grad_weight)


def test_unbatched_and_bias() -> None:
    cpu.conv_algorithm = "winograd_4x4"
    x, weight, bias = gs.randn(32, 10, 10), gs.randn(33, 32, 3, 3), gs.randn(33)
    y = gs.nn.functional.conv2d(x, weight, bias, padding="same")
    assert y.shape == (33, 10, 10)
    again = gs.nn.functional.conv2d(x.unsqueeze(0), weight, padding=1)[0] + bias.reshape(33, 1, 1)
    assert np.abs((y - again).numpy()).max() < 1e-4


def test_nan_stays_within_the_tiles_that_read_it() -> None:
    """A NaN spreads over whole tiles of 4 x 4, and no further."""
    x, weight = np.ones((1, 32, 20, 20), np.float32), np.ones((32, 32, 3, 3), np.float32)
    x[0, 5, 9, 10] = np.nan
    cpu.conv_algorithm = "winograd_4x4"
    y = K.conv_fwd(x, weight, None, (1, 32, 20, 20), (1, 1), (1, 1), (1, 1), 1)
    reads = np.zeros((20, 20), bool)
    reads[8:12, 8:12] = True  # the input (9, 10) is in the patch of this tile alone
    assert np.isnan(y[0, :, reads]).all()
    assert not np.isnan(y[0][:, ~reads]).any()


@pytest.mark.parametrize("algorithm", BOUNDS)
def test_large_inputs(algorithm: str, isa: str) -> None:
    """Inputs up to a 49th of the largest number do not overflow, of any signs; in order, all."""
    signs = np.random.default_rng(0).choice(np.float32([-1, 1]), (1, 32, 20, 20))
    weight = np.full((32, 32, 3, 3), 1e-4, np.float32)
    options = (1, 32, 20, 20), (1, 1), (1, 1), (1, 1), 1
    cpu.conv_algorithm = algorithm
    assert np.isfinite(K.conv_fwd(signs * np.float32(6.9e36), weight, None, *options)).all()
    cpu.conv_precision = "exact"
    assert np.isfinite(K.conv_fwd(signs * np.float32(3.4e38), weight, None, *options)).all()


def test_settings_refuse_other_values() -> None:
    with pytest.raises(ValueError, match="conv_precision: must be one of fast, exact; got 'best'"):
        cpu.conv_precision = "best"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="conv_algorithm: must be one of auto, .*; got 'fft'"):
        cpu.conv_algorithm = "fft"
    with pytest.raises(ValueError, match="conv_algorithm: .* got None"):
        cpu.conv_algorithm = None  # type: ignore[assignment]
    for name in cpu.conv_algorithms():
        cpu.conv_algorithm = name
        assert cpu.conv_algorithm == name


def plan(*arguments, **options) -> tuple[str, ...]:
    return tuple(cpu.conv_plan(*arguments, **options).values())


def test_plans() -> None:
    """The planner says what it takes, and follows the settings and what the kernels can do."""
    shapes = (8, 64, 56, 56), (64, 64, 3, 3)
    every = "winograd_4x4"
    assert plan(*shapes, padding="same") == (every,) * 3
    assert plan(*shapes, stride=2) == ("direct",) * 3
    assert plan(*shapes, padding=1, dtype=gs.float64) == ("direct",) * 3
    assert plan((1, 3, 8, 8), (4, 3, 3, 3)) == ("direct",) * 3
    assert plan((8, 64, 56, 56), (64, 1, 3, 3), groups=64)[0] == "depthwise"
    assert plan((2, 512, 7, 7), (512, 512, 3, 3), stride=2)[1:] == ("columns",) * 2
    assert list(cpu.conv_plan(*shapes)) == ["forward", "input gradient", "weight gradient"]
    cpu.conv_algorithm = "winograd_2x2"
    assert plan(*shapes, padding=1) == ("winograd_2x2", "winograd_2x2", every)
    assert plan((8, 64, 56), (64, 64, 3)) == ("direct",) * 3
    cpu.conv_algorithm = "direct"
    assert plan((8, 64, 56, 56), (64, 1, 3, 3), groups=64) == ("direct",) * 3
    cpu.conv_algorithm = "auto"
    cpu.conv_precision = "exact"
    assert plan(*shapes, padding=1) == ("direct",) * 3
    with pytest.raises(RuntimeError, match="conv_plan: "):
        cpu.conv_plan((8, 64, 56, 56), (64, 63, 3, 3))


def test_plans_of_what_is_no_convolution() -> None:
    x, weight = (8, 64, 56, 56), (64, 64, 3, 3)
    cpu.conv_algorithm, cpu.conv_precision = "auto", "fast"
    half = plan(x, weight, padding=1, dtype=gs.float16)
    assert half == plan(list(x), list(weight), padding=1) == ("winograd_4x4",) * 3
    assert plan(x, weight, padding=1, dtype="float64") == ("direct",) * 3
    for dtype in (gs.int64, "double", np.float64):
        with pytest.raises(ValueError, match="conv_plan: dtype must be one of float32, .*; got"):
            cpu.conv_plan(x, weight, dtype=dtype)
    for bad in (None, 3, "ab"):
        with pytest.raises(TypeError, match="conv_plan: weight_shape must be a tuple of ints; got"):
            cpu.conv_plan(x, bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="conv_plan: size must be an int; got 64.0"):
        cpu.conv_plan((8, 64.0, 56, 56), weight)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="conv_plan: sizes must be >= 0; got"):
        cpu.conv_plan((8, -64, 56, 56), (64, -64, 3, 3))
    for n in (0, 4):
        with pytest.raises(RuntimeError, match="conv_plan: input_shape must be .* 1 to 3 spatial"):
            cpu.conv_plan((8, 64) + (9,) * n, (64, 64) + (3,) * n)


def test_environment_sets_the_precision() -> None:
    code = "import gradsmith as gs; print(gs.backends.cpu.conv_precision)"

    def run_with(value: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "GRADSMITH_CONV_PRECISION": value}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert run_with("Exact").stdout.strip() == "exact"
    assert "must be one of fast, exact; got 'slow'" in run_with("slow").stderr


@pytest.mark.parametrize("algorithm", BOUNDS)
def test_volumes_of_one_plane(algorithm: str) -> None:
    """(N, C, 1, H, W) is what (N, C, H, W) is."""
    x, weight, bias, bias_x, grad_y = arrays(SHAPES["uneven padding"])
    flat, deep = ((1, 1), (0, 2), (1, 1), 1), ((1, 1, 1), (0, 0, 2), (1, 1, 1), 1)
    cpu.conv_algorithm = algorithm
    wanted = (
        K.conv_fwd(x, weight, bias, grad_y.shape, *flat),
        K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *flat),
        K.conv_bwd_weight(grad_y, x, weight.shape, *flat),
    )
    x, weight, grad_y = (a[:, :, None] for a in (x, weight, grad_y))
    got = (
        K.conv_fwd(x, weight, bias, grad_y.shape, *deep),
        K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *deep),
        K.conv_bwd_weight(grad_y, x, weight.shape, *deep),
    )
    for a, b in zip(got, wanted, strict=True):
        assert np.array_equal(a[:, :, 0], b)


def grouped(n: int, c: int, k: int, size: tuple[int, int], kernel: int, groups: int, seed: int = 0):
    """x, weight, bias, the input gradient's bias, and grad_y of a padded convolution."""
    rng = np.random.default_rng(seed)
    shapes = (n, c, *size), (k, c // groups, kernel, kernel), (k,), (c,), (n, k, *size)
    return tuple(rng.standard_normal(s, np.float32) for s in shapes)


@pytest.mark.parametrize("name", SHAPES)
def test_5x5_filters(name: str, isa: str) -> None:
    """F(2x2, 5x5): within the bound of tiles of 4 x 4, the same bits on any number of threads."""
    n, c, k, h, w, (top, left) = SHAPES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w), np.float32)
    weight = rng.standard_normal((k, c, 5, 5), np.float32)
    bias, bias_x = rng.standard_normal(k, np.float32), rng.standard_normal(c, np.float32)
    grad_y = rng.standard_normal((n, k, h + 2 * top - 2, w + 2 * left - 2), np.float32)
    options = ((1, 1), (top + 1, left + 1), (1, 1), 1)

    def both(dtype: type) -> tuple[np.ndarray, ...]:
        a = [v.astype(dtype) for v in (x, weight, bias, bias_x, grad_y)]
        return (
            K.conv_fwd(*a[:3], grad_y.shape, *options),
            K.conv_bwd_input(a[4], a[1], a[3], x.shape, *options),
        )

    before, bits = _cpu.num_threads(), set()
    exact = both(np.float64)
    cpu.conv_algorithm = "winograd_2x2"
    assert plan(x.shape, weight.shape, padding=options[1])[:2] == ("winograd_2x2",) * 2
    try:
        for threads in (1, 2, 7):
            _cpu.set_num_threads(threads)
            got = both(np.float32)
            bits.add(b"".join(a.tobytes() for a in got))
            y = K.conv_epilogue(x, weight, bias, grad_y, grad_y.shape, *options, 1)
            assert np.array_equal(y, np.maximum(got[0] + grad_y, 0))
    finally:
        _cpu.set_num_threads(before)
    assert len(bits) == 1
    cpu.conv_algorithm = "direct"
    most_rms, most = BOUNDS["winograd_4x4"]
    for a, b, direct in zip(got, exact, both(np.float32), strict=True):
        scale = np.sqrt(np.mean(b * b))
        error = np.abs(a - b) / scale
        assert np.sqrt(np.mean(error * error)) < most_rms
        assert error.max() < most
        assert not np.array_equal(a, direct), "not Winograd's"


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize(("kernel", "algorithm"), [(5, "winograd_2x2"), *((3, a) for a in BOUNDS)])
def test_groups_are_convolutions_of_their_own(kernel: int, algorithm: str, groups: int) -> None:
    """Bit for bit, with a bias and an epilogue, for many tiles and for few."""
    options = ((1, 1), (kernel // 2,) * 2, (1, 1))
    cpu.conv_algorithm = algorithm
    for size in ((19, 33), (6, 7)):
        x, weight, bias, bias_x, grad_y = grouped(2, 17 * groups, 19 * groups, size, kernel, groups)
        y = K.conv_fwd(x, weight, bias, grad_y.shape, *options, groups)
        relu = K.conv_epilogue(x, weight, bias, grad_y, grad_y.shape, *options, groups, 1)
        grad_x = K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *options, groups)
        assert np.array_equal(relu, np.maximum(y + grad_y, 0))
        for g in range(groups):
            ins, outs = slice(17 * g, 17 * g + 17), slice(19 * g, 19 * g + 19)
            part, of_x = np.ascontiguousarray(grad_y[:, outs]), np.ascontiguousarray(x[:, ins])
            alone = K.conv_fwd(of_x, weight[outs], bias[outs], part.shape, *options, 1)
            assert np.array_equal(y[:, outs], alone)
            alone = K.conv_bwd_input(part, weight[outs], bias_x[ins], of_x.shape, *options, 1)
            assert np.array_equal(grad_x[:, ins], alone)


def test_dilated_5x5_filters() -> None:
    """By phases, copied and left in their places, within the bound."""
    for dilation in (2, 4):
        x, weight, bias, bias_x, grad_y = grouped(1, 20, 24, (21, 18), 5, 1)
        options = ((1, 1), (2 * dilation,) * 2, (dilation,) * 2, 1)
        wide = [a.astype(np.float64) for a in (x, weight, bias, bias_x, grad_y)]
        exact = (
            K.conv_fwd(*wide[:3], grad_y.shape, *options),
            K.conv_bwd_input(wide[4], wide[1], wide[3], x.shape, *options),
        )
        cpu.conv_algorithm = "phases"
        got = (
            K.conv_fwd(x, weight, bias, grad_y.shape, *options),
            K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *options),
        )
        for a, b in zip(got, exact, strict=True):
            error = np.abs(a - b) / np.sqrt(np.mean(b * b))
            assert np.sqrt(np.mean(error * error)) < BOUNDS["winograd_4x4"][0]
        cpu.conv_algorithm = "auto"


def test_plans_of_5x5_filters() -> None:
    """Winograd's where channels are many, groups alike; never for the weight's gradient."""
    tiles = ("winograd_2x2", "winograd_2x2", "direct")
    assert plan((8, 32, 28, 28), (96, 32, 5, 5), padding=2) == tiles
    assert plan((8, 96, 27, 27), (256, 48, 5, 5), padding=2, groups=2) == tiles
    assert plan((8, 96, 27, 27), (96, 6, 5, 5), padding=2, groups=16) == ("direct",) * 3
    assert plan((32, 6, 14, 14), (16, 6, 5, 5)) == ("direct",) * 3
    assert plan((8, 32, 28, 28), (96, 32, 5, 3), padding=(2, 1)) == ("direct",) * 3
    cpu.conv_precision = "exact"
    assert plan((8, 32, 28, 28), (96, 32, 5, 5), padding=2) == ("direct",) * 3


# (N, channels of a group, filters of a group, D, H, W, kernel, padding, groups)
VOLUMES = {
    "cube": (2, 16, 17, 5, 9, 11, (3, 3, 3), (1, 1, 1), 1),
    "many tiles": (1, 20, 33, 6, 30, 34, (3, 3, 3), (1, 1, 1), 1),
    "groups": (2, 16, 18, 4, 8, 13, (2, 3, 3), (1, 0, 2), 2),
    "no slices of filters": (1, 18, 16, 7, 10, 9, (1, 3, 3), (0, 1, 1), 1),
    "more padding than slices": (1, 16, 16, 2, 7, 8, (3, 3, 3), (4, 2, 1), 1),
    "5x5": (1, 17, 16, 4, 9, 14, (3, 5, 5), (1, 2, 2), 1),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes(name: str, isa: str) -> None:
    """Slices of filters as channels: within the bound of float64, the same bits on any threads."""
    n, depth, rows, d, h, w, kernel, padding, groups = VOLUMES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, depth * groups, d, h, w), np.float32)
    weight = rng.standard_normal((rows * groups, depth, *kernel), np.float32)
    bias, bias_x = (rng.standard_normal(c * groups, np.float32) for c in (rows, depth))
    sizes = (s + 2 * p - k + 1 for s, p, k in zip((d, h, w), padding, kernel, strict=True))
    grad_y = rng.standard_normal((n, rows * groups, *sizes), np.float32)
    options = ((1, 1, 1), padding, (1, 1, 1), groups)

    def both(dtype: type) -> tuple[np.ndarray, ...]:
        a = [v.astype(dtype) for v in (x, weight, bias, bias_x, grad_y)]
        return (
            K.conv_fwd(*a[:3], grad_y.shape, *options),
            K.conv_bwd_input(a[4], a[1], a[3], x.shape, *options),
        )

    before, exact = _cpu.num_threads(), both(np.float64)
    for algorithm in ("winograd_2x2",) if kernel[1] == 5 else BOUNDS:
        cpu.conv_algorithm = algorithm
        planned = plan(x.shape, weight.shape, padding=padding, groups=groups)
        assert planned[:2] == (algorithm,) * 2 and planned[2] == "direct"
        bits = set()
        try:
            for threads in (1, 2, 7):
                _cpu.set_num_threads(threads)
                got = both(np.float32)
                bits.add(b"".join(a.tobytes() for a in got))
        finally:
            _cpu.set_num_threads(before)
        assert len(bits) == 1
        y = K.conv_epilogue(x, weight, bias, grad_y, grad_y.shape, *options, 1)
        assert np.array_equal(y, np.maximum(got[0] + grad_y, 0))
        most_rms, most = BOUNDS["winograd_4x4" if kernel[1] == 5 else algorithm]
        for a, b in zip(got, exact, strict=True):
            error = np.abs(a - b) / np.sqrt(np.mean(b * b))
            assert np.sqrt(np.mean(error * error)) < most_rms
            assert error.max() < most


def test_plans_of_volumes() -> None:
    """Where channels are many, and stride and dilation in depth are 1."""
    shapes = (2, 16, 16, 32, 32), (32, 16, 3, 3, 3)
    assert plan(*shapes, padding=1) == ("winograd_4x4", "winograd_4x4", "direct")
    assert plan(*shapes, padding=1, stride=(2, 1, 1)) == ("direct",) * 3
    assert plan((1, 3, 16, 56, 56), (64, 3, 3, 3, 3), padding=1) == ("direct",) * 3
    cpu.conv_precision = "exact"
    assert plan(*shapes, padding=1) == ("direct",) * 3
