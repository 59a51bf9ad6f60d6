"""How a public function becomes a method of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..tensor import Tensor

__all__ = ["method"]

_F = TypeVar("_F", bound=Callable[..., Any])


def method(*names: str) -> Callable[[_F], _F]:
    """Decorator: the function is also these methods of Tensor; its first argument is self."""

    def install(function: _F) -> _F:
        for name in names:
            if name in Tensor.__dict__ and not name.startswith("__"):
                raise ValueError(f"method: Tensor.{name} exists already")
            setattr(Tensor, name, function)
        return function

    return install
