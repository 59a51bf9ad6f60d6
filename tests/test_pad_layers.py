"""Padding layers and Unflatten: values against NumPy, names and errors as PyTorch's."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest

MODES = {
    "Constant": {"mode": "constant", "constant_values": 2.5},
    "Zero": {"mode": "constant"},
    "Reflection": {"mode": "reflect"},
    "Replication": {"mode": "edge"},
    "Circular": {"mode": "wrap"},
}


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", MODES)
def test_values(kind: str, dims: int, batched: bool) -> None:
    padding = (2, 1, 0, 3, 1, 1)[: 2 * dims]
    shape = (2, 3, 4, 5, 6)[0 if batched else 1 : 2] + (4, 5, 6)[-dims:]
    x = np.random.default_rng(0).normal(size=shape)
    args = (padding, 2.5) if kind == "Constant" else (padding,)
    layer = getattr(gs.nn, f"{kind}Pad{dims}d")(*args)
    widths = [(0, 0)] * (len(shape) - dims)
    widths += [(padding[2 * i], padding[2 * i + 1]) for i in reversed(range(dims))]
    expected = np.pad(x, widths, **MODES[kind])
    assert np.array_equal(layer(gs.tensor(x)).numpy(), expected)
    whole = getattr(gs.nn, f"{kind}Pad{dims}d")(*((1, 2.5) if kind == "Constant" else (1,)))
    assert whole.padding == (1,) * (2 * dims)
    assert whole(gs.tensor(x)).shape[-1] == shape[-1] + 2


@pytest.mark.parametrize("kind", MODES)
def test_repr_is_torchs(kind: str) -> None:
    nn = pytest.importorskip("torch").nn
    for dims in (1, 2, 3):
        args = (2, 0.5) if kind == "Constant" else (2,)
        name = f"{kind}Pad{dims}d"
        assert repr(getattr(gs.nn, name)(*args)) == repr(getattr(nn, name)(*args))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="ZeroPad2d: padding must be an int or 4 ints"):
        gs.nn.ZeroPad2d((1, 2))
    with pytest.raises(RuntimeError):
        gs.nn.ReflectionPad1d(7)(gs.ones(1, 2, 5))


def test_unflatten() -> None:
    x = gs.tensor(np.arange(24.0).reshape(2, 12))
    assert gs.nn.Unflatten(1, (3, -1))(x).shape == (2, 3, 4)
    assert gs.nn.Unflatten(-1, (3, 2, 2))(x).shape == (2, 3, 2, 2)
    assert repr(gs.nn.Unflatten(1, (3, 4))) == "Unflatten(dim=1, unflattened_size=(3, 4))"
    with pytest.raises(IndexError, match="dim must be in"):
        gs.nn.Unflatten(2, (3, 4))(x)
    with pytest.raises(TypeError, match="must be ints"):
        gs.nn.Unflatten(1, ("C", "H"))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        gs.nn.Unflatten(1, (5, 4))(x)
