"""Random graphs of random ops: forward and gradients against float64 NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import graph_programs
import numpy as np
import pytest
from graph_programs import WORDS
from hypothesis import given
from hypothesis import strategies as st
from properties import examples, normal, seeds

near = st.integers(0, 5)
graphs = st.lists(
    st.tuples(st.sampled_from(WORDS), near, near, st.integers(0, 23)), min_size=2, max_size=16
)
shapes = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=3)
#: Beyond this a graph has left what is tame.
TAME = 1e6


def draw(sizes: Any, seed: int) -> list[Any]:
    return [normal(seed + i, *s) for i, s in enumerate(sizes)]


def reference(graph: Any, leaves: Any, seed: int) -> Any:
    """NumPy's nodes and the factors of the loss; None where numbers grew too large."""
    with np.errstate(all="ignore"):
        nodes = graph_programs.run(np, graph, leaves)
    if not all(np.abs(n).max(initial=0) < TAME for n in nodes):
        return None, None
    return nodes, graph_programs.weights(nodes, seed)


def gradients(lib: Any, graph: Any, leaves: Any, weights: Any, dtype: Any) -> Any:
    """The nodes, the loss and the leaves' gradients in one library."""
    xs = [lib.tensor(x, dtype=dtype).requires_grad_() for x in leaves]
    nodes = graph_programs.run(lib, graph, xs)
    value = graph_programs.loss(nodes, [lib.tensor(w, dtype=dtype) for w in weights])
    value.backward()
    return [n.detach().numpy() for n in nodes], float(value.detach()), [x.grad.numpy() for x in xs]


@examples(250)
@given(graphs, shapes, seeds)
def test_graphs_follow_float64(graph: Any, sizes: Any, seed: int) -> None:
    """Every node's value; the gradient along a direction, by differences of NumPy's loss."""
    leaves = draw(sizes, seed)
    expected, weights = reference(graph, leaves, seed)
    if expected is None:
        return
    nodes, _, grads = gradients(gs, graph, leaves, weights, gs.float64)
    for got, wanted in zip(nodes, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
    # Along a random direction; a fourth-order difference of two steps, whose spread says its worth.
    way = [normal(seed + 99 + i, *x.shape) for i, x in enumerate(leaves)]

    def at(t: float) -> float:
        moved = [x + t * v for x, v in zip(leaves, way, strict=True)]
        return float(graph_programs.loss(graph_programs.run(np, graph, moved), weights))

    slopes = []
    with np.errstate(all="ignore"):
        for h in (1e-3, 3e-4):
            slopes.append((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h))
    analytic = sum(float((g * v).sum()) for g, v in zip(grads, way, strict=True))
    largest = max(
        abs(slopes[1]), sum(float(np.abs(g * v).sum()) for g, v in zip(grads, way, strict=True))
    )
    spread = 10 * abs(slopes[0] - slopes[1])
    if spread > 1e-3 * largest:
        return  # The graph bends too much for a difference.
    assert abs(analytic - slopes[1]) <= 1e-6 * largest + spread + 1e-7


@examples(150)
@given(graphs, shapes, seeds)
def test_graphs_are_torchs(graph: Any, sizes: Any, seed: int) -> None:
    """Values and gradients in float64, and in float32 as near to float64 as PyTorch's."""
    torch = pytest.importorskip("torch")
    leaves = draw(sizes, seed)
    _, weights = reference(graph, leaves, seed)
    if weights is None:
        return
    nodes, _, grads = gradients(gs, graph, leaves, weights, gs.float64)
    theirs, _, their_grads = gradients(torch, graph, leaves, weights, torch.float64)
    for a, b in zip(nodes, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for a, b in zip(grads, their_grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(b).max()))
    single = gradients(gs, graph, leaves, weights, gs.float32)
    other = gradients(torch, graph, leaves, weights, torch.float32)
    for which in (0, 2):
        for a, b, true in zip(single[which], other[which], (nodes, grads)[which // 2], strict=True):
            size = max(1.0, float(np.abs(true).max()))
            allowed = 10 * float(np.abs(b - true).max()) + 1e-5 * size
            assert float(np.abs(a - true).max()) <= allowed


@examples(40)
@given(graphs, shapes, seeds)
def test_graphs_on_the_device(cuda: str, graph: Any, sizes: Any, seed: int) -> None:
    """The same graph on both devices, in float64."""
    graph = [n for n in graph if n[0] not in ("where",)][:8]
    leaves = draw(sizes, seed)
    expected, weights = reference(graph, leaves, seed)
    if expected is None:
        return
    _, _, grads = gradients(gs, graph, leaves, weights, gs.float64)
    xs = [gs.tensor(x).to(cuda).requires_grad_() for x in leaves]
    nodes = graph_programs.run(gs, graph, xs)
    value = graph_programs.loss(nodes, [gs.tensor(w).to(cuda) for w in weights])
    value.backward()
    for got, wanted in zip(nodes, expected, strict=True):
        np.testing.assert_allclose(got.detach().cpu().numpy(), wanted, rtol=1e-9, atol=1e-9)
    for x, wanted in zip(xs, grads, strict=True):
        size = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(x.grad.cpu().numpy(), wanted, rtol=1e-8, atol=1e-9 * size)


@examples(60)
@given(graphs, shapes, seeds)
def test_second_derivatives_are_symmetric(graph: Any, sizes: Any, seed: int) -> None:
    """<u, H v> = <v, H u> for the Hessian of a graph."""
    graph = graph[:6]
    leaves = draw(sizes[:1], seed)
    expected, weights = reference(graph, leaves, seed)
    if expected is None:
        return
    x = gs.tensor(leaves[0]).requires_grad_()
    nodes = graph_programs.run(gs, graph, [x])
    value = graph_programs.loss(nodes, [gs.tensor(w) for w in weights])
    value = value + (x * x * x).sum() * 0.1
    (grad,) = gs.autograd.grad(value, x, create_graph=True)
    u, v = (gs.tensor(normal(seed + i, *leaves[0].shape)) for i in (50, 51))
    hessian = [gs.autograd.grad((grad * w).sum(), x, retain_graph=True)[0] for w in (u, v)]
    one, two = float((hessian[0] * v).sum()), float((hessian[1] * u).sum())
    size = float((hessian[0] * v).abs().sum() + (hessian[1] * u).abs().sum())
    assert abs(one - two) <= 1e-9 * max(size, 1.0)
