"""Promotion: the whole table, as torch.result_type has it; ops, changes in place, half."""

from __future__ import annotations

import itertools
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from promotion_table import NAMES, SHORT, TABLES

pytest.importorskip("ml_dtypes")
NUMBERS = (True, 3, 2.5)


def of(lib: Any, name: str, kind: str, value: float = 1) -> Any:
    """A tensor of ones of this dtype, with or without a dimension."""
    return lib.full((2,) if kind == "dimensioned" else (), value, dtype=getattr(lib, name))


def cases(table: str) -> list[tuple[Any, Any, str]]:
    """(left, right, result's name) of one table."""
    left, right = table.split()
    rows = []
    for name, row in zip(NAMES, TABLES[table], strict=True):
        columns = NUMBERS if right == "number" else [of(gs, n, right) for n in NAMES]
        for other, short in zip(columns, row.split(), strict=True):
            rows.append((of(gs, name, left), other, SHORT[short]))
    return rows


@pytest.mark.parametrize("table", [t for t in TABLES if " " in t])
def test_result_type(table: str) -> None:
    found = cases(table)
    assert len(found) in (30, 100)
    for a, b, name in found:
        wanted = getattr(gs, name)
        assert gs.result_type(a, b) is wanted and gs.result_type(b, a) is wanted, (a, b)
        if isinstance(b, gs.Tensor) and a.ndim == b.ndim:
            assert gs.promote_types(a.dtype, b.dtype) is wanted
        # what ops do
        assert (a * b).dtype is wanted and (b * a).dtype is wanted, (a, b)
        assert (a == b).dtype is gs.bool and (a == b).tolist() in (
            [bool(v == w) for v, w in zip(*plain(a, b), strict=True)],
            bool(plain(a, b)[0][0] == plain(a, b)[1][0]),
        )


def plain(a: Any, b: Any) -> tuple[list[float], list[float]]:
    """Both as lists of two Python numbers."""
    values = [v.tolist() if isinstance(v, gs.Tensor) else v for v in (a, b)]
    return tuple(v if isinstance(v, list) else [v] * 2 for v in values)  # type: ignore[return-value]


def test_can_cast() -> None:
    for a, row in zip(NAMES, TABLES["can_cast"], strict=True):
        for b, flag in zip(NAMES, row.split(), strict=True):
            assert gs.can_cast(getattr(gs, a), getattr(gs, b)) == (flag == "1"), (a, b)


def test_the_table_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    for table in [t for t in TABLES if " " in t]:
        left, right = table.split()
        for name, row in zip(NAMES, TABLES[table], strict=True):
            columns = NUMBERS if right == "number" else [of(torch, n, right) for n in NAMES]
            for other, short in zip(columns, row.split(), strict=True):
                got = torch.result_type(of(torch, name, left), other)
                assert got is getattr(torch, SHORT[short]), (name, other)
    for a, row in zip(NAMES, TABLES["can_cast"], strict=True):
        for b, flag in zip(NAMES, row.split(), strict=True):
            assert torch.can_cast(getattr(torch, a), getattr(torch, b)) == (flag == "1")


def test_division_of_integers_takes_the_default_dtype() -> None:
    try:
        gs.set_default_dtype(gs.float64)
        assert (gs.tensor([1, 2]) / 2).dtype is gs.float64
        assert gs.result_type(gs.tensor([1]), 2.5) is gs.float64
        assert gs.tensor([1]).exp().dtype is gs.float64
    finally:
        gs.set_default_dtype(gs.float32)
    assert (gs.tensor([1, 2]) / 2).tolist() == [0.5, 1.0]
    assert (True / gs.tensor([2, 4])).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("a,b", list(itertools.product(NAMES, ("bool", "int16", "float32"))))
def test_changes_in_place_cast_or_refuse(a: str, b: str) -> None:
    """The tensor keeps its dtype; what cannot be cast to it is refused."""
    x, y = of(gs, a, "dimensioned"), of(gs, b, "dimensioned")
    result = gs.promote_types(x.dtype, y.dtype)
    if gs.can_cast(result, x.dtype):
        x += y
        assert x.dtype is getattr(gs, a)
        assert x.tolist() == ([True] * 2 if a == b == "bool" else [2] * 2)
    else:
        with pytest.raises(RuntimeError, match="cannot be written into"):
            x += y


