"""Optimizer: parameter groups with their options, and the state of each parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..autograd.grad_mode import enable_grad
from ..tensor import Tensor

__all__ = ["Optimizer"]


class Optimizer:
    """The base of all optimizers.

    Args:
        params: the tensors to optimise; or dicts, each a group with options of its own.
        defaults: the options of groups that do not give them.

    Attributes:
        param_groups: a dict a group: its "params" and options. They may be changed at any time;
            each step reads them.
        state: parameter -> dict of what the optimizer keeps for it.

    Raises:
        TypeError: params that is a tensor, or has something other than tensors.
        ValueError: no parameters, or one that stands in it twice.

    A step hands each group's learning rate and step count to the kernel in a small array of its
    own, always the same one.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._hypers: list[Any] = []  # of each group: float64 [learning rate, step]
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors or dicts; "
                f"got {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: params must not be empty; got an empty list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group; e.g. layers that are no longer frozen.

        Args:
            param_group: its "params" and the options that are not the defaults.

        Raises:
            TypeError: a group that is no dict, or has something other than tensors.
            ValueError: a parameter that no backward gives a gradient, or that is in a group
                already; options out of their range.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"{self._name}: a group must be a dict; got {type(param_group).__name__}"
            )
        if "params" not in param_group:
            raise ValueError(
                f"{self._name}: a group must have 'params'; got the keys {sorted(param_group)}"
            )
        group = {**self.defaults, **param_group}
        params = group["params"]
        if isinstance(params, set):
            raise TypeError(f"{self._name}: params must be in an order; got a set (use a list)")
        group["params"] = params = [params] if isinstance(params, Tensor) else list(params)
        seen = {id(p) for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"{self._name}: params must be tensors; got {type(p).__name__} at {i}"
                )
            if not p.is_leaf:
                raise ValueError(
                    f"{self._name}: params must be leaves; got a tensor that {p.grad_fn.op.name} "
                    f"made at {i}"
                )
            if id(p) in seen:
                raise ValueError(
                    f"{self._name}: a parameter must stand in params once; got a shape "
                    f"{tuple(p.shape)} one again at {i}"
                )
            seen.add(id(p))
        self._check_options(group)
        self.param_groups.append(group)
        self._hypers.append(np.array([float(group.get("lr", 0.0)), 0.0]))

    def _check_options(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of their range."""

    def _check_at_least(self, group: dict[str, Any], *names: str) -> None:
        """Raises ValueError unless these options are numbers >= 0."""
        for name in names:
            if not float(group[name]) >= 0:  # NaN is not
                raise ValueError(f"{self._name}: {name} must be >= 0; got {group[name]}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the parameters' gradients, or fills them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                    continue
                if p.grad.requires_grad:  # of a backward with create_graph
                    p.grad = p.grad.detach()
                p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes the parameters by their gradients; those without one stay as they are.

        Args:
            closure: computes the loss and its gradients anew; called first.

        Returns:
            The closure's loss, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group, hyper in zip(self.param_groups, self._hypers, strict=True):
            try:
                self._step_group(group, hyper)
            except Exception:
                self._blame(group)
                raise
        return loss

    def _blame(self, group: dict[str, Any]) -> None:
        """Raises an error that names the parameter that a kernel refused, if one can be found."""
        for i, p in enumerate(group["params"]):
            if p.grad is None:
                continue
            for what in ("shape", "dtype", "device"):
                mine, other = getattr(p, what), getattr(p.grad, what)
                if mine != other:
                    raise RuntimeError(
                        f"{self._name}: the gradient of parameter {i} must have its {what}, "
                        f"{mine}; got {other}"
                    ) from None
            if not p.is_contiguous():
                raise RuntimeError(
                    f"{self._name}: parameter {i} must be contiguous; got shape "
                    f"{tuple(p.shape)}, stride {p.stride()} (make it from .contiguous())"
                ) from None
            if p.device != group["params"][0].device:
                raise RuntimeError(
                    f"{self._name}: the parameters of a group must be on one device; got "
                    f"{group['params'][0].device} and {p.device} (give each device a group)"
                ) from None

    def _step_group(self, group: dict[str, Any], hyper: Any) -> None:
        """One step of one group; `hyper` is where the kernel reads learning rate and step."""
        raise NotImplementedError(f"{self._name}: the optimizer has no _step_group")

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """The options of the groups and the state, with numbers for the parameters.

        Returns:
            {"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}, where the
            parameters are numbered through all groups. Its tensors are the optimizer's own.
        """
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if id(p) in numbers}
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over options and state; tensors are copied, to the parameters' dtype and device.

        Nothing is changed when it raises.

        Args:
            state_dict: what state_dict returned, of an optimizer with as many parameters.

        Raises:
            ValueError: other groups, other numbers of parameters in them, or state of other shapes.
        """
        for key in ("state", "param_groups"):
            if key not in state_dict:
                raise ValueError(
                    f"load_state_dict: {self._name} needs 'state' and 'param_groups'; "
                    f"got the keys {sorted(map(str, state_dict))}"
                )
        theirs = state_dict["param_groups"]
        if len(theirs) != len(self.param_groups):
            raise ValueError(
                f"load_state_dict: {self._name} has {len(self.param_groups)} parameter groups; "
                f"got {len(theirs)}"
            )
        params: dict[Any, Tensor] = {}
        groups = []
        for i, (mine, saved) in enumerate(zip(self.param_groups, theirs, strict=True)):
            if len(mine["params"]) != len(saved["params"]):
                raise ValueError(
                    f"load_state_dict: group {i} of {self._name} has {len(mine['params'])} "
                    f"parameters; got {len(saved['params'])}"
                )
            params.update(zip(saved["params"], mine["params"], strict=True))
            group = {**self.defaults, **saved, "params": mine["params"]}
            self._check_options(group)
            groups.append(group)
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, saved in state_dict["state"].items():
            if number not in params:
                raise ValueError(
                    f"load_state_dict: state is for the parameters 0..{len(params) - 1}; "
                    f"got {number!r}"
                )
            p = params[number]
            state[p] = {name: self._loaded(number, p, name, v) for name, v in saved.items()}
        self.state = state
        for mine, group in zip(self.param_groups, groups, strict=True):
            mine.clear()
            mine.update(group)

    def _loaded(self, number: Any, p: Tensor, name: str, value: Any) -> Any:
        """One value of a parameter's state: "step" as an int, tensors copied as p's neighbours."""
        if name == "step":
            return int(value)
        if not isinstance(value, Tensor):
            return value
        if tuple(value.shape) != tuple(p.shape):
            raise ValueError(
                f"load_state_dict: {name} of parameter {number} must have its shape "
                f"{tuple(p.shape)}; got {tuple(value.shape)}"
            )
        return value.detach().to(device=p.device, dtype=p.dtype, copy=True).contiguous()

    def __getstate__(self) -> dict[str, Any]:
        # As pairs: a copied tensor has another hash.
        fields = {name: value for name, value in self.__dict__.items() if name != "_hypers"}
        return {**fields, "state": list(self.state.items())}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)
        self.state = defaultdict(dict, fields["state"])
        self._hypers = [np.array([float(g.get("lr", 0.0)), 0.0]) for g in self.param_groups]

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])
