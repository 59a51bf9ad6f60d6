"""Optimizer steps and norms over many tensors: one fused kernel call each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtype import float32, float64
from ..errors import call
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor
from .creation import empty, zeros

__all__ = ["clip_all", "lerp_all", "step", "total_norm"]

_NAMES = ("params", "grads", "states0", "states1", "states2", "norm")


def step(
    kernel: str,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    numbers: Sequence[float],
    *,
    maximize: bool = False,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
    norm: Tensor | None = None,
    max_norm: float = 0.0,
    clip_value: float | None = None,
) -> None:
    """One optimizer's step on all of `params`, in place, in one kernel call.

    Formula: g = clip(gradient) + weight_decay * p (the gradient's negative to maximize);
    p = shrink * p; then the kernel's rule (optim_rules.cuh).

    Args:
        kernel: which one, e.g. "adam_step".
        states: up to three lists with one tensor a parameter each; an empty one is absent.
        numbers: what the rule is given, computed in float64.
        norm: total norm of the gradients, which are scaled down where it is above max_norm.
        clip_value: the largest magnitude that an element of a gradient keeps.

    Raises:
        RuntimeError: lists, shapes, dtypes or devices that do not fit together.
    """
    if not params:
        return
    lists: list[list[Any]] = [[t._data for t in tensors] for tensors in (params, grads, *states)]
    lists += [[] for _ in range(5 - len(lists))]
    scale = -1.0 if maximize else 1.0
    clip = -1.0 if clip_value is None else clip_value
    hyper = np.array([scale, clip, max_norm, weight_decay, shrink, *numbers], np.float64)
    k = TABLE_OF_ARRAY[type(lists[0][0])]
    call(kernel, getattr(k, kernel), _NAMES, *lists, None if norm is None else norm._data, hyper)
    for p in params:
        p._version[0] += 1


def lerp_all(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """tensors += weight * (ends - tensors), in place, in one kernel call."""
    step("lerp_step", tensors, ends, (), (weight, 1 - weight))


def clip_all(
    tensors: Sequence[Tensor],
    *,
    norm: Tensor | None = None,
    max_norm: float = 0.0,
    clip_value: float | None = None,
) -> None:
    """Clips tensors in place by their total norm or their elements' size, in one kernel call.

    Formula: x = x * min(1, max_norm / (norm + 1e-6)); or min(max(x, -clip_value), clip_value).
    """
    options: dict[str, Any] = {"norm": norm, "max_norm": max_norm, "clip_value": clip_value}
    step("clip_step", tensors, tensors, (), (0.0,), **options)


def total_norm(tensors: Sequence[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all elements of all tensors, as if they were one vector.

    Formula: (sum |x|^p)^(1/p); p = inf: the largest magnitude, -inf: the smallest; p = 0: how many
    tensors have an element that is not 0 (the norm of the tensors' norms, as in PyTorch).

    Args:
        tensors: float32 or float64, of any shapes; a float64 one makes the result float64.
        norm_type: p.

    Returns:
        A 0-dim tensor on the first tensor's device, in no graph; 0 of no tensors.
    """
    tensors = list(tensors)
    if not tensors:
        return zeros(())
    devices = list(dict.fromkeys(t.device for t in tensors))
    if norm_type == 0 and len(tensors) > 1:
        counts = [total_norm([t], 0).to(devices[0]) for t in tensors]
        return _norm(counts, 0)
    if len(devices) > 1:
        parts = [total_norm([t for t in tensors if t.device == d], norm_type) for d in devices]
        return _norm([part.to(devices[0]) for part in parts], norm_type)
    return _norm(tensors, norm_type)


def _norm(tensors: Sequence[Tensor], norm_type: float) -> Tensor:
    """total_norm of tensors of one device; p = 0 counts elements."""
    wide = any(t.dtype is float64 for t in tensors)
    y = empty((), dtype=float64 if wide else float32, device=tensors[0].device)
    arrays = [t._data for t in tensors]
    k = TABLE_OF_ARRAY[type(arrays[0])]
    call("total_norm", k.total_norm, ("tensors", "y"), arrays, y._data, float(norm_type))
    return y
