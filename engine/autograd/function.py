"""Function: an op that a user writes in Python, with its own gradient."""

from __future__ import annotations

import functools
from typing import Any

from ..tensor import Tensor
from .dispatch import RECORDING, Node, note
from .grad_mode import mode, no_grad

__all__ = ["Function", "once_differentiable"]


class Context:
    """What forward leaves for backward.

    Attributes:
        needs_input_grad: for each argument of forward, whether its gradient is wanted.
        saved_tensors: what save_for_backward was given.
    """

    needs_input_grad: tuple[bool, ...]

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._saved: tuple[Any, ...] | None = None
        self._non_differentiable: set[int] = set()
        self._dirty: set[int] = set()
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs or outputs for backward; they are checked for changes in place."""
        self._to_save = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs have no gradient."""
        self._non_differentiable = {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These arguments are changed in place by forward, which returns them."""
        self._dirty = {id(t) for t in tensors}

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that nothing came for."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that save_for_backward kept."""
        if self._saved is None:
            raise RuntimeError("saved_tensors: only available in backward")
        return self._saved


class _UserOp:
    """What the backward pass needs of an op, around a user's Function."""

    views = False

    def __init__(
        self, function: type[Function], context: Context, args: tuple[Any, ...], at: list[int]
    ) -> None:
        self.name = function.__name__
        self._function = function
        self._context = context
        self._positions = at  # of the tensors among forward's arguments
        self._shapes = [args[i]._data.shape for i in at]
        self._dtypes = [args[i].dtype for i in at]
        self.materialize = context._materialize

    def backward(self, k: Any, saved: Any, grad_y: Any, need: Any) -> tuple[Any, ...]:
        recorded = k is RECORDING
        grads = grad_y if isinstance(grad_y, list) else [grad_y]
        if not recorded:
            grads = [g if g is None else Tensor._make(g) for g in grads]
            saved = tuple([v if v is None else Tensor._make(v) for v in saved])
        self._context._saved = saved
        result = self._function.backward(self._context, *grads)
        self._context._saved = None
        results = result if isinstance(result, tuple) else (result,)
        count = len(self._context.needs_input_grad)
        if len(results) != count:
            raise RuntimeError(
                f"{self.name}: backward must return a gradient, or None, for each of forward's "
                f"{count} arguments; got {len(results)}"
            )
        picked = [results[i] for i in self._positions]
        for i, g, shape in zip(self._positions, picked, self._shapes, strict=True):
            if g is not None and (not isinstance(g, Tensor) or g._data.shape != shape):
                got = tuple(g.shape) if isinstance(g, Tensor) else type(g).__name__
                raise RuntimeError(
                    f"{self.name}: backward's gradient {i} must be a tensor of its argument's "
                    f"shape {tuple(shape)}; got {got}"
                )
        picked = [
            g if g is None else g.to(dtype) for g, dtype in zip(picked, self._dtypes, strict=True)
        ]
        if recorded:
            return tuple(picked)
        return tuple([None if g is None else g._data for g in picked])


class Function:
    """Base of user-defined ops: subclass it with static methods forward and backward.

    Example:
        class Square(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, grad_y):
                (x,) = ctx.saved_tensors
                return grad_y * x * 2

        y = Square.apply(x)

    backward is differentiable again if it is made of differentiable ops.
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        """Computes the output, a tensor or a tuple of tensors; nothing inside is recorded."""
        raise NotImplementedError("Function: forward must be defined as a static method")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Where it is defined, forward gets no ctx, and this keeps what backward needs."""

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient for each argument of forward, None for what has none."""
        raise NotImplementedError("Function: backward must be defined as a static method")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs forward and records it."""
        context = Context()
        positions = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        context.needs_input_grad = tuple([isinstance(a, Tensor) and a._requires_grad for a in args])
        recorded = mode.enabled and any(context.needs_input_grad)
        before, mode.enabled = mode.enabled, False
        try:
            if cls.setup_context is Function.setup_context:
                result = cls.forward(context, *args, **kwargs)
            else:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(context, args, result)
        finally:
            mode.enabled = before
        several = isinstance(result, tuple)
        results = list(result) if several else [result]
        for i, r in enumerate(results):
            if not isinstance(r, Tensor):
                raise TypeError(
                    f"{cls.__name__}: forward must return tensors; got {type(r).__name__}"
                )
            if id(r) in context._dirty:
                if recorded and r._requires_grad and r._node is None:
                    raise RuntimeError(
                        f"{cls.__name__}: a leaf that requires a gradient cannot be changed in "
                        "place (mark_dirty)"
                    )
                r._version[0] += 1
            elif any(r is a for a in args):  # an input returned as it is: a tensor of its own
                results[i] = r.detach()
        if recorded:
            _record(cls, context, args, positions, result, results, several)
        return tuple(results) if several else results[0]


def _record(
    cls: type[Function],
    context: Context,
    args: tuple[Any, ...],
    positions: list[int],
    result: Any,
    results: list[Tensor],
    several: bool,
) -> None:
    """Makes the node of a Function's call."""
    node = Node()
    node.op = _UserOp(cls, context, args, positions)  # type: ignore[assignment]
    node.k = results[0]._table()
    node.options = ()
    node.edges = [
        (args[i]._node or (args[i],)) if args[i]._requires_grad else None for i in positions
    ]
    originals = list(result) if several else [result]
    node.saved = tuple([None if t is None else t._data for t in context._to_save])
    node.origins = []
    node.versions = []
    for t in context._to_save:
        origin = None
        if t is not None:
            node.versions.append((t._version, t._version[0]))
            for j, i in enumerate(positions):
                if t is args[i]:
                    origin = j
            for j, r in enumerate(originals):
                if t is r and origin is None:
                    origin = -1 - j
        node.origins.append(origin)
    context._to_save = ()
    if several:
        node.shapes = tuple([(r._data.shape, r._data.dtype) for r in results])
    for i, r in enumerate(results):
        if r.dtype.is_floating_point and id(originals[i]) not in context._non_differentiable:
            r._requires_grad = True
            r._node = (node, i) if several else node
    note(node)


def once_differentiable(backward: Any) -> Any:
    """Decorator of a Function's backward: what it returns has no derivative of its own."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            result = backward(ctx, *grads)
        if mode.enabled and any(g is not None and g._requires_grad for g in grads):
            raise RuntimeError(
                "once_differentiable: this backward cannot be differentiated again "
                "(create_graph=True)"
            )
        return result

    return wrapped
