"""Matmul and convolution against the machine's measured multiply-add peak, and against PyTorch.

    python -m gradsmith.benchmarks.floor_kernels [--threads N] [--isa v3 v4] [--rounds 12]

Fails (exit status 1) where a floor is missed: the forward kernels at 60 % of the peak that this
machine reaches in the same process, with AVX2 (v3) and with AVX-512 (v4).
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gradsmith import _cpu
from gradsmith.kernels import table

from .harness import Timing, interleave

__all__ = ["Case", "FmaPeak", "cases", "main", "measure"]

# Independent chains of multiply-adds on registers, as many as hide their latency.
PEAK_SOURCE = r"""
#include <cstdint>
typedef float V __attribute__((vector_size(VECTOR_BYTES)));
extern "C" double run(int64_t n) {
  V sum[CHAINS], a = V{} + 0.999f, b = V{} + 0.001f;
  for (int i = 0; i < CHAINS; ++i) sum[i] = V{} + static_cast<float>(i);
  for (int64_t k = 0; k < n; ++k) {
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; ++i) sum[i] = sum[i] * a + b;
  }
  double total = 0;
  for (int i = 0; i < CHAINS; ++i)
    for (unsigned j = 0; j < VECTOR_BYTES / sizeof(float); ++j) total += sum[i][j];
  return total;
}
"""
# ISA -> compiler options, bytes of a vector, chains.
PEAK_BUILDS = {
    "v2": (["-march=x86-64-v2"], 16, 12),
    "v3": (["-march=x86-64-v3"], 32, 12),
    "v4": (["-march=x86-64-v4", "-mprefer-vector-width=512"], 64, 24),
    "neon": ([], 16, 24),
}
FLOOR = 0.60


@dataclass(frozen=True)
class Case:
    """One kernel call: what to time here and in PyTorch, its FLOPs, and its floor (0: none)."""

    name: str
    flops: float
    ours: Callable[[], object]
    theirs: Callable[[Any], Callable[[], object]]
    floor: float


class FmaPeak:
    """Float32 multiply-adds on registers, on all threads: what no kernel of this ISA can exceed.

    Args:
        isa: "v2", "v3", "v4" or "neon".
        threads: How many threads run at once.
        seconds: About how long a call takes on a free machine.
    """

    def __init__(self, isa: str, threads: int, seconds: float = 0.01) -> None:
        options, width, chains = PEAK_BUILDS[isa]
        compiler = os.environ.get("CXX", "g++")
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder, "peak.cpp"), Path(folder, "peak.so")
            source.write_text(PEAK_SOURCE)
            defines = [f"-DVECTOR_BYTES={width}", f"-DCHAINS={chains}"]
            command = [compiler, "-O2", "-shared", "-fPIC", *options, *defines]
            subprocess.run([*command, str(source), "-o", str(library)], check=True)
            self._run = ctypes.CDLL(str(library)).run
        self._run.restype, self._run.argtypes = ctypes.c_double, [ctypes.c_int64]
        start = time.perf_counter()
        self._run(200_000)
        self._rounds = int(200_000 * seconds / (time.perf_counter() - start))
        self._threads = threads
        self.flops = threads * self._rounds * 2.0 * chains * width / 4

    def __call__(self) -> None:
        """Runs `flops` operations."""
        others = [
            threading.Thread(target=self._run, args=(self._rounds,))
            for _ in range(self._threads - 1)
        ]
        for thread in others:
            thread.start()
        self._run(self._rounds)
        for thread in others:
            thread.join()


def _matmul(rng: np.random.Generator, n: int, floor: float) -> Case:
    kernels = table("cpu")
    a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))

    def theirs(torch: Any) -> Callable[[], object]:
        x, y = torch.from_numpy(a), torch.from_numpy(b)
        return lambda: torch.mm(x, y)

    return Case(
        f"matmul {n}", 2.0 * n**3, lambda: kernels.matmul(a, b, None, (n, n)), theirs, floor
    )


def _conv(rng: np.random.Generator, n: int, c: int, size: int, k: int, floor: float) -> list[Case]:
    """A 3x3 convolution with stride 1 and padding 1, and its two gradients."""
    kernels = table("cpu")
    x = rng.standard_normal((n, c, size, size), dtype=np.float32)
    weight = rng.standard_normal((k, c, 3, 3), dtype=np.float32)
    grad_y = rng.standard_normal((n, k, size, size), dtype=np.float32)
    one = (1, 1)
    options = (one, one, one, 1)

    def backward(mask: list[bool]) -> Callable[[Any], Callable[[], object]]:
        def bind(torch: Any) -> Callable[[], object]:
            arrays = [torch.from_numpy(v) for v in (grad_y, x, weight)]
            rest = (None, one, one, one, False, (0, 0), 1, mask)
            return lambda: torch.ops.aten.convolution_backward(*arrays, *rest)

        return bind

    def forward(torch: Any) -> Callable[[], object]:
        arrays = [torch.from_numpy(v) for v in (x, weight)]
        return lambda: torch.conv2d(*arrays, None, one, one)

    name = f"conv 3x3 N{n} C{c} {size}x{size} K{k}"
    flops = 2.0 * n * k * c * 9 * size * size
    return [
        Case(
            f"{name} forward",
            flops,
            lambda: kernels.conv_fwd(x, weight, None, grad_y.shape, *options),
            forward,
            floor,
        ),
        Case(
            f"{name} input gradient",
            flops,
            lambda: kernels.conv_bwd_input(grad_y, weight, None, x.shape, *options),
            backward([True, False, False]),
            0.0,
        ),
        Case(
            f"{name} weight gradient",
            flops,
            lambda: kernels.conv_bwd_weight(grad_y, x, weight.shape, *options),
            backward([False, True, False]),
            0.0,
        ),
    ]


def cases() -> list[Case]:
    """The kernels that have a floor, and their gradients."""
    rng = np.random.default_rng(0)
    return [
        _matmul(rng, 1024, FLOOR),
        *_conv(rng, 8, 64, 56, 64, FLOOR),
        *_conv(rng, 64, 32, 8, 64, 0.0),
    ]


def measure(
    case: Case, peaks: dict[str, FmaPeak], torch: Any, rounds: int
) -> dict[str, tuple[Timing, float]]:
    """Time and FLOP/s of each ISA, of its peak ("peak v4") and of "torch", taken in turns.

    The peak is measured again with every case, between its kernels: its share means something on a
    machine whose clock or neighbours change.
    """

    def with_isa(isa: str) -> Callable[[], object]:
        def call() -> object:
            _cpu.set_isa(isa)
            return case.ours()

        return call

    candidates: dict[str, Callable[[], object]] = {}
    flops = {}
    for isa, peak in peaks.items():
        candidates[isa], flops[isa] = with_isa(isa), case.flops
        candidates[f"peak {isa}"], flops[f"peak {isa}"] = peak, peak.flops
    if torch is not None:
        candidates["torch"], flops["torch"] = case.theirs(torch), case.flops
    times = interleave(candidates, rounds=rounds)
    return {name: (timing, flops[name] / timing.median) for name, timing in times.items()}


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    known = [isa for isa in _cpu.isas() if isa != "v2"] or list(_cpu.isas())
    parser.add_argument("--threads", type=int, default=_cpu.num_threads())
    parser.add_argument("--isa", nargs="+", choices=_cpu.isas(), default=known)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args(arguments)
    torch: Any = None
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(options.threads)
    _cpu.set_num_threads(options.threads)
    in_use = _cpu.isa()
    peaks = {isa: FmaPeak(isa, options.threads) for isa in options.isa}
    reference = f"PyTorch {torch.__version__}" if torch is not None else "without PyTorch"
    print(f"{options.threads} threads, float32, {reference}; medians of {options.rounds} rounds;")
    print("GFLOP/s, and share of the multiply-add peak measured in turns with each case")
    missed = []
    for case in cases():
        results = measure(case, peaks, torch, options.rounds)
        parts = []
        for isa in options.isa:
            (timing, rate), peak = results[isa], results[f"peak {isa}"][1]
            share = rate / peak
            parts.append(
                f"{isa} {timing.median * 1e6:8.1f} us {rate / 1e9:4.0f} of {peak / 1e9:4.0f}"
                f" {share:4.0%}"
            )
            if not share >= case.floor:
                missed.append(f"{case.name}: {isa} reaches {share:.0%}, not {case.floor:.0%}")
        if "torch" in results:
            timing, rate = results["torch"]
            parts.append(f"torch {timing.median * 1e6:8.1f} us {rate / 1e9:4.0f}")
        print(f"{case.name:42}" + "  ".join(parts), flush=True)
    _cpu.set_isa(in_use)
    for line in missed:
        print(f"floor missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
