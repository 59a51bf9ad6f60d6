"""What is true of every softmax, logsumexp, norm and loss."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn import functional as F
from hypothesis import given
from hypothesis import strategies as st
from properties import close, device_examples, examples, normal, same, seeds

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=3).map(
    lambda s: tuple(min(n, (400, 20, 8)[len(s) - 1]) for n in s)
)
scales = st.sampled_from((0.01, 1.0, 30.0, 1e4))


def drawn(shape: Any, scale: float, seed: int, dtype: Any = np.float64) -> Any:
    return gs.tensor((normal(seed, *shape) * scale).astype(dtype))


@examples(150)
@given(sizes, st.integers(0, 2), scales, st.sampled_from((np.float64, np.float32)), seeds)
def test_softmax(shape: Any, dim: int, scale: float, dtype: Any, seed: int) -> None:
    """Positive, sums to 1, blind to a shift, follows a permutation; its log is log_softmax."""
    dim %= len(shape)
    x = drawn(shape, scale, seed, dtype)
    eps = float(np.finfo(dtype).eps)
    y = F.softmax(x, dim)
    assert float(y.min()) >= 0
    close(y.sum(dim), np.ones([n for i, n in enumerate(shape) if i != dim], dtype), 16 * eps)
    # Shifts by a power of two that is large enough lose nothing of a rounded x.
    coarse = (x * 8).round() / 8
    close(F.softmax(coarse + 16, dim), F.softmax(coarse, dim), 4 * eps)
    order = gs.tensor(np.random.default_rng(seed).permutation(shape[dim]))
    close(F.softmax(x.index_select(dim, order), dim), y.index_select(dim, order), 8 * eps)
    logs = F.log_softmax(x, dim)
    assert float(logs.max()) <= 0
    close(logs.exp(), y, 64 * eps * max(1.0, scale))
    close(x - gs.logsumexp(x, dim, keepdim=True), logs, 16 * eps)
    close(F.softmin(x, dim), F.softmax(-x, dim), eps)


@examples(60)
@given(sizes, st.integers(0, 2), seeds)
def test_gradients_of_softmax_sum_to_nothing(shape: Any, dim: int, seed: int) -> None:
    """Softmax is blind to shifts, so its gradients have none; logsumexp's gradient is softmax."""
    dim %= len(shape)
    x = drawn(shape, 2.0, seed).requires_grad_()
    seen = drawn(shape, 1.0, seed + 1)
    for function in (F.softmax, F.log_softmax):
        (grad,) = gs.autograd.grad(function(x, dim), x, seen)
        assert float(grad.sum(dim).abs().max()) <= 1e-12 * float(seen.abs().sum())
    (grad,) = gs.autograd.grad(gs.logsumexp(x, dim).sum(), x)
    close(grad, F.softmax(x.detach(), dim), 1e-14)


@examples(60)
@given(st.integers(1, 30), st.integers(1, 30), scales, seeds)
def test_cross_entropy(rows: int, classes: int, scale: float, seed: int) -> None:
    """Is nll_loss of log_softmax; its gradient softmax less the target; the mean of the rows'."""
    x = drawn((rows, classes), scale, seed).requires_grad_()
    target = gs.tensor(np.random.default_rng(seed).integers(0, classes, rows))
    loss = F.cross_entropy(x, target)
    close(loss, F.nll_loss(F.log_softmax(x, 1), target), 1e-13)
    each = F.cross_entropy(x, target, reduction="none")
    close(each.mean(), loss, 1e-13)
    close(each.sum(), F.cross_entropy(x, target, reduction="sum"), 1e-13)
    hot = F.one_hot(target, classes).double()
    close(F.cross_entropy(x, hot), loss, 1e-13)
    (grad,) = gs.autograd.grad(loss, x)
    close(grad, (F.softmax(x.detach(), 1) - hot) / rows, 1e-14)


