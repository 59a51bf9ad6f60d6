"""Questions about dtypes: result_type, is_floating_point, is_tensor, finfo, iinfo."""

from __future__ import annotations

from typing import Any

from ..autograd.promotion import result_dtype
from ..dtype import dtype as DType
from ..tensor import Tensor
from . import creation
from .install import method
from .operands import need_tensors

__all__ = ["is_floating_point", "is_tensor", "result_type"]


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype of an arithmetic op on the two: what they are promoted to.

    Dimensioned tensors decide; 0-dim tensors, and Python numbers after them, only where they are of
    a higher category (bool, integer, floating point).

    Args:
        tensor1, tensor2: tensors, arrays or numbers.
    """
    return result_dtype(
        [
            v if isinstance(v, (Tensor, int, float)) else creation.as_operand("result_type", v)
            for v in (tensor1, tensor2)
        ]
    )


@method("is_floating_point")
def is_floating_point(input: Tensor) -> bool:
    """Whether the tensor's dtype is floating point.

    Raises:
        TypeError: something else than a tensor.
    """
    need_tensors("is_floating_point", input=input)
    return input.dtype.is_floating_point


def is_tensor(obj: Any) -> bool:
    """Whether obj is a gradsmith tensor."""
    return isinstance(obj, Tensor)
