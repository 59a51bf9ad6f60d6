"""Loading a state_dict into a module: everything is checked before anything is changed."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..ops.creation import from_numpy
from ..tensor import Parameter, Tensor

__all__ = ["load"]

# What load_state_dict returns. The global has the type's own name, so that it pickles.
_IncompatibleKeys = namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])


def load(module: Any, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> Any:
    """As Module.load_state_dict."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_state_dict: state_dict must be a mapping; got {type(state_dict).__name__}"
        )
    own = module.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    problems = []
    if strict and missing:
        problems.append("missing keys: " + ", ".join(missing))
    if strict and unexpected:
        problems.append("unexpected keys: " + ", ".join(map(str, unexpected)))
    values: dict[str, Tensor] = {}
    for name, mine in own.items():
        if name not in state_dict:
            continue
        value = state_dict[name]
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
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise RuntimeError(
            f"load_state_dict: the state does not fit {type(module).__name__}:{listed}"
        )
    with no_grad():
        for name, value in values.items():
            if assign:
                _assign(module, name, value)
            else:
                own[name].copy_(value)
    return _IncompatibleKeys(missing, unexpected)


def _assign(module: Any, name: str, value: Tensor) -> None:
    """Makes `value` the parameter or buffer of this dotted name."""
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    mine = owner._parameters.get(last)
    if mine is not None and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=mine.requires_grad)
    setattr(owner, last, value)
