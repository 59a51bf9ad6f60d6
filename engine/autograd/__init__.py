"""Reverse-mode automatic differentiation over ops that are declared once."""

from collections.abc import Callable

from . import functional
from .anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from .backward import backward, grad
from .checkpoint import checkpoint, checkpoint_sequential
from .function import Function
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "backward",
    "checkpoint",
    "checkpoint_sequential",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

#: What higher layers add: name -> what gives it when it is first asked for.
later: dict[str, Callable[[str], object]] = {}


def __getattr__(name: str) -> object:
    if name in later:
        return later[name](name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
