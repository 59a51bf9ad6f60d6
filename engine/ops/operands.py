"""The check that arguments are tensors, for functions that look inside them."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

__all__ = ["need_tensors"]


def need_tensors(name: str, **arguments: Any) -> None:
    """Raises TypeError, naming the argument, for what is not a tensor."""
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument} must be a tensor; got {type(value).__name__}")
