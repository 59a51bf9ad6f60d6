"""Max unpooling."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["max_unpool"]


def max_unpool(
    x: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
    n: int = 2,
) -> Any:
    """Zeros, with each value where its index says; the last one where several say the same."""
    stride = kernel_size if stride is None else stride
    if output_size is None:
        windows = [v if isinstance(v, tuple) else (v,) * n for v in (kernel_size, stride, padding)]
        output_size = [
            (size - 1) * s + k - 2 * p for size, k, s, p in zip(x.shape[-n:], *windows, strict=True)
        ]
    output_size = tuple(output_size)[-n:]
    y = np.zeros((*x.shape[:-n], int(np.prod(output_size))), x.dtype)
    for place in np.ndindex(*x.shape):
        y[(*place[:-n], int(indices[place]))] = x[place]
    return y.reshape(*x.shape[:-n], *output_size)
