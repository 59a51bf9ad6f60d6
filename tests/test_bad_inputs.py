"""Inputs that broke other libraries, each row in a process of its own, on both devices.

The outcome is an exception with a clear message or a right answer: never a signal, a hang, an
access out of bounds or silent garbage. `refused`, `right` and `either` in the prelude say which.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import gradsmith as gs
import pytest

PRELUDE = """
import resource
import sys

import numpy as np
import gradsmith as gs
from gradsmith.autograd.dispatch import apply
from gradsmith.autograd.op import OPS

device = sys.argv[1]
if device == "cuda" and not gs.cuda.is_available():
    gs.cuda.use_emulator()
if device == "cpu" or gs.cuda.is_emulated():
    # What asks for absurd amounts of memory must get an error, not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
F = gs.nn.functional
checked = 0


def t(*shape, seed=0, dtype=np.float32):
    values = np.random.default_rng(seed).standard_normal(shape)
    return gs.tensor(values.astype(dtype), device=device)


def of(values, dtype=np.float32):
    return gs.tensor(np.array(values, dtype), device=device)


def refused(call, *errors):
    global checked
    errors = errors or (RuntimeError, ValueError, IndexError, TypeError, MemoryError)
    try:
        result = call()
        if device == "cuda":
            gs.cuda.synchronize()
    except errors as error:
        assert len(str(error)) > 10, f"no clear message: {error!r}"
        checked += 1
        return
    raise AssertionError(f"not refused: {result!r:.300}")


def right(call, expected):
    global checked
    found = call().detach().cpu().numpy()
    expected = np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True), (found, expected)
    checked += 1


def either(call, expected):
    # an error, or the right answer
    global checked
    try:
        found = call().detach().cpu().numpy()
    except (RuntimeError, ValueError, MemoryError) as error:
        assert len(str(error)) > 10, f"no clear message: {error!r}"
    else:
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5), (found, expected)
    checked += 1


def still_works():
    right(lambda: of([1.0, 2.0]) + 1.0, [2.0, 3.0])

