"""`gradsmith bench`: cases, engines, what is written and compared. No time is asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.benchmarks import engines, suite
from gradsmith.benchmarks.case import Case, Input
from gradsmith.benchmarks.cases import CASES, GROUPS, find, select
from gradsmith.benchmarks.compare import compare
from gradsmith.benchmarks.harness import Block, Timing, in_turns, interleave
from gradsmith.benchmarks.results import (
    EXACT,
    OURS,
    TORCH,
    TORCH_TUNED,
    Ceilings,
    Memory,
    Report,
    Result,
    by_class,
    dump,
    from_dict,
    geometric_mean,
    load,
    to_dict,
)
from gradsmith.benchmarks.roofline import Loop
from gradsmith.benchmarks.shares import share
from gradsmith.benchmarks.steps import optimizer_forms
from gradsmith.benchmarks.targets import GOALS, PARTS, PEAK, TARGETS, attained, verdicts
from gradsmith.cli.bench_text import PlainBench
from gradsmith.cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def run(capsys: Any, *arguments: str) -> tuple[int, str, str]:
    """The exit status, what was printed, and the errors."""
    try:
        status = main(["bench", *arguments])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    output = capsys.readouterr()
    return status, output.out, output.err


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """One short block, and no ceilings."""
    plan = suite.Plan.__init__

    def shorter(self: Any, *args: Any, **named: Any) -> None:
        plan(self, *args, **{**named, "rounds": 1, "seconds": 0.0})

    monkeypatch.setattr(suite.Plan, "__init__", shorter)
    monkeypatch.setattr(suite.Suite, "measure_ceilings", lambda self, ran: None)
    monkeypatch.setattr("gradsmith.benchmarks.harness.REST_SECONDS", 0.0)


def result(seconds: float, torch: float | None = None, name: str = "relu") -> Result:
    """A result whose middle half is 2 % wide."""
    times = {OURS: seconds} | ({TORCH: torch} if torch else {})
    timings = {k: Timing(v, 0.99 * v, 1.01 * v) for k, v in times.items()}
    return Result("activation", name, "float32", "forward", 0, 8e6, {}, timings)


def report(*results: Result, **environment: Any) -> Report:
    return Report("0", "2026-01-01T00:00:00+00:00", environment, Ceilings(), results)


# ---- cases ----


def test_cases_have_names_of_their_own_and_every_class_is_quick() -> None:
    assert len({c.key for c in CASES}) == len(CASES) > 400
    families = {c.family for c in CASES}
    assert {c.family for c in CASES if c.quick} >= families - {"random"}
    assert find("linear", "linear N32 400->120").inputs[1].shape == (120, 400)
    batches = {c.inputs[0].shape[0] for c in GROUPS["op"] if c.op == "F.conv2d"}
    assert batches >= {1, 8, 32, 128}
    assert select(("op",), "^conv 3x3.*ResNet-18 N8.*training")
    assert len(select(tuple(GROUPS), quick=True)) < len(select(tuple(GROUPS))) / 3


def test_flops_and_bytes() -> None:
    conv = Case("c", "c", "F.conv2d", (Input((2, 8, 5, 5)), Input((16, 2, 3, 3))))
    assert conv.flops("forward", (2, 16, 3, 3)) == 2 * 2 * 16 * 9 * 2 * 9
    assert conv.flops("training", (2, 16, 3, 3)) == 3 * conv.flops("forward", (2, 16, 3, 3))
    first = replace(conv, inputs=(replace(conv.inputs[0], grad=False), conv.inputs[1]))
    assert first.flops("training", (2, 16, 3, 3)) == 2 * conv.flops("forward", (2, 16, 3, 3))
    product = Case("m", "m", "matmul", (Input((3, 5)), Input((5, 7))))
    assert product.flops("forward", (3, 7)) == 2 * 3 * 5 * 7
    relu = Case("a", "r", "F.relu", (Input((10,)),))
    assert relu.flops("forward", (10,)) == 0
    assert (relu.bytes("forward", (10,)), relu.bytes("training", (10,))) == (80, 200)
    assert relu.in_float64().bytes("forward", (10,)) == 160


def test_inputs_are_the_same_everywhere_and_random() -> None:
    case = find("loss", "cross_entropy 128x10")
    (x, y), (a, b) = case.build(), case.build()
    assert np.array_equal(x, a) and np.array_equal(y, b) and y.max() < 10 and x.std() > 0.5
    assert case.in_float64().build()[0].dtype == np.float64
    double = case.in_float64().build()[0]
    assert np.array_equal(double, x.astype(np.float64))


# ---- harness, engines ----


def test_engines_take_turns() -> None:
    order: list[str] = []
    blocks = {name: lambda n=name: (order.append(n), [1.0, 2.0, 3.0])[1] for name in "ab"}
    timings = in_turns(blocks, 3)
    assert "".join(order) == "ababab" and timings["a"].median == 2.0
    order.clear()
    in_turns(blocks, 100, limit=0.0, least=2)
    assert "".join(order) == "abab"
    assert interleave({"x": lambda: None}, rounds=1, seconds=0.0)["x"].median >= 0
    block = Block(lambda: None, 0.0, warm_up=2)
    assert len(block()) == 1 and block.ran == 2


def test_an_engine_computes_the_case() -> None:
    case = find("linear", "linear N32 400->120")
    x, w, b = case.build()
    engine = engines.Local(OURS, gs.get_num_threads())
    engine.prepare(case, "forward", 0.0)
    (y,) = engine.results()
    np.testing.assert_allclose(y, x @ w.T + b, rtol=1e-4, atol=1e-5)
    engine.prepare(case, "training", 0.0)
    engine.block("default")
    gx, gw, gb = engine.results()
    seed = case.cotangent((32, 120))
    np.testing.assert_allclose(gb, seed.sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gw, seed.T @ x, rtol=1e-4, atol=1e-4)
    assert gx.shape == x.shape


def test_the_tuned_engine_takes_the_forms_that_an_optimizer_has() -> None:
    class Fused:
        def __init__(self, params: Any, foreach: bool = False, fused: bool = False) -> None: ...

    class Foreach:
        def __init__(self, params: Any, foreach: bool = False) -> None: ...

    lib = SimpleNamespace(optim=SimpleNamespace(SGD=Fused, RMSprop=Foreach))
    assert optimizer_forms(lib, "plain SGD") == ["foreach", "fused"]
    assert optimizer_forms(lib, "RMSprop") == ["foreach"]


def test_every_optimizer_is_timed_in_the_forms_that_torch_has() -> None:
    pytest.importorskip("torch")
    engine = engines.Local(TORCH_TUNED, gs.get_num_threads())
    for case in GROUPS["optimizer"]:
        small = replace(case, options={**case.options, "shapes": "LeNet-5"})
        variants = engine.prepare(small, "training", 0.0)
        assert variants[0] == "foreach" and all(engine.block(v)[0] > 0 for v in variants)


def test_idle_threads_of_numpy_sleep_before_the_next_block(monkeypatch: Any) -> None:
    """OpenBLAS' spin for 2^28 cycles unless told otherwise; a block rests for 20 ms, 2^25 or so."""
    monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT", raising=False)
    for name in ("numpy", "numpy-tuned"):
        assert int(engines.environment(name, 2)["OPENBLAS_THREAD_TIMEOUT"]) <= 24
    assert "OPENBLAS_THREAD_TIMEOUT" not in engines.environment(TORCH_TUNED, 2)
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "20")
    assert engines.environment("numpy", 2)["OPENBLAS_THREAD_TIMEOUT"] == "20"


