"""Indexing where PyTorch is the measure and finite differences are none."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.kernels import table
from gradsmith.nn import functional as F
from gradsmith.testing.layouts import same_bits

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "options", [{"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}]
)
def test_gradient_of_an_embedding(options: dict[str, Any], device: str) -> None:
    rng = np.random.default_rng(1)
    index, weight = rng.integers(0, 6, (4, 5)), rng.standard_normal((6, 3))
    ours = gs.from_numpy(weight.copy()).to(device).requires_grad_()
    theirs = torch.from_numpy(weight).requires_grad_()
    y = F.embedding(gs.from_numpy(index).to(device), ours, **options)
    t = torch.nn.functional.embedding(torch.from_numpy(index), theirs, **options)
    (y * y).sum().backward()
    (t * t).sum().backward()
    assert ours.grad is not None
    assert np.allclose(ours.grad.cpu().numpy(), theirs.grad.numpy(), rtol=1e-12)


# ---- keys of every kind ----

ROW = np.array([0, 2, -1])
COLUMN = np.array([[1], [3]])
ALL = slice(None)
_rng = np.random.default_rng(3)
ROWS = np.array([True, False, True, True])
PLANE = _rng.random((4, 5)) > 0.5
SPACE = _rng.random((4, 5, 6)) > 0.5
LAST = np.array([True, False, False, True, True, False])

KEYS: tuple[Any, ...] = (
    ROW,
    (ALL, ROW),
    (ROW, ROW),
    (ROW, COLUMN),
    (COLUMN, ALL, ROW),
    (ALL, ROW, COLUMN),
    (Ellipsis, ROW),
    (0, ROW),
    (ROW, 0),
    (slice(1, 3), ROW, None),
    (None, ROW),
    (ROW, None, COLUMN),
    ROWS,
    PLANE,
    SPACE,
    (ROWS, ROW),
    (Ellipsis, LAST),
    (PLANE, 1),
    (PLANE, None),
    (ALL, SPACE[0]),
    True,
    False,
    (ALL, [0, 1]),
    [0, 1],
    ([0, 1], [1, 2]),
    (slice(None, None, 2), COLUMN, slice(1, 4)),
    (0, [1, 2]),
    (ROW[:2], ALL, [0, 1]),
    np.array([], np.int64),
)


def key_for(lib: Any, key: Any, device: str = "cpu") -> Any:
    if isinstance(key, tuple):
        return tuple(key_for(lib, k, device) for k in key)
    if not isinstance(key, np.ndarray):
        return key
    return torch.from_numpy(key) if lib is torch else gs.from_numpy(key).to(device)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_every_kind_of_key(key: Any, order: Any, device: str) -> None:
    """Values, gradients, assignment and its gradients are PyTorch's."""
    if device == "cuda" and order == "F":
        order = "C"
    array = np.array(np.random.default_rng(0).standard_normal((4, 5, 6)), order=order)
    ours = gs.from_numpy(array.copy(order="K")).to(device).requires_grad_()
    theirs = torch.from_numpy(array.copy(order="K")).requires_grad_()
    y, t = ours[key_for(gs, key, device)], theirs[key_for(torch, key)]
    assert np.array_equal(y.detach().cpu().numpy(), t.detach().numpy())
    (y * y).sum().backward()
    (t * t).sum().backward()
    assert ours.grad is not None and np.allclose(ours.grad.cpu().numpy(), theirs.grad.numpy())
    value = np.random.default_rng(1).standard_normal(tuple(t.shape))
    found: list[list[Any]] = []
    for lib, leaf in ((gs, ours), (torch, theirs)):
        leaf.grad = None
        v = gs.from_numpy(value).to(device) if lib is gs else torch.from_numpy(value)
        v = v.clone().requires_grad_()
        z = leaf * 2
        z[key_for(lib, key, device)] = v
        (z * z * z).sum().backward()
        grads = [z.clone(), leaf.grad, v.grad]
        found.append([0.0 if x is None else x.detach().cpu().numpy() for x in grads])
        z = z.detach().clone()
        z[key_for(lib, key, device)] = 3.0
        found[-1].append(z.cpu().numpy())
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b)


