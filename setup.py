"""Builds gradsmith._cpu: each kernel file once per ISA, the rest once, in parallel.

The repository's folders are mapped to the package here: engine/ is `gradsmith`, kernels/ is
`gradsmith.kernels`, benchmarks/ is `gradsmith.benchmarks`.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
FOLDERS = {
    "gradsmith": "engine",
    "gradsmith.kernels": "kernels",
    "gradsmith.benchmarks": "benchmarks",
    "pytest_gradsmith": "bindings/pytest_gradsmith",
}

# Compiled once, for the baseline: no kernels in them.
RUNTIME = ("allocator", "threads", "dispatch", "conv_settings")
ISA_FLAGS = {
    "x86_64": {
        "v2": ["-march=x86-64-v2"],
        "v3": ["-march=x86-64-v3", "-mtune=generic"],
        # GCC prefers 256-bit vectors for AVX-512 targets unless told otherwise.
        "v4": ["-march=x86-64-v4", "-mtune=generic", "-mprefer-vector-width=512"],
    },
    "aarch64": {"neon": []},
}
FLAGS = ["-std=c++17", "-O2", "-g0", "-fvisibility=hidden", "-fno-math-errno", "-pthread"]
WARNINGS = ["-Wall", "-Wextra"]
#: The least compilers that know x86-64-v4 and the vector extensions used.
LEAST_GCC, LEAST_CLANG = 11, 14


def packages() -> dict[str, str]:
    """Every package of the project: its dotted name and its folder."""
    found = {}
    for name, folder in FOLDERS.items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            parts = init.parent.relative_to(ROOT / folder).parts
            found[".".join((name, *parts))] = str(Path(folder, *parts))
    return found


def compiler_problem(compiler: str) -> str | None:
    """Why this C++ compiler cannot build the kernels, with what to do; None if it can."""
    install = (
        "Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; "
        "or set CC and CXX to another compiler"
    )
    if shutil.which(compiler) is None:
        return f"the C++17 compiler {compiler!r} is not installed ({install})"
    command = [compiler, "-x", "c++", "-dM", "-E", os.devnull]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    macros = dict(re.findall(r"#define (__clang_major__|__GNUC__) (\d+)", run.stdout))
    if run.returncode or not macros:
        return f"{compiler!r} is not a C++ compiler of the GCC or Clang kind ({install})"
    clang = "__clang_major__" in macros
    name, least = ("Clang", LEAST_CLANG) if clang else ("GCC", LEAST_GCC)
    version = int(macros["__clang_major__" if clang else "__GNUC__"])
    if version < least:
        return (
            f"needs GCC >= {LEAST_GCC} or Clang >= {LEAST_CLANG}; got {name} {version} ({install})"
        )
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    if not headers.exists():
        return (
            f"Python's headers are missing: {headers} "
            "(Debian, Ubuntu: apt install python3-dev; Fedora: dnf install python3-devel)"
        )
    return None


def object_folder(kind: str) -> Path:
    """The folder of the objects of a build: plain, or with a sanitizer."""
    temp = f"temp.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    return ROOT / "build" / temp / kind.replace(",", "-")


class BuildKernels(build_ext):
    """Compiles (source, ISA) pairs in parallel and links them into one module."""

    def build_extension(self, ext: Extension) -> None:
        import numpy
        import pybind11

        # Not platform.machine(): where one compiles for another machine, this is that one.
        machine = sysconfig.get_platform().rpartition("-")[2]
        if sys.platform != "linux" or machine not in ISA_FLAGS:
            raise SystemExit(
                "gradsmith: only Linux on x86-64 or arm64 is supported; "
                f"this is {sys.platform} on {machine}"
            )
        cxx = getattr(self.compiler, "compiler_so_cxx", self.compiler.compiler_so)[0]
        problem = compiler_problem(cxx)
        if problem is not None:
            raise SystemExit(f"gradsmith: {problem}")
        isas = ISA_FLAGS[machine]
        flags = FLAGS + WARNINGS
        if os.environ.get("GRADSMITH_WERROR"):
            flags = [*flags, "-Werror"]
        sanitize = os.environ.get("GRADSMITH_SANITIZE")  # address,undefined or thread
        if sanitize:
            extra = [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer"]
            # Checks that are calls, lines alone for backtraces and -Og compile in 0.4 of the time
            # of -O1 -g. A fault is to end the run, not to be a line among the tests' output.
            calls = "asan-instrumentation-with-call-threshold=0"
            flags = [*flags, *extra, "-g1", "-Og", "--param", calls, "-fno-sanitize-recover=all"]
            if sanitize == "thread":
                # Who waits for whom is the same with every ISA: a third of the work.
                flags.append("-DGS_BASELINE_ONLY")
                isas = dict(list(isas.items())[:1])
            elif machine == "x86_64" and not os.environ.get("GRADSMITH_SANITIZE_ALL"):
                # v4 has v3's masks, v2 has none: two thirds of the time.
                flags.append("-DGS_WITHOUT_V3")
                isas = {name: found for name, found in isas.items() if name != "v3"}
            link_flags = ["-pthread", *extra]
        else:
            link_flags = ["-pthread", "-Wl,--strip-all"]

        kernel_files = sorted((ROOT / "kernels/cpu").glob("*.cpp"))
        # A change of a header or of this file compiles anew what it is for.
        kernel_headers = [
            ROOT / "setup.py",
            *(ROOT / "kernels/cpu").rglob("*.h"),
            *(ROOT / "kernels/cuda").glob("*_rules.cuh"),
        ]
        binding_headers = [*kernel_headers, *(ROOT / "bindings").glob("*.h")]
        include = [numpy.get_include(), pybind11.get_include()]
        # Not self.build_temp: an editable install's is another one each time, and all would be
        # compiled again.
        build = object_folder(sanitize or "plain").relative_to(ROOT)
        headers_of = f"bindings-numpy{numpy.__version__}-pybind11_{pybind11.__version__}"

        jobs = [(ROOT / "bindings/module.cpp", headers_of, flags, include)]
        for source in kernel_files:
            if source.stem in RUNTIME:
                jobs.append((source, "runtime", flags, []))
                continue
            for isa, isa_flags in isas.items():
                jobs.append((source, isa, [*flags, *isa_flags, f"-DGS_ISA={isa}"], []))

        def newest(paths: list[Path]) -> float:
            return max(path.stat().st_mtime for path in paths)

        def compile_one(job: tuple[Path, str, list[str], list[str]]) -> str:
            source, group, job_flags, include_dirs = job
            target = build / group
            obj = target / source.relative_to(ROOT).with_suffix(".o")
            if (
                not self.force
                and obj.exists()
                and obj.stat().st_mtime
                > newest([source, *(binding_headers if group == headers_of else kernel_headers)])
            ):
                return str(obj)
            # By us: the compiler object's own mkdir is not made for several threads.
            obj.parent.mkdir(parents=True, exist_ok=True)
            obj.unlink(missing_ok=True)
            made = self.compiler.compile(
                [os.path.relpath(source)],
                output_dir=str(target),
                include_dirs=include_dirs,
                extra_postargs=job_flags,
            )
            return made[0]

        # The slowest files first, so that no core waits for one at the end.
        jobs.sort(key=lambda job: -job[0].stat().st_size)
        jobs_at_once = self.parallel or len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(jobs_at_once) as pool:
            objects = list(pool.map(compile_one, jobs))
        output = self.get_ext_fullpath(ext.name)
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(
            objects, output, extra_postargs=link_flags, target_lang="c++"
        )

    def get_source_files(self) -> list[str]:
        return []


if __name__ == "__main__":
    mapping = packages()
    setup(
        packages=list(mapping),
        package_dir=mapping,
        package_data={
            "gradsmith": ["py.typed", "*.pyi"],
            "gradsmith.datasets": ["data/*"],
            "gradsmith.kernels.cuda": ["*.cu", "*.cuh", "*.json"],
            "gradsmith.kernels.cuda.emulator": ["*.h", "*.cpp"],
        },
        ext_modules=[Extension("gradsmith._cpu", sources=[], language="c++")],
        cmdclass={"build_ext": BuildKernels},
    )
