"""Gradients where factorisations are not unique: singular matrices, equal singular values."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
FULL = RNG.standard_normal((3, 3))
RANK2 = np.array([*FULL[:2], FULL[0] + FULL[1]])
RANK1 = np.outer([1.0, 2, 3], [1.0, -1, 2])
BATCH = np.stack([FULL, RANK2, RANK1, np.zeros((3, 3)), np.eye(3)])
TALL = RNG.standard_normal((4, 2)) @ RNG.standard_normal((2, 3))


def of(array: Any) -> gs.Tensor:
    return gs.tensor(np.array(array, np.float64), requires_grad=True)


def cofactors(x: Any) -> Any:
    """By minors."""
    n = x.shape[-1]
    y = np.zeros_like(x)
    for i in range(n):
        for j in range(n):
            minor = np.delete(np.delete(x, i, -2), j, -1)
            y[..., i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return y


@pytest.mark.parametrize("x", [BATCH, np.zeros((1, 1)), RANK1[:2, :2], np.zeros((2, 0, 0))])
def test_det(x: Any) -> None:
    a = of(x)
    gs.linalg.det(a).sum().backward()
    expected = cofactors(np.array(x)) if np.array(x).size else np.array(x)
    assert np.allclose(a.grad.numpy(), expected, atol=1e-12)
    if x.shape[-1]:
        assert gradcheck(gs.linalg.det, (of(x),)) and gradgradcheck(gs.linalg.det, (of(x),))


def test_the_third_derivative_of_det() -> None:
    a = of(FULL)
    grad = gs.autograd.grad(gs.linalg.det(a), a, create_graph=True)[0]
    weights = gs.tensor(RNG.standard_normal((3, 3)))
    assert gradgradcheck(
        lambda x: gs.autograd.grad((gs.linalg.det(x) ** 1), x, create_graph=True)[0] * weights,
        (a,),
    )
    assert grad.requires_grad


def test_slogdet() -> None:
    sign, logarithm = gs.linalg.slogdet(of(FULL))
    assert sign.requires_grad and logarithm.requires_grad
    a = of(np.zeros((2, 2)))
    gs.linalg.slogdet(a)[1].backward()
    assert not np.isfinite(a.grad.numpy()).any()


@pytest.mark.parametrize("x", [RANK2, TALL, TALL.T, np.eye(3), np.ones((2, 2))])
def test_pinv(x: Any) -> None:
    """Against the derivative along directions that keep the rank."""
    a = of(x)
    weights = gs.tensor(RNG.standard_normal(np.array(x).T.shape))
    (gs.linalg.pinv(a, rcond=1e-10) * weights).sum().backward()
    rows = 1e-6 * RNG.standard_normal((len(x), len(x)))
    moved = [np.linalg.pinv((np.eye(len(x)) + s * rows) @ x, 1e-10) for s in (1, -1)]
    expected = ((moved[0] - moved[1]) / 2 * weights.numpy()).sum()
    got = (a.grad.numpy() * (rows @ x)).sum()
    assert abs(got - expected) < 1e-12


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 4, 2)])
def test_svd_with_full_matrices(shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape)
    grads = []
    for full in (True, False):
        a = of(x)
        u, s, vh = gs.linalg.svd(a, full)
        n = s.shape[-1]
        product = (u[..., :n] * (s * s).unsqueeze(-2)) @ vh[..., :n, :]
        (product**2).sum().backward()
        grads.append(a.grad.numpy())
    assert np.allclose(*grads, atol=1e-10)


def test_results_that_do_not_depend_on_the_input_stay_on_the_tape() -> None:
    a, v = of(RANK2), of([1.0, 0, np.nan])
    for y in (gs.linalg.matrix_power(a, 0), gs.linalg.vector_norm(v, 0), gs.norm(v, 0)):
        y.sum().backward()
    assert gs.linalg.matrix_power(of(BATCH), 0).tolist() == [np.eye(3).tolist()] * 5
    assert gs.norm(v, 0).item() == 2
    assert not a.grad.numpy().any() and not v.grad.numpy().any()


def test_the_spread_of_large_float32() -> None:
    x = np.array([1e30, 2e30, -1e30, 3e30], np.float32)
    for device in ("cpu", "cuda"):
        if device == "cuda":
            gs.cuda.use_emulator()
        t = gs.tensor(x, device=device)
        wanted = x.astype(np.float64).std(ddof=1)
        assert abs(gs.std(t).item() / wanted - 1) < 1e-6
        assert gs.var(t).item() == np.inf
