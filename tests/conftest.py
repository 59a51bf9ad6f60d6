"""Options and fixtures of the whole suite."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import gradsmith as gs
import pytest
from gradsmith import _cpu

_T = TypeVar("_T")

# As where the package is installed: its pytest plugin has the asserts of all its modules rewritten.
pytest.register_assert_rewrite("gradsmith.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the big grids whole, not sampled")
    parser.addoption(
        "--every", type=int, default=1, metavar="N", help="of a test with many cases run every Nth"
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether big grids run whole."""
    return bool(request.config.getoption("--full"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --every N: of each test with more than N cases, but those marked whole, every Nth."""
    step = config.getoption("--every")
    if step <= 1:
        return
    cases: dict[str, list[pytest.Item]] = {}
    kept = {id(item) for item in items if item.get_closest_marker("whole")}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for group in cases.values():
        kept.update(id(i) for i in (group[::step] if len(group) > step else group))
    config.hook.pytest_deselected(items=[i for i in items if id(i) not in kept])
    items[:] = [i for i in items if id(i) in kept]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: every case of it, whatever --every says")
    global _full
    _full = bool(config.getoption("--full"))


_full = False


def is_full() -> bool:
    """Whether big grids run whole."""
    return _full


def sampled(items: Sequence[_T], count: int, seed: int = 0) -> list[_T]:
    """`count` of the items, the same ones in every run; all of them with --full."""
    if _full or len(items) <= count:
        return list(items)
    chosen = random.Random(seed).sample(range(len(items)), count)
    return [items[i] for i in sorted(chosen)]


@pytest.fixture(scope="session")
def cuda() -> str:
    """Device "cuda": a GPU where there is one, else the emulator."""
    if not gs.cuda.is_available():
        gs.cuda.use_emulator()
    return "cuda"


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Both devices, one after the other."""
    return request.getfixturevalue("cuda") if request.param == "cuda" else "cpu"


@pytest.fixture(params=_cpu.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every ISA build that this machine can run."""
    before = _cpu.isa()
    _cpu.set_isa(request.param)
    yield request.param
    _cpu.set_isa(before)


@pytest.fixture
def threads() -> Iterator[Any]:
    """set_num_threads, undone afterwards."""
    before = gs.get_num_threads()
    yield gs.set_num_threads
    gs.set_num_threads(before)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """A test must not leave a setting changed for the next one."""
    yield
    leftovers = []
    if not gs.is_grad_enabled():
        gs.set_grad_enabled(True)
        leftovers.append("grad mode")
    if str(gs.get_default_device()) != "cpu":
        gs.set_default_device("cpu")
        leftovers.append("default device")
    if gs.get_default_dtype() is not gs.float32:
        gs.set_default_dtype(gs.float32)
        leftovers.append("default dtype")
    _cpu.fail_allocation(0)
    assert not leftovers, f"the test left settings changed: {leftovers}"
