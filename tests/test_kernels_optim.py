"""CPU optimizer steps and norms: layouts, tails, threads, against float64 formulas."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu, nn, optim
from gradsmith.kernels import table
from gradsmith.testing.layouts import lay_out, same_bits
from gradsmith.testing.reference import optim as reference
from optimizer_cases import CASES, IDS

K = table("cpu")
FLOATS = (np.float32, np.float64)
SHAPES = ((), (1,), (5,), (16,), (33,), (6, 1, 5, 5), (120, 40), (0, 3), (7, 9, 11))
LAYOUTS = ("plain", "transposed", "stepped", "reversed", "misaligned")
COMMON = (1.0, -1.0, 0.0, 0.0, 1.0)  # scale, clip_value, max_norm, weight_decay, shrink


def draw(rng, dtype, shapes=SHAPES):
    return [np.asarray(rng.standard_normal(s), dtype) for s in shapes]


def wide(arrays):
    return [a.astype(np.float64) for a in arrays]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_every_rule_in_every_layout(name, options, dtype, isa):
    rng = np.random.default_rng(0)
    values, steps = draw(rng, dtype), [draw(rng, dtype) for _ in range(3)]
    shift = len(name)
    arrays = [
        lay_out(a.copy(), "plain" if a.size < 2 else LAYOUTS[(i + shift) % 5])
        for i, a in enumerate(values)
    ]
    params = [nn.Parameter(gs.from_numpy(a)) for a in arrays]
    optimizer = getattr(optim, name)(params, lr=0.01, **options)
    for step in steps:
        for i, (p, g) in enumerate(zip(params, step, strict=True)):
            p.grad = gs.from_numpy(lay_out(g, LAYOUTS[i % 5]))
        optimizer.step()
    tolerance = 400 * np.finfo(dtype).eps
    for i, p in enumerate(params):
        wanted = reference.trajectory(
            name, values[i].astype(np.float64), wide(s[i] for s in steps), lr=0.01, **options
        )
        np.testing.assert_allclose(p.detach().numpy(), wanted, rtol=tolerance, atol=tolerance)
        assert np.shares_memory(p.detach().numpy(), arrays[i]) or not arrays[i].size


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 0.5, np.inf, -np.inf])
def test_total_norm(dtype, norm_type, isa):
    rng = np.random.default_rng(1)
    shapes = ((40_000,), (3, 5), (1,), (120, 40), (17,))
    arrays = draw(rng, dtype, shapes)
    laid = [lay_out(a, LAYOUTS[i]) for i, a in enumerate(arrays)]
    y = np.zeros((), dtype)

    def run():
        K.total_norm(laid, y, norm_type)
        return y.copy()

    got = same_bits(run)
    bound = 2e-6 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(got, reference.total_norm(arrays, norm_type), rtol=bound)
    for place in (0, 14, 16):
        arrays[4][place] = np.nan
        K.total_norm(arrays, y, norm_type)
        assert np.isnan(y)
        arrays[4][place] = 0.5


def test_norms_of_few_and_of_huge_elements(isa):
    y = np.zeros((), np.float32)
    K.total_norm([np.array([0, 0, 3, 0], np.float32)], y, 0.0)
    assert y == 1
    K.total_norm([np.zeros((0,), np.float32)], y, 2.0)
    assert y == 0
    K.total_norm([np.array([1e30, -2e30], np.float32), np.array([5e200])], y, np.inf)
    assert y == np.inf  # beyond float32
    wide_y = np.zeros(())
    K.total_norm([np.array([3.0], np.float32), np.array([4.0])], wide_y, 2.0)
    assert wide_y == 5


def adam(step, grads, params, m, v):
    numbers = (0.1 / (1 - 0.9**step), 0.1, 0.99, 0.01, (1 - 0.99**step) ** -0.5, 1e-8, 0.0)
    K.adam_step(params, grads, m, v, [], None, np.array([*COMMON, *numbers]))


def test_same_bits_on_any_threads(isa):
    rng = np.random.default_rng(3)
    shapes = ((70_001,), (3,), (120, 400), (16_384,), (1,), (33_000,))
    start, g = draw(rng, np.float32, shapes), draw(rng, np.float32, shapes)

    def run():
        p = [a.copy() for a in start]
        m, v = [a * 0 for a in start], [a * 0 for a in start]
        adam(1, g, p, m, v)
        return p + m + v

    together = same_bits(run)
    # one call for all parameters or one each: the same numbers
    for i, a in enumerate(start):
        p, m, v = [a.copy()], [a * 0], [a * 0]
        adam(1, [g[i]], p, m, v)
        assert np.array_equal(p[0], together[i])


def test_nan_stays_where_it_is(isa):
    g = np.zeros(37, np.float32)
    hyper = np.array([*COMMON, 0.1, 0.0, 1.0, 0.0, 0.0])
    for place in range(37):
        g[:] = 0.5
        g[place] = np.nan
        p = [np.ones(37, np.float32)]
        K.sgd_step(p, [g], [], [], [], None, hyper)
        assert np.flatnonzero(np.isnan(p[0])).tolist() == [place]


def test_refusals():
    p, hyper = [np.ones(3, np.float32)], np.array([*COMMON, 0.1, 0.0, 1.0, 0.0, 0.0])
    ones = np.ones(3, np.float32)
    for args in (
        (p, [np.ones(4, np.float32)], [], [], [], None, hyper),
        (p, [np.ones(3)], [], [], [], None, hyper),
        (p, [], [], [], [], None, hyper),
        (p, p, [ones, ones], [], [], None, hyper),
        (p, p, [], [], [np.ones(2, np.float32)], None, hyper),
        (p, p, [], [], [], None, np.array([0.1])),
        (p, p, [], [], [], None, hyper.astype(np.float32)),
        (p, p, [], [], [], ones, hyper),
        (p, p, [], [], [], np.ones((), np.int64), hyper),
        ([np.ones(3, np.int64)], [np.ones(3, np.int64)], [], [], [], None, hyper),
        ([np.broadcast_to(np.float32(1), 3)], [ones], [], [], [], None, hyper),
    ):
        with pytest.raises(_cpu.Fault):
            K.sgd_step(*args)
    assert p[0].tolist() == [1, 1, 1]
    repeated = np.lib.stride_tricks.as_strided(np.ones(1, np.float32), (3,), (0,))
    with pytest.raises(_cpu.Fault):
        K.sgd_step([repeated], [ones], [], [], [], None, hyper)
    K.sgd_step([], [], [], [], [], None, hyper)
    for y in (np.ones(2), np.ones((), np.int64)):
        with pytest.raises(_cpu.Fault):
            K.total_norm(p, y, 2.0)
    with pytest.raises(_cpu.Fault):
        K.total_norm([np.ones(3, np.int64)], np.zeros(()), 2.0)
