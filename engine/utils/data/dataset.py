"""Data sets: what has a length and gives a sample for an index, or what can be iterated over."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from ...random import Generator
from ...tensor import Tensor
from .sampler import permutation

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "gathered",
    "k_fold",
    "random_split",
]

_T = TypeVar("_T")


class Dataset(Generic[_T]):
    """The base of data sets with `__getitem__(index)` and, for most uses, `__len__`.

    A data set may also have `__getitems__(indices)`, which returns the samples of a whole batch.
    """

    def __getitem__(self, index: Any) -> _T:
        raise NotImplementedError(f"{type(self).__name__}: the data set has no __getitem__")

    def __add__(self, other: Dataset[_T]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[_T]):
    """The base of data sets that can only be iterated over: streams.

    With several workers each has a copy of it: `get_worker_info` tells it which part is its own.
    """

    def __iter__(self) -> Iterator[_T]:
        raise NotImplementedError(f"{type(self).__name__}: the data set has no __iter__")

    def __add__(self, other: Dataset[_T]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[Any]):
    """Samples are (t[i] for each tensor t).

    Args:
        tensors: their first dimensions must be equal.

    Raises:
        TypeError: something other than tensors.
        ValueError: first dimensions that differ, or no tensors.
    """

    def __init__(self, *tensors: Tensor) -> None:
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"TensorDataset: tensors must be tensors; got {type(t).__name__} "
                    "(convert with gradsmith.from_numpy)"
                )
        if not tensors or not all(t.ndim and t.shape[0] == tensors[0].shape[0] for t in tensors):
            raise ValueError(
                "TensorDataset: tensors must have one first dimension in common; got shapes "
                f"{[tuple(t.shape) for t in tensors]}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class ChainDataset(IterableDataset[_T]):
    """Streams one after another.

    Args:
        datasets: IterableDatasets.

    Raises:
        TypeError: while iterating: something else.
    """

    def __init__(self, datasets: Iterable[Dataset[_T]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[_T]:
        for d in self.datasets:
            if not isinstance(d, IterableDataset):
                raise TypeError(
                    f"ChainDataset: data sets must be IterableDatasets; got {type(d).__name__} "
                    "(use ConcatDataset)"
                )
            yield from d

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)  # type: ignore[arg-type]


class StackDataset(Dataset[Any]):
    """Data sets side by side: a sample is a tuple, or a dict, of a sample of each.

    Args:
        args: data sets of one length; or
        kwargs: data sets by name, for samples that are dicts.

    Raises:
        ValueError: lengths that differ, no data sets, or some with and some without a name.
    """

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError(
                "StackDataset: give data sets either all with names or all without; got "
                + ("both" if args else "none")
            )
        self.datasets: Any = kwargs or args
        lengths = [len(d) for d in self._all()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: data sets must have one length; got {lengths}")
        self._length = lengths[0]

    def _all(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: d[index] for name, d in self.datasets.items()}
        return tuple([d[index] for d in self.datasets])

    def __getitems__(self, indices: list[int]) -> list[Any]:
        columns = []
        for d in self._all():
            many = getattr(d, "__getitems__", None)
            column = many(indices) if many is not None else [d[i] for i in indices]
            if len(column) != len(indices):
                raise ValueError(
                    f"StackDataset: __getitems__ must give {len(indices)} samples; "
                    f"got {len(column)}"
                )
            columns.append(column)
        rows = zip(*columns, strict=True)
        if isinstance(self.datasets, dict):
            return [dict(zip(self.datasets, row, strict=True)) for row in rows]
        return list(rows)

    def __len__(self) -> int:
        return self._length


class Subset(Dataset[_T]):
    """The samples of another data set at some indices.

    Args:
        dataset: the whole.
        indices: which samples, in which order.
    """

    def __init__(self, dataset: Dataset[_T], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> _T:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[_T]:
        chosen = [self.indices[i] for i in indices]
        many = getattr(self.dataset, "__getitems__", None)
        return many(chosen) if many is not None else [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[_T]):
    """Data sets one after another.

    Args:
        datasets: at least one, each with a length.

    Raises:
        ValueError: no data sets.
        TypeError: an IterableDataset.

    Attributes:
        cumulative_sizes: where each ends.
    """

    def __init__(self, datasets: Iterable[Dataset[_T]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: datasets must not be empty")
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise TypeError("ConcatDataset: an IterableDataset has no indices")
        self.cumulative_sizes = list(accumulate(len(d) for d in self.datasets))  # type: ignore

    def __getitem__(self, index: int) -> _T:
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"ConcatDataset: index must be in [{-n}, {n}); got {index}")
        index += n if index < 0 else 0
        i = bisect_right(self.cumulative_sizes, index)
        return self.datasets[i][index - (self.cumulative_sizes[i - 1] if i else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Dataset[_T], lengths: Sequence[float], generator: Generator | None = None
) -> list[Subset[_T]]:
    """Splits a data set at random into parts that have no sample in common.

    Args:
        dataset: what to split.
        lengths: how many samples each part has; or fractions whose sum is 1, where what rounding
            leaves over goes to the first parts, one each.
        generator: default: the default generator.

    Raises:
        ValueError: lengths that do not sum up to the data set's, fractions out of [0, 1].
    """
    n = len(dataset)  # type: ignore[arg-type]
    counts = list(lengths)
    total = math.fsum(counts)
    if math.isclose(total, 1) and total <= 1:
        for i, fraction in enumerate(counts):
            if not 0 <= fraction <= 1:
                raise ValueError(
                    f"random_split: fractions must be in [0, 1]; got {fraction} at {i}"
                )
        counts = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != n or any(c < 0 for c in counts):
        raise ValueError(
            f"random_split: lengths must sum up to the length of the data set, {n}; "
            f"got {list(lengths)}"
        )
    order = permutation(n, generator)
    ends = list(accumulate(int(c) for c in counts))
    return [Subset(dataset, order[end - int(c) : end]) for c, end in zip(counts, ends, strict=True)]


def k_fold(
    dataset: Dataset[_T], k: int, shuffle: bool = True, generator: Generator | None = None
) -> list[tuple[Subset[_T], Subset[_T]]]:
    """Splits a data set into k parts for cross-validation.

    Args:
        dataset: what to split.
        k: how many parts, at least 2; their lengths differ by at most 1.
        shuffle: into random parts; else into neighbouring samples.
        generator: of the random order; default: the default generator.

    Returns:
        k pairs (training, validation): each part is the validation of one pair, and the others are
        its training.

    Raises:
        TypeError: k that is no int.
        ValueError: k below 2 or above the number of samples.

    PyTorch has no such function.
    """
    n = len(dataset)  # type: ignore[arg-type]
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"k_fold: k must be an int; got {k!r}")
    if not 2 <= k <= n:
        raise ValueError(f"k_fold: k must be in [2, {n}], the number of samples; got {k}")
    order = permutation(n, generator) if shuffle else list(range(n))
    ends = list(accumulate(n // k + (i < n % k) for i in range(k)))
    folds = []
    for first, last in zip([0, *ends], ends, strict=False):
        training = order[:first] + order[last:]
        folds.append((Subset(dataset, training), Subset(dataset, order[first:last])))
    return folds


def gathered(dataset: Any, indices: list[int]) -> list[Tensor] | None:
    """The batch that default_collate would make of the samples, gathered at once; None: cannot.

    For a TensorDataset on the CPU, and Subsets of one. It is the same batch, many times faster.
    """
    if type(dataset) is Subset:
        return gathered(dataset.dataset, [dataset.indices[i] for i in indices])
    if not isinstance(dataset, TensorDataset):
        return None
    own = type(dataset)
    if own.__getitem__ is not TensorDataset.__getitem__ or hasattr(own, "__getitems__"):
        return None
    tensors = dataset.tensors
    if not all(isinstance(t._data, np.ndarray) and not t._requires_grad for t in tensors):
        return None
    where = np.asarray(indices, dtype=np.int64)
    return [Tensor._make(t._data.take(where, axis=0)) for t in tensors]
