"""Elementwise CPU kernels: every layout, broadcast, special value and ISA against float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes
from gradsmith.testing.layouts import LAYOUTS, dense, every_place, lay_out, same_bits, unchanged
from gradsmith.testing.reference import elementwise as reference

K = table("cpu")
FLOATS = (np.float32, np.float64)
UNARY = ("neg", "exp", "log", "relu", "sigmoid", "tanh")
BINARY = ("add", "sub", "mul", "div", "relu_bwd", "sigmoid_bwd", "tanh_bwd")
EXACT = ("neg", "relu", "add", "sub", "mul", "div", "relu_bwd")


def check(name, got, *inputs):
    dtype = inputs[0].dtype
    # One operation rounded to float64 and then to float32 is rounded rightly; through 80 bits not.
    wide = np.float64 if dtype == np.float32 or name in EXACT else np.longdouble
    want = np.asarray(getattr(reference, name)(*(a.astype(wide) for a in inputs)))
    assert got.dtype == dtype and got.shape == want.shape
    assert dense(got)
    with np.errstate(all="ignore"):
        rounded = want.astype(dtype)
        if name in EXACT:  # one rounding, the reference's
            np.testing.assert_array_equal(got, rounded)
            return
        unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(dtype).tiny))
        # The products of a backward lose what 1 - y loses: measured against grad_y.
        scale = np.abs(inputs[0]) if name.endswith("_bwd") else 0
        bound = 2 * unit + 4 * np.finfo(dtype).eps * scale
        good = np.abs(got.astype(wide) - want) <= bound
        good |= (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    assert good.all(), (name, got[~good][:3], want[~good][:3])


def draw(rng, shape, dtype):
    return rng.uniform(-3, 3, shape).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary_layouts(name, dtype, isa):
    rng = np.random.default_rng(0)
    for shape in ((), (1,), (7,), (64,), (131,), (5, 33), (3, 1, 17), (2, 3, 4, 19), (1, 0, 4)):
        for layout in LAYOUTS:
            x = lay_out(draw(rng, shape, dtype), layout)
            same = unchanged(x)
            check(name, getattr(K, name)(x), x)
            same()


SHAPES = (
    ((), ()),
    ((1,), (7,)),
    ((33,), ()),
    ((5, 33), (33,)),
    ((5, 33), (5, 1)),
    ((4, 1), (1, 37)),
    ((2, 3, 17), (3, 1)),
    ((2, 1, 17), (1, 3, 1)),
    ((19, 2), (2,)),
    ((0, 3), (3,)),
    ((1, 3), (0, 1)),
    ((2, 3, 1, 5), (4, 5)),
    ((130,), (130,)),
)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_binary_broadcast_and_layouts(name, dtype, isa):
    rng = np.random.default_rng(1)
    for shapes in SHAPES:
        pairs = list(itertools.product(LAYOUTS, LAYOUTS))
        for i in rng.choice(len(pairs), 9, replace=False):
            a, b = (
                lay_out(draw(rng, s, dtype), layout)
                for s, layout in zip(shapes, pairs[i], strict=True)
            )
            if rng.integers(2):
                a, b = b, a
            same = unchanged(a, b)
            check(name, getattr(K, name)(a, b), a, b)
            same()


@pytest.mark.parametrize("dtype", FLOATS)
def test_numbers_as_operands(dtype, isa):
    x = draw(np.random.default_rng(2), (3, 21), dtype)
    for name in ("add", "sub", "mul", "div"):
        check(name, getattr(K, name)(x, 2.5), x, np.asarray(2.5, dtype))
        check(name, getattr(K, name)(2, x), np.asarray(2, dtype), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values_in_every_place(dtype, isa):
    tiny = float(np.finfo(dtype).smallest_subnormal)
    values = (np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -3 * tiny, float(np.finfo(dtype).max))
    for x, _ in every_place(dtype, values, (5, 19)):
        for name in UNARY:
            check(name, getattr(K, name)(x), x)
        other = np.full(x.shape, 0.5, dtype)
        for name in BINARY:
            check(name, getattr(K, name)(x, other), x, other)
            check(name, getattr(K, name)(other, x), other, x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_signs_of_zero(dtype, isa):
    x = np.array([0.0, -0.0] * 17, dtype)
    assert np.array_equal(np.signbit(K.neg(x)), ~np.signbit(x))
    assert np.array_equal(np.signbit(K.add(x, x)), np.signbit(x + x))
    assert np.array_equal(np.signbit(K.mul(x, -1.0)), ~np.signbit(x))
    assert np.array_equal(np.signbit(K.tanh(x)), np.signbit(x))
    assert not np.signbit(K.relu(x)).any()


@pytest.mark.parametrize("name", ["add", "exp", "tanh_bwd"])
def test_same_bits_on_any_threads(name, isa):
    rng = np.random.default_rng(3)
    x = draw(rng, (3, 70001), np.float32)
    kernel = getattr(K, name)
    if name in UNARY:
        same_bits(lambda: kernel(x))
        got = same_bits(lambda: kernel(x.T))
        assert np.array_equal(got, kernel(x).T)
    else:
        same_bits(lambda: kernel(x, x[:1]))
        same_bits(lambda: kernel(x[:, ::2], x[:, 1::2].copy()[:, : (70001 + 1) // 2][:, :1]))


def test_results_beyond_the_cache(isa):
    # Large results take stores of their own kind; 5M elements and a tail.
    n = 5_000_003
    x = K.uniform((n,), -2.0, 2.0, 0, 0, np.dtype(np.float32))
    y = K.uniform((n,), -2.0, 2.0, 1, 0, np.dtype(np.float32))
    for got, want in (
        (K.relu(x), np.maximum(x, 0)),
        (K.add(x, y), x + y),
        (K.mul(x, 3.0), x * np.float32(3)),
        (K.sub(1.0, x), np.float32(1) - x),
    ):
        assert np.array_equal(got, want)
    # Rows with a broadcast operand: whole vectors of them, a tail, and a strided operand.
    for width in (4000, 4001):
        rows = x[: 1249 * width].reshape(1249, width)
        column, twice = y[:1249].reshape(1249, 1), y[: 2 * width : 2]
        assert np.array_equal(K.add(rows, column), rows + column)
        assert np.array_equal(K.mul(rows, twice), rows * twice)


def test_integers_and_mixed_dtypes_are_refused():
    i = np.arange(4)
    f, d = np.ones(4, np.float32), np.ones(4)
    for inputs in (
        (i, i),
        (i, f),
        (f, d),
        (f > 0, f > 0),
    ):  # division of integers is an op's affair
        with pytest.raises(_cpu.Fault):
            K.div(*inputs)
    with pytest.raises(_cpu.Fault):
        K.exp(i)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [0, 20, 26, 28, 50, 60, 100])
def test_remainders_are_exact_for_quotients_of_any_size(dtype, power):
    rng = np.random.default_rng(power)
    b = rng.standard_normal(1003).astype(dtype)
    a = (rng.standard_normal(1003) * 2.0**power).astype(dtype)
    a[::3] = b[::3] * rng.integers(-9, 9, b[::3].shape).astype(dtype)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, np.finfo(dtype).tiny, -2.5], dtype)
    p, q = (np.ascontiguousarray(v.ravel()) for v in np.meshgrid(special, special))
    a, b = np.concatenate([a, p]), np.concatenate([b, q])
    with np.errstate(all="ignore"):
        rest = np.fmod(a, b)
        opposite = (rest != 0) & ((rest < 0) != (b < 0))
        wanted = np.where(opposite, rest + b, rest)
    for got, want in ((K.fmod(a, b), rest), (K.remainder(a, b), wanted)):
        assert np.array_equal(got, want, equal_nan=True)
        number = ~np.isnan(want)
        assert np.array_equal(np.signbit(got[number]), np.signbit(want[number]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transposed_operands_far_beyond_the_cache(dtype, isa):
    """From 33 MB on gathered by strips: odd ends, planes, numbers."""
    n = 3 if dtype is np.float32 else 2
    rng = np.random.default_rng(12)
    for shape in ((n * 2050, 1373), (n, 1030, 2741)):
        a = rng.standard_normal(shape).astype(dtype)
        b = rng.standard_normal((*shape[:-2], shape[-1], shape[-2])).astype(dtype).swapaxes(-1, -2)
        assert same_bytes(same_bits(lambda a=a, b=b: K.add(a, b)), a + b)
        assert K.add(a, b).flags.c_contiguous and K.add(b, a).swapaxes(-1, -2).flags.c_contiguous
        assert same_bytes(K.sub(b, a), b - a)
        assert same_bytes(K.addcmul(a, b, b, 1.0), K.addcmul(a, b.copy(), b.copy(), 1.0))
        assert same_bytes(K.lerp(a, b, 0.25), K.lerp(a, b.copy(), 0.25))
        assert same_bytes(K.lerp(a, b, a), K.lerp(a, b.copy(), a))


def test_broadcasts_far_beyond_the_cache():
    """What repeats along rows or planes is no transpose, alone or beside one."""
    rng = np.random.default_rng(16)
    a = rng.standard_normal((3, 2050, 1373)).astype(np.float32)
    b = rng.standard_normal((3, 1373, 2050)).astype(np.float32).swapaxes(1, 2)
    column, row = rng.standard_normal((2, 3, 2050, 1)).astype(np.float32), a[:, :1]
    plane = np.broadcast_to(b[:1], a.shape)
    for x in (column[0], column[0, :1], row, plane, b[:1], column[0, 0, :1]):
        assert same_bytes(K.add(a, x), a + x)
        assert same_bytes(K.sub(b, x), b - x)
        assert same_bytes(K.addcmul(a, b, x, 1.0), K.addcmul(a, b.copy(), x, 1.0))


def test_comparison_of_transposed_operands_far_beyond_the_cache():
    # 33.6 MB of bools
    a = np.random.default_rng(14).integers(0, 3, (5807, 5781)).astype(np.float32)
    b = np.random.default_rng(15).integers(0, 3, (5781, 5807)).astype(np.float32).T
    assert np.array_equal(K.lt(a, b), a < b)


def test_transposed_operands_without_memory():
    """The result fails, or scratch: then operands are copied, or walked as they are."""
    rng = np.random.default_rng(13)
    a = rng.standard_normal((6150, 1373)).astype(np.float32)
    b = rng.standard_normal((1373, 6150)).astype(np.float32).T
    failed = 0
    for nth in range(1, 6):
        _cpu.empty_cache()
        _cpu.fail_allocation(nth)
        try:
            y = K.add(a, b)
        except MemoryError:
            failed += 1
        else:
            assert np.array_equal(y, a + b), nth
        finally:
            _cpu.fail_allocation(0)
    assert failed == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.bool_])
def test_transposed_operands_are_copied_first(dtype):
    x = np.arange(70 * 90 * 2).reshape(2, 70, 90).astype(dtype)
    for view in (x.transpose(0, 2, 1), x.transpose(2, 1, 0), x[:, ::-1].transpose(2, 0, 1)):
        assert np.array_equal(K.maximum(view, view), view)
        assert np.array_equal(K.where(view > 0, view, view[:1]), np.where(view > 0, view, view[:1]))


@pytest.mark.parametrize("n", [32767, 32768, 32769, 65551, 100003, 524288, 524289, 540679])
def test_every_element_is_in_a_block(n):
    # Blocks are a sixteenth of middling sizes, fixed for the others: none is left out or shifted.
    x = (np.arange(n) % 8191).astype(np.float32)
    assert np.array_equal(K.add(x, x[::-1].copy()), x + x[::-1])
    assert np.array_equal(K.neg(x), -x)
