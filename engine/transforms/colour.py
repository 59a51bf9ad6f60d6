"""Brightness, contrast, saturation, hue and grey of one image, or of a batch alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from .images import converted, is_pil, opened, pil

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "erase",
    "normalize",
    "rgb_to_grayscale",
]

#: ITU-R 601-2: how bright red, green and blue look.
_GREY = (0.2989, 0.587, 0.114)


def _channels(name: str, array: np.ndarray[Any, Any], allowed: tuple[int, ...] = (1, 3)) -> int:
    channels = array.shape[-3] if array.ndim > 2 else 1
    if channels not in allowed:
        raise ValueError(
            f"{name}: the image must have {' or '.join(map(str, allowed))} channels; "
            f"got shape {array.shape}"
        )
    return channels


def _grey(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(..., 3, H, W) -> (..., 1, H, W), of the same dtype."""
    red, green, blue = (array[..., i, :, :].astype(np.float32) for i in range(3))
    grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
    return grey.astype(array.dtype)[..., np.newaxis, :, :]


def _blend(
    first: np.ndarray[Any, Any], second: np.ndarray[Any, Any], ratio: float
) -> np.ndarray[Any, Any]:
    """ratio * first + (1 - ratio) * second within the dtype's range."""
    dtype = first.dtype
    top = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    work = np.float64 if dtype == np.float64 else np.float32
    mixed = ratio * first.astype(work) + (1.0 - ratio) * second.astype(work)
    return np.clip(mixed, 0.0, top).astype(dtype)


def _factor(name: str, factor: float) -> float:
    if not factor >= 0:
        raise ValueError(f"{name}: the factor must be >= 0; got {factor}")
    return float(factor)


def _enhanced(image: Any, what: str, factor: float) -> Any:
    from PIL import ImageEnhance

    return getattr(ImageEnhance, what)(image).enhance(factor)


def adjust_brightness(image: Any, brightness_factor: float) -> Any:
    """The image times a factor: 0 is black, 1 the image itself.

    Raises:
        ValueError: a factor below 0, or neither 1 nor 3 channels.
    """
    factor = _factor("adjust_brightness", brightness_factor)
    if is_pil(image):
        return _enhanced(image, "Brightness", factor)
    array, close = opened("adjust_brightness", image)
    _channels("adjust_brightness", array)
    return close(_blend(array, np.zeros_like(array), factor))


def adjust_contrast(image: Any, contrast_factor: float) -> Any:
    """The image's distance from its mean grey times a factor: 0 is grey, 1 the image itself.

    Raises:
        ValueError: a factor below 0, or neither 1 nor 3 channels.
    """
    factor = _factor("adjust_contrast", contrast_factor)
    if is_pil(image):
        return _enhanced(image, "Contrast", factor)
    array, close = opened("adjust_contrast", image)
    grey = _grey(array) if _channels("adjust_contrast", array) == 3 else array
    work = grey.astype(np.float64 if array.dtype == np.float64 else np.float32)
    axes = (-3, -2, -1) if array.ndim > 2 else (-2, -1)
    return close(_blend(array, work.mean(axis=axes, keepdims=True), factor))


def adjust_saturation(image: Any, saturation_factor: float) -> Any:
    """The image's distance from its own grey times a factor: 0 is grey, 1 the image itself.

    Raises:
        ValueError: a factor below 0, or neither 1 nor 3 channels.
    """
    factor = _factor("adjust_saturation", saturation_factor)
    if is_pil(image):
        return _enhanced(image, "Color", factor)
    array, close = opened("adjust_saturation", image)
    if _channels("adjust_saturation", array) == 1:
        return close(array)
    return close(_blend(array, _grey(array), factor))


