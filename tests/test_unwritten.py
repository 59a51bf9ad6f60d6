"""No kernel computes with what nobody has written: results and time do not depend on it."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.backends import cpu
from gradsmith.testing import assert_equal
from gradsmith.testing.checks import bits, using
from gradsmith.testing.opdb import OpInfo, op_infos

#: Zero, the least denormal number and a NaN, as float32 and as the halves of a float64.
ZERO, DENORMAL, NAN = 0, 1, 0x7FC00001


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with using(threads=1):
        yield
    _cpu.fill_unwritten(-1)


def over(word: int, work: Callable[[], Any]) -> tuple[Any, bool]:
    """What the work gives where memory holds this word, and whether a denormal number was met."""
    _cpu.empty_cache()
    _cpu.fill_unwritten(word)
    try:
        _cpu.met_denormal()
        found = work()
        return found, _cpu.met_denormal()
    finally:
        _cpu.fill_unwritten(-1)


def check(work: Callable[[], Any], isas: Sequence[str] | None = None) -> None:
    for isa in _cpu.isas() if isas is None else isas:
        with using(isa=isa):
            check_one(work)


def check_one(work: Callable[[], Any]) -> None:
    expected, meets = over(ZERO, work)
    for word in (DENORMAL, NAN):
        found, met = over(word, work)
        for a, b in zip(found, expected, strict=True):
            assert_equal(a, b, name=f"over {word:#x}")
        assert meets or not met, "computed with what nobody has written"


def test_a_denormal_operand_is_seen() -> None:
    """The flag works: an op meets a denormal number, or does not."""
    if platform.machine() != "x86_64":
        pytest.skip("the processor does not say what it meets")
    for value, expected in ((0.0, False), (1e-45, True), (1.0, False)):
        x = gs.from_numpy(np.full(100, value, np.float32))
        assert over(ZERO, lambda x=x: x * 2.0)[1] == expected


def test_memory_holds_the_word() -> None:
    for word in (ZERO, DENORMAL, NAN):
        y, _ = over(word, lambda: gs.ones(1) + 1.0)
        behind = ctypes.c_uint32.from_address(y.data_ptr() + 4)  # of a block of 64 bytes
        assert (y.item(), behind.value) == (2.0, word)


@pytest.mark.parametrize("info", op_infos(), ids=lambda info: info.name)
def test_ops(info: OpInfo, full: bool) -> None:
    for sample in info.samples():
        if "large" in sample.tags:
            continue
        try:
            check(
                lambda sample=sample: bits(info, sample, "float32", "cpu"),
                None if full else [_cpu.isa()],
            )
        except AssertionError as error:
            raise AssertionError(f"{sample.id}: {error}") from None


CONVOLUTIONS = [
    # N, C, H, W, K, kernel, stride, padding, dilation, groups
    (8, 32, 2, 2, 40, 3, 1, 1, 1, 1),
    (2, 24, 3, 5, 33, 3, 1, 1, 1, 1),
    (3, 19, 7, 7, 21, 3, 1, 1, 1, 1),
    (2, 16, 27, 30, 17, 3, 1, 1, 1, 1),
    (1, 16, 57, 19, 18, 3, 2, 1, 1, 1),
    (2, 20, 13, 14, 24, 3, 1, 2, 2, 1),
    (2, 24, 9, 9, 24, 5, 1, 2, 1, 2),
    (2, 3, 33, 35, 20, 7, 2, 3, 1, 1),
    (3, 37, 7, 5, 29, 1, 1, 0, 1, 1),
    (2, 33, 14, 14, 21, 1, 2, 0, 1, 1),
    (2, 21, 11, 13, 21, 3, 1, 1, 1, 21),
    (2, 18, 12, 12, 22, 2, 2, 0, 1, 1),
    (17, 5, 6, 6, 7, 3, 1, 0, 1, 1),
    (1, 600, 5, 5, 17, 3, 1, 1, 1, 1),
    (8, 20, 14, 14, 24, 3, 1, 1, 1, 1),
    (20, 18, 10, 15, 24, 3, 1, 1, 1, 1),
    (1, 5, 40, 75, 24, 9, 2, 1, 1, 1),
]


@pytest.mark.parametrize("algorithm", cpu.conv_algorithms())
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions(case: tuple[int, ...], algorithm: str) -> None:
    n, c, height, width, k, kernel, stride, padding, dilation, groups = case
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, (n, c, height, width)).astype(np.float32)
    weight = rng.uniform(1, 2, (k, c // groups, kernel, kernel)).astype(np.float32)

    def work() -> list[Any]:
        a = gs.from_numpy(x).requires_grad_()
        b = gs.from_numpy(weight).requires_grad_()
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        y = gs.nn.functional.conv2d(a, b, **options)
        y.backward(gs.ones_like(y))
        return [t.numpy().copy() for t in (y.detach(), a.grad, b.grad)]

    before = cpu.conv_algorithm
    cpu.conv_algorithm = algorithm
    try:
        check(work)
    finally:
        cpu.conv_algorithm = before


@pytest.mark.parametrize("m,n,k", [
    (1, 100, 70), (7, 13, 11), (61, 67, 71), (128, 16, 77), (130, 5, 300), (33, 200, 257),
    (97, 103, 101), (70, 1, 300), (300, 290, 280), (16, 16, 2000), (8, 900, 600), (127, 131, 1),
])  # fmt: skip
@pytest.mark.parametrize("turned", [(), (0,), (1,), (0, 1)], ids=str)
def test_products(m: int, n: int, k: int, turned: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    shapes = [(m, k), (k, n)]
    a, b = (
        gs.from_numpy(rng.uniform(1, 2, s[::-1] if i in turned else s).astype(np.float32))
        for i, s in enumerate(shapes)
    )
    a, b = (t.T if i in turned else t for i, t in enumerate((a, b)))
    check(lambda: [(a @ b).numpy().copy()])
    batches = [gs.stack([t, t + 1, t + 2]) for t in (a, b)]
    check(lambda: [(batches[0] @ batches[1]).numpy().copy()])
    bias = gs.from_numpy(rng.uniform(1, 2, n).astype(np.float32))
    check(lambda: [gs.nn.functional.linear(a, b.T, bias).numpy().copy()])
