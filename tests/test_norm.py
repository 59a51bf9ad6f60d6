"""Normalisation layers: parameters, running statistics, large inputs, PyTorch's results."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.testing import assert_close
from gradsmith.testing.comparing import same_bytes
from gradsmith.testing.reference import norm as reference

F = nn.functional


def normal(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


LAYERS = {
    "BatchNorm1d": ((3,), (4, 3, 5)),
    "BatchNorm2d": ((3,), (4, 3, 5, 2)),
    "BatchNorm3d": ((3,), (2, 3, 2, 3, 2)),
    "InstanceNorm1d": ((3,), (4, 3, 5)),
    "InstanceNorm2d": ((3,), (4, 3, 5, 2)),
    "InstanceNorm3d": ((3,), (2, 3, 2, 3, 2)),
    "LayerNorm": (((3, 5),), (4, 3, 5)),
    "RMSNorm": ((5,), (4, 3, 5)),
    "GroupNorm": ((2, 4), (3, 4, 5)),
    "LocalResponseNorm": ((3,), (3, 4, 5)),
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "BatchNorm": [
        {},
        {"momentum": None},
        {"affine": False},
        {"bias": False},
        {"track_running_stats": False},
        {"eps": 0.1, "momentum": 0.3},
    ],
    "InstanceNorm": [{}, {"affine": True}, {"track_running_stats": True, "affine": True}],
    "LayerNorm": [{}, {"elementwise_affine": False}, {"bias": False}, {"eps": 0.1}],
    "RMSNorm": [{}, {"elementwise_affine": False}, {"eps": 0.1}],
    "GroupNorm": [{}, {"affine": False}, {"bias": False}],
    "LocalResponseNorm": [{}, {"alpha": 0.5, "beta": 0.5, "k": 2.0}],
}
CASES = [
    (name, options)
    for name in LAYERS
    for prefix, rows in OPTIONS.items()
    if name.startswith(prefix)
    for options in rows
]


@pytest.mark.parametrize("name,options", CASES)
def test_layer_follows_torch(name: str, options: dict[str, Any]) -> None:
    """Three training steps, then evaluation: results, state, names and words."""
    torch = pytest.importorskip("torch")
    arguments, shape = LAYERS[name]
    ours = getattr(nn, name)(*arguments, **options)
    theirs = getattr(torch.nn, name)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for i in range(4):
        if i == 3:
            ours.eval()
            theirs.eval()
        x = normal(*shape, seed=i) * (i + 1) + i
        t = torch.from_numpy(x.copy())
        assert_close(ours(gs.from_numpy(x)).detach(), theirs(t).detach().numpy(), atol=2e-5)
        for key, value in theirs.state_dict().items():
            mine = ours.state_dict()[key]
            assert_close(mine, value.numpy(), rtol=1e-5, atol=1e-6, name=key)


def test_running_statistics_move_in_place() -> None:
    layer = nn.BatchNorm1d(3, momentum=0.5)
    mean = layer.running_mean
    x = gs.from_numpy(normal(6, 3))
    layer(x)
    assert layer.running_mean is mean
    assert int(layer.num_batches_tracked.item()) == 1
    assert_close(mean, x.numpy().mean(0) * 0.5, atol=1e-6)
    assert_close(layer.running_var, 0.5 + 0.5 * x.numpy().var(0, ddof=1), atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(3, 2, 140_000), (1, 1, 300_001), (70, 130, 30), (2000, 2, 150), (700, 70)]
)
def test_batch_norm_of_large_channels(shape: tuple[int, ...]) -> None:
    """Channels beyond the cache, of many planes and of one, at a far mean."""
    x = normal(*shape) + 100.0
    g = normal(*shape, seed=1)
    w, b = normal(shape[1], seed=2), normal(shape[1], seed=3)
    leaves = [gs.from_numpy(a).requires_grad_() for a in (x, w, b)]
    y = F.batch_norm(leaves[0], None, None, *leaves[1:], True)
    wide = [a.astype(np.float64) for a in (x, w, b, g)]
    expected = reference.batch_norm(wide[0], None, None, wide[1], wide[2], True)
    assert_close(y.detach(), expected.astype("f"), atol=1e-4)
    y.backward(gs.from_numpy(g))
    grads = reference.batch_norm_bwd(wide[3], wide[0], wide[1])
    for leaf, e, scale in zip(leaves, grads, (1, x.size, x.size), strict=True):
        assert_close(leaf.grad, e.astype("f"), atol=1e-4 * scale**0.5)


def test_bits_do_not_depend_on_threads() -> None:
    def results() -> list[np.ndarray[Any, Any]]:
        found = []
        for shape, norm in (
            ((5, 6, 700), lambda x, w: F.batch_norm(x, None, None, w, None, True)),
            ((300, 70), lambda x, w: F.batch_norm(x, None, None, w, None, True)),
            ((2, 3, 140_000), lambda x, w: F.batch_norm(x, None, None, w, None, True)),
            ((300, 700), lambda x, w: F.layer_norm(x, (700,), w)),
            ((5, 6, 7000), lambda x, w: F.group_norm(x, 3, w)),
        ):
            x = gs.from_numpy(normal(*shape)).requires_grad_()
            channels = shape[1]
            w = gs.from_numpy(normal(channels, seed=1)).requires_grad_()
            y = norm(x, w)
            y.backward(gs.from_numpy(normal(*shape, seed=2)))
            found += [y.detach().numpy(), x.grad.numpy(), w.grad.numpy()]
        return found

    before = gs.get_num_threads()
    try:
        gs.set_num_threads(1)
        one = results()
        gs.set_num_threads(3)
        several = results()
    finally:
        gs.set_num_threads(before)
    for a, b in zip(one, several, strict=True):
        assert np.array_equal(a, b)


def test_rms_norm_has_the_machine_epsilon() -> None:
    x = np.full((1, 4), 1e-4, np.float32)
    expected = reference.rms_norm(x.astype(np.float64), (4,), None, 2.0**-23)
    assert_close(F.rms_norm(gs.from_numpy(x), (4,)), expected.astype("f"), rtol=1e-6)


@pytest.mark.parametrize(
    "make,error,match",
    [
        (lambda: nn.BatchNorm2d(3)(gs.zeros(2, 3)), ValueError, "BatchNorm2d: input must have 4"),
        (lambda: nn.BatchNorm1d(3)(gs.zeros(1, 3)), ValueError, "expected more than 1 value per"),
        (lambda: nn.BatchNorm1d(3)(gs.zeros(2, 4)), RuntimeError, "one value a channel"),
        (lambda: nn.InstanceNorm1d(3)(gs.zeros(2, 3, 1)), ValueError, "more than 1 spatial"),
        (lambda: nn.GroupNorm(2, 3), ValueError, "GroupNorm: num_groups must divide"),
    ],
)
def test_refusals(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_third_derivative_of_rows() -> None:
    """The second derivative is differentiable itself: the statistics stay functions of x."""
    x = gs.from_numpy(normal(2, 5).astype(np.float64)).requires_grad_()

    def second(x: Any) -> Any:
        y = F.layer_norm(x, (5,), eps=0.1)
        (g,) = gs.autograd.grad([(y * y * y).sum()], [x], create_graph=True)
        (h,) = gs.autograd.grad([(g * g).sum()], [x], create_graph=True)
        return h

    gs.testing.gradcheck(second, [x], atol=1e-5, rtol=1e-5)


def test_layer_norm_beyond_the_cache() -> None:
    """The result is stored past the cache (18 MB, where that has 32): the bits stay the same."""
    x, weight = gs.from_numpy(normal(4400, 1024)), gs.from_numpy(normal(1024, seed=1))
    y = F.layer_norm(x, (1024,), weight, weight)
    parts = [F.layer_norm(x[i : i + 1100], (1024,), weight, weight) for i in range(0, 4400, 1100)]
    assert same_bytes(y.numpy(), gs.cat(parts).numpy())


@pytest.mark.parametrize("length", [1, 67, 768, 1500, 3000])
@pytest.mark.parametrize("affine", [True, False])
def test_gradients_of_rows_taken_together(length: int, affine: bool) -> None:
    """Rows go four at a time or alone, by their length: with the same bits."""
    rng = np.random.default_rng(length)
    for rows in (1, 2, 3, 4, 5, 7, 8, 71, 133):
        x, g = (rng.integers(-8, 9, (rows, length)).astype(np.float32) for _ in range(2))
        w = rng.integers(-3, 4, length).astype(np.float32)

        def gradients(x: Any, g: Any, w: Any = w) -> list[Any]:
            leaves = [gs.from_numpy(a).requires_grad_() for a in (x, w, w)]
            F.layer_norm(leaves[0], (length,), *leaves[1:] if affine else ()).backward(
                gs.from_numpy(g)
            )
            return [leaf.grad.numpy() for leaf in (leaves if affine else leaves[:1])]

        found = gradients(x, g)
        for r in range(rows):
            alone = gradients(x[r : r + 1].copy(), g[r : r + 1].copy())
            assert same_bytes(found[0][r : r + 1], alone[0])
        if affine:
            assert np.array_equal(found[2], g.sum(0))  # integers: exact
            wide = x.astype(np.float64)
            u = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
            assert_close(found[1], (g * u).sum(0).astype("f"), atol=2e-4 * rows**0.5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_and_softmax_beyond_the_cache(dtype: Any) -> None:
    """18 MB and more: stored past the cache, with the bits of the parts that are not."""
    rng = np.random.default_rng(8)
    c, size = 64, 24 if dtype == np.float64 else 32
    x, g = (rng.standard_normal((72, c, size, size)).astype(dtype) for _ in range(2))
    w = rng.standard_normal(c).astype(dtype)

    def batch_norm(x: Any, g: Any) -> list[Any]:
        leaf = gs.from_numpy(x).requires_grad_()
        count = x.shape[1]
        weight = gs.from_numpy(w[:count].copy())
        y = F.batch_norm(leaf, None, None, weight, weight, True)
        y.backward(gs.from_numpy(g))
        fixed = F.batch_norm(leaf.detach(), weight, weight * weight, weight, weight, False)
        return [y.detach().numpy(), leaf.grad.numpy(), fixed.numpy()]

    few = batch_norm(x[:, :16].copy(), g[:, :16].copy())
    for whole, part in zip(batch_norm(x, g), few, strict=True):
        assert same_bytes(whole[:, :16].copy(), part)

    def rows(x: Any, g: Any, of: Any) -> list[Any]:
        leaf = gs.from_numpy(x).requires_grad_()
        y = of(leaf)
        y.backward(gs.from_numpy(g))
        return [y.detach().numpy(), leaf.grad.numpy()]

    for n in (512, 1000, 1001, 2048):
        a, b = (v.reshape(-1)[: v.size // n * n].reshape(-1, n) for v in (x, g))
        ones = gs.from_numpy(np.ones(n, dtype))
        for of in (
            lambda t: F.softmax(t, 1),
            lambda t: F.log_softmax(t, 1),
            lambda t, n=n, ones=ones: F.layer_norm(t, (n,), ones, ones),
        ):
            found, part = rows(a, b, of), rows(a[:300].copy(), b[:300].copy(), of)
            assert same_bytes(found[0][:300].copy(), part[0])
            assert same_bytes(found[1][:300].copy(), part[1])
