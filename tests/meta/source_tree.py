"""The project's sources as the architecture tests see them: files, modules, imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: folder -> the package it is installed as.
PACKAGES = {
    "engine": "gradsmith",
    "kernels": "gradsmith.kernels",
    "benchmarks": "gradsmith.benchmarks",
}


def files(*patterns: str, folders: tuple[str, ...] = tuple(PACKAGES)) -> list[Path]:
    """The files of `folders` with these name patterns, without what builds leave behind."""
    found = [
        p for folder in folders for pattern in patterns for p in (ROOT / folder).rglob(pattern)
    ]
    return sorted(p for p in found if "__pycache__" not in p.parts and p.name != "zz_stub.cpp")


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """`gradsmith.ops.conv` for engine/ops/conv.py."""
    folder, *parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([PACKAGES[folder], *parts])


@cache
def modules() -> dict[str, Path]:
    """Module name -> file, of every Python file of the product."""
    return {module_name(p): p for p in files("*.py")} | {"gradsmith._cpu": ROOT / "bindings"}


def imports(source: ast.AST, module: str, is_package: bool) -> list[tuple[str, int, bool]]:
    """What a module imports, at its top and inside functions: (absolute name, line, relative).

    `from .x import y` gives gradsmith.x.y where that is a module, else gradsmith.x.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, False) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package[: len(package) - (node.level - 1)]
                base = ".".join([*up, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                name = whole if whole in modules() else base
                found.append((name, node.lineno, node.level > 0))
    return found
