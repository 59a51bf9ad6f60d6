"""assert_close: its tolerances, and what it says of what differs."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import assert_close, assert_equal

F32 = np.float32


def off(ulp: float, at: int = 2, dtype: Any = F32) -> tuple[np.ndarray, np.ndarray]:
    """(actual, expected) that differ in one element by some ULP."""
    expected = np.linspace(1.0, 1.9, 6).astype(dtype)
    actual = expected.copy()
    actual[at] += ulp * np.finfo(dtype).eps
    return actual, expected


@pytest.mark.parametrize(
    "ulp,options,passes",
    [
        (0, {}, True),
        (3, {}, True),
        (8, {}, False),
        (1, {"rtol": 0.0}, False),
        (0, {"rtol": 0.0}, True),
        (4, {"ulp": 4}, True),
        (5, {"ulp": 4}, False),
        (15, {"terms": 100}, True),
        (60, {"terms": 100}, False),
        (60, {"terms": 100, "magnitude": np.full(6, 10.0)}, True),
        (200, {"rtol": 1e-5}, False),
        (80, {"rtol": 1e-5}, True),
        (5, {"atol": 1e-6}, True),
        (100, {"atol": np.full(6, 1e-6)}, False),
    ],
)
def test_tolerances(ulp: float, options: dict[str, Any], passes: bool) -> None:
    actual, expected = off(ulp)
    if passes:
        assert_close(actual, expected, **options)
    else:
        with pytest.raises(AssertionError, match=r"1 of 6 elements differ; worst at \(2,\)"):
            assert_close(actual, expected, **options)


def test_the_message_says_how_far() -> None:
    actual, expected = off(40)
    with pytest.raises(AssertionError, match=r"off by 4\.77e-06 = 40 ULP, tolerance "):
        assert_close(actual, expected)
    actual[1] += 1e-6
    with pytest.raises(AssertionError, match=r"y: 2 of 6 .* at \(2,\).*; the first at \(1,\)"):
        assert_close(actual, expected, name="y")
    with pytest.raises(AssertionError, match=r"2 of 4 elements differ; worst at \(1, 1\): got 9"):
        assert_close(np.array([[1, 2], [5, 9]]), np.array([[1, 2], [4, 4]]))


@pytest.mark.parametrize("dtype,eps", [("float64", 2**-52), ("float32", 2**-23)])
def test_the_default_follows_the_dtype(dtype: str, eps: float) -> None:
    x = np.ones(3, dtype)
    assert_close(x * (1 + 2 * eps), x)
    with pytest.raises(AssertionError):
        assert_close(x * (1 + 6 * eps), x)


def test_narrow_dtypes_and_an_oracle() -> None:
    """Against float64 the tolerance is the narrow one's."""
    x = np.random.default_rng(0).standard_normal(100)
    for dtype in (gs.float16, gs.float32):
        narrow = gs.from_numpy(x).to(dtype)
        assert_close(narrow, x, check_dtype=False)
        with pytest.raises(AssertionError, match="dtypes must be equal"):
            assert_close(narrow, x)
        with pytest.raises(AssertionError, match="ULP"):
            assert_close(narrow, x * (1 + 1e-2), check_dtype=False)
    pytest.importorskip("ml_dtypes")
    narrow = gs.from_numpy(x).to(gs.bfloat16)
    assert_close(narrow, x, check_dtype=False)
    with pytest.raises(AssertionError, match="ULP"):
        assert_close(narrow, x * 1.05, check_dtype=False)


def test_nan_and_infinity() -> None:
    inf, nan = np.inf, np.nan
    assert_close(np.array([inf, -inf, nan]), np.array([inf, -inf, nan]))
    for a, b in (([nan], [1.0]), ([1.0], [nan]), ([inf], [1.0]), ([inf], [-inf]), ([1.0], [inf])):
        with pytest.raises(AssertionError, match="1 of 1 elements differ"):
            assert_close(np.array(a), np.array(b), rtol=inf, atol=inf)
    with pytest.raises(AssertionError):
        assert_close(np.array([nan]), np.array([nan]), equal_nan=False)


def test_shapes_dtypes_and_what_is_empty() -> None:
    with pytest.raises(AssertionError, match=r"shapes must be equal; got \(2,\), expected \(1,\)"):
        assert_close(np.ones(2), np.ones(1))
    assert_close(np.ones((0, 3)), np.ones((0, 3)))
    assert_close(gs.tensor([1, 2]), np.array([1, 2]))
    assert_close(True, True)
    with pytest.raises(AssertionError):
        assert_close(np.array([2**62]), np.array([2**62 + 1]))


def test_equal_means_every_bit() -> None:
    actual, expected = off(1)
    with pytest.raises(AssertionError):
        assert_equal(actual, expected)
    with pytest.raises(AssertionError, match="signs of zero differ"):
        assert_equal(np.array([0.0]), np.array([-0.0]))
