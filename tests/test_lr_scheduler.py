"""lr_scheduler: the sequences of learning rates, against formulas and PyTorch's."""

from __future__ import annotations

import copy
import math
import warnings

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.optim import lr_scheduler, swa_utils

STEPS = 50
#: (schedule, options)
CASES = [
    ("LambdaLR", {"lr_lambda": lambda t: 0.95**t}),
    ("LambdaLR", {"lr_lambda": [lambda t: 1 / (t + 1), lambda t: 0.5]}),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9 if t % 2 else 1.05}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.97}),
    ("MultiStepLR", {"milestones": [5, 8, 8, 30], "gamma": 0.3}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 12}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 30}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 20, "power": 2.5}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.001}),
    ("CosineAnnealingWarmRestarts", {"T_0": 9}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 50}),
    (
        "OneCycleLR",
        {
            "max_lr": [1.0, 0.3],
            "epochs": 5,
            "steps_per_epoch": 10,
            "three_phase": True,
            "anneal_strategy": "linear",
            "pct_start": 0.25,
            "div_factor": 5.0,
            "final_div_factor": 100.0,
        },
    ),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 60, "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 6}),
    (
        "CyclicLR",
        {
            "base_lr": [0.01, 0.1],
            "max_lr": [0.3, 0.4],
            "step_size_up": 5,
            "step_size_down": 9,
            "mode": "triangular2",
        },
    ),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 1, "step_size_up": 4, "mode": "exp_range"}),
    (
        "CyclicLR",
        {
            "base_lr": 0.01,
            "max_lr": 1.0,
            "step_size_up": 4,
            "scale_fn": lambda x: 0.9**x,
            "scale_mode": "iterations",
            "cycle_momentum": False,
        },
    ),
    ("SWALR", {"swa_lr": 0.02}),
    ("SWALR", {"swa_lr": [0.02, 0.5], "anneal_epochs": 20, "anneal_strategy": "linear"}),
    ("SWALR", {"swa_lr": 0.02, "anneal_epochs": 0}),
]
IDS = [f"{name}{i}" for i, (name, _) in enumerate(CASES)]


def make(library, name, lr=0.1, optimizer="SGD", **options):
    """An optimizer of two groups and its schedule; of gradsmith or of PyTorch."""
    module = gs if library == "gradsmith" else pytest.importorskip("torch")
    params = [module.nn.Parameter(module.ones(2)) for _ in range(2)]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 2 * lr}]
    more = {"momentum": 0.9} if optimizer == "SGD" else {}
    made = getattr(module.optim, optimizer)(groups, lr=lr, **more)
    where = module.optim.swa_utils if name == "SWALR" else module.optim.lr_scheduler
    return made, getattr(where, name)(made, **options)


