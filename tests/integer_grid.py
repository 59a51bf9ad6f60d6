"""Small integers make sums exact in any order: a kernel must then agree with float64 to the bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gradsmith import _cpu

THREADS = (1, 2, 3, 7)


def builds(threads: tuple[int, ...] = THREADS) -> Iterator[str]:
    """Selects each ISA build with each number of threads in turn, exact; yields what it is."""
    isa, count, exact = _cpu.isa(), _cpu.num_threads(), _cpu.conv_exact()
    try:
        _cpu.set_conv_exact(True)
        for name in _cpu.isas():
            _cpu.set_isa(name)
            for n in threads:
                _cpu.set_num_threads(n)
                yield f"{name}, {n} threads"
    finally:
        _cpu.set_isa(isa)
        _cpu.set_num_threads(count)
        _cpu.set_conv_exact(exact)


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Integers of -3 .. 3, few of them zero."""
    return rng.choice([-3, -2, -1, 0, 1, 2, 3, 1, 2, -1], shape).astype(dtype)


def assert_same(got: np.ndarray, expected: np.ndarray, what: object) -> None:
    """Equal shapes and values, NaN at the same places."""
    assert got.shape == expected.shape, what
    if not np.array_equal(got, expected, equal_nan=True):
        wrong = ~((got == expected) | (np.isnan(got) & np.isnan(expected)))
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{what}: {wrong.sum()} of {wrong.size} differ, first at {where}: "
            f"{got[where]} for {expected[where]}"
        )
