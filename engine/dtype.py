"""Data types: gradsmith.float32 and its like.

A dtype is NumPy's, with PyTorch's names on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._cpu import set_bfloat16

__all__ = ["dtype", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64"]
__all__ += ["uint8", "bool_", "from_numpy_dtype", "get_default_dtype", "set_default_dtype"]
__all__ += ["can_cast", "finfo", "iinfo", "promote_types"]


class dtype:
    """A data type, e.g. `gradsmith.float32`. There is one object of each."""

    __slots__ = ("name", "itemsize", "is_floating_point", "is_signed", "is_complex", "_numpy")

    def __init__(self, name: str, itemsize: int, is_floating_point: bool) -> None:
        self.name = name
        self.itemsize = itemsize
        self.is_floating_point = is_floating_point
        self.is_signed = name not in ("uint8", "bool")
        self.is_complex = False
        # ml_dtypes, which NumPy's bfloat16 comes from, is only imported when bfloat16 is used.
        self._numpy = None if name == "bfloat16" else np.dtype(name)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of the same name (bfloat16: ml_dtypes').

        Raises:
            ImportError: bfloat16 without the package ml_dtypes.
        """
        if self._numpy is None:
            try:
                import ml_dtypes
            except ImportError as error:
                raise ImportError("bfloat16: needs ml_dtypes (pip install ml_dtypes)") from error
            self._numpy = np.dtype(ml_dtypes.bfloat16)
            _OF_NUMPY[self._numpy] = self
            set_bfloat16(self._numpy)
        return self._numpy

    def __repr__(self) -> str:
        return f"gradsmith.{self.name}"

    def __reduce__(self) -> str:
        return "bool_" if self.name == "bool" else self.name


float16 = dtype("float16", 2, True)
bfloat16 = dtype("bfloat16", 2, True)
float32 = dtype("float32", 4, True)
float64 = dtype("float64", 8, True)
int8 = dtype("int8", 1, False)
int16 = dtype("int16", 2, False)
int32 = dtype("int32", 4, False)
int64 = dtype("int64", 8, False)
uint8 = dtype("uint8", 1, False)
bool_ = dtype("bool", 1, False)

_OF_NUMPY: dict[Any, dtype] = {
    d.numpy: d for d in (float16, float32, float64, int8, int16, int32, int64, uint8, bool_)
}
_default = float32


def from_numpy_dtype(numpy_dtype: np.dtype[Any]) -> dtype:
    """gradsmith's dtype of a NumPy dtype.

    Raises:
        TypeError: for a dtype that gradsmith has not (strings, complex numbers, structures).
    """
    found = _OF_NUMPY.get(numpy_dtype)
    if found is None:
        if numpy_dtype.name == "bfloat16":
            bfloat16.numpy  # noqa: B018  registers it
            return bfloat16
        found = _OF_NUMPY.get(numpy_dtype.newbyteorder("="))
        if found is None:
            names = ", ".join(d.name for d in _OF_NUMPY.values())
            raise TypeError(f"dtype: gradsmith has {names}; got {numpy_dtype}")
    return found


def to_numpy_dtype(value: Any) -> np.dtype[Any]:
    """The NumPy dtype of a gradsmith dtype, a NumPy dtype or type, or Python's float, int, bool."""
    if type(value) is dtype:
        return value.numpy
    return from_numpy_dtype(np.dtype(value)).numpy


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds what both hold, as in PyTorch.

    bool gives way to integers, integers to floating point of any size; float16 and bfloat16 meet in
    float32, uint8 and int8 in int16.
    """
    if type1 is type2:
        return type1
    if type1.is_floating_point != type2.is_floating_point:
        return type1 if type1.is_floating_point else type2
    if type1.itemsize == type2.itemsize and type1 is not bool_ and type2 is not bool_:
        return float32 if type1.is_floating_point else int16
    if type1 is bool_ or type2 is bool_:
        return type2 if type1 is bool_ else type1
    return type1 if type1.itemsize > type2.itemsize else type2


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of dtype `from_` may be written to a tensor of dtype `to`, as in PyTorch.

    Not from floating point to integers, not from anything but bool to bool.
    """
    if from_.is_floating_point and not to.is_floating_point:
        return False
    return from_ is bool_ or to is not bool_


def combined_dtype(
    dimensioned: dtype | None, zero_dim: dtype | None, number: dtype | None
) -> dtype | None:
    """The result's dtype from what each kind of operand promotes to: torch.result_type's rule.

    A kind with fewer dimensions only decides where it is of a higher category: bool, integer,
    floating point.
    """

    def combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
        if higher is None or lower is None:
            return lower if higher is None else higher
        if higher.is_floating_point:
            return higher
        if higher is bool_ or lower.is_floating_point:
            return promote_types(higher, lower)
        return higher

    return combine(dimensioned, combine(zero_dim, number))


def dtype_of_number(value: Any) -> dtype:
    """The dtype that a Python number stands for: bool, int64 or the default dtype."""
    return bool_ if isinstance(value, bool) else int64 if isinstance(value, int) else _default


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats; float32 unless set."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Sets the dtype of tensors made from Python floats.

    Raises:
        TypeError: if d is not a floating-point dtype.
    """
    global _default
    if type(d) is not dtype or not d.is_floating_point:
        raise TypeError(f"set_default_dtype: needs a floating-point dtype; got {d!r}")
    _default = d


class finfo:
    """The limits of a floating-point dtype.

    Args:
        type: the dtype; default: the default dtype.

    Attributes:
        bits: the size of a number.
        eps: the distance from 1 to the next number.
        max, min: the greatest and the least number.
        tiny, smallest_normal: the smallest positive normal number.
        resolution: 10 to the number of decimal digits that are kept, negative.
        dtype: the dtype's name.

    Raises:
        TypeError: a dtype that is not floating point.
    """

    def __init__(self, type: dtype | None = None) -> None:
        wanted = _default if type is None else type
        if not isinstance(wanted, dtype) or not wanted.is_floating_point:
            raise TypeError(f"finfo: needs a floating-point dtype; got {type!r}")
        self.dtype = wanted.name
        self.bits = 8 * wanted.itemsize
        if wanted.name == "bfloat16":
            self.eps, self.tiny, self.resolution = 2.0**-7, 2.0**-126, 0.01
            self.max = (2.0 - 2.0**-7) * 2.0**127
        else:
            limits: Any = np.finfo(wanted.numpy)
            self.eps, self.tiny = float(limits.eps), float(limits.tiny)
            self.max, self.resolution = float(limits.max), 10.0 ** -int(limits.precision)
        self.min = -self.max
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype.

    Args:
        type: the dtype.

    Attributes:
        bits: the size of a number.
        max, min: the greatest and the least number.
        dtype: the dtype's name.

    Raises:
        TypeError: a dtype that is not an integer's.
    """

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype) or type.is_floating_point or type is bool_:
            raise TypeError(f"iinfo: needs an integer dtype; got {type!r}")
        limits = np.iinfo(type.numpy)
        self.dtype = type.name
        self.bits = 8 * type.itemsize
        self.max, self.min = int(limits.max), int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
