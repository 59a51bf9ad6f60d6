"""The training loop: epochs over a loader, timed part by part, stopped cleanly by Ctrl-C."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from .. import Tensor, no_grad
from ..nn import Module
from ..optim import Optimizer
from .stopping import EarlyStopping

__all__ = [
    "Epoch",
    "Evaluation",
    "History",
    "Progress",
    "Timing",
    "evaluate",
    "fit",
    "training_step",
]

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Timing:
    """Where the time of the training steps went, in seconds.

    Attributes:
        data: Waiting for the next batch: loading, augmentation, moving it to the device.
        forward: The model and the loss.
        backward: The gradients.
        step: The optimizer.
        steps: How many steps these are the sums of.
        images: How many images the steps have seen.
    """

    data: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    step: float = 0.0
    steps: int = 0
    images: int = 0

    @property
    def seconds(self) -> float:
        """All four together."""
        return self.data + self.forward + self.backward + self.step

    @property
    def images_per_second(self) -> float:
        """Training images a second; 0 before the first step."""
        return self.images / self.seconds if self.seconds > 0 else 0.0


@dataclass
class Evaluation:
    """How a model does on data that it does not learn from.

    Attributes:
        loss: Mean loss.
        accuracy: Share of right answers, 0 to 1.
        logits: The scores, (N, classes) float64.
        labels: The right answers, (N,).
    """

    loss: float
    accuracy: float
    logits: np.ndarray
    labels: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The class of the highest score of each image, (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the scores, (N, classes)."""
        e = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def confusion(self) -> np.ndarray:
        """Counts, (classes, classes): row = right answer, column = given answer."""
        classes = self.logits.shape[1]
        counts = np.bincount(self.labels * classes + self.predictions, minlength=classes * classes)
        return counts.reshape(classes, classes)


@dataclass
class Epoch:
    """What came of one epoch.

    Attributes:
        number: From 1.
        train_loss: Mean over the batches, as they were trained on: augmented, with dropout.
        train_accuracy: The same for the share of right answers.
        validation_loss: Mean on the validation data after the epoch; None without such data.
        validation_accuracy: The same for the share of right answers.
        lr: Learning rate of the last step.
        seconds: Wall time, validation included.
    """

    number: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    lr: float
    seconds: float


@dataclass
class History:
    """What `fit` did.

    Attributes:
        epochs: The finished epochs.
        losses: The loss of each step.
        timing: Where the time of the steps went.
        seconds: Wall time of the whole, validation included.
        interrupted: Ctrl-C stopped it before the end.
        stopped_early: Early stopping ended it before the last epoch.
    """

    epochs: list[Epoch] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    timing: Timing = field(default_factory=Timing)
    seconds: float = 0.0
    interrupted: bool = False
    stopped_early: bool = False

    def best(self, metric: str = "validation_loss", mode: str = "min") -> Epoch | None:
        """The first epoch with the best value of a metric; None before the first."""
        best = None
        for epoch in self.epochs:
            value = getattr(epoch, metric)
            if value is None or not math.isfinite(value):
                continue
            before = None if best is None else getattr(best, metric)
            if before is None or (value < before if mode == "min" else value > before):
                best = epoch
        return best


class Progress(Protocol):
    """What `fit` tells while it works."""

    def started(self, epochs: int, steps: int) -> None:
        """Training begins: so many epochs of so many steps."""

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """A step is done; epoch and step count from 1, step within its epoch."""

    def finished_epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


def evaluate(model: Module, loader: Iterable[Any], loss: Loss, device: str = "cpu") -> Evaluation:
    """Run a model over data without learning: in eval mode, without gradients.

    Args:
        model: The model; its training mode is as before afterwards.
        loader: Batches (inputs, labels) of tensors.
        loss: Mean loss of scores and labels.
        device: Where the model is.

    Raises:
        ValueError: The loader gave no batch.
    """
    was_training = model.training
    model.eval()
    total, logits, labels = 0.0, [], []
    try:
        with no_grad():
            for inputs, target in loader:
                scores = model(inputs.to(device))
                total += loss(scores, target.to(device)).item() * len(target)
                logits.append(scores.to("cpu").numpy().astype(np.float64))
                labels.append(target.numpy().copy())
    finally:
        model.train(was_training)
    if not labels:
        raise ValueError("evaluate: the loader must give at least one batch; got none")
    scores, answers = np.concatenate(logits), np.concatenate(labels)
    right = float((scores.argmax(axis=1) == answers).mean())
    return Evaluation(total / len(answers), right, scores, answers)


