"""Module's hooks around backward and state, parameter containers, init, summary."""

from __future__ import annotations

import copy
import math

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


# ---- backward hooks ----


def backward_through(lib, hooks, pre_hooks=(), needs=True, several=False):
    """What backward hooks see, and the gradients that come out, in either library."""

    class Layer(lib.nn.Module):
        def forward(self, x, scale, y):
            return (x * scale, y * y) if several else x * scale + y * y

    seen = []
    layer = Layer()
    for hook in hooks:
        layer.register_full_backward_hook(lambda m, gi, go, h=hook: h(seen, gi, go))
    for hook in pre_hooks:
        layer.register_full_backward_pre_hook(lambda m, go, h=hook: h(seen, go))
    x = lib.tensor([1.0, 2.0], requires_grad=needs)
    y = lib.tensor([3.0, 4.0], requires_grad=needs)
    z = lib.tensor([5.0, 6.0], requires_grad=True)
    out = layer(x, 3.0, y)
    out = out if several else (out,)
    sum((o * z).sum() for o in out).backward()
    grads = [None if t.grad is None else t.grad.tolist() for t in (x, y, z)]
    return seen, grads


def noted(gradients):
    return tuple(None if g is None else g.tolist() for g in gradients)


@pytest.mark.parametrize("several", [False, True])
def test_backward_hooks_see_and_change_gradients_as_in_torch(torch, several):
    def look(seen, gi, go):
        seen.append(("hook", noted(gi), noted(go)))

    def double(seen, gi, go):
        return tuple(None if g is None else g * 2 for g in gi)

    def before(seen, go):
        seen.append(("pre", noted(go)))
        return tuple(g * 10 for g in go)

    for hooks, pre in (((look,), ()), ((look, double, look), ()), ((look,), (before,))):
        expected = backward_through(torch, hooks, pre, several=several)
        assert backward_through(gs, hooks, pre, several=several) == expected


def test_backward_hooks_where_no_input_has_a_gradient(torch):
    class Layer(gs.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(gs.ones(2))

        def forward(self, x):
            return {"y": x * self.w, "n": 3}

    layer, seen = Layer(), []
    handle = layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, noted(go))))
    layer(gs.ones(2))["y"].sum().backward()
    assert seen == [((None,), ([1.0, 1.0],))]
    handle.remove()
    layer.register_full_backward_hook(lambda m, gi, go: (gs.ones(2),))
    with pytest.raises(RuntimeError, match="must return None where no input"):
        layer(gs.ones(2))["y"].sum().backward()
    with gs.no_grad():
        assert layer(gs.ones(2))["y"].tolist() == [1.0, 1.0]


def test_backward_hooks_with_a_wrong_answer():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_pre_hook(lambda m, go: go + go)
    with pytest.raises(RuntimeError, match="as many gradients as it was given, 1; got 2"):
        layer(gs.ones(1, 2)).sum().backward()


# ---- state hooks, extra state ----


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(gs.ones(1))
        self.calls = 0

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


def test_extra_state_travels_along():
    net = nn.Sequential(Counter(), nn.Linear(1, 1))
    net[0].calls = 7
    state = net.state_dict()
    assert list(state) == ["0.w", "0._extra_state", "1.weight", "1.bias"]
    twin = nn.Sequential(Counter(), nn.Linear(1, 1))
    assert twin.load_state_dict(state) == ([], [])
    assert twin[0].calls == 7
    del state["0._extra_state"]
    with pytest.raises(RuntimeError, match="missing keys: 0._extra_state"):
        twin.load_state_dict(state)
    with pytest.raises(RuntimeError, match="Linear has none"):
        net[1].get_extra_state()
    with pytest.raises(RuntimeError, match="Linear takes none"):
        net[1].set_extra_state(1)


def test_state_hooks():
    net, seen = nn.Sequential(nn.Linear(1, 1)), []
    layer = net[0]
    layer.register_state_dict_pre_hook(lambda m, prefix, keep: seen.append((prefix, keep)))
    layer.register_state_dict_post_hook(
        lambda m, state, prefix, meta: state.__setitem__(prefix + "old", state.pop(prefix + "bias"))
    )
    state = net.state_dict()
    assert seen == [("0.", False)] and list(state) == ["0.weight", "0.old"]

    def rename(m, state, prefix, meta, strict, missing, unexpected, errors):
        if prefix + "old" in state:
            state[prefix + "bias"] = state.pop(prefix + "old")

    with pytest.raises(RuntimeError, match=r"missing keys: 0\.bias\n  unexpected keys: 0\.old"):
        net.load_state_dict(state)
    layer.register_load_state_dict_pre_hook(rename)
    net.load_state_dict(state)
    assert list(state) == ["0.weight", "0.old"]  # the caller's dict is left alone
    handle = layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    del state["0.weight"]
    net.load_state_dict(state)
    handle.remove()
    with pytest.raises(RuntimeError, match="missing keys: 0.weight"):
        net.load_state_dict(state)
    layer.register_load_state_dict_pre_hook(lambda *args: args[-1].append("refused by a hook"))
    with pytest.raises(RuntimeError, match="refused by a hook"):
        net.load_state_dict(state, strict=False)