def test_an_engine_in_a_process_of_its_own() -> None:
    case = find("linear", "linear N32 400->120")
    engine = engines.Remote("numpy-tuned", 1)
    try:
        assert engine.prepare(case, "forward", 0.0) == ["default"]
        assert engine.block("default")[0] > 0
        (y,) = engine.results()
        x, w, b = case.build()
        np.testing.assert_allclose(y, x @ w.T + b, rtol=1e-4, atol=1e-5)
        assert engine.memory()["peak"] > 0
        with pytest.raises(engines.Unsupported):
            engine.prepare(case, "training", 0.0)
        with pytest.raises(RuntimeError, match="KeyError"):
            engine.prepare(replace(case, name="no such case"), "forward", 0.0)
    finally:
        engine.close()
    with pytest.raises((RuntimeError, ValueError)):
        engine.block("default")


@pytest.mark.parametrize("name", ["numpy", OURS])
def test_cases_with_processes_of_their_own(name: str) -> None:
    family = "elementwise and activation, 51 MB"
    large = find(family, "exp"), find(family, "relu")
    nets = find("training step", "LeNet-5 N32"), find("training step", "LeNet-5 N512")
    shared = find("linear", "linear N32 400->120")
    run = suite.Suite(suite.Plan(("op",), "no such case", (name,)))
    try:
        common = run._engine(name, shared)
        assert isinstance(common, engines.Local if name == OURS else engines.Remote)
        first = run._engine(name, large[0])
        assert isinstance(first, engines.Remote) and first is not common
        assert run._engine(name, large[1]) is first  # what they leave is alike
        assert run._engine(name, shared) is common
        assert first.process.poll() is not None  # it has ended
        steps = [run._engine(name, net) for net in nets]
        assert steps[0] is not steps[1] and steps[0].process.poll() is not None
    finally:
        run.close()
    assert steps[1].process.poll() is not None and not run._engines