def adjust_hue(image: Any, hue_factor: float) -> Any:
    """The image with its hues turned around the colour wheel.

    Args:
        image: RGB, or one channel, which stays as it is.
        hue_factor: the part of a full turn, in [-0.5, 0.5].

    Raises:
        ValueError: a factor out of its range, or neither 1 nor 3 channels.

    Source: HSV, hexcone model (Smith 1978).
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"adjust_hue: hue_factor must be in [-0.5, 0.5]; got {hue_factor}")
    if is_pil(image):
        if image.mode in ("L", "1", "I", "F"):
            return image
        hue, saturation, value = image.convert("HSV").split()
        turned = np.asarray(hue).astype(np.int64) + int(hue_factor * 255)
        hue = pil().fromarray((turned % 256).astype(np.uint8))
        return pil().merge("HSV", (hue, saturation, value)).convert(image.mode)
    array, close = opened("adjust_hue", image)
    if _channels("adjust_hue", array) == 1:
        return close(array)
    work = converted(array, np.dtype(np.float32)) if array.dtype.kind != "f" else array
    turned = _from_hsv(*_to_hsv(work, hue_factor))
    return close(converted(turned, array.dtype))


def _to_hsv(array: np.ndarray[Any, Any], turn: float) -> tuple[np.ndarray[Any, Any], ...]:
    """Hue (turned), saturation and value."""
    red, green, blue = array[..., 0, :, :], array[..., 1, :, :], array[..., 2, :, :]
    most = np.maximum(np.maximum(red, green), blue)
    least = np.minimum(np.minimum(red, green), blue)
    grey = most == least
    spread = most - least
    divisor = np.where(grey, 1, spread)
    saturation = spread / np.where(grey, 1, most)
    r, g, b = (most - red) / divisor, (most - green) / divisor, (most - blue) / divisor
    hue = np.where(most == red, b - g, np.where(most == green, 2.0 + r - b, 4.0 + g - r))
    return np.mod(np.mod(hue / 6.0 + 1.0, 1.0) + turn, 1.0), saturation, most


def _from_hsv(
    hue: np.ndarray[Any, Any], saturation: np.ndarray[Any, Any], value: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    sector = np.floor(hue * 6.0)
    part = hue * 6.0 - sector
    sector = sector.astype(np.int64) % 6
    p = np.clip(value * (1.0 - saturation), 0.0, 1.0)
    q = np.clip(value * (1.0 - saturation * part), 0.0, 1.0)
    t = np.clip(value * (1.0 - saturation * (1.0 - part)), 0.0, 1.0)
    red = np.choose(sector, (value, q, p, p, t, value))
    green = np.choose(sector, (t, value, value, q, p, p))
    blue = np.choose(sector, (p, p, t, value, value, q))
    return np.stack([red, green, blue], axis=-3).astype(value.dtype)


def rgb_to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """The image without its colours.

    Formula: 0.2989 R + 0.587 G + 0.114 B

    Shape: (..., 3 or 1, H, W) -> (..., num_output_channels, H, W)

    Raises:
        ValueError: neither 1 nor 3 channels, in or out.
    """
    if num_output_channels not in (1, 3):
        raise ValueError(
            f"rgb_to_grayscale: num_output_channels must be 1 or 3; got {num_output_channels}"
        )
    if is_pil(image):
        grey = image.convert("L")
        return grey if num_output_channels == 1 else pil().merge("RGB", (grey, grey, grey))
    array, close = opened("rgb_to_grayscale", image, 3)
    grey = _grey(array) if _channels("rgb_to_grayscale", array) == 3 else array
    return close(np.repeat(grey, num_output_channels, axis=-3))


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """(x - mean) / std for each channel.

    Shape: (..., C, H, W), unchanged

    Args:
        tensor: a floating-point tensor or array.
        mean, std: a number for each channel, or one for all.
        inplace: write the result into the tensor.

    Raises:
        TypeError: a PIL image, or values that are not floating point.
        ValueError: std of 0, or another number of channels.
    """
    if is_pil(tensor):
        raise TypeError("normalize: needs a tensor; got a PIL image (use ToTensor before)")
    array, close = opened("normalize", tensor, 3)
    if array.dtype.kind != "f":
        raise TypeError(
            f"normalize: the tensor must be floating point; got {array.dtype} (use ToTensor, or "
            "ConvertImageDtype)"
        )
    m, s = (np.asarray(v, array.dtype) for v in (mean, std))
    if (s == 0).any():
        raise ValueError(f"normalize: std must not be 0 in {array.dtype}; got {std}")
    m, s = (v.reshape(-1, 1, 1) if v.ndim else v for v in (m, s))
    for name, v in (("mean", m), ("std", s)):
        if v.ndim and v.shape[0] not in (1, array.shape[-3]):
            raise ValueError(
                f"normalize: {name} must have 1 or {array.shape[-3]} values, one for each channel; "
                f"got {v.shape[0]}"
            )
    result = (array - m) / s
    if inplace:
        if isinstance(tensor, np.ndarray):
            tensor[...] = result
            return tensor
        return tensor.copy_(close(result))
    return close(result)


def erase(image: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """The image with a box overwritten.

    Args:
        image: a tensor or array (..., C, H, W).
        i, j, h, w: the upper left corner, height and width of the box.
        v: what stands there: a number, or values that broadcast to (C, h, w).
        inplace: change the image itself.

    Raises:
        TypeError: a PIL image.
    """
    if is_pil(image):
        raise TypeError("erase: needs a tensor; got a PIL image (use ToTensor before)")
    array, close = opened("erase", image, 3)
    result = array if inplace and array.flags.writeable else array.copy()
    value = opened("erase", v, 0)[0] if hasattr(v, "shape") else np.asarray(v)
    result[..., i : i + h, j : j + w] = value
    if inplace:
        return image if result is array else image.copy_(close(result))
    return close(result)
