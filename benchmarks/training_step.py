"""The digits network's training step here and in PyTorch, taken in turns.

PyTorch is imported when `compare` is called, never before.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable
from importlib import util
from itertools import cycle
from statistics import median
from typing import Any

import numpy as np
from gradsmith import from_numpy, manual_seed, optim
from gradsmith.datasets import Digits
from gradsmith.models import DigitsNet
from gradsmith.nn import functional as F
from gradsmith.train import DigitsRecipe, Timing, training_step

__all__ = ["PARTS", "compare", "torch_is_importable"]

PARTS = ("forward", "backward", "step")
# PyTorch's idle threads spin for some milliseconds after their last work, and would take the cores
# from whoever comes next: wait until they sleep.
REST_SECONDS = 0.02
WARM_UP_STEPS = 3


def torch_is_importable() -> bool:
    """Whether PyTorch is installed. It is not imported."""
    return util.find_spec("torch") is not None


def compare(
    recipe: DigitsRecipe,
    threads: int,
    rounds: int = 8,
    steps: int = 12,
    seconds: float = 5.0,
) -> dict[str, Any]:
    """Time the same training step in both, block by block in turns, on the CPU.

    Both start from the same weights and see the same batches; dropout draws its own numbers in
    each. Each block of steps begins with some that are not counted.

    Args:
        recipe: Network, batch size, learning rate.
        threads: How many threads PyTorch may use; its own setting is put back.
        rounds: Blocks of each.
        steps: Counted steps of a block.
        seconds: No further round is begun after so long.

    Returns:
        ``torch_version``; ``gradsmith`` and ``torch``: median seconds of forward, backward, step
        and total; ``loss_difference``: between the losses of the first step without dropout;
        ``spread``: the larger of both libraries' median step over their tenth fastest in a hundred,
        near 1 on a quiet machine; ``preemptions``: how many times a second another program took a
        core from this one.

    Raises:
        ImportError: PyTorch cannot be imported.
    """
    import torch

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    collecting = gc.isenabled()
    try:
        manual_seed(recipe.seed)
        model = DigitsNet(recipe.width, recipe.dropout)
        weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
        twin = _torch_net(torch, recipe)
        twin.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in weights.items()})
        batches = _batches(recipe)
        loss_difference = _loss_difference(torch, model, twin, batches[0])
        ours = _repeated_step(
            model,
            F.cross_entropy,
            optim.Adam(model.parameters(), lr=recipe.lr),
            [(from_numpy(images), from_numpy(labels)) for images, labels in batches],
        )
        theirs = _repeated_step(
            twin,
            torch.nn.functional.cross_entropy,
            torch.optim.Adam(twin.parameters(), lr=recipe.lr),
            [(torch.from_numpy(images), torch.from_numpy(labels)) for images, labels in batches],
        )
        gc.disable()
        times: dict[str, list[dict[str, float]]] = {"gradsmith": [], "torch": []}
        preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        begin = time.perf_counter()
        for done in range(rounds):
            if done and time.perf_counter() - begin > seconds:
                break
            for name, step in (("torch", theirs), ("gradsmith", ours)):
                time.sleep(REST_SECONDS)
                for i in range(WARM_UP_STEPS + steps):
                    parts = step()
                    if i >= WARM_UP_STEPS:
                        times[name].append(parts)
        preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - preempted
        elapsed = time.perf_counter() - begin
    finally:
        torch.set_num_threads(threads_before)
        if collecting:
            gc.enable()
    result: dict[str, Any] = {
        "torch_version": str(torch.__version__),
        "loss_difference": loss_difference,
        "preemptions": preempted / elapsed,
    }
    spreads = []
    for name, taken in times.items():
        result[name] = {part: median(t[part] for t in taken) for part in PARTS}
        totals = sorted(sum(t.values()) for t in taken)
        result[name]["total"] = median(totals)
        spreads.append(median(totals) / totals[len(totals) // 10])
    result["spread"] = max(spreads)
    return result


def _batches(recipe: DigitsRecipe) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first batches of the training images."""
    data, size = Digits("train"), recipe.batch_size
    count = max(1, min(8, len(data) // size))
    return [
        (data.images[i * size : (i + 1) * size], data.labels[i * size : (i + 1) * size])
        for i in range(count)
    ]


def _torch_net(torch: Any, recipe: DigitsRecipe) -> Any:
    """DigitsNet in PyTorch: the same layers under the same names."""
    nn, width = torch.nn, recipe.width
    features = nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    classifier = nn.Sequential(
        nn.Flatten(), nn.Dropout(recipe.dropout), nn.Linear(2 * width * 2 * 2, 10)
    )
    net = nn.Sequential()
    net.add_module("features", features)
    net.add_module("classifier", classifier)
    return net


def _loss_difference(
    torch: Any, model: Any, twin: Any, batch: tuple[np.ndarray, np.ndarray]
) -> float:
    """|our loss - PyTorch's| on one batch, without dropout."""
    images, labels = batch
    model.eval()
    twin.eval()
    ours = F.cross_entropy(model(from_numpy(images)), from_numpy(labels)).item()
    scores = twin(torch.from_numpy(images))
    theirs = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels)).item()
    return abs(ours - theirs)


def _repeated_step(
    model: Any, loss: Any, optimizer: Any, batches: list[tuple[Any, Any]]
) -> Callable[[], dict[str, float]]:
    """A function that takes one step and says how long its parts took, for either library."""
    model.train()
    turn = cycle(batches)

    def step() -> dict[str, float]:
        timing = Timing()
        training_step(model, loss, optimizer, *next(turn), timing)
        return {part: getattr(timing, part) for part in PARTS}

    return step
