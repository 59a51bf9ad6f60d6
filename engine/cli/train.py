"""Train a model on images: digits, MNIST's or CIFAR's files, or folders of image files."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .demo import _integer, _learning_rate, _progress, _synchronize, _use_device
from .errors import CommandError
from .packages import OPTIONAL, found
from .result import finite

__all__ = ["MODELS", "SUMMARY", "add_arguments", "run"]

SUMMARY = "train a model on images, with checkpoints and learning curves"

#: name -> (channels, height and width that it is given unless --size says otherwise)
MODELS: dict[str, tuple[int, int | None]] = {
    "mlp": (1, None),
    "digitsnet": (1, 8),
    "lenet": (1, 28),
    "alexnet": (3, 64),
    "vgg11": (3, 32),
    "vgg11_bn": (3, 32),
    "vgg13": (3, 32),
    "vgg16": (3, 32),
    "vgg16_bn": (3, 32),
    "vgg19": (3, 32),
    "resnet18": (3, 32),
    "resnet34": (3, 32),
    "resnet50": (3, 32),
    "resnet101": (3, 32),
    "googlenet": (3, 64),
}
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "cosine")
#: What must be the same when training is resumed.
KEPT = (
    "model", "data", "size", "batch_size", "lr", "optimizer", "momentum", "weight_decay",
    "schedule", "seed", "augment", "validation",
)  # fmt: skip


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1; got {text!r}")
    return value


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number >= 0; got {text!r}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gradsmith train`."""
    add = parser.add_argument
    add("--model", choices=tuple(MODELS), default="lenet", help="default lenet")
    add(
        "--data",
        default="digits",
        metavar="digits|FOLDER",
        help="the embedded digits (default), or a folder of MNIST's IDX files, CIFAR's binary "
        "files, or of image files with a folder for each class",
    )
    add("--epochs", type=_integer(1), default=10, metavar="N", help="in all; default 10")
    add("--lr", type=_learning_rate, default=1e-3, metavar="RATE", help="default 0.001")
    add("--optimizer", choices=OPTIMIZERS, default="adam", help="default adam")
    add("--momentum", type=_not_negative, default=0.9, metavar="X", help="default 0.9")
    add("--weight-decay", type=_not_negative, default=0.0, metavar="X", help="default 0")
    add("--schedule", choices=SCHEDULES, default="constant", help="of the rate; default constant")
    add("--batch-size", type=_integer(1), default=64, metavar="N", help="default 64")
    add("--size", type=_integer(1), metavar="N", help="height and width of images")
    add("--seed", type=_integer(0, 2**63 - 1), default=0, metavar="N", help="default 0")
    add("--augment", action="store_true", help="move training images at random")
    add(
        "--validation",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="of the training images, where the data has no such part; default 0.1",
    )
    add(
        "--patience",
        type=_integer(1),
        metavar="N",
        help="stop after N epochs without a better loss",
    )
    add("--workers", type=_integer(0), default=0, metavar="N", help="processes that load images")
    add("--threads", type=_integer(1, 1024), metavar="N", help="CPU threads; default: all")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    add("--weights", type=Path, metavar="FILE", help="begin with these weights (safetensors)")
    add(
        "--out",
        type=Path,
        default=Path("gradsmith-run"),
        metavar="DIR",
        help="checkpoints, curves and results; default gradsmith-run",
    )
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    add(
        "--overfit-one-batch",
        action="store_true",
        help="only check that the model can learn one batch by heart",
    )
    add("--json", action="store_true", help="print nothing but the results, as JSON")


def build_model(name: str, classes: int, shape: tuple[int, int, int]) -> Any:
    """A model of MODELS by name, for images of this shape."""
    from .. import models

    if name == "mlp":
        return models.MLP(shape[0] * shape[1] * shape[2], (256, 128), classes)
    if name == "lenet":
        return models.LeNet5(classes)
    if name == "digitsnet":
        return models.DigitsNet(num_classes=classes)
    return getattr(models, name)(num_classes=classes)


def build_optimizer(options: argparse.Namespace, model: Any) -> Any:
    """The optimizer that the options name."""
    from .. import optim

    name, shared = options.optimizer, {"lr": options.lr, "weight_decay": options.weight_decay}
    if name in ("sgd", "momentum", "nesterov"):
        momentum = 0.0 if name == "sgd" else options.momentum
        return optim.SGD(
            model.parameters(), momentum=momentum, nesterov=name == "nesterov", **shared
        )
    kinds = {
        "adagrad": "Adagrad",
        "adadelta": "Adadelta",
        "rmsprop": "RMSprop",
        "adam": "Adam",
        "adamw": "AdamW",
    }
    return getattr(optim, kinds[name])(model.parameters(), **shared)


