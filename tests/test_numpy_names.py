"""Other names of arguments that PyTorch takes, and names that courses' programs use."""

from __future__ import annotations

import copy
import math

import gradsmith as gs
import pytest

X = gs.tensor([[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]])
REDUCTIONS = "sum mean prod amax amin argmax argmin std var logsumexp".split()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_take_axis_and_keepdims(name: str) -> None:
    method = getattr(X, name)
    assert method(axis=1).tolist() == method(dim=1).tolist()
    assert method(axis=0, keepdims=True).shape == (1, 3)
    assert getattr(gs, name)(X, axis=1, keepdims=True).shape == (2, 1)
    with pytest.raises(TypeError, match="axis"):
        method(dim=1, axis=1)


def test_other_functions_take_axis() -> None:
    assert X.max(axis=1).values.tolist() == [5.0, 6.0]
    assert X.min(axis=0, keepdims=True).indices.tolist() == [[0, 1, 0]]
    assert (X > 1).all(axis=1).tolist() == [False, True]
    assert (X > 1).any(axis=0).tolist() == [True, True, True]
    assert X.cumsum(axis=1).tolist() == [[1.0, 6.0, 9.0], [4.0, 6.0, 12.0]]
    assert gs.cat([X, X], axis=1).shape == (2, 6)
    assert gs.concat((X, X)).shape == gs.concatenate((X, X), axis=0).shape == (4, 3)
    assert gs.stack([X, X], axis=2).shape == (2, 3, 2)
    assert X.unsqueeze(axis=0).squeeze(axis=0).shape == (2, 3)
    assert [t.shape for t in X.split(split_size=2, dim=1)] == [(2, 2), (2, 1)]
    assert X.permute(dims=(1, 0)).shape == (3, 2)
    assert X.stride(0) == 3


def test_sizes_by_name() -> None:
    for make in (gs.zeros, gs.ones, gs.empty, gs.rand, gs.randn):
        assert make(size=(2, 3)).shape == (2, 3)
    assert gs.arange(end=3).tolist() == [0, 1, 2]
    assert gs.Tensor(2, 3).shape == (2, 3)
    assert gs.Tensor([2, 3]).tolist() == [2.0, 3.0]
    new = X.new_zeros(2, dtype=gs.float64, requires_grad=True)
    assert (new.dtype, new.requires_grad) == (gs.float64, True)
    assert X.new_ones((2,), dtype=gs.int64).tolist() == [1, 1]


def test_constants_and_switches() -> None:
    assert (gs.pi, gs.e, gs.inf) == (math.pi, math.e, math.inf)
    assert gs.nan != gs.nan
    assert X[:, gs.newaxis].shape == (2, 1, 3)
    gs.backends.cudnn.deterministic = True
    gs.backends.cudnn.benchmark = False
    gs.use_deterministic_algorithms(True)
    assert gs.are_deterministic_algorithms_enabled()
    assert not gs.backends.mps.is_available()
    state = copy.copy(gs.get_rng_state())
    first = gs.rand(3).tolist()
    gs.set_rng_state(state)
    assert gs.rand(3).tolist() == first
    assert gs.default_generator.initial_seed() == gs.initial_seed()


def test_format_of_a_number_is_the_number() -> None:
    assert f"{gs.tensor(3.5)}" == "3.5"
    assert f"{gs.tensor([3.5])}" == "tensor([3.5000])"
    assert f"{gs.tensor([3.5]):.2f}" == "3.50"


def test_power_zero_has_no_slope() -> None:
    x = gs.tensor([0.0, math.inf, math.nan, -2.0], requires_grad=True)
    (g,) = gs.autograd.grad((x**0).sum(), x, create_graph=True)
    assert g.tolist() == [0.0] * 4
    (second,) = gs.autograd.grad(g.sum(), x)
    assert second.tolist() == [0.0] * 4
    (g,) = gs.autograd.grad((x**1).sum(), x, create_graph=True)
    (second,) = gs.autograd.grad(g.sum(), x)
    assert (g.tolist(), second.tolist()) == ([1.0] * 4, [0.0] * 4)


def test_old_constructors() -> None:
    assert gs.FloatTensor([1, 2]).dtype is gs.float32
    assert gs.LongTensor([1, 2]).tolist() == [1, 2]
    assert gs.LongTensor([1, 2]).dtype is gs.int64
    assert gs.DoubleTensor(2, 3).shape == (2, 3)
    assert gs.ByteTensor([1]).dtype is gs.uint8
    assert gs.BoolTensor([0, 3]).tolist() == [False, True]
    assert gs.Generator().device == gs.device("cpu")


def test_checkpoint_takes_contexts() -> None:
    seen: list[str] = []

    class Note:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            seen.append(self.name)

        def __exit__(self, *_: object) -> None:
            pass

    x = gs.ones(2, requires_grad=True)
    y = gs.autograd.checkpoint(
        lambda x: (x * x).sin(),
        x,
        use_reentrant=False,
        context_fn=lambda: (Note("first"), Note("second")),
        determinism_check="none",
        early_stop=False,
    )
    y.sum().backward()
    assert seen == ["first", "second"]
    assert x.grad.tolist() == (2 * (gs.ones(2)).cos()).tolist()
    with pytest.raises(ValueError, match="determinism_check"):
        gs.autograd.checkpoint(lambda x: x, x, determinism_check="some")
