"""How samples call an op: by a path that gradsmith and torch share, or by its record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["by_path", "by_record"]


def by_path(path: str) -> Callable[..., Any]:
    """A call of `lib.path`, e.g. "exp" or "nn.functional.conv2d"."""

    def call(lib: Any, *inputs: Any, **options: Any) -> Any:
        function = lib
        for part in path.split("."):
            function = getattr(function, part)
        return function(*inputs, **options)

    return call


def by_record(name: str) -> Callable[..., Any]:
    """A call of gradsmith's op record itself; options in the record's order."""

    def call(lib: Any, *inputs: Any, **options: Any) -> Any:
        from ...autograd.dispatch import apply
        from ...autograd.op import OPS

        record = OPS[name]
        return apply(record, inputs, tuple(options[key] for key in record.options))

    return call
