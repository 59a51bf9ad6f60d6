"""Flips, crops, padding and resizing of one image, or of all images of a batch alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops.creation import from_numpy
from ..ops.matmul import matmul
from .images import dimensions, is_pil, opened, pil

__all__ = [
    "INTERPOLATIONS",
    "area_box",
    "center_crop",
    "check_pad",
    "crop",
    "hflip",
    "interpolation_name",
    "pad",
    "pair",
    "resize",
    "resized_crop",
    "vflip",
]

#: How values between pixels are found.
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def pair(name: str, argument: str, value: Any) -> tuple[int, int]:
    """A size as (height, width): of one int, or of a sequence of one or two."""
    values = (value,) if hasattr(value, "__index__") else tuple(value)
    if len(values) not in (1, 2) or not all(
        hasattr(v, "__index__") and not isinstance(v, bool) and v > 0 for v in values
    ):
        raise ValueError(f"{name}: {argument} must be one or two ints > 0; got {value!r}")
    return int(values[0]), int(values[-1])


def interpolation_name(name: str, value: Any) -> str:
    """An interpolation's name: of the name, of an enum's member, or of PIL's number.

    Raises:
        ValueError: another one.
    """
    by_number = {0: "nearest", 2: "bilinear", 3: "bicubic"}
    found = by_number.get(value) if isinstance(value, int) else getattr(value, "value", value)
    found = by_number.get(found, found) if isinstance(found, int) else found
    if found not in INTERPOLATIONS:
        raise ValueError(f"{name}: interpolation must be one of {INTERPOLATIONS}; got {value!r}")
    return str(found)


def pil_filter(interpolation: str) -> Any:
    """PIL's resampling of this name."""
    return getattr(pil().Resampling, interpolation.upper())


def hflip(image: Any) -> Any:
    """The image with left and right swapped.

    Shape: (..., H, W), unchanged
    """
    if is_pil(image):
        return image.transpose(pil().Transpose.FLIP_LEFT_RIGHT)
    array, close = opened("hflip", image)
    return close(array[..., ::-1])


def vflip(image: Any) -> Any:
    """The image with top and bottom swapped.

    Shape: (..., H, W), unchanged
    """
    if is_pil(image):
        return image.transpose(pil().Transpose.FLIP_TOP_BOTTOM)
    array, close = opened("vflip", image)
    return close(array[..., ::-1, :])


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of the image; what is outside of the image is 0.

    Shape: (..., H, W) -> (..., height, width)

    Args:
        image: the image.
        top, left: the upper left corner of the part, in pixels; may be outside.
        height, width: its size.
    """
    if is_pil(image):
        return image.crop((left, top, left + width, top + height))
    array, close = opened("crop", image)
    h, w = array.shape[-2:]
    if top >= 0 and left >= 0 and top + height <= h and left + width <= w:
        return close(array[..., top : top + height, left : left + width])
    result = np.zeros((*array.shape[:-2], height, width), array.dtype)
    first_y, last_y = max(top, 0), min(top + height, h)
    first_x, last_x = max(left, 0), min(left + width, w)
    if first_y < last_y and first_x < last_x:
        result[..., first_y - top : last_y - top, first_x - left : last_x - left] = array[
            ..., first_y:last_y, first_x:last_x
        ]
    return close(result)


def center_crop(image: Any, output_size: Any) -> Any:
    """The middle of the image, which is padded with 0 if it is smaller.

    Shape: (..., H, W) -> (..., height, width)

    Args:
        image: the image.
        output_size: one int or (height, width).

    Raises:
        ValueError: a size that is no int > 0.
    """
    height, width = pair("center_crop", "output_size", output_size)
    _, h, w = dimensions("center_crop", image)
    if height > h or width > w:
        left, top = max(0, (width - w) // 2), max(0, (height - h) // 2)
        right, bottom = max(0, (width - w + 1) // 2), max(0, (height - h + 1) // 2)
        image = pad(image, (left, top, right, bottom))
        _, h, w = dimensions("center_crop", image)
        if (h, w) == (height, width):
            return image
    return crop(image, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


def check_pad(padding: Any, padding_mode: str) -> tuple[int, int, int, int]:
    """Left, top, right, bottom; ValueError for what `pad` does not take."""
    if padding_mode not in _PADDING_MODES:
        raise ValueError(f"pad: padding_mode must be one of {_PADDING_MODES}; got {padding_mode!r}")
    values = (padding,) if hasattr(padding, "__index__") else tuple(padding)
    if len(values) not in (1, 2, 4) or not all(hasattr(v, "__index__") for v in values):
        raise ValueError(f"pad: padding must be 1, 2 or 4 ints; got {padding!r}")
    values = tuple(int(v) for v in values)
    if len(values) == 1:
        values *= 4
    elif len(values) == 2:
        values *= 2
    return values  # type: ignore[return-value]


def pad(image: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with borders added.

    Shape: (..., H, W) -> (..., top + H + bottom, left + W + right)

    Args:
        image: the image.
        padding: one int for all sides, (left and right, top and bottom), or
            (left, top, right, bottom). Below 0 it cuts off (constant mode).
        fill: the value of constant borders; of a PIL image also one for each channel.
        padding_mode: 'constant', 'edge' (the last pixel), 'reflect' (without the last pixel) or
            'symmetric' (with it).

    Raises:
        ValueError: another mode or number of paddings, or borders wider than what is mirrored.
    """
    left, top, right, bottom = check_pad(padding, padding_mode)
    if is_pil(image):
        return _pad_pil(image, (left, top, right, bottom), fill, padding_mode)
    array, close = opened("pad", image)
    return close(_pad_array(array, (left, top, right, bottom), fill, padding_mode))


