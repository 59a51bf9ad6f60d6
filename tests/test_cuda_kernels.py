"""The CUDA kernels against the CPU's: every schedule, ThreadSanitizer, every choice of tile.

Values are small integers, so that sums are exact and the tolerance is zero. (What the ops promise
is tested through the opdb, on both devices.)
"""

from pathlib import Path

import numpy as np
import pytest
from gradsmith._cpu import Fault
from gradsmith.kernels import cuda, table
from gradsmith.kernels.cuda import (
    arguments,
    conv,
    emulator,
    launch,
    matmul,
    memory,
    settings,
)
from gradsmith.kernels.cuda.emulator import SCHEDULES, tsan

DEVICES = ["emulator"] + (["gpu"] if cuda.gpu_problem() is None else [])


@pytest.fixture(scope="module", autouse=True, params=DEVICES)
def connected(request):
    before = cuda.is_emulated()
    cuda.use_emulator(request.param == "emulator")
    cuda.connect()
    if request.param == "emulator":
        memory.guard()
        launch.use("emulator", checked=True)
    yield
    memory.guard(False)
    cuda.use_emulator(before)
    if cuda.is_available():
        cuda.connect()


@pytest.fixture
def tf32(monkeypatch):
    monkeypatch.setattr(settings, "allow_tf32", True)


