"""What an eager op costs beside its kernel: chains of 20 small ops, here and in PyTorch.

    python -m gradsmith.benchmarks.overhead          the table
    python -m gradsmith.benchmarks.overhead --gate   exits with 1 where a limit is missed

float32[16] (and, for broadcasting, [4, 4] with [4]); one thread; microseconds an op. The limits are
those of docs/architecture.md for a core like the one they were measured on (AMD EPYC, Zen 5).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import gradsmith

from .harness import Timing, interleave

__all__ = ["LIMITS", "OPS", "measure"]

#: Ops in a chain.
OPS = 20
#: Microseconds an op at most: case -> limit.
LIMITS = {
    "forward": 1.4,
    "forward, recorded": 1.4,
    "forward and backward": 4.0,
    "forward and backward, both operands": 4.0,
    "forward, broadcast": 1.4,
    "forward and backward, broadcast": 4.0,
}


def _chain(x: Any, w: Any) -> Any:
    """20 ops: a product and a sum, 10 times."""
    y = x
    for _ in range(OPS // 2):
        y = y * w
        y = y + w
    return y


def _cases(lib: Any) -> dict[str, Callable[[], object]]:
    """The calls to time, for gradsmith or torch."""

    def both(x: Any, w: Any, gradient: Any) -> Callable[[], object]:
        def run() -> None:
            x.grad = w.grad = None
            _chain(x, w).backward(gradient)

        return run

    def tensor(*shape: int, requires_grad: bool = False) -> Any:
        lib.manual_seed(len(shape))
        return lib.rand(*shape).requires_grad_(requires_grad)

    x, w = tensor(16), tensor(16)
    leaf, weight = tensor(16, requires_grad=True), tensor(16, requires_grad=True)
    square, row = tensor(4, 4), tensor(4)
    square_leaf, row_leaf = tensor(4, 4, requires_grad=True), tensor(4, requires_grad=True)
    ones, square_ones = lib.ones(16), lib.ones(4, 4)
    return {
        "forward": lambda: _chain(x, w),
        "forward, recorded": lambda: _chain(leaf, w),
        "forward and backward": both(leaf, w, ones),
        "forward and backward, both operands": both(leaf, weight, ones),
        "forward, broadcast": lambda: _chain(square, row),
        "forward and backward, broadcast": both(square_leaf, row_leaf, square_ones),
    }


def measure() -> dict[str, dict[str, Timing]]:
    """Case -> "gradsmith", and "torch" where it is installed -> seconds an op."""
    libraries: dict[str, Any] = {"gradsmith": gradsmith}
    threads = gradsmith.get_num_threads()
    gradsmith.set_num_threads(1)
    try:
        import torch

        torch.set_num_threads(1)
        libraries["torch"] = torch
    except ImportError:
        pass
    cases = {name: _cases(lib) for name, lib in libraries.items()}
    result = {}
    try:
        for case in LIMITS:
            times = interleave({name: cases[name][case] for name in libraries}, rounds=8)
            result[case] = {
                name: Timing(t.median / OPS, t.low / OPS, t.high / OPS) for name, t in times.items()
            }
    finally:
        gradsmith.set_num_threads(threads)
    return result


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", action="store_true", help="exit with 1 where a limit is missed")
    options = parser.parse_args()
    missed = []
    print(f"{'us an op (median, middle half)':36s} {'limit':>6s}  {'gradsmith':20s} torch")
    for case, times in measure().items():
        row = [
            f"{t.median * 1e6:5.2f} ({t.low * 1e6:.2f}-{t.high * 1e6:.2f})" for t in times.values()
        ]
        print(f"{case:36s} {LIMITS[case]:6.1f}  {row[0]:20s} {row[1] if len(row) > 1 else '-'}")
        if not times["gradsmith"].median * 1e6 <= LIMITS[case]:
            missed.append(case)
    if missed:
        print(f"over the limit: {', '.join(missed)}")
    return 1 if missed and options.gate else 0


if __name__ == "__main__":
    sys.exit(main())
