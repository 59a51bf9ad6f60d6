"""Optimizer: parameter groups with their options, and the state of each parameter."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..autograd.grad_mode import enable_grad
from ..nn.hooks import RemovableHandle
from ..ops.creation import as_tensor, zeros
from ..ops.optim import step as fused_step
from ..ops.optim import total_norm
from ..tensor import Tensor

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

_HOOKS = ("step_pre", "step_post", "state_pre", "state_post", "load_pre", "load_post")
_Hooks = OrderedDict[int, Callable[..., Any]]
#: Hooks of every optimizer.
_everywhere: dict[str, _Hooks] = {"step_pre": OrderedDict(), "step_post": OrderedDict()}
_hook_number = 0


def _add_hook(hooks: _Hooks, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    global _hook_number
    _hook_number += 1
    hooks[_hook_number] = hook
    if prepend:
        hooks.move_to_end(_hook_number, last=False)
    return RemovableHandle(hooks, _hook_number)


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls hook(optimizer, args, kwargs) before each step of every optimizer."""
    return _add_hook(_everywhere["step_pre"], hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls hook(optimizer, args, kwargs) after each step of every optimizer."""
    return _add_hook(_everywhere["step_post"], hook)


def _between_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with the hooks around it, also that of a class that overrides it."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        before = (_everywhere["step_pre"], self._hooks["step_pre"])
        after = (_everywhere["step_post"], self._hooks["step_post"])
        if self._stepping or not (before[0] or before[1] or after[0] or after[1]):
            return step(self, *args, **kwargs)
        all_args: tuple[Any, ...] = (self, *args)
        self._stepping = True
        try:
            for hook in [*before[0].values(), *before[1].values()]:
                changed = hook(self, all_args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise RuntimeError(
                            "step: a hook before it must return None or (args, kwargs); "
                            f"got {changed!r}"
                        )
                    all_args, kwargs = changed
            result = step(*all_args, **kwargs)
            for hook in [*after[0].values(), *after[1].values()]:
                hook(self, all_args, kwargs)
        finally:
            self._stepping = False
        return result

    return hooked


class Optimizer:
    """The base of all optimizers.

    Args:
        params: the tensors to optimise; or (name, tensor) pairs, as module.named_parameters() gives
            them; or dicts, each a group with options of its own.
        defaults: the options of groups that do not give them.
        clip_grad_norm: at each step the gradients of all groups are scaled down to this total norm
            (p = 2), inside the step: one more kernel call, no more memory traffic.
        clip_grad_value: each gradient element is clipped to this magnitude, inside the step.

    Attributes:
        param_groups: a dict a group: its "params" and options. They may be changed at any time;
            each step reads them.
        state: parameter -> dict of what the optimizer keeps for it.
        grad_norm: the total norm that the last step clipped by, a 0-dim tensor; else None.

    Raises:
        TypeError: params that is a tensor, or has something other than tensors.
        ValueError: no parameters, or one that stands in it twice.

    One step of all parameters of a group is one kernel call on either device: `foreach`, `fused`
    and `capturable` are taken as PyTorch takes them and change nothing. The gradients themselves
    are not changed by clipping inside a step. A state's "step" is an int, where PyTorch has a
    tensor.

    A class of one's own overrides step(), as in PyTorch.
    """

    #: The fused optimizers: their kernel, and the numbers of a state that its tensors go with.
    _kernel = ""
    _counts: tuple[str, ...] = ("step",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _between_hooks(cls.__dict__["step"])

    def __init__(
        self,
        params: Iterable[Any],
        defaults: dict[str, Any],
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> None:
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._check_clipping(clip_grad_norm, clip_grad_value)
        self.clip_grad_norm = clip_grad_norm
        self.clip_grad_value = clip_grad_value
        self.grad_norm: Tensor | None = None
        self._start_hooks()
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

    def _start_hooks(self) -> None:
        self._hooks: dict[str, _Hooks] = {name: OrderedDict() for name in _HOOKS}
        self._stepping = False
        self._opt_called = False

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
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise ValueError(
                f"{self._name}: either all parameters have names or none; "
                f"got {len(names)} names for {len(params)} parameters"
            )
        if names:
            params = [p[1] for p in params]
            group["param_names"] = names
        named = "param_names" in group
        if any(("param_names" in other) != named for other in self.param_groups):
            raise ValueError(
                f"{self._name}: either all groups have named parameters or none; got a group "
                f"{'with' if named else 'without'} names"
            )
        group["params"] = params
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
        self._check_group(group)
        self.param_groups.append(group)

    def _check_group(self, group: dict[str, Any]) -> None:
        """Raises for options that no optimizer takes, and those that this one does not."""
        if group.get("differentiable"):
            raise NotImplementedError(
                f"{self._name}: differentiable=True is not supported: a step is one fused kernel "
                "that no graph records (write the update with tensor operations instead)"
            )
        if group.get("foreach") and group.get("fused"):
            raise RuntimeError(f"{self._name}: foreach and fused must not both be True")
        lr = group.get("lr")
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError(
                f"{self._name}: an lr that is a tensor must have one element; got shape "
                f"{tuple(lr.shape)}"
            )
        self._check_options(group)

    def _check_options(self, group: dict[str, Any]) -> None:
        """Raises ValueError for options out of their range."""

    def _check_clipping(self, norm: float | None, value: float | None) -> None:
        """Raises ValueError unless at most one of the two is given, and it is >= 0."""
        if norm is not None and value is not None:
            raise ValueError(
                f"{self._name}: only one of clip_grad_norm and clip_grad_value may be given; "
                f"got {norm} and {value}"
            )
        for name, given in (("clip_grad_norm", norm), ("clip_grad_value", value)):
            if given is not None and not float(given) >= 0:
                raise ValueError(f"{self._name}: {name} must be >= 0; got {given}")

    def _check_betas(self, group: dict[str, Any]) -> None:
        """Raises ValueError unless betas are two numbers in [0, 1)."""
        betas = group["betas"]
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{self._name}: betas must be two numbers; got {betas!r}")
        for i, beta in enumerate(betas):
            if not 0 <= float(beta) < 1:
                raise ValueError(f"{self._name}: betas[{i}] must be in [0, 1); got {beta}")

    def _check_at_least(self, group: dict[str, Any], *names: str) -> None:
        """Raises ValueError unless these options are numbers >= 0."""
        for name in names:
            if isinstance(group[name], str):
                raise TypeError(f"{self._name}: {name} must be a number; got {group[name]!r}")
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

    @_between_hooks
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
    ) -> Any:
        """Changes the parameters by their gradients; those without one stay as they are.

        Args:
            closure: computes the loss and its gradients anew; called first.
            clip_grad_norm, clip_grad_value: as the optimizer's own, for this step alone.

        Returns:
            The closure's loss, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if clip_grad_norm is None and clip_grad_value is None:
            clip_grad_norm, clip_grad_value = self.clip_grad_norm, self.clip_grad_value
        self._check_clipping(clip_grad_norm, clip_grad_value)
        clipping: dict[str, Any] = {}
        self.grad_norm = None
        if clip_grad_norm is not None:
            params = [p for group in self.param_groups for p in group["params"]]
            grads = [p.grad for p in params if p.grad is not None]
            if len({g.device for g in grads}) > 1:
                raise RuntimeError(
                    f"{self._name}: clip_grad_norm in a step needs all gradients on one device; "
                    f"got {sorted({str(g.device) for g in grads})} (use nn.utils.clip_grad_norm_)"
                )
            self.grad_norm = total_norm(grads)
            clipping = {"norm": self.grad_norm, "max_norm": float(clip_grad_norm)}
        elif clip_grad_value is not None:
            clipping = {"clip_value": float(clip_grad_value)}
        for group in self.param_groups:
            try:
                self._step_group(group, clipping)
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
            lies = zip(p.shape, p.stride(), strict=True)
            if p.numel() and any(n > 1 and not s for n, s in lies):
                raise RuntimeError(
                    f"{self._name}: parameter {i} must have memory for each element; got shape "
                    f"{tuple(p.shape)}, stride {p.stride()} (make it from .contiguous())"
                ) from None
            if p.device != group["params"][0].device:
                raise RuntimeError(
                    f"{self._name}: the parameters of a group must be on one device; got "
                    f"{group['params'][0].device} and {p.device} (give each device a group)"
                ) from None

    # ---- a fused step ----

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """The tensors of a parameter's state, in the kernel's order; "" is absent."""
        return ()

    def _new_state(self, p: Tensor, name: str, group: dict[str, Any]) -> Any:
        """A state's tensor (or count) before the first step."""
        return 0 if name in self._counts else zeros(tuple(p.shape), dtype=p.dtype, device=p.device)

    def _advance(
        self, group: dict[str, Any], counts: tuple[Any, ...]
    ) -> tuple[tuple[Any, ...], Sequence[float]]:
        """The counts after a step that starts with `counts`, and the numbers of its rule."""
        raise NotImplementedError(f"{self._name}: the optimizer has no step()")

    def _decay(self, group: dict[str, Any]) -> tuple[float, float]:
        """Factor of the L2 penalty's gradient, and what decoupled decay leaves of a parameter."""
        weight_decay = float(group.get("weight_decay", 0))
        if group.get("decoupled_weight_decay"):
            return 0.0, 1 - float(group["lr"]) * weight_decay
        return weight_decay, 1.0

    def _start(self, p: Tensor, group: dict[str, Any]) -> None:
        """Adds what a parameter's state lacks."""
        state = self.state[p]
        for name in (*self._counts, *self._state_names(group)):
            if name and name not in state:
                state[name] = self._new_state(p, name, group)

    def _step_group(self, group: dict[str, Any], clipping: dict[str, Any]) -> None:
        """One step of one group: one kernel call, where all parameters have taken as many."""
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        names = self._state_names(group)
        counters = self._counts
        try:
            states = [self.state[p] for p in params]
            tensors = [[s[name] for s in states] if name else [] for name in names]
            counts = [tuple(s[name] for name in counters) for s in states]
        except KeyError:
            for p in params:
                self._start(p, group)
            states = [self.state[p] for p in params]
            tensors = [[s[name] for s in states] if name else [] for name in names]
            counts = [tuple(s[name] for name in counters) for s in states]
        weight_decay, shrink = self._decay(group)
        options = {"weight_decay": weight_decay, "shrink": shrink, **clipping}
        options["maximize"] = group["maximize"]
        for count in dict.fromkeys(counts):  # one, unless gradients were missing now and then
            some, some_tensors, some_states = params, tensors, states
            if counts.count(count) != len(counts):
                chosen = [i for i, n in enumerate(counts) if n == count]
                some, some_states = [params[i] for i in chosen], [states[i] for i in chosen]
                some_tensors = [[list_[i] for i in chosen] if list_ else [] for list_ in tensors]
            after, numbers = self._advance(group, count)
            grads: list[Any] = [p.grad for p in some]
            fused_step(self._kernel, some, grads, some_tensors, numbers, **options)
            for s in some_states:
                s.update(zip(counters, after, strict=True))

    # ---- hooks ----

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) before each step; may return new (args, kwargs)."""
        return _add_hook(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls hook(optimizer, args, kwargs) after each step."""
        return _add_hook(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(optimizer) before state_dict."""
        return _add_hook(self._hooks["state_pre"], hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(optimizer, state_dict) after state_dict; may return another one."""
        return _add_hook(self._hooks["state_post"], hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(optimizer, state_dict) before load_state_dict; may return another one."""
        return _add_hook(self._hooks["load_pre"], hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Calls hook(optimizer) after load_state_dict."""
        return _add_hook(self._hooks["load_post"], hook, prepend)

    # ---- state ----

    def state_dict(self) -> dict[str, Any]:
        """The options of the groups and the state, with numbers for the parameters.

        Returns:
            {"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}, where the
            parameters are numbered through all groups. Its tensors are the optimizer's own.
        """
        for hook in list(self._hooks["state_pre"].values()):
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(p)]: dict(s) for p, s in self.state.items() if id(p) in numbers}
        packed = {"state": dict(sorted(state.items())), "param_groups": groups}
        for hook in list(self._hooks["state_post"].values()):
            changed = hook(self, packed)
            packed = packed if changed is None else changed
        return packed

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over options and state; tensors are copied, to the parameters' dtype and device.

        Nothing is changed when it raises.

        Args:
            state_dict: what state_dict returned, of an optimizer with as many parameters.

        Raises:
            ValueError: other groups, other numbers of parameters in them, or state of other shapes.
        """
        for hook in list(self._hooks["load_pre"].values()):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
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
            if "param_names" in mine:
                group["param_names"] = mine["param_names"]
            self._check_group(group)
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
        for hook in list(self._hooks["load_post"].values()):
            hook(self)

    def _loaded(self, number: Any, p: Tensor, name: str, value: Any) -> Any:
        """One value of a parameter's state: counts as numbers, tensors copied as p's neighbours."""
        if name in self._counts:
            return int(value) if name == "step" else float(value)
        if not isinstance(value, Tensor):
            if not hasattr(value, "__array__"):
                return value
            value = as_tensor(value)
        if tuple(value.shape) != tuple(p.shape):
            raise ValueError(
                f"load_state_dict: {name} of parameter {number} must have its shape "
                f"{tuple(p.shape)}; got {tuple(value.shape)}"
            )
        return value.detach().to(device=p.device, dtype=p.dtype, copy=True).contiguous()

    def __getstate__(self) -> dict[str, Any]:
        # Without hooks; the state as pairs: a copied tensor has another hash.
        fields = {name: value for name, value in self.__dict__.items() if name != "_hooks"}
        return {**fields, "state": list(self.state.items())}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self._start_hooks()
        self.__dict__.update(fields)
        self.state = defaultdict(dict, fields["state"])

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines += [""] if i else []
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])
