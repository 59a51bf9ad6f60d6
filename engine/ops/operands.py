"""What functions of several families check and return: tensors, and values with their indices."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from ..tensor import Tensor

__all__ = ["ValuesIndices", "need_tensors", "own_index_errors"]

_F = TypeVar("_F", bound=Callable[..., Any])


class ValuesIndices(NamedTuple):
    """What max, min, sort and topk along a dimension give."""

    values: Tensor
    indices: Tensor


def need_tensors(name: str, **arguments: Any) -> None:
    """Raises TypeError, naming the argument, for what is not a tensor."""
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument} must be a tensor; got {type(value).__name__}")


def own_index_errors(function: _F) -> _F:
    """Decorator: an index out of range is refused in this function's name, not an inner op's."""

    @wraps(function)
    def named(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except IndexError as error:
            inner, found, rest = str(error).partition(": index out of range")
            if not found or inner == function.__name__:
                raise
            raise IndexError(f"{function.__name__}{found}{rest}") from None

    return cast(_F, named)
