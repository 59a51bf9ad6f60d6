"""optim: trajectories against the formulas and PyTorch, groups, state, errors."""

from __future__ import annotations

import copy
import inspect
import math
import pickle

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.kernels import table
from gradsmith.testing.reference import optim as reference
from optimizer_cases import CASES, IDS, NAMES, of_torch

STEPS = 20
SHAPES = [(3, 4), (7,), (), (2, 1, 5)]


# ---- the formulas, in NumPy, and torch.optim ----


def sgd_reference(p, grads, lr, **options):
    return reference.trajectory("SGD", p, grads, lr=lr, **options)


def adam_reference(p, grads, lr, **options):
    return reference.trajectory("Adam", p, grads, lr=lr, **options)


def start(dtype=np.float64, seed=0):
    """Initial values, and gradients of every step, of several parameters."""
    rng = np.random.default_rng(seed)
    draw = [[np.array(rng.standard_normal(s), dtype) for s in SHAPES] for _ in range(STEPS + 1)]
    values, *grads = draw
    return values, grads


def run(make, values, grads, device="cpu"):
    """The parameters after all steps; every other parameter and gradient is not contiguous."""
    params = []
    for i, v in enumerate(values):
        room = gs.tensor(np.stack([v, v], -1)).to(device)
        params.append(nn.Parameter(room[..., 0] if i % 3 == 0 else gs.tensor(v).to(device)))
    assert not params[0].is_contiguous()
    optimizer = make(params)
    for step in grads:
        for i, (p, g) in enumerate(zip(params, step, strict=True)):
            p.grad = gs.from_numpy(np.array(g, order="F") if i % 2 == 0 else g).to(device)
        assert optimizer.step() is None
    return [p.detach().cpu().numpy() for p in params]


def by_columns(grads):
    return [list(column) for column in zip(*grads, strict=True)]


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_optimizers_follow_their_formulas(name, options, device):
    values, grads = start()
    grads = grads if device == "cpu" else grads[:8]
    got = run(lambda ps: getattr(optim, name)(ps, lr=0.05, **options), values, grads, device)
    for y, p, g in zip(got, values, by_columns(grads), strict=True):
        wanted = reference.trajectory(name, p, g, lr=0.05, **options)
        np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_trajectories_are_torchs(name, options, dtype):
    torch = pytest.importorskip("torch")
    if not of_torch(name):
        pytest.skip("PyTorch has no Lion")
    values, grads = start(dtype)
    got = run(lambda ps: getattr(optim, name)(ps, lr=0.05, **options), values, grads)
    before = torch.get_default_dtype()
    # PyTorch keeps NAdam's and ASGD's numbers in the default dtype.
    torch.set_default_dtype(torch.float64)
    try:
        params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
        theirs = getattr(torch.optim, name)(params, lr=0.05, **options)
        for step in grads:
            for p, g in zip(params, step, strict=True):
                p.grad = torch.tensor(g)
            theirs.step()
    finally:
        torch.set_default_dtype(before)
    tolerance = 1e-10 if dtype is np.float64 else 3e-5
    for y, p in zip(got, params, strict=True):
        np.testing.assert_allclose(y, p.detach().numpy(), rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_repr_and_signature_are_torchs(name):
    torch = pytest.importorskip("torch")
    if not of_torch(name):
        pytest.skip("PyTorch has no Lion")
    ours = getattr(optim, name)([nn.Parameter(gs.ones(2))])
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(2))])
    assert ours.defaults == theirs.defaults
    assert repr(ours) == repr(theirs)
    own = {"clip_grad_norm", "clip_grad_value"}
    mine = [p for p in inspect.signature(type(ours)).parameters.values() if p.name not in own]
    wanted = inspect.signature(type(theirs)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in mine] == [
        (p.name, p.kind, p.default) for p in wanted
    ]
    for optimizer, ones in ((ours, gs.ones(2)), (theirs, torch.ones(2))):
        optimizer.param_groups[0]["params"][0].grad = ones
        optimizer.step()
    saved, other = (o.state_dict()["state"].get(0, {}) for o in (ours, theirs))
    assert set(saved) == {k for k, v in other.items() if v is not None}


# ---- one fused call ----


