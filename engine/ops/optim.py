"""Optimizer steps: one fused kernel call for many tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import call
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor

__all__ = ["adam_step", "sgd_step"]


def sgd_step(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momentum_buffers: Sequence[Tensor],
    hyper: Any,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """One step of SGD on all of `params`, in place.

    Args:
        momentum_buffers: one a parameter, or none at all without momentum.
        hyper: float64 host array [learning rate, step].
        first: the buffers are still to be filled with the gradient.
    """
    lists = [params, grads, momentum_buffers]
    options = (hyper, momentum, dampening, weight_decay, nesterov, maximize, first)
    _step("sgd_step", lists, options)


def adam_step(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    hyper: Any,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """One step of Adam (AdamW if decoupled) on all of `params`, in place.

    Args:
        hyper: float64 host array [learning rate, step]; the step counts from 1.
    """
    lists = [params, grads, exp_avgs, exp_avg_sqs]
    _step("adam_step", lists, (hyper, beta1, beta2, eps, weight_decay, decoupled, maximize))


def _step(kernel: str, lists: list[Sequence[Tensor]], options: tuple[Any, ...]) -> None:
    params = lists[0]
    if not params:
        return
    arrays = [[t._data for t in tensors] for tensors in lists]
    k = TABLE_OF_ARRAY[type(arrays[0][0])]
    names = ("params", "grads", *(["state"] * (len(arrays) - 2)))
    call(kernel, getattr(k, kernel), names, *arrays, *options)
    for p in params:
        p._version[0] += 1
