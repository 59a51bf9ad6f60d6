"""The same bits at 1, 2, 3 and 7 threads and in every run; every ISA within the tolerance."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.testing import assert_equal, opcheck
from gradsmith.testing.checks import check_threads
from gradsmith.testing.layouts import THREADS
from gradsmith.testing.opdb import OpInfo, Sample, op_infos

SAMPLES = [(info, sample) for info in op_infos() for sample in info.samples()]
#: Large enough to be cut into blocks, or of odd sizes; one of each op at least.
THREADED = [
    pytest.param(info, sample, dtype, id=f"{info.name}-{sample.id}-{dtype}")
    for info, sample in SAMPLES
    for dtype in (("float32", "float64") if "large" in sample.tags else ("float32",))
    if sample.tags & {"large", "odd", "special"} or sample is info.samples()[-1]
]


@pytest.mark.parametrize("info,sample,dtype", THREADED)
def test_bits_do_not_depend_on_threads(info: OpInfo, sample: Sample, dtype: str) -> None:
    check_threads(info, sample, dtype, (*THREADS, *THREADS[1:]))


@pytest.mark.parametrize("n,c,size", [(8, 16, 31), (5, 33, 17)])
def test_training_step_bits(n: int, c: int, size: int, threads: Any) -> None:
    """A whole step, with blocks of every kernel: the same loss and gradients."""

    def step() -> list[Any]:
        gs.manual_seed(3)
        F = gs.nn.functional
        x = gs.randn(n, 3, size, size)
        w = gs.randn(c, 3, 3, 3, requires_grad=True)
        v = gs.randn(10, c, requires_grad=True)
        h = F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2)
        h = F.dropout(h, 0.3).mean((2, 3))
        loss = F.cross_entropy(F.linear(h, v), gs.tensor(list(range(n))))
        loss.backward()
        return [loss.detach().numpy().copy(), w.grad.numpy().copy(), v.grad.numpy().copy()]

    threads(1)
    first = step()
    for count in THREADS:
        threads(count)
        for a, b in zip(first, step(), strict=True):
            assert_equal(b, a, name=f"at {count} threads")


@pytest.mark.parametrize("info", op_infos(), ids=lambda info: info.name)
def test_every_isa_is_right(info: OpInfo) -> None:
    """Every sample on every ISA build against the reference; test_ops has run the best one."""
    report = opcheck(info, checks="isas")
    assert report.count or len(_cpu.isas()) == 1


def test_isa_can_be_chosen() -> None:
    assert _cpu.isa() in _cpu.isas()
    with pytest.raises(ValueError, match="set_isa: this processor runs .*; got 'v9'"):
        _cpu.set_isa("v9")


def test_integer_results_are_equal_on_every_isa() -> None:
    """Small integers make every order of summation exact: all ISAs give the same bits."""
    rng = np.random.default_rng(0)
    x = gs.from_numpy(rng.integers(-3, 4, (4, 5, 19, 21)).astype(np.float32)).requires_grad_()
    w = gs.from_numpy(rng.integers(-3, 4, (7, 5, 3, 3)).astype(np.float32)).requires_grad_()
    results = []
    before = _cpu.isa()
    try:
        for name in _cpu.isas():
            _cpu.set_isa(name)
            y = gs.nn.functional.conv2d(x, w, stride=2, padding=1)
            grads = gs.autograd.grad(y.sum(), (x, w))
            results.append([t.detach().numpy().copy() for t in (y, *grads)])
    finally:
        _cpu.set_isa(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


def test_random_numbers_repeat() -> None:
    for draw in (gs.rand, gs.randn):
        gs.manual_seed(11)
        first = [draw(1000).numpy().copy(), draw(7, 3).numpy().copy()]
        gs.manual_seed(11)
        assert_equal(draw(1000), first[0])
        assert_equal(draw(7, 3), first[1])
        assert not np.array_equal(first[0][:21], first[1].reshape(-1))
