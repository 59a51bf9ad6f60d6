"""nn: Module's registries, state, modes and hooks; layers against PyTorch where it is installed."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.nn import functional as F


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


class Net(nn.Module):
    """A small CNN with every kind of member."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 6, 3)
        )
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(24, 5)
        self.scale = nn.Parameter(gs.ones(1))
        self.register_buffer("count", gs.zeros(1))
        self.register_buffer("scratch", gs.zeros(2), persistent=False)

    def forward(self, x):
        return self.classifier(self.flatten(self.features(x))) * self.scale


KEYS = [
    "scale",
    "count",
    "features.0.weight",
    "features.0.bias",
    "features.3.weight",
    "features.3.bias",
    "classifier.weight",
    "classifier.bias",
]


# ---- registries ----


def test_members_are_found_by_name_and_as_attributes():
    net = Net()
    assert list(net.state_dict()) == KEYS
    assert [n for n, _ in net.named_parameters()] == [k for k in KEYS if k != "count"]
    assert [n for n, _ in net.named_parameters("a", recurse=False)] == ["a.scale"]
    assert [n for n, _ in net.named_buffers()] == ["count", "scratch"]
    assert [n for n, _ in net.named_children()] == ["features", "flatten", "classifier"]
    assert [n for n, _ in net.named_modules()][:3] == ["", "features", "features.0"]
    assert net.classifier.weight is dict(net.named_parameters())["classifier.weight"]
    assert net.get_parameter("features.3.bias") is net.features[3].bias
    assert net.get_submodule("features.0") is net.features[0]
    assert net.get_buffer("count") is net.count
    assert len(list(net.modules())) == 8
    with pytest.raises(AttributeError, match="no child module 'nothing'"):
        net.get_submodule("features.nothing")
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'absent'"):
        net.absent  # noqa: B018


def test_shared_members_are_given_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, layer)
    assert len(list(net.parameters())) == 2
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert [n for n, _ in net.named_modules()] == ["", "0"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_assignment_moves_between_registries():
    m = nn.Module()
    m.x = 1
    m.x = nn.Parameter(gs.ones(2))
    assert list(m._parameters) == ["x"]
    m.x = nn.ReLU()
    assert not m._parameters and list(m._modules) == ["x"]
    m.x = None
    assert m.x is None and m._modules == {"x": None}
    del m.x
    assert not hasattr(m, "x") and not m._modules
    m.register_buffer("b", gs.zeros(1))
    new = gs.ones(1)
    m.b = new
    assert m._buffers["b"] is new and m.b is new
    m.register_parameter("p", None)
    assert m.p is None and not list(m.parameters())
    m.p = nn.Parameter(gs.ones(1))
    assert len(list(m.parameters())) == 1


def test_assignment_refuses_what_does_not_fit():
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="cannot assign Tensor as parameter 'weight'"):
        layer.weight = gs.ones(2, 2)
    net = nn.Sequential(layer)
    net.child = nn.ReLU()
    with pytest.raises(TypeError, match="cannot assign int as child module 'child'"):
        net.child = 3
    net.register_buffer("b", None)
    with pytest.raises(TypeError, match="cannot assign list as buffer 'b'"):
        net.b = [1]
    with pytest.raises(KeyError, match="attribute 'forward' exists already"):
        net.register_parameter("forward", None)
    with pytest.raises(KeyError, match="must not contain"):
        net.register_buffer("a.b", None)
    with pytest.raises(KeyError, match="must not be empty"):
        net.register_module("", None)
    with pytest.raises(TypeError, match="must be a gradsmith.Parameter or None; got Tensor"):
        net.register_parameter("q", gs.ones(1))
    with pytest.raises(TypeError, match="must be a tensor or None; got float"):
        net.register_buffer("q", 1.0)
    with pytest.raises(TypeError, match="must be a Module or None; got function"):
        net.register_module("q", F.relu)


