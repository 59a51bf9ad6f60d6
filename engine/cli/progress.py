"""What is seen while a command works: a live bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..train import Epoch

if TYPE_CHECKING:
    from ..testing import Failure, OpReport
    from ..testing.campaign import Campaign

__all__ = [
    "LiveChecks",
    "LiveProgress",
    "NoChecks",
    "NoProgress",
    "PlainChecks",
    "PlainProgress",
    "epoch_line",
    "live_terminal",
]


def live_terminal() -> bool:
    """Whether standard output is a terminal that can redraw a line."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """`epoch  3/40   loss 0.6261   train 78.99 %   validation 89.22 %   0.11 s`."""
    width = len(str(epochs))
    line = (
        f"epoch {epoch.number:>{width}}/{epochs}   loss {epoch.train_loss:.4f}   "
        f"train {100 * epoch.train_accuracy:6.2f} %"
    )
    if epoch.validation_accuracy is not None:
        line += f"   validation {100 * epoch.validation_accuracy:6.2f} %"
    return f"{line}   {epoch.seconds:.2f} s"


class NoProgress:
    """Says nothing."""

    def started(self, epochs: int, steps: int) -> None:
        """Nothing."""

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Nothing."""

    def finished_epoch(self, epoch: Epoch) -> None:
        """Nothing."""

    def close(self) -> None:
        """Gives the terminal back."""


class PlainProgress(NoProgress):
    """A line for each epoch."""

    def started(self, epochs: int, steps: int) -> None:
        """Remember how many epochs there will be."""
        self.epochs = epochs

    def finished_epoch(self, epoch: Epoch) -> None:
        """Print the epoch's line."""
        print(epoch_line(epoch, self.epochs), flush=True)


class LiveProgress(NoProgress):
    """A bar with the loss, both accuracies and the time that is left (rich)."""

    def started(self, epochs: int, steps: int) -> None:
        """Show the bar."""
        from rich import progress

        self.epochs, self.steps = epochs, steps
        self.accuracy = ""
        columns: list[Any] = [
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
            progress.TimeRemainingColumn(compact=True),
        ]
        self.bar = progress.Progress(*columns, expand=True, refresh_per_second=8)
        self.task = self.bar.add_task(f"epoch 1/{epochs}", total=epochs * steps, numbers="")
        self.bar.start()

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Move the bar on."""
        self.bar.update(
            self.task,
            completed=(epoch - 1) * self.steps + step,
            description=f"epoch {epoch}/{self.epochs}",
            numbers=f"loss {loss:.3f}{self.accuracy}",
        )

    def finished_epoch(self, epoch: Epoch) -> None:
        """Keep the accuracy to be shown with the next steps."""
        if epoch.validation_accuracy is not None:
            self.accuracy = f"  validation {100 * epoch.validation_accuracy:.1f} %"

    def close(self) -> None:
        """Leave the finished bar on the terminal."""
        if hasattr(self, "bar"):
            self.bar.stop()


class NoChecks:
    """Says nothing while ops are checked."""

    def started(self, campaign: Campaign) -> None:
        """Nothing."""

    def ran(self, campaign: Campaign, what: str, report: OpReport | None) -> None:
        """Nothing."""

    def close(self) -> None:
        """Gives the terminal back."""


class PlainChecks(NoChecks):
    """A line for each tenth of the way, and each failure as it is found."""

    def started(self, campaign: Campaign) -> None:
        """Nothing was shown yet."""
        self.tenth = self.of_grid = 0

    def ran(self, campaign: Campaign, what: str, report: OpReport | None) -> None:
        """Print what is new."""
        for failure in self.new(campaign, report):
            self.failed(failure)
        tenth = int(10 * campaign.part)
        if tenth > self.tenth:
            self.tenth = tenth
            print(f"{10 * tenth:3d} %   {self.numbers(campaign)}", flush=True)

    def new(self, campaign: Campaign, report: OpReport | None) -> list[Failure]:
        """The failures of what has just been run."""
        if report is not None:
            return list(report.failures)
        before, found = self.of_grid, campaign.grid.failures if campaign.grid else ()
        self.of_grid = len(found)
        return list(found[before:])

    def failed(self, failure: Failure) -> None:
        """Print a failure."""
        print(f"FAILED {failure}", flush=True)

    @staticmethod
    def numbers(campaign: Campaign) -> str:
        """How far it is, in words."""
        begun = sum(bool(o.done) for o in campaign.ops)
        return (
            f"{begun} of {len(campaign.ops)} ops, {campaign.comparisons:,} comparisons, "
            f"{campaign.failed} failed, {campaign.elapsed:.0f} s"
        )


class LiveChecks(PlainChecks):
    """A bar with the op that is being checked, the counts and the time (rich)."""

    def started(self, campaign: Campaign) -> None:
        """Show the bar."""
        from rich import progress

        super().started(campaign)
        columns: list[Any] = [
            progress.TextColumn("{task.description}", justify="left"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
        ]
        self.bar = progress.Progress(*columns, expand=True, refresh_per_second=8)
        self.task = self.bar.add_task("starting", total=1.0, numbers="")
        self.bar.start()

    def ran(self, campaign: Campaign, what: str, report: OpReport | None) -> None:
        """Move the bar on; failures stay above it."""
        for failure in self.new(campaign, report):
            self.bar.console.print(f"FAILED {failure}", markup=False, highlight=False)
        self.bar.update(
            self.task,
            completed=campaign.part,
            description=f"{what:<24.24}",
            numbers=self.numbers(campaign),
        )

    def close(self) -> None:
        """Leave the bar on the terminal."""
        if hasattr(self, "bar"):
            self.bar.stop()
