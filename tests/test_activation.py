"""Activations: random slopes, changes in place, layers."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.kernels import ACTIVATIONS
from gradsmith.nn import functional as F

IN_PLACE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("relu", "relu6", "leaky_relu", "rrelu", "elu", "celu", "selu"), {}),
    **dict.fromkeys(("silu", "mish", "hardsigmoid", "hardtanh", "hardswish"), {}),
    "threshold": {"threshold": 0.1, "value": -1.0},
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(name: str) -> None:
    """The same values and gradients; a leaf is refused."""
    function, options = getattr(F, name), IN_PLACE[name]
    x = gs.tensor([-2.0, -0.3, 0.4, 2.5], requires_grad=True)
    y = function(x, **options)
    (y * y).sum().backward()
    expected, x.grad = x.grad, None
    changed = x * 1.0
    assert function(changed, inplace=True, **options) is changed
    assert changed.tolist() == y.tolist()
    (changed * changed).sum().backward()
    assert x.grad.tolist() == expected.tolist()
    with pytest.raises(RuntimeError, match=f"{name}.*: a leaf that requires a gradient|copy_: a"):
        function(x, inplace=True, **options)


def test_rrelu_draws_its_slopes(device: str) -> None:
    gs.manual_seed(3)
    x = gs.full((4000,), -1.0, device=device).requires_grad_()
    y = F.rrelu(x, 0.2, 0.6, training=True)
    y.sum().backward()
    slopes = -y.detach().cpu().numpy()
    assert slopes.min() >= 0.2 and slopes.max() < 0.6 + 1e-6
    assert abs(slopes.mean() - 0.4) < 0.01 and slopes.std() > 0.1
    assert np.array_equal(x.grad.cpu().numpy(), slopes)
    gs.manual_seed(3)
    assert F.rrelu(x, 0.2, 0.6, training=True).tolist() == y.tolist()
    assert F.rrelu(gs.ones(3, device=device), training=True).tolist() == [1.0] * 3
    layer = gs.nn.RReLU(0.2, 0.6).eval()
    assert np.allclose(layer(x).detach().cpu().numpy(), -0.4)


def test_a_third_derivative_is_refused() -> None:
    x = gs.tensor([0.5], requires_grad=True)
    (first,) = gs.autograd.grad(F.silu(x).sum(), [x], create_graph=True)
    (second,) = gs.autograd.grad(first.sum(), [x], create_graph=True)
    with pytest.raises(NotImplementedError, match="silu: no third derivative"):
        second.sum().backward()


def test_kinds_are_the_kernels() -> None:
    """One number beyond the list is refused on the CPU; each in it is a function."""
    from gradsmith import _cpu

    x = np.ones(3, np.float32)
    for kind in range(len(ACTIVATIONS)):
        assert _cpu.activation(x, kind, 0.5, 1.0, 1.0).shape == (3,)
    for kind in (-1, len(ACTIVATIONS)):
        with pytest.raises(_cpu.Fault):
            _cpu.activation(x, kind, 0.0, 0.0, 0.0)


def test_softmax_options() -> None:
    x = gs.tensor([[1, 2], [3, 4]])
    y = F.softmax(x, 1, dtype=gs.float64)
    assert y.dtype is gs.float64 and np.allclose(y.numpy().sum(1), 1)
    with pytest.warns(UserWarning, match="softmax: dim=None means dim=1"):
        F.softmax(y)
    with pytest.raises(ValueError, match="Softmax2d: input must have 3 or 4 dimensions"):
        gs.nn.Softmax2d()(y)


LAYERS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("ReLU6", ()),
    ("ReLU6", (True,)),
    ("LeakyReLU", (0.2, True)),
    ("PReLU", (3,)),
    ("RReLU", ()),
    ("RReLU", (0.1, 0.2, True)),
    ("ELU", (0.5,)),
    ("ELU", (1.0, True)),
    ("CELU", (2.0, True)),
    ("SELU", ()),
    ("GELU", ("tanh",)),
    ("SiLU", (True,)),
    ("Mish", ()),
    ("LogSigmoid", ()),
    ("Hardsigmoid", (True,)),
    ("Hardtanh", (-2.0, 2.0, True)),
    ("Hardswish", ()),
    ("Softplus", (2, 10)),
    ("Softplus", ()),
    ("Softsign", ()),
    ("Softshrink", (0.25,)),
    ("Hardshrink", (0.25,)),
    ("Tanhshrink", ()),
    ("Threshold", (0.1, 20, True)),
    ("GLU", (1,)),
    ("Softmax", (1,)),
    ("Softmin", (1,)),
    ("Softmax2d", ()),
)


@pytest.mark.parametrize("name,args", LAYERS)
def test_layers_are_torchs(name: str, args: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(gs.nn, name)(*args), getattr(torch.nn, name)(*args)
    assert repr(ours) == repr(theirs)
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    if name == "RReLU":
        ours.eval(), theirs.eval()
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32) * 3
    x = x[:, :2] if name == "GLU" else x
    y = ours(gs.from_numpy(x.copy())).detach().numpy()
    np.testing.assert_allclose(y, theirs(torch.from_numpy(x.copy())).detach(), rtol=1e-5, atol=2e-6)


def test_maxout_layer() -> None:
    layer = gs.nn.Maxout(2)
    assert repr(layer) == "Maxout(pieces=2, dim=1)"
    assert layer(gs.tensor([[1.0, 5.0, 3.0, 2.0]])).tolist() == [[5.0, 3.0]]
