"""Random transforms of one image: flips, crops, colours, erasing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..random import Generator
from . import colour, geometry
from .drawing import Drawing, check_probability
from .images import dimensions, is_pil

__all__ = [
    "ColorJitter",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
]


class RandomApply(Drawing):
    """Transforms one after another, or none of them.

    Args:
        transforms: the transforms.
        p: the probability that they are applied.
        generator: of the random numbers; default: the default generator.
    """

    def __init__(
        self,
        transforms: Sequence[Callable[[Any], Any]],
        p: float = 0.5,
        generator: Generator | None = None,
    ) -> None:
        self.transforms = transforms
        self.p = check_probability("RandomApply", p)
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, transformed or not."""
        if self.chance(self.p):
            for t in self.transforms:
                img = t(img)
        return img

    def __repr__(self) -> str:
        lines = "".join(f"\n    {t}" for t in self.transforms)
        return f"RandomApply(\n    p={self.p}{lines}\n)"


class RandomHorizontalFlip(Drawing):
    """Left and right swapped, at random.

    Args:
        p: the probability.
        generator: of the random numbers; default: the default generator.
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p = check_probability("RandomHorizontalFlip", p)
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, flipped or not."""
        return geometry.hflip(img) if self.chance(self.p) else img

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomVerticalFlip(Drawing):
    """Top and bottom swapped, at random.

    Args:
        p: the probability.
        generator: of the random numbers; default: the default generator.
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        self.p = check_probability("RandomVerticalFlip", p)
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, flipped or not."""
        return geometry.vflip(img) if self.chance(self.p) else img

    def __repr__(self) -> str:
        return f"RandomVerticalFlip(p={self.p})"


