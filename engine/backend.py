"""The public API without a tape: every op as a function on NumPy or CuPy arrays, forward and vjp.

    cpu = gradsmith.backend("cpu")
    y = cpu.conv2d(x, weight, bias, stride=2, padding=1)          # ndarrays in, an ndarray out
    y, pullback = cpu.conv2d.vjp(x, weight, bias, stride=2, padding=1)
    grad_x, grad_weight, grad_bias = pullback(grad_y)

Nothing is copied: the kernels read the arrays where they are, and results are arrays over the
kernels' own memory. This is what another library imports: docs/backend.md has a foreign autograd.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .autograd.backward import grad
from .autograd.grad_mode import mode
from .kernels import TABLE_OF_ARRAY, table
from .tensor import Tensor

__all__ = ["Backend", "BackendFunction", "backend"]

#: Modules of ops whose functions take no arrays, or are no functions.
_NO_OPS = {
    "interop",
    "like",
    "ranges",
    "convert",
    "operators",
    "promote",
    "creation",
    "install",
    "operands",
    "shapes",
    "inplace",
    "optim",
}


def _functions() -> dict[str, Callable[..., Any]]:
    """Every public function of ops, and of nn.functional, which is the one with all options."""
    from . import ops
    from .nn import functional

    found: dict[str, Callable[..., Any]] = {}
    package = [m.removesuffix(".py") for m in _modules(ops.__path__[0])]
    for name in sorted(set(package) - _NO_OPS):
        module = importlib.import_module(f".{name}", ops.__name__)
        for public in getattr(module, "__all__", ()):
            if public.islower() and callable(getattr(module, public)):
                found[public] = getattr(module, public)
    for public in functional.__all__:
        found[public] = getattr(functional, public)
    return found


def _modules(folder: str) -> list[str]:
    import os

    return [f for f in os.listdir(folder) if f.endswith(".py") and not f.startswith("_")]


class BackendFunction:
    """One op on arrays: call it, or ask for its vector-Jacobian product.

    Attributes:
        name: PyTorch's name of the op.
        function: gradsmith's function on tensors, whose arguments and errors these are.
    """

    def __init__(self, device: str, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function
        self._device = device
        self.__doc__ = function.__doc__
        self.__name__ = name

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The op's result: an array, or a tuple of them.

        Args:
            args: arrays, numbers, lists of arrays, as the op takes tensors.
            options: the op's options.

        Raises:
            TypeError: an array of another device. Else what the op raises.
        """
        table(self._device)
        before, mode.enabled = mode.enabled, False
        try:
            result = self.function(
                *[self._wrapped(a) for a in args],
                **{k: self._wrapped(v) for k, v in options.items()},
            )
        finally:
            mode.enabled = before
        return _unwrapped(result)

    def vjp(self, *args: Any, **options: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """The op's result, and the function that takes its gradient back to the arguments.

        Args:
            args: as for the call; floating-point arrays among them are differentiated, arrays
                that are options (given by keyword) are constants.

        Returns:
            (y, pullback). `pullback(grad_y)`, grad_y of y's shape and dtype (a tuple where y is
            one, None for an output that nothing comes for), gives a tuple: for each of args its
            gradient, a list of them for a list of arrays, None for what has none. It may be called
            again.
        """
        table(self._device)
        leaves: list[Tensor] = []
        before, mode.enabled = mode.enabled, True
        try:
            result = self.function(
                *[self._wrapped(a, leaves) for a in args],
                **{k: self._wrapped(v) for k, v in options.items()},
            )
        finally:
            mode.enabled = before

        def pullback(grad_y: Any) -> tuple[Any, ...]:
            outputs = list(result) if isinstance(result, (tuple, list)) else [result]
            grads = list(grad_y) if isinstance(grad_y, (tuple, list)) else [grad_y]
            if len(outputs) != len(grads):
                raise RuntimeError(
                    f"{self.name}.vjp: one gradient an output; got {len(grads)} for {len(outputs)}"
                )
            pairs = [
                (y, self._wrapped(np.asarray(g) if isinstance(g, np.generic) else g))
                for y, g in zip(outputs, grads, strict=True)
                if g is not None and y.requires_grad
            ]
            found: dict[int, Any] = {}
            if pairs and leaves:
                results = grad(
                    [y for y, _ in pairs],
                    leaves,
                    [g for _, g in pairs],
                    retain_graph=True,
                    allow_unused=True,
                )
                found = {id(t): g for t, g in zip(leaves, results, strict=True)}
            position = iter(leaves)
            return tuple([_gradient(a, position, found) for a in args])

        return _unwrapped(result), pullback

    def _wrapped(self, value: Any, leaves: list[Tensor] | None = None) -> Any:
        """Arrays as tensors over the same memory; in lists and tuples too."""
        if isinstance(value, (list, tuple)) and any(type(v) in TABLE_OF_ARRAY for v in value):
            return type(value)([self._wrapped(v, leaves) for v in value])
        if isinstance(value, Tensor):
            raise TypeError(
                f"{self.name}: the backend takes arrays; got a Tensor (use gradsmith.{self.name})"
            )
        found = TABLE_OF_ARRAY.get(type(value))
        if found is None:
            return value
        if found.device != self._device:
            raise TypeError(
                f"{self.name}: backend({self._device!r}) takes arrays on {self._device}; got one "
                f"on {found.device}"
            )
        t = Tensor._make(value)
        if leaves is not None and t.dtype.is_floating_point:
            t._requires_grad = True
            leaves.append(t)
        return t

    def __repr__(self) -> str:
        return f"<{self._device} {self.name}>"


def _gradient(value: Any, leaves: Any, found: dict[int, Any]) -> Any:
    """The gradient of an argument, in its structure; takes the argument's leaves, in order."""
    if isinstance(value, (list, tuple)) and any(type(v) in TABLE_OF_ARRAY for v in value):
        return [_gradient(v, leaves, found) for v in value]
    if type(value) in TABLE_OF_ARRAY and Tensor._make(value).dtype.is_floating_point:
        g = found.get(id(next(leaves)))
        return None if g is None else g._data
    return None


def _unwrapped(value: Any) -> Any:
    """Tensors as their arrays."""
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, (tuple, list)):
        return tuple([_unwrapped(v) for v in value])
    return value


class Backend:
    """Every op of a device as an attribute: `backend("cpu").softmax(x, dim=1)`.

    Attributes:
        device: "cpu" or "cuda".
        kernels: the device's kernel table (gradsmith.kernels.KERNELS), what the ops are made of.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.kernels = table(device)
        self._functions = _functions()

    @property
    def names(self) -> tuple[str, ...]:
        """The ops' names."""
        return tuple(sorted(self._functions))

    def __getattr__(self, name: str) -> BackendFunction:
        functions = self.__dict__.get("_functions", {})
        if name not in functions:
            raise AttributeError(f"backend: no op is called {name!r}; .names has them")
        made = BackendFunction(self.device, name, functions[name])
        setattr(self, name, made)
        return made

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._functions]

    def __repr__(self) -> str:
        return f"<gradsmith backend {self.device}, {len(self._functions)} ops>"


_made: dict[str, Backend] = {}


def backend(device: str = "cpu") -> Backend:
    """The ops of a device as functions on its arrays, without a tape.

    Args:
        device: "cpu" (NumPy arrays) or "cuda" (CuPy arrays; in the emulator its own).

    Raises:
        ValueError: another device. RuntimeError: "cuda" with neither a GPU nor the emulator.
    """
    device = str(device)
    if device not in _made or _made[device].kernels is not table(device):
        _made[device] = Backend(device)
    return _made[device]
