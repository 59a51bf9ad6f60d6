"""CUDA pooling in the emulator, against NumPy window by window: integers, so exactly."""

import itertools
import math

import numpy as np
import pytest
from cuda_arrays import (
    K,
    close,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_float,
    host,
    layouts,
    rng,
)


def windows(shape, out_shape, kernel, stride, padding, dilation):
    """(o, places) for each window: the output's coordinates, and the input's that it holds."""
    for o in np.ndindex(*out_shape[2:]):
        reach = [
            [i for i in range(a * s - p, a * s - p + (k - 1) * d + 1, d) if 0 <= i < n]
            for a, s, p, k, d, n in zip(
                o, stride, padding, kernel, dilation, shape[2:], strict=True
            )
        ]
        yield o, list(itertools.product(*reach))


def pooled_max(x, out_shape, kernel, stride, padding, dilation):
    y = np.empty(out_shape, x.dtype)
    indices = np.zeros(out_shape, np.int32)
    plane = x.shape[2:]
    for o, places in windows(x.shape, out_shape, kernel, stride, padding, dilation):
        for nc in np.ndindex(*x.shape[:2]):
            values = np.array([x[nc + p] for p in places])
            y[nc + o] = values.max() if places else -np.inf
            if places:
                indices[nc + o] = np.ravel_multi_index(places[values.argmax()], plane)
    return y, indices


def averaging(shape, out_shape, kernel, stride, padding, include_pad, divisor):
    """The matrix A of avg_pool on one plane: y.ravel() = A @ x.ravel()."""
    plane = shape[2:]
    matrix = np.zeros((math.prod(out_shape[2:]), math.prod(plane)))
    options = (kernel, stride, padding, (1,) * len(plane))
    for o, places in windows(shape, out_shape, *options):
        row = np.ravel_multi_index(o, out_shape[2:])
        if divisor:
            count = divisor
        elif include_pad:
            count = math.prod(
                min(a * s - p + k, n + p) - (a * s - p)
                for a, s, p, k, n in zip(o, stride, padding, kernel, plane, strict=True)
            )
        else:
            count = len(places)
        for place in places:
            matrix[row, np.ravel_multi_index(place, plane)] = 1 / count
    return matrix


def pool_size(n, kernel, stride, padding, dilation, ceil=False):
    span = n + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (out - 1) * stride >= n + padding:
        out -= 1
    return out


