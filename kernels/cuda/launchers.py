"""Which launcher modules there are; each lists its kernel-table entries in `ENTRIES`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..._cpu import elementwise
from ..order import ordered
from . import memory

__all__ = ["FAMILIES", "entries"]

#: One .cu file with its launcher, a module of this package, each.
FAMILIES: tuple[str, ...] = (
    "copy",
    "compare",
    "arithmetic",
    "elementwise",
    "activation",
    "softmax",
    "matmul",
    "conv",
    "epilogue",
    "reduce",
    "index",
    "embedding_bag",
    "pad",
    "sort",
    "scan",
    "window",
    "pool",
    "adaptive",
    "loss",
    "norm",
    "pair_loss",
    "interpolate",
    "random",
    "optim",
    "recurrent",
    "attention",
    "distance",
)


def entries() -> dict[str, Any]:
    """Name -> launcher of every kernel that device "cuda" has."""
    found: dict[str, Any] = {}
    for family in FAMILIES:
        found.update(import_module(f"{__package__}.{family}").ENTRIES)
    for name in elementwise():
        found[name] = ordered(found[name], memory.array_type)
    return found
