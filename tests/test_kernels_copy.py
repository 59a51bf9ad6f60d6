"""CPU copies: casts, overlaps, fills, slices and concatenation, against NumPy."""

from __future__ import annotations

import importlib.util

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes
from gradsmith.testing.layouts import LAYOUTS, lay_out, same_bits, unchanged

K = table("cpu")
COMMON = tuple(np.dtype(d) for d in (np.float32, np.float64, np.int32, np.int64, np.bool_))
NARROW = tuple(np.dtype(d) for d in (np.uint8, np.int8, np.int16, np.float16))
if importlib.util.find_spec("ml_dtypes"):
    NARROW += (gs.bfloat16.numpy,)
DTYPES = COMMON + NARROW


def draw(rng, shape, dtype):
    values = rng.integers(-4 if dtype.kind != "u" else 0, 5, shape)
    return (values + 0.5 * (dtype.kind in "fV")).astype(dtype)


def cast(x, dtype):
    """x.astype(dtype), with PyTorch's way where NumPy leaves it to the machine."""
    if dtype.kind == "u" and x.dtype.kind in "fV":
        x = x.astype(np.int64)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_copy_casts_every_layout(dtype, isa):
    rng = np.random.default_rng(0)
    few = ((), (300,), (34, 65), (0, 3))  # the dtypes that go through a buffer
    many = (*few, (1,), (37,), (5, 33), (3, 40, 5), (2, 3, 4, 19))
    for source in DTYPES:
        for shape in many if source in COMMON and dtype in COMMON else few:
            for layout in LAYOUTS:
                x = lay_out(draw(rng, shape, source), layout)
                same = unchanged(x)
                y = K.copy(x, dtype)
                same()
                assert y.dtype == dtype and y.flags.c_contiguous and y.shape == x.shape
                assert not np.shares_memory(x, y)
                np.testing.assert_array_equal(y, cast(x, dtype))


def test_copies_keep_every_bit(isa):
    # int32 and int64 whose bits are those of NaN with a payload, through every path
    rng = np.random.default_rng(5)
    for bits, dtypes in ((0x7F800001, "<i4 <f4"), (0x7FF0000000000001, "<i8 <f8")):
        for dtype in dtypes.split():
            x = (bits + rng.integers(0, 1000, (70, 67))).astype("<i" + dtype[2:]).view(dtype)
            for view in (x, x.T, x[::-1, ::2], x.T[3:]):
                assert same_bytes(K.copy(view, np.dtype(dtype)), view)


def test_casts_of_what_does_not_fit(isa):
    for source in (np.float32, np.float64):
        x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, -0.0, 2.0**31, -(2.0**31)], source)
        for target in (np.int32, np.int64):
            info = np.iinfo(target)
            got = K.copy(x, np.dtype(target))
            want = [info.min, info.max, info.min, info.max, info.min, 0]
            assert got[:6].tolist() == want
            assert got[7] == -(2**31)
            assert got[6] == (2**31 if target is np.int64 else info.max)
        top = np.nextafter(source(2) ** 63, source(0))
        assert K.copy(np.array([top]), np.dtype(np.int64))[0] == int(top)
        assert K.copy(x, np.dtype(bool)).tolist() == [True] * 5 + [False, True, True]
    wide = np.array([2**40 + 3, -(2**33)])
    assert K.copy(wide, np.dtype(np.int32)).tolist() == wide.astype(np.int32).tolist()
    over = np.array([1e300, -1e300, 1e-300, np.nan])
    np.testing.assert_array_equal(
        K.copy(over, np.dtype(np.float32)), np.array([np.inf, -np.inf, 0, np.nan], np.float32)
    )


def test_narrow_casts_of_what_does_not_fit(isa):
    """As PyTorch's: the low bits of an integer, 0 for what int32 does not hold."""
    x = np.array([300.7, -1.5, np.nan, np.inf, -np.inf, 1e10, 70000.0, -129.0])
    for dtype, want in (
        (np.uint8, [44, 255, 0, 0, 0, 0, 112, 127]),
        (np.int8, [44, -1, 0, 0, 0, 0, 112, 127]),
        (np.int16, [300, -1, 0, 0, 0, 0, 4464, -129]),
    ):
        for source in (np.float32, np.float64):
            assert K.copy(x.astype(source), np.dtype(dtype)).tolist() == want
        wide = np.array([300, -1, 2**40 + 5, -(2**63)])
        assert K.copy(wide, np.dtype(dtype)).tolist() == wide.astype(dtype).tolist()


