"""What the build looks at, and what is installed. (.ci/run builds and tries wheels.)"""

import importlib.util
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import gradsmith as gs
import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text()


@pytest.fixture(scope="module")
def setup():
    """setup.py, without running it."""
    spec = importlib.util.spec_from_file_location("gradsmith_setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_folder_with_python_is_a_package(setup):
    mapping = setup.packages()
    folders = {
        str(path.parent.relative_to(ROOT))
        for folder in setup.FOLDERS.values()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert set(mapping.values()) == folders
    assert mapping["gradsmith.kernels.cuda.emulator"] == "kernels/cuda/emulator"
    assert mapping["gradsmith"] == "engine"


def test_installed_files():
    """What is no Python is installed too."""
    package = Path(gs.__file__).parent
    kernels = Path(gs.kernels.__file__).parent
    for path in (
        package / "py.typed",
        package / "tensor.pyi",
        package / "_cpu.pyi",
        package / "datasets/data/digits.npz",
        package / "datasets/data/ATTRIBUTION.md",
        kernels / "cuda/elementwise.cu",
        kernels / "cuda/ptx.cuh",
        kernels / "cuda/resources.json",
        kernels / "cuda/emulator/runtime.cpp",
        kernels / "cuda/emulator/runtime.h",
    ):
        assert path.exists(), path


def test_one_version():
    (version,) = re.findall(r'^version = "(.*)"$', PYPROJECT, flags=re.M)
    assert metadata.version("gradsmith") == gs.__version__ == version


def test_the_core_needs_numpy_alone():
    required = [r for r in metadata.requires("gradsmith") if "extra ==" not in r]
    assert [re.match(r"[\w-]+", r)[0] for r in required] == ["numpy"]


def test_subpackages_come_when_they_are_used():
    code = (
        "import sys, gradsmith as gs; assert 'gradsmith.models' not in sys.modules; "
        "print(gs.models.__name__, gs.transforms.Compose.__name__, gs.datasets.Digits.__name__); "
        "assert not hasattr(gs, 'nothing')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["gradsmith.models", "Compose", "Digits"]


def test_extras_that_messages_name_exist():
    extras = set(metadata.metadata("gradsmith").get_all("Provides-Extra"))
    named = {
        extra
        for folder in ("engine", "kernels", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for extra in re.findall(r"gradsmith\[(\w+)\]", path.read_text())
    }
    assert named
    assert named <= extras


def test_a_missing_package_says_what_to_install():
    code = "import sys; sys.modules['ml_dtypes'] = None; import gradsmith; gradsmith.bfloat16.numpy"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: bfloat16: needs ml_dtypes (pip install ml_dtypes)" in run.stderr


def compiler(tmp_path, macros, status=0):
    """A program that answers as a compiler asked for its macros does."""
    path = tmp_path / "c++"
    lines = "\n".join(f"#define {name} {value}" for name, value in macros.items())
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "macros,status,message",
    [
        ({"__GNUC__": 10}, 0, r"needs GCC >= 11 or Clang >= 14; got GCC 10 \(.*apt install g\+\+"),
        ({"__GNUC__": 4, "__clang_major__": 13}, 0, "got Clang 13"),
        ({}, 0, "is not a C\\+\\+ compiler"),
        ({"__GNUC__": 12}, 1, "is not a C\\+\\+ compiler"),
    ],
)
def test_an_unfit_compiler_is_named(setup, tmp_path, macros, status, message):
    assert re.search(message, setup.compiler_problem(compiler(tmp_path, macros, status)))


def test_a_missing_compiler_says_what_to_install(setup):
    problem = setup.compiler_problem("no-such-compiler")
    assert problem.startswith("the C++17 compiler 'no-such-compiler' is not installed")
    assert "apt install g++" in problem


def test_fit_compilers(setup, tmp_path):
    for macros in ({"__GNUC__": 11}, {"__GNUC__": 4, "__clang_major__": 14}):
        problem = setup.compiler_problem(compiler(tmp_path, macros))
        assert problem is None or "headers are missing" in problem
