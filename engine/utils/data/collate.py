"""How samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...dtype import float64
from ...ops.creation import from_numpy, tensor
from ...ops.view import cat, unsqueeze
from ...tensor import Tensor

__all__ = ["default_collate", "default_convert"]


def default_convert(data: Any) -> Any:
    """NumPy arrays and scalars as tensors, also inside mappings and sequences; the rest as is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in "SUO" else from_numpy(data)
    if isinstance(data, np.generic) and data.dtype.kind not in "SUO":
        return tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[default_convert(value) for value in data])
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """The samples as one batch, with a new first dimension.

    Tensors and arrays are stacked; ints become an int64, floats a float64 tensor; mappings and
    sequences are gone into; strings and bytes stay a list.

    Raises:
        TypeError: samples of another type.
        RuntimeError: tensors of different shapes, sequences of different lengths.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        if first.dtype.kind in "SUO":
            raise TypeError(
                f"default_collate: arrays must be of numbers; got dtype {first.dtype} "
                "(give a collate_fn)"
            )
        return from_numpy(_stack([np.asarray(sample) for sample in batch]))
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return list(batch) if not isinstance(batch, list) else batch
    if isinstance(first, Mapping):
        columns = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return _like(first, columns)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*[default_collate(column) for column in _columns(batch)])
    if isinstance(first, Sequence):
        columns = [default_collate(column) for column in _columns(batch)]
        return columns if isinstance(first, (tuple, list)) else _like(first, columns)
    raise TypeError(
        "default_collate: samples must be tensors, arrays, numbers, strings, mappings or sequences "
        f"of them; got {type(first).__name__} (give a collate_fn)"
    )


def _columns(batch: Sequence[Any]) -> list[list[Any]]:
    n = len(batch[0])
    for i, sample in enumerate(batch):
        if len(sample) != n:
            raise RuntimeError(
                "default_collate: samples must have as many elements; "
                f"got {n} in the first, {len(sample)} in sample {i}"
            )
    return [[sample[i] for sample in batch] for i in range(n)]


def _stacked(batch: Sequence[Tensor]) -> Tensor:
    """Tensors as one, along a new first dimension."""
    arrays = []
    for t in batch:
        if not isinstance(t, Tensor):
            raise TypeError(
                f"default_collate: samples must be of one type; got Tensor, {type(t).__name__}"
            )
        arrays.append(t._data)
    if all(isinstance(a, np.ndarray) for a in arrays) and not any(t._requires_grad for t in batch):
        return from_numpy(_stack(arrays))
    return cat([unsqueeze(t, 0) for t in batch], 0)


def _stack(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    shape = arrays[0].shape
    for i, a in enumerate(arrays):
        if a.shape != shape:
            raise RuntimeError(
                "default_collate: samples must have one shape; "
                f"got {shape} in the first, {a.shape} in sample {i}"
            )
    return np.stack(arrays)


def _like(original: Any, content: Any) -> Any:
    """`content` as a collection of the original's type, if that can be made of it."""
    if type(original) is type(content):
        return content
    try:
        return type(original)(content)
    except TypeError:
        return content
