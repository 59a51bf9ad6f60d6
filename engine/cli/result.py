"""What a demo run found: filled in by demo.py, shown by its text, its JSON and its report."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..train import DigitsRecipe, Evaluation, History

__all__ = ["Comparison", "DemoResult", "GradientCheck", "Machine", "finite"]

#: Alone on a machine of two cores steps varied by a factor of 1.3 at most, and 25 to 76 times a
#: second a core was taken away; with other programs at work it was 1.5 to 54, and 211 to 924.
BUSY_SPREAD = 1.5
BUSY_PREEMPTIONS = 150.0


@dataclass
class Machine:
    """Where it ran."""

    version: str
    cpu: str
    isa: str
    threads: int
    device: str


@dataclass
class GradientCheck:
    """The gradient of one op against finite differences.

    Attributes:
        op: Name of the op.
        samples: How many inputs were checked, each with all its gradients.
        error: Largest relative difference; None where the check could not be made.
        tolerance: What it may be.
        passed: Whether it is not above the tolerance.
        note: Why the check could not be made, or where it failed.
    """

    op: str
    samples: int
    error: float | None
    tolerance: float
    passed: bool
    note: str = ""


@dataclass
class Comparison:
    """The same training step here and in PyTorch: medians in seconds, taken in turns.

    Attributes:
        torch_version: PyTorch's version.
        gradsmith, torch: Seconds of "forward", "backward", "step" and "total".
        loss_difference: Between the losses of the first step, from the same weights.
        spread: The median step over a fast one, of the library where that is larger.
        preemptions: How many times a second another program took a core away.
    """

    torch_version: str
    gradsmith: dict[str, float]
    torch: dict[str, float]
    loss_difference: float
    spread: float = 1.0
    preemptions: float = 0.0

    @property
    def disturbed(self) -> bool:
        """Whether other programs took so much of the machine that the times mean little."""
        return not (self.spread <= BUSY_SPREAD and self.preemptions <= BUSY_PREEMPTIONS)

    @property
    def ratio(self) -> float:
        """PyTorch's time over ours: above 1 we are faster."""
        return self.torch["total"] / self.gradsmith["total"]


@dataclass
class DemoResult:
    """One run of `gradsmith demo`."""

    machine: Machine
    recipe: DigitsRecipe
    sizes: dict[str, int]
    parameters: int
    history: History
    test: Evaluation | None = None
    test_images: np.ndarray | None = None
    filters: np.ndarray | None = None
    comparison: Comparison | None = None
    comparison_note: str = ""
    gradients: list[GradientCheck] = field(default_factory=list)
    interrupted: bool = False
    report: str | None = None

    def mistakes(self) -> list[dict[str, Any]]:
        """The wrong answers on the test images, the most confident first."""
        return self._answers(right=False)

    def least_sure(self) -> list[dict[str, Any]]:
        """The right answers on the test images, the least confident first."""
        return self._answers(right=True)[::-1]

    def _answers(self, right: bool) -> list[dict[str, Any]]:
        if self.test is None:
            return []
        probabilities, given = self.test.probabilities, self.test.predictions
        chosen = np.flatnonzero((given == self.test.labels) == right)
        confidence = probabilities[chosen, given[chosen]]
        return [
            {
                "image": int(i),
                "label": int(self.test.labels[i]),
                "answer": int(given[i]),
                "probability": float(probabilities[i, given[i]]),
            }
            for i in chosen[np.argsort(-confidence, kind="stable")]
        ]

    def to_json(self) -> dict[str, Any]:
        """The run as plain data, for `--json`; a number that is not finite is null."""
        timing = self.history.timing
        data = {
            "version": self.machine.version,
            "device": self.machine.device,
            "cpu": self.machine.cpu,
            "isa": self.machine.isa,
            "threads": self.machine.threads,
            "recipe": {
                "epochs": self.recipe.epochs,
                "batch_size": self.recipe.batch_size,
                "lr": self.recipe.lr,
                "seed": self.recipe.seed,
            },
            "images": self.sizes,
            "parameters": self.parameters,
            "interrupted": self.interrupted,
            "epochs": [
                {
                    "epoch": e.number,
                    "train_loss": e.train_loss,
                    "train_accuracy": e.train_accuracy,
                    "validation_loss": e.validation_loss,
                    "validation_accuracy": e.validation_accuracy,
                    "lr": e.lr,
                    "seconds": e.seconds,
                }
                for e in self.history.epochs
            ],
            "test": None
            if self.test is None
            else {
                "accuracy": self.test.accuracy,
                "loss": self.test.loss,
                "confusion": self.test.confusion().tolist(),
                "mistakes": self.mistakes(),
            },
            "seconds": self.history.seconds,
            "timing": {
                "steps": timing.steps,
                "images": timing.images,
                "images_per_second": timing.images_per_second,
                "data": timing.data,
                "forward": timing.forward,
                "backward": timing.backward,
                "step": timing.step,
            },
            "torch": None
            if self.comparison is None
            else {
                "version": self.comparison.torch_version,
                "gradsmith_seconds": self.comparison.gradsmith,
                "torch_seconds": self.comparison.torch,
                "ratio": self.comparison.ratio,
                "loss_difference": self.comparison.loss_difference,
                "disturbed": self.comparison.disturbed,
            },
            "gradient_checks": [
                {
                    "op": g.op,
                    "samples": g.samples,
                    "error": g.error,
                    "tolerance": g.tolerance,
                    "passed": g.passed,
                    "note": g.note,
                }
                for g in self.gradients
            ],
            "report": self.report,
        }
        return finite(data)


def finite(data: Any) -> Any:
    """The same data with None for NaN and infinities, which JSON does not know."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data
