"""All mutants of a sample in one build: each place asks whether its mutant is the chosen one.

`x < n` becomes `(gs_mutant_is(17) ? (x <= n) : (x < n))`, so a mutant costs no compilation, only
the run of its tests; and the question notes that it was asked, which says what tests reach it. The
switch lives in a small library of its own, that the CPU's module, the emulator's kernels and Python
share.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .mutant import ROOT, Edit, Mutant

LIMIT = 4096  # mutants of one build

HEADER = f"""#pragma once
extern "C" {{
extern __attribute__((visibility("default"))) int gs_mutant;
extern __attribute__((visibility("default"))) unsigned char gs_mutant_seen[{LIMIT}];
}}
#define gs_mutant_is(n) (gs_mutant_seen[n] = 1, gs_mutant == (n))
"""
SWITCH = f'extern "C" {{ int gs_mutant = -1; unsigned char gs_mutant_seen[{LIMIT}]; }}\n'

DISPATCH = """// The mutated build has one ISA.
#include "dispatch.h"
namespace gradsmith {{
GS_DECLARE_ISA({isa})
namespace {isa} {{
double ceiling(const CeilingLoop&);
ConvAlgorithm conv_algorithm_of(const ConvShapes&);
}}
namespace {{
template <class Args, Status (*kernel)(const Args&)>
Status call(const void* args) {{
  return kernel(*static_cast<const Args*>(args));
}}
#define GS_ENTRY(name, Args) call<Args, {isa}::name>,
constexpr Kernel kKernels[] = {{GS_KERNELS(GS_ENTRY)}};
constexpr Isa kIsa = {{"{isa}", kKernels, {isa}::ceiling, {isa}::conv_algorithm_of}};
}}  // namespace
int isa_count() {{ return 1; }}
const Isa& isa(int) {{ return kIsa; }}
}}  // namespace gradsmith
"""


def switched(source: str, edits: Sequence[tuple[int, Edit]]) -> str:
    """The source with each edit behind its number; the lines stay where they are."""
    groups: dict[tuple[int, int, str], list[tuple[int, Edit]]] = {}
    for number, edit in edits:
        groups.setdefault((edit.start, edit.end, edit.form), []).append((number, edit))
    order = sorted(groups, key=lambda g: (g[0], -g[1]))

    def render(start: int, end: int, first: int) -> tuple[str, int]:
        """source[start:end], and the first group that begins behind it."""
        parts, at, i = [], start, first
        while i < len(order) and order[i][0] < end:
            begin, stop, form = order[i]
            if begin < at or stop > end:  # overlaps another one
                i += 1
                continue
            parts.append(source[at:begin])
            inner, following = render(begin, stop, i + 1)
            parts.append(_choice(groups[order[i]], inner, form))
            at, i = stop, following
        parts.append(source[at:end])
        return "".join(parts), i

    return render(0, len(source), 0)[0]


def _choice(edits: list[tuple[int, Edit]], default: str, form: str) -> str:
    if form == "statement":
        text = ""
        for number, edit in edits:
            body = f"{edit.text};" if edit.text else ""
            text += f"if (gs_mutant_is({number})) {{ {body} }} else "
        return f"{{ {text}{{ {default} }} }}"
    cast = {"void": "(void)", "condition": "(bool)"}.get(form, "")
    text = "".join(f"gs_mutant_is({n}) ? {cast}({e.text}) : " for n, e in edits)
    return f"({text}{cast}({default}))"


def by_file(numbered: Sequence[tuple[int, Mutant]]) -> dict[str, list[tuple[int, Mutant]]]:
    """The mutants of each file."""
    files: dict[str, list[tuple[int, Mutant]]] = {}
    for number, m in numbered:
        files.setdefault(m.path, []).append((number, m))
    return files


def setup_py() -> Any:
    """The module setup.py: its flags."""
    spec = importlib.util.spec_from_file_location("gs_setup", ROOT / "setup.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Build:
    """The mutated sources and libraries, in a folder of their own.

    Attributes:
        invalid: number -> why it does not compile.
    """

    def __init__(
        self,
        folder: Path,
        numbered: Sequence[tuple[int, Mutant]],
        jobs: int,
        sanitize: bool = False,
        isa: str = "",
    ) -> None:
        if len(numbered) >= LIMIT:
            raise ValueError(f"at most {LIMIT - 1} mutants at once; got {len(numbered)}")
        self.folder, self.jobs = folder, jobs
        self.numbered = list(numbered)
        self.invalid: dict[int, str] = {}
        self.tree = folder / "kernels"
        self.cxx = (os.environ.get("CXX") or "g++").split()
        setup = setup_py()
        machine = {"arm64": "aarch64"}.get(os.uname().machine, os.uname().machine)
        isas = setup.ISA_FLAGS[machine]
        self.isa = isa or ("v3" if "v3" in isas else next(iter(isas)))
        # Half the time of -O2 to compile. Warnings are the product's build's business.
        self.flags = ["-O1" if f == "-O2" else f for f in setup.FLAGS]
        # What AddressSanitizer's run would see first: local arrays that are overrun.
        self.flags += ["-fPIC", "-w", "-fstack-protector-strong"]
        self.sanitize = sanitize
        if sanitize:
            self.flags += ["-fsanitize=address", "-fno-omit-frame-pointer"]
        self.isa_flags = [*isas[self.isa], f"-DGS_ISA={self.isa}"]
        self.runtime = set(setup.RUNTIME)
        self.products = setup.object_folder("plain")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "objects").mkdir(exist_ok=True)
        (folder / "mutants.h").write_text(HEADER)
        self.has_cpu = any(m.layer == "cpu" for _, m in numbered) or any(
            m.path.endswith("_rules.cuh") for _, m in numbered
        )

    # ---- sources ----

    def write(self) -> None:
        """The tree of kernel sources, mutants in them."""
        for name in ("cpu", "cuda"):
            for path in (ROOT / "kernels" / name).rglob("*"):
                if path.suffix in (".h", ".cpp", ".cu", ".cuh"):
                    target = self.tree / path.relative_to(ROOT / "kernels")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._write_one(target, path.read_text(encoding="utf-8"))
        for name, mutants in self._files():
            source = (ROOT / name).read_text(encoding="utf-8")
            edits = [(n, m.edit) for n, m in mutants if n not in self.invalid and m.edit]
            text = switched(source, edits)
            # The first line is a comment: the numbers of lines stay.
            first, rest = text.split("\n", 1)
            if not first.startswith("//"):
                raise ValueError(f"{name}: the first line must be a comment; got {first!r}")
            include = f'#include "{self.folder / "mutants.h"}"\n'
            self._write_one(self.folder / name, include + rest)
        if self.has_cpu:
            self._write_one(self.tree / "cpu/dispatch.cpp", DISPATCH.format(isa=self.isa))

    def _files(self) -> list[tuple[str, list[tuple[int, Mutant]]]]:
        cpp = [(n, m) for n, m in self.numbered if m.layer in ("cpu", "cuda")]
        return sorted(by_file(cpp).items())

    @staticmethod
    def _write_one(path: Path, text: str) -> None:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

    # ---- compiling ----

    def _units(self) -> list[tuple[Path, list[str]]]:
        """(source, flags) of what the CPU's module is linked from."""
        import numpy
        import pybind11

        include = [f"-I{p}" for p in (numpy.get_include(), pybind11.get_include())]
        include.append("-I" + sysconfig.get_paths()["include"])
        units = []
        for path in sorted((self.tree / "cpu").glob("*.cpp")):
            isa = [] if path.stem in self.runtime else self.isa_flags
            units.append((path, [*self.flags, *isa]))
        units.append((self.folder / "bindings/module.cpp", [*self.flags, *include]))
        units.sort(key=lambda unit: -unit[0].stat().st_size)
        return units

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["nice", "-n", "5", *command], capture_output=True, text=True)

    def _blame(self, errors: str) -> bool:
        """Takes away the mutants at the lines that the compiler names; whether there were any.

        Where a line has none, the last one before it: it may have changed what is declared.
        """
        files = dict(self._files())
        found = False
        nearest: tuple[int, int] | None = None
        for path, line in re.findall(r"^(\S+?):(\d+):\d+: ", errors, re.MULTILINE):
            try:
                name = str(Path(os.path.normpath(path)).relative_to(self.folder))
            except ValueError:
                continue
            source = ""
            for number, m in files.get(name, ()):
                if number in self.invalid or m.edit is None:
                    continue
                source = source or (ROOT / name).read_text(encoding="utf-8")
                first = source.count("\n", 0, m.edit.start) + 1
                last = source.count("\n", 0, m.edit.end) + 1
                if first <= int(line) <= last:
                    self.invalid[number] = "does not compile"
                    found = True
                elif first < int(line) and (nearest is None or first > nearest[0]):
                    nearest = first, number
        if not found and nearest is not None:
            self.invalid[nearest[1]] = "does not compile"
        return found or nearest is not None

    def _compile_all(self, units: Sequence[tuple[Path, list[str], Path]]) -> None:
        """Compiles (source, flags, object); mutants that fail are taken away and it goes again."""
        for _ in range(8):
            self.write()

            def compile_one(unit: tuple[Path, list[str], Path]) -> str:
                source, flags, target = unit
                key = _digest([self._with_includes(source), flags])
                stamp = target.with_suffix(".key")
                if target.exists() and stamp.exists() and stamp.read_text() == key:
                    return ""
                run = self._run([*self.cxx, *flags, str(source), "-o", str(target)])
                if run.returncode == 0:
                    target.touch()
                    stamp.write_text(key)
                    return ""
                return run.stderr or f"{source}: no message"

            with ThreadPoolExecutor(self.jobs) as pool:
                errors = [e for e in pool.map(compile_one, units) if e]
            if not errors:
                return
            # Each error's own lines only: what is noted beside it is innocent.
            blamed = [self._blame("\n".join(_error_lines(e))) for e in errors]
            blamed += [self._blame(e) for e, done in zip(errors, blamed, strict=True) if not done]
            if not any(blamed):
                raise RuntimeError("mutants do not compile:\n" + errors[0][:4000])
        raise RuntimeError("mutants do not compile after 8 attempts")

    def _with_includes(self, source: Path) -> list[tuple[str, str]]:
        found: dict[Path, str] = {}
        waiting = [source]
        while waiting:
            path = Path(os.path.normpath(waiting.pop()))
            if path in found or not path.is_file():
                continue
            text = found[path] = path.read_text(encoding="utf-8")
            for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE):
                waiting.append(path.parent / name)
        return sorted((str(p.relative_to(self.folder)), t) for p, t in found.items())

    def _product(self, source: Path) -> Path | None:
        """The object that the product's own build made of a source without mutants, if it is new.

        So that a sample of few files does not compile the others. AddressSanitizer needs the
        runtime's, which says what memory may be touched.
        """
        if self.sanitize and source.stem in self.runtime:
            return None
        texts = self._with_includes(source)
        if any((ROOT / name).read_text(encoding="utf-8") != text for name, text in texts):
            return None
        newest = max((ROOT / name).stat().st_mtime for name, _ in texts)
        name = source.relative_to(self.folder).with_suffix(".o")
        groups = ["runtime"] if source.stem in self.runtime else [self.isa, "bindings-*"]
        found = [path for group in groups for path in self.products.glob(f"{group}/{name}")]
        found = [path for path in found if path.stat().st_mtime > newest]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def build(self) -> None:
        """Everything: the switch, the CPU's module if it is mutated, the emulator's kernels."""
        switch = self.folder / "switch.cpp"
        switch.write_text(SWITCH)
        run = self._run([*self.cxx, "-shared", "-fPIC", str(switch), "-o", str(self.switch)])
        if run.returncode:
            raise RuntimeError(run.stderr)
        units: list[tuple[Path, list[str], Path]] = []
        objects: list[str] = []
        if self.has_cpu:
            shutil.copytree(ROOT / "bindings", self.folder / "bindings", dirs_exist_ok=True)
            self.write()
            for source, flags in self._units():
                product = self._product(source)
                if product is not None:
                    objects.append(str(product))
                    continue
                target = self.folder / "objects" / f"{source.parent.name}-{source.stem}.o"
                units.append((source, [*flags, "-c"], target))
        checks = self._emulator_checks()
        self._compile_all([*units, *checks])
        if self.has_cpu:
            objects += [str(target) for _, _, target in units]
            link = [*self.cxx, "-shared", "-pthread", *objects, "-o", str(self.module)]
            if self.sanitize:
                link.append("-fsanitize=address")
            run = self._run(link)
            if run.returncode:
                raise RuntimeError(run.stderr)

    def emulated(self) -> list[Path]:
        """The CUDA sources that have mutants, or include one that has."""
        mutated = {m.path for _, m in self.numbered if m.layer == "cuda"}
        return [
            path
            for path in sorted((self.tree / "cuda").glob("*.cu"))
            if mutated & {name for name, _ in self._with_includes(path)}
        ]

    def _emulator_checks(self) -> list[tuple[Path, list[str], Path]]:
        """How the mutated CUDA sources are checked, every kernel instantiated."""
        from gradsmith.kernels.cuda import launch, launchers

        launchers.entries()
        names: dict[str, list[str]] = {}
        for module in launch.modules:
            names.setdefault(module.source.name, []).extend(module.names)
        emulator = ROOT / "kernels/cuda/emulator"
        flags = ["-std=c++17", "-w", "-fsyntax-only", "-x", "c++", "-march=native"]
        flags += ["-include", str(emulator / "cuda_language.h"), f"-I{self.tree / 'cuda'}"]
        self.write()
        checks = []
        for path in self.emulated():
            stub = self.folder / "objects" / f"{path.stem}.cu.cpp"
            entries = "\n".join(f"    gs_emulator::entry<&({n})>()," for n in names[path.name])
            text = f"const gs_emulator::Entry kEntries[] = {{\n{entries}\n}};\n"
            include = f'#include "{os.path.relpath(path, stub.parent)}"\n'
            self._write_one(stub, include + text)
            checks.append((stub, flags, stub.with_suffix(".checked")))
        return checks

    def environment(self) -> dict[str, str]:
        """What a process that loads the module needs besides."""
        if not self.sanitize:
            return {}
        names = ("libasan.so", "libstdc++.so")
        found = [self._run([*self.cxx, f"-print-file-name={n}"]).stdout.strip() for n in names]
        # Python itself never frees all it allocates.
        options = "detect_leaks=0:allocator_may_return_null=1"
        return {"LD_PRELOAD": " ".join(found), "ASAN_OPTIONS": options}

    @property
    def switch(self) -> Path:
        """The library with the number of the chosen mutant."""
        return self.folder / "libgs_mutants.so"

    @property
    def module(self) -> Path:
        """The CPU's module with mutants."""
        return self.folder / f"_cpu{sysconfig.get_config_var('EXT_SUFFIX')}"


def _error_lines(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if re.match(r"\S+:\d+:\d+: (fatal )?error", line)]


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


class Switch:
    """The switch of this process."""

    def __init__(self, library: Path) -> None:
        found = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        self._chosen = ctypes.c_int.in_dll(found, "gs_mutant")
        self._seen = (ctypes.c_ubyte * LIMIT).in_dll(found, "gs_mutant_seen")

    def choose(self, number: int) -> None:
        """This mutant, -1 for none."""
        self._chosen.value = number

    def clear(self) -> None:
        """Forget which were reached."""
        ctypes.memset(self._seen, 0, LIMIT)

    def reached(self) -> list[int]:
        """The mutants asked about since clear()."""
        return [i for i, flag in enumerate(bytes(self._seen)) if flag]

    def asked(self, number: int) -> bool:
        """What Python's mutants call: whether it is this one."""
        self._seen[number] = 1
        return self._chosen.value == number
