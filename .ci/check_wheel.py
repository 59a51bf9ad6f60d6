"""Looks into a wheel and an sdist: is everything there that the sources have, and nothing else?

python .ci/check_wheel.py dist/*.whl dist/*.tar.gz
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Folder -> where a wheel has it.
FOLDERS = {
    "engine": "gradsmith",
    "kernels": "gradsmith/kernels",
    "benchmarks": "gradsmith/benchmarks",
    "bindings/pytest_gradsmith": "pytest_gradsmith",
}
#: What of the folders a wheel ships. (kernels/cpu is compiled.)
SHIPPED = (".py", ".pyi", ".typed", ".cu", ".cuh", ".json", ".npz")
EMULATOR = (".h", ".cpp")


def expected() -> set[str]:
    """The names that the wheel must have, from the sources."""
    names = set()
    for folder, place in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            inner = path.relative_to(ROOT / folder)
            if path.suffix in SHIPPED or path.name == "py.typed":
                names.add(f"{place}/{inner}")
            elif "emulator" in inner.parts and path.suffix in EMULATOR:
                names.add(f"{place}/{inner}")
            elif inner.parts[:2] == ("datasets", "data") and path.is_file():
                names.add(f"{place}/{inner}")
    return names


def main() -> int:
    """Prints what is wrong; returns the exit code."""
    wheel, sdist = sys.argv[1:3]
    problems = []
    with zipfile.ZipFile(wheel) as archive:
        sizes = {i.filename: i.file_size for i in archive.infolist()}
    have = {n for n in sizes if ".dist-info/" not in n}
    core = {n for n in have if n.startswith("gradsmith/_cpu.") and n.endswith(".so")}
    problems += [f"wheel: lacks {n}" for n in sorted(expected() - have)]
    problems += [f"wheel: has {n}" for n in sorted(have - expected() - core)]
    if len(core) != 1:
        problems.append(f"wheel: one compiled core, not {sorted(core)}")
    if not any(n.endswith("licenses/LICENSE") for n in sizes):
        problems.append("wheel: no LICENSE")
    with tarfile.open(sdist) as archive:
        names = {n.split("/", 1)[1] for n in archive.getnames() if "/" in n}
    for folder in (
        "engine",
        "kernels",
        "bindings",
        "benchmarks",
        "tests",
        ".ci",
        "docs",
    ):
        for path in (ROOT / folder).rglob("*"):
            ignored = path.suffix in (".so", ".pyc", ".o") or "__pycache__" in path.parts
            name = str(path.relative_to(ROOT))
            if path.is_file() and not ignored and name not in names:
                problems.append(f"sdist: lacks {name}")
    for name in ("LICENSE", "README.md", "setup.py", "pyproject.toml"):
        if name not in names:
            problems.append(f"sdist: lacks {name}")
    print(*problems, sep="\n", end="\n" if problems else "")
    print(
        f"wheel {Path(wheel).stat().st_size:,} bytes, {len(have)} files, core {sizes[min(core)]:,}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
