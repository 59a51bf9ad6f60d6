"""`apply`: runs an op on tensors and records it. The one hot path.

An eager op costs what stands here, one kernel call and one Tensor; benchmarks/overhead.py measures
it. What can be done when something is wrong, is done only then (`_failed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from ..errors import Fault, word
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor
from .grad_mode import mode
from .op import BY_KERNEL, Op

__all__ = ["Node", "RECORDING", "apply", "binary", "unary"]

_make = Tensor._make
_new_node = object.__new__
_NUMPY = (np.ndarray, np.generic)
_next_number = count(1).__next__


class Node:
    """One recorded op: what its backward needs.

    Attributes:
        number: grows with every node; an op's inputs have smaller numbers than its output, so going
            down the numbers is going backward.
        edges: for each input None (no gradient wanted), the Node that made it, (tensor,) for a leaf,
            or (node, i) for output i of an op with several differentiable outputs.
        saved: the arrays that forward saved; None once they are freed.
        origins: for each of them the index of the input it is, -1 - i for output i, None for neither.
        versions: (counter, value) of each saved input or output; a changed value means it was
            changed in place since.
    """

    __slots__ = ("op", "k", "edges", "saved", "origins", "versions", "options", "number", "shapes")

    op: Op
    k: Any
    edges: list[Any]
    saved: tuple[Any, ...] | None
    origins: list[int | None]
    versions: list[tuple[list[int], int]]
    options: tuple[Any, ...]
    number: int
    shapes: tuple[Any, ...] | None

    def __init__(self) -> None:
        self.number = _next_number()
        self.shapes = None


def apply(op: Op, inputs: tuple[Any, ...], options: tuple[Any, ...] = ()) -> Any:
    """Runs `op` on tensors (or Python numbers, or None where an input is optional).

    Returns a Tensor, or a tuple of them for an op of several outputs. If grad mode is on and an
    input requires a gradient, the output does too, and remembers how it was made.
    """
    arrays = [t._data if isinstance(t, Tensor) else t for t in inputs]
    k = TABLE_OF_ARRAY.get(type(arrays[0])) or _other_table(op, inputs, arrays)
    try:
        if op.variadic:
            y, saved = op.forward(k, arrays, *options)
        else:
            y, saved = op.forward(k, *arrays, *options)
    except Fault as fault:
        return _failed(fault, op, inputs, arrays, options)
    if op.outputs == 1:
        out = _make(y)
        if op.views:
            out._version = inputs[0]._version
        if mode.enabled and op.backward is not None:
            for t in inputs:
                if isinstance(t, Tensor) and t._requires_grad:
                    out._node = _record(op, k, inputs, arrays, y, out, saved, options)
                    out._requires_grad = True
                    break
        return out
    outputs = tuple([_make(part) for part in y])
    if mode.enabled and op.backward is not None:
        for t in inputs:
            if isinstance(t, Tensor) and t._requires_grad:
                _record_several(op, k, inputs, arrays, y, outputs, saved, options)
                break
    return outputs


# apply for one and two inputs without options: what a small elementwise op costs. Python's calls
# with * and its list comprehensions are a third of apply's time.


def unary(op: Op, x: Tensor) -> Tensor:
    """apply(op, (x,)) for an op of one output."""
    if not isinstance(x, Tensor):
        return apply(op, (x,))
    a = x._data
    k = TABLE_OF_ARRAY[type(a)]
    try:
        y, saved = op.forward(k, a)
    except Fault as fault:
        return _failed(fault, op, (x,), [a], ())
    out = _make(y)
    if x._requires_grad and mode.enabled:
        out._node = _record(op, k, (x,), (a,), y, out, saved, ())
        out._requires_grad = True
    return out


def binary(op: Op, x: Any, y: Any) -> Tensor:
    """apply(op, (x, y)) for an op of one output."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        return apply(op, (x, y))
    a = x._data
    b = y._data
    k = TABLE_OF_ARRAY[type(a)]
    try:
        z, saved = op.forward(k, a, b)
    except Fault as fault:
        return _failed(fault, op, (x, y), [a, b], ())
    out = _make(z)
    if (x._requires_grad or y._requires_grad) and mode.enabled:
        out._node = _record(op, k, (x, y), (a, b), z, out, saved, ())
        out._requires_grad = True
    return out


