"""The sample database: every op with its reference, samples and error samples, as data."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from .record import Arr, ErrorSample, OpInfo, Sample, build, place

__all__ = ["Arr", "ErrorSample", "OpInfo", "Sample", "build", "op_infos", "place"]


#: The families, one a line.
FAMILIES = (
    "elementwise",
    "math",
    "activation",
    "softmax",
    "compare",
    "arithmetic",
    "reduce",
    "view",
    "index",
    "pad",
    "sort",
    "matmul",
    "conv",
    "pool",
    "adaptive",
    "unpool",
    "lp_pool",
    "norm",
    "interpolate",
    "embedding_bag",
    "loss",
    "pair_loss",
    "epilogue",
    "linalg",
    "products",
    "margin_loss",
    "distance",
    "random",
    "dropout",
    "recurrent",
    "attention",
    "history",
    "arrange",
    "scan",
    "spread",
    "window",
)


@lru_cache(maxsize=1)
def op_infos() -> tuple[OpInfo, ...]:
    """Every op of the database, family by family."""
    families = [import_module(f".{name}", __name__) for name in FAMILIES]
    infos = tuple(info for family in families for info in family.infos())
    names = [info.name for info in infos]
    if len(set(names)) != len(names):
        raise ValueError(f"opdb: names must be unique; got {sorted(names)}")
    return infos