def test_members_need_init_first():
    class Forgetful(nn.Module):
        def __init__(self, value):
            self.value = value

    for value in (nn.Parameter(gs.ones(1)), nn.ReLU()):
        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) was called"):
            Forgetful(value)
    with pytest.raises(AttributeError, match=r"was super\(\).__init__\(\) called\?"):
        Forgetful(1).weight  # noqa: B018


def test_module_without_forward():
    with pytest.raises(NotImplementedError, match="Module: the module has no forward"):
        nn.Module()(1)


# ---- state ----


def test_state_dict_shares_memory_and_round_trips():
    net, other = Net(), Net()
    state = net.state_dict()
    assert not state["scale"].requires_grad
    assert other.load_state_dict(state) == ([], [])
    for (name, a), b in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
        assert not np.shares_memory(a.numpy(), b.numpy())
    state["scale"].fill_(7.0)
    assert net.scale.item() == 7.0 and other.scale.item() == 1.0
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert list(net.classifier.state_dict(prefix="c.")) == ["c.weight", "c.bias"]


def test_load_state_dict_lists_everything_that_does_not_fit():
    net = Net()
    before = net.scale.detach().numpy().copy()
    state = net.state_dict()
    state["scale"] = gs.zeros(1)
    state["classifier.bias"] = gs.zeros(7)
    state["more"] = gs.zeros(1)
    del state["features.0.weight"]
    with pytest.raises(RuntimeError) as raised:
        net.load_state_dict(state)
    message = str(raised.value)
    assert message.startswith("load_state_dict: the state does not fit Net:")
    assert "missing keys: features.0.weight" in message
    assert "unexpected keys: more" in message
    assert "classifier.bias: must have shape (5,); got (7,)" in message
    np.testing.assert_array_equal(net.scale.detach().numpy(), before)  # nothing was changed
    with pytest.raises(RuntimeError, match="classifier.bias"):
        net.load_state_dict(state, strict=False)
    del state["classifier.bias"]
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["features.0.weight", "classifier.bias"]
    assert result.unexpected_keys == ["more"]
    assert net.scale.item() == 0.0
    with pytest.raises(TypeError, match="must be a mapping; got list"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="weight: must be a tensor; got str"):
        nn.Linear(1, 1).load_state_dict({"weight": "w", "bias": gs.zeros(1)})


def test_load_state_dict_takes_arrays_converts_and_assigns():
    layer = nn.Linear(2, 1)
    weight = layer.weight
    arrays = {"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])}
    layer.load_state_dict(arrays)
    assert layer.weight is weight and weight.dtype is gs.float32
    assert weight.tolist() == [[1.0, 2.0]]
    layer.load_state_dict({k: gs.from_numpy(a) for k, a in arrays.items()}, assign=True)
    assert layer.weight.dtype is gs.float64 and isinstance(layer.weight, nn.Parameter)
    assert layer.weight.requires_grad and list(layer._parameters) == ["weight", "bias"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_apart(copied):
    net = Net()
    net.tied = net.classifier
    x = gs.randn(2, 1, 8, 8)
    twin = copied(net)
    np.testing.assert_array_equal(net(x).detach().numpy(), twin(x).detach().numpy())
    assert twin.tied is twin.classifier
    assert twin.classifier.weight is twin.classifier._parameters["weight"]
    assert isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad
    with gs.no_grad():
        twin.scale.fill_(2.0)
    assert net.scale.item() == 1.0


# ---- modes, dtypes, gradients ----


def test_train_and_eval_reach_everything():
    net = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5)))
    assert all(m.training for m in net.modules())
    assert net.eval() is net and not any(m.training for m in net.modules())
    x = gs.ones(100)
    assert net(x).tolist() == x.tolist()
    net.train()
    assert 0.0 in net(x).tolist()
    with pytest.raises(ValueError, match="mode must be a bool; got 'yes'"):
        net.train("yes")


