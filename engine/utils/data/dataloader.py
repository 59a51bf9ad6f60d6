"""DataLoader: batches of a data set, made here or in worker processes."""

from __future__ import annotations

import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ...random import Generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import END, Fetch
from .sampler import BatchSampler, RandomSampler, SequentialSampler, random_integer

__all__ = ["DataLoader"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless:
    """The sampler of an IterableDataset, which has no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader:
    """Batches of a data set, in an order that the seed decides; the same with any num_workers.

    Args:
        dataset: a Dataset, or an IterableDataset.
        batch_size: samples a batch; None: single samples, not collated.
        shuffle: a new random order every pass.
        sampler: gives the indices instead.
        batch_sampler: gives lists of indices instead.
        num_workers: how many processes make batches ahead; 0: none, they are made when asked for.
        collate_fn: makes a batch of a list of samples.
        pin_memory: not yet of use.
        drop_last: leave out the last batch if it is shorter.
        timeout: seconds to wait for a batch from a worker; 0: for ever.
        worker_init_fn: is called with its number in each worker first.
        multiprocessing_context: how workers are started; default: "fork".
        generator: of the random order and the workers' seeds; default: the default generator.
        prefetch_factor: batches that each worker makes ahead; default: 2.
        persistent_workers: keep the workers for the next pass.
        pin_memory_device: not yet of use.
        in_order: batches always come in order; False is accepted.

    Raises:
        ValueError, TypeError: options out of their range, or that exclude one another.
        RuntimeError: while iterating: a worker died or took longer than the timeout. An exception
            in a worker is raised here with the worker's traceback in its message.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(
            num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context
        )
        if pin_memory:
            warnings.warn("DataLoader: pin_memory has no effect yet", UserWarning, stacklevel=2)
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, value in (
                ("shuffle", shuffle or None),
                ("sampler", sampler),
                ("batch_sampler", batch_sampler),
            ):
                if value is not None:
                    raise ValueError(
                        f"DataLoader: an IterableDataset has its own order; got {name}={value!r}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler excludes shuffle; got both")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler excludes batch_size, shuffle, sampler, drop_last; "
                    f"got batch_size={batch_size}, shuffle={shuffle}, sampler={sampler!r}, "
                    f"drop_last={drop_last}"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last needs a batch_size; got batch_size=None")
        if sampler is None:
            if self._iterable:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self._iterator: _WorkerIterator | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and self.__dict__.get("_ready"):
            raise ValueError(f"DataLoader: {name} cannot be set after construction")
        object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        if not self.num_workers:
            return _LocalIterator(self)
        kept = self._iterator
        if kept is None or kept.workers.ended is not None:
            iterator = _WorkerIterator(self)
            if self.persistent_workers:
                self._iterator = iterator
            return iterator
        kept.restart(self)
        return kept

    def __len__(self) -> int:
        """How many batches one pass gives.

        Raises:
            TypeError: the data set has no length.
        """
        if not self._iterable:
            indices = self.sampler if self.batch_sampler is None else self.batch_sampler
            return len(indices)  # type: ignore[arg-type]
        n = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _indices(self) -> Iterator[Any]:
        """The indices of one pass, batch by batch; a random order is drawn now."""
        return iter(self.sampler if self.batch_sampler is None else self.batch_sampler)

    def _make_fetch(self) -> Callable[[], Fetch]:
        """What makes the Fetch of a pass, here or in a worker."""
        return partial(
            Fetch,
            self.dataset,
            self._iterable,
            self.batch_sampler is not None,
            self.collate_fn,
            self.drop_last,
        )


def _check_workers(
    num_workers: Any, timeout: Any, prefetch_factor: Any, persistent_workers: bool, context: Any
) -> None:
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
        raise ValueError(f"DataLoader: num_workers must be an int >= 0; got {num_workers!r}")
    if not timeout >= 0:
        raise ValueError(f"DataLoader: timeout must be >= 0; got {timeout}")
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"DataLoader: prefetch_factor must be >= 1; got {prefetch_factor}")
    if num_workers == 0:
        for name, value in (
            ("prefetch_factor", prefetch_factor),
            ("persistent_workers", persistent_workers or None),
            ("multiprocessing_context", context),
        ):
            if value is not None:
                raise ValueError(f"DataLoader: {name} needs num_workers > 0; got {name}={value!r}")


class _LocalIterator:
    """One pass whose batches are made in this process."""

    def __init__(self, loader: DataLoader) -> None:
        # A seed is drawn as for workers, so that the order does not depend on num_workers.
        random_integer(2**53, loader.generator)
        self.indices = loader._indices()
        self.fetch = loader._make_fetch()()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self.fetch(next(self.indices))
        if batch is END:
            raise StopIteration
        return batch


class _WorkerIterator:
    """One pass whose batches are made by workers, in turns; with persistent workers every pass."""

    def __init__(self, loader: DataLoader) -> None:
        from .processes import Workers

        seed = random_integer(2**53, loader.generator)
        self.workers = Workers(
            loader.num_workers,
            loader._make_fetch(),
            loader.dataset,
            seed,
            loader.worker_init_fn,
            loader.multiprocessing_context,
            loader.timeout,
        )
        self.epoch = 0
        weakref.finalize(self, self.workers.end)
        self._begin(loader)

    def restart(self, loader: DataLoader) -> None:
        """Begins the next pass with the same workers."""
        random_integer(2**53, loader.generator)
        self._begin(loader)

    def _begin(self, loader: DataLoader) -> None:
        self.epoch += 1
        self.persistent = loader.persistent_workers
        self.indices = loader._indices()
        self.turn = 0
        self.exhausted: set[int] = set()  # workers whose IterableDataset has ended
        self.pending: deque[int] = deque()  # which worker has each batch that is to come
        for _ in range((loader.prefetch_factor or 1) * loader.num_workers):
            self._submit()

    def _submit(self) -> None:
        """Gives the next worker in turn the next indices."""
        count = len(self.workers.processes)
        if len(self.exhausted) == count:
            return
        try:
            indices = next(self.indices)
        except StopIteration:
            return
        while self.turn in self.exhausted:
            self.turn = (self.turn + 1) % count
        self.workers.submit(self.turn, self.epoch, indices)
        self.pending.append(self.turn)
        self.turn = (self.turn + 1) % count

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while self.pending:
            worker = self.pending[0]
            if worker in self.exhausted:
                self.pending.popleft()
                continue
            kind, content = self.workers.answer(worker, self.epoch)
            self.pending.popleft()
            if kind == "end":
                self.exhausted.add(worker)
            self._submit()
            if kind == "failure":
                content.raise_again()
            if kind == "batch":
                return content
        if not self.persistent:
            self.workers.end()
        raise StopIteration
