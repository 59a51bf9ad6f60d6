"""jacobian, hessian, vjp, jvp, hvp, vhp; checkpoints."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.autograd import functional
from gradsmith.utils.checkpoint import checkpoint, checkpoint_sequential

A = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
B = np.array([0.5, 2.0, -1.5])


def quadratic(x: Any) -> Any:
    """x^T M x with M = diag(1, 2, 3)."""
    weights = gs.tensor([1.0, 2.0, 3.0], dtype=gs.float64)
    return (x * x * weights).sum()


def test_values_against_formulas() -> None:
    x = gs.tensor(B)
    assert functional.hessian(quadratic, x).tolist() == np.diag([2.0, 4.0, 6.0]).tolist()
    y, g = functional.vjp(quadratic, x)
    assert y.item() == (B * B * [1, 2, 3]).sum()
    assert g.tolist() == (2 * B * [1, 2, 3]).tolist()
    v = gs.tensor([1.0, -1.0, 2.0], dtype=gs.float64)
    assert functional.hvp(quadratic, x, v)[1].tolist() == [2.0, -4.0, 12.0]
    assert functional.vhp(quadratic, x, v)[1].tolist() == [2.0, -4.0, 12.0]
    matrix = gs.tensor(A)
    assert functional.jacobian(lambda x: matrix @ x, x).tolist() == A.tolist()
    assert functional.jvp(lambda x: matrix @ x, x, v)[1].tolist() == (A @ v.numpy()).tolist()
    assert not g.requires_grad


CASES = {
    "one": (lambda lib, a: lib.tanh(a) * a, 1),
    "matrix": (lambda lib, a: lib.exp(a).sum(1), 1),
    "two": (lambda lib, a, b: (a * b, (b * b).sum()), 2),
    "unused": (lambda lib, a, b: a * 2, 2),
}


def _compare(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            _compare(a, b)
        return
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_like_pytorch(case: str, create_graph: bool) -> None:
    torch = pytest.importorskip("torch")
    f, count = CASES[case]
    arrays = [A, B][:count]
    results = []
    for lib, module in ((gs, functional), (torch, torch.autograd.functional)):
        inputs = tuple(lib.tensor(a) for a in arrays)
        given = inputs if count > 1 else inputs[0]

        def func(*xs: Any, lib: Any = lib) -> Any:
            return f(lib, *xs)

        def scalar(*xs: Any, lib: Any = lib) -> Any:
            y = f(lib, *xs)
            return (y[0] if isinstance(y, tuple) else y).sum() * xs[0].sum()

        out = func(*inputs)
        v = tuple(o + 1.0 for o in out) if isinstance(out, tuple) else out + 1.0
        u = tuple(t * 0.5 for t in inputs) if count > 1 else given * 0.5
        options = {"create_graph": create_graph}
        results.append(
            (
                module.vjp(func, given, v, **options),
                module.jvp(func, given, u, **options),
                module.jacobian(func, given, **options),
                module.hessian(scalar, given, **options),
                module.hvp(scalar, given, u, **options),
                module.vhp(scalar, given, u, **options),
            )
        )
    _compare(*results)


def test_derivatives_of_derivatives() -> None:
    x = gs.tensor(B, requires_grad=True)
    jacobian = functional.jacobian(lambda x: x * x * x, x, create_graph=True)
    jacobian.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * B)


def test_empty_jacobian() -> None:
    x = gs.tensor(np.zeros((0,)))
    assert tuple(functional.jacobian(lambda x: x * 2, x).shape) == (0, 0)
    y = gs.tensor(B)
    assert tuple(functional.jacobian(lambda y: (y * 2)[:0], y).shape) == (0, 3)


def test_refusals() -> None:
    x = gs.tensor(B)
    with pytest.raises(RuntimeError, match="one output of one element; got shapes"):
        functional.vjp(lambda x: x * 2, x)
    with pytest.raises(RuntimeError, match=r"v must have the shapes of the inputs \[\(3,\)\]"):
        functional.jvp(lambda x: x * 2, x, x[:2])
    with pytest.raises(RuntimeError, match="must return one element"):
        functional.hessian(lambda x: x * 2, x)
    with pytest.raises(TypeError, match="tensor or a tuple of tensors; got ndarray"):
        functional.jacobian(lambda x: x * 2, B)
    with pytest.raises(RuntimeError, match="do not depend on input 1"):
        functional.vjp(lambda x, y: x.sum(), (x, x), strict=True)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        functional.jacobian(lambda x: x, x, strategy="forward-mode")
    with pytest.raises(ValueError, match="strategy"):
        functional.jacobian(lambda x: x, x, strategy="sideways")


# ---- checkpoints ----


def network() -> Any:
    gs.manual_seed(1)
    return gs.nn.Sequential(
        gs.nn.Linear(4, 8),
        gs.nn.Tanh(),
        gs.nn.Dropout(0.5),
        gs.nn.Linear(8, 8),
        gs.nn.Sigmoid(),
        gs.nn.Linear(8, 2),
    )


def gradients(net: Any, run: Any) -> list[Any]:
    x = gs.tensor(np.linspace(-1, 1, 12).reshape(3, 4), dtype=gs.float32, requires_grad=True)
    gs.manual_seed(5)
    y = run(x)
    (y * y).sum().backward()
    found = [x.grad.numpy().copy()] + [p.grad.numpy().copy() for p in net.parameters()]
    net.zero_grad()
    return [y.detach().numpy(), *found]


def test_a_checkpoint_changes_no_bit() -> None:
    net = network()
    plain = gradients(net, net)
    for run in (
        lambda x: checkpoint(net, x, use_reentrant=False),
        lambda x: checkpoint(lambda x: net[3:](checkpoint(net[:3], x)), x),
        lambda x: checkpoint_sequential(net, 3, x),
    ):
        for a, b in zip(plain, gradients(net, run), strict=True):
            assert np.array_equal(a, b)


def test_a_checkpoint_keeps_nothing() -> None:
    x = gs.tensor(B, requires_grad=True)
    calls = []

    def f(x: gs.Tensor) -> gs.Tensor:
        calls.append(1)
        return gs.exp(x * x)

    y = checkpoint(f, x)
    node = y.grad_fn
    assert node.saved is None
    (g,) = gs.autograd.grad(y.sum(), x)
    assert len(calls) == 2
    np.testing.assert_allclose(g.numpy(), 2 * B * np.exp(B * B))
    with pytest.raises(RuntimeError, match="freed"):
        y.sum().backward()


def test_second_derivative_through_a_checkpoint() -> None:
    x = gs.tensor(B, requires_grad=True)
    y = checkpoint(lambda x: x * x * x, x)
    (g,) = gs.autograd.grad(y.sum(), x, create_graph=True)
    (gg,) = gs.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(gg.numpy(), 6 * B)


def test_checkpoint_without_gradients_and_with_structures() -> None:
    x = gs.tensor(B, requires_grad=True)
    with gs.no_grad():
        assert not checkpoint(lambda x: x * 2, x).requires_grad

    def f(pair: Any, *, scale: float) -> Any:
        return {"y": [pair[0] * pair[1] * scale]}

    y = checkpoint(f, (x, x), scale=3.0)["y"][0]
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * B)


def test_a_function_that_changes_is_named() -> None:
    x = gs.tensor(B, requires_grad=True)
    runs = []

    def f(x: gs.Tensor) -> gs.Tensor:
        runs.append(1)
        return gs.exp(x) if len(runs) == 1 else gs.tanh(x)

    y = checkpoint(f, x)
    with pytest.raises(RuntimeError, match=r"same ops .*op 0: tanh instead of exp"):
        y.sum().backward()
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential(network(), 9, x)


def test_log_softmax_chooses_a_dim_as_softmax_does() -> None:
    x = gs.randn(2, 3)
    from gradsmith.nn import functional as F

    with pytest.warns(UserWarning, match="log_softmax: dim=None means dim=1"):
        y = F.log_softmax(x)
    assert y.tolist() == F.log_softmax(x, 1).tolist()
