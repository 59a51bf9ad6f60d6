"""CPU reductions over any dims of any layout: accurate sums, NaN wins, first maxima."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.layouts import LAYOUTS, every_place, lay_out, same_bits, unchanged
from gradsmith.testing.reference import index as index_reference
from gradsmith.testing.reference import reduce as reference

K = table("cpu")
FLOATS = (np.float32, np.float64)
SHAPES = (
    (),
    (1,),
    (7,),
    (130,),
    (5, 33),
    (33, 5),
    (1, 1),
    (3, 1, 17),
    (4, 3, 5, 6),
    (2, 3, 1, 2, 9),
)


def subsets(ndim):
    for n in range(ndim + 1):
        yield from itertools.combinations(range(ndim), n)


def out_shape(shape, dims):
    return tuple(n for d, n in enumerate(shape) if d not in dims)


def check_sums(x, dims):
    """sum and mean within what float64 accumulation promises."""
    shape = out_shape(x.shape, dims)
    wide = x.astype(np.longdouble)
    want = np.asarray(np.sum(wide, axis=dims))
    magnitude = np.asarray(np.sum(np.abs(wide), axis=dims))
    count = max(1, int(np.prod([x.shape[d] for d in dims])))
    bound = 0.5 * np.spacing(np.abs(want).astype(x.dtype)) + 2.0**-52 * count * magnitude
    got = K.sum(x, dims, shape)
    assert got.shape == shape and got.dtype == x.dtype
    assert np.all(np.abs(got - want) <= bound)
    mean = K.mean(x, dims, shape)
    assert np.all(np.abs(mean - want / count) <= bound / count + np.spacing(np.abs(mean)))
    return got


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_set_of_dims_and_layout(dtype, isa):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for layout in LAYOUTS:
            x = lay_out(rng.standard_normal(shape).astype(dtype), layout)
            same = unchanged(x)
            for dims in subsets(x.ndim):
                check_sums(x, dims)
                want = np.asarray(x.max(axis=dims) if dims else x)
                assert np.array_equal(K.amax(x, dims, want.shape), want)
                want = np.asarray(x.min(axis=dims) if dims else x)
                assert np.array_equal(K.amin(x, dims, want.shape), want)
            for dim in range(x.ndim):
                values, indices = K.max_dim(x, dim, out_shape(shape, (dim,)))
                want_values, want_indices = reference.max_dim(x, dim)
                assert np.array_equal(values, want_values)
                assert np.array_equal(indices, want_indices) and indices.dtype == np.int64
            same()


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_reductions_on_any_threads(dtype, isa):
    rng = np.random.default_rng(1)
    for shape in ((400_000,), (3, 70_001), (70_001, 3), (37, 5000), (9, 8, 61, 63), (500, 1, 611)):
        x = rng.standard_normal(shape).astype(dtype)
        for dims in subsets(x.ndim):
            kept = out_shape(shape, dims)
            check_sums(x, dims)
            same_bits(lambda x=x, dims=dims, kept=kept: K.sum(x, dims, kept))
            got = same_bits(lambda x=x, dims=dims, kept=kept: K.amax(x, dims, kept))
            assert np.array_equal(got, x.max(axis=dims) if dims else x)
        for dim in range(x.ndim):
            kept = out_shape(shape, (dim,))
            values, indices = same_bits(lambda x=x, dim=dim, kept=kept: K.max_dim(x, dim, kept))
            assert np.array_equal(indices, x.argmax(dim))
            assert np.array_equal(values, x.max(dim))


def test_long_float32_sums_stay_accurate(isa):
    # 0.1 added a million times drifts by percents in float32.
    x = np.full((1_000_003,), 0.1, np.float32)
    want = float(x[0]) * x.size
    assert K.sum(x, (0,), ()) == np.float32(want)
    assert K.mean(x, (0,), ()) == x[0]
    rows = np.broadcast_to(x[:1], (3, 100_000))
    assert np.all(K.sum(rows, (1,), (3,)) == np.float32(float(x[0]) * 100_000))
    assert np.all(K.sum(rows.T, (0,), (3,)) == np.float32(float(x[0]) * 100_000))
    big = np.array([1e8, 1.0, -1e8] * 11, np.float32)
    assert K.sum(big, (0,), ()) == 11


@pytest.mark.parametrize("dtype", FLOATS)
def test_empty(dtype, isa):
    x = np.zeros((0, 3), dtype)
    assert K.sum(x, (0,), (3,)).tolist() == [0, 0, 0]
    assert np.isnan(K.mean(x, (0,), (3,))).all()
    assert K.sum(x, (0, 1), ()) == 0 and np.isnan(K.mean(x, (0, 1), ()))
    assert K.sum(x, (1,), (0,)).shape == (0,)
    assert K.amax(x, (1,), (0,)).shape == (0,)
    for call in (
        lambda: K.amax(x, (0,), (3,)),
        lambda: K.amax(x, (0, 1), ()),
        lambda: K.max_dim(x, 0, (3,)),
    ):
        with pytest.raises(_cpu.Fault):
            call()
    values, indices = K.max_dim(x, 1, (0,))
    assert values.shape == indices.shape == (0,)
    assert K.amax_weight(x, np.zeros((0, 1), dtype)).shape == (0, 3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_in_every_place(dtype, isa):
    for x, _ in every_place(dtype, (np.nan, np.inf, -np.inf), (1, 6, 41)):
        with np.errstate(invalid="ignore"):
            for view, dims in ((x, (0,)), (x[:, None] + np.zeros((1, 3), dtype), (0,))):
                kept = out_shape(view.shape, dims)
                np.testing.assert_array_equal(
                    K.amax(view, dims, kept), np.broadcast_to(view.max(axis=0), kept)
                )
                values, indices = K.max_dim(view, 0, kept)
                np.testing.assert_array_equal(values, view.max(axis=0))
                assert np.array_equal(indices, view.argmax(axis=0))
            np.testing.assert_array_equal(K.sum(x, (0,), ()), np.sum(x))
    assert K.amax(np.full(50, -np.inf, dtype), (0,), ()) == -np.inf
    assert K.max_dim(np.full(50, -np.inf, dtype), 0, ())[1] == 0
    x = np.array([1, np.nan, 3, np.nan, 7], dtype)
    assert K.max_dim(x, 0, ())[1] == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_first_of_equal_maxima(dtype, isa):
    rng = np.random.default_rng(2)
    for shape in ((100,), (7, 90), (90, 7), (3, 50, 20)):
        x = rng.integers(0, 3, shape).astype(dtype)
        for dim in range(x.ndim):
            _, indices = K.max_dim(x, dim, out_shape(shape, (dim,)))
            assert np.array_equal(indices, x.argmax(dim))


@pytest.mark.parametrize("dtype", FLOATS)
def test_amax_weight(dtype, isa):
    rng = np.random.default_rng(3)
    for shape in ((9,), (5, 33), (3, 4, 5), (60, 1000)):
        x = rng.integers(0, 4, shape).astype(dtype)
        for dims in subsets(x.ndim):
            y = np.asarray(x.max(axis=dims, keepdims=True) if dims else x)
            got = same_bits(lambda x=x, y=y: K.amax_weight(x, y))
            np.testing.assert_array_equal(got, reference.amax_weight(x, y).astype(dtype))
    x = np.array([[1, np.nan, 2], [1, 1, 0]], dtype)
    got = K.amax_weight(x, x.max(axis=1, keepdims=True))
    assert np.isnan(got[0]).all() and got[1].tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_scatter_sum_and_gather_dim(dtype, isa):
    rng = np.random.default_rng(4)
    for shape in ((9,), (5, 33), (3, 4, 5), (60, 1000), (4, 1, 3)):
        x = rng.standard_normal(shape).astype(dtype)
        for dim in range(x.ndim):
            kept = out_shape(shape, (dim,))
            indices = rng.integers(0, shape[dim], kept)
            grad = rng.standard_normal(kept).astype(dtype)
            got = same_bits(lambda g=grad, i=indices, s=shape, d=dim: K.scatter_sum(g, i, s, d))
            want = index_reference.scatter_sum(grad, indices, shape, dim)
            assert np.array_equal(got, want.astype(dtype))
            got = same_bits(lambda x=x, i=indices, d=dim, k=kept: K.gather_dim(x, i, d, k))
            assert np.array_equal(got, index_reference.gather_dim(x, indices, dim, kept))
    for bad in (-1, 5, 2**40):
        indices = np.array([0, 1, bad])
        with pytest.raises(_cpu.Fault) as fault:
            K.scatter_sum(np.ones(3, dtype), indices, (5, 3), 0)
        assert fault.value.args[1:] == ("index", (bad, 5))
        with pytest.raises(_cpu.Fault):
            K.gather_dim(np.ones((5, 3), dtype), indices, 0, (3,))


def test_narrow_integers_are_refused():
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    for call in (
        lambda: K.sum(x, (0,), (3,)),
        lambda: K.mean(x, (0,), (3,)),
        lambda: K.amax(x, (0,), (3,)),
        lambda: K.max_dim(x, 0, (3,)),
    ):
        with pytest.raises(_cpu.Fault):
            call()


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_scans_of_many_rows(name, isa):
    """Rows in squares as rows one by one: float64 running values, rounded once an element."""
    rng = np.random.default_rng(0)
    for shape in ((33, 100), (16, 16), (17, 5), (40, 1), (3, 11, 35), (7, 300)):
        x = (1 + 0.1 * rng.standard_normal(shape)).astype(np.float32)
        x[-1, 0] = np.nan
        for reverse, exclusive in itertools.product((False, True), repeat=2):
            wide = x[..., ::-1] if reverse else x
            wanted = getattr(np, name)(wide.astype(np.float64), axis=-1)
            if exclusive:
                start = np.full_like(wanted[..., :1], name == "cumprod")
                wanted = np.concatenate([start, wanted[..., :-1]], -1)
            wanted = wanted[..., ::-1] if reverse else wanted
            got = getattr(K, name)(x, x.ndim - 1, reverse, exclusive)
            assert np.array_equal(got, wanted.astype(np.float32), equal_nan=True), shape


@pytest.mark.parametrize("dtype", FLOATS)
def test_products_of_the_other_elements(dtype, isa):
    """Of short rows, of odd ones and of rows of several blocks; no element, one or two are 0."""
    rng = np.random.default_rng(0)
    for shape in ((5, 1), (9, 3), (2, 64), (3, 4, 33), (2, 2049), (1, 5003)):
        x = (1 + 0.05 * rng.standard_normal(shape)).astype(dtype)
        grad = rng.standard_normal(shape[:-1]).astype(dtype)
        for zeros in ((), (shape[-1] // 2,), (0, shape[-1] - 1)):
            x[..., list(zeros)] = 0
            wide = x.astype(np.float64)
            one = np.ones_like(wide[..., :1])
            before = np.concatenate([one, np.cumprod(wide[..., :-1], -1)], -1)
            behind = np.concatenate([one, np.cumprod(wide[..., :0:-1], -1)], -1)[..., ::-1]
            wanted = grad[..., None] * (before * behind)
            close = 1e-7 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(K.prod_bwd(grad, x), wanted, rtol=close, err_msg=str(shape))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_variance_of_equal_elements_is_0(dtype):
    """Not what rounding makes of their mean: the gradient of std has no direction there."""
    values = np.random.default_rng(0).standard_normal(40).astype(dtype) * 100
    for n in (2, 3, 7, 131, 1000, 5003):
        for dims, x in (
            ((1,), np.repeat(values[:, None], n, 1)),
            ((0,), np.repeat(values[None], n, 0)),
            ((1,), np.broadcast_to(values[:, None], (40, n))),
            ((0,), np.broadcast_to(values[::-2], (n, 20))),
        ):
            for root in (False, True):
                assert not K.var(x, dims, 1.0, root, out_shape(x.shape, dims)).any()
    assert np.isnan(K.var(np.empty((3, 0), dtype), (1,), 1.0, False, (3,))).all()
    exact = np.array([[1e8, 1e8 + 1, 1e8 + 2]]).astype(dtype)
    want = np.var(exact.astype(np.float64), ddof=1)
    assert K.var(exact, (1,), 1.0, False, (1,)) == want