def test_submodules_by_dotted_name():
    net = nn.Sequential(nn.Sequential(nn.Linear(1, 1)))
    net.set_submodule("0.0", nn.ReLU())
    assert isinstance(net[0][0], nn.ReLU)
    net.set_submodule("0.more", nn.Identity())
    assert isinstance(net[0].more, nn.Identity)
    with pytest.raises(AttributeError, match="no child module 'no'"):
        net.set_submodule("0.no", nn.ReLU(), strict=True)
    with pytest.raises(ValueError, match="must not be empty"):
        net.set_submodule("", nn.ReLU())
    assert "0" not in dir(net) and "forward" in dir(net)


def test_to_empty_and_copies_with_hooks():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    assert layer.to_empty(device="cpu").weight is weight
    layer.register_forward_hook(lambda m, a, y: y * 0)
    twin = copy.deepcopy(layer)
    assert twin(gs.ones(1, 2)).tolist() == [[0.0, 0.0]]


# ---- containers ----


def test_parameter_list_is_torchs(torch):
    def made(lib):
        ps = lib.nn.ParameterList([lib.nn.Parameter(lib.ones(2, 3)), lib.zeros(4)])
        ps.append(lib.nn.Parameter(lib.ones(1)))
        ps += [lib.ones(1)]
        ps[1] = lib.nn.Parameter(lib.ones(5))
        ps.append(3)
        return ps

    mine, theirs = made(gs), made(torch)
    assert repr(mine) == repr(theirs).replace("torch.", "gradsmith.")
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert len(mine) == len(theirs) == 5 and mine[-1] == 3
    assert [tuple(p.shape) for p in mine.parameters()] == [(2, 3), (5,), (1,), (1,)]
    assert mine[1:3][0] is mine[1]
    assert [type(p) for p in mine][:4] == [nn.Parameter] * 4
    with pytest.raises(IndexError, match=r"must be in \[-5, 5\)"):
        mine[5]
    with pytest.raises(TypeError, match="needs an iterable"):
        mine.extend(gs.ones(2))
    with pytest.raises(TypeError, match="must be an int or a slice"):
        mine["0"]
    with pytest.raises(RuntimeError, match="cannot be called"):
        mine()


def test_parameter_dict_is_torchs(torch):
    def made(lib):
        ps = lib.nn.ParameterDict({"a": lib.nn.Parameter(lib.ones(2)), "b": lib.ones(3)})
        ps["c"] = lib.nn.Parameter(lib.zeros(1))
        ps.update([("d", lib.ones(1, 1))])
        ps["a"] = lib.ones(7)
        ps.setdefault("a", 1)
        ps["n"] = 4
        ps |= lib.nn.ParameterDict({"e": lib.ones(1)})
        del ps["c"]
        return ps

    mine, theirs = made(gs), made(torch)
    expected = repr(theirs).replace("torch.FloatTensor", "gradsmith.float32")
    assert repr(mine) == expected
    assert list(mine.keys()) == list(theirs.keys()) and len(mine) == len(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert mine.get("zz", 5) == 5 and "a" in mine and mine.pop("n") == 4
    assert list(reversed(mine))[0] == "e" and mine.popitem()[0] == "e"
    assert list((mine | nn.ParameterDict({"q": gs.ones(1)})).keys()) == ["a", "b", "d", "q"]
    assert [v.shape for v in mine.copy().values()] == [v.shape for _, v in mine.items()]
    assert list(mine.fromkeys(["x"], gs.ones(1)).keys()) == ["x"]
    mine.clear()
    assert len(mine) == 0 and not list(mine.parameters())
    with pytest.raises(KeyError):
        mine["a"]
    with pytest.raises(KeyError, match="exists already"):
        mine["forward"] = gs.ones(1)
    with pytest.raises(ValueError, match="must be .name, value. pairs"):
        mine.update([1])


def test_sequential_times():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    assert len(net * 3) == 6 and (2 * net)[2] is net[0]
    net *= 2
    assert len(net) == 4 and net[3] is net[1]
    with pytest.raises(ValueError, match="above 0"):
        net * 0
    with pytest.raises(TypeError, match="needs an int"):
        net * 1.5


# ---- init ----


def test_eye_and_dirac_are_torchs(torch):
    for shape, groups in (((4, 3, 3), 1), ((3, 5, 3, 4), 1), ((6, 2, 3, 3, 3), 2), ((4, 2, 1), 2)):
        mine = nn.init.dirac_(gs.empty(shape), groups).numpy()
        np.testing.assert_array_equal(
            mine, torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        )
    np.testing.assert_array_equal(nn.init.eye_(gs.empty(3, 5)).numpy(), np.eye(3, 5))
    with pytest.raises(ValueError, match="multiple of groups"):
        nn.init.dirac_(gs.empty(3, 1, 1), 2)
    with pytest.raises(ValueError, match="3, 4 or 5 dimensions"):
        nn.init.dirac_(gs.empty(3, 1))
    with pytest.raises(ValueError, match="2-dimensional"):
        nn.init.eye_(gs.empty(3))


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 2, 3), (1, 4), (4, 1)])
def test_orthogonal(shape):
    w = nn.init.orthogonal_(gs.empty(shape, dtype=gs.float64), gain=2.0).numpy()
    w = w.reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.orthogonal_(gs.empty(3))