def test_to_keeps_the_objects():
    net = Net()
    net.register_buffer("steps", gs.tensor([3]))
    net(gs.randn(1, 1, 8, 8)).sum().backward()
    before = list(net.parameters())
    assert net.double() is net
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]
    assert all(p.dtype is gs.float64 and p.grad.dtype is gs.float64 for p in before)
    assert net.count.dtype is gs.float64 and net.steps.dtype is gs.int64
    assert net(gs.randn(1, 1, 8, 8, dtype=gs.float64)).dtype is gs.float64
    assert net.to(gs.zeros(1)).scale.dtype is gs.float32
    assert net.to("cpu", gs.float64).float().cpu().scale.dtype is gs.float32
    assert all(p.is_leaf and p.requires_grad for p in net.parameters())
    with pytest.raises(TypeError, match="must be floating point; got gradsmith.int64"):
        net.to(gs.int64)


def test_backward_after_a_conversion_says_so():
    layer = nn.Linear(2, 2)
    y = layer(gs.ones(1, 2, requires_grad=True)).sum()
    layer.double()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_zero_grad_and_requires_grad():
    net = Net()
    net(gs.randn(1, 1, 8, 8)).sum().backward()
    grad = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is grad and grad.tolist() == [0.0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net
    assert not net(gs.randn(1, 1, 8, 8)).requires_grad


def test_apply_goes_from_the_leaves_up():
    seen = []
    net = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU()))
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]


# ---- hooks ----


def test_hooks_see_and_change_what_goes_through():
    layer = nn.Identity()
    calls = []
    first = layer.register_forward_pre_hook(lambda m, args: calls.append("pre") or (args[0] + 1,))
    layer.register_forward_pre_hook(lambda m, args: calls.append("first"), prepend=True)
    after = layer.register_forward_hook(lambda m, args, y: y * 10)
    assert layer(gs.ones(1)).item() == 20.0
    assert calls == ["first", "pre"]
    first.remove()
    after.remove()
    after.remove()
    assert layer(gs.ones(1)).item() == 1.0


def test_hooks_with_kwargs_and_after_an_error():
    class Scaled(nn.Module):
        def forward(self, x, by=1):
            if by == 0:
                raise ZeroDivisionError("by")
            return x * by

    layer, seen = Scaled(), []
    layer.register_forward_pre_hook(lambda m, a, k: (a, {"by": k["by"] + 1}), with_kwargs=True)
    layer.register_forward_hook(
        lambda m, a, k, y: seen.append((k["by"], y is None)), with_kwargs=True, always_call=True
    )
    assert layer(gs.ones(1), by=2).item() == 3.0
    with pytest.raises(ZeroDivisionError):
        layer(gs.ones(1), by=-1)
    assert seen == [(3, False), (0, True)]
    layer.register_forward_pre_hook(lambda m, a, k: 5, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or \(args, kwargs\); got 5"):
        layer(gs.ones(1), by=1)


# ---- containers ----


def test_sequential_indexes_and_changes():
    a, b, c = nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3)
    net = nn.Sequential(a, b)
    assert net.append(c) is net and len(net) == 3
    assert net[0] is a and net[-1] is c and list(net) == [a, b, c]
    assert isinstance(net[1:], nn.Sequential) and list(net[1:]) == [b, c]
    assert list(net[1:].state_dict()) == ["2.weight", "2.bias"]
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    del net[1]
    assert list(net) == [a, c] and list(net._modules) == ["0", "1"]
    assert net.insert(1, b)[1] is b and net.pop(1) is b
    assert len(net + nn.Sequential(b)) == 3
    net.extend([b, b])
    assert len(net) == 4 and net(gs.ones(1, 1)).shape == (1, 3)
    with pytest.raises(IndexError, match=r"index must be in \[-4, 4\); got 4"):
        net[4]
    with pytest.raises(TypeError, match="must be a Module or None; got int"):
        nn.Sequential(3)


