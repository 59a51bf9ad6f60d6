"""The models: torchvision's names, shapes, parameter counts; training; fit and predict."""

from __future__ import annotations

import hashlib
import math

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import models, nn, optim
from gradsmith.nn import functional as F

# Parameters, and the beginning of the SHA-256 of the lines "name shape" of the state_dict, of
# torchvision 0.28's models (built there on the meta device).
TORCHVISION = [
    ("alexnet", 61_100_840, "9c198ebdae1863e4"),
    ("vgg11", 132_863_336, "cb3dc23f2a13e182"),
    ("vgg11_bn", 132_868_840, "8b6717e727c0ecf9"),
    ("vgg13", 133_047_848, "67c1dc8b57fde74b"),
    ("vgg13_bn", 133_053_736, "f6b0597d18a7e4d2"),
    ("vgg16", 138_357_544, "35c4623e0cd4a39d"),
    ("vgg16_bn", 138_365_992, "347371586a8ea365"),
    ("vgg19", 143_667_240, "4723255af8f6c485"),
    ("vgg19_bn", 143_678_248, "fc3ff6fab2b5cc09"),
    ("resnet18", 11_689_512, "84fb10d9c6905a1c"),
    ("resnet34", 21_797_672, "28f9096d51307499"),
    ("resnet50", 25_557_032, "d7e4f8bb0a536344"),
    ("resnet101", 44_549_160, "02c0f34f4842751f"),
    ("resnet152", 60_192_808, "685c66205bc823aa"),
    ("googlenet", 13_004_888, "7f541ca29410efb1"),
]


@pytest.fixture
def unfilled(monkeypatch):
    """Parameters whose memory is never written: large models are made at once."""
    for module in (nn.init, gs.nn.modules.matmul.init):
        for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"):
            monkeypatch.setattr(module, name, lambda t, *args, **options: t)


@pytest.mark.parametrize("name,parameters,digest", TORCHVISION)
def test_names_and_shapes_are_torchvisions(name, parameters, digest, unfilled):
    model = getattr(models, name)()
    assert sum(p.numel() for p in model.parameters()) == parameters
    lines = [f"{key} {tuple(t.shape)}" for key, t in model.state_dict().items()]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == digest


def test_some_published_names(unfilled):
    state = models.resnet18().state_dict()
    assert state["layer1.0.conv1.weight"].shape == (64, 64, 3, 3)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["fc.weight"].shape == (1000, 512)
    without = models.googlenet(aux_logits=False)
    assert sum(p.numel() for p in without.parameters()) == 6_624_904


SMALL = [
    ("alexnet", {"hidden": 16}, 63),
    ("vgg11", {"hidden": 16}, 32),
    ("vgg11_bn", {"hidden": 16}, 32),
    ("vgg16", {"hidden": 16}, 32),
    ("resnet18", {}, 32),
    ("resnet50", {}, 64),
    ("googlenet", {}, 64),
]


def loss_of(model, x, y):
    scores = model(x)
    if not isinstance(scores, tuple):
        return F.cross_entropy(scores, y)
    total = F.cross_entropy(scores[0], y)
    for other in scores[1:]:
        total = total + F.cross_entropy(other, y) * 0.3
    return total


def steps(model, loss, count, lr=1e-3):
    optimizer = optim.Adam(model.parameters(), lr=lr)
    model.train()
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert all(math.isfinite(v) for v in losses)
    assert all(p.grad is not None for p in model.parameters())
    return losses


