"""LBFGS, Muon and Adafactor: PyTorch's losses and parameters, step by step; state, refusals."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 3))
START = RNG.standard_normal((4, 3)), RNG.standard_normal(3)


def trained(lib: Any, name: str, options: dict[str, Any], steps: int = 4) -> tuple[Any, Any, Any]:
    """The losses of all evaluations, the parameters, and the optimizer."""
    params = [lib.tensor(v.copy()).requires_grad_() for v in START]
    w, b = params
    optimizer = getattr(lib.optim, name)(params[:1] if name == "Muon" else params, **options)
    x, target = lib.tensor(A), lib.tensor(B)
    losses = []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((lib.tanh(x @ w) + b - target) ** 2).sum() + (w**4).sum() * 0.1
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return losses, [p.detach().numpy() for p in params], optimizer


CASES: list[tuple[str, dict[str, Any]]] = [
    ("LBFGS", {"lr": 0.1}),
    ("LBFGS", {"lr": 0.5, "max_iter": 5, "history_size": 2}),
    ("LBFGS", {"line_search_fn": "strong_wolfe"}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 7}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_eval": 6}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "lr": 30.0}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "lr": 1e-4, "tolerance_change": 1e-4}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1}),
    ("Adafactor", {"eps": (1e-4, 1e-2), "d": 2.0, "beta2_decay": -0.5}),
    ("Adafactor", {"maximize": True}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "momentum": 0.5}),
    ("Muon", {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}),
]


@pytest.mark.parametrize("name,options", CASES)
def test_equals_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    losses, params, _ = trained(gs, name, options)
    theirs, expected, _ = trained(torch, name, options)
    assert len(losses) == len(theirs)
    # PyTorch's Muon iterates in bfloat16.
    tolerance = 2e-3 if name == "Muon" else 1e-7
    assert np.allclose(losses, theirs, rtol=tolerance, atol=tolerance)
    for p, q in zip(params, expected, strict=True):
        assert np.allclose(p, q, rtol=tolerance, atol=tolerance)


def test_muon_steps_along_an_orthogonal_matrix() -> None:
    w = gs.tensor(np.zeros((5, 3)), requires_grad=True)
    w.grad = gs.tensor(RNG.standard_normal((5, 3)))
    gs.optim.Muon([w], lr=1.0, ns_steps=12, ns_coefficients=(1.5, -0.5, 0.0)).step()
    step = w.detach().numpy() / np.sqrt(5 / 3)
    assert np.allclose(step.T @ step, np.eye(3), atol=1e-3)


@pytest.mark.parametrize("name", ["LBFGS", "Adafactor", "Muon"])
def test_state_continues(name: str) -> None:
    """Two steps, then two by another optimizer with the state: as four."""
    whole = trained(gs, name, {}, 4)[1]
    _, params, first = trained(gs, name, {}, 2)
    again = [gs.tensor(p.copy(), requires_grad=True) for p in params]
    second = getattr(gs.optim, name)(again[:1] if name == "Muon" else again)
    second.load_state_dict(first.state_dict())
    w, b = again

    def closure() -> Any:
        second.zero_grad()
        loss = ((gs.tanh(gs.tensor(A) @ w) + b - gs.tensor(B)) ** 2).sum() + (w**4).sum() * 0.1
        loss.backward()
        return loss

    for _ in range(2):
        second.step(closure)
    for p, q in zip(again, whole, strict=True):
        assert np.array_equal(p.detach().numpy(), q)


@pytest.mark.parametrize("name", ["Adafactor", "Muon"])
def test_clipping_is_within_the_step(name: str) -> None:
    results = []
    for clip in (True, False):
        w = gs.tensor(START[0].copy(), requires_grad=True)
        w.grad = gs.tensor(A[:4, :3] * 9)
        optimizer = getattr(gs.optim, name)([w])
        if not clip:
            gs.nn.utils.clip_grad_norm_([w], 0.5)
        optimizer.step(clip_grad_norm=0.5 if clip else None)
        assert not clip or np.array_equal(w.grad.numpy(), A[:4, :3] * 9)
        results.append(w.detach().numpy())
    assert np.allclose(*results, rtol=1e-12)


def test_refusals() -> None:
    w, v = gs.ones(2, 2, requires_grad=True), gs.ones(2, requires_grad=True)
    groups = [{"params": [w]}, {"params": [v]}]
    for call, text in (
        (lambda: gs.optim.LBFGS(groups), "one group"),
        (lambda: gs.optim.LBFGS([w], line_search_fn="x"), "line_search_fn must be"),
        (lambda: gs.optim.Muon([v]), "must be matrices"),
        (lambda: gs.optim.Muon([w], adjust_lr_fn="x"), "adjust_lr_fn must be"),
        (lambda: gs.optim.Adafactor([w], d=0.5), "d must be >= 1"),
        (lambda: gs.optim.Adafactor([w], beta2_decay=0.5), "beta2_decay must be <= 0"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(RuntimeError, match="needs a closure"):
        gs.optim.LBFGS([w]).step(None)
