"""assert_close: compares so that NaN cannot pass, and names the worst element."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import tolerances
from .report import Measure

__all__ = ["assert_close", "assert_equal", "error_in_ulp", "to_numpy"]

Array = np.ndarray[Any, Any]


def to_numpy(value: Any) -> Array:
    """The values of a tensor (gradsmith's or torch's, any device), array or number."""
    host = getattr(value, "_host", None)
    if host is not None:
        return np.asarray(host())
    detach = getattr(value, "detach", None)
    if detach is not None:
        return detach().cpu().numpy()
    return np.asarray(value)


def same_bytes(a: Array | bytes, b: Array | bytes) -> bool:
    """Whether both hold the same bytes.

    For asserts: where pytest rewrites them, it explains a failing `==` of two long byte strings
    element by element, for minutes; of a call it shows the result.
    """
    return (a if isinstance(a, bytes) else a.tobytes()) == (
        b if isinstance(b, bytes) else b.tobytes()
    )


def is_floating(dtype: Any) -> bool:
    """Whether the dtype is a floating-point one; ml_dtypes' bfloat16 is of no kind of NumPy's."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def error_in_ulp(actual: Any, expected: Any, *, rtol: Any = 0.0, atol: Any = 0.0) -> Measure:
    """The largest error of `actual` in units of its dtype's last place at `expected` (float64).

    Args:
        actual: an array of a floating-point dtype; of another dtype there is nothing to measure.
        expected: the same in float64. What is not finite in either is left out.
        rtol, atol: the tolerance, for the part of it that was used.
    """
    if not is_floating(actual.dtype) or actual.size == 0:
        return Measure()
    wide_a, wide_e = actual.astype(np.float64), np.asarray(expected, dtype=np.float64)
    fine = np.isfinite(wide_a) & np.isfinite(wide_e)
    if not fine.any():
        return Measure()
    with np.errstate(all="ignore"):
        error = np.where(fine, np.abs(wide_a - wide_e), 0.0)
        tolerance = atol + rtol * np.abs(wide_e)
        used = np.where(fine & (error > 0), error / tolerance, 0.0)
        ulp = np.where(fine, error / tolerances.spacing(actual.dtype, wide_e), 0.0)
    finite = used[np.isfinite(used)]
    return Measure(float(ulp.max()), float(np.max(finite, initial=0.0)))


