"""CUDA random numbers in the emulator, against Philox by its definition."""

import numpy as np
import pytest
from cuda_arrays import (
    K,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_float,
    host,
    layouts,
    rng,
)


def philox(seed, counters):
    """Philox4x32-10 by its definition: words (len(counters), 4)."""
    c = np.zeros((4, len(counters)), np.uint64)
    counters = np.array([n % 2**64 for n in counters], np.uint64)
    low = np.uint64(0xFFFFFFFF)
    c[0], c[1] = counters & low, counters >> np.uint64(32)
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = np.stack(
            [
                (p1 >> np.uint64(32)) ^ c[1] ^ key[0],
                p1 & low,
                (p0 >> np.uint64(32)) ^ c[3] ^ key[1],
                p0 & low,
            ]
        )
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    return c.T


def words(seed, offset, count):
    return philox(seed, [offset + i for i in range(count)])


SEEDS = [(0, 0), (1, 5), (2**64 - 1, 2**64 - 3), (0x123456789ABCDEF, 2**32 - 2)]
COUNTS = [1, 2, 3, 4, 5, 37, 1030]


def test_philox_reference():
    """The known answers of the Random123 distribution."""
    assert [hex(w) for w in philox(0, [0])[0]] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]
    ones = philox(2**64 - 1, [2**64 - 1])[0]
    assert all(0 <= w < 2**32 for w in ones)


@pytest.mark.parametrize("seed,offset", SEEDS)
@pytest.mark.parametrize("n", COUNTS)
def test_uniform(n, seed, offset):
    w = words(seed, offset, -(-n // 4)).reshape(-1)[:n]
    u = (w >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)
    expected = u * np.float32(5.0 - -2.0) + np.float32(-2.0)
    got = host(K["uniform"]((n,), -2.0, 5.0, seed, offset, np.dtype(np.float32)))
    np.testing.assert_array_equal(got, expected)
    a, b = words(seed, offset, -(-n // 2)).reshape(-1, 2)[:n].T
    u = ((a >> np.uint64(5)) * np.uint64(2**26) + (b >> np.uint64(6))).astype(np.float64) * 2**-53
    got = host(K["uniform"]((n,), -2.0, 5.0, seed, offset, np.dtype(np.float64)))
    np.testing.assert_array_equal(got, u * 7.0 + -2.0)


@pytest.mark.parametrize("seed,offset", SEEDS)
@pytest.mark.parametrize("n", COUNTS)
def test_normal(n, seed, offset):
    pairs = words(seed, offset, -(-n // 4)).reshape(-1, 2).astype(np.float64)
    expected = box_muller((pairs[:, 0] + 1) * 2**-32, pairs[:, 1] * 2**-32)[:n]
    got = host(K["normal"]((n,), 1.5, 2.0, seed, offset, np.dtype(np.float32)))
    np.testing.assert_allclose(got, expected * 2.0 + 1.5, rtol=2e-7, atol=1e-7)
    w = words(seed, offset, -(-n // 2))
    fraction = (w[:, ::2] >> np.uint64(5)) * np.uint64(2**26) + (w[:, 1::2] >> np.uint64(6))
    u1, u2 = fraction.astype(np.float64).T
    expected = box_muller((u1 + 1) * 2**-53, u2 * 2**-53)[:n]
    got = host(K["normal"]((n,), 1.5, 2.0, seed, offset, np.dtype(np.float64)))
    np.testing.assert_allclose(got, expected * 2.0 + 1.5, rtol=1e-14, atol=1e-14)


def box_muller(u1, u2):
    r = np.sqrt(-2 * np.log(u1))
    return np.stack([r * np.cos(2 * np.pi * u2), r * np.sin(2 * np.pi * u2)], 1).reshape(-1)


@every_float
@pytest.mark.parametrize("p", [0.0, 0.25, 0.3, 1.0])
@pytest.mark.parametrize("n", COUNTS)
def test_dropout(n, p, dtype):
    seed, offset = 77, 2**64 - 2
    x = rng(22).standard_normal(n).astype(dtype)
    w = words(seed, offset, -(-n // 4)).reshape(-1)[:n]
    kept = (w >> np.uint64(8)).astype(np.float64) * 2**-24 >= p
    expected = np.where(kept, x * dtype(1 / (1 - p) if p < 1 else 0), dtype(0))
    for _, on_device in layouts(x):
        np.testing.assert_array_equal(host(K["dropout"](on_device, p, seed, offset)), expected)


def test_random_shapes():
    for name in ("uniform", "normal"):
        assert K[name]((2, 0), 0.0, 1.0, 1, 0, np.dtype(np.float32)).shape == (2, 0)
        flat = host(K[name]((24,), 0.0, 1.0, 1, 0, np.dtype(np.float32)))
        cube = host(K[name]((2, 3, 4), 0.0, 1.0, 1, 0, np.dtype(np.float32)))
        np.testing.assert_array_equal(cube, flat.reshape(2, 3, 4))
    assert K["dropout"](device(np.zeros((0, 2), np.float32)), 0.5, 1, 0).shape == (0, 2)
