"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...ops.view import cat
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters flattened, one behind another, in one vector; it is differentiable.

    Args:
        parameters: any number of them, on one device.

    Raises:
        RuntimeError: parameters on several devices.
    """
    return cat([p.reshape(-1) for p in _of_one_device("parameters_to_vector", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Gives the parameters the values of a vector: each becomes a view of its part of it.

    Args:
        vec: as many elements as the parameters have together.
        parameters: those that are changed, through `.data`.

    Raises:
        TypeError: vec that is no tensor.
        RuntimeError: parameters on several devices; another number of elements.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a tensor; got {type(vec).__name__}")
    found = _of_one_device("vector_to_parameters", parameters)
    count = sum(p.numel() for p in found)
    if vec.numel() != count:
        raise RuntimeError(
            f"vector_to_parameters: vec must have the parameters' {count} elements; "
            f"got {vec.numel()}"
        )
    begin = 0
    for p in found:
        end = begin + p.numel()
        p.data = vec[begin:end].reshape(tuple(p.shape)).data
        begin = end


def _of_one_device(name: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    found = list(parameters)
    devices = sorted({str(p.device) for p in found})
    if len(devices) > 1:
        raise RuntimeError(f"{name}: parameters must be on one device; got {devices}")
    return found