@pytest.mark.parametrize(
    "key,error,match",
    [
        (np.array([4]), IndexError, r"out of range: must be in \[0, 4\); got 4"),
        (np.array([-5]), IndexError, "got -5"),
        ((ROW, np.array([0, 1])), IndexError, "match or broadcast"),
        (np.array([True, False]), IndexError, "a mask must have the shape of the dims"),
        (np.array([0.5]), IndexError, "tensors that index are of ints or bools"),
        ((ROW, ROW, ROW, ROW), IndexError, "too many indices"),
        ("a", IndexError, "only ints, slices"),
    ],
)
def test_keys_that_are_refused(key: Any, error: Any, match: str, device: str) -> None:
    x = gs.zeros(4, 5, 6, device=device)
    with pytest.raises(error, match=match):
        x[key_for(gs, key, device)]
    with pytest.raises(error, match=match):
        x[key_for(gs, key, device)] = 1.0
    with pytest.raises(Exception):  # noqa: B017  its type is PyTorch's affair
        torch.zeros(4, 5, 6)[key_for(torch, key)]


def test_a_value_that_does_not_fit_is_refused() -> None:
    x = gs.zeros(4, 5)
    with pytest.raises(RuntimeError, match="the value must broadcast to what is indexed"):
        x[[0, 1]] = gs.ones(3)
    with pytest.raises(RuntimeError, match="the value must broadcast"):
        x[0] = gs.ones(3)
    x[0] = gs.ones(1, 1, 5)
    assert x[0].tolist() == [1.0] * 5


def test_memory_formats_are_stride_patterns() -> None:
    x = gs.randn(2, 3, 4, 5, requires_grad=True)
    y = x.contiguous(memory_format=gs.channels_last)
    assert y.stride() == (60, 1, 15, 3) == x.to(memory_format=gs.channels_last).stride()
    assert y.is_contiguous(memory_format=gs.channels_last) and not y.is_contiguous()
    assert y.contiguous(memory_format=gs.channels_last) is y
    assert x.clone(memory_format=gs.preserve_format).stride() == (60, 20, 5, 1)
    assert np.array_equal(y.detach().numpy(), x.detach().numpy())
    (y * y).sum().backward()
    assert x.grad is not None and np.allclose(x.grad.numpy(), 2 * x.detach().numpy())
    with pytest.raises(RuntimeError, match="channels_last is of 4 dims; got shape"):
        gs.ones(3).contiguous(memory_format=gs.channels_last)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (3, 7), (1, 4)])
def test_fill_diagonal(shape: tuple[int, ...], wrap: bool) -> None:
    ours = gs.zeros(*shape).fill_diagonal_(2.0, wrap)
    assert np.array_equal(ours.numpy(), torch.zeros(*shape).fill_diagonal_(2.0, wrap).numpy())


def test_changes_in_place_by_index() -> None:
    index = [[1], [2], [3]]
    ours = gs.zeros(3, 4).scatter_(1, gs.tensor(index), 5.0).tril_(1)
    theirs = torch.zeros(3, 4).scatter_(1, torch.tensor(index), 5.0).tril_(1)
    assert np.array_equal(ours.numpy(), theirs.numpy())
    ours.index_fill_(0, gs.tensor([1]), 7.0).index_add_(0, gs.tensor([0, 0]), gs.ones(2, 4))
    theirs.index_fill_(0, torch.tensor([1]), 7.0)
    theirs.index_add_(0, torch.tensor([0, 0]), torch.ones(2, 4))
    assert np.array_equal(ours.numpy(), theirs.numpy())


def test_cat_promotes() -> None:
    mixed = gs.cat([gs.ones(2), gs.ones(2, dtype=gs.int64), gs.ones(1, dtype=gs.float64)])
    assert mixed.dtype is gs.float64 and mixed.tolist() == [1.0] * 5


def test_negative_indices_where_pytorch_takes_them(device: str) -> None:
    x = gs.arange(6.0, device=device).reshape(2, 3)
    last = gs.tensor([[-1], [0]], device=device)
    assert gs.take_along_dim(x, last, 1).tolist() == [[2.0], [3.0]]
    assert gs.take_along_dim(x, gs.tensor([-1, 1], device=device)).tolist() == [5.0, 1.0]
    filled = x.index_fill(1, gs.tensor([-1], device=device), 9)
    assert filled.tolist() == [[0.0, 1.0, 9.0], [3.0, 4.0, 9.0]]
    with pytest.raises(IndexError, match="index out of range"):
        gs.take_along_dim(x, gs.tensor([[-4]], device=device), 1)