def test_alpha() -> None:
    i, f = gs.tensor([1, 2]), gs.tensor([1.0, 2.0])
    assert gs.add(i, i, alpha=3).tolist() == [4, 8] and gs.add(f, i, alpha=0.5).dtype is gs.float32
    assert f.clone().add_(f, alpha=2).tolist() == [3.0, 6.0]
    assert gs.rsub(i, 5).tolist() == [4, 3] and gs.rsub(i, i, alpha=2).tolist() == [-1, -2]
    with pytest.raises(RuntimeError, match="add: alpha must be an integer beside integers"):
        gs.add(i, 1, alpha=1.5)


def test_integers_as_operators() -> None:
    i = gs.tensor([7, -7, 5])
    assert (i // 2).tolist() == [3, -4, 2] and (i % 3).tolist() == [1, 2, 2]
    assert (5 // gs.tensor([2, -2])).tolist() == [2, -3] and (5 % gs.tensor([3])).tolist() == [2]
    assert (i**2).tolist() == [49, 49, 25] and (2 ** gs.tensor([3, 0])).tolist() == [8, 1]
    assert (+i) is i and abs(i).tolist() == [7, 7, 5] and (-i).tolist() == [-7, 7, -5]
    assert (i // 2.0).dtype is gs.float32 and (i % 2.5).tolist() == [2.0, 0.5, 0.0]
    i //= 2
    i %= 3
    i **= 2
    assert i.tolist() == [0, 4, 4]
    big = gs.tensor([2**62, 2**63 - 1])
    assert (big * 2).tolist() == [-(2**63), -2] and (big + 1).tolist() == [2**62 + 1, -(2**63)]
    assert (gs.tensor([-(2**63)]) // -1).tolist() == [-(2**63)]
    u = gs.tensor([44, 200], dtype=gs.uint8)
    assert (u + 300).tolist() == [88, 244] and (u - 201).tolist() == [99, 255]
    with pytest.raises(RuntimeError, match="ZeroDivisionError: an integer was divided by 0"):
        i // gs.tensor([1, 0, 1])
    with pytest.raises(RuntimeError, match="to negative integer powers are not allowed"):
        i**-1
    with pytest.raises(RuntimeError, match="cannot be written into int64"):
        i /= 2


@pytest.mark.parametrize("dtype", [gs.float16, gs.bfloat16], ids=str)
def test_half_computes_by_way_of_float32(dtype: gs.dtype) -> None:
    """The float32 result, rounded once; gradients too."""
    gs.manual_seed(0)
    x, w = gs.randn(4, 6).to(dtype), gs.randn(5, 6).to(dtype)
    wide = x.float(), w.float()
    functions = (
        lambda a, b: a.exp() * 1.0,
        lambda a, b: a @ b.T,
        lambda a, b: gs.nn.functional.linear(a, b),
        lambda a, b: (a * 3.0).sum(1),
        lambda a, b: a.mean(),
        lambda a, b: gs.nn.functional.log_softmax(a, 1),
        lambda a, b: a.max(1).values if hasattr(a.max(1), "values") else a.max(1)[0],
        lambda a, b: gs.maximum(a, a.flip(0)) if hasattr(a, "flip") else a,
    )
    for function in functions[1:3] + functions[4:7]:
        y = function(x, w)
        assert y.dtype is dtype
        assert y.tolist() == function(*wide).to(dtype).tolist()
    for function in functions:
        a, b = x.clone().requires_grad_(), w.clone().requires_grad_()
        y = function(a, b)
        y.float().sum().backward()
        assert a.grad is not None and a.grad.dtype is dtype
        p, q = (t.clone().requires_grad_() for t in wide)
        function(p, q).sum().backward()
        assert p.grad is not None
        assert np.allclose(a.grad.float().numpy(), p.grad.numpy(), rtol=0.03, atol=0.03)
    layer = gs.nn.Linear(6, 3).to(dtype)
    layer(x).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype is dtype


def test_second_derivative_of_half() -> None:
    x = gs.tensor([1.0, 2.0]).half().requires_grad_()
    (g,) = gs.autograd.grad((x**3.0).sum(), x, create_graph=True)
    (second,) = gs.autograd.grad(g.sum(), x)
    assert second.dtype is gs.float16 and second.tolist() == [6.0, 12.0]


@pytest.mark.parametrize("dtype", [gs.uint8, gs.int8, gs.int16, gs.int32, gs.int64])
def test_integers_where_kernels_have_floating_point_alone(dtype: gs.dtype, device: str) -> None:
    x = gs.tensor([1, 2, 3], dtype=dtype, device=device)
    for name in ("floor", "ceil", "trunc", "round"):
        y = getattr(gs, name)(x)
        assert y.dtype is dtype and y.tolist() == [1, 2, 3]
    assert x.square().tolist() == [1, 4, 9] and x.clone().square_().dtype is dtype
    assert gs.nn.functional.relu(x - 2).tolist()[1:] == [0, 1]
    assert gs.addcmul(x, x, x, value=2).tolist() == [3, 10, 21]
    index = gs.tensor([0, 0, 1], device=device)
    assert gs.zeros(2, dtype=dtype, device=device).index_add(0, index, x).tolist() == [3, 3]
    assert gs.zeros(2, dtype=dtype, device=device).scatter_add(0, index, x).tolist() == [3, 3]
    assert x.prod(dtype=dtype).dtype is dtype and x.cumprod(0, dtype=dtype).tolist() == [1, 2, 6]
    product = x.reshape(1, 3) @ x.reshape(3, 1)
    assert product.dtype is dtype and product.tolist() == [[14]]
    with pytest.raises(RuntimeError, match="round: decimals needs floating point"):
        gs.round(x, decimals=1)


def test_what_becomes_an_integer_has_no_gradient() -> None:
    x = gs.tensor([1.7, -2.2]).requires_grad_()
    assert not x.long().requires_grad and not x.to(gs.bool).requires_grad
    assert not x.sum(dtype=gs.int64).requires_grad and x.double().requires_grad


def test_operands_of_addcmul_and_alpha_are_promoted() -> None:
    x, a = gs.ones(2, dtype=gs.float64), gs.tensor([1, 2])
    assert gs.addcmul(x, a, a).tolist() == [2.0, 5.0]
    assert gs.addcdiv(x, a, a.float()).dtype is gs.float64
    half = gs.ones(2).bfloat16()
    assert gs.add(half, a, alpha=0.5).dtype is gs.bfloat16
    assert gs.add(gs.ones(2, dtype=gs.uint8), a > 1, alpha=2).dtype is gs.uint8
    # What is written into a tensor of another dtype: each gradient has its own.
    x, y = gs.ones(2).half().requires_grad_(), gs.ones(2, dtype=gs.float64).requires_grad_()
    (x.clone().add_(y)).float().sum().backward()
    assert x.grad is not None and x.grad.dtype is gs.float16
    assert y.grad is not None and y.grad.dtype is gs.float64


def test_half_where_float32_was_assumed(device: str) -> None:
    x = gs.tensor([[1.26, 3.14], [0.5, -1.0]], device=device)
    for dtype in (gs.float16, gs.bfloat16):
        y = gs.logsumexp(x.to(dtype), 1)
        assert y.dtype is dtype and y.float().tolist() == pytest.approx([3.28, 0.7], rel=1e-2)
        rounded = x.to(dtype).round(decimals=1)
        assert rounded.dtype is dtype
        wanted = x.to(dtype).float().round(decimals=1).to(dtype)
        assert rounded.tolist() == wanted.tolist()
        layer = gs.nn.BatchNorm1d(2).to(device).to(dtype)
        assert layer(x.to(dtype)).dtype is dtype and layer.running_mean.dtype is dtype
        assert layer.running_mean.float().tolist() == pytest.approx([0.088, 0.107], rel=2e-2)


def test_logsumexp_of_nothing(device: str) -> None:
    x = gs.zeros(2, 0, device=device).requires_grad_()
    y = gs.logsumexp(x, 1)
    assert y.tolist() == [-float("inf")] * 2 and gs.logsumexp(x, 0).shape == (0,)
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == (2, 0)
