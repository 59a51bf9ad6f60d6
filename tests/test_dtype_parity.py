"""Integers and bools as PyTorch has them: results, dtypes, refusals, numbers that do not fit."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest

torch = pytest.importorskip("torch")

INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
RNG = np.random.default_rng(11)
PLANES = RNG.integers(0, 9, (2, 3, 7, 6))
ROWS = RNG.integers(0, 9, (4, 5))


def outcome(call: Any, lib: Any, arrays: Any) -> Any:
    """What a call gives, as (dtype, shape, values), or that it is refused."""
    try:
        result = call(lib, *[lib.from_numpy(a.copy()) for a in arrays])
    except (RuntimeError, OverflowError, NotImplementedError, ValueError, TypeError):
        return "refused"
    parts = result if isinstance(result, (tuple, list)) else [result]
    return [(str(p.dtype).split(".")[-1], tuple(p.shape), p.tolist()) for p in parts]


def same(call: Any, *arrays: np.ndarray[Any, Any]) -> None:
    ours, theirs = outcome(call, gs, arrays), outcome(call, torch, arrays)
    if ours == "refused" or theirs == "refused":
        assert ours == theirs
        return
    for (dtype, shape, values), (wanted, size, expected) in zip(ours, theirs, strict=True):
        assert dtype == wanted and shape == size
        np.testing.assert_allclose(values, expected, rtol=2e-6, atol=1e-6)


PLANE_CALLS = {
    "max_pool2d": lambda lib, x: lib.nn.functional.max_pool2d(x, 2, return_indices=True),
    "max_pool2d with all options": lambda lib, x: lib.nn.functional.max_pool2d(
        x, (3, 2), 2, 1, (1, 2), True, True
    ),
    "max_pool2d of a plane": lambda lib, x: lib.nn.functional.max_pool2d(x[0], 3, 1, 1),
    "max_pool1d": lambda lib, x: lib.nn.functional.max_pool1d(x[0], 3, 2, 1, return_indices=True),
    "max_pool3d": lambda lib, x: lib.nn.functional.max_pool3d(x, (2, 3, 2), return_indices=True),
    "interpolate": lambda lib, x: (
        lib.nn.functional.interpolate(x, size=(4, 9)) if x.dtype is lib.uint8 else x
    ),
}
ROW_CALLS = {
    "relu6": lambda lib, x: lib.nn.functional.relu6(x),
    "relu6 in place": lambda lib, x: lib.nn.functional.relu6(x, inplace=True),
    "hardtanh": lambda lib, x: lib.nn.functional.hardtanh(x, 2, 5.7),
    "threshold": lambda lib, x: lib.threshold(x, 3.5, 2),
    "softsign": lambda lib, x: lib.nn.functional.softsign(x + x + 1),
    "tanhshrink": lambda lib, x: lib.nn.functional.tanhshrink(x + x + 1),
    "linear": lambda lib, x: lib.nn.functional.linear(x, x[:3], x[0, :3]),
    "linear without bias": lambda lib, x: lib.nn.functional.linear(x, x),
    "matrix_power": lambda lib, x: lib.matrix_power(x[:, :4], 2),
    "cov": lambda lib, x: lib.cov(x),
    "index_add": lambda lib, x: lib.index_add(x, 0, lib.tensor([1, 1]), x[:2], alpha=2.5),
    "any over no dims": lambda lib, x: lib.any(x, dim=()),
    "all over no dims": lambda lib, x: lib.all(x, dim=()),
    "relu": lambda lib, x: lib.relu(x),
    "floor": lambda lib, x: lib.floor(x),
    "sub": lambda lib, x: x - x,
    "sub of a number": lambda lib, x: 3 - x,
    "add with alpha": lambda lib, x: lib.add(x, x, alpha=3),
    "mean": lambda lib, x: x.mean(),
    "abs": lambda lib, x: lib.abs(x),
    "sign": lambda lib, x: lib.sign(x),
    "cumsum": lambda lib, x: x.cumsum(1),
    "sort": lambda lib, x: x.sort(dim=1, stable=True),
    "gather": lambda lib, x: x.gather(1, lib.tensor([[0, 2], [1, 1]])),
    "roll": lambda lib, x: lib.cat([x.roll(1, 0), x.flip(1)]),
    "cdist": lambda lib, x: lib.cdist(x, x, p=float("inf")),
}


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", PLANE_CALLS)
def test_planes_of_integers(name: str, dtype: str) -> None:
    same(PLANE_CALLS[name], PLANES.astype(dtype))


@pytest.mark.parametrize("dtype", ("bool", *INTEGERS))
@pytest.mark.parametrize("name", ROW_CALLS)
def test_rows(name: str, dtype: str) -> None:
    same(ROW_CALLS[name], ROWS.astype(dtype))


def test_max_pool_of_the_lowest_integers() -> None:
    x = np.full((1, 1, 4, 4), np.iinfo(np.int64).min)
    x[0, 0, 3, 3] += 1
    same(PLANE_CALLS["max_pool2d with all options"], x)
    same(PLANE_CALLS["max_pool2d with all options"], x + 2**62 + np.arange(4))


def test_windows_of_bools() -> None:
    x = PLANES[:1] > 5
    same(lambda lib, x: lib.nn.functional.unfold(x, 2), x)
    same(lambda lib, x: lib.nn.functional.fold(x, (3, 3), 2), x.reshape(-1)[:16].reshape(1, 4, 4))


def test_unfold_of_a_0_dim_tensor() -> None:
    same(lambda lib, x: x.reshape(()).unfold(0, 0, 1), np.ones(1))
    same(lambda lib, x: x.reshape(()).unfold(0, 1, 1), np.ones(1))


#: Numbers as operands, and as what is written: (tensor, number).
NUMBERS = {
    "add": lambda lib, x, v: x + v,
    "rsub": lambda lib, x, v: v - x,
    "mul": lambda lib, x, v: x * v,
    "floordiv": lambda lib, x, v: x // v,
    "eq": lambda lib, x, v: x == v,
    "lt": lambda lib, x, v: x < v,
    "and": lambda lib, x, v: x & v,
    "full": lambda lib, x, v: lib.full((2,), v, dtype=x.dtype),
    "fill_": lambda lib, x, v: x.fill_(v),
    "masked_fill": lambda lib, x, v: x.masked_fill(x > 1, v),
    "where": lambda lib, x, v: lib.where(x > 1, x, v),
    "clamp": lambda lib, x, v: lib.clamp(x, max=v),
    "setitem": lambda lib, x, v: x.__setitem__(0, v) or x,
    "tensor": lambda lib, x, v: lib.tensor([v], dtype=x.dtype),
    "alpha": lambda lib, x, v: lib.add(x, x, alpha=v),
    "pad": lambda lib, x, v: lib.nn.functional.pad(x, (1, 1), value=v),
    "pow": lambda lib, x, v: x**v,
}


@pytest.mark.parametrize("dtype", ("uint8", "int8", "int32", "int64"))
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_do_not_fit(name: str, dtype: str) -> None:
    """Refused where PyTorch refuses them; else the low bits, as it has them."""
    for value in (300, 2**40, 2**70, -(2**70)):
        if name != "pow" or value > 0:
            x = np.array([1, 2, 3], dtype=dtype)
            same(lambda lib, x, v=value: NUMBERS[name](lib, x, v), x)


def test_the_refusals_words() -> None:
    with pytest.raises(OverflowError, match="add: an int beside integers must fit into 64 bits"):
        gs.tensor([1]) + 2**70
    with pytest.raises(OverflowError, match="an int beside integers must fit into 64 bits"):
        gs.tensor([1]) + (-(2**63) - 1)
    with pytest.raises(OverflowError, match="full: an int must fit into 64 bits"):
        gs.full((2,), 2**70)
    with pytest.raises(RuntimeError, match="tensor: the value does not fit into int8; got 300"):
        gs.tensor([1, 300], dtype=gs.int8)
    with pytest.raises(RuntimeError, match="where: the value does not fit into int8"):
        gs.where(gs.tensor([True]), gs.tensor([1], dtype=gs.int8), 300)
    with pytest.raises(RuntimeError, match="sub: bool tensors have no difference"):
        gs.tensor([True]) - 1
    assert gs.full((1,), -1, dtype=gs.uint8).tolist() == [255]
    assert gs.masked_fill(gs.ones(1), gs.tensor([True]), np.int64(3)).tolist() == [3.0]
