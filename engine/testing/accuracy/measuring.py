"""The error of one result: in units of the last place, or against the size of its terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..comparing import to_numpy
from ..opdb import OpInfo, place
from .oracle import exact, widened

__all__ = ["Measured", "error_of", "float_format", "measure", "outputs"]

Array = np.ndarray[Any, Any]
#: Bits of the significand behind the point, the smallest exponent of a normal number, the largest.
_FORMATS = {
    "float64": (52, -1022, 1023),
    "float32": (23, -126, 127),
    "float16": (10, -14, 15),
    "bfloat16": (7, -126, 127),
}


def float_format(dtype: str) -> tuple[int, int, int]:
    """Bits behind the point, and the smallest and largest exponent."""
    return _FORMATS[dtype]


@dataclass(frozen=True)
class Measured:
    """The largest errors of one case.

    Attributes:
        ours, torch, numpy: in the case's unit; None: not measured. inf: a wrong kind of number.
        at: the index of our largest error's output, for a human to look at.
    """

    ours: float | None
    torch: float | None = None
    numpy: float | None = None
    at: str = ""


def error_of(got: Any, wanted: Any, sizes: Any, dtype: str, measure: str) -> float:
    """The largest error of an array.

    Args:
        got: the array, of whatever dtype holds its values.
        wanted: the exact values, in extended precision.
        sizes: for "sum" the sum of the terms' absolute values, element by element.
        dtype: the format whose units are counted.
        measure: "ulp": units in the last place of the exact value, a subnormal's at the least;
            "sum": the machine epsilon times `sizes`.
    """
    bits, low, high = _FORMATS[dtype]
    got, wanted = np.asarray(got).astype(np.longdouble), np.asarray(wanted, np.longdouble)
    if got.shape != wanted.shape:
        return float("inf")
    if not got.size:
        return 0.0
    top = np.ldexp(np.longdouble(2) - np.ldexp(np.longdouble(1), -bits - 1), high)
    with np.errstate(all="ignore"):
        fits = np.abs(wanted) < top  # rounds to a finite number
        good = np.isfinite(got)
        # One step at the end of the range, and what overflows, may go either way.
        edge = (np.abs(wanted) >= top * (1 - np.ldexp(np.longdouble(4), -bits))) & ~np.isnan(wanted)
        same = (np.isnan(got) & np.isnan(wanted)) | (got == wanted) | (edge & ~np.isnan(got))
        if not np.all((fits & good) | same):
            return float("inf")
        both = fits & good
        if not both.any():
            return 0.0
        difference = np.abs(got - wanted)[both]
        if measure == "ulp":
            exponent = np.frexp(wanted[both])[1] - 1
            unit = np.ldexp(np.longdouble(1), np.maximum(exponent, low) - bits)
        else:
            size = np.broadcast_to(np.asarray(sizes, np.longdouble), got.shape)[both]
            least = np.ldexp(np.longdouble(1), low)
            unit = np.maximum(np.where(np.isfinite(size), size, 0), least) * np.ldexp(
                np.longdouble(1), -bits
            )
        return float(np.max(difference / unit))


def outputs(result: Any) -> list[Any]:
    """One output or several, as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _placed(value: Any, device: str) -> Any:
    if isinstance(value, list):
        return [_placed(v, device) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    return place(value, device)


def _worst(
    results: Sequence[Any], wanted: Sequence[Any], sizes: Sequence[Any], dtype: str, measure: str
) -> float:
    worst = 0.0
    for got, e, size in zip(results, wanted, sizes, strict=True):
        if np.asarray(e).dtype.kind == "f" and np.asarray(got).dtype.kind not in "biu":
            worst = max(worst, error_of(got, e, size, dtype, measure))
    return worst


def measure(
    info: OpInfo,
    arrays: Sequence[Any],
    options: dict[str, Any],
    dtype: str,
    unit: str,
    device: str = "cpu",
    torch: Callable[[list[Any]], Sequence[Any]] | None = None,
    with_numpy: bool = False,
) -> Measured:
    """Runs an op on arrays and measures its worst element.

    Args:
        info: the op.
        arrays, options: its inputs, in `dtype`, and options.
        dtype: the name of the format.
        unit: "ulp" or "sum".
        device: where it runs.
        torch: gives PyTorch's outputs for the arrays; None leaves them out.
        with_numpy: whether to run the reference in `dtype` too.
    """
    gs = import_module(__name__.partition(".")[0])
    wanted = exact(info, arrays, options)
    sizes: Sequence[Any] = [1.0] * len(wanted)
    if unit == "sum":
        sizes = info.sizes_of_terms(widened(list(arrays), np.float64), options)
    results = outputs(info.call(gs, *_placed(list(arrays), device), **options))
    ours = _worst([to_numpy(y) for y in results], wanted, sizes, dtype, unit)
    theirs = plain = None
    if torch is not None:
        theirs = _worst(torch(list(arrays)), wanted, sizes, dtype, unit)
    if with_numpy:
        with np.errstate(all="ignore"):
            found = [np.asarray(y) for y in outputs(info.reference(*arrays, **options))]
        if all(y.dtype.name == dtype or y.dtype.kind in "biu" for y in found):
            plain = _worst(found, wanted, sizes, dtype, unit)
    return Measured(ours, theirs, plain)
