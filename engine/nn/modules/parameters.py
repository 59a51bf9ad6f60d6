"""Lists and dictionaries of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...tensor import Parameter, Tensor
from ..module import Module

__all__ = ["ParameterDict", "ParameterList"]


def _as_member(value: Any) -> Any:
    """Tensors as parameters; what is no tensor as it is."""
    return Parameter(value) if isinstance(value, Tensor) and type(value) is Tensor else value


def _described(value: Any) -> str:
    """`Parameter containing: [gradsmith.float32 of size 2x3]`."""
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(map(str, value.shape))
    where = " (GPU 0)" if value.is_cuda else ""
    return f"{kind} containing: [{value.dtype} of size {size}{where}]"


class ParameterList(Module):
    """A list of parameters that are registered as "0", "1", ...; tensors become parameters.

    Args:
        values: what is in it at first. What is no tensor is kept, but is no parameter.
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name_at(self, index: Any) -> str:
        if not hasattr(index, "__index__"):
            raise TypeError(f"ParameterList: index must be an int or a slice; got {index!r}")
        i, n = index.__index__(), self._size
        if not -n <= i < n:
            raise IndexError(f"ParameterList: index must be in [{-n}, {n}); got {i}")
        return str(i % n)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(self._size))])
        return getattr(self, self._name_at(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._name_at(index), _as_member(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, str(i)) for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value: Any) -> ParameterList:
        """Adds a parameter at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Adds parameters at the end.

        Raises:
            TypeError: something that is no list, or a single tensor.
        """
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList: extend needs an iterable; got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        """Each entry's kind and size."""
        return "\n".join(f"  ({i}): {_described(value)}" for i, value in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList: a list of parameters cannot be called")


class ParameterDict(Module):
    """Parameters by name, registered; tensors become parameters.

    Args:
        parameters: a mapping, or pairs, of names and values.
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._names: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: names must be strings; got {key!r}")
        if key not in self._names and hasattr(self, key):
            raise KeyError(f"ParameterDict: attribute '{key}' exists already")
        value = _as_member(value)
        if isinstance(value, Parameter):
            if key in self._names and key not in self._parameters:
                delattr(self, key)
            self.register_parameter(key, value)
        else:
            if key in self._parameters and value is not None:
                delattr(self, key)
            setattr(self, key, value)
        self._names[key] = None

    def __delitem__(self, key: str) -> None:
        if key not in self._names:
            raise KeyError(key)
        del self._names[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._names))

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __or__(self, other: ParameterDict) -> ParameterDict:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._names.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return [self[key] for key in self._names]

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their parameters."""
        return [(key, self[key]) for key in self._names]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of this name, or `default`."""
        return self[key] if key in self._names else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of this name, which becomes `default` if there is none."""
        if key not in self._names:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Takes all parameters out."""
        for key in list(self._names):
            del self[key]

    def pop(self, key: str) -> Any:
        """Takes a parameter out and returns it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Takes the newest parameter out and returns it with its name."""
        if not self._names:
            raise KeyError("ParameterDict: popitem of an empty dictionary")
        key = list(self._names)[-1]
        return key, self.pop(key)

    def copy(self) -> ParameterDict:
        """A new ParameterDict of the same parameters."""
        return type(self)(self)

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new ParameterDict of these names."""
        return type(self)([(key, default) for key in keys])

    def update(self, parameters: Any) -> None:
        """Adds parameters, over those of the same names.

        Args:
            parameters: a mapping, or pairs, of names and values.

        Raises:
            TypeError: something that cannot be iterated over.
            ValueError: an entry that is no pair.
        """
        if not isinstance(parameters, Iterable):
            raise TypeError(
                "ParameterDict: needs a mapping or pairs of names and values; "
                f"got {type(parameters).__name__}"
            )
        if isinstance(parameters, (Mapping, ParameterDict)):
            parameters = parameters.items()
        for entry in list(parameters):
            if not isinstance(entry, (tuple, list)) or len(entry) != 2:
                raise ValueError(
                    f"ParameterDict: entries must be (name, value) pairs; got {entry!r}"
                )
            self[entry[0]] = entry[1]

    def extra_repr(self) -> str:
        """Each entry's kind and size."""
        return "\n".join(f"  ({key}): {_described(value)}" for key, value in self.items())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterDict: a dictionary of parameters cannot be called")
