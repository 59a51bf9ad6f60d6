"""pytest's side of gradsmith.testing: options, fixtures, and markers.

pytest loads this in every project of an environment that gradsmith is installed in. So it stands
outside the package and imports nothing of it, nor NumPy, before a fixture is used.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = [
    "assert_close",
    "gradcheck",
    "gradgradcheck",
    "gradsmith_device",
    "gradsmith_rng",
    "gradsmith_threads",
    "opcheck",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --gradsmith-device and --gradsmith-seed."""
    group = parser.getgroup("gradsmith", "kernel validation with gradsmith")
    group.addoption(
        "--gradsmith-device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="the device of gradsmith_device; cuda is the emulator where there is no GPU",
    )
    group.addoption(
        "--gradsmith-seed", type=int, default=0, metavar="N", help="seed of gradsmith_rng"
    )


@pytest.fixture
def gradsmith_device(request: pytest.FixtureRequest) -> str:
    """The device to test on: "cpu", or "cuda" with --gradsmith-device cuda."""
    device = request.config.getoption("--gradsmith-device")
    if device == "cuda":
        import gradsmith

        if not gradsmith.cuda.is_available():
            gradsmith.cuda.use_emulator()
    return device


@pytest.fixture
def gradsmith_rng(request: pytest.FixtureRequest) -> Any:
    """A NumPy generator: the same numbers in every run of this test, others in another test."""
    import numpy

    seed = request.config.getoption("--gradsmith-seed")
    return numpy.random.default_rng([seed, zlib.crc32(request.node.nodeid.encode())])


@pytest.fixture
def gradsmith_threads() -> Iterator[Callable[[int], None]]:
    """gradsmith.set_num_threads, undone after the test."""
    import gradsmith

    before = gradsmith.get_num_threads()
    yield gradsmith.set_num_threads
    gradsmith.set_num_threads(before)


@pytest.fixture
def gradcheck() -> Callable[..., bool]:
    """gradsmith.testing.gradcheck."""
    from gradsmith.testing import gradcheck

    return gradcheck


@pytest.fixture
def gradgradcheck() -> Callable[..., bool]:
    """gradsmith.testing.gradgradcheck."""
    from gradsmith.testing import gradgradcheck

    return gradgradcheck


@pytest.fixture
def opcheck() -> Callable[..., Any]:
    """gradsmith.testing.opcheck."""
    from gradsmith.testing import opcheck

    return opcheck


@pytest.fixture
def assert_close() -> Callable[..., None]:
    """gradsmith.testing.assert_close."""
    from gradsmith.testing import assert_close

    return assert_close
