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


@pytest.mark.parametrize("n", [1_000_003, 2_000_003])
def test_bits_of_a_pass_that_turns(n: int, threads: Any) -> None:
    """Arrays of a few second-level caches: every other pass takes its blocks from the last."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n, dtype=np.float32)
    image = x[: n // 6272 * 6272].reshape(-1, 2, 56, 56)
    c = np.array([1.5, -0.25], np.float32)
    results = {
        "relu": lambda k: k.relu(x),
        "add": lambda k: k.add(x, x[::-1]),
        "sum": lambda k: k.sum(x, (0,), ()),
        "rows": lambda k: k.sum(image, (2, 3), image.shape[:2]),
        "columns": lambda k: k.sum(image, (0,), image.shape[1:]),
        "copy": lambda k: k.copy(x[::-1], x.dtype),
        "norm": lambda k: k.batch_norm_eval(image, c, c, c, c * c, 1e-5),
        "pool": lambda k: k.avg_pool(
            image, (*image.shape[:2], 28, 28), (2, 2), (2, 2), (0, 0), True, 0
        ),
    }
    threads(1)
    first = {name: call(_cpu).copy() for name, call in results.items()}
    assert_equal(first["relu"], np.maximum(x, 0), name="relu")
    assert_equal(first["add"], x + x[::-1], name="add")
    assert_equal(first["copy"], x[::-1].copy(), name="copy")
    for count in (1, 2, 3):
        threads(count)
        for name, call in results.items():
            for run in range(3):  # one way and the other
                assert_equal(call(_cpu), first[name], name=f"{name} at {count} threads, {run}")


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


F = gs.nn.functional
#: What gives a sample the same bits alone as among others: docs/architecture.md.
ALONE: dict[str, tuple[tuple[int, ...], Any]] = {
    "elementwise": ((33, 77), lambda x: gs.exp(x) * x + 1.0),
    "gelu": ((33, 77), F.gelu),
    "tanh": ((33, 1001), gs.tanh),
    "sum": ((33, 5003), lambda x: x.sum(1)),
    "amax": ((33, 1003), lambda x: x.amax(1)),
    "softmax": ((33, 1000), lambda x: F.softmax(x, 1)),
    "log_softmax": ((33, 10), lambda x: F.log_softmax(x, 1)),
    "layer_norm": ((33, 768), lambda x: F.layer_norm(x, (768,))),
    "rms_norm": ((33, 70), lambda x: F.rms_norm(x, (70,))),
    "group_norm": ((9, 12, 7, 7), lambda x: F.group_norm(x, 4)),
    "instance_norm": ((9, 5, 13, 13), F.instance_norm),
    "max_pool2d": ((9, 5, 13, 13), lambda x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool2d": ((9, 5, 13, 13), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "attention": ((5, 4, 50, 64), lambda x: F.scaled_dot_product_attention(x, x, x)),
    "depthwise": ((9, 32, 14, 14), lambda x: F.conv2d(x, _FILTERS[x.dtype], padding=1, groups=32)),
}
_FILTERS = {d: gs.randn(32, 1, 3, 3, dtype=d) for d in (gs.float32, gs.float64)}


@pytest.mark.parametrize("dtype", [gs.float32, gs.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", ALONE)
def test_a_sample_alone_or_among_others(name: str, dtype: Any) -> None:
    shape, f = ALONE[name]
    x = gs.randn(*shape, dtype=dtype)
    before = _cpu.isa()
    try:
        for isa in _cpu.isas():
            _cpu.set_isa(isa)
            whole = f(x).numpy()
            for first, last in ((0, 1), (1, 2), (2, 5), (0, shape[0] - 1)):
                part = f(x[first:last].contiguous()).numpy()
                assert_equal(part, whole[first:last], name=f"{isa}: {first} to {last}")
    finally:
        _cpu.set_isa(before)


def test_a_product_among_others_is_within_rounding() -> None:
    """Here the bits may differ, by what another order of summation makes."""
    w, filters = gs.randn(512, 784), gs.randn(64, 64, 3, 3)
    for x, f, tolerance in (
        (gs.randn(64, 784), lambda x: F.linear(x, w), 1e-6),
        (gs.randn(16, 64, 14, 14), lambda x: F.conv2d(x, filters, padding=1), 1e-5),
    ):
        whole = f(x).numpy()
        for n in (1, 3, 8):
            far = np.abs(f(x[:n].contiguous()).numpy() - whole[:n]).max()
            assert far <= tolerance * np.abs(whole).max()


def test_random_numbers_repeat() -> None:
    for draw in (gs.rand, gs.randn):
        gs.manual_seed(11)
        first = [draw(1000).numpy().copy(), draw(7, 3).numpy().copy()]
        gs.manual_seed(11)
        assert_equal(draw(1000), first[0])
        assert_equal(draw(7, 3), first[1])
        assert not np.array_equal(first[0][:21], first[1].reshape(-1))
