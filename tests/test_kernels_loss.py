"""CPU log_softmax and nll_loss: stable, accurate, refusing labels that are no classes."""

from __future__ import annotations

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.layouts import every_place, lay_out, same_bits, unchanged
from gradsmith.testing.reference import loss as reference

K = table("cpu")
FLOATS = (np.float32, np.float64)
SHAPES = ((1,), (10,), (300,), (5, 10), (32, 10), (7, 33), (4, 5, 6), (3, 17, 2), (2, 3, 4, 19))
REDUCTIONS = {0: "none", 1: "mean", 2: "sum"}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_log_softmax(scale, dtype, isa):
    rng = np.random.default_rng(0)
    eps = float(np.finfo(dtype).eps)
    for shape in SHAPES:
        for layout in ("plain", "transposed", "reversed", "misaligned"):
            x = lay_out((rng.standard_normal(shape) * scale).astype(dtype), layout)
            grad = lay_out(rng.standard_normal(shape).astype(dtype), layout)
            same = unchanged(x, grad)
            for dim in range(len(shape)):
                y = K.log_softmax(x, dim)
                want = reference.log_softmax(x.astype(np.longdouble), dim)
                # log(sum) is exact to rounding; what is left comes from |x - max| and |y|
                np.testing.assert_allclose(y, want.astype(np.float64), rtol=4 * eps, atol=8 * eps)
                got = K.log_softmax_bwd(grad, y, dim)
                want = reference.log_softmax_bwd(grad.astype(np.float64), y.astype(np.float64), dim)
                total = np.abs(grad.astype(np.float64)).sum(dim, keepdims=True)
                assert np.all(np.abs(got - want) <= 4 * eps * (1 + total + np.abs(grad)))
            same()


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_softmax_special_values(dtype, isa):
    # as PyTorch: NaN or +inf spoil the row, -inf alone does not, a row of -inf does
    for x, place in every_place(dtype, (np.nan, np.inf, -np.inf), (1, 10, 37)):
        value = x[place]
        for view, dim in ((x, 0), (np.stack([x, np.zeros_like(x)], 1), 0)):
            y = K.log_softmax(view, dim)
            first = y if y.ndim == 1 else y[:, 0]
            if value == -np.inf and x.size > 1:
                assert first[place] == -np.inf
                others = np.delete(first, place)
                np.testing.assert_allclose(np.exp(others.astype(np.float64)).sum(), 1, rtol=1e-5)
            else:
                assert np.isnan(first).all()
            if y.ndim == 2:
                assert np.isfinite(y[:, 1]).all()
    assert np.isnan(K.log_softmax(np.full((3, 40), -np.inf, dtype), 1)).all()
    big = np.array([np.finfo(dtype).max, 0, -np.finfo(dtype).max], dtype)
    y = K.log_softmax(big, 0)
    assert y[0] == 0 and y[1] == -np.finfo(dtype).max and y[2] == -np.inf


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_softmax_sizes(dtype, isa):
    rng = np.random.default_rng(1)
    for shape, dim in (((3, 70_001), 1), ((4001, 19), 1), ((9, 700, 33), 1), ((70_001,), 0)):
        x = rng.standard_normal(shape).astype(dtype)
        y = same_bits(lambda x=x, d=dim: K.log_softmax(x, d))
        want = reference.log_softmax(x.astype(np.float64), dim)
        np.testing.assert_allclose(y, want, rtol=4 * np.finfo(dtype).eps, atol=1e-5)
        grad = rng.standard_normal(shape).astype(dtype)
        same_bits(lambda g=grad, y=y, d=dim: K.log_softmax_bwd(g, y, d))
    for shape in ((0, 5), (5, 0), (2, 0, 3)):
        for dim in range(len(shape)):
            assert K.log_softmax(np.zeros(shape, dtype), dim).shape == shape
            assert K.log_softmax_bwd(np.zeros(shape, dtype), np.zeros(shape, dtype), dim).size == 0