class Counter:
    """Stands for a kernel and counts its calls."""

    def __init__(self, monkeypatch, name):
        self.kernel = getattr(table("cpu"), name)
        self.calls = []
        monkeypatch.setattr(table("cpu"), name, self)

    def __call__(self, *args):
        self.calls.append(args)
        return self.kernel(*args)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_one_kernel_call_a_group(monkeypatch, name):
    params = [nn.Parameter(gs.ones(3)) for _ in range(6)]
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5}]
    optimizer = getattr(optim, name)(groups, lr=0.1)
    for p in params:
        p.grad = gs.ones(3)
    optimizer.step()
    counter = Counter(monkeypatch, optimizer._kernel)
    norm = Counter(monkeypatch, "total_norm")
    optimizer.step()
    optimizer.step(clip_grad_norm=1.0)
    assert [len(args[0]) for args in counter.calls] == [2, 4, 2, 4]
    assert len(norm.calls) == 1


def test_a_step_raises_versions_and_records_nothing():
    w = nn.Parameter(gs.ones(2))
    x = gs.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    y = (w * x).sum()
    y.backward(retain_graph=True)
    optimizer.step()
    assert w.is_leaf and w.requires_grad and w.tolist() == [0.5, 0.5]
    with pytest.raises(RuntimeError, match="changed in place since"):
        y.backward()


def test_missing_gradients_are_skipped():
    for make in (
        lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
        lambda ps: optim.Adam(ps, lr=0.1),
    ):
        a, b, never = (nn.Parameter(gs.ones(1, dtype=gs.float64)) for _ in range(3))
        optimizer = make([a, b, never])
        optimizer.step()  # no gradient at all
        assert not any(optimizer.state.values())
        for i in range(6):
            a.grad = gs.ones(1, dtype=gs.float64)
            b.grad = gs.ones(1, dtype=gs.float64) if i % 2 else None
            optimizer.step()
        reference = sgd_reference if isinstance(optimizer, optim.SGD) else adam_reference
        options = {"momentum": 0.9} if reference is sgd_reference else {}
        ones = [np.ones(1)] * 6
        np.testing.assert_allclose(a.tolist(), reference(np.ones(1), ones, 0.1, **options))
        np.testing.assert_allclose(b.tolist(), reference(np.ones(1), ones[:3], 0.1, **options))
        assert never.tolist() == [1.0] and never not in optimizer.state
        if isinstance(optimizer, optim.Adam):
            assert [optimizer.state[p]["step"] for p in (a, b)] == [6, 3]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_gradient_spoils_its_own_elements_alone(name, bad):
    p, q = nn.Parameter(gs.ones(20)), nn.Parameter(gs.ones(3))
    optimizer = getattr(optim, name)([p, q], lr=0.1)
    grad = np.ones(20, np.float32)
    grad[17] = bad
    p.grad, q.grad = gs.from_numpy(grad), gs.ones(3)
    optimizer.step()
    if name == "Lion" and bad == math.inf:
        assert np.isfinite(p.tolist()).all()  # its steps take the sign
    else:
        assert np.isfinite(p.detach().numpy()).sum() == 19
        assert not math.isfinite(p.tolist()[17])
    assert np.isfinite(q.detach().numpy()).all()


def test_parameters_of_two_dtypes_take_one_step():
    p = nn.Parameter(gs.ones(3, dtype=gs.float64))
    q = nn.Parameter(gs.ones(3))
    p.grad, q.grad = gs.ones(3, dtype=gs.float64), gs.ones(3)
    optim.SGD([p, q], lr=0.5).step()
    assert p.tolist() == q.tolist() == [0.5] * 3


