"""The functions of ptx.cuh against the layouts of the PTX ISA, written out in NumPy.

In the emulator these are the models; where there is a GPU, the instructions are held to the same.
"""

from pathlib import Path

import numpy as np
import pytest
from gradsmith.kernels import cuda
from gradsmith.kernels.cuda import emulator, launch, memory
from gradsmith.kernels.cuda.launch import Module

MODULE = Module(
    Path(__file__).parent / "emulator_kernels" / "ptx_functions.cu",
    [
        "mma<Tf32>",
        "mma<Bf16>",
        "mma<F16>",
        "ldmatrix<false>",
        "ldmatrix<true>",
        "round_tf32",
        "copy_zero_fill",
    ],
)
LANES = np.arange(32)
G, T = LANES // 4, LANES % 4  # the ISA's groupID and threadID_in_group


DEVICES = ["emulator"] + (["gpu"] if cuda.gpu_problem() is None else [])


@pytest.fixture(autouse=True, params=DEVICES)
def device(request):
    before = (launch._target, memory._memory)
    if request.param == "emulator":
        memory.select(memory.EmulatorMemory())
        launch.use("emulator")
    else:
        memory.select(memory.CupyMemory())
        launch.use("cupy")
    yield
    launch.use(*before[0])
    if before[1] is not None:
        memory.select(before[1])


def run(kernel, *args):
    launch.launch(MODULE, kernel, (1,), (32,), 0, args)


def spread_d(d):
    """D (16, 8) -> [lane][register], as "Matrix Fragments for mma.m16n8k8" lays it out."""
    return np.stack([d[G, 2 * T], d[G, 2 * T + 1], d[G + 8, 2 * T], d[G + 8, 2 * T + 1]], 1)


def gather_d(registers):
    d = np.empty((16, 8), registers.dtype)
    d[G, 2 * T], d[G, 2 * T + 1] = registers[:, 0], registers[:, 1]
    d[G + 8, 2 * T], d[G + 8, 2 * T + 1] = registers[:, 2], registers[:, 3]
    return d


def pairs(low, high):
    return low.astype(np.uint32) | (high.astype(np.uint32) << 16)


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_mma_tf32(order):
    rng = np.random.default_rng(1)
    a = rng.integers(-8, 9, (16, 8)).astype(np.float32)
    b = rng.integers(-8, 9, (8, 8)).astype(np.float32)
    c = rng.integers(-8, 9, (16, 8)).astype(np.float32)
    fragment_a = np.stack([a[G, T], a[G + 8, T], a[G, T + 4], a[G + 8, T + 4]], 1)
    fragment_b = np.stack([b[T, G], b[T + 4, G]], 1)
    d = memory.from_host(spread_d(c))
    with emulator.schedule(order):
        run(
            "mma<Tf32>",
            memory.from_host(fragment_a.view(np.uint32)),
            memory.from_host(fragment_b.view(np.uint32)),
            d,
        )
    np.testing.assert_array_equal(gather_d(memory.to_host(d)), a @ b + c)