# ---- the command ----


def test_a_run_and_what_it_writes(hasty: None, capsys: Any, tmp_path: Path) -> None:
    path, threads = tmp_path / "r.json", gs.get_num_threads()
    status, text, _ = run(
        capsys, "op", "overhead", "--only", "linear N32 400|chain of 20, an operand.*forward",
        "--quick", "--engines", "gradsmith,numpy", "--threads", "1,2", "--json", str(path),
    )  # fmt: skip
    assert status == 0, text
    assert "linear N32 400->120" in text and "GFLOP/s" in text and "3 measurements" in text
    found = load(path)
    assert found == from_dict(json.loads(json.dumps(to_dict(found))))
    assert set(by_class(found.results)) == {"linear", "overhead"}
    assert found.environment["threads"] == 1 and found.environment["cpu"]
    forward = next(r for r in found.results if (r.family, r.kind) == ("linear", "forward"))
    assert set(forward.engines) == {"gradsmith", "numpy"} and forward.flops == 2 * 32 * 400 * 120
    assert 0 <= (forward.error["gradsmith"] or 0) < 1e-5
    assert set(forward.extra["threads"]) == {"1", "2"}
    assert gs.get_num_threads() == threads
    status, text, _ = run(capsys, "compare", str(path), str(path))
    assert status == 0 and "0 slower, 0 quicker" in text


def test_a_training_step_in_processes_of_its_own(hasty: None, capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    status, text, _ = run(
        capsys, "net", "--only", "LeNet-5 N32", "--engines", "gradsmith", "--json", str(path)
    )
    assert status == 0, text
    assert "faults a step" in text and "peak MB" in text
    (only,) = load(path).results
    assert only.kind == "training" and only.extra["peak_mb"] >= 0


def test_a_wrong_result_fails(hasty: None, capsys: Any, monkeypatch: Any) -> None:
    exact = suite._float64
    monkeypatch.setattr(suite, "_float64", lambda *a: [1.01 * x for x in exact(*a)])
    status, text, _ = run(
        capsys, "op", "--only", "activation: relu of 10007.*forward", "--engines", "gradsmith"
    )
    assert status == 1 and "FAILED" in text and "relu of 10007, forward: gradsmith" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("ops", "roofline, all, compare, report; got 'ops'"),
        ("op --only (", "--only: '(' is no regular expression"),
        ("op --only nothing-like-it", "no case is named like 'nothing-like-it'"),
        ("op --engines tensorflow", "--engines: must be of gradsmith"),
        ("op --threads 0", "--threads: must be whole numbers from 1 to 1024"),
        ("op --minutes 0", "--minutes: must be above 0 and at most 1440; got 0"),
        ("op --minutes nan", "--minutes: must be above 0 and at most 1440; got nan"),
        ("op --relative", "--relative: is of compare OLD NEW alone"),
        ("op --json no/such/r.json", "--json: the folder"),
        ("compare a.json", "compare: needs two files, OLD and NEW; got 1"),
        ("compare no-a.json no-b.json", "no-a.json cannot be read: No such file"),
    ],
)
def test_wrong_arguments(capsys: Any, arguments: str, message: str) -> None:
    status, out, err = run(capsys, *arguments.split())
    assert status == 2 and out == "" and message in err


