"""Memory shared with others: DLPack; forks; threads."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref

from harness import F, case, counted, device, gs, np, of, refused, right, t


class _Producer:
    """Hands out one capsule of an array's, again and again."""

    def __init__(self, array):
        self.capsule, self.where = array.__dlpack__(), array.__dlpack_device__()

    def __dlpack__(self, **options):
        return self.capsule

    def __dlpack_device__(self):
        return self.where


@case("DLPack", "a capsule consumed twice")
def twice():
    producer = _Producer(np.arange(4.0, dtype="f"))
    x = gs.from_dlpack(producer)
    refused(lambda: gs.from_dlpack(producer), ValueError, RuntimeError, BufferError, TypeError)
    right(lambda: x, [0, 1, 2, 3])
    if device == "cpu":
        theirs = _Producer(t(4))
        array = np.from_dlpack(theirs)
        try:
            np.from_dlpack(theirs)
        except (ValueError, RuntimeError, BufferError, TypeError):
            counted()
        assert array.shape == (4,)


@case("DLPack", "a capsule never consumed")
def never():
    array = np.arange(64.0)
    alive = weakref.finalize(array, lambda: None)
    for _ in range(50):
        array.__dlpack__()
        if device == "cpu":
            gs.from_numpy(array).__dlpack__()
    gc.collect()
    assert alive.alive
    del array
    gc.collect()
    assert not alive.alive, "the capsules keep the array"
    counted()


@case("DLPack", "a producer that goes first")
def producer_first():
    for _ in range(20):
        array = np.full(100_000, 3.0)
        x = gs.from_dlpack(array)
        del array
        gc.collect()
        assert float(x.sum().item()) == 300_000.0
        if device == "cpu":
            y = np.from_dlpack(x * 1.0)
            gc.collect()
            assert y.sum() == 300_000.0
        counted()


@case("DLPack", "read-only and foreign memory")
def foreign():
    array = np.arange(4.0)
    array.flags.writeable = False
    try:
        x = gs.from_dlpack(array)
    except (BufferError, ValueError, TypeError, RuntimeError) as error:
        assert str(error)
    else:
        try:
            x.add_(1.0)
        except (RuntimeError, ValueError) as error:
            assert str(error)
        assert array.tolist() == [0, 1, 2, 3]
    for wrong in (None, 3, "x", object(), [1.0], {}):
        refused(lambda: gs.from_dlpack(wrong), TypeError, AttributeError, RuntimeError)
    for other in (np.zeros(3, ">f4"), np.zeros(3, "c8"), np.zeros(3, "S1")):
        refused(
            lambda: gs.from_dlpack(other), TypeError, BufferError, RuntimeError, NotImplementedError
        )
    reverse = np.arange(4.0)[::-1]
    right(lambda: gs.from_dlpack(reverse), [3, 2, 1, 0])
    right(lambda: gs.from_dlpack(np.zeros((0, 3))), np.zeros((0, 3)))
    right(lambda: gs.from_dlpack(np.array(2.0)), 2.0)
    if device == "cuda" and gs.cuda.is_emulated():
        refused(lambda: np.from_dlpack(t(3)), Exception)
    refused(lambda: t(3).requires_grad_().__dlpack__(), BufferError, RuntimeError)


@case("fork")
def fork():
    if device == "cuda" and not gs.cuda.is_emulated():
        counted()  # CUDA itself cannot be used after a fork
        return
    x, w = t(2, 3, 12, 12), t(4, 3, 3, 3).requires_grad_()

    def work():
        w.grad = None
        F.conv2d(x, w).exp().sum().backward()
        return w.grad.cpu().numpy()

    before = work()
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            signal.alarm(40)
            try:
                same = np.array_equal(work(), before)
                os._exit(0 if same else 3)
            except BaseException:
                os._exit(4)
        end = time.monotonic() + 45
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            assert time.monotonic() < end, "the child hangs"
            time.sleep(0.01)
        assert status == 0, f"the child ended with status {status}"
        assert np.array_equal(work(), before)
        counted()


def _in_four_threads(work):
    """All of them end, and none with an exception."""
    faults = []

    def run():
        try:
            work()
        except BaseException as error:
            faults.append(repr(error))

    crew = [threading.Thread(target=run) for _ in range(4)]
    for one in crew:
        one.start()
    for one in crew:
        one.join(50)
    assert not faults and not any(one.is_alive() for one in crew), faults


@case("threads")
def threads():
    x, w = t(4, 3, 10, 10), t(5, 3, 3, 3)
    times = 10 if device == "cpu" else 2

    def work():
        leaf = w.clone().requires_grad_()
        loss = F.cross_entropy(
            F.max_pool2d(F.relu(F.conv2d(x, leaf)), 2).flatten(1), of([0, 1, 2, 3], np.int64)
        )
        loss.backward()
        return leaf.grad.cpu().numpy()

    wanted = work()

    def run():
        for _ in range(times):
            assert np.array_equal(work(), wanted), "other bits"

    _in_four_threads(run)
    counted()


@case("threads", "one leaf, many graphs")
def shared_leaf():
    leaf = t(8, 8).requires_grad_()
    _in_four_threads(lambda: (leaf @ leaf).sum().backward())
    a = leaf.detach().cpu().numpy().astype(np.float64)
    one = np.ones((8, 8)) @ a.T + a.T @ np.ones((8, 8))
    found = leaf.grad.cpu().numpy()  # nothing is lost
    assert np.allclose(found, 4 * one, rtol=1e-5, atol=1e-4), found / one
    counted()
