"""Train a small convolutional network on real images of handwritten digits, and report on it."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

from ..train import DigitsRecipe
from .demo_text import print_head, print_result
from .errors import CommandError
from .packages import OPTIONAL, found
from .progress import LiveProgress, NoProgress, PlainProgress, live_terminal
from .result import Comparison, DemoResult

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "train a network on handwritten digits and write a report"
DEFAULTS = DigitsRecipe()
TRAINING_IMAGES = 1169
DEFAULT_OUT = "gradsmith-demo.html"
# The emulator runs every thread of every block of a CUDA kernel on the CPU: these few steps take as
# long as the whole training does there.
EMULATED_STEPS = 8
# Sums are rounded in another order, and a step amplifies what differs: measured up to 4e-5 in these
# steps over five seeds and three ISAs, and a hundred times that ten steps on.
EMULATED_TOLERANCE = 1e-3


def _integer(low: int, high: int | None = None) -> Any:
    """An argparse type: a whole number not below `low` nor above `high`."""
    span = f"at least {low}" if high is None else f"from {low} to {high}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be a whole number {span}; got {text!r}")
        return value

    return convert


def _learning_rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gradsmith demo`."""
    add = parser.add_argument
    add("--epochs", type=_integer(1), metavar="N", help=f"default {DEFAULTS.epochs}")
    add(
        "--batch-size",
        type=_integer(1, TRAINING_IMAGES),
        metavar="N",
        help=f"images a step; default {DEFAULTS.batch_size}",
    )
    add(
        "--lr",
        type=_learning_rate,
        default=DEFAULTS.lr,
        metavar="RATE",
        help=f"Adam's highest learning rate; default {DEFAULTS.lr:g}",
    )
    add(
        "--seed",
        type=_integer(0, 2**63 - 1),
        default=0,
        metavar="N",
        help="of weights, order, augmentation and dropout; default 0",
    )
    add("--threads", type=_integer(1, 1024), metavar="N", help="CPU threads; default: all")
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="cuda with GRADSMITH_CUDA_EMULATOR=1 runs the CUDA kernels on the CPU: "
        f"{EMULATED_STEPS} steps unless --epochs says otherwise, "
        "compared with the same steps on the CPU",
    )
    add("--out", type=Path, metavar="FILE", help=f"the report; default {DEFAULT_OUT}")
    add("--no-report", action="store_true", help="write no report")
    add("--json", action="store_true", help="print nothing but the results, as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the demo; returns the exit status."""
    if options.no_report and options.out is not None:
        raise CommandError("--out and --no-report exclude each other", status=2)
    emulated = _use_device(options.device)
    if options.threads is not None:
        from .. import set_num_threads

        set_num_threads(options.threads)
    if emulated and options.epochs is None:
        from .follow import run_following

        if options.out is not None:
            raise CommandError(
                "--out: a few emulated steps make no report (give --epochs to train through the "
                "emulator, slowly)",
                status=2,
            )
        return run_following(
            seed=options.seed,
            lr=options.lr,
            steps=EMULATED_STEPS,
            batch_size=options.batch_size or DEFAULTS.batch_size,
            tolerance=EMULATED_TOLERANCE,
            as_json=options.json,
        )
    out = None if options.no_report else _writable(options.out or Path(DEFAULT_OUT))
    return _train_and_report(options, out)


def _use_device(device: str) -> bool:
    """Check that the device is there; whether it is the emulator."""
    from .. import cuda

    if device == "cpu":
        return False
    if not cuda.is_available():
        raise CommandError(
            "--device cuda: no NVIDIA GPU that gradsmith can use was found "
            "(GRADSMITH_CUDA_EMULATOR=1 runs the CUDA kernels on the CPU; "
            "`gradsmith info` says what is missing for a GPU)"
        )
    return cuda.is_emulated()


def _writable(path: Path) -> Path:
    """The path of the report, after a check that it can be made: before training, not after."""
    if found(OPTIONAL[1]) is None:
        raise CommandError(
            "the report needs matplotlib, which is not installed: "
            "pip install 'gradsmith[demo]' (or run with --no-report)"
        )
    if path.is_dir():
        raise CommandError(f"--out: must be a file; {path} is a folder", status=2)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CommandError(f"--out: the folder {folder} does not exist", status=2)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise CommandError(f"--out: {path} cannot be written: permission denied", status=2)
    return path


def _train_and_report(options: argparse.Namespace, out: Path | None) -> int:
    """Train, test, check and compare; print what came of it; write the report."""
    from ..datasets import Digits
    from ..nn import functional as F
    from ..train import digits_loader, evaluate, train_digits
    from .info import machine

    recipe = DigitsRecipe(
        epochs=options.epochs or DEFAULTS.epochs,
        batch_size=options.batch_size or DEFAULTS.batch_size,
        lr=options.lr,
        seed=options.seed,
    )
    here = machine(options.device)
    sizes = {split: len(Digits(split)) for split in ("train", "validation", "test")}
    quiet = options.json
    if not quiet:
        print_head(here, recipe, sizes)
    progress = _progress(quiet)
    try:
        model, history = train_digits(
            recipe, options.device, progress, _synchronize(options.device)
        )
    except FloatingPointError as error:
        raise CommandError(str(error)) from error
    finally:
        progress.close()
    result = DemoResult(
        machine=here,
        recipe=recipe,
        sizes=sizes,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        history=history,
        interrupted=history.interrupted,
    )
    unwritten: OSError | None = None
    if not result.interrupted:
        try:
            test = Digits("test")
            result.test = evaluate(model, digits_loader("test"), F.cross_entropy, options.device)
            result.test_images = test.images[:, 0]
            result.filters = model.features[0].weight.detach().to("cpu").numpy()[:, 0].copy()
            if not quiet:
                print("\nChecking gradients, comparing with PyTorch if it is there ...", flush=True)
            _check_and_compare(result, options.device)
            if out is not None:
                from .report import render

                out.write_text(render(result), encoding="utf-8")
                result.report = str(out)
        except KeyboardInterrupt:
            result.interrupted = True
        except OSError as error:
            unwritten = error
    if quiet:
        print(json.dumps(result.to_json(), allow_nan=False))
    else:
        print_result(result)
    if unwritten is not None:
        raise CommandError(f"the report could not be written: {unwritten}")
    if result.interrupted:
        return 130
    return 0 if all(check.passed for check in result.gradients) else 1


def _check_and_compare(result: DemoResult, device: str) -> None:
    """The gradient of each op of the network, and the same step in PyTorch."""
    from ..benchmarks import training_step
    from .gradients import check_network

    result.gradients = check_network(result.recipe, device)
    if device != "cpu":
        result.comparison_note = "PyTorch is compared on the CPU only"
    elif not training_step.torch_is_importable():
        result.comparison_note = "PyTorch is not installed, so there is nothing to compare with"
    else:
        try:
            measured = training_step.compare(result.recipe, result.machine.threads)
            result.comparison = Comparison(**measured)
        except (ImportError, OSError) as error:
            result.comparison_note = f"PyTorch is installed but cannot be imported: {error}"


def _progress(quiet: bool) -> NoProgress:
    """How training is shown here."""
    if quiet:
        return NoProgress()
    if not live_terminal():
        return PlainProgress()
    if found(OPTIONAL[0]) is None:
        print("(a live progress bar needs rich: pip install 'gradsmith[demo]')")
        return PlainProgress()
    return LiveProgress()


def _synchronize(device: str) -> Any:
    """What waits for the device, if it works on its own."""
    if device == "cpu":
        return None
    from .. import cuda

    return cuda.synchronize
