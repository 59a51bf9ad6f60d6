"""Learning rates that follow a schedule: each sets its optimizer's "lr" at every step()."""

from __future__ import annotations

import math
import types
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """An option of every group; tensors as copies."""
    values = [group[key] for group in optimizer.param_groups]
    return [v.detach().clone() if isinstance(v, Tensor) else v for v in values]


def set_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Sets an option of a group; one that is a tensor stays the same tensor."""
    if isinstance(group[key], Tensor):
        group[key].detach().fill_(float(value))
    else:
        group[key] = value


def each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for every group: a list of them, or one for all."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name}: needs one value for each of the {count} parameter groups; got {len(value)}"
        )
    return [v.detach().clone() if isinstance(v, Tensor) else v for v in value]


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raises TypeError for what is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: needs an Optimizer; got {type(optimizer).__name__}")


class LRScheduler:
    """The base of all schedules.

    A schedule of one's own overrides get_lr(), which gives a list of learning rates, one a group.

    Args:
        optimizer: whose learning rates it sets; each group's "initial_lr" is kept in the group.
        last_epoch: how many steps were made before; -1 starts anew.

    Attributes:
        last_epoch: steps made so far.
        base_lrs: the groups' learning rates at the start.

    Raises:
        TypeError: something other than an optimizer.
        KeyError: last_epoch >= 0 with groups that have no "initial_lr".
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, values_of(optimizer, "lr"), strict=True):
                group.setdefault("initial_lr", lr)
        elif missing := [i for i, g in enumerate(optimizer.param_groups) if "initial_lr" not in g]:
            raise KeyError(
                f"{type(self).__name__}: last_epoch={last_epoch} needs 'initial_lr' in every "
                f"parameter group; group {missing[0]} has none (load the optimizer's state first)"
            )
        self.base_lrs = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what state_dict() returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The learning rates that the last step set, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        raise NotImplementedError(f"{type(self).__name__}: the schedule has no get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Sets the next learning rates, after the optimizer's step.

        Args:
            epoch: jump to this step by the closed formula; deprecated, as in PyTorch.
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first value of the "
                "schedule is skipped (call optimizer.step() first)",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(
                "step: epoch is deprecated; call step() without it", UserWarning, stacklevel=2
            )
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            values = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = getattr(self, "_get_closed_form_lr", None)
            values = closed() if closed is not None else self.get_lr()
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_value(group, "lr", lr)
        self._last_lr = values_of(self.optimizer, "lr")

    def _scaled(self, factor: float) -> list[Any]:
        """The present learning rates, times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _kept(self) -> list[Any]:
        """The present learning rates."""
        return values_of(self.optimizer, "lr")


class _OfFunctions(LRScheduler):
    """A schedule by functions of one's own, one a group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(type(self).__name__, optimizer)
        self.lr_lambdas = each_group("lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"{type(self).__name__}: lr_lambda must be a function; "
                    f"got {type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the functions, those that are objects with a state."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            None if isinstance(f, types.FunctionType) else dict(f.__dict__) for f in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what state_dict() returned; functions stay the present ones."""
        rest = {key: value for key, value in state_dict.items() if key != "lr_lambdas"}
        self.__dict__.update(rest)
        for function, fields in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if fields is not None:
                function.__dict__.update(fields)


class LambdaLR(_OfFunctions):
    """The initial learning rate times a function of the step.

    Formula: lr_t = lr_0 * lr_lambda(t)

    Args:
        optimizer: whose learning rates it sets.
        lr_lambda: the function; or a list, one a group.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * function(self.last_epoch) for function, base in pairs]


class MultiplicativeLR(_OfFunctions):
    """The learning rate times a function of the step, at every step.

    Formula: lr_t = lr_(t-1) * lr_lambda(t)

    Args:
        optimizer: whose learning rates it sets.
        lr_lambda: the function; or a list, one a group.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self._is_initial:
            return self._kept()
        groups = zip(self.lr_lambdas, self.optimizer.param_groups, strict=True)
        return [group["lr"] * function(self.last_epoch) for function, group in groups]


class StepLR(LRScheduler):
    """Falls by gamma every step_size steps.

    Formula: lr_t = lr_0 * gamma^floor(t / step_size)

    Args:
        optimizer: whose learning rates it sets.
        step_size: steps from one fall to the next.
        gamma: factor of each fall.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._kept()
        return self._scaled(self.gamma)

    def _get_closed_form_lr(self) -> list[Any]:
        factor = self.gamma ** (self.last_epoch // self.step_size)
        return [base * factor for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Falls by gamma at each milestone.

    Formula: lr_t = lr_0 * gamma^(number of milestones <= t)

    Args:
        optimizer: whose learning rates it sets.
        milestones: the steps at which it falls; one that stands twice counts twice.
        gamma: factor of each fall.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self.last_epoch not in self.milestones:
            return self._kept()
        return self._scaled(self.gamma ** self.milestones[self.last_epoch])

    def _get_closed_form_lr(self) -> list[Any]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * self.gamma**passed for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """A part of the learning rate for the first steps, then all of it.

    Formula: lr_t = lr_0 * factor for t < total_iters, then lr_0

    Args:
        optimizer: whose learning rates it sets.
        factor: the part, from 0 to 1.
        total_iters: for how many steps.
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        ValueError: factor out of [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must be in [0, 1]; got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self.last_epoch == 0:
            return self._scaled(self.factor)
        if self.last_epoch != self.total_iters:
            return self._kept()
        return self._scaled(1.0 / self.factor)

    def _get_closed_form_lr(self) -> list[Any]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The learning rate's part goes from one factor to another in a straight line.

    Formula: lr_t = lr_0 * (start_factor + (end_factor - start_factor) * min(t, total_iters) /
    total_iters)

    Args:
        optimizer: whose learning rates it sets.
        start_factor: the part at first, in (0, 1].
        end_factor: the part at the end, in [0, 1].
        total_iters: in how many steps.
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        ValueError: a factor out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be in (0, 1]; got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be in [0, 1]; got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self.last_epoch == 0:
            return self._scaled(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._kept()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return self._scaled(1.0 + rise / before)

    def _get_closed_form_lr(self) -> list[Any]:
        part = min(self.total_iters, self.last_epoch) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * part
        return [base * factor for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Falls by gamma at every step.

    Formula: lr_t = lr_0 * gamma^t

    Args:
        optimizer: whose learning rates it sets.
        gamma: factor of each step.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        return self._kept() if self._is_initial else self._scaled(self.gamma)

    def _get_closed_form_lr(self) -> list[Any]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """Falls to 0 as a power of the steps that are left.

    Formula: lr_t = lr_0 * (1 - min(t, total_iters) / total_iters)^power

    Args:
        optimizer: whose learning rates it sets.
        total_iters: in how many steps.
        power: 1 is a straight line.
        last_epoch: how many steps were made before; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._kept()
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return self._scaled((now / before) ** self.power)

    def _get_closed_form_lr(self) -> list[Any]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Follows a cosine from the initial learning rate to eta_min, and back.

    Formula: lr_t = eta_min + (lr_0 - eta_min) * (1 + cos(pi * t / T_max)) / 2

    Args:
        optimizer: whose learning rates it sets.
        T_max: steps of half a period.
        eta_min: the least learning rate.
        last_epoch: how many steps were made before; -1 starts anew.

    Source: Loshchilov & Hutter 2017, SGDR, equation 5, without restarts.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The learning rates at last_epoch, one a group."""
        if self._is_initial:
            return self._kept()
        if self._step_count == 1 and self.last_epoch > 0:
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from eta_min itself
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                group["lr"] + (base - self.eta_min) * rise
                for base, group in zip(self.base_lrs, self.optimizer.param_groups, strict=True)
            ]
        now, before = (
            1 + math.cos(math.pi * t / self.T_max) for t in (self.last_epoch, self.last_epoch - 1)
        )
        return [
            now / before * (group["lr"] - self.eta_min) + self.eta_min
            for group in self.optimizer.param_groups
        ]

    def _get_closed_form_lr(self) -> list[Any]:
        part = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]
