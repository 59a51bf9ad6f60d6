"""What gradcheck needs of a framework's arrays: make them, call a function, get its gradient.

An adapter is these few methods. It is chosen by the type of the inputs: gradsmith's tensors,
PyTorch's, JAX's arrays, and NumPy's arrays with a gradient of their own. PyTorch and JAX are never
imported here: whoever holds a tensor of theirs has imported them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..autograd.backward import grad
from ..autograd.grad_mode import enable_grad
from ..tensor import Tensor
from .opdb.record import place

__all__ = ["Adapter", "adapter_of"]

Array = np.ndarray[Any, Any]
#: Takes the outputs' gradients back to the variables; None where nothing comes back.
Back = Callable[["Sequence[Array | None]"], "list[Array | None]"]


class Adapter(Protocol):
    """How gradcheck works with the arrays of one framework.

    Attributes:
        name: what messages call it.
        strides: whether its arrays can lie in memory in other ways than row by row.
        again: whether its gradients can be differentiated again.
    """

    name: str
    strides: bool
    again: bool

    def owns(self, value: Any) -> bool:
        """Whether the value is an array of this framework."""
        ...

    def wanted(self, value: Any) -> bool:
        """Whether the gradient of this input is to be checked."""
        ...

    def dtype(self, value: Any) -> str:
        """The array's dtype: "float64", "bfloat16"."""
        ...

    def to_numpy(self, value: Any) -> Array:
        """The values, in float64 where they are floating-point."""
        ...

    def make(self, array: Array, like: Any, dtype: str | None = None) -> Any:
        """An array of these values (and, if it can, strides), on the device of `like`."""
        ...

    def put(self, parameter: Any, array: Array) -> None:
        """Writes new values into a parameter."""
        ...

    def outputs(self, func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        """The floating-point outputs of func."""
        ...

    def pullback(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> tuple[list[Any], Back]:
        """The outputs, and what takes their gradients back to inputs[wanted] and parameters.

        It may be called several times, each output gradient in the output's shape, None for an
        output that nothing comes for.
        """
        ...

    def gradient_function(
        self,
        func: Callable[..., Any],
        count: int,
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> Callable[..., tuple[Any, ...]]:
        """The gradient as a function of `count` inputs and the outputs' gradients."""
        ...


def _floating(outputs: Any, owns: Callable[[Any], bool], floats: Callable[[Any], bool]) -> Any:
    """The floating-point outputs; errors where there are none."""
    found = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    for t in found:
        if not owns(t):
            raise ValueError(f"gradcheck: func must return tensors; got {type(t).__name__}")
    found = [t for t in found if floats(t)]
    if not found:
        raise ValueError("gradcheck: func must return a floating-point tensor")
    return found


class _Taped:
    """What gradsmith's adapter and PyTorch's have in common: tensors, and grad() over a tape."""

    make: Callable[..., Any]
    outputs: Callable[..., Any]
    to_numpy: Callable[..., Any]
    grad: Callable[..., Any]

    def pullback(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> tuple[list[Any], Back]:
        tensors = list(inputs)
        for i in wanted:
            tensors[i] = tensors[i].detach().requires_grad_()
        variables = [tensors[i] for i in wanted] + list(parameters)
        outputs = self.outputs(func, tensors)

        def back(weights: Sequence[Array | None]) -> list[Array | None]:
            pairs = [
                (t, self.make(u, t.detach()))
                for t, u in zip(outputs, weights, strict=True)
                if t.requires_grad and u is not None
            ]
            if not pairs:
                return [None] * len(variables)
            found = self.grad(
                [t for t, _ in pairs],
                variables,
                [u for _, u in pairs],
                retain_graph=True,
                allow_unused=True,
            )
            for i, (t, g) in enumerate(zip(variables, found, strict=True)):
                if g is not None:
                    _same_kind(i, tuple(t.shape), t.dtype, tuple(g.shape), g.dtype)
            return [None if g is None else self.to_numpy(g) for g in found]

        return outputs, back

    def gradient_function(
        self,
        func: Callable[..., Any],
        count: int,
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> Callable[..., tuple[Any, ...]]:
        def gradient(*args: Any) -> tuple[Any, ...]:
            tensors, weights = args[:count], args[count:]
            outputs = self.outputs(func, tensors)
            pairs = [(t, u) for t, u in zip(outputs, weights, strict=True) if t.requires_grad]
            if not pairs:
                raise ValueError("gradgradcheck: no output of func requires a gradient")
            grads = self.grad(
                [t for t, _ in pairs],
                [tensors[i] for i in wanted] + list(parameters),
                [u for _, u in pairs],
                create_graph=True,
                allow_unused=True,
            )
            return _found(grads)

        return gradient


class _Gradsmith(_Taped):
    name, strides, again = "gradsmith", True, True

    def owns(self, value: Any) -> bool:
        return isinstance(value, Tensor)

    def wanted(self, value: Any) -> bool:
        return value.requires_grad

    def dtype(self, value: Any) -> str:
        return value.dtype.name

    def to_numpy(self, value: Any) -> Array:
        host = np.array(value._host())
        return host.astype(np.float64) if value.dtype.is_floating_point else host

    def make(self, array: Array, like: Any, dtype: str | None = None) -> Any:
        name = dtype or like.dtype.name
        if name == "float64":
            return place(array, like.device.type).requires_grad_(like.requires_grad)
        values = array.astype(np.float32)  # exact: they are values of a narrower dtype
        if array.size and not any(array.strides):  # astype makes a copy of a repeated value
            values = np.broadcast_to(values.reshape(-1)[0], array.shape)
        t = place(values, like.device.type)
        return t.to(getattr(sys.modules[__name__.partition(".")[0]], name)).requires_grad_(
            like.requires_grad
        )

    def put(self, parameter: Any, array: Array) -> None:
        k = parameter._table()
        k.copy_into(parameter._data, k.transfer(np.array(array, order="C"), k.device))

    def outputs(self, func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        with enable_grad():
            result = func(*inputs)
        return _floating(result, self.owns, lambda t: t.dtype.is_floating_point)

    def grad(self, *args: Any, **options: Any) -> Any:
        return grad(*args, **options)


def _found(grads: Sequence[Any]) -> tuple[Any, ...]:
    found = tuple([g for g in grads if g is not None])
    if not found:
        raise ValueError("gradgradcheck: func does not depend on what requires a gradient")
    return found


def _known(u: Array | None, y: Any) -> Array:
    """An output's gradient, zeros where nothing comes."""
    return np.zeros(tuple(y.shape)) if u is None else u


def _same_kind(i: int, shape: Any, dtype: Any, got_shape: Any, got_dtype: Any) -> None:
    if got_shape != shape or got_dtype != dtype:
        turned = " (transposed)" if len(shape) > 1 and got_shape == shape[::-1] else ""
        raise GradientShapeError(
            f"gradcheck: gradient {i} must have its input's shape and dtype {shape} {dtype}; "
            f"got {got_shape} {got_dtype}{turned}"
        )


class GradientShapeError(RuntimeError):
    """A gradient of another shape or dtype than its input."""


class _Torch(_Taped):
    name, strides, again = "torch", True, True

    def owns(self, value: Any) -> bool:
        torch = sys.modules.get("torch")
        return torch is not None and isinstance(value, torch.Tensor)

    def wanted(self, value: Any) -> bool:
        return value.requires_grad

    def dtype(self, value: Any) -> str:
        return str(value.dtype).removeprefix("torch.")

    def to_numpy(self, value: Any) -> Array:
        value = value.detach().cpu()
        return (value.double() if value.is_floating_point() else value).numpy().copy()

    def make(self, array: Array, like: Any, dtype: str | None = None) -> Any:
        torch = sys.modules["torch"]
        if any(s < 0 for s in array.strides) or not array.flags.writeable:
            # Of a value repeated with stride 0 torch makes its own.
            if array.size and not any(array.strides):
                array = np.array(array.reshape(-1)[0])
                value = torch.from_numpy(array).expand(like.shape)
                return value.to(like.dtype if dtype is None else getattr(torch, dtype))
            array = array.copy()
        value = torch.from_numpy(array)
        value = value.to(like.dtype if dtype is None else getattr(torch, dtype)).to(like.device)
        return value.requires_grad_(like.requires_grad and value.is_floating_point())

    def put(self, parameter: Any, array: Array) -> None:
        parameter.data.copy_(sys.modules["torch"].from_numpy(np.array(array, order="C")))

    def outputs(self, func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        with sys.modules["torch"].enable_grad():
            result = func(*inputs)
        return _floating(result, self.owns, lambda t: t.is_floating_point())

    def grad(self, *args: Any, **options: Any) -> Any:
        return sys.modules["torch"].autograd.grad(*args, **options)


class _Jax:
    name, strides, again = "jax", False, True

    def owns(self, value: Any) -> bool:
        jax = sys.modules.get("jax")
        return jax is not None and isinstance(value, jax.Array)

    def wanted(self, value: Any) -> bool:
        return sys.modules["jax"].numpy.issubdtype(value.dtype, np.floating)

    def dtype(self, value: Any) -> str:
        return value.dtype.name

    def to_numpy(self, value: Any) -> Array:
        host = np.array(value)
        return host.astype(np.float64) if self.wanted(value) else host

    def make(self, array: Array, like: Any, dtype: str | None = None) -> Any:
        jax = sys.modules["jax"]
        name = dtype or like.dtype.name
        value = jax.numpy.asarray(np.array(array), dtype=name)
        if value.dtype.name != name:
            raise ValueError(
                "gradcheck: JAX makes float32 of float64 "
                "(use jax.config.update('jax_enable_x64', True))"
            )
        return value

    def put(self, parameter: Any, array: Array) -> None:
        raise ValueError("gradcheck: JAX's functions have no parameters; give them as inputs")

    def outputs(self, func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        return _floating(func(*inputs), self.owns, self.wanted)

    def _partial(
        self, func: Callable[..., Any], inputs: Sequence[Any], wanted: Sequence[int]
    ) -> Callable[..., tuple[Any, ...]]:
        def partial(*values: Any) -> tuple[Any, ...]:
            arrays = list(inputs)
            for i, value in zip(wanted, values, strict=True):
                arrays[i] = value
            return tuple(self.outputs(func, arrays))

        return partial

    def pullback(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> tuple[list[Any], Back]:
        jax = sys.modules["jax"]
        variables = [inputs[i] for i in wanted]
        outputs, pull = jax.vjp(self._partial(func, inputs, wanted), *variables)

        def back(weights: Sequence[Array | None]) -> list[Array | None]:
            seen = tuple(
                [self.make(_known(u, y), y) for u, y in zip(weights, outputs, strict=True)]
            )
            return [self.to_numpy(g) for g in pull(seen)]

        return list(outputs), back

    def gradient_function(
        self,
        func: Callable[..., Any],
        count: int,
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> Callable[..., tuple[Any, ...]]:
        jax = sys.modules["jax"]

        def gradient(*args: Any) -> tuple[Any, ...]:
            inputs, weights = args[:count], args[count:]
            partial = self._partial(func, inputs, wanted)
            _, pull = jax.vjp(partial, *[inputs[i] for i in wanted])
            return pull(tuple(weights))

        return gradient


class _NumPy:
    """Arrays with a gradient of their own: vjp(grad_y, *inputs), or func.vjp(*inputs)."""

    name, strides, again = "numpy", True, False

    def __init__(self, vjp: Callable[..., Any] | None = None) -> None:
        self.vjp = vjp

    def owns(self, value: Any) -> bool:
        return isinstance(value, (np.ndarray, np.floating))

    def wanted(self, value: Any) -> bool:
        return self.dtype(value) in ("float16", "bfloat16", "float32", "float64")

    def dtype(self, value: Any) -> str:
        return value.dtype.name

    def to_numpy(self, value: Any) -> Array:
        return np.array(value, dtype=np.float64) if self.wanted(value) else np.array(value)

    def make(self, array: Array, like: Any, dtype: str | None = None) -> Any:
        wanted = like.dtype if dtype is None else np.dtype(dtype)
        return array if array.dtype == wanted else array.astype(wanted)

    def put(self, parameter: Any, array: Array) -> None:
        parameter[...] = array

    def outputs(self, func: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
        return _floating(func(*inputs), self.owns, self.wanted)

    def pullback(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> tuple[list[Any], Back]:
        own = getattr(func, "vjp", None)
        if self.vjp is not None:
            result = func(*inputs)
            vjp, given = self.vjp, inputs

            def pull(seen: Any) -> Any:
                return vjp(seen, *given)
        elif own is not None:
            result, pull = own(*inputs)
        else:
            raise ValueError(
                "gradcheck: a function of NumPy arrays needs its gradient "
                "(vjp=, a function of (grad_y, *inputs))"
            )
        several = isinstance(result, (tuple, list))
        outputs = _floating(result, self.owns, self.wanted)

        def back(weights: Sequence[Array | None]) -> list[Array | None]:
            seen = [self.make(_known(u, y), y) for u, y in zip(weights, outputs, strict=True)]
            found = pull(tuple(seen) if several else seen[0])
            grads = list(found) if isinstance(found, (tuple, list)) else [found]
            if len(grads) != len(inputs):
                raise ValueError(
                    f"gradcheck: vjp must return a gradient, or None, for each of the "
                    f"{len(inputs)} inputs; got {len(grads)}"
                )
            picked = [grads[i] for i in wanted]
            for i, g in zip(wanted, picked, strict=True):
                if g is not None:
                    x = inputs[i]
                    g = np.asarray(g)
                    _same_kind(i, np.shape(x), x.dtype, g.shape, g.dtype)
            return [None if g is None else np.array(g, dtype=np.float64) for g in picked]

        return outputs, back

    def gradient_function(
        self,
        func: Callable[..., Any],
        count: int,
        wanted: Sequence[int],
        parameters: Sequence[Any],
    ) -> Callable[..., tuple[Any, ...]]:
        raise ValueError(
            "gradgradcheck: NumPy's arrays record nothing; run gradcheck on the gradient, with "
            "a vjp of its own"
        )


def adapter_of(inputs: Sequence[Any], vjp: Callable[..., Any] | None = None) -> Adapter:
    """The adapter for these inputs: gradsmith's, PyTorch's, JAX's or NumPy's.

    Args:
        inputs: what func is called with; the first array among them decides, a tensor before a
            NumPy array.
        vjp: the gradient of a function of NumPy arrays.

    Raises:
        ValueError: no arrays, or a vjp for tensors that have their own.
    """
    adapters: list[Adapter] = [_Gradsmith(), _Torch(), _Jax()]
    for adapter in adapters:
        if any(adapter.owns(value) for value in inputs):
            if vjp is not None:
                raise ValueError(
                    f"gradcheck: vjp is for functions of NumPy arrays; got {adapter.name}'s"
                )
            return adapter
    adapter = _NumPy(vjp)
    if any(adapter.owns(value) for value in inputs):
        return adapter
    raise ValueError("gradcheck: at least one input must be an array or a tensor")
