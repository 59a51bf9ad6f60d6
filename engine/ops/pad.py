"""Padding: with a constant, mirrored, with the edge repeated, going round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import bool_
from ..tensor import Tensor
from . import shapes
from .creation import _integer
from .operands import need_tensors
from .view import slice_, slice_bwd_

__all__ = ["pad"]

#: The kernel's numbers of the modes.
_MODES = {"reflect": 1, "replicate": 2, "circular": 3}


@op(inputs="x", kernel="pad", formula="y[i] = x[map(i)] in the last dims")
def pad_(k, x, before, mode, out_shape):
    return k.pad(x, before, mode, out_shape), (tuple(x.shape),)


@pad_.gradient
def _(k, saved, grad_y, need, before, mode, out_shape):
    return (k.pad_bwd(grad_y, before, mode, saved[0]),)


@op(inputs="grad_y", kernel="pad_bwd", formula="grad_x[j] = sum of grad_y[i] with map(i) = j")
def pad_bwd_(k, grad_y, before, mode, x_shape):
    return k.pad_bwd(grad_y, before, mode, x_shape), (tuple(grad_y.shape),)


@pad_bwd_.gradient
def _(k, saved, grad_y, need, before, mode, x_shape):
    return (k.pad(grad_y, before, mode, saved[0]),)


@op(inputs="x", formula="y = value, with y[before:before + n] = x")
def pad_constant_(k, x, before, value, out_shape):
    y = k.full(out_shape, value, x.dtype)
    k.copy_into(k.slice(y, before, (1,) * len(before), x.shape), x)
    return y, (tuple(x.shape),)


@pad_constant_.gradient
def _(k, saved, grad_y, need, before, value, out_shape):
    return (k.slice(grad_y, before, (1,) * len(before), saved[0]),)


def _cropped(input: Tensor, before: list[int], after: list[int]) -> Tensor:
    """input without what negative paddings take away; these become 0."""
    shape = tuple(input._data.shape)
    start = tuple([max(-b, 0) for b in before])
    kept = tuple([n + min(b, 0) + min(a, 0) for n, b, a in zip(shape, before, after, strict=True)])
    if kept == shape or any(n < 0 for n in kept):
        return input
    return apply(slice_, (input,), (start, (1,) * len(shape), kept))


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """The tensor with its last dimensions made longer (or, by negative amounts, shorter).

    Shape: the last len(pad) / 2 dims grow by what is put before and behind them.

    Args:
        pad: (before, behind) of the last dimension, then of the one before it, and so on.
        mode: "constant"; or, for the last 1 to 3 dims behind at most two others, "reflect" (the
            edge is the mirror), "replicate" (the edge is repeated) or "circular".
        value: what "constant" fills with; None is 0.

    Raises:
        ValueError: an unknown mode.
        RuntimeError: an odd number of paddings, too many, or more than the mode can fill.
        NotImplementedError: a mode with a tensor of another number of dims, as PyTorch.
    """
    need_tensors("pad", input=input)
    shape = tuple(input._data.shape)
    n = len(shape)
    if mode != "constant" and mode not in _MODES:
        raise ValueError(f"pad: mode must be constant, reflect, replicate, circular; got {mode!r}")
    amounts = [shapes._index("pad", "pad", v) for v in pad]
    count = len(amounts) // 2
    if len(amounts) % 2 or count > n:
        raise RuntimeError(
            f"pad: pad must be two numbers a dim, of at most {n} dims; got {tuple(pad)}"
        )
    before = [0] * (n - count) + amounts[::2][::-1]
    after = [0] * (n - count) + amounts[1::2][::-1]
    out = tuple([m + b + a for m, b, a in zip(shape, before, after, strict=True)])
    if any(m < 0 for m in out):
        raise RuntimeError(f"pad: sizes must stay >= 0; got {tuple(pad)} for shape {shape}")
    shapes._countable("pad", out)
    if mode != "constant":
        return _repeated(input, before, after, mode, value, count)
    input = _cropped(input, before, after)
    start = tuple([max(b, 0) for b in before])
    if not value:
        return apply(slice_bwd_, (input,), (out, start, (1,) * n))
    if not input.dtype.is_floating_point:
        value = bool(value) if input.dtype is bool_ else _integer("pad", value, input.dtype.numpy)
    return apply(pad_constant_, (input,), (start, float(value), out))


def _repeated(
    input: Tensor, before: list[int], after: list[int], mode: str, value: Any, count: int
) -> Tensor:
    """`pad` by one of the modes that repeat the input."""
    shape = tuple(input._data.shape)
    n = len(shape)
    if value:
        raise ValueError(f"pad: mode {mode!r} takes no value; got {value!r}")
    if not 1 <= count <= 3 or n - count not in (1, 2):
        raise NotImplementedError(
            f"pad: mode {mode!r} pads the last 1 to 3 dims of tensors with 1 or 2 more; got "
            f"{2 * count} numbers for shape {shape}"
        )
    input = _cropped(input, before, after)
    kept = tuple(input._data.shape)
    last = slice(n - count, n)
    for m, b, a in zip(kept[last], before[last], after[last], strict=True):
        most = {"reflect": m - 1, "circular": m}.get(mode, shapes.INT64_MAX)
        if b > most or a > most or m == 0:
            raise RuntimeError(
                f"pad: mode {mode!r} can pad by at most {max(most, 0) if m else 0} a dim of size "
                f"{m}; got ({b}, {a}) for shape {shape}"
            )
    left = tuple([max(b, 0) for b in before[last]])
    out = tuple([m + max(b, 0) + max(a, 0) for m, b, a in zip(kept, before, after, strict=True)])
    return apply(pad_, (input,), (left, _MODES[mode], out))
