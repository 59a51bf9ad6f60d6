"""A Function of a forward and a gradient that a test gives, right or wrong, and leaves for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradsmith as gs
import numpy as np

__all__ = ["function", "normal"]


def function(forward: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    """The Function of forward(*inputs) and backward(grad_y, *inputs)."""

    class Seeded(gs.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            return backward(grad_y, *ctx.saved_tensors)

    return Seeded.apply


def normal(*shape: int, seed: int = 0) -> Any:
    """A float64 leaf of normal numbers."""
    return gs.from_numpy(np.random.default_rng(seed).standard_normal(shape)).requires_grad_()
