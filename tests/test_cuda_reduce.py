"""CUDA reductions in the emulator, against NumPy in float64."""

import itertools
import math

import numpy as np
import pytest
from cuda_arrays import (
    K,
    all_dims,
    close,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_float,
    every_schedule,
    host,
    kept_shape,
    layouts,
    rng,
)
from gradsmith import _cpu
from gradsmith._cpu import Fault
from gradsmith.kernels.cuda import emulator, memory

#: (shape, dims): teams of one thread, of part of a warp, of several warps; results side by side;
#: vectors with and without a tail; chunks folded by a second launch.
REDUCTIONS = [
    ((1,), (0,)),
    ((5,), (0,)),
    ((3, 7), (1,)),
    ((3, 7), (0,)),
    ((130, 3), (1,)),
    ((3, 64), (1,)),
    ((2, 1024), (1,)),
    ((1029,), (0,)),
    ((1500, 3), (0,)),
    ((70, 40), (0,)),
    ((4, 3, 8, 8), (0, 2, 3)),
    ((2, 5, 6), (0, 2)),
    ((40, 2, 100), (0, 2)),
    ((70_001,), (0,)),
    ((3, 18_000), (1,)),
    ((18_000, 3), (0,)),
    ((2, 3, 4, 5, 2), (1, 3)),
    ((2, 3), ()),
]


def check_sums(x, on_device, dims, dtype):
    expected = x.astype(np.float64).sum(dims)
    scale = np.abs(x.astype(np.float64)).sum(dims)
    count = math.prod(x.shape[d] for d in dims)
    out = kept_shape(x.shape, dims)
    close(host(K["sum"](on_device, dims, out)), expected, scale, dtype)
    close(host(K["mean"](on_device, dims, out)), expected / count, scale / count, dtype)
    kept = kept_shape(x.shape, dims, True)
    np.testing.assert_array_equal(
        host(K["amax"](on_device, dims, kept)), x.max(dims, keepdims=True)
    )


@every_float
@pytest.mark.parametrize("shape,dims", REDUCTIONS)
def test_reductions(shape, dims, dtype):
    x = rng().standard_normal(shape).astype(dtype)
    check_sums(x, device(x), dims, dtype)


@every_float
@pytest.mark.parametrize("dims", all_dims(4))
def test_reductions_over_any_dims_and_layout(dims, dtype):
    x = rng(1).standard_normal((3, 4, 1, 10)).astype(dtype)
    for _, on_device in layouts(x):
        check_sums(x, on_device, dims, dtype)


def test_reductions_of_expanded_arrays():
    row = rng(2).standard_normal(6).astype(np.float32)
    x = np.broadcast_to(row, (5, 6))
    expanded = memory.strided(device(row), (5, 6), (0, 4))
    for dims in all_dims(2):
        check_sums(x, expanded, dims, np.float32)


@every_float
def test_sums_accumulate_in_float64(dtype):
    x = np.full(100_000, 0.1, dtype)
    got = host(K["sum"](device(x), (0,), ()))
    np.testing.assert_allclose(got, math.fsum(x), rtol=1e-7 if dtype is np.float32 else 1e-14)


@every_float
def test_reductions_of_nothing(dtype):
    x = device(np.zeros((3, 0, 2), dtype))
    np.testing.assert_array_equal(host(K["sum"](x, (1,), (3, 2))), np.zeros((3, 2)))
    np.testing.assert_array_equal(host(K["mean"](x, (1,), (3, 2))), np.full((3, 2), np.nan))
    assert host(K["sum"](x, (0, 2), (0,))).shape == (0,)
    assert host(K["amax"](x, (0,), (0, 2))).shape == (0, 2)
    assert host(K["sum"](x, (0, 1, 2), ())) == 0
    for name, args in (("amax", ((1,), (3, 2))), ("max_dim", (1, (3, 2)))):
        with pytest.raises(Fault) as fault:
            K[name](x, *args)
        assert fault.value.args == (name, "shape", 0)


