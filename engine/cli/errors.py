"""The error of a command: worded for the person at the terminal, without a traceback."""

from __future__ import annotations

__all__ = ["CommandError"]


class CommandError(Exception):
    """What went wrong and what to do about it.

    Args:
        message: One or more lines.
        status: The exit status: 2 for wrong arguments, 1 for the rest.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
