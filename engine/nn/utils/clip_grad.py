"""Clipping of gradients, by their total norm or by value, in one or two kernel calls."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ...ops.optim import clip_all, total_norm
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _by_device(tensors: list[Tensor]) -> list[list[Tensor]]:
    devices = dict.fromkeys(t.device for t in tensors)
    return [[t for t in tensors if t.device == d] for d in devices]


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in found if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors, as if they were one vector. One kernel call.

    Formula: (sum |x|^p)^(1/p); p = inf: the largest magnitude; p = 0: how many tensors are not all
    0

    Args:
        tensors: one, or any number of them.
        norm_type: p.
        error_if_nonfinite: raise if the norm is NaN or infinite (which waits for the device).
        foreach: changes nothing; it is one call always.

    Returns:
        A 0-dim tensor, in no graph.

    Raises:
        RuntimeError: the norm is not finite and error_if_nonfinite is set.
    """
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm = total_norm(found, float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise RuntimeError(
            f"get_total_norm: the norm of order {float(norm_type)} must be finite; got "
            f"{norm.item()} (error_if_nonfinite=False clips by it all the same)"
        )
    return norm


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scales the gradients down to a norm that was computed before, in place. One kernel call.

    Formula: grad = grad * min(1, max_norm / (total_norm + 1e-6))

    Args:
        parameters: one, or any number of them; those without a gradient are left out.
        max_norm: the norm that the gradients keep at most.
        total_norm: their norm, from get_total_norm.
        foreach: changes nothing; it is one call always.
    """
    for grads in _by_device(_grads(parameters)):
        norm = total_norm.to(grads[0].device)
        clip_all(grads, norm=norm, max_norm=float(max_norm))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients down, in place, to a total norm of at most max_norm. Two kernel calls.

    Formula: grad = grad * min(1, max_norm / (norm + 1e-6))

    Args:
        parameters: one, or any number of them; those without a gradient are left out.
        max_norm: the norm that the gradients keep at most.
        norm_type: p; inf is the largest magnitude.
        error_if_nonfinite: raise if the norm is NaN or infinite, and change nothing.
        foreach: changes nothing; it is one call always.

    Returns:
        The norm before, a 0-dim tensor.

    Raises:
        RuntimeError: the norm is not finite and error_if_nonfinite is set.

    An optimizer's clip_grad_norm= does it inside its step, without another pass over the gradients.

    Source: Pascanu et al. 2013.
    """
    grads = _grads(parameters)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    for some in _by_device(grads):
        clip_all(some, norm=norm.to(some[0].device), max_norm=float(max_norm))
    return norm


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clips each element of the gradients, in place. One kernel call.

    Formula: grad = min(max(grad, -clip_value), clip_value)

    Args:
        parameters: one, or any number of them; those without a gradient are left out.
        clip_value: the largest magnitude that is kept, >= 0.
        foreach: changes nothing; it is one call always.

    Raises:
        ValueError: clip_value below 0.
    """
    value: Any = float(clip_value)
    if not value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be >= 0; got {clip_value}")
    for grads in _by_device(_grads(parameters)):
        clip_all(grads, clip_value=value)
