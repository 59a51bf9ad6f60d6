"""Random graphs of random ops, run alike by NumPy (float64), gradsmith and PyTorch.

A graph is a list of (word, i, j, a): an op, the earlier nodes that it reads, and a number that it
reads as it needs it. What does not fit is made to: shapes are cut or repeated, and the arguments of
logarithms, roots and quotients are kept where these are smooth and tame.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

Node = tuple[str, int, int, int]


class Library:
    """The functions that are not methods or operators alike in all three."""

    def __init__(self, lib: ModuleType) -> None:
        self.lib = lib
        self.numpy = lib is np
        self.functional = None if self.numpy else lib.nn.functional

    def call(self, name: str, x: Any, *args: Any) -> Any:
        """An elementwise function."""
        if self.numpy and name in _ELEMENTWISE:
            return _ELEMENTWISE[name](x, *args)
        if name in ("softplus", "silu", "elu", "mish"):
            return getattr(self.functional, name)(x, *args)
        return getattr(self.lib, name)(x, *args)

    def cat(self, xs: list[Any], dim: int) -> Any:
        return np.concatenate(xs, dim) if self.numpy else self.lib.cat(xs, dim)

    def reduce(self, name: str, x: Any, dim: int, keep: bool) -> Any:
        if name == "logsumexp":
            if self.numpy:
                return np.log(np.exp(x).sum(dim, keepdims=keep))
            return self.lib.logsumexp(x, dim, keepdim=keep)
        if self.numpy:
            f = {"var": lambda x, d, keepdims: x.var(d, keepdims=keepdims)}
            return f.get(name, getattr(np, name))(x, dim, keepdims=keep)
        if name == "var":
            return x.var(dim, unbiased=False, keepdim=keep)
        return getattr(x, name)(dim, keepdim=keep)

    def softmax(self, x: Any, dim: int) -> Any:
        if self.numpy:
            e = np.exp(x - x.max(dim, keepdims=True))
            return e / e.sum(dim, keepdims=True)
        return self.functional.softmax(x, dim)

    def transposed(self, x: Any, a: int, b: int) -> Any:
        return np.swapaxes(x, a, b) if self.numpy else x.transpose(a, b)

    def flip(self, x: Any, dim: int) -> Any:
        return np.flip(x, dim) if self.numpy else x.flip(dim)

    def pad(self, x: Any, before: int, behind: int) -> Any:
        if self.numpy:
            return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, behind)])
        return self.functional.pad(x, (before, behind))

    def conv(self, x: Any, w: Any) -> Any:
        """A 1-D convolution of rows with one kernel of 3, padded by 1."""
        if self.numpy:
            wide = np.pad(x, ((0, 0), (1, 1)))
            return sum(wide[:, r : r + x.shape[1]] * w[r] for r in range(3))
        return self.functional.conv1d(x.unsqueeze(1), w.reshape(1, 1, 3), padding=1).squeeze(1)

    def norm(self, x: Any) -> Any:
        if self.numpy:
            return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1)
        return self.functional.layer_norm(x, (x.shape[-1],), eps=0.1)

    def take(self, x: Any, places: list[int]) -> Any:
        return x[places]

    def where(self, c: Any, x: Any, y: Any) -> Any:
        return self.lib.where(c, x, y)

    def cumsum(self, x: Any, dim: int) -> Any:
        return np.cumsum(x, dim) if self.numpy else x.cumsum(dim)


def _softplus(x: Any) -> Any:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "silu": lambda x: x * _sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
}

SMOOTH = (
    *("tanh", "sigmoid", "sin", "cos", "softplus", "silu", "elu", "mish", "expm1"),
    *("exp", "square"),
)
#: Of arguments that are at least 1.
POSITIVE = ("log", "sqrt", "rsqrt", "log1p", "reciprocal")
REDUCTIONS = ("sum", "mean", "logsumexp", "var")
WORDS = (
    *SMOOTH,
    *POSITIVE,
    *REDUCTIONS,
    *("add", "sub", "mul", "div", "add", "mul", "addcmul", "where", "lerp"),
    *("matmul", "matmul", "softmax", "log_softmax", "transpose", "reshape", "slice", "flip", "cat"),
    *("take", "pad", "conv", "layer_norm", "cumsum", "outer", "pow"),
)


def _fit(m: Library, x: Any, y: Any) -> Any:
    """Something of x's shape, or that broadcasts to it, from y."""
    if tuple(y.shape) == tuple(x.shape):
        return y
    rows = min(x.shape[0], y.shape[0])
    columns = min(x.shape[1], y.shape[1])
    y = y[:rows, :columns]
    if rows < x.shape[0]:
        y = y[:1]
    if columns < x.shape[1]:
        y = y[:, :1]
    return y


def _positive(x: Any) -> Any:
    return 1.0 + x * x


def node(m: Library, word: str, x: Any, y: Any, a: int) -> Any:
    """One op of matrices x and y; the result is a matrix again."""
    rows, columns = x.shape
    dim = a % 2
    if word in ("exp", "expm1"):
        return m.call(word, m.call("sin", x))
    if word in SMOOTH:
        return m.call(word, x)
    if word == "log1p":
        return m.call(word, x * x)
    if word in POSITIVE:
        return m.call(word, _positive(x))
    if word in REDUCTIONS:
        if a % 4 < 2:
            return m.reduce(word, x, dim, True)
        return m.reduce(word, x, dim, False).reshape(1, -1)
    if word in ("add", "sub", "mul", "div", "where", "addcmul", "lerp", "pow"):
        y = _fit(m, x, y)
        if word == "add":
            return x + y * (a % 3 + 1)
        if word == "sub":
            return y - x if a % 2 else x - y
        if word == "mul":
            return x * y
        if word == "where":
            # By place, so that no value lies near the border.
            mask = np.indices((rows, columns)).sum(0) % (a % 3 + 1) == 0
            return m.where(mask if m.numpy else m.lib.tensor(mask), x, y)
        if word == "addcmul":
            return x + y * y * 0.5 if m.numpy else m.lib.addcmul(x, y, y, value=0.5)
        if word == "lerp":
            return x + 0.25 * (y - x) if m.numpy else m.lib.lerp(x, y + x * 0, 0.25)
        if word == "pow":
            return _positive(y) ** (a % 4 - 1.5) * x
        return x / _positive(y)
    if word == "matmul":
        inner = min(columns, y.shape[0])
        return (x[:, :inner] @ y[:inner]) / inner
    if word == "outer":
        return x[:, :1] * y[:1]
    if word == "softmax":
        return m.softmax(x, dim)
    if word == "log_softmax":
        return m.call("log", m.softmax(x, dim)) if m.numpy else m.functional.log_softmax(x, dim)
    if word == "transpose":
        return m.transposed(x, 0, 1)
    if word == "reshape":
        count = rows * columns
        parts = [p for p in range(1, count + 1) if count % p == 0 and max(p, count // p) <= 24]
        return x.reshape(parts[a % len(parts)], -1) if parts else x
    if word == "slice":
        return x[a % rows :, :: a % 2 + 1]
    if word == "flip":
        return m.flip(x, dim)
    if word == "cat":
        y = y[:, :columns] if dim == 0 else y[:rows]
        if y.shape[1 - dim] != x.shape[1 - dim] or x.shape[dim] + y.shape[dim] > 20:
            return x
        return m.cat([x, y], dim)
    if word == "take":
        return m.take(x, [a % rows, (a * 7) % rows, a % rows])
    if word == "pad":
        return m.pad(x, a % 3, a % 2)
    if word == "conv":
        return m.conv(x, y.reshape(-1)[:3]) if y.shape[0] * y.shape[1] >= 3 else x
    if word == "layer_norm":
        return m.norm(x)
    assert word == "cumsum"
    return m.cumsum(x, dim)


def run(lib: ModuleType, graph: list[Node], leaves: list[Any]) -> list[Any]:
    """Every node's value, the leaves' first."""
    m = Library(lib)
    nodes = list(leaves)
    for word, i, j, a in graph:
        value = node(m, word, nodes[-1 - i % len(nodes)], nodes[-1 - j % len(nodes)], a)
        nodes.append(value)
    return nodes


def loss(nodes: list[Any], weights: list[Any]) -> Any:
    """A number that depends on every node, each with another factor for each element."""
    return sum((n * w).sum() for n, w in zip(nodes, weights, strict=True))


def weights(nodes: list[Any], seed: int) -> list[Any]:
    """For `loss`: those of large nodes are small."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n.shape) / max(1.0, float(np.abs(n).max())) for n in nodes]