@pytest.mark.parametrize("diagonal", [2**63 - 1, 2**62, -(2**63), 2**31, -(2**31)])
def test_diagonals_far_beyond_the_corners(diagonal: int, device: str) -> None:
    x = gs.ones(2, 3, device=device)
    everything, nothing = x.tolist(), gs.zeros(2, 3).tolist()
    assert gs.tril(x, diagonal).tolist() == (everything if diagonal > 0 else nothing)
    assert gs.triu(x, diagonal).tolist() == (nothing if diagonal > 0 else everything)


def test_sizes_beyond_63_bits_are_refused_by_name() -> None:
    with pytest.raises(RuntimeError, match="expand: more bytes than 63 bits"):
        gs.zeros(1, 1).expand(2**40, 2**40)
    with pytest.raises(RuntimeError, match="63 bits"):
        gs.zeros(4).repeat(2**62)
    with pytest.raises(RuntimeError, match="arange: .* 63 bits"):
        gs.arange(0, 1e300)
    with pytest.raises(RuntimeError, match="63 bits"):
        gs.nn.functional.interpolate(gs.zeros(1, 1, 2, 2), scale_factor=1e30)
    with pytest.raises(RuntimeError, match="63 bits"):
        gs.nn.functional.unfold(gs.zeros(1, 1, 3, 3), 2, padding=2**40)


def test_an_index_out_of_range_is_refused_in_the_callers_name() -> None:
    x, one = gs.zeros(3, 4), gs.tensor([5])
    wide = gs.tensor([[9, 0], [0, 0]])
    calls = {
        "index": lambda: x[one],
        "gather": lambda: x.gather(1, wide),
        "take_along_dim": lambda: gs.take_along_dim(x, gs.tensor([[9]]), 1),
        "scatter": lambda: x.scatter(1, wide, x),
        "scatter_add": lambda: x.scatter_add(1, wide, x),
        "index_select": lambda: x.index_select(0, one),
        "index_add": lambda: x.index_add(0, one, x[:1]),
        "index_copy": lambda: x.index_copy(0, one, x[:1]),
        "index_fill": lambda: x.index_fill(0, one, 1),
        "one_hot": lambda: gs.nn.functional.one_hot(one, 3),
        "embedding_bag": lambda: gs.nn.functional.embedding_bag(wide, x),
    }
    for name, call in calls.items():
        with pytest.raises(IndexError, match=f"^{name}: index out of range"):
            call()


def test_sums_along_rows_are_cleared_first() -> None:
    """Many rows are cleared one by one, few at once: neither keeps what the memory held."""
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64, np.int64):
        for rows, extent, taken in (
            (1, 700, 90),
            (63, 7, 3),
            (64, 7, 0),
            (64, 1, 5),
            (65, 300, 40),
        ):
            index = rng.integers(0, extent, (rows, taken))
            values = rng.integers(-9, 10, (rows, taken)).astype(dtype)
            want = np.zeros((rows, extent), dtype)
            np.add.at(want, (np.arange(rows)[:, None], index), values)
            for _ in range(3):
                held = gs.full((rows, extent), 7, dtype=gs.from_numpy(values).dtype)
                del held
                got = same_bits(
                    lambda v=values, i=index, s=want.shape: table("cpu").scatter_sum(v, i, s, 1)
                )
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_one_index_outside_in_any_place(dim: int, device: str) -> None:
    """Rows are checked as they are gathered: the first index outside is named, none is followed."""
    shape = (7, 19, 5)
    x = gs.from_numpy(np.arange(7 * 19 * 5, dtype=np.float32).reshape(shape)).to(device)
    good = np.random.default_rng(dim).integers(0, shape[dim], (7, 19, 5))
    taken = x.gather(dim, gs.from_numpy(good.copy()).to(device)).cpu().numpy()
    np.testing.assert_array_equal(taken, np.take_along_axis(x.cpu().numpy(), good, dim))
    for place in (0, 6, 200, 7 * 19 * 5 - 1):
        for wrong in (shape[dim], 1 << 40, -(1 << 40)):
            bad = good.copy()
            bad.flat[place] = wrong
            bad.flat[-1] = wrong
            with pytest.raises(IndexError, match=f"index out of range.*got {wrong}"):
                x.gather(dim, gs.from_numpy(bad).to(device))
