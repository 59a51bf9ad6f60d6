"""The demo's results in words, for a person at a terminal."""

from __future__ import annotations

from ..train import DigitsRecipe, History
from .result import DemoResult, GradientCheck, Machine

__all__ = ["done", "gradient_line", "print_head", "print_result", "speed"]


def print_head(here: Machine, recipe: DigitsRecipe, sizes: dict[str, int]) -> None:
    """What is about to be trained, and where."""
    print(
        f"gradsmith {here.version}   {here.cpu}   ISA {here.isa}   threads {here.threads}   "
        f"device {here.device}"
    )
    print(
        f"UCI handwritten digits, 8x8 pixels: {sizes['train']} images to train, "
        f"{sizes['validation']} to validate, {sizes['test']} to test"
    )
    epochs = "1 epoch" if recipe.epochs == 1 else f"{recipe.epochs} epochs"
    print(
        f"{epochs}, batches of {recipe.batch_size}, learning rate {recipe.lr:g}, "
        f"seed {recipe.seed}\n",
        flush=True,
    )


def print_result(result: DemoResult) -> None:
    """The results in words, for a person."""
    history, timing = result.history, result.history.timing
    rows: list[tuple[str, str]] = []
    if result.interrupted:
        print(f"\nStopped by Ctrl-C after {done(history, result.recipe)}.")
    if result.test is not None:
        right = round(result.test.accuracy * len(result.test.labels))
        rows.append(
            ("test accuracy", f"{100 * result.test.accuracy:.2f} %  ({right} of "
             f"{len(result.test.labels)} images never seen in training)")
        )  # fmt: skip
    for last in history.epochs[-1:]:
        if last.validation_accuracy is not None:
            share = f"{100 * last.validation_accuracy:.2f} %"
            rows.append(("validation", f"{share}  after epoch {last.number}"))
    if timing.steps:
        rows.append(
            ("training", f"{history.seconds:.1f} s, {timing.steps} steps, "
             f"{timing.images_per_second:,.0f} images/s")
        )  # fmt: skip
        parts = "   ".join(
            f"{name} {1e3 * seconds / timing.steps:.2f} ms ({seconds / timing.seconds:.0%})"
            for name, seconds in (
                ("data", timing.data),
                ("forward", timing.forward),
                ("backward", timing.backward),
                ("step", timing.step),
            )
        )
        rows.append(("a step takes", parts))
    if result.comparison is not None:
        c = result.comparison
        rows.append(
            ("PyTorch " + c.torch_version.split("+")[0], f"the same step: "
             f"{1e3 * c.torch['total']:.2f} ms, here {1e3 * c.gradsmith['total']:.2f} ms: "
             f"gradsmith is {speed(c.ratio)}")
        )  # fmt: skip
        if c.disturbed:
            rows.append(("", "(other programs kept the machine busy: do not trust this ratio)"))
    elif result.comparison_note:
        rows.append(("PyTorch", result.comparison_note))
    width = max((len(name) for name, _ in rows), default=0)
    print()
    for name, text in rows:
        print(f"{name:<{width}}   {text}")
    if result.gradients:
        print("\ngradients against finite differences, in float64:")
        widest = max(len(check.op) for check in result.gradients)
        for check in result.gradients:
            print(f"  {check.op:<{widest}}   {gradient_line(check)}")
    if result.report is not None and not result.interrupted:
        print(f"\nreport: {result.report}  (open it in a browser)")


def gradient_line(check: GradientCheck) -> str:
    """`passed   largest difference 3.1e-10 of 1e-05 allowed, 4 samples`."""
    word = "passed" if check.passed else "FAILED"
    if check.error is None:
        return f"{word}   {check.note}"
    line = f"{word}   largest relative difference {check.error:.1e}, allowed {check.tolerance:.0e}"
    return f"{line}   {check.note}" if check.note else line


def speed(ratio: float) -> str:
    """`1.25 times as fast`, `1.10 times slower`."""
    return f"{ratio:.2f} times as fast" if ratio >= 1 else f"{1 / ratio:.2f} times slower"


def done(history: History, recipe: DigitsRecipe) -> str:
    """How far training came."""
    timing = history.timing
    return (
        f"{len(history.epochs)} of {recipe.epochs} epochs ({timing.steps} steps, "
        f"{timing.images:,} images, {history.seconds:.1f} s)"
    )
