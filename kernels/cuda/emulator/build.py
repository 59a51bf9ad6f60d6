"""Builds the emulator's runtime and kernel libraries with the system's C++ compiler."""

from __future__ import annotations

import functools
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .. import cache

__all__ = ["compiler", "kernel_library", "place_in_source", "runtime_library", "sanitizer"]

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent

#: "thread" where the process runs under ThreadSanitizer (tsan.py sets it), else "".
sanitizer = ""


@functools.cache
def compiler() -> tuple[tuple[str, ...], str]:
    """The C++ compiler's command ($CXX, or g++, c++, clang++) and its version line.

    Raises:
        RuntimeError: if there is none.
    """
    wanted = os.environ.get("CXX", "")
    for command in [wanted] if wanted else ["g++", "c++", "clang++"]:
        words = tuple(shlex.split(command))
        try:
            run = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return words, run.stdout.splitlines()[0]
    raise RuntimeError(
        f"CUDA emulator: needs a C++17 compiler; tried {wanted or 'g++, c++, clang++'} "
        "(install g++, or set CXX to one)"
    )


@functools.cache
def _flags() -> tuple[str, ...]:
    flags = ["-std=c++17", "-O2", "-g1", "-fPIC", "-shared", "-fvisibility=hidden"]
    flags += ["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-but-set-parameter"]
    if platform.machine() in ("x86_64", "AMD64"):
        # Probing each page of a large frame makes sure that an overflow meets the guard page.
        flags += ["-march=native", "-fstack-clash-protection"]
    if "clang" not in compiler()[1]:
        flags.append("-fno-gnu-unique")
    return tuple(flags)


@functools.cache
def _machine() -> str:
    """What -march=native depends on; a cache may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(arguments: Sequence[str], what: str) -> None:
    command = [*compiler()[0], *_flags(), *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"CUDA emulator: {what} does not compile:\n{run.stderr[-6000:]}")


@functools.cache
def _runtime_sources() -> tuple[tuple[str, str], ...]:
    return tuple(
        (path.name, path.read_text()) for path in sorted([*HERE.glob("*.h"), *HERE.glob("*.cpp")])
    )


def place_in_source(library: Path, offset: str) -> str:
    """The place in the source, file:line, of a code offset; "" without addr2line."""
    command = ["addr2line", "-e", str(library), offset]
    try:
        found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
    name, _, line = found.rpartition("/")[2].partition(":")
    return f"{name}:{line.split()[0]}" if line[:1].isdigit() else ""


def runtime_library() -> Path:
    """The runtime as a shared library, from the cache or built now."""
    # The runtime is never instrumented itself: it tells the sanitizer what it needs to know.
    extra = ["-DGS_TSAN"] if sanitizer == "thread" else []

    def build(path: Path) -> None:
        sources = [str(source) for source in sorted(HERE.glob("*.cpp"))]
        _compile([*extra, *sources, "-o", str(path), "-lrt"], "its runtime")

    key = cache.key_of(_runtime_sources(), compiler(), _flags(), _machine(), extra)
    return cache.fetch("runtime", key, ".so", build)


def kernel_library(
    source: Path, names: Sequence[str], defines: Sequence[str] = (), checked: bool = False
) -> Path:
    """The kernels `names` (C++ name expressions) of a .cu file as a shared library.

    With `checked`, an index beyond the bounds of an array of constant size traps.
    """
    extra = ["-include", str(HERE / "cuda_language.h"), "-I", str(KERNELS)]
    extra += [f"-D{define}" for define in defines]
    if sanitizer:
        extra.append(f"-fsanitize={sanitizer}")
    else:
        # A GPU faults on a misaligned access, and beyond an array's bounds reads a neighbour's
        # memory; here both trap. Checking bounds makes inner loops 2-3 times slower.
        extra.append("-fsanitize=alignment" + (",bounds" if checked else ""))
        clang = "clang" in compiler()[1]
        extra.append("-fsanitize-trap=all" if clang else "-fsanitize-undefined-trap-on-error")
    stub = _STUB.format(
        source=source.resolve(),
        entries="\n".join(f"    gs_emulator::entry<&({name})>()," for name in names),
    )

    def build(path: Path) -> None:
        stub_path = path.with_suffix(".cpp")
        stub_path.write_text(stub)
        try:
            _compile([*extra, str(stub_path), "-o", str(path)], source.name)
        finally:
            stub_path.unlink(missing_ok=True)

    sources = cache.source_with_includes(source, [KERNELS])
    key = cache.key_of(stub, sources, _runtime_sources(), compiler(), _flags(), _machine(), extra)
    return cache.fetch(source.stem, key, ".so", build)


_STUB = """\
#include "{source}"
namespace {{
const gs_emulator::Entry kEntries[] = {{
{entries}
}};
}}
extern "C" __attribute__((visibility("default"))) const gs_emulator::Entry* gs_entries() {{
  return kEntries;
}}
extern "C" __attribute__((visibility("default"))) int gs_launch(
    int kernel, void** arguments, const gs_emulator::LaunchConfig* config) {{
  return gs_emulator::run(kEntries[kernel].body, arguments, *config);
}}
"""
