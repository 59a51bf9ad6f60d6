"""Tensors among other libraries: NumPy's ufuncs on them, the CUDA array interface, asarray."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from . import arithmetic, choose, compare, creation, elementwise, math
from .install import method

__all__ = ["asarray"]

#: Names of ufuncs, and what they are on tensors.
_UFUNCS: dict[str, Any] = {
    "add": elementwise.add,
    "subtract": elementwise.sub,
    "multiply": elementwise.mul,
    "divide": elementwise.div,
    "negative": elementwise.neg,
    "exp": elementwise.exp,
    "log": elementwise.log,
    "tanh": elementwise.tanh,
    "absolute": math.abs,
    "rint": math.round,
    **{
        name: getattr(math, name)
        for name in (
            *("sqrt", "square", "reciprocal", "expm1", "log1p", "log2", "sin", "cos", "tan"),
            *("floor", "ceil", "trunc"),
        )
    },
    "floor_divide": arithmetic.floor_divide,
    "remainder": arithmetic.remainder,
    "fmod": arithmetic.fmod,
    "power": arithmetic.pow,
    "float_power": arithmetic.float_power,
    "maximum": choose.maximum,
    "minimum": choose.minimum,
    "sign": choose.sign,
    "clip": choose.clamp,
    "equal": compare.eq,
    "not_equal": compare.ne,
    "less": compare.lt,
    "less_equal": compare.le,
    "greater": compare.gt,
    "greater_equal": compare.ge,
    "invert": compare.bitwise_not,
    "left_shift": compare.bitwise_left_shift,
    "right_shift": compare.bitwise_right_shift,
    **{
        name: getattr(compare, name)
        for name in (
            *("isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_xor"),
            *("logical_not", "bitwise_and", "bitwise_or", "bitwise_xor"),
        )
    },
}


def _function(name: str) -> Any:
    """The function of a ufunc; those that later families bring are found by their names."""
    found = _UFUNCS.get(name)
    if found is None and name == "matmul":
        from .matmul import matmul

        return matmul
    return found or getattr(math, name, None)


#: Comparisons that read `tensor < array` the other way around: their first operand is a tensor.
_FIRST_IS_A_TENSOR = {
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "maximum"),
    *("minimum", "logical_and", "logical_or", "logical_xor", "matmul"),
}


@method("__array_ufunc__")
def _array_ufunc(input: Tensor, ufunc: Any, how: str, *operands: Any, **options: Any) -> Any:
    """NumPy's ufuncs with a tensor among their operands: gradsmith's function of that name.

    The result is a tensor, with its gradient. `out=` takes a tensor or an array.

    Raises:
        TypeError: a ufunc that gradsmith has not, a method of one (`np.add.reduce`), other options.
    """
    name = ufunc.__name__
    function = _function(name)
    if function is None or how != "__call__":
        what = f"np.{name}" + ("" if how == "__call__" else f".{how}")
        raise TypeError(f"{what}: gradsmith has no such function (use tensor.numpy())")
    outputs = options.pop("out", None)
    unknown = [key for key, value in options.items() if value is not None]
    if unknown:
        raise TypeError(f"np.{name}: on tensors only out= is an option; got {unknown}")
    device = next(t.device for t in (*operands, input) if isinstance(t, Tensor))
    values = []
    for value in operands:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, np.ndarray):
            value = creation.from_numpy(value).to(device)
        elif isinstance(value, (int, float)) and name in _FIRST_IS_A_TENSOR:
            value = creation.tensor(value, device=device)
        values.append(value)
    result = function(*values)
    if outputs is None:
        return result
    (out,) = outputs
    if isinstance(out, Tensor):
        return out.copy_(result)
    creation.from_numpy(out).copy_(result.detach())
    return out


def _cuda_array_interface(input: Tensor) -> dict[str, Any]:
    """The description of GPU memory by which CuPy, Numba and PyTorch share it (version 3)."""
    from ..kernels.cuda import is_emulated

    if not input.is_cuda or is_emulated():
        raise AttributeError(
            "__cuda_array_interface__: only a tensor on a GPU has it; this one is on "
            f"{input.device}" + (" of the emulator" if input.is_cuda else "")
        )
    if input.requires_grad:
        raise RuntimeError(
            "__cuda_array_interface__: the tensor requires a gradient; use tensor.detach()"
        )
    data = input._data
    return {
        "shape": tuple(data.shape),
        "typestr": data.dtype.str,
        "data": (input.data_ptr() if data.size else 0, False),
        "strides": None if data.flags.c_contiguous else tuple(data.strides),
        "version": 3,
    }


Tensor.__cuda_array_interface__ = property(_cuda_array_interface)  # type: ignore[attr-defined]


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """obj as a tensor, over its memory where that can be.

    Args:
        obj: a tensor, a NumPy array or scalar, an object with `__dlpack__`, numbers in sequences.
        copy: True: always a copy; False: never one; None: where it is needed.

    Raises:
        ValueError: copy=False where a copy is needed.
        TypeError: for what is no array and no numbers.
    """
    if isinstance(obj, Tensor):
        shared = obj.detach()
    elif isinstance(obj, np.ndarray):
        shared = creation.from_numpy(obj)
    elif hasattr(obj, "__dlpack__"):
        shared = creation.from_dlpack(obj)
    else:
        shared = None
    if shared is None:
        if copy is False:
            raise ValueError(f"asarray: {type(obj).__name__} needs a copy; got copy=False")
        return creation.tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    result = shared.to(dtype=dtype, device=device)
    if copy is False and result is not shared:
        raise ValueError("asarray: another dtype or device needs a copy; got copy=False")
    if copy and result is shared:
        result = result.clone()
    return result.requires_grad_() if requires_grad else result
