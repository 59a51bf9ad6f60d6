"""CPU pooling, 1 to 3 dimensions, against windows written out: exact on small integers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import sampled
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.layouts import lay_out, same_bits, unchanged
from gradsmith.testing.reference import pool as reference

K = table("cpu")
FLOATS = (np.float32, np.float64)
# kernel, stride, padding, dilation, size, dims, ceil_mode
GRID = [
    case
    for case in itertools.product(
        (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2), (4, 7, 19, 40), (1, 2, 3), (False, True)
    )
    if case[2] <= case[0] // 2
    and case[4] + 2 * case[2] > case[3] * (case[0] - 1)
    and not (case[5] == 3 and case[4] > 7)
    and not (case[5] == 2 and case[4] > 19)
]


NARROW = ((0, 1), (1, 1), (1, 2))  # the grid's size, of whose rows the last is one longer; dims


def outputs(size, kernel, stride, padding, dilation, ceil_mode):
    return tuple(reference.out_size(n, kernel, stride, padding, dilation, ceil_mode) for n in size)


def draw(rng, shape, dtype):
    return rng.integers(-9, 10, shape).astype(dtype)


def padded_only(size, kernel, stride, padding, dilation, out):
    """Whether a window has no element of the input (its dilation skips it): no index is right."""
    for n, count in zip(size, out, strict=True):
        for o in range(count):
            q = o * stride - padding + np.arange(kernel) * dilation
            if not ((q >= 0) & (q < n)).any():
                return True
    return False


@pytest.mark.parametrize("dtype", FLOATS)
def test_grid(dtype, isa):
    rng = np.random.default_rng(0)
    cases = sampled(GRID, 45)
    assert len(cases) >= 45
    # Rows of one and two elements, which the padding reaches across.
    cases = [*cases, *((k, 1, k // 2, 1, n, d, False) for k in (5, 7) for n, d in NARROW)]
    for kernel, stride, padding, dilation, size, dims, ceil_mode in cases:
        spatial = (size,) * (dims - 1) + (size + 1,)
        out = outputs(spatial, kernel, stride, padding, dilation, ceil_mode)
        if padded_only(spatial, kernel, stride, padding, dilation, out):
            continue
        shape = (2, 3, *spatial)
        options = ((kernel,) * dims, (stride,) * dims, (padding,) * dims)
        x = draw(rng, shape, dtype)
        grad = draw(rng, (2, 3, *out), dtype)
        same = unchanged(x, grad)
        y, indices = K.max_pool(x, (2, 3, *out), *options, (dilation,) * dims)
        want, places = reference.max_pool(x, kernel, stride, padding, dilation, ceil_mode, dims)
        assert np.array_equal(y, want) and y.dtype == dtype
        assert np.array_equal(indices, places) and indices.dtype == np.int32
        grad_x = K.max_pool_bwd(grad, indices, shape, *options, (dilation,) * dims)
        assert np.array_equal(grad_x, reference.max_pool_bwd(grad, places, shape))
        assert np.array_equal(K.max_pool_gather(x, indices), y)
        same()
        if dilation > 1:
            continue
        for include, divisor in ((True, 0), (False, 0), (True, 7)):
            got = K.avg_pool(x, (2, 3, *out), *options, include, divisor)
            options_of = (kernel, stride, padding, ceil_mode, include, divisor, dims)
            want = reference.avg_pool(x.astype(np.float64), *options_of)
            # the sum is exact; one rounding is left
            assert np.array_equal(got, want.astype(dtype))
            got = K.avg_pool_bwd(grad, shape, *options, include, divisor)
            want = reference.avg_pool_bwd(
                grad.astype(np.float64), shape, *options, include, divisor
            )
            eps = np.finfo(dtype).eps
            np.testing.assert_allclose(got, want, rtol=0, atol=9 * eps * kernel**dims)
        same()


@pytest.mark.parametrize("dtype", FLOATS)
def test_options_differ_by_dimension(dtype, isa):
    rng = np.random.default_rng(1)
    for kernel, stride, padding, dilation in (
        ((1, 2), (1, 2), (0, 0), (1, 1)),
        ((2, 1), (2, 1), (0, 0), (1, 1)),
        ((3, 2), (1, 2), (1, 0), (2, 1)),
        ((2, 20), (2, 20), (0, 3), (1, 1)),
        ((20, 2), (3, 2), (10, 1), (1, 1)),
    ):
        x = draw(rng, (1, 2, 25, 46), dtype)
        out = tuple(
            reference.out_size(n, k, s, p, d, False)
            for n, k, s, p, d in zip((25, 46), kernel, stride, padding, dilation, strict=True)
        )
        want, places = reference.max_pool(x, kernel, stride, padding, dilation)
        y, indices = K.max_pool(x, (1, 2, *out), kernel, stride, padding, dilation)
        assert np.array_equal(y, want) and np.array_equal(indices, places)
        if dilation == (1, 1):
            got = K.avg_pool(x, (1, 2, *out), kernel, stride, padding, True, 0)
            want = reference.avg_pool(x.astype(np.float64), kernel, stride, padding)
            assert np.array_equal(got, want.astype(dtype))
            grad = draw(rng, (1, 2, *out), dtype)
            got = K.avg_pool_bwd(grad, x.shape, kernel, stride, padding, True, 0)
            want = reference.avg_pool_bwd(grad * 1.0, x.shape, kernel, stride, padding, True, 0)
            np.testing.assert_allclose(got, want, rtol=0, atol=400 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_2x2_of_every_width(dtype, isa):
    # the fast path: full vectors, tails, odd rows and columns that no window covers
    rng = np.random.default_rng(2)
    options = ((2, 2), (2, 2), (0, 0))
    for width in (2, 3, 8, 15, 16, 17, 31, 32, 33, 50, 64, 66, 67):
        for height in (2, 5, 6):
            x = draw(rng, (2, 2, height, width), dtype)
            out = (2, 2, height // 2, width // 2)
            grad = draw(rng, out, dtype)
            y, indices = K.max_pool(x, out, *options, (1, 1))
            want, places = reference.max_pool(x, 2)
            assert np.array_equal(y, want) and np.array_equal(indices, places)
            got = K.max_pool_bwd(grad, indices, x.shape, *options, (1, 1))
            assert np.array_equal(got, reference.max_pool_bwd(grad, places, x.shape))
            got = K.avg_pool_bwd(grad, x.shape, *options, True, 0)
            assert np.array_equal(
                got, reference.avg_pool_bwd(grad, x.shape, (2, 2), (2, 2), (0, 0), True, 0)
            )
            # indices that no forward gave: still added where they point
            places = rng.integers(0, height * width, out).astype(np.int32)
            got = K.max_pool_bwd(grad, places, x.shape, *options, (1, 1))
            assert np.array_equal(got, reference.max_pool_bwd(grad, places, x.shape))


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_in_every_place(dtype, isa):
    with np.errstate(invalid="ignore"):
        for kernel, stride, padding, width in ((2, 2, 0, 40), (3, 2, 1, 37), (3, 1, 1, 21)):
            out = outputs((4, width), kernel, stride, padding, 1, False)
            options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
            for value in (np.nan, np.inf, -np.inf):
                for row, column in [(i % 3, i) for i in range(width)]:
                    x = np.linspace(-1, 1, 4 * width).astype(dtype).reshape(1, 1, 4, width)
                    x[0, 0, row, column] = value
                    y, indices = K.max_pool(x, (1, 1, *out), *options, (1, 1))
                    want, places = reference.max_pool(x, kernel, stride, padding)
                    np.testing.assert_array_equal(y, want)
                    assert np.array_equal(indices, places)
                    got = K.avg_pool(x, (1, 1, *out), *options, False, 0)
                    want = reference.avg_pool(x * 1.0, kernel, stride, padding, False, False)
                    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    low = np.full((1, 2, 6, 35), -np.inf, dtype)
    y, indices = K.max_pool(low, (1, 2, 3, 18), (3, 3), (2, 2), (1, 1), (1, 1))
    assert (y == -np.inf).all()
    assert np.array_equal(indices, reference.max_pool(low, 3, 2, 1)[1])
    two = np.zeros((1, 1, 2, 2), dtype)
    two[...] = np.nan
    assert K.max_pool(two, (1, 1, 1, 1), (2, 2), (2, 2), (0, 0), (1, 1))[1].tolist() == [[[[3]]]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_windows_that_share_rows(dtype, isa):
    """Planes of several chunks of rows; a dilated second window starts above the first."""
    rng = np.random.default_rng(3)
    for kernel, stride, padding, dilation in (
        (3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 1, 2), (5, 2, 2, 1), (4, 3, 1, 1), (2, 1, 1, 1)
    ):  # fmt: skip
        x = draw(rng, (1, 2, 37, 41), dtype)
        x[rng.random(x.shape) < 0.5] = -np.inf
        out = outputs((37, 41), kernel, stride, padding, dilation, False)
        options = [(v, v) for v in (kernel, stride, padding, dilation)]
        y, indices = K.max_pool(x, (1, 2, *out), *options)
        want, places = reference.max_pool(x, kernel, stride, padding, dilation, False, 2)
        assert np.array_equal(y, want) and np.array_equal(indices, places)


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_windows_side_by_side(dtype, isa):
    """By columns, two windows to a vector or one: ties, windows of -inf alone, NaNs."""
    rng = np.random.default_rng(5)
    for kernel, stride, padding, ceil_mode in (
        ((8, 8), (8, 8), (0, 0), False), ((8, 8), (8, 8), (3, 0), True),
        ((7, 7), (7, 7), (0, 0), True), ((9, 4), (9, 4), (2, 0), False),
        ((11, 9), (12, 10), (0, 0), False), ((4, 16), (5, 18), (0, 0), False),
        ((9, 5), (11, 4), (0, 0), False), ((2, 17), (2, 17), (0, 0), False),
        ((3, 5, 6), (3, 5, 6), (1, 0, 0), False), ((2, 4, 4), (2, 4, 4), (0, 2, 0), False),
    ):  # fmt: skip
        dims = len(kernel)
        size = (7, 37, 61)[-dims:]
        for fill in (0, np.nan, -np.inf):
            x = rng.integers(-2, 3, (1, 2, *size)).astype(dtype)
            x[rng.random(x.shape) < (0.02 if np.isnan(fill) else 0.6)] = fill
            x[0, 1, ..., :20, :20] = fill
            want, places = reference.max_pool(x, kernel, stride, padding, 1, ceil_mode, dims)
            y, indices = K.max_pool(x, want.shape, kernel, stride, padding, (1,) * dims)
            np.testing.assert_array_equal(y, want)
            np.testing.assert_array_equal(indices, places)


@pytest.mark.parametrize("dtype", FLOATS)
def test_same_bits_on_any_threads(dtype, isa):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 7, 33, 61)).astype(dtype)
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 1, 1), (8, 8, 0)):
        out = (5, 7, *outputs((33, 61), kernel, stride, padding, 1, False))
        options = ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
        grad = rng.standard_normal(out).astype(dtype)
        _, indices = same_bits(lambda o=options, s=out: K.max_pool(x, s, *o, (1, 1)))
        for run in (
            lambda o=options, g=grad, i=indices: K.max_pool_bwd(g, i, x.shape, *o, (1, 1)),
            lambda i=indices: K.max_pool_gather(x, i),
            lambda o=options, s=out: K.avg_pool(x, s, *o, True, 0),
            lambda o=options, g=grad: K.avg_pool_bwd(g, x.shape, *o, True, 0),
        ):
            same_bits(run)


def test_layouts(isa):
    # not contiguous: the entry copies first
    x = draw(np.random.default_rng(4), (2, 3, 8, 20), np.float32)
    want, places = reference.max_pool(x, 2)
    for layout in ("transposed", "reversed", "stepped", "misaligned", "offset"):
        view = lay_out(x, layout)
        y, indices = K.max_pool(view, (2, 3, 4, 10), (2, 2), (2, 2), (0, 0), (1, 1))
        assert np.array_equal(y, want) and np.array_equal(indices, places)
        got = K.avg_pool(view, (2, 3, 4, 10), (2, 2), (2, 2), (0, 0), True, 0)
        assert np.array_equal(got, reference.avg_pool(x, 2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_global_average(dtype, isa):
    rng = np.random.default_rng(5)
    for size in ((1, 1), (7, 7), (3, 40), (40, 3), (56, 56)):
        x = rng.standard_normal((2, 3, *size)).astype(dtype)
        got = K.avg_pool(x, (2, 3, 1, 1), size, size, (0, 0), True, 0)
        want = x.astype(np.float64).mean((2, 3), keepdims=True)
        np.testing.assert_allclose(got, want, atol=40 * np.finfo(dtype).eps)
        grad = rng.standard_normal((2, 3, 1, 1)).astype(dtype)
        got = K.avg_pool_bwd(grad, x.shape, size, size, (0, 0), True, 0)
        assert np.array_equal(got, np.broadcast_to(grad / dtype(size[0] * size[1]), x.shape))


def test_empty(isa):
    for shape, out in (((0, 3, 8, 8), (0, 3, 4, 4)), ((2, 0, 8, 8), (2, 0, 4, 4))):
        x, grad = np.zeros(shape, np.float32), np.zeros(out, np.float32)
        options = ((2, 2), (2, 2), (0, 0))
        y, indices = K.max_pool(x, out, *options, (1, 1))
        assert y.shape == indices.shape == out
        assert K.max_pool_bwd(grad, indices, shape, *options, (1, 1)).shape == shape
        assert K.max_pool_gather(x, indices).shape == out
        assert K.avg_pool(x, out, *options, True, 0).shape == out
        assert K.avg_pool_bwd(grad, shape, *options, True, 0).shape == shape


def test_refusals(isa):
    x = np.zeros((2, 3, 4, 4), np.float32)
    grad = np.ones((2, 3, 2, 2), np.float32)
    options = ((2, 2), (2, 2), (0, 0))
    for kernel in (((0, 2), (2, 2), (0, 0)), ((2, 2), (0, 2), (0, 0)), ((2,), (2,), (0,))):
        with pytest.raises(_cpu.Fault):
            K.max_pool(x, grad.shape, *kernel, (1, 1))
        with pytest.raises(_cpu.Fault):
            K.avg_pool(x, grad.shape, *kernel, True, 0)
    with pytest.raises(_cpu.Fault):
        K.max_pool(x, grad.shape, *options, (0, 1))
    with pytest.raises(_cpu.Fault):
        K.max_pool(x.astype(np.int32), grad.shape, *options, (1, 1))
    for bad in (-1, 16, 2**31 - 1, -(2**31)):
        for place in (0, 5, 23):
            indices = np.zeros((2, 3, 2, 2), np.int32)
            indices.reshape(-1)[place] = bad
            indices.reshape(-1)[-1] = bad
            for call in (
                lambda i=indices: K.max_pool_bwd(grad, i, x.shape, *options, (1, 1)),
                lambda i=indices: K.max_pool_bwd(grad, i, x.shape, (2, 2), (2, 1), (0, 0), (1, 1)),
                lambda i=indices: K.max_pool_gather(x, i),
            ):
                with pytest.raises(_cpu.Fault) as fault:
                    call()
                assert fault.value.args[1:] == ("index", (bad, 16))
