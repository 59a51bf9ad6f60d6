"""Every case beside PyTorch as shipped: forward, and forward with backward.

    python -m gradsmith.benchmarks.against_torch [--only REGEX] [--threads N] [--json FILE]

The ratio is PyTorch's time divided by ours: above 1 gradsmith is faster.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from math import exp, log
from pathlib import Path
from typing import Any

import gradsmith
import numpy as np

from .cases import CASES, Case
from .harness import Timing, interleave

__all__ = ["measure"]


def _forward(lib: Any, case: Case, tensors: list[Any]) -> Callable[[], object]:
    def run() -> object:
        with lib.no_grad():
            return case.call(lib, *tensors)

    return run


def _training(lib: Any, case: Case, tensors: list[Any]) -> Callable[[], object]:
    leaves = [t for t, i in zip(tensors, case.inputs, strict=True) if i.grad and not i.high]
    for leaf in leaves:
        leaf.requires_grad_()
    seed = lib.ones_like(case.call(lib, *tensors).detach())

    def run() -> object:
        for leaf in leaves:
            leaf.grad = None
        y = case.call(lib, *tensors)
        y.backward(seed)
        return y

    return run


def measure(case: Case, rounds: int = 6, seconds: float = 0.03) -> dict[str, dict[str, Timing]]:
    """Pass -> engine -> seconds of one call."""
    import torch

    arrays = [i.build(np.random.default_rng(n)) for n, i in enumerate(case.inputs)]
    engines: dict[str, tuple[Any, list[Any]]] = {
        "gradsmith": (gradsmith, [gradsmith.from_numpy(a) for a in arrays]),
        "torch": (torch, [torch.from_numpy(a.copy()) for a in arrays]),
    }
    passes: dict[str, Callable[..., Callable[[], object]]] = {
        "forward": _forward,
        **({"training": _training} if case.training else {}),
    }
    return {
        name: interleave(
            {engine: make(lib, case, tensors) for engine, (lib, tensors) in engines.items()},
            rounds=rounds,
            seconds=seconds,
        )
        for name, make in passes.items()
    }


def main() -> int:
    """Prints the table; returns 1 if a case could not be run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    import torch

    if options.threads:
        gradsmith.set_num_threads(options.threads)
    torch.set_num_threads(gradsmith.get_num_threads())
    print(f"{gradsmith.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(f"{'case':44s} {'pass':9s} {'ours us':>10s} {'torch us':>10s} {'ratio':>6s}")
    rows: list[dict[str, Any]] = []
    failed = 0
    for case in CASES:
        label = f"{case.family} {case.name}"
        if not re.search(options.only, label):
            continue
        try:
            measured = measure(case, options.rounds)
        except (AttributeError, NotImplementedError, TypeError, RuntimeError) as error:
            failed += 1
            print(f"{label:44s} {type(error).__name__}: {error}")
            continue
        for name, times in measured.items():
            ours, theirs = times["gradsmith"], times["torch"]
            ratio = theirs.median / ours.median
            rows.append(
                {
                    "family": case.family,
                    "case": case.name,
                    "pass": name,
                    "gradsmith": ours.median,
                    "torch": theirs.median,
                    "spread": ours.spread,
                    "ratio": ratio,
                }
            )
            print(
                f"{label:44s} {name:9s} {ours.median * 1e6:10.1f} {theirs.median * 1e6:10.1f} "
                f"{ratio:6.2f}{'  slower' if ratio < 1 / 1.5 else ''}",
                flush=True,
            )
    families = dict.fromkeys(row["family"] for row in rows)
    for family in families:
        ratios = [row["ratio"] for row in rows if row["family"] == family]
        mean = exp(sum(log(r) for r in ratios) / len(ratios))
        print(f"{family:44s} geometric mean {mean:5.2f}, least {min(ratios):5.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
