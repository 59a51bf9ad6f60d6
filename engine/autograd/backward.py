"""The backward pass: without recursion, down the nodes' numbers, memory freed as it goes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from ..errors import Fault, word
from ..kernels import TABLE_OF_ARRAY
from ..kernels.order import copied, inverse, order_of
from ..tensor import Tensor
from . import anomaly
from .dispatch import RECORDING, Node, apply, backward_through_float32
from .grad_mode import mode
from .hooks import hooks_of, registered
from .op import BY_KERNEL, Op
from .promotion import added

__all__ = ["backward", "grad"]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulates the gradients of `tensors` into the leaves' .grad.

    Args:
        tensors: what to differentiate.
        grad_tensors: the gradient of each; None: 1, for tensors of one element.
        retain_graph: keep what a second backward needs; None: as create_graph.
        create_graph: record the backward itself, for derivatives of derivatives.
        grad_variables: the old name of grad_tensors.
        inputs: only these tensors get a gradient, leaves or not; None: all leaves.

    Raises:
        RuntimeError: a tensor that needs no gradient; a tensor of several elements without its
            gradient; a graph that was freed; a saved tensor changed in place since; no inputs.
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError("backward: only one of grad_tensors and grad_variables may be given")
        grad_tensors = grad_variables
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        roots, grads = _roots("backward", tensors, grad_tensors)
        _run(roots, grads, keep, create_graph, None)
        return
    wanted = _wanted("backward", inputs)
    if not wanted:
        raise RuntimeError("backward: inputs must not be empty (None: all leaves)")
    roots, grads = _roots("backward", tensors, grad_tensors)
    targets = {_target(t): None for t in wanted}
    _run(roots, grads, keep, create_graph, targets)
    for t in dict.fromkeys(wanted):
        g: Any = targets[_target(t)]
        if g is not None:
            _accumulate(t, g if create_graph else g._data, g._data, create_graph)
            if t._node is None and (hooks := hooks_of(t)) is not None:
                hooks.after(t)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to each of `inputs`; .grad stays as it is.

    Args:
        only_inputs: accepted as PyTorch does; other leaves never get a gradient here.
        allow_unused: None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: grad_outputs have one more dimension in front; there is one backward for
            each of its entries, and the results have that dimension too.
        materialize_grads: zeros for an input that the outputs do not depend on.

    Raises:
        RuntimeError: as backward; an input that needs no gradient or, without allow_unused, is not
            used.
        ValueError: materialize_grads with allow_unused=False.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: materialize_grads=True needs allow_unused True or None; got False")
    wanted = _wanted("grad", inputs)
    if is_grads_batched:
        options = (create_graph, only_inputs, allow_unused, False, materialize_grads)
        return _batched(outputs, wanted, grad_outputs, retain_graph, options)
    roots, grads = _roots("grad", outputs, grad_outputs)
    targets = {_target(t): None for t in wanted}
    keep = create_graph if retain_graph is None else retain_graph
    _run(roots, grads, keep, create_graph, targets)
    results = tuple(targets[_target(t)] for t in wanted)
    if materialize_grads:
        return tuple(
            Tensor._make(t._table().full(t._data.shape, 0.0, t._data.dtype)) if r is None else r
            for t, r in zip(wanted, results, strict=True)
        )
    if not allow_unused and None in [None if r is None else 0 for r in results]:
        unused = [i for i, r in enumerate(results) if r is None]
        raise RuntimeError(
            f"grad: the outputs do not depend on inputs {unused} (allow_unused=True gives None)"
        )
    return results


def _wanted(name: str, inputs: Any) -> tuple[Tensor, ...]:
    """The inputs, each of which must need a gradient."""
    wanted = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    for i, t in enumerate(wanted):
        if not t.requires_grad:
            raise RuntimeError(f"{name}: inputs must require a gradient; input {i} does not")
    return wanted


def _batched(
    outputs: Any, wanted: tuple[Tensor, ...], grads: Any, retain: bool | None, options: Any
) -> tuple[Tensor | None, ...]:
    """grad for each entry of the gradients' first dimension, stacked."""
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    grads = (grads,) if isinstance(grads, Tensor) or grads is None else tuple(grads)
    sizes: set[Any] = {None if g is None or g.ndim == 0 else len(g) for g in grads}
    if len(grads) != len(outputs) or len(sizes) != 1 or None in sizes or 0 in sizes:
        raise RuntimeError(
            "grad: is_grads_batched needs grad_outputs with one first dimension in common; got "
            f"shapes {[None if g is None else tuple(g.shape) for g in grads]}"
        )
    (n,) = sizes
    rows = []
    for i in range(n):
        keep = True if i < n - 1 else retain
        rows.append(grad(outputs, wanted, [g[i] for g in grads], keep, *options))
    results = []
    for t, part in zip(wanted, zip(*rows, strict=True), strict=True):
        if part[0] is None:
            results.append(None)
            continue
        flat = tuple([g.reshape((1, t.numel())) for g in part])
        whole = apply(BY_KERNEL["cat"], flat, (0, (n, t.numel())))
        results.append(whole.reshape((n, *t.shape)))
    return tuple(results)


