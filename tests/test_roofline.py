"""The ceilings: what is measured, over how much memory, what the core refuses. No speeds."""

import mmap
import os

import pytest
from gradsmith import _cpu
from gradsmith.benchmarks import roofline


def write_cache(folder, cpu, index, level, kind, size, shared):
    entry = folder / f"cpu{cpu}/cache/index{index}"
    entry.mkdir(parents=True)
    for name, text in (
        ("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared)
    ):  # fmt: skip
        (entry / name).write_text(f"{text}\n")


def test_caches_are_read_as_the_system_describes_them(tmp_path):
    cpu = min(os.sched_getaffinity(0))
    write_cache(tmp_path, cpu, 0, 1, "Data", "48K", cpu)
    write_cache(tmp_path, cpu, 1, 1, "Instruction", "32K", cpu)
    write_cache(tmp_path, cpu, 2, 2, "Unified", "1024K", cpu)
    write_cache(tmp_path, cpu, 3, 3, "Unified", "32M", "0-4095")
    usable = len(os.sched_getaffinity(0))
    assert roofline.caches(tmp_path) == [
        roofline.Cache("L1", 48 << 10, 1),
        roofline.Cache("L2", 1 << 20, 1),
        roofline.Cache("L3", 32 << 20, usable),
    ]


def test_a_silent_system_gives_guesses_that_say_so(tmp_path):
    found = roofline.caches(tmp_path)
    assert [c.level for c in found] == ["L1", "L2", "L3"]
    assert not any(c.known for c in found)


def test_working_sets_lie_inside_their_level():
    levels = [
        roofline.Cache("L1", 32 << 10, 1),
        roofline.Cache("L2", 1 << 20, 2),
        roofline.Cache("L3", 16 << 20, 4),
    ]
    one, four = (roofline.working_sets(levels, n) for n in (1, 4))
    assert one == {"L1": 16 << 10, "L2": 512 << 10, "L3": 8 << 20, "DRAM": 64 << 20}
    assert four == {"L1": 64 << 10, "L2": 1 << 20, "L3": 8 << 20, "DRAM": 64 << 20}
    # A last level of which one core has no more than its own: not a level of its own.
    small = [levels[1], roofline.Cache("L3", 1 << 20, 4)]
    assert list(roofline.working_sets(small, 1)) == ["L2", "DRAM"]


def test_thread_counts():
    assert roofline.thread_counts(1) == [1]
    assert roofline.thread_counts(6) == [1, 2, 4, 6]


def test_every_ceiling_is_measured():
    said = []
    before = _cpu.num_threads()
    found = roofline.measure([1, 2], quick=True, progress=said.append)
    assert _cpu.num_threads() == before
    for table in (found.fma, found.fma64):
        assert list(table) == _cpu.isas()
        assert all(row.keys() == {"1", "2"} and min(row.values()) > 0 for row in table.values())
    keys = {(m.level, m.kind, m.huge_pages, m.threads) for m in found.memory}
    assert len(keys) == len(found.memory)
    assert all(0 < m.gbs < 1e6 for m in found.memory)
    for level in ("L1", "DRAM"):
        for kind in ("read", "copy", "triad"):
            for huge in (True, False):
                assert {(level, kind, huge, n) for n in (1, 2)} <= keys
    assert any("DRAM" in text for text in said)
    lines = roofline.table(found)
    assert any(line.startswith("float32") for line in lines)
    assert any(line.startswith("DRAM triad, small pages") for line in lines)


@pytest.mark.parametrize("kind,arrays", [("read", 1), ("copy", 2), ("triad", 3)])
@pytest.mark.parametrize("isa", _cpu.isas())
def test_the_bytes_are_those_of_the_arrays(kind, arrays, isa):
    with mmap.mmap(-1, 1 << 20) as memory:
        moved = _cpu.ceiling_loop(kind, isa, 2, 3, memory)
        assert 0.9 * 3 * (1 << 20) < moved <= 3 * (1 << 20)
        assert moved % (2 * 3 * arrays * 4) == 0
        if kind != "read":
            assert _cpu.ceiling_loop(f"{kind}_stream", isa, 2, 3, memory) == moved


@pytest.mark.parametrize("isa", _cpu.isas())
def test_copies_and_triads_write_what_they_should(isa):
    """The arrays of a block: the destination, x, z, each 256 bytes behind a multiple of 4 KiB."""
    import numpy as np

    with mmap.mmap(-1, 64 << 10) as memory:
        values = np.frombuffer(memory, np.float32)
        try:
            for kind, arrays in (("copy", 2), ("triad", 3)):
                values[:] = np.arange(values.size)
                moved = _cpu.ceiling_loop(kind, isa, 1, 1, memory)
                n = int(moved) // (4 * arrays)
                stride = (values.size // arrays - 64) // 1024 * 1024 + 64
                x = np.arange(stride, stride + n, dtype=np.float32)
                z = np.arange(2 * stride, 2 * stride + n, dtype=np.float32)
                want = x if kind == "copy" else x + np.float32(0.5) * z
                assert np.array_equal(values[:n], want)
                assert np.array_equal(values[n:], np.arange(n, values.size, dtype=np.float32))
        finally:
            del values


@pytest.mark.parametrize(
    "arguments,error,words",
    [
        (("fly", "", 1, 1), ValueError, "kind must be one of fma32, .*; got 'fly'"),
        (("fma32", "v9", 1, 1), ValueError, "no ISA 'v9'"),
        (("fma32", "", 0, 1), ValueError, "1 to 256 threads"),
        (("fma32", "", 257, 1), ValueError, "1 to 256 threads"),
        (("fma32", "", 1, 0), ValueError, "rounds"),
        (("copy", "", 1, 1), TypeError, "buffer"),
        (("copy", "", 1, 1, bytearray(64)), ValueError, "memory"),
        (("copy", "", 1, 1, b"x" * 64), BufferError, "writable"),
    ],
)
def test_what_the_core_refuses(arguments, error, words):
    kind, isa, *rest = arguments
    before = _cpu.num_threads()
    with pytest.raises(error, match=words):
        _cpu.ceiling_loop(kind, isa or _cpu.isas()[-1], *rest)
    assert _cpu.num_threads() == before
