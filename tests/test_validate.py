"""`gradsmith validate`: what it runs, what it says, what it writes, how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradsmith as gs
import pytest
import validate_child
from gradsmith.cli import validate
from gradsmith.cli.main import main
from gradsmith.cli.validate_page import render
from gradsmith.testing import CHECKS, OpReport, campaign, find_ops, isolation, opcheck
from gradsmith.testing.campaign import Campaign, Plan
from gradsmith.testing.opdb import op_infos

FEW = "^(relu|sub|sum|conv1d|permute)$"
QUICK = ("--checks", "forward,gradient,repeat,errors")


def run(capsys: Any, *arguments: str, isolated: bool = False) -> tuple[int, str]:
    """The exit status and what was printed; the work is done here, where tests change things."""
    here = () if isolated or "--no-isolation" in arguments else ("--no-isolation",)
    try:
        status = main(["validate", *arguments, *here])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    output = capsys.readouterr()
    return status, output.out + output.err


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """An op `faulty` in the database whose result is off by a factor that the test sets."""
    factor = [1.001]
    info = dataclasses.replace(
        find_ops("relu")[0], name="faulty", call=lambda lib, x: lib.relu(x) * factor[0]
    )
    infos = (*op_infos(), info)
    for module in (campaign, opcheck_module()):
        monkeypatch.setattr(module, "op_infos", lambda: infos)
    return factor


def opcheck_module() -> Any:
    """The module, whose name is the function's too."""
    return sys.modules[opcheck.__module__]


