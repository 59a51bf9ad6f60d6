"""`apply`: runs an op on tensors and records it. The one hot path.

An eager op costs what stands here, one kernel call and one Tensor; benchmarks/overhead.py measures
it. What can be done when something is wrong, is done only then (`_failed`).
"""

from __future__ import annotations

from itertools import count
from typing import Any

from ..errors import Fault, word
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor
from .grad_mode import mode
from .op import BY_KERNEL, Op

__all__ = ["Node", "RECORDING", "apply"]

_new_tensor = Tensor._make
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

    def __init__(self) -> None:
        self.number = _next_number()
        self.shapes: tuple[Any, ...] | None = None


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
    if op.outputs != 1:
        outputs = tuple([_new_tensor(part) for part in y])
        out = outputs[0]
    else:
        out = _new_tensor(y)
        outputs = None
    if op.views:
        out._version = inputs[0]._version
    if mode.enabled and op.backward is not None:
        edges = []
        wanted = False
        for t in inputs:
            if isinstance(t, Tensor) and t._requires_grad:
                edges.append(t._node or (t,))
                wanted = True
            else:
                edges.append(None)
        if wanted:
            node = Node()
            node.op = op
            node.k = k
            node.edges = edges
            node.options = options
            node.saved = saved
            origins = []
            versions = []
            for s in saved:
                origin = None
                if s is y:
                    origin = -1
                    versions.append((out._version, out._version[0]))
                elif outputs is not None and any(s is part for part in y):
                    origin = -1 - [s is part for part in y].index(True)
                    version = outputs[-1 - origin]._version
                    versions.append((version, version[0]))
                else:
                    for i, array in enumerate(arrays):
                        if s is array and isinstance(inputs[i], Tensor):
                            origin = i
                            version = inputs[i]._version
                            versions.append((version, version[0]))
                            break
                origins.append(origin)
            if op.views:  # backward of a view of what was since changed in place would be wrong
                versions.append((out._version, out._version[0]))
            node.origins = origins
            node.versions = versions
            if outputs is None or op.differentiable == 1:
                out._requires_grad = True
                out._node = node
            else:
                node.shapes = tuple([(t._data.shape, t._data.dtype) for t in outputs])
                for i in range(op.differentiable):
                    outputs[i]._requires_grad = True
                    outputs[i]._node = (node, i)
    return out if outputs is None else outputs


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
    if fault.args[1] == "dtype_mismatch":
        promoted = _promoted(inputs)
        if promoted is not None:
            return apply(op, promoted, options)
    raise word(fault, op.name, op.inputs, arrays) from None


def _promoted(inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The inputs in the widest of their dtypes as torch.result_type gives it, or None."""
    tensors = [t for t in inputs if isinstance(t, Tensor)]
    dtypes = [t.dtype for t in tensors]
    floating = [d for d in dtypes if d.is_floating_point]
    widest = max(floating or dtypes, key=lambda d: d.itemsize)
    if all(d is widest for d in dtypes):
        return None
    return tuple([t.to(widest) if isinstance(t, Tensor) else t for t in inputs])


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