def float16_values(dtype):
    """All 65536 values."""
    return np.arange(65536, dtype=np.uint16).view(dtype)


@pytest.mark.parametrize("dtype", NARROW[3:], ids=str)
def test_every_half_to_float32_and_back(dtype, isa):
    x = float16_values(dtype)
    wide = K.copy(x, np.dtype(np.float32))
    nan = np.isnan(wide)
    assert np.array_equal(nan, np.isnan(x.astype(np.float32)))
    np.testing.assert_array_equal(wide[~nan], x[~nan].astype(np.float32))
    back = K.copy(wide, dtype)
    np.testing.assert_array_equal(back.view(np.uint16)[~nan], x.view(np.uint16)[~nan])
    assert np.isnan(back.astype(np.float32)[nan]).all()
    assert np.array_equal(np.signbit(back.astype(np.float32)), np.signbit(wide))
    # one value at a time: the code that every ISA shares
    some = slice(None, None, 37)
    rows = np.broadcast_to(x[:, None], (65536, 2))[some]
    assert same_bytes(K.copy(rows, np.dtype(np.float32))[:, 1], wide[some])
    rows = np.broadcast_to(wide[:, None], (65536, 2))[some]
    assert same_bytes(K.copy(rows, dtype)[:, 1], back[some])


@pytest.mark.parametrize("dtype", NARROW[3:], ids=str)
def test_float32_to_half_rounds_to_nearest_even(dtype, isa):
    exact = float16_values(dtype).astype(np.float32)
    exact = np.sort(exact[np.isfinite(exact)])
    with np.errstate(over="ignore"):
        middle = ((exact[1:].astype(np.float64) + exact[:-1]) / 2).astype(np.float32)
        beside = [np.nextafter(middle, side, dtype=np.float32) for side in (np.inf, -np.inf)]
    top = np.float32([65504, 65519.996, 65520, 1e38, 3.3895e38, 3.4e38, np.inf, 1e-45, 3e-8])
    x = np.concatenate([middle, *beside, top, -top])
    with np.errstate(over="ignore"):
        want = x.astype(dtype)
    for source in (x, np.repeat(x, 2)[::2], x.astype(np.float64)):
        np.testing.assert_array_equal(K.copy(source, dtype).view(np.uint16), want.view(np.uint16))


def test_copies_large_enough_for_threads(isa):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 311, 263)).astype(np.float32)
    for view in (x, x.T, x.transpose(0, 2, 1), x.transpose(1, 2, 0), x[:, ::-1, ::2], x[::2].T):
        for dtype in (np.float32, np.float64):
            got = same_bits(lambda view=view, dtype=dtype: K.copy(view, np.dtype(dtype)))
            assert np.array_equal(got, view.astype(dtype))


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_copy_into_views(source, isa):
    rng = np.random.default_rng(2)
    for shape, source_shape in (
        ((), ()),
        ((5, 33), (33,)),
        ((5, 33), (5, 1)),
        ((5, 33), ()),
        ((4, 7), (1, 1, 4, 7)),
        ((2, 3, 40), (3, 40)),
        ((36, 35), (36, 35)),
        ((0, 4), (4,)),
    ):
        for layout in ("plain", "transposed", "reversed", "stepped", "misaligned"):
            for dtype in DTYPES if source in COMMON else (source, np.dtype(np.float32)):
                dst = lay_out(np.zeros(shape, dtype), layout)
                src = lay_out(draw(rng, source_shape, source), LAYOUTS[rng.integers(len(LAYOUTS))])
                assert K.copy_into(dst, src) is None
                np.testing.assert_array_equal(
                    dst,
                    np.broadcast_to(
                        cast(src.reshape(src.shape[-dst.ndim :] if dst.ndim else ()), dtype),
                        shape,
                    ),
                )
    dst = np.zeros((3, 5), np.float32)
    K.copy_into(dst, 2.5)
    assert (dst == 2.5).all()


