"""Devices: where a tensor's memory is. `gradsmith.device("cpu")`, `gradsmith.device("cuda")`."""

from __future__ import annotations

from typing import Any

__all__ = ["device"]


class device:
    """A device, as PyTorch's: `device("cuda")`, `device("cuda:0")`, `device("cuda", 0)`.

    Raises:
        RuntimeError: for a type that is neither cpu nor cuda.
    """

    __slots__ = ("type", "index")

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        elif not isinstance(type, str):
            raise TypeError(f"device: must be a string or a device; got {type!r}")
        elif ":" in type:
            type, _, text = type.partition(":")
            if index is not None or not text.isdigit():
                raise RuntimeError(f"device: wants 'type' or 'type:index'; got '{type}:{text}'")
            index = int(text)
        if type not in ("cpu", "cuda"):
            raise RuntimeError(f"device: type must be 'cpu' or 'cuda'; got {type!r}")
        if index not in (None, 0):
            raise RuntimeError(f"device: one {type} device, number 0; got index {index!r}")
        self.type = type
        self.index = index

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        # "cuda" is "cuda:0": there is one.
        if isinstance(other, str):
            other = device(other)
        return isinstance(other, device) and self.type == other.type

    def __hash__(self) -> int:
        return hash(self.type)
