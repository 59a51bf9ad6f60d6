"""What is generated is what is checked in: stubs and the table of ops."""

import importlib.util

import pytest
from source_tree import ROOT


def script(name):
    """A module of .ci/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STUBS = script("stubs")


@pytest.mark.parametrize("name", STUBS.STUBS)
def test_stub_is_fresh(name):
    assert (ROOT / name).read_text() == STUBS.STUBS[name](), "run: python .ci/stubs.py --write"


def test_stale_stub_is_seen(monkeypatch):
    monkeypatch.setitem(STUBS.STUBS, "engine/tensor.pyi", lambda: "class Tensor: ...\n")
    assert STUBS.stale() == ["engine/tensor.pyi"]


def test_table_of_ops_is_fresh():
    docs = script("ops_docs")
    assert (ROOT / "docs/ops.md").read_text() == docs.text(), "run: python .ci/ops_docs.py --write"


def test_stub_has_the_installed_methods():
    text = (ROOT / "engine/tensor.pyi").read_text()
    for name in ("__add__", "matmul", "reshape", "relu", "sum", "to"):
        assert f"    def {name}(" in text