def test_a_step_that_cannot_be_taken_changes_nothing():
    p, q = nn.Parameter(gs.ones(3)), nn.Parameter(gs.ones(4))
    p.grad, q.grad = gs.ones(3), gs.ones(4)
    q.data = gs.ones(3)
    for optimizer in (optim.SGD([p, q], momentum=0.5), optim.Adam([p, q])):
        wanted = r"gradient of parameter 1 must have its shape, .*\[3\]\); got .*\[4\]\)"
        with pytest.raises(RuntimeError, match=wanted):
            optimizer.step()
        assert p.tolist() == q.tolist() == [1.0] * 3
        assert all(s.get("step", 0) == 0 for s in optimizer.state.values())
    repeated = nn.Parameter(gs.ones(1).expand(4).detach())
    repeated.grad = gs.ones(4)
    with pytest.raises(RuntimeError, match=r"parameter 0 must have memory for each element"):
        optim.SGD([repeated], lr=0.5).step()
    wide = nn.Parameter(gs.ones(3, dtype=gs.float64))
    wide.grad = gs.ones(3, dtype=gs.float64)
    wide.requires_grad_(False).data = gs.ones(3)
    with pytest.raises(RuntimeError, match="must have its dtype, gradsmith.float32; got gradsmith"):
        optim.Adam([wide]).step()


def test_closure_and_zero_grad():
    w = nn.Parameter(gs.tensor([3.0]))
    optimizer = optim.SGD([w], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with gs.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert w.item() == pytest.approx(2.4)
    grad = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is grad and grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize("lr", [0.5, np.float32(0.5), gs.tensor(0.5), gs.tensor([0.5])])
def test_the_learning_rate_may_be_any_number(lr):
    w = nn.Parameter(gs.ones(1))
    optimizer = optim.SGD([w], lr=lr)
    w.grad = gs.ones(1)
    optimizer.step()
    assert w.item() == 0.5


def test_momentum_may_begin_and_end_along_the_way():
    w = nn.Parameter(gs.tensor([0.0]))
    optimizer = optim.SGD([w], lr=1.0)
    for momentum, wanted in ((0, -1.0), (0.5, -2.0), (0.5, -3.5), (0, -4.5)):
        optimizer.param_groups[0]["momentum"] = momentum
        w.grad = gs.ones(1)
        optimizer.step()
        assert w.item() == wanted


# ---- clipping within the step ----


@pytest.mark.parametrize("name", ["SGD", "Adam", "Lion"])
@pytest.mark.parametrize(
    "clip", [{"clip_grad_norm": 0.5}, {"clip_grad_norm": 1e9}, {"clip_grad_value": 0.3}], ids=str
)
def test_clipping_within_the_step(name, clip, device):
    values, grads = start()
    norm, value = clip.get("clip_grad_norm"), clip.get("clip_grad_value")
    clipped = []
    for step in grads[:6]:
        if norm is None:
            clipped.append([np.clip(g, -value, value) for g in step])
        else:
            share = min(1.0, norm / (reference.total_norm(step) + 1e-6))
            clipped.append([g * share for g in step])
    options = {"lr": 0.05, "weight_decay": 0.1, "maximize": True}
    groups = [{"params": slice(0, 2)}, {"params": slice(2, 4)}]

    def make(ps):
        return getattr(optim, name)(
            [{"params": ps[g["params"]]} for g in groups], **options, **clip
        )

    got = run(make, values, grads[:6], device)
    for y, p, g in zip(got, values, by_columns(clipped), strict=True):
        np.testing.assert_allclose(y, reference.trajectory(name, p, g, **options), rtol=1e-10)


def test_clipping_of_one_step():
    w = nn.Parameter(gs.zeros(2))
    optimizer = optim.SGD([w], lr=1.0, clip_grad_value=0.5)
    w.grad = gs.tensor([3.0, 4.0])
    optimizer.step(clip_grad_norm=1.0)
    assert w.tolist() == pytest.approx([-0.6, -0.8]) and optimizer.grad_norm.item() == 5.0
    assert w.grad.tolist() == [3.0, 4.0]
    optimizer.step()
    assert w.tolist() == pytest.approx([-1.1, -1.3]) and optimizer.grad_norm is None
    with pytest.raises(ValueError, match="clip_grad_norm must be >= 0; got nan"):
        optimizer.step(clip_grad_norm=math.nan)
    w.grad = gs.tensor([math.nan, 1.0])
    optimizer.step(clip_grad_norm=1.0)
    assert np.isnan(w.tolist()).all()  # a norm of NaN, as clip_grad_norm_


# ---- hooks ----


def test_hooks_of_steps_and_state():
    w = nn.Parameter(gs.zeros(1))
    optimizer = optim.SGD([w], lr=1.0)
    calls = []
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", args[0]))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", kwargs))),
        optim.optimizer.register_optimizer_step_pre_hook(lambda o, a, k: calls.append(("all", o))),
        optim.optimizer.register_optimizer_step_post_hook(lambda *a: calls.append(("end", None))),
        optimizer.register_state_dict_pre_hook(lambda o: calls.append(("state", o))),
        optimizer.register_state_dict_post_hook(lambda o, s: {**s, "more": 1}),
        optimizer.register_load_state_dict_pre_hook(lambda o, s: {**s, "loaded": 1}),
        optimizer.register_load_state_dict_post_hook(lambda o: calls.append(("loaded", o))),
    ]
    optimizer.step(clip_grad_norm=1.0)
    wanted = [("all", optimizer), ("pre", optimizer), ("end", None)]
    assert calls == [*wanted, ("post", {"clip_grad_norm": 1.0})]
    calls.clear()
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert calls == [("state", optimizer), ("loaded", optimizer)]
    calls.clear()
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert calls == []
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 1)
    with pytest.raises(RuntimeError, match="must return None or"):
        optimizer.step()


