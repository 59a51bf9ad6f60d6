"""Several Python threads, the lock of the interpreter, and fork."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from interpreter import run_python


def small_step(seed: int) -> Any:
    """A step of a small network, on its own tensors."""
    F = gs.nn.functional
    rng = np.random.default_rng(seed)
    x = gs.from_numpy(rng.standard_normal((16, 3, 12, 12)).astype(np.float32))
    w = gs.from_numpy(rng.standard_normal((8, 3, 3, 3)).astype(np.float32)).requires_grad_()
    v = gs.from_numpy(rng.standard_normal((5, 8 * 25)).astype(np.float32)).requires_grad_()
    h = F.max_pool2d(F.relu(F.conv2d(x, w)), 2).flatten(1)
    loss = F.cross_entropy(F.linear(h, v), gs.from_numpy(rng.integers(0, 5, 16)))
    loss.backward()
    return [loss.item(), w.grad.numpy().copy(), v.grad.numpy().copy()]


@pytest.mark.parametrize("count", [2, 5])
def test_threads_run_steps_at_once(count: int) -> None:
    expected = [small_step(seed) for seed in range(count)]
    problems: list[Any] = []

    def work(seed: int) -> None:
        try:
            for _ in range(15):
                for a, b in zip(small_step(seed), expected[seed], strict=True):
                    assert np.array_equal(a, b)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
        assert not t.is_alive(), "hangs"
    assert not problems, problems


def test_threads_share_inputs() -> None:
    """Several threads read the same leaves, each with autograd.grad of its own graph."""
    w = gs.from_numpy(np.random.default_rng(0).standard_normal((64, 64))).requires_grad_()
    (expected,) = gs.autograd.grad((w @ w).tanh().sum(), w)
    wrong = []

    def work() -> None:
        for _ in range(20):
            (g,) = gs.autograd.grad((w @ w).tanh().sum(), w)
            if not np.array_equal(g.numpy(), expected.numpy()):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
        assert not t.is_alive()
    assert not wrong


def test_large_kernels_release_the_gil() -> None:
    """While a large kernel runs in one thread, another thread's Python runs; not in a small one."""
    large, small = gs.ones(700, 700), gs.ones(4)
    wake = threading.Event()
    stop: list[int] = []
    progress: list[int] = []

    def work() -> None:
        while True:
            wake.wait()
            wake.clear()
            if stop:
                return
            progress.append(1)

    t = threading.Thread(target=work)
    t.start()
    before = sys.getswitchinterval()
    # The woken thread now runs only when this one lets go of the lock.
    sys.setswitchinterval(1000.0)
    try:
        wake.set()
        for _ in range(100):
            small + small
        early = len(progress)
        for _ in range(100):
            large @ large
            if progress:
                break
        late = len(progress)
    finally:
        sys.setswitchinterval(before)
        stop.append(1)
        wake.set()
        t.join(timeout=60)
    assert not t.is_alive()
    assert (early, late) == (0, 1)


FORK = """
import os, signal, sys
import numpy as np
import gradsmith as gs

gs.set_num_threads(3)
x = gs.from_numpy(np.random.default_rng(0).standard_normal((300, 300)))

def work():
    w = x.detach().requires_grad_()
    ((w @ w).exp() * 1e-30).sum().backward()
    return w.grad.numpy().tobytes()

expected = work()
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        ok = work() == expected and work() == expected
        os._exit(0 if ok else 3)
    assert work() == expected
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
# a child of a child, and many children at once
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        inner = os.fork()
        if inner == 0:
            os._exit(0 if work() == expected else 3)
        _, status = os.waitpid(inner, 0)
        os._exit(0 if status == 0 and work() == expected else 4)
    children.append(pid)
for pid in children:
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
print("ok")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_survival() -> None:
    """Use, fork, use in the child and in the parent: no hang, the same bits."""
    assert "ok" in run_python(FORK, timeout=180)


FORK_WHILE_BUSY = """
import os, signal, threading
import numpy as np
import gradsmith as gs

gs.set_num_threads(2)
x = gs.from_numpy(np.ones((200, 200)))
stop = threading.Event()

def busy():
    while not stop.is_set():
        (x @ x).exp()

t = threading.Thread(target=busy)
t.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        y = (x @ x).sum()
        os._exit(0 if y.item() == 200.0 ** 3 else 3)
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
stop.set()
t.join()
print("ok")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_another_thread_computes() -> None:
    """No lock of the allocator or of the thread pool is left held in the child."""
    assert "ok" in run_python(FORK_WHILE_BUSY, timeout=180)
