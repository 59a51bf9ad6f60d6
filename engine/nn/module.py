"""Module: a function with parameters, and the tree they form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ..tensor import Parameter, Tensor
from .conversion import ConvertibleModule
from .hooks import HookedModule
from .state import EXTRA, load

__all__ = ["Module"]

_M = TypeVar("_M", bound="Module")

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module(HookedModule, ConvertibleModule):
    """The base of all layers and models: parameters, buffers and child modules, by name.

    A subclass calls `super().__init__()`, assigns parameters, buffers and modules as attributes,
    and defines `forward`.

    Attributes:
        training: whether the module is in training mode (`train`, `eval`).

    The registries `_parameters`, `_buffers` and `_modules` are as PyTorch's, but what is in them is
    in the instance's `__dict__` too, so that `self.weight` costs a plain attribute read. Change
    them through attributes, `register_*` and `del` alone.
    """

    training: bool

    def __init__(self) -> None:
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_non_persistent_buffers_set"] = set()
        fields["_modules"] = {}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it.

        Raises:
            NotImplementedError: in a subclass that does not.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: the module has no forward (define forward(self, ...))"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward`, between the module's hooks if it has any."""
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return self._hooks.call(self, args, kwargs)

    # ---- registries ----

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter, which is then the attribute `name`; None reserves the name.

        Raises:
            KeyError: a name that is taken, empty or with a dot.
            TypeError: something other than a Parameter or None.
            ValueError: a Parameter that an op made.
        """
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter: '{name}' must be a gradsmith.Parameter or None; "
                f"got {type(param).__name__}"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"register_parameter: '{name}' must be a leaf; got a tensor that "
                f"{param.grad_fn.op.name} made"
            )
        self._parameters[name] = param
        self.__dict__[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is no parameter but belongs to the module's state.

        Args:
            name: of the attribute that it becomes.
            tensor: None reserves the name.
            persistent: whether state_dict has it.

        Raises:
            KeyError: a name that is taken, empty or with a dot.
            TypeError: something other than a tensor or None.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: '{name}' must be a tensor or None; got {type(tensor).__name__}"
            )
        self._buffers[name] = tensor
        self.__dict__[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Adds a child module, which is then the attribute `name`; None reserves the name.

        Raises:
            KeyError: a name that is taken, empty or with a dot.
            TypeError: something other than a Module or None.
        """
        self._check_name("module", name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"register_module: '{name}' must be a Module or None; got {type(module).__name__}"
            )
        self._modules[name] = module
        self.__dict__[name] = module

    def add_module(self, name: str, module: Module | None) -> None:
        """As register_module."""
        self.register_module(name, module)

    def _check_name(self, kind: str, name: Any, registry: str) -> None:
        if registry not in self.__dict__:
            raise AttributeError(
                f"cannot assign {kind} '{name}' before Module.__init__() was called "
                "(begin __init__ with super().__init__())"
            )
        if not isinstance(name, str):
            raise TypeError(f"register_{kind}: name must be a string; got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'register_{kind}: name must not contain "."; got {name!r}')
        if name == "":
            raise KeyError(f"register_{kind}: name must not be empty")
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"register_{kind}: attribute '{name}' exists already")

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if isinstance(value, Parameter):
            self._take(name, "parameter", "_parameters", value)
        elif isinstance(value, Module):
            self._take(name, "module", "_modules", value)
        elif "_parameters" in fields and name in fields["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__} as parameter '{name}' "
                    "(gradsmith.Parameter or None expected)"
                )
            fields["_parameters"][name] = fields[name] = None
        elif "_modules" in fields and name in fields["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign {type(value).__name__} as child module '{name}' "
                    "(gradsmith.nn.Module or None expected)"
                )
            fields["_modules"][name] = fields[name] = None
        elif "_buffers" in fields and name in fields["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign {type(value).__name__} as buffer '{name}' "
                    "(gradsmith.Tensor or None expected)"
                )
            fields["_buffers"][name] = fields[name] = value
        else:
            object.__setattr__(self, name, value)

    def _take(self, name: str, kind: str, registry: str, value: Any) -> None:
        """Registers a parameter or module that was assigned to an attribute."""
        fields = self.__dict__
        if registry not in fields:
            raise AttributeError(
                f"cannot assign {kind} '{name}' before Module.__init__() was called "
                "(begin __init__ with super().__init__())"
            )
        if name not in fields[registry]:
            for other in _REGISTRIES:
                fields[other].pop(name, None)
            fields["_non_persistent_buffers_set"].discard(name)
            fields.pop(name, None)
        if kind == "parameter":
            self.register_parameter(name, value)
        else:
            self.register_module(name, value)

    def __getattr__(self, name: str) -> Any:
        # Only for what is not there: registered tensors and modules are plain attributes.
        hint = ""
        if "_modules" not in self.__dict__:
            hint = " (was super().__init__() called?)"
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'{hint}")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            self.__dict__.get(registry, {}).pop(name, None)
        self.__dict__.get("_non_persistent_buffers_set", set()).discard(name)
        object.__delattr__(self, name)

    # ---- the tree ----

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names; each once, unless told otherwise."""
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, below, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once unless remove_duplicate is False."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names; each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        below = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for module_prefix, module in below if recurse else [(prefix, self)]:
            for name, member in module.__dict__[registry].items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{module_prefix}.{name}" if module_prefix else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names, each once.

        Args:
            prefix: stands before every name.
            recurse: also those of the modules below.
            remove_duplicate: leave out what was given already under another name.
        """
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once; what an optimizer is given."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with dotted names, each once; arguments as named_parameters."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; "" is this one.

        Raises:
            AttributeError: if there is none.
        """
        module: Any = self
        for name in target.split(".") if target else []:
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"'{type(module).__name__}' has no child module '{name}'")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Makes `module` the module of a dotted name.

        Args:
            target: the dotted name.
            module: what is to be there.
            strict: only replace a module that is there.

        Raises:
            ValueError: an empty name.
            AttributeError: no such place, or (strict) nothing there.
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError("set_submodule: target must not be empty")
        parent = self.get_submodule(path)
        if strict and parent._modules.get(name) is None:
            raise AttributeError(f"'{type(parent).__name__}' has no child module '{name}'")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"'{type(self).__name__}' has no parameter '{target}'")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"'{type(self).__name__}' has no buffer '{target}'")
        return found

    def apply(self: _M, fn: Callable[[Module], Any]) -> _M:
        """Calls `fn` on every module below and then on this one; e.g. to initialise."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- state ----

    def state_dict(
        self,
        *,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """Every parameter and persistent buffer by dotted name; the tensors share their memory.

        Args:
            destination: is filled and returned instead of a new dict.
            prefix: stands before every name.
            keep_vars: the parameters themselves, instead of detached tensors.
        """
        result: dict[str, Any] = OrderedDict() if destination is None else destination
        if self._hooks is not None:
            for hook in list(self._hooks.state_before.values()):
                hook(self, prefix, keep_vars)
        self._save_to_state_dict(result, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=result, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        if self._hooks is not None:
            for hook in list(self._hooks.state_after.values()):
                changed = hook(self, result, prefix, {})
                if changed is not None:
                    result = changed
        return result

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Puts this module's own state, not that of the modules below, into `destination`."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def get_extra_state(self) -> Any:
        """What state_dict has beyond tensors, as `_extra_state`; for subclasses.

        Raises:
            RuntimeError: in a class that does not define it.
        """
        raise RuntimeError(
            f"get_extra_state: {type(self).__name__} has none (define get_extra_state and "
            "set_extra_state)"
        )

    def set_extra_state(self, state: Any) -> None:
        """Takes what get_extra_state gave, in load_state_dict; for subclasses.

        Raises:
            RuntimeError: in a class that does not define it.
        """
        raise RuntimeError(
            f"set_extra_state: {type(self).__name__} takes none (define get_extra_state and "
            "set_extra_state)"
        )

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copies the tensors of a state_dict into parameters and buffers of the same names.

        Nothing is changed when it raises.

        Args:
            state_dict: name -> tensor or NumPy array; converted to each parameter's dtype, device.
            strict: whether names must match exactly.
            assign: make the given tensors the module's own instead of copying their values.

        Returns:
            (missing_keys, unexpected_keys).

        Raises:
            TypeError: a state_dict that is no mapping.
            RuntimeError: missing or unexpected names (strict), or other shapes (always); all are
                listed.
        """
        return load(self, state_dict, strict, assign)

    # ---- mode, dtype, device ----

    def train(self: _M, mode: bool = True) -> _M:
        """Sets training mode here and below; dropout and its like look at it.

        Raises:
            ValueError: a mode that is no bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be a bool; got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: _M) -> _M:
        """Sets evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: _M, requires_grad: bool = True) -> _M:
        """Sets whether the parameters, here and below, get gradients."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the parameters' gradients, or fills them with zeros."""
        for param in self.parameters():
            if set_to_none or param.grad is None:
                param.grad = None
                continue
            if param.grad.requires_grad:  # of a backward with create_graph
                param.grad = param.grad.detach()
            param.grad.zero_()

    # ---- words ----

    def extra_repr(self) -> str:
        """What repr shows between the parentheses; for subclasses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name[0].isdigit()]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): " + _indented(repr(module)) for name, module in self._modules.items()]
        body = extra.split("\n") if extra else []
        if not lines and len(body) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(body + lines) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
