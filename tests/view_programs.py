"""Random programs of views and changes in place, run alike by NumPy, gradsmith and PyTorch.

An instruction is (word, which, a, b, c): what to do with one of the arrays that there are, and
numbers that each word reads as it needs them (modulo what is possible), so that every program can
be run and every part of one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Instruction = tuple[str, int, int, int, int]

VIEWS = (
    *("select", "slice", "slice_last", "transpose", "reshape", "flatten", "unsqueeze"),
    *("squeeze", "diagonal", "movedim", "narrow", "alias", "flip", "unfold"),
)
CHANGES = (
    *("add", "mul", "fill", "zero", "neg", "clamp", "assign", "assign_part", "assign_mask"),
    *("assign_places", "add_other", "copy_other", "augmented", "masked_fill", "relu"),
)


def _numpy_view(x: Any, word: str, a: int, b: int, c: int) -> Any:
    """The words that NumPy has other names for."""
    if word == "transpose":
        return x.swapaxes(a % x.ndim, b % x.ndim) if x.ndim else x
    if word == "movedim":
        return np.moveaxis(x, a % x.ndim, b % x.ndim) if x.ndim else x
    if word == "diagonal":
        d = x.diagonal(a % 3 - 1)
        d.flags.writeable = True
        return d
    if word == "flip":
        return np.flip(x, a % x.ndim).copy() if x.ndim else x
    if word == "unfold":
        size = c % x.shape[0] + 1
        windows = np.lib.stride_tricks.sliding_window_view(x, size, 0, writeable=True)
        return windows[::size]
    if word == "unsqueeze":
        return np.expand_dims(x, a % (x.ndim + 1))
    if word == "squeeze":
        return x.squeeze(a % x.ndim) if x.ndim and x.shape[a % x.ndim] == 1 else x
    return x.reshape(-1)


def _tensor_view(x: Any, word: str, a: int, b: int, c: int) -> Any:
    """The same as methods of gradsmith's and PyTorch's tensors."""
    n = x.dim()
    if word == "transpose":
        return x.transpose(a % n, b % n) if n else x
    if word == "movedim":
        return x.movedim(a % n, b % n) if n else x
    if word == "diagonal":
        return x.diagonal(a % 3 - 1)
    if word == "flip":
        return x.flip(a % n) if n else x
    if word == "unfold":
        size = c % x.shape[0] + 1
        return x.unfold(0, size, size)
    if word == "unsqueeze":
        return x.unsqueeze(a % (n + 1))
    if word == "squeeze":
        return x.squeeze(a % n) if n and x.shape[a % n] == 1 else x
    return x.reshape(-1)


def view(x: Any, word: str, a: int, b: int, c: int) -> Any:
    """A view (or, with flip, a copy) of x."""
    n, shape = len(x.shape), tuple(x.shape)
    if word == "alias" or (n == 0 and word in ("select", "slice", "slice_last", "narrow")):
        return x[...]
    if word == "select":
        return x[a % shape[0], ...] if shape[0] else x[...]
    if word in ("slice", "narrow"):
        d = b % n if word == "narrow" else 0
        begin = a % (shape[d] + 1)
        return x[(*(slice(None),) * d, slice(begin, shape[d], c % 3 + 1))]
    if word == "slice_last":
        return x[..., a % (shape[-1] + 1) :: b % 2 + 1]
    if word == "reshape":
        count = int(np.prod(shape))
        parts = [m for m in range(1, count + 1) if count % m == 0] or [1]
        first = parts[a % len(parts)]
        return x.reshape(first, count // first)
    if word in ("diagonal", "unfold") and (n != 2 if word == "diagonal" else not n or not shape[0]):
        return x[...]
    convert = _numpy_view if isinstance(x, np.ndarray) else _tensor_view
    return convert(x, word, a, b, c)


def change(xs: list[Any], x: Any, word: str, a: int, b: int, c: int) -> None:
    """Changes x in place; other arrays of xs may share its memory, or be read."""
    numpy, n = isinstance(x, np.ndarray), len(x.shape)
    number = c % 5 - 2
    part = (a % (x.shape[0] + 1), b % (x.shape[0] + 1)) if n else (0, 0)
    if word == "add":
        x += number
    elif word == "mul":
        x *= number
    elif word == "fill":
        x.fill(number) if numpy else x.fill_(number)
    elif word == "zero":
        x.fill(0) if numpy else x.zero_()
    elif word == "neg":
        np.negative(x, out=x) if numpy else x.neg_()
    elif word == "clamp":
        np.clip(x, -number - 2, number + 9, out=x) if numpy else x.clamp_(-number - 2, number + 9)
    elif word == "relu":
        np.maximum(x, 0, out=x) if numpy else x.clamp_(min=0)
    elif word == "assign":
        x[...] = number
    elif word == "assign_part" and n:
        x[min(part) : max(part)] = number
    elif word == "assign_mask":
        x[x > number] = number - 1
    elif word == "masked_fill":
        if numpy:
            x[x < number] = c
        else:
            x.masked_fill_(x < number, c)
    elif word == "assign_places" and n and x.shape[0]:
        x[[a % x.shape[0], b % x.shape[0]]] = number
    elif word in ("add_other", "copy_other", "augmented"):
        for other in (xs[(a + i) % len(xs)] for i in range(len(xs))):
            shape, into = tuple(other.shape), tuple(x.shape)
            lead = len(into) - len(shape)
            pairs = zip(shape, into[max(lead, 0) :], strict=False)
            if lead >= 0 and all(s in (1, t) for s, t in pairs):
                if word == "copy_other":
                    x[...] = other
                elif word == "augmented" or numpy:
                    x += other
                else:
                    x.add_(other)
                break


def run(program: list[Instruction], first: Any, most: int = 12) -> list[Any]:
    """The arrays at the end; `first` is one of them and the memory of most."""
    xs = [first]
    for word, which, a, b, c in program:
        x = xs[which % len(xs)]
        if word in VIEWS:
            if len(xs) < most:
                xs.append(view(x, word, a, b, c))
        else:
            change(xs, x, word, a, b, c)
    return xs