@examples(60)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 30), device_examples, seeds)
def test_normalisations(
    cuda: str, images: int, channels: int, positions: int, device: str, seed: int
) -> None:
    """Mean 0, variance 1, blind to shift and scale; group norm between layer and instance norm."""
    x = drawn((images, channels, positions), 3.0, seed).to(device)
    tiny = 1e-14
    y = F.layer_norm(x, (channels, positions), eps=tiny)
    assert float(y.mean((1, 2)).abs().max()) <= 1e-12
    if channels * positions > 1:
        close((y * y).mean((1, 2)), np.ones(images), 1e-6)
        close(F.layer_norm(x * 4 - 2, (channels, positions), eps=tiny), y, 1e-6)
        close(F.group_norm(x, 1, eps=tiny), y, 1e-12)
    if positions > 1:
        close(F.group_norm(x, channels, eps=tiny), F.instance_norm(x, eps=tiny), 1e-12)
    if images * positions > 1:
        whole = F.batch_norm(x, None, None, training=True, eps=tiny)
        turned = F.instance_norm(x.permute(1, 0, 2).reshape(1, channels, -1), eps=tiny)
        close(whole, turned.reshape(channels, images, positions).permute(1, 0, 2), 1e-12)


@examples(80)
@given(sizes, st.integers(0, 2), seeds)
def test_reductions_and_scans(shape: Any, dim: int, seed: int) -> None:
    """Sums of integers in any order, the ends of scans, sorting and its inverse."""
    dim %= len(shape)
    x = gs.tensor(np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32))
    total = x.sum(dim)
    same(x.cumsum(dim).select(dim, shape[dim] - 1), total)
    same(x.flip(dim).sum(dim), total)
    same(x.sum(), total.sum())
    same((x.mean(dim) * shape[dim]).round(), total)
    values, places = x.sort(dim)
    same(x.gather(dim, places), values)
    same(values.select(dim, 0), x.amin(dim))
    same(values.select(dim, shape[dim] - 1), x.amax(dim))
    same(values.gather(dim, places.argsort(dim)), x)
    same(x.topk(shape[dim], dim)[0], values.flip(dim))
    same((x == x.amax(dim, keepdim=True)).any(dim), gs.ones(*total.shape, dtype=gs.bool))
    same(x.amax(dim), -(-x).amin(dim))


@examples(60)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), seeds)
def test_products_are_associative(m: int, k: int, n: int, seed: int) -> None:
    """(A B) C = A (B C) and (A B)^T = B^T A^T, in integers; einsum and tensordot say the same."""
    rng = np.random.default_rng(seed)
    a, b, c = (
        gs.tensor(rng.integers(-4, 5, s).astype(np.float32)) for s in ((m, k), (k, n), (n, m))
    )
    same((a @ b) @ c, a @ (b @ c))
    same((a @ b).t(), b.t() @ a.t())
    same(gs.einsum("ij,jk->ki", a, b), (a @ b).t())
    same(gs.tensordot(a, b, 1), a @ b)
    same((a @ b @ c).diagonal().sum(), (c @ a @ b).diagonal().sum())
    same(F.linear(a, b.t()), a @ b)
    same(gs.kron(a, b)[: b.shape[0], : b.shape[1]], a[0, 0] * b)


@pytest.mark.parametrize("p", [1, 2, 3, float("inf")])
@examples(25)
@given(sizes, scales, seeds)
def test_norms(p: float, shape: Any, scale: float, seed: int) -> None:
    """The triangle inequality, homogeneity, and the norm of the norms."""
    x, y = (drawn(shape, scale, seed + i) for i in range(2))
    size = x.norm(p)
    assert float((x + y).norm(p)) <= float(size + y.norm(p)) * (1 + 1e-12)
    close((x * -2).norm(p), size * 2, 1e-13 * max(1.0, float(size)))
    close(x.norm(p, dim=0).norm(p), size, 1e-13 * max(1.0, float(size)))