def test_sparse():
    gs.manual_seed(0)
    w = nn.init.sparse_(gs.empty(10, 200), 0.25, std=2.0).numpy()
    assert ((w == 0).sum(axis=0) == 3).all()
    assert abs(w[w != 0].std() - 2.0) < 0.1
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        nn.init.sparse_(gs.empty(2, 2), 1.5)


@pytest.mark.skipif(not hasattr(gs, "where"), reason="needs where")
@pytest.mark.parametrize(
    "mean,std,a,b",
    [
        (0, 1, -2, 2), (1, 2, 0, 1.5), (0, 1, 3, 4), (0, 1, -9, -5), (0, 5, -1, 9),
        (0, 1, 5, math.inf), (1, 2, -math.inf, -7), (0, 1, 0.4, 0.9), (0, 1, 1e-300, 0.5),
    ],
)  # fmt: skip
def test_truncated_normal(mean, std, a, b):
    gs.manual_seed(0)
    w = nn.init.trunc_normal_(gs.empty(40_000, dtype=gs.float64), mean, std, a, b).numpy()
    assert a <= w.min() and w.max() <= b

    def cumulated(x):
        return 0.5 * math.erfc(-(x - mean) / std / math.sqrt(2))

    for q in (0.1, 0.5, 0.9):
        at = np.quantile(w, q)
        found = (cumulated(at) - cumulated(a)) / (cumulated(b) - cumulated(a))
        assert abs(found - q) < 0.01


@pytest.mark.parametrize("a,b", [(2, 1), (math.inf, math.inf), (0, math.nan)])
def test_truncated_normal_refuses_no_interval(a, b):
    with pytest.raises(ValueError, match="a must be <= b"):
        nn.init.trunc_normal_(gs.empty(1), 0, 1, a, b)
    with pytest.raises(ValueError, match="must be finite"):
        nn.init.trunc_normal_(gs.empty(1), math.nan, 1, 0, 1)


# ---- summary ----


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.layer.weight
        self.unused = nn.Linear(4, 1)
        self.unused.requires_grad_(False)

    def forward(self, x, y):
        return {"out": self.tied(self.layer(self.layer(x)) + y)}


def test_summary_counts():
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(54, 5)
    )
    net[1].eval()
    s = gs.summary(net, (3, 2, 7, 7))
    assert net.training and not net[1].training and net._hooks is None
    assert s.parameters == sum(p.numel() for p in net.parameters()) == s.trainable
    assert s.multiply_adds == 3 * 6 * 9 * 9 + 3 * 54 * 5 and s.flops == 2 * s.multiply_adds
    assert [r.output_shape for r in s.layers] == [
        (3, 5),
        (3, 6, 3, 3),
        (3, 6, 3, 3),
        (3, 54),
        (3, 5),
    ]
    text = str(s)
    assert "0: Conv2d" in text and "[3, 6, 3, 3]" in text and f"{s.parameters:,}" in text
    assert [r.depth for r in gs.summary(net, (3, 2, 7, 7), depth=0).layers] == [0]
    assert nn.summary(nn.ConvTranspose2d(2, 3, 2), (1, 2, 4, 4)).multiply_adds == 2 * 16 * 3 * 4


def test_summary_of_shared_layers_and_several_inputs(capsys):
    s = gs.summary(Shared(), [(2, 4), (2, 4)])
    assert s.parameters == 16 + 4 + 4 + 5 and s.trainable == 24
    by_name = {r.name: r for r in s.layers}
    assert by_name["layer"].calls == 2 and by_name["layer"].multiply_adds == 64
    assert by_name["unused"].output_shape is None and by_name[""].output_shape == (2, 4)
    same = gs.summary(Shared(), input_data=(gs.ones(2, 4), gs.ones(2, 4)))
    assert same.multiply_adds == s.multiply_adds
    s.show()
    assert "layer: Linear x2" in capsys.readouterr().out
    with pytest.raises(ValueError, match="got neither"):
        gs.summary(Shared())


def test_count_of_batches_may_be_missing() -> None:
    norm = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    state = {k: v for k, v in norm.state_dict().items() if "num_batches" not in k}
    assert str(norm.load_state_dict(state)) == "<All keys matched successfully>"
    del state["1.running_var"]
    with pytest.raises(RuntimeError, match="missing keys: 1.running_var$"):
        norm.load_state_dict(state)


def test_a_module_in_another_memory_format() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    x = gs.randn(2, 3, 4, 4)
    expected = model(x)
    assert model.to(memory_format=gs.channels_last) is model
    assert model[0].weight.is_contiguous(memory_format=gs.channels_last)
    assert model[2].weight.is_contiguous()
    y = model(x.to(memory_format=gs.channels_last))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_parameter_by_its_modules_name() -> None:
    from gradsmith.nn.parameter import Parameter

    assert Parameter is nn.Parameter
