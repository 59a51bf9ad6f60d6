"""MultiheadAttention and the transformer's layers against PyTorch's: values, gradients, names."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from test_recurrent import both, compare, flat, from_torch, pair

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

OPTIONS = [
    {},
    {"bias": False, "batch_first": True},
    {"add_bias_kv": True, "add_zero_attn": True},
    {"kdim": 3, "vdim": 5, "batch_first": True},
]


def masks(kind: str, batch: int, heads: int, rows: int, keys: int) -> dict[str, Any]:
    """attn_mask and key_padding_mask as arrays; every query sees some key."""
    rng = np.random.default_rng(11)
    hidden = rng.random((rows, keys)) < 0.4
    hidden[:, 0] = False
    padding = np.zeros((batch, keys), bool)
    padding[-1, keys - 2 :] = True
    if kind == "none":
        return {}
    if kind == "bool":
        return {"attn_mask": hidden, "key_padding_mask": padding}
    if kind == "padding":
        return {"key_padding_mask": padding}
    if kind == "float":
        return {"attn_mask": rng.standard_normal((rows, keys))}
    return {"attn_mask": np.repeat(hidden[None], batch * heads, 0)}


def converted(options: dict[str, Any], convert: Any) -> dict[str, Any]:
    return {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


#: Options, masks and which inputs are one.
CASES = [
    *((options, kind, "self") for options in OPTIONS[:3] for kind in ("none", "heads")),
    *((options, "bool", "memory") for options in OPTIONS[:3]),
    *((options, kind, "separate") for options in OPTIONS[2:] for kind in ("padding", "float")),
]


@pytest.mark.parametrize("options,kind,form", CASES)
def test_attention_equals_torch(options: dict[str, Any], kind: str, form: str) -> None:
    batch, heads, rows, width = 2, 2, 4, 6
    keys = rows if form == "self" else 5
    ours, theirs = pair("MultiheadAttention", width, heads, **options)
    first = options.get("batch_first", False)

    def make(n: int, features: int, seed: int) -> tuple[Any, Any]:
        return both(*((batch, n) if first else (n, batch)), features, seed=seed)

    q = make(rows, width, 0)
    k = q if form == "self" else make(keys, options.get("kdim", width), 1)
    v = make(keys, options.get("vdim", width), 2) if form == "separate" else k
    given = masks(kind, batch, heads, rows, keys)
    leaves = {id(pair[0]): pair for pair in (q, k, v)}.values()
    for extra in ({"need_weights": False}, {}, {"average_attn_weights": False}):
        y = ours(q[0], k[0], v[0], **converted(given, gs.from_numpy), **extra)
        t = theirs(q[1], k[1], v[1], **converted(given, torch.from_numpy), **extra)
        assert (y[1] is None) == (t[1] is None)
        keep = slice(None) if y[1] is not None else slice(1)
        compare(
            y[keep],
            t[keep],
            [*(p[0] for p in leaves), *ours.parameters()],
            [*(p[1] for p in leaves), *theirs.parameters()],
        )


def test_attention_without_a_batch() -> None:
    ours, theirs = pair("MultiheadAttention", 4, 2)
    (x, tx), hidden = both(3, 4), np.array([False, True, False])
    for extra in ({}, {"need_weights": False}):
        y = ours(x, x, x, key_padding_mask=gs.from_numpy(hidden), **extra)
        t = theirs(tx, tx, tx, key_padding_mask=torch.from_numpy(hidden), **extra)
        compare([v for v in y if v is not None], [v for v in t if v is not None], [x], [tx])


@pytest.mark.parametrize("options", OPTIONS)
def test_attention_looks_like_torchs(options: dict[str, Any]) -> None:
    ours, theirs = pair("MultiheadAttention", 6, 2, **options)
    assert repr(ours) == repr(theirs)
    names = [(n, tuple(p.shape)) for n, p in ours.named_parameters()]
    assert names == [(n, tuple(p.shape)) for n, p in theirs.named_parameters()]


def test_attention_refuses() -> None:
    attention = gs.nn.MultiheadAttention(4, 2)
    x = gs.zeros(3, 2, 4)
    with pytest.raises(AssertionError, match="embed_dim must be divisible by num_heads"):
        gs.nn.MultiheadAttention(5, 2)
    with pytest.raises(ValueError, match="must be positive"):
        gs.nn.MultiheadAttention(4, 0)
    for inputs, options, error, match in (
        ((x, x, gs.zeros(2, 2, 4)), {}, AssertionError, "key and value must match"),
        ((x, gs.zeros(3, 4), x), {}, AssertionError, "must be 2-D, or all 3-D"),
        ((gs.zeros(3, 2, 5), x, x), {}, AssertionError, "last dims must be"),
        ((x, gs.zeros(3, 1, 4), gs.zeros(3, 1, 4)), {}, AssertionError, "one batch size"),
        ((x, x, x), {"attn_mask": gs.zeros(3, 2)}, RuntimeError, "attn_mask must have shape"),
        ((x, x, x), {"is_causal": True}, RuntimeError, "attn_mask is needed too"),
        ((x, x, x), {"key_padding_mask": gs.zeros(2, 2)}, RuntimeError, "key_padding_mask must"),
        ((x, x, x), {"key_padding_mask": gs.zeros(3)}, AssertionError, "must be 2-D"),
    ):
        with pytest.raises(error, match=match):
            attention(*inputs, **options)


def test_attention_drops_weights_in_training_only() -> None:
    attention = gs.nn.MultiheadAttention(4, 2, dropout=0.5)
    x = gs.randn(6, 2, 4)
    gs.manual_seed(0)
    a, b = (attention(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2))
    assert not np.array_equal(a, b)
    attention.eval()
    a, b = (attention(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2))
    assert np.array_equal(a, b)


LAYERS = [
    {},
    {"norm_first": True, "batch_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]


@pytest.mark.parametrize("options", LAYERS)
@pytest.mark.parametrize("kind", ["TransformerEncoder", "TransformerDecoder"])
@pytest.mark.parametrize("stacked", [False, True])
def test_layer_equals_torch(options: dict[str, Any], kind: str, stacked: bool) -> None:
    ours, theirs = (
        getattr(lib.nn, kind + "Layer")(4, 2, dim_feedforward=8, dropout=0.1, **options)
        for lib in (gs, torch)
    )
    if stacked:
        options_of = {"enable_nested_tensor": False} if kind == "TransformerEncoder" else {}
        ours, theirs = (
            getattr(lib.nn, kind)(layer, 2, lib.nn.LayerNorm(4), **options_of)
            for lib, layer in ((gs, ours), (torch, theirs))
        )
    ours, theirs = ours.double().eval(), theirs.double().eval()
    ours.load_state_dict({k: from_torch(v) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    first = options.get("batch_first", False)
    x, tx = both(*((2, 5) if first else (5, 2)), 4)
    m, tm = both(*((2, 3) if first else (3, 2)), 4, seed=1)
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    padding = np.zeros((2, 5))
    padding[1, 3:] = -np.inf
    if kind == "TransformerEncoder":
        name = "mask" if stacked else "src_mask"
        given = {name: causal, "src_key_padding_mask": padding}
        inputs = (x,), (tx,)
    else:
        given = {"tgt_mask": causal, "tgt_key_padding_mask": padding}
        inputs = (x, m), (tx, tm)
    for options_of in (given, {}):
        y = ours(*inputs[0], **converted(options_of, gs.from_numpy))
        t = theirs(*inputs[1], **converted(options_of, torch.from_numpy))
        compare(
            y,
            t,
            [*inputs[0], *ours.parameters()],
            [*inputs[1], *theirs.parameters()],
        )


def test_copied_layers_are_their_own() -> None:
    stack = gs.nn.TransformerEncoder(gs.nn.TransformerEncoderLayer(4, 2, 8), 3)
    weights = [layer.linear1.weight for layer in stack.layers]
    assert len({id(w) for w in weights}) == 3
    with gs.no_grad():
        weights[0].zero_()
    assert weights[1].detach().numpy().any()


def test_transformer_equals_torch() -> None:
    options = {"num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 8}
    ours, theirs = pair("Transformer", 4, 2, dropout=0.0, **options)
    assert repr(ours) == repr(theirs)
    (src, tsrc), (tgt, ttgt) = both(5, 2, 4), both(3, 2, 4, seed=1)
    mask = gs.nn.Transformer.generate_square_subsequent_mask(3)
    torch_mask = torch.nn.Transformer.generate_square_subsequent_mask(3)
    assert np.array_equal(mask.numpy(), torch_mask.numpy())
    for causal in (False, True):
        y = ours(src, tgt, tgt_mask=mask.double(), tgt_is_causal=causal)
        t = theirs(tsrc, ttgt, tgt_mask=torch_mask.double(), tgt_is_causal=causal)
        leaves = [src, tgt, *ours.parameters()], [tsrc, ttgt, *theirs.parameters()]
        compare(flat(y), flat(t), *leaves)
    with pytest.raises(RuntimeError, match="one batch size"):
        ours(src, gs.zeros(3, 1, 4).double())
    with pytest.raises(RuntimeError, match="last dims must be d_model=4"):
        ours(src, gs.zeros(3, 2, 5).double())


def test_transformer_on_cuda(cuda: str) -> None:
    gs.manual_seed(2)
    layer = gs.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0)
    x = gs.randn(3, 2, 4)
    found = []
    for device in ("cpu", cuda):
        layer = layer.to(device)
        layer.zero_grad()
        layer(x.to(device)).square().sum().backward()
        found.append([p.grad.cpu().numpy() for p in layer.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
