"""Samplers: in which order a data set is gone through.

Random orders are drawn when iteration begins, from a Generator (by default the global one), so that
`manual_seed` decides them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from ...kernels import table
from ...random import Generator, default_generator

__all__ = [
    "BatchSampler",
    "DistributedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
    "permutation",
    "random_integer",
    "uniform_numbers",
]

_T = TypeVar("_T")


def uniform_numbers(n: int, generator: Generator | None) -> np.ndarray[Any, Any]:
    """Random float64 numbers in [0, 1), n of them."""
    seed, offset = (generator or default_generator).reserve(n)
    return table("cpu").uniform((n,), 0.0, 1.0, seed, offset, np.dtype(np.float64))


def permutation(n: int, generator: Generator | None) -> list[int]:
    """The numbers 0..n-1 in random order: the ranks of random keys."""
    return np.argsort(uniform_numbers(n, generator), kind="stable").tolist()


def random_integer(limit: int, generator: Generator | None) -> int:
    """A random integer in [0, limit), limit at most 2**53."""
    return int(uniform_numbers(1, generator)[0] * limit)


class Sampler(Generic[_T]):
    """The base of all samplers: `__iter__` gives indices, or lists of them for a batch sampler."""

    def __iter__(self) -> Iterator[_T]:
        raise NotImplementedError(f"{type(self).__name__}: the sampler has no __iter__")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ...

    Args:
        data_source: what has the length.
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """A new random order every time.

    Args:
        data_source: what has the length.
        replacement: draw each index anew, so that some come twice.
        num_samples: how many; default: the length.
        generator: default: the default generator.

    Raises:
        TypeError: replacement that is no bool.
        ValueError: num_samples below 1.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement must be a bool; got {replacement!r}")
        _check_int("RandomSampler", "num_samples", num_samples, 1, True)
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator

    @property
    def num_samples(self) -> int:
        """How many indices one iteration gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement:
            return iter((uniform_numbers(wanted, self.generator) * n).astype(np.int64).tolist())
        order: list[int] = []
        while n and len(order) < wanted:
            order += permutation(n, self.generator)
        return iter(order[:wanted])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given indices in a new random order every time.

    Args:
        indices: the indices.
        generator: default: the default generator.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = permutation(len(self.indices), self.generator)
        return iter([self.indices[i] for i in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Random indices, each as likely as its weight says.

    Args:
        weights: numbers >= 0, one for each index; their sum need not be 1.
        num_samples: how many indices one iteration gives.
        replacement: draw each anew; else no index comes twice.
        generator: default: the default generator.

    Raises:
        TypeError: replacement that is no bool, num_samples that is no int.
        ValueError: weights that are no numbers >= 0 with a sum above 0; more samples than weights
            above 0 without replacement.

    Source: without replacement Efraimidis & Spirakis 2006.
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_int("WeightedRandomSampler", "num_samples", num_samples, 1)
        if not isinstance(replacement, bool):
            raise TypeError(
                f"WeightedRandomSampler: replacement must be a bool; got {replacement!r}"
            )
        values = weights.tolist() if hasattr(weights, "tolist") else list(weights)
        self.weights = np.asarray(values, np.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "WeightedRandomSampler: weights must be 1-dimensional; got shape "
                f"{self.weights.shape}"
            )
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise ValueError("WeightedRandomSampler: weights must be finite and >= 0")
        possible = int((self.weights > 0).sum())
        if possible < (1 if replacement else num_samples):
            raise ValueError(
                f"WeightedRandomSampler: num_samples={num_samples} needs as many weights above 0 "
                f"without replacement, one with it; got {possible}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        if self.replacement:
            sums = np.cumsum(self.weights)
            drawn = uniform_numbers(self.num_samples, self.generator) * sums[-1]
            found = np.searchsorted(sums, drawn, side="right")
            return iter(np.minimum(found, np.flatnonzero(self.weights)[-1]).tolist())
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-uniform_numbers(len(self.weights), self.generator)) / self.weights
        keys[self.weights == 0] = np.inf
        return iter(np.argsort(keys, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler[int]):
    """One process's share of a data set that several processes go through together.

    Args:
        dataset: what has the length.
        num_replicas: how many processes there are.
        rank: which one this is, from 0.
        shuffle: a new random order each epoch, the same in all processes.
        seed: of the order, the same in all processes.
        drop_last: leave out what does not divide evenly; else some samples come twice.

    Raises:
        ValueError: a rank that is not in [0, num_replicas).

    Call `set_epoch(epoch)` before each epoch, or the order is always the same.

    Differs from PyTorch: num_replicas and rank must be given; gradsmith has no process groups.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        _check_int("DistributedSampler", "num_replicas", num_replicas, 1)
        _check_int("DistributedSampler", "rank", rank, 0)
        if rank >= num_replicas:
            raise ValueError(f"DistributedSampler: rank must be in [0, {num_replicas}); got {rank}")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        n = len(dataset)
        self.num_samples = n // num_replicas if drop_last else -(-n // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def set_epoch(self, epoch: int) -> None:
        """Makes the next iteration's order that of this epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        generator = Generator().manual_seed(self.seed + self.epoch)
        order = permutation(n, generator) if self.shuffle else list(range(n))
        while order and len(order) < self.total_size:
            order += order[: self.total_size - len(order)]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler, in lists of batch_size.

    Args:
        sampler: gives the indices.
        batch_size: how many a list.
        drop_last: leave out the last list if it is shorter.

    Raises:
        TypeError, ValueError: a batch_size that is no int >= 1, drop_last that is no bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        _check_int("BatchSampler", "batch_size", batch_size, 1)
        if not isinstance(drop_last, bool):
            raise TypeError(f"BatchSampler: drop_last must be a bool; got {drop_last!r}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))  # a random order is drawn now

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def _check_int(name: str, argument: str, value: Any, least: int, optional: bool = False) -> None:
    if optional and value is None:
        return
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: {argument} must be an int; got {value!r}")
    if value < least:
        raise ValueError(f"{name}: {argument} must be >= {least}; got {value}")
