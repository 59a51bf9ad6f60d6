"""Makes build/typing/gradsmith: the package as it is installed, each file a link to its source.

Type checkers do not see setup.py's mapping of engine/, kernels/ and benchmarks/ to one package, and
do not follow links to folders.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"": "engine", "kernels": "kernels", "benchmarks": "benchmarks"}


def make(root: Path = ROOT) -> Path:
    """Makes or brings up to date the tree; returns its folder."""
    tree = root / "build/typing/gradsmith"
    wanted = {
        tree / place / source.relative_to(root / folder): source
        for place, folder in FOLDERS.items()
        for pattern in ("*.py", "*.pyi", "py.typed")
        for source in (root / folder).rglob(pattern)
    }
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.is_symlink() and wanted.get(path) != path.readlink():
            path.unlink()
        elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    for link, source in wanted.items():
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
    return tree


if __name__ == "__main__":
    print(make(), file=sys.stderr)
