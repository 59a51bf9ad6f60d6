"""`apply`: runs an op on tensors and records it. The one hot path.

An eager op costs what stands here, one kernel call and one Tensor; `gradsmith bench overhead`
measures it. What can be done when something is wrong, is done only then (`_failed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import ref

from .. import _cpu
from ..errors import Fault, word
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor, _filled
from . import promotion
from .grad_mode import mode
from .op import BY_KERNEL, Op

__all__ = ["Node", "RECORDING", "apply", "binary", "plain", "unary"]

_make = Tensor._make
_next_number = count(1).__next__


#: Called with each node that is recorded, in any thread: how anomaly.py learns of them.
_on_record: Any = None


def set_on_record(function: Any) -> None:
    """Sets what is called with each recorded node; None: nothing."""
    global _on_record
    _on_record = function


def note(node: Node) -> None:
    """Shows a node to who asked for it."""
    if _on_record is not None:
        _on_record(node)


class Node:
    """One recorded op: what its backward needs.

    Attributes:
        number: grows with every node; an op's inputs have smaller numbers than its output, so going
            down the numbers is going backward.
        edges: for each input None (no gradient wanted), the Node that made it, (tensor,) for a
            leaf, or (node, i) for output i of an op with several differentiable outputs.
        saved: the arrays that forward saved; None once they are freed.
        origins: for each of them the index of the input it is, -1 - i for output i, or None.
        versions: (counter, value) of each saved input or output; a changed value means it was
            changed in place since.
    """

    # hooks (hooks.py), trace (anomaly.py) and refill (checkpoint.py) stay unset unless used.
    __slots__ = (
        "op",
        "k",
        "edges",
        "saved",
        "origins",
        "versions",
        "options",
        "number",
        "shapes",
        "hooks",
        "trace",
        "refill",
        "__weakref__",
    )

    op: Op
    k: Any
    edges: list[Any]
    saved: tuple[Any, ...] | None
    origins: list[int | None]
    versions: list[tuple[list[int], int]]
    options: tuple[Any, ...]
    number: int
    shapes: tuple[Any, ...] | None
    hooks: Any
    trace: str
    refill: Any

    def __init__(self) -> None:
        self.number = _next_number()
        self.shapes = None

    def name(self) -> str:
        """The op's name."""
        return self.op.name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input the node that made it and which of its outputs it is.

        (None, 0): no gradient is wanted; (tensor, 0): a leaf.
        """
        return tuple(
            [
                (edge, 0)
                if edge is None or type(edge) is Node
                else (edge[0], edge[1] if len(edge) == 2 else 0)
                for edge in self.edges
            ]
        )

    def register_prehook(self, hook: Any) -> Any:
        """Calls `hook(grad_outputs)` before this node's backward; it may return others."""
        from .hooks import of_node

        hooks = of_node(self)
        return hooks.add(hooks.before, hook)

    def register_hook(self, hook: Any) -> Any:
        """Calls `hook(grad_inputs, grad_outputs)` after this node's backward.

        What it returns, if not None, are the gradients of the inputs from there on.
        """
        from .hooks import of_node

        hooks = of_node(self)
        return hooks.add(hooks.after, hook)

    def __repr__(self) -> str:
        return f"<{self.op.name} node {self.number}>"


#: A node of these slots' values.
_filled_node = _cpu.slot_maker(
    Node, ("op", "k", "edges", "saved", "origins", "versions", "options", "number", "shapes")
)


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
            _follow(out, inputs[0], op, options)
        if mode.enabled and op.backward is not None:
            edges = _edges(inputs)
            if edges is not None:
                origins = _origins(saved, inputs, arrays, y)
                out._node = _record(op, k, inputs, edges, out, saved, origins, options)
                out._requires_grad = True
        return out
    outputs = tuple([_make(part) for part in y])
    if mode.enabled and op.backward is not None:
        edges = _edges(inputs)
        if edges is not None:
            _record_several(op, k, inputs, arrays, edges, y, outputs, saved, options)
    return outputs


def _follow(view: Tensor, parent: Tensor, op: Op, options: tuple[Any, ...]) -> None:
    """Makes `view` known as a view of parent: they share the counter of changes, which lists it.

    The list is rid of dead views whenever it has doubled since.
    """
    counter = parent._version
    view._version = counter
    view._view = (parent, op, options)
    n = len(counter)
    if n >= 16 and n & (n - 1) == 0:
        counter[1:] = [r for r in counter[1:] if r() is not None]
    counter.append(ref(view))


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
    out = _filled(y, False, None, [0], None)
    if x._requires_grad and mode.enabled:
        origins = op.origins[0]
        if origins is None:
            origins = op.origins[0] = _origins(saved, (x,), (a,), y)
        edges = [x._node or (x,)]
        out._node = _record(op, k, (x,), edges, out, saved, origins, ())
        out._requires_grad = True
    return out


def binary(op: Op, x: Any, y: Any) -> Tensor:
    """apply(op, (x, y)) for an op of one output; one of them may be a number."""
    a = x._data if isinstance(x, Tensor) else x
    b = y._data if isinstance(y, Tensor) else y
    k = TABLE_OF_ARRAY.get(type(a) if a is not x else type(b)) or _other_table(op, (x, y), [a, b])
    try:
        z, saved = op.forward(k, a, b)
    except Fault as fault:
        return _failed(fault, op, (x, y), [a, b], ())
    out = _filled(z, False, None, [0], None)
    edge_x = edge_y = None
    number = 0  # 1: x is no tensor, 2: y is none
    if a is x:
        number = 1
    elif x._requires_grad:
        edge_x = x._node or (x,)
    if b is y:
        number = 2
    elif y._requires_grad:
        edge_y = y._node or (y,)
    if (edge_x is not None or edge_y is not None) and mode.enabled:
        inputs = (x, y)
        origins = op.origins[number]
        if origins is None:
            origins = _origins(saved, inputs, (a, b), z)
            if a is not b:  # x * x shows nothing about x * y
                op.origins[number] = origins
        out._node = _record(op, k, inputs, [edge_x, edge_y], out, saved, origins, ())
        out._requires_grad = True
    return out