class Clock:
    """A clock that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(campaign.time, "perf_counter", lambda: self.now)


class Page(HTMLParser):
    """Fails on tags that do not match; collects text, rows and references."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.references: list[Any] = []
        self.words: list[str] = []
        self.feed(document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        found = dict(attributes)
        self.references += [v for k, v in found.items() if k in ("src", "href", "srcset")]
        if "data-kind" in found:
            self.rows.append(found)
        if tag not in ("meta", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def test_a_run_and_what_it_writes(capsys: Any, tmp_path: Any) -> None:
    files = tmp_path / "r.json", tmp_path / "r.html"
    status, text = run(
        capsys, "--ops", FEW, *QUICK, "--budget", "0", "--dtype", "float64",
        "--json", str(files[0]), "--html", str(files[1]), "--seed", "3", "--threads", "1",
        isolated=True,
    )  # fmt: skip
    assert status == 0, text
    assert "PASSED, everything: " in text and "not run" in text and "100 %" in text
    data = json.loads(files[0].read_text())
    assert (data["format"], data["verdict"], data["complete"]) == (1, "passed", True)
    assert data["plan"]["seed"] == 3 and data["machine"]["threads"] == 1
    assert {o["op"] for o in data["ops"]} == {"relu", "sub", "sum", "conv1d", "permute"}
    counts = data["counts"]
    assert counts["samples_run"] == counts["samples"] == sum(o["samples"] for o in data["ops"])
    assert counts["ops_complete"] == counts["ops_passed"] == 5 and counts["failed"] == 0
    assert counts["comparisons"] == sum(o["count"] for o in data["ops"]) > 200
    for entry in data["ops"]:
        report = OpReport.from_dict(entry)
        assert [c.check for c in report.checks] == ["forward", "gradient", "repeat", "errors"]
        assert report.passed and report.dtypes == ("float64",) and report.ulp is not None
        assert entry["samples"] == entry["samples_of"] and entry["not_run"] == []
    page = Page(files[1].read_text())
    assert page.references == [] and len(page.rows) == 5
    assert "PASSED, everything" in " ".join(page.words)


def test_json_alone_on_standard_output(capsys: Any) -> None:
    sample = find_ops("relu")[0].samples()[0].id
    status, text = run(capsys, "--ops", "^relu$", "--sample", sample, "--json", "-", isolated=True)
    data = json.loads(text)
    assert status == 0 and data["counts"]["samples"] == 1
    assert data["plan"]["budget"] == 0 and data["grid"] is None
    assert [c["check"] for c in data["ops"][0]["checks"]] == list(CHECKS)


def test_a_failure_is_repeated_by_its_command(capsys: Any, faulty: list[float]) -> None:
    status, text = run(
        capsys, "--ops", "^(faulty|sum)$", "--checks", "forward", "--budget", "0", "--seed", "2"
    )
    assert status == 1 and "FAILED faulty: forward" in text and "FAILED: " in text
    command = next(line for line in text.splitlines() if "gradsmith validate --ops" in line)
    words = shlex.split(command)
    assert words[:2] == ["gradsmith", "validate"] and words[-2:] == ["--seed", "2"]
    status, again = run(capsys, *words[2:])
    assert status == 1 and again.count("FAILED faulty: forward") == 1
    assert shlex.join(words) in again
    faulty[0] = 1.0
    status, fine = run(capsys, *words[2:])
    assert status == 0 and "PASSED, everything" in fine


def test_a_broken_kernel_is_found(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = gs.kernels.table("cpu")
    right = table.relu
    monkeypatch.setattr(table, "relu", lambda x, *a, **k: right(right(x) + 0.25, *a, **k))
    status, text = run(capsys, "--ops", "^relu$", "--checks", "forward", "--dtype", "float32")
    assert status == 1 and "FAILED relu: forward" in text


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ops in the database that end their process, or have no end, on some of their samples."""
    child = Path(__file__).parent / "validate_child.py"
    infos = (*op_infos(), *validate_child.OPS)
    for module in (campaign, opcheck_module()):
        monkeypatch.setattr(module, "op_infos", lambda: infos)
    monkeypatch.setattr(isolation, "COMMAND", (sys.executable, str(child)))


def died(data: dict[str, Any], op: str, check: str, words: str) -> None:
    """The check failed on the sample that ends the process alone, and says how."""
    outcome = next(o for o in data["ops"] if o["op"] == op)
    found = next(c for c in outcome["checks"] if c["check"] == check)
    assert (found["status"], found["failed"]) == ("failed", 1) and found["count"] > 1
    (failure,) = found["failures"]
    assert re.fullmatch(words, failure["message"]), failure
    assert (failure["sample"], failure["dtype"]) == ("7.distinct", "float64")
    command = shlex.split(failure["reproduce"])
    assert command[3:8] == [f"^{op}$", "--sample", "7.distinct", "--checks", check]


SAMPLES = ("--sample", "3x5.distinct", "--sample", "7.distinct", "--dtype", "float64")


def test_a_crash_is_a_failure_and_the_rest_goes_on(
    capsys: Any, deadly: None, tmp_path: Any
) -> None:
    file = tmp_path / "r.json"
    status, text = run(
        capsys, "--ops", "^(aborts|exits|abs)$", "--checks", "forward,repeat", *SAMPLES,
        "--json", str(file), isolated=True,
    )  # fmt: skip
    assert status == 1 and text.count("FAILED aborts: ") == 2
    data = json.loads(file.read_text())
    assert data["complete"] and not data["interrupted"]
    assert [o["status"] for o in data["ops"]] == ["passed", "failed", "failed"]
    for check in ("forward", "repeat"):  # the check behind the one that it died in runs too
        died(data, "aborts", check, r"the process crashed: SIGABRT, in aborts \(\S+:\d+\)")
        died(data, "exits", check, "the process ended with exit status 3")


def test_a_hang_is_a_failure_and_the_rest_goes_on(capsys: Any, deadly: None, tmp_path: Any) -> None:
    file = tmp_path / "r.json"
    status, _ = run(
        capsys, "--ops", "^(hangs|abs)$", "--checks", "forward", *SAMPLES, "--patience", "5",
        "--json", str(file), isolated=True,
    )  # fmt: skip
    data = json.loads(file.read_text())
    assert status == 1 and [o["status"] for o in data["ops"]] == ["passed", "failed"]
    died(data, "hangs", "forward", r"no end after 5 s; it was stopped, in hangs \(\S+:\d+\)")


def test_a_command_repeats_a_crash(capsys: Any, deadly: None) -> None:
    status, text = run(
        capsys, "--ops", "^aborts$", "--sample", "7.distinct", "--checks", "forward",
        isolated=True,
    )  # fmt: skip
    assert status == 1 and "SIGABRT" in text and "--checks forward --dtype" in text


def test_a_crash_in_the_grid_is_its_cases_own(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Path(__file__).parent / "validate_child.py"
    monkeypatch.setattr(isolation, "COMMAND", (sys.executable, str(child), "grid"))
    worker = isolation.Isolated(Plan(), 30.0)
    try:
        results = list(worker.cases([("conv1d", 1), ("conv1d", 2), ("conv1d", 3)]))
    finally:
        worker.close()
    assert [r.failed for r in results] == [0, 1, 0]
    failure = results[1].failures[0]
    assert failure.index == 2 and "crashed: SIGKILL" in failure.message
    assert "--family conv1d --case 2" in failure.command


def test_a_process_that_does_not_start_is_said(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "COMMAND", (sys.executable, "-c", "raise OSError('none')"))
    status, text = run(capsys, "--ops", "^relu$", isolated=True)
    assert status == 1 and "the process did not start" in text and "OSError: none" in text
    status, text = run(capsys, "--ops", "^relu$", "--patience", "0", isolated=True)
    assert status == 2 and "--patience: must be more than 0" in text


def test_ctrl_c_ends_the_process_too() -> None:
    """As from a terminal, whose Ctrl-C is every process's of the group."""
    command = [
        sys.executable,
        "-m",
        "gradsmith",
        "validate",
        "--checks",
        "forward",
        "--budget",
        "99",
    ]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert child.stdout is not None
    head = [child.stdout.readline() for _ in range(4)]  # the head, and the first tenth
    os.killpg(child.pid, signal.SIGINT)
    text = "".join(head) + child.communicate(timeout=60)[0]
    assert child.returncode == 130, text
    assert "stopped by Ctrl-C" in text and "PASSED what was run" in text


def test_the_page_shows_failures_first(capsys: Any, tmp_path: Any, faulty: list[float]) -> None:
    file = tmp_path / "r.html"
    run(capsys, "--ops", "^(abs|faulty)$", *QUICK, "--budget", "0", "--html", str(file))
    page = Page(file.read_text())
    assert [row["data-text"].split()[0] for row in page.rows] == ["faulty", "abs"]
    text = " ".join(page.words)
    assert "gradsmith validate --ops '^faulty$' --sample" in text and "The first" in text


def test_the_budget_ends_it_and_what_is_left_is_said(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    ran: list[tuple[str, tuple[str, ...]]] = []
    check = Campaign._check

    def counted(self: Campaign, unit: Any) -> OpReport:
        ran.append((unit.outcome.info.name, unit.checks))
        clock.now += 1.0
        return check(self, unit)

    monkeypatch.setattr(Campaign, "_check", counted)
    status, text = run(capsys, "--ops", FEW, *QUICK, "--budget", "7")
    assert status == 0 and len(ran) == 7
    assert [checks for _, checks in ran[:5]] == [("forward", "gradient")] * 5
    assert len({name for name, _ in ran[:5]}) == 5
    assert "4 ops without some of their checks" in text and "PASSED what was run" in text
    ran.clear()
    status, text = run(capsys, "--ops", FEW, *QUICK, "--budget", "2")
    assert "3 ops not at all: " in text and len(ran) == 2


def test_ops_of_a_family_lie_far_apart() -> None:
    found = Campaign(Plan()).spread()
    assert len(found) == len(op_infos())
    first = {o.family for o in found[: len(found) // 8]}
    assert len(first) > 20
    order = [u.outcome.info.name for u in Campaign(Plan(seed=1)).units()[0]]
    assert order == [u.outcome.info.name for u in Campaign(Plan(seed=1)).units()[0]]


def test_the_first_sample_is_a_plain_one() -> None:
    for outcome in Campaign(Plan()).ops:
        usual = [s for s in outcome.samples if s.has_gradient and not s.tags]
        assert not usual or not outcome.samples[0].tags & {"special", "empty", "kink", "large"}
        assert {s.id for s in outcome.samples} == {s.id for s in outcome.info.samples()}


def test_the_grid_is_part_of_it(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "GRID_CASES", 24)
    status, text = run(
        capsys, "--ops", "^(conv1d|max_pool1d)$", "--checks", "grid", "--budget", "0"
    )
    assert status == 0 and "exact-integer grid: 24 of" in text and "in 2 families" in text
    real = gs.testing.grid.run_case

    def wrong(family: str, index: int, device: str) -> Any:
        result = real(family, index, device)
        command = f"python -m gradsmith.testing.grid --family {family} --case {index}"
        result.failures = [gs.testing.grid.Failure(family, index, {}, "off by 1", command)]
        result.failed = 1
        return result

    monkeypatch.setattr(gs.testing.grid, "run_case", wrong)
    status, text = run(
        capsys, "--ops", "^conv1d$", "--checks", "grid", "--budget", "0", "--json", "-"
    )
    data = json.loads(text)
    assert status == 1 and data["verdict"] == "failed"
    assert data["grid"]["failed"] == data["grid"]["count"] == 24
    assert "--case" in data["failures"][0]["reproduce"]


def test_cuda_without_a_gpu_is_the_emulator(capsys: Any) -> None:
    before = gs.cuda.is_emulated()
    sample = find_ops("relu")[0].samples()[0].id
    status, text = run(
        capsys, "--ops", "^relu$", "--device", "cuda", "--sample", sample,
        "--checks", "forward,gradient,repeat,threads,devices",
    )  # fmt: skip
    assert status == 0, text
    assert "cuda (emulated on the CPU)" in text or "cuda (NVIDIA" in text
    assert gs.cuda.is_emulated() == before


@pytest.mark.parametrize("name", ["sum", "mean"])
def test_sums_whose_absolute_values_overflow(capsys: Any, name: str) -> None:
    """1 - max + max + tiny is 0 or tiny, by the order: both are right."""
    status, text = run(
        capsys, "--ops", f"^{name}$", "--sample", "4x79.specials.3-dim=0", "--checks", "layouts",
        "--dtype", "float64", "--device", "cuda",
    )  # fmt: skip
    assert status == 0, text


def test_a_live_bar_and_without_rich(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, faulty: list[float]
) -> None:
    monkeypatch.setattr(validate, "live_terminal", lambda: True)
    arguments = ("--ops", "^faulty$", "--checks", "forward", "--budget", "0")
    monkeypatch.setattr(validate, "found", lambda package: None)
    status, plain = run(capsys, *arguments)
    assert status == 1 and "100 %" in plain and "FAILED faulty" in plain
    monkeypatch.undo()
    pytest.importorskip("rich", reason="pip install 'gradsmith[demo]'")
    monkeypatch.setattr(validate, "live_terminal", lambda: True)
    status, live = run(capsys, "--ops", "^abs$", "--checks", "forward", "--budget", "0")
    assert status == 0 and "abs" in live and "PASSED, everything" in live


def test_ctrl_c_ends_it_with_what_there_is(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(validate.PlainChecks, "ran", stop)
    status, text = run(capsys, "--ops", FEW, *QUICK, isolated=True)
    assert status == 130 and "not run, as stopped by Ctrl-C" in text and "4 ops not at all" in text


def test_nothing_checked_is_no_success(capsys: Any) -> None:
    if gs.cuda.is_available():
        pytest.skip("devices are compared here")
    status, text = run(capsys, "--ops", "^relu$", "--checks", "devices")
    assert status == 1 and "NOTHING WAS CHECKED" in text


def test_a_page_of_figures_that_are_not_finite() -> None:
    ran = Campaign(Plan(ops="^relu$", checks=("forward",)))
    ran.run()
    data = ran.to_dict()
    data["ops"][0]["ulp"] = "nan"
    data["ops"][0]["checks"][0]["used"] = "inf"
    data["machine"] = dict.fromkeys(
        ("version", "cpu", "isa", "threads", "device", "python", "numpy", "system"), "<x>"
    ) | {"isas": ["v2"]}
    page = Page(render(data))
    assert "nan" in " ".join(page.words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ops", "("), "is no regular expression"),
        (("--ops", "no_such_op"), "no op has a name that 'no_such_op' is found in"),
        (("--checks", "speed"), "--checks: must be of forward, .*grid; got 'speed'"),
        (("--dtype", "float8"), "--dtype: must be of .*; got 'float8'"),
        (("--isa", "v9"), "--isa: this processor runs .*; got 'v9'"),
        (("--device", "cuda", "--threads", "2"), "of the CPU kernels"),
        (("--budget", "-1"), "must be a number of seconds >= 0"),
        (("--threads", "0"), "must be a whole number from 1"),
        (("--ops", "^relu$", "--sample", "none"), "no op that is asked for has a sample 'none'"),
        (("--html", "no/such/folder/r.html"), "the folder .* does not exist"),
        (("--json", "."), "must be a file"),
    ],
)
def test_wrong_arguments(capsys: Any, arguments: tuple[str, ...], words: str) -> None:
    status, text = run(capsys, *arguments)
    assert status == 2 and re.search(words, text), text


def test_the_example_of_the_documentation_runs(capsys: Any) -> None:
    text = (Path(__file__).parents[1] / "docs" / "validate.md").read_text()
    lines = [shlex.split(line) for line in text.splitlines() if "--sample " in line]
    found = [line for line in lines if line[:2] == ["gradsmith", "validate"]]
    assert found
    for line in found:
        if "--isa" in line:  # not every processor runs it
            at = line.index("--isa")
            line[at : at + 2] = []
        status, output = run(capsys, *line[2:])
        assert status == 0, output
