"""Fetch: from a data set and indices to a batch; what the loader and its workers have in common."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from .collate import default_collate
from .dataset import gathered

__all__ = ["END", "Fetch"]

#: What Fetch returns when an IterableDataset has no more samples.
END = object()


class Fetch:
    """Makes batches of one pass over a data set.

    Args:
        dataset: the data set.
        iterable: it is an IterableDataset: indices only say how many samples are wanted.
        batched: indices are lists, and a list of samples is collated; else each stands for one.
        collate_fn: makes a batch of a list of samples, or converts a single one.
        drop_last: an IterableDataset's last batch is left out if it is shorter.
    """

    def __init__(
        self,
        dataset: Any,
        iterable: bool,
        batched: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self.samples = iter(dataset) if iterable else None
        self.batched = batched
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def __call__(self, indices: Any) -> Any:
        """The batch of these indices, or END."""
        if self.samples is not None:
            return self._next_batch(self.samples, indices)
        dataset = self.dataset
        if not self.batched:
            return self.collate_fn(dataset[indices])
        if self.collate_fn is default_collate:
            batch = gathered(dataset, indices)
            if batch is not None:
                return batch
        many = getattr(dataset, "__getitems__", None)
        data = [dataset[i] for i in indices] if many is None else many(indices)
        return self.collate_fn(data)

    def _next_batch(self, samples: Any, indices: Any) -> Any:
        wanted = len(indices) if self.batched else 1
        data = list(islice(samples, wanted))
        if not data or (self.drop_last and self.batched and len(data) < wanted):
            return END
        return self.collate_fn(data if self.batched else data[0])
