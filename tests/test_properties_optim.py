"""Optimizers with any options they take, against float64 references."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.testing.comparing import same_bytes
from gradsmith.testing.reference import optim as reference
from hypothesis import given
from hypothesis import strategies as st
from properties import device_examples, examples, seeds


def between(low: float, high: float) -> Any:
    """Numbers, the ends among them."""
    return st.floats(low, high, allow_nan=False, allow_subnormal=False).map(lambda v: round(v, 4))


betas = st.tuples(between(0.0, 0.99), between(0.5, 0.999))
epsilons = st.sampled_from((1e-8, 1e-6, 1e-3, 0.1))
flags = st.booleans()
#: What each optimizer takes besides lr, weight_decay and maximize.
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": st.just(0) | between(0.1, 0.99)},
    "ASGD": {
        "lambd": between(0, 0.1),
        "alpha": between(0, 1),
        "t0": st.sampled_from((0, 1, 2, 3, 1e6)),
    },
    "Adagrad": {
        "lr_decay": between(0, 0.5),
        "initial_accumulator_value": between(0, 1),
        "eps": epsilons,
    },
    "Adadelta": {"rho": between(0.1, 0.99), "eps": epsilons},
    "RMSprop": {
        "alpha": between(0.1, 0.99),
        "eps": epsilons,
        "momentum": st.just(0) | between(0.1, 0.99),
        "centered": flags,
    },
    "Rprop": {
        "etas": st.tuples(between(0.1, 0.9), between(1.1, 2)),
        "step_sizes": st.tuples(st.just(1e-6) | between(1e-4, 1e-2), between(0.05, 50)),
    },
    "Adam": {"betas": betas, "eps": epsilons, "amsgrad": flags},
    "AdamW": {"betas": betas, "eps": epsilons, "amsgrad": flags},
    "Adamax": {"betas": betas, "eps": epsilons},
    "NAdam": {
        "betas": betas,
        "eps": epsilons,
        "momentum_decay": between(0, 0.1),
        "decoupled_weight_decay": flags,
    },
    "RAdam": {"betas": betas, "eps": epsilons, "decoupled_weight_decay": flags},
    "Lion": {"betas": betas},
}
#: Rprop and Lion step by signs: rounding turns one around where the value is near 0.
BY_SIGN = ("Rprop", "Lion")


@st.composite
def runs(draw: Any) -> tuple[str, dict[str, Any]]:
    """An optimizer and options that it accepts together."""
    name = draw(st.sampled_from(sorted(OPTIONS)))
    options = {key: draw(values) for key, values in OPTIONS[name].items() if draw(flags)}
    options["lr"] = draw(st.sampled_from((0.0, 1e-3, 0.05, 0.5)))
    if name == "Rprop" and options["lr"] == 0:
        options["lr"] = 0.01
    if name != "Rprop" and draw(flags):
        options["weight_decay"] = draw(between(0, 0.5))
    if draw(flags):
        options["maximize"] = draw(flags)
    if name == "SGD" and options.get("momentum"):
        kind = draw(st.sampled_from(("plain", "nesterov", "dampening")))
        if kind == "nesterov":
            options["nesterov"] = True
        if kind == "dampening":
            options["dampening"] = draw(between(0, 0.9))
    return name, options


def gradients(rng: Any, shape: Any, steps: int) -> list[Any]:
    """Of very different sizes, zeros among them."""
    found = []
    for _ in range(steps):
        g = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 2)
        found.append(np.where(rng.random(shape) < 0.1, 0.0, g))
    return found


@examples(160)
@given(
    runs(),
    st.lists(st.integers(1, 5), max_size=3),
    st.integers(1, 7),
    st.sampled_from((np.float64, np.float64, np.float32)),
    device_examples,
    seeds,
)
def test_steps_follow_the_reference(
    cuda: str, run: Any, shape: Any, steps: int, dtype: Any, device: str, seed: int
) -> None:
    """Two parameters of one optimizer, the second not contiguous, after any number of steps."""
    name, options = run
    rng = np.random.default_rng(seed)
    shape = tuple(shape)
    values = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    grads = [[g.astype(dtype) for g in gradients(rng, shape, steps)] for _ in range(2)]
    room = gs.tensor(np.stack([values[1]] * 2, -1)).to(device)
    params = [nn.Parameter(gs.tensor(values[0]).to(device)), nn.Parameter(room[..., 1])]
    optimizer = getattr(optim, name)(params, **options)
    for t in range(steps):
        for p, g in zip(params, grads, strict=True):
            p.grad = gs.tensor(g[t]).to(device)
        optimizer.step()
    for p, value, g in zip(params, values, grads, strict=True):
        wide = [a.astype(np.float64) for a in g]
        expected = reference.trajectory(name, value.astype(np.float64), wide, **options)
        got = p.detach().cpu().numpy()
        assert got.dtype == dtype and got.shape == shape
        if dtype == np.float64:
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)
        elif name not in BY_SIGN:
            # What a step moves is as exact as its numbers; some divide by small ones.
            moved = np.abs(expected - value).max(initial=0.0) + np.abs(value).max(initial=1.0)
            np.testing.assert_allclose(got, expected, rtol=0, atol=3e-4 * moved)


@examples(60)
@given(runs(), st.integers(1, 4), st.integers(1, 4), seeds)
def test_a_state_saved_and_loaded_goes_on(run: Any, before: int, after: int, seed: int) -> None:
    """The bits after a detour through state_dict are those without it."""
    name, options = run
    rng = np.random.default_rng(seed)
    value = rng.standard_normal((3, 4))
    grads = gradients(rng, (3, 4), before + after)
    found = []
    for detour in (False, True):
        p = nn.Parameter(gs.tensor(value))
        optimizer = getattr(optim, name)([p], **options)
        for t, g in enumerate(grads):
            if detour and t == before:
                state = optimizer.state_dict()
                p = nn.Parameter(p.detach().clone())
                optimizer = getattr(optim, name)([p], lr=options["lr"] or 0.1)
                optimizer.load_state_dict(state)
            p.grad = gs.tensor(g)
            optimizer.step()
        found.append(p.detach().numpy())
    assert same_bytes(found[0], found[1])


@examples(50)
@given(runs(), st.integers(1, 5), seeds)
def test_trajectories_are_torchs(run: Any, steps: int, seed: int) -> None:
    torch = pytest.importorskip("torch")
    name, options = run
    if name == "Lion":
        return
    rng = np.random.default_rng(seed)
    value = rng.standard_normal((4, 3))
    grads = gradients(rng, (4, 3), steps)
    found = []
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # of NAdam's and ASGD's own numbers
    try:
        for lib in (torch, gs):
            p = lib.nn.Parameter(lib.tensor(value))
            optimizer = getattr(lib.optim, name)([p], **options)
            for g in grads:
                p.grad = lib.tensor(g)
                optimizer.step()
            found.append(p.detach().numpy())
    finally:
        torch.set_default_dtype(before)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-11)
