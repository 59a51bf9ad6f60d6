"""The command line: what it prints, what it refuses, how it ends."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
from importlib import util

import pytest
from gradsmith.autograd.op import OPS
from gradsmith.cli import demo, info, packages
from gradsmith.cli.follow import losses_of_steps
from gradsmith.cli.gradients import check_network
from gradsmith.cli.main import main
from gradsmith.cli.result import GradientCheck
from gradsmith.train import DigitsRecipe


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def without_checks(monkeypatch):
    """The demo without its gradient checks and PyTorch, which take longer than the rest."""

    def quick(result, device):
        result.gradients = [GradientCheck("conv", 1, 1e-9, 1e-5, True)]
        result.comparison_note = "not compared"

    monkeypatch.setattr(demo, "_check_and_compare", quick)


def missing(monkeypatch, *names):
    """As if these packages were not installed."""
    real = packages.found
    for module in (demo, info):
        monkeypatch.setattr(
            module, "found", lambda package: None if package.module in names else real(package)
        )


def refused(arguments, capsys):
    """What the refusal of wrong arguments says; the exit status must be 2."""
    try:
        status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.strip().splitlines()[-1]


def command(*arguments, **options):
    """A gradsmith process, with Ctrl-C as a terminal has it: a job in the background ignores it."""
    options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-u", "-m", "gradsmith", *arguments], **options)


def test_version_and_help(capsys):
    for arguments, words in (
        (["--version"], "gradsmith 0."),
        (["--help"], "demo"),
        (["demo", "--help"], "--batch-size"),
        (["info", "--help"], "--json"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        assert words in capsys.readouterr().out


def test_info(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for words in (
        "gradsmith", "processor", "ISA", "in use", "threads", "device cpu", "device cuda",
        "CUDA emulator", "rich", "matplotlib", "torch", "cupy", "numba",
    ):  # fmt: skip
        assert words in text, words


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["isa"]["in_use"] in facts["isa"]["available"]
    assert facts["threads"] >= 1 and facts["devices"]["cpu"] == "ready"
    assert {p["name"] for p in facts["packages"]} == {p.module for p in packages.OPTIONAL}


def test_info_says_what_a_missing_package_would_enable(capsys, monkeypatch):
    missing(monkeypatch, "matplotlib", "cupy")
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"matplotlib +missing +would enable .*pip install 'gradsmith\[demo\]'", text)
    assert "pip install 'gradsmith[cuda13]' or 'gradsmith[cuda12]'" in text


def test_cpu_name(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Some  CPU @ 3 GHz\nflags : a b\n")
    assert info.cpu_name(file) == "Some CPU @ 3 GHz"
    assert info.cpu_name(tmp_path / "nothing")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ("--epochs 0", "--epochs: must be a whole number at least 1; got '0'"),
        ("--epochs 1.5", "--epochs: must be a whole number at least 1; got '1.5'"),
        ("--batch-size 0", "--batch-size: must be a whole number from 1 to 1169; got '0'"),
        ("--batch-size 1170", "--batch-size: must be a whole number from 1 to 1169; got '1170'"),
        ("--lr 0", "--lr: must be a number above 0; got '0'"),
        ("--lr=-0.1", "--lr: must be a number above 0; got '-0.1'"),
        ("--lr nan", "--lr: must be a number above 0; got 'nan'"),
        ("--lr inf", "--lr: must be a number above 0; got 'inf'"),
        ("--lr fast", "--lr: must be a number above 0; got 'fast'"),
        ("--seed=-1", "--seed: must be a whole number from 0"),
        ("--threads 0", "--threads: must be a whole number from 1 to"),
        ("--device tpu", "--device: invalid choice: 'tpu'"),
        ("--out a.html --no-report", "--out and --no-report exclude each other"),
        ("--out no/such/folder/a.html", "no/such/folder does not exist"),
        ("--out .", "must be a file; . is a folder"),
        ("--what", "unrecognized arguments: --what"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert message in refused(["demo", *arguments.split()], capsys)


def test_no_command(capsys):
    assert "required: command" in refused([], capsys)


def test_the_defaults_name_the_data():
    from gradsmith.datasets import Digits

    assert len(Digits("train")) == demo.TRAINING_IMAGES


def test_demo_in_plain_lines(capsys, without_checks):
    pytest.importorskip("matplotlib", reason="pip install 'gradsmith[demo]'")
    assert main("demo --epochs 2 --batch-size 64 --seed 1 --out mine.html".split()) == 0
    text = capsys.readouterr().out
    assert re.search(r"^epoch 1/2   loss \d\.\d{4}   train +[\d.]+ %   validation", text, re.M)
    assert re.search(r"test accuracy +[\d.]+ %  \(\d+ of 359", text)
    assert re.search(r"a step takes +data .* forward .* backward .* step", text)
    assert "images/s" in text and "report: mine.html" in text and "\x1b" not in text
    with open("mine.html") as file:
        assert file.read().startswith("<!DOCTYPE html>")


def test_demo_as_json(capsys, without_checks):
    assert main("demo --epochs 1 --json --no-report --lr 0.002 --seed 4".split()) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert output.err == ""
    assert result["recipe"] == {"epochs": 1, "batch_size": 32, "lr": 0.002, "seed": 4}
    assert result["images"] == {"train": 1169, "validation": 269, "test": 359}
    assert len(result["epochs"]) == 1 and result["timing"]["steps"] == 36
    assert sum(map(sum, result["test"]["confusion"])) == 359
    assert result["report"] is None and result["interrupted"] is False
    assert os.listdir() == []


def test_demo_checks_gradients_and_compares(capsys, monkeypatch):
    from gradsmith.benchmarks import training_step

    short = functools.partial(training_step.compare, rounds=2, steps=2)
    monkeypatch.setattr(training_step, "compare", short)
    assert main("demo --epochs 1 --json --no-report".split()) == 0
    result = json.loads(capsys.readouterr().out)
    checks = {check["op"]: check for check in result["gradient_checks"]}
    assert len(checks) >= 5 and all(check["passed"] for check in checks.values())
    if util.find_spec("torch") is not None:
        assert result["torch"]["ratio"] > 0
        assert result["torch"]["loss_difference"] < 1e-5


def test_demo_without_torch_does_not_look_for_it(capsys, monkeypatch):
    from gradsmith.benchmarks import training_step

    monkeypatch.setattr(training_step, "torch_is_importable", lambda: False)
    monkeypatch.setattr(training_step, "compare", None)
    assert main("demo --epochs 1 --no-report".split()) == 0
    assert "PyTorch is not installed" in capsys.readouterr().out


def test_every_op_of_the_network_is_checked():
    checks = check_network(DigitsRecipe(width=2))
    assert [check.op for check in checks] == [
        "conv", "relu", "max_pool", "reshape", "dropout", "linear", "cross_entropy",
    ]  # fmt: skip
    assert all(check.passed and check.samples > 0 and check.note == "" for check in checks)


@pytest.mark.parametrize("name", ["relu", "conv", "dropout", "cross_entropy"])
def test_a_wrong_gradient_is_found(monkeypatch, name):
    op = OPS[name]
    right = op.backward

    def wrong(k, saved, grad_y, need, *options):
        first, *rest = right(k, saved, grad_y, need, *options)
        return (None if first is None else k.mul(first, 1.001), *rest)

    monkeypatch.setattr(op, "backward", wrong)
    failed = [check for check in check_network(DigitsRecipe(width=2)) if not check.passed]
    assert name in [check.op for check in failed]
    assert all("worst at" in check.note for check in failed)


def test_same_steps_same_losses():
    options = {"seed": 3, "lr": 1e-3, "steps": 3, "batch_size": 16}
    losses = losses_of_steps("cpu", **options)
    assert len(losses) == 3 and losses == losses_of_steps("cpu", **options)


def test_a_failed_gradient_check_fails_the_demo(capsys, monkeypatch):
    def wrong(result, device):
        result.gradients = [GradientCheck("conv", 1, 0.5, 1e-5, False, "weight differs")]

    monkeypatch.setattr(demo, "_check_and_compare", wrong)
    assert main("demo --epochs 1 --no-report".split()) == 1
    assert re.search("conv +FAILED .*weight differs", capsys.readouterr().out)


def test_without_matplotlib(capsys, monkeypatch, without_checks):
    missing(monkeypatch, "matplotlib")
    assert main(["demo", "--epochs", "1"]) == 1
    output = capsys.readouterr()
    assert "pip install 'gradsmith[demo]'" in output.err and output.out == ""
    assert main(["demo", "--epochs", "1", "--no-report"]) == 0


def test_without_rich(capsys, monkeypatch, without_checks):
    missing(monkeypatch, "rich")
    monkeypatch.setattr(demo, "live_terminal", lambda: True)
    assert main(["demo", "--epochs", "1", "--no-report"]) == 0
    text = capsys.readouterr().out
    assert "pip install 'gradsmith[demo]'" in text and "epoch 1/1" in text


def test_live_progress(capsys, monkeypatch, without_checks):
    pytest.importorskip("rich", reason="pip install 'gradsmith[demo]'")
    monkeypatch.setattr(demo, "live_terminal", lambda: True)
    assert main(["demo", "--epochs", "1", "--no-report"]) == 0
    text = capsys.readouterr().out
    assert "100%" in text and "test accuracy" in text


def test_a_rate_that_is_too_high(capsys):
    assert main("demo --epochs 1 --no-report --lr 1e30".split()) == 1
    error = capsys.readouterr().err
    assert re.search(r"the loss must stay finite; got (nan|inf) at epoch 1, .*smaller lr", error)
    assert "Traceback" not in error


def test_no_gpu(capsys, monkeypatch):
    from gradsmith import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    assert main(["demo", "--device", "cuda", "--no-report"]) == 1
    assert "GRADSMITH_CUDA_EMULATOR=1" in capsys.readouterr().err


def test_ctrl_c():
    process = command("demo", "--epochs", "500")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch   2/500"):
            break
    process.send_signal(signal.SIGINT)
    text, error = process.communicate(timeout=120)
    assert process.returncode == 130
    done = re.search(r"Stopped by Ctrl-C after (\d+) of 500 epochs \((\d+) steps, ", text)
    assert done and int(done.group(1)) >= 2 and int(done.group(2)) >= 72
    assert "a step takes" in text and "test accuracy" not in text
    assert "Traceback" not in error
    assert os.listdir() == []


def test_a_reader_that_has_enough():
    process = command("demo", "--epochs", "3", "--no-report")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 1
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_import_brings_only_what_it_needs():
    code = (
        "import sys, gradsmith; print([m for m in ('rich', 'matplotlib', 'torch', 'gradsmith.cli',"
        " 'gradsmith.train', 'scipy', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_emulated_gpu_follows_the_cpu():
    process = command(
        "demo", "--device", "cuda", "--json", env={**os.environ, "GRADSMITH_CUDA_EMULATOR": "1"}
    )
    text, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    result = json.loads(text)
    assert result["emulated"] and result["follows"]
    assert len(result["losses"]["cuda"]) == len(result["losses"]["cpu"]) == demo.EMULATED_STEPS
    assert result["largest_difference"] <= demo.EMULATED_TOLERANCE


def test_no_report_of_a_few_emulated_steps(capsys, monkeypatch):
    monkeypatch.setattr(demo, "_use_device", lambda device: True)
    error = refused(["demo", "--device", "cuda", "--out", "a.html"], capsys)
    assert "--out: a few emulated steps make no report" in error
