"""The process of `gradsmith validate` with three ops more in its database; see test_validate.py."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from typing import Any

from gradsmith.testing import find_ops, grid, isolation


def aborts(lib: Any, x: Any) -> Any:
    """Ends the process on one of the samples."""
    if tuple(x.shape) == (7,):
        os.abort()
    return lib.relu(x)


def hangs(lib: Any, x: Any) -> Any:
    """Has no end on one of the samples."""
    while tuple(x.shape) == (7,):
        time.sleep(0.01)
    return lib.relu(x)


def exits(lib: Any, x: Any) -> Any:
    """Leaves on one of the samples."""
    print("no answer, but words")
    if tuple(x.shape) == (7,):
        os._exit(3)
    return lib.relu(x)


OPS = tuple(
    dataclasses.replace(find_ops("relu")[0], name=call.__name__, call=call)
    for call in (aborts, exits, hangs)
)


def cases(argument: str) -> None:
    """With "grid": case 2 of it ends the process."""
    real = grid.run_case

    def run_case(family: str, index: int, device: str) -> Any:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(family, index, device)

    if argument == "grid":
        grid.run_case = run_case


if __name__ == "__main__":
    cases(sys.argv[1])
    known = isolation.op_infos
    isolation.op_infos = lambda: (*known(), *OPS)  # type: ignore[assignment]
    isolation.serve(float(sys.argv[-1]))
