"""Hooks of the backward pass: functions that see, and may replace, a gradient on its way.

Hooks are rare, so nodes and tensors without any pay nothing: their slot `hooks` stays unset, and
the backward pass looks at it only once a hook has been registered in this process.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor

__all__ = ["RemovableHandle", "hooks_of", "of_leaf", "of_node", "registered"]

_Hook = Callable[..., Any]


class RemovableHandle:
    """What registering a hook returns; `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], number: int) -> None:
        self._hooks = hooks
        self._number = number

    def remove(self) -> None:
        """Takes the hook away; a second call does nothing."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class _Registered:
    """Whether any hook was ever registered: until then the backward pass looks for none."""

    any = False


registered = _Registered()


class _Hooks:
    """Hooks in the order of their registration."""

    def __init__(self) -> None:
        registered.any = True
        self._next = 0

    def add(self, hooks: OrderedDict[int, _Hook], hook: _Hook) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"register_hook: hook must be callable; got {type(hook).__name__}")
        number = self._next
        self._next += 1
        hooks[number] = hook
        return RemovableHandle(hooks, number)


def _replaced(hooks: OrderedDict[int, _Hook], grad: Tensor) -> Tensor:
    """The gradient after the hooks, each of which may return another one."""
    for hook in list(hooks.values()):
        result = hook(grad)
        if result is None:
            continue
        if not isinstance(result, Tensor):
            raise TypeError(
                f"hook: must return a tensor or None; got {type(result).__name__} from {hook!r}"
            )
        if result._data.shape != grad._data.shape or result._data.dtype != grad._data.dtype:
            raise RuntimeError(
                "hook: the gradient's shape and dtype must stay "
                f"{tuple(grad.shape)} {grad.dtype.name}; got {tuple(result.shape)} "
                f"{result.dtype.name} from {hook!r}"
            )
        grad = result
    return grad


class LeafHooks(_Hooks):
    """Hooks of one leaf: on its gradient of one backward pass, and after it was accumulated."""

    def __init__(self) -> None:
        super().__init__()
        self.grad: OrderedDict[int, _Hook] = OrderedDict()
        self.accumulated: OrderedDict[int, _Hook] = OrderedDict()

    def replace(self, grad: Tensor) -> Tensor:
        """The gradient after the hooks."""
        return _replaced(self.grad, grad)

    def after(self, leaf: Tensor) -> None:
        """Calls the hooks that wait for `.grad`."""
        for hook in list(self.accumulated.values()):
            hook(leaf)


class NodeHooks(_Hooks):
    """Hooks of one node: on the gradient of each output, before and after its backward."""

    def __init__(self) -> None:
        super().__init__()
        self.grads: dict[int, OrderedDict[int, _Hook]] = {}  # output -> hooks
        self.retained: dict[int, list[weakref.ref[Tensor]]] = {}  # output -> tensors
        self.before: OrderedDict[int, _Hook] = OrderedDict()
        self.after: OrderedDict[int, _Hook] = OrderedDict()

    def replace(self, parts: list[Any]) -> list[Any]:
        """The outputs' gradients, tensors or None, after the hooks before the node's backward."""
        for i, hooks in self.grads.items():
            if parts[i] is not None:
                parts[i] = _replaced(hooks, parts[i])
        for hook in list(self.before.values()):
            result = hook(tuple(parts))
            if result is not None:
                parts = list(result) if isinstance(result, (tuple, list)) else [result]
        return parts

    def replace_inputs(self, grads: list[Any], parts: list[Any]) -> list[Any]:
        """The inputs' gradients after the hooks behind the node's backward."""
        for hook in list(self.after.values()):
            result = hook(tuple(grads), tuple(parts))
            if result is not None:
                grads = list(result) if isinstance(result, (tuple, list)) else [result]
        return grads

    def tensors(self, i: int) -> list[Tensor]:
        """The tensors whose gradient is kept for output i."""
        return [t for ref in self.retained.get(i, ()) if (t := ref()) is not None]


def hooks_of(owner: Any) -> Any:
    """The hooks of a node or a leaf, or None."""
    return getattr(owner, "hooks", None)


def of_leaf(leaf: Tensor) -> LeafHooks:
    """The leaf's hooks, made if it has none yet."""
    found = hooks_of(leaf)
    if found is None:
        found = leaf.hooks = LeafHooks()
    return found


def of_node(node: Any) -> NodeHooks:
    """The node's hooks, made if it has none yet."""
    found = hooks_of(node)
    if found is None:
        found = node.hooks = NodeHooks()
    return found


def _node_and_output(t: Tensor) -> tuple[Any, int]:
    return t._node if type(t._node) is tuple else (t._node, 0)


def register_hook(t: Tensor, hook: _Hook) -> RemovableHandle:
    """Tensor.register_hook."""
    if not t._requires_grad:
        raise RuntimeError("register_hook: the tensor does not require a gradient")
    if t._node is None:
        leaf = of_leaf(t)
        return leaf.add(leaf.grad, hook)
    node, i = _node_and_output(t)
    hooks = of_node(node)
    return hooks.add(hooks.grads.setdefault(i, OrderedDict()), hook)


def register_post_accumulate_grad_hook(t: Tensor, hook: _Hook) -> RemovableHandle:
    """Tensor.register_post_accumulate_grad_hook."""
    if not t._requires_grad:
        raise RuntimeError(
            "register_post_accumulate_grad_hook: the tensor does not require a gradient"
        )
    if t._node is not None:
        raise RuntimeError("register_post_accumulate_grad_hook: only leaves accumulate .grad")
    leaf = of_leaf(t)
    return leaf.add(leaf.accumulated, hook)


def retain_grad(t: Tensor) -> None:
    """Tensor.retain_grad."""
    if not t._requires_grad:
        raise RuntimeError("retain_grad: the tensor does not require a gradient")
    if t._node is None or retains_grad(t):
        return
    node, i = _node_and_output(t)
    of_node(node).retained.setdefault(i, []).append(weakref.ref(t))


def retain_behind(t: Tensor, edge: Any) -> None:
    """After a change in place of t, which `edge` led to: its retained gradient is the new one's."""
    node, i = edge if type(edge) is tuple else (edge, 0)
    hooks = hooks_of(node)
    if hooks is None:
        return
    references = hooks.retained.get(i, [])
    if any(reference() is t for reference in references) and t._node is not None:
        hooks.retained[i] = [r for r in references if r() is not t]
        retain_grad(t)


def retains_grad(t: Tensor) -> bool:
    """Tensor.retains_grad."""
    if t._node is None:
        return False
    node, i = _node_and_output(t)
    hooks = hooks_of(node)
    return hooks is not None and any(kept is t for kept in hooks.tensors(i))