def test_a_step_of_ones_own_has_hooks_too():
    class Half(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"factor": 0.5})

        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    assert group["factor"] == 0.5 and p.grad is None

    class Quarter(Half):
        def step(self, closure=None):
            super().step()
            super().step()

    calls = []
    optimizer = Quarter([nn.Parameter(gs.ones(1))])
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(args))
    optimizer.step()
    assert calls == [(optimizer,)]


# ---- groups and state ----


def test_named_parameters():
    model = nn.Linear(2, 3)
    optimizer = optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    for p in model.parameters():
        p.grad = gs.ones(*p.shape)
    optimizer.step()
    state = optimizer.state_dict()
    assert state["param_groups"][0]["param_names"] == ["weight", "bias"]
    other = optim.Adam([("a", nn.Parameter(gs.ones(3, 2))), ("b", nn.Parameter(gs.ones(3)))])
    other.load_state_dict(state)
    assert other.param_groups[0]["param_names"] == ["a", "b"]
    with pytest.raises(ValueError, match="got a group without names"):
        other.add_param_group({"params": [nn.Parameter(gs.ones(1))]})


def test_groups_have_options_of_their_own():
    a, b, c = (nn.Parameter(gs.zeros(1)) for _ in range(3))
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": (p for p in [c]), "lr": 2.0})
    for p in (a, b, c):
        p.grad = gs.ones(1)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == pytest.approx([-0.1, -0.5, -2.0])
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.5, 2.0]
    assert "lr: 0.5" in repr(optimizer) and "Parameter Group 2" in repr(optimizer)


def _trained(name, steps=3, **options):
    params = [nn.Parameter(gs.ones(2)), nn.Parameter(gs.zeros(3))]
    optimizer = getattr(optim, name)(params, lr=0.1, **options)
    for _ in range(steps):
        _step(optimizer, params)
    return params, optimizer


def _step(optimizer, params):
    for i, p in enumerate(params):
        p.grad = gs.full(tuple(p.shape), 0.5 + i)
    optimizer.step()


CONTINUED = [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True})]
CONTINUED += [(name, {}) for name in NAMES if name not in ("SGD", "Adam")]


@pytest.mark.parametrize("name, options", CONTINUED, ids=str)
def test_state_dict_continues_where_it_was_taken(name, options):
    params, optimizer = _trained(name, **options)
    optimizer.param_groups[0]["lr"] = 0.03
    state = optimizer.state_dict()
    assert sorted(state["state"]) == [0, 1]
    assert state["param_groups"][0]["params"] == [0, 1]
    twins = [nn.Parameter(p.detach().clone()) for p in params]
    other = getattr(optim, name)(twins, lr=1.0, **options)
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.03
    assert other.param_groups[0]["params"][0] is twins[0]
    for _ in range(3):
        _step(optimizer, params)
        _step(other, twins)
    for p, q in zip(params, twins, strict=True):
        assert p.tolist() == q.tolist()


@pytest.mark.parametrize("name, options", CONTINUED, ids=str)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_of_parameters_and_optimizer_continue(name, options, copied):
    params, optimizer = _trained(name, **options)
    twins, other = copied((params, optimizer))
    assert other.param_groups[0]["params"][0] is twins[0] and twins[0] in other.state
    _step(optimizer, params)
    _step(other, twins)
    assert [p.tolist() for p in params] == [p.tolist() for p in twins]


