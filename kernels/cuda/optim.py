"""Launchers of optim.cu: the optimizers' steps and total_norm."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import copy, memory
from .arguments import CXX_NAME, THREADS, Fault, address, check_arrays, contiguous
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
_CODE = {"float": "f", "double": "d"}
#: Tensors a launch, elements a block (kTensors, kBlock in optim.cu).
_TENSORS = 64
_BLOCK = 4096
_ENTRY = struct.Struct("QQQQQqq")
_STATES = ("states0", "states1", "states2")
#: Numbers of Common, before the rule's own, in `hyper` (optim_rules.cuh).
_COMMON = 5
#: kernel -> rule, and how many numbers it has.
_RULES = {
    "sgd_step": ("Sgd", 5),
    "adagrad_step": ("Adagrad", 2),
    "adadelta_step": ("Adadelta", 4),
    "rmsprop_step": ("Rmsprop", 6),
    "adam_step": ("Adam", 7),
    "adamax_step": ("Adamax", 4),
    "nadam_step": ("Nadam", 7),
    "radam_step": ("Radam", 7),
    "lion_step": ("Lion", 3),
    "rprop_step": ("Rprop", 4),
    "asgd_step": ("Asgd", 3),
    "lerp_step": ("Lerp", 2),
    "clip_step": ("Assign", 1),
}
_NORMS = ("OneNorm", "TwoNorm", "LargestNorm", "SmallestNorm", "CountNorm", "PowerNorm")

MODULE = Module(
    "optim.cu",
    [f"step<{t}, {rule}>" for rule, _ in _RULES.values() for t in _TYPES]
    + [
        f"{kernel}<{t}, {norm}>"
        for kernel in ("norm_of_blocks", "norm_of_partials")
        for norm in _NORMS
        for t in _TYPES
    ],
)

_Arrays = Sequence[Any]


def _check_written(kernel: str, name: str, array: Any, argument: int) -> None:
    """Raises Fault if several elements of the array are one in memory."""
    strides = zip(array.strides, array.shape, strict=True)
    if array.size and any(stride == 0 and n > 1 for stride, n in strides):
        raise Fault(kernel, "shape", argument)


def _check_lists(kernel: str, params: _Arrays, grads: _Arrays, states: Sequence[_Arrays]) -> None:
    """Raises Fault unless the lists belong together; a list of states may be empty."""
    for param in params:
        check_arrays(kernel, params=param)
        if CXX_NAME.get(param.dtype) not in _TYPES:
            raise Fault(kernel, "dtype")
        _check_written(kernel, "params", param, 0)
    for argument, (name, arrays) in enumerate(
        zip(("grads", *_STATES), (grads, *states), strict=True), 1
    ):
        if argument > 1 and not arrays:
            continue
        if len(arrays) != len(params):
            raise Fault(kernel, "shape", argument)
        for array, param in zip(arrays, params, strict=True):
            check_arrays(kernel, **{name: array})
            if array.dtype != param.dtype:
                raise Fault(kernel, "dtype")
            if array.shape != param.shape:
                raise Fault(kernel, "shape", argument)
            if argument > 1:
                _check_written(kernel, name, array, argument)


def _check_hyper(kernel: str, hyper: Any, numbers: int) -> None:
    if not isinstance(hyper, np.ndarray):
        raise Fault(kernel, "not_array", ("hyper", type(hyper).__name__))
    if hyper.dtype != np.float64:
        raise Fault(kernel, "dtype")
    if hyper.size != _COMMON + numbers:
        raise Fault(kernel, "shape", 6)


def _check_scalar(kernel: str, name: str, array: Any, argument: int) -> None:
    check_arrays(kernel, **{name: array})
    if CXX_NAME.get(array.dtype) not in _TYPES:
        raise Fault(kernel, "dtype")
    if array.size != 1:
        raise Fault(kernel, "shape", argument)


def _over_tensors(
    t: str, lists: Sequence[_Arrays], start: Callable[[int, bytes, int], None]
) -> None:
    """start(blocks, tensors, earlier blocks) for as many tensors of type `t` as one launch takes.

    `lists` are params, grads and states, contiguous; those that are absent are empty.
    """
    mine = [i for i, x in enumerate(lists[1]) if CXX_NAME[x.dtype] == t and x.size]
    earlier = 0
    for first in range(0, len(mine), _TENSORS):
        chosen = mine[first : first + _TENSORS]
        packed = struct.pack("q", len(chosen))
        blocks = 0
        for i in chosen:
            addresses = [address(arrays[i]) if arrays else 0 for arrays in lists]
            size = lists[1][i].size
            packed += _ENTRY.pack(*addresses, size, blocks)
            blocks += -(-size // _BLOCK)
        packed += bytes(_ENTRY.size * (_TENSORS - len(chosen)))
        start(blocks, packed, earlier)
        earlier += blocks


def _numbers(t: str, values: Sequence[float]) -> bytes:
    """A struct of numbers of type `t`."""
    # To float32 through NumPy: struct raises where a number overflows.
    with np.errstate(over="ignore"):
        rounded = [float(np.float32(v)) if t == "float" else float(v) for v in values]
    return struct.pack(f"{len(rounded)}{_CODE[t]}", *rounded)


def _stepper(kernel: str) -> Callable[..., None]:
    """The entry of one optimizer's step."""
    rule, count = _RULES[kernel]

    def step(
        params: _Arrays,
        grads: _Arrays,
        states0: _Arrays,
        states1: _Arrays,
        states2: _Arrays,
        norm: Any,
        hyper: Any,
    ) -> None:
        given = (params, grads, states0, states1, states2)
        _check_lists(kernel, params, grads, given[2:])
        _check_hyper(kernel, hyper, count)
        if norm is not None:
            _check_scalar(kernel, "norm", norm, 5)
        lists = [[contiguous(x) for x in arrays] for arrays in given]
        values = hyper.ravel().tolist()
        norm_bytes = np.int32(0 if norm is None else norm.itemsize)
        for t in _TYPES:
            own = (_numbers(t, values[:_COMMON]), _numbers(t, values[_COMMON:]))

            def start(blocks: int, tensors: bytes, _: int, t: str = t, own: Any = own) -> None:
                args = (tensors, norm, norm_bytes, *own)
                launch(MODULE, f"step<{t}, {rule}>", (blocks,), (THREADS,), 0, args)

            _over_tensors(t, lists, start)
        for arrays, copies in zip((params, *given[2:]), (lists[0], *lists[2:]), strict=True):
            for array, other in zip(arrays, copies, strict=True):
                if other is not array:
                    copy.copy_into(array, other)

    return step


