"""Attention: dropout, memory, masks with a gradient."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn.functional import scaled_dot_product_attention
from gradsmith.testing import gradcheck


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> gs.Tensor:
    return gs.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def operands(*lead: int, rows: int, keys: int, width: int, dtype: Any = np.float64) -> list[Any]:
    shapes = ((rows, width), (keys, width), (keys, width))
    return [normal(*lead, *s, seed=i, dtype=dtype) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("p", [0.25, 0.6])
def test_dropout_drops_and_scales(p: float) -> None:
    """With value the identity the result is the weights: kept ones are divided by 1 - p."""
    q, k, _ = operands(2, rows=50, keys=131, width=4)
    eye = gs.from_numpy(np.broadcast_to(np.eye(131), (2, 131, 131)).copy())
    whole = scaled_dot_product_attention(q, k, eye).numpy()
    gs.manual_seed(1)
    y = scaled_dot_product_attention(q, k, eye, dropout_p=p).numpy()
    kept = y != 0
    np.testing.assert_allclose(y[kept], whole[kept] / (1 - p), rtol=1e-12)
    assert abs(kept.mean() - (1 - p)) < 0.03
    # No row or column is dropped or kept as one, and the batches differ.
    for axis in (1, 2):
        assert not kept.all(axis=axis).any()
        assert kept.any(axis=axis).all()
    assert (kept[0] != kept[1]).mean() > 0.9 * 2 * p * (1 - p)


def test_all_is_dropped() -> None:
    q, k, v = operands(rows=3, keys=5, width=4)
    assert not scaled_dot_product_attention(q, k, v, dropout_p=1.0).numpy().any()


def with_seed(function: Any) -> Any:
    """The function with the same dropout in every call."""

    def call(*args: Any) -> Any:
        gs.manual_seed(7)
        return function(*args)

    return call


@pytest.mark.parametrize("causal", [False, True])
def test_gradient_with_dropout(causal: bool) -> None:
    """The backward draws the same mask again."""
    tensors = [t.requires_grad_() for t in operands(2, rows=5, keys=6, width=3)]
    function = with_seed(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, dropout_p=0.4, is_causal=causal)
    )
    assert gradcheck(function, tensors)


def test_gradient_of_the_mask() -> None:
    q, k, v = (t.requires_grad_() for t in operands(2, 3, rows=4, keys=5, width=3))
    for shape in ((4, 5), (2, 1, 1, 5), (3, 4, 1)):
        mask = normal(*shape, seed=5).requires_grad_()
        assert gradcheck(
            lambda q, k, v, m: scaled_dot_product_attention(q, k, v, m), [q, k, v, mask]
        )


def test_causal_and_mask_together() -> None:
    q, k, v = operands(2, rows=6, keys=6, width=4)
    mask = normal(6, 6, seed=9)
    hidden = np.where(np.tril(np.ones((6, 6), bool)), mask.numpy(), -np.inf)
    expected = scaled_dot_product_attention(q, k, v, gs.from_numpy(hidden)).numpy()
    y = scaled_dot_product_attention(q, k, v, mask, is_causal=True).numpy()
    np.testing.assert_allclose(y, expected, atol=1e-14)


def test_dropout_is_the_same_on_both_devices(cuda: str) -> None:
    for causal in (False, True):
        tensors = operands(2, rows=37, keys=35, width=5, dtype=np.float32)
        seen = normal(2, 37, 5, seed=8, dtype=np.float32)
        found = []
        for device in ("cpu", cuda):
            leaves = [t.to(device).detach().requires_grad_() for t in tensors]
            gs.manual_seed(3)
            y = scaled_dot_product_attention(*leaves, dropout_p=0.5, is_causal=causal)
            grads = gs.autograd.grad(y, leaves, seen.to(device))
            found.append([t.detach().cpu().numpy() for t in (y, *grads)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


LONG = """
import gradsmith as gs
q, k, v = (gs.randn(1, 4096, 16, requires_grad=True) for _ in range(3))
y = gs.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
y.backward(gs.ones(1, 4096, 16))
print(gs.memory_stats()["peak"])
"""


def test_no_array_of_all_scores() -> None:
    """Forward and backward of L = S = 4096: the scores alone would take 64 MB."""
    run = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8 << 20


def test_one_long_row_of_keys_needs_no_more_bits() -> None:
    """The same bits whatever the queries' block they fall into."""
    q, k, v = operands(rows=200, keys=150, width=8, dtype=np.float32)
    y = scaled_dot_product_attention(q, k, v).numpy()
    for rows in (1, 3, 50):
        part = scaled_dot_product_attention(q[:rows], k, v).numpy()
        np.testing.assert_array_equal(part, y[:rows])