@pytest.mark.parametrize("name,options,side", SMALL, ids=[s[0] for s in SMALL])
def test_image_models_train_and_load(name, options, side, tmp_path):
    gs.manual_seed(0)
    model = getattr(models, name)(num_classes=3, **options)
    x, y = gs.randn(3, 3, side, side), gs.tensor([0, 1, 2])
    dropping = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    for m in dropping:
        m.p = 0.0
    losses = steps(model, lambda: loss_of(model, x, y), 4, lr=3e-4)
    assert min(losses[1:]) < losses[0]
    model.eval()
    with gs.no_grad():
        expected = model(x)
    assert expected.shape == (3, 3)
    pytest.importorskip("safetensors")
    gs.save(model.state_dict(), tmp_path / "w.safetensors")
    twin = getattr(models, name)(
        num_classes=3, weights=tmp_path / "w.safetensors", **options
    ).eval()
    with gs.no_grad():
        np.testing.assert_array_equal(twin(x).numpy(), expected.numpy())
    with pytest.raises(RuntimeError, match="the state does not fit"):
        getattr(models, name)(num_classes=4, weights=model.state_dict(), **options)


def test_resnet_computes_as_torch_written_out():
    """One bottleneck stage against the same operations of PyTorch."""
    torch = pytest.importorskip("torch")
    gs.manual_seed(0)
    block = models.Bottleneck(
        8, 4, 2, nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
    ).double()
    x = gs.randn(2, 8, 6, 6, dtype=gs.float64)
    w = {k: torch.from_numpy(t.numpy().copy()) for k, t in block.state_dict().items()}
    f = torch.nn.functional

    def norm(t, name):
        return f.batch_norm(t, None, None, w[name + ".weight"], w[name + ".bias"], True)

    t = torch.from_numpy(x.numpy())
    out = torch.relu(norm(f.conv2d(t, w["conv1.weight"]), "bn1"))
    out = torch.relu(norm(f.conv2d(out, w["conv2.weight"], stride=2, padding=1), "bn2"))
    out = norm(f.conv2d(out, w["conv3.weight"]), "bn3")
    side = norm(f.conv2d(t, w["downsample.0.weight"], stride=2), "downsample.1")
    np.testing.assert_allclose(
        block(x).detach().numpy(), torch.relu(out + side).numpy(), atol=1e-10
    )


def test_resnet_options():
    model = models.resnet50(num_classes=2, replace_stride_with_dilation=(False, True, True))
    assert model.layer4[0].conv2.dilation == (2, 2) and model.layer4[1].conv2.dilation == (4, 4)
    zeroed = models.resnet18(num_classes=2, zero_init_residual=True)
    assert float(zeroed.layer1[0].bn2.weight.detach().numpy().max()) == 0.0
    with pytest.raises(ValueError, match="three values"):
        models.resnet18(replace_stride_with_dilation=(True,))
    with pytest.raises(ValueError, match="use Bottleneck"):
        models.BasicBlock(4, 4, groups=2)
    with pytest.raises(ValueError, match="depth must be one of"):
        models.VGG(12)


def test_summary_counts_what_is_published():
    """1.814 and 0.714 GFLOPs (multiply-adds), as torchvision's documentation has them."""
    assert gs.summary(models.resnet18(), (1, 3, 224, 224)).multiply_adds == 1_814_073_344
    small = gs.summary(models.alexnet(), (1, 3, 224, 224))
    assert small.multiply_adds == 714_188_480 and small.parameters == 61_100_840


def test_googlenet_transforms_inputs():
    model = models.googlenet(num_classes=2, aux_logits=False, transform_input=True)
    x = gs.randn(1, 3, 2, 2)
    seen = x.numpy() * np.array([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    seen += np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    np.testing.assert_allclose(model._transformed(x).numpy(), seen * 2 - 1, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"bilinear": True}, {"batch_norm": False}])
def test_unet_trains_at_any_size(options):
    gs.manual_seed(0)
    model = models.UNet(1, 2, width=4, depth=2, **options)
    for side in ((8, 8), (9, 14)):
        x = gs.randn(2, 1, *side)
        assert model(x).shape == (2, 2, *side)
    y = (x.numpy()[:, 0] > 0).astype(np.int64)
    target = gs.from_numpy(y)
    losses = steps(model, lambda: F.cross_entropy(model(x), target), 30, lr=1e-2)
    assert losses[-1] < 0.7 * losses[0]
    with pytest.raises(ValueError, match="depth must be at least 1"):
        models.UNet(depth=0)