def _pad_array(
    array: np.ndarray[Any, Any], borders: tuple[int, int, int, int], fill: Any, mode: str
) -> np.ndarray[Any, Any]:
    left, top, right, bottom = borders
    h, w = array.shape[-2:]
    if mode == "constant":
        array = array[..., max(-top, 0) : h - max(-bottom, 0), max(-left, 0) : w - max(-right, 0)]
        left, top, right, bottom = (max(b, 0) for b in (left, top, right, bottom))
        shape = (array.shape[-2] + top + bottom, array.shape[-1] + left + right)
        result = np.empty((*array.shape[:-2], *shape), array.dtype)
        value = np.asarray(fill, array.dtype)
        result[...] = value if value.ndim == 0 else value.reshape(-1, 1, 1)
        result[..., top : top + array.shape[-2], left : left + array.shape[-1]] = array
        return result
    if min(left, top, right, bottom) < 0:
        raise ValueError(f"pad: {mode} needs padding >= 0; got {(left, top, right, bottom)}")
    most_y, most_x = (h - 1, w - 1) if mode == "reflect" else (h, w)
    if mode != "edge" and (max(top, bottom) > most_y or max(left, right) > most_x):
        raise ValueError(
            f"pad: {mode} can mirror at most {most_y} rows and {most_x} columns of {h} x {w}; "
            f"got {(left, top, right, bottom)}"
        )
    widths = [(0, 0)] * (array.ndim - 2) + [(top, bottom), (left, right)]
    return np.pad(array, widths, mode=mode)  # type: ignore[call-overload]


def _pad_pil(image: Any, borders: tuple[int, int, int, int], fill: Any, mode: str) -> Any:
    left, top, right, bottom = borders
    if mode == "constant":
        Image = pil()
        size = (image.width + left + right, image.height + top + bottom)
        bands = len(image.getbands())
        if isinstance(fill, Sequence) and not isinstance(fill, str):
            colour: Any = tuple(fill)[0] if len(fill) == 1 and bands == 1 else tuple(fill)
        else:
            colour = fill if bands == 1 or isinstance(fill, str) else (int(fill),) * bands
        result = Image.new(image.mode, size, colour)
        if image.mode == "P":
            result.putpalette(image.getpalette())
        result.paste(image, (left, top))
        return result
    palette = image.getpalette() if image.mode == "P" else None
    rows = np.asarray(image)
    if rows.ndim == 3:
        rows = _pad_array(rows.transpose(2, 0, 1), borders, 0, mode).transpose(1, 2, 0)
    else:
        rows = _pad_array(rows, borders, 0, mode)
    if palette is not None:
        result = pil().fromarray(np.ascontiguousarray(rows))
        result.putpalette(palette)
        return result
    return pil().fromarray(np.ascontiguousarray(rows))


# ---- resizing ----