def fit(
    model: Module,
    loader: Iterable[Any],
    loss: Loss,
    optimizer: Optimizer,
    *,
    epochs: int,
    schedule: Callable[[float], float] | None = None,
    validation: Iterable[Any] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    synchronize: Callable[[], object] | None = None,
    scheduler: Any = None,
    early_stopping: EarlyStopping | None = None,
    after_epoch: Callable[[History], object] | None = None,
    history: History | None = None,
) -> History:
    """Train a model.

    Ctrl-C (KeyboardInterrupt) ends training after what has been done so far; it is not raised
    again: `History.interrupted` tells.

    Args:
        model: What to train; left in eval mode.
        loader: Batches (inputs, labels) of tensors, with a length; one pass is an epoch.
        loss: Mean loss of scores and labels.
        optimizer: Made from the model's parameters.
        epochs: Passes over the data, at least 1.
        schedule: The learning rate as a share of the optimizer's, from the part of training that
            is done (0 to 1). None: constant.
        validation: Batches to measure loss and accuracy on after every epoch.
        device: Where the model is; batches are moved there.
        progress: Is told of every step and epoch.
        synchronize: Waits for the device, so that the parts of a step are timed apart.
        scheduler: A learning-rate scheduler of optim.lr_scheduler, stepped after every epoch;
            one that wants a metric gets the validation loss, or else the training loss.
        early_stopping: Ends training when the validation no longer gets better.
        after_epoch: Is called with the history after every epoch, validation included; e.g. to
            save a checkpoint.
        history: Of what was done before: training goes on behind its last epoch.

    Raises:
        ValueError: `epochs` < 1, or the loader has no batch.
        FloatingPointError: The loss is no longer finite; what was learned is lost.
    """
    if epochs < 1:
        raise ValueError(f"fit: epochs must be at least 1; got {epochs}")
    steps = len(loader)  # type: ignore[arg-type]
    if steps < 1:
        raise ValueError("fit: the loader must give at least one batch; got none")
    history = History() if history is None else history
    history.interrupted = history.stopped_early = False
    timing = history.timing
    seconds_before = history.seconds
    base = [group["lr"] for group in optimizer.param_groups]
    begin = perf_counter()
    if progress is not None:
        progress.started(epochs, steps)
    try:
        for number in range(len(history.epochs) + 1, epochs + 1):
            epoch_begin = perf_counter()
            model.train()
            total, right, seen = 0.0, 0, 0
            for step, (inputs, target) in enumerate(_timed(loader, device, timing), 1):
                if schedule is not None:
                    share = schedule(len(history.losses) / (epochs * steps))
                    for group, lr in zip(optimizer.param_groups, base, strict=True):
                        group["lr"] = lr * share
                scores, value = training_step(
                    model, loss, optimizer, inputs, target, timing, synchronize
                )
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"fit: the loss must stay finite; got {value} at epoch {number}, "
                        f"step {step}, lr {optimizer.param_groups[0]['lr']:g} (try a smaller lr)"
                    )
                history.losses.append(value)
                answers = _logits(scores).detach().to("cpu").numpy().argmax(axis=1)
                right += int((answers == target.to("cpu").numpy()).sum())
                total += value * len(target)
                seen += len(target)
                if progress is not None:
                    progress.stepped(number, step, value)
            lr = optimizer.param_groups[0]["lr"]
            epoch = Epoch(number, total / seen, right / seen, None, None, lr, 0.0)
            if validation is not None:
                result = evaluate(model, validation, loss, device)
                epoch.validation_loss = result.loss
                epoch.validation_accuracy = result.accuracy
            if scheduler is not None:
                _step_scheduler(scheduler, epoch)
            epoch.seconds = perf_counter() - epoch_begin
            history.epochs.append(epoch)
            history.seconds = seconds_before + perf_counter() - begin
            if schedule is not None:
                _set_rates(optimizer, base)
            stop = early_stopping is not None and early_stopping.update(epoch)
            if progress is not None:
                progress.finished_epoch(epoch)
            if after_epoch is not None:
                after_epoch(history)
            if stop:
                history.stopped_early = number < epochs
                break
    except KeyboardInterrupt:
        history.interrupted = True
    finally:
        model.eval()
        if schedule is not None:
            _set_rates(optimizer, base)
        history.seconds = seconds_before + perf_counter() - begin
    return history


def _set_rates(optimizer: Optimizer, rates: list[float]) -> None:
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr


def _logits(scores: Any) -> Tensor:
    """The scores of a model that may give those of auxiliary classifiers too."""
    return scores if isinstance(scores, Tensor) else scores[0]


def _step_scheduler(scheduler: Any, epoch: Epoch) -> None:
    """Steps a scheduler; one that wants a metric gets it."""
    if "metrics" in inspect.signature(scheduler.step).parameters:
        value = epoch.validation_loss
        scheduler.step(epoch.train_loss if value is None else value)
    else:
        scheduler.step()


def training_step(
    model: Module,
    loss: Loss,
    optimizer: Optimizer,
    inputs: Tensor,
    target: Tensor,
    timing: Timing | None = None,
    synchronize: Callable[[], object] | None = None,
) -> tuple[Tensor, float]:
    """One step: forward, backward, optimizer.

    Args:
        model, loss, optimizer: As for `fit`.
        inputs, target: One batch, on the model's device.
        timing: The seconds of each part are added to it.
        synchronize: Waits for the device, so that the parts are timed apart.

    Returns:
        The scores and the value of the loss, both from before the step.
    """
    wait = synchronize or (lambda: None)
    times = [perf_counter()]
    scores = model(inputs)
    value = loss(scores, target)
    wait()
    times.append(perf_counter())
    optimizer.zero_grad()
    value.backward()
    wait()
    times.append(perf_counter())
    optimizer.step()
    wait()
    times.append(perf_counter())
    if timing is not None:
        timing.forward += times[1] - times[0]
        timing.backward += times[2] - times[1]
        timing.step += times[3] - times[2]
        timing.steps += 1
        timing.images += len(target)
    return scores, value.item()


def _timed(loader: Iterable[Any], device: str, timing: Timing) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader's batches on the device; the time to get them is added to timing.data."""
    begin = perf_counter()
    for inputs, target in loader:
        batch = inputs.to(device), target.to(device)
        timing.data += perf_counter() - begin
        yield batch
        begin = perf_counter()
    timing.data += perf_counter() - begin
