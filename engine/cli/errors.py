"""The error of a command: worded for the person at the terminal, without a traceback."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CommandError", "writable"]


class CommandError(Exception):
    """What went wrong and what to do about it.

    Args:
        message: One or more lines.
        status: The exit status: 2 for wrong arguments, 1 for the rest.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def writable(name: str, path: Path) -> None:
    """Refuses a file that cannot be made: before the work, not after."""
    if path.is_dir():
        raise CommandError(f"{name}: must be a file; {path} is a folder", status=2)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CommandError(f"{name}: the folder {folder} does not exist", status=2)
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise CommandError(f"{name}: {path} cannot be written: permission denied", status=2)
