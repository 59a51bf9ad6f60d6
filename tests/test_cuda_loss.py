"""CUDA log_softmax and nll_loss in the emulator, against NumPy in float64."""

import itertools

import numpy as np
import pytest
from cuda_arrays import (
    K,
    close,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_float,
    host,
    layouts,
    rng,
)


def log_softmax(x, dim):
    shifted = x - x.max(dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(dim, keepdims=True))


#: (shape, dim): rows held in registers and not, along and across, several warps.
ROWS = [
    ((1,), 0),
    ((7,), 0),
    ((5, 10), 1),
    ((5, 10), 0),
    ((2, 3, 4), 1),
    ((33, 33), 1),
    ((2, 300), 1),
    ((300, 2), 0),
    ((2, 3000), 1),
    ((1100, 2), 0),
    ((2, 70, 40), 1),
    ((600, 3), 1),
]


@every_float
@pytest.mark.parametrize("shape,dim", ROWS)
def test_log_softmax(shape, dim, dtype):
    x = (3 * rng(14).standard_normal(shape)).astype(dtype)
    expected = log_softmax(x.astype(np.float64), dim)
    for _, on_device in layouts(x):
        close(host(K["log_softmax"](on_device, dim)), expected, 10 + np.abs(expected), dtype)
    y = expected.astype(dtype)
    grad_y = rng(15).standard_normal(shape).astype(dtype)
    g, p = grad_y.astype(np.float64), np.exp(y.astype(np.float64))
    expected = g - p * g.sum(dim, keepdims=True)
    scale = 4 * (np.abs(g) + p * np.abs(g).sum(dim, keepdims=True))
    for (_, a), (_, b) in zip(layouts(grad_y), layouts(y), strict=True):
        close(host(K["log_softmax_bwd"](a, b, dim)), expected, scale, dtype)


@every_float
@pytest.mark.parametrize("n", [5, 40, 300])
def test_log_softmax_of_nan_infinities_and_huge_values(n, dtype):
    base = rng(16).standard_normal((n, n)).astype(dtype)
    for value in (np.nan, np.inf):
        x = base.copy()
        np.fill_diagonal(x, value)  # one in each row: the row is NaN
        assert np.isnan(host(K["log_softmax"](device(x), 1))).all()
        assert np.isnan(host(K["log_softmax"](device(x), 0))).all()
    x = base.copy()
    np.fill_diagonal(x, -np.inf)
    with np.errstate(divide="ignore"):
        expected = log_softmax(x.astype(np.float64), 1)
    close(host(K["log_softmax"](device(x), 1)), expected, 10 + np.abs(expected), dtype)
    assert np.isnan(host(K["log_softmax"](device(np.full((2, n), -np.inf, dtype)), 1))).all()
    x = base + dtype(np.finfo(dtype).max / 2)
    assert np.isfinite(host(K["log_softmax"](device(x), 1))).all()


def test_log_softmax_of_nothing_and_of_a_number():
    assert K["log_softmax"](device(np.zeros((0, 3), np.float32)), 1).shape == (0, 3)
    assert K["log_softmax"](device(np.zeros((3, 0), np.float32)), 1).shape == (3, 0)
    assert host(K["log_softmax"](device(np.float32(5)), 0)) == 0
    assert host(K["log_softmax_bwd"](device(np.float32(5)), device(np.float32(0)), 0)) == 0


#: x's shape; the last has several blocks.
NLL = [(4,), (3, 5), (7, 4, 3), (2, 3, 2, 5), (40, 10), (9000, 3)]
NLL_OPTIONS = list(itertools.product((0, 1, 2), (False, True), (-100, 1)))


@every_float
@pytest.mark.parametrize("shape", NLL)
def test_nll_loss(shape, dtype):
    classes = shape[1] if len(shape) > 1 else shape[0]
    target_shape = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    x = rng(17).standard_normal(shape).astype(dtype)
    target = rng(18).integers(0, classes, target_shape)
    class_weight = rng(19).uniform(0.5, 2, classes).astype(dtype)
    flat = np.moveaxis(x.reshape(shape if len(shape) > 1 else (1, -1)), 1, -1)
    flat = flat.reshape(-1, classes).astype(np.float64)
    t = target.reshape(-1)
    for reduction, weighted, ignore in NLL_OPTIONS:
        weight = class_weight if weighted else None
        taken = t != ignore
        w = (weight[t] if weighted else np.ones(len(t))).astype(np.float64) * taken
        losses = -w * flat[np.arange(len(t)), t]
        total, magnitude = w.sum(), np.abs(losses).sum()
        if reduction == 0:
            expected, scale, out = (
                losses.reshape(target_shape),
                1 + np.abs(losses).max(),
                target_shape,
            )
        else:
            divisor = total if reduction == 1 else 1.0
            with np.errstate(invalid="ignore", divide="ignore"):
                expected, scale, out = losses.sum() / divisor, magnitude / divisor, ()
        on_device = None if weight is None else device(weight)
        options = (ignore, reduction)
        y, got_total = K["nll_loss"](device(x), device(target), on_device, out, *options)
        close(host(y), expected, scale, dtype)
        close(host(got_total), total, total, dtype)
        grad_y = rng(20).standard_normal(out).astype(dtype)
        share = grad_y.reshape(-1).astype(np.float64) * np.ones(len(t))
        with np.errstate(invalid="ignore", divide="ignore"):
            share = share / total if reduction == 1 else share
            one_hot = np.zeros((len(t), classes))
            one_hot[np.arange(len(t))[taken], t[taken]] = (-w * share)[taken]
        batched = (shape[0], *shape[2:], classes) if len(shape) > 1 else (1, classes)
        grad = np.moveaxis(one_hot.reshape(batched), -1, 1).reshape(shape)
        args = (device(grad_y), device(target), on_device, got_total, shape, *options)
        close(host(K["nll_loss_bwd"](*args)), grad, np.abs(grad) * 4, dtype)


def test_nll_loss_of_layouts():
    x = rng(21).standard_normal((4, 6)).astype(np.float64)
    target = np.array([1, 5, 0, 2])
    expected = -x[np.arange(4), target].mean()
    for _, on_device in layouts(x):
        for _, labels in layouts(target):
            y, _ = K["nll_loss"](on_device, labels, None, (), -100, 1)
            np.testing.assert_allclose(host(y), expected, rtol=1e-14)


def test_nll_loss_of_nothing():
    x = device(np.zeros((0, 3), np.float32))
    target = device(np.zeros(0, np.int64))
    results = {}
    for reduction, out in ((0, (0,)), (1, ()), (2, ())):
        y, total = K["nll_loss"](x, target, None, out, -100, reduction)
        assert host(total) == 0
        results[reduction] = host(y)
    assert results[0].shape == (0,) and np.isnan(results[1]) and results[2] == 0
    ignored = device(np.full(4, -100))
    y, total = K["nll_loss"](device(np.zeros((4, 3), np.float32)), ignored, None, (), -100, 1)
    assert np.isnan(host(y)) and host(total) == 0
