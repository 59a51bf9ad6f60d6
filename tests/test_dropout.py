"""Dropout of channels, samples and SELU's; random tensors: the same numbers on both devices."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.testing.reference import random as reference

F = nn.functional


@pytest.mark.parametrize(
    "name,shape,kept",
    [
        ("dropout1d", (40, 30, 5), 2),
        ("dropout1d", (400, 5), 1),
        ("dropout2d", (40, 30, 2, 3), 2),
        ("dropout2d", (40, 30, 3), 2),
        ("dropout3d", (40, 30, 2, 3, 2), 2),
        ("dropout3d", (600, 2, 3, 2), 1),
        ("drop_path", (900, 3, 2), 1),
    ],
)
def test_whole_slices_are_dropped(name: str, shape: Any, kept: int, device: str) -> None:
    gs.manual_seed(1)
    x = gs.ones(*shape, device=device, requires_grad=True)
    y = getattr(F, name)(x, 0.25, True)
    y.sum().backward()
    slices = y.detach().cpu().numpy().reshape(*shape[:kept], -1)
    assert (slices == slices[..., :1]).all()
    assert np.allclose(np.unique(slices), [0, 1 / 0.75])
    assert abs((slices[..., 0] == 0).mean() - 0.25) < 0.06
    assert np.array_equal(x.grad.cpu().numpy(), y.detach().cpu().numpy())
    assert getattr(F, name)(x, 0.25, False) is x


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name: str) -> None:
    gs.manual_seed(2)
    x = gs.randn(600, 300, dtype=gs.float64)
    y = getattr(F, name)(x, 0.3, True).numpy()
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.01
    lowest = y.min()
    v, p = -1.7580993408473766, 0.3
    a = ((1 - p) * (1 + p * v * v)) ** -0.5
    assert abs(lowest - (a * v - a * p * v)) < 1e-9 or lowest < a * v
    kept = np.abs(y - (a * (1 - p) * v)) > 1e-9
    assert np.allclose(y[kept], a * x.numpy()[kept] - a * p * v)
    assert (getattr(F, name)(x, 1.0, True).numpy() == 0).all()


def test_gradient_of_alpha_dropout() -> None:
    x = gs.randn(3, 4, dtype=gs.float64, requires_grad=True)

    def drop(x: Any) -> Any:
        gs.manual_seed(5)
        return F.alpha_dropout(x, 0.4, True)

    gs.testing.gradcheck(drop, [x])


def test_in_place() -> None:
    for layer in (nn.Dropout2d(0.5, True), nn.AlphaDropout(0.5, True), nn.Dropout1d(0.5, True)):
        x = gs.ones(2, 3, 4)
        assert layer(x) is x
        assert layer.eval()(x) is x


@pytest.mark.parametrize(
    "name",
    ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"],
)
def test_layers_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert repr(getattr(nn, name)(0.3)) == repr(getattr(torch.nn, name)(0.3))
    with pytest.raises(ValueError, match=f"{name}: p must be in"):
        getattr(nn, name)(1.5)


@pytest.mark.parametrize(
    "call,match",
    [
        (lambda x: F.dropout2d(x, 2.0), "dropout2d: p must be in"),
        (lambda x: F.alpha_dropout(x, -1.0), "alpha_dropout: p must be in"),
        (lambda x: F.drop_path(x, 1.1), "drop_path: p must be in"),
    ],
)
def test_refusals(call: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call(gs.ones(2, 3, 4))


def test_dropout_refuses_other_dimensions() -> None:
    with pytest.raises(RuntimeError, match="dropout3d: input must have 4 or 5"):
        F.dropout3d(gs.ones(2, 3))


# ---- random tensors ----


def test_bernoulli_and_randint_equal_the_recipe(device: str) -> None:
    k = gs.kernels.table(device)
    seed, offset = 1234567890123, 5
    for shape in ((), (0,), (7,), (3, 37)):
        n = int(np.prod(shape, dtype=int))
        p = np.random.default_rng(0).uniform(size=shape)
        chances = gs.tensor(p, dtype=gs.float64, device=device)
        y = gs.Tensor._make(k.bernoulli(chances._data, seed, offset)).cpu().numpy()
        counters = offset + np.arange(-(-n // 4), dtype=np.uint64)
        words = reference.philox(seed, counters).reshape(-1)[:n].reshape(shape)
        assert np.array_equal(y, ((words >> np.uint64(8)) * 2.0**-24 < p).astype("f8"))
        for low, high in ((-5, 12), (0, 2), (-(2**63), 2**63 - 1)):
            z = gs.Tensor._make(k.randint(shape, low, high, seed, offset)).cpu().numpy()
            counters = offset + np.arange(-(-n // 2), dtype=np.uint64)
            pairs = reference.philox(seed, counters).reshape(-1, 2)[:n]
            wide = [int(b) << 32 | int(a) for a, b in pairs]
            expected = [low + (w * (high - low) >> 64) for w in wide]
            assert z.dtype == np.int64 and z.reshape(-1).tolist() == expected


def test_the_same_numbers_on_both_devices(cuda: str) -> None:
    found = []
    for device in ("cpu", cuda):
        gs.manual_seed(7)
        found.append(
            [
                gs.bernoulli(gs.full((9,), 0.4, device=device)),
                gs.randint(-3, 9, (4, 5), device=device),
                gs.randint(3, (5,), dtype=gs.float32, device=device),
                gs.randint_like(gs.zeros(3, device=device), 2, 8),
                gs.randperm(11, device=device),
                gs.randperm(1500, device=device),
                gs.normal(gs.ones(5, device=device), 2.0),
                gs.zeros(5, device=device).bernoulli_(0.5),
                gs.zeros(5, device=device).random_(3, 9),
                gs.zeros(5, device=device).exponential_(2.0),
                gs.zeros(5, device=device).log_normal_(),
                gs.multinomial(gs.full((2, 9), 0.5, device=device), 4),
                gs.multinomial(gs.full((9,), 0.5, device=device), 20, True),
            ]
        )
    for a, b in zip(*found, strict=True):
        assert a.dtype is b.dtype
        assert np.allclose(a.numpy(), b.cpu().numpy(), rtol=1e-6)


def test_distributions() -> None:
    gs.manual_seed(0)
    n = 100_000
    assert abs(gs.zeros(n).bernoulli_(0.3).numpy().mean() - 0.3) < 0.01
    counts = np.bincount(gs.randint(7, (n,)).numpy(), minlength=7)
    assert len(counts) == 7 and abs(counts / n - 1 / 7).max() < 0.01
    e = gs.zeros(n).exponential_(4.0).numpy()
    assert e.min() > 0 and abs(e.mean() - 0.25) < 0.01
    z = gs.normal(3.0, 2.0, (n,)).numpy()
    assert abs(z.mean() - 3) < 0.03 and abs(z.std() - 2) < 0.03
    z = gs.normal(gs.zeros(n), gs.full((n,), 3.0)).numpy()
    assert abs(z.std() - 3) < 0.05
    for n in (0, 1, 2, 512, 513, 40000):
        assert np.array_equal(np.sort(gs.randperm(n).numpy()), np.arange(n))
    # Every element is as often at every place: chi-squared of 7 x 7 counts, 36 degrees of freedom.
    orders = np.stack([gs.randperm(7).numpy() for _ in range(5000)])
    places = np.stack([np.bincount(column, minlength=7) for column in orders.T])
    assert ((places - 5000 / 7) ** 2).sum() / (5000 / 7) < 90
    # Where 20000 elements go, by tenths.
    p = gs.randperm(20000).numpy()
    table = np.histogram2d(np.arange(20000), p, 10)[0]
    assert ((table - 200) ** 2).sum() / 200 < 150
    assert gs.zeros(1000, dtype=gs.int64).random_().numpy().max() > 2**60
    assert gs.zeros(1000).random_().numpy().max() <= 2**24


def test_multinomial() -> None:
    gs.manual_seed(0)
    p = np.array([1.0, 0.0, 3.0, 4.0])
    y = gs.tensor(p).multinomial(40_000, replacement=True).numpy()
    counts = np.bincount(y, minlength=4) / len(y)
    assert y.dtype == np.int64 and abs(counts - p / 8).max() < 0.01
    rows = gs.tensor(np.stack([p, np.eye(4)[1], p[::-1]]), dtype=gs.float32)
    y = rows.multinomial(20_000, replacement=True).numpy()
    assert y.shape == (3, 20_000) and (y[1] == 1).all()
    for row, own in ((y[0], p), (y[2], p[::-1])):
        assert abs(np.bincount(row, minlength=4) / 20_000 - own / 8).max() < 0.02
        assert abs(np.mean(row[1:] == row[:-1]) - np.sum((own / 8) ** 2)) < 0.02  # no order in them
    y = gs.multinomial(gs.tensor(np.tile(p, (3000, 1))), 3).numpy()
    assert y.shape == (3000, 3) and (np.sort(y, 1) == [0, 2, 3]).all()
    first = np.bincount(y[:, 0], minlength=4) / 3000
    assert abs(first - p / 8).max() < 0.04
    with pytest.raises(RuntimeError, match="num_samples must be"):
        gs.multinomial(gs.ones(3), 4)
    with pytest.raises(RuntimeError, match="floating-point"):
        gs.multinomial(gs.ones(3, dtype=gs.int64), 1)


def test_a_generator_of_ones_own() -> None:
    draws = [
        lambda g: gs.randint(100, (5,), generator=g),
        lambda g: gs.randperm(20, generator=g),
        lambda g: gs.bernoulli(gs.full((20,), 0.5), generator=g),
        lambda g: gs.rand_like(gs.zeros(4), generator=g),
        lambda g: F.dropout2d(gs.ones(5, 5, 2, 2), 0.5, generator=g),
    ]
    for draw in draws:
        first = draw(gs.Generator().manual_seed(3)).numpy()
        assert np.array_equal(first, draw(gs.Generator().manual_seed(3)).numpy())
        g = gs.Generator().manual_seed(3)
        draw(g)
        assert not np.array_equal(first, draw(g).numpy())


@pytest.mark.parametrize(
    "call,error,match",
    [
        (lambda: gs.randint(5, 5, (2,)), RuntimeError, "low must be less than high"),
        (lambda: gs.bernoulli(gs.zeros(2), 1.5), RuntimeError, "p must be in"),
        (lambda: gs.normal(0.0, -1.0, (2,)), RuntimeError, "std must be >= 0"),
        (lambda: gs.normal(0.0, 1.0), TypeError, "size must be given"),
        (lambda: gs.randperm(-1), RuntimeError, "sizes must be >= 0"),
        (lambda: gs.zeros(2).exponential_(0.0), RuntimeError, "lambd must be > 0"),
    ],
)
def test_random_refusals(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
