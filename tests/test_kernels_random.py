"""CPU random numbers: Philox's known answers, the recipe in float64, the same on every ISA."""

from __future__ import annotations

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.layouts import lay_out, same_bits
from gradsmith.testing.reference import random as reference

K = table("cpu")
FLOATS = (np.float32, np.float64)
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 31, 33, 64, 127, 1023, 1025, 16384, 40001)

# Random123's kat_vectors for philox4x32-10: counter, key, words. Our counter has two words.
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def philox_by_hand(counter, key):
    """The ten rounds as the paper writes them, in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [
            (b >> 32) ^ c[1] ^ k[0],
            b & 0xFFFFFFFF,
            (a >> 32) ^ c[3] ^ k[1],
            a & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return tuple(c)


def kernel_words(seed, offset, count=4):
    """The upper 24 bits of the words, as uniform float32 shows them."""
    u = K.uniform((count,), 0.0, 1.0, seed, offset, np.dtype(np.float32))
    return (u.astype(np.float64) * 2**24).astype(np.int64).tolist()


def test_known_answers(isa):
    for counter, key, words in KNOWN:
        assert philox_by_hand(counter, key) == words
    assert kernel_words(0, 0) == [w >> 8 for w in KNOWN[0][2]]
    for seed, offset in (
        (2**64 - 1, 2**64 - 1),
        (0x299F31D0A4093822, 0x85A308D3243F6A88),
        (1, 2**32 - 1),
        (2**32, 2**32),
    ):
        counter = (offset & 0xFFFFFFFF, offset >> 32, 0, 0)
        key = (seed & 0xFFFFFFFF, seed >> 32)
        assert kernel_words(seed, offset) == [w >> 8 for w in philox_by_hand(counter, key)]


def test_counter_carries_and_wraps(isa):
    for offset in (2**32 - 3, 2**64 - 3):
        got = kernel_words(5, offset, 40)
        for i in range(10):
            n = (offset + i) % 2**64
            words = philox_by_hand((n & 0xFFFFFFFF, n >> 32, 0, 0), (5, 0))
            assert got[4 * i : 4 * i + 4] == [w >> 8 for w in words]


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform(dtype, isa):
    for size in SIZES:
        for low, high in ((0.0, 1.0), (-3.0, 5.0), (0.1, 0.7)):
            got = K.uniform((size,), low, high, 7, 11, np.dtype(dtype))
            unit = reference.uniform((size,), 0.0, 1.0, 7, 11, dtype).astype(dtype)
            # the recipe to the bit: product, then sum, each rounded
            want = unit * dtype(high - low) + dtype(low)
            assert got.dtype == dtype and np.array_equal(got, want)
    x = same_bits(lambda: K.uniform((300, 1001), 0.0, 1.0, 1, 2, np.dtype(dtype)))
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 0.5) < 3e-3 and abs(x.std() - 12**-0.5) < 3e-3


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal(dtype, isa):
    for size in SIZES:
        for mean, std in ((0.0, 1.0), (2.0, 0.5)):
            got = K.normal((size,), mean, std, 7, 11, np.dtype(dtype))
            want = reference.normal((size,), mean, std, 7, 11, dtype)
            # both round in float64; the kernel's then once to float32
            bound = np.spacing(np.abs(want).astype(dtype)) * (0.5 if dtype == np.float32 else 2)
            assert np.all(np.abs(got - want) <= bound + 4e-15)
    x = same_bits(lambda: K.normal((300, 1001), 0.0, 1.0, 3, 4, np.dtype(dtype)))
    assert abs(x.mean()) < 6e-3 and abs(x.std() - 1) < 6e-3 and np.abs(x).max() > 4
    assert np.array_equal(K.normal((5,), 3.0, 0.0, 0, 0, np.dtype(dtype)), np.full(5, 3, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout(dtype, isa):
    rng = np.random.default_rng(0)
    for size in SIZES:
        x = rng.standard_normal(size).astype(dtype)
        for p in (0.0, 0.1, 0.5, 0.9, 1.0, 2.0**-25):
            got = K.dropout(x, p, 3, 9)
            want = reference.dropout(x.astype(np.float64), p, 3, 9)
            np.testing.assert_allclose(got, want, rtol=2 * np.finfo(dtype).eps)
            assert np.array_equal(got != 0, want != 0)
            if p == 0:
                assert np.array_equal(got, x)
            if p == 1:
                assert not got.any()
    x = np.ones((300, 1001), dtype)
    y = same_bits(lambda: K.dropout(x, 0.3, 5, 6))
    assert abs((y == 0).mean() - 0.3) < 4e-3
    # the same mask again: what the backward relies on
    assert np.array_equal(K.dropout(x * 2, 0.3, 5, 6) != 0, y != 0)
    view = lay_out(rng.standard_normal((5, 33)).astype(dtype), "transposed")
    assert np.array_equal(K.dropout(view, 0.4, 1, 1), K.dropout(view.copy(), 0.4, 1, 1))


def test_dropped_nan_and_infinities_are_zero(isa):
    x = np.full(4001, np.nan, np.float32)
    x[::2] = np.inf
    y = K.dropout(x, 0.5, 0, 0)
    assert set(np.unique(np.isfinite(y)).tolist()) == {False, True}
    assert (y[np.isfinite(y)] == 0).all()
    assert not K.dropout(x, 1.0, 0, 0).any()


def test_every_isa_draws_the_same_numbers():
    before = _cpu.isa()
    try:
        drawn = []
        for isa in _cpu.isas():
            _cpu.set_isa(isa)
            draws = [
                K.uniform((1001,), -1.0, 2.0, 1, 2, np.dtype(np.float32)),
                K.uniform((1001,), -1.0, 2.0, 1, 2, np.dtype(np.float64)),
                K.dropout(np.ones(1001, np.float32), 0.5, 1, 2),
                K.normal((100_001,), 0.0, 1.0, 1, 2, np.dtype(np.float32)),
            ]
            drawn.append([d.tobytes() for d in draws])
    finally:
        _cpu.set_isa(before)
    assert all(d == drawn[0] for d in drawn)


def test_refusals():
    for dtype in (np.int32, np.int64, np.bool_):
        with pytest.raises(_cpu.Fault):
            K.uniform((3,), 0.0, 1.0, 0, 0, np.dtype(dtype))
        with pytest.raises(_cpu.Fault):
            K.normal((3,), 0.0, 1.0, 0, 0, np.dtype(dtype))
    for p in (-0.1, 1.5, np.nan):
        with pytest.raises(_cpu.Fault):
            K.dropout(np.ones(3), p, 0, 0)
