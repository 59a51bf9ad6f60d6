"""Averages of a model's parameters over training: SWA and EMA."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from ..autograd.grad_mode import no_grad
from ..nn.module import Module
from ..ops.creation import tensor
from ..ops.optim import lerp_all
from ..tensor import Tensor
from .optimizer import Optimizer
from .schedules import LRScheduler, each_group

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

_Tensors = list[Tensor]


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ValueError(f"get_ema_avg_fn: decay must be in [0, 1]; got {decay}")


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[_Tensors, _Tensors, Any], None]:
    """The update of an exponential moving average, of all tensors in one kernel call.

    Formula: average = decay * average + (1 - decay) * current

    Args:
        decay: how much of the average is kept.

    Returns:
        For AveragedModel's multi_avg_fn.

    Raises:
        ValueError: decay out of [0, 1].
    """
    _check_decay(decay)

    def ema_update(averaged: _Tensors, current: _Tensors, _: Any) -> None:
        lerp_all(averaged, current, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Callable[[_Tensors, _Tensors, Any], None]:
    """The update of the mean of all, of all tensors in one kernel call.

    Formula: average = average + (current - average) / (number + 1)

    Returns:
        For AveragedModel's multi_avg_fn.
    """

    def swa_update(averaged: _Tensors, current: _Tensors, number: Any) -> None:
        lerp_all(averaged, current, 1 / (int(number) + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """get_ema_multi_avg_fn for one tensor, for AveragedModel's avg_fn."""
    _check_decay(decay)

    def ema_update(averaged: Tensor, current: Tensor, _: Any) -> Tensor:
        with no_grad():
            return averaged * decay + current * (1 - decay)

    return ema_update


def get_swa_avg_fn() -> Callable[[Tensor, Tensor, Any], Tensor]:
    """get_swa_multi_avg_fn for one tensor, for AveragedModel's avg_fn."""

    def swa_update(averaged: Tensor, current: Tensor, number: Any) -> Tensor:
        with no_grad():
            return averaged + (current - averaged) / (int(number) + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages over the calls of update_parameters.

    Shape: as the model's forward.

    Args:
        model: the model; it is copied.
        device: where the copy is; the model's if None.
        avg_fn: new average of one tensor from (average, current, number of averaged ones).
        multi_avg_fn: changes all averages in place, from lists of both and the number. The mean of
            all (SWA) if neither is given. One kernel call a dtype and update.
        use_buffers: average the buffers too; else they stay the copy's own.

    Raises:
        AssertionError: avg_fn and multi_avg_fn both.

    Source: Izmailov et al. 2018; Polyak & Juditsky 1992.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Any], Tensor] | None = None,
        multi_avg_fn: Callable[[_Tensors, _Tensors, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError(
                "AveragedModel: only one of avg_fn and multi_avg_fn may be given; got both"
            )
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's forward."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present parameters into the averages; the first ones are copied."""
        own: Iterable[Tensor] = self.module.parameters()
        others: Iterable[Tensor] = model.parameters()
        if self.use_buffers:
            own = chain(own, self.module.buffers())
            others = chain(others, model.buffers())
        pairs = [(a.detach(), b.detach().to(a.device)) for a, b in zip(own, others, strict=False)]
        number = int(self.n_averaged)
        with no_grad():
            if number == 0:
                for average, current in pairs:
                    average.copy_(current)
            elif self.avg_fn is not None:
                for average, current in pairs:
                    average.copy_(self.avg_fn(average, current, number))
            else:
                self._average_all(pairs, number)
            if not self.use_buffers:
                for average, current in zip(self.module.buffers(), model.buffers(), strict=True):
                    average.detach().copy_(current.detach().to(average.device))
            self.n_averaged.copy_(tensor(number + 1))

    def _average_all(self, pairs: list[tuple[Tensor, Tensor]], number: int) -> None:
        update = self.multi_avg_fn or get_swa_multi_avg_fn()
        kinds = dict.fromkeys((a.device, a.dtype) for a, _ in pairs)
        for kind in kinds:
            chosen = [pair for pair in pairs if (pair[0].device, pair[0].dtype) == kind]
            if kind[1].is_floating_point:
                update([a for a, _ in chosen], [b for _, b in chosen], number)
            else:  # counts, as batch norm's
                for average, current in chosen:
                    average.copy_(current)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Finds the running statistics of a model's batch norms anew, in one pass over data.

    Args:
        loader: batches; of a list or tuple, its first element is the input.
        model: the model; an averaged one has no statistics of its own.
        device: where the batches are moved first.
    """
    norms = [
        m for m in model.modules() if hasattr(m, "reset_running_stats") and hasattr(m, "momentum")
    ]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    was_training = model.training
    model.train()
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    try:
        with no_grad():
            for batch in loader:
                if isinstance(batch, (list, tuple)):
                    batch = batch[0]
                model(batch if device is None else batch.to(device))
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Goes from the present learning rate to swa_lr, and stays there.

    Args:
        optimizer: whose learning rates it sets.
        swa_lr: the learning rate at the end; or a list, one a group.
        anneal_epochs: in how many steps.
        anneal_strategy: "cos" or "linear".
        last_epoch: how many steps were made before; -1 starts anew.

    Raises:
        ValueError: an unknown strategy; anneal_epochs below 0 or no int.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for group, lr in zip(
            optimizer.param_groups, each_group("swa_lr", optimizer, swa_lr), strict=True
        ):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"SWALR: anneal_strategy must be 'cos' or 'linear'; got {anneal_strategy!r}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs must be an int >= 0; got {anneal_epochs!r}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _part(self, step: int) -> float:
        """How much of the way is behind at a step."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """The learning rates at this step, one a group."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates
