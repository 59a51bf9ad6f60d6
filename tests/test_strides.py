"""Elementwise results lie in their operands' order: PyTorch's strides, on both devices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.kernels.order import memory_order
from gradsmith.nn import functional as F
from gradsmith.testing.layouts import dense, same_bits

SHAPE = (4, 4, 4, 4)
#: How an operand lies, made from a contiguous one of SHAPE -> the strides of the negative of it.
PATTERNS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "contiguous": (lambda x: x, (64, 16, 4, 1)),
    "transposed": (lambda x: x.permute(3, 2, 1, 0), (1, 4, 16, 64)),
    "permuted": (lambda x: x.permute(2, 0, 3, 1), (4, 64, 1, 16)),
    "channels last": (
        lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        (64, 1, 16, 4),
    ),
    "gaps": (lambda x: x[:, :, ::2].permute(3, 2, 0, 1), (1, 4, 32, 8)),
    "size 1": (lambda x: x[:, :1].permute(0, 2, 3, 1), (16, 4, 1, 16)),
    "size 1, turned": (lambda x: x[:1].permute(3, 1, 0, 2), (1, 16, 64, 4)),
    "expanded": (lambda x: x[:, :, :1].expand(*SHAPE).permute(1, 0, 3, 2), (16, 64, 4, 1)),
    "a row": (lambda x: x[0, 0, 0], (1,)),
    "a matrix, turned": (lambda x: x[0, 0].t(), (1, 4)),
    "a column": (lambda x: x[:, :, :, :1].permute(1, 0, 2, 3), (4, 16, 1, 1)),
    "a number": (lambda x: x[0, 0, 0, 0], ()),
}
BINARY: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda lib, a, b: a + b,
    "less": lambda lib, a, b: a < b,
    "where": lambda lib, a, b: lib.where(a > 0, b, a),
    "lerp": lambda lib, a, b: lib.lerp(a, b, 0.25),
    "addcmul": lambda lib, a, b: lib.addcmul(a, b, a),
    "maximum": lambda lib, a, b: lib.maximum(a, b),
}
UNARY: dict[str, Callable[[Any, Any], Any]] = {
    "neg": lambda lib, x: -x,
    "sigmoid": lambda lib, x: x.sigmoid(),
    "leaky_relu": lambda lib, x: lib.nn.functional.leaky_relu(x),
    "clamp": lambda lib, x: x.clamp(0, 1),
    "number": lambda lib, x: 2 - x,
    "sign": lambda lib, x: lib.sign(x),
    "clone": lambda lib, x: x.clone(),
    "to": lambda lib, x: x.to(lib.float64),
    "half": lambda lib, x: -x.to(lib.float16),
    "copy": lambda lib, x: x.to(lib.float32, copy=True),
    "zeros_like": lambda lib, x: lib.zeros_like(x),
    "full_like": lambda lib, x: lib.full_like(x, 3, dtype=lib.int64),
}
#: Of these the strides are compared, not the values.
RANDOM: dict[str, Callable[[Any, Any], Any]] = {
    "rand_like": lambda lib, x: lib.rand_like(x),
    "empty_like": lambda lib, x: lib.empty_like(x),
    "dropout": lambda lib, x: lib.nn.functional.dropout(x),
}
#: Pairs whose result the rule decides in a way worth writing out.
PAIRS = {
    ("contiguous", "transposed"): (64, 16, 4, 1),  # the first operand decides
    ("transposed", "contiguous"): (1, 4, 16, 64),
    ("a row", "channels last"): (64, 1, 16, 4),  # it says nothing of other dimensions
    ("a matrix, turned", "contiguous"): (64, 16, 1, 4),  # of its own two dimensions it does
    ("a column", "permuted"): (4, 64, 1, 16),
    ("a number", "transposed"): (1, 4, 16, 64),
    ("expanded", "a row"): (16, 64, 4, 1),
}


def operand(lib: Any, name: str, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    return PATTERNS[name][0](lib.from_numpy(values))


def on(device: str, x: Any) -> Any:
    """x on the device, strides kept, gaps too."""
    if device == "cpu":
        return x
    whole = x.to(device)
    steps = tuple(s * 4 for s in x.stride())
    if whole.stride() == x.stride():
        return whole
    room = gs.zeros(256, device=device)  # for an operand with gaps, or one that repeats
    k = table(device)
    view = gs.Tensor._make(k.permute(_strided(room._data, tuple(x.shape), steps), range(x.ndim)))
    k.copy_into(view._data, whole._data)
    return view


def _strided(room: Any, shape: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    from gradsmith.kernels.cuda import memory

    return memory.strided(room, shape, steps)


@pytest.mark.parametrize("name", PATTERNS)
def test_unary(name: str, device: str) -> None:
    x = on(device, operand(gs, name))
    y = -x
    assert y.stride() == PATTERNS[name][1]
    assert np.array_equal(y.cpu().numpy(), -operand(gs, name).numpy())
    assert y.cpu().stride() == y.stride() or 1 in y.shape
    assert F.gelu(x).stride() == x.square().stride() == x.double().stride() == y.stride()
    assert x.clone(memory_format=gs.contiguous_format).is_contiguous()


@pytest.mark.parametrize("names", PAIRS)
def test_binary(names: tuple[str, str], device: str) -> None:
    a, b = operand(gs, names[0]), operand(gs, names[1], 1)
    for call in BINARY.values():
        y = call(gs, on(device, a), on(device, b))
        assert y.stride() == PAIRS[names]
        assert np.array_equal(y.cpu().numpy(), call(gs, a.contiguous(), b.contiguous()).numpy())


def test_strides_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in PATTERNS:
        ours, theirs = operand(gs, name), operand(torch, name)
        assert ours.stride() == theirs.stride()
        for what, call in {**UNARY, **RANDOM}.items():
            y, want = call(gs, ours), call(torch, theirs)
            assert y.stride() == want.stride(), (name, what)
            if what in UNARY:
                assert np.allclose(y.numpy(), want.numpy(), atol=1e-6), (name, what)
    for first, second in itertools.product(PATTERNS, PATTERNS):
        if "size" in first + second or "gaps" in first + second:
            continue
        for what, call in BINARY.items():
            y = call(gs, operand(gs, first), operand(gs, second, 1))
            want = call(torch, operand(torch, first), operand(torch, second, 1))
            assert y.stride() == want.stride(), (first, second, what)
            assert np.allclose(y.numpy(), want.numpy(), atol=1e-6), (first, second, what)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 0, 3, 4)])
def test_nothing_lies_in_c_order(shape: tuple[int, ...], device: str) -> None:
    x = gs.ones(*shape, device=device).permute(*reversed(range(len(shape))))
    for y in (-x, x + x, x.clone(), x.double(), gs.zeros_like(x)):
        assert y.shape == x.shape and y.is_contiguous()


def test_memory_formats(device: str) -> None:
    x = gs.randn(2, 3, 4, 5, device=device)
    last = x.contiguous(memory_format=gs.channels_last)
    for y in (last + 1, last * last, F.silu(last), last.to(gs.float16), last.clone()):
        assert y.is_contiguous(memory_format=gs.channels_last) and not y.is_contiguous()
    assert (last + x).stride() == last.stride() and (x + last).is_contiguous()
    channel = gs.randn(3, 1, 1, device=device)
    assert (last + channel).stride() == (channel + last).stride() == last.stride()
    assert last.to(memory_format=gs.contiguous_format).is_contiguous()
    for make in (gs.zeros_like, gs.ones_like, gs.empty_like, gs.rand_like, gs.randn_like):
        assert make(last).stride() == last.stride()
        assert make(x, memory_format=gs.channels_last).stride() == last.stride()
        assert make(last, memory_format=gs.contiguous_format).is_contiguous()
    assert gs.randint_like(last, 3).stride() == last.stride()
    with pytest.raises(RuntimeError, match="zeros_like: gradsmith.channels_last is of 4 dims"):
        gs.zeros_like(channel, memory_format=gs.channels_last)


def test_dropout_drops_the_same_elements_in_every_layout(device: str) -> None:
    x = gs.ones(6, 7, device=device)
    results = []
    for given in (x, x.t().contiguous().t()):
        gs.manual_seed(1)
        y = F.dropout(given)
        assert y.stride() == given.stride()
        results.append(y.cpu().numpy())
    assert np.array_equal(*results)


def test_gradients_and_steps_go_through_any_order(device: str) -> None:
    """A small network in channels last: values, gradients and two steps as in C order."""

    def run(memory_format: Any) -> list[np.ndarray]:
        gs.manual_seed(0)
        x = gs.randn(4, 3, 6, 6).to(device)
        weight = gs.nn.Parameter((gs.randn(5, 3, 3, 3) * 0.2).to(device))
        x, weight.data = (t.contiguous(memory_format=memory_format) for t in (x, weight.data))
        optimizer = gs.optim.Adam([weight], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            y = F.max_pool2d(F.relu(F.conv2d(x * 2, weight, padding=1) + x.mean()), 2)
            z = F.softmax((y * y.sigmoid()).permute(0, 2, 3, 1) + 1, -1)
            (z.reshape(4, -1).square().sum() + weight.tanh().sum()).backward()
            optimizer.step()
        assert weight.is_contiguous(memory_format=memory_format)
        assert weight.grad is not None
        return [t.detach().cpu().numpy() for t in (weight, weight.grad, z)]

    for a, b in zip(run(gs.contiguous_format), run(gs.channels_last), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


#: Leaves, made from one of (4, 3, 4, 5) -> the strides of their gradients, PyTorch's 2.13.
LEAVES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "contiguous": (lambda x: x, (60, 20, 5, 1)),
    "transposed": (lambda x: x.permute(3, 2, 1, 0), (1, 5, 20, 60)),
    "channels last": (lambda x: x.contiguous(memory_format=gs.channels_last), (60, 1, 15, 3)),
    "gaps": (lambda x: x[..., ::2].permute(3, 2, 1, 0), (48, 12, 4, 1)),
    "expanded": (lambda x: x[:, :1].expand(4, 3, 4, 5), (60, 20, 5, 1)),
}
#: What arrives at the leaf: as it lies, a view of the gradient, in another order, shared.
ARRIVING: dict[str, Callable[[Any], Any]] = {
    "as it is": lambda x: x.exp(),
    "turned": lambda x: -x.permute(3, 1, 2, 0),
    "a copy": lambda x: x.permute(0, 2, 3, 1).contiguous() * 2,
    "a line": lambda x: x.reshape(-1) * 3,
    "a view": lambda x: x.permute(1, 0, 3, 2),
    "a sum": lambda x: x.sum(-1),
    "two": lambda x: x + x.permute(0, 1, 2, 3),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("how", ARRIVING)
@pytest.mark.parametrize("lies", LEAVES)
def test_a_gradient_lies_as_its_leaf(lies: str, how: str, create_graph: bool, device: str) -> None:
    make, strides = LEAVES[lies]
    values = np.random.default_rng(4).standard_normal((4, 3, 4, 5)).astype(np.float32)
    x = make(gs.from_numpy(values).to(device)).requires_grad_()
    plain = gs.from_numpy(x.detach().cpu().numpy().copy()).requires_grad_()
    for _ in range(2):  # the second is added
        for leaf in (x, plain):
            y = ARRIVING[how](leaf)
            seed = np.random.default_rng(5).standard_normal(tuple(y.shape)).astype(np.float32)
            y.backward(gs.from_numpy(seed).to(leaf.device), create_graph=create_graph)
        assert x.grad.stride() == strides
        np.testing.assert_allclose(
            x.grad.detach().cpu().numpy(), plain.grad.detach().numpy(), rtol=1e-6
        )
    if strides == (60, 20, 5, 1):
        assert x.grad.view(-1).shape == (240,)


def test_bits_on_any_number_of_threads() -> None:
    k = table("cpu")
    x = np.random.default_rng(0).standard_normal((3, 90, 7, 91)).astype(np.float32)
    turned = x.transpose(3, 0, 2, 1)
    for call in (lambda: k.exp(turned), lambda: k.add(turned, turned[:, :1])):
        y = same_bits(call)
        assert dense(y) and np.argsort(y.strides).tolist() == np.argsort(turned.strides).tolist()


def test_both_rules_are_one() -> None:
    """The launchers' rule (Python) against the binding's (C++), over random strides."""
    rng = np.random.default_rng(0)
    k = table("cpu")
    for _ in range(400):
        ndim = int(rng.integers(1, 5))
        shape = tuple(int(n) for n in rng.integers(1, 4, ndim))
        operands = []
        for _ in range(2):
            own = [n if rng.random() < 0.8 else 1 for n in shape]
            order = rng.permutation(ndim)
            x = np.ones([own[d] for d in order], np.float32).transpose(np.argsort(order))
            if rng.random() < 0.3:
                x = np.broadcast_to(x[:, ...][:1], (shape[0], *x.shape[1:]))
            operands.append(x if rng.random() < 0.7 else x[:1].reshape(x.shape[1:]))
        y = k.add(*operands)
        steps = []
        for x in operands:
            wide = x[(None,) * (y.ndim - x.ndim)]
            sizes = zip(wide.shape, y.shape, wide.strides, strict=True)
            steps.append(tuple(0 if n == 1 != m else s for n, m, s in sizes))
        found = memory_order(y.shape, *steps)
        contiguous = all(x.flags.c_contiguous for x in operands)
        wanted = y if contiguous or found is None else y.transpose(found)
        assert wanted.flags.c_contiguous, (y.shape, y.strides, steps)


def test_elementwise_kernels_are_named() -> None:
    names = set(_cpu.elementwise())
    assert {"add", "neg", "where", "clamp", "activation_bwd", "convert", "gate"} <= names
    assert not names & {"copy", "softmax", "cumsum", "dropout", "pair_loss", "sum"}