def _loss(scores: Any, target: Any) -> Any:
    """Cross entropy; auxiliary classifiers (GoogLeNet) count 0.3 each."""
    from .. import Tensor
    from ..nn import functional as F

    if isinstance(scores, Tensor):
        return F.cross_entropy(scores, target)
    total = F.cross_entropy(scores[0], target)
    for other in scores[1:]:
        if other is not None:
            total = total + F.cross_entropy(other, target) * 0.3
    return total


def run(options: argparse.Namespace) -> int:
    """Train; returns the exit status."""
    from .. import manual_seed, set_num_threads
    from ..train.sources import open_source

    _use_device(options.device)
    if options.threads is not None:
        set_num_threads(options.threads)
    if not options.overfit_one_batch:
        _check_folder(options)
    channels, size = MODELS[options.model]
    try:
        source = open_source(
            options.data, channels, options.size or size, options.validation, options.augment,
            options.seed,
        )  # fmt: skip
    except (OSError, ValueError, ImportError) as error:
        raise CommandError(f"--data: {error}") from error
    if len(source.train) < 1:  # type: ignore[arg-type]
        raise CommandError(f"--data: {options.data} has no training images")
    manual_seed(options.seed)
    try:
        model = build_model(options.model, len(source.classes), source.shape)
        if options.weights is not None:
            from ..models.weights import with_weights

            with_weights(model, options.weights)
    except (OSError, ValueError, RuntimeError) as error:
        raise CommandError(f"--weights: {error}") from error
    model = model.to(options.device)
    if options.overfit_one_batch:
        return _overfit(options, model, source)
    return _train(options, model, source)


def _check_folder(options: argparse.Namespace) -> None:
    """What can be known to fail is refused before training."""
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise CommandError(f"--out: must be a folder; {out} is a file", status=2)
    if all(found(p) is None for p in OPTIONAL if p.module == "safetensors"):
        raise CommandError("checkpoints need safetensors: pip install 'gradsmith[io]'")
    last = out / "last.safetensors"
    if last.exists() and not options.resume:
        raise CommandError(
            f"--out: {out} has a checkpoint already (--resume goes on with it; or name another)",
            status=2,
        )
    if options.resume and not last.exists():
        raise CommandError(f"--resume: {out} has no checkpoint, last.safetensors", status=2)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"--out: {out} cannot be made: {error}", status=2) from error


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in KEPT}


def _overfit(options: argparse.Namespace, model: Any, source: Any) -> int:
    """Check that the model can learn one batch by heart."""
    from ..train import overfit_one_batch
    from ..train.sources import first_batch

    images, labels = first_batch(source, min(options.batch_size, 16))
    result = overfit_one_batch(
        model,
        _loss,
        build_optimizer(options, model),
        images.to(options.device),
        labels.to(options.device),
    )
    if options.json:
        print(json.dumps(finite(asdict(result)), allow_nan=False))
    else:
        verdict = "learned by heart" if result.passed else "NOT LEARNED"
        print(
            f"{len(labels)} images {verdict}: loss {result.losses[0]:.4f} -> "
            f"{result.losses[-1]:.4f} in {result.steps} steps (goal {result.target:.4f})"
        )
    return 0 if result.passed else 1


