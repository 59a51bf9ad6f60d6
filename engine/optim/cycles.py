"""Learning rates that go in cycles, and momentum against them."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

from .optimizer import Optimizer
from .schedules import LRScheduler, check_optimizer, each_group, set_value

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Sets a group's momentum; of optimizers with betas the first of them."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def _check_momentum(name: str, optimizer: Optimizer) -> None:
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            f"{name}: cycle_momentum needs an optimizer with momentum or betas; "
            f"got {type(optimizer).__name__} (pass cycle_momentum=False)"
        )


def _start_momentum(optimizer: Optimizer, base: list[float], most: list[float]) -> None:
    for group, low, high in zip(optimizer.param_groups, base, most, strict=True):
        _set_momentum(group, high)
        group["max_momentum"] = high
        group["base_momentum"] = low


class CosineAnnealingWarmRestarts(LRScheduler):
    """Follows a cosine from the initial learning rate to eta_min, again and again.

    Formula: lr = eta_min + (lr_0 - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2, where T_cur counts
    the steps since the last restart and T_i is T_0, T_0 * T_mult, T_0 * T_mult^2, ...

    Args:
        optimizer: whose learning rates it sets.
        T_0: steps to the first restart.
        T_mult: how much longer each period is than the one before.
        eta_min: the least learning rate.
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        ValueError: T_0 below 1, T_mult below 1, or either no int; eta_min no number.

    Source: Loshchilov & Hutter 2017, SGDR.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: {name} must be an int >= 1; got {value!r}"
                )
        if not isinstance(eta_min, (int, float)):
            raise ValueError(
                f"CosineAnnealingWarmRestarts: eta_min must be a number; got {eta_min!r}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        part = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Sets the next learning rates.

        Args:
            epoch: jump there; may be a fraction, e.g. epoch + batch / batches.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"step: epoch must be >= 0; got {epoch}")
        elif epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class CyclicLR(LRScheduler):
    """Goes up and down between two learning rates in straight lines; momentum down and up.

    Args:
        optimizer: whose learning rates it sets.
        base_lr: the least learning rate; or a list, one a group.
        max_lr: the largest one; or a list.
        step_size_up: steps of the way up.
        step_size_down: of the way down; step_size_up if None.
        mode: "triangular"; "triangular2", each cycle half as high; "exp_range", gamma^step as high.
        gamma: of "exp_range".
        scale_fn: the height as a function of one's own, in place of mode.
        scale_mode: whether scale_fn gets the number of the "cycle" or of "iterations".
        cycle_momentum: whether momentum (or the first of betas) goes from max_momentum to
            base_momentum and back.
        base_momentum, max_momentum: its limits; or lists.
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        TypeError: something other than an optimizer.
        ValueError: an unknown mode; cycle_momentum with an optimizer that has none.

    Source: Smith 2017, Cyclical learning rates for training neural networks.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        base_lrs = each_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_value(group, "lr", lr)
        self.max_lrs = each_group("max_lr", optimizer, max_lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        modes = ("triangular", "triangular2", "exp_range")
        if mode not in modes and scale_fn is None:
            raise ValueError(f"CyclicLR: mode must be one of {modes}; got {mode!r}")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _check_momentum("CyclicLR", optimizer)
            self.base_momentums = each_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = each_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                _start_momentum(optimizer, self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, or of a step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / (2.0 ** (x - 1)) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        up = x <= self.step_ratio
        height = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            limits = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, limits, strict=True):
                _set_momentum(group, high - (high - low) * height)
        limits = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in limits]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of scale_fn, what an object keeps."""
        state = super().state_dict()
        function = state["_scale_fn_custom"]
        kept = function is not None and not isinstance(function, types.FunctionType)
        state["_scale_fn_custom"] = dict(function.__dict__) if kept else None
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what state_dict() returned; scale_fn stays the present one."""
        fields = state_dict["_scale_fn_custom"]
        rest = {k: v for k, v in state_dict.items() if k != "_scale_fn_custom"}
        super().load_state_dict(rest)
        if fields is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(fields)


class OneCycleLR(LRScheduler):
    """One cycle for the whole training: up to max_lr, then down far below the start.

    Args:
        optimizer: whose learning rates it sets.
        max_lr: the largest learning rate; or a list, one a group.
        total_steps: steps of the cycle; or epochs and steps_per_epoch, whose product it is.
        pct_start: part of the steps that goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether momentum (or the first of betas) goes from max_momentum to
            base_momentum and back.
        base_momentum, max_momentum: its limits; or lists.
        div_factor: max_lr / div_factor is the first learning rate.
        final_div_factor: the first one / final_div_factor is the last.
        three_phase: down as long as up, to the first one, and then to the last.
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        TypeError: something other than an optimizer.
        ValueError: no number of steps, pct_start out of [0, 1], an unknown strategy; more steps
            than total_steps; cycle_momentum with an optimizer that has none.

    Source: Smith & Topin 2018, Super-convergence.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "OneCycleLR: needs total_steps, or epochs and steps_per_epoch; got "
                    f"epochs={epochs}, steps_per_epoch={steps_per_epoch}"
                )
            counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        else:
            counts = {"total_steps": total_steps}
        for name, count in counts.items():
            if not isinstance(count, int) or count <= 0:
                raise ValueError(f"OneCycleLR: {name} must be an int > 0; got {count!r}")
        self.total_steps = math.prod(counts.values())
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be a float in [0, 1]; got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy must be 'cos' or 'linear'; got {anneal_strategy!r}"
            )
        self._anneal_func_type = anneal_strategy
        up = pct_start * self.total_steps
        # (last step, learning rate at its start and end, momentum at its start and end)
        rise = (up - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        end = self.total_steps - 1
        if three_phase:
            fall = (2 * up - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            rest = (end, "initial_lr", "min_lr", "max_momentum", "max_momentum")
            self._schedule_phases = [rise, fall, rest]
        else:
            self._schedule_phases = [
                rise,
                (end, "max_lr", "min_lr", "base_momentum", "max_momentum"),
            ]
        if last_epoch == -1:
            largest = each_group("max_lr", optimizer, max_lr)
            for group, lr in zip(optimizer.param_groups, largest, strict=True):
                group["initial_lr"] = lr / div_factor
                group["max_lr"] = lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _check_momentum("OneCycleLR", optimizer)
            if last_epoch == -1:
                most = each_group("max_momentum", optimizer, max_momentum)
                least = each_group("base_momentum", optimizer, base_momentum)
                _start_momentum(optimizer, least, most)
        super().__init__(optimizer, last_epoch)

    def _between(self, start: Any, end: Any, part: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: at most total_steps={self.total_steps} steps; got step {step}"
            )
        before = 0.0
        phase = self._schedule_phases[-1]
        for candidate in self._schedule_phases[:-1]:
            if step <= candidate[0]:
                phase = candidate
                break
            before = candidate[0]
        end, lr_from, lr_to, momentum_from, momentum_to = phase
        part = (step - before) / (end - before)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                _set_momentum(group, self._between(group[momentum_from], group[momentum_to], part))
        return [self._between(group[lr_from], group[lr_to], part) for group in groups]
