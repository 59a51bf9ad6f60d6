"""Builds gradsmith._cpu: each kernel file once per ISA, the rest once, in parallel.

The repository's folders are mapped to the package here: engine/ is `gradsmith`, kernels/ is
`gradsmith.kernels`, benchmarks/ is `gradsmith.benchmarks`.
"""

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
FOLDERS = {"gradsmith": "engine", "gradsmith.kernels": "kernels", "gradsmith.benchmarks": "benchmarks"}

# Compiled once, for the baseline: no kernels in them.
RUNTIME = ("allocator", "threads", "dispatch")
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


def packages() -> dict[str, str]:
    """Every package of the project: its dotted name and its folder."""
    found = {}
    for name, folder in FOLDERS.items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            parts = init.parent.relative_to(ROOT / folder).parts
            found[".".join((name, *parts))] = str(Path(folder, *parts))
    return found


class BuildKernels(build_ext):
    """Compiles (source, ISA) pairs in parallel and links them into one module."""

    def build_extension(self, ext: Extension) -> None:
        import numpy
        import pybind11

        machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        if sys.platform != "linux" or machine not in ISA_FLAGS:
            raise SystemExit(
                "gradsmith: only Linux on x86-64 or arm64 is supported; "
                f"this is {sys.platform} on {machine}"
            )
        compiler = self.compiler.compiler_so[0]
        cxx = getattr(self.compiler, "compiler_so_cxx", self.compiler.compiler_so)[0]
        if shutil.which(compiler) is None or shutil.which(cxx) is None:
            raise SystemExit(
                f"gradsmith: the C++17 compiler {cxx!r} is not installed "
                "(Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; "
                "or set CXX to another compiler)"
            )
        flags = FLAGS + WARNINGS
        if os.environ.get("GRADSMITH_WERROR"):
            flags = [*flags, "-Werror"]
        link_flags = ["-pthread"]
        sanitize = os.environ.get("GRADSMITH_SANITIZE")  # address,undefined or thread
        if sanitize:
            extra = [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer", "-g"]
            flags, link_flags = flags + extra, link_flags + extra

        kernel_files = sorted((ROOT / "kernels/cpu").glob("*.cpp"))
        headers = [*(ROOT / "kernels/cpu").glob("*.h"), *(ROOT / "bindings").glob("*.h")]
        newest_header = max(h.stat().st_mtime for h in [*headers, ROOT / "setup.py"])
        include = [numpy.get_include(), pybind11.get_include()]
        build = Path(self.build_temp, (sanitize or "plain").replace(",", "-"))

        jobs = [(ROOT / "bindings/module.cpp", "bindings", flags, include)]
        for source in kernel_files:
            if source.stem in RUNTIME:
                jobs.append((source, "runtime", flags, []))
                continue
            for isa, isa_flags in ISA_FLAGS[machine].items():
                jobs.append((source, isa, [*flags, *isa_flags, f"-DGS_ISA={isa}"], []))

        def compile_one(job: tuple[Path, str, list[str], list[str]]) -> str:
            source, group, job_flags, include_dirs = job
            target = build / group
            obj = target / source.relative_to(ROOT).with_suffix(".o")
            if (
                not self.force
                and obj.exists()
                and obj.stat().st_mtime > max(source.stat().st_mtime, newest_header)
            ):
                return str(obj)
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
        with ThreadPoolExecutor(self.parallel or os.cpu_count() or 1) as pool:
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
            "gradsmith": ["py.typed", "*.pyi", "**/*.pyi", "datasets/data/*"],
            "gradsmith.kernels": ["cuda/*.cu", "cuda/*.cuh", "cuda/*.json", "cuda/emulator/*"],
        },
        ext_modules=[Extension("gradsmith._cpu", sources=[], language="c++")],
        cmdclass={"build_ext": BuildKernels},
    )
