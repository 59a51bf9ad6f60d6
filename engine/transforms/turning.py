"""Rotation, shift, scaling and shear of one image, or of all images of a batch alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..random import Generator
from .drawing import Drawing
from .geometry import interpolation_name, pil_filter, restored
from .images import dimensions, is_pil, opened, pil

__all__ = ["RandomAffine", "RandomRotation", "affine", "rotate"]


def _inverse(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> np.ndarray[Any, Any]:
    """The map from output to input points, (2, 3): turn, shear, scale and shift undone."""
    turn, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(turn - sy) / math.cos(sy)
    b = -math.cos(turn - sy) * math.tan(sx) / math.cos(sy) - math.sin(turn)
    c = math.sin(turn - sy) / math.cos(sy)
    d = -math.sin(turn - sy) * math.tan(sx) / math.cos(sy) + math.cos(turn)
    (cx, cy), (tx, ty) = center, translate
    m = np.array([[d, -b, 0.0], [-c, a, 0.0]]) / scale
    m[:, 2] = m[:, 0] * (-cx - tx) + m[:, 1] * (-cy - ty) + (cx, cy)
    return m


def _sampled(
    array: np.ndarray[Any, Any], m: np.ndarray[Any, Any], h: int, w: int, mode: str, fill: Any
) -> np.ndarray[Any, Any]:
    """The image looked up at m @ (x, y, 1) for each output point, both counted from the middle."""
    own_h, own_w = array.shape[-2:]
    y, x = (v.ravel() for v in np.mgrid[0:h, 0:w].astype(np.float64))
    x, y = x + 0.5 - w * 0.5, y + 0.5 - h * 0.5
    source_x = m[0, 0] * x + m[0, 1] * y + m[0, 2] + own_w * 0.5 - 0.5
    source_y = m[1, 0] * x + m[1, 1] * y + m[1, 2] + own_h * 0.5 - 0.5
    planes = array.reshape(-1, own_h, own_w)
    values = np.asarray(0 if fill is None else fill, np.float64).reshape(-1)
    channels = array.shape[-3] if array.ndim > 2 else 1
    if len(values) not in (1, channels):
        raise ValueError(
            f"affine: fill must be one number, or one for each of {channels} channels; "
            f"got {len(values)}"
        )
    outside = np.resize(np.repeat(values, channels) if len(values) == 1 else values, len(planes))
    work = array.dtype
    if mode != "nearest" and work.kind != "f":
        work = np.dtype(np.float32)
    # A border of `fill` around, where everything outside is looked up.
    padded = np.empty((len(planes), own_h + 2, own_w + 2), work)
    padded[...] = outside[:, None, None].astype(array.dtype)
    padded[:, 1:-1, 1:-1] = planes

    def looked_up(row: np.ndarray[Any, Any], column: np.ndarray[Any, Any]) -> Any:
        return padded[:, np.clip(row + 1, 0, own_h + 1), np.clip(column + 1, 0, own_w + 1)]

    if mode == "nearest":
        result = looked_up(np.rint(source_y).astype(np.int64), np.rint(source_x).astype(np.int64))
    else:
        left, top = np.floor(source_x).astype(np.int64), np.floor(source_y).astype(np.int64)
        fx, fy = (source_x - left).astype(work), (source_y - top).astype(work)
        upper = looked_up(top, left) * (1 - fx) + looked_up(top, left + 1) * fx
        lower = looked_up(top + 1, left) * (1 - fx) + looked_up(top + 1, left + 1) * fx
        result = restored(upper * (1 - fy) + lower * fy, array.dtype)
    return result.reshape(*array.shape[:-2], h, w)


def _mode(name: str, interpolation: Any) -> str:
    mode = interpolation_name(name, interpolation)
    if mode == "bicubic":
        raise ValueError(f"{name}: interpolation must be 'nearest' or 'bilinear'; got 'bicubic'")
    return mode


def _fill(image: Any, fill: Any) -> Any:
    """A fill colour as PIL wants it."""
    if fill is None:
        return None
    bands = len(image.getbands())
    if isinstance(fill, (int, float)):
        return fill if bands == 1 else (int(fill),) * bands
    return tuple(fill)[0] if bands == 1 else tuple(fill)


def affine(
    image: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Any,
    interpolation: Any = "nearest",
    fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:
    """The image turned, shifted, scaled and sheared about its middle; its size stays.

    Shape: (..., H, W), unchanged

    Args:
        image: the image.
        angle: clockwise, in degrees.
        translate: the shift along x and y, in pixels.
        scale: a factor > 0.
        shear: in degrees, along x, or along x and y.
        interpolation: 'nearest' or 'bilinear'.
        fill: what stands outside of the image, 0 if None; a number, or one for each channel.
        center: (x, y) of the point that stays; default: the middle.

    Raises:
        ValueError: options out of their range.
    """
    mode = _mode("affine", interpolation)
    shears = (float(shear), 0.0) if isinstance(shear, (int, float)) else tuple(shear)
    shears = (shears[0], 0.0) if len(shears) == 1 else shears
    if not scale > 0:
        raise ValueError(f"affine: scale must be > 0; got {scale}")
    _, h, w = dimensions("affine", image)
    if is_pil(image):
        middle = (w * 0.5, h * 0.5) if center is None else center
        m = _inverse(middle, angle, translate, scale, shears)
        return image.transform(
            (w, h),
            pil().Transform.AFFINE,
            tuple(m.ravel()),
            pil_filter(mode),
            fillcolor=_fill(image, fill),
        )
    array, close = opened("affine", image)
    about = (0.0, 0.0) if center is None else (center[0] - w * 0.5, center[1] - h * 0.5)
    m = _inverse(about, angle, translate, scale, shears)
    return close(_sampled(array, m, h, w, mode, fill))


def rotate(
    image: Any,
    angle: float,
    interpolation: Any = "nearest",
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """The image turned about its middle.

    Shape: (..., H, W), unchanged unless expand

    Args:
        image: the image.
        angle: counter-clockwise, in degrees.
        interpolation: 'nearest' or 'bilinear'.
        expand: make the result so large that all of the turned image is in it.
        center: (x, y) of the point that stays; default: the middle. Not with expand.
        fill: what stands outside of the image, 0 if None; a number, or one for each channel.

    Raises:
        ValueError: another interpolation.
    """
    mode = _mode("rotate", interpolation)
    if is_pil(image):
        return image.rotate(
            angle, pil_filter(mode), expand, center=center, fillcolor=_fill(image, fill)
        )
    array, close = opened("rotate", image)
    h, w = array.shape[-2:]
    about = (0.0, 0.0) if center is None else (center[0] - w * 0.5, center[1] - h * 0.5)
    m = _inverse(about, -angle, (0.0, 0.0), 1.0, (0.0, 0.0))
    new_h, new_w = h, w
    if expand:
        turn = _inverse((0.0, 0.0), angle, (0.0, 0.0), 1.0, (0.0, 0.0))
        corners = [(sx * 0.5 * w, sy * 0.5 * h) for sx in (-1, 1) for sy in (-1, 1)]
        xs = [w * 0.5 + turn[0, 0] * x + turn[0, 1] * y for x, y in corners]
        ys = [h * 0.5 + turn[1, 0] * x + turn[1, 1] * y for x, y in corners]
        # a ten-thousandth of a pixel is rounding, and makes no row of its own
        new_w, new_h = (math.ceil(max(v) - 1e-4) - math.floor(min(v) + 1e-4) for v in (xs, ys))
    return close(_sampled(array, m, new_h, new_w, mode, fill))


def _span(name: str, argument: str, value: Any) -> tuple[float, float]:
    """(-value, value), or the (low, high) given."""
    if isinstance(value, (int, float)):
        if not value >= 0:
            raise ValueError(f"{name}: {argument} must be >= 0; got {value}")
        return -float(value), float(value)
    values = tuple(float(v) for v in value)
    if len(values) != 2 or not values[0] <= values[1]:
        raise ValueError(
            f"{name}: {argument} must be a number or (low, high) with low <= high; got {value!r}"
        )
    return values[0], values[1]


class RandomRotation(Drawing):
    """The image turned by a random angle.

    Args:
        degrees: the angle is drawn from [-degrees, degrees], or from the (low, high) given.
        interpolation: 'nearest' or 'bilinear'.
        expand, center, fill: as functional.rotate.
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: options out of their range.
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = "nearest",
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = _span("RandomRotation", "degrees", degrees)
        self.interpolation = _mode("RandomRotation", interpolation)
        self.expand = expand
        self.center = center
        self.fill = fill
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, turned."""
        angle = self.uniform(*self.degrees)
        return rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self) -> str:
        return (
            f"RandomRotation(degrees={list(self.degrees)}, interpolation={self.interpolation}, "
            f"expand={self.expand}, fill={self.fill})"
        )


class RandomAffine(Drawing):
    """The image turned, shifted, scaled and sheared by random amounts.

    Args:
        degrees: the angle is drawn from [-degrees, degrees], or from the (low, high) given.
        translate: the largest shift along x and y, as a share of width and height.
        scale: the smallest and largest factor.
        shear: as degrees, along x; or (low, high) along x, then along y.
        interpolation: 'nearest' or 'bilinear'.
        fill, center: as functional.affine.
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: options out of their range.

    RandomAffineBatch draws anew for each image of a batch.
    """

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Sequence[float] | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = _span("RandomAffine", "degrees", degrees)
        if translate is not None and (
            len(translate) != 2 or not all(0 <= t <= 1 for t in translate)
        ):
            raise ValueError(
                f"RandomAffine: translate must be two shares in [0, 1]; got {tuple(translate)}"
            )
        if scale is not None and (len(scale) != 2 or not 0 < scale[0] <= scale[1]):
            raise ValueError(
                f"RandomAffine: scale must be (low, high) with 0 < low <= high; got {tuple(scale)}"
            )
        self.translate = translate
        self.scale = scale
        self.shear: list[tuple[float, float]] | None = None
        if shear is not None:
            if isinstance(shear, Sequence) and len(shear) == 4:
                pairs = [shear[:2], shear[2:]]
            else:
                pairs = [shear]
            self.shear = [_span("RandomAffine", "shear", value) for value in pairs]
        self.interpolation = _mode("RandomAffine", interpolation)
        self.fill = fill
        self.center = center
        self.generator = generator

    def __call__(self, img: Any) -> Any:
        """The image, moved."""
        _, h, w = dimensions("RandomAffine", img)
        angle = self.uniform(*self.degrees)
        shift = (0.0, 0.0)
        if self.translate is not None:
            most = (self.translate[0] * w, self.translate[1] * h)
            x, y = (float(round(self.uniform(-m, m))) for m in most)
            shift = (x, y)
        scale = 1.0 if self.scale is None else self.uniform(*self.scale)
        shears = [self.uniform(*span) for span in self.shear or ()] or [0.0]
        return affine(img, angle, shift, scale, shears, self.interpolation, self.fill, self.center)

    def __repr__(self) -> str:
        parts = [f"degrees={list(self.degrees)}"]
        if self.translate is not None:
            parts.append(f"translate={self.translate}")
        if self.scale is not None:
            parts.append(f"scale={self.scale}")
        if self.shear is not None:
            parts.append(f"shear={[v for span in self.shear for v in span]}")
        if self.interpolation != "nearest":
            parts.append(f"interpolation={self.interpolation}")
        return f"RandomAffine({', '.join(parts)})"
