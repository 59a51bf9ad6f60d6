"""Recurrent modules and packed sequences: PyTorch's names, values, gradients and refusals."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn.utils import rnn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def pair(kind: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Our module and torch's, in float64, with the same parameters."""
    theirs = getattr(torch.nn, kind)(*args, **options).double()
    ours = getattr(gs.nn, kind)(*args, **options).double()
    ours.load_state_dict({k: from_torch(v) for k, v in theirs.state_dict().items()})
    return ours, theirs


def from_torch(t: Any) -> gs.Tensor:
    return gs.from_numpy(t.detach().numpy().copy())


def both(*shape: int, seed: int = 0) -> tuple[Any, Any]:
    array = np.random.default_rng(seed).standard_normal(shape)
    return gs.from_numpy(array.copy()).requires_grad_(), torch.from_numpy(array).requires_grad_()


def flat(value: Any) -> list[Any]:
    """The tensors of nested results; a packed sequence's data."""
    if hasattr(value, "batch_sizes"):
        return [value.data]
    return [u for v in value for u in flat(v)] if isinstance(value, (tuple, list)) else [value]


def compare(ours: Any, theirs: Any, leaves: list[Any], torch_leaves: list[Any]) -> None:
    """Outputs and gradients of a weighted sum of them."""
    total = torch_total = None
    for y, t in zip(flat(ours), flat(theirs), strict=True):
        assert tuple(y.shape) == tuple(t.shape)
        np.testing.assert_allclose(y.detach().numpy(), t.detach().numpy(), atol=1e-12)
        weight = np.random.default_rng(y.numel()).standard_normal(tuple(y.shape))
        part = (y * gs.from_numpy(weight)).sum()
        torch_part = (t * torch.from_numpy(weight)).sum()
        total = part if total is None else total + part
        torch_total = torch_part if torch_total is None else torch_total + torch_part
    grads = gs.autograd.grad(total, leaves)
    for g, t in zip(grads, torch.autograd.grad(torch_total, torch_leaves), strict=True):
        np.testing.assert_allclose(g.numpy(), t.numpy(), atol=1e-11)


LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2, "batch_first": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"bias": False}),
    ("GRU", {"num_layers": 3, "bias": False}),
    ("GRU", {"bidirectional": True, "dropout": 0.5, "num_layers": 2}),
]


@pytest.mark.parametrize("kind,options", LAYERS)
@pytest.mark.parametrize("form", ["batch", "alone", "packed", "unsorted", "no state"])
def test_layer_equals_torch(kind: str, options: dict[str, Any], form: str) -> None:
    ours, theirs = pair(kind, 3, 5, **options)
    ours.eval(), theirs.eval()
    first = options.get("batch_first", False)
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    shape = (4, 6) if first else (6, 4)
    x, tx = both(*(shape if form != "alone" else (6,)), 3)
    lead = (count,) if form == "alone" else (count, 4)
    h, th = both(*lead, options.get("proj_size") or 5, seed=1)
    c, tc = both(*lead, 5, seed=2)
    hx, thx = ((h, c), (th, tc)) if kind == "LSTM" else (h, th)
    leaves, torch_leaves = [x], [tx]
    if form != "no state":
        leaves += flat(hx)
        torch_leaves += flat(thx)
    else:
        hx = thx = None
    leaves += list(ours.parameters())
    torch_leaves += list(theirs.parameters())
    inputs = x, tx
    if form in ("packed", "unsorted"):
        lengths = [6, 4, 4, 1] if form == "packed" else [2, 6, 1, 4]
        kw = {"batch_first": first, "enforce_sorted": form == "packed"}
        inputs = (
            rnn.pack_padded_sequence(x, lengths, **kw),
            torch.nn.utils.rnn.pack_padded_sequence(tx, lengths, **kw),
        )
        assert inputs[0].batch_sizes.tolist() == inputs[1].batch_sizes.tolist()
    result, expected = ours(inputs[0], hx), theirs(inputs[1], thx)
    compare(result, expected, leaves, torch_leaves)
    if form in ("packed", "unsorted"):
        kw = {"batch_first": first, "padding_value": -1.0, "total_length": 7}
        padded, lengths = rnn.pad_packed_sequence(result[0], **kw)
        t, torch_lengths = torch.nn.utils.rnn.pad_packed_sequence(expected[0], **kw)
        np.testing.assert_allclose(padded.detach().numpy(), t.detach().numpy(), atol=1e-12)
        assert lengths.tolist() == torch_lengths.tolist()


@pytest.mark.parametrize("kind,options", LAYERS)
def test_layer_looks_like_torchs(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = pair(kind, 3, 5, **options)
    assert repr(ours) == repr(theirs)
    names = [(n, tuple(p.shape)) for n, p in ours.named_parameters()]
    assert names == [(n, tuple(p.shape)) for n, p in theirs.named_parameters()]
    assert [len(group) for group in ours.all_weights] == [len(g) for g in theirs.all_weights]
    bound = 1 / np.sqrt(5)
    fresh = getattr(gs.nn, kind)(3, 5, **options)
    assert all(
        float(p.abs().max().item() if hasattr(p, "abs") else 0) <= bound for p in fresh.parameters()
    )


@pytest.mark.parametrize(
    "kind,options",
    [
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu"}),
        ("LSTMCell", {}),
        ("GRUCell", {"bias": False}),
    ],
)
@pytest.mark.parametrize("form", ["batch", "alone", "no state"])
def test_cell_equals_torch(kind: str, options: dict[str, Any], form: str) -> None:
    ours, theirs = pair(kind, 3, 5, **options)
    assert repr(ours) == repr(theirs)
    lead = () if form == "alone" else (4,)
    x, tx = both(*lead, 3)
    h, th = both(*lead, 5, seed=1)
    c, tc = both(*lead, 5, seed=2)
    hx, thx = ((h, c), (th, tc)) if kind == "LSTMCell" else (h, th)
    given = [*flat(hx)], [*flat(thx)]
    if form == "no state":
        hx, thx, given = None, None, ([], [])
    result, expected = ours(x, hx), theirs(tx, thx)
    leaves = [x, *given[0], *ours.parameters()], [tx, *given[1], *theirs.parameters()]
    compare(result, expected, *leaves)


def test_dropout_acts_between_layers() -> None:
    gs.manual_seed(0)
    layer = gs.nn.LSTM(3, 4, num_layers=2, dropout=1.0)
    x = gs.randn(5, 2, 3)
    y, _ = layer(x)
    # The second layer sees zeros: all of the batch alike.
    assert np.array_equal(y.detach().numpy()[:, 0], y.detach().numpy()[:, 1])
    assert not np.array_equal(layer.eval()(x)[0].detach().numpy(), y.detach().numpy())


def test_no_second_derivative_is_said() -> None:
    layer = gs.nn.GRU(2, 3)
    x = gs.randn(2, 1, 2, requires_grad=True)
    (g,) = gs.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative of gru yet"):
        g.sum().backward()


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_refusals(kind: str) -> None:
    layer = getattr(gs.nn, kind)
    for options, error, match in (
        ({"dropout": 2}, ValueError, r"dropout must be a number in \[0, 1\]"),
        ({"num_layers": 0}, ValueError, "num_layers must be positive"),
        ({"bias": 1}, TypeError, "bias must be a bool"),
        ({"batch_first": None}, TypeError, "batch_first must be a bool"),
    ):
        with pytest.raises(error, match=f"{kind}: {match}"):
            layer(3, 4, **options)
    with pytest.raises(TypeError, match="input_size must be an int"):
        layer(1.5, 4)
    m = layer(3, 4)
    state = gs.zeros(1, 2, 4)
    bad = gs.zeros(1, 3, 4)
    for x, hx, error, match in (
        (gs.zeros(3), None, ValueError, "must be 2-D or 3-D"),
        (gs.zeros(5, 2, 2), None, RuntimeError, "last dim must be input_size=3"),
        (gs.zeros(5, 2, 3), bad, RuntimeError, "h_0 must have shape"),
        (gs.zeros(5, 3), state, RuntimeError, "h_0 must be 2-D"),
        (gs.zeros(0, 2, 3), None, RuntimeError, "at least one step"),
        (gs.zeros(5, 2, 3).double(), None, ValueError, "weights' dtype float32"),
        (None, None, TypeError, "input must be a tensor"),
    ):
        with pytest.raises(error, match=f"{kind}: .*{match}"):
            m(x, (hx, hx) if kind == "LSTM" and hx is not None else hx)


def test_lstm_projection_must_be_smaller() -> None:
    with pytest.raises(ValueError, match="proj_size must be in"):
        gs.nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="nonlinearity must be"):
        gs.nn.RNN(3, 4, nonlinearity="gelu")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_equals_torchs(batch_first: bool, side: str) -> None:
    arrays = [np.arange(2.0 * n).reshape(n, 2) for n in (3, 1, 4)]
    ours = rnn.pad_sequence([gs.from_numpy(a) for a in arrays], batch_first, 9.0, side)
    theirs = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(a) for a in arrays], batch_first, 9.0, side
    )
    assert np.array_equal(ours.numpy(), theirs.numpy())
    if side == "right":
        back = rnn.unpad_sequence(ours, gs.tensor([3, 1, 4]), batch_first)
        assert all(np.array_equal(b.numpy(), a) for b, a in zip(back, arrays, strict=True))


