"""Elementwise kernels on 51 MB against the machine's measured copy bandwidth.

    python -m gradsmith.benchmarks.floor_memory

Fails (exit status 1) where a kernel moves fewer bytes a second than 60 % of a plain copy between
warm buffers, measured in turns with it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from gradsmith import get_num_threads
from gradsmith.kernels import table

from .harness import Timing, interleave

__all__ = ["measure"]

FLOOR = 0.6
SHAPE = (64, 64, 56, 56)  # 51 MB of float32


def measure() -> dict[str, tuple[float, Timing]]:
    """name -> bytes read and written by a call, seconds of a call. "copy" is the yardstick."""
    k: Any = table("cpu")
    x = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    cases: dict[str, tuple[int, Any]] = {
        "copy": (2, lambda: k.copy(x, x.dtype)),
        "relu": (2, lambda: k.relu(x)),
        "exp": (2, lambda: k.exp(x)),
        "tanh": (2, lambda: k.tanh(x)),
        "sigmoid": (2, lambda: k.sigmoid(x)),
        "mul by a number": (2, lambda: k.mul(x, 2.0)),
        "add": (3, lambda: k.add(x, x[::-1])),
    }
    times = interleave({name: call for name, (_, call) in cases.items()})
    return {name: (arrays * x.nbytes, times[name]) for name, (arrays, _) in cases.items()}


def main() -> int:
    """Prints the table."""
    rows = measure()
    moved, timing = rows["copy"]
    copy = moved / timing.median
    print(f"{SHAPE} float32, {get_num_threads()} threads, bytes read and written a second")
    missed = 0
    for name, (moved, timing) in rows.items():
        rate = moved / timing.median
        missed += rate < FLOOR * copy
        print(f"{name:16s} {rate / 1e9:6.1f} GB/s  {rate / copy:5.0%} of copy")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
