"""What runs in a worker process, and what it knows of itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["WorkerInfo", "get_worker_info"]

# How often a worker without work looks whether its parent is still there, in seconds.
_PARENT_CHECK = 5.0


class WorkerInfo:
    """What a worker process knows of itself.

    Attributes:
        id: its number, from 0.
        num_workers: how many there are.
        seed: what its random numbers were seeded with; another one in each worker and pass.
        dataset: its copy of the data set.
    """

    __slots__ = ("id", "num_workers", "seed", "dataset")

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed})"


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process of a DataLoader what it knows of itself; None elsewhere."""
    return _info


class _KeyErrorMessage(str):
    """A text that KeyError shows as it is, without quotes."""

    def __repr__(self) -> str:
        return str(self)


class Failure:
    """An exception in a worker, on its way to the parent."""

    def __init__(self, error: Exception, worker: int) -> None:
        import pickle
        import traceback

        kind = type(error)
        self.text = (
            f"Caught {kind.__name__} in DataLoader worker process {worker}.\n"
            f"Original {''.join(traceback.format_exception(error))}"
        )
        self.kind: type[Exception] = kind
        try:
            pickle.dumps(kind)
        except Exception:  # a class that only this process has
            self.kind = RuntimeError

    def raise_again(self) -> None:
        """Raises the worker's exception here, with its traceback in the message."""
        text = _KeyErrorMessage(self.text) if self.kind is KeyError else self.text
        error: Exception
        try:
            error = self.kind(text)
        except Exception:  # its constructor wants something else
            error = RuntimeError(text)
        if isinstance(error, StopIteration):  # would end the loop silently
            error = RuntimeError(text)
        raise error


class _Inbox:
    """The tasks that have arrived. A thread reads them, so that the parent never waits to send."""

    def __init__(self, connection: Any) -> None:
        import queue
        import threading

        self.connection = connection
        self.tasks: Any = queue.SimpleQueue()
        #: The pass that the newest task belongs to; older tasks are no longer wanted.
        self.newest = 0
        self.parent = os.getppid()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        from .transport import receive

        try:
            while True:
                while not self.connection.poll(_PARENT_CHECK):
                    if os.getppid() != self.parent:
                        os._exit(1)
                task = receive(self.connection)
                self.newest = -1 if task is None else task[0]
                self.tasks.put(task)
                if task is None:
                    return
        except (EOFError, OSError):  # the parent is gone, and nobody will read what main sends
            os._exit(1)


def run(
    connection: Any,
    inherited: tuple[Any, ...],
    make_fetch: Callable[[], Callable[[Any], Any]],
    info: WorkerInfo,
    init_fn: Callable[[int], Any] | None,
) -> None:
    """A worker's life: takes (pass, indices), answers (pass, kind, batch) until it gets None.

    Args:
        connection: to the parent.
        inherited: the parent's ends, which fork has copied: open here, they would hide its death.
        make_fetch, info, init_fn: as for Workers.
    """
    import random
    import signal

    import numpy as np

    from ..._cpu import set_num_threads
    from ...random import manual_seed
    from .fetch import END
    from .transport import send

    global _info
    _info = info
    for end in inherited:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent ends its workers
    set_num_threads(1)
    random.seed(info.seed)
    manual_seed(info.seed)
    np.random.seed(info.seed % 2**32)
    inbox = _Inbox(connection)
    failure = None
    if init_fn is not None:
        try:
            init_fn(info.id)
        except Exception as error:
            failure = Failure(error, info.id)
    epoch, fetch = 0, None
    while True:
        task = inbox.tasks.get()
        if task is None:
            break
        number, indices = task
        if number != inbox.newest:
            continue
        try:
            if failure is not None:
                send(connection, (number, "failure", failure))
                continue
            try:
                if number != epoch or fetch is None:
                    fetch = make_fetch()
                    epoch = number
                batch = fetch(indices)
                if batch is END:
                    send(connection, (number, "end", None))
                else:
                    send(connection, (number, "batch", batch))
                del batch
            except BrokenPipeError:
                raise
            except Exception as error:
                send(connection, (number, "failure", Failure(error, info.id)))
        except BrokenPipeError:
            break
    connection.close()
