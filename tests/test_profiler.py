"""gradsmith.profiler: what it counts, and that it leaves no trace of itself."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import gradsmith as gs
import pytest
from gradsmith import kernels, profiler
from gradsmith.autograd.op import OPS


def step(device: str = "cpu") -> None:
    x = gs.ones(4, 3, 8, 8, device=device, requires_grad=True)
    w = gs.ones(5, 3, 3, 3, device=device, requires_grad=True)
    y = gs.nn.functional.conv2d(x, w, padding=1)
    gs.relu(y).sum().backward()


def test_counts_calls_bytes_and_flops(device: str) -> None:
    with profiler.profile(record_shapes=True) as prof:
        step(device)
    found = {(a.kind, a.key): a for a in prof.key_averages()}
    conv = found["kernel", "conv_fwd"]
    assert conv.count == 1
    assert conv.flops == 2 * 4 * 5 * 64 * 27
    assert conv.nbytes == 4 * (4 * 3 * 64 + 5 * 27 + 4 * 5 * 64)
    assert found["kernel", "conv_bwd_weight"].flops == conv.flops
    assert found["kernel", "conv_bwd_input"].flops == conv.flops
    op = found["op", "conv"]
    assert op.total >= conv.total
    assert op.self_time == op.total - conv.total
    assert ("backward", "relu") in found
    shapes = prof.key_averages(group_by_input_shape=True)
    assert ((4, 3, 8, 8), (5, 3, 3, 3)) in [a.shapes for a in shapes if a.key == "conv_fwd"]


def test_everything_is_put_back() -> None:
    table = kernels.table("cpu")
    before = [getattr(table, name) for name in kernels.KERNELS]
    ops = [(op.forward, op.backward) for op in OPS.values()]
    with pytest.raises(ZeroDivisionError), profiler.profile():
        step()
        raise ZeroDivisionError
    assert [getattr(table, name) for name in kernels.KERNELS] == before
    assert [(op.forward, op.backward) for op in OPS.values()] == ops
    with profiler.profile(), pytest.raises(RuntimeError, match="another profile is running"):
        profiler.profile().start()
    step()


def test_blocks_and_threads() -> None:
    @profiler.record_function("decorated")
    def decorated() -> None:
        step()

    with profiler.profile() as prof:
        with profiler.record_function("outer"):
            decorated()
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
        prof.step()
    found = {a.key: a for a in prof.key_averages() if a.kind == "block"}
    assert found["outer"].total >= found["decorated"].total > 0
    assert found["outer"].self_time < found["outer"].total
    assert "step 0" in found
    assert len({e.thread for e in prof.events()}) == 2
    with profiler.record_function("unprofiled"):
        step()
    assert all(e.name != "unprofiled" for e in prof.events())


def test_table() -> None:
    with profiler.profile() as prof:
        step()
    text = prof.key_averages().table(sort_by="cpu_time_total", row_limit=3)
    lines = text.splitlines()
    assert len(lines) == 2 + 3 + 1
    assert lines[0].split() == (
        "name kind calls total self self % per call bytes GB/s GFLOP/s of ceiling".split()
    )
    assert lines[-1].startswith("ceilings: copy")
    totals = [a.total for a in prof.key_averages()]
    assert max(totals) > 0
    assert "ceiling" not in prof.key_averages().table(ceilings=False)
    with pytest.raises(ValueError, match="sort_by"):
        prof.key_averages().table(sort_by="colour")


def test_trace(tmp_path: Path) -> None:
    traces: list[profiler.profile] = []
    with profiler.profile(on_trace_ready=traces.append) as prof:
        step()
    assert traces == [prof]
    prof.export_chrome_trace(tmp_path / "trace.json")
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {"op", "kernel", "backward"} <= {row["cat"] for row in rows}
    by_name = {row["name"]: row for row in rows if row["cat"] == "kernel"}
    assert by_name["conv_fwd"]["args"]["flops"] == 2 * 4 * 5 * 64 * 27
    assert all(row["ph"] == "X" and row["dur"] >= 0 for row in rows)
