"""What holds for the sources as text: asm, one place for settings, names, lengths."""

import ast
import re

import pytest
from source_tree import PACKAGES, ROOT, files, tree

C_SOURCES = files("*.cpp", "*.h", "*.cu", "*.cuh", folders=("kernels", "bindings"))
PYTHON = [*files("*.py"), ROOT / "setup.py"]
MOST_LINES = 600
#: Where the emulator's fibers switch stacks.
FIBER_SWITCH = "kernels/cuda/emulator/"


def relative(path):
    return str(path.relative_to(ROOT))


def without_comments(text):
    """C++ text without comments and the contents of string literals."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: '""' if m[0][0] == '"' else " ", text, flags=re.S)


# ---- CUDA sources ----


def asm_in(text):
    """The asm statements of C++ text that hold instructions; an empty one has none."""
    return re.findall(r"\b(?:asm|__asm__|__asm)\b(?!\s*(?:volatile\s*)?\(EMPTY)", text)


def test_asm_only_in_ptx_cuh():
    found = set()
    for path in C_SOURCES:
        text = path.read_text().replace('asm("" :', "asm(EMPTY :")
        if asm_in(without_comments(text)):
            found.add(relative(path))
    others = {p for p in found if p != "kernels/cuda/ptx.cuh" and not p.startswith(FIBER_SWITCH)}
    # A spin loop's pause on arm64; prefetchw, which compilers know of a few processors alone.
    assert others - {"kernels/cpu/threads.cpp", "kernels/cpu/conv_winograd_tile.h"} == set()
    assert "kernels/cuda/ptx.cuh" in found
    assert asm_in(without_comments('x = 1; asm volatile("nop"); // asm'))
    assert not asm_in(without_comments('// asm\nx = "asm";'))


@pytest.mark.parametrize("path", [p for p in C_SOURCES if p.suffix == ".cu"], ids=relative)
def test_kernels_have_no_ifdef(path):
    """The emulator runs the very text that the GPU runs."""
    pattern = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif|else)\b", re.M)
    assert pattern.findall(path.read_text()) == []
    assert pattern.findall("#ifdef __CUDACC__\n#endif")


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in C_SOURCES
        if p.suffix == ".cu"
        or (p.parent.name == "cpu" and p.suffix == ".cpp")
        and p.stem not in ("allocator", "threads", "dispatch", "conv_settings", "zz_stub")
    ],
    ids=relative,
)
def test_kernel_files_have_a_header_block(path):
    head = re.match(r"(?://[^\n]*\n)+", path.read_text())
    assert head, "no header block"
    for label in ("Split", "Cost", "Working set|Cache|Memory"):
        assert re.search(rf"\b({label})\b", head[0]), f"the header block has no {label}"


# ---- settings ----

VARIABLE = re.compile(r"\bGRADSMITH_[A-Z][A-Z0-9_]*\b")
#: Include guards, macros and other names of that form that are no environment variables.
NO_VARIABLES: set[str] = set()


def reads_of_environment(source):
    """Constant names that a module reads from the environment: os.environ[...], getenv(...)."""
    found = set()
    for node in ast.walk(source):
        text = ""
        if isinstance(node, ast.Subscript):
            text, arguments = ast.unparse(node.value), [node.slice]
        elif isinstance(node, ast.Call):
            text, arguments = ast.unparse(node.func), node.args
        if re.search(r"\benviron\b|\bgetenv\b", text):
            found |= {a.value for a in arguments if isinstance(a, ast.Constant)}
    return found


def test_settings_are_read_in_one_module():
    for path in files("*.py"):
        if relative(path) != "engine/environment.py":
            names = {n for n in reads_of_environment(tree(path)) if str(n).startswith("GRADSMITH_")}
            assert names == set(), f"{relative(path)} reads {names}"
    assert reads_of_environment(ast.parse("import os\nx = os.environ.get('GRADSMITH_X')"))


def test_c_sources_read_the_environment_only_in_threads():
    found = {relative(p) for p in C_SOURCES if re.search(r"\bgetenv\s*\(", p.read_text())}
    assert found - {"kernels/cpu/threads.cpp"} <= {
        p for p in found if p.startswith("kernels/cuda/emulator/")
    }


def test_settings_stand_in_the_table():
    documented = set(VARIABLE.findall((ROOT / "docs/environment.md").read_text()))
    used = {
        name
        for path in [*PYTHON, *C_SOURCES]
        for name in VARIABLE.findall(path.read_text())
        if not name.endswith("_")
    } - NO_VARIABLES
    assert sorted(used - documented) == []
    assert sorted(documented - used) == []


# ---- names and lengths ----


@pytest.mark.parametrize("path", [*PYTHON, *C_SOURCES], ids=relative)
def test_no_file_is_too_long(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: split it along a seam that has a name"


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_folder_of_leftovers(folder):
    """torch.utils.data's and torch.nn.utils' names are PyTorch's; nothing else may be called so."""
    bad = {"utils", "util", "misc", "helpers", "helper", "common2"}
    found = [relative(p) for p in (ROOT / folder).rglob("*") if p.stem in bad]
    assert [p for p in found if p not in ("engine/utils", "engine/nn/utils")] == []