@pytest.mark.parametrize("kernel", ["mma<Bf16>", "mma<F16>"])
def test_mma_16_bit(kernel):
    rng = np.random.default_rng(2)
    a = (rng.integers(-32, 33, (16, 16)) / 8).astype(np.float32)
    b = (rng.integers(-32, 33, (16, 8)) / 8).astype(np.float32)
    c = rng.integers(-8, 9, (16, 8)).astype(np.float32)
    if kernel == "mma<F16>":
        a16, b16 = a.astype(np.float16).view(np.uint16), b.astype(np.float16).view(np.uint16)
    else:  # the upper half of a float32 that needs no more
        a16, b16 = ((x.view(np.uint32) >> 16).astype(np.uint16) for x in (a, b))
    columns = 2 * T
    fragment_a = np.stack(
        [
            pairs(
                a16[G + 8 * (i % 2), columns + 8 * (i // 2)],
                a16[G + 8 * (i % 2), columns + 8 * (i // 2) + 1],
            )
            for i in range(4)
        ],
        1,
    )
    fragment_b = np.stack(
        [pairs(b16[columns + 8 * i, G], b16[columns + 8 * i + 1, G]) for i in range(2)], 1
    )
    d = memory.from_host(spread_d(c))
    run(kernel, memory.from_host(fragment_a), memory.from_host(fragment_b), d)
    np.testing.assert_array_equal(gather_d(memory.to_host(d)), a @ b + c)


def test_f16_special_values():
    """Every kind of half value times one: zeros, subnormals, the largest, infinities, NaN."""
    values = np.array([0, -0.0, 6e-8, -6e-8, 6.1e-5, 65504, -65504, np.inf], np.float16)
    a = np.zeros((16, 16), np.float16)
    a[: len(values), 0] = values
    b = np.zeros((16, 8), np.float16)
    b[0] = 1
    a16, b16 = a.view(np.uint16), b.view(np.uint16)
    fragment_a = np.stack(
        [
            pairs(
                a16[G + 8 * (i % 2), 2 * T + 8 * (i // 2)],
                a16[G + 8 * (i % 2), 2 * T + 8 * (i // 2) + 1],
            )
            for i in range(4)
        ],
        1,
    )
    fragment_b = np.stack(
        [pairs(b16[2 * T + 8 * i, G], b16[2 * T + 8 * i + 1, G]) for i in (0, 1)], 1
    )
    d = memory.from_host(np.zeros((32, 4), np.float32))
    run("mma<F16>", memory.from_host(fragment_a), memory.from_host(fragment_b), d)
    got = gather_d(memory.to_host(d))[: len(values), 0]
    np.testing.assert_array_equal(got, values.astype(np.float32))


@pytest.mark.parametrize("order", emulator.ORDERS)
@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix(order, transposed):
    x = np.arange(32 * 8, dtype=np.uint16)
    out = memory.empty((32, 4), np.uint32)
    with emulator.schedule(order):
        run(f"ldmatrix<{str(transposed).lower()}>", memory.from_host(x), out)
    matrices = x.reshape(4, 8, 8)
    if transposed:
        matrices = matrices.transpose(0, 2, 1)
    expected = np.stack([pairs(m[G, 2 * T], m[G, 2 * T + 1]) for m in matrices], 1)
    np.testing.assert_array_equal(memory.to_host(out), expected)


def test_round_to_tf32():
    x = np.array(
        [0, 1, -1, 1 + 2**-11, 1 + 2**-10, -(1 + 2**-11), 1 + 2**-12, 3e38, 1e-40, np.inf, -np.inf],
        np.float32,
    )
    y = memory.empty(x.shape, np.float32)
    run("round_tf32", memory.from_host(x), y, np.int32(len(x)))
    # To nearest, ties away from zero: 1 + 2^-11 is a tie.
    bits = x.view(np.uint32).astype(np.uint64)
    finite = np.isfinite(x)
    rounded = np.where(finite, (bits + 0x1000) & 0xFFFFE000, bits)
    expected = rounded.astype(np.uint32).view(np.float32)
    np.testing.assert_array_equal(memory.to_host(y), expected)
    assert memory.to_host(y)[3] == np.float32(1 + 2**-10)


@pytest.mark.parametrize("copies", emulator.COPIES)
def test_cp_async_fills_with_zeros(copies):
    x = np.arange(1, 129, dtype=np.float32).reshape(32, 4)
    count = (LANES % 5).astype(np.int32)
    y = memory.empty((32, 4), np.float32)
    with emulator.schedule("random", copies):
        run("copy_zero_fill", memory.from_host(x), memory.from_host(count * 4), y)
    np.testing.assert_array_equal(memory.to_host(y), np.where(np.arange(4) < count[:, None], x, 0))
