"""What holds for all CUDA kernels of reduce, pool, loss, random and optim: schedules, refusals."""

from pathlib import Path

import numpy as np
import pytest
from cuda_arrays import (
    K,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_schedule,
    host,
    rng,
)
from gradsmith._cpu import Fault
from gradsmith.kernels.cuda import (
    arguments,
    emulator,
    launch,
    loss,
    norm,
    optim,
    pool,
    random,
    reduce,
    scan,
    softmax,
)
from gradsmith.kernels.cuda.emulator import tsan

COMMON = (1.0, -1.0, 0.0, 0.0, 1.0)  # of an optimizer's numbers


def tensors(seed):
    return [device(rng(seed + n).standard_normal(n).astype(np.float32)) for n in (33, 5)]


def small_runs():
    """One run of each kernel on a small shape, as {name: host arrays}."""
    r = rng(40)
    x = r.integers(-3, 3, (3, 5, 6)).astype(np.float32)
    d = device(x)
    tall = device(r.standard_normal((260, 3)).astype(np.float32))
    wide = device(r.standard_normal((20, 100)).astype(np.float32))
    rows = device(r.standard_normal((9, 2000)).astype(np.float32))
    long = device(r.standard_normal(1029).astype(np.float32))
    chunks = device(r.standard_normal(17_001).astype(np.float32))
    target = device(r.integers(0, 5, (3, 6)))
    indices = device(r.integers(0, 5, (3, 6)))
    results = {
        "sum": K["sum"](d, (1,), (3, 6)),
        "sum of rows": K["sum"](long, (0,), ()),
        "sum of columns": K["sum"](tall, (0,), (3,)),
        "sum of chunks": K["sum"](chunks, (0,), ()),
        "mean": K["mean"](d, (0, 2), (5,)),
        "mean of many rows": K["mean"](rows, (1,), (9,)),
        "amax": K["amax"](tall, (0,), (3,)),
        "amax_weight": K["amax_weight"](d, K["amax"](d, (1,), (3, 1, 6))),
        "max_dim": K["max_dim"](long, 0, ())[1],
        "max_dim of chunks": K["max_dim"](chunks, 0, ())[1],
        "scatter_sum": K["scatter_sum"](device(x[:, 0]), indices, (3, 5, 6), 1),
        "gather_dim": K["gather_dim"](d, indices, 1, (3, 6)),
        "cumsum": K["cumsum"](wide, 1, False, False),
        "cumsum of columns": K["cumsum"](d, 1, True, True),
        "softmax of rows": K["softmax"](device(x), 2),
        "log_softmax": K["log_softmax"](d, 1),
        "log_softmax of many rows": K["log_softmax"](rows, 1),
        "log_softmax of rows": K["log_softmax"](long, 0),
        "log_softmax of columns": K["log_softmax"](tall, 0),
        "log_softmax_bwd": K["log_softmax_bwd"](long, long, 0),
        "sum of wide columns": K["sum"](wide, (0,), (100,)),
        "log_softmax of wide columns": K["log_softmax"](wide, 0),
        "log_softmax_bwd of wide columns": K["log_softmax_bwd"](wide, wide, 0),
        "log_softmax_bwd of columns": K["log_softmax_bwd"](tall, tall, 0),
        "nll_loss": K["nll_loss"](d, target, None, (), -100, 1)[0],
        "nll_loss_bwd": K["nll_loss_bwd"](
            device(np.float32(2)), target, None, device(np.float32(3)), (3, 5, 6), -100, 1
        ),
        "uniform": K["uniform"]((37,), 0.0, 1.0, 1, 2, np.dtype(np.float32)),
        "normal": K["normal"]((37,), 0.0, 1.0, 1, 2, np.dtype(np.float64)),
        "dropout": K["dropout"](long, 0.5, 1, 2),
    }
    many = r.standard_normal((5000, 3)).astype(np.float32)
    labels = device(r.integers(0, 3, 5000))
    results["nll_loss of blocks"] = K["nll_loss"](device(many), labels, None, (), -100, 1)[0]
    results["prod_bwd"] = K["prod_bwd"](device(many[:9, 0]), device(1 + 0.01 * host(rows)))
    y, places = K["max_pool"](d, (3, 5, 3), (2,), (2,), (0,), (1,))
    results["max_pool"], results["max_pool places"] = y, places
    results["max_pool_bwd"] = K["max_pool_bwd"](y, places, (3, 5, 6), (2,), (2,), (0,), (1,))
    results["max_pool_gather"] = K["max_pool_gather"](d, places)
    results["avg_pool"] = K["avg_pool"](d, (3, 5, 3), (2,), (2,), (0,), True, 0)
    results["avg_pool_bwd"] = K["avg_pool_bwd"](y, (3, 5, 6), (2,), (2,), (0,), True, 0)
    params = tensors(41)
    states = [[device(np.zeros(n, np.float32)) for n in (33, 5)] for _ in range(2)]
    grads = tensors(42)
    K["sgd_step"](params, grads, states[0], [], [], None, np.array([*COMMON, 0.1, 0.9, 1, 1, 0]))
    adam = np.array([*COMMON, 0.1, 0.1, 0.99, 0.01, 10.0, 1e-8, 0])
    K["adam_step"](params, grads, *states, [], None, adam)
    results["total_norm"] = device(np.zeros((), np.float32))
    K["total_norm"](params, results["total_norm"], 2.0)
    results.update({f"params[{i}]": p for i, p in enumerate(params)})
    return {name: host(y) for name, y in results.items()}


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_few_blocks_go_over_everything(order, monkeypatch):
    """The kernels' loops over blocks: results do not depend on how many there are."""
    expected = small_runs()
    monkeypatch.setattr(arguments, "MAX_BLOCKS", 1)
    monkeypatch.setattr(reduce, "_MAX_BLOCKS", 1)
    for module in (loss, norm, scan, softmax):
        monkeypatch.setattr(module, "_MAX_BLOCKS", 1)
    reduce._plan.cache_clear()
    with emulator.schedule(order, seed=2):
        got = small_runs()
    reduce._plan.cache_clear()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.fixture(scope="module")