def test_state_follows_dtype_and_is_a_copy():
    params, optimizer = _trained("Adam")
    wide = [nn.Parameter(p.detach().double()) for p in params]
    other = optim.Adam(wide)
    other.load_state_dict(optimizer.state_dict())
    loaded = other.state[wide[0]]
    assert loaded["exp_avg"].dtype is gs.float64 and loaded["step"] == 3
    loaded["exp_avg"].zero_()
    assert optimizer.state[params[0]]["exp_avg"].tolist() != [0.0, 0.0]


def test_torchs_state_dict_can_be_loaded():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    ours = nn.Parameter(gs.ones(2))
    for _ in range(2):
        theirs.grad = torch.full((2,), 0.5)
        optimizer.step()
    state = optimizer.state_dict()
    state["state"] = {
        n: {k: v if k == "step" else gs.from_numpy(v.numpy()) for k, v in s.items()}
        for n, s in state["state"].items()
    }
    other = optim.Adam([ours])
    other.load_state_dict(state)
    with gs.no_grad():
        ours.copy_(gs.from_numpy(theirs.detach().numpy().copy()))
    ours.grad, theirs.grad = gs.ones(2), torch.ones(2)
    other.step(), optimizer.step()
    assert ours.tolist() == pytest.approx(theirs.tolist(), rel=1e-6)