def test_no_second_derivative_is_said() -> None:
    q, k, v = (t.requires_grad_() for t in operands(rows=3, keys=4, width=2))
    y = scaled_dot_product_attention(q, k, v)
    (g,) = gs.autograd.grad(y.sum(), q, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative of scaled_dot"):
        g.sum().backward()


def test_elements_across_their_borders() -> None:
    """Fields of a packed record: strides that are no multiple of the element's size."""
    record = np.zeros((2, 5, 3), np.dtype([("pad", "u1"), ("x", "<f8")]))
    record["x"] = np.random.default_rng(0).standard_normal(record.shape)
    x = gs.from_numpy(record["x"])
    expected = scaled_dot_product_attention(*[gs.from_numpy(record["x"].copy())] * 3)
    np.testing.assert_array_equal(scaled_dot_product_attention(x, x, x).numpy(), expected.numpy())


def test_every_schedule_gives_the_same_bits(cuda: str) -> None:
    """Threads in any order: a missing barrier in attention.cu would show."""
    from gradsmith.kernels import cuda as kernels
    from gradsmith.kernels.cuda import emulator

    if not kernels.is_emulated():
        pytest.skip("on a GPU")
    leaves = [
        t.to(cuda).detach().requires_grad_()
        for t in operands(1, rows=33, keys=40, width=35, dtype=np.float32)
    ]
    found = []
    for order in ("forward", "reverse", "random", "skewed"):
        with emulator.schedule(order, "late", seed=5):
            y = scaled_dot_product_attention(*leaves, is_causal=True)
            grads = gs.autograd.grad(y, leaves, gs.ones(1, 33, 35).to(cuda))
            found.append([t.detach().cpu().numpy() for t in (y, *grads)])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keys", [1, 95, 96, 97, 127, 128, 129, 193])
def test_blocks_of_keys(keys: int, dtype: Any) -> None:
    """One block or several; a row that sees no key, one that sees the last alone, and a NaN."""
    q, k, v = operands(3, rows=53, keys=keys, width=20, dtype=dtype)
    hidden = np.zeros((3, 53, keys), dtype)
    hidden[1, 7] = -np.inf
    hidden[1, 8, :-1] = -np.inf
    hidden[2, 50, keys // 2] = np.nan
    mask = gs.from_numpy(hidden)
    found = [scaled_dot_product_attention(q, k, v, m).numpy() for m in (None, mask)]
    left, right, given = (t.numpy().astype(np.float64) for t in (q, k, v))
    scores = left @ right.swapaxes(1, 2) / np.sqrt(20)
    for y, extra in zip(found, (np.zeros_like(hidden), hidden), strict=True):
        s = scores + extra
        s = s - np.where(np.isneginf(s.max(-1, keepdims=True)), 0, s.max(-1, keepdims=True))
        total = np.exp(s).sum(-1, keepdims=True)
        wanted = np.exp(s) / np.where(total == 0, 1, total) @ given
        np.testing.assert_allclose(y, wanted, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)
    assert np.isnan(found[1][2, 50]).all()
    assert not found[1][1, 7].any()
    np.testing.assert_array_equal(found[1][1, 8], v.numpy()[1, -1])
    threads = gs.get_num_threads()
    try:
        for n in (1, 3):
            gs.set_num_threads(n)
            np.testing.assert_array_equal(scaled_dot_product_attention(q, k, v).numpy(), found[0])
    finally:
        gs.set_num_threads(threads)
