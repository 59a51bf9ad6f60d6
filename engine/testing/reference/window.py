"""Sliding windows."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["fold", "unfold", "windows"]


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _places(size: Any, options: Any) -> Any:
    """(kh * kw, L): the flat places in a padded plane that each window's elements have."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = options
    height, width = size[0] + 2 * ph, size[1] + 2 * pw
    plane = np.arange(height * width).reshape(height, width)
    rows = [
        plane[i * dh : height - (kh - 1 - i) * dh : sh, j * dw : width - (kw - 1 - j) * dw : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return np.stack([row.reshape(-1) for row in rows])


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows of the padded images as columns."""
    options = [_two(v) for v in (kernel_size, dilation, padding, stride)]
    ph, pw = options[2]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(ph, ph), (pw, pw)])
    places = _places(x.shape[-2:], options)
    size = padded.shape[-2] * padded.shape[-1]
    flat = padded.reshape(*x.shape[:-2], size)[..., places]
    return flat.reshape(*x.shape[:-3], x.shape[-3] * len(places), places.shape[1])


def fold(
    x: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns added into images, one tap after another."""
    options = [_two(v) for v in (kernel_size, dilation, padding, stride)]
    size, (ph, pw) = _two(output_size), options[2]
    places = _places(size, options)
    channels = x.shape[-2] // len(places)
    columns = x.reshape(-1, channels, *places.shape)
    area = (size[0] + 2 * ph) * (size[1] + 2 * pw)
    padded = np.zeros((len(columns), channels, area), x.dtype)
    for tap, where in enumerate(places):
        padded[:, :, where] += columns[:, :, tap]
    image = padded.reshape(-1, channels, size[0] + 2 * ph, size[1] + 2 * pw)
    image = image[:, :, ph : ph + size[0], pw : pw + size[1]]
    return image.reshape(*x.shape[:-2], channels, *size)


def windows(x: Any, dimension: int, size: int, step: int) -> Any:
    """NumPy's sliding windows, every `step`-th."""
    d = dimension % x.ndim
    view = np.lib.stride_tricks.sliding_window_view(x, size, d)
    return view[(slice(None),) * d + (slice(None, None, step),)]
