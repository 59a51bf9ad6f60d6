"""Pooling to a given size and max unpooling: layers, threads, gradients, PyTorch's results."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.kernels import table
from gradsmith.nn import functional as F
from gradsmith.testing import gradcheck, gradgradcheck
from gradsmith.testing.layouts import same_bits
from gradsmith.testing.reference import adaptive as reference

K = table("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_any_threads(dtype, isa):
    x = np.random.default_rng(0).standard_normal((9, 7, 23, 19)).astype(dtype)
    out = (9, 7, 5, 4)
    y = same_bits(lambda: K.adaptive_avg_pool(x, out))
    same_bits(lambda: K.adaptive_avg_pool_bwd(y, x.shape))
    same_bits(lambda: K.adaptive_max_pool(x, out))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maxima_by_columns(dtype, isa):
    """Two windows to a vector, one, or an element at a time: ties, windows of -inf alone, NaNs."""
    rng = np.random.default_rng(4)
    for out in ((4, 7), (5, 9), (3, 4), (2, 3), (7, 2), (1, 13)):
        for fill in (0, np.nan, -np.inf):
            x = rng.integers(-2, 3, (2, 2, 23, 61)).astype(dtype)
            x[rng.random(x.shape) < (0.02 if np.isnan(fill) else 0.6)] = fill
            x[0, 1, :12, :30] = fill
            want, places = reference.adaptive_max_pool(x, out)
            y, indices = K.adaptive_max_pool(x, (2, 2, *out))
            np.testing.assert_array_equal(y, want)
            np.testing.assert_array_equal(indices, places)


def test_integers_are_exact(device):
    """Windows of sizes that are powers of two: averages of integers are exact."""
    rng = np.random.default_rng(1)
    x = rng.integers(-8, 8, (2, 3, 6, 3)).astype(np.float32)  # 4 windows of 2, and 2 of 2
    y = F.adaptive_avg_pool2d(gs.tensor(x).to(device), (4, 2)).cpu().numpy()
    rows = [x[:, :, a:b].mean(2) for a, b in ((0, 2), (1, 3), (3, 5), (4, 6))]
    wanted = np.stack([np.stack([r[..., 0:2].mean(-1), r[..., 1:3].mean(-1)], -1) for r in rows], 2)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@pytest.mark.parametrize("size", [1, 3, (4, None)])
def test_gradients_of_both_orders(name, size):
    x = gs.tensor(np.random.default_rng(2).permutation(60).reshape(1, 2, 5, 6) * 0.1)
    x.requires_grad_()
    assert gradcheck(lambda x: getattr(F, name)(x, size), (x,))
    assert gradgradcheck(lambda x: getattr(F, name)(x, size) * getattr(F, name)(x, size), (x,))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_max_unpool_undoes_max_pool(n, device):
    rng = np.random.default_rng(3)
    x = gs.tensor(rng.standard_normal((2, 3, 6, 4, 8)[: n + 2])).to(device)
    pool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
    unpool = getattr(nn, f"MaxUnpool{n}d")(2)
    y, indices = pool(x)
    back = unpool(y, indices)
    assert back.shape == x.shape
    kept = back.cpu().numpy() != 0
    np.testing.assert_array_equal(back.cpu().numpy()[kept], x.cpu().numpy()[kept])
    assert kept.sum() == y.numel()
    y.requires_grad_()
    assert gradcheck(lambda y: unpool(y, indices), (y,))


def test_the_last_nan_is_where_the_maximum_stood(device):
    x = np.zeros((1, 1, 40), np.float32)
    x[0, 0, [3, 5, 21]] = np.nan
    for pool, size in ((F.max_pool1d, 40), (F.adaptive_max_pool1d, 1)):
        y, indices = pool(gs.tensor(x).to(device), size, return_indices=True)
        assert np.isnan(y.item()) and indices.item() == 21
    y, indices = F.adaptive_max_pool1d(gs.tensor(x).to(device), 3, return_indices=True)
    assert indices.cpu().tolist() == [[[5, 21, 26]]]


@pytest.mark.parametrize("options", [(2, 1, 1, 5), (3, 1, 1, 2), (2, 3, 1, 5)])
def test_windows_that_miss_the_input_have_no_maximum(options, device):
    kernel, stride, padding, dilation = options
    x = gs.tensor(np.arange(1.0, 5.0).reshape(1, 1, 4)).to(device).requires_grad_()
    y = F.max_pool1d(x, *options)
    starts = [o * stride - padding for o in range(y.shape[-1])]
    places = [[s + k * dilation for k in range(kernel)] for s in starts]
    wanted = [max([i + 1.0 for i in w if 0 <= i < 4], default=-np.inf) for w in places]
    assert y.detach().cpu().tolist() == [[wanted]]
    y.sum().backward()
    met = [max([i for i in w if 0 <= i < 4], default=-1) for w in places]
    assert x.grad.cpu().tolist() == [[[float(met.count(i)) for i in range(4)]]]
    if dilation > 4:
        with pytest.raises(NotImplementedError, match="no indices where windows may miss"):
            F.max_pool1d(x, *options, return_indices=True)


def test_layers_are_torchs():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(4).standard_normal((2, 3, 7, 6, 5)).astype(np.float32)
    for n in (1, 2, 3):
        cases = [(f"AdaptiveAvgPool{n}d", {"output_size": 3})]
        cases += [(f"AdaptiveMaxPool{n}d", {"output_size": 2, "return_indices": True})]
        if n > 1:
            cases += [(f"AdaptiveAvgPool{n}d", {"output_size": (2, None, 4)[:n]})]
        part = x[(slice(None),) * (n + 2) + (0,) * (3 - n)].copy()
        for name, options in cases:
            ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
            assert repr(ours) == repr(theirs)
            got, wanted = ours(gs.tensor(part)), theirs(torch.tensor(part))
            if isinstance(got, tuple):
                np.testing.assert_array_equal(got[1].numpy(), wanted[1].numpy())
                got, wanted = got[0], wanted[0]
            np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
        for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}):
            name = f"MaxUnpool{n}d"
            assert repr(getattr(nn, name)(**options)) == repr(getattr(torch.nn, name)(**options))


def test_overlapping_windows_give_a_value_back_once():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(5).permutation(49).reshape(1, 1, 7, 7).astype(np.float32)
    y, indices = F.max_pool2d(gs.tensor(x), 3, 1, return_indices=True)
    got = F.max_unpool2d(y, indices, 3, 1)
    ty, ti = torch.nn.functional.max_pool2d(torch.tensor(x), 3, 1, return_indices=True)
    wanted = torch.nn.functional.max_unpool2d(ty, ti, 3, 1)
    np.testing.assert_array_equal(got.numpy(), wanted.numpy())
    with pytest.raises((IndexError, RuntimeError)):
        F.max_unpool2d(y, indices + 100, 3, 1)


@pytest.mark.parametrize("norm_type", [2, 3.0, float("inf")])
def test_power_average_layers_are_torchs(norm_type):
    torch = pytest.importorskip("torch")
    x = np.abs(np.random.default_rng(6).standard_normal((2, 3, 7, 6, 5))).astype(np.float32)
    for n in (1, 2, 3):
        part = x[(slice(None),) * (n + 2) + (0,) * (3 - n)].copy()
        for options in ({}, {"stride": 1, "ceil_mode": True}):
            ours = getattr(nn, f"LPPool{n}d")(norm_type, 3, **options)
            theirs = getattr(torch.nn, f"LPPool{n}d")(norm_type, 3, **options)
            assert repr(ours) == repr(theirs)
            got, wanted = ours(gs.tensor(part)).numpy(), theirs(torch.tensor(part)).numpy()
            np.testing.assert_allclose(got, wanted, rtol=1e-5)
