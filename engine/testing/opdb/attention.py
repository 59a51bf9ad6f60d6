"""Samples of scaled_dot_product_attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import attention as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]

_SECOND = "the fused kernel has no second derivative yet"


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _sample(q: Any, k: Any, v: Any, *tags: str, mask: Any = None, **options: Any) -> Sample:
    layout = options.pop("layout", "c")
    inputs: tuple[Any, ...] = tuple(Arr(s, "normal", layout) for s in (q, k, v))
    return Sample(inputs if mask is None else (*inputs, mask), options, _tags(*tags))


def _seen(shape: Any, *values: float) -> Arr:
    """A bool mask of these values, cyclically."""
    return Arr(shape, ("values", *values), dtype="bool")


def _samples() -> list[Sample]:
    low = float("-inf")
    wide = (2, 40, 5), (2, 101, 5), (2, 101, 7)
    return [
        _sample((3, 4), (5, 4), (5, 6)),
        _sample((2, 3, 7, 5), (2, 3, 4, 5), (2, 3, 4, 2)),
        _sample((2, 6, 4), (2, 6, 4), (2, 6, 4), is_causal=True),
        _sample((2, 3, 4), (2, 7, 4), (2, 7, 4), is_causal=True),
        _sample((2, 7, 4), (2, 3, 4), (2, 3, 4), is_causal=True, scale=0.3),
        _sample((3, 4, 2), (3, 5, 2), (3, 5, 2), scale=-1.5),
        _sample((2, 3, 4), (1, 5, 4), (5, 4)),  # batch dims broadcast
        _sample((1, 1), (1, 1), (1, 1), "size1"),
        _sample((0, 4), (5, 4), (5, 6), "empty"),
        _sample((3, 4), (0, 4), (0, 6), "empty"),
        _sample((0, 3, 4), (0, 5, 4), (0, 5, 4), "empty"),
        _sample(*wide, "odd", "large"),
        _sample((37, 65), (37, 65), (37, 65), "odd", "large", is_causal=True),
        _sample((3, 130), (35, 130), (35, 130), "odd"),
        _sample((2, 5, 6), (2, 7, 6), (2, 7, 6), "strided", layout="last2"),
        _sample((2, 5, 6), (2, 7, 6), (2, 7, 6), "strided", layout="strided"),
        _sample((2, 5, 6), (2, 7, 6), (2, 7, 6), "negative", layout="reversed"),
        _sample((2, 5, 6), (2, 7, 6), (2, 7, 6), "expanded", layout="expanded"),
        # masks
        _sample((2, 3, 4), (2, 5, 4), (2, 5, 4), mask=_seen((3, 5), 1, 1, 0, 1, 0, 1, 1)),
        _sample((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), mask=_seen((2, 1, 1, 5), 1, 0, 1)),
        _sample((2, 3, 4), (2, 5, 4), (2, 5, 4), mask=Arr((3, 5))),
        _sample((2, 3, 4), (2, 5, 4), (2, 5, 4), mask=Arr((2, 1, 5), "normal", "reversed")),
        _sample(
            *wide, "odd", "large", mask=Arr((40, 101), ("values", 0.5, low, -1.0, 2.0), grad=False)
        ),
        _sample((3, 4), (5, 4), (5, 4), "special", mask=_seen((3, 5), 0, 0, 0, 0, 0, 1)),
        Sample(
            (Arr((17, 5), ("diagonal", float("nan"))), Arr((9, 5)), Arr((9, 3))),
            {},
            _tags("special"),
        ),
        # groups of heads
        _sample((2, 4, 3, 5), (2, 2, 6, 5), (2, 2, 6, 3), enable_gqa=True),
        _sample((6, 3, 5), (2, 6, 5), (2, 6, 3), mask=Arr((6, 3, 6)), enable_gqa=True),
        _sample((6, 3, 5), (1, 3, 5), (1, 3, 3), is_causal=True, enable_gqa=True),
    ]


def _size(query: Any, key: Any, value: Any, attn_mask: Any = None, **options: Any) -> Any:
    """Errors of the scores are relative to their terms, and go into the weights."""
    y = reference.scaled_dot_product_attention(query, key, value, attn_mask, **options)
    finite = [np.abs(a[np.isfinite(a)]).max(initial=0.0) for a in (query, key, value)]
    scale = abs(options.get("scale") or max(query.shape[-1], 1) ** -0.5)
    scores = 1.0 + scale * finite[0] * finite[1] * max(query.shape[-1], 1)
    return np.full(np.shape(y), (finite[2] + 1.0) * scores)


def _terms(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    return query.shape[-1] + key.shape[-2]


def _errors() -> tuple[ErrorSample, ...]:
    name = "scaled_dot_product_attention: "
    q, k, v = Arr((2, 3, 4)), Arr((2, 5, 4)), Arr((2, 5, 4))

    def row(inputs: Any, options: Any, match: str, torch: bool = True) -> ErrorSample:
        return ErrorSample(inputs, options, RuntimeError, name + match, torch)

    return (
        row((Arr((3,)), k, v), {}, "query, key and value must be at least 2-D"),
        row((Arr((2, 3, 5)), k, v), {}, "query and key must have one last dim"),
        row((q, k, Arr((2, 6, 4))), {}, "key and value must have one dim -2"),
        row((Arr((3, 3, 4)), k, v), {}, "the batch dims must match or broadcast"),
        row((q, k, v, Arr((4, 5))), {}, r"attn_mask must broadcast to \(2, 3, 5\); got \(4, 5\)"),
        row((q, k, v), {"dropout_p": 1.5}, r"dropout_p must be in \[0, 1\]"),
        row((q, Arr((3, 5, 4)), v), {"enable_gqa": True}, "enable_gqa needs as many heads"),
        row((Arr((3, 4)), k, v), {"enable_gqa": True}, "enable_gqa needs a dim of heads", False),
    )


def _bwd_samples() -> list[Sample]:
    """Consistent y and log_sum are not needed: the formulas hold for any."""
    found = []
    for L, S, E, V, causal, mask in (  # noqa: N806
        (3, 5, 4, 2, False, None),
        (5, 3, 2, 3, True, "grad"),
        (40, 101, 5, 3, False, "given"),
    ):
        q, k, v = (Arr((2, *shape)) for shape in ((L, E), (S, E), (S, V)))
        rows = Arr((2, L), ("values", 3.0, 4.0, 5.0))
        m = None if mask is None else Arr((2, L, S))
        mask_shape = (2, L, S) if mask == "grad" else (0,)
        options = {"mask_shape": mask_shape, "causal": causal, "scale": 0.7}
        options |= {"p": 0.0, "seed": 0, "offset": 0}
        inputs = (Arr((2, L, V)), q, k, v, m, Arr((2, L, V)), rows)
        found.append(Sample(inputs, options))
    return found


def _bwd_size(*arrays: Any, **options: Any) -> Any:
    outputs = reference.attention_bwd(*arrays, **options)
    largest = max(float(np.abs(a).max(initial=1.0)) for a in (*arrays, *outputs) if a is not None)
    return tuple(np.full(np.shape(y), 20.0 * largest**2) for y in outputs)


def infos() -> list[OpInfo]:
    """The family's ops."""
    return [
        OpInfo(
            name="scaled_dot_product_attention",
            covers=("attention",),
            call=by_path("nn.functional.scaled_dot_product_attention"),
            reference=reference.scaled_dot_product_attention,
            samples=_samples,
            errors=_errors(),
            terms=_terms,
            magnitude=_size,
            second=False,
            second_reason=_SECOND,
        ),
        OpInfo(
            name="attention_bwd",
            covers=("attention_bwd",),
            call=by_record("attention_bwd"),
            reference=reference.attention_bwd,
            samples=_bwd_samples,
            terms=lambda *arrays, **options: max(a.shape[-2] for a in arrays[1:4]),
            magnitude=_bwd_size,
            differentiable=False,
            second=False,
            second_reason=_SECOND,
            torch=False,
        ),
    ]