def test_todos_name_their_issue():
    pattern = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))")
    found = [
        f"{relative(p)}: {m[0]}"
        for p in [*PYTHON, *C_SOURCES]
        for m in pattern.finditer(p.read_text())
    ]
    assert found == []
    assert pattern.search("# TODO: later") and not pattern.search("# TODO(#12): later")


def test_no_paths_of_one_machine():
    pattern = re.compile(r"(?<![\w.~*/])/(?:home|root|work|Users|opt)/\w")
    documents = [p for p in ROOT.glob("*.md")] + [p for p in (ROOT / "docs").rglob("*.md")]
    for path in [*PYTHON, *C_SOURCES, *documents, *(ROOT / ".ci").glob("*")]:
        if path.is_file():
            assert pattern.findall(path.read_text()) == [], relative(path)
    assert pattern.search("see /home/me/x")


@pytest.mark.parametrize("path", files("*.py"), ids=relative)
def test_every_module_says_what_it_is(path):
    if path.stat().st_size:
        assert ast.get_docstring(tree(path)), "no docstring"


def byte_comparisons(module):
    """The lines of asserts that compare `.tobytes()` by an operator."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assert):
            for part in (n for n in ast.walk(node.test) if isinstance(n, ast.Compare)):
                called = [p.func for p in (part.left, *part.comparators) if isinstance(p, ast.Call)]
                if any(isinstance(f, ast.Attribute) and f.attr == "tobytes" for f in called):
                    yield node.lineno


@pytest.mark.parametrize("path", files("*.py", folders=("engine", "tests")), ids=relative)
def test_asserts_compare_bytes_by_a_call(path):
    """A failing one would be explained for minutes (gradsmith.testing.comparing.same_bytes)."""
    assert list(byte_comparisons(tree(path))) == []
    assert list(byte_comparisons(ast.parse("assert x.tobytes() == y"))) == [1]


# A static of a function whose value is computed: the first thread that comes by locks it meanwhile.
COMPUTED_STATIC = re.compile(
    r"^[ \t]+static (?!constexpr|inline)[^(){};=]*(?:=\s*[^;]*[(\[{]|\{)", re.M
)


@pytest.mark.parametrize(
    "path", [p for p in C_SOURCES if "kernels/cpu" in relative(p)], ids=relative
)
def test_no_thread_initialises_a_static(path):
    """The child of a fork at that time would wait for ever (allocator.cpp, kSecondLevel)."""
    assert COMPUTED_STATIC.findall(path.read_text()) == []


def test_a_computed_static_is_seen():
    for line in (
        "  static const int64_t n = [] {",
        "  static Table t{make()};",
        "  static int a = f();",
    ):
        assert COMPUTED_STATIC.search(line), line
    for line in (
        "  static int n = 3;",
        "  static T identity() { return 0; }",
        "static const int n = f();",
    ):
        assert not COMPUTED_STATIC.search(line), line
