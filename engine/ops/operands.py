"""What functions of several families check and return: tensors, and values with their indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from ..tensor import Tensor

__all__ = ["ValuesIndices", "need_tensors", "own_errors"]

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


def own_errors(function: _F) -> _F:
    """Decorator: what is refused inside is refused in this function's name, and in words.

    That is a dim or an index out of range, and whatever comes of an argument that must be a tensor
    and is none. The function's annotations say which must, and they are read only then.
    """

    @wraps(function)
    def named(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            said = _in_own_words(function, args, options, error)
            if said is error:
                raise
            raise said from None

    return cast(_F, named)


def _in_own_words(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], error: Exception
) -> Exception:
    """The error that the function's caller can understand; the same one where it is one already."""
    name = function.__name__.removeprefix("_")
    inner, colon, rest = str(error).partition(": ")
    if colon and inner == name:
        return error
    if isinstance(error, IndexError):
        return IndexError(f"{name}: {rest}") if inner.isidentifier() and colon else error
    from inspect import Parameter, signature  # not while gradsmith is imported

    try:
        bound = signature(function).bind(*args, **options)
    except TypeError:  # arguments too few or too many: Python's words name the function
        return error
    for argument, value in bound.arguments.items():
        parameter = bound.signature.parameters[argument]
        wanted = str(parameter.annotation)
        several = parameter.kind is Parameter.VAR_POSITIONAL
        for one in value if several else (value,):
            wrong = _no_tensor(wanted, one)
            if wrong:
                return TypeError(f"{name}: {argument} must {wrong}")
    return error


#: Types in annotations, beside tensors, that a value may be of.
_ALSO: dict[str, Any] = {
    "None": type(None),
    "bool": bool,
    "float": (int, float, np.integer, np.floating),
    "int": (int, np.integer),
    "str": str,
}


def _no_tensor(wanted: str, value: Any) -> str:
    """What an argument annotated as `wanted` must be and this value is not; "": nothing."""
    kinds = wanted.split(" | ")
    of_tensors = [kind for kind in kinds if kind.endswith("[Tensor]")]
    if "Tensor" not in kinds and not of_tensors:
        return ""
    if isinstance(value, tuple([Tensor, *[_ALSO[kind] for kind in kinds if kind in _ALSO]])):
        return ""
    got = type(value).__name__
    if not of_tensors:
        return f"be a tensor{' or a number' * ('float' in kinds)}; got {got}"
    if "Tensor" in kinds and isinstance(value, Tensor):
        return ""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return f"be a sequence of tensors; got {got}"
    found = [type(one).__name__ for one in value]
    return (
        ""
        if all(isinstance(one, Tensor) for one in value)
        else (f"be a sequence of tensors; got {got} of {', '.join(dict.fromkeys(found))}")
    )
