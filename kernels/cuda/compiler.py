"""Compiles the .cu files to cubins with NVRTC, and keeps a table of what each kernel needs.

    python -m gradsmith.kernels.cuda.compiler --check    every kernel, against resources.json
    python -m gradsmith.kernels.cuda.compiler --write    after a change that was meant

The table shows registers, shared memory, stack and spills for each architecture, so that a change
which costs registers is seen in review; a spill fails. No GPU is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from . import cache, cubin, nvrtc

__all__ = ["ARCHITECTURES", "Compiled", "architecture", "compile_cached", "compile_cubin"]

HERE = Path(__file__).resolve().parent
TABLE = HERE / "resources.json"

#: What every kernel must compile for.
ARCHITECTURES = ("sm_80", "sm_90a")

_SPILLS = re.compile(
    r"Function properties for (\S+)\n[^\n]*?"
    r"\d+ bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)


class Compiled(NamedTuple):
    """A cubin and what is known of it."""

    cubin: bytes
    #: Name expression -> lowered name.
    lowered: dict[str, str]
    #: Lowered name -> needs.
    kernels: dict[str, cubin.KernelInfo]
    #: Lowered name -> bytes spilled (stores, loads).
    spills: dict[str, tuple[int, int]]


def architecture(compute_capability: str) -> str:
    """The architecture to compile for, of a device's compute capability ("80", "90").

    The exact one, with its own features: "sm_90a" has wgmma, which "sm_90" lacks.
    """
    suffix = "a" if int(compute_capability) >= 90 else ""
    return f"sm_{compute_capability}{suffix}"


def _options(arch: str, defines: Sequence[str]) -> list[str]:
    folders = [HERE, *nvrtc.include_folders()]
    return [
        f"--gpu-architecture={arch}",
        "-std=c++17",
        "--ptxas-options=-v",
        *(f"-I{folder}" for folder in folders),
        *(f"-D{define}" for define in defines),
    ]


def compile_cubin(
    source: Path, names: Sequence[str], arch: str, defines: Sequence[str] = ()
) -> Compiled:
    """Compiles the kernels `names` of a .cu file for one architecture.

    Raises:
        RuntimeError: if it does not compile, with the compiler's messages, or NVRTC is missing.
    """
    binary, lowered, log = nvrtc.compile_source(
        source.read_text(encoding="utf-8"), source.name, names, _options(arch, defines)
    )
    return Compiled(binary, lowered, cubin.read(binary), _spills(log))


def _spills(log: str) -> dict[str, tuple[int, int]]:
    return {name: (int(stores), int(loads)) for name, stores, loads in _SPILLS.findall(log)}


def compile_cached(
    source: Path, names: Sequence[str], arch: str, defines: Sequence[str] = ()
) -> Compiled:
    """The same from the cache on disk, compiled at the first call."""
    key = cache.key_of(
        cache.source_with_includes(source, [HERE]),
        names,
        _options(arch, defines),
        nvrtc.version(),
    )

    def build(path: Path) -> None:
        compiled = compile_cubin(source, names, arch, defines)
        head = json.dumps({"lowered": compiled.lowered, "spills": compiled.spills}).encode()
        path.write_bytes(head + b"\n" + compiled.cubin)

    head, _, binary = cache.fetch(source.stem, key, ".cubin", build).read_bytes().partition(b"\n")
    known = json.loads(head)
    spills = {name: tuple(values) for name, values in known["spills"].items()}
    return Compiled(binary, known["lowered"], cubin.read(binary), spills)


# ---- the table of resources --------------------------------------------------------------------

Table = dict[str, dict[str, dict[str, Any]]]


def measure() -> Table:
    """File -> kernel -> architecture -> needs, for every kernel that a launcher declares."""
    from . import launch, launchers

    launchers.entries()  # imports every launcher, which declares its module
    table: Table = {}
    jobs = [
        (module, arch)
        for module in sorted(launch.modules, key=lambda m: m.source.name)
        for arch in ARCHITECTURES
    ]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = pool.map(
            lambda job: compile_cached(job[0].source, job[0].names, job[1], job[0].defines), jobs
        )
        for (module, arch), compiled in zip(jobs, results, strict=True):
            kernels = table.setdefault(module.source.name, {})
            for name in module.names:
                lowered = compiled.lowered[name]
                info = compiled.kernels[lowered]
                stores, loads = compiled.spills.get(lowered, (0, 0))
                kernels.setdefault(name, {})[arch] = {
                    "registers": info.registers,
                    "shared": info.shared,
                    "stack": info.stack,
                    "spills": stores + loads,
                }
    return table


def undeclared() -> list[str]:
    """.cu files beside this one that no launcher declares a module for."""
    from . import launch, launchers

    launchers.entries()
    declared = {module.source.name for module in launch.modules}
    return sorted(path.name for path in HERE.glob("*.cu") if path.name not in declared)


def problems(found: Table, expected: Table) -> list[str]:
    """What is wrong with `found`: spills, and differences from the checked-in table."""
    result = []
    for file, kernels in found.items():
        for name, archs in kernels.items():
            for arch, needs in archs.items():
                where = f"{file}: {name} ({arch})"
                if needs["spills"]:
                    result.append(f"{where}: spills {needs['spills']} bytes")
                known = expected.get(file, {}).get(name, {}).get(arch)
                if known is None:
                    result.append(f"{where}: not in {TABLE.name}")
                elif known != needs:
                    result.append(f"{where}: {known} in {TABLE.name}, now {needs}")
    for file, kernels in expected.items():
        for name in kernels:
            if name not in found.get(file, {}):
                result.append(f"{file}: {name}: in {TABLE.name}, but no launcher declares it")
    return result


def read_table() -> dict[str, Any]:
    """The checked-in table: {"nvrtc": version, "kernels": table}."""
    if not TABLE.exists():
        return {"nvrtc": "", "kernels": {}}
    return dict(json.loads(TABLE.read_text()))


def write_table(table: Table) -> None:
    """Writes resources.json, one line a kernel, so that a diff reads well."""
    lines = ["{", f' "nvrtc": "{nvrtc.version()}",', ' "kernels": {']
    files = sorted(table.items())
    for i, (file, kernels) in enumerate(files):
        lines.append(f'  "{file}": {{')
        rows = [f"   {json.dumps(name)}: {json.dumps(needs)}" for name, needs in kernels.items()]
        lines.append(",\n".join(rows))
        lines.append("  }" + ("," if i + 1 < len(files) else ""))
    lines += [" }", "}"]
    TABLE.write_text("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare with resources.json")
    action.add_argument("--write", action="store_true", help="write resources.json")
    options = parser.parse_args(arguments)
    table = measure()
    count = sum(len(kernels) for kernels in table.values())
    if options.write:
        write_table(table)
        expected = table
    else:
        recorded = read_table()
        expected = dict(recorded["kernels"])
        if recorded["nvrtc"] != nvrtc.version():
            # Another compiler allocates other registers: then only spills and gaps are faults.
            versions = f"{TABLE.name} is of NVRTC {recorded['nvrtc']}, this is {nvrtc.version()}"
            print(f"{versions}: only spills and gaps are looked for")
            for file, kernels in expected.items():
                kernels.update({n: k for n, k in table.get(file, {}).items() if n in kernels})
    found = problems(table, expected)
    found += [f"{name}: no launcher declares its kernels" for name in undeclared()]
    for problem in found:
        print(problem)
    print(f"{count} kernels for {', '.join(ARCHITECTURES)}: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
