"""CUDA normalisation and interpolation against the CPU's kernels: teams, chunks, schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gradsmith.kernels import cuda, table
from gradsmith.kernels.cuda import emulator, memory
from gradsmith.kernels.cuda.emulator import SCHEDULES


@pytest.fixture(scope="module", autouse=True)
def emulated() -> Any:
    before = cuda.is_emulated()
    cuda.use_emulator()
    cuda.connect()
    memory.guard()
    yield
    memory.guard(False)
    cuda.use_emulator(before)
    if cuda.is_available():
        cuda.connect()


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> np.ndarray[Any, Any]:
    return (np.random.default_rng(seed).standard_normal(shape) + 2).astype(dtype)


def check(name: str, *args: Any) -> None:
    """Both devices' results, up to the order of sums."""
    expected = getattr(table("cpu"), name)(*args)
    on_device = [memory.from_host(a) if isinstance(a, np.ndarray) else a for a in args]
    got = getattr(table("cuda"), name)(*on_device)
    pairs = (
        [(got, expected)] if not isinstance(expected, tuple) else zip(got, expected, strict=True)
    )
    for g, e in pairs:
        tolerance = 3e-5 if e.dtype == np.float32 else 1e-11
        scale = max(1.0, float(np.max(np.abs(e), initial=0.0)))
        np.testing.assert_allclose(memory.to_host(g), e, rtol=0, atol=tolerance * scale)


#: L = 1 and not; more channels than a block has teams; several chunks.
BATCHES = [(5, 3), (70, 40), (3, 2, 5), (2, 3, 700), (2, 40, 3), (2, 2, 9000), (1, 2, 18_001)]
#: (rows, length), groups, inner: a part of a warp, several warps, weights an element and a run.
ROWS = [
    ((4, 5), 1, 1),
    ((40, 6), 2, 1),
    ((5, 700), 1, 1),
    ((6, 300), 3, 50),
    ((4, 130), 1, 65),
    ((2, 9000), 1, 9000),
]


def run_batch(shape: tuple[int, ...], dtype: str) -> None:
    x, g = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    w, b = (normal(shape[1], seed=s, dtype=dtype) for s in (2, 3))
    check("batch_norm", x, w, b, (shape[1],), 1e-3)
    check("batch_norm", x, None, None, (shape[1],), 1e-3)
    _y, mean, var = table("cpu").batch_norm(x, w, b, (shape[1],), 1e-3)
    check("batch_norm_eval", x, w, b, mean, var, 1e-3)
    check("batch_norm_eval", x, None, None, None, var, 1e-3)
    for training in (True, False):
        check("batch_norm_bwd", g, x, w, mean, var, 1e-3, training)
    check("batch_norm_bwd", g, x, None, mean, var, 1e-3, True)


def run_rows(shape: tuple[int, int], groups: int, inner: int, dtype: str) -> None:
    x, g = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    n = groups * (shape[1] // inner)
    w, b = (normal(n, seed=s, dtype=dtype) for s in (2, 3))
    for centered in (True, False):
        options = (groups, inner, 1e-3, centered)
        check("row_norm", x, w, b, shape[:1], *options)
        _y, mean, var = table("cpu").row_norm(x, w, b, shape[:1], *options)
        check("row_norm_bwd", g, x, w, mean, var, (n,), *options)
    check("row_norm_bwd", g, x, None, mean, var, (0,), *options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", BATCHES)
def test_batch_norm(shape: tuple[int, ...], dtype: str) -> None:
    run_batch(shape, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ROWS)
def test_row_norm(case: Any, dtype: str) -> None:
    run_rows(*case, dtype)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_gives_the_same(schedule: Any) -> None:
    with emulator.schedule(*schedule):
        run_batch((3, 4, 60), "float32")
        run_batch((70, 5), "float32")
        run_rows((3, 300), 1, 1, "float32")
        run_rows((6, 40), 2, 10, "float64")


def test_running_statistics() -> None:
    mean, var = normal(5), np.abs(normal(5, seed=1))
    found = []
    for device in ("cpu", "cuda"):
        running = [np.zeros(5, np.float32), np.ones(5, np.float32)]
        arrays = [*running, mean, var]
        if device == "cuda":
            arrays = [memory.from_host(a) for a in arrays]
        assert table(device).batch_norm_update(*arrays, 0.25, 7) is None
        found.append(arrays[:2] if device == "cpu" else [memory.to_host(a) for a in arrays[:2]])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(found[0][1], 0.75 + 0.25 * var * 7 / 6, rtol=1e-6)


@pytest.mark.parametrize("mode", range(5))
@pytest.mark.parametrize("sizes", [(7, 3), (5, 12), (1, 4), (6, 1), (9, 10)])
def test_resample(mode: int, sizes: tuple[int, int]) -> None:
    inputs, outputs = sizes
    for align in (False, True) if mode in (2, 3) else (False,):
        for scale in (0.0, outputs / inputs * 1.03):
            options = (mode, align, scale)
            check("resample", normal(2, inputs, 3), 1, (2, outputs, 3), *options)
            check("resample_bwd", normal(2, outputs, 3), 1, (2, inputs, 3), *options)
            check("resample_bwd", normal(4, outputs), 1, (4, inputs), *options)
