"""assert_close: compares so that NaN cannot pass, and names the worst element."""

from __future__ import annotations

from typing import Any

import numpy as np

from .report import Measure
from .tolerances import spacing

__all__ = ["assert_close", "assert_equal", "error_in_ulp", "to_numpy"]


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """The values of a tensor (gradsmith's or torch's, any device), array or number."""
    host = getattr(value, "_host", None)
    if host is not None:
        return np.asarray(host())
    detach = getattr(value, "detach", None)
    if detach is not None:
        return detach().cpu().numpy()
    return np.asarray(value)


def error_in_ulp(actual: Any, expected: Any, *, rtol: Any = 0.0, atol: Any = 0.0) -> Measure:
    """The largest error of `actual` in units of its dtype's last place at `expected` (float64).

    Args:
        actual: an array of a floating-point dtype; of another dtype there is nothing to measure.
        expected: the same in float64. What is not finite in either is left out.
        rtol, atol: the tolerance, for the part of it that was used.
    """
    if actual.dtype.kind != "f" or actual.size == 0:
        return Measure()
    wide_a, wide_e = actual.astype(np.float64), np.asarray(expected, dtype=np.float64)
    fine = np.isfinite(wide_a) & np.isfinite(wide_e)
    if not fine.any():
        return Measure()
    with np.errstate(all="ignore"):
        error = np.where(fine, np.abs(wide_a - wide_e), 0.0)
        tolerance = atol + rtol * np.abs(wide_e)
        used = np.where(fine & (error > 0), error / tolerance, 0.0)
        ulp = np.where(fine, error / spacing(actual.dtype, wide_e), 0.0)
    finite = used[np.isfinite(used)]
    return Measure(float(ulp.max()), float(np.max(finite, initial=0.0)))


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: Any = 0.0,
    atol: Any = 0.0,
    equal_nan: bool = True,
    check_dtype: bool = True,
    name: str = "result",
) -> None:
    """Raises AssertionError unless |actual - expected| <= atol + rtol * |expected| everywhere.

    Infinities must be equal, and NaN must meet NaN.

    Args:
        actual: a tensor, an array or a number.
        expected: the same; shapes must be equal, and dtypes with check_dtype.
        rtol, atol: numbers, or arrays of a tolerance an element.
        equal_nan: whether NaN equals NaN.
        name: what the message calls it.

    Raises:
        AssertionError: naming the worst element, its index and both values.
    """
    a, e = to_numpy(actual), to_numpy(expected)
    if a.shape != e.shape:
        raise AssertionError(f"{name}: shapes must be equal; got {a.shape}, expected {e.shape}")
    if check_dtype and a.dtype != e.dtype:
        raise AssertionError(f"{name}: dtypes must be equal; got {a.dtype}, expected {e.dtype}")
    if a.size == 0:
        return
    if a.dtype.kind in "biu" and e.dtype.kind in "biu":
        good = a == e
        excess = np.where(good, 0.0, 1.0)
        tolerance = np.zeros(a.shape)
    else:
        wide_a, wide_e = a.astype(np.float64), e.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            tolerance = atol + rtol * np.where(np.isfinite(wide_e), np.abs(wide_e), 0.0)
            tolerance = np.broadcast_to(tolerance, a.shape)
            difference = np.abs(wide_a - wide_e)
            good = (difference <= tolerance) | (wide_a == wide_e)
            # An infinite difference with an infinite tolerance, or NaN anywhere, is no success.
            good &= np.isfinite(wide_a) == np.isfinite(wide_e)
            if equal_nan:
                good |= np.isnan(wide_a) & np.isnan(wide_e)
            excess = difference / np.where(tolerance > 0, tolerance, 1.0)
            excess = np.where(np.isnan(excess), np.inf, excess)
    if good.all():
        return
    excess = np.where(good, -1.0, excess)
    worst = np.unravel_index(int(np.argmax(excess)), a.shape)
    wrong = int(a.size - np.count_nonzero(good))
    raise AssertionError(
        f"{name}: {wrong} of {a.size} elements differ; worst at {tuple(map(int, worst))}: "
        f"got {a[worst]!r}, expected {e[worst]!r}, tolerance {float(tolerance[worst]):.3g} "
        f"(shape {a.shape}, {a.dtype})"
    )


def assert_equal(actual: Any, expected: Any, *, name: str = "result") -> None:
    """Raises AssertionError unless shape, dtype and every bit of value are equal (NaN is NaN)."""
    a, e = to_numpy(actual), to_numpy(expected)
    assert_close(a, e, name=name)
    if a.dtype.kind == "f" and not (np.signbit(a) == np.signbit(e))[~np.isnan(a)].all():
        raise AssertionError(f"{name}: signs of zero differ")