def test_mlp_trains():
    gs.manual_seed(0)
    model = models.MLP(12, (8, 8), 3, nn.Tanh, dropout=0.1, batch_norm=True)
    x, y = gs.randn(6, 3, 4), gs.tensor([0, 1, 2, 0, 1, 2])
    losses = steps(model, lambda: F.cross_entropy(model(x), y), 30, lr=1e-2)
    assert losses[-1] < losses[0]
    assert list(models.MLP(2, (), 1).state_dict()) == ["layers.1.weight", "layers.1.bias"]


# ---- sequences ----

TEXT = "to be or not to be that is the question "
LETTERS = sorted(set(TEXT))
TOKENS = gs.tensor([[LETTERS.index(c) for c in TEXT]])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_char_rnn_learns_a_sentence(cell):
    gs.manual_seed(0)
    model = models.CharRNN(len(LETTERS), 32, cell=cell, embedding_size=8)

    def loss():
        logits, _ = model(TOKENS[:, :-1])
        return F.cross_entropy(logits.reshape(-1, len(LETTERS)), TOKENS[0, 1:])

    losses = steps(model, loss, 150, lr=2e-2)
    assert losses[-1] < 0.15
    written = model.generate([LETTERS.index(c) for c in "to be or"], 12, temperature=0)
    assert "".join(LETTERS[i] for i in written).startswith("to be or")
    assert len(written) == 20 and model.training
    logits, state = model(TOKENS[:, :5])
    more, _ = model(TOKENS[:, 5:9], state)
    whole, _ = model(TOKENS[:, :9])
    np.testing.assert_allclose(more.detach().numpy(), whole.detach().numpy()[:, 5:], atol=1e-5)
    with pytest.raises(ValueError, match="cell must be one of"):
        models.CharRNN(3, cell="gated")


def test_samples_follow_the_scores():
    from gradsmith.models.sequence import sample

    scores = gs.tensor([0.0, math.log(3.0), -1e9])
    stream = gs.Generator().manual_seed(1)
    drawn = [sample(scores, generator=stream) for _ in range(2000)]
    assert abs(np.mean(drawn) - 0.75) < 0.04 and set(drawn) == {0, 1}
    assert sample(scores, 0) == 1
    with pytest.raises(ValueError, match="temperature must be >= 0"):
        sample(scores, -1)


def test_tcn_is_causal_and_trains():
    gs.manual_seed(0)
    model = models.TCN(2, (6, 6, 6), kernel_size=3, num_outputs=1).eval()
    assert model.receptive_field == 1 + 2 * 2 * (1 + 2 + 4)
    x = gs.randn(1, 2, 20)
    changed = x.numpy().copy()
    changed[:, :, 12:] += 1.0
    with gs.no_grad():
        a, b = model(x).numpy(), model(gs.from_numpy(changed)).numpy()
    assert a.shape == (1, 1, 20)
    np.testing.assert_array_equal(a[:, :, :12], b[:, :, :12])
    assert not np.array_equal(a[:, :, 12:], b[:, :, 12:])
    model = models.TCN(2, (8,), num_outputs=1, dropout=0.0)
    y = x[:, :1] * 0.5
    losses = steps(model, lambda: ((model(x) - y) * (model(x) - y)).mean(), 60, lr=2e-2)
    assert losses[-1] < 0.2 * losses[0]


