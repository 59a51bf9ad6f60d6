"""The whole opdb on device "cuda": on a GPU, else on the emulator, which runs the same kernels."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import pytest
from conftest import is_full, sampled
from gradsmith.kernels import KERNELS, table
from gradsmith.testing.checks import (
    check_error,
    check_forward,
    check_gradient,
    check_second,
    samples_of,
    size_of,
)
from gradsmith.testing.opdb import OpInfo, Sample, op_infos
from gradsmith.testing.opdb import conv as conv_samples
from gradsmith.testing.schedules import check_schedules
from test_ops import check_conv_exactly

#: Under the emulator a kernel costs milliseconds, a large one seconds.
LIMIT = 4000


def small(info: OpInfo, count: int) -> list[Sample]:
    """A sample of each tag, and more of them by a seeded choice; all with --full."""
    return samples_of(info, None if is_full() else count, limit=LIMIT)


def each(infos: Any) -> Any:
    return pytest.mark.parametrize("info", infos, ids=lambda info: info.name)


def test_no_kernel_is_missing(cuda: str) -> None:
    assert table(cuda).missing == ()
    assert set(dir(table(cuda))) >= set(KERNELS)


@each(op_infos())
def test_forward(info: OpInfo, cuda: str) -> None:
    """Every sample, in float32 and in float64."""
    for dtype in ("float32", "float64"):
        for sample in samples_of(info, None, limit=LIMIT):
            try:
                check_forward(info, sample, dtype, cuda)
            except Exception as error:
                raise AssertionError(f"{dtype} {sample.id}: {error!r}") from error


@each([info for info in op_infos() if info.differentiable])
def test_gradient(info: OpInfo, cuda: str) -> None:
    """Strides and state are looked at once an op: the emulator is slow."""
    smooth = [s for s in samples_of(info, None, limit=LIMIT) if s.has_gradient]
    for i, sample in enumerate(smooth):
        try:
            check_gradient(info, sample, cuda, 2, safety=not i)
        except Exception as error:
            raise AssertionError(f"{sample.id}: {error!r}") from error


@each([info for info in op_infos() if info.differentiable and info.second])
def test_second_derivative(info: OpInfo, cuda: str) -> None:
    for sample in small(info, 30):
        if sample.has_gradient and size_of(sample) <= 1200:
            try:
                check_second(info, sample, cuda, 1)
            except Exception as error:
                raise AssertionError(f"{sample.id}: {error!r}") from error


@each([info for info in op_infos() if info.errors])
def test_errors(info: OpInfo, cuda: str) -> None:
    """The errors are the CPU's, word for word where the sample says so."""
    for sample in info.errors:
        try:
            check_error(info, sample, cuda)
        except BaseException as error:
            raise AssertionError(f"{sample.id}: {error!r}") from error


@each([info for info in op_infos() if info.name != "transfer"])  # its result is on the host
def test_every_schedule_gives_the_same_bits(info: OpInfo, cuda: str) -> None:
    """Warps that run ahead of one another, forward and back: no barrier is missing."""
    if not gs.cuda.is_emulated():
        pytest.skip("a GPU has a schedule of its own")
    found = [s for s in samples_of(info, None, limit=LIMIT) if "special" not in s.tags]
    for sample in sorted(found, key=size_of)[-2:]:
        check_schedules(info, sample, "float32")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv_grid_is_exact(n: int, cuda: str) -> None:
    for sample in sampled(list(conv_samples.grid(n)), 12, seed=10 + n):
        check_conv_exactly(n, sample, "float32", cuda)


def test_training_step_follows_the_cpu(cuda: str) -> None:
    """Forward and backward of a small network, device against device."""
    F = gs.nn.functional
    results = []
    for device in ("cpu", cuda):
        gs.manual_seed(0)
        x = gs.randn(4, 2, 8, 8, device=device)
        w = gs.randn(5, 2, 3, 3, device=device, requires_grad=True)
        v = gs.randn(3, 5 * 16, device=device, requires_grad=True)
        h = F.dropout(F.max_pool2d(F.relu(F.conv2d(x, w, padding=1)), 2), 0.25)
        loss = F.cross_entropy(F.linear(h.flatten(1), v), gs.tensor([0, 2, 1, 0], device=device))
        loss.backward()
        results.append([t.cpu().numpy() for t in (loss.detach(), w.grad, v.grad)])
    for a, b in zip(*results, strict=True):
        assert abs(a - b).max() <= 1e-5 * max(1.0, abs(a).max())
