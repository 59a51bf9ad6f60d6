"""Pretrained weights of a file: safetensors, under the names that the models' parameters have."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from .. import nn

__all__ = ["with_weights"]

_M = TypeVar("_M", bound=nn.Module)


def with_weights(model: _M, weights: Any) -> _M:
    """The model, with weights loaded if there are any.

    Args:
        model: the model.
        weights: None; the path of a safetensors file; or a state_dict.

    Raises:
        RuntimeError: names or shapes that are not the model's; all are listed.
        ValueError: a file that is no safetensors file.
    """
    if weights is None:
        return model
    if isinstance(weights, (str, os.PathLike)):
        from ..serialization import load

        weights = load(weights, map_location="cpu")
        if isinstance(weights, dict) and isinstance(weights.get("model"), dict):
            weights = weights["model"]  # a checkpoint of `gradsmith train`
    model.load_state_dict(weights)
    return model
