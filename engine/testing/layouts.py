"""Arrays that lie in memory in every awkward way, and runs at every ISA and number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import _cpu
from .comparing import same_bytes

LAYOUTS = (
    "plain",
    "transposed",
    "reversed",
    "stepped",
    "expanded",
    "expanded rows",
    "misaligned",
    "offset",
)
THREADS = (1, 2, 3, 7)


def lay_out(values: np.ndarray, layout: str) -> np.ndarray:
    """`values` (or, where a stride is 0, a part of them repeated) as a view that lies as named."""
    values = np.asarray(values)
    if values.ndim == 0 and layout != "misaligned":
        return values.copy()
    if layout == "transposed":
        return np.ascontiguousarray(values.T).T
    if layout == "reversed":
        flip = (slice(None, None, -1),) * values.ndim
        return np.ascontiguousarray(values[flip])[flip]
    if layout == "stepped":
        room = np.zeros(tuple(3 * n for n in values.shape), values.dtype)
        room[(slice(1, None, 3),) * values.ndim] = values
        return room[(slice(1, None, 3),) * values.ndim]
    if layout == "expanded" and values.ndim and values.shape[-1]:
        return np.broadcast_to(values[..., :1], values.shape)
    if layout == "expanded rows" and values.ndim and values.shape[0]:
        return np.broadcast_to(values[:1], values.shape)
    if layout == "misaligned":
        room = np.zeros(values.nbytes + 1, np.uint8)
        view = room[1:].view(values.dtype).reshape(values.shape)
        view[...] = values
        return view
    if layout == "offset":  # aligned to the element, not to a vector
        room = np.zeros(values.size + 3, values.dtype)
        view = room[3:].reshape(values.shape)
        view[...] = values
        return view
    return values.copy()


def dense(x: np.ndarray) -> bool:
    """Whether the elements lie side by side, in whatever order of dimensions."""
    dims = [(n, stride) for n, stride in zip(x.shape, x.strides, strict=True) if n > 1]
    step = x.itemsize
    for n, stride in sorted(dims, key=lambda dim: dim[1]):
        if stride != step:
            return x.size == 0
        step *= n
    return True


def unchanged(*arrays: Any) -> Callable[[], None]:
    """Call the result to assert that the arrays hold what they held."""
    before = [a.tobytes() for a in arrays]

    def check() -> None:
        for array, data in zip(arrays, before, strict=True):
            assert same_bytes(array, data), "an input was changed"

    return check


def same_bits(run: Callable[[], Any]) -> Any:
    """The result of `run`, which must have the same bits at every number of threads."""
    before = _cpu.num_threads()
    try:
        results = []
        for n in THREADS:
            _cpu.set_num_threads(n)
            result = run()
            results.append(result if isinstance(result, (tuple, list)) else (result,))
    finally:
        _cpu.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert same_bytes(a, b), "the bits depend on the number of threads"
    return results[0] if len(results[0]) > 1 else results[0][0]


def every_place(dtype: Any, values: tuple[float, ...], sizes: tuple[int, ...]) -> Iterator[Any]:
    """(array, place): arrays of the sizes with one of the values at each place in turn."""
    for size in sizes:
        for value in values:
            for place in range(size):
                x = np.linspace(-2, 2, size).astype(dtype)
                x[place] = value
                yield x, place