def cases(rng, dtype):
    """(x, target, ignore_index) of every kind of shape."""
    for shape in ((4,), (1, 1), (32, 10), (5, 3), (3, 4, 5), (2, 5, 3, 7), (8200, 3), (2, 3, 4101)):
        x = rng.standard_normal(shape).astype(dtype)
        classes = shape[1] if len(shape) > 1 else shape[0]
        target = rng.integers(0, classes, shape[:1] + shape[2:] if len(shape) > 1 else ())
        target = np.asarray(target)
        yield x, target, -100
        if target.ndim:
            some = target.copy()
            some[rng.random(target.shape) < 0.3] = -100
            yield x, some, -100
            yield x, target, 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_nll_loss(dtype, isa):
    rng = np.random.default_rng(2)
    eps = float(np.finfo(dtype).eps)
    for x, target, ignore in cases(rng, dtype):
        classes = x.shape[1] if x.ndim > 1 else x.shape[0]
        for weight in (None, rng.uniform(0.5, 2, classes).astype(dtype)):
            wide = None if weight is None else weight.astype(np.float64)
            for reduction, word in REDUCTIONS.items():
                same = unchanged(x, target)
                out = target.shape if reduction == 0 else ()
                y, total = same_bits(
                    lambda x=x, t=target, w=weight, o=out, i=ignore, r=reduction: K.nll_loss(
                        x, t, w, o, i, r
                    )
                )
                want = reference.nll_loss(x.astype(np.float64), target, wide, ignore, word)
                assert y.shape == out and total.shape == () and total.dtype == dtype
                np.testing.assert_allclose(y, want, rtol=8 * eps, atol=4 * eps * target.size)
                used = target[target != ignore]
                assert np.isclose(total, used.size if wide is None else wide[used].sum())
                grad = np.asarray(rng.standard_normal(out), dtype)
                got = same_bits(
                    lambda g=grad, t=target, w=weight, n=total, x=x, i=ignore, r=reduction: (
                        K.nll_loss_bwd(g, t, w, n, x.shape, i, r)
                    )
                )
                if not used.size:
                    continue
                want = reference.nll_loss_bwd(
                    grad, target, weight, total, x.shape, ignore, reduction
                )
                np.testing.assert_allclose(got, want, rtol=8 * eps)
                same()


@pytest.mark.parametrize("dtype", FLOATS)
def test_nll_loss_of_nothing(dtype, isa):
    x = np.ones((3, 4), dtype)
    ignored = np.full(3, -100)
    y, total = K.nll_loss(x, ignored, None, (), -100, 1)
    assert np.isnan(y) and total == 0
    y, total = K.nll_loss(x, ignored, None, (), -100, 2)
    assert y == 0 and total == 0
    assert not K.nll_loss(x, ignored, None, (3,), -100, 0)[0].any()
    grad = K.nll_loss_bwd(np.ones((), dtype), ignored, None, total, (3, 4), -100, 1)
    assert not grad.any()
    none = np.zeros((0,), np.int64)
    y, total = K.nll_loss(np.zeros((0, 4), dtype), none, None, (), -100, 1)
    assert np.isnan(y) and total == 0
    assert K.nll_loss(np.zeros((0, 4), dtype), none, None, (), -100, 2)[0] == 0
    assert K.nll_loss_bwd(y, none, None, total, (0, 4), -100, 2).shape == (0, 4)


def test_refusals(isa):
    x = np.zeros((5, 3), np.float32)
    one = np.ones((), np.float32)
    for bad in (-1, 3, 2**40, -(2**62)):
        for place in range(5):
            target = np.zeros(5, np.int64)
            target[place] = bad
            for call in (
                lambda t=target: K.nll_loss(x, t, None, (), -100, 1),
                lambda t=target: K.nll_loss_bwd(one, t, None, one, (5, 3), -100, 1),
            ):
                with pytest.raises(_cpu.Fault) as fault:
                    call()
                assert fault.value.args[1:] == ("index", (bad, 3))
            K.nll_loss(x, target, None, (), bad, 1)  # ignored: no class needed
    target = np.zeros(5, np.int64)
    for call in (
        lambda: K.nll_loss(x, target.astype(np.int32), None, (), -100, 1),
        lambda: K.nll_loss(x, target.astype(np.float32), None, (), -100, 1),
        lambda: K.nll_loss(x, target[:4], None, (), -100, 1),
        lambda: K.nll_loss(x, target, np.ones(4, np.float32), (), -100, 1),
        lambda: K.nll_loss(x, target, np.ones(3), (), -100, 1),
        lambda: K.nll_loss(x, target, None, (5,), -100, 1),
        lambda: K.nll_loss_bwd(np.ones(2, np.float32), target, None, one, (5, 3), -100, 1),
    ):
        with pytest.raises(_cpu.Fault):
            call()
