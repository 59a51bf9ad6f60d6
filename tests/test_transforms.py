"""The augmentation: where each pixel comes from, and that its amounts are the seed's."""

import math

import numpy as np
import pytest
from gradsmith.transforms import RandomAffineBatch, warp_affine


def slow_warp(image, matrix):
    """One (H, W) image, pixel by pixel, in float64."""
    height, width = image.shape
    cx, cy = (width - 1) / 2, (height - 1) / 2
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            sx, sy = matrix @ np.array([x - cx, y - cy, 1.0]) + np.array([cx, cy])
            left, top = math.floor(sx), math.floor(sy)
            for dy in (0, 1):
                for dx in (0, 1):
                    if 0 <= top + dy < height and 0 <= left + dx < width:
                        weight = (1 - abs(sx - left - dx)) * (1 - abs(sy - top - dy))
                        out[y, x] += weight * image[top + dy, left + dx]
    return out


def images(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(dtype)


def maps(n, a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    return np.tile(np.array([[a, b, c], [d, e, f]]), (n, 1, 1))


@pytest.mark.parametrize("height, width", [(8, 8), (5, 9), (1, 7), (1, 1)])
def test_against_pixel_by_pixel(height, width):
    x = images(40, height, width)
    rng = np.random.default_rng(1)
    matrices = rng.normal(0, 1, (40, 2, 3)) * np.array([1, 1, 4])
    expected = np.stack([slow_warp(image, m) for image, m in zip(x, matrices, strict=True)])
    np.testing.assert_allclose(warp_affine(x, matrices), expected, rtol=0, atol=1e-12)


def test_identity_is_exact():
    x = images(3, 2, 8, 8, dtype=np.float32)
    assert np.array_equal(warp_affine(x, maps(3)), x)


@pytest.mark.parametrize("dx, dy", [(1, 0), (0, 2), (-3, 1), (7, 7), (8, 0), (0, -8), (100, 3)])
def test_whole_shifts_move_pixels_and_fill_with_zeros(dx, dy):
    x = images(2, 8, 8, dtype=np.float32)
    expected = np.zeros_like(x)
    for row in range(8):
        for column in range(8):
            if 0 <= row + dy < 8 and 0 <= column + dx < 8:
                expected[:, row, column] = x[:, row + dy, column + dx]
    assert np.array_equal(warp_affine(x, maps(2, c=dx, f=dy)), expected)


def test_half_shift_is_the_mean_of_neighbours():
    x = images(1, 4, 4)
    y = warp_affine(x, maps(1, c=0.5))
    np.testing.assert_allclose(y[0, :, :3], (x[0, :, :3] + x[0, :, 1:]) / 2, atol=1e-15)
    np.testing.assert_allclose(y[0, :, 3], x[0, :, 3] / 2, atol=1e-15)


def test_quarter_turn():
    x = images(1, 6, 6)
    y = warp_affine(x, maps(1, a=0, b=1, d=-1, e=0))
    np.testing.assert_allclose(y[0], np.rot90(x[0], -1), atol=1e-12)


def test_channels_move_together_and_inputs_stay():
    x = images(3, 2, 8, 8)
    before = x.copy()
    matrices = maps(3, a=0.9, b=0.2, c=0.7, d=-0.1, e=1.1, f=-0.4)
    y = warp_affine(x, matrices)
    assert np.array_equal(x, before)
    for channel in range(2):
        np.testing.assert_array_equal(y[:, channel], warp_affine(x[:, channel], matrices))


def test_strided_inputs():
    x = images(4, 16, 8)[::2, ::-2]
    assert not x.flags.c_contiguous
    matrices = maps(2, b=0.3, c=0.5)
    np.testing.assert_array_equal(warp_affine(x, matrices), warp_affine(x.copy(), matrices))


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (2, 0, 8, 8), (2, 1, 0, 8)])
def test_empty(shape):
    y = RandomAffineBatch(10, (0.1, 0.1), (0.9, 1.1), 0)(np.zeros(shape, np.float32))
    assert y.shape == shape and y.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    assert RandomAffineBatch(10, generator=0)(images(2, 1, 8, 8, dtype=dtype)).dtype == dtype


