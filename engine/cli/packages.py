"""Optional packages: which are there, what each is for, what to install. Nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util

__all__ = ["OPTIONAL", "Package", "found"]


@dataclass(frozen=True)
class Package:
    """An optional package.

    Attributes:
        module: What is imported.
        distributions: Under which names package indexes have it.
        enables: What gradsmith can do with it.
        install: What installs it.
    """

    module: str
    distributions: tuple[str, ...]
    enables: str
    install: str


OPTIONAL = (
    Package("rich", ("rich",), "live progress bars and tables of demo", "gradsmith[demo]"),
    Package("matplotlib", ("matplotlib",), "the pictures in demo's report", "gradsmith[demo]"),
    Package("torch", ("torch",), "comparisons with PyTorch in demo and the tests", "torch"),
    Package(
        "cupy",
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "device cuda on an NVIDIA GPU",
        "gradsmith[cuda13] or gradsmith[cuda12]",
    ),
    Package("ml_dtypes", ("ml-dtypes",), "bfloat16 on the host", "ml_dtypes"),
    Package("numba", ("numba",), "your own kernels written in Python", "gradsmith[numba]"),
    Package("safetensors", ("safetensors",), "save and load, checkpoints", "gradsmith[io]"),
    Package("PIL", ("pillow",), "image folders and transforms of images", "gradsmith[io]"),
    Package("pytest", ("pytest",), "the test suite", "gradsmith[test]"),
)


def found(package: Package) -> str | None:
    """The version of a package that is installed, "?" if it does not say, None if it is missing."""
    try:
        if util.find_spec(package.module) is None:
            return None
    except (ImportError, ValueError):
        return None
    for name in package.distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "?"
