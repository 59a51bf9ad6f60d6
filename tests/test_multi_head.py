"""multi_head_attention_forward: PyTorch's results with every option."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import assert_close

RNG = np.random.default_rng(3)
Q, KV = RNG.standard_normal((4, 2, 6)), RNG.standard_normal((5, 2, 6))
NARROW = RNG.standard_normal((5, 2, 3))
WHOLE, BIAS = RNG.standard_normal((18, 6)), RNG.standard_normal(18)
OUT, OUT_BIAS = RNG.standard_normal((6, 6)), RNG.standard_normal(6)
ADDED = RNG.standard_normal((1, 1, 6))
MASK = RNG.standard_normal((4, 5))
PADDING = np.array([[False, False, True, False, True], [False] * 5])

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "each head": {"average_attn_weights": False},
    "without weights": {"need_weights": False},
    "masks": {"attn_mask": MASK, "key_padding_mask": PADDING},
    "a mask a head": {"attn_mask": RNG.standard_normal((4, 4, 5)), "need_weights": False},
    "more keys": {"bias_k": ADDED, "bias_v": ADDED + 1, "add_zero_attn": True, "attn_mask": MASK},
    "no biases": {"in_proj_bias": None, "out_proj_bias": None},
    "separate": {
        "use_separate_proj_weight": True,
        "in_proj_weight": None,
        "q_proj_weight": WHOLE[:6],
        "k_proj_weight": WHOLE[6:12, :3],
        "v_proj_weight": WHOLE[12:],
    },
    "static": {
        "static_k": RNG.standard_normal((4, 7, 3)),
        "static_v": RNG.standard_normal((4, 7, 3)),
    },
}


@pytest.mark.parametrize("kind", ["cross", "self", "alone"])
@pytest.mark.parametrize("name", CASES)
def test_equals_torch(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    if kind != "cross" and name not in ("plain", "without weights", "no biases"):
        pytest.skip("the option's shapes are for the other kind")
    options = {
        **{"in_proj_weight": WHOLE, "in_proj_bias": BIAS, "bias_k": None, "bias_v": None},
        **{"add_zero_attn": False, "dropout_p": 0.0},
        **{"out_proj_weight": OUT, "out_proj_bias": OUT_BIAS},
        **CASES[name],
    }
    results = []
    for lib in (gs, torch):

        def of(v: Any, lib: Any = lib) -> Any:
            return lib.tensor(v) if isinstance(v, np.ndarray) else v

        q = lib.tensor(Q).requires_grad_()
        key = q if kind == "self" else lib.tensor(NARROW if name == "separate" else KV)
        value = q if kind == "self" else lib.tensor(KV)
        inputs = [t[:, 0] for t in (q, key, value)] if kind == "alone" else [q, key, value]
        y, weights = lib.nn.functional.multi_head_attention_forward(
            *inputs, 6, 2, **{k: of(v) for k, v in options.items()}
        )
        (y**2).sum().backward()
        results.append((y.detach(), weights, q.grad))
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert_close(ours, theirs, rtol=1e-9, atol=1e-10, name=name)


def test_refusals() -> None:
    x = gs.tensor(Q)
    rest = (gs.tensor(WHOLE), None, None, None, False, 0.0, gs.tensor(OUT), None)
    for call, text in (
        (lambda f: f(x, x, x, 7, 2, *rest), "embed_dim_to_check"),
        (lambda f: f(x, x, x, 6, 4, *rest), "divisible by num_heads"),
        (lambda f: f(x, x, x[0], 6, 2, *rest), "all 3-D"),
        (lambda f: f(x, x, x[:2], 6, 2, *rest), "must match"),
        (lambda f: f(x, x, x, 6, 2, None, *rest[1:]), "must be given"),
        (lambda f: f(x, x, x, 6, 2, *rest, static_k=x), "static_k must have shape"),
    ):
        with pytest.raises(AssertionError, match=text):
            call(gs.nn.functional.multi_head_attention_forward)