#: (plane, kernel, stride, padding, dilation, ceil)
POOLS = [
    ((7,), (3,), (2,), (1,), (1,), False),
    ((1,), (1,), (1,), (0,), (1,), False),
    ((9,), (2,), (3,), (1,), (2,), True),
    ((8, 8), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((5, 7), (3, 2), (1, 2), (1, 0), (1, 2), False),
    ((5, 7), (3, 3), (2, 2), (1, 1), (1, 1), True),
    ((4, 4), (4, 4), (4, 4), (0, 0), (1, 1), False),
    ((6, 5), (2, 3), (3, 1), (0, 1), (2, 1), True),
    ((3, 4, 5), (2, 2, 2), (1, 2, 2), (1, 0, 1), (1, 1, 2), False),
    ((4, 4, 4), (2, 3, 1), (2, 1, 3), (0, 1, 0), (1, 1, 1), True),
]


def pool_case(plane, kernel, stride, padding, dilation, ceil, dtype, seed=10):
    out = tuple(map(pool_size, plane, kernel, stride, padding, dilation, (ceil,) * len(plane)))
    x = rng(seed).integers(-4, 4, (2, 3, *plane)).astype(dtype)
    return x, (2, 3, *out)


@every_float
@pytest.mark.parametrize("plane,kernel,stride,padding,dilation,ceil", POOLS)
def test_max_pool(plane, kernel, stride, padding, dilation, ceil, dtype):
    x, out = pool_case(plane, kernel, stride, padding, dilation, ceil, dtype)
    window = (kernel, stride, padding, dilation)
    y, indices = pooled_max(x, out, *window)
    for _, on_device in layouts(x):
        got_y, got_indices = K["max_pool"](on_device, out, *window)
        np.testing.assert_array_equal(host(got_y), y)
        np.testing.assert_array_equal(host(got_indices), indices)
        assert got_indices.dtype == np.int32
    grad_y = rng(11).integers(-4, 4, out).astype(dtype)
    expected = np.zeros((6, math.prod(plane)), dtype)
    for p, (place, g) in enumerate(zip(indices.reshape(6, -1), grad_y.reshape(6, -1), strict=True)):
        np.add.at(expected[p], place, g)
    grads = [g for _, g in layouts(grad_y)]
    for grad in grads:
        got = K["max_pool_bwd"](grad, device(indices), x.shape, *window)
        np.testing.assert_array_equal(host(got), expected.reshape(x.shape))
    got = K["max_pool_gather"](device(x), device(indices))
    np.testing.assert_array_equal(host(got), y)
    # The gradient of max_pool_gather: a window that reaches the whole plane.
    ones = (1,) * len(plane)
    wide = (tuple(2 * n for n in plane), ones, plane, ones)
    got = K["max_pool_bwd"](device(grad_y), device(indices), x.shape, *wide)
    np.testing.assert_array_equal(host(got), expected.reshape(x.shape))


@every_float
@pytest.mark.parametrize("include_pad,divisor", [(True, 0), (False, 0), (True, 5)])
@pytest.mark.parametrize("plane,kernel,stride,padding,dilation,ceil", POOLS)
def test_avg_pool(plane, kernel, stride, padding, dilation, ceil, include_pad, divisor, dtype):
    ones = (1,) * len(plane)
    x, out = pool_case(plane, kernel, stride, padding, ones, ceil, dtype)
    options = (kernel, stride, padding, include_pad, divisor)
    matrix = averaging(x.shape, out, *options)
    planes = x.reshape(6, -1).astype(np.float64)
    expected = (planes @ matrix.T).reshape(out)
    scale = (np.abs(planes) @ matrix.T).reshape(out)
    for _, on_device in layouts(x):
        close(host(K["avg_pool"](on_device, out, *options)), expected, scale, dtype)
    grad_y = rng(12).integers(-4, 4, out).astype(dtype)
    flat = grad_y.reshape(6, -1).astype(np.float64)
    for _, grad in layouts(grad_y):
        got = host(K["avg_pool_bwd"](grad, x.shape, *options))
        close(
            got, (flat @ matrix).reshape(x.shape), (np.abs(flat) @ matrix).reshape(x.shape), dtype
        )


@every_float
def test_max_pool_of_nan_and_infinities_in_every_place(dtype):
    window = ((2, 3), (1, 1), (1, 1), (1, 1))
    base = rng(13).standard_normal((1, 20, 4, 5)).astype(dtype)
    for value in (np.nan, np.inf, -np.inf):
        x = base.copy()
        x.reshape(20, 20)[np.arange(20), np.arange(20)] = value
        out = (1, 20, 5, 5)
        got_y, got_indices = K["max_pool"](device(x), out, *window)
        y, indices = pooled_max(x, out, *window)
        np.testing.assert_array_equal(host(got_y), y)
        np.testing.assert_array_equal(host(got_indices), indices)


def test_pool_windows_outside_of_the_input():
    x = np.full((1, 1, 1), 3.0, np.float32)
    window = ((2,), (1,), (1,), (2,))  # places -1 and 1
    y, indices = K["max_pool"](device(x), (1, 1, 1), *window)
    assert host(y) == -np.inf and host(indices) == 0
    # stride beyond the input: the second window begins behind the padding
    y = K["avg_pool"](device(x), (1, 1, 2), (1,), (2,), (0,), False, 0)
    np.testing.assert_array_equal(host(y), [[[3.0, 0.0]]])
    grad_x = K["avg_pool_bwd"](
        device(np.ones((1, 1, 2), np.float32)), x.shape, (1,), (2,), (0,), False, 0
    )
    np.testing.assert_array_equal(host(grad_x), [[[1.0]]])


def test_pools_of_nothing():
    x = device(np.zeros((0, 3, 4), np.float32))
    window = ((2,), (2,), (0,), (1,))
    y, indices = K["max_pool"](x, (0, 3, 2), *window)
    assert y.shape == indices.shape == (0, 3, 2)
    assert K["max_pool_bwd"](y, indices, (0, 3, 4), *window).shape == (0, 3, 4)
    assert K["max_pool_gather"](x, indices).shape == (0, 3, 2)
    assert K["avg_pool"](x, (0, 3, 2), (2,), (2,), (0,), True, 0).shape == (0, 3, 2)
    assert K["avg_pool_bwd"](y, (0, 3, 4), (2,), (2,), (0,), True, 0).shape == (0, 3, 4)
    # no output at all: the gradient is zero
    nothing = device(np.zeros((1, 1, 0), np.float32))
    grad_x = K["avg_pool_bwd"](nothing, (1, 1, 3), (2,), (2,), (0,), True, 0)
    np.testing.assert_array_equal(host(grad_x), np.zeros((1, 1, 3)))
    indices = device(np.zeros((1, 1, 0), np.int32))
    grad_x = K["max_pool_bwd"](nothing, indices, (1, 1, 3), *window)
    np.testing.assert_array_equal(host(grad_x), np.zeros((1, 1, 3)))
