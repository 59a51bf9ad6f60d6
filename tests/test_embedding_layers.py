"""nn.Embedding and EmbeddingBag, normalize, weight_norm and spectral_norm, against PyTorch."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.nn.utils import parametrizations, parametrize
from gradsmith.testing import assert_close

F = nn.functional


def normal(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


INDICES = np.array([[1, 2, 2, 0], [6, 2, 5, 1]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding_idx": 2},
        {"padding_idx": -1},
        {"max_norm": 1.0},
        {"max_norm": 0.7, "norm_type": 1.0},
        {"scale_grad_by_freq": True},
    ],
)
def test_embedding_follows_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    w, g = normal(7, 3), normal(2, 4, 3, seed=1)
    ours, theirs = nn.Embedding(7, 3, **options), torch.nn.Embedding(7, 3, **options)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({"weight": gs.from_numpy(w.copy())})
    theirs.load_state_dict({"weight": torch.from_numpy(w.copy())})
    y, t = ours(gs.from_numpy(INDICES)), theirs(torch.from_numpy(INDICES))
    assert_close(y.detach(), t.detach().numpy(), atol=1e-6)
    y.backward(gs.from_numpy(g))
    t.backward(torch.from_numpy(g))
    assert_close(ours.weight.grad, theirs.weight.grad.numpy(), atol=1e-6)
    assert_close(ours.weight.detach(), theirs.weight.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"max_norm": 1.0}])
def test_embedding_bag_follows_torch(mode: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    w = normal(7, 3)
    ours = nn.EmbeddingBag(7, 3, mode=mode, **options)
    theirs = torch.nn.EmbeddingBag(7, 3, mode=mode, **options)
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({"weight": gs.from_numpy(w.copy())})
    theirs.load_state_dict({"weight": torch.from_numpy(w.copy())})
    flat, offsets = INDICES.reshape(-1), np.array([0, 3, 3, 6])
    y = ours(gs.from_numpy(flat), gs.from_numpy(offsets))
    t = theirs(torch.from_numpy(flat), torch.from_numpy(offsets))
    assert_close(y.detach(), t.detach().numpy(), atol=1e-6)
    g = normal(4, 3, seed=1)
    y.backward(gs.from_numpy(g))
    t.backward(torch.from_numpy(g))
    assert_close(ours.weight.grad, theirs.weight.grad.numpy(), atol=1e-6)


def test_pretrained_and_padding() -> None:
    w = gs.from_numpy(normal(5, 2))
    layer = nn.Embedding.from_pretrained(w)
    assert not layer.weight.requires_grad and layer.weight.tolist() == w.tolist()
    assert nn.Embedding.from_pretrained(w, freeze=False).weight.requires_grad
    assert nn.EmbeddingBag.from_pretrained(w, mode="sum").mode == "sum"
    assert nn.Embedding(4, 3, padding_idx=1).weight[1].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="padding_idx must be in"):
        nn.Embedding(4, 3, padding_idx=4)
    with pytest.raises(ValueError, match="must be 2-D"):
        nn.Embedding.from_pretrained(gs.ones(3))


def test_embedding_on_both_devices(cuda: str) -> None:
    w, g = normal(7, 3), normal(2, 3, seed=1)
    found = []
    for device in ("cpu", cuda):
        table = gs.tensor(w, device=device, requires_grad=True)
        y = F.embedding_bag(gs.tensor(INDICES, device=device), table, mode="mean", padding_idx=2)
        y.backward(gs.tensor(g, device=device))
        found.append((y.detach().cpu().numpy(), table.grad.cpu().numpy()))
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, atol=1e-6)


# ---- weight_norm, spectral_norm ----

LAYERS = {
    "linear": lambda lib: lib.nn.Linear(4, 3),
    "conv": lambda lib: lib.nn.Conv2d(2, 3, 2),
    "transposed": lambda lib: lib.nn.ConvTranspose1d(2, 3, 2),
}
SHAPES = {"linear": (5, 4), "conv": (2, 2, 4, 4), "transposed": (2, 2, 4)}


def module_of(lib: Any, form: str) -> Any:
    return lib.nn.utils.parametrizations if form == "parametrizations" else lib.nn.utils


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("form", ["utils", "parametrizations"])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("kind", LAYERS)
def test_reparametrized_layer_follows_torch(kind: str, name: str, form: str) -> None:
    """State names, two training steps, evaluation, gradients of the originals, removal."""
    torch = pytest.importorskip("torch")
    ours = getattr(module_of(gs, form), name)(LAYERS[kind](gs))
    theirs = getattr(module_of(torch, form), name)(LAYERS[kind](torch))
    assert sorted(ours.state_dict()) == sorted(theirs.state_dict())
    state = {k: v.detach().numpy().copy() for k, v in theirs.state_dict().items()}
    ours.load_state_dict({k: gs.from_numpy(v) for k, v in state.items()})
    x = normal(*SHAPES[kind])
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        ours.zero_grad()
        theirs.zero_grad()
        y, t = ours(gs.from_numpy(x)), theirs(torch.from_numpy(x))
        assert_close(y.detach(), t.detach().numpy(), atol=1e-5)
        (y * y).sum().backward()
        (t * t).sum().backward()
        grads = {k: p.grad for k, p in theirs.named_parameters()}
        for k, p in ours.named_parameters():
            assert_close(p.grad, grads[k].numpy(), rtol=1e-4, atol=1e-4, name=k)
    for k, v in theirs.state_dict().items():
        assert_close(ours.state_dict()[k], v.detach().numpy(), atol=1e-5, name=k)
    if form == "utils":
        getattr(nn.utils, f"remove_{name}")(ours)
    else:
        assert parametrize.is_parametrized(ours, "weight")
        parametrize.remove_parametrizations(ours, "weight")
    assert set(ours.state_dict()) == {"weight", "bias"}
    assert type(ours) is type(LAYERS[kind](gs))
    assert_close(ours(gs.from_numpy(x)).detach(), t.detach().numpy(), atol=1e-5)


def test_parametrized_attribute_can_be_assigned() -> None:
    layer = parametrizations.weight_norm(nn.Linear(4, 3))
    value = gs.from_numpy(normal(3, 4))
    layer.weight = value
    assert_close(layer.weight.detach(), value.numpy(), atol=1e-6)


def test_refusals() -> None:
    layer = nn.utils.weight_norm(nn.Linear(4, 3))
    with pytest.raises(RuntimeError, match="has one already"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="no parameter 'other'"):
        nn.utils.spectral_norm(nn.Linear(2, 2), "other")
    with pytest.raises(ValueError, match="has no weight_norm"):
        nn.utils.remove_weight_norm(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="n_power_iterations must be positive"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)


@pytest.mark.parametrize("p", [1, 2, 3.0, 0.5, float("inf")])
@pytest.mark.parametrize("dim", [0, 1, -1, (0, 2)])
def test_normalize_follows_torch(p: float, dim: Any) -> None:
    torch = pytest.importorskip("torch")
    x = normal(3, 4, 2).astype(np.float64)
    x[:, 1] = 0.0 if dim != -1 else x[:, 1]
    a, b = gs.from_numpy(x).requires_grad_(), torch.from_numpy(x.copy()).requires_grad_()
    y, t = F.normalize(a, p, dim), torch.nn.functional.normalize(b, p, dim)
    assert_close(y.detach(), t.detach().numpy(), atol=1e-12)
    g = normal(3, 4, 2, seed=1).astype(np.float64)
    y.backward(gs.from_numpy(g))
    t.backward(torch.from_numpy(g))
    finite = np.isfinite(b.grad.numpy()) & (np.abs(b.grad.numpy()) < 1e6)
    assert np.allclose(a.grad.numpy()[finite], b.grad.numpy()[finite], atol=1e-9)
