"""Pooling to a given size: average and maximum, one N-D op of each."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import int64
from ..tensor import Tensor
from . import shapes
from .conv import _batched
from .pool import avg_pool, max_pool
from .reduce import mean

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


@op(
    inputs="x",
    kernel="adaptive_avg_pool",
    formula="y[o] = mean of x over [floor(o * in / out), ceil((o + 1) * in / out))",
)
def adaptive_avg_pool(k, x, out_shape):
    return k.adaptive_avg_pool(x, out_shape), (tuple(x.shape),)


@adaptive_avg_pool.gradient
def _(k, saved, grad_y, need, out_shape):
    return (k.adaptive_avg_pool_bwd(grad_y, saved[0]),)


@op(inputs="grad_y", kernel="adaptive_avg_pool_bwd", formula="the adjoint of adaptive_avg_pool")
def adaptive_avg_pool_bwd(k, grad_y, x_shape):
    return k.adaptive_avg_pool_bwd(grad_y, x_shape), (tuple(grad_y.shape),)


@adaptive_avg_pool_bwd.gradient
def _(k, saved, grad, need, x_shape):
    return (k.adaptive_avg_pool(grad, saved[0]),)


@op(
    inputs="x",
    kernel="adaptive_max_pool",
    outputs=2,
    formula="y[o] = max of x over adaptive_avg_pool's windows; indices: where in the plane",
)
def adaptive_max_pool(k, x, out_shape):
    y, indices = k.adaptive_max_pool(x, out_shape)
    return (y, indices), (indices, tuple(x.shape))


@adaptive_max_pool.gradient
def _(k, saved, grad_y, need, out_shape):
    indices, x_shape = saved
    # Only where the maxima stood matters: this window reaches the whole plane from every output.
    outputs = tuple(grad_y.shape[2:])
    reach = tuple([n + m for n, m in zip(x_shape[2:], outputs, strict=True)])
    ones = (1,) * len(outputs)
    return (k.max_pool_bwd(grad_y, indices, x_shape, reach, ones, outputs, ones),)


# ---- the public functions ----


def _plan(name: str, n: int, input: Tensor, output_size: Any) -> tuple[Tensor, bool, Any, Any]:
    """The batched input, whether it was, the output's shape, and the window if all are equal."""
    x, batched = _batched(name, input, n)
    shape = x._data.shape
    out_shape = shapes.adaptive(name, tuple(shape), output_size)
    pairs = list(zip(shape[2:], out_shape[2:], strict=True))
    if any(not o or m % o for m, o in pairs):
        return x, batched, out_shape, None
    return x, batched, out_shape, tuple([m // o for m, o in pairs])


def _average(n: int, input: Tensor, output_size: Any) -> Tensor:
    if type(output_size) is int and output_size == 1 and isinstance(input, Tensor):
        shape = input._data.shape
        if len(shape) == n + 2 and 0 not in shape[2:]:  # the global average, and nothing to plan
            return mean(input, tuple(range(2, n + 2)), True)
    x, batched, out_shape, window = _plan(f"adaptive_avg_pool{n}d", n, input, output_size)
    if all([m == 1 for m in out_shape[2:]]):  # global: a reduction
        y = mean(x, tuple(range(2, n + 2)), True)
    elif window is None:
        y = apply(adaptive_avg_pool, (x,), (out_shape,))
    else:
        y = apply(avg_pool, (x,), (out_shape, window, window, (0,) * n, True, 0))
    return y if batched else y.reshape(out_shape[1:])


def _maximum(n: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    x, batched, out_shape, window = _plan(f"adaptive_max_pool{n}d", n, input, output_size)
    # max_pool's lanes are neighbouring outputs: it is the faster one where there are many, or where
    # windows are at most two elements wide.
    if window is None or (out_shape[-1] < 8 and window[-1] > 2):
        y, indices = apply(adaptive_max_pool, (x,), (out_shape,))
    else:
        options = (out_shape, window, window, (0,) * n, (1,) * n)
        y, indices = apply(max_pool, (x,), options)
    y = y if batched else y.reshape(out_shape[1:])
    if not return_indices:
        return y
    indices = indices.to(int64)
    return y, indices if batched else indices.reshape(out_shape[1:])


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The averages over windows that cut the input into a given number of parts.

    Formula: y[o] = mean of x over [floor(o * L / L_out), ceil((o + 1) * L / L_out))

    Shape: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out)

    Args:
        output_size: L_out; 1 is the average of each plane (global average pooling).

    Raises:
        TypeError, ValueError, RuntimeError: a size that is no int >= 0; an input without elements
            in a plane, or of another number of dimensions.
    """
    return _average(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The averages over windows that cut the planes into a given number of parts.

    Formula: as adaptive_avg_pool1d, in each dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)

    Args:
        output_size: an int, or (for H, for W); None keeps the input's.

    Raises:
        TypeError, ValueError, RuntimeError: as adaptive_avg_pool1d.
    """
    return _average(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The averages over windows that cut the volumes into a given number of parts.

    Formula: as adaptive_avg_pool1d, in each dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size)

    Args:
        output_size: an int, or one for each of D, H, W; None keeps the input's.

    Raises:
        TypeError, ValueError, RuntimeError: as adaptive_avg_pool1d.
    """
    return _average(3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima over windows that cut the input into a given number of parts; NaN wins.

    Formula: y[o] = max of x over [floor(o * L / L_out), ceil((o + 1) * L / L_out))

    Shape: (N, C, L) or (C, L) -> (N, C, L_out) or (C, L_out)

    Args:
        output_size: L_out; 1 is the maximum of each plane (global max pooling).
        return_indices: also return where in each plane the maximum stood (int64).

    Raises:
        TypeError, ValueError, RuntimeError: as adaptive_avg_pool1d.
    """
    return _maximum(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima over windows that cut the planes into a given number of parts; NaN wins.

    Formula: as adaptive_max_pool1d, in each dimension.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)

    Args:
        output_size: an int, or (for H, for W); None keeps the input's.
        return_indices: also return where in each plane the maximum stood (int64).

    Raises:
        TypeError, ValueError, RuntimeError: as adaptive_avg_pool1d.
    """
    return _maximum(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima over windows that cut the volumes into a given number of parts; NaN wins.

    Formula: as adaptive_max_pool1d, in each dimension.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size)

    Args:
        output_size: an int, or one for each of D, H, W; None keeps the input's.
        return_indices: also return where in each plane the maximum stood (int64).

    Raises:
        TypeError, ValueError, RuntimeError: as adaptive_avg_pool1d.
    """
    return _maximum(3, input, output_size, return_indices)
