"""The mutation tool: what it changes, what it leaves; mutants that are off change nothing."""

from __future__ import annotations

import builtins
import re
from typing import Any

import pytest
from mutation import cpp_sites, python_sites, table
from mutation.mutant import ROOT, TUNED, every_mutant, sample, tuned_family, tuned_sources
from mutation.schemata import DISPATCH, switched

CPP = """// A header.
constexpr int kSize = 4 + 4;
template <class T, int kN = kSize / 2>
void f(const T* x, T* y, int64_t n, int64_t stride) {
  static_assert(sizeof(T) + 0 < 9, "no");
  T room[2 * kN];
  if constexpr (kN > 2) y[0] = 0;
  for (int64_t i = 0; i < n; i += 2) {
    y[i] = max(x[i * stride], -x[i]) + load<T, kN + 1>(x);
    if (i > 0 && n != 3) y[i] += 1.5f;
  }
  __syncthreads();
#if defined(__AVX512F__)
  y[7] = y[8] - 1;
#endif
}
"""


def changes(source: str = CPP) -> set[tuple[str, str]]:
    found = cpp_sites.mutants_of(source, "kernels/cpu/f.cpp", "cpu", "f")
    return {(m.kind, m.change) for m in found}


def test_cpp_places() -> None:
    found = changes()
    assert {
        ("comparison", "i < n -> i <= n"),
        ("bound", "i < n -> i < n - 1"),
        ("sign", "i += 2 -> i -= 2"),
        ("stride", "i * stride -> i"),
        ("operator", "i * stride -> i + stride"),
        ("min/max", "max(x[i * stride], -x[i]) -> min(x[i * stride], -x[i])"),
        ("sign", "-x[i] -> x[i]"),
        ("term", "max(x[i * stride], -x[i]) + load<T, kN + 1>(x) -> load<T, kN + 1>(x)"),
        ("mask", "i > 0 && n != 3 -> i > 0"),
        ("mask", "i > 0 && n != 3 -> n != 3"),
        ("constant", "1.5f -> 1.6500000000000001f"),
        ("term", "y[i] += 1.5f -> y[i] = 1.5f"),
        ("barrier", "__syncthreads() -> (nothing)"),
    } <= found
    for kind, change in found:
        for left in ("kSize", "sizeof", "room", "kN > 2", "y[8]", "kN + 2"):
            assert left not in change.split(" -> ")[0], (kind, change)


def test_switched_cpp_keeps_its_lines_and_its_text() -> None:
    found = cpp_sites.mutants_of(CPP, "kernels/cpu/f.cpp", "cpu", "f")
    edits = [(n, m.edit) for n, m in enumerate(found) if m.edit]
    text = switched(CPP, edits)
    assert text.count("\n") == CPP.count("\n")
    for number, _ in edits:
        assert text.count(f"gs_mutant_is({number})") <= 1
    one = next(n for n, m in enumerate(found) if m.change == "i < n -> i <= n")
    assert f"(gs_mutant_is({one}) ? (i <= n) : (i < n))" in switched(CPP, [edits[one]])
    assert switched(CPP, []) == CPP


PYTHON = '''
def f(k, x, need, n=3):
    """Words."""
    if n < 4 and need[0]:
        return k.sub(k.mul(x, 2.0), n), None
    raise ValueError(f"{n + 1}")
'''


class Kernels:
    sub, mul, add, div = (
        staticmethod(f)
        for f in (
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: a + b,
            lambda a, b: a / b,
        )
    )


def test_python_mutants_are_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    found = python_sites.mutants_of(PYTHON, "engine/ops/f.py", "f")
    assert {m.layer for m in found} == {"gradients"}
    assert not any("n + 1" in m.before for m in found)
    module = python_sites.switched(PYTHON, {m.site: i for i, m in enumerate(found)})
    chosen = -1
    monkeypatch.setattr(builtins, "gs_mutant_is", lambda n: n == chosen, raising=False)
    names: dict[str, Any] = {}
    exec(compile(module, "f.py", "exec"), names)

    def run() -> Any:
        try:
            return names["f"](Kernels, 5.0, (True, False))
        except Exception as error:
            return type(error)

    assert run() == (7.0, None)
    results = {}
    for chosen in range(len(found)):  # noqa: B007  (the switch)
        results[found[chosen].change] = run()
    assert results["n < 4 -> n <= 4"] == (7.0, None)  # 3 is far from the bound
    assert results["k.mul(x, 2.0) -> k.div(x, 2.0)"] == (-0.5, None)
    assert results["2.0 -> 2.2"] == (8.0, None)
    assert results["need[0] -> n < 4" if "need[0] -> n < 4" in results else "0 -> 1"] is ValueError


def test_sample_takes_every_family_and_kind() -> None:
    mutants = every_mutant(["kernels/cuda/s", "engine/ops/s"])
    chosen = sample(mutants, 60, 1)
    assert len({m.key for m in chosen}) == len(chosen)
    assert {(m.layer, m.family) for m in chosen} == {(m.layer, m.family) for m in mutants}
    assert sample(mutants[::-1], 60, 1) == chosen
    assert "barrier" in {m.kind for m in chosen}


def test_every_tuned_kernel_is_a_family() -> None:
    families = {family for _, _, family in tuned_sources()}
    assert families >= set(TUNED)
    assert tuned_family("conv_of_next_year") == "conv_of_next_year"
    assert not any(map(tuned_family, ("conv", "conv_settings", "matmul", "copy", "softmax")))
    chosen = sample(every_mutant(tuned=True), 90, 1)
    assert {m.family for m in chosen} == families
    assert all(m.path.startswith(f"kernels/cpu/{m.family}") for m in chosen)
    planned = every_mutant(["conv_plan"], tuned=True)
    assert {m.key for m in planned} <= {m.key for m in every_mutant(["conv_plan"])}


def test_the_mutated_build_answers_all_questions() -> None:
    """Its ISA says as much as dispatch.h's: what it left out was a null pointer."""
    header = (ROOT / "kernels/cpu/dispatch.h").read_text(encoding="utf-8")
    members = re.search(r"struct Isa \{(.*?)\};", header, re.DOTALL)
    given = re.search(r"kIsa = \{\{(.*?)\}\};", DISPATCH)
    assert members and given
    assert given[1].count(",") + 1 == len(re.findall(r"\w+;", members[1]))


def test_explanations_have_reasons() -> None:
    known = table.explanations()
    assert known and all(len(reason) > 20 for reason in known.values())