def plain(op: Op, x: Any, y: Any) -> Tensor:
    """binary(op, x, y) for an op that has no gradient, a comparison."""
    a = x._data if isinstance(x, Tensor) else x
    b = y._data if isinstance(y, Tensor) else y
    k = TABLE_OF_ARRAY.get(type(a) if a is not x else type(b)) or _other_table(op, (x, y), [a, b])
    try:
        return _filled(op.forward(k, a, b)[0], False, None, [0], None)
    except Fault as fault:
        return _failed(fault, op, (x, y), [a, b], ())


def _origins(
    saved: tuple[Any, ...], inputs: Sequence[Any], arrays: Sequence[Any], y: Any
) -> list[int | None]:
    """For each saved value the index of the input it is, -1 for the output, None for neither."""
    origins: list[int | None] = []
    for s in saved:
        origin = -1 if s is y else None
        for i, array in enumerate(arrays):
            # x and x.detach() hold one array: what is saved twice is two inputs, in their order.
            if s is array and isinstance(inputs[i], Tensor) and i not in origins:
                origin = i
                break
        origins.append(origin)
    return origins


def _record(
    op: Op,
    k: Any,
    inputs: Sequence[Any],
    edges: list[Any],
    out: Tensor,
    saved: tuple[Any, ...],
    origins: list[int | None],
    options: tuple[Any, ...],
) -> Node:
    """The node of an op's call."""
    versions = []
    for origin in origins:
        if origin is not None:
            counter = (out if origin < 0 else inputs[origin])._version
            versions.append((counter, counter[0]))
    node = _filled_node(op, k, edges, saved, origins, versions, options, _next_number(), None)
    if _on_record is not None:
        _on_record(node)
    return node


def _edges(inputs: Sequence[Any]) -> list[Any] | None:
    """The inputs' edges, or None if no gradient is wanted of any."""
    edges: list[Any] = []
    wanted = False
    for t in inputs:
        if isinstance(t, Tensor) and t._requires_grad:
            edges.append(t._node or (t,))
            wanted = True
        else:
            edges.append(None)
    return edges if wanted else None


def _record_several(
    op: Op,
    k: Any,
    inputs: Sequence[Any],
    arrays: Sequence[Any],
    edges: list[Any],
    y: tuple[Any, ...],
    outputs: tuple[Tensor, ...],
    saved: tuple[Any, ...],
    options: tuple[Any, ...],
) -> None:
    """Makes the node of an op of several outputs and hangs it on the differentiable ones."""
    origins = _origins(saved, inputs, arrays, y[0])
    node = _record(op, k, inputs, edges, outputs[0], saved, origins, options)
    for i, s in enumerate(saved):
        for j, part in enumerate(y):
            if j and s is part:
                origins[i] = -1 - j
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
    """A kernel refused: other dtypes that it takes (promotion.py), or the refusal in words."""
    kind = fault.args[1]
    if op.operands and kind in ("dtype_mismatch", "not_array", "dtype"):
        if op.name == "sub":
            promotion.refuse_bools(inputs)
        promoted = promotion.promoted(inputs, op.promotes)
        if promoted is not None:
            return apply(op, promoted, options)
    if kind == "dtype":
        if op.name in promotion.FLOATING:
            floats = promotion.floated(inputs)
            if floats is not None:
                return apply(op, floats, options)
        half = promotion.halves(arrays)
        if half is not None:
            return _through_float32(op, inputs, options, half)
        if op.name in promotion.WHOLE or op.name in promotion.THROUGH_INT64:
            whole = promotion.of_integers(RECORDING, op.name, inputs, options)
            if whole is not None:
                return whole
    raise word(fault, op.name, op.inputs, arrays, options) from None


def _through_float32(op: Op, inputs: tuple[Any, ...], options: tuple[Any, ...], half: Any) -> Any:
    """The op on float32 copies, its float32 results rounded to the half dtype."""
    result = apply(op, promotion.widened(inputs), options)
    if op.outputs == 1:
        return promotion.narrowed((result,), half)[0]
    return promotion.narrowed(result, half)


def backward_through_float32(node: Node, saved: Any, grad_y: Any) -> tuple[Any, ...] | None:
    """An op's gradients where its kernels refused float16 or bfloat16; None: it was not that.

    Only for gradients on arrays; on tensors every kernel is an op and helps itself.
    """
    several = isinstance(grad_y, list)
    half = promotion.halves((saved, grad_y))
    if half is None or node.op.backward is None:
        return None
    wide_y = promotion.widened(grad_y if several else (grad_y,))
    grads = node.op.backward(
        node.k,
        promotion.widened(saved),
        list(wide_y) if several else wide_y[0],
        node.edges,
        *node.options,
    )
    return promotion.narrowed(grads, half)


class _Recording:
    """The kernel table of a backward under create_graph: entry `name` is the op of that kernel."""

    device = "recording"

    def __getattr__(self, name: str) -> Any:
        op = BY_KERNEL.get(name)
        if op is None:
            raise NotImplementedError(f"no second derivative of {name} yet")
        n = len(op.inputs)

        def of_list(xs: Any, *options: Any) -> Any:
            return apply(op, tuple(xs), options)

        def of_inputs(*args: Any) -> Any:
            return apply(op, args[:n], args[n:])

        entry = of_list if op.variadic else of_inputs
        setattr(self, name, entry)
        return entry


RECORDING = _Recording()
