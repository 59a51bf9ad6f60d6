"""Padding layers: constant, zero, reflection, replication and circular, in 1 to 3 dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from ...ops.pad import pad
from ...tensor import Tensor
from ..module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(Module):
    """Pads the last dimensions; the subclasses say with what."""

    _dims: int
    _mode = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        count = 2 * self._dims
        self.padding = (padding,) * count if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != count:
            raise ValueError(
                f"{type(self).__name__}: padding must be an int or {count} ints; got {padding}"
            )

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The amounts."""
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The amounts and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads the last dimension with a constant.

    Shape: (N, C, W) or (C, W), of which W grows

    Args:
        padding: an int for every side, or (left, right); negative ones crop.
        value: what is put there.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 1


class ConstantPad2d(_ConstantPad):
    """Pads the last 2 dimensions with a constant.

    Shape: (N, C, H, W) or (C, H, W), of which H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom); negative ones crop.
        value: what is put there.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 2


class ConstantPad3d(_ConstantPad):
    """Pads the last 3 dimensions with a constant.

    Shape: (N, C, D, H, W) or (C, D, H, W), of which D, H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom, front, back);
            negative ones crop.
        value: what is put there.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 3


class ZeroPad1d(_Pad):
    """Pads the last dimension with zeros.

    Shape: (N, C, W) or (C, W), of which W grows

    Args:
        padding: an int for every side, or (left, right); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 1


class ZeroPad2d(_Pad):
    """Pads the last 2 dimensions with zeros.

    Shape: (N, C, H, W) or (C, H, W), of which H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 2


class ZeroPad3d(_Pad):
    """Pads the last 3 dimensions with zeros.

    Shape: (N, C, D, H, W) or (C, D, H, W), of which D, H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom, front, back);
            negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 3


class ReflectionPad1d(_Pad):
    """Pads the last dimension with the reflection at the edge, which is not repeated itself.

    Shape: (N, C, W) or (C, W), of which W grows

    Args:
        padding: an int for every side, or (left, right); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Pads the last 2 dimensions with the reflection at the edge, which is not repeated itself.

    Shape: (N, C, H, W) or (C, H, W), of which H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Pads the last 3 dimensions with the reflection at the edge, which is not repeated itself.

    Shape: (N, C, D, H, W) or (C, D, H, W), of which D, H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom, front, back);
            negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Pads the last dimension with the edge's values.

    Shape: (N, C, W) or (C, W), of which W grows

    Args:
        padding: an int for every side, or (left, right); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Pads the last 2 dimensions with the edge's values.

    Shape: (N, C, H, W) or (C, H, W), of which H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Pads the last 3 dimensions with the edge's values.

    Shape: (N, C, D, H, W) or (C, D, H, W), of which D, H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom, front, back);
            negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """Pads the last dimension with what is at the opposite edge.

    Shape: (N, C, W) or (C, W), of which W grows

    Args:
        padding: an int for every side, or (left, right); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """Pads the last 2 dimensions with what is at the opposite edge.

    Shape: (N, C, H, W) or (C, H, W), of which H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom); negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """Pads the last 3 dimensions with what is at the opposite edge.

    Shape: (N, C, D, H, W) or (C, D, H, W), of which D, H, W grow

    Args:
        padding: an int for every side, or (left, right, top, bottom, front, back);
            negative ones crop.

    Raises:
        ValueError: another number of paddings.
    """

    _dims = 3
    _mode = "circular"
