"""nn.init: bounds, moments, gains and errors."""

from __future__ import annotations

import math

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.nn import init

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9


def values(t):
    return t.detach().numpy().astype(np.float64)


def test_fans():
    assert init._calculate_fan_in_and_fan_out(gs.zeros(*SHAPE)) == (FAN_IN, FAN_OUT)
    assert init._calculate_fan_in_and_fan_out(gs.zeros(5, 7)) == (7, 5)
    with pytest.raises(ValueError, match=r"at least 2 dimensions; got shape \(3,\)"):
        init.xavier_uniform_(gs.zeros(3))


def test_constants_return_the_tensor():
    p = nn.Parameter(gs.zeros(3))
    assert init.constant_(p, 2.5) is p and p.tolist() == [2.5] * 3
    assert init.ones_(p).tolist() == [1.0] * 3
    assert init.zeros_(p).tolist() == [0.0] * 3
    assert p.is_leaf and p.requires_grad


@pytest.mark.parametrize(
    "fill, bound",
    [
        (lambda t: init.uniform_(t, -2.0, 2.0), 2.0),
        (lambda t: init.xavier_uniform_(t, 2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (lambda t: init.kaiming_uniform_(t, nonlinearity="relu"), math.sqrt(6 / FAN_IN)),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(FAN_IN)),
        (
            lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="tanh"),
            5 / 3 * math.sqrt(3 / FAN_OUT),
        ),
    ],
)
def test_uniform_bounds(fill, bound):
    gs.manual_seed(0)
    t = gs.zeros(*SHAPE)
    assert fill(t) is t
    v = values(t)
    assert -bound <= v.min() < -0.99 * bound and 0.99 * bound < v.max() <= bound
    assert v.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert abs(v.mean()) < 0.02 * bound


@pytest.mark.parametrize(
    "fill, mean, std",
    [
        (lambda t: init.normal_(t, 3.0, 2.0), 3.0, 2.0),
        (init.xavier_normal_, 0.0, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), 0.0, math.sqrt(2 / FAN_IN)),
        (
            lambda t: init.kaiming_normal_(t, 0.2, "fan_out"),
            0.0,
            math.sqrt(2 / 1.04) / math.sqrt(FAN_OUT),
        ),
    ],
)
def test_normal_moments(fill, mean, std):
    gs.manual_seed(0)
    v = values(fill(gs.zeros(*SHAPE)))
    assert v.std() == pytest.approx(std, rel=0.02)
    assert v.mean() == pytest.approx(mean, abs=0.03 * std)


def test_gains():
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "sigmoid"):
        assert init.calculate_gain(name) == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 1) == 1
    assert init.calculate_gain("selu") == 0.75
    with pytest.raises(ValueError, match="nonlinearity must be one of .*; got 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="negative slope must be a number; got True"):
        init.calculate_gain("leaky_relu", True)
    with pytest.raises(ValueError, match="mode must be 'fan_in' or 'fan_out'; got 'fan'"):
        init.kaiming_uniform_(gs.zeros(2, 2), mode="fan")


def test_generator_decides_the_numbers():
    a = init.kaiming_normal_(gs.zeros(8, 8), generator=gs.Generator().manual_seed(5))
    gs.manual_seed(1)
    b = init.kaiming_normal_(gs.zeros(8, 8), generator=gs.Generator().manual_seed(5))
    assert a.tolist() == b.tolist()
    gs.manual_seed(7)
    c = nn.Linear(3, 3).weight.tolist()
    gs.manual_seed(7)
    assert nn.Linear(3, 3).weight.tolist() == c


@pytest.mark.parametrize("layer", [nn.Linear(300, 200), nn.Conv2d(12, 64, 5)])
def test_layers_start_within_one_over_root_fan_in(layer):
    bound = 1 / math.sqrt(init._calculate_fan_in_and_fan_out(layer.weight)[0])
    for p in (layer.weight, layer.bias):
        v = values(p)
        assert np.abs(v).max() <= bound * (1 + 1e-6)
        assert v.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_empty_tensors_stay_empty():
    assert init.kaiming_uniform_(gs.zeros(3, 0)).shape == (3, 0)
    assert init.xavier_normal_(gs.zeros(0, 0)).shape == (0, 0)


def test_gains_are_torchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
