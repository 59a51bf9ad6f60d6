"""What functions of several families check and return: tensors, and values with their indices."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..tensor import Tensor

__all__ = ["ValuesIndices", "need_tensors"]


class ValuesIndices(NamedTuple):
    """What max, min, sort and topk along a dimension give."""

    values: Tensor
    indices: Tensor


def need_tensors(name: str, **arguments: Any) -> None:
    """Raises TypeError, naming the argument, for what is not a tensor."""
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: {argument} must be a tensor; got {type(value).__name__}")
