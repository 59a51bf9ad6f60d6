"""Checkpoints: all that training depends on, so that it goes on to the same bits."""

from __future__ import annotations

import os
import random
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..nn import Module
from ..optim import Optimizer
from ..random import Generator, default_generator
from ..serialization import load, save
from .fit import Epoch, History, Timing
from .stopping import EarlyStopping

__all__ = ["Checkpoint"]

LAST, BEST = "last.safetensors", "best.safetensors"


def _random_states(generators: dict[str, Generator]) -> dict[str, Any]:
    """Where the streams of random numbers stand: gradsmith's, Python's, NumPy's."""
    kind, words, *rest = np.random.get_state(legacy=True)
    return {
        "gradsmith": default_generator.get_state(),
        "generators": {name: g.get_state() for name, g in generators.items()},
        "python": random.getstate(),
        "numpy": [kind, np.asarray(words).astype(np.int64), *rest],
    }


class Checkpoint:
    """Two files in a folder: the newest state of training, and the model of the best epoch.

    `last.safetensors` has the model, optimizer, scheduler, early stopping, the history and the
    random numbers' states; `best.safetensors` is the state_dict of the model alone, which
    `gradsmith.load` and the safetensors package of any library read. Both are written whole or not
    at all.

    Args:
        folder: Is made if it is not there.
        model, optimizer, scheduler, early_stopping: What is saved and restored.
        generators: More streams of random numbers by name, e.g. a DataLoader's.
        metric, mode: Which epoch is the best: of the smallest ("min") or largest ("max") value; of
            the training loss if there is no validation.
        options: Plain data to be kept along, e.g. the settings.

    Example:
        checkpoint = Checkpoint("run", model, optimizer)
        history = checkpoint.restore()          # None at first
        fit(..., after_epoch=checkpoint.save, history=history)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        model: Module,
        optimizer: Optimizer,
        scheduler: Any = None,
        early_stopping: EarlyStopping | None = None,
        generators: dict[str, Generator] | None = None,
        metric: str = "validation_loss",
        mode: str = "min",
        options: dict[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.model = model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.early_stopping = early_stopping
        self.generators = generators or {}
        self.metric = metric
        self.mode = mode
        self.options = options or {}

    @property
    def last(self) -> Path:
        """The file of the newest state."""
        return self.folder / LAST

    @property
    def best(self) -> Path:
        """The file of the best epoch's model."""
        return self.folder / BEST

    def save(self, history: History) -> None:
        """Writes the newest state, and the model if this epoch is the best so far."""
        best = history.best(self.metric, self.mode) or history.best("train_loss")
        if best is not None and best is history.epochs[-1]:
            save(self.model.state_dict(), self.best)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "early_stopping": None
            if self.early_stopping is None
            else self.early_stopping.state_dict(),
            "random": _random_states(self.generators),
            "history": {
                "epochs": [asdict(epoch) for epoch in history.epochs],
                "losses": history.losses,
                "timing": asdict(history.timing),
                "seconds": history.seconds,
            },
            "options": self.options,
        }
        save(state, self.last)

    def restore(self) -> History | None:
        """Takes over the newest state; None if there is none.

        Raises:
            ValueError, RuntimeError: A damaged file, or of another model or optimizer.
        """
        if not self.last.exists():
            return None
        state = load(self.last, map_location="cpu")
        try:
            history = _history(state["history"])
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scheduler is not None:
                self.scheduler.load_state_dict(state["scheduler"])
            if self.early_stopping is not None and state["early_stopping"] is not None:
                self.early_stopping.load_state_dict(state["early_stopping"])
            streams = state["random"]
            default_generator.set_state(streams["gradsmith"])
            for name, generator in self.generators.items():
                generator.set_state(streams["generators"][name])
            random.setstate(streams["python"])
            kind, words, *rest = streams["numpy"]
            np.random.set_state((kind, words.astype(np.uint32), *rest))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"{self.last}: is no checkpoint of Checkpoint.save: {error!r}"
            ) from error
        self.options = state.get("options", {})
        return history


def _history(state: dict[str, Any]) -> History:
    known = {f.name for f in fields(Epoch)}
    epochs = [Epoch(**{k: v for k, v in e.items() if k in known}) for e in state["epochs"]]
    return History(epochs, state["losses"], Timing(**state["timing"]), state["seconds"])
