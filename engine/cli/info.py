"""Show the version, the processor, the devices and the optional packages."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from .packages import OPTIONAL, found
from .result import Machine

__all__ = ["SUMMARY", "add_arguments", "collect", "cpu_name", "gpu_name", "machine", "run"]

SUMMARY = "show version, processor, devices and optional packages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `gradsmith info`."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as Linux has it; its architecture if it has none."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "cpu model") and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def machine(device: str = "cpu") -> Machine:
    """Where gradsmith runs now."""
    from .. import __version__, cuda, get_num_threads
    from ..backends import cpu

    if device == "cuda":
        device = f"cuda ({'emulated on the CPU' if cuda.is_emulated() else gpu_name()})"
    return Machine(__version__, cpu_name(), cpu.isa(), get_num_threads(), device)


def collect() -> dict[str, Any]:
    """All that `gradsmith info` shows, as plain data."""
    from .. import cuda
    from ..backends import cpu

    here = machine()
    emulator = {
        "on": cuda.is_emulated(),
        "compiler": shutil.which(os.environ.get("CXX", "g++")),
    }
    return {
        "version": here.version,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": here.cpu,
        "isa": {"in_use": here.isa, "available": list(cpu.isas())},
        "threads": here.threads,
        "usable_cores": _usable_cores(),
        "devices": {"cpu": "ready", "cuda": _cuda()},
        "emulator": emulator,
        "packages": [
            {
                "name": package.module,
                "version": found(package),
                "enables": package.enables,
                "install": f"pip install '{package.install}'"
                if " or " not in package.install
                else "pip install " + " or ".join(f"'{p}'" for p in package.install.split(" or ")),
            }
            for package in OPTIONAL
        ],
        "environment": {
            name: value for name, value in sorted(os.environ.items())
            if name.startswith("GRADSMITH_") or name == "OMP_NUM_THREADS"
        },
    }  # fmt: skip


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def gpu_name() -> str:
    """The name of the NVIDIA GPU in use."""
    import cupy

    return cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()


def _cuda() -> str:
    """What device="cuda" is here."""
    from .. import cuda

    if cuda.is_emulated():
        return "emulated: the CUDA kernels run on the CPU"
    if cuda.is_available():
        return f"ready: {gpu_name()}"
    if not Path("/proc/driver/nvidia/version").exists():
        return "none: no NVIDIA driver (GRADSMITH_CUDA_EMULATOR=1 runs the CUDA kernels on the CPU)"
    if all(found(p) is None for p in OPTIONAL if p.module == "cupy"):
        return "none: cupy is missing (pip install 'gradsmith[cuda13]' or 'gradsmith[cuda12]')"
    return "none: cupy finds no NVIDIA GPU that it can use"


def run(options: argparse.Namespace) -> int:
    """Print what was found; returns the exit status."""
    facts = collect()
    if options.json:
        print(json.dumps(facts))
        return 0
    emulator, isa = facts["emulator"], facts["isa"]
    compiler = emulator["compiler"] or "no g++ found: install one to use it"
    rows = [
        ("gradsmith", facts["version"]),
        ("Python", f"{facts['python']}, NumPy {facts['numpy']}, {facts['system']}"),
        ("processor", f"{facts['cpu']}, {facts['usable_cores']} usable cores"),
        ("ISA", f"{isa['in_use']} in use; this processor runs {', '.join(isa['available'])}"),
        ("threads", str(facts["threads"])),
        ("device cpu", facts["devices"]["cpu"]),
        ("device cuda", facts["devices"]["cuda"]),
        ("CUDA emulator", f"{'on' if emulator['on'] else 'off'}; compiles with {compiler}"),
    ]
    rows += [(name, value) for name, value in facts["environment"].items()]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}   {value}")
    print("\noptional packages:")
    widest = max(len(p["name"]) for p in facts["packages"])
    for package in facts["packages"]:
        if package["version"] is None:
            line = f"missing      would enable {package['enables']}: {package['install']}"
        else:
            line = f"{package['version']:<11}  {package['enables']}"
        print(f"  {package['name']:<{widest}}   {line}")
    return 0
