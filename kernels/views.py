"""The entries that only make views: the same code on every device's arrays.

NumPy, CuPy and the emulator's device arrays share `reshape`, `transpose`, `__getitem__`, `shape`,
`strides` and `flags`, so no device needs its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["make_views", "view_strides"]


def view_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], new_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Byte strides that show memory of (shape, strides) as `new_shape`, or None if none can.

    Dimensions of the old shape that lie evenly behind one another form a run; a new shape is a view
    if each of its dimensions falls into one run.
    """
    if 0 in shape:
        return (strides[-1] if strides else 1,) * len(new_shape)
    runs: list[tuple[int, int]] = []  # (elements, stride of the innermost)
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    result = [0] * len(new_shape)
    left, step = 1, runs[-1][1] if runs else 1
    for i in range(len(new_shape) - 1, -1, -1):
        size = new_shape[i]
        if size != 1 and left == 1:
            if not runs:
                return None
            left, step = runs.pop()
        result[i] = step
        if left % size:
            return None
        left //= size
        step *= size
    return tuple(result)


def make_views(copy: Callable[..., Any], strided: Callable[..., Any]) -> dict[str, Any]:
    """The view entries of a device.

    `copy(x, dtype)` is its copy kernel, for a reshape that no view can show; `strided(x, shape,
    strides)` makes a view of x with other strides.
    """

    def reshape(x: Any, shape: tuple[int, ...]) -> Any:
        if x.flags.c_contiguous:
            return x.reshape(shape)
        strides = view_strides(x.shape, x.strides, shape)
        if strides is None:
            return copy(x, x.dtype).reshape(shape)
        return strided(x, shape, strides)

    def permute(x: Any, dims: tuple[int, ...]) -> Any:
        return x.transpose(dims)

    def expand(x: Any, shape: tuple[int, ...]) -> Any:
        lead = len(shape) - len(x.shape)
        strides = tuple(
            0 if i < lead or (x.shape[i - lead] == 1 and shape[i] != 1) else x.strides[i - lead]
            for i in range(len(shape))
        )
        return strided(x, shape, strides)

    def slice_(
        x: Any, start: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]
    ) -> Any:
        # An end below zero would count from the back; None is "to the end" for a negative step.
        ends = [a + s * n for a, s, n in zip(start, step, shape, strict=True)]
        if not shape:  # x[()] would be NumPy's scalar
            return x[...]
        return x[
            tuple(
                slice(a, e if e >= 0 else None, s) if n else slice(0, 0)
                for a, e, s, n in zip(start, ends, step, shape, strict=True)
            )
        ]

    def diagonal(x: Any, offset: int, dim1: int, dim2: int) -> Any:
        rows, columns = x.shape[dim1], x.shape[dim2]
        length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
        keep = [d for d in range(len(x.shape)) if d not in (dim1, dim2)]
        if length:
            corner = [slice(None)] * len(x.shape)
            corner[dim1], corner[dim2] = slice(max(-offset, 0), None), slice(max(offset, 0), None)
            x = x[tuple(corner)]
        strides = x.strides
        step = strides[dim1] + strides[dim2]
        shape = tuple([x.shape[d] for d in keep])
        return strided(x, (*shape, length), (*[strides[d] for d in keep], step))

    def windows(x: Any, dim: int, size: int, step: int) -> Any:
        count = (x.shape[dim] - size) // step + 1
        shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
        strides = x.strides
        moved = (*strides[:dim], strides[dim] * step, *strides[dim + 1 :], strides[dim])
        return strided(x, shape, moved)

    return {
        "reshape": reshape,
        "permute": permute,
        "expand": expand,
        "slice": slice_,
        "diagonal": diagonal,
        "windows": windows,
    }
