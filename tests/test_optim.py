"""optim: trajectories against the formulas and PyTorch, groups, state, errors."""

from __future__ import annotations

import copy
import math
import pickle

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.kernels import table

STEPS = 20
SHAPES = [(3, 4), (7,), (), (2, 1, 5)]


# ---- the formulas, in NumPy ----


def sgd_reference(p, grads, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, sign=1):
    b = None
    for grad in grads:
        g = sign * grad + weight_decay * p
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


def adam_reference(
    p, grads, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled=False, sign=1
):
    m = v = np.zeros_like(p)
    for t, grad in enumerate(grads, 1):
        g = sign * grad
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        p = p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


SGD_CASES = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.8, "dampening": 0.3},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.05, "nesterov": True},
    {"momentum": 0.9, "maximize": True, "weight_decay": 0.1},
]
ADAM_CASES = [
    {},
    {"betas": (0.5, 0.9), "eps": 1e-3},
    {"betas": (0.0, 0.0)},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"maximize": True, "weight_decay": 0.2},
]


def start(dtype=np.float64, seed=0):
    """Initial values, and gradients of every step, of several parameters."""
    rng = np.random.default_rng(seed)
    draw = [[np.array(rng.standard_normal(s), dtype) for s in SHAPES] for _ in range(STEPS + 1)]
    values, *grads = draw
    return values, grads


def run(make, values, grads):
    """The parameters after all steps; every other gradient is not contiguous."""
    params = [nn.Parameter(gs.tensor(v)) for v in values]
    optimizer = make(params)
    for step in grads:
        for i, (p, g) in enumerate(zip(params, step, strict=True)):
            p.grad = gs.from_numpy(np.array(g, order="F") if i % 2 == 0 else g)
        assert optimizer.step() is None
    return [p.detach().numpy() for p in params]


def by_columns(grads):
    return [list(column) for column in zip(*grads, strict=True)]


@pytest.mark.parametrize("options", SGD_CASES, ids=str)
def test_sgd_follows_its_formula(options):
    values, grads = start()
    got = run(lambda ps: optim.SGD(ps, lr=0.05, **options), values, grads)
    sign = {"sign": -1} if options.get("maximize") else {}
    wanted = {k: v for k, v in options.items() if k != "maximize"}
    for y, p, g in zip(got, values, by_columns(grads), strict=True):
        np.testing.assert_allclose(y, sgd_reference(p, g, 0.05, **wanted, **sign), rtol=1e-12)


@pytest.mark.parametrize("options", ADAM_CASES, ids=str)
def test_adam_follows_its_formula(options):
    values, grads = start()
    got = run(lambda ps: optim.Adam(ps, lr=0.05, **options), values, grads)
    sign = {"sign": -1} if options.get("maximize") else {}
    wanted = {k: v for k, v in options.items() if k in ("betas", "eps", "weight_decay")}
    wanted["decoupled"] = options.get("decoupled_weight_decay", False)
    for y, p, g in zip(got, values, by_columns(grads), strict=True):
        np.testing.assert_allclose(y, adam_reference(p, g, 0.05, **wanted, **sign), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name, options",
    [("SGD", o) for o in SGD_CASES]
    + [("Adam", o) for o in ADAM_CASES if "decoupled_weight_decay" not in o]
    + [("AdamW", {}), ("AdamW", {"weight_decay": 0.3, "maximize": True})],
    ids=str,
)
def test_trajectories_are_torchs(name, options, dtype):
    torch = pytest.importorskip("torch")
    values, grads = start(dtype)
    got = run(lambda ps: getattr(optim, name)(ps, lr=0.05, **options), values, grads)
    params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    theirs = getattr(torch.optim, name)(params, lr=0.05, **options)
    for step in grads:
        for p, g in zip(params, step, strict=True):
            p.grad = torch.tensor(g)
        theirs.step()
    tolerance = 1e-10 if dtype is np.float64 else 3e-5
    for y, p in zip(got, params, strict=True):
        np.testing.assert_allclose(y, p.detach().numpy(), rtol=tolerance, atol=tolerance / 10)


# ---- one fused call, hyper in memory ----


class Counter:
    """Stands for a kernel and counts its calls."""

    def __init__(self, monkeypatch, name):
        self.kernel = getattr(table("cpu"), name)
        self.calls = []
        monkeypatch.setattr(table("cpu"), name, self)

    def __call__(self, *args):
        self.calls.append(args)
        return self.kernel(*args)


@pytest.mark.parametrize("name, kernel", [("SGD", "sgd_step"), ("Adam", "adam_step")])
def test_a_step_is_one_kernel_call_a_group(monkeypatch, name, kernel):
    params = [nn.Parameter(gs.ones(3)) for _ in range(6)]
    options = {"momentum": 0.9} if name == "SGD" else {}
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5}]
    optimizer = getattr(optim, name)(groups, lr=0.1, **options)
    for p in params:
        p.grad = gs.ones(3)
    optimizer.step()
    counter = Counter(monkeypatch, kernel)
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    optimizer.step()
    assert [len(args[0]) for args in counter.calls] == [2, 4, 2, 4]
    hypers = [next(a for a in args if isinstance(a, np.ndarray)) for args in counter.calls]
    assert hypers[0] is hypers[2] and hypers[1] is hypers[3] and hypers[0] is not hypers[1]
    assert hypers[0][0] == 0.25 and hypers[1][0] == 0.5
    if name == "Adam":
        assert hypers[0][1] == 3.0


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
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_bad_gradient_spoils_its_own_elements_alone(name, bad):
    p, q = nn.Parameter(gs.ones(20)), nn.Parameter(gs.ones(3))
    optimizer = getattr(optim, name)([p, q], lr=0.1)
    grad = np.ones(20, np.float32)
    grad[17] = bad
    p.grad, q.grad = gs.from_numpy(grad), gs.ones(3)
    optimizer.step()
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
    p, q = nn.Parameter(gs.ones(3)), nn.Parameter(gs.ones(3))
    p.grad, q.grad = gs.ones(3), gs.ones(4)
    for optimizer in (optim.SGD([p, q], momentum=0.5), optim.Adam([p, q])):
        wanted = r"gradient of parameter 1 must have its shape, .*\[3\]\); got .*\[4\]\)"
        with pytest.raises(RuntimeError, match=wanted):
            optimizer.step()
        assert p.tolist() == q.tolist() == [1.0] * 3
        assert all(s.get("step", 0) == 0 for s in optimizer.state.values())
    strided = nn.Parameter(gs.from_numpy(np.ones(8, np.float32)[::2]))
    strided.grad = gs.ones(4)
    with pytest.raises(RuntimeError, match=r"parameter 0 must be contiguous; got shape \(4,\)"):
        optim.SGD([strided], lr=0.5).step()
    p.grad = gs.ones(3, dtype=gs.float64)
    with pytest.raises(RuntimeError, match="must have its dtype, gradsmith.float32; got gradsmith"):
        optim.Adam([p]).step()


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


# ---- groups and state ----


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


CONTINUED = [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})]


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
    (lambda: optim.Adam([W], amsgrad=True), NotImplementedError, "no kernel for amsgrad"),
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
