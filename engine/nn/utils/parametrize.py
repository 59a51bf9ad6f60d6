"""Parametrizations: attributes of a module that are computed from other parameters."""

from __future__ import annotations

from typing import Any

from ...autograd.grad_mode import no_grad
from ...tensor import Parameter, Tensor
from ..module import Module
from ..modules.container import ModuleDict, ModuleList

__all__ = [
    "ParametrizationList",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
]


class ParametrizationList(ModuleList):
    """The modules that make one attribute, in order, and the parameters it is made from.

    They are `original`, or `original0`, `original1`, ... where the first module's right_inverse
    gives several.
    """

    def __init__(self, modules: list[Module], original: Tensor) -> None:
        super().__init__(modules)
        value: Any = original.detach()
        with no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    value = module.right_inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        values = {"original": value} if self.is_tensor else {}
        if not self.is_tensor:
            values = {f"original{i}": v for i, v in enumerate(value)}
        for name, v in values.items():
            self.register_parameter(name, Parameter(v, requires_grad=original.requires_grad))
        self.names = tuple(values)

    def right_inverse(self, value: Tensor) -> None:
        """Sets the originals so that the attribute becomes `value`."""
        found: Any = value
        with no_grad():
            for module in reversed(list(self)):
                found = module.right_inverse(found)
            for name, v in zip(self.names, (found,) if self.is_tensor else found, strict=True):
                getattr(self, name).copy_(v)

    def forward(self) -> Tensor:
        """The attribute's value."""
        value: Any = tuple(getattr(self, name) for name in self.names)
        for i, module in enumerate(self):
            value = module(*value) if i == 0 else module(value)
        return value


def _parametrized(cls: type, name: str) -> type:
    """cls with `name` computed, at every use."""

    def get(self: Any) -> Any:
        return self.parametrizations[name]()

    def assign(self: Any, attribute: str, value: Any) -> None:
        if attribute == name:
            self.parametrizations[name].right_inverse(value)
        else:
            super(made, self).__setattr__(attribute, value)

    fields = {name: property(get), "__setattr__": assign, "_before": cls}
    made = type(f"Parametrized{cls.__name__.removeprefix('Parametrized')}", (cls,), fields)
    return made


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module, or this attribute of it, is parametrized."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return bool(len(found)) if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Makes an attribute the output of `parametrization`, computed at every use.

    Args:
        tensor_name: the parameter.
        parametrization: its forward maps the original to the attribute; its right_inverse, if it
            has one, gives the original (or a tuple of them) of a value.
        unsafe: accepted; the shapes are not checked.

    Raises:
        ValueError: no such parameter.
    """
    if is_parametrized(module, tensor_name):
        found: Any = module._modules["parametrizations"]
        found[tensor_name].append(parametrization)
        return module
    weight = module._parameters.get(tensor_name)
    if weight is None:
        raise ValueError(f"register_parametrization: the module has no parameter {tensor_name!r}")
    made = ParametrizationList([parametrization], weight)
    delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.register_module("parametrizations", ModuleDict())
    table: Any = module._modules["parametrizations"]
    table[tensor_name] = made
    module.__class__ = _parametrized(type(module), tensor_name)
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Makes the attribute a parameter again.

    Args:
        leave_parametrized: with its present value; else with its original one.

    Raises:
        ValueError: it is not parametrized; leave_parametrized=False with several originals.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {tensor_name!r} is not parametrized")
    table: Any = module._modules["parametrizations"]
    made = table[tensor_name]
    if not leave_parametrized and not made.is_tensor:
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} has several originals "
            "(leave_parametrized=True keeps its value)"
        )
    with no_grad():
        value = (made() if leave_parametrized else made.original).detach().clone()
    names = [n for n in table if n != tensor_name]
    others = {n: table[n] for n in names}
    cls: Any = type(module)
    while hasattr(cls, "_before"):
        cls = cls._before
    module.__class__ = cls
    del module._modules["parametrizations"]
    module.__dict__.pop("parametrizations", None)
    module.register_parameter(tensor_name, Parameter(value))
    if others:
        module.register_module("parametrizations", ModuleDict(others))
        for name in names:
            module.__class__ = _parametrized(type(module), name)
    return module
