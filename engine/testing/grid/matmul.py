"""The grid of matrix products: matmul and what is made of it, with all gradients."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ...nn import functional as F
from ...ops import epilogue, products
from ...ops import matmul as ops
from .case import Case
from .space import SCALES, Space

__all__ = ["check_added", "check_linear", "check_product", "space_of", "work"]

Array = np.ndarray[Any, Any]
Ints = tuple[int, ...]

#: Around the widths of register tiles, vectors and blocks.
_SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 33, 48, 49, 63, 65, 97, 130)
_DEPTHS = (*_SIZES, 257, 385)
#: Batch dims of the two operands, which broadcast.
_BATCHES: tuple[tuple[Ints, Ints], ...] = (
    *(((), ()), ((2,), (2,)), ((3,), ()), ((), (3,)), ((1,), (4,)), ((5,), (1,))),
    *(((2, 3), (2, 3)), ((2, 1), (1, 3)), ((3,), (2, 3)), ((2, 3), (3,)), ((2, 3), (1, 1))),
    *(((2, 3), ()), ((1, 2, 1), (2, 1, 3)), ((9,), (9,))),
)
_LAYOUTS = ("contiguous", "turned", "sliced", "strided", "reversed", "expanded", "offset")
_SHORT = ("contiguous", "strided", "reversed", "expanded_last")
_GRADIENT = ("contiguous", "turned", "strided", "expanded", "reversed_last")
#: Multiply-adds that a case may cost, and a large one, which threads share.
_WORK = {"small": 250_000, "large": 5_000_000}


def space_of(kind: str) -> Space:
    """The space of "product", "added" or "linear"."""
    axes: dict[str, Any] = {
        "rows": _SIZES,
        "depth": _DEPTHS,
        "columns": _SIZES,
        "a_layout": _LAYOUTS,
        "b_layout": _LAYOUTS,
        "gradient_layout": _GRADIENT,
        "leaves": ("a b", "a", "b"),
        "scale": SCALES,
    }
    floats = ("float32", "float64")
    if kind == "product":
        axes["function"] = ("matmul", "mm", "bmm", "row", "column", "dot", "mv")
        axes["batches"] = _BATCHES
        axes["dtype"] = (*floats, *floats, "int32", "int64")
        return Space(axes)
    axes["bias_layout"] = _SHORT
    if kind == "added":
        axes["function"] = ("addmm", "baddbmm", "addbmm", "addmv")
        axes["images"] = (1, 2, 3, 9)
        axes["added"] = ("row", "column", "whole", "one")
        axes["beta"] = (1, 0, 2, -1)
        axes["alpha"] = (1, 3, -2)
    else:
        axes["function"] = ("linear", "relu", "none")
        axes["lead"] = ((), (3,), (2, 5), (1, 2, 2))
        axes["bias"] = (True, False)
    axes["dtype"] = floats
    return Space(axes)


def _sizes(p: dict[str, Any], batch: int) -> tuple[int, int, int]:
    """rows, depth, columns: as many as the limit of work allows, depth first."""
    m, k, n = p["rows"], p["depth"], p["columns"]
    if p["scale"] == "large":
        m, k, n = m * 2, k * 2, n * 2
    while batch * m * k * n > _WORK[p["scale"]]:
        if m >= n and m > 8:
            m = m * 2 // 3
        elif n > 8:
            n = n * 2 // 3
        else:
            k = k * 2 // 3
    return m, k, n


def work(p: dict[str, Any]) -> int:
    """Multiply-adds, at most."""
    batch = prod(max(x, y) for x, y in zip(*_aligned(*p.get("batches", ((), ()))), strict=True))
    return batch * p.get("images", 1) * prod(p.get("lead", ())) * prod(_sizes(p, batch))


def _aligned(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    n = max(len(a), len(b))
    return (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b


def _drawn(case: Case, shape: Ints, layout: str) -> Array:
    """Integers; "turned" means that the last two dims lie in memory in the other order."""
    if layout == "turned":
        if len(shape) < 2:
            return case.integers(shape, "strided")
        return case.integers((*shape[:-2], shape[-1], shape[-2])).swapaxes(-1, -2)
    return case.integers(shape, layout)


def _reduced(grad: Array, shape: Ints) -> Array:
    """grad summed over the dims in which `shape` was broadcast."""
    grad = grad.sum(tuple(range(grad.ndim - len(shape))))
    dims = tuple(i for i, n in enumerate(shape) if n == 1 and grad.shape[i] != 1)
    return grad.sum(dims, keepdims=True)


def _product(a: Array, b: Array) -> Array:
    return np.einsum("...mk,...kn->...mn", a, b)


def _turned(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _compare(case: Case, name: str, got: Any, expected: Array) -> None:
    """A pass all of whose elements are sums of something."""
    case.compare(name, got, expected)
    case.judge(name, expected, expected.size)


def check_product(case: Case, p: dict[str, Any]) -> None:
    """A product of two, and both gradients."""
    name = p["function"]
    lead_a, lead_b = p["batches"]
    if name in ("mm", "dot", "mv"):
        lead_a, lead_b = (), ()
    if name == "bmm":
        lead_a = lead_b = (max((*lead_a, *lead_b, 1)),)
    batch = np.broadcast_shapes(lead_a, lead_b)
    m, k, n = _sizes(p, prod(batch))
    m = 1 if name in ("row", "dot") else m
    n = 1 if name in ("column", "dot", "mv") else n
    # Vectors are matrices of one row or column to the oracle.
    a_shape = (k,) if name in ("row", "dot") else (*lead_a, m, k)
    b_shape = (k,) if name in ("column", "dot", "mv") else (*lead_b, k, n)
    a, b = _drawn(case, a_shape, p["a_layout"]), _drawn(case, b_shape, p["b_layout"])
    floating = case.dtype.kind == "f"
    ta = case.tensor(a, floating and "a" in p["leaves"])
    tb = case.tensor(b, floating and "b" in p["leaves"])
    functions: dict[str, Callable[..., Any]] = {
        "mm": ops.mm,
        "bmm": ops.bmm,
        "dot": products.dot,
        "mv": products.mv,
    }
    y = functions.get(name, ops.matmul)(ta, tb)
    wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
    if len(a_shape) == 1:
        wide_a = wide_a[None]
    if len(b_shape) == 1:
        wide_b = wide_b[:, None]
    full = _product(wide_a, wide_b)
    shape = full.shape
    if len(b_shape) == 1:
        shape = shape[:-1]
    if len(a_shape) == 1:
        shape = (*shape[:-2], *shape[-1:]) if len(b_shape) > 1 else shape[:-1]
    _compare(case, "forward", y.detach(), full.reshape(shape))
    if not floating:
        return
    seen = _drawn(case, shape, p["gradient_layout"])
    y.backward(case.tensor(seen))
    g = seen.astype(np.int64).reshape(full.shape)
    if "a" in p["leaves"]:
        grad = _reduced(_product(g, _turned(wide_b)), wide_a.shape)
        _compare(case, "a gradient", ta.grad, grad.reshape(a_shape))
    if "b" in p["leaves"]:
        grad = _reduced(_product(_turned(wide_a), g), wide_b.shape)
        _compare(case, "b gradient", tb.grad, grad.reshape(b_shape))


def check_added(case: Case, p: dict[str, Any]) -> None:
    """beta * c + alpha * a product, and three gradients."""
    name = p["function"]
    lead: Ints = (p["images"],) if name in ("baddbmm", "addbmm") else ()
    m, k, n = _sizes(p, prod(lead))
    vector = name == "addmv"
    a = _drawn(case, (*lead, m, k), p["a_layout"])
    b = _drawn(case, (k,) if vector else (*lead, k, n), p["b_layout"])
    out = (m,) if vector else (*(lead if name == "baddbmm" else ()), m, n)
    given = {
        "row": out[-1:],
        "column": out if vector else (m, 1),
        "whole": out,
        "one": (1,),
    }[p["added"]]
    c = case.integers(given, p["bias_layout"])
    ta = case.tensor(a, "a" in p["leaves"])
    tb = case.tensor(b, "b" in p["leaves"])
    tc = case.tensor(c, True)
    y = getattr(products, name)(tc, ta, tb, beta=p["beta"], alpha=p["alpha"])
    wide_a, wide_b, wide_c = (x.astype(np.int64) for x in (a, b, c))
    columns = wide_b[:, None] if vector else wide_b
    full = _product(wide_a, columns)
    if name == "addbmm":
        full = full.sum(0)
    plain = full.reshape(out)
    case.compare("forward", y.detach(), p["alpha"] * plain + p["beta"] * wide_c)
    case.judge("forward", plain, plain.size)
    seen = _drawn(case, out, p["gradient_layout"])
    y.backward(case.tensor(seen))
    g = seen.astype(np.int64)
    if p["beta"]:
        case.compare("c gradient", tc.grad, p["beta"] * _reduced(g, given))
    scaled = p["alpha"] * (g[:, None] if vector else g)
    if "a" in p["leaves"]:
        grad = _product(np.broadcast_to(scaled, (*lead, *scaled.shape[-2:])), _turned(columns))
        _compare(case, "a gradient", ta.grad, grad)
    if "b" in p["leaves"]:
        _compare(case, "b gradient", tb.grad, _product(_turned(wide_a), scaled).reshape(b.shape))


def check_linear(case: Case, p: dict[str, Any]) -> None:
    """linear, and with its activation in the same kernel; three gradients."""
    lead = p["lead"]
    m, k, n = _sizes(p, prod(lead))
    # Without leading dims both one row and a vector, by how many rows were asked for.
    x_shape = (*lead, m, k) if lead or m > 1 else (k,)
    x = _drawn(case, x_shape, p["a_layout"])
    weight = _drawn(case, (n, k), p["b_layout"])
    bias = case.integers((n,), p["bias_layout"]) if p["bias"] else None
    tx = case.tensor(x, "a" in p["leaves"])
    tw = case.tensor(weight, "b" in p["leaves"])
    tb = None if bias is None else case.tensor(bias, True)
    wide = x.astype(np.int64)
    wide_w = weight.astype(np.int64)
    plain = np.einsum("...k,nk->...n", wide, wide_w)
    expected = plain if bias is None else plain + bias.astype(np.int64)
    if p["function"] == "linear":
        y = F.linear(tx, tw, tb)
    else:
        activation = "relu" if p["function"] == "relu" else None
        y = epilogue.linear_activation(tx, tw, tb, activation)
    on = expected > 0 if p["function"] == "relu" else np.ones(expected.shape, bool)
    case.compare("forward", y.detach(), np.where(on, expected, 0))
    case.judge("forward", plain, plain.size)
    seen = _drawn(case, expected.shape, p["gradient_layout"])
    y.backward(case.tensor(seen))
    g = np.where(on, seen.astype(np.int64), 0)
    flat = g.reshape(-1, n)
    if "a" in p["leaves"]:
        case.compare("a gradient", tx.grad, np.einsum("...n,nk->...k", g, wide_w))
    if "b" in p["leaves"]:
        case.compare("b gradient", tw.grad, np.einsum("rn,rk->nk", flat, wide.reshape(-1, k)))
    if tb is not None:
        case.compare("c gradient", tb.grad, flat.sum(0))