def _target(t: Tensor) -> Any:
    """What identifies a tensor in the graph: its edge, or itself for a leaf."""
    return id(t) if t._node is None else t._node


def _roots(
    name: str, tensors: Any, grad_tensors: Any
) -> tuple[tuple[Tensor, ...], Sequence[Tensor]]:
    if isinstance(tensors, Tensor) and isinstance(grad_tensors, Tensor) and tensors._requires_grad:
        y, grad_y = tensors._data, grad_tensors._data
        if y.dtype is grad_y.dtype and y.shape == grad_y.shape and type(y) is type(grad_y):
            return (tensors,), (grad_tensors,)
    roots = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    if grad_tensors is None or isinstance(grad_tensors, Tensor):
        grad_tensors = (grad_tensors,) * (len(roots) if grad_tensors is None else 1)
    if len(grad_tensors) != len(roots):
        raise RuntimeError(
            f"{name}: one gradient a tensor; got {len(grad_tensors)} for {len(roots)}"
        )
    grads = []
    for t, g in zip(roots, grad_tensors, strict=True):
        if not t.requires_grad:
            raise RuntimeError(
                f"{name}: the tensor does not require a gradient and was not made from one that "
                f"does; got {tuple(t.shape)} {t.dtype.name}"
            )
        if g is None:
            if t._data.size != 1:
                raise RuntimeError(
                    f"{name}: the gradient of a tensor of several elements must be given; got "
                    f"shape {tuple(t.shape)} (reduce it to a scalar, or pass gradient=)"
                )
            k = t._table()
            g = Tensor._make(k.full(t._data.shape, 1.0, t._data.dtype))
        elif g.shape != t.shape or g._table() is not t._table():
            raise RuntimeError(
                f"{name}: gradient must have the tensor's shape and device "
                f"{tuple(t.shape)} {t.device}; got {tuple(g.shape)} {g.device}"
            )
        elif g._data.dtype != t._data.dtype:
            if not g.dtype.is_floating_point:
                raise RuntimeError(
                    f"{name}: gradient must be floating point, as {t.dtype.name}; got "
                    f"{g.dtype.name}"
                )
            g = g.to(t.dtype)
        grads.append(g)
    return roots, grads


