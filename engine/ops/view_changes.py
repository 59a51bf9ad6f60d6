"""Shapes changed in place (squeeze_, transpose_, ...), and bytes read as another dtype."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from weakref import ref

import numpy as np

from ..autograd.grad_mode import mode
from ..dtype import dtype as DType
from ..dtype import to_numpy_dtype
from ..tensor import Tensor
from . import arrange, view
from .history import refuse_leaf
from .install import method

__all__: list[str] = []


def _in_place(name: str, function: Callable[..., Tensor]) -> None:
    """Installs Tensor.<name>: the tensor becomes the view that `function` makes of it.

    Its history, and what views it, move to a tensor that stands where it was; it is a view of that.
    """

    @wraps(function)
    def change(input: Tensor, *args: Any, **options: Any) -> Tensor:
        if mode.enabled:
            refuse_leaf(name, input)
        counter = input._version
        before = Tensor._make(input._data)
        before._requires_grad, before._node = input._requires_grad, input._node
        before._version = counter
        if getattr(input, "_view", None) is not None:
            before._view = input._view
        y = function(before, *args, **options)
        for i, reference in enumerate(counter[1:], 1):
            seen = reference()
            if seen is input:  # in the old place in the list of views: before what views it
                counter[i] = ref(before)
            elif seen is not None and seen is not y and seen._view[0] is input:
                seen._view = (before, *seen._view[1:])
        counter[1:] = [r for r in counter[1:] if r() is not y]
        input._data, input._node, input._view = y._data, y._node, y._view
        counter.append(ref(input))
        return input

    change.__name__ = name
    change.__doc__ = f"Like {name[:-1]}, in place: no memory moves, the tensor's shape changes."
    setattr(Tensor, name, change)


for _name, _function in {
    "squeeze_": view.squeeze,
    "unsqueeze_": view.unsqueeze,
    "t_": view.t,
    "transpose_": view.transpose,
    "swapaxes_": arrange.swapaxes,
    "swapdims_": arrange.swapdims,
}.items():
    _in_place(_name, _function)

_view_of_shape: Any = Tensor.__dict__["view"]


def _view(input: Tensor, *shape: Any, dtype: DType | None = None) -> Tensor:
    """The same memory in another shape, or its bytes as another dtype; never a copy.

    Args:
        shape: the sizes, of which one may be -1; or a dtype, as which the elements' bytes are
            read: the last dimension grows or shrinks with its size. Such a view has no gradient.

    Raises:
        RuntimeError: if the elements do not fit, or only a copy could show them so.
    """
    if len(shape) == 1 and isinstance(shape[0], DType):
        dtype = shape[0]
    if dtype is None:
        return _view_of_shape(input, *shape)
    data = input._data
    old, new = data.dtype.itemsize, dtype.itemsize
    wanted = to_numpy_dtype(dtype)
    if old != new:
        sizes, steps = tuple(data.shape), tuple(data.strides)
        if not sizes:
            raise RuntimeError(
                f"view: a 0-dim tensor of {input.dtype} cannot be read as {dtype}, whose elements "
                "have another size"
            )
        fits = steps[-1] == old and (
            old > new
            or (
                sizes[-1] * old % new == 0
                and all(s % new == 0 for s in steps[:-1])
                and input.storage_offset() * old % new == 0  # type: ignore[attr-defined]
            )
        )
        if not fits:
            raise RuntimeError(
                f"view: the last dimension must lie without gaps and divide into elements of "
                f"{new} bytes; got shape {sizes}, stride {input.stride()} of {input.dtype}"
            )
    t = Tensor._make(_bytes_as(data, wanted))
    t._version = input._version
    return t


def _bytes_as(data: Any, dtype: Any) -> Any:
    """An array over the same memory, read as another dtype."""
    if isinstance(data, np.ndarray):
        return data.view(dtype)
    from ..kernels.cuda import memory

    return memory.viewed(data, dtype)


Tensor.view = _view  # type: ignore[attr-defined]


@method("storage_offset")
def _storage_offset(input: Tensor) -> int:
    """How many elements into its memory the tensor begins."""
    data = input._data
    root = getattr(data, "_host", data)
    while type(getattr(root, "base", None)) is type(root):
        root = root.base
    begin = input.data_ptr()
    start = root.ctypes.data if hasattr(root, "ctypes") else int(root.data.mem.ptr)
    return (begin - start) // int(data.dtype.itemsize)
