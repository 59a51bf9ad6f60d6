"""Hooks: functions that run around a module's forward, backward, and its state's way out and in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..autograd.function import Function
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.hooks import RemovableHandle
from ..tensor import Tensor

__all__ = ["HookedModule", "Hooks", "RemovableHandle"]


class Hooks:
    """The hooks of one module, by number."""

    def __init__(self) -> None:
        #: (hook, with_kwargs)
        self.before: OrderedDict[int, tuple[Callable[..., Any], bool]] = OrderedDict()
        #: (hook, with_kwargs, always_call)
        self.after: OrderedDict[int, tuple[Callable[..., Any], bool, bool]] = OrderedDict()
        self.backward_before: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.backward: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.state_before: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.state_after: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.load_before: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.load_after: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self.next_number = 0

    def add(self, hooks: OrderedDict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
        """Adds a hook to one of the dicts, at its end or its beginning."""
        number = self.next_number
        self.next_number += 1
        hooks[number] = entry
        if prepend:
            hooks.move_to_end(number, last=False)
        return RemovableHandle(hooks, number)

    def empty(self) -> bool:
        """Whether there is no hook at all."""
        return not any(isinstance(hooks, OrderedDict) and hooks for hooks in vars(self).values())

    def call(self, module: Any, args: Any, kwargs: Any) -> Any:
        """module.forward(*args, **kwargs) between the hooks."""
        pending = dict(self.after)
        result: Any = None
        watched: _Watched | None = None
        try:
            for before, with_kwargs in list(self.before.values()):
                if with_kwargs:
                    changed = before(module, args, kwargs)
                    if changed is not None:
                        if not isinstance(changed, tuple) or len(changed) != 2:
                            raise RuntimeError(
                                "forward_pre_hook: a hook with kwargs must return None or "
                                f"(args, kwargs); got {changed!r}"
                            )
                        args, kwargs = changed
                else:
                    changed = before(module, args)
                    if changed is not None:
                        args = changed if isinstance(changed, tuple) else (changed,)
            if (self.backward or self.backward_before) and is_grad_enabled():
                watched = _Watched(module, self)
                args = watched.arguments(args)
            result = module.forward(*args, **kwargs)
            for number, (after, with_kwargs, _) in list(self.after.items()):
                pending.pop(number, None)
                changed = (
                    after(module, args, kwargs, result)
                    if with_kwargs
                    else after(module, args, result)
                )
                if changed is not None:
                    result = changed
            if watched is not None:
                result = watched.output(result)
        except Exception:
            for after, with_kwargs, always in pending.values():
                if always:
                    if with_kwargs:
                        after(module, args, kwargs, result)
                    else:
                        after(module, args, result)
            raise
        return result


class _Watched:
    """One call of a module with backward hooks: its gradients pass through here."""

    def __init__(self, module: Any, hooks: Hooks) -> None:
        self.module = module
        self.hooks = hooks
        self.count = 0
        self.positions: list[int] = []  # of the tensors among the arguments
        self.inputs_watched = False
        self.grad_output: tuple[Any, ...] = ()

    def arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those tensors that have gradients as watched ones."""
        self.count = len(args)
        tensors = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a._requires_grad]
        self.positions = tensors
        if not tensors:
            return args
        self.inputs_watched = True
        passed = list(args)
        watched = _Inputs.apply(self, *[args[i] for i in tensors])
        for i, t in zip(tensors, watched, strict=True):
            passed[i] = t
        return tuple(passed)

    def output(self, result: Any) -> Any:
        """The output (a tensor, or a tuple, list or dict with some) as watched tensors."""
        if isinstance(result, Tensor):
            return _Outputs.apply(self, result)[0] if result._requires_grad else result
        keys = list(result) if isinstance(result, dict) else None
        if keys is None and not isinstance(result, (tuple, list)):
            return result
        values = [result[key] for key in keys] if keys is not None else list(result)
        at = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v._requires_grad]
        if not at:
            return result
        for i, t in zip(at, _Outputs.apply(self, *[values[i] for i in at]), strict=True):
            values[i] = t
        if keys is not None:
            return type(result)(zip(keys, values, strict=True))
        if hasattr(result, "_fields"):
            return type(result)(*values)
        return type(result)(values)

    def left(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the outputs, after the hooks."""
        for hook in list(self.hooks.backward_before.values()):
            grads = _replaced("backward_pre_hook", hook(self.module, grads), grads)
        self.grad_output = grads
        if not self.inputs_watched:
            nothing = (None,) * self.count
            for hook in list(self.hooks.backward.values()):
                if hook(self.module, nothing, grads) is not None:
                    raise RuntimeError(
                        "full_backward_hook: a hook must return None where no input of the "
                        "module has a gradient"
                    )
        return grads

    def arrived(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the inputs, after the hooks."""
        for hook in list(self.hooks.backward.values()):
            whole: list[Any] = [None] * self.count
            for i, g in zip(self.positions, grads, strict=True):
                whole[i] = g
            new = hook(self.module, tuple(whole), self.grad_output)
            new = _replaced("full_backward_hook", new, tuple(whole))
            grads = tuple([new[i] for i in self.positions])
        return grads


def _replaced(name: str, new: Any, old: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a backward hook returned, as a tuple like the one it was given."""
    if new is None:
        return old
    new = new if isinstance(new, tuple) else (new,)
    if len(new) != len(old):
        raise RuntimeError(
            f"{name}: a hook must return as many gradients as it was given, {len(old)}; "
            f"got {len(new)}"
        )
    return new


class _Inputs(Function):
    """Passes the inputs of a module on; their gradients meet the hooks."""

    @staticmethod
    def forward(ctx: Any, watched: _Watched, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.watched = watched
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return (None, *ctx.watched.arrived(grads))


class _Outputs(Function):
    """Passes the outputs of a module on; their gradients meet the hooks."""

    @staticmethod
    def forward(ctx: Any, watched: _Watched, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.watched = watched
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return (None, *ctx.watched.left(grads))


class HookedModule:
    """The part of Module that hooks are registered with."""

    _hooks: Hooks | None = None  # hooks are rare: a module without any pays one read of this

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self.__dict__["_hooks"] = Hooks()
        return self._hooks  # type: ignore[return-value]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before each forward; what it returns replaces the arguments.

        Args:
            hook: what is called.
            prepend: before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs)`, which returns None or (args, kwargs).
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.before, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after each forward; what it returns is the output.

        Args:
            hook: what is called.
            prepend: before the hooks that are there already.
            with_kwargs: call `hook(module, args, kwargs, output)`.
            always_call: also when forward raises.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.after, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_output)` when the outputs' gradients are known.

        Args:
            hook: what it returns, if anything, replaces the gradients: a tuple, or one tensor.
            prepend: before the hooks that are there already.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.backward_before, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` when the inputs' gradients are known.

        Args:
            hook: what it returns, if anything, replaces grad_input; None stands in it for
                arguments without a gradient, and keyword arguments are not in it.
            prepend: before the hooks that are there already.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.backward, hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, prefix, keep_vars)` before state_dict is made."""
        hooks = self._own_hooks()
        return hooks.add(hooks.state_before, hook, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, state_dict, prefix, {})` afterwards; it changes the dict."""
        hooks = self._own_hooks()
        return hooks.add(hooks.state_after, hook, False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls a hook before load_state_dict looks at the state.

        Args:
            hook: `hook(module, state_dict, prefix, {}, strict, missing_keys, unexpected_keys,
                error_msgs)`; it may change the dict, which is a copy, and add to the lists.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.load_before, hook, False)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(module, incompatible_keys)` after loading; it may change both lists.

        With such a hook missing and unexpected names raise after the others were loaded.
        """
        hooks = self._own_hooks()
        return hooks.add(hooks.load_after, hook, False)
