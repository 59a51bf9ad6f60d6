"""The caching allocator: alignment, huge pages, reuse, bounds, what it counts."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import time
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu

MB = 1 << 20
HUGE_PAGE = 2 * MB


@pytest.fixture(autouse=True)
def _empty() -> None:
    gc.collect()
    gs.empty_cache()


def test_what_a_cache_keeps() -> None:
    """Half of a near third level; of a far one three times the second levels in use."""
    for threads in (1, 2, 16):
        assert _cpu.cached_result(1 * MB, 32 * MB, threads) == 16 * MB
        assert _cpu.cached_result(1 * MB, 64 * MB, threads) == 32 * MB
        assert _cpu.cached_result(2 * MB, 260 * MB, threads) == 6 * MB * threads
        assert _cpu.cached_result(0, 260 * MB, threads) == 130 * MB
        assert _cpu.cached_result(8 * MB, 0, threads) == 4 * MB
        assert _cpu.cached_result(0, 0, threads) == 16 * MB


def in_use() -> int:
    """Bytes that tensors hold."""
    gc.collect()
    return gs.memory_stats()["in_use"]


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 100, 1000, 4097, 65536, 262144, 3000000])
def test_outputs_are_aligned(count: int) -> None:
    """To 64 bytes; from 1 MB on to a huge page."""
    for y in (gs.zeros(count), gs.zeros(count) + 1.0, gs.zeros(count, dtype=gs.float64) * 2.0):
        nbytes = count * y.element_size()
        assert y.data_ptr() % (HUGE_PAGE if nbytes > MB else 64) == 0


def test_large_outputs_lie_in_huge_pages() -> None:
    """The kernel was asked for huge pages (VmFlags hg) where the memory is."""
    if not os.path.exists("/proc/self/smaps"):
        pytest.skip("needs /proc/self/smaps")
    y = gs.zeros(8 * MB)
    address = y.data_ptr()
    flags = None
    inside = False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if found:
                inside = int(found[1], 16) <= address < int(found[2], 16)
            elif inside and line.startswith("VmFlags"):
                flags = line.split()[1:]
    assert flags is not None and "hg" in flags, flags


def test_freed_memory_is_used_again() -> None:
    x = gs.zeros(1000)
    first = x.data_ptr()
    system = gs.memory_stats()["system_allocations"]
    del x
    y = gs.zeros(1000)
    assert y.data_ptr() == first
    assert gs.memory_stats()["system_allocations"] == system


def test_a_loop_needs_no_new_memory() -> None:
    """After the first round, a training-like loop asks the system for nothing."""
    x, w = gs.randn(64, 100), gs.randn(100, 50).requires_grad_()

    def round_() -> None:
        w.grad = None
        ((x @ w).relu() * 2.0).sum().backward()

    for _ in range(3):
        round_()
    before = gs.memory_stats()
    for _ in range(20):
        round_()
    after = gs.memory_stats()
    assert after["system_allocations"] == before["system_allocations"]
    assert after["allocations"] > before["allocations"]
    assert after["in_use"] == before["in_use"]


def test_memory_is_counted_exactly() -> None:
    """In use goes up by the size class (at most 25 % more), and down again to where it was."""
    for count in (1, 16, 17, 100, 1000, 5000, 123456, 1000000):
        before = in_use()
        x = gs.zeros(count)
        held = in_use() - before
        assert count * 4 <= held <= max(64, count * 4 * 1.25 + 64)
        view = x[: count // 2]
        del x
        assert in_use() == before + held, "a view keeps the memory"
        del view
        assert in_use() == before


def test_numpy_keeps_the_memory() -> None:
    """An array got from a tensor owns a share of its memory: it outlives the tensor."""
    before = in_use()
    x = gs.full((1000,), 7.0)
    array = x.numpy()
    part = array[10:20]
    del x, array
    junk = [gs.zeros(1000) for _ in range(4)]
    assert np.array_equal(part, np.full(10, 7.0, np.float32))
    del part, junk
    assert in_use() == before


def test_empty_cache_gives_memory_back() -> None:
    del_me = [gs.zeros(MB) for _ in range(5)]
    del del_me
    assert gs.memory_stats()["cached"] >= 5 * 4 * MB
    gs.empty_cache()
    assert gs.memory_stats()["cached"] == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_what_is_given_back_leaves_no_addresses() -> None:
    """Blocks are cut from larger maps, to start on a huge page: the cuttings go, too."""

    def addresses() -> int:
        with open("/proc/self/statm") as numbers:
            return int(numbers.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    for turn in range(41):
        del_me = gs.empty(MB)
        del del_me
        gs.empty_cache()
        if turn == 0:
            before = addresses()
    assert addresses() - before <= 4 * HUGE_PAGE


def test_what_is_held_is_bounded() -> None:
    """Cached and used memory stay below 1.5 times the peak in use plus 64 MiB, whatever sizes."""
    rng = np.random.default_rng(0)
    for size in rng.integers(1, 3 * MB, 200):
        y = gs.zeros(int(size))
        del y
        stats = gs.memory_stats()
        assert stats["in_use"] + stats["cached"] <= 1.5 * stats["peak"] + 64 * MB


def test_sizes_of_an_earlier_phase_make_room() -> None:
    """Where others fill the cache, a new size is kept too once they are stale."""
    gs.empty_cache()
    held = [gs.zeros(n * MB) for n in (16, 8)]
    del held
    for n in (12, 10, 7, 6, 5, 4, 3, 2, 1):
        gs.zeros(n * MB)  # until the bound is reached

    def system_allocations() -> int:
        before = gs.memory_stats()["system_allocations"]
        for _ in range(3):
            gs.zeros(14 * MB)
        return gs.memory_stats()["system_allocations"] - before

    stats = gs.memory_stats()
    assert stats["cached"] + 56 * MB > 1.5 * stats["peak"] + 64 * MB, "no room for one more"
    time.sleep(0.55)
    assert system_allocations() <= 1
    stats = gs.memory_stats()
    assert stats["in_use"] + stats["cached"] <= 1.5 * stats["peak"] + 64 * MB


def test_empty_and_absurd_sizes() -> None:
    assert gs.zeros(0).numel() == 0
    assert gs.zeros(3, 0, 2).shape == (3, 0, 2)
    with pytest.raises(MemoryError, match="cannot allocate"):
        gs.zeros(2**45)
    with pytest.raises((MemoryError, RuntimeError)):
        gs.zeros(2**60)
    assert gs.zeros(4).tolist() == [0.0] * 4


def test_views_and_copies_share_or_do_not() -> None:
    x = gs.zeros(100)
    assert x[5:].data_ptr() == x.data_ptr() + 20
    assert x.reshape(10, 10).data_ptr() == x.data_ptr()
    assert x.clone().data_ptr() != x.data_ptr()
    assert gs.from_numpy(x.numpy()).data_ptr() == x.data_ptr()


SMALL_LIMIT = """
import resource
import gradsmith as gs
gs.zeros(10)
soft = 600 << 20
with open("/proc/self/statm") as f:
    used = int(f.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + soft, used + soft))
