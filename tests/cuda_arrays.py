"""For the tests of CUDA kernels in the emulator: arrays in all layouts, comparing, guard pages."""

import itertools

import numpy as np
import pytest
from gradsmith.kernels.cuda import launch, launchers, memory
from gradsmith.kernels.cuda.emulator import SCHEDULES

K = launchers.entries()
FLOATS = (np.float32, np.float64)
every_schedule = pytest.mark.parametrize("order,copies,seed", SCHEDULES)
every_float = pytest.mark.parametrize("dtype", FLOATS)

#: Relative to the sum of magnitudes: what a kernel may be off by.
BOUND = {np.float32: 3e-7, np.float64: 1e-15}


@pytest.fixture(autouse=True)
def emulated():
    """Launches and device memory of this file are the emulator's, with guard pages."""
    before = (launch._backend, memory._memory)
    memory.select(memory.EmulatorMemory())
    memory.guard()
    launch.use("emulator")
    yield
    launch.use(before[0])
    if before[1] is not None:
        memory.select(before[1])


def rng(seed=0):
    return np.random.default_rng(seed)


def device(x):
    return memory.from_host(np.asarray(x))


def host(x):
    return memory.to_host(x)


def layouts(x):
    """(name, device array equal to x) in layouts a kernel may be given."""
    yield "contiguous", device(x)
    yield (
        "last dimension first",
        device(np.moveaxis(x, -1, 0).copy()).transpose(*range(1, x.ndim), 0),
    )
    yield "reversed", device(x[..., ::-1].copy())[..., ::-1]
    wide = np.full((*x.shape[:-1], 2 * x.shape[-1] + 3), 99, x.dtype)
    wide[..., 3::2] = x
    yield "every other element", device(wide)[..., 3::2]
    flat = np.concatenate([np.zeros(1, x.dtype), x.ravel()])
    shifted = device(flat)[1:]
    yield "not aligned to 16 bytes", shifted.reshape(x.shape)


def close(got, expected, scale, dtype):
    """|got - expected| <= bound * scale where both are finite; equal otherwise."""
    got = np.asarray(got, np.float64)
    expected = np.asarray(expected, np.float64)
    assert got.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    error = np.abs(got[finite] - expected[finite])
    allowed = (BOUND[dtype] * np.broadcast_to(scale, expected.shape))[finite]
    worst = np.argmax(error - allowed) if error.size else 0
    assert (error <= allowed).all(), f"off by {error[worst]}, allowed {allowed[worst]}"


def kept_shape(shape, dims, keep=False):
    return tuple(1 if i in dims else n for i, n in enumerate(shape) if keep or i not in dims)


def all_dims(ndim):
    return [d for n in range(ndim + 1) for d in itertools.combinations(range(ndim), n)]
