"""Comparisons, logic and choosing: operators, changes in place, dtypes, results as PyTorch's."""

from __future__ import annotations

import operator
from typing import Any

import gradsmith as gs
import numpy as np
import pytest

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


@pytest.mark.parametrize("name", COMPARISONS)
def test_operators(name: str) -> None:
    """Tensors, numbers on either side, arrays and NumPy scalars."""
    function = getattr(operator, name)
    values = np.array([[1.0, 2.0, np.nan], [3.0, -1.0, 0.0]], np.float32)
    x, y = gs.from_numpy(values), gs.from_numpy(values.T.copy()).T.flatten().reshape(2, 3)
    for other, plain in ((y, y.numpy()), (1, 1), (1.5, 1.5), (values, values)):
        assert np.array_equal(function(x, other).numpy(), function(values, plain))
    assert np.array_equal(function(1.0, x).numpy(), function(1.0, values))
    assert np.array_equal(function(x, np.float32(3)).numpy(), function(values, np.float32(3)))
    i = gs.tensor([1, 2, 3])
    for number in (2, 2.5):
        assert function(i, number).tolist() == [function(v, number) for v in (1, 2, 3)]
    assert getattr(i, f"{name}_")(2) is i and i.dtype is gs.int64
    assert i.tolist() == [int(function(v, 2)) for v in (1, 2, 3)]


def test_equality_with_what_is_no_operand() -> None:
    """As in PyTorch: unequal. A tensor is hashed by identity."""
    x = gs.tensor([1, 2])
    assert (x == None) is False and (x != None) is True  # noqa: E711
    assert (x == "a") is False and (x == [1, 2]) is False
    assert {x: 3}[x] == 3 and hash(x) != hash(x.clone())
    with pytest.raises(TypeError):
        x < None  # noqa: B015
    with pytest.raises(TypeError, match="eq: operands must be tensors, arrays or numbers"):
        gs.eq(x, None)
    with pytest.raises(TypeError, match="eq: input must be a tensor; got int"):
        gs.eq(1, x)


def test_logic_and_bits_as_operators() -> None:
    m, n = gs.tensor([True, True, False]), gs.tensor([True, False, False])
    i = gs.tensor([6, 5, -1])
    assert (m & n).tolist() == [True, False, False] and (m | n).dtype is gs.bool
    assert (m ^ n).tolist() == [False, True, False] and (~m).tolist() == [False, False, True]
    assert (m & True).tolist() == m.tolist() and (False | m).tolist() == m.tolist()
    assert (m & i).tolist() == [0, 1, 0] and (m & 3).dtype is gs.int64
    assert (i & 3).tolist() == [2, 1, 3] and (3 ^ i).tolist() == [5, 6, -4]
    assert (~i).tolist() == [-7, -6, 0] and (i << 1).tolist() == [12, 10, -2]
    assert (i >> 1).tolist() == [3, 2, -1] and (1 << gs.tensor([0, 3])).tolist() == [1, 8]
    m &= n
    i |= 8
    assert m.tolist() == [True, False, False] and i.tolist() == [14, 13, -1]
    i <<= 1
    assert i.tolist() == [28, 26, -2]
    with pytest.raises(NotImplementedError, match="bitwise_and has no version for float32"):
        gs.ones(2) & gs.ones(2)
    with pytest.raises(TypeError):
        i & None


def test_comparing_promotes_as_torch() -> None:
    """An integer beside a float is compared as float32; a number takes the tensor's dtype."""
    assert (gs.tensor([16777217]) == 16777216.0).tolist() == [True]
    assert (gs.tensor([16777217]) == gs.tensor([16777216.0])).tolist() == [True]
    assert (gs.tensor([44], dtype=gs.uint8) == 300).tolist() == [True]
    assert (gs.tensor([0.1]) == 0.1).tolist() == [True]
    assert (gs.tensor([2**53 + 1]) == 2**53).tolist() == [False]
    assert (gs.tensor([True, False]) == 1).tolist() == [True, False]
    assert (gs.tensor([1.5]).half() < gs.tensor([2])).tolist() == [True]


def test_where_promotes() -> None:
    m = gs.tensor([True, False])
    assert gs.where(m, 1.5, 0).dtype is gs.float32 and gs.where(m, 1, 0).dtype is gs.int64
    assert gs.where(m, gs.tensor([1, 2]), 0.5).tolist() == [1.0, 0.5]
    mixed = gs.where(m, gs.tensor([200, 1], dtype=gs.uint8), gs.tensor([1, -3], dtype=gs.int8))
    assert mixed.dtype is gs.int16 and mixed.tolist() == [200, -3]
    assert gs.tensor([1.0, 2.0]).where(m, 0).tolist() == [1.0, 0.0]
    half = gs.tensor([1.0, 2.0]).half().requires_grad_()
    y = gs.where(m, half, 0)
    assert y.dtype is gs.float16
    y.sum().backward()
    assert half.grad is not None and half.grad.tolist() == [1.0, 0.0]


def test_in_place_forms() -> None:
    x = gs.tensor([1.0, -2.0, 3.0])
    data = x.data_ptr()
    x.clamp_(-1, 2)
    assert x.tolist() == [1.0, -1.0, 2.0]
    x.masked_fill_(x < 0, 7)
    assert x.tolist() == [1.0, 7.0, 2.0] and x.data_ptr() == data
    x.clamp_min_(2.0).clamp_max_(5.0)
    assert x.tolist() == [2.0, 5.0, 2.0]
    x.sub_(2.0).sign_().logical_not_()
    assert x.tolist() == [1.0, 0.0, 1.0]
    leaf = gs.tensor([1.0, -2.0], requires_grad=True)
    y = leaf * 2.0
    y.clamp_(min=-1.0)
    y.sum().backward()
    assert leaf.grad is not None and leaf.grad.tolist() == [2.0, 0.0]
    with pytest.raises(RuntimeError, match="value does not fit into int8"):
        gs.tensor([1], dtype=gs.int8).masked_fill_(gs.tensor([True]), 1000)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16"])
def test_every_dtype_as_torch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    values = np.array([0, 1, 2, 100, 127, 5, 64] * 11)
    a, b = (gs.tensor(v, dtype=getattr(gs, dtype)) for v in (values, values[::-1].copy()))
    p, q = (torch.tensor(v, dtype=getattr(torch, dtype)) for v in (values, values[::-1].copy()))

    def equal(ours: Any, theirs: Any) -> bool:
        return str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1] and (
            ours.tolist() == theirs.tolist()
        )

    for name in (*COMPARISONS, "maximum", "minimum", "logical_and", "logical_xor"):
        assert equal(getattr(gs, name)(a, b), getattr(torch, name)(p, q)), name
    for name in ("isnan", "isfinite", "isinf", "sign", "logical_not"):
        assert equal(getattr(gs, name)(a), getattr(torch, name)(p)), name
    assert equal(a.clamp(2, 100), p.clamp(2, 100)) and equal(a.clamp(1.5, 9), p.clamp(1.5, 9))
    assert equal(gs.where(a > b, a, b), torch.where(p > q, p, q))
    assert equal(a.masked_fill(a > 5, 3), p.masked_fill(p > 5, 3))


def test_bools_have_no_negative() -> None:
    with pytest.raises(RuntimeError, match="neg: bool tensors have no negative"):
        -gs.tensor([True, False])
