"""Transforms without chance: ToTensor, Normalize, Resize, crops, Compose and their like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..dtype import dtype as DType
from ..tensor import Tensor
from . import colour, geometry, images

__all__ = [
    "CenterCrop",
    "Compose",
    "ConvertImageDtype",
    "Grayscale",
    "Lambda",
    "Normalize",
    "PILToTensor",
    "Pad",
    "Resize",
    "ToPILImage",
    "ToTensor",
]


class Compose:
    """Transforms one after another.

    Args:
        transforms: callables; each is given what the one before returned.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        """The image after all of them."""
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        lines = "".join(f"\n    {t}" for t in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


class ToTensor:
    """A PIL image or array (H, W, C) as a tensor (C, H, W); 8-bit pixels as float32 in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        """As functional.to_tensor."""
        return images.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image as a tensor (C, H, W) of the same values."""

    def __call__(self, pic: Any) -> Tensor:
        """As functional.pil_to_tensor."""
        return images.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W) or array (H, W, C) as a PIL image.

    Args:
        mode: PIL's mode; default: from the number of channels and the dtype.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        """As functional.to_pil_image."""
        return images.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"ToPILImage({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype:
    """An image in another dtype, its values scaled to that dtype's range.

    Args:
        dtype: the dtype of the result.
    """

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        """As functional.convert_image_dtype."""
        return images.convert_image_dtype(image, self.dtype)

    def __repr__(self) -> str:
        return "ConvertImageDtype()"


class Normalize:
    """(x - mean) / std for each channel of a floating-point tensor.

    Args:
        mean, std: a number for each channel.
        inplace: change the tensor itself.
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: Any) -> Any:
        """As functional.normalize."""
        return colour.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Resize:
    """The image in another size.

    Args:
        size: (height, width); or one int: of the shorter side, in proportion.
        interpolation: 'nearest', 'bilinear' or 'bicubic'.
        max_size: the most that the longer side may have, with a size of one int.
        antialias: when shrinking, take all pixels into account. PIL images always have it.
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        geometry.pair("Resize", "size", size)
        self.size = size
        self.interpolation = geometry.interpolation_name("Resize", interpolation)
        self.max_size = max_size
        self.antialias = antialias

    def __call__(self, img: Any) -> Any:
        """As functional.resize."""
        return geometry.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop:
    """The middle of the image, which is padded with 0 if it is smaller.

    Args:
        size: one int or (height, width).
    """

    def __init__(self, size: Any) -> None:
        self.size = geometry.pair("CenterCrop", "size", size)

    def __call__(self, img: Any) -> Any:
        """As functional.center_crop."""
        return geometry.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class Pad:
    """The image with borders added.

    Args:
        padding: one int, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the value of constant borders.
        padding_mode: 'constant', 'edge', 'reflect' or 'symmetric'.
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        geometry.check_pad(padding, padding_mode)
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, img: Any) -> Any:
        """As functional.pad."""
        return geometry.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class Grayscale:
    """The image without its colours.

    Args:
        num_output_channels: 1 or 3.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(
                f"Grayscale: num_output_channels must be 1 or 3; got {num_output_channels}"
            )
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        """As functional.rgb_to_grayscale."""
        return colour.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class Lambda:
    """A function of one's own as a transform.

    Args:
        lambd: the function.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: lambd must be callable; got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """The function's result."""
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"