def _leading_to(roots: Sequence[Tensor], targets: dict[Any, Any]) -> set[Node]:
    """The nodes between the roots and the targets."""
    seen: dict[Node, None] = {}
    stack = [_node_of(t._node) for t in roots if t._node is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen[node] = None
        for edge in node.edges:
            if type(edge) is Node:
                stack.append(edge)
            elif edge is not None and len(edge) == 2:
                stack.append(edge[0])
    useful: set[Node] = set()
    for node in sorted(seen, key=lambda n: n.number):
        for edge in node.edges:
            if edge is None:
                continue
            if type(edge) is Node:
                hit = edge in useful or edge in targets
            elif len(edge) == 2:
                hit = edge[0] in useful or edge in targets
            else:
                hit = id(edge[0]) in targets
            if hit:
                useful.add(node)
                break
    return useful


def _node_of(edge: Any) -> Node:
    return edge if type(edge) is Node else edge[0]


def _run(
    roots: Sequence[Tensor],
    root_grads: Sequence[Tensor],
    retain_graph: bool,
    create_graph: bool,
    targets: dict[Any, Any] | None,
) -> None:
    """Goes down the nodes by number. Gradients are arrays; under create_graph they are tensors.

    targets: None: leaves accumulate into .grad. Else: the gradients of these tensors are put here.
    """
    pending: dict[Node, Any] = {}  # node -> gradient of its output (a list for several outputs)
    by_number: dict[int, Node] = {}
    heap: list[int] = []
    useful = set() if targets is None else _leading_to(roots, targets)
    hooked = registered.any
    at_once = targets is None and not hooked  # leaves are given what comes
    check_nan = anomaly.checks_nan()
    waiting: dict[int, list[Any]] = {}  # leaves with hooks: [leaf, sum of what has come]

    def send(edge: Any, g: Any, shared: Any) -> None:
        """Adds g to what has come for edge. `shared`: an array that g may be, or be a view of."""
        if type(edge) is not Node:
            if len(edge) == 1:
                leaf = edge[0]
                if hooked and hooks_of(leaf) is not None:
                    entry = waiting.setdefault(id(leaf), [leaf, None])
                    entry[1] = g if entry[1] is None else _add(entry[1], g)
                elif targets is None:
                    _accumulate(leaf, g, shared, create_graph)
                elif id(leaf) in targets:
                    before = targets[id(leaf)]
                    targets[id(leaf)] = g if before is None else _add(before, g)
                return
            node, i = edge
            parts = pending.get(node)
            if parts is None:
                parts = pending[node] = [None] * len(node.shapes)
                by_number[node.number] = node
                heappush(heap, -node.number)
            parts[i] = g if parts[i] is None else _add(parts[i], g)
            return
        before = pending.get(edge)
        if before is None:
            pending[edge] = g
            by_number[edge.number] = edge
            heappush(heap, -edge.number)
        else:
            pending[edge] = _add(before, g)

    mode_before = mode.enabled
    mode.enabled = create_graph
    try:
        following: Any = None  # the next node, where it need not wait in the heap
        arrived: Any = None  # what has come for it
        alone = False  # whether nobody else holds `arrived`; asked where its node makes a view
        own = False  # the same of this node's gradient, then of the views of it
        for t, g in zip(roots, root_grads, strict=True):
            edge = t._node or (t,)
            if type(edge) is Node and len(roots) == 1:
                following, arrived = edge, g if create_graph else g._data
            else:
                send(edge, g if create_graph else g._data, g._data)
        while heap or following is not None:
            if following is not None:
                node, grad_y, own, following, arrived = following, arrived, alone, None, None
            else:
                node = by_number.pop(-heappop(heap))
                grad_y, own = pending.pop(node), False
            if hooked and hooks_of(node) is not None:
                grad_y = _before(node, grad_y, create_graph)
            if targets is not None:
                _capture(node, grad_y, targets)
                if node not in useful:
                    continue
            saved = node.saved
            if saved is None and getattr(node, "refill", None) is not None:
                saved = node.refill(node)
            if saved is None:
                raise RuntimeError(
                    f"backward: what {node.op.name} saved was freed by an earlier backward "
                    "(pass retain_graph=True to the earlier one)"
                )
            for counter, value in node.versions:
                if counter[0] != value:
                    raise RuntimeError(
                        f"backward: a tensor that {node.op.name} saved for its gradient was "
                        f"changed in place since: it is at version {counter[0]}, saved at {value} "
                        "(clone it before changing it)"
                    )
            if node.shapes is not None and getattr(node.op, "materialize", True):
                grad_y = _fill(node, grad_y, create_graph)
            edges = node.edges
            op_backward: Any = node.op.backward
            try:
                if create_graph:
                    saved = _saved_tensors(node)
                    grads = op_backward(RECORDING, saved, grad_y, edges, *node.options)
                else:
                    grads = op_backward(node.k, saved, grad_y, edges, *node.options)
            except Fault as fault:
                grads = None
                if fault.args[1] == "dtype" and not create_graph:
                    grads = backward_through_float32(node, saved, grad_y)
                if grads is None:
                    name = f"backward of {node.op.name}"
                    raise word(fault, name, ("grad_y",), (grad_y,)) from None
            except Exception as error:
                anomaly.explain(node, error)
                raise
            if check_nan:
                anomaly.check(node, grads)
            if not retain_graph and saved:
                node.saved = None
            if hooked and hooks_of(node) is not None:
                grads = _after(node, grads, grad_y, create_graph)
            own = own and node.op.views
            for i, g in enumerate(grads):
                edge = edges[i]
                if g is None or edge is None:
                    continue
                if type(edge) is not Node:
                    shared = grad_y if type(node.op) is Op else g
                    if at_once and len(edge) == 1:
                        if not own and not create_graph and isinstance(g.base, type(g)):
                            mine = _is_fresh(node, saved, grads, i, grad_y)
                            _accumulate(edge[0], g, shared, create_graph, mine)
                        else:
                            _accumulate(edge[0], g, shared, create_graph, own)
                    else:
                        send(edge, g, shared)
                elif edge in pending:
                    send(edge, g, None)
                elif following is None:
                    following, arrived = edge, g
                    alone = (
                        edge.op.views
                        and at_once
                        and (own or _is_fresh(node, saved, grads, i, grad_y))
                    )
                elif following is edge:
                    arrived, alone = _add(arrived, g), False
                else:
                    send(edge, g, None)
            if heap and following is not None and following.number < -heap[0]:
                send(following, arrived, None)
                following, arrived, alone = None, None, False
        for leaf, g in waiting.values():
            _finish_leaf(leaf, g, targets, create_graph)
    finally:
        mode.enabled = mode_before
    if targets is not None and not create_graph:
        for key, g in targets.items():
            if g is not None:
                targets[key] = Tensor._make(g)


def _tensors(parts: Sequence[Any]) -> list[Any]:
    """Arrays as tensors, for hooks; what is None or a tensor stays."""
    return [p if p is None or isinstance(p, Tensor) else Tensor._make(p) for p in parts]


def _arrays(parts: Sequence[Any], create_graph: bool) -> list[Any]:
    """What hooks returned, as gradients go on."""
    return [p if p is None or create_graph else p._data for p in parts]


def _before(node: Node, grad_y: Any, create_graph: bool) -> Any:
    """The gradient of the node's output after its hooks; kept for tensors that retain it."""
    hooks = node.hooks
    parts = _tensors(grad_y if node.shapes is not None else [grad_y])
    parts = hooks.replace(parts)
    for i, part in enumerate(parts):
        if part is not None:
            for t in hooks.tensors(i):
                _accumulate(t, part if create_graph else part._data, part._data, create_graph)
    parts = _arrays(parts, create_graph)
    return parts if node.shapes is not None else parts[0]


def _after(node: Node, grads: Sequence[Any], grad_y: Any, create_graph: bool) -> Sequence[Any]:
    """The gradients of the node's inputs after its hooks."""
    hooks = node.hooks
    if not hooks.after:
        return grads
    parts = _tensors(grad_y if node.shapes is not None else [grad_y])
    return _arrays(hooks.replace_inputs(_tensors(grads), parts), create_graph)


def _finish_leaf(leaf: Tensor, g: Any, targets: Any, create_graph: bool) -> None:
    """A leaf with hooks, once all of its gradient has come."""
    hooks: Any = leaf.hooks
    grad = hooks.replace(g if create_graph else Tensor._make(g))
    g = grad if create_graph else grad._data
    if targets is None:
        _accumulate(leaf, g, grad._data, create_graph)
        hooks.after(leaf)
    elif id(leaf) in targets:
        targets[id(leaf)] = g


def _add(a: Any, b: Any) -> Any:
    """The sum of two gradients, arrays or tensors."""
    return a + b if isinstance(a, Tensor) else added(a, b)


# Backward passes of several threads may meet at a leaf: each adds what it has whole. Reentrant, as
# the collector may run foreign code in between.
_accumulating = threading.RLock()


def _forget_threads() -> None:
    """In the child of a fork no other thread is left that would let go of the lock."""
    global _accumulating
    _accumulating = threading.RLock()


os.register_at_fork(after_in_child=_forget_threads)


def _accumulate(leaf: Tensor, g: Any, shared: Any, create_graph: bool, own: bool = False) -> None:
    """leaf.grad += g; the first g is taken over, or copied: see _first."""
    with _accumulating:
        grad = leaf._grad
        if grad is not None and grad._data.shape != leaf._data.shape:  # a Size is made anew
            raise RuntimeError(
                f"backward: .grad must have its tensor's shape {tuple(leaf.shape)}; got "
                f"{tuple(grad.shape)} (set it to None)"
            )
        if grad is None:
            leaf._grad = _first(leaf, g, shared, create_graph, own)
        elif create_graph:
            leaf._grad = grad + g
        else:
            grad._data = added(grad._data, g)
            grad._version[0] += 1


def _base(x: Any) -> Any:
    """The array whose memory x is."""
    return x.base if isinstance(x.base, type(x)) else x


def _is_fresh(node: Node, saved: Any, grads: Sequence[Any], i: int, grad_y: Any) -> bool:
    """Whether nobody else holds the memory of grads[i], which the node's backward has returned."""
    if type(node.op) is not Op or isinstance(grad_y, (list, Tensor)):
        return False
    memory = _base(grads[i])
    held = [grad_y, *grads[:i], *grads[i + 1 :], *saved]
    return not any([type(x) is type(memory) and _base(x) is memory for x in held])


def _first(leaf: Tensor, g: Any, shared: Any, create_graph: bool, own: bool) -> Tensor:
    """A leaf's first gradient: g itself, unless others may hold its memory, in the leaf's order.

    Args:
        own: g is a view of what nobody else holds; it is taken over where it shows all of it.

    That order is what PyTorch promises ("gradient layout contract"); of a leaf with gaps, or whose
    elements share memory, it is C's. A recorded g is copied in any case.
    """
    array, data = g._data if create_graph else g, leaf._data
    if array.strides != data.strides:
        order = order_of(data)
        if order is not None and not data.transpose(order).flags.c_contiguous:
            order = None
        lies = array if order is None else array.transpose(order)
        if not lies.flags.c_contiguous:
            if not create_graph:
                return Tensor._make(copied(leaf._table(), g, order))
            if order is None:
                return g.contiguous()
            return g.permute(order).contiguous().permute(inverse(order))
    if create_graph:
        return g.clone()
    whole = own and _base(g).size == g.size
    if (g is shared or isinstance(g.base, type(g))) and not whole:
        g = leaf._table().convert(g, g.dtype)
    return Tensor._make(g)


def _capture(node: Node, grad_y: Any, targets: dict[Any, Any]) -> None:
    """Keeps the gradient of a tensor that is no leaf and was asked for."""
    if node.shapes is None:
        if node in targets:
            targets[node] = grad_y
        return
    for i, part in enumerate(grad_y):
        if (node, i) in targets:
            targets[(node, i)] = part


def _fill(node: Node, parts: list[Any], create_graph: bool) -> list[Any]:
    """Zeros for the outputs that no gradient has come for."""
    filled = []
    shapes: Any = node.shapes
    for part, (shape, dtype) in zip(parts, shapes, strict=True):
        if part is None:
            part = node.k.full(shape, 0.0, dtype)
            part = Tensor._make(part) if create_graph else part
        filled.append(part)
    return filled


def _saved_tensors(node: Node) -> tuple[Any, ...]:
    """What the node saved, as tensors that stand where they stood in the graph."""
    result = []
    saved: Any = node.saved
    for value, origin in zip(saved, node.origins, strict=True):
        if origin is None:
            # Shapes, dtypes and devices are saved too.
            result.append(Tensor._make(value) if type(value) in TABLE_OF_ARRAY else value)
            continue
        if origin >= 0:
            edge = node.edges[origin]
        elif node.shapes is None:
            edge = node if origin == -1 else None
        else:
            edge = (node, -1 - origin)
        if type(edge) is tuple and len(edge) == 1:
            result.append(edge[0])
            continue
        t = Tensor._make(value)
        if edge is not None:
            t._requires_grad = True
            t._node = edge
        result.append(t)
    return tuple(result)