def test_packing_is_undone() -> None:
    arrays = [np.arange(float(n)) for n in (2, 5, 1)]
    packed = rnn.pack_sequence([gs.from_numpy(a) for a in arrays], enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_sequence(
        [torch.from_numpy(a) for a in arrays], enforce_sorted=False
    )
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        assert getattr(packed, name).tolist() == getattr(theirs, name).tolist()
    back = rnn.unpack_sequence(packed)
    assert all(np.array_equal(b.numpy(), a) for b, a in zip(back, arrays, strict=True))
    assert packed.float().data.dtype is gs.float32 and not packed.is_cuda
    assert packed.to("cpu") is packed


def test_packing_refuses() -> None:
    x = gs.zeros(4, 3, 2)
    for lengths, match in (
        ([1, 2, 3], "must be sorted"),
        ([4, 3], "a length for each of the 3"),
        ([4, 3, 0], r"lengths must be in \[1, 4\]"),
        ([5, 3, 1], r"lengths must be in \[1, 4\]"),
    ):
        with pytest.raises(RuntimeError, match=match):
            rnn.pack_padded_sequence(x, lengths)
    packed = rnn.pack_padded_sequence(x, [4, 2, 1])
    with pytest.raises(ValueError, match="total_length must be at least"):
        rnn.pad_packed_sequence(packed, total_length=3)
    with pytest.raises(RuntimeError, match="at least one sequence"):
        rnn.pad_sequence([])


def test_layer_on_cuda(cuda: str) -> None:
    """Whole modules on the other device: values and gradients of the CPU."""
    for kind in ("RNN", "LSTM", "GRU"):
        gs.manual_seed(3)
        layer = getattr(gs.nn, kind)(3, 4, bidirectional=True)
        x = gs.randn(4, 2, 3)
        grads = []
        for device in ("cpu", cuda):
            layer = layer.to(device)
            layer.zero_grad()
            packed = rnn.pack_padded_sequence(x.to(device), [4, 2])
            layer(packed)[0].data.sum().backward()
            grads.append([p.grad.cpu().numpy() for p in layer.parameters()])
        for a, b in zip(*grads, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
