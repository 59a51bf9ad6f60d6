"""gradsmith.cuda: what the device is, its memory, streams and events, as the emulator has them."""

from __future__ import annotations

import subprocess
import sys

import gradsmith as gs
import pytest
from gradsmith.kernels.cuda import memory


def test_device(cuda: str) -> None:
    assert gs.cuda.is_available()
    assert gs.cuda.device_count() == 1
    gs.cuda.init()
    assert gs.cuda.is_initialized()
    gs.cuda.set_device(0)
    gs.cuda.set_device("cuda:0")
    with gs.cuda.device(0):
        assert gs.cuda.current_device() == 0
    found = gs.cuda.get_device_properties("cuda")
    assert found.name == gs.cuda.get_device_name()
    assert found.total_memory > 2**28
    assert gs.cuda.get_device_capability() == (found.major, found.minor)
    assert gs.cuda.is_bf16_supported() == (found.major >= 8)
    free, total = gs.cuda.mem_get_info()
    assert 0 < free <= total
    with pytest.raises(ValueError, match="needs a CUDA device; got 'cpu'"):
        gs.cuda.set_device("cpu")
    with pytest.raises(RuntimeError, match="number 0; got index 3"):
        gs.cuda.set_device(3)


def test_memory_is_counted(cuda: str) -> None:
    memory.guard(False)
    before = gs.cuda.memory_allocated()
    gs.cuda.reset_peak_memory_stats()
    x = gs.ones(1000, device="cuda")
    assert gs.cuda.memory_allocated() >= before + 4000
    y = x + 1
    del x
    z = y[10:]  # a view keeps its memory
    del y
    peak = gs.cuda.max_memory_allocated()
    assert peak >= before + 8000
    assert gs.cuda.memory_allocated() >= before + 4000
    del z
    assert gs.cuda.memory_allocated() <= before + 4000
    assert gs.cuda.memory_stats()["allocated_bytes.all.peak"] == peak
    gs.cuda.reset_peak_memory_stats()
    assert gs.cuda.max_memory_allocated() < peak
    assert gs.cuda.memory_reserved() <= gs.cuda.max_memory_reserved()
    gs.cuda.empty_cache()


def test_streams_and_events(cuda: str) -> None:
    default = gs.cuda.default_stream()
    side = gs.cuda.Stream()
    start, end = (gs.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    side.wait_stream(default)
    with gs.cuda.stream(side):
        y = gs.ones(16, device="cuda") * 2
        side.record_event(end)
    assert gs.cuda.current_stream() == default
    end.wait()
    end.synchronize()
    side.synchronize()
    assert end.query() and side.query()
    assert start.elapsed_time(end) >= 0
    assert y.cpu().tolist() == [2.0] * 16
    with gs.cuda.stream(None):
        pass
    with pytest.raises(RuntimeError, match="enable_timing"):
        gs.cuda.Event().elapsed_time(end)
    with pytest.raises(NotImplementedError, match="interprocess"):
        gs.cuda.Event(interprocess=True)


def test_one_generator_for_all_devices(cuda: str) -> None:
    gs.cuda.manual_seed(3)
    state = gs.cuda.get_rng_state()
    a = gs.rand(8)
    gs.cuda.set_rng_state(state)
    b = gs.rand(8, device="cuda")
    assert a.tolist() == b.cpu().tolist()
    gs.cuda.manual_seed_all(4)
    assert gs.cuda.initial_seed() == 4


def test_without_a_device() -> None:
    code = """
import gradsmith as gs
assert not gs.cuda.is_initialized() and gs.cuda.memory_allocated() == 0
if not gs.cuda.is_available():
    for call in (gs.cuda.Stream, gs.cuda.get_device_properties, gs.cuda.init):
        try:
            call()
        except RuntimeError as error:
            assert "GRADSMITH_CUDA_EMULATOR" in str(error), error
        else:
            raise AssertionError(call)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pinned_memory(cuda: str) -> None:
    x = gs.ones(3)
    assert x.pin_memory().tolist() == [1.0] * 3
    assert x.pin_memory().is_pinned() != gs.cuda.is_emulated()
    assert not x.is_pinned()
    assert x.pin_memory().to("cuda", non_blocking=True).cpu().tolist() == [1.0] * 3
    with pytest.raises(RuntimeError, match="only CPU tensors"):
        x.cuda().pin_memory()
