"""What a dtype can hold: finfo and iinfo."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dtype import bool_, get_default_dtype
from .dtype import dtype as DType

__all__ = ["finfo", "iinfo"]


class finfo:  # noqa: N801  PyTorch's name
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

    def __init__(self, type: DType | None = None) -> None:
        wanted = get_default_dtype() if type is None else type
        if not isinstance(wanted, DType) or not wanted.is_floating_point:
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


class iinfo:  # noqa: N801  PyTorch's name
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

    def __init__(self, type: DType) -> None:
        if not isinstance(type, DType) or type.is_floating_point or type is bool_:
            raise TypeError(f"iinfo: needs an integer dtype; got {type!r}")
        limits = np.iinfo(type.numpy)
        self.dtype = type.name
        self.bits = 8 * type.itemsize
        self.max, self.min = int(limits.max), int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
