"""How a public function becomes a method of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from ..tensor import Tensor

__all__ = ["method", "numpy_names", "size_by_name"]

_F = TypeVar("_F", bound=Callable[..., Any])


def numpy_names(function: _F) -> _F:
    """Decorator: `dim` and `keepdim` may be called `axis` and `keepdims`, as NumPy does."""

    @wraps(function)
    def renamed(*args: Any, **options: Any) -> Any:
        if options:
            for other, name in (("axis", "dim"), ("keepdims", "keepdim")):
                if other in options:
                    if name in options:
                        raise TypeError(f"{function.__name__}: {name} and {other} are one argument")
                    options[name] = options.pop(other)
            if "out" in options and options["out"] is None:  # as np.sum(tensor) calls it
                del options["out"]
        return function(*args, **options)

    return cast(_F, renamed)


def size_by_name(function: _F) -> _F:
    """Decorator: the sizes, which may be given one by one, may also be given as `size=`."""

    @wraps(function)
    def named(*args: Any, **options: Any) -> Any:
        if not args and "size" in options:
            args = (options.pop("size"),)
        return function(*args, **options)

    return cast(_F, named)


def method(*names: str) -> Callable[[_F], _F]:
    """Decorator: the function is also these methods of Tensor; its first argument is self."""

    def install(function: _F) -> _F:
        for name in names:
            if name in Tensor.__dict__ and not name.startswith("__"):
                raise ValueError(f"method: Tensor.{name} exists already")
            setattr(Tensor, name, function)
        return function

    return install