held = []
try:
    while True:
        held.append(gs.zeros(10 << 20))
except MemoryError as error:
    assert "cannot allocate" in str(error), error
count = len(held)
assert count >= 5, count
held.clear()
y = gs.zeros(10 << 20) + 1.0
assert float(y[12345]) == 1.0
print("usable", count)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")
def test_real_exhaustion_is_a_memory_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_LIMIT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "usable" in done.stdout


# ---- the nth allocation fails ----


def _forward() -> Any:
    x = gs.from_numpy(np.ones((3, 4), np.float32))
    return (x + 1.0).exp().sum(0)


def _conv_step() -> Any:
    F = gs.nn.functional
    rng = np.random.default_rng(0)
    x = gs.from_numpy(rng.standard_normal((2, 3, 8, 8)).astype(np.float32))
    w = gs.from_numpy(rng.standard_normal((4, 3, 3, 3)).astype(np.float32)).requires_grad_()
    v = gs.from_numpy(rng.standard_normal((5, 64)).astype(np.float32)).requires_grad_()
    h = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2).flatten(1)
    loss = F.cross_entropy(F.linear(h, v), gs.from_numpy(np.array([1, 3])))
    loss.backward()
    return gs.cat([w.grad.reshape((-1,)), v.grad.reshape((-1,))])


def _second() -> Any:
    x = gs.from_numpy(np.linspace(0.5, 2, 12).reshape(3, 4)).requires_grad_()
    (g,) = gs.autograd.grad((x.exp() * x.T.reshape(3, 4)).sum(), x, create_graph=True)
    (h,) = gs.autograd.grad((g * g).sum(), x)
    return h


def _strided() -> Any:
    x = gs.from_numpy(np.arange(60.0).reshape(3, 4, 5))
    return gs.cat([x.permute((2, 0, 1)).reshape(5, 12), x[:, ::2, 1:].reshape(-1, 12)[:, :12]])


def _optimizer() -> Any:
    p = gs.Parameter(gs.from_numpy(np.ones((4, 5), np.float32)))
    p.grad = gs.from_numpy(np.full((4, 5), 0.5, np.float32))
    optimizer = gs.optim.Adam([p], lr=0.1)
    optimizer.step()
    return p.detach() * 1.0


@pytest.mark.parametrize("work", [_forward, _conv_step, _second, _strided, _optimizer])
def test_every_failing_allocation(work: Any) -> None:
    """The nth allocation fails, for every n until the work succeeds: MemoryError each time, then
    the same result as ever, and nothing leaked."""
    expected = work().numpy().copy()
    gc.collect()
    before = in_use()
    failures = 0
    for n in range(1, 1000):
        _cpu.fail_allocation(n)
        try:
            result = work()
        except MemoryError as error:
            failures += 1
            assert "cannot allocate" in str(error)
            del error
        else:
            # Fewer than n allocations: the failure is still to come, unless it was swallowed.
            _cpu.fail_allocation(0)
            assert np.array_equal(result.numpy(), expected)
            del result
            break
        assert in_use() == before, f"allocation {n} failed and left memory behind"
        _cpu.fail_allocation(0)
        assert np.array_equal(work().numpy(), expected), f"wrong after allocation {n} failed"
    else:
        raise AssertionError("never succeeded")
    assert failures >= 2, failures
    assert in_use() == before


def test_backward_after_a_failed_one() -> None:
    """A backward that ran out of memory leaves the leaves' gradients unset or whole."""
    x = gs.from_numpy(np.linspace(0.1, 1, 50)).requires_grad_()
    expected = None
    for n in range(1, 100):
        x.grad = None
        y = (x.exp() * x.tanh()).sum()
        _cpu.fail_allocation(n)
        try:
            y.backward()
        except MemoryError:
            assert x.grad is None or x.grad.shape == (50,)
            _cpu.fail_allocation(0)
        else:
            expected = x.grad.numpy().copy()
            break
    assert expected is not None
    e, t = np.exp(x.detach().numpy()), np.tanh(x.detach().numpy())
    assert np.allclose(expected, e * t + e * (1 - t * t), rtol=1e-12)
