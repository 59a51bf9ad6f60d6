"""Loading a state_dict into a module: everything is checked before anything is changed."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..ops.creation import from_numpy
from ..tensor import Parameter, Tensor

__all__ = ["EXTRA", "load"]

#: The name of what Module.get_extra_state gives.
EXTRA = "_extra_state"


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What load_state_dict returns."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


def _tree(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The module and all below it with the prefixes of their names; shared ones every time."""
    yield prefix, module
    for name, below in module._modules.items():
        if below is not None:
            yield from _tree(below, f"{prefix}{name}.")


def _has_extra(module: Any) -> bool:
    from .module import Module

    kind = type(module)
    return (
        kind.get_extra_state is not Module.get_extra_state
        or kind.set_extra_state is not Module.set_extra_state
    )


def load(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> Any:
    """As Module.load_state_dict."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_state_dict: state_dict must be a mapping; got {type(state_dict).__name__}"
        )
    state: dict[str, Any] = OrderedDict(state_dict)  # hooks may change it
    tree = list(_tree(module))
    hooked = [(prefix, m) for prefix, m in tree if m._hooks is not None]
    own: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for prefix, m in tree:
        for name, member in (*m._parameters.items(), *m._buffers.items()):
            if member is not None and name not in m._non_persistent_buffers_set:
                own[prefix + name] = member
        if _has_extra(m):
            extra[prefix + EXTRA] = m
    missing: list[str] = []
    unexpected: list[str] = []
    problems: list[str] = []
    for prefix, m in hooked:
        for hook in list(m._hooks.load_before.values()):
            hook(m, state, prefix, {}, strict, missing, unexpected, problems)
    missing += [
        name for name in (*own, *extra) if name not in state and not _counts_batches(name, own)
    ]
    unexpected += [name for name in state if name not in own and name not in extra]
    values: dict[str, Tensor] = {}
    for name, mine in own.items():
        if name not in state:
            continue
        value = state[name]
        if isinstance(value, (np.ndarray, np.generic)):
            value = from_numpy(np.asarray(value))
        if not isinstance(value, Tensor):
            problems.append(f"{name}: must be a tensor; got {type(value).__name__}")
        elif tuple(value.shape) != tuple(mine.shape):
            problems.append(
                f"{name}: must have shape {tuple(mine.shape)}; got {tuple(value.shape)}"
            )
        else:
            values[name] = value
    after = [(m, list(m._hooks.load_after.values())) for _, m in reversed(hooked)]
    after = [(m, hooks) for m, hooks in after if hooks]
    result = _IncompatibleKeys(missing, unexpected)
    if problems or not after:
        _raise(module, problems, result, strict)
    with no_grad():
        for name, value in values.items():
            if assign:
                _assign(module, name, value)
            else:
                own[name].copy_(value)
    for name, m in extra.items():
        if name in state:
            m.set_extra_state(state[name])
    for m, hooks in after:
        for hook in hooks:
            if hook(m, result) is not None:
                raise RuntimeError(
                    "load_state_dict_post_hook: a hook must return None (change the lists in place)"
                )
    if after:
        _raise(module, [], result, strict)
    return result


def _counts_batches(name: str, own: Mapping[str, Any]) -> bool:
    """Whether it is a normalisation's count of batches, which may be missing: it stays as it is.

    PyTorch before 0.4.1 had none, and files of torchvision's older weights have none.
    """
    path, _, last = name.rpartition(".")
    running_mean = f"{path}.running_mean" if path else "running_mean"
    return last == "num_batches_tracked" and running_mean in own


def _raise(module: Any, problems: list[str], keys: _IncompatibleKeys, strict: bool) -> None:
    """Raises the error that lists everything that does not fit, if anything does not."""
    found = []
    if strict and keys.missing_keys:
        found.append("missing keys: " + ", ".join(keys.missing_keys))
    if strict and keys.unexpected_keys:
        found.append("unexpected keys: " + ", ".join(map(str, keys.unexpected_keys)))
    found += problems
    if found:
        listed = "".join(f"\n  {problem}" for problem in found)
        raise RuntimeError(
            f"load_state_dict: the state does not fit {type(module).__name__}:{listed}"
        )


def _assign(module: Any, name: str, value: Tensor) -> None:
    """Makes `value` the parameter or buffer of this dotted name."""
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    mine = owner._parameters.get(last)
    if mine is not None and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=mine.requires_grad)
    setattr(owner, last, value)