def test_a_state_that_does_not_fit_changes_nothing():
    params, optimizer = _trained("Adam")
    good = optimizer.state_dict()

    def broken(change):
        state = {
            "state": {n: dict(s) for n, s in good["state"].items()},
            "param_groups": [dict(g) for g in good["param_groups"]],
        }
        change(state)
        return state

    other = optim.Adam([nn.Parameter(gs.ones(2)), nn.Parameter(gs.zeros(3))], lr=0.7)
    for change, message in (
        (lambda s: s.pop("state"), "needs 'state' and 'param_groups'; got the keys"),
        (lambda s: s["param_groups"].append({}), "has 1 parameter groups; got 2"),
        (lambda s: s["param_groups"][0].update(params=[0]), "has 2 parameters; got 1"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr must be >= 0; got -1.0"),
        (lambda s: s["state"].update({7: {}}), "for the parameters 0..1; got 7"),
        (
            lambda s: s["state"][1].update(exp_avg=gs.zeros(9)),
            r"exp_avg of parameter 1 must have its shape \(3,\); got \(9,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(broken(change))
        assert not other.state and other.param_groups[0]["lr"] == 0.7


def test_adagrad_has_its_state_from_the_start():
    w = nn.Parameter(gs.ones(2))
    optimizer = optim.Adagrad([w], initial_accumulator_value=0.25)
    assert optimizer.state[w]["sum"].tolist() == [0.25, 0.25]


def test_amsgrad_may_begin_along_the_way():
    params, optimizer = _trained("Adam")
    optimizer.param_groups[0]["amsgrad"] = True
    _step(optimizer, params)
    assert "max_exp_avg_sq" in optimizer.state[params[0]]


def test_state_may_be_cleared():
    params, optimizer = _trained("Adam")
    optimizer.state.clear()
    _step(optimizer, params)
    assert optimizer.state[params[0]]["step"] == 1


# ---- errors ----

W = nn.Parameter(gs.ones(2))
WRONG = [
    (lambda: optim.SGD([]), ValueError, "SGD: params must not be empty"),
    (lambda: optim.Adam(iter([])), ValueError, "Adam: params must not be empty"),
    (lambda: optim.SGD(W), TypeError, "SGD: params must be an iterable .*; got Parameter"),
    (lambda: optim.SGD([1]), TypeError, "SGD: params must be tensors; got int at 0"),
    (lambda: optim.SGD([{"params": {W}}]), TypeError, "params must be in an order; got a set"),
    (lambda: optim.SGD([{"lr": 1}]), ValueError, "a group must have 'params'; got the keys"),
    (lambda: optim.SGD([{"params": W}, W]), TypeError, "a group must be a dict; got Parameter"),
    (lambda: optim.SGD([W, W]), ValueError, r"must stand in params once; got a shape \(2,\)"),
    (lambda: optim.SGD([{"params": W}, {"params": W}]), ValueError, "must stand in params once"),
    (lambda: optim.SGD([W * 2]), ValueError, "params must be leaves; got a tensor that mul made"),
    (lambda: optim.SGD([W], lr=-0.1), ValueError, "SGD: lr must be >= 0; got -0.1"),
    (lambda: optim.SGD([W], lr=math.nan), ValueError, "SGD: lr must be >= 0; got nan"),
    (lambda: optim.SGD([W], momentum=-1), ValueError, "SGD: momentum must be >= 0; got -1"),
    (lambda: optim.SGD([W], weight_decay=-1), ValueError, "weight_decay must be >= 0; got -1"),
    (lambda: optim.SGD([W], nesterov=True), ValueError, "nesterov needs a momentum above 0"),
    (
        lambda: optim.SGD([W], momentum=0.9, dampening=0.1, nesterov=True),
        ValueError,
        "and no dampening; got momentum=0.9, dampening=0.1",
    ),
    (lambda: optim.Adam([W], lr=-1), ValueError, "Adam: lr must be >= 0; got -1"),
    (lambda: optim.Adam([W], betas=(1.0, 0.9)), ValueError, r"betas\[0\] must be in \[0, 1\)"),
    (lambda: optim.Adam([W], betas=(0.9, -0.1)), ValueError, r"betas\[1\] must be in .*; got -0.1"),
    (lambda: optim.Adam([W], betas=0.9), ValueError, "betas must be two numbers; got 0.9"),
    (lambda: optim.Adam([W], eps=-1e-8), ValueError, "Adam: eps must be >= 0"),
    (lambda: optim.AdamW([W], weight_decay=-1), ValueError, "AdamW: weight_decay must be >= 0"),
    (lambda: optim.Adam([W], differentiable=True), NotImplementedError, "no graph records"),
    (lambda: optim.Adam([W], foreach=True, fused=True), RuntimeError, "must not both be True"),
    (lambda: optim.SGD([W], lr=gs.ones(2)), ValueError, "must have one element; got shape"),
    (lambda: optim.SGD([("w", W), nn.Parameter(gs.ones(1))]), ValueError, "have names or none"),
    (lambda: optim.Adagrad([W], lr_decay=-1), ValueError, "lr_decay must be >= 0; got -1"),
    (lambda: optim.Adadelta([W], rho=1.5), ValueError, r"rho must be in \[0, 1\]; got 1.5"),
    (lambda: optim.RMSprop([W], alpha=-1), ValueError, "RMSprop: alpha must be >= 0"),
    (lambda: optim.Rprop([W], etas=(1.5, 1.2)), ValueError, "etas must be 0 < etas"),
    (lambda: optim.NAdam([W], momentum_decay=-1), ValueError, "momentum_decay must be >= 0"),
    (lambda: optim.Lion([W], betas=(0.9, 1.0)), ValueError, r"Lion: betas\[1\] must be in"),
    (lambda: optim.SGD([W], clip_grad_norm=-1), ValueError, "clip_grad_norm must be >= 0; got -1"),
    (
        lambda: optim.SGD([W], clip_grad_norm=1, clip_grad_value=2),
        ValueError,
        "only one of clip_grad_norm and clip_grad_value may be given; got 1 and 2",
    ),
]


@pytest.mark.parametrize("make, kind, message", WRONG, ids=range(len(WRONG)))
def test_options_are_checked(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
    assert W.tolist() == [1.0, 1.0]


def test_a_group_that_is_refused_is_not_added():
    optimizer = optim.SGD([W], lr=0.1)
    with pytest.raises(ValueError, match="lr must be >= 0"):
        optimizer.add_param_group({"params": [nn.Parameter(gs.ones(1))], "lr": -1})
    assert len(optimizer.param_groups) == 1


def test_repr_has_a_line_between_groups() -> None:
    optimizer = gs.optim.SGD([{"params": [gs.ones(1)]}, {"params": [gs.ones(2)]}], lr=0.1)
    assert "weight_decay: 0\n\nParameter Group 1\n" in repr(optimizer)
