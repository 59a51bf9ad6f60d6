"""What the losses' public functions share: the reduction, PyTorch's old options, dtypes, shapes."""

from __future__ import annotations

import warnings
from typing import Any

from ..tensor import Tensor
from .operands import need_tensors
from .view import expand

__all__ = ["REDUCTIONS", "check_reduction", "reduce_loss", "reduction_code", "same_dtype"]

REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def check_reduction(name: str, reduction: Any) -> str:
    """The reduction, if it is one.

    Raises:
        ValueError: another word.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")
    return reduction


def legacy_reduction(size_average: bool | None, reduce: bool | None) -> str | None:
    """What PyTorch's old options mean, with its warning; None where neither is given."""
    if size_average is None and reduce is None:
        return None
    means = size_average is None or bool(size_average)
    reduces = reduce is None or bool(reduce)
    found = ("mean" if means else "sum") if reduces else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.",
        stacklevel=4,
    )
    return found


def reduction_code(
    name: str, reduction: Any, size_average: bool | None = None, reduce: bool | None = None
) -> int:
    """0 none, 1 mean, 2 sum.

    Raises:
        ValueError: another word.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    return REDUCTIONS[check_reduction(name, reduction)]


def reduce_loss(loss: Tensor, code: int) -> Tensor:
    """The losses themselves, their mean, or their sum."""
    from .reduce import mean, sum

    return loss if code == 0 else mean(loss) if code == 1 else sum(loss)


def same_dtype(name: str, promote: bool, **tensors: Tensor) -> list[Tensor]:
    """The tensors in one dtype, the widest floating-point one.

    Raises:
        TypeError: for what is no tensor.
        RuntimeError: dtypes that differ, unless they may be promoted.
    """
    need_tensors(name, **tensors)
    values = list(tensors.values())
    first = values[0].dtype
    if all(t.dtype is first for t in values):
        return values
    floating = [t.dtype for t in values if t.dtype.is_floating_point]
    if not promote or not floating:
        got = ", ".join(f"{k} {v.dtype}" for k, v in tensors.items())
        raise RuntimeError(f"{name}: inputs must be of one dtype; got {got} (convert with .to)")
    widest = max(floating, key=lambda d: d.itemsize)
    return [t if t.dtype is widest else t.to(widest) for t in values]


def broadcast_pair(name: str, input: Tensor, target: Tensor, warn: bool) -> list[Tensor]:
    """Both in the shape that they broadcast to; PyTorch's warning where they differ.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    a, b = tuple(input._data.shape), tuple(target._data.shape)
    if a == b:
        return [input, target]
    if warn:
        warnings.warn(
            f"Using a target size ({b}) that is different to the input size ({a}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the "
            "same size.",
            stacklevel=4,
        )
    shape = broadcast_shape(name, a, b)
    return [t if tuple(t._data.shape) == shape else expand(t, shape) for t in (input, target)]


def broadcast_shape(name: str, *given: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to.

    Raises:
        RuntimeError: there is none.
    """
    ndim = max(len(s) for s in given)
    result = [1] * ndim
    for shape in given:
        for i, n in enumerate(shape, ndim - len(shape)):
            if n != 1 and result[i] != 1 and n != result[i]:
                raise RuntimeError(
                    f"{name}: shapes must match or broadcast; got {', '.join(map(str, given))}"
                )
            result[i] = result[i] if n == 1 else n
    return tuple(result)
