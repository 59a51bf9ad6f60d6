"""Orders of dimensions in memory: contiguous_format, channels_last, preserve_format.

Elementwise ops, clone, conversions and the *_like functions keep a tensor's order. Convolution,
pooling, normalisation, interpolation and losses without a reduction take any order and give C
order, where PyTorch's keep channels_last: the values are the same, and
`contiguous(memory_format=)` puts them in the order again.
"""

from __future__ import annotations

from typing import Any

from .kernels.order import order_of

__all__ = [
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "memory_format",
    "preserve_format",
]


class memory_format:
    """An order of dimensions in memory, e.g. `gradsmith.channels_last`. There is one of each."""

    __slots__ = ("name", "order")

    def __init__(self, name: str, order: tuple[int, ...] | None) -> None:
        self.name = name
        self.order = (
            order  # the dims from the outermost to the innermost, where they are not 0, 1..
        )

    def __repr__(self) -> str:
        return f"gradsmith.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def order_for(self, name: str, data: Any) -> tuple[int, ...] | None:
        """The dims of an array like `data`, outermost first; None: as in C.

        Raises:
            RuntimeError: a format of tensors with another number of dims; `name` is the op.
        """
        if self is preserve_format:
            return order_of(data)
        if self.order is not None and len(self.order) != len(data.shape):
            raise RuntimeError(
                f"{name}: {self} is of {len(self.order)} dims; got shape {tuple(data.shape)}"
            )
        return self.order

    def lies(self, data: Any) -> bool:
        """Whether an array's elements lie in this order, without gaps."""
        if self.order is None or len(data.shape) != len(self.order):
            return self.order is None and bool(data.flags.c_contiguous)
        step = data.dtype.itemsize
        for d in reversed(self.order):
            if data.shape[d] != 1 and data.strides[d] != step:
                return False
            step *= data.shape[d]
        return True


contiguous_format = memory_format("contiguous_format", None)
preserve_format = memory_format("preserve_format", None)
channels_last = memory_format("channels_last", (0, 2, 3, 1))
channels_last_3d = memory_format("channels_last_3d", (0, 2, 3, 4, 1))