def test_sequential_by_name():
    net = nn.Sequential(OrderedDict([("one", nn.Linear(1, 2)), ("act", nn.ReLU())]))
    assert net.one is net[0] and list(net.state_dict()) == ["one.weight", "one.bias"]


def test_module_list_and_dict():
    layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    layers.append(nn.ReLU())
    layers += [nn.Tanh()]
    assert len(layers) == 5 and len(list(layers.parameters())) == 6
    assert isinstance(layers[:2], nn.ModuleList) and len(layers[:2]) == 2
    assert isinstance(layers.pop(), nn.Tanh)
    with pytest.raises(NotImplementedError):
        layers(1)
    named = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    named["c"] = nn.Tanh()
    assert list(named) == list(named.keys()) == ["a", "b", "c"] and "c" in named
    assert isinstance(named.pop("c"), nn.Tanh) and len(named) == 2
    assert list(named.state_dict()) == ["a.weight", "a.bias"]
    named.update([("b", nn.Linear(2, 2))])
    assert len(list(named.parameters())) == 4
    with pytest.raises(KeyError, match="attribute 'keys' exists already"):
        named["keys"] = nn.ReLU()
    with pytest.raises(ValueError, match="must be .name, module. pairs"):
        named.update([1])
    named.clear()
    assert len(named) == 0


# ---- construction ----

