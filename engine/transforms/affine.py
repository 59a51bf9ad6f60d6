"""Small random rotations, scalings and shifts of a batch of images, prepared on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def warp_affine(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Resample each image at ``matrix @ (x, y, 1)``, bilinearly, with zeros outside the image.

    Formula: ``out[n, y, x] = image[n](matrices[n] @ (x - cx, y - cy, 1) + (cx, cy))`` where
    ``(cx, cy)`` is the centre of the image in pixels, ``((W - 1) / 2, (H - 1) / 2)``.

    Shape: images: (N, ..., H, W), matrices: (N, 2, 3) -> (N, ..., H, W)

    Args:
        images: Floating-point images.
        matrices: For each image the map from output to input coordinates, in pixels from the
            centre.

    Returns:
        New images of the same shape and dtype.

    Raises:
        TypeError: ``images`` is not floating point.
        ValueError: The shapes do not belong together.
    """
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(
            f"warp_affine: images must be floating point; got {images.dtype} "
            "(divide by the largest value first)"
        )
    if images.ndim < 3:
        raise ValueError(f"warp_affine: images must be (N, ..., H, W); got shape {images.shape}")
    n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
    if matrices.shape != (n, 2, 3):
        raise ValueError(
            f"warp_affine: matrices must be ({n}, 2, 3), one for each image; got {matrices.shape}"
        )
    if images.size == 0:
        return images.copy()
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1).astype(np.float64)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    points = np.stack([x - centre[0], y - centre[1], np.ones_like(x)])
    source = matrices @ points + centre[:, None]  # (N, 2, H*W): where each output pixel looks
    # Beyond one pixel outside every neighbour is padding, so clipping there changes nothing and
    # keeps the indices within the border of one zero pixel on each side.
    source_x = np.clip(source[:, 0], -1, width)
    source_y = np.clip(source[:, 1], -1, height)
    left = np.minimum(np.floor(source_x), width - 1).astype(np.int64)
    top = np.minimum(np.floor(source_y), height - 1).astype(np.int64)
    frac_x = (source_x - left).astype(images.dtype)[:, None]
    frac_y = (source_y - top).astype(images.dtype)[:, None]

    planes = images.reshape(n, -1, height, width)
    padded = np.zeros((*planes.shape[:2], height + 2, width + 2), images.dtype)
    padded[:, :, 1:-1, 1:-1] = planes
    flat = padded.reshape(n, planes.shape[1], -1)
    corner = ((top + 1) * (width + 2) + left + 1)[:, None]  # (N, 1, H*W), top left neighbour

    def neighbour(offset: int) -> np.ndarray:
        return np.take_along_axis(flat, corner + offset, axis=2)

    upper = neighbour(0) * (1 - frac_x) + neighbour(1) * frac_x
    lower = neighbour(width + 2) * (1 - frac_x) + neighbour(width + 3) * frac_x
    return (upper * (1 - frac_y) + lower * frac_y).reshape(images.shape)


class RandomAffineBatch:
    """Rotate, scale and shift each image of a batch by its own small random amount.

    Each call draws new amounts, uniformly and independently for each image: an angle, a scale
    factor, and a shift along each axis. Values are resampled bilinearly; what comes from outside
    the image is zero.

    Shape: (N, ..., H, W) -> (N, ..., H, W)

    Args:
        degrees: Largest rotation, in degrees, either way.
        translate: Largest shift along x and along y, as a fraction of width and height.
        scale: Smallest and largest scale factor; above 1 the drawing grows.
        generator: Where the amounts come from: a NumPy generator, or a seed.

    Raises:
        ValueError: A negative angle or shift, or a scale range that is not 0 < low <= high.

    Differs from RandomAffine: works on a whole batch of arrays, draws separately for each image.
    """

    def __init__(
        self,
        degrees: float = 0.0,
        translate: Sequence[float] = (0.0, 0.0),
        scale: Sequence[float] = (1.0, 1.0),
        generator: np.random.Generator | int | None = None,
    ) -> None:
        if not (math.isfinite(degrees) and degrees >= 0):
            raise ValueError(f"RandomAffineBatch: degrees must be finite and >= 0; got {degrees}")
        if len(translate) != 2 or not all(0 <= t <= 1 for t in translate):
            raise ValueError(
                "RandomAffineBatch: translate must be two fractions in [0, 1]; "
                f"got {tuple(translate)}"
            )
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(
                "RandomAffineBatch: scale must be (low, high) with 0 < low <= high; "
                f"got {tuple(scale)}"
            )
        self.degrees = float(degrees)
        self.translate = (float(translate[0]), float(translate[1]))
        self.scale = (float(scale[0]), float(scale[1]))
        self.generator = np.random.default_rng(generator)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return new images, each moved by its own random amount."""
        if images.ndim < 3:
            raise ValueError(
                f"RandomAffineBatch: images must be (N, ..., H, W); got shape {images.shape}"
            )
        n, height, width = images.shape[0], images.shape[-2], images.shape[-1]
        draw = self.generator.uniform
        angle = np.deg2rad(draw(-self.degrees, self.degrees, n))
        scale = draw(self.scale[0], self.scale[1], n)
        shift = np.stack(
            [
                draw(-self.translate[0], self.translate[0], n) * width,
                draw(-self.translate[1], self.translate[1], n) * height,
            ],
            axis=1,
        )
        # warp_affine wants the map from output to input: undo the shift, the rotation, the scale.
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        inverse = np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1)
        matrices = np.concatenate([inverse, -inverse @ shift[:, :, None]], axis=2)
        return warp_affine(images, matrices)

    def __repr__(self) -> str:
        return (
            f"RandomAffineBatch(degrees={self.degrees:g}, translate={self.translate}, "
            f"scale={self.scale})"
        )