"""

ROWS = {
    # CVE-2021-41209, CVE-2022-35996: division by zero with an empty filter or input
    "empty convolution": """
        for n in (1, 2, 3):
            conv = getattr(F, f"conv{n}d")
            full = (2, 4, *((5,) * n))
            kernel = (6, 4, *((3,) * n))
            for i in range(n + 2):
                x = [*full]; x[i] = 0
                w = [*kernel]
                if i == 1:
                    w[1] = 0
                call = lambda: conv(t(*x), t(*w), padding=1)
                if i == 0:
                    right(call, np.zeros((0, 6, *((5,) * n))))
                elif i == 1:
                    right(call, np.zeros((2, 6, *((5,) * n))))
                else:
                    refused(call)
                w = [*kernel]; w[i] = 0
                call = lambda: conv(t(*full), t(*w), padding=1)
                if i == 0:
                    right(call, np.zeros((2, 0, *((5,) * n))))
                else:
                    refused(call)
    """,
    # CVE-2021-29538: the weight's gradient of an empty batch
    "empty convolution, backward": """
        for n in (1, 2, 3):
            conv = getattr(F, f"conv{n}d")
            x = t(0, 4, *((5,) * n)).requires_grad_()
            w = t(6, 4, *((3,) * n)).requires_grad_()
            b = t(6).requires_grad_()
            conv(x, w, b).sum().backward()
            right(lambda: x.grad, np.zeros((0, 4, *((5,) * n))))
            right(lambda: w.grad, np.zeros((6, 4, *((3,) * n))))
            right(lambda: b.grad, np.zeros(6))
            back = getattr(F, f"conv_transpose{n}d")
            w = t(4, 6, *((3,) * n)).requires_grad_()
            back(x, w, b).sum().backward()
            right(lambda: w.grad, np.zeros((4, 6, *((3,) * n))))
    """,
    # CVE-2022-21725
    "stride": """
        x, w = t(1, 1, 5, 5), t(1, 1, 2, 2)
        for stride in (0, -1, (1, 0), (1, 2, 3), (), 1.0, "1", None, [1, None], True, 2**63,
                       -2**63):
            refused(lambda: F.conv2d(x, w, stride=stride), ValueError, TypeError)
            refused(lambda: F.conv_transpose2d(x, w, stride=stride), ValueError, TypeError)
            if stride not in (None, ()):  # the kernel's size
                refused(lambda: F.max_pool2d(x, 2, stride=stride), ValueError, TypeError)
                refused(lambda: F.avg_pool2d(x, 2, stride=stride), ValueError, TypeError)
        either(lambda: F.conv1d(of(np.ones((1, 1, 5))), of(np.ones((1, 1, 2))), stride=2**62), 2.0)
    """,
    # CVE-2023-27579, CVE-2021-29602
    "groups": """
        x, w = t(2, 4, 5, 5), t(6, 2, 3, 3)
        for groups in (0, -1, 3, 5, 4, 2**31, 2**63, 2.0, None, True):
            refused(lambda: F.conv2d(x, w, groups=groups))
        right(lambda: F.conv2d(x, w, groups=2).sum() * 0.0, 0.0)
        # depthwise without channels
        refused(lambda: F.conv2d(t(2, 0, 5, 5), t(0, 1, 3, 3), groups=0))
        refused(lambda: F.conv2d(t(2, 4, 5, 5), t(0, 1, 3, 3), groups=0))
        right(lambda: F.conv2d(t(2, 0, 5, 5), t(0, 0, 3, 3), groups=1), np.zeros((2, 0, 3, 3)))
    """,
    # CVE-2022-29201
    "bias": """
        x, w = t(2, 4, 5, 5), t(6, 4, 3, 3)
        for bias in (t(0), t(5), t(7), t(6, 1), t(1), of(1.0), 3.0, "b"):
            refused(lambda: F.conv2d(x, w, bias))
        for bias in (t(0), t(3), t(5), t(4, 1), of(1.0)):
            refused(lambda: F.linear(t(2, 3), t(4, 3), bias))
    """,
    # CVE-2021-37651
    "pooling of nothing, backward": """
        for n in (1, 2, 3):
            for name in ("max_pool", "avg_pool"):
                pool = getattr(F, f"{name}{n}d")
                for shape in ((0, 3), (2, 0), (0, 0)):
                    x = t(*shape, *((4,) * n)).requires_grad_()
                    y = pool(x, 2)
                    y.sum().backward()
                    right(lambda: x.grad, np.zeros((*shape, *((4,) * n))))
                refused(lambda: pool(t(2, 3, *((0,) * n)), 1), RuntimeError)
                refused(lambda: pool(t(2, 3, *((0,) * n)), 2, padding=1), RuntimeError)
    """,
    # CVE-2022-41897
    "indices out of range": """
        options = ((2, 2), (2, 2), (0, 0), (1, 1))
        for index in (-1, 16, 17, 2**31 - 1, -2**31):
            indices = of(np.zeros((1, 1, 2, 2)), np.int32)
            bad = np.zeros((1, 1, 2, 2), np.int32)
            bad[0, 0, 1, 1] = index
            refused(lambda: apply(OPS["max_pool_gather"], (t(1, 1, 4, 4), of(bad, np.int32)), ()),
                    IndexError)
            bad = np.zeros((2, 3), np.int64)
            bad[1, 2] = index
            refused(lambda: apply(OPS["gather_dim"], (t(2, 4, 3), of(bad, np.int64)), (1, (2, 3))),
                    IndexError)
            refused(lambda: apply(OPS["scatter_sum"], (t(2, 3), of(bad, np.int64)), ((2, 4, 3), 1)),
                    IndexError)
        for index in (2**31, 2**32, 2**63 - 1, -2**63, 4):
            bad = np.zeros((2, 3), np.int64)
            bad[0, 1] = index
            refused(lambda: apply(OPS["gather_dim"], (t(2, 4, 3), of(bad, np.int64)), (1, (2, 3))),
                    IndexError)
            refused(lambda: apply(OPS["scatter_sum"], (t(2, 3), of(bad, np.int64)), ((2, 4, 3), 1)),
                    IndexError)
    """,
    # max_pool_bwd gathers: an index outside of its window is never looked at, whatever it is
    "indices of max_pool_bwd": """
        for index in (-1, 16, 2**31 - 1, -2**31):
            bad = np.full((1, 1, 2, 2), index, np.int32)
            call = lambda: apply(OPS["max_pool_bwd"], (t(1, 1, 2, 2), of(bad, np.int32)),
                                 ((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)))
            try:
                assert call().cpu().numpy().tolist() == np.zeros((1, 1, 4, 4)).tolist()
            except IndexError as error:
                assert str(error)
            checked += 1
    """,
    # CVE-2022-21735, pytorch#50967
    "pooling windows": """
        x = t(1, 1, 6, 6)
        for pool in (F.max_pool2d, F.avg_pool2d):
            for kernel in (0, -1, (2, 0), (2, -1), [], (), (2, 2, 2), 7, (2, 7), 2**31, 2**63 - 1,
                           2**64, 1.5, None, "2", True):
                refused(lambda: pool(x, kernel))
            for padding in (-1, 2, (0, 2), 2**31, 2**62, 0.5, (0,) * 3):
                refused(lambda: pool(x, 2, padding=padding))
        refused(lambda: F.avg_pool2d(x, 2, divisor_override=0))
        refused(lambda: F.avg_pool2d(x, 2, divisor_override=-3))
        refused(lambda: F.max_pool2d(x, 2, dilation=0))
        refused(lambda: F.max_pool2d(x, 2, dilation=-1))
        refused(lambda: F.max_pool2d(x, 2, dilation=2**62))
    """,
    # CVE-2022-21728
    "dims out of range": """
        x = t(2, 3)
        for d in (-3, 2, 100, -100, 2**31, -2**31, 2**63, -2**63 - 1):
            for call in (
                lambda: x.sum(d), lambda: x.mean(d), lambda: gs.amax(x, d), lambda: gs.max(x, d),
                lambda: x.sum((0, d)), lambda: gs.cat([x, x], d), lambda: F.log_softmax(x, d),
                lambda: x.transpose(0, d), lambda: x.permute(0, d), lambda: x.flatten(d),
                lambda: x.squeeze(d), lambda: x.movedim(0, d), lambda: x.size(d),
            ):
                refused(call, IndexError)
        for d in (-4, 3, 2**31):
            refused(lambda: x.unsqueeze(d), IndexError)
        for i in (2, -3, 2**31, 2**63, -2**63 - 1):
            refused(lambda: x[i], IndexError)
    """,
    # CVE-2019-16778: sizes that do not fit into 32 bits, or into 64
    "large numbers": """
        x, w = t(1, 1, 5), t(1, 1, 2)
        for n in (2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64):
            refused(lambda: F.conv1d(x, w, dilation=n))
            refused(lambda: F.max_pool1d(x, 2, dilation=n))
            refused(lambda: F.max_pool1d(x, n))
            refused(lambda: F.avg_pool1d(x, n))
            refused(lambda: F.conv1d(x, w, padding=n))
            refused(lambda: F.conv_transpose1d(x, w, stride=n))
            refused(lambda: F.conv_transpose1d(x, w, dilation=n))
            refused(lambda: gs.zeros(n, 8, device=device))
            refused(lambda: x.reshape(n))
            refused(lambda: x.expand(1, 1, n))
            if n < 2**63:
                either(lambda: F.conv1d(x, w, stride=n), F.conv1d(x, w).cpu().numpy()[..., :1])
                either(lambda: F.max_pool1d(x, 2, stride=n), [[[x[0, 0, :2].cpu().numpy().max()]]])
        one = t(1)
        for n in (2**31, 2**32 + 5, 2**40):
            big = one.expand(n)
            assert big.shape == (n,) and big.numel() == n
            assert big[n - 3 :].shape == (3,)
            right(lambda: big[n - 3 :] * 1.0, np.repeat(one.cpu().numpy(), 3))
            assert big[2**30 :: 2**29].shape == (len(range(2**30, n, 2**29)),)
            refused(lambda: big * 1.0, MemoryError)
            refused(lambda: big.clone(), MemoryError)
        refused(lambda: gs.full((2**45,), 1.0, device=device), MemoryError)
    """,
    # CVE-2021-41198: more elements than 63 bits count: an error before any allocation
    "products that overflow": """
        one = t(1, 1)
        a, b = one.expand(2**40, 1), one.expand(1, 2**40)
        refused(lambda: a + b)
        refused(lambda: a @ b)
        refused(lambda: gs.cat([one.expand(2**62, 1), one.expand(2**62, 1)]))
        refused(lambda: gs.cat([one.expand(1, 2**62)] * 4))
        refused(lambda: one.expand(2**32, 2**32).contiguous())
        refused(lambda: one.expand(2**32, 2**32).reshape(2**64))
        refused(lambda: gs.zeros(2**32, 2**32, device=device))
        refused(lambda: gs.randn(2**62, 4, device=device))
        refused(lambda: F.conv2d(t(1, 1, 3, 3), t(1, 1, 1, 1), padding=2**31))
        refused(lambda: F.conv_transpose2d(t(1, 1, 3, 3), t(1, 1, 1, 1), stride=2**31))
        refused(lambda: one.expand(2**62, 8))
    """,
    # pytorch#136716, #142454
    "dilation": """
        x, w = t(1, 1, 5, 5), t(1, 1, 2, 2)
        for dilation in (0, -1, (1, -1), -2**31, 1.0, (1,) * 3):
            refused(lambda: F.conv2d(x, w, dilation=dilation), ValueError, TypeError)
            refused(lambda: F.conv_transpose2d(x, w, dilation=dilation), ValueError, TypeError)
            refused(lambda: F.max_pool2d(x, 2, dilation=dilation), ValueError, TypeError)
    """,
    # pytorch#7645, tensorflow#125965: NaN lost in a lane, in the tail, beside the padding
    "NaN in max pooling": """
        widths = range(2, 41) if device == "cpu" else (2, 5, 8, 19)
        for width in widths:
            for value in (np.nan, np.inf, -np.inf):
                x = np.random.default_rng(width).standard_normal((width, 1, width)).astype("f")
                for i in range(width):
                    x[i, 0, i] = value
                for kernel, stride, padding in ((2, 1, 0), (2, 2, 1), (3, 1, 1)):
                    if kernel > width + 2 * padding:
                        continue
                    count = (width + 2 * padding - kernel) // stride + 1
                    windows = [
                        x[..., max(p * stride - padding, 0) : p * stride - padding + kernel]
                        for p in range(count)
                    ]
                    expected = np.stack([v.max(-1) for v in windows], -1)
                    right(lambda: F.max_pool1d(of(x), kernel, stride, padding), expected)
        for shape in ((1,), (7,), (40,), (3, 33)):
            for i in range(int(np.prod(shape))):
                x = np.zeros(shape, "f")
                x.reshape(-1)[i] = np.nan
                right(lambda: gs.amax(of(x)), np.nan)
                right(lambda: gs.max(of(x), -1)[0], x.max(-1))
                if device == "cuda" and i > 5:
                    break
    """,
    # pytorch#17935, numpy#33812: an error, or as if operands were read before anything is written
    "in place on overlapping memory": """
        a = np.arange(16.0, dtype="f").reshape(4, 4)
        x = of(a)
        x.add_(x.T)
        right(lambda: x, a + a.T)
        x = of(a)
        x.mul_(x.T)
        right(lambda: x, a * a.T)
        x = of(np.arange(10))
        x[1:].copy_(x[:-1])
        right(lambda: x, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        x = of(np.arange(10))
        x[:-1].copy_(x[1:])
        right(lambda: x, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
        x = of(a)
        x.copy_(x.T)
        right(lambda: x, a.T)
        for change in (lambda y: y.add_(1.0), lambda y: y.mul_(y), lambda y: y.zero_(),
                       lambda y: y.copy_(of(np.arange(3)))):
            y = of([5.0])
            try:
                change(y.expand(3))
            except RuntimeError as error:
                assert str(error)
                right(lambda: y, [5.0])
            else:
                assert y.item() in (6.0, 25.0, 0.0, 2.0), y.item()
    """,
    "labels": """
        x = t(4, 5)
        for loss in (F.cross_entropy, F.nll_loss):
            for label in (-1, 5, 6, 2**31, 2**32, 2**63 - 1, -2**63, -101):
                target = of([0, 1, label, 2], np.int64)
                refused(lambda: loss(x, target), IndexError)
                refused(lambda: loss(x, target, ignore_index=3), IndexError)
                refused(lambda: loss(x, target, reduction="none"), IndexError)
                refused(lambda: loss(x, target, weight=t(5)), IndexError)
                still_works()
            refused(lambda: loss(x, of([0.0, 1.0, 2.0, 3.0])), RuntimeError)
            refused(lambda: loss(x, of([0, 1, 2], np.int64)), RuntimeError)
            for label in (-100, -1, 5, 2**40):
                target = of([0, label, 1, label], np.int64)
                y = loss(x, target, ignore_index=label, reduction="none")
                assert y.cpu().numpy()[[1, 3]].tolist() == [0.0, 0.0]
                both = loss(x, target, ignore_index=label)
                part = loss(gs.cat([x[0:1], x[2:3]]), of([0, 1], np.int64))
                right(lambda: both, part.cpu().numpy())
    """,
    "optimizers": """
        def parameter(grad=None):
            p = gs.Parameter(of([1.0, 2.0]))
            if grad is not None:
                p.grad = of(grad)
            return p

        for make in (lambda ps, **o: gs.optim.SGD(ps, **{"lr": 0.1, **o}), gs.optim.Adam):
            refused(lambda: make([]), ValueError)
            refused(lambda: make([parameter()], lr=-1.0), ValueError)
            refused(lambda: make([parameter()], lr=float("nan")), ValueError)
            refused(lambda: make([1.0]), TypeError)
            refused(lambda: make(parameter()), TypeError)
            p = parameter()
            make([p]).step()  # no gradient: left alone
            right(lambda: p, [1.0, 2.0])
            p, q = parameter([np.nan, np.inf]), parameter([1.0, 1.0])
            make([p, q]).step()
            assert np.isfinite(q.detach().cpu().numpy()).all()
        for betas in ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)):
            refused(lambda: gs.optim.Adam([parameter()], betas=betas), ValueError)
        refused(lambda: gs.optim.Adam([parameter()], eps=-1.0), ValueError)
        refused(lambda: gs.optim.SGD([parameter()], lr=0.1, momentum=-1.0), ValueError)
        refused(lambda: gs.optim.SGD([parameter()], lr=0.1, weight_decay=-1.0), ValueError)
    """,
    "dtypes": """
        x = t(2, 3)
        for dtype in (np.int8, np.uint8, np.int32, np.int64, np.bool_):
            y = gs.tensor(np.ones((2, 3), dtype), device=device)
            right(lambda: y.exp(), np.exp(np.ones((2, 3), "f")))
            refused(lambda: F.conv1d(y.reshape(1, 2, 3), y.reshape(1, 2, 3)),
                    NotImplementedError, RuntimeError, TypeError)
            if dtype is np.bool_:
                refused(lambda: F.max_pool1d(y.reshape(1, 2, 3), 2), NotImplementedError)
            refused(lambda: F.avg_pool1d(y.reshape(1, 2, 3), 2),
                    NotImplementedError, RuntimeError, TypeError)
            refused(lambda: y.requires_grad_(), RuntimeError)
        refused(lambda: gs.tensor(np.ones(3, np.complex64), device=device), TypeError)
        refused(lambda: gs.tensor(np.array(["a"]), device=device), TypeError)
        refused(lambda: gs.from_numpy(np.ones(3, ">f4")), TypeError)
        refused(lambda: gs.from_numpy(np.ones(3, [("a", "f4")])), TypeError)
        right(lambda: of([1.0, 2.0]) + of([1.0, 2.0], np.float64), [2.0, 4.0])
    """,
    "many dimensions": """
        x = t(*((1,) * 16))
        right(lambda: (x + x).reshape(1), (x.cpu().numpy() * 2).reshape(1))
        right(lambda: x.sum(), x.cpu().numpy().sum())
        deep = gs.tensor(np.ones((1,) * 17, "f"), device=device)
        for call in (lambda: deep + deep, lambda: deep.exp(), lambda: deep.sum(0),
                     lambda: deep.clone(), lambda: gs.cat([deep, deep])):
            try:
                assert call().numel() in (1, 2)
            except (RuntimeError, ValueError) as error:
                assert "dimensions" in str(error), error
            checked += 1
    """,
    "odd arguments": """
        x = t(2, 3)
        for value in (None, "a", object(), [1, 2], {}, (), float, gs):
            refused(lambda: x + value, TypeError)
            refused(lambda: value * x, TypeError)
            refused(lambda: x @ value, TypeError)
            refused(lambda: F.conv1d(x, value), TypeError)
            refused(lambda: F.relu(value), TypeError, AttributeError)
        refused(lambda: gs.cat([x, None]), TypeError)
        refused(lambda: gs.cat(3), TypeError)
        refused(lambda: gs.cat([]), TypeError)
        right(lambda: x + np.float32(1.0), x.cpu().numpy() + 1)
        right(lambda: np.float32(2.0) * x, x.cpu().numpy() * 2)
        refused(lambda: x.reshape(2, "3"), TypeError)
        refused(lambda: x.reshape(2, 1.5), TypeError)
        refused(lambda: x.expand("a"), TypeError, RuntimeError)
        refused(lambda: x.expand(2.0, 3), TypeError, RuntimeError)
        refused(lambda: x.permute("a", 0), TypeError)
        refused(lambda: x.backward("g"), TypeError, RuntimeError)
    """,
}


@pytest.mark.parametrize("where", ["cpu", "cuda"])
@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row: str, where: str) -> None:
    code = PRELUDE + textwrap.dedent(ROWS[row]) + "\nstill_works()\nprint('checked', checked)\n"
    environment = dict(os.environ)
    if where == "cuda" and not gs.cuda.is_available():
        environment["GRADSMITH_CUDA_EMULATOR"] = "1"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, where],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    text = f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, text
    count = int(done.stdout.rsplit("checked", 1)[1])
    assert count >= 3, text
