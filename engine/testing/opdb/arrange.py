"""Samples of tensors cut up, put together and put in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..reference import arrange as reference
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _method(name: str) -> Callable[..., Any]:
    def call(lib: Any, x: Any, **options: Any) -> Any:
        return getattr(x, name)(*options.values())

    return call


def _function(name: str) -> Callable[..., Any]:
    def call(lib: Any, x: Any, **options: Any) -> Any:
        return getattr(lib, name)(x, *options.values())

    return call


#: name, reference, shape and the options of each sample, and calls that must be refused.
_ROWS: tuple[tuple[str, Any, tuple[Any, ...], tuple[Any, ...]], ...] = (
    (
        "split",
        reference.split,
        (
            ((7,), {"size": 3}),
            ((4, 6), {"size": [1, 2, 3], "dim": 1}),
            ((4, 6), {"size": 2, "dim": -2}),
        ),
        (
            ({"size": [1, 2], "dim": 1}, RuntimeError, "split: sections must be"),
            ({"size": -1}, RuntimeError, "split_size must be positive"),
        ),
    ),
    (
        "chunk",
        reference.chunk,
        (((7,), {"chunks": 3}), ((4, 6), {"chunks": 4, "dim": 1}), ((2, 3), {"chunks": 5})),
        (({"chunks": 0}, RuntimeError, "chunks must be positive"),),
    ),
    (
        "unbind",
        lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)),
        (((3,), {}), ((4, 2), {"dim": 1}), ((2, 3, 4), {"dim": -2})),
        (({"dim": 2}, IndexError, "unbind: dim must be in"),),
    ),
    (
        "select",
        lambda x, dim, index: np.take(x, index, axis=dim),
        (((4, 6), {"dim": 0, "index": -1}), ((2, 3, 4), {"dim": 1, "index": 2})),
        (({"dim": 0, "index": 9}, IndexError, "select: index 9 is out of range"),),
    ),
    (
        "narrow",
        lambda x, dim, start, length: np.take(
            x, range(start % x.shape[dim], start % x.shape[dim] + length), axis=dim
        ),
        (
            ((4, 6), {"dim": 1, "start": 2, "length": 3}),
            ((5,), {"dim": 0, "start": -2, "length": 2}),
            ((4, 6), {"dim": 0, "start": 1, "length": 0}),
        ),
        (
            ({"dim": 0, "start": 1, "length": 9}, RuntimeError, "start \\+ length must be"),
            ({"dim": 0, "start": 9, "length": 0}, IndexError, "narrow: start must be"),
        ),
    ),
    (
        "flip",
        lambda x, dims: np.flip(x, dims),
        (((7,), {"dims": (0,)}), ((3, 4, 5), {"dims": (0, 2)}), ((3, 4), {"dims": ()})),
        (
            ({"dims": (0, 0)}, RuntimeError, "flip: a dim appears twice"),
            ({"dims": (2,)}, IndexError, "flip: dim must be in"),
        ),
    ),
    ("fliplr", np.fliplr, (((3, 4), {}),), ()),
    ("flipud", np.flipud, (((3, 4), {}), ((5,), {})), ()),
    (
        "roll",
        lambda x, shifts, dims=None: np.roll(x, shifts, dims),
        (
            ((7,), {"shifts": 2}),
            ((3, 4), {"shifts": -5}),
            ((3, 4, 5), {"shifts": (1, -2), "dims": (0, 2)}),
            ((0, 3), {"shifts": 1, "dims": 0}),
        ),
        (({"shifts": (1, 2), "dims": 0}, RuntimeError, "roll: as many shifts as dims"),),
    ),
    (
        "tile",
        lambda x, dims: np.tile(x, dims),
        (((3, 4), {"dims": (2,)}), ((3,), {"dims": (2, 3)}), ((2, 3), {"dims": (0, 1)})),
        (({"dims": (-1,)}, RuntimeError, "one count >= 0"),),
    ),
    (
        "unflatten",
        lambda x, dim, sizes: x.reshape(
            *x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :]
        ),
        (((3, 8), {"dim": 1, "sizes": (2, 4)}), ((3, 8), {"dim": -1, "sizes": (2, -1, 2)})),
        (({"dim": 1, "sizes": (5, 2)}, RuntimeError, "unflatten: shape"),),
    ),
    ("ravel", np.ravel, (((3, 4), {}), ((), {})), ()),
    (
        "swapdims",
        lambda x, a, b: np.swapaxes(x, a, b),
        (((2, 3, 4), {"a": 0, "b": -1}),),
        (({"a": 0, "b": 5}, IndexError, "dim must be in"),),
    ),
    (
        "moveaxis",
        lambda x, a, b: np.moveaxis(x, a, b),
        (((2, 3, 4), {"a": 0, "b": 2}),),
        (),
    ),
    (
        "broadcast_to",
        lambda x, size: np.broadcast_to(x, size),
        (((3, 1), {"size": (2, 3, 4)}),),
        (({"size": (2,)}, RuntimeError, "only dims of size 1"),),
    ),
    (
        "diagonal",
        lambda x, offset=0, a=0, b=1: np.diagonal(x, offset, a, b),
        (
            ((4, 5), {}),
            ((4, 5), {"offset": 2}),
            ((4, 5), {"offset": -3}),
            ((4, 5), {"offset": 9}),
            ((2, 3, 4), {"offset": 1, "a": 2, "b": 0}),
            ((3, 2, 4, 5), {"offset": -1, "a": -2, "b": -1}),
            ((0, 3), {}),
        ),
        (
            ({"offset": 0, "a": 1, "b": 1}, RuntimeError, "dim1 and dim2 must differ"),
            ({"offset": 0, "a": 0, "b": 3}, IndexError, "diagonal: dim must be in"),
        ),
    ),
)


def _samples(rows: Any) -> list[Sample]:
    samples = []
    for i, (shape, options) in enumerate(rows):
        tags = {"empty"} if 0 in shape else {"size1"} if not shape else set()
        samples.append(Sample((Arr(shape),), options, frozenset(tags)))
        if i == 0 and len(shape) > 1:
            samples.append(Sample((Arr(shape, "normal", "f"),), options, frozenset({"strided"})))
            negative = frozenset({"negative"})
            samples.append(Sample((Arr(shape, "normal", "reversed"),), options, negative))
    return samples


def _stack_samples() -> list[Sample]:
    return [
        Sample(((Arr((3, 4)), Arr((3, 4), "normal", "f")),), {"dim": d}) for d in (0, 1, -1)
    ] + [Sample(((Arr(()), Arr(())),), {"dim": 0})]


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((4, 6))
    found = [
        OpInfo(
            name=name,
            covers=("diagonal",) if name == "diagonal" else ("slice",),
            call=_function(name),
            reference=reference_of,
            samples=lambda rows=rows: _samples(rows),
            errors=tuple(
                ErrorSample((x,), options, error, match) for options, error, match in errors
            ),
        )
        for name, reference_of, rows, errors in _ROWS
    ]
    return [
        *found,
        OpInfo(
            name="repeat",
            covers=("expand",),
            call=_method("repeat"),
            reference=lambda x, repeats: np.tile(x, repeats),
            samples=lambda: [
                Sample((Arr((3, 4)),), {"repeats": (2, 1, 3)}),
                Sample((Arr((3,), "normal", "strided"),), {"repeats": (2,)}),
            ],
            errors=(ErrorSample((x,), {"repeats": (2,)}, RuntimeError, "repeat: one count"),),
        ),
        OpInfo(
            name="stack",
            covers=("cat",),
            call=lambda lib, xs, dim: lib.stack(xs, dim),
            reference=lambda xs, dim: np.stack(xs, dim),
            samples=_stack_samples,
            errors=(
                ErrorSample(((x, Arr((4, 5))),), {"dim": 0}, RuntimeError, "shapes must be equal"),
                ErrorSample(((x, x),), {"dim": 4}, IndexError, "stack: dim must be in"),
                ErrorSample(((x, 3.0),), {"dim": 0}, TypeError, "must be a sequence of tensors"),
            ),
        ),
        OpInfo(
            name="meshgrid",
            covers=("expand",),
            call=lambda lib, xs, indexing: lib.meshgrid(*xs, indexing=indexing),
            reference=lambda xs, indexing: tuple(np.meshgrid(*xs, indexing=indexing)),
            torch_gradient="the first result does not depend on every input",
            samples=lambda: [
                Sample(((Arr((3,)), Arr((4,)), Arr((2,))),), {"indexing": way})
                for way in ("ij", "xy")
            ],
            errors=(ErrorSample(((Arr((3,)),),), {"indexing": "kl"}, ValueError, "'ij' or 'xy'"),),
        ),
        OpInfo(
            name="broadcast_tensors",
            covers=("expand",),
            call=lambda lib, xs: lib.broadcast_tensors(*xs),
            reference=lambda xs: tuple(np.broadcast_arrays(*xs)),
            torch_gradient="the first result does not depend on every input",
            samples=lambda: [Sample(((Arr((3, 1)), Arr((4,))),))],
        ),
    ]