def integers(*shape, dtype=np.float32, seed=0, low=-4, high=5):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def to_device(value):
    if isinstance(value, np.ndarray):
        # As a view, strides and all.
        root = value if value.base is None else value.base
        if root is not value and isinstance(root, np.ndarray) and root.dtype == value.dtype:
            start = value.__array_interface__["data"][0] - root.__array_interface__["data"][0]
            flat = memory.from_host(root.reshape(-1))
            corner = flat[start // value.itemsize :]
            return memory.strided(corner, value.shape, value.strides)
        return memory.from_host(value)
    if isinstance(value, list):
        return [to_device(v) for v in value]
    return value


def check(name, *args):
    expected = getattr(table("cpu"), name)(*args)
    got = getattr(table("cuda"), name)(*map(to_device, args))
    several = isinstance(got, tuple)
    for a, b in zip(got, expected, strict=True) if several else [(got, expected)]:
        a = memory.to_host(a)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def conv_args(
    kind, N=2, C=4, K=6, inner=(7, 6), kernel=(3, 2), groups=2, stride=2, padding=1, **kw
):
    dtype, dilation = kw.get("dtype", np.float32), kw.get("dilation", 1)
    dims = len(inner)
    outer = tuple(
        (i + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for i, k in zip(inner, kernel, strict=True)
    )
    options = ((stride,) * dims, (padding,) * dims, (dilation,) * dims, groups)
    x = integers(N, C, *inner, dtype=dtype)
    weight = integers(K, C // groups, *kernel, dtype=dtype, seed=1)
    grad_y = integers(N, K, *outer, dtype=dtype, seed=2)
    if kind == "conv_fwd":
        return (x, weight, integers(K, dtype=dtype), grad_y.shape, *options)
    if kind == "conv_bwd_input":
        return (grad_y, weight, integers(C, dtype=dtype), x.shape, *options)
    return (grad_y, x, weight.shape, *options)


CASES = {
    "add": lambda: ("add", integers(3, 5, 4), integers(5, 1)),
    "mul number": lambda: ("mul", integers(33), 3),
    "relu": lambda: ("relu", integers(7, 9).T),
    "relu_bwd": lambda: ("relu_bwd", integers(50), integers(50, seed=1)),
    "relu_signs": lambda: ("relu_signs", integers(7, 43).T, (10,)),
    "relu_signs_bwd": lambda: (
        "relu_signs_bwd",
        integers(301),
        integers(10, dtype=np.int32, seed=1, low=-(2**31), high=2**31),
    ),
    "copy": lambda: ("copy", integers(7, 9)[:, ::-2], np.dtype(np.float64)),
    "copy transposed": lambda: (
        "copy",
        integers(2, 40, 70).transpose(2, 0, 1),
        np.dtype(np.float32),
    ),
    "full": lambda: ("full", (3, 5), 2.5, np.dtype(np.float32)),
    "cat": lambda: ("cat", [integers(3, 2), integers(3, 4)], 1, (3, 6)),
    "slice_bwd": lambda: ("slice_bwd", integers(2, 3), (5, 7), (3, 6), (-2, -3)),
    "matmul": lambda: ("matmul", integers(35, 21), integers(21, 40), integers(40), (35, 40)),
    "matmul double": lambda: (
        "matmul",
        integers(2, 35, 21, dtype=np.float64),
        integers(40, 21, dtype=np.float64).T,
        None,
        (2, 35, 40),
    ),
    **{
        kind: lambda kind=kind: (kind, *conv_args(kind))
        for kind in ("conv_fwd", "conv_bwd_input", "conv_bwd_weight")
    },
}


@pytest.mark.parametrize("order,copies,seed", SCHEDULES[::3])
@pytest.mark.parametrize("case", CASES)
def test_every_schedule_gives_the_same_bits(case, order, copies, seed):
    with emulator.schedule(order, copies, seed):
        check(*CASES[case]())


@pytest.mark.parametrize("order,copies,seed", SCHEDULES)
def test_tensor_core_matmul_under_every_schedule(tf32, order, copies, seed):
    with emulator.schedule(order, copies, seed):
        check("matmul", integers(70, 52), integers(52, 68), integers(68), (70, 68))
        check("matmul", integers(65, 35), integers(35, 33), None, (65, 33))


RACES = """
import sys
sys.path.insert(0, {tests!r})
import test_cuda_kernels as t
t.cuda.use_emulator()
for case in t.CASES.values():
    t.check(*case())
t.settings.allow_tf32 = True
t.check("matmul", t.integers(70, 52), t.integers(52, 68), None, (70, 68))
print("ran")
"""


def test_no_kernel_races(tmp_path):
    if not tsan.available():
        pytest.skip("ThreadSanitizer does not run here")
    script = tmp_path / "races.py"
    script.write_text(RACES.format(tests=str(Path(__file__).parent)))
    result = tsan.run(str(script))
    assert result.returncode == 0 and "ran" in result.stdout, result.stdout + result.stderr[-8000:]


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("dims", [(1, 0, 2), (2, 1, 0), (0, 2, 1), (2, 0, 1)])
def test_transposes_go_through_tiles(dims, dtype):
    x = (integers(17, 33, 65) > 0).astype(dtype).transpose(dims)
    for part in (x, x[1:, ::2], x[:, 1:40, 3:], x[..., ::-1]):
        check("copy", part, np.dtype(dtype))


# ---- matmul ------------------------------------------------------------------------------------


def layouts(rows, columns, dtype):
    """A matrix in every memory order: rows, columns, reversed, with gaps, repeated."""
    x = integers(rows, columns, dtype=dtype)
    yield x
    yield np.ascontiguousarray(x.T).T
    yield integers(rows, columns, dtype=dtype)[::-1, ::-1]
    yield integers(rows * 2, columns * 3, dtype=dtype)[::2, 1::3]
    yield np.broadcast_to(integers(1, columns, dtype=dtype), (rows, columns)).copy()


@pytest.mark.parametrize("allow_tf32", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("m,k,n", [(1, 1, 1), (33, 9, 31), (5, 0, 3), (2, 40, 70)])
def test_matmul_takes_every_layout(monkeypatch, allow_tf32, dtype, m, k, n):
    monkeypatch.setattr(settings, "allow_tf32", allow_tf32)
    for a in layouts(m, k, dtype):
        for b in layouts(k, n, dtype):
            check("matmul", a, b, None, (m, n))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["nn", "nt", "tn", "tt"])
def test_matmul_large_tiles(monkeypatch, order, dtype):
    monkeypatch.setattr(matmul, "_ENOUGH_TILES", 1)
    a, b = integers(136, 20, dtype=dtype), integers(20, 132, dtype=dtype, seed=1)
    a = np.ascontiguousarray(a.T).T if order[0] == "t" else a
    b = np.ascontiguousarray(b.T).T if order[1] == "t" else b
    check("matmul", a, b, integers(132, dtype=dtype), (136, 132))
    monkeypatch.setattr(settings, "allow_tf32", True)
    check("matmul", a, b, integers(132, dtype=dtype), (136, 132))


@pytest.mark.parametrize(
    "a,b",
    [
        ((3, 4, 5), (3, 5, 6)),
        ((2, 1, 4, 5), (3, 5, 6)),
        ((4, 5), (7, 5, 6)),
        ((7, 4, 5), (5, 6)),
        ((2, 3, 4, 5), (1, 1, 5, 6)),
        ((0, 4, 5), (5, 6)),
    ],
)
def test_matmul_batches(a, b):
    shape = np.broadcast_shapes(a[:-2], b[:-2])
    check("matmul", integers(*a), integers(*b), None, (*shape, a[-2], b[-1]))


def test_matmul_shared_b_is_one_product():
    """Batches that share b are folded into rows: one tile here, not seven."""
    a, b = memory.from_host(integers(7, 4, 5)), memory.from_host(integers(5, 6))
    seen = []

    def spy(module, kernel, grid, block, smem, args):
        seen.append(grid)

    original, matmul.launch = matmul.launch, spy
    try:
        matmul.matmul(a, b, None, (7, 4, 6))
    finally:
        matmul.launch = original
    assert seen == [(1,)]


def test_tensor_cores_are_chosen_only_where_allowed(monkeypatch):
    a = memory.from_host(integers(64, 64))
    seen = []
    monkeypatch.setattr(matmul, "launch", lambda module, kernel, *rest: seen.append(kernel))
    matmul.matmul(a, a, None, (64, 64))
    monkeypatch.setattr(settings, "allow_tf32", True)
    matmul.matmul(a, a, None, (64, 64))
    assert seen[0].startswith("matmul_simt<float") and seen[1].startswith("matmul_tf32<")


def test_tf32_error_is_within_its_bound(tf32):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((96, 96)).astype(np.float32) for _ in range(2))
    got = memory.to_host(table("cuda").matmul(to_device(a), to_device(b), None, (96, 96)))
    error = np.abs(got - a.astype(np.float64) @ b)
    bound = 2.0**-10 * (np.abs(a).astype(np.float64) @ np.abs(b))
    assert not (error > bound).any()
    assert (error > bound * 1e-4).any()  # it did round


# ---- convolution -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv_fwd", "conv_bwd_input", "conv_bwd_weight"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv_grid(kind, dtype):
    for inner, kernel in [((9,), (3,)), ((6, 7), (3, 2)), ((5, 4, 6), (2, 3, 1))]:
        for groups in (1, 2, 4):
            for stride in (1, 2, 3):
                for padding in (0, 2):
                    for dilation in (1, 2):
                        options = dict(inner=inner, kernel=kernel, groups=groups, stride=stride)
                        options.update(padding=padding, dilation=dilation, dtype=dtype, K=4)
                        if all(
                            i + 2 * padding > dilation * (k - 1)
                            for i, k in zip(inner, kernel, strict=True)
                        ):
                            check(kind, *conv_args(kind, **options))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("kind", ["conv_fwd", "conv_bwd_input"])
def test_conv_depthwise(kind, wide, monkeypatch):
    """A kernel of its own; several filters a channel, and 64-bit division."""
    if wide:
        monkeypatch.setattr(conv, "_WIDE_FROM", 1)
    check(kind, *conv_args(kind, C=3, K=9, groups=3, inner=(6, 7), kernel=(3, 2), dilation=2))
    check(kind, *conv_args(kind, C=5, K=5, groups=5, inner=(3, 4, 5), kernel=(2, 1, 3), stride=1))


@pytest.mark.parametrize("kind", ["conv_fwd", "conv_bwd_input", "conv_bwd_weight"])
def test_conv_large_tiles_and_wide_indices(kind, monkeypatch):
    monkeypatch.setattr(matmul, "_ENOUGH_TILES", 1)
    monkeypatch.setattr(conv, "_WIDE_FROM", 1)
    check(kind, *conv_args(kind, C=130, K=132, inner=(6, 6), kernel=(1, 2), groups=1, N=9))


@pytest.mark.parametrize("kind", ["conv_fwd", "conv_bwd_input", "conv_bwd_weight"])
@pytest.mark.parametrize("empty", ["N", "C", "K"])
def test_conv_empty(kind, empty):
    check(kind, *conv_args(kind, groups=1, **{empty: 0}))


def test_conv_bwd_weight_adds_its_parts_in_order():
    args = conv_args(
        "conv_bwd_weight", N=3, C=2, K=2, inner=(40, 40), kernel=(3, 3), groups=1, stride=1
    )
    before = launch.count
    check("conv_bwd_weight", *args)
    assert launch.count == before + 2  # the parts, and their sum
    x = np.random.default_rng(0).standard_normal(args[1].shape).astype(np.float32)
    runs = set()
    for order in emulator.ORDERS:
        with emulator.schedule(order):
            y = table("cuda").conv_bwd_weight(to_device(args[0]), to_device(x), *args[2:])
            runs.add(memory.to_host(y).tobytes())
    assert len(runs) == 1


def test_conv_reads_nothing_outside_for_huge_options():
    big = 2**31 - 1
    args = (integers(1, 1, 3), integers(1, 1, 2), None, (1, 1, 2))
    check("conv_fwd", *args, (1,), (big // 2 + 1,), (big,), 1)
    check("conv_fwd", *args[:3], (1, 1, 1), (big,), (0,), (1,), 1)


# ---- index arithmetic, refusals ----------------------------------------------------------------


@pytest.mark.parametrize("wide", [False, True])
def test_strided_loops_divide_in_both_widths(monkeypatch, wide):
    if wide:
        monkeypatch.setattr(arguments, "_WIDE_FROM", 1)
        arguments.strided_loop.cache_clear()
    rng = np.random.default_rng(0)
    for _ in range(30):
        shape = tuple(rng.integers(1, 5, rng.integers(1, 8)))
        x = integers(*shape).transpose(rng.permutation(len(shape)))
        check("neg", x)
    check("add", integers(*(2, 1) * 8), integers(*(1, 2) * 8))
    arguments.strided_loop.cache_clear()


def test_division_by_multiplication_is_exact():
    rng = np.random.default_rng(0)
    sizes = [1, 2, 3, 5, 7, 641, 2**16, 2**16 + 1, 2**30, 2**31 - 1]
    sizes += rng.integers(1, 2**31 - 1, 200).tolist()
    for size in sizes:
        multiplier, shift, n = np.frombuffer(arguments.extent(size), "u4,u4,i8")[0]
        assert n == size
        near = [0, 1, size - 1, size, size + 1, 2 * size - 1, 2 * size, 2**31 - 1]
        for i in [*near, *rng.integers(0, 2**31, 20).tolist()]:
            if 0 <= i < 2**31:
                high = (i * int(multiplier)) >> 32
                assert ((high + i) & 0xFFFFFFFF) >> int(shift) == i // size


@pytest.mark.parametrize(
    "name,args",
    [
        ("add", lambda: (integers(3), integers(4))),
        ("add", lambda: (integers(3), integers(3, dtype=np.float64))),
        ("div", lambda: (integers(3, dtype=np.int32), integers(3, dtype=np.int32))),
        ("exp", lambda: (integers(3, dtype=np.int64),)),
        ("matmul", lambda: (integers(3, 4), integers(5, 6), None, (3, 6))),
        ("matmul", lambda: (integers(3, 4), integers(4, 6), integers(5), (3, 6))),
        ("matmul", lambda: (integers(3, 4), integers(4, 6, dtype=np.float64), None, (3, 6))),
        ("copy", lambda: (integers(3, dtype=np.uint16), np.dtype(np.float32))),
        ("cat", lambda: ([integers(3, 2), integers(4, 2)], 1, (3, 4))),
        ("copy_into", lambda: (integers(3, 2), integers(4, 2))),
    ],
)
def test_refusals_are_the_cpus(name, args):
    kinds = []
    for device, send in (("cpu", lambda x: x), ("cuda", to_device)):
        with pytest.raises(Fault) as caught:
            getattr(table(device), name)(*map(send, args()))
        kinds.append(caught.value.args[:2])
    assert kinds[0] == kinds[1]


def test_host_array_is_refused():
    with pytest.raises(Fault) as caught:
        table("cuda").add(to_device(integers(3)), integers(3))
    assert caught.value.args == ("add", "not_array", ("b", "ndarray"))


def test_every_entry_launches():
    """Nothing but kernels computes: each case makes at least one launch."""
    for name, case in CASES.items():
        kernel, *args = case()
        args = [to_device(a) for a in args]
        before = launch.count
        getattr(table("cuda"), kernel)(*args)
        assert launch.count > before, name
