"""The per-ISA builds share no symbol.

A weak symbol (an inline function, a template) that two builds define is one for the linker: it
keeps a copy compiled for AVX-512, say, and an older processor dies in it. So every object of an ISA
defines weak symbols in its own namespace only, and uses no template of the standard library.
"""

import platform
import re
import shutil
import subprocess

import pytest
from source_tree import ROOT

ISAS = ("v2", "v3", "v4") if platform.machine() == "x86_64" else ("neon",)
BUILDS = sorted(ROOT.glob("build/temp*/plain"))
SYMBOL = re.compile(r"^\s*(?:[0-9a-f]+)?\s+([A-Za-z]) (.*)$")

needs_build = pytest.mark.skipif(
    not BUILDS or shutil.which("nm") is None,
    reason="no build tree here (pip install . in this folder makes one)",
)


def faults(listing, isa):
    """Lines of `nm -C` that must not be in an object of this ISA."""
    found = []
    for line in listing.splitlines():
        match = SYMBOL.match(line)
        if not match:
            continue
        kind, name = match.groups()
        # What the symbol belongs to: "guard variable for X", "typeinfo for X", "X".
        owner = name.split(" for ")[-1]
        # A pointer to the C++ runtime's unwinder: data, the same in every build.
        if owner.startswith("DW.ref."):
            continue
        if kind in "WVu" and not owner.startswith(f"gradsmith::{isa}::"):
            found.append(f"weak, outside gradsmith::{isa}: {name}")
        elif owner.startswith(("std::", "__gnu_cxx::")):
            found.append(f"of the standard library: {name}")
    return found


@needs_build
@pytest.mark.parametrize("isa", ISAS)
def test_objects_define_only_their_own(isa):
    sources = {p.stem for p in (ROOT / "kernels/cpu").glob("*.cpp")}
    objects = [p for b in BUILDS for p in (b / isa).rglob("*.o") if p.stem in sources]
    assert objects, "a build tree without objects"
    found = {}
    for path in objects:
        run = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True)
        assert f"gradsmith::{isa}::" in run.stdout, f"{path}: defines nothing"
        found |= (
            {str(path.relative_to(ROOT)): faults(run.stdout, isa)}
            if faults(run.stdout, isa)
            else {}
        )
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "0000000000000000 W gradsmith::max64(long, long)",
        "0000000000000000 W gradsmith::v3::exp(gradsmith::UnaryArgs const&)",
        "0000000000000000 W std::vector<int>::push_back(int&&)",
        "                 U std::__throw_length_error(char const*)",
        "0000000000000000 V guard variable for gradsmith::table()::t",
        "0000000000000000 u gradsmith::table",
    ],
)
def test_a_shared_symbol_is_seen(line):
    assert faults(line, "v4") != []


@pytest.mark.parametrize(
    "line",
    [
        "0000000000000300 W gradsmith::v4::gather_dim(gradsmith::GatherDimArgs const&)",
        "0000000000000010 T gradsmith::v4::exp(gradsmith::UnaryArgs const&)",
        "                 U gradsmith::run_blocks(long, void (*)(void*, long), void*)",
        "                 U memcpy",
    ],
)
def test_its_own_symbols_are_allowed(line):
    assert faults(line, "v4") == []


def test_no_fast_math():
    """-ffast-math changes NaN, infinities and the order of sums, wherever it is linked to."""
    sources = [
        ROOT / "setup.py",
        ROOT / "kernels/cuda/emulator/build.py",
        ROOT / "kernels/cuda/nvrtc.py",
    ]
    for path in [*sources, *(ROOT / "kernels").rglob("*.cpp"), *(ROOT / "kernels").rglob("*.h")]:
        assert not re.search(r"(?<!never )-?ffast-math|-Ofast|use_fast_math", path.read_text()), (
            path
        )
