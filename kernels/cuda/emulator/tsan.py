"""Runs a script with the emulator's kernels under ThreadSanitizer: a true race detector.

Barriers, warp functions and the launch are its happens-before edges, so it finds a race that no
schedule shows (a plain `+=` on global memory, say). `run("script.py", ...)` starts a subprocess:
the sanitizer must be there before Python starts, and needs address randomisation off.
"""

from __future__ import annotations

import ctypes
import functools
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence

from . import build

__all__ = ["RACE_EXIT_CODE", "available", "run"]

#: The exit code of a script in which a race was found.
RACE_EXIT_CODE = 66
_NO_RANDOM_ADDRESSES = 0x0040000  # ADDR_NO_RANDOMIZE


def _library() -> str:
    """The compiler's libtsan, or "" if it has none."""
    command = [*build.compiler()[0], "-print-file-name=libtsan.so"]
    path = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return os.path.realpath(path) if os.path.isabs(path) and os.path.exists(path) else ""


@functools.cache
def available() -> bool:
    """Whether the compiler has ThreadSanitizer's library and this machine lets it run."""
    if not _library():
        return False
    try:
        return _start(["-c", "pass"], timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def run(script: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs a Python script whose launches are watched; races are in `stderr`."""
    return _start(["-m", __spec__.name, script, *arguments], timeout)


def _start(arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs Python with the sanitizer's library loaded first."""
    libc = ctypes.CDLL(None)
    environment = dict(os.environ)
    environment["LD_PRELOAD"] = _library()
    environment["TSAN_OPTIONS"] = (
        f"exitcode={RACE_EXIT_CODE} report_thread_leaks=0 die_after_fork=0 "
        + environment.get("TSAN_OPTIONS", "")
    )
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        preexec_fn=lambda: libc.personality(_NO_RANDOM_ADDRESSES),
    )


def main(arguments: Sequence[str]) -> None:
    build.sanitizer = "thread"
    # g++ runs without the sanitizer that this process was started with.
    os.environ.pop("LD_PRELOAD", None)
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
