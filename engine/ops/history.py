"""The history of changes in place: of tensors, of views of them, and of what else views them.

A view knows what it is a view of (`Tensor._view`), and the counter of changes that all views of a
tensor share lists them. A recorded change of a view is a change of the whole tensor: the tensor
gets a new node, `copy_slices`, and every living view of it a new one for its view of that.
"""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import RECORDING, _record, apply
from ..autograd.hooks import registered, retain_behind
from ..autograd.op import OPS, op
from ..kernels.order import copied, order_of
from ..tensor import Tensor
from .view import reshape_

__all__ = ["rebase", "refuse_leaf"]

#: The views that lead from a tensor to a view of it: names of ops and their options.
Chain = tuple[tuple[str, tuple[Any, ...]], ...]


def _seen(k: Any, x: Any, chain: Chain) -> Any:
    """x through the chain of views."""
    for name, options in chain:
        x, _ = OPS[name].forward(k, x, *options)
    return x


@op(inputs="x", formula="y = x, but 0 where a view of it looks")
def without_view_(k, x, chain, order):
    y = copied(k, x, order)
    k.copy_into(_seen(k, y, chain), 0.0)
    return y, ()


@without_view_.gradient
def _(k, saved, grad_y, need, chain, order):
    return (_without_view(k, grad_y, chain, order),)


def _without_view(k: Any, x: Any, chain: Chain, order: tuple[int, ...]) -> Any:
    """without_view on arrays, or recorded."""
    return (
        apply(without_view_, (x,), (chain, order))
        if k is RECORDING
        else without_view_.forward(k, x, chain, order)[0]
    )


@op(inputs="base value", formula="y = base, with a view of it replaced by value")
def copy_slices_(k, base, value, chain, order):
    y = copied(k, base, order)
    k.copy_into(_seen(k, y, chain), value)
    return y, ()


@copy_slices_.gradient
def _(k, saved, grad_y, need, chain, order):
    return (
        _without_view(k, grad_y, chain, order) if need[0] else None,
        _seen(k, grad_y, chain) if need[1] else None,
    )


def _path(t: Tensor) -> list[Tensor]:
    """The tensor that t is a view of at last, and the views from it to t."""
    path = [t]
    while (seen := getattr(path[-1], "_view", None)) is not None:
        path.append(seen[0])
    return path[::-1]


def refuse_leaf(name: str, input: Tensor) -> None:
    """Raises RuntimeError for a trained leaf, or a view of one: its change cannot be recorded."""
    for t in _path(input):
        if t._requires_grad and t._node is None:
            view = "" if t is input else "a view of "
            raise RuntimeError(
                f"{name}: {view}a leaf that requires a gradient cannot be changed in place "
                "(use no_grad())"
            )


def _edge(t: Tensor | None) -> Any:
    return (t._node or (t,)) if t is not None and t._requires_grad else None


def rebase(name: str, input: Tensor, value: Tensor | None) -> None:
    """Gives input, which now holds `value`, its history; None has none.

    Call it after refuse_leaf and after the memory and the version have changed.
    """
    path = _path(input)
    base = path[0]
    before = base._node
    if value is not None and value._requires_grad and value._node is None:
        value = apply(reshape_, (value,), (tuple(value._data.shape),))
    if base is input and value is not None and value._requires_grad:
        base._node = value._node
    else:
        chain = tuple([(t._view[1].name, t._view[2]) for t in path[1:]])
        order = order_of(base._data) or tuple(range(len(base._data.shape)))
        edges = [_edge(base), _edge(value)]
        k = base._table()
        base._node = _record(copy_slices_, k, (base, value), edges, base, (), [], (chain, order))
    base._requires_grad = True
    if registered.any and before is not None:
        retain_behind(base, before)
    _refresh(base)


def _refresh(base: Tensor) -> None:
    """New nodes for the living views of base, each behind what it is a view of."""
    counter = base._version
    living: list[Any] = []
    for reference in counter[1:]:
        view = reference()
        if view is None:
            continue
        living.append(reference)
        parent, op, options = view._view
        if view._requires_grad and view._node is None or not parent._requires_grad:
            continue
        k = parent._table()
        _, saved = op.forward(k, parent._data, *options)
        origins: list[int | None] = [None] * len(saved)
        before = view._node
        view._node = _record(op, k, (parent,), [_edge(parent)], view, saved, origins, options)
        view._requires_grad = True
        if registered.any and before is not None:
            retain_behind(view, before)
    counter[1:] = living
