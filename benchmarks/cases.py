"""Every benchmark case, as data, by what the command calls the groups."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .case import PASSES, Case, Input
from .layers import convolutions, products
from .operations import operations
from .steps import nets, optimizers, overheads

__all__ = ["CASES", "GROUPS", "Case", "Input", "find", "select"]

#: What `gradsmith bench` calls them -> the cases.
GROUPS: dict[str, tuple[Case, ...]] = {
    "op": (*products(), *convolutions(), *operations()),
    "net": tuple(nets()),
    "overhead": tuple(overheads()),
    "optimizer": tuple(optimizers()),
}
CASES: tuple[Case, ...] = tuple([case for cases in GROUPS.values() for case in cases])
_BY_KEY = {case.key: case for case in CASES}


def find(family: str, name: str, dtype: str = "float32") -> Case:
    """The case of this name.

    Raises:
        KeyError: there is none.
    """
    return _BY_KEY[family, name, dtype]


def select(groups: Sequence[str], only: str = "", quick: bool = False) -> list[tuple[Case, str]]:
    """The cases of some groups with their passes: (case, pass).

    Args:
        groups: names in `GROUPS`.
        only: found in `family: name dtype pass`; "": all.
        quick: those that --quick runs.

    Raises:
        re.error: `only` is no regular expression.
    """
    pattern = re.compile(only)
    return [
        (case, kind)
        for group in groups
        for case in GROUPS[group]
        if case.quick or not quick
        for kind in PASSES
        if kind in case.passes and pattern.search(f"{case.label} {case.dtype} {kind}")
    ]
