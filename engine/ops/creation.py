"""Tensors from values: Python numbers, lists, arrays, other libraries, constants."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import device as Device
from ..dtype import (
    bool_,
    float16,
    float32,
    float64,
    from_numpy_dtype,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    to_numpy_dtype,
    uint8,
)
from ..dtype import dtype as DType
from ..errors import call
from ..kernels import KernelTable, table
from ..kernels.order import inverse
from ..memory_format import preserve_format
from ..tensor import Tensor
from . import shapes
from .install import method, size_by_name
from .operands import own_errors

__all__ = [
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "as_tensor",
    "empty",
    "empty_like",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]

_default_device = "cpu"


def set_default_device(device: Any) -> None:
    """Sets the device of tensors made without one; "cpu" unless set."""
    global _default_device
    _default_device = Device(device).type


def get_default_device() -> Device:
    """The device of tensors made without one."""
    return Device(_default_device)


def device_table(device: Any) -> KernelTable:
    """The kernel table of a device, or of the default one."""
    return table(_default_device if device is None else Device(device).type)


def size_of(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """`zeros(2, 3)` and `zeros((2, 3))` both; sizes must be >= 0."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    return shapes.sizes(name, size)


def _host_array(name: str, data: Any, dtype: DType | None) -> np.ndarray[Any, Any]:
    """`data` as a new NumPy array: Python floats become the default dtype."""
    if isinstance(data, Tensor):
        array = np.array(data._host())
    elif isinstance(data, (list, tuple)) and any(isinstance(v, Tensor) for v in data):
        array = np.array([v._host() if isinstance(v, Tensor) else v for v in data])
    else:
        try:
            array = np.array(data)
        except ValueError as error:
            raise ValueError(f"{name}: data must be numbers in a regular shape; {error}") from None
    python_floats = array.dtype == np.float64 and not isinstance(
        data, (np.ndarray, np.generic, Tensor)
    )
    if dtype is not None:
        wanted = to_numpy_dtype(dtype)
        if wanted.kind in "iu" and not isinstance(data, (np.ndarray, np.generic, Tensor)):
            _check_integers(name, array, wanted)
        return array.astype(wanted)
    if python_floats:
        return array.astype(get_default_dtype().numpy)
    return array.astype(from_numpy_dtype(array.dtype).numpy, copy=False)


