"""Recorded changes in place, of tensors and of views of them: PyTorch is the measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradsmith as gs
import numpy as np
import pytest

torch = pytest.importorskip("torch")


def a_row(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    y[0] = w[0]
    return y * y


def augmented_column(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    y[:, 1] += w[:, 0]
    return y * y


def rows_of_zeros(lib: Any, x: Any, w: Any) -> Any:
    y = lib.zeros(4, 5, dtype=lib.float64)
    for i in range(4):
        y[i] = x[i] * w[i]
    return y * y * y


def reshaped_view(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    v = y.reshape(-1)
    v[3:7] = w.reshape(-1)[:4]
    return y * y + v.reshape(4, 5)


def another_view(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    v = y[1]
    u = y[2]
    v.mul_(w[0])
    return (y * y).sum() + (u * u * 3).sum() + (v * v).sum()


def zeroed(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    y.zero_()
    return y * w


def filled_row(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    y[1].fill_(3.0)
    return y * y


def copied(lib: Any, x: Any, w: Any) -> Any:
    y = x * 2
    y.copy_(w)
    return y * y


def transposed(lib: Any, x: Any, w: Any) -> Any:
    y = x * 1
    z = y.t()
    z[2] = w.t()[1]
    z[1:3, 1:3].mul_(z[0:2, 0:2].clone())
    return y * y


def view_of_view(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    v = y.view(2, 2, 5)
    v[:, 0].add_(w[:2])
    return v * v


def by_index(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    y[[0, 1, 0], [1, 2, 3]] = w[0, :3]
    return y * y


def unsqueezed(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    y.unsqueeze(0)[0, 1] = w[2]
    return y * y


def accumulated(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    y.index_put_((lib.tensor([0, 0, 1]),), w[:3], accumulate=True)
    return y * y


def relu_of_a_row(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    lib.nn.functional.relu(y[0], inplace=True)
    return y * w


def by_index_elsewhere(lib: Any, x: Any, w: Any) -> Any:
    y = (x * 3).reshape(2, 2, 5)
    y[[0, 1], :, [2, 0]] = w[:2, :2]
    return y * y


def by_mask(lib: Any, x: Any, w: Any) -> Any:
    y = x * 3
    mask = lib.tensor([True, False, True, False])
    y[mask] = w[:2]
    y[mask, 1:3] *= 2
    return y * y


CASES = [
    a_row,
    augmented_column,
    rows_of_zeros,
    reshaped_view,
    another_view,
    zeroed,
    filled_row,
    copied,
    transposed,
    view_of_view,
    by_index,
    unsqueezed,
    accumulated,
    relu_of_a_row,
    by_index_elsewhere,
    by_mask,
]


def derivatives(lib: Any, case: Callable[..., Any], device: str) -> list[Any]:
    """Value, first and second derivatives."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((4, 5)) for _ in range(2)]
    if lib is gs:
        x, w = (gs.from_numpy(a).to(device).requires_grad_() for a in arrays)
    else:
        x, w = (torch.from_numpy(a).requires_grad_() for a in arrays)
    y = case(lib, x, w)
    total = y if y.ndim == 0 else y.sum()
    first = lib.autograd.grad(total, [x, w], create_graph=True, allow_unused=True)
    found = [total, *first]
    squares = [(g * g).sum() for g in first if g is not None and g.requires_grad]
    if squares:
        loss = squares[0] + squares[1] if len(squares) > 1 else squares[0]
        found += lib.autograd.grad(loss, [x, w], allow_unused=True)
    return [0.0 if f is None else f.detach().cpu().numpy() for f in found]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_derivatives_are_torchs(case: Callable[..., Any], device: str) -> None:
    if device == "cuda" and case is rows_of_zeros:
        pytest.skip("its zeros are on the CPU")
    ours, theirs = derivatives(gs, case, device), derivatives(torch, case, "cpu")
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, rtol=1e-12), (a, b)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[0].fill_(1.0),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.__setitem__([0], 1.0),
        lambda x: x.view(3).mul_(2),
        lambda x: x.add_(1),
    ],
)
def test_a_trained_leaf_is_refused(change: Callable[[Any], Any]) -> None:
    x = gs.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient"):
        change(x)
    with gs.no_grad():
        change(x)


def test_views_do_not_pile_up() -> None:
    x = gs.zeros(8)
    for _ in range(1000):
        x[1] += 1.0
    assert len(x._version) < 40
    assert x.tolist()[1] == 1000.0


def test_a_detached_tensor_changes_alone() -> None:
    x = gs.ones(3, requires_grad=True)
    y = x * 2
    d = y.detach()
    d[0] = 5.0
    assert y.tolist() == [5.0, 2.0, 2.0]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0] * 3
