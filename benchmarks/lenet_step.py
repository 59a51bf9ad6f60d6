"""LeNet-5's training step (28x28 images, SGD with momentum) here and in PyTorch.

python -m gradsmith.benchmarks.lenet_step [--batch-size 32] [--threads N]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import gradsmith
import numpy as np
from gradsmith import nn, optim
from gradsmith.nn import functional as F

from .harness import Timing, interleave

__all__ = ["measure"]


def _layers(nn: Any) -> Any:
    """LeNet-5 with max pooling and ReLU, in whichever library `nn` is."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _step(model: Any, loss: Any, optimizer: Any, x: Any, y: Any) -> Callable[[], object]:
    def step() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def measure(batch_size: int = 32) -> dict[str, Timing]:
    """Seconds of a step: "gradsmith", and "torch" where it is installed."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch_size, 1, 28, 28), dtype=np.float32)
    y = rng.integers(0, 10, batch_size)
    model = _layers(nn)
    sgd = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    data = (gradsmith.from_numpy(x), gradsmith.from_numpy(y))
    candidates = {"gradsmith": _step(model, F.cross_entropy, sgd, *data)}
    try:
        import torch
    except ImportError:
        return interleave(candidates)
    twin = _layers(torch.nn)
    with torch.no_grad():
        for theirs, ours in zip(twin.parameters(), model.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(ours.detach().numpy()))
    torch_sgd = torch.optim.SGD(twin.parameters(), lr=0.01, momentum=0.9)
    torch.set_num_threads(gradsmith.get_num_threads())
    torch_data = (torch.from_numpy(x), torch.from_numpy(y))
    candidates["torch"] = _step(twin, torch.nn.functional.cross_entropy, torch_sgd, *torch_data)
    return interleave(candidates)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        gradsmith.set_num_threads(options.threads)
    times = measure(options.batch_size)
    print(f"LeNet-5 training step, N={options.batch_size}, {gradsmith.get_num_threads()} threads")
    for name, t in times.items():
        print(f"{name:10s} {t.median * 1e6:8.1f} us  ({t.low * 1e6:.1f} .. {t.high * 1e6:.1f})")
    if "torch" in times:
        print(f"ratio      {times['torch'].median / times['gradsmith'].median:8.2f}")


if __name__ == "__main__":
    main()