def test_the_minutes_are_shared_by_the_cases(capsys: Any) -> None:
    plan = suite.Plan(("op",), engines=(OURS, TORCH))
    few, many = suite.within(replace(plan, only="linear N32"), 10.0), suite.within(plan, 10.0)
    assert many.seconds < few.seconds <= plan.seconds and many.limit < few.limit <= plan.limit
    assert few.budget == many.budget == 500.0 and many.least == 1 < plan.least
    assert many.rounds * len(many.engines) * many.seconds == pytest.approx(many.limit)


def test_a_class_that_the_time_cut_short_is_shown(capsys: Any) -> None:
    found = result(1e-3, 2e-3)
    unfinished = SimpleNamespace(family=found.family)
    plan = SimpleNamespace(results=[found], cases=[(unfinished, "forward")] * 2)
    shown = PlainBench(plan, lambda: report(found))  # type: ignore[arg-type]
    shown.ran("relu", found)
    assert capsys.readouterr().out == ""
    shown.finished()
    assert found.family in capsys.readouterr().out


def test_compare_refuses_what_is_no_report(capsys: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"gradsmith": "0"}')
    status, _, err = run(capsys, "compare", str(path), str(path))
    assert status == 2 and "no results of `gradsmith bench --json`" in err


# ---- results and their comparison ----


def test_ratios() -> None:
    r = result(2.0, 3.0)
    assert (r.as_shipped, r.tuned) == (1.5, None)
    tuned = replace(r, engines={**r.engines, TORCH_TUNED: Timing(1.0, 1.0, 1.0)})
    assert (tuned.as_shipped, tuned.tuned) == (1.5, 0.5)
    assert r.rate() == (4e-3, "GB/s") and geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_compare_names_regressions_beyond_the_spread(capsys: Any, tmp_path: Path) -> None:
    old = report(result(1.0, 2.0), result(1.0, 2.0, "gelu"), result(1.0, None, "elu"), cpu="a")
    new = report(result(1.2, 2.0), result(1.04, 2.0, "gelu"), result(0.5, None, "elu"), cpu="b")
    found = compare(old, new)
    assert [c.new.case for c in found.slower] == ["relu"]
    assert [c.new.case for c in found.quicker] == ["elu"]
    assert found.differences == [("cpu", "a", "b")]
    # All of it 1.2 times slower, PyTorch too: the machine.
    slow = report(result(1.2, 2.4), result(1.2, 2.4, "gelu"))
    assert len(compare(old, slow).slower) == 2 and compare(old, slow, relative=True).slower == []
    dump(old, tmp_path / "old.json")
    dump(new, tmp_path / "new.json")
    status, text, _ = run(capsys, "compare", str(tmp_path / "old.json"), str(tmp_path / "new.json"))
    assert status == 1 and "x1.20  activation: relu, forward: 1.00 s -> 1.20 s" in text
    assert "cpu: a -> b" in text and "1 slower, 1 quicker" in text
    # Words behind an option too.
    dump(slow, tmp_path / "slow.json")
    paths = str(tmp_path / "old.json"), str(tmp_path / "slow.json")
    status, text, _ = run(capsys, "compare", "--relative", *paths)
    assert status == 0 and "2 cases in both" in text and "0 slower" in text


@pytest.mark.parametrize(
    ("words", "rest"), [("op --quack net", "--quack net"), ("compare --relative a -b", "a -b")]
)
def test_options_that_are_none(capsys: Any, words: str, rest: str) -> None:
    status, _, err = run(capsys, *words.split())
    assert status == 2 and f"unrecognized arguments: {rest}" in err


def test_cases_run_under_pytest_benchmark() -> None:
    """Two of them, once each; with xdist or --benchmark-disable nothing is timed."""
    pytest.importorskip("pytest_benchmark")
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider",
        "--benchmark-disable", "benchmarks/test_benchmarks.py", "-k", "quick and 400 and linear",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr


def test_targets_are_of_classes_and_passes_that_exist() -> None:
    known = {(c.family, kind) for c in CASES for kind in (*c.passes, "")}
    assert set(TARGETS) <= known
    slow, fast = result(1.0, 1.2, "a"), result(1.0, 1.8, "b")
    pooled = [replace(r, family="conv depthwise") for r in (slow, fast)]
    (found,) = verdicts(report(*pooled))
    assert (found.count, found.least, found.met) == (2, 1.2, False)
    assert found.shipped == pytest.approx((1.2 * 1.8) ** 0.5)
    exact = Timing(4.0, 4.0, 4.0)
    quick = replace(pooled[1], engines={**pooled[1].engines, EXACT: exact})
    (only,) = verdicts(report(quick))
    assert only.met and only.only_fast


def test_what_the_processor_decides_of_targets_and_goals() -> None:
    large = [replace(result(1.0, 1.8, "a"), family="matmul, 256 and more")]
    (amd,), (intel,) = (
        verdicts(report(*large, cpu=cpu)) for cpu in ("AMD EPYC", "Intel(R) Xeon(R) Processor")
    )
    assert (amd.target.shipped, amd.met) == (2.0, False)
    assert (intel.target.shipped, intel.met) == (1.0, True)
    times = {OURS: Timing(1e-3, 1e-3, 1e-3)}
    conv = Result("conv 3x3 stride 1", "n", "float32", "forward", 9e8, 0, {}, times)
    reached = {}
    for peak in (PEAK, PEAK / 2):
        run = replace(report(conv, isa="v4", threads=2), ceilings=Ceilings({"v4": {"2": peak}}))
        (found,) = attained(run)
        reached[found.goal.value] = found.reached
    assert reached == {1000.0: 0, 500.0: 1}


def test_a_goal_of_some_cases_counts_these_alone() -> None:
    names = ["VGG-16 N8 3->64 224x224", "1 channel N1 1->32", "N8 13->64"]
    times = {OURS: Timing(1e-3, 1e-3, 1e-3)}
    results = [
        Result("conv first layer", n, "float32", "training", 1e8, 0, {}, times) for n in names
    ]
    (found,) = attained(report(*results, isa="v4", threads=2))
    assert (found.count, found.goal.which) == (1, "3 channels")
    for (family, kind), goal in GOALS.items():
        counted = [
            c for c in CASES if c.family == family and (not kind or kind in c.passes)
            and re.search(goal.only, c.name)
        ]  # fmt: skip
        assert counted and bool(goal.only) == bool(goal.which)


def test_parts_of_a_class_have_targets_besides_its_own() -> None:
    for part in PARTS:
        cases = [c for c in CASES if c.family == part.family]
        chosen = [c for c in cases if re.search(part.only, c.name)]
        assert 0 < len(chosen) < len(cases) and part.which
    thin, wide = (
        replace(result(1.0, ratio, name), family="matmul, small, skinny, batched")
        for name, ratio in (("32x512x10", 2.0), ("32x10x512", 8.0))
    )
    whole, part = verdicts(report(thin, wide))
    assert (whole.name, whole.count, whole.met) == (thin.family, 2, True)
    assert (part.name, part.count) == (f"{thin.family}, 16 columns or fewer", 1)
    assert (part.shipped, part.target.shipped, part.met) == (2.0, 4.0, False)


def test_goals_of_moving_data_are_of_the_stream_copy() -> None:
    """And beside it the copy of the level that holds the data, which may be quicker."""
    ceilings = Ceilings(
        fma={"v4": {"2": 1e3}},
        memory=(Memory("L3", "copy", True, 2, 80.0), Memory("DRAM", "copy", True, 2, 40.0)),
        sizes={"L3": {"2": 1 << 26}, "DRAM": {"2": 1 << 30}},
    )
    times = {OURS: Timing(1e-3, 1e-3, 1e-3)}
    moved = Result("pooling", "n", "float32", "forward", 0, 36e6, {}, times)
    beside = {"ceiling": {"name": "L3 copy", "seconds": 0.45e-3}}
    for one, near in ((moved, 0.45), (replace(moved, extra=beside, bytes=36.0e6), 0.45)):
        run = replace(report(one, isa="v4", threads=2), ceilings=ceilings)
        (found,) = attained(run)
        assert (found.mean, found.large, found.reached) == pytest.approx((0.9, 0.9, 1))
        assert found.near == pytest.approx(near)
    product = Result("matmul, 256 and more", "n", "float32", "forward", 9e8, 36e6, {}, times)
    (found,) = attained(replace(report(product, isa="v4", threads=2), ceilings=ceilings))
    assert found.mean == pytest.approx(0.9) and found.near is None


