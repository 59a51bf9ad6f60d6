"""What an image is here: a PIL image, or a tensor or array (..., H, W); and from one to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtype import dtype as DType
from ..dtype import from_numpy_dtype
from ..ops.creation import from_numpy
from ..tensor import Tensor

__all__ = [
    "convert_image_dtype",
    "dimensions",
    "is_pil",
    "opened",
    "pil",
    "pil_to_tensor",
    "to_pil_image",
    "to_tensor",
]

#: PIL's modes whose pixels are not 8 bits wide.
_WIDE = {"I": np.int32, "I;16": np.int16, "F": np.float32}


def pil() -> Any:
    """The package PIL.Image.

    Raises:
        ImportError: it is not installed; the message says what to install.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("images: need Pillow (pip install 'gradsmith[io]')") from error
    return Image


def is_pil(image: Any) -> bool:
    """Whether this is a PIL image; PIL is not imported for it."""
    return any(c.__module__ == "PIL.Image" and c.__name__ == "Image" for c in type(image).__mro__)


def opened(
    name: str, image: Any, least: int = 2
) -> tuple[np.ndarray[Any, Any], Callable[[np.ndarray[Any, Any]], Any]]:
    """A tensor or array as an array on the host, and what makes the result alike again.

    Raises:
        TypeError: what is neither a PIL image, nor a tensor nor an array.
        ValueError: of fewer than `least` dimensions.
    """
    if isinstance(image, Tensor):
        array = image.detach()._host()
        device = image.device

        def close(result: np.ndarray[Any, Any]) -> Any:
            t = from_numpy(np.ascontiguousarray(result))
            return t if str(device) == "cpu" else t.to(device)

    elif isinstance(image, np.ndarray):
        array = image

        def close(result: np.ndarray[Any, Any]) -> Any:
            return np.ascontiguousarray(result)

    else:
        raise TypeError(
            f"{name}: the image must be a PIL image, a tensor or an array; "
            f"got {type(image).__name__}"
        )
    if array.ndim < least:
        raise ValueError(f"{name}: the image must be (..., H, W); got shape {array.shape}")
    return array, close


def dimensions(name: str, image: Any) -> tuple[int, int, int]:
    """Channels, height and width of an image."""
    if is_pil(image):
        return len(image.getbands()), image.height, image.width
    if not isinstance(image, (Tensor, np.ndarray)) or image.ndim < 2:
        opened(name, image)  # raises
    shape: list[int] = list(image.shape)
    return (shape[-3] if len(shape) > 2 else 1), shape[-2], shape[-1]


def _pixels(image: Any) -> np.ndarray[Any, Any]:
    """A PIL image's pixels, (C, H, W)."""
    if image.mode == "1":
        array = np.array(image, np.uint8) * np.uint8(255)
    else:
        array = np.array(image, _WIDE.get(image.mode), copy=True)
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _from_rows(name: str, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array (H, W) or (H, W, C) as (C, H, W)."""
    if picture.ndim not in (2, 3):
        raise ValueError(f"{name}: an array must be (H, W) or (H, W, C); got {picture.shape}")
    if picture.ndim == 2:
        picture = picture[:, :, np.newaxis]
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or array as a tensor; 8-bit pixels as float32 in [0, 1].

    Shape: (H, W) or (H, W, C) -> (C, H, W)

    Args:
        pic: a PIL image, or an array. Pixels of more than 8 bits keep their values.

    Raises:
        TypeError: something else.
        ValueError: an array of another number of dimensions.
    """
    if is_pil(pic):
        array = _pixels(pic)
    elif isinstance(pic, np.ndarray):
        array = _from_rows("to_tensor", pic)
    else:
        raise TypeError(
            f"to_tensor: the image must be a PIL image or an array; got {type(pic).__name__}"
        )
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / np.float32(255)
    return from_numpy(array)


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor of the same values.

    Shape: -> (C, H, W)

    Raises:
        TypeError: something else.
    """
    if not is_pil(pic):
        raise TypeError(f"pil_to_tensor: needs a PIL image; got {type(pic).__name__}")
    return from_numpy(_pixels(pic))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or array (H, W, C) as a PIL image.

    Args:
        pic: floating-point values are taken to be in [0, 1].
        mode: PIL's mode; default: from the number of channels and the dtype.

    Raises:
        TypeError: something else, or a dtype that PIL has no mode for.
        ValueError: another number of dimensions or channels, or a mode that does not fit.
    """
    Image = pil()
    if isinstance(pic, Tensor):
        array, _ = opened("to_pil_image", pic)
        if array.ndim > 3:
            raise ValueError(f"to_pil_image: a tensor must be (C, H, W); got {array.shape}")
        array = array[np.newaxis] if array.ndim == 2 else array
        if array.dtype.kind == "f" and mode != "F":
            array = (array.astype(np.float64) * 255).astype(np.uint8)
        array = array.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"to_pil_image: an array must be (H, W, C); got {pic.shape}")
        array = pic[:, :, np.newaxis] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"to_pil_image: needs a tensor or an array; got {type(pic).__name__}")
    channels = array.shape[2]
    if channels == 1:
        array = array[:, :, 0]
        modes = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}
        found = modes.get(array.dtype.name)
        fitting: tuple[str, ...] = (found,) if found else ()
    else:
        names = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
        fitting = names.get(channels, ()) if array.dtype == np.uint8 else ()
    if not fitting:
        raise TypeError(f"to_pil_image: PIL has no mode for {channels} channels of {array.dtype}")
    if mode is not None and mode not in fitting:
        raise ValueError(
            f"to_pil_image: mode must be one of {', '.join(fitting)} for {channels} channels of "
            f"{array.dtype}; got {mode!r}"
        )
    array = np.ascontiguousarray(array)
    if mode is not None and mode not in ("L", "LA", "RGB", "RGBA", "F", "I"):
        return Image.frombytes(mode, (array.shape[1], array.shape[0]), array.tobytes())
    return Image.fromarray(array)


def convert_image_dtype(image: Tensor, dtype: DType) -> Tensor:
    """An image in another dtype, its values scaled to that dtype's range.

    Floating-point images are in [0, 1], integer ones in [0, largest value of the dtype].

    Args:
        image: a tensor.
        dtype: the dtype of the result.

    Raises:
        RuntimeError: floating point to an integer dtype that cannot hold its precision.
    """
    array, close = opened("convert_image_dtype", image, 0)
    return close(converted(array, dtype.numpy))


def converted(array: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """As convert_image_dtype, on the host."""
    own = array.dtype
    if own == wanted:
        return array
    floating = from_numpy_dtype(own).is_floating_point
    if floating and from_numpy_dtype(wanted).is_floating_point:
        return array.astype(wanted)
    if floating:
        if own.itemsize < 8 and wanted.itemsize >= 4:
            raise RuntimeError(
                f"convert_image_dtype: {own} cannot hold the values of {wanted} (go through "
                "float64)"
            )
        top = np.iinfo(wanted).max
        return (array * (top + 1.0 - 1e-3)).astype(wanted)
    top = 1 if own == np.bool_ else np.iinfo(own).max
    if from_numpy_dtype(wanted).is_floating_point:
        return (array.astype(wanted) / wanted.type(top)).astype(wanted)
    other = np.iinfo(wanted).max
    if top > other:
        return (array // ((top + 1) // (other + 1))).astype(wanted)
    return array.astype(wanted) * wanted.type((other + 1) // (top + 1))
