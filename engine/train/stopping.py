"""Early stopping, and the check that a model can learn one batch by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import Tensor
from ..nn import Module
from ..optim import Optimizer

__all__ = ["EarlyStopping", "Overfitting", "overfit_one_batch"]


class EarlyStopping:
    """Says when training should end: a metric has not become better for some epochs.

    Args:
        patience: How many epochs without a better value are waited for.
        min_delta: By how much a value must be better to count.
        metric: An attribute of Epoch, e.g. "validation_loss", "validation_accuracy".
        mode: "min": smaller is better; "max": larger is.

    Raises:
        ValueError: patience below 1, min_delta below 0, another mode.
    """

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 0.0,
        metric: str = "validation_loss",
        mode: str = "min",
    ) -> None:
        if patience < 1 or not min_delta >= 0 or mode not in ("min", "max"):
            raise ValueError(
                "EarlyStopping: patience >= 1, min_delta >= 0 and mode 'min' or 'max' are needed; "
                f"got {patience}, {min_delta}, {mode!r}"
            )
        self.patience = patience
        self.min_delta = min_delta
        self.metric = metric
        self.mode = mode
        self.best: float | None = None
        self.waited = 0

    def update(self, epoch: Any) -> bool:
        """Takes note of an epoch; True: stop now.

        Raises:
            ValueError: The epoch has no value of the metric: there is no validation.
        """
        value = getattr(epoch, self.metric)
        if value is None:
            raise ValueError(f"EarlyStopping: needs {self.metric}; got None (fit with validation)")
        better = self.best is None or (
            value < self.best - self.min_delta
            if self.mode == "min"
            else value > self.best + self.min_delta
        )
        if better and math.isfinite(value):
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long has been waited."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what state_dict gave."""
        self.best, self.waited = state["best"], int(state["waited"])


@dataclass
class Overfitting:
    """What `overfit_one_batch` found.

    Attributes:
        passed: The loss fell below the target.
        steps: How many steps it took.
        losses: The loss before each step.
        target: What the loss had to fall below.
    """

    passed: bool
    steps: int
    target: float
    losses: list[float] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.passed


def overfit_one_batch(
    model: Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Optimizer,
    inputs: Tensor,
    target: Tensor,
    steps: int = 200,
    goal: float = 0.05,
) -> Overfitting:
    """Check that a model can learn one small batch by heart; if not, something is wrong with it.

    Args:
        model: The model; it is trained.
        loss: Mean loss of scores and labels.
        optimizer: Made from the model's parameters.
        inputs, target: The batch: some ten samples.
        steps: The most steps.
        goal: The share of the first loss below which it counts as learned.

    Raises:
        ValueError: steps below 1.
    """
    if steps < 1:
        raise ValueError(f"overfit_one_batch: steps must be at least 1; got {steps}")
    model.train()
    losses: list[float] = []
    limit = 0.0
    for step in range(steps):
        value = loss(model(inputs), target)
        losses.append(value.item())
        if step == 0:
            limit = goal * losses[0]
        elif losses[-1] < limit:
            return Overfitting(True, step, limit, losses)
        if not math.isfinite(losses[-1]):
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return Overfitting(False, len(losses), limit, losses)
