"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["linear", "matmul", "matmul_bias"]


def matmul(a: Any, b: Any) -> Any:
    """Sums of products over a's last and b's second to last dim; batches broadcast."""
    row, column = a.ndim == 1, b.ndim == 1
    a = a[None, :] if row else a
    b = b[:, None] if column else b
    with np.errstate(all="ignore"):
        y = np.einsum("...mk,...kn->...mn", a, b)
    y = y[..., 0, :] if row else y
    return y[..., 0] if column else y


def matmul_bias(a: Any, b: Any, bias: Any, out_shape: Any = None) -> Any:
    """a @ b + bias."""
    y = matmul(a, b)
    return y if bias is None else y + bias


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight^T + bias."""
    y = matmul(x, weight.T)
    return y if bias is None else y + bias