def _norm_name(norm_type: float) -> str:
    if math.isinf(norm_type):
        return "LargestNorm" if norm_type > 0 else "SmallestNorm"
    names: dict[float, str] = {0: "CountNorm", 1: "OneNorm", 2: "TwoNorm"}
    return names.get(norm_type, "PowerNorm")


def total_norm(tensors: _Arrays, y: Any, norm_type: float) -> None:
    """The norm of all elements of all tensors, into the 0-dim array y."""
    _check_scalar("total_norm", "y", y, 1)
    for x in tensors:
        check_arrays("total_norm", tensors=x)
        if CXX_NAME.get(x.dtype) not in _TYPES:
            raise Fault("total_norm", "dtype")
    lists: list[_Arrays] = [[], [contiguous(x) for x in tensors], [], [], []]
    count = sum(-(-x.size // _BLOCK) for x in tensors)
    partials = memory.empty((count,), np.dtype(np.float64))
    name, power = _norm_name(norm_type), np.float64(norm_type)
    before = 0
    for t in _TYPES:

        def start(
            blocks: int, packed: bytes, earlier: int, t: str = t, first: int = before
        ) -> None:
            kernel, args = (
                f"norm_of_blocks<{t}, {name}>",
                (packed, partials[first + earlier :], power),
            )
            launch(MODULE, kernel, (blocks,), (THREADS,), 0, args)

        _over_tensors(t, lists, start)
        before += sum(-(-x.size // _BLOCK) for x in tensors if CXX_NAME[x.dtype] == t)
    kernel = f"norm_of_partials<{CXX_NAME[y.dtype]}, {name}>"
    launch(MODULE, kernel, (1,), (THREADS,), 0, (partials, np.int64(count), power, y))


ENTRIES = {**{name: _stepper(name) for name in _RULES}, "total_norm": total_norm}