@every_float
@pytest.mark.parametrize("n", [1, 5, 33, 300])
def test_maxima_of_nan_and_infinities_in_every_place(n, dtype):
    base = rng(3).standard_normal((n, n)).astype(dtype)
    for value in (np.nan, np.inf, -np.inf):
        x = base.copy()
        np.fill_diagonal(x, value)
        expected = x.max(1)
        np.testing.assert_array_equal(host(K["amax"](device(x), (1,), (n,))), expected)
        np.testing.assert_array_equal(host(K["amax"](device(x.T.copy()), (0,), (n,))), expected)
        for array, dim in ((x, 1), (x.T.copy(), 0)):
            values, indices = K["max_dim"](device(array), dim, (n,))
            np.testing.assert_array_equal(host(values), expected)
            np.testing.assert_array_equal(host(indices), array.argmax(dim))
    x = np.full((2, n), -np.inf, dtype)
    np.testing.assert_array_equal(host(K["amax"](device(x), (1,), (2,))), [-np.inf, -np.inf])
    np.testing.assert_array_equal(host(K["max_dim"](device(x), 1, (2,))[1]), [0, 0])


@every_float
@pytest.mark.parametrize(
    "shape,dim",
    [((1,), 0), ((4, 5), 0), ((4, 5), 1), ((3, 300, 2), 1), ((2, 2000), 1), ((2000, 2), 0)]
    + [((70_003,), 0), ((3, 4, 5), 2)],
)
def test_max_dim(shape, dim, dtype):
    # Few different values: many ties, of which the first wins.
    x = rng(4).integers(-3, 3, shape).astype(dtype)
    out = kept_shape(shape, (dim,))
    for _, on_device in layouts(x):
        values, indices = K["max_dim"](on_device, dim, out)
        np.testing.assert_array_equal(host(values), x.max(dim))
        np.testing.assert_array_equal(host(indices), x.argmax(dim))
    grad_y = rng(5).standard_normal(out).astype(dtype)
    expected = np.zeros(shape, dtype)
    kept = x.argmax(dim, keepdims=True)
    np.put_along_axis(expected, kept, np.expand_dims(grad_y, dim), dim)
    got = K["scatter_sum"](device(grad_y), device(x.argmax(dim)), shape, dim)
    np.testing.assert_array_equal(host(got), expected)
    got = K["gather_dim"](device(x), device(kept), dim, kept.shape)
    np.testing.assert_array_equal(host(got), x.max(dim, keepdims=True))


def test_gather_dim_takes_several():
    x = rng(6).standard_normal((3, 5, 2)).astype(np.float32)
    indices = rng(7).integers(0, 5, (3, 7, 2))
    for _, on_device in layouts(x):
        got = K["gather_dim"](on_device, device(indices), 1, (3, 7, 2))
        np.testing.assert_array_equal(host(got), np.take_along_axis(x, indices, 1))


@every_float
@pytest.mark.parametrize("shape,dims", [s for s in REDUCTIONS if s[1]])
def test_amax_weight(shape, dims, dtype):
    x = rng(8).integers(0, 4, shape).astype(dtype)
    y = x.max(dims, keepdims=True)
    same = x == y
    expected = (same / same.sum(dims, keepdims=True)).astype(dtype)
    np.testing.assert_array_equal(host(K["amax_weight"](device(x), device(y))), expected)


def test_products_of_the_other_elements():
    """Of rows of several tiles; no element, one or two are 0."""
    for extent, zeros in itertools.product((1, 130, 2500), ((), (0,), (0, -1))):
        x = (1 + 0.03 * rng(8).standard_normal((3, extent))).astype(np.float32)
        x[1, list(zeros)] = 0
        grad = rng(9).standard_normal(3).astype(np.float32)
        expected = _cpu.prod_bwd(grad, x)
        got = host(K["prod_bwd"](device(grad), device(x)))
        np.testing.assert_allclose(got, expected, rtol=2e-7)
    with pytest.raises(Fault):
        K["prod_bwd"](device(grad), device(x[0]))


@every_schedule
def test_products_of_tiles_under_every_schedule(order, copies, seed):
    """Three tiles a row: nothing is read behind the last product, none is read late."""
    x = (1 + 0.03 * rng(8).standard_normal((2, 2500))).astype(np.float32)
    grad = rng(9).standard_normal(2).astype(np.float32)
    with emulator.schedule(order, copies, seed):
        got = host(K["prod_bwd"](device(grad), device(x)))
    np.testing.assert_allclose(got, _cpu.prod_bwd(grad, x), rtol=2e-7)


def test_amax_weight_of_layouts_and_nan():
    x = rng(9).integers(0, 3, (3, 4, 6)).astype(np.float32)
    x[0, 0, 0] = np.nan
    y = x.max(1, keepdims=True)
    same = (x == y).astype(np.float32)
    with np.errstate(all="ignore"):
        expected = same / same.sum(1, keepdims=True)
    for _, on_device in layouts(x):
        np.testing.assert_array_equal(host(K["amax_weight"](on_device, device(y))), expected)