class RandomCrop(Drawing):
    """A random part of the image, of a given size.

    Args:
        size: one int or (height, width).
        padding: borders that are added first; as Pad.
        pad_if_needed: pad an image that is smaller than the part, by what is missing, both sides.
        fill, padding_mode: as Pad.
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: when called: an image that is smaller than the part.
    """

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
        generator: Generator | None = None,
    ) -> None:
        self.size = geometry.pair("RandomCrop", "size", size)
        if padding is not None:
            geometry.check_pad(padding, padding_mode)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """A part of the image."""
        if self.padding is not None:
            img = geometry.pad(img, self.padding, self.fill, self.padding_mode)
        height, width = self.size
        _, h, w = dimensions("RandomCrop", img)
        if self.pad_if_needed and w < width:
            img = geometry.pad(img, (width - w, 0), self.fill, self.padding_mode)
        if self.pad_if_needed and h < height:
            img = geometry.pad(img, (0, height - h), self.fill, self.padding_mode)
        _, h, w = dimensions("RandomCrop", img)
        if h < height or w < width:
            raise ValueError(
                f"RandomCrop: the image must be at least {height} x {width}; got {h} x {w} "
                "(use pad_if_needed=True)"
            )
        top, left = self.integer(0, h - height), self.integer(0, w - width)
        return geometry.crop(img, top, left, height, width)

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomResizedCrop(Drawing):
    """A part of random size and ratio of sides, resized.

    Args:
        size: of the result: one int or (height, width).
        scale: the smallest and largest share of the image's area.
        ratio: the smallest and largest width / height.
        interpolation, antialias: as Resize.
        generator: of the random numbers; default: the default generator.

    Source: Szegedy et al. 2015, Going deeper with convolutions.
    """

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
        generator: Generator | None = None,
    ) -> None:
        self.size = geometry.pair("RandomResizedCrop", "size", size)
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if not 0 < low <= high:
                raise ValueError(
                    f"RandomResizedCrop: {name} must be (low, high) with 0 < low <= high; "
                    f"got {(low, high)}"
                )
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.interpolation = geometry.interpolation_name("RandomResizedCrop", interpolation)
        self.antialias = antialias
        self.generator = generator

    def box(self, h: int, w: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of a random part of an image of this size."""
        for _ in range(10):
            area = self.uniform(*self.scale)
            ratio = math.exp(self.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            height, width = geometry.area_box(h, w, area, ratio)
            if 0 < width <= w and 0 < height <= h:
                return self.integer(0, h - height), self.integer(0, w - width), height, width
        height, width = h, w
        if w / h < self.ratio[0]:
            height = min(h, round(w / self.ratio[0]))
        elif w / h > self.ratio[1]:
            width = min(w, round(h * self.ratio[1]))
        return (h - height) // 2, (w - width) // 2, height, width

    def __call__(self, img: Any) -> Any:
        """A part of the image, resized."""
        _, h, w = dimensions("RandomResizedCrop", img)
        return geometry.resized_crop(
            img, *self.box(h, w), self.size, self.interpolation, self.antialias
        )

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return (
            f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation}, antialias={self.antialias})"
        )


class RandomGrayscale(Drawing):
    """The image without its colours, at random; the number of channels stays.

    Args:
        p: the probability.
        generator: of the random numbers; default: the default generator.
    """

    def __init__(self, p: float = 0.1, generator: Generator | None = None) -> None:
        self.p = check_probability("RandomGrayscale", p)
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, grey or not."""
        if not self.chance(self.p):
            return img
        return colour.rgb_to_grayscale(img, dimensions("RandomGrayscale", img)[0])

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


class ColorJitter(Drawing):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Args:
        brightness, contrast, saturation: factors are drawn from [max(0, 1 - value), 1 + value];
            or from the (low, high) given.
        hue: the turn is drawn from [-value, value], at most 0.5; or from the (low, high) given.
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: values out of their range.
    """

    def __init__(
        self,
        brightness: Any = 0,
        contrast: Any = 0,
        saturation: Any = 0,
        hue: Any = 0,
        generator: Generator | None = None,
    ) -> None:
        self.brightness = self._range("brightness", brightness, 1.0, 0.0, math.inf)
        self.contrast = self._range("contrast", contrast, 1.0, 0.0, math.inf)
        self.saturation = self._range("saturation", saturation, 1.0, 0.0, math.inf)
        self.hue = self._range("hue", hue, 0.0, -0.5, 0.5)
        self.generator = generator

    @staticmethod
    def _range(
        name: str, value: Any, centre: float, least: float, most: float
    ) -> tuple[float, float] | None:
        """What is drawn from; None: the image stays."""
        if isinstance(value, (int, float)):
            if not value >= 0:
                raise ValueError(f"ColorJitter: {name} must be >= 0; got {value}")
            low, high = centre - value, centre + value
            low = max(low, least) if name != "hue" else low
        else:
            low, high = (float(v) for v in value)
        if not least <= low <= high <= most:
            raise ValueError(
                f"ColorJitter: {name} must be within [{least:g}, {most:g}]; got {value}"
            )
        return None if low == high == centre else (low, high)

    def __call__(self, img: Any) -> Any:
        """The image with other colours."""
        steps = (
            (self.brightness, colour.adjust_brightness),
            (self.contrast, colour.adjust_contrast),
            (self.saturation, colour.adjust_saturation),
            (self.hue, colour.adjust_hue),
        )
        order = self.order(4)
        factors = [None if span is None else self.uniform(*span) for span, _ in steps]
        for i in order:
            if factors[i] is not None:
                img = steps[i][1](img, factors[i])  # type: ignore[arg-type]
        return img

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class RandomErasing(Drawing):
    """A random box of a tensor overwritten, at random.

    Args:
        p: the probability.
        scale: the smallest and largest share of the image's area.
        ratio: the smallest and largest height / width.
        value: what stands in the box: a number, one for each channel, or 'random' for normal
            random numbers.
        inplace: change the tensor itself.
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: options out of their range.

    Source: Zhong et al. 2017, Random erasing data augmentation.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(
                f"RandomErasing: scale must be (low, high) within [0, 1]; got {tuple(scale)}"
            )
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(
                f"RandomErasing: ratio must be (low, high) with 0 < low <= high; got {tuple(ratio)}"
            )
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: value must be numbers or 'random'; got {value!r}")
        self.p = check_probability("RandomErasing", p)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.value = value
        self.inplace = inplace
        self.generator = generator

    def _normal(self, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        """Normal random numbers, by Box and Muller 1958."""
        count = math.prod(shape)
        u = self.uniforms(2 * count)
        radius = np.sqrt(-2.0 * np.log1p(-u[:count]))
        return (radius * np.cos(2.0 * np.pi * u[count:])).reshape(shape)

    def __call__(self, img: Any) -> Any:
        """The tensor, with a box overwritten or not."""
        if is_pil(img):
            raise TypeError("RandomErasing: needs a tensor; got a PIL image (use ToTensor before)")
        if not self.chance(self.p):
            return img
        channels, h, w = dimensions("RandomErasing", img)
        for _ in range(10):
            area = self.uniform(*self.scale)
            ratio = math.exp(self.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            # its ratio is height / width
            width, height = geometry.area_box(h, w, area, ratio)
            if not (height < h and width < w):
                continue
            top, left = self.integer(0, h - height), self.integer(0, w - width)
            value: Any = self.value
            if isinstance(value, str):
                value = self._normal((channels, height, width))
            elif not isinstance(value, (int, float)):
                value = np.asarray(value).reshape(-1, 1, 1)
                if value.shape[0] not in (1, channels):
                    raise ValueError(
                        f"RandomErasing: value must be one number, or {channels}; "
                        f"got {value.shape[0]}"
                    )
            return colour.erase(img, top, left, height, width, value, self.inplace)
        return img

    def __repr__(self) -> str:
        return (
            f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )
