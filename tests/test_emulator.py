"""The emulator shows what it claims: right kernels pass under every schedule, bugs do not."""

import ctypes
import mmap
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from gradsmith.kernels.cuda import cache, emulator, launch, memory
from gradsmith.kernels.cuda.emulator import SCHEDULES, build, tsan
from gradsmith.kernels.cuda.launch import KernelFault, Module

KERNELS = Path(__file__).parent / "emulator_kernels"
SEEDED = ["suffix_sum", "ring", "doubled", "histogram", "increment"]
BUGS = {
    "missing barrier": 1,
    "wait off by one": 2,
    "divergent barrier": 3,
    "non-atomic update": 4,
    "overrun": 5,
}
RIGHT = Module(KERNELS / "seeded.cu", SEEDED)
WRONG = {
    bug: Module(KERNELS / "seeded.cu", SEEDED, [f"SEEDED_BUG={number}"])
    for bug, number in BUGS.items()
}
BEHAVIOUR = Module(
    KERNELS / "behaviour.cu",
    [
        "identify",
        "warp_functions",
        "votes",
        "producer_consumer",
        "early_exit",
        "unwritten_shared",
        "static_overrun",
        "dynamic_overrun",
        "row_overrun",
        "misaligned_vector",
        "lock_and_wait",
        "endless",
        "half_a_warp",
        "two_places",
        "arguments",
        "wide_index",
        "bad_index",
        "misaligned_copy",
        "deep_stack",
    ],
)
every_schedule = pytest.mark.parametrize("order,copies,seed", SCHEDULES)


@pytest.fixture(autouse=True)
def emulated():
    """Launches and device memory of this file are the emulator's."""
    before = (launch._target, memory._memory)
    memory.select(memory.EmulatorMemory())
    launch.use("emulator")
    yield
    launch.use(*before[0])
    if before[1] is not None:
        memory.select(before[1])


def device(values, dtype=np.float32):
    return memory.from_host(np.asarray(values, dtype))


def zeros(shape, dtype=np.float32):
    return memory.from_host(np.zeros(shape, dtype))


def run(module, kernel, grid, block, *args, smem=0):
    launch.launch(module, kernel, (grid,), (block,), smem, args)


def suffix_sum(module):
    x = np.arange(256, dtype=np.float32)
    y = zeros(256)
    run(module, "suffix_sum", 2, 128, device(x), y)
    expected = x.reshape(2, 128)[:, ::-1].cumsum(1)[:, ::-1].reshape(-1)
    return memory.to_host(y), expected


def ring(module):
    tiles = 7
    x = np.arange(tiles * 256, dtype=np.float32)
    y = zeros(256)
    run(module, "ring", 1, 64, device(x), y, np.int32(tiles), smem=3 * 256 * 4)
    return memory.to_host(y), x.reshape(tiles, 256)[:, ::-1].sum(0)


def doubled(module):
    x = np.arange(64, dtype=np.float32)
    y = zeros(64)
    run(module, "doubled", 1, 64, device(x), y, np.int32(50))
    return memory.to_host(y)[:50], 2 * x[:50]


def histogram(module):
    x = np.arange(100, dtype=np.int32) % 7
    counts = zeros(7, np.int32)
    run(module, "histogram", 4, 32, device(x, np.int32), counts, np.int32(100))
    return memory.to_host(counts), np.bincount(x)


def increment(module):
    memory.guard()
    x = np.arange(33, dtype=np.float32)
    y = memory.empty((33,), np.float32)
    run(module, "increment", 2, 32, device(x), y, np.int32(33))
    return memory.to_host(y), x + 1


# ---- right kernels and seeded bugs -------------------------------------------------------------


@every_schedule
@pytest.mark.parametrize("case", [suffix_sum, ring, doubled, histogram, increment])
def test_right_kernel_passes_under_every_schedule(case, order, copies, seed):
    with emulator.schedule(order, copies, seed):
        got, expected = case(RIGHT)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("order", ["random", "skewed"])
@pytest.mark.parametrize("seed", range(5))
def test_missing_barrier_is_caught(order, seed):
    with emulator.schedule(order, seed=seed):
        got, expected = suffix_sum(WRONG["missing barrier"])
    assert not np.array_equal(got, expected)


@pytest.mark.parametrize("order", ["random", "skewed"])
@pytest.mark.parametrize("seed", range(5))
def test_wait_off_by_one_is_caught(order, seed):
    with emulator.schedule(order, "late", seed):
        got, expected = ring(WRONG["wait off by one"])
    assert not np.array_equal(got, expected)


@every_schedule
def test_divergent_barrier_is_caught_with_both_places(order, copies, seed):
    with (
        emulator.schedule(order, copies, seed),
        pytest.raises(KernelFault, match=r"divergent __syncthreads.*seeded.cu:\d+.*seeded.cu:\d+"),
    ):
        doubled(WRONG["divergent barrier"])


@pytest.mark.parametrize("n", [32, 33, 62])
@pytest.mark.parametrize("dtype", [np.float32])
def test_overrun_is_caught(n, dtype):
    memory.guard()
    x, y = device(np.ones(n), dtype), memory.empty((n,), dtype)
    with pytest.raises(RuntimeError, match="out of bounds"):
        run(WRONG["overrun"], "increment", 2, 32, x, y, np.int32(n))


def test_fault_names_block_and_thread():
    memory.guard()
    x, y = device(np.ones(32)), memory.empty((32,), np.float32)
    with pytest.raises(
        KernelFault,
        match=r"increment: block \(1,0,0\) thread \(0,0,0\): out of bounds.* at seeded.cu:\d+",
    ):
        run(WRONG["overrun"], "increment", 2, 32, x, y, np.int32(32))
    got, expected = suffix_sum(RIGHT)  # the runtime is usable afterwards
    np.testing.assert_array_equal(got, expected)


RACES = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
import test_emulator as t
t.memory.select(t.memory.EmulatorMemory())
t.launch.use("emulator")
module = t.RIGHT if sys.argv[1] == "right" else t.WRONG[sys.argv[1]]
for case in sys.argv[2:]:
    got, expected = getattr(t, case)(module)
