"""The public surface that is due (surface.py): importable, documented, sampled, on both devices."""

from __future__ import annotations

import importlib
from typing import Any

import gradsmith as gs
import pytest
from gradsmith.autograd.op import OPS
from gradsmith.kernels import KERNELS
from gradsmith.kernels.cuda import launchers
from gradsmith.testing import opdb
from surface import ALIASES, PLACES
from surface import OPS as FAMILIES
from test_kernel_list import NOT_DIFFERENTIABLE

NAMES = [name for names in FAMILIES.values() for name in names.split()]
ELSEWHERE = [(place, name) for place, names in PLACES.items() for name in names.split()]
#: Values, and what Python itself documents.
UNDOCUMENTED = ("__array_priority__", "grad")


def found(path: str) -> Any:
    """`gradsmith.path`, whose modules are imported on the way."""
    value: Any = gs
    walked = "gradsmith"
    for part in filter(None, path.split(".")):
        walked += f".{part}"
        if not hasattr(value, part):
            value = importlib.import_module(walked)
        else:
            value = getattr(value, part)
    return value


def function(name: str) -> Any:
    """The public function of an op."""
    for place in (gs.nn.functional, gs, gs.Tensor):
        if hasattr(place, name):
            return getattr(place, name)
    raise AssertionError(f"{name} is neither in gradsmith, nn.functional nor Tensor")


@pytest.mark.parametrize("name", NAMES)
def test_op(name: str) -> None:
    assert len(function(name).__doc__ or "") >= 10, "no docstring"
    wanted = ALIASES.get(name, name)
    infos = [i for i in opdb.op_infos() if i.name == wanted or i.name.startswith(f"{wanted}_of_")]
    assert infos, f"no samples called {wanted} in gradsmith.testing.opdb"
    for info in infos:
        assert info.samples()
        for covered in info.covers:
            record = OPS[covered]
            assert record.backward is not None or covered in NOT_DIFFERENTIABLE
        assert info.differentiable or info.second_reason, "says not why no gradient is checked"


def test_both_devices_have_every_kernel() -> None:
    assert gs.kernels.table("cpu").missing == ()
    assert sorted(set(KERNELS) - set(launchers.entries())) == []


@pytest.mark.parametrize("place,name", ELSEWHERE, ids=lambda v: v)
def test_name(place: str, name: str) -> None:
    value = found(f"{place}.{name}")
    if isinstance(value, (gs.dtype, type(gs.float32))) or name in UNDOCUMENTED:
        return
    if not (name.startswith("__") and name.endswith("__")):
        assert len(getattr(value, "__doc__", None) or "") >= 10, "no docstring"