def _tolerance(
    a: Array, e: Array, rtol: Any, atol: Any, ulp: Any, terms: int | None, magnitude: Any
) -> tuple[Array, Any]:
    """(tolerance of each element, the dtype whose ULP it is in)."""
    kinds = [d for d in (a.dtype, e.dtype) if is_floating(d)]
    dtype = max(kinds, key=lambda d: tolerances.limits(d).eps) if kinds else np.dtype(np.float64)
    wide = np.abs(e.astype(np.float64))
    size = np.where(np.isfinite(wide), wide, 0.0)
    if rtol is None and atol is None and ulp is None and terms is None:
        terms = 1  # one rounding of the result, and a few on the way to it
    with np.errstate(all="ignore"):
        total = (0.0 if atol is None else atol) + (0.0 if rtol is None else rtol) * size
        if ulp is not None:
            total = total + ulp * tolerances.spacing(dtype, size)
        if terms is not None:
            if magnitude is None:
                magnitude = size if terms <= 1 else np.max(size, initial=0.0)
            total = total + tolerances.sum_bound(dtype, terms, to_numpy(magnitude))
    return np.broadcast_to(np.asarray(total, dtype=np.float64), a.shape), dtype


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: Any = None,
    atol: Any = None,
    ulp: Any = None,
    terms: int | None = None,
    magnitude: Any = None,
    equal_nan: bool = True,
    check_dtype: bool = True,
    name: str = "result",
) -> None:
    """Raises AssertionError unless |actual - expected| is within the tolerance everywhere.

    Formula: atol + rtol |expected| + ulp spacing(expected) + (2 + 4 sqrt(terms)) u magnitude

    With none of the four given the tolerance is that of one term: 3 eps |expected|; integers and
    bools are equal or not. Infinities must be equal, and NaN must meet NaN.

    Args:
        actual: a tensor, an array or a number.
        expected: the same; shapes must be equal, and dtypes with check_dtype.
        rtol, atol: numbers, or arrays of a tolerance an element.
        ulp: units of the last place of the narrower dtype of the two.
        terms: how many terms an element is the sum of. u is the unit roundoff of that dtype.
        magnitude: the sum of the terms' absolute values, what rounding is relative to. None: the
            largest |expected|, which is too little where terms cancel.
        equal_nan: whether NaN equals NaN.
        check_dtype: whether dtypes must be equal.
        name: what the message calls it.

    Raises:
        AssertionError: how many elements differ, and of the worst one its index, both values, and
            how far they are apart, in ULP too.

    Source: Higham and Mary 2019, A new approach to probabilistic rounding error analysis.
    """
    a, e = to_numpy(actual), to_numpy(expected)
    if a.shape != e.shape:
        raise AssertionError(f"{name}: shapes must be equal; got {a.shape}, expected {e.shape}")
    if check_dtype and a.dtype != e.dtype:
        raise AssertionError(f"{name}: dtypes must be equal; got {a.dtype}, expected {e.dtype}")
    if a.size == 0:
        return
    floating = is_floating(a.dtype) or is_floating(e.dtype)
    wide_a, wide_e = a.astype(np.float64), e.astype(np.float64)
    dtype: Any = np.float64
    if not floating:
        good = a == e
        if good.all():
            return
        tolerance = np.zeros(a.shape)
        excess = np.where(good, -1.0, np.abs(wide_a - wide_e))
    else:
        tolerance, dtype = _tolerance(a, e, rtol, atol, ulp, terms, magnitude)
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(wide_a - wide_e)
            good = (difference <= tolerance) | (wide_a == wide_e)
            # An infinite difference with an infinite tolerance, or NaN anywhere, is no success.
            good &= np.isfinite(wide_a) == np.isfinite(wide_e)
            if equal_nan:
                good |= np.isnan(wide_a) & np.isnan(wide_e)
            if good.all():
                return
            excess = difference / np.where(tolerance > 0, tolerance, 1.0)
            excess = np.where(good, -1.0, np.where(np.isnan(excess), np.inf, excess))
    worst = np.unravel_index(int(np.argmax(excess)), a.shape)
    wrong = int(a.size - np.count_nonzero(good))
    apart = ""
    if floating:
        one = float(tolerances.spacing(dtype, wide_e[worst]))
        with np.errstate(invalid="ignore"):
            off = float(np.abs(wide_a[worst] - wide_e[worst]))
        apart = f", off by {off:.3g} = {off / one:.3g} ULP" if np.isfinite(off) else ""
    first = tuple(map(int, np.argwhere(~good)[0]))
    at = tuple(map(int, worst))
    begins = "" if first == at else f"; the first at {first}"
    raise AssertionError(
        f"{name}: {wrong} of {a.size} elements differ; worst at {at}: "
        f"got {a[worst]}, expected {e[worst]}{apart}, tolerance {float(tolerance[worst]):.3g}"
        f"{begins} (shape {a.shape}, {a.dtype})"
    )


def assert_equal(actual: Any, expected: Any, *, name: str = "result") -> None:
    """Raises AssertionError unless shape, dtype and every bit of value are equal (NaN is NaN)."""
    a, e = to_numpy(actual), to_numpy(expected)
    assert_close(a, e, rtol=0.0, atol=0.0, name=name)
    if a.dtype.kind == "f" and not (np.signbit(a) == np.signbit(e))[~np.isnan(a)].all():
        raise AssertionError(f"{name}: signs of zero differ")
