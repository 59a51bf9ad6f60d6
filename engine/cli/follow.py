"""The same few training steps on the CPU and on the emulated GPU, side by side."""

from __future__ import annotations

import json
from itertools import islice
from time import perf_counter
from typing import Any

from .. import manual_seed, optim
from ..models import DigitsNet
from ..nn import functional as F
from ..train import digits_loader, training_step
from .result import finite

__all__ = ["losses_of_steps", "run_following"]


def losses_of_steps(device: str, seed: int, lr: float, steps: int, batch_size: int) -> list[float]:
    """Losses of the first training steps on a device, always with the same weights and images."""
    manual_seed(seed)
    model = DigitsNet().to(device)
    model.train()
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses = []
    for images, labels in islice(digits_loader("train", batch_size), steps):
        _, loss = training_step(
            model, F.cross_entropy, optimizer, images.to(device), labels.to(device)
        )
        losses.append(loss)
    return losses


def run_following(
    seed: int, lr: float, steps: int, batch_size: int, tolerance: float, as_json: bool
) -> int:
    """Train a few steps on both, print how the losses follow each other; the exit status."""
    if not as_json:
        print(
            f"The emulator runs the CUDA kernels on the CPU, slowly: {steps} training steps of "
            f"{batch_size} images,\nthen the same on the CPU. (--epochs N trains in full.)\n",
            flush=True,
        )
    losses: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    for device in ("cuda", "cpu"):
        begin = perf_counter()
        losses[device] = losses_of_steps(device, seed, lr, steps, batch_size)
        seconds[device] = perf_counter() - begin
    differences = [
        abs(a - b) / max(1.0, abs(b)) for a, b in zip(losses["cuda"], losses["cpu"], strict=True)
    ]
    largest = max(differences)
    follows = all(d <= tolerance for d in differences)  # NaN is no follower
    if as_json:
        result: dict[str, Any] = {
            "device": "cuda",
            "emulated": True,
            "steps": steps,
            "batch_size": batch_size,
            "losses": losses,
            "seconds": seconds,
            "largest_difference": largest,
            "tolerance": tolerance,
            "follows": follows,
        }
        print(json.dumps(finite(result), allow_nan=False))
        return 0 if follows else 1
    print("step   loss, CUDA kernels   loss, CPU kernels   difference")
    for i, (a, b, d) in enumerate(zip(losses["cuda"], losses["cpu"], differences, strict=True), 1):
        print(f"{i:>4}   {a:>18.6f}   {b:>17.6f}   {d:>10.1e}")
    verdict = "the losses follow the CPU's" if follows else "THE LOSSES DO NOT FOLLOW THE CPU'S"
    print(
        f"\n{verdict}: largest difference {largest:.1e}, allowed {tolerance:.0e}"
        f"   ({seconds['cuda']:.1f} s emulated, {seconds['cpu']:.1f} s on the CPU)"
    )
    return 0 if follows else 1