def test_transformer_is_causal_and_learns_a_sentence():
    gs.manual_seed(0)
    model = models.TransformerLM(len(LETTERS), 40, 32, 4, 2, dropout=0.0)
    assert "h.0.attn.weight" in model.state_dict() and "wte.weight" in model.state_dict()
    with gs.no_grad():
        changed = TOKENS.numpy().copy()
        changed[:, 20:] = 0
        a, b = model(TOKENS[:, :40]).numpy(), model(gs.from_numpy(changed[:, :40])).numpy()
    np.testing.assert_allclose(a[:, :20], b[:, :20], atol=1e-5)

    def loss():
        logits = model(TOKENS[:, :-1])
        return F.cross_entropy(logits.reshape(-1, len(LETTERS)), TOKENS[0, 1:])

    losses = steps(model, loss, 60, lr=1e-2)
    assert losses[-1] < 0.3 < 2.0 < losses[0]
    written = model.generate([LETTERS.index(c) for c in "to be or"], 40, temperature=0)
    assert len(written) == 48 and "".join(LETTERS[i] for i in written).startswith("to be or not")
    with pytest.raises(RuntimeError, match="at most 40 tokens; got 41"):
        model(gs.zeros(1, 41, dtype=gs.int64))
    with pytest.raises(ValueError, match="multiple of heads"):
        models.TransformerLM(3, width=10, heads=4)


# ---- fit and predict ----


def digits(split):
    from gradsmith.datasets import Digits

    data = Digits(split)
    return data.images, data.labels


@pytest.mark.parametrize("p", [1, 2])
def test_nearest_neighbours_are_those_of_scipy(p):
    cdist = pytest.importorskip("scipy.spatial.distance").cdist
    rng = np.random.default_rng(0)
    x, q = rng.normal(size=(50, 7)), rng.normal(size=(9, 7))
    y = rng.integers(0, 3, 50)
    knn = models.NearestNeighbors(5, p, chunk=60).fit(x, y)
    expected = cdist(q, x, "cityblock" if p == 1 else "euclidean")
    np.testing.assert_allclose(knn.distances(q).numpy(), expected, rtol=1e-9)
    near, where = knn.kneighbors(gs.from_numpy(q))
    np.testing.assert_array_equal(where, expected.argsort(1)[:, :5])
    np.testing.assert_allclose(near, np.sort(expected, 1)[:, :5], rtol=1e-9)
    assert models.NearestNeighbors(1, p).fit(x, y).score(x, y) == 1.0


def test_ties_go_to_the_nearer_class():
    knn = models.NearestNeighbors(4).fit(np.array([[0.0], [1.0], [2.0], [3.0]]), [7, 3, 3, 7])
    assert knn.predict(np.array([[-1.0], [3.1], [1.4]])).tolist() == [7, 7, 3]
    for make, message in (
        (lambda: models.NearestNeighbors(0), "at least 1"),
        (lambda: models.NearestNeighbors(1, 3), "p must be 1 or 2"),
        (lambda: models.NearestNeighbors(3).fit(np.zeros((2, 1)), [0, 1]), "at least k=3"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(RuntimeError, match="must have 1 features"):
        knn.predict(np.zeros((1, 2)))


def test_nearest_neighbours_read_digits():
    knn = models.NearestNeighbors(3).fit(*digits("train"))
    assert knn.score(*digits("test")) > 0.97


@pytest.mark.parametrize("kind", [models.LinearSVM, models.SoftmaxClassifier])
def test_linear_classifiers_read_digits(kind):
    model = kind(epochs=12, lr=0.02, generator=gs.Generator().manual_seed(0))
    model.fit(*digits("train"))
    assert model.losses[-1] < model.losses[0]
    assert model.score(*digits("test")) > 0.92
    assert model.decision_function(digits("test")[0][:2]).shape == (2, 10)
    again = kind(epochs=12, lr=0.02, generator=gs.Generator().manual_seed(0))
    assert again.fit(*digits("train")).losses == model.losses
    with pytest.raises(RuntimeError, match="call fit first"):
        kind().predict(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="as many classes >= 0 as samples"):
        kind().fit(np.zeros((2, 2)), [0])
    with pytest.raises(ValueError, match="lr > 0"):
        kind(lr=0)


def test_probabilities_sum_to_one():
    model = models.SoftmaxClassifier(epochs=1).fit(np.eye(3, dtype=np.float32), [0, 1, 2])
    np.testing.assert_allclose(model.predict_proba(np.eye(3)).sum(1).numpy(), 1.0, rtol=1e-6)