def rates(optimizer, schedule, steps=STEPS, metrics=None):
    """[learning rates, momenta] of all groups at each step."""
    found = []
    for i in range(steps):
        groups = optimizer.param_groups
        found.append([float(g["lr"]) for g in groups])
        found[-1] += [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
        assert [float(v) for v in schedule.get_last_lr()] == found[-1][: len(groups)]
        optimizer.step()
        schedule.step(*(() if metrics is None else (metrics[i],)))
    return np.array(found)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_sequences_are_torchs(name, options, optimizer):
    pytest.importorskip("torch")
    ours = rates(*make("gradsmith", name, optimizer=optimizer, **options))
    theirs = rates(*make("torch", name, optimizer=optimizer, **options))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


FORMULAS = [
    ("StepLR", {"step_size": 7}, lambda t: 0.1 ** (t // 7)),
    ("MultiStepLR", {"milestones": [5, 30]}, lambda t: 0.1 ** ((t >= 5) + (t >= 30))),
    ("ConstantLR", {"factor": 0.5}, lambda t: 0.5 if t < 5 else 1.0),
    ("LinearLR", {"start_factor": 0.2}, lambda t: 0.2 + 0.8 * min(t, 5) / 5),
    ("ExponentialLR", {"gamma": 0.93}, lambda t: 0.93**t),
    ("PolynomialLR", {"power": 2}, lambda t: (1 - min(t, 5) / 5) ** 2),
    ("CosineAnnealingLR", {"T_max": 10}, lambda t: (1 + math.cos(math.pi * t / 10)) / 2),
    (
        "CosineAnnealingWarmRestarts",
        {"T_0": 9},
        lambda t: (1 + math.cos(math.pi * (t % 9) / 9)) / 2,
    ),
    ("LambdaLR", {"lr_lambda": lambda t: 1 / (1 + t)}, lambda t: 1 / (1 + t)),
    ("MultiplicativeLR", {"lr_lambda": lambda t: 0.9}, lambda t: 0.9**t),
]


@pytest.mark.parametrize("name, options, formula", FORMULAS, ids=[f[0] for f in FORMULAS])
def test_sequences_are_their_formulas(name, options, formula):
    got = rates(*make("gradsmith", name, **options))[:, 0]
    np.testing.assert_allclose(got, [0.1 * formula(t) for t in range(STEPS)], rtol=1e-9, atol=1e-15)


def test_cycles_are_their_formulas():
    got = rates(*make("gradsmith", "CyclicLR", base_lr=0.1, max_lr=0.5, step_size_up=4))
    part = [abs((t + 4) % 8 - 4) / 4 for t in range(STEPS)]
    np.testing.assert_allclose(got[:, 0], [0.1 + 0.4 * x for x in part], rtol=1e-9)
    np.testing.assert_allclose(got[:, 2], [0.9 - 0.1 * x for x in part], rtol=1e-9)
    got = rates(*make("gradsmith", "OneCycleLR", max_lr=1.0, total_steps=51))[:, 0]
    assert got[0] == pytest.approx(1 / 25) and got.argmax() in (14, 15)
    assert got[-1] < 0.01


PLATEAU = [
    {},
    {"mode": "max", "patience": 2, "threshold": 0.1},
    {"patience": 1, "cooldown": 3, "factor": 0.5, "min_lr": [0.01, 0.1]},
    {"threshold_mode": "abs", "threshold": 0.5, "patience": 0, "eps": 0.01},
    {"threshold_mode": "abs", "mode": "max", "patience": 3},
]


@pytest.mark.parametrize("options", PLATEAU, ids=str)
def test_plateau_is_torchs(options):
    torch = pytest.importorskip("torch")
    metrics = np.abs(np.cumsum(np.random.default_rng(0).standard_normal(STEPS)))
    metrics[20] = np.nan
    ours = rates(*make("gradsmith", "ReduceLROnPlateau", **options), metrics=gs.tensor(metrics))
    theirs = make("torch", "ReduceLROnPlateau", **options)
    np.testing.assert_allclose(ours, rates(*theirs, metrics=torch.tensor(metrics)), rtol=1e-12)


def test_plateau_falls_when_nothing_gets_better():
    optimizer, schedule = make("gradsmith", "ReduceLROnPlateau", patience=2)
    for metric in (1.0, 0.9, 0.9, 0.9):
        schedule.step(metric)
    assert optimizer.param_groups[0]["lr"] == 0.1
    schedule.step(0.9)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


def combined(library, name):
    module = gs if library == "gradsmith" else pytest.importorskip("torch")
    s = module.optim.lr_scheduler
    optimizer, first = make(library, "ConstantLR", factor=0.1, total_iters=4)
    if name == "ChainedScheduler":
        return optimizer, s.ChainedScheduler([first, s.ExponentialLR(optimizer, 0.9)])
    rest = [s.ExponentialLR(optimizer, 0.9), s.CosineAnnealingLR(optimizer, 8)]
    return optimizer, s.SequentialLR(optimizer, [first, *rest], [5, 20])


@pytest.mark.parametrize("name", ["ChainedScheduler", "SequentialLR"])
def test_combined_schedules_are_torchs(name):
    ours = rates(*combined("gradsmith", name))
    np.testing.assert_allclose(ours, rates(*combined("torch", name)), rtol=1e-12, atol=1e-15)


def test_combined_schedules_are_their_formulas():
    got = rates(*combined("gradsmith", "SequentialLR"))[:, 0]
    wanted = [0.1 * (0.1 if t < 4 else 1.0) for t in range(5)]
    wanted += [0.1 * 0.9 ** (t - 5) for t in range(5, 20)]
    wanted += [0.1 * (1 + math.cos(math.pi * (t - 20) / 8)) / 2 for t in range(20, STEPS)]
    np.testing.assert_allclose(got[:20], wanted[:20], rtol=1e-9)
    assert got[28] < got[20]


@pytest.mark.parametrize(
    "name, options", [c for c in CASES if c[0] != "SWALR"], ids=[i for i in IDS if "SWA" not in i]
)
def test_state_dict_continues_where_it_was_taken(name, options):
    optimizer, schedule = make("gradsmith", name, **options)
    rates(optimizer, schedule, 11)
    other_optimizer, other = make("gradsmith", name, **options)
    other_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    state = schedule.state_dict()
    assert "optimizer" not in state
    other.load_state_dict(state)
    assert other.last_epoch == 11
    np.testing.assert_array_equal(rates(other_optimizer, other, 20), rates(optimizer, schedule, 20))


@pytest.mark.parametrize("name", ["ChainedScheduler", "SequentialLR"])
def test_state_of_combined_schedules(name):
    optimizer, schedule = combined("gradsmith", name)
    rates(optimizer, schedule, 11)
    other_optimizer, other = combined("gradsmith", name)
    other_optimizer.load_state_dict(optimizer.state_dict())
    other.load_state_dict(copy.deepcopy(schedule.state_dict()))
    np.testing.assert_array_equal(rates(other_optimizer, other, 20), rates(optimizer, schedule, 20))


def test_callable_objects_keep_their_state():
    class Falls:
        def __init__(self):
            self.by = 0.5

        def __call__(self, t):
            return self.by**t

    _, schedule = make("gradsmith", "LambdaLR", lr_lambda=Falls())
    schedule.lr_lambdas[0].by = 0.25
    _, other = make("gradsmith", "LambdaLR", lr_lambda=Falls())
    other.load_state_dict(schedule.state_dict())
    assert other.lr_lambdas[0].by == 0.25


def test_a_tensor_stays_the_same_tensor():
    lr = gs.tensor(0.5)
    optimizer = optim.SGD([nn.Parameter(gs.ones(1))], lr=lr)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] is lr and lr.item() == 0.25
    assert schedule.get_last_lr()[0] is not lr
    assert schedule.base_lrs[0].item() == 0.5


def test_resuming_and_jumping():
    optimizer, schedule = make("gradsmith", "ExponentialLR", gamma=0.5)
    rates(optimizer, schedule, 3)
    resumed = lr_scheduler.ExponentialLR(optimizer, 0.5, last_epoch=schedule.last_epoch - 1)
    assert resumed.last_epoch == 3 and optimizer.param_groups[0]["lr"] == 0.0125
    with pytest.warns(UserWarning, match="epoch is deprecated"):
        schedule.step(1)
    assert optimizer.param_groups[0]["lr"] == 0.05
    with pytest.raises(KeyError, match="needs 'initial_lr' in every parameter group"):
        lr_scheduler.StepLR(optim.SGD([nn.Parameter(gs.ones(1))]), 3, last_epoch=2)


def test_the_wrong_order_is_warned_of():
    optimizer, schedule = make("gradsmith", "ExponentialLR", gamma=0.5)
    with pytest.warns(UserWarning, match="called before optimizer.step"):
        schedule.step()
    optimizer, schedule = make("gradsmith", "ExponentialLR", gamma=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()


def wrong():
    optimizer = optim.SGD([nn.Parameter(gs.ones(1))], lr=0.1)
    plain = optim.Adagrad([nn.Parameter(gs.ones(1))])
    s = lr_scheduler
    plateau = s.ReduceLROnPlateau(optimizer)
    step = s.StepLR(optimizer, 3)
    return [
        (lambda: s.StepLR(1, 3), TypeError, "StepLR: needs an Optimizer; got int"),
        (lambda: s.LambdaLR(optimizer, [abs, abs]), ValueError, "one value for each of the 1"),
        (lambda: s.LambdaLR(optimizer, 3), TypeError, "lr_lambda must be a function; got int"),
        (lambda: s.ConstantLR(optimizer, 2.0), ValueError, r"factor must be in \[0, 1\]; got 2"),
        (lambda: s.LinearLR(optimizer, 0.0), ValueError, r"start_factor must be in \(0, 1\]"),
        (lambda: s.LinearLR(optimizer, 1.0, -1.0), ValueError, "end_factor must be in"),
        (lambda: s.CosineAnnealingWarmRestarts(optimizer, 0), ValueError, "T_0 must be an int"),
        (lambda: s.CosineAnnealingWarmRestarts(optimizer, 1, 0.5), ValueError, "T_mult must be"),
        (lambda: s.CyclicLR(optimizer, 0.1, 1, mode="x"), ValueError, "mode must be one of"),
        (lambda: s.CyclicLR(plain, 0.1, 1), ValueError, "cycle_momentum needs an optimizer"),
        (lambda: s.OneCycleLR(optimizer, 1.0), ValueError, "needs total_steps, or epochs"),
        (lambda: s.OneCycleLR(optimizer, 1.0, 0), ValueError, "total_steps must be an int > 0"),
        (lambda: s.OneCycleLR(optimizer, 1.0, 9, pct_start=2.0), ValueError, "pct_start must be"),
        (lambda: s.OneCycleLR(optimizer, 1.0, 9, anneal_strategy="x"), ValueError, "'linear'"),
        (lambda: s.ReduceLROnPlateau(optimizer, factor=1), ValueError, "factor must be below 1"),
        (lambda: s.ReduceLROnPlateau(optimizer, "x"), ValueError, "mode must be 'min' or 'max'"),
        (lambda: s.SequentialLR(optimizer, [], []), ValueError, "at least one scheduler"),
        (lambda: s.SequentialLR(optimizer, [step], [3]), ValueError, "one milestone less"),
        (lambda: s.SequentialLR(optimizer, [plateau], []), ValueError, "needs a metric"),
        (lambda: s.ChainedScheduler([step], plain), ValueError, "of one optimizer"),
        (lambda: s.ChainedScheduler([3]), TypeError, "must have an optimizer; got int at 0"),
        (lambda: swa_utils.SWALR(optimizer, 0.1, -1), ValueError, "anneal_epochs must be an int"),
        (lambda: swa_utils.SWALR(optimizer, 0.1, 1, "x"), ValueError, "anneal_strategy must be"),
        (lambda: swa_utils.get_ema_avg_fn(2.0), ValueError, r"decay must be in \[0, 1\]; got 2"),
    ]


@pytest.mark.parametrize("i", range(24))
def test_options_are_checked(i):
    call, kind, message = wrong()[i]
    with pytest.raises(kind, match=message):
        call()


# ---- averages ----


def batches(n=6):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((4, 3)).astype(np.float32) for _ in range(n)]


@pytest.mark.parametrize("kind", ["swa", "swa fn", "ema", "ema fn", "own"])
def test_averages_of_a_model(kind, device):
    from gradsmith.testing.reference import optim as reference

    options = {
        "swa": {},
        "swa fn": {"avg_fn": swa_utils.get_swa_avg_fn()},
        "ema": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.8)},
        "ema fn": {"avg_fn": swa_utils.get_ema_avg_fn(0.8)},
        "own": {"avg_fn": lambda average, current, n: current},
    }[kind]
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)).to(device)
    averaged = swa_utils.AveragedModel(model, **options)
    assert averaged.module is not model
    rng = np.random.default_rng(1)
    seen = [[] for _ in range(4)]
    for _ in range(5):
        with gs.no_grad():
            for values, p in zip(seen, model.parameters(), strict=True):
                p.copy_(gs.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32)))
                values.append(p.detach().cpu().numpy().astype(np.float64))
        averaged.update_parameters(model)
    assert averaged.n_averaged.item() == 5
    for values, p in zip(seen, averaged.parameters(), strict=True):
        decay = 0.8 if "ema" in kind else None
        wanted = values[-1] if kind == "own" else reference.average(values, decay)
        np.testing.assert_allclose(p.detach().cpu().numpy(), wanted, rtol=1e-5, atol=1e-6)
    x = gs.ones(2, 3).to(device)
    assert averaged(x).shape == model(x).shape
    twin = swa_utils.AveragedModel(model)
    twin.load_state_dict(averaged.state_dict())
    assert twin.n_averaged.item() == 5


