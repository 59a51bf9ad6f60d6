"""Modules that hold modules: in a row, in a list, by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ...autograd.grad_mode import mode
from ..module import Module

__all__ = ["ModuleDict", "ModuleList", "Sequential"]

_S = TypeVar("_S", bound="_Numbered")


class _Numbered(Module):
    """What Sequential and ModuleList share: children called "0", "1", ..."""

    def _name_at(self, index: Any) -> str:
        """The name of the child at this position."""
        if not hasattr(index, "__index__"):
            raise TypeError(
                f"{type(self).__name__}: index must be an int or a slice; got {index!r}"
            )
        i, n = index.__index__(), len(self._modules)
        if not -n <= i < n:
            raise IndexError(f"{type(self).__name__}: index must be in [{-n}, {n}); got {i}")
        return list(self._modules)[i]

    def _arrange(self, names: Iterable[str], modules: Iterable[Module | None]) -> None:
        """Makes these the children."""
        for name in self._modules:
            del self.__dict__[name]
        self._modules.clear()
        self._modules.update(zip(names, modules, strict=True))
        self.__dict__.update(self._modules)

    def _renumber(self, modules: list[Any]) -> None:
        self._arrange([str(i) for i in range(len(modules))], modules)

    def _appended(self, modules: Iterable[Module]) -> None:
        for module in modules:
            self.register_module(str(len(self)), module)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [self._name_at(index)]
        self._renumber([m for name, m in self._modules.items() if name not in gone])

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def append(self: _S, module: Module) -> _S:
        """Adds a module at the end."""
        self._appended([module])
        return self

    def extend(self: _S, modules: Iterable[Module]) -> _S:
        """Adds modules at the end.

        Raises:
            TypeError: something that cannot be iterated over.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"{type(self).__name__}: extend needs an iterable; got {type(modules).__name__}"
            )
        self._appended(list(modules))
        return self

    def insert(self: _S, index: int, module: Module) -> _S:
        """Puts a module in before position `index`.

        Raises:
            TypeError: something other than a Module.
        """
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__}: insert needs a Module; got {type(module).__name__}"
            )
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)
        return self

    def pop(self, index: int | slice = -1) -> Any:
        """Takes a module out and returns it."""
        found = self[index]  # type: ignore[index]
        del self[index]
        return found


#: Layers that Sequential computes together with the activation behind them: their type -> a
#: function of (layer, input, the activation's word). The modules of the layers fill it.
LAYERS: dict[type, Callable[[Any, Any, str], Any]] = {}
#: The activations' types -> their words.
ACTIVATIONS: dict[type, str] = {}


def _activated(layer: Any, activation: Any, input: Any, word: str) -> Any:
    """activation(layer(input)) in one kernel."""
    if getattr(activation, "approximate", "none") == "none":
        try:
            return LAYERS[type(layer)](layer, input, word)
        except Exception:  # the layer words its own errors
            pass
    return activation(layer(input))


class Sequential(_Numbered):
    """Modules one after another: the output of each is the input of the next.

    Without gradients (`no_grad`, `inference_mode`) a Linear or Conv and the ReLU, Tanh, Sigmoid,
    GELU or SiLU behind it are computed by one kernel, with the same result, unless a hook looks at
    one of them. With gradients each is an op of the graph.

    Args:
        args: the modules, or one OrderedDict of them by name.

    Example: `Sequential(Conv2d(1, 20, 5), ReLU(), Flatten())`; `net[0]` is the convolution,
    `net[:2]` a Sequential of the first two.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.register_module(name, module)
        else:
            self._appended(args)

    def forward(self, input: Any) -> Any:
        if mode.enabled:
            for module in self._modules.values():
                input = module(input)
            return input
        # A layer that waits for what follows it; nobody looks at it, or has changed what it does.
        layer: Any = None
        for module in self._modules.values():
            kind: Any = type(module)
            plain = module._hooks is None and "forward" not in module.__dict__
            if layer is not None:
                if plain and kind in ACTIVATIONS:
                    input = _activated(layer, module, input, ACTIVATIONS[kind])
                    layer = None
                    continue
                input = layer(input)
                layer = None
            if plain and kind in LAYERS:
                layer = module
            else:
                input = module(input)
        return input if layer is None else layer(input)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._name_at(index)]

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential: + needs a Sequential; got {type(other).__name__}")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential: += needs a Sequential; got {type(other).__name__}")
        return self.extend(other)

    def _times(self, count: Any) -> list[Module]:
        """The modules, so many times over."""
        if isinstance(count, bool) or not hasattr(count, "__index__"):
            raise TypeError(f"Sequential: * needs an int; got {count!r}")
        if count <= 0:
            raise ValueError(f"Sequential: * needs an int above 0; got {count}")
        return list(self) * count

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*self._times(other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Sequential:
        return self.extend(self._times(other)[len(self) :])


class ModuleList(_Numbered):
    """A list of modules that are registered, so that their parameters are found.

    Args:
        modules: what is in it at first.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])  # type: ignore[arg-type]
        return self._modules[self._name_at(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours are shown once, with their count."""
        blocks: list[tuple[int, int, str]] = []
        for i, text in enumerate(map(repr, self)):
            if blocks and blocks[-1][2] == text:
                blocks[-1] = (blocks[-1][0], i, text)
            else:
                blocks.append((i, i, text))
        if not blocks:
            return f"{self._get_name()}()"
        lines = []
        for first, last, text in blocks:
            head = f"({first})" if first == last else f"({first}-{last}): {last - first + 1} x"
            separator = ": " if first == last else " "
            lines.append((head + separator + text).replace("\n", "\n  "))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """Modules by name, registered, so that their parameters are found.

    Args:
        modules: a mapping, or pairs, of names and modules.
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self._modules:
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names with their modules."""
        return self._modules.items()

    def clear(self) -> None:
        """Takes all modules out."""
        for key in list(self._modules):
            delattr(self, key)

    def pop(self, key: str) -> Any:
        """Takes a module out and returns it."""
        module = self[key]
        del self[key]
        return module

    def update(self, modules: Any) -> None:
        """Adds modules, over those of the same names.

        Args:
            modules: a mapping, or pairs, of names and modules.

        Raises:
            TypeError: something that cannot be iterated over.
            ValueError: an entry that is no pair.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(
                "ModuleDict: needs a mapping or pairs of names and modules; "
                f"got {type(modules).__name__}"
            )
        if isinstance(modules, (Mapping, ModuleDict)):
            modules = modules.items()
        for entry in list(modules):
            if not isinstance(entry, Iterable) or isinstance(entry, str) or len(list(entry)) != 2:
                raise ValueError(f"ModuleDict: entries must be (name, module) pairs; got {entry!r}")
            name, module = entry
            self[name] = module