# ---- ceilings beside the cases ----


def test_the_ceiling_is_timed_in_turns_with_the_case():
    from gradsmith.backends import cpu

    ceilings = Ceilings(
        fma={cpu.isa(): {"1": 1e-3}},  # so low that it bounds
        memory=(Memory("L1", "copy", True, 1, 1e3),),
        sizes={"L1": {"1": 1 << 14}},
    )
    found = []
    for quick in (False, True):
        run = suite.Suite(
            suite.Plan(
                ("op",), ": 64x64x64 float32 forward", (OURS,), rounds=1, seconds=0.0, quick=quick
            )
        )
        run.cases, run.ceilings = run.cases[:1], ceilings
        run.run(lambda label, result: None)
        (one,) = run.results
        assert run.failures == [] and (one.case, one.kind) == ("64x64x64", "forward")
        found.append((one, share(run.report("A processor"), one)))
    (beside, part), (alone, other) = found
    limit = beside.extra["ceiling"]
    assert limit["name"] == part.ceiling == f"{cpu.isa()} multiply-adds"
    assert 1e9 < beside.flops / limit["seconds"] < 1e14  # what it is, not what the table claims
    assert part.value == pytest.approx(limit["seconds"] / beside.engines[OURS].median)
    assert "ceiling" not in alone.extra
    assert other.value == pytest.approx(alone.flops / (1e6 * alone.engines[OURS].median))


@pytest.mark.parametrize("where", ["L1", "DRAM"])
def test_a_copy_timed_beside_a_case_counts_its_bytes(where):
    loop = Loop("copy", where, 1, 1 << 16, seconds=1e-3)
    (sample,) = loop()
    assert 1e8 < 1 / sample < 1e13


@pytest.mark.parametrize(("where", "passes"), [("L1", 8), ("L3", 8), ("DRAM", 1)])
def test_a_copy_inside_a_cache_finds_its_bytes_there(monkeypatch, where, passes):
    """Other engines' blocks put them out: one pass from memory, and more until they stay."""
    loop, ran = Loop("copy", where, 1, 1 << 16, seconds=1e-3), []
    monkeypatch.setattr(loop, "_run", lambda kind, rounds: ran.append(rounds) or 1.0)
    loop()
    assert ran == [passes, loop._rounds]


def test_classes_beside_the_goals_of_the_machine():
    assert set(GOALS) <= set(TARGETS)
    fma = {"v4": {"2": 500.0}}
    names = [("matmul, 256 and more", ""), ("conv 3x3 stride 1", "training")]
    results = [
        Result(names[0][0], f"n{i}", "float32", kind, 1e9, 0, {}, {OURS: Timing(t, t, t)})
        for i, (t, kind) in enumerate([(2e-3 / 0.95, "forward"), (4e-3, "training")])
    ] + [
        Result(names[1][0], "n", dtype, kind, 1e9, 0, {}, {OURS: Timing(t, t, t)})
        for t, dtype, kind in [
            (1e-3, "float32", "training"), (1, "float64", "training"), (1, "float32", "forward")
        ]
    ]  # fmt: skip
    found = {
        (a.family, a.kind): a
        for a in attained(
            replace(report(*results, isa="v4", threads=2), ceilings=Ceilings(fma=fma))
        )
    }
    matmul, conv = found[names[0]], found[names[1]]
    assert (matmul.count, matmul.reached) == (2, 1)
    assert matmul.mean == pytest.approx((0.95 * 0.5) ** 0.5) and matmul.best == pytest.approx(0.95)
    assert matmul.large == matmul.mean
    small = Result(names[0][0], "s", "float32", "forward", 1e6, 0, {}, {OURS: Timing(1, 1, 1)})
    run = replace(report(small, *results, isa="v4", threads=2), ceilings=Ceilings(fma=fma))
    (both,) = [a for a in attained(run) if a.family == names[0][0]]
    assert both.count == 3 and both.large == matmul.large > 50 * both.mean
    assert (conv.count, conv.reached, conv.mean) == (1, 1, pytest.approx(1000))
    assert found[names[1][0], "forward"].reached == 0 and len(found) == 3
