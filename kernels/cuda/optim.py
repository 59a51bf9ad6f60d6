"""Launchers of optim.cu: sgd_step, adam_step."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arguments import CXX_NAME, THREADS, Fault, address, check_arrays, contiguous
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_CODE = {"float": "f", "double": "d"}
#: Tensors a launch, elements a block (kTensors, kBlock in optim.cu).
_TENSORS = 64
_BLOCK = 4096
_ENTRY = struct.Struct("QQQQqq")

MODULE = Module(
    "optim.cu", [f"{kernel}<{t}>" for kernel in ("sgd_step", "adam_step") for t in _TYPES]
)

_Arrays = Sequence[Any]


def _check_lists(
    kernel: str, params: _Arrays, names: Sequence[str], others: Sequence[_Arrays], hyper: Any
) -> None:
    """Raises Fault unless the lists belong together; others[0] are the gradients."""
    for name, arrays in zip(("params", *names), (params, *others), strict=False):
        for array in arrays:
            check_arrays(kernel, **{name: array})
            if name != "grads" and not array.flags.c_contiguous:
                raise Fault(kernel, "not_contiguous", name)
    if any(CXX_NAME.get(p.dtype) not in _TYPES for p in params):
        raise Fault(kernel, "dtype")
    if not isinstance(hyper, np.ndarray):
        raise Fault(kernel, "not_array", ("hyper", type(hyper).__name__))
    if hyper.dtype != np.float64:
        raise Fault(kernel, "dtype")
    if hyper.size != 2:
        raise Fault(kernel, "shape", 2)
    for argument, arrays in enumerate(others, 1):
        if len(arrays) != len(params):
            raise Fault(kernel, "shape", argument)
        for array, param in zip(arrays, params, strict=True):
            if array.dtype != param.dtype:
                raise Fault(kernel, "dtype")
            if array.shape != param.shape:
                raise Fault(kernel, "shape", argument)


def _launch_steps(kernel: str, rules: dict[str, bytes], lists: Sequence[_Arrays]) -> None:
    """Launches a step for params, grads, states...; `rules` has the kernel's rule by type."""
    grads = [contiguous(g) for g in lists[1]]
    for t, rule in rules.items():
        mine = [i for i, p in enumerate(lists[0]) if CXX_NAME[p.dtype] == t and p.size]
        for start in range(0, len(mine), _TENSORS):
            chosen = mine[start : start + _TENSORS]
            packed = struct.pack("q", len(chosen))
            blocks = 0
            for i in chosen:
                param = lists[0][i]
                states = [address(states[i]) for states in lists[2:]]
                states += [0] * (2 - len(states))
                packed += _ENTRY.pack(
                    address(param), address(grads[i]), *states, param.size, blocks
                )
                blocks += -(-param.size // _BLOCK)
            packed += bytes(_ENTRY.size * (_TENSORS - len(chosen)))
            launch(MODULE, f"{kernel}<{t}>", (blocks,), (THREADS,), 0, (packed, rule))


def _rules(numbers: Sequence[float], flags: Sequence[int]) -> dict[str, bytes]:
    """The rule's struct for each type: numbers, then int flags, padded to its alignment."""
    packed = {}
    for t, code in _CODE.items():
        # To float32 through NumPy: struct raises where a number overflows.
        with np.errstate(over="ignore"):
            values = [float(np.float32(v)) if t == "float" else v for v in numbers]
        data = struct.pack(f"{len(values)}{code}{len(flags)}i", *values, *flags)
        packed[t] = data + bytes(-len(data) % struct.calcsize(code))
    return packed


def sgd_step(
    params: _Arrays,
    grads: _Arrays,
    momentum_buffers: _Arrays,
    hyper: Any,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first: bool,
) -> None:
    """One step of SGD on all params, in place; without momentum the buffers are not read."""
    buffers = [momentum_buffers] if momentum else []
    names = ("grads", "momentum_buffers")
    _check_lists("sgd_step", params, names, [grads, *buffers], hyper)
    sign = -1.0 if maximize else 1.0
    numbers = (float(hyper.flat[0]), momentum, 1 - dampening, weight_decay, sign)
    flags = (bool(momentum), bool(nesterov), bool(first))
    _launch_steps("sgd_step", _rules(numbers, flags), [params, grads, *buffers])


def adam_step(
    params: _Arrays,
    grads: _Arrays,
    exp_avgs: _Arrays,
    exp_avg_sqs: _Arrays,
    hyper: Any,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    """One step of Adam (AdamW if decoupled) on all params, in place."""
    names = ("grads", "exp_avgs", "exp_avg_sqs")
    _check_lists("adam_step", params, names, [grads, exp_avgs, exp_avg_sqs], hyper)
    lr, step = (float(v) for v in hyper.flat)
    with np.errstate(all="ignore"):  # a step of 0 divides by 0, and gives NaN or infinity
        step_size = float(lr / (1 - np.float64(beta1) ** step))
        inverse_root = float((1 - np.float64(beta2) ** step) ** -0.5)
    numbers = (
        step_size,
        1 - beta1,
        beta2,
        1 - beta2,
        inverse_root,
        eps,
        weight_decay,
        1 - lr * weight_decay,
        -1.0 if maximize else 1.0,
    )
    rules = _rules(numbers, (bool(decoupled),))
    _launch_steps("adam_step", rules, [params, grads, exp_avgs, exp_avg_sqs])


ENTRIES = {"sgd_step": sgd_step, "adam_step": adam_step}