print("ran")
"""


@pytest.mark.parametrize(
    "module,cases,races",
    [
        ("right", ["suffix_sum", "ring", "doubled", "histogram"], False),
        ("non-atomic update", ["histogram"], True),
        ("missing barrier", ["suffix_sum"], True),
        ("wait off by one", ["ring"], True),
    ],
)
def test_thread_sanitizer_finds_races_and_only_races(tmp_path, module, cases, races):
    if not tsan.available():
        pytest.skip("ThreadSanitizer does not run here")
    script = tmp_path / "races.py"
    script.write_text(RACES.format(tests=str(Path(__file__).parent)))
    result = tsan.run(str(script), module, *cases)
    assert "ran" in result.stdout, result.stderr
    assert result.returncode == (tsan.RACE_EXIT_CODE if races else 0), result.stderr
    assert ("data race" in result.stderr) == races


# ---- what CUDA promises ------------------------------------------------------------------------


@every_schedule
def test_every_thread_of_every_block_runs_once(order, copies, seed):
    shape, threads = (2, 3, 2), (5, 4, 2)
    linear, block = zeros(12 * 40, np.int32), zeros(12 * 40, np.int32)
    with emulator.schedule(order, copies, seed):
        launch.launch(BEHAVIOUR, "identify", shape, threads, 0, (linear, block))
    np.testing.assert_array_equal(memory.to_host(linear), np.tile(np.arange(40), 12))
    np.testing.assert_array_equal(memory.to_host(block), np.repeat(np.arange(12), 40))


@pytest.mark.parametrize("order", emulator.ORDERS)
def test_warp_functions(order):
    x = np.random.default_rng(0).integers(0, 20, 32).astype(np.int32)
    out = zeros((10, 32), np.int32)
    with emulator.schedule(order):
        run(BEHAVIOUR, "warp_functions", 1, 32, device(x, np.int32), out)
    lane = np.arange(32)
    expected = [
        x[np.full(32, 5)],
        x[np.where(lane < 3, lane, lane - 3)],
        x[np.where(lane + 3 > 31, lane, lane + 3)],
        x[lane ^ 9],
        x[lane ^ 4],
        np.full(32, np.packbits(x % 3 == 0, bitorder="little").view(np.int32)[0]),
        np.full(32, (x == 7).any()),
        np.full(32, 1),
        x[np.where(lane % 8 + 2 > 7, lane, lane + 2)],
        x[np.where(lane < 16, lane ^ 1, lane ^ 2)],
    ]
    np.testing.assert_array_equal(memory.to_host(out), np.array(expected))


@pytest.mark.parametrize("order", emulator.ORDERS)
@pytest.mark.parametrize("threads", [1, 31, 96, 100])
def test_block_votes(order, threads):
    x = np.arange(threads, dtype=np.int32) - 10
    out = zeros(3, np.int32)
    with emulator.schedule(order):
        run(BEHAVIOUR, "votes", 1, threads, device(x, np.int32), out)
    assert memory.to_host(out).tolist() == [int((x > 0).sum()), 0, 1]


@every_schedule
def test_named_barriers(order, copies, seed):
    y = zeros(256)
    with emulator.schedule(order, copies, seed):
        run(BEHAVIOUR, "producer_consumer", 1, 64, y, np.int32(8))
    np.testing.assert_array_equal(memory.to_host(y), np.arange(256))


def test_threads_that_left_are_not_waited_for():
    y = zeros(64, np.int32)
    run(BEHAVIOUR, "early_exit", 1, 64, y)
    np.testing.assert_array_equal(memory.to_host(y), np.arange(64) % 2 == 0)


def test_fresh_memory_is_poisoned():
    y = memory.empty((64,), np.float32)
    assert np.isnan(memory.to_host(y)).all()
    y = zeros(64)
    run(BEHAVIOUR, "unwritten_shared", 1, 32, y, smem=128)
    assert np.isnan(memory.to_host(y)).all()


# ---- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel,threads,smem,argument,message",
    [
        ("static_overrun", 32, 0, np.int32(32), "written behind the shared array `second`"),
        ("dynamic_overrun", 1, 100, np.int32(25), "written behind the shared array `dynamic`"),
        ("dynamic_overrun", 1, 100, np.int32(40), "shared memory access"),
        ("lock_and_wait", 2, 0, np.int32, "livelock: no (progress .* an atomic loop|thread)"),
        ("endless", 2, 0, np.int32, "livelock: no thread .* in 1 s"),
        ("half_a_warp", 32, 0, np.int32, r"deadlock: 16 of 32 .* __shfl_sync at behaviour.cu:\d+"),
        ("two_places", 64, 0, np.int32, "divergent __syncthreads"),
        ("deep_stack", 1, 0, np.float32, "stack overflow"),
        ("early_exit", 1025, 0, np.int32, r"launch: block out of range.*\(1025,1,1\)"),
        ("early_exit", 0, 0, np.int32, "launch: block out of range"),
        ("early_exit", 1, 300000, np.int32, "launch: shared memory out of range"),
    ],
)
def test_fault_is_named(kernel, threads, smem, argument, message):
    if isinstance(argument, np.generic):
        args = (argument,) if kernel == "dynamic_overrun" else (zeros(64), argument)
    else:
        args = (zeros(64, argument),)
    with emulator.schedule(timeout=1), pytest.raises(KernelFault, match=message):
        run(BEHAVIOUR, kernel, 1, threads, *args, smem=smem)


def test_index_beyond_a_row_is_caught_in_checked_kernels():
    y = zeros(1)
    run(BEHAVIOUR, "row_overrun", 1, 1, y, np.int32(9))
    assert memory.to_host(y)[0] == 9  # the next row's
    launch.use("emulator", checked=True)
    with pytest.raises(KernelFault, match=r"an index beyond .* at behaviour.cu:\d+"):
        run(BEHAVIOUR, "row_overrun", 1, 1, y, np.int32(9))


def test_misaligned_vector_access_is_caught():
    with pytest.raises(KernelFault, match=r"misaligned access, .* at behaviour.cu:\d+"):
        run(BEHAVIOUR, "misaligned_vector", 1, 1, zeros(8), zeros(8))


def test_cp_async_checks_alignment():
    x = zeros(8)
    with pytest.raises(KernelFault, match="cp.async: source .* is not 16-byte aligned"):
        run(BEHAVIOUR, "misaligned_copy", 1, 1, x, x, smem=64)


def test_index_error_flag():
    index = device([0, 4, 2], np.int64)
    run(BEHAVIOUR, "bad_index", 1, 3, index, np.int64(5), launch.index_flag())
    launch.raise_index_error("gather")
    run(BEHAVIOUR, "bad_index", 1, 3, index, np.int64(4), launch.index_flag())
    with pytest.raises(Exception) as caught:
        launch.raise_index_error("gather")
    assert caught.value.args == ("gather", "index", (4, 4))
    launch.raise_index_error("gather")  # reported once


def test_late_index_error():
    """A GPU is not waited for at each op: the error comes with the next call that waits."""
    run(BEHAVIOUR, "bad_index", 1, 1, device([7], np.int64), np.int64(4), launch.index_flag())
    with pytest.raises(IndexError, match=r"cuda: .* must be in \[0, 4\); got 7 \(.*BLOCKING=1"):
        launch.raise_late_index_error()
    launch.raise_late_index_error()


def test_indices_are_64_bits_wide():
    n = 5 << 30
    host = np.frombuffer(mmap.mmap(-1, n), np.int8)  # reserved, not used, but for one page
    host[n - 1] = 7
    y = zeros(1, np.int8)
    run(BEHAVIOUR, "wide_index", 1, 1, memory.DeviceArray(host), np.int64(n - 1), y)
    assert memory.to_host(y)[0] == 7


# ---- arguments ---------------------------------------------------------------------------------


def arguments(**changed):
    values = {
        "x": device([1.0]),
        "y": memory.empty((2,), np.float64),
        "i": np.int32(2),
        "q": np.int64(3),
        "f": np.float32(4),
        "d": np.float64(5),
        "b": np.bool_(True),
        "pair": struct.pack("i4xq", 6, 7),
        "any": None,
    }
    values.update(changed)
    return tuple(values.values())


def test_arguments_arrive():
    args = arguments()
    run(BEHAVIOUR, "arguments", 1, 1, *args)
    assert memory.to_host(args[1]).tolist() == [29.0, 1.0]


@pytest.mark.parametrize(
    "changed,message",
    [
        ({"x": np.int32(1)}, "argument 0 is int32, kernel wants const float"),
        ({"x": np.zeros(1, np.float32)}, "argument 0 is float32 ndarray, kernel wants const float"),
        ({"y": "float32"}, "argument 1 is float32 DeviceArray, kernel wants double"),
        ({"i": 2}, "argument 2 is int, kernel wants int"),
        ({"i": np.int64(2)}, "argument 2 is int64, kernel wants int"),
        ({"q": np.int32(2)}, "argument 3 is int32, kernel wants long long"),
        ({"f": 1.0}, "argument 4 is float, kernel wants float"),
        ({"f": np.float64(1)}, "argument 4 is float64, kernel wants float"),
        ({"b": True}, "argument 6 is bool, kernel wants bool"),
        ({"pair": b"123"}, "argument 7 is 3 bytes, kernel wants Pair"),
        ({"d": None}, "argument 5 is NoneType, kernel wants double"),
    ],
)
def test_arguments_are_checked_against_the_signature(changed, message):
    changed = {k: zeros(2) if isinstance(v, str) else v for k, v in changed.items()}
    with pytest.raises(TypeError, match="arguments: " + message):
        run(BEHAVIOUR, "arguments", 1, 1, *arguments(**changed))


def test_arguments_for_a_gpu_are_checked_by_size_and_laid_out():
    """What the driver gets: pointers to each argument. (A cubin tells sizes, not types.)"""
    sizes = (8, 8, 4, 8, 4, 8, 1, 16, 8)
    parameters = [launch.Parameter("", "", n, f"a parameter of {n} bytes") for n in sizes]
    kernel = launch._Kernel("arguments", parameters)
    seen = []

    def start(grid, block, smem):
        seen.extend(ctypes.string_at(p, n) for p, n in zip(kernel._pointers, sizes, strict=True))

    kernel._start = start
    args = arguments()
    kernel.run((1,), (1,), 0, args)
    pointers = struct.pack("Q", args[0].ptr), struct.pack("Q", args[1].ptr)
    scalars = [a.tobytes() for a in args[2:7]]
    assert seen == [*pointers, *scalars, args[7], bytes(8)]
    for wrong in ({"i": np.int64(2)}, {"x": np.float32(1)}, {"pair": b"1"}, {"i": 2}):
        with pytest.raises(TypeError, match="kernel wants a parameter of"):
            kernel.run((1,), (1,), 0, arguments(**wrong))


def test_number_of_arguments_is_checked():
    with pytest.raises(TypeError, match="takes 9 arguments .*const float.*; got 1"):
        run(BEHAVIOUR, "arguments", 1, 1, zeros(1))


def test_launches_are_counted():
    before = launch.count
    suffix_sum(RIGHT)
    suffix_sum(RIGHT)
    assert launch.count == before + 2


def test_unknown_kernel_is_named():
    with pytest.raises(KeyError, match="seeded.cu declares no kernel 'sum'"):
        run(RIGHT, "sum", 1, 1)


def test_launches_from_several_threads():
    failures = []

    def work():
        for _ in range(20):
            got, expected = suffix_sum(RIGHT)
            if not np.array_equal(got, expected):
                failures.append(got)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


# ---- device arrays -----------------------------------------------------------------------------


def test_device_array_views_match_numpy():
    host = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    x = memory.from_host(host)
    for view in [
        lambda a: a.transpose((2, 0, 1)),
        lambda a: a[1:3, ::-1, ::2],
        lambda a: a[2],
        lambda a: a[..., -1],
        lambda a: a[:, None, 3:0:-2],
        lambda a: a.reshape(20, 6).T,
        lambda a: a.reshape((2, 60))[:, 5:50:3],
        lambda a: a[1, 2, 3],
        lambda a: a[4:],
    ]:
        got, expected = view(x), view(host)
        assert isinstance(got, memory.DeviceArray)
        assert (got.shape, got.strides, got.dtype) == (
            expected.shape,
            expected.strides,
            expected.dtype,
        )
        assert (got.size, got.ndim, got.nbytes) == (expected.size, expected.ndim, expected.nbytes)
        assert got.flags.c_contiguous == expected.flags.c_contiguous
        np.testing.assert_array_equal(memory.to_host(got), expected)
        assert got.size == 0 or 0 <= got.ptr - x.ptr < x.nbytes  # no copy


@pytest.mark.parametrize("guarded", [False, True])
def test_strided_views(guarded):
    memory.guard(guarded)
    host = np.arange(12, dtype=np.int32).reshape(3, 4)
    x = memory.from_host(host)
    flipped = x[::-1, ::-1]
    again = memory.strided(flipped, (2, 2), (-16, -8))
    np.testing.assert_array_equal(memory.to_host(again), host[::-1, ::-1][:2, ::2])
    wide = memory.strided(x[:, 1:2], (3, 5), (16, 0))
    np.testing.assert_array_equal(memory.to_host(wide), np.repeat(host[:, 1:2], 5, 1))
    inner = memory.strided(memory.strided(x[1:], (2, 4), (16, 4))[:, 1:], (2, 3), (16, 4))
    np.testing.assert_array_equal(memory.to_host(inner), host[1:, 1:])
    assert memory.strided(x, (0, 4), (16, 4)).size == 0
    with pytest.raises(ValueError):
        memory.strided(x, (100,), (4,))
    del x, flipped, wide
    np.testing.assert_array_equal(memory.to_host(again), host[::-1, ::-1][:2, ::2])  # kept alive


def test_device_array_is_opaque():
    x = zeros((2, 3))
    for attempt in [
        lambda: x + 1,
        lambda: 1 + x,
        lambda: np.zeros((2, 3)) + x,
        lambda: np.add(x, x),
        lambda: np.asarray(x),
        lambda: np.sum(x),
        lambda: float(x),
        lambda: x[[0, 1]],
        lambda: x[np.zeros((2, 3), bool)],
    ]:
        with pytest.raises(TypeError):
            attempt()
    with pytest.raises(TypeError):
        x[0] = 1
    with pytest.raises(ValueError, match="reshape: needs contiguous"):
        x.T.reshape(6)
    assert len(x) == 2
    assert x == x and hash(x) == hash(x)


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1025, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, np.int8])
def test_memory_round_trip(guarded, shape, dtype):
    memory.guard(guarded)
    host = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    x = memory.from_host(host)
    assert x.ptr % 16 == 0
    got = memory.to_host(x)
    assert got.shape == shape and got.dtype == dtype
    np.testing.assert_array_equal(got, host)


def test_impossible_size_is_a_memory_error():
    with pytest.raises(MemoryError):
        memory.empty((1 << 40, 1 << 40), np.float32)


# ---- building and the cache --------------------------------------------------------------------


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache.environment, "CACHE_DIR", str(folder))
    return folder


def test_cache_builds_once_and_checks_what_it_loads(own_cache):
    built = []

    def build_it(path):
        built.append(path)
        path.write_bytes(b"content")

    first = cache.fetch("stem", "key", ".so", build_it)
    assert cache.fetch("stem", "key", ".so", build_it) == first
    assert len(built) == 1
    assert own_cache.stat().st_mode & 0o777 == 0o700
    first.write_bytes(b"damaged")
    again = cache.fetch("stem", "key", ".so", build_it)
    assert again.read_bytes() == b"content" and len(built) == 2
    assert sorted(p.name for p in own_cache.iterdir()) == [again.name]


def test_failed_build_leaves_nothing(own_cache):
    def build_it(path):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.fetch("stem", "key", ".so", build_it)
    assert not list(own_cache.glob("*.so"))


def test_cache_folder_that_others_may_write_is_refused(own_cache):
    own_cache.mkdir()
    own_cache.chmod(0o777)
    with pytest.raises(RuntimeError, match="only you can write to; got mode 777.*chmod 700"):
        cache.directory()


def test_key_follows_includes(tmp_path):
    (tmp_path / "a.cu").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text('#include "c.cuh"\n')
    (tmp_path / "c.cuh").write_text("// one\n")
    before = cache.source_with_includes(tmp_path / "a.cu")
    assert len(before) == 3
    (tmp_path / "c.cuh").write_text("// two\n")
    assert cache.source_with_includes(tmp_path / "a.cu") != before


BUILD_AT_ONCE = """
import sys
from gradsmith.kernels.cuda import cache
cache.environment.CACHE_DIR = sys.argv[1]
from gradsmith.kernels.cuda.emulator import build
from pathlib import Path
print(build.kernel_library(Path(sys.argv[2]), ["round_tf32"]))
"""


def test_processes_may_build_at_once(tmp_path):
    command = [
        sys.executable,
        "-c",
        BUILD_AT_ONCE,
        str(tmp_path),
        str(KERNELS / "ptx_functions.cu"),
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    paths = {p.communicate(timeout=120)[0].strip() for p in running}
    assert all(p.returncode == 0 for p in running)
    assert len(paths) == 1 and len(list(tmp_path.glob("*.so"))) == 1


def test_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    build.compiler.cache_clear()
    try:
        with pytest.raises(RuntimeError, match=r"needs a C\+\+17 compiler; tried no-such-compiler"):
            build.compiler()
    finally:
        build.compiler.cache_clear()


def test_compile_error_shows_the_compilers_words(tmp_path, own_cache):
    (tmp_path / "broken.cu").write_text("__global__ void f(int* x) { *x = missing; }\n")
    with pytest.raises(RuntimeError, match="broken.cu does not compile(.|\n)*missing"):
        build.kernel_library(tmp_path / "broken.cu", ["f"])


def test_portable_context_switch(tmp_path, own_cache, monkeypatch):
    """The ucontext fibers of machines other than x86-64, in a process of its own."""
    script = tmp_path / "portable.py"
    script.write_text(
        RACES.format(tests=str(Path(__file__).parent))
        .replace(
            "import test_emulator as t",
            "import test_emulator as t\n"
            f"t.cache.environment.CACHE_DIR = {str(own_cache)!r}\n"
            "t.build._flags.cache_clear()\n"
            "flags = t.build._flags()\n"
            "t.build._flags = lambda: (*flags, '-DGS_UCONTEXT')",
        )
        .replace("print(", "    np.testing.assert_array_equal(got, expected)\nprint(")
    )
    command = [sys.executable, str(script), "right", "suffix_sum", "ring", "histogram"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and "ran" in result.stdout, result.stderr


def test_schedule_refuses_unknown_names():
    with pytest.raises(ValueError, match="order must be one of"), emulator.schedule("backwards"):
        pass


def test_inline_assembly_stands_in_one_file():
    folder = Path(launch.__file__).parent
    for file in [*folder.rglob("*.cu"), *folder.rglob("*.cuh")]:
        text = file.read_text()
        assert file.name == "ptx.cuh" or "asm" not in text, file
        assert file.name in ("ptx.cuh", "common.cuh") or "#ifdef" not in text, file
