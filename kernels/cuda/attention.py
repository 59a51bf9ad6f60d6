"""Launchers of attention.cu: attention_fwd, attention_bwd."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from . import memory
from .arguments import (
    THREADS,
    Fault,
    blocks_for,
    check_floats,
    contiguous,
    element_strides,
    operand_strides,
    size_of,
    strided_loop,
)
from .launch import Module, launch

__all__ = ["ENTRIES"]

_TYPES = ("float", "double")
#: As in attention.cu.
_ROWS = 32
_THREADS = 256
#: Features of the result that a block owns.
_WIDTHS = (32, 64, 128)

MODULE = Module(
    "attention.cu",
    [
        *(
            f"{kernel}<{t}, {width}>"
            for kernel in ("attention_fwd", "attention_bwd_query", "attention_bwd_key")
            for t in _TYPES
            for width in _WIDTHS
        ),
        *(f"attention_delta<{t}>" for t in _TYPES),
    ],
)


class _Problem:
    """The checked sizes of a call, and what its kernels take."""

    def __init__(
        self, kernel: str, query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float
    ) -> None:
        if min(query.ndim, key.ndim, value.ndim) < 2:
            raise Fault(kernel, "shape", 0)
        *batch, self.L, self.E = query.shape
        self.S, self.V = key.shape[-2], value.shape[-1]
        shapes = {1: (key, (self.S, self.E)), 2: (value, (self.S, self.V))}
        if mask is not None:
            shapes[3] = (mask, (self.L, self.S))
        for i, (x, last) in shapes.items():
            if tuple(x.shape) != (*batch, *last):
                raise Fault(kernel, "shape", i)
        self.batch = tuple(batch)
        self.batches = size_of(kernel, self.batch)
        self.causal, self.scale = causal, scale
        self.operands = (query, key, value, mask)

    def loop(self) -> bytes:
        """The operands' offsets by batch."""
        strides = []
        for x in self.operands:
            if x is None:
                strides.append((0,) * len(self.batch))
            else:
                strides.append(operand_strides(x, tuple(x.shape))[:-2])
        return strided_loop(self.batch, *strides)

    def shape(self, rows: int, p: float, seed: int, offset: int) -> bytes:
        """struct Shape of attention.cu, for blocks that own _ROWS of `rows`."""
        limit = math.ceil(p * 2**24) if p > 0 else 0
        kept = 1 / (1 - p) if p < 1 else 0.0
        steps = []
        for x in self.operands:
            steps += (0, 0) if x is None else element_strides(x)[-2:]
        tiles = -(-rows // _ROWS)
        sizes = (self.L, self.S, self.E, self.V, *steps, tiles, int(self.causal))
        return struct.pack("14q2dq2Q", *sizes, self.scale, kept, limit, seed, offset)

    def grid(self, rows: int, width: int) -> tuple[tuple[int, int], int]:
        """The grid over rows and features, and the features that a block owns."""
        own = next((w for w in _WIDTHS if width <= w), _WIDTHS[-1])
        return (-(-rows // _ROWS) * self.batches, max(1, -(-width // own))), own


def attention_fwd(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    out_shape: tuple[int, ...],
    rows_shape: tuple[int, ...],
    causal: bool,
    scale: float,
    p: float,
    seed: int,
    offset: int,
) -> tuple[Any, Any]:
    """(y, log_sum)"""
    name = "attention_fwd"
    t = check_floats(name, query=query, key=key, value=value, mask=mask)
    problem = _Problem(name, query, key, value, mask, causal, scale)
    if tuple(out_shape) != (*problem.batch, problem.L, problem.V):
        raise Fault(name, "shape", 4)
    if tuple(rows_shape) != (*problem.batch, problem.L) or not 0 <= p <= 1:
        raise Fault(name, "shape", 5)
    y = memory.empty(tuple(out_shape), query.dtype)
    log_sum = memory.empty(tuple(rows_shape), query.dtype)
    if log_sum.size:
        grid, width = problem.grid(problem.L, problem.V)
        shape = problem.shape(problem.L, p, seed, offset)
        args = (query, key, value, mask, y, log_sum, shape, problem.loop())
        launch(MODULE, f"attention_fwd<{t}, {width}>", grid, (_THREADS,), 0, args)
    return y, log_sum


def attention_bwd(
    grad_y: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    y: Any,
    log_sum: Any,
    mask_shape: tuple[int, ...],
    causal: bool,
    scale: float,
    p: float,
    seed: int,
    offset: int,
) -> tuple[Any, Any, Any, Any]:
    """(grad_query, grad_key, grad_value, grad_mask)"""
    name = "attention_bwd"
    arrays = {"grad_y": grad_y, "query": query, "key": key, "value": value, "mask": mask}
    t = check_floats(name, **arrays, y=y, log_sum=log_sum)
    problem = _Problem(name, query, key, value, mask, causal, scale)
    out_shape = (*problem.batch, problem.L, problem.V)
    if tuple(grad_y.shape) != out_shape or tuple(y.shape) != out_shape:
        raise Fault(name, "shape", 0)
    if log_sum.size != problem.batches * problem.L or not 0 <= p <= 1:
        raise Fault(name, "shape", 6)
    if size_of(name, mask_shape) not in (0, problem.batches * problem.L * problem.S):
        raise Fault(name, "shape", 7)
    grad_query, grad_key, grad_value, grad_mask = (
        memory.empty(tuple(shape), query.dtype)
        for shape in (query.shape, key.shape, value.shape, mask_shape)
    )
    results = grad_query, grad_key, grad_value, grad_mask
    if not problem.batches:
        return results
    grad_y, y, log_sum = contiguous(grad_y), contiguous(y), contiguous(log_sum)
    rows = problem.batches * problem.L
    delta = memory.empty((rows,), query.dtype)
    loop = problem.loop()
    operands = (grad_y, query, key, value, mask, log_sum, delta)
    if rows:
        args = (grad_y, y, delta, np.int64(rows), np.int64(problem.V))
        grid = (blocks_for(rows * 32),)
        launch(MODULE, f"attention_delta<{t}>", grid, (THREADS,), 0, args)
        grid, width = problem.grid(problem.L, problem.E)
        shape = problem.shape(problem.L, p, seed, offset)
        to = (grad_query, grad_mask if grad_mask.size else None)
        args = (*operands, *to, shape, loop)
        launch(MODULE, f"attention_bwd_query<{t}, {width}>", grid, (_THREADS,), 0, args)
    if problem.S:
        grid, width = problem.grid(problem.S, max(problem.E, problem.V))
        shape = problem.shape(problem.S, p, seed, offset)
        args = (*operands, grad_key, grad_value, shape, loop)
        launch(MODULE, f"attention_bwd_key<{t}, {width}>", grid, (_THREADS,), 0, args)
    return results


ENTRIES = {"attention_fwd": attention_fwd, "attention_bwd": attention_bwd}