WRONG = [
    (lambda: nn.Conv2d(3, 4, 0), ValueError, "Conv2d: kernel_size must be >= 1; got 0"),
    (lambda: nn.Conv2d(3, 4, []), ValueError, "Conv2d: kernel_size must be an int or 2 ints"),
    (lambda: nn.Conv2d(3, 4, (1, 2, 3)), ValueError, "Conv2d: kernel_size must be an int or 2"),
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ValueError, "Conv2d: stride must be >= 1; got 0"),
    (lambda: nn.Conv2d(3, 4, 3, stride=(1, -1)), ValueError, "Conv2d: stride must be >= 1"),
    (lambda: nn.Conv2d(3, 4, 3, stride=1.0), TypeError, "Conv2d: stride must be an int; got 1.0"),
    (lambda: nn.Conv2d(3, 4, 3, stride=True), TypeError, "Conv2d: stride must be an int; got True"),
    (lambda: nn.Conv1d(3, 4, 3, dilation=-1), ValueError, "Conv1d: dilation must be >= 1"),
    (lambda: nn.Conv1d(3, 4, 3, padding=-1), ValueError, "Conv1d: padding must be >= 0"),
    (lambda: nn.Conv1d(3, 4, 3, padding="full"), ValueError, "'same' or 'valid'.*; got 'full'"),
    (lambda: nn.Conv1d(3, 4, 3, 2, padding="same"), ValueError, "padding='same' needs stride 1"),
    (lambda: nn.Conv3d(3, 4, 3, groups=0), ValueError, "Conv3d: groups must be >= 1; got 0"),
    (lambda: nn.Conv3d(3, 4, 3, groups=-1), ValueError, "Conv3d: groups must be >= 1; got -1"),
    (
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        ValueError,
        "Conv2d: in_channels must be divisible by groups; got in_channels=3, groups=2",
    ),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
    (lambda: nn.Conv2d(-1, 3, 3), ValueError, "Conv2d: in_channels must be >= 0; got -1"),
    (lambda: nn.Conv2d(1, 1, 1, padding_mode="odd"), ValueError, "padding_mode must be 'zeros'"),
    (lambda: nn.ConvTranspose2d(1, 1, 1, padding="same"), ValueError, "padding must be ints; got"),
    (lambda: nn.ConvTranspose2d(1, 1, 1, padding_mode="reflect"), ValueError, "must be 'zeros'"),
    (lambda: nn.ConvTranspose1d(1, 1, 1, output_padding=-1), ValueError, "output_padding must be"),
    (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features must be >= 0; got -1"),
    (lambda: nn.Linear(1.5, 2), TypeError, "Linear: in_features must be an int; got 1.5"),
    (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be >= 1; got 0"),
    (lambda: nn.MaxPool2d([]), ValueError, "MaxPool2d: kernel_size must be an int or 2 ints"),
    (lambda: nn.MaxPool1d(2, 0), ValueError, "MaxPool1d: stride must be >= 1"),
    (lambda: nn.MaxPool3d(2, padding=2), ValueError, "MaxPool3d: padding must be at most half"),
    (lambda: nn.MaxPool2d(2, dilation=0), ValueError, "MaxPool2d: dilation must be >= 1"),
    (lambda: nn.AvgPool1d(3, padding=2), ValueError, "AvgPool1d: padding must be at most half"),
    (lambda: nn.AvgPool2d(3, divisor_override=0), ValueError, "divisor_override must be >= 1"),
    (lambda: nn.Dropout(1.5), ValueError, r"Dropout: p must be in \[0, 1\]; got 1.5"),
    (lambda: nn.Dropout(float("nan")), ValueError, r"Dropout: p must be in \[0, 1\]; got nan"),
    (lambda: nn.NLLLoss(reduction="avg"), ValueError, "NLLLoss: reduction must be 'mean', 'sum'"),
    (lambda: nn.CrossEntropyLoss(reduction=None), ValueError, "CrossEntropyLoss: reduction must"),
    (lambda: nn.CrossEntropyLoss(ignore_index=1.5), TypeError, "ignore_index must be an int"),
]


@pytest.mark.parametrize("make, kind, message", WRONG, ids=range(len(WRONG)))
def test_options_are_checked_at_construction(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_output_size_of_a_transposed_convolution():
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    x = gs.ones(1, 1, 4, 4)
    assert layer(x).shape == (1, 1, 7, 7)
    assert layer(x, output_size=(8, 7)).shape == (1, 1, 8, 7)
    assert layer(x, output_size=(1, 1, 8, 8)).shape == (1, 1, 8, 8)
    with pytest.raises(
        ValueError, match=r"output_size must be in \[7, 9\) in spatial dim 0; got 9"
    ):
        layer(x, output_size=(9, 7))
    with pytest.raises(ValueError, match="output_size must have 2 elements"):
        layer(x, output_size=(8,))


def test_factory_options_and_empty_layers():
    assert nn.Linear(2, 2, dtype=gs.float64, device="cpu").weight.dtype is gs.float64
    assert nn.Conv1d(2, 2, 1, dtype=gs.float64).bias.dtype is gs.float64
    assert nn.Linear(0, 3)(gs.ones(2, 0)).shape == (2, 3)
    assert nn.Linear(2, 2, bias=False).bias is None
    assert nn.Conv2d(2, 2, 1, bias=False).bias is None


def test_losses_have_their_weight_as_a_buffer():
    loss = nn.CrossEntropyLoss(gs.tensor([1.0, 2.0]), reduction="sum")
    assert list(loss.state_dict()) == ["weight"]
    x, target = gs.tensor([[1.0, 3.0], [2.0, 0.5]]), gs.tensor([1, 0])
    direct = nn.NLLLoss(gs.tensor([1.0, 2.0]), reduction="sum")(nn.LogSoftmax(1)(x), target)
    assert loss(x, target).item() == pytest.approx(direct.item(), rel=1e-6)


def test_in_place_activation_and_dropout_have_right_gradients():
    x = gs.tensor([-1.0, 2.0], requires_grad=True)
    y = x * 3.0
    z = nn.ReLU(inplace=True)(y)
    assert z is y and y.tolist() == [0.0, 6.0]
    z.sum().backward()
    assert x.grad.tolist() == [0.0, 3.0]
    y = x * 1.0
    assert nn.Dropout(1.0, inplace=True)(y) is y and y.tolist() == [0.0, 0.0]


# ---- against PyTorch ----

LAYERS = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, (2, 4, 9)),
    ("Conv2d", (3, 4, (3, 2)), {"padding": "same", "dilation": 2}, (2, 3, 6, 7)),
    ("Conv2d", (3, 4, 3), {"bias": False, "padding": "valid"}, (3, 6, 7)),
    ("Conv3d", (2, 3, 2), {"padding": (1, 0, 1)}, (1, 2, 3, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1, "groups": 2}, (2, 4, 5)),
    ("ConvTranspose2d", (2, 3, 3), {"stride": 2, "padding": 1, "dilation": 2}, (2, 2, 4, 5)),
    ("ConvTranspose3d", (2, 3, 2), {}, (1, 2, 2, 3, 2)),
    ("Linear", (5, 3), {}, (2, 4, 5)),
    ("ReLU", (), {}, (3, 4)),
    ("ReLU", (), {"inplace": True}, (3, 4)),
    ("Sigmoid", (), {}, (3, 4)),
    ("Tanh", (), {}, (3, 4)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 8)),
    ("MaxPool2d", ((2, 3),), {"ceil_mode": True}, (2, 3, 5, 7)),
    ("MaxPool3d", (2,), {"dilation": 2, "stride": 1}, (1, 2, 4, 5, 4)),
    ("AvgPool1d", (3,), {"padding": 1, "count_include_pad": False}, (2, 3, 8)),
    ("AvgPool2d", (3,), {"stride": 2, "divisor_override": 5}, (2, 3, 7, 7)),
    ("AvgPool3d", (2,), {"ceil_mode": True}, (1, 2, 3, 4, 5)),
    ("Dropout", (0.5,), {}, (3, 4)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Identity", (1, 2), {}, (2, 3)),
    ("LogSoftmax", (1,), {}, (3, 4, 2)),
]


