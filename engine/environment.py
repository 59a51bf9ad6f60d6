"""The environment variables: all are read here, once, when gradsmith is imported.

docs/environment.md has the table. (GRADSMITH_NUM_THREADS and OMP_NUM_THREADS are read by the core,
which may run before any Python.)
"""

from __future__ import annotations

import os

__all__ = [
    "CACHE_DIR",
    "CONV_PRECISION",
    "CUDA_EMULATOR",
    "CUDA_EMULATOR_GUARD",
    "CUDA_LAUNCH_BLOCKING",
    "ISA",
]


def _flag(name: str) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return False
    if value in ("1", "true", "yes", "on"):
        return True
    raise ValueError(f"{name}: must be 0 or 1; got {value!r}")


#: The ISA build of the CPU kernels: v2, v3, v4 or neon; empty: the best one.
ISA = os.environ.get("GRADSMITH_ISA", "").strip().lower()
#: How exact float32 convolutions are: fast or exact; empty: fast.
CONV_PRECISION = os.environ.get("GRADSMITH_CONV_PRECISION", "").strip().lower()
#: device="cuda" runs the CUDA kernels on the CPU.
CUDA_EMULATOR = _flag("GRADSMITH_CUDA_EMULATOR")
#: Every array of the emulator ends at a guard page.
CUDA_EMULATOR_GUARD = _flag("GRADSMITH_CUDA_EMULATOR_GUARD")
#: CUDA kernels are waited for, so that an error is raised at its call.
CUDA_LAUNCH_BLOCKING = _flag("GRADSMITH_CUDA_LAUNCH_BLOCKING")
#: Where compiled CUDA kernels are kept; empty: $XDG_CACHE_HOME/gradsmith or ~/.cache/gradsmith.
CACHE_DIR = os.environ.get("GRADSMITH_CACHE_DIR", "").strip()
