"""Learning curves: as a table (CSV), a picture (PNG) and a page (HTML)."""

from __future__ import annotations

import base64
import csv
import html
import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .fit import Epoch, History, Timing

__all__ = ["curves_png", "write_csv", "write_html", "write_png"]

_BLUE, _ORANGE, _GREY = "#1f6fb4", "#d1600f", "#666666"


def write_csv(history: History, path: str | Path) -> None:
    """Writes a row for each epoch: number, losses, accuracies, learning rate, seconds."""
    names = [f.name for f in fields(Epoch)]
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for epoch in history.epochs:
            writer.writerow({k: "" if v is None else v for k, v in asdict(epoch).items()})


def _panel(axes: Any, history: History, which: str, unit: float) -> None:
    """The training and validation curve of the loss or the accuracy."""
    numbers = [e.number for e in history.epochs]
    marker = "o" if len(numbers) < 25 else ""
    train = [getattr(e, f"train_{which}") * unit for e in history.epochs]
    axes.plot(numbers, train, color=_BLUE, marker=marker, markersize=4, label="training")
    values = [getattr(e, f"validation_{which}") for e in history.epochs]
    if any(v is not None for v in values):
        known = [(n, v * unit) for n, v in zip(numbers, values, strict=True) if v is not None]
        x, y = zip(*known, strict=True)
        label = "validation"
        best = history.best(f"validation_{which}", "min" if which == "loss" else "max")
        if best is not None:
            value = getattr(best, f"validation_{which}") * unit
            shown = f"{value:.3g}" if which == "loss" else f"{value:.2f} %"
            label += f", best {shown} in epoch {best.number}"
            axes.plot([best.number], [value], "D", color=_ORANGE, markersize=8, fillstyle="none")
        axes.plot(x, y, color=_ORANGE, marker=marker, markersize=4, label=label)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)
    axes.legend(frameon=False, fontsize=9)


def curves_png(history: History, title: str = "") -> bytes:
    """A picture of the loss and the accuracy of every epoch, as PNG.

    Args:
        history: What `fit` did, with at least one epoch.
        title: Stands above.

    Raises:
        ImportError: Without matplotlib.
        ValueError: No epoch.
    """
    if not history.epochs:
        raise ValueError("curves_png: the history must have at least one epoch; got none")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("curves_png: needs matplotlib (pip install 'gradsmith[demo]')") from error
    figure = Figure(figsize=(9.6, 4.0), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _panel(left, history, "loss", 1.0)
    left.set_ylabel("loss")
    _panel(right, history, "accuracy", 100.0)
    right.set_ylabel("accuracy, %")
    if title:
        figure.suptitle(title, fontsize=11, color=_GREY)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def write_png(history: History, path: str | Path, title: str = "") -> None:
    """Writes the picture of curves_png to a file."""
    Path(path).write_bytes(curves_png(history, title))


def _timing_rows(timing: Timing) -> str:
    total = timing.seconds or 1.0
    rows = []
    for name in ("data", "forward", "backward", "step"):
        value = getattr(timing, name)
        rows.append(
            f"<tr><td>{name}</td><td>{value:.2f} s</td><td>{100 * value / total:.1f} %</td></tr>"
        )
    return "".join(rows)


def write_html(history: History, path: str | Path, title: str = "Learning curves") -> None:
    """Writes a page of its own with the picture, the epochs and where the time went.

    Raises:
        ImportError: Without matplotlib.
        ValueError: No epoch.
    """
    picture = base64.b64encode(curves_png(history)).decode()

    def shown(value: float | None, unit: float = 1.0) -> str:
        return "" if value is None else f"{value * unit:.4f}"

    rows = "".join(
        f"<tr><td>{e.number}</td><td>{shown(e.train_loss)}</td>"
        f"<td>{shown(e.train_accuracy, 100)}</td><td>{shown(e.validation_loss)}</td>"
        f"<td>{shown(e.validation_accuracy, 100)}</td><td>{e.lr:.4g}</td>"
        f"<td>{e.seconds:.2f}</td></tr>"
        for e in history.epochs
    )
    text = html.escape(title)
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{text}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #222 }}
img {{ max-width: 100% }} table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }}
</style></head><body>
<h1>{text}</h1>
<img alt="loss and accuracy of each epoch" src="data:image/png;base64,{picture}">
<table><tr><th>epoch</th><th>training loss</th><th>training accuracy, %</th>
<th>validation loss</th><th>validation accuracy, %</th><th>learning rate</th><th>s</th></tr>
{rows}</table>
<table><tr><th>part of a step</th><th>time</th><th>share</th></tr>
{_timing_rows(history.timing)}</table>
<p>{history.timing.images_per_second:,.0f} images a second in training steps.</p>
</body></html>
"""
    Path(path).write_text(page, encoding="utf-8")
