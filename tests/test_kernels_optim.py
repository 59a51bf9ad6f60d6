"""CPU optimizer steps against torch.optim's formulas written out in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from layouts import lay_out, same_bits

K = table("cpu")
FLOATS = (np.float32, np.float64)
SHAPES = ((), (1,), (5,), (16,), (33,), (6, 1, 5, 5), (120, 40), (0, 3), (7, 9, 11))


def sgd(p, g, buffer, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    g = -g if maximize else g
    g = g + weight_decay * p
    if momentum:
        buffer = g if first else momentum * buffer + (1 - dampening) * g
        g = g + momentum * buffer if nesterov else buffer
    return p - lr * g, buffer


def adam(p, g, m, v, lr, step, beta1, beta2, eps, weight_decay, decoupled, maximize):
    g = -g if maximize else g
    if decoupled:
        p = p * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * p
    m = m + (1 - beta1) * (g - m)
    v = beta2 * v + (1 - beta2) * g * g
    root = np.sqrt(v) / np.sqrt(1 - beta2**step)
    return p - lr / (1 - beta1**step) * m / (root + eps), m, v


def draw(rng, dtype, shapes=SHAPES):
    return [np.asarray(rng.standard_normal(s), dtype) for s in shapes]


def wide(arrays):
    return [a.astype(np.float64) for a in arrays]


def close(got, want, dtype):
    for a, b in zip(got, want, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sgd(dtype, isa):
    rng = np.random.default_rng(0)
    for momentum, dampening, decay, nesterov, maximize in itertools.product(
        (0.0, 0.9), (0.0, 0.3), (0.0, 0.1), (False, True), (False, True)
    ):
        if nesterov and (dampening or not momentum):
            continue
        p = draw(rng, dtype)
        buffers = [np.full_like(a, np.nan) for a in p] if momentum else []
        want_p, want_b = wide(p), [None] * len(p)
        for step in range(3):
            g = draw(rng, dtype)
            layout = ("plain", "transposed", "stepped")[step]
            first = step == 0  # the buffers hold nothing yet: NaN must not get through
            K.sgd_step(
                p,
                [lay_out(a, layout) for a in g],
                buffers,
                np.array([0.1, step + 1.0]),
                momentum,
                dampening,
                decay,
                nesterov,
                maximize,
                first,
            )
            for i, a in enumerate(wide(g)):
                want_p[i], want_b[i] = sgd(
                    want_p[i],
                    a,
                    want_b[i],
                    0.1,
                    momentum,
                    dampening,
                    decay,
                    nesterov,
                    maximize,
                    first,
                )
        close(p, want_p, dtype)
        if momentum:
            close(buffers, want_b, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_adam(dtype, isa):
    rng = np.random.default_rng(1)
    for decay, decoupled, maximize in itertools.product((0.0, 0.1), (False, True), (False, True)):
        p = draw(rng, dtype)
        m, v = [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p]
        want_p, want_m, want_v = wide(p), wide(m), wide(v)
        for step in range(1, 4):
            g = draw(rng, dtype)
            layout = ("plain", "reversed", "misaligned")[step - 1]
            K.adam_step(
                p,
                [lay_out(a, layout) for a in g],
                m,
                v,
                np.array([0.01, float(step)]),
                0.9,
                0.99,
                1e-8,
                decay,
                decoupled,
                maximize,
            )
            for i, a in enumerate(wide(g)):
                want_p[i], want_m[i], want_v[i] = adam(
                    want_p[i],
                    a,
                    want_m[i],
                    want_v[i],
                    0.01,
                    step,
                    0.9,
                    0.99,
                    1e-8,
                    decay,
                    decoupled,
                    maximize,
                )
        close(p, want_p, dtype)
        close(m, want_m, dtype)
        close(v, want_v, dtype)


def test_against_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    start, grads = draw(rng, np.float32), [draw(rng, np.float32) for _ in range(4)]
    for make, step in (
        (
            lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
            lambda p, g, s, h, first: K.sgd_step(p, g, s[0], h, 0.9, 0.0, 0.01, True, False, first),
        ),
        (
            lambda ps: torch.optim.Adam(ps, 0.01, weight_decay=0.1),
            lambda p, g, s, h, first: K.adam_step(
                p, g, s[0], s[1], h, 0.9, 0.999, 1e-8, 0.1, False, False
            ),
        ),
        (
            lambda ps: torch.optim.AdamW(ps, 0.01, weight_decay=0.1),
            lambda p, g, s, h, first: K.adam_step(
                p, g, s[0], s[1], h, 0.9, 0.999, 1e-8, 0.1, True, False
            ),
        ),
    ):
        theirs = [torch.tensor(a.copy(), requires_grad=True) for a in start]
        ours = [a.copy() for a in start]
        state = [[np.zeros_like(a) for a in ours] for _ in range(2)]
        optimizer = make(theirs)
        lr = optimizer.param_groups[0]["lr"]
        for t, g in enumerate(grads):
            for tensor, array in zip(theirs, g, strict=True):
                tensor.grad = torch.tensor(array)
            optimizer.step()
            step(ours, g, state, np.array([lr, t + 1.0]), t == 0)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_same_bits_on_any_threads(isa):
    rng = np.random.default_rng(3)
    shapes = ((70_001,), (3,), (120, 400), (16_384,), (1,), (33_000,))
    start, g = draw(rng, np.float32, shapes), draw(rng, np.float32, shapes)

    def run_adam():
        p = [a.copy() for a in start]
        m, v = [a * 0 for a in start], [a * 0 for a in start]
        K.adam_step(p, g, m, v, np.array([0.1, 1.0]), 0.9, 0.99, 1e-8, 0.0, False, False)
        return p + m + v

    def run_sgd():
        p, b = [a.copy() for a in start], [a.copy() for a in start]
        K.sgd_step(p, g, b, np.array([0.1, 1.0]), 0.9, 0.0, 0.0, False, False, False)
        return p + b

    together = same_bits(run_adam)
    same_bits(run_sgd)
    # one call for all parameters or one each: the same numbers
    for i, a in enumerate(start):
        p, m, v = [a.copy()], [a * 0], [a * 0]
        K.adam_step(p, [g[i]], m, v, np.array([0.1, 1.0]), 0.9, 0.99, 1e-8, 0.0, False, False)
        assert np.array_equal(p[0], together[i])


def test_nan_stays_where_it_is(isa):
    g = np.zeros(37, np.float32)
    for place in range(37):
        g[:] = 0.5
        g[place] = np.nan
        p = [np.ones(37, np.float32)]
        K.sgd_step(p, [g], [], np.array([0.1, 1.0]), 0.0, 0.0, 0.0, False, False, True)
        assert np.flatnonzero(np.isnan(p[0])).tolist() == [place]


def test_refusals():
    p, hyper = [np.ones(3, np.float32)], np.array([0.1, 1.0])
    tail = (0.0, 0.0, 0.0, False, False, True)
    for args in (
        (p, [np.ones(4, np.float32)], [], hyper, *tail),
        (p, [np.ones(3)], [], hyper, *tail),
        (p, [], [], hyper, *tail),
        (p, p, [], np.array([0.1]), *tail),
        (p, p, [], hyper.astype(np.float32), *tail),
        (p, [np.ones(3, np.float32)], [], hyper, 0.9, *tail[1:]),
        ([np.ones(3, np.int64)], [np.ones(3, np.int64)], [], hyper, *tail),
        ([np.ones((3, 4), np.float32).T], [np.ones((4, 3), np.float32)], [], hyper, *tail),
    ):
        with pytest.raises(_cpu.Fault):
            K.sgd_step(*args)
    assert p[0].tolist() == [1, 1, 1]
    K.sgd_step([], [], [], hyper, *tail)
    K.adam_step([], [], [], [], hyper, 0.9, 0.99, 1e-8, 0.0, False, False)