def test_an_average_is_one_kernel_call(monkeypatch):
    from gradsmith.kernels import table

    calls = []
    kernel = table("cpu").lerp_step
    monkeypatch.setattr(table("cpu"), "lerp_step", lambda *a: calls.append(len(a[0])) or kernel(*a))
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    averaged = swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    assert calls == []  # the first is a copy
    averaged.update_parameters(model)
    assert calls == [4]
    with pytest.raises(AssertionError, match="only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(model, avg_fn=abs, multi_avg_fn=abs)


@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages_of_buffers_and_update_bn(use_buffers):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    averaged = swa_utils.AveragedModel(model, use_buffers=use_buffers)
    means = []
    for batch in batches():
        model(gs.tensor(batch))
        means.append(model[1].running_mean.numpy().copy())
        averaged.update_parameters(model)
    wanted = np.mean(means, 0) if use_buffers else means[-1]
    np.testing.assert_allclose(averaged.module[1].running_mean.numpy(), wanted, rtol=1e-5)
    averaged.eval()
    swa_utils.update_bn(([gs.tensor(b), 0] for b in batches()), averaged)
    norm = averaged.module[1]
    assert norm.momentum == 0.1 and not norm.training
    inner = [averaged.module[0](gs.tensor(b)).detach().numpy().mean(0) for b in batches()]
    np.testing.assert_allclose(norm.running_mean.numpy(), np.mean(inner, 0), rtol=1e-4, atol=1e-6)
    swa_utils.update_bn([], nn.Linear(2, 2))
