"""Conversions by name: .half(), .bfloat16(), .byte() and their like; .type(), .type_as()."""

from __future__ import annotations

from typing import Any

from ..dtype import bfloat16, bool_, float16, float32, float64, int8, int16, int32, int64, uint8
from ..dtype import dtype as DType
from ..tensor import Tensor
from .install import method
from .view import _to

__all__: list[str] = []

#: PyTorch's names of tensor types: a dtype each.
_TYPE_NAMES = {
    "FloatTensor": float32,
    "DoubleTensor": float64,
    "HalfTensor": float16,
    "BFloat16Tensor": bfloat16,
    "ByteTensor": uint8,
    "CharTensor": int8,
    "ShortTensor": int16,
    "IntTensor": int32,
    "LongTensor": int64,
    "BoolTensor": bool_,
}


@method("half")
def _half(input: Tensor) -> Tensor:
    """The tensor as float16."""
    return _to(input, float16)


@method("bfloat16")
def _bfloat16(input: Tensor) -> Tensor:
    """The tensor as bfloat16."""
    return _to(input, bfloat16)


@method("byte")
def _byte(input: Tensor) -> Tensor:
    """The tensor as uint8."""
    return _to(input, uint8)


@method("char")
def _char(input: Tensor) -> Tensor:
    """The tensor as int8."""
    return _to(input, int8)


@method("short")
def _short(input: Tensor) -> Tensor:
    """The tensor as int16."""
    return _to(input, int16)


@method("int")
def _int(input: Tensor) -> Tensor:
    """The tensor as int32."""
    return _to(input, int32)


@method("bool")
def _bool(input: Tensor) -> Tensor:
    """The tensor as bool: false where it is 0."""
    return _to(input, bool_)


@method("type")
def _type(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The tensor in another dtype; without one, the name of its type.

    Args:
        dtype: a dtype, or PyTorch's name of one, "FloatTensor" or "torch.cuda.FloatTensor".

    Raises:
        ValueError: for a name that is none.
    """
    if dtype is None:
        name = next(name for name, d in _TYPE_NAMES.items() if d is input.dtype)
        return f"gradsmith.{'cuda.' if input.is_cuda else ''}{name}"
    if isinstance(dtype, str):
        *where, name = dtype.split(".")
        place = where[1:] if where[:1] in (["torch"], ["gradsmith"]) else where
        if name not in _TYPE_NAMES or place not in ([], ["cuda"]):
            raise ValueError(f"type: must be one of {', '.join(_TYPE_NAMES)}; got {dtype!r}")
        return _to(input, _TYPE_NAMES[name], device="cuda" if place else "cpu")
    if not isinstance(dtype, DType):
        raise TypeError(f"type: dtype must be a dtype or a name; got {dtype!r}")
    return _to(input, dtype)


@method("type_as")
def _type_as(input: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype, and on the device, of `other`."""
    return _to(input, other)
