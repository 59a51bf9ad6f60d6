"""The transforms as functions, with torchvision's names."""

from .colour import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    erase,
    normalize,
    rgb_to_grayscale,
)
from .geometry import center_crop, crop, hflip, pad, resize, resized_crop, vflip
from .images import convert_image_dtype, pil_to_tensor, to_pil_image, to_tensor
from .turning import affine, rotate

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "affine",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "erase",
    "hflip",
    "normalize",
    "pad",
    "pil_to_tensor",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "to_pil_image",
    "to_tensor",
    "vflip",
]