def _record(
    op: Op,
    k: Any,
    inputs: tuple[Any, ...],
    arrays: Sequence[Any],
    y: Any,
    out: Tensor,
    saved: tuple[Any, ...],
    options: tuple[Any, ...],
) -> Node:
    """The node of an op of one output."""
    node = _new_node(Node)
    node.number = _next_number()
    node.op = op
    node.k = k
    node.options = options
    node.saved = saved
    node.shapes = None
    edges = []
    for t in inputs:
        if isinstance(t, Tensor) and t._requires_grad:
            edges.append(t._node or (t,))
        else:
            edges.append(None)
    node.edges = edges
    origins = []
    versions = []
    for s in saved:
        origin = None
        if s is y:
            origin = -1
            counter = out._version
            versions.append((counter, counter[0]))
        else:
            i = 0
            for array in arrays:
                if s is array:
                    if isinstance(inputs[i], Tensor):
                        origin = i
                        counter = inputs[i]._version
                        versions.append((counter, counter[0]))
                    break
                i += 1
        origins.append(origin)
    if op.views:  # the gradient of a view of what was since changed in place would be wrong
        versions.append((out._version, out._version[0]))
    node.origins = origins
    node.versions = versions
    return node


def _record_several(
    op: Op,
    k: Any,
    inputs: tuple[Any, ...],
    arrays: Sequence[Any],
    y: tuple[Any, ...],
    outputs: tuple[Tensor, ...],
    saved: tuple[Any, ...],
    options: tuple[Any, ...],
) -> None:
    """Makes the node of an op of several outputs and hangs it on the differentiable ones."""
    node = _record(op, k, inputs, arrays, y[0], outputs[0], saved, options)
    for i, s in enumerate(saved):
        for j, part in enumerate(y):
            if j and s is part:
                node.origins[i] = -1 - j
                node.versions.append((outputs[j]._version, outputs[j]._version[0]))
    if op.differentiable == 1:
        outputs[0]._node = node
        outputs[0]._requires_grad = True
        return
    node.shapes = tuple([(t._data.shape, t._data.dtype) for t in outputs])
    for i in range(op.differentiable):
        outputs[i]._node = (node, i)
        outputs[i]._requires_grad = True


def _other_table(op: Op, inputs: tuple[Any, ...], arrays: list[Any]) -> Any:
    """The kernel table when the first input is a number or None."""
    for array in arrays:
        table = TABLE_OF_ARRAY.get(type(array))
        if table is not None:
            return table
    got = ", ".join(type(t).__name__ for t in inputs)
    raise TypeError(f"{op.name}: {' or '.join(op.inputs)} must be a tensor; got {got}")


def _failed(
    fault: Fault,
    op: Op,
    inputs: tuple[Any, ...],
    arrays: list[Any],
    options: tuple[Any, ...],
) -> Any:
    """A kernel refused: promotes floating-point dtypes that differ, or raises in words."""
    if fault.args[1] in ("dtype_mismatch", "not_array"):
        promoted = _promoted(inputs)
        if promoted is not None:
            return apply(op, promoted, options)
    raise word(fault, op.name, op.inputs, arrays) from None


def _promoted(inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The inputs in the widest of their dtypes as torch.result_type gives it, or None.

    NumPy's arrays and scalars become tensors here.
    """
    values = [Tensor._make(np.asarray(t)) if isinstance(t, _NUMPY) else t for t in inputs]
    tensors = [t for t in values if isinstance(t, Tensor)]
    dtypes = [t.dtype for t in tensors]
    floating = [d for d in dtypes if d.is_floating_point]
    widest = max(floating or dtypes, key=lambda d: d.itemsize)
    if all(d is widest for d in dtypes) and all(a is b for a, b in zip(values, inputs, strict=True)):
        return None
    return tuple([t.to(widest) if isinstance(t, Tensor) else t for t in values])


class _Recording:
    """The kernel table of a backward under create_graph: entry `name` is the op of that kernel."""

    device = "recording"

    def __getattr__(self, name: str) -> Any:
        op = BY_KERNEL.get(name)
        if op is None:
            raise NotImplementedError(f"no second derivative of {name} yet")
        n = len(op.inputs)
        if op.variadic:

            def entry(xs: Any, *options: Any) -> Any:
                return apply(op, tuple(xs), options)
        else:

            def entry(*args: Any) -> Any:
                return apply(op, args[:n], args[n:])

        setattr(self, name, entry)
        return entry


RECORDING = _Recording()
