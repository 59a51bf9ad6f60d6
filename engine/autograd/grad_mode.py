"""Whether ops are recorded: a setting of each thread."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from .. import _cpu

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "mode",
    "no_grad",
    "set_grad_enabled",
]

_F = TypeVar("_F", bound=Callable[..., Any])


#: `enabled`: ops are recorded; `inference`: inside inference_mode(). Each thread's own.
mode = _cpu.grad_mode
_current = mode  # where `mode` is an argument's name


def is_grad_enabled() -> bool:
    """Whether ops of this thread are recorded for a backward pass."""
    return mode.enabled


class set_grad_enabled:
    """Sets whether ops are recorded, at once and, as a context manager, until the block ends."""

    def __init__(self, mode: bool) -> None:
        self._before = _current.enabled
        self._wanted = bool(mode)
        _current.enabled = self._wanted

    def __enter__(self) -> None:
        _current.enabled = self._wanted

    def __exit__(self, *_: object) -> None:
        _current.enabled = self._before

    def __call__(self, function: _F) -> _F:
        """As a decorator: the mode is set in the function only."""
        _current.enabled = self._before

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with set_grad_enabled(self._wanted):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class _Decorator:
    """What the compiled blocks lack: they enter and leave, and may be entered inside themselves."""

    __slots__ = ()

    def __call__(self, function: _F) -> _F:
        """As a decorator: the mode is set in the function only."""
        block: Any = type(self)  # whose base enters and leaves

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with block():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_cpu.NoGrad, _Decorator):
    """In its block, or in the function it decorates, ops are not recorded.

    Shape: results have requires_grad=False. Use it to evaluate a model or to update parameters.
    """

    __slots__ = ()


class enable_grad(_cpu.EnableGrad, _Decorator):
    """In its block, or in the function it decorates, ops are recorded again."""

    __slots__ = ()


class inference_mode:
    """In its block, or in the function it decorates, ops are not recorded, as under no_grad.

    Differs from PyTorch: the tensors made inside are ordinary ones, which later ops may record.

    Args:
        mode: False: ops are recorded, and is_inference_mode_enabled is false.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Also the decorator without parentheses, whose function comes as `mode`."""
        self = super().__new__(cls)
        if callable(mode):  # @inference_mode without parentheses
            self._wanted, self._before = True, []
            return self(mode)
        return self

    def __init__(self, mode: bool = True) -> None:
        self._wanted = bool(mode)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((mode.enabled, mode.inference))
        mode.enabled, mode.inference = not self._wanted, self._wanted

    def __exit__(self, *_: object) -> None:
        mode.enabled, mode.inference = self._before.pop()

    def __call__(self, function: _F) -> _F:
        """As a decorator: the mode is set in the function only."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with inference_mode(self._wanted):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside inference_mode()."""
    return mode.inference
