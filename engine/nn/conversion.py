"""Moving a module's parameters and buffers to another device or dtype, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..autograd.grad_mode import no_grad
from ..dtype import bfloat16, float16, float32, float64
from ..dtype import dtype as DType
from ..ops.creation import empty
from ..tensor import Tensor

__all__ = ["ConvertibleModule"]

_M = TypeVar("_M", bound="ConvertibleModule")


class ConvertibleModule:
    """The part of Module that changes devices and dtypes; the tensor objects stay the same."""

    parameters: Any
    buffers: Any

    def _apply(self: _M, fn: Callable[[Tensor], Tensor]) -> _M:
        """Replaces the memory of every parameter, gradient and buffer by fn's result.

        The objects stay the same, so that an optimizer that has them goes on working.
        """
        with no_grad():
            for tensor in (*self.parameters(), *self.buffers()):
                for t in (tensor, tensor.grad):
                    if t is not None:
                        data = fn(t)._data
                        if data is not t._data:
                            t._data = data
                            t._version[0] += 1
        return self

    def to(self: _M, *args: Any, memory_format: Any = None, **kwargs: Any) -> _M:
        """Moves parameters and buffers to a device and/or floating-point dtype, in place.

        Integer and bool tensors change their device alone.

        Args:
            *args: a device, a dtype, or a tensor whose both are taken.
            memory_format: of those with 4 dims (channels_last) or 5 (channels_last_3d).
            **kwargs: the same as `device=` and `dtype=`.

        Raises:
            TypeError: a dtype that is not floating point, or something else.
        """
        device, dtype = _target(*args, **kwargs)

        def convert(t: Tensor) -> Tensor:
            t = t.to(device=device, dtype=dtype if t.dtype.is_floating_point else None)
            if memory_format is not None and t.ndim in (4, 5):
                t = t.to(memory_format=memory_format)
            return t

        return self._apply(convert)

    def to_empty(self: _M, *, device: Any, recurse: bool = True) -> _M:
        """Moves parameters and buffers to a device without their values.

        Args:
            device: where to.
            recurse: also those of the modules below.
        """
        with no_grad():
            for t in (*self.parameters(recurse), *self.buffers(recurse)):
                t._data = empty(tuple(t.shape), dtype=t.dtype, device=device)._data
                t._version[0] += 1
        return self

    def type(self: _M, dst_type: DType) -> _M:
        """Makes all parameters and buffers dst_type, in place."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self: _M) -> _M:
        """Makes floating-point parameters and buffers float32, in place."""
        return self.to(float32)

    def double(self: _M) -> _M:
        """Makes floating-point parameters and buffers float64, in place."""
        return self.to(float64)

    def half(self: _M) -> _M:
        """Makes floating-point parameters and buffers float16, in place."""
        return self.to(float16)

    def bfloat16(self: _M) -> _M:
        """Makes floating-point parameters and buffers bfloat16, in place."""
        return self.to(bfloat16)

    def cpu(self: _M) -> _M:
        """Moves parameters and buffers to the CPU, in place."""
        return self.to("cpu")

    def cuda(self: _M, device: Any = None) -> _M:
        """Moves parameters and buffers to the CUDA device, in place."""
        if isinstance(device, int):
            device = f"cuda:{device}"
        return self.to("cuda" if device is None else device)


def _target(
    *args: Any, device: Any = None, dtype: DType | None = None, non_blocking: bool = False
) -> tuple[Any, DType | None]:
    """The device and dtype that `Module.to` was given."""
    for arg in args:
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif arg is not None and not isinstance(arg, bool):
            device = arg
    if dtype is not None and not (isinstance(dtype, DType) and dtype.is_floating_point):
        raise TypeError(f"to: a module's dtype must be floating point; got {dtype!r}")
    return device, dtype
