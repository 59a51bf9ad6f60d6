"""Convolution layers: padding modes, uneven and causal padding, output sizes."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.nn import functional as F
from gradsmith.testing import gradcheck

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(x, pairs, mode):
    lead = [(0, 0)] * (x.ndim - len(pairs))
    return np.pad(x, [*lead, *pairs], mode=MODES[mode])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("padding", [2, "same", "valid", "pairs"])
def test_padding_modes(n, padding, mode, device):
    kernel = (4, 3, 2)[:n]
    sides = {
        2: [(2, 2)] * n,
        "valid": [(0, 0)] * n,
        "same": [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel],
        "pairs": [(1, 2), (2, 0), (0, 1)][:n],
    }[padding]
    given = tuple(sides) if padding == "pairs" else padding
    layer = getattr(nn, f"Conv{n}d")(2, 3, kernel, padding=given, padding_mode=mode).to(device)
    rng = np.random.default_rng(0)
    for shape in ((2, 2, 5, 6, 4)[: n + 2], (2, 5, 6, 4)[: n + 1]):
        x = rng.standard_normal(shape).astype(np.float32)
        got = layer(gs.tensor(x).to(device)).detach().cpu().numpy()
        weight, bias = layer.weight.detach(), layer.bias.detach()
        function = getattr(F, f"conv{n}d")
        wanted = function(gs.tensor(padded(x, sides, mode)).to(device), weight, bias)
        np.testing.assert_allclose(got, wanted.cpu().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_modes_have_gradients(mode):
    layer = nn.Conv2d(2, 2, (3, 2), padding="same", padding_mode=mode, dtype=gs.float64)
    x = gs.tensor(np.random.default_rng(0).standard_normal((2, 2, 4, 5)), requires_grad=True)
    assert gradcheck(lambda x, w: F.conv2d(x, w, padding=((1, 0), (0, 2))), (x, layer.weight))
    assert gradcheck(layer, (x,))


def test_a_causal_convolution_sees_no_future():
    layer = nn.Conv1d(1, 1, 3, padding="causal", dilation=2)
    x = gs.zeros(1, 1, 12)
    x[0, 0, 6] = 1.0
    y = (layer(x) - layer(gs.zeros(1, 1, 12))).detach().numpy()[0, 0]
    assert y.shape == (12,) and not y[:6].any() and y[[6, 8, 10]].all()
    assert "padding=causal" in repr(layer)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_layers_are_torchs(n):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    for mode in MODES:
        for padding in (1, (2, 1, 3)[:n], "same"):
            options = {"padding": padding, "padding_mode": mode}
            ours = getattr(nn, f"Conv{n}d")(2, 3, 4, **options)
            theirs = getattr(torch.nn, f"Conv{n}d")(2, 3, 4, **options)
            assert repr(ours) == repr(theirs)
            with torch.no_grad():
                theirs.weight.copy_(torch.tensor(ours.weight.detach().numpy()))
                theirs.bias.copy_(torch.tensor(ours.bias.detach().numpy()))
            x = rng.standard_normal((2, 2, 7, 6, 5)[: n + 2]).astype(np.float32)
            wanted = theirs(torch.tensor(x)).detach().numpy()
            got = ours(gs.tensor(x)).detach().numpy()
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


WRONG = [
    (lambda: nn.Conv2d(1, 1, 3, padding_mode="x"), ValueError, "padding_mode must be"),
    (lambda: nn.Conv2d(1, 1, 3, padding="causal"), ValueError, "padding must be ints, 'same'"),
    (lambda: nn.Conv1d(1, 1, 3, padding="x"), ValueError, r"\(or 'causal'\); got 'x'"),
    (lambda: nn.Conv2d(1, 1, 3, padding="same", stride=2), ValueError, "needs stride 1"),
    (lambda: nn.Conv2d(1, 1, 3, padding=((1, 2),)), ValueError, "padding of pairs must have one"),
    (lambda: nn.ConvTranspose1d(1, 1, 3, padding="same"), ValueError, "padding must be ints"),
    (lambda: nn.ConvTranspose1d(1, 1, 3, padding_mode="reflect"), ValueError, "must be 'zeros'"),
    (
        lambda: nn.Conv1d(1, 1, 3, padding=4, padding_mode="reflect")(gs.ones(1, 1, 4)),
        RuntimeError,
        "can pad by at most 3 a dim of size 4",
    ),
]


@pytest.mark.parametrize("make, kind, message", WRONG, ids=range(len(WRONG)))
def test_options_are_checked(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
