"""The worker processes as the parent sees them: start, send, receive, notice their death, end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from .transport import receive, send
from .worker import WorkerInfo, run

__all__ = ["Workers"]

# How long workers may take to finish what they are at when they are told to end, in seconds.
_GRACE = 5.0


def _context(wanted: Any) -> Any:
    """The multiprocessing context: "fork" unless another start method was chosen."""
    if wanted is None:
        wanted = multiprocessing.get_start_method(allow_none=True) or "fork"
    return multiprocessing.get_context(wanted) if isinstance(wanted, str) else wanted


class Workers:
    """Worker processes, each with a connection of its own.

    A worker answers its tasks in order, so the answers need no numbers: the parent knows which
    worker has the batch that is next. Answers of an earlier pass are thrown away.

    Args:
        count: how many.
        make_fetch: makes the Fetch of a pass; called in the worker.
        dataset: the data set, for WorkerInfo.
        seed: worker i's is seed + i.
        init_fn: is called first, in the worker, with its number.
        context: a multiprocessing context or start method; None: fork.
        timeout: seconds to wait for an answer; 0: for ever.
    """

    def __init__(
        self,
        count: int,
        make_fetch: Callable[[], Any],
        dataset: Any,
        seed: int,
        init_fn: Callable[[int], Any] | None,
        context: Any,
        timeout: float,
    ) -> None:
        self.timeout = timeout
        self.owner = os.getpid()
        self.connections: list[Any] = []
        self.processes: list[Any] = []
        #: Why there are no workers any more.
        self.ended: str | None = None
        context = _context(context)
        try:
            for i in range(count):
                ours, theirs = context.Pipe(duplex=True)
                self.connections.append(ours)
                info = WorkerInfo(i, count, seed + i, dataset)
                forked = context.get_start_method() == "fork"
                inherited = tuple(self.connections) if forked else ()
                process = context.Process(
                    target=run, args=(theirs, inherited, make_fetch, info, init_fn), daemon=True
                )
                with warnings.catch_warnings():
                    # The pool of kernel threads is made for fork, the child starts its own.
                    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork")
                    process.start()
                self.processes.append(process)
                theirs.close()
        except BaseException:
            self.end("a worker could not be started")
            raise

    def submit(self, worker: int, epoch: int, indices: Any) -> None:
        """Gives a worker a task."""
        try:
            send(self.connections[worker], (epoch, indices))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is dead: `answer` will say so

    def answer(self, worker: int, epoch: int) -> tuple[str, Any]:
        """The next answer of a worker in this pass: its kind and content.

        Raises:
            RuntimeError: the worker died, or took longer than the timeout.
        """
        if self.ended is not None:
            raise RuntimeError(f"DataLoader: the workers have ended: {self.ended}")
        connection, process = self.connections[worker], self.processes[worker]
        deadline = time.monotonic() + self.timeout if self.timeout else None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = wait([connection, process.sentinel], left)
            if not ready:
                why = f"worker {worker} gave no batch within timeout={self.timeout} seconds"
                self.end(why, grace=0.0)
                raise RuntimeError(f"DataLoader: {why}")
            if connection not in ready and not connection.poll(0):
                raise self._died(worker)
            try:
                number, kind, content = receive(connection)
            except (EOFError, ConnectionResetError):
                raise self._died(worker) from None
            except BaseException:  # Ctrl-C, say: half a message may have been read
                self.end("receiving a batch was interrupted")
                raise
            if number == epoch:
                return kind, content

    def _died(self, worker: int) -> RuntimeError:
        """Ends the others; the error that says how this one ended."""
        process = self.processes[worker]
        process.join(_GRACE)
        code = process.exitcode
        how = f"exited with code {code}"
        if code is not None and code < 0:
            how = f"was ended by signal {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (as the system does when memory runs out)"
        why = f"worker {worker} (pid {process.pid}) {how}"
        self.end(why)
        return RuntimeError(f"DataLoader: {why}")

    def end(self, why: str = "they were shut down", grace: float | None = None) -> None:
        """Ends the workers: asks them to, then makes them."""
        if self.ended is not None or os.getpid() != self.owner:
            return
        self.ended = why
        for connection in self.connections:
            try:
                send(connection, None)
            except OSError:
                pass
        deadline = time.monotonic() + (_GRACE if grace is None else grace)
        running = list(zip(self.connections, self.processes, strict=False))
        while running and (left := deadline - time.monotonic()) > 0:
            # A worker may be in the middle of sending a batch: read it away.
            ready = wait([c for c, _ in running] + [p.sentinel for _, p in running], left)
            still = []
            for connection, process in running:
                if process.sentinel in ready:
                    continue
                if connection in ready and not _drained(connection):
                    process.join(max(0.0, deadline - time.monotonic()))
                    continue
                still.append((connection, process))
            running = still
        for stop in ("terminate", "kill"):
            for process in self.processes:
                if process.is_alive():
                    getattr(process, stop)()
            for process in self.processes:
                process.join(1.0)
        for connection in self.connections:
            connection.close()


def _drained(connection: Any) -> bool:
    """Reads what has arrived and drops it; False at the end."""
    try:
        return bool(os.read(connection.fileno(), 1 << 20))
    except OSError:
        return False
