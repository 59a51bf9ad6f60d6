"""Hooks: functions that run before and after a module's forward."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..autograd.hooks import RemovableHandle

__all__ = ["Hooks", "RemovableHandle"]


class Hooks:
    """The hooks of one module: number -> (hook, with_kwargs, always_call)."""

    def __init__(self) -> None:
        self.before: OrderedDict[int, tuple[Callable[..., Any], bool]] = OrderedDict()
        self.after: OrderedDict[int, tuple[Callable[..., Any], bool, bool]] = OrderedDict()
        self.next_number = 0

    def add(self, hooks: OrderedDict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
        number = self.next_number
        self.next_number += 1
        hooks[number] = entry
        if prepend:
            hooks.move_to_end(number, last=False)
        return RemovableHandle(hooks, number)

    def call(self, module: Any, args: Any, kwargs: Any) -> Any:
        """module.forward(*args, **kwargs) between the hooks."""
        pending = dict(self.after)
        result: Any = None
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
        except Exception:
            for after, with_kwargs, always in pending.values():
                if always:
                    if with_kwargs:
                        after(module, args, kwargs, result)
                    else:
                        after(module, args, result)
            raise
        return result