def test_copy_into_overlapping_memory(isa):
    def expect(make, into, source):
        ours, theirs = make(), make()
        K.copy_into(into(ours), source(ours))
        into(theirs)[...] = source(theirs).copy()
        assert np.array_equal(ours, theirs)

    for n in (5, 64, 300):
        square = lambda n=n: np.arange(n * n, dtype=np.float32).reshape(n, n)  # noqa: E731
        expect(square, lambda x: x, lambda x: x.T)
        expect(square, lambda x: x, lambda x: x[::-1])
        expect(square, lambda x: x, lambda x: x[:, ::-1])
        expect(square, lambda x: x[1:], lambda x: x[:-1])
        expect(square, lambda x: x[:-1], lambda x: x[1:])
        expect(square, lambda x: x[:, 1:], lambda x: x[:, :-1])
        expect(square, lambda x: x, lambda x: x[2:3])
        expect(square, lambda x: x, lambda x: x[:, 3:4])
        expect(square, lambda x: x[::2], lambda x: x[: (len(x) + 1) // 2])
        expect(square, lambda x: x, lambda x: x)
        # another dtype in the same memory
        expect(square, lambda x: x.reshape(-1), lambda x: x.reshape(-1).view(np.int32))


def test_copy_into_refuses(isa):
    x = np.zeros((3, 4), np.float32)
    for source in (np.zeros((4, 3), np.float32), np.zeros((2, 3, 4), np.float32), np.zeros(5)):
        with pytest.raises(_cpu.Fault):
            K.copy_into(x, source)
    x.flags.writeable = False
    with pytest.raises(_cpu.Fault):
        K.copy_into(x, 1.0)
    assert not x.any()


def value_as(dtype, value):
    """A float as an element; narrow integers keep its low bits, 0 where int32 does not hold it."""
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return np.int64(value if abs(value) < 2**31 else 0).astype(dtype)
    return (
        np.float32(value).astype(dtype) if dtype.itemsize == 2 else np.float64(value).astype(dtype)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.int16])
@pytest.mark.parametrize("shape", [(1500, 1409), (3, 800, 900), (4100, 260), (70, 30_001)])
def test_large_transposes(shape, dtype, isa):
    """From 4 MB on, in either order: each tile fetches the next one's lines where there is one."""
    x = draw(np.random.default_rng(31), shape, np.dtype(dtype))
    np.testing.assert_array_equal(K.copy(x.swapaxes(-1, -2), x.dtype), x.swapaxes(-1, -2))
    wide = np.full((*shape[:-2], shape[-1], shape[-2] + 3), 7, dtype)
    K.copy_into(wide[..., 2:-1], x.swapaxes(-1, -2))
    np.testing.assert_array_equal(wide[..., 2:-1], x.swapaxes(-1, -2))
    assert (wide[..., :2] == 7).all() and (wide[..., -1] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transposes_beyond_the_cache(dtype, isa):
    """From 33 MB on by way of scratch: odd ends, rows that begin within lines, several planes."""
    n = 3 if dtype is np.float32 else 2
    rng = np.random.default_rng(32)
    for shape in ((n * 2050, 1373), (n, 1030, 2741)):
        x = draw(rng, shape, np.dtype(dtype))
        y = x.swapaxes(-1, -2)
        np.testing.assert_array_equal(same_bits(lambda y=y: K.copy(y, y.dtype)), y)
        wide = np.full((*shape[:-2], shape[-1], shape[-2] + 3), 7, dtype)
        K.copy_into(wide[..., 2:-1], y)
        np.testing.assert_array_equal(wide[..., 2:-1], y)
        assert (wide[..., :2] == 7).all() and (wide[..., -1] == 7).all()


@pytest.mark.parametrize("columns", [4, 15, 16, 33, 64, 65, 100])
def test_transposes_to_short_rows_beyond_the_cache(columns):
    x = (
        np.random.default_rng(34)
        .standard_normal((columns, 8_500_000 // columns))
        .astype(np.float32)
    )
    np.testing.assert_array_equal(K.copy(x.T, x.dtype), x.T)


def test_transpose_without_memory_for_scratch(isa):
    """The result's allocation fails, or a thread's scratch, which it can do without."""
    x = np.random.default_rng(33).standard_normal((6150, 1373)).astype(np.float32)
    failed = 0
    for nth in range(1, 4):
        _cpu.empty_cache()
        _cpu.fail_allocation(nth)
        try:
            y = K.copy(x.T, x.dtype)
        except MemoryError:
            failed += 1
        else:
            assert np.array_equal(y, x.T), nth
        finally:
            _cpu.fail_allocation(0)
    assert failed == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_full(dtype, isa):
    # the last value's bits, as int32, are a signalling NaN's
    for shape in ((), (1,), (0, 3), (37,), (300, 301)):
        for value in (0.0, 1.0, -3.0, 2.75, -0.0, float(0x7F800001)):
            got = K.full(shape, value, dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                want = np.full(shape, value_as(dtype, value))
            assert got.dtype == dtype and same_bytes(got, want)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slice_bwd(dtype, isa):
    rng = np.random.default_rng(3)
    for _ in range(60):
        shape = tuple(int(n) for n in rng.integers(1, 9, rng.integers(1, 5)))
        start = tuple(int(rng.integers(0, n)) for n in shape)
        step = tuple(int(rng.choice([1, 1, 2, 3, -1, -2])) for _ in shape)
        window = tuple(slice(a, None, s) for a, s in zip(start, step, strict=True))
        want = np.zeros(shape, dtype)
        part = want[window]
        keep = tuple(slice(0, int(rng.integers(0, n + 1))) for n in part.shape)
        grad = lay_out(draw(rng, part[keep].shape, dtype), "transposed")
        part[keep] = grad
        np.testing.assert_array_equal(K.slice_bwd(grad, shape, start, step), want)
    big = draw(rng, (70, 900), dtype)
    want = np.zeros((140, 901), dtype)
    want[1::2, 1:] = big
    np.testing.assert_array_equal(
        same_bits(lambda: K.slice_bwd(big, (140, 901), (1, 1), (2, 1))), want
    )
    for start, step in (((-1,), (1,)), ((0,), (3,)), ((1,), (-1,)), ((3,), (1,))):
        with pytest.raises(_cpu.Fault):
            K.slice_bwd(draw(rng, (3,), dtype), (5,), start, step)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cat(dtype, isa):
    rng = np.random.default_rng(4)
    for shape in ((3,), (2, 5), (2, 3, 4), (1, 1, 7, 2), (30, 40, 50)):
        for dim in range(len(shape)):
            xs = []
            for _ in range(int(rng.integers(1, 5))):
                part = list(shape)
                part[dim] = int(rng.integers(0, 5))
                xs.append(lay_out(draw(rng, part, dtype), LAYOUTS[rng.integers(len(LAYOUTS))]))
            want = np.concatenate(xs, dim)
            np.testing.assert_array_equal(
                same_bits(lambda xs=xs, dim=dim, want=want: K.cat(xs, dim, want.shape)), want
            )
    with pytest.raises(_cpu.Fault):
        K.cat([np.zeros((2, 3)), np.zeros((2, 4))], 0, (4, 3))
    with pytest.raises(_cpu.Fault):
        K.cat([np.zeros((2, 3)), np.zeros((2, 3))], 0, (5, 3))


@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.int32), ids=str)
def test_rows_backwards(dtype, isa):
    # Vectors of the result hold the ends of two rows; every length of what is left of a row.
    rng = np.random.default_rng(6)
    lengths = (*range(3, 50), 56, 63, 64, 65, 127, 1000, 1023, 1024, 1025)
    for n in lengths:
        for rows in (1, 2, 3, 7, 40_000 // n):
            x = draw(rng, (rows, n + 2), np.dtype(dtype))
            for view in (x[:, 1:-1], x[::-1, 2:], x[:1, :-1].repeat(rows, 0), x[1:]):
                flipped = view[..., ::-1]
                got = same_bits(lambda y=flipped: K.copy(y, np.dtype(dtype)))
                np.testing.assert_array_equal(got, flipped)
    wide = np.broadcast_to(draw(rng, (37,), np.dtype(dtype)), (600, 37))[:, ::-1]
    np.testing.assert_array_equal(K.copy(wide, np.dtype(dtype)), wide)


def test_copies_beyond_the_cache(isa):
    # Beyond half of 32 MB, or three times two second levels of 2 MB: rows of any length and place.
    rng = np.random.default_rng(7)
    x = rng.standard_normal(4_600_000).astype(np.float32)
    for view in (
        x,
        x[1:-3],
        x[: 4400 * 1030].reshape(4400, 1030)[:, 1:-2],
        x[:4_592_000].reshape(-1, 56)[:, ::-1],
        x[: 57 * 80_562].reshape(-1, 57)[::-1, ::-1],
    ):
        np.testing.assert_array_equal(K.copy(view, view.dtype), view)
    parts = [x[:4_300_000].reshape(4300, 1000), x[: 4300 * 7].reshape(4300, 7)]
    want = np.concatenate(parts, 1)
    np.testing.assert_array_equal(K.cat(parts, 1, want.shape), want)