def _cubic(x: np.ndarray[Any, Any], a: float) -> np.ndarray[Any, Any]:
    """The cubic convolution kernel."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _weights(size: int, wanted: int, mode: str, antialias: bool) -> np.ndarray[Any, Any]:
    """How much of each input each output has along one dimension, (wanted, size) float64."""
    scale = size / wanted
    result = np.zeros((wanted, size))
    rows = np.arange(wanted)
    if mode == "nearest":
        result[rows, np.minimum(np.floor(rows * scale).astype(np.int64), size - 1)] = 1.0
        return result
    centre = (rows + 0.5) * scale
    if antialias:
        stretch = max(scale, 1.0)
        distance = (np.arange(size) + 0.5 - centre[:, None]) / stretch
        if mode == "bilinear":
            result = np.maximum(0.0, 1.0 - np.abs(distance))
        else:
            result = _cubic(distance, -0.5)
            reach = 2.0 * stretch  # taps are those whose centre is within reach, rounded
            first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
            last = np.minimum((centre + reach + 0.5).astype(np.int64), size)
            column = np.arange(size)
            result *= (column >= first[:, None]) & (column < last[:, None])
        return result / result.sum(axis=1, keepdims=True)
    at = centre - 0.5
    if mode == "bilinear":
        at = np.maximum(at, 0.0)
        taps, kernel = (0, 1), lambda d: np.maximum(0.0, 1.0 - np.abs(d))
    else:
        taps, kernel = (-1, 0, 1, 2), lambda d: _cubic(d, -0.75)
    low = np.floor(at).astype(np.int64)
    for tap in taps:
        column = np.clip(low + tap, 0, size - 1)  # the border's pixels go on outside
        np.add.at(result, (rows, column), kernel(at - (low + tap)))
    return result


def _output_size(h: int, w: int, size: Any, max_size: int | None) -> tuple[int, int]:
    """The size that resize makes; one int is the shorter side."""
    values = (size,) if hasattr(size, "__index__") else tuple(size)
    if len(values) == 2:
        if max_size is not None:
            raise ValueError("resize: max_size needs a size of one int; got two")
        return pair("resize", "size", size)
    wanted, _ = pair("resize", "size", size)
    short, long = (w, h) if w <= h else (h, w)
    new_short, new_long = wanted, int(wanted * long / short)
    if max_size is not None:
        if max_size <= wanted:
            raise ValueError(
                f"resize: max_size must be above size; got max_size={max_size}, size={wanted}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if w <= h else (new_short, new_long)


def resize(
    image: Any,
    size: Any,
    interpolation: Any = "bilinear",
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size.

    Shape: (..., H, W) -> (..., height, width)

    Args:
        image: the image.
        size: (height, width); or one int: of the shorter side, in proportion.
        interpolation: 'nearest', 'bilinear' or 'bicubic'.
        max_size: the most that the longer side may have, with a size of one int.
        antialias: when shrinking, take all pixels into account. PIL images always have it.

    Raises:
        ValueError: options out of their range.

    Tensors are resized by two matrix products, on the tensor's host.
    """
    mode = interpolation_name("resize", interpolation)
    _, h, w = dimensions("resize", image)
    height, width = _output_size(h, w, size, max_size)
    if (height, width) == (h, w):
        return image
    if is_pil(image):
        return image.resize((width, height), pil_filter(mode))
    array, close = opened("resize", image)
    if mode == "nearest":
        rows = np.minimum(np.floor(np.arange(height) * (h / height)).astype(np.int64), h - 1)
        columns = np.minimum(np.floor(np.arange(width) * (w / width)).astype(np.int64), w - 1)
        return close(array[..., rows[:, None], columns])
    dtype = array.dtype
    work = dtype if dtype.name in ("float32", "float64") else np.dtype(np.float32)
    down = from_numpy(_weights(h, height, mode, bool(antialias)).astype(work))
    along = from_numpy(
        np.ascontiguousarray(_weights(w, width, mode, bool(antialias)).astype(work).T)
    )
    planes = from_numpy(np.ascontiguousarray(array.reshape(-1, h, w), dtype=work))
    result = matmul(down, matmul(planes, along))._data.reshape(*array.shape[:-2], height, width)
    return close(restored(result, dtype))


def restored(values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Computed values in an image's own dtype: integers rounded and clipped to their range."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype, copy=False)


def resized_crop(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = "bilinear",
    antialias: bool | None = True,
) -> Any:
    """A part of the image in another size: crop, then resize."""
    return resize(crop(image, top, left, height, width), size, interpolation, None, antialias)


def area_box(h: int, w: int, area: float, ratio: float) -> tuple[int, int]:
    """Height and width of a box of this share of an image's area and this ratio of its sides."""
    wanted = h * w * area
    return round(math.sqrt(wanted / ratio)), round(math.sqrt(wanted * ratio))
