"""Every op of the sample database through the CUDA kernels, under ThreadSanitizer.

    python .ci/tsan_emulator.py

One small sample an op, forward and backward. A race ends the run with its own exit code.
"""

from __future__ import annotations

import sys

import numpy as np


def smallest(info):
    """The sample of the fewest elements, among those that have some in each array."""

    def arrays_of(values):
        for value in values:
            yield from arrays_of(value) if isinstance(value, list) else [value]

    best = None
    for sample in info.samples():
        if {"large", "slow"} & sample.tags:
            continue
        arrays = sample.build(np.float32)
        sizes = [a.size for a in arrays_of(arrays) if isinstance(a, np.ndarray)]
        if sizes and min(sizes) > 0 and max(sizes) > 1 and (best is None or sum(sizes) < best[0]):
            best = (sum(sizes), sample, arrays)
    return best


def main() -> None:
    """In the watched process: runs the samples."""
    import gradsmith as gs
    from gradsmith.testing import opdb

    gs.cuda.use_emulator()

    def placed(value, wants_gradient):
        if isinstance(value, list):
            return [placed(v, wants) for v, wants in zip(value, wants_gradient, strict=True)]
        if not isinstance(value, np.ndarray):
            return value
        tensor = opdb.place(value, "cuda")
        return tensor.requires_grad_() if wants_gradient else tensor

    from gradsmith.kernels.cuda import launch

    infos = opdb.op_infos()
    for info in infos:
        found = smallest(info)
        if found is None and all("empty" in sample.tags for sample in info.samples()):
            continue
        if found is None:
            raise SystemExit(f"{info.name}: no sample to run")
        _, sample, arrays = found
        try:
            inputs = [placed(*pair) for pair in zip(arrays, sample.gradient_flags(), strict=True)]
            y = info.call(gs, *inputs, **sample.options)
            for part in y if isinstance(y, tuple) else (y,):
                if info.differentiable and part.requires_grad:
                    part.backward(
                        gs.ones(*part.shape, dtype=part.dtype, device=part.device),
                        retain_graph=True,
                    )
        except Exception as error:
            error.add_note(f"{info.name}: {sample.id}")
            raise
    print(f"{len(infos)} ops, {launch.count} launches without a race")


def outside() -> int:
    """Starts this file in a watched process."""
    from gradsmith.kernels.cuda.emulator import tsan

    if not tsan.available():
        print("the compiler has no ThreadSanitizer")
        return 1
    run = tsan.run(__file__, "inside", timeout=900)
    print(run.stdout, run.stderr[-8000:], sep="\n")
    return run.returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        main()
    else:
        sys.exit(outside())