def forward_results():
    return {}


@every_schedule
def test_bits_are_the_same_under_every_schedule(order, copies, seed, forward_results):
    if not forward_results:
        forward_results.update(small_runs())
    with emulator.schedule(order, copies, seed):
        got = small_runs()
    for name, expected in forward_results.items():
        np.testing.assert_array_equal(got[name], expected, err_msg=name)


RACES = """
import sys
sys.path.insert(0, {tests!r})
import test_cuda_families as families
from gradsmith.kernels.cuda import launch, memory
memory.select(memory.EmulatorMemory())
launch.use("emulator")
print("ran", len(families.small_runs()))
"""


def test_no_kernel_races(tmp_path):
    if not tsan.available():
        pytest.skip("ThreadSanitizer does not run here")
    script = tmp_path / "races.py"
    script.write_text(RACES.format(tests=str(Path(__file__).parent)))
    result = tsan.run(str(script))
    assert result.returncode == 0 and "ran" in result.stdout, result.stdout + result.stderr[-8000:]


def test_every_entry_launches():
    """Each kernel-table entry of these families starts a kernel."""
    x = device(rng(43).standard_normal((2, 3, 4)).astype(np.float32))
    y, places = K["max_pool"](x, (2, 3, 2), (2,), (2,), (0,), (1,))
    window = ((2,), (2,), (0,), (1,))
    average = ((2,), (2,), (0,), True, 0)
    zeros = device(np.zeros((2, 4), np.int64))
    one = device(np.float32(1))
    f32 = np.dtype(np.float32)
    calls = {
        "sum": (x, (0,), (3, 4)),
        "mean": (x, (0,), (3, 4)),
        "amax": (x, (0,), (3, 4)),
        "amax_weight": (x, x),
        "max_dim": (x, 1, (2, 4)),
        "min_dim": (x, 1, (2, 4)),
        "prod": (x, (0,), (3, 4)),
        "amin": (x, (0,), (3, 4)),
        "any": (device(np.ones((2, 3), np.bool_)), (0,), (3,)),
        "all": (device(np.ones((2, 3), np.bool_)), (0,), (3,)),
        "var": (x, (0,), 1.0, False, (3, 4)),
        "sum_squares": (x, (0,), (3, 4)),
        "sum_exp": (x, device(np.zeros((3, 4), np.float32)), (0,), (3, 4)),
        "max_pool": (x, (2, 3, 2), *window),
        "max_pool_bwd": (y, places, (2, 3, 4), *window),
        "max_pool_gather": (x, places),
        "avg_pool": (x, (2, 3, 2), *average),
        "avg_pool_bwd": (y, (2, 3, 4), *average),
        "log_softmax": (x, 1),
        "log_softmax_bwd": (x, x, 1),
        "nll_loss": (x, zeros, None, (), -100, 1),
        "nll_loss_bwd": (one, zeros, None, one, (2, 3, 4), -100, 1),
        "dropout": (x, 0.5, 1, 0),
        "uniform": ((2,), 0.0, 1.0, 1, 0, f32),
        "normal": ((2,), 0.0, 1.0, 1, 0, f32),
        "total_norm": ([x], device(np.zeros((), np.float32)), 2.0),
        "bernoulli": (x, 1, 0),
        "randint": ((2,), 0, 5, 1, 0),
        "permutation": ((5,), 1, 0),
        "cross_entropy": (x, zeros, None, (), (2, *zeros.shape), True, 0.0, -100, 1),
    }
    stats = K["cross_entropy"](*calls["cross_entropy"])[1:]
    calls["cross_entropy_bwd"] = (one, x, zeros, None, *stats, True, 0.0, -100, 1)
    for name, (_, numbers) in optim._RULES.items():
        states = [[device(host(x))] for _ in range(3)]
        calls[name] = ([x], [x], *states, None, np.array([*COMMON, *[0.5] * numbers]))
    families = (reduce, pool, loss, random, optim)
    assert set(calls) == {name for family in families for name in family.ENTRIES}
    for name, args in calls.items():
        before = launch.count
        K[name](*args)
        assert launch.count > before, name