def _train(options: argparse.Namespace, model: Any, source: Any) -> int:
    from ..train import Checkpoint, EarlyStopping, fit, warmup_cosine
    from ..utils.data import DataLoader

    optimizer = build_optimizer(options, model)
    stopping = None if options.patience is None else EarlyStopping(options.patience)
    settings = _settings(options)
    checkpoint = Checkpoint(
        options.out, model, optimizer, early_stopping=stopping, options=dict(settings)
    )
    history = None
    if options.resume:
        history = _resumed(options, checkpoint, settings)
    many = len(source.train) > options.batch_size
    loaders = {
        "train": DataLoader(
            source.train, options.batch_size, shuffle=True, num_workers=options.workers,
            drop_last=many,
        ),
        "validation": DataLoader(source.validation, 256, num_workers=options.workers),
    }  # fmt: skip
    progress = _progress(options.json)
    if not options.json:
        _print_head(options, model, source, history)
    try:
        history = fit(
            model,
            loaders["train"],
            _loss,
            optimizer,
            epochs=options.epochs,
            schedule=warmup_cosine if options.schedule == "cosine" else None,
            validation=loaders["validation"],
            device=options.device,
            progress=progress,
            synchronize=_synchronize(options.device),
            early_stopping=stopping,
            after_epoch=checkpoint.save,
            history=history,
        )
    except (FloatingPointError, OSError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
    finally:
        progress.close()
    result = _finish(options, model, source, history, checkpoint)
    if options.json:
        print(json.dumps(finite(result), allow_nan=False))
    else:
        _print_result(options, history, result)
    return 130 if history.interrupted else 0


def _resumed(options: argparse.Namespace, checkpoint: Any, settings: dict[str, Any]) -> Any:
    """The history so far, after a check that the settings are the same."""
    try:
        history = checkpoint.restore()
    except (ValueError, RuntimeError) as error:
        raise CommandError(f"--resume: {error}") from error
    before = checkpoint.options
    changed = [
        f"--{name.replace('_', '-')} was {before.get(name)!r}, is {value!r}"
        for name, value in settings.items()
        if before.get(name) != value
    ]
    if changed:
        raise CommandError("--resume: the settings must be the same: " + "; ".join(changed), 2)
    if len(history.epochs) >= options.epochs:
        raise CommandError(
            f"--resume: {len(history.epochs)} epochs are done; --epochs {options.epochs} leaves "
            "nothing to do (give more)",
            status=2,
        )
    return history


def _finish(
    options: argparse.Namespace, model: Any, source: Any, history: Any, checkpoint: Any
) -> dict[str, Any]:
    """Curves, the test with the best epoch's model, and result.json."""
    from .. import load
    from ..train import evaluate, write_csv, write_html, write_png
    from ..utils.data import DataLoader

    best = history.best() or history.best("train_loss")
    result: dict[str, Any] = {
        "settings": _settings(options),
        "epochs": [asdict(epoch) for epoch in history.epochs],
        "best_epoch": None if best is None else best.number,
        "interrupted": history.interrupted,
        "stopped_early": history.stopped_early,
        "timing": asdict(history.timing),
        "images_per_second": history.timing.images_per_second,
        "seconds": history.seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
        "classes": source.classes,
        "normalised_with": {"mean": source.mean, "std": source.std},
        "test": None,
        "files": [],
    }
    if not history.epochs:
        return result
    if checkpoint.best.exists():
        model.load_state_dict(load(checkpoint.best, map_location="cpu"))
    if source.test is not None and not history.interrupted:
        tested = evaluate(model, DataLoader(source.test, 256), _loss, options.device)
        result["test"] = {"loss": tested.loss, "accuracy": tested.accuracy}
    out: Path = options.out
    title = f"{options.model} on {source.name}"
    write_csv(history, out / "curves.csv")
    if found(OPTIONAL[1]) is not None:
        write_png(history, out / "curves.png", title)
        write_html(history, out / "curves.html", title)
    result["files"] = sorted(str(p) for p in out.iterdir() if not p.name.startswith("."))
    (out / "result.json").write_text(json.dumps(finite(result), indent=1), encoding="utf-8")
    return result


def _print_head(options: argparse.Namespace, model: Any, source: Any, history: Any) -> None:
    count = sum(p.numel() for p in model.parameters())
    print(
        f"{options.model}, {count:,} parameters, on {source.name}: {len(source.train):,} training "
        f"and {len(source.validation):,} validation images of {list(source.shape)}, "
        f"{len(source.classes)} classes"
    )
    if history is not None:
        print(f"resumed behind epoch {len(history.epochs)}")
    print(flush=True)


def _print_result(options: argparse.Namespace, history: Any, result: dict[str, Any]) -> None:
    timing = history.timing
    total = timing.seconds or 1.0
    shares = ", ".join(
        f"{name} {100 * getattr(timing, name) / total:.0f} %"
        for name in ("data", "forward", "backward", "step")
    )
    print(f"\ntime of the steps: {shares}; {timing.images_per_second:,.0f} images a second")
    if history.stopped_early:
        print(f"stopped early: no better loss for {options.patience} epochs")
    best = history.best()
    if best is not None:
        print(
            f"best epoch {best.number}: validation loss {best.validation_loss:.4f}, "
            f"{100 * best.validation_accuracy:.2f} % right"
        )
    if result["test"] is not None:
        print(f"test: {100 * result['test']['accuracy']:.2f} % right with the best epoch's model")
    if history.interrupted:
        print("stopped by Ctrl-C; --resume goes on behind the last whole epoch")
    if history.epochs:
        print(f"in {options.out}: last.safetensors, best.safetensors, curves, result.json")
        if found(OPTIONAL[1]) is None:
            print("(pictures of the curves need matplotlib: pip install 'gradsmith[demo]')")
