"""Runs the CUDA kernels on the CPU: the same .cu files, built by g++ against runtime.h.

For tests and for machines without a GPU. Threads of a block are fibers and blocks run one after
another, under a schedule that tests choose: `with schedule("random", seed=3): ...`. What this shows
and what it cannot show stands in cuda_language.h.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from . import build

__all__ = ["COPIES", "ORDERS", "SCHEDULES", "runtime", "schedule"]

#: Who runs next among a block's threads; see `Schedule` in block.h.
ORDERS = ("forward", "reverse", "random", "skewed")
#: When an asynchronous copy lands: when it is waited for, at once, or either.
COPIES = ("late", "early", "either")

#: What a kernel's test runs it under: (order, copies, seed).
SCHEDULES: tuple[tuple[str, str, int], ...] = (
    *((order, copies, 1) for order, copies in itertools.product(ORDERS[:2], COPIES[:2])),
    *(
        (order, copies, seed)
        for order, copies, seed in itertools.product(ORDERS[2:], COPIES[:2], (1, 2, 3))
    ),
    ("random", "either", 4),
    ("skewed", "either", 5),
)

_runtime: ctypes.CDLL | None = None
_settings = ("forward", "late", 1, 60)


def runtime() -> ctypes.CDLL:
    """The runtime's library, built and loaded at the first call; kernels resolve against it."""
    global _runtime
    if _runtime is None:
        library = ctypes.CDLL(str(build.runtime_library()), mode=ctypes.RTLD_GLOBAL)
        library.gs_error.restype = ctypes.c_char_p
        library.gs_configure.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_int]
        library.gs_configure.restype = None
        _runtime = library
        _configure(*_settings)
    return _runtime


def _configure(order: str, copies: str, seed: int, timeout: int) -> None:
    global _settings
    _settings = (order, copies, seed, timeout)
    if _runtime is not None:
        _runtime.gs_configure(ORDERS.index(order), COPIES.index(copies), seed, timeout)


@contextmanager
def schedule(
    order: str = "forward", copies: str = "late", seed: int = 1, timeout: int = 60
) -> Iterator[None]:
    """Runs the launches inside the block under another schedule.

    Args:
        order: one of `ORDERS`.
        copies: one of `COPIES`.
        seed: draws the order of "random" and "skewed" and the copies of "either".
        timeout: seconds without progress after which a block is reported as stuck; 0 is never.
    """
    if order not in ORDERS or copies not in COPIES:
        raise ValueError(
            f"schedule: order must be one of {ORDERS}, copies one of {COPIES}; "
            f"got {order!r}, {copies!r}"
        )
    before = _settings
    _configure(order, copies, seed, timeout)
    try:
        yield
    finally:
        _configure(*before)