# ---- refusals ----


def f32(*shape):
    return device(np.ones(shape, np.float32))


def f64(*shape):
    return device(np.ones(shape, np.float64))


def ints(values, dtype=np.int64):
    return device(np.asarray(values, dtype))


WINDOW = ((2,), (2,), (0,), (1,))
SGD = np.array([*COMMON, 0.1, 0, 1, 0, 0])
NO_STATES = ([], [], [], None)
REFUSALS = {
    "a host array": lambda: K["sum"](np.ones(3, np.float32), (0,), ()),
    "integers": lambda: K["sum"](ints([1, 2], np.int32), (0,), ()),
    "out_shape": lambda: K["sum"](f32(2, 3), (0,), (2,)),
    "two dtypes": lambda: K["amax_weight"](f32(2), f64(1)),
    "another y": lambda: K["amax_weight"](f32(2, 3), f32(2, 2)),
    "int32 indices": lambda: K["gather_dim"](f32(3), ints([0], np.int32), 0, (1,)),
    "index 3 of 3": lambda: K["gather_dim"](f32(3), ints([0, 3]), 0, (2,)),
    "index -1 of 3": lambda: K["scatter_sum"](f32(2), ints([0, -1]), (3, 2), 0),
    "index 0 of 0": lambda: K["scatter_sum"](f32(2), ints([0, 0]), (0, 2), 0),
    "window of 0": lambda: K["max_pool"](f32(1, 1, 4), (1, 1, 2), (0,), (2,), (0,), (1,)),
    "another batch": lambda: K["max_pool"](f32(1, 1, 4), (2, 1, 2), *WINDOW),
    "4 spatial dims": lambda: K["max_pool"](f32(*[1] * 6), (1,) * 6, *[(1,) * 4] * 4),
    "int64 places": lambda: K["max_pool_bwd"](f32(1, 1, 1), ints([[[0]]]), (1, 1, 2), *WINDOW),
    "place 2 of 2": lambda: K["max_pool_bwd"](
        f32(1, 1, 1), ints([[[2]]], np.int32), (1, 1, 2), *WINDOW
    ),
    "place -1 of 2": lambda: K["max_pool_gather"](f32(1, 1, 2), ints([[[-1]]], np.int32)),
    "class 3 of 3": lambda: K["nll_loss"](f32(2, 3), ints([0, 3]), None, (), -100, 1),
    "class -1 of 3": lambda: K["nll_loss_bwd"](f32(), ints([-1, 0]), None, f32(), (2, 3), -100, 2),
    "labels of 3": lambda: K["nll_loss"](f32(2, 3), ints([0, 1, 2]), None, (), -100, 1),
    "float labels": lambda: K["nll_loss"](f32(2, 3), f32(2), None, (), -100, 1),
    "weight of 2": lambda: K["nll_loss"](f32(2, 3), ints([0, 1]), f32(2), (), -100, 1),
    "float64 weight": lambda: K["nll_loss"](f32(2, 3), ints([0, 1]), f64(3), (), -100, 1),
    "grad_y of 3": lambda: K["log_softmax_bwd"](f32(3), f32(4), 0),
    "p of 2": lambda: K["dropout"](f32(3), 2.0, 1, 0),
    "integer numbers": lambda: K["normal"]((3,), 0.0, 1.0, 1, 0, np.dtype(np.int64)),
    "too many": lambda: K["uniform"]((2**32, 2**32), 0.0, 1.0, 1, 0, np.dtype(np.float32)),
    "17 dims": lambda: K["uniform"]((1,) * 17, 0.0, 1.0, 1, 0, np.dtype(np.float32)),
    "a gradient less": lambda: K["sgd_step"]([f32(2)], [], *NO_STATES, SGD),
    "another gradient": lambda: K["sgd_step"]([f32(2)], [f32(3)], *NO_STATES, SGD),
    "float64 gradient": lambda: K["sgd_step"]([f32(2)], [f64(2)], *NO_STATES, SGD),
    "a buffer less": lambda: K["sgd_step"]([f32(2)] * 2, [f32(2)] * 2, [f32(2)], [], [], None, SGD),
    "another buffer": lambda: K["sgd_step"]([f32(2)], [f32(2)], [], [], [f32(3)], None, SGD),
    "norm of 2": lambda: K["sgd_step"]([f32(2)], [f32(2)], [], [], [], f32(2), SGD),
    "hyper of 3": lambda: K["sgd_step"]([f32(2)], [f32(2)], *NO_STATES, np.ones(3)),
    "float32 hyper": lambda: K["sgd_step"]([f32(2)], [f32(2)], *NO_STATES, SGD.astype("f4")),
    "norm into 2": lambda: K["total_norm"]([f32(2)], f32(2), 2.0),
    "norm of integers": lambda: K["total_norm"]([ints([1, 2])], f32(), 2.0),
}
FAULTS = {
    "a host array": ("sum", "not_array", ("x", "ndarray")),
    "integers": ("sum", "dtype"),
    "out_shape": ("sum", "shape", 0),
    "two dtypes": ("amax_weight", "dtype_mismatch"),
    "another y": ("amax_weight", "shape", 1),
    "int32 indices": ("gather_dim", "dtype"),
    "index 3 of 3": ("gather_dim", "index", (3, 3)),
    "index -1 of 3": ("scatter_sum", "index", (-1, 3)),
    "index 0 of 0": ("scatter_sum", "index", (0, 0)),
    "window of 0": ("max_pool", "shape", 0),
    "another batch": ("max_pool", "shape", 0),
    "4 spatial dims": ("max_pool", "shape", 0),
    "int64 places": ("max_pool_bwd", "dtype"),
    "place 2 of 2": ("max_pool_bwd", "index", (2, 2)),
    "place -1 of 2": ("max_pool_gather", "index", (-1, 2)),
    "class 3 of 3": ("nll_loss", "index", (3, 3)),
    "class -1 of 3": ("nll_loss_bwd", "index", (-1, 3)),
    "labels of 3": ("nll_loss", "shape", 1),
    "float labels": ("nll_loss", "dtype"),
    "weight of 2": ("nll_loss", "shape", 1),
    "float64 weight": ("nll_loss", "dtype_mismatch"),
    "grad_y of 3": ("log_softmax_bwd", "shape", 0),
    "p of 2": ("dropout", "shape", 1),
    "integer numbers": ("normal", "dtype"),
    "too many": ("uniform", "size"),
    "17 dims": ("uniform", "ndim", 17),
    "a gradient less": ("sgd_step", "shape", 1),
    "another gradient": ("sgd_step", "shape", 1),
    "float64 gradient": ("sgd_step", "dtype"),
    "a buffer less": ("sgd_step", "shape", 2),
    "another buffer": ("sgd_step", "shape", 4),
    "norm of 2": ("sgd_step", "shape", 5),
    "hyper of 3": ("sgd_step", "shape", 6),
    "norm into 2": ("total_norm", "shape", 1),
    "norm of integers": ("total_norm", "dtype"),
    "float32 hyper": ("sgd_step", "dtype"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    with pytest.raises(Fault) as fault:
        REFUSALS[case]()
    assert fault.value.args == FAULTS[case]
    # The flag of a reported index is down again.
    assert host(K["gather_dim"](f32(3), ints([2]), 0, (1,))) == 1


def test_inputs_are_unchanged():
    x = rng(50).standard_normal((3, 4, 6)).astype(np.float32)
    d = device(x)
    K["sum"](d, (1,), (3, 6))
    K["max_dim"](d, 1, (3, 6))
    K["log_softmax"](d, 2)
    K["dropout"](d, 0.5, 1, 0)
    K["max_pool"](d, (3, 4, 3), *WINDOW)
    grads = [device(x)]
    K["sgd_step"]([device(x)], grads, *NO_STATES, SGD)
    np.testing.assert_array_equal(host(d), x)
    np.testing.assert_array_equal(host(grads[0]), x)