def _check_integers(name: str, array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
    """Raises RuntimeError for Python's numbers that an integer dtype does not hold."""
    if array.size and array.dtype.kind in "fiuO":
        for value in (array.min(), array.max()):
            _integer(name, value.item() if isinstance(value, np.generic) else value, dtype)


def tensor(
    data: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A new tensor with a copy of `data`.

    Args:
        data: a number, nested sequences of numbers, or an array.
        dtype: default: from the data; Python floats become the default dtype (float32).
        device: default: the default device ("cpu").
        requires_grad: whether a backward pass gives it a gradient.

    Raises:
        TypeError, ValueError: for data that is not numbers in a regular shape.
    """
    t = Tensor._make(
        device_table(device).transfer(
            _host_array("tensor", data, dtype), device_table(device).device
        )
    )
    return t.requires_grad_() if requires_grad else t


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor, sharing memory with a tensor or NumPy array where nothing changes."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray):
        return from_numpy(data).to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """A CPU tensor over the memory of a NumPy array; changes of one show in the other.

    Raises:
        TypeError: not a NumPy array, or of a dtype that gradsmith has not.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: needs a numpy.ndarray; got {type(ndarray).__name__}")
    from_numpy_dtype(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise TypeError(
            f"from_numpy: needs native byte order; got {ndarray.dtype} "
            "(convert with ndarray.astype(ndarray.dtype.newbyteorder('=')))"
        )
    return Tensor._make(ndarray.view(np.ndarray) if type(ndarray) is not np.ndarray else ndarray)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of another library's array, through DLPack.

    Args:
        ext_tensor: an object with `__dlpack__` and `__dlpack_device__` (NumPy, PyTorch, CuPy, ...).

    Raises:
        TypeError: an object without them.
        BufferError: memory that cannot be shared.
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: needs an object with __dlpack__; got {type(ext_tensor).__name__}"
        )
    try:
        return from_numpy(np.from_dlpack(ext_tensor))
    except RuntimeError as error:
        raise BufferError(
            f"from_dlpack: NumPy, whose memory tensors share, says: {error} "
            "(of bfloat16: convert to float32 first)"
        ) from None


def as_operand(name: str, value: Any) -> Tensor:
    """What an arithmetic op takes beside tensors and numbers: arrays and NumPy scalars."""
    if isinstance(value, np.ndarray):
        return from_numpy(value)
    if isinstance(value, np.generic):
        return tensor(value)
    raise TypeError(
        f"{name}: operands must be tensors, arrays or numbers; got {type(value).__name__}"
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: the value must be a number; got {value!r}") from None


def _integer(name: str, value: Any, dtype: np.dtype[Any]) -> int:
    """A number as an integer that the dtype holds; fractions are cut off.

    Beside unsigned integers -1 stands for the largest, and so on.
    """
    number = _number(name, value)
    ends = np.iinfo(dtype)
    whole = int(value) if math.isfinite(number) else None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise OverflowError(f"{name}: an int must fit into 64 bits; got {value}")
    low = ends.min if ends.min else -ends.max
    if whole is None or not low <= whole <= ends.max:
        raise RuntimeError(f"{name}: the value does not fit into {dtype}; got {value!r}")
    return whole if ends.min or whole >= 0 else whole + int(ends.max) + 1


def full(
    size: Any,
    fill_value: float,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of this size with `fill_value` everywhere.

    Args:
        dtype: default: float32 for a float, int64 for an int, bool for a bool.
    """
    if dtype is None:
        kinds = {bool: bool_, int: int64}
        dtype = kinds.get(type(fill_value), get_default_dtype())
    k = device_table(device)
    shape = size_of("full", (size,) if isinstance(size, int) else tuple(size))
    numpy_dtype = to_numpy_dtype(dtype)
    if numpy_dtype.kind in "iu" and fill_value:
        # A kernel's option is a double, which does not hold every int64: filled as an operand.
        t = Tensor._make(call("full", k.full, (), shape, 0.0, numpy_dtype))
        call("full", k.copy_into, ("self",), t._data, _integer("full", fill_value, numpy_dtype))
        return t
    t = Tensor._make(call("full", k.full, (), shape, _number("full", fill_value), numpy_dtype))
    return t.requires_grad_() if requires_grad else t


@size_by_name
def zeros(
    *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros."""
    return full(
        size_of("zeros", size), 0.0, dtype=dtype, device=device, requires_grad=requires_grad
    )


@size_by_name
def ones(
    *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones."""
    return full(size_of("ones", size), 1.0, dtype=dtype, device=device, requires_grad=requires_grad)


@size_by_name
def empty(
    *size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor whose values are not to be relied on (they are zeros, for safety)."""
    return full(
        size_of("empty", size), 0.0, dtype=dtype, device=device, requires_grad=requires_grad
    )


def arranged(
    order: tuple[int, ...] | None, shape: tuple[int, ...], make: Callable[..., Tensor]
) -> Tensor:
    """make(shape), its dims lying in this order, outermost first; None: as in C."""
    if order is None:
        return make(shape)
    t = make(tuple([shape[d] for d in order]))
    t._data = t._table().permute(t._data, inverse(order))
    return t


def _like(
    name: str,
    input: Tensor,
    value: float,
    dtype: DType | None,
    device: Any,
    grad: bool,
    memory_format: Any,
) -> Tensor:
    return arranged(
        memory_format.order_for(name, input._data),
        tuple(input._data.shape),
        lambda shape: full(
            shape,
            value,
            dtype=input.dtype if dtype is None else dtype,
            device=input.device if device is None else device,
            requires_grad=grad,
        ),
    )


@own_errors
def full_like(
    input: Tensor,
    fill_value: float,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor of one value, of input's shape, dtype, device and order of memory unless given."""
    return _like("full_like", input, fill_value, dtype, device, requires_grad, memory_format)


@own_errors
def zeros_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor of zeros, of input's shape, dtype, device and order of memory unless given."""
    return _like("zeros_like", input, 0.0, dtype, device, requires_grad, memory_format)


@own_errors
def ones_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor of ones, of input's shape, dtype, device and order of memory unless given."""
    return _like("ones_like", input, 1.0, dtype, device, requires_grad, memory_format)


@own_errors
def empty_like(
    input: Tensor,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Tensor:
    """A tensor like zeros_like's whose values are not to be relied on."""
    return _like("empty_like", input, 0.0, dtype, device, requires_grad, memory_format)


@method("new_zeros")
def _new_zeros(
    input: Tensor,
    *size: Any,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros of another size, of this one's dtype and device unless given."""
    return zeros(
        *size,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@method("new_ones")
def _new_ones(
    input: Tensor,
    *size: Any,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones of another size, of this one's dtype and device unless given."""
    return ones(
        *size,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


def FloatTensor(*data: Any) -> Tensor:
    """A float32 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=float32)


def DoubleTensor(*data: Any) -> Tensor:
    """A float64 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=float64)


def HalfTensor(*data: Any) -> Tensor:
    """A float16 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=float16)


def ByteTensor(*data: Any) -> Tensor:
    """A uint8 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=uint8)


def CharTensor(*data: Any) -> Tensor:
    """A int8 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=int8)


def ShortTensor(*data: Any) -> Tensor:
    """A int16 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=int16)


def IntTensor(*data: Any) -> Tensor:
    """A int32 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=int32)


def LongTensor(*data: Any) -> Tensor:
    """A int64 tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=int64)


def BoolTensor(*data: Any) -> Tensor:
    """A bool tensor of these values, or of these sizes; PyTorch's old way to make one."""
    return Tensor(*data, dtype=bool_)