def test_same_seed_same_images_and_each_call_new_ones():
    x = images(5, 1, 8, 8)
    first, second = (
        RandomAffineBatch(10, (0.1, 0.1), generator=3),
        RandomAffineBatch(10, (0.1, 0.1), generator=3),
    )
    a, b = first(x), second(x)
    assert np.array_equal(a, b)
    assert not np.array_equal(first(x), a)
    shared = np.random.default_rng(3)
    assert np.array_equal(RandomAffineBatch(10, (0.1, 0.1), generator=shared)(x), a)


def test_each_image_moves_by_its_own_amount():
    x = np.repeat(images(1, 8, 8), 6, axis=0)
    y = RandomAffineBatch(20, (0.1, 0.1), (0.8, 1.2), 0)(x)
    assert len({image.tobytes() for image in y}) == 6


def test_no_amounts_no_change():
    x = images(4, 1, 8, 8)
    np.testing.assert_allclose(RandomAffineBatch(generator=0)(x), x, atol=1e-15)


def test_amounts_stay_within_their_limits():
    """The spot of one bright pixel tells the shift, its brightness sum stays, none is turned."""
    x = np.zeros((500, 17, 17))
    x[:, 8, 8] = 1.0
    y = RandomAffineBatch(translate=(2 / 17, 1 / 17), generator=0)(x)
    grid = np.arange(17) - 8.0
    shift_x = (y * grid).sum((1, 2))
    shift_y = (y * grid[:, None]).sum((1, 2))
    np.testing.assert_allclose(y.sum((1, 2)), 1.0, atol=1e-12)
    assert 1.9 < np.abs(shift_x).max() <= 2 + 1e-12
    assert 0.95 < np.abs(shift_y).max() <= 1 + 1e-12


def test_larger_scale_makes_the_drawing_larger():
    x = np.zeros((1, 16, 16))
    x[:, 6:10, 6:10] = 1.0
    assert RandomAffineBatch(scale=(2, 2))(x).sum() > 3 * x.sum()
    assert RandomAffineBatch(scale=(0.5, 0.5))(x).sum() < x.sum() / 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"degrees": -1}, "degrees must be finite and >= 0; got -1"),
        ({"degrees": math.nan}, "degrees must be finite"),
        ({"translate": (0.1,)}, r"translate must be two fractions .*; got \(0.1,\)"),
        ({"translate": (0.1, 1.5)}, "translate must be two fractions"),
        ({"translate": (math.nan, 0)}, "translate must be two fractions"),
        ({"scale": (0, 1)}, "0 < low <= high; got"),
        ({"scale": (1.2, 0.9)}, "0 < low <= high"),
        ({"scale": (1, math.inf)}, "0 < low <= high"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        RandomAffineBatch(**options)


def test_wrong_inputs():
    with pytest.raises(TypeError, match="must be floating point; got uint8"):
        RandomAffineBatch()(np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"must be \(N, ..., H, W\); got shape \(8, 8\)"):
        RandomAffineBatch()(np.zeros((8, 8)))
    with pytest.raises(ValueError, match=r"must be \(N, ..., H, W\); got shape \(8, 8\)"):
        warp_affine(np.zeros((8, 8)), maps(8))
    with pytest.raises(ValueError, match=r"matrices must be \(2, 2, 3\).*; got \(3, 2, 3\)"):
        warp_affine(np.zeros((2, 8, 8)), maps(3))


def test_repr():
    text = repr(RandomAffineBatch(15, (0.1, 0.1), (0.85, 1.15)))
    assert text == "RandomAffineBatch(degrees=15, translate=(0.1, 0.1), scale=(0.85, 1.15))"
