"""The demo's report: one HTML file that opens offline, every picture inside it."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any, NamedTuple

import numpy as np

from ..train import Evaluation
from .page import document, facts
from .page import tiles as tiles_of
from .result import DemoResult

__all__ = ["render"]

MAX_MISTAKES = 12
MAX_LEAST_SURE = 8
BLUE, ORANGE, GREEN, PURPLE, GREY = "#2158c9", "#c2570c", "#1d7f5c", "#7a3fb0", "#5b6472"
PARTS = (("data", GREY), ("forward", BLUE), ("backward", ORANGE), ("step", GREEN))

CSS = """
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 18px; }
.two > section { margin: 0; } .two { margin: 0 0 18px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 18px; }
img.plot { display: block; width: 100%; height: auto; }
.confusion { border-spacing: 2px; border-collapse: separate; width: 100%; table-layout: fixed; }
.confusion th, .confusion td { text-align: center; padding: 0; height: 34px; border: 0;
  border-radius: 4px; }
.confusion td.none { color: #a3abb8; background: #f6f7f9; }
.gallery { display: flex; flex-wrap: wrap; gap: 16px; margin: 12px 0 4px; }
.gallery figure { margin: 0; width: 104px; }
.gallery img, .filters img { display: block; width: 100%; image-rendering: pixelated;
  border: 1px solid var(--line); border-radius: 6px; }
.gallery figcaption { margin-top: 5px; line-height: 1.35; }
.gallery figcaption b { color: var(--ink); }
.filters { display: grid; grid-template-columns: repeat(8, minmax(0, 1fr)); gap: 8px;
  margin: 12px 0 8px; }
@media (max-width: 520px) { .two, .plots { grid-template-columns: 1fr; } }
"""


def render(result: DemoResult) -> str:
    """The report as HTML.

    Args:
        result: A finished run: with its test evaluation, test images and filters.

    Returns:
        A whole document without a reference to anything outside itself.

    Raises:
        ValueError: The run has no finished epoch or no test evaluation.
    """
    test, images, epochs = result.test, result.test_images, _epochs(result)
    if test is None or images is None or not epochs:
        raise ValueError("render: the run must have finished an epoch and its test; got neither")
    accuracy = f"{100 * test.accuracy:.2f} %"
    parts = [
        _head(result, accuracy),
        _tiles(result, test, accuracy),
        _curves(epochs),
        '<div class="two">',
        _confusion(test),
        _timing(result),
        "</div>",
        _answers(result, test, images),
        '<div class="two">',
        _filters(result),
        _gradients(result),
        "</div>",
        _run(result),
    ]
    return document(f"gradsmith demo: {accuracy} on handwritten digits", parts, CSS)


def _head(result: DemoResult, accuracy: str) -> str:
    sizes = result.sizes
    return (
        "<header><h1>Handwritten digits, learned by gradsmith</h1>"
        f"<p>A convolutional network of {result.parameters:,} parameters was trained for "
        f"{len(result.history.epochs)} epochs on {sizes['train']:,} images of 8x8 pixels, judged "
        f"along the way on {sizes['validation']} others, and tested once, at the end, on "
        f"{sizes['test']} that it had never seen: {escape(accuracy)} are right.</p></header>"
    )


def _tiles(result: DemoResult, test: Evaluation, accuracy: str) -> str:
    history = result.history
    right = round(test.accuracy * len(test.labels))
    tiles = [
        ("", accuracy, "test accuracy", f"{right} of {len(test.labels)} right"),
        ("", f"{history.seconds:.1f} s", "training", f"{history.timing.steps:,} steps"),
        (
            "",
            f"{history.timing.images_per_second:,.0f}",
            "images a second",
            f"{result.machine.threads} threads, {result.machine.device}",
        ),
    ]
    if result.comparison is not None:
        c = result.comparison
        tiles.append(
            ("", f"{c.ratio:.2f}x", "PyTorch's step / ours",
             f"{1e3 * c.torch['total']:.2f} ms / {1e3 * c.gradsmith['total']:.2f} ms")
        )  # fmt: skip
    if result.gradients:
        passed = sum(check.passed for check in result.gradients)
        kind = "good" if passed == len(result.gradients) else "bad"
        tiles.append(
            (kind, f"{passed} of {len(result.gradients)}", "gradient checks",
             "ops of the net passed")
        )  # fmt: skip
    return tiles_of(tiles)


class _Epoch(NamedTuple):
    """The numbers of an epoch that are drawn."""

    number: int
    train_loss: float
    validation_loss: float
    train_accuracy: float
    validation_accuracy: float
    lr: float


def _epochs(result: DemoResult) -> list[_Epoch]:
    """The finished epochs; the demo validates after each."""
    return [
        _Epoch(
            e.number, e.train_loss, e.validation_loss, e.train_accuracy, e.validation_accuracy, e.lr
        )
        for e in result.history.epochs
        if e.validation_loss is not None and e.validation_accuracy is not None
    ]


def _curves(epochs: list[_Epoch]) -> str:
    last = epochs[-1]
    best = max(epochs, key=lambda e: e.validation_accuracy)
    rows = "".join(
        f"<tr><td>{e.number}</td><td>{e.train_loss:.4f}</td><td>{e.validation_loss:.4f}</td>"
        f"<td>{100 * e.train_accuracy:.2f} %</td><td>{100 * e.validation_accuracy:.2f} %</td>"
        f"<td>{e.lr:.2g}</td></tr>"
        for e in epochs
    )
    first = epochs[0]
    loss_alt = (
        f"Line chart of the loss over {len(epochs)} epochs, logarithmic: training goes from "
        f"{first.train_loss:.3f} to {last.train_loss:.3f}, validation from "
        f"{first.validation_loss:.3f} to {last.validation_loss:.3f}."
    )
    accuracy_alt = (
        f"Line chart of the accuracy over {len(epochs)} epochs: training goes from "
        f"{100 * first.train_accuracy:.1f} to {100 * last.train_accuracy:.1f} percent, validation "
        f"from {100 * first.validation_accuracy:.1f} to {100 * last.validation_accuracy:.1f} "
        "percent."
    )
    return (
        "<section><h2>Learning curves</h2>"
        f"<p class=soft>After the last epoch: training loss {last.train_loss:.4f}, validation loss "
        f"{last.validation_loss:.4f}, validation accuracy {100 * last.validation_accuracy:.2f} % "
        f"(best {100 * best.validation_accuracy:.2f} % in epoch {best.number}). Training numbers "
        "are those of the batches as learned from, rotated, scaled, shifted and with dropout: "
        "they may well be worse than validation.</p>"
        f'<div class="plots">{_img(_loss_svg(epochs), loss_alt)}'
        f"{_img(_accuracy_svg(epochs), accuracy_alt)}</div>"
        "<details><summary>The numbers of every epoch</summary><table class=wide><thead><tr>"
        "<th scope=col>epoch</th><th scope=col>training loss</th><th scope=col>validation loss</th>"
        "<th scope=col>training accuracy</th><th scope=col>validation accuracy</th>"
        f"<th scope=col>learning rate</th></tr></thead><tbody>{rows}</tbody></table></details>"
        "</section>"
    )


def _loss_svg(epochs: list[_Epoch]) -> bytes:
    figure, axes = _curve_axes("Loss (logarithmic)")
    _curve(axes, [e.train_loss for e in epochs], BLUE, "training")
    _curve(axes, [e.validation_loss for e in epochs], ORANGE, "validation")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    return _svg(figure)


def _accuracy_svg(epochs: list[_Epoch]) -> bytes:
    figure, axes = _curve_axes("Accuracy (%)")
    _curve(axes, [100 * e.train_accuracy for e in epochs], BLUE, "training")
    _curve(axes, [100 * e.validation_accuracy for e in epochs], ORANGE, "validation")
    # Room for the last per cents, where the story is: the first epochs may start below the frame.
    later = epochs[len(epochs) // 8 :]
    lowest = min(100 * min(e.train_accuracy, e.validation_accuracy) for e in later)
    axes.set_ylim(max(0.0, min(lowest - 2, 95)), 100.6)
    axes.legend(frameon=False)
    return _svg(figure)


def _curve_axes(title: str) -> tuple[Any, Any]:
    """A figure with one frame whose x is the epoch."""
    figure = _figure(5.2, 3.5)
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _tidy(axes)
    return figure, axes


def _curve(axes: Any, values: list[float], colour: str, label: str) -> None:
    size = 5 if len(values) < 3 else 2.5
    x = range(1, len(values) + 1)
    axes.plot(x, values, color=colour, label=label, linewidth=2, marker="o", markersize=size)


def _confusion(test: Evaluation) -> str:
    counts = test.confusion()
    largest = max(1, int(counts.max()))
    head = "".join(f"<th scope=col>{digit}</th>" for digit in range(len(counts)))
    body = []
    for label, row in enumerate(counts):
        cells = []
        for answer, count in enumerate(row):
            if count == 0:
                cells.append("<td class=none>0</td>")
                continue
            if label == answer:
                strength = 0.25 + 0.75 * count / largest
                colour = f"rgba(33,88,201,{strength:.2f})"
                ink = "#ffffff" if strength > 0.6 else "#1b2330"
            else:
                colour, ink = f"rgba(194,87,12,{min(1.0, 0.45 + 0.2 * count):.2f})", "#1b2330"
            cells.append(f'<td style="background:{colour};color:{ink}">{count}</td>')
        body.append(f"<tr><th scope=row>{label}</th>{''.join(cells)}</tr>")
    wrong = int(counts.sum() - np.trace(counts))
    return (
        "<section><h2>Confusion matrix</h2>"
        f"<p class=soft>Test images: row = the digit drawn, column = the answer given. {wrong} of "
        f"{int(counts.sum())} are off the diagonal.</p>"
        f"<table class=confusion><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></section>"
    )


def _timing(result: DemoResult) -> str:
    timing = result.history.timing
    rows: list[tuple[str, dict[str, float]]] = [
        ("this training", {name: getattr(timing, name) / timing.steps for name, _ in PARTS})
    ]
    note = escape(result.comparison_note)
    if result.comparison is not None:
        c = result.comparison
        rows.append(("gradsmith, step alone", c.gradsmith))
        rows.append((f"PyTorch {c.torch_version.split('+')[0]}", c.torch))
        note = (
            "The lower two are medians of the same step taken in turns, without data; the losses "
            f"of the first step differ by {c.loss_difference:.1e}. "
            f"PyTorch's time over gradsmith's: {c.ratio:.2f}."
            + (" Other programs kept the machine busy: do not trust it." if c.disturbed else "")
        )
    head = "".join(f"<th scope=col>{name}</th>" for name, _ in PARTS)
    body = "".join(
        f"<tr><th scope=row class=left>{escape(label)}</th>"
        + "".join(
            f"<td>{1e3 * values[name]:.3f}</td>" if name in values else "<td></td>"
            for name, _ in PARTS
        )
        + f"<td><b>{1e3 * _total(values):.3f}</b></td></tr>"
        for label, values in rows
    )
    alt = "Stacked bars of the milliseconds of a training step. " + " ".join(
        f"{label}: "
        + ", ".join(f"{name} {1e3 * values[name]:.2f}" for name, _ in PARTS if name in values)
        + f", in all {1e3 * _total(values):.2f}."
        for label, values in rows
    )
    return (
        "<section><h2>Where the time goes</h2>"
        f"<p class=soft>Milliseconds of a step of {result.recipe.batch_size} images; "
        f"{timing.images_per_second:,.0f} images/s in training.</p>"
        f"{_img(_timing_svg(rows), alt)}"
        f"<table class=wide><thead><tr><th></th>{head}<th scope=col>all</th></tr></thead>"
        f"<tbody>{body}</tbody></table><p class=note style='margin-top:10px'>{note}</p></section>"
    )


def _total(values: dict[str, float]) -> float:
    return sum(values.get(name, 0.0) for name, _ in PARTS)


def _timing_svg(rows: list[tuple[str, dict[str, float]]]) -> bytes:
    figure = _figure(5.4, 0.75 + 0.5 * len(rows))
    axes = figure.subplots()
    for position, (_, values) in enumerate(rows):
        start = 0.0
        for name, colour in PARTS:
            width = 1e3 * values.get(name, 0.0)
            axes.barh(
                position, width, left=start, height=0.62, color=colour, edgecolor="white",
                label=name if position == 0 else None,
            )  # fmt: skip
            start += width
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.invert_yaxis()
    _tidy(axes, grid="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(
        frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(-0.02, 1.0), handlelength=1,
        handleheight=1, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    return _svg(figure)


def _answers(result: DemoResult, test: Evaluation, images: np.ndarray) -> str:
    mistakes = result.mistakes()
    shown = mistakes[:MAX_MISTAKES]
    if mistakes:
        words = f"{len(mistakes)} of {len(test.labels)} test images got a wrong answer"
        words += f"; the {len(shown)} most confident:" if len(shown) < len(mistakes) else ":"
    else:
        words = f"None: all {len(test.labels)} test images got the right answer."
    unsure = result.least_sure()[:MAX_LEAST_SURE]
    return (
        "<section><h2>Most confident mistakes</h2>"
        f"<p class=soft>{words}</p>{_gallery(images, shown)}"
        '<h2 style="margin-top:18px">Right, but least sure</h2>'
        "<p class=soft>The right answers that were given with the lowest probability:</p>"
        f"{_gallery(images, unsure)}</section>"
    )


def _gallery(images: np.ndarray, answers: list[dict[str, Any]]) -> str:
    figures = []
    for a in answers:
        percent = f"{100 * a['probability']:.1f} %"
        right = a["label"] == a["answer"]
        alt = f"8x8 image of a handwritten {a['label']}, read as {a['answer']} with {percent}"
        says = (
            f"<b>{a['label']}</b>, {percent} sure"
            if right
            else f"is a <b>{a['label']}</b><br>read as <b>{a['answer']}</b><br>{percent} sure"
        )
        picture = _png(images[a["image"]], "gray_r", 0.0, 1.0)
        figures.append(
            f'<figure><img src="{picture}" alt="{escape(alt)}" width="104" height="104">'
            f"<figcaption>{says}</figcaption></figure>"
        )
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def _filters(result: DemoResult) -> str:
    filters = result.filters
    if filters is None:
        return ""
    limit = float(np.abs(filters).max()) or 1.0
    pictures = "".join(
        f'<img src="{_png(f, "RdBu", -limit, limit)}" width="52" height="52" '
        f'alt="filter {i}, weights by row: '
        f"{'; '.join(' '.join(f'{w:.2f}' for w in row) for row in f)}"
        '">'
        for i, f in enumerate(filters)
    )
    return (
        "<section><h2>Learned first-layer filters</h2>"
        f"<p class=soft>The {len(filters)} filters of 3x3 weights that look at the pixels. Blue is "
        f"positive, red negative, white zero; full colour is {limit:.2f}.</p>"
        f'<div class="filters">{pictures}</div></section>'
    )


def _gradients(result: DemoResult) -> str:
    if not result.gradients:
        return ""
    rows = "".join(
        f"<tr><td class=left><code>{escape(check.op)}</code></td>"
        f"<td>{'' if check.error is None else f'{check.error:.1e}'}</td>"
        f"<td>{check.tolerance:.0e}</td>"
        f"<td class={'passed' if check.passed else 'failed'}>"
        f"{'passed' if check.passed else 'failed'}</td></tr>"
        + (
            f"<tr><td colspan=4 class='left note'>{escape(check.note)}</td></tr>"
            if check.note
            else ""
        )
        for check in result.gradients
    )
    return (
        "<section><h2>Gradient checks</h2>"
        "<p class=soft>Each op that this network used, in float64: its gradient against finite "
        "differences.</p>"
        "<table class=wide><thead><tr><th scope=col>op</th><th scope=col>largest difference</th>"
        f"<th scope=col>allowed</th><th scope=col></th></tr></thead><tbody>{rows}</tbody></table>"
        "</section>"
    )


def _run(result: DemoResult) -> str:
    recipe, machine = result.recipe, result.machine
    low, high = recipe.scale
    rows = [
        ("gradsmith", machine.version),
        ("processor", f"{machine.cpu}, ISA {machine.isa}, {machine.threads} threads"),
        ("device", machine.device),
        ("options", f"--epochs {recipe.epochs} --batch-size {recipe.batch_size} "
         f"--lr {recipe.lr:g} --seed {recipe.seed}"),
        ("network", f"four 3x3 convolutions ({recipe.width}, {recipe.width}, {2 * recipe.width}, "
         f"{2 * recipe.width} channels) with ReLU, two max poolings, dropout {recipe.dropout:g}, "
         "one linear layer"),
        ("training", "Adam; learning rate rises for a tenth of the steps, then falls as a cosine"),
        ("augmentation", f"rotation up to {recipe.degrees:g} degrees, shift up to "
         f"{100 * recipe.translate:g} %, scale {low:g} to {high:g}; training images only"),
        ("split", f"fixed, stratified: {result.sizes['train']} train, "
         f"{result.sizes['validation']} validation, {result.sizes['test']} test"),
    ]  # fmt: skip
    return (
        f"{facts('How it was run', rows)}"
        "<footer>Images: E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, "
        "UCI Machine Learning Repository, doi 10.24432/C50P49, licensed CC BY 4.0; the test part, "
        "its values unchanged. Pictures drawn with matplotlib.</footer>"
    )


def _figure(width: float, height: float) -> Any:
    """An empty figure; no window system and no global state of matplotlib is touched."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _tidy(axes: Any, grid: str = "y") -> None:
    """A quiet frame: no box, a light grid behind."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c4cad4")
    axes.tick_params(colors=GREY, labelsize=9)
    axes.grid(True, axis=grid, color="#e4e8ee", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(GREY)


def _svg(figure: Any) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "gradsmith", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def _img(svg: bytes, alt: str) -> str:
    data = base64.b64encode(svg).decode("ascii")
    return f'<img class="plot" src="data:image/svg+xml;base64,{data}" alt="{escape(alt)}">'


def _png(values: np.ndarray, colours: str, low: float, high: float) -> str:
    """A small array as a PNG data URI, one pixel for each value."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, values, cmap=colours, vmin=low, vmax=high, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
