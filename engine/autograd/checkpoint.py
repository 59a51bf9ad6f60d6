"""Checkpoints: a part of the graph that keeps nothing for its backward, and runs again instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..random import default_generator
from ..tensor import Tensor
from .dispatch import Node
from .grad_mode import enable_grad, mode

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], tuple[Any, Any]] | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose intermediate results are made again in the backward pass.

    The memory of a part of a model falls to its inputs and outputs; its forward runs twice. The
    gradients are those without it, to the last bit.

    Args:
        use_reentrant: accepted as PyTorch does; there is one way here, which works with
            autograd.grad, with parameters that `function` closes over, and inside itself.
        preserve_rng_state: the second run draws the random numbers of the first (dropout).
        context_fn: makes two context managers, around the first run and around the second.
        determinism_check, debug, early_stop: accepted as PyTorch does; the ops of both runs are
            always compared, and the second run is always whole.

    Raises:
        RuntimeError: in backward, if the second run does not make the ops of the first.
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"checkpoint: determinism_check must be 'default' or 'none'; got {determinism_check!r}"
        )
    if context_fn is not None:
        first_run, second_run = context_fn()
        function = _between(function, [first_run, second_run])
    if not mode.enabled:
        return function(*args, **kwargs)
    state = default_generator.get_state() if preserve_rng_state else None
    before = {id(t._node) for t in _tensors_in((args, kwargs)) if t._node is not None}
    first = Node().number
    result = function(*args, **kwargs)
    nodes = _made_since(first, result, before)
    if nodes:
        _Region(function, args, kwargs, state, nodes)
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The functions one after another, in `segments` checkpoints; the last one keeps its results.

    Args:
        functions: a Sequential, or a list of functions of one argument.
        segments: how many parts to cut them into.
    """
    chain = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= max(len(chain), 1):
        raise ValueError(
            f"checkpoint_sequential: segments must be in [1, {len(chain)}]; got {segments}"
        )
    size = len(chain) // segments

    def run(part: Sequence[Callable[..., Any]]) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for f in part:
                x = f(x)
            return x

        return forward

    for i in range(segments - 1):
        part = run(chain[i * size : (i + 1) * size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, **kwargs)
    return run(chain[(segments - 1) * size :])(input)


def _between(function: Callable[..., Any], contexts: list[Any]) -> Callable[..., Any]:
    """function, inside the first context when it is first called and then inside the second."""

    def inside(*args: Any, **kwargs: Any) -> Any:
        with contexts.pop(0) if len(contexts) > 1 else contexts[0]:
            return function(*args, **kwargs)

    return inside


def _tensors_in(value: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [t for v in value for t in _tensors_in(v)]
    return []


def _node_of(edge: Any) -> Node | None:
    """The node of an edge; None for no edge and for a leaf."""
    if edge is None or type(edge) is Node:
        return edge
    return edge[0] if len(edge) == 2 else None


def _made_since(first: int, result: Any, before: set[int]) -> list[Node]:
    """The nodes behind `result` with higher numbers than `first`, in the order they were made."""
    found: dict[int, Node] = {}
    stack = [_node_of(t._node) for t in _tensors_in(result)]
    while stack:
        node = stack.pop()
        if node is None or node.number <= first or id(node) in before or node.number in found:
            continue
        found[node.number] = node
        stack += [_node_of(edge) for edge in node.edges]
    return [found[number] for number in sorted(found)]


class _Region:
    """The nodes of one checkpoint: their saved values are dropped, and made again all at once."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        state: tuple[int, int] | None,
        nodes: list[Node],
    ) -> None:
        self._call = (function, args, kwargs)
        self._state = state
        self._places = {node.number: i for i, node in enumerate(nodes)}
        self._ops = [node.op.name for node in nodes]
        # What was made again and not fetched yet, by place.
        self._saved: dict[int, Any] = {}
        for node in nodes:
            if getattr(node, "refill", None) is None:  # not a checkpoint inside this one
                node.saved = None
                node.refill = self.refill

    def refill(self, node: Node) -> Any:
        """What the node had saved, computed again."""
        node.refill = None
        place = self._places[node.number]
        if place not in self._saved:
            self._run()
        node.saved = self._saved.pop(place)
        return node.saved

    def _run(self) -> None:
        function, args, kwargs = self._call
        now = default_generator.get_state()
        if self._state is not None:
            default_generator.set_state(self._state)
        try:
            with enable_grad():
                first = Node().number
                inputs = _detached((args, kwargs))
                result = function(*inputs[0], **inputs[1])
        finally:
            if self._state is not None:
                default_generator.set_state(now)
        nodes = _made_since(first, result, set())
        ops = [node.op.name for node in nodes]
        if ops != self._ops:
            raise RuntimeError(
                "checkpoint: the function must make the same ops when it runs again; got "
                f"{len(ops)} ops {_first_difference(ops, self._ops)}, first {len(self._ops)}"
            )
        for i, node in enumerate(nodes):
            saved = node.saved
            if saved is None and getattr(node, "refill", None) is not None:
                saved = node.refill(node)
            self._saved[i] = saved


def _first_difference(a: list[str], b: list[str]) -> str:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return f"(op {i}: {x} instead of {y})"
    return "(the rest alike)"


def _detached(value: Any) -> Any:
    """The arguments with their tensors cut from the graph that made them."""
    if isinstance(value, Tensor):
        t = value.detach()
        t._requires_grad = value._requires_grad
        return t
    if isinstance(value, dict):
        return {key: _detached(v) for key, v in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_detached(v) for v in value]
        return type(value)(parts) if type(value) in (tuple, list) else type(value)(*parts)
    return value