@pytest.mark.parametrize("name, args, options, shape", LAYERS, ids=[n[0] for n in LAYERS])
def test_layers_are_torchs(torch, name, args, options, shape):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    ours.eval(), theirs.eval()
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    a = gs.tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    y, z = ours(a * 1.0), theirs(b * 1.0)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-5, atol=1e-5)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-5)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(
            p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=1e-5, err_msg=key
        )


def _cnn(lib):
    return lib.Sequential(
        lib.Conv2d(1, 8, 3, padding=1),
        lib.ReLU(),
        lib.MaxPool2d(2),
        lib.Conv2d(8, 12, 3),
        lib.Tanh(),
        lib.AvgPool2d(2),
        lib.Flatten(),
        lib.Linear(12, 10),
    )


def test_a_cnn_learns_as_in_torch(torch):
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((16, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 16)
    torch.manual_seed(0)
    ours, theirs = _cnn(nn), _cnn(torch.nn)
    ours.load_state_dict({k: v.numpy().copy() for k, v in theirs.state_dict().items()})
    loss_a, loss_b = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    sgd_a = optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    sgd_b = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(20):
        a = loss_a(ours(gs.tensor(x)), gs.tensor(t))
        b = loss_b(theirs(torch.tensor(x)), torch.tensor(t))
        assert a.item() == pytest.approx(b.item(), rel=1e-3, abs=1e-5)
        losses.append(a.item())
        for loss, sgd in ((a, sgd_a), (b, sgd_b)):
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    assert losses[-1] < 0.8 * losses[0]


def test_names_in_repr_are_torchs(torch):
    def make(lib):
        return lib.Sequential(
            OrderedDict(
                [
                    ("body", lib.Sequential(lib.Linear(1, 2), lib.ReLU())),
                    ("many", lib.ModuleList([lib.Linear(2, 2), lib.Linear(2, 2), lib.ReLU()])),
                    ("named", lib.ModuleDict({"x": lib.Tanh()})),
                    ("none", lib.Sequential()),
                    ("deep", lib.ModuleList([lib.Sequential(lib.ReLU()) for _ in range(2)])),
                ]
            )
        )

    assert repr(make(nn)) == repr(make(torch.nn))


def test_functional_has_every_listed_name():
    for name in F.__all__:
        assert callable(getattr(F, name))
