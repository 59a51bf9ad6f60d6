"""One case of a grid: integers drawn from its index, placed in a layout, compared to the bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..comparing import to_numpy
from ..opdb import place

__all__ = ["LAYOUTS", "Case", "Untrusted", "Wrong", "lay_out"]

Array = np.ndarray[Any, Any]

#: How an input lies in memory: in order; channels innermost; cut out of a larger array in every
#: dim; every second element; all dims, or the last, backwards; dims in reverse order; the first, or
#: the last, dim with stride 0; one element behind an aligned address.
LAYOUTS = (
    "contiguous",
    "channels_last",
    "sliced",
    "strided",
    "reversed",
    "reversed_last",
    "transposed",
    "expanded",
    "expanded_last",
    "offset",
)
#: Float32 holds every integer below this.
_EXACT = 2**24
#: A pass with fewer elements than this is only judged together with the others.
_FEW = 16
#: By a random byte.
_TABLE = np.array([-3, -2, -1, 1, 2, 3, 1, -1], np.float64)[np.arange(256) % 8]


class Wrong(AssertionError):
    """A result that differs from the oracle's."""


class Untrusted(AssertionError):
    """A case whose expected values say too little: more zeros than chance makes."""


def lay_out(values: Array, layout: str) -> Array:
    """The same values as a view that lies in memory as `layout` says, NaN in the gaps.

    Where a stride is 0, the values of one place stand for all along that dim.
    """
    if layout == "contiguous" or values.ndim == 0:
        return np.array(values, order="C")
    if layout == "channels_last":
        at = 1 if values.ndim > 2 else 0
        return np.moveaxis(np.array(np.moveaxis(values, at, -1), order="C"), -1, at)
    if layout == "transposed":
        return np.array(values.T, order="C").T
    if layout == "expanded":
        return np.broadcast_to(values[:1].copy(), values.shape)
    if layout == "expanded_last":
        return np.broadcast_to(values[..., :1].copy(), values.shape)
    if layout in ("reversed", "reversed_last"):
        dims = values.ndim if layout == "reversed" else 1
        turned = (..., *(slice(None, None, -1),) * dims)
        return np.array(values[turned], order="C")[turned]
    gap = np.nan if values.dtype.kind == "f" else 99
    if layout == "sliced":
        room = np.full([n + 2 + i % 2 for i, n in enumerate(values.shape)], gap, values.dtype)
        view = room[tuple(slice(1, n + 1) for n in values.shape)]
    elif layout == "strided":
        room = np.full((*values.shape[:-1], 2 * values.shape[-1] + 1), gap, values.dtype)
        view = room[..., 1::2]
    elif layout == "offset":
        room = np.full(values.size + 2, gap, values.dtype)
        view = room[1:-1].reshape(values.shape)
    else:
        raise ValueError(f"lay_out: layout must be one of {LAYOUTS}; got {layout!r}")
    view[...] = values
    return view


class Case:
    """What a family's check draws its inputs from and hands its results to.

    Args:
        index: the case's index: the only source of its numbers, with `attempt`.
        dtype: of the drawn arrays.
        device: "cpu" or "cuda".
        attempt: another draw of the same case, where the first says too little.
    """

    def __init__(self, index: int, dtype: str, device: str, attempt: int = 0) -> None:
        self.dtype = np.dtype(dtype)
        self.device = device
        self.passes: list[str] = []
        self._random = random.Random(index * 16 + attempt)
        self._inputs: list[tuple[Array, Array]] = []
        self._meaning: list[tuple[str, int, int]] = []

    def integers(self, shape: Sequence[int], layout: str = "contiguous", factor: int = 1) -> Array:
        """-3 .. 3 without 0, times `factor`, as a view that lies as `layout` says."""
        drawn = np.frombuffer(self._random.randbytes(prod(shape)), np.uint8)
        return self.laid_out(_TABLE[drawn].reshape(shape) * factor, layout)

    def laid_out(self, values: Array, layout: str) -> Array:
        """These values in the case's dtype, as a view that lies as `layout` says."""
        return lay_out(values.astype(self.dtype), layout)

    def below(self, limit: int, shape: Sequence[int]) -> Array:
        """int64 in [0, limit), limit below 2^16."""
        count = prod(shape)
        drawn = np.frombuffer(self._random.randbytes(4 * count), np.uint32)
        return (drawn % limit).astype(np.int64).reshape(shape)

    def shuffled(self, count: int) -> Array:
        """0 .. count - 1 in any order."""
        return np.argsort(np.frombuffer(self._random.randbytes(4 * count), np.uint32))

    def tensor(self, array: Array, leaf: bool = False) -> Tensor:
        """The array on the device, strides and all; it must not have changed in the end."""
        self._inputs.append((array, array.copy()))
        t = place(array, self.device)
        return t.requires_grad_() if leaf else t

    def compare(self, name: str, got: Any, expected: Array, dtype: Any = None) -> None:
        """Equal in shape, dtype and every element.

        Args:
            name: of the pass.
            got: the tensor.
            expected: the oracle's integers.
            dtype: what the tensor's must be; default: the case's.

        Raises:
            Wrong: naming the first element that differs.
        """
        self.passes.append(name)
        a = to_numpy(got)
        if a.shape != expected.shape:
            raise Wrong(f"{name}: shape must be {expected.shape}; got {a.shape}")
        e = expected.astype(self.dtype if dtype is None else dtype)
        if a.dtype != e.dtype:
            raise Wrong(f"{name}: dtype must be {e.dtype}; got {a.dtype}")
        equal = a == e
        if not equal.all():
            wrong = np.argwhere(~equal)
            where = tuple(int(i) for i in wrong[0])
            raise Wrong(
                f"{name}: {len(wrong)} of {a.size} elements differ, first at {where}: "
                f"got {a[where]}, expected {e[where]}"
            )

    def judge(self, name: str, expected: Array, meant: int) -> None:
        """Whether a pass's expected values say enough; `meant` of them are not zero by right.

        Raises:
            Untrusted: a value that float32 may not hold.
        """
        if expected.size and np.abs(expected).max() >= _EXACT:
            raise Untrusted(f"{name}: values must be below 2^24; got {np.abs(expected).max()}")
        self._meaning.append((name, meant, int(np.count_nonzero(expected))))

    def finish(self) -> None:
        """What is to be checked when all passes were compared.

        Raises:
            Wrong: an input was changed.
            Untrusted: nothing was compared, or less than half of what could differ from 0 does.
        """
        for array, before in self._inputs:
            if not np.array_equal(array, before, equal_nan=array.dtype.kind == "f"):
                raise Wrong("an input was changed")
        judged = [m for m in self._meaning if m[1] >= _FEW]
        whole = [sum(m) for m in zip(*[(m, f) for _, m, f in self._meaning], strict=True)] or [0, 0]
        for name, meant, found in [*judged, ("all passes", whole[0], whole[1])]:
            if found < max(1, (meant + 1) // 2):
                raise Untrusted(f"{name}: {found} of {meant} expected values are not zero")
