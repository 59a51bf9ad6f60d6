"""The check of memory layouts: strides, addresses, and nothing in the first dim."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import tolerances
from .checks import _bounds, _plain, call, flat, gradients, place_all
from .comparing import assert_close
from .layouts import LAYOUTS, lay_out
from .opdb import OpInfo, Sample
from .report import Measure

__all__ = ["check_layouts"]


def _laid_out(value: Any, layout: str) -> Any:
    if isinstance(value, list):
        return [_laid_out(v, layout) for v in value]
    return lay_out(value, layout) if isinstance(value, np.ndarray) else value


def check_layouts(
    info: OpInfo, sample: Sample, dtype: str, device: str, layouts: Sequence[str] = LAYOUTS
) -> Measure:
    """Inputs of every memory layout give what their contiguous copies give, forward and back.

    Layouts: contiguous, transposed, negative strides, every third element, stride 0 in the last or
    the first dim, off by one byte or by a few elements from an aligned address. An op without a
    sample that is tagged empty is also run on nothing in the first dim.
    """
    measure = Measure(count=0)
    differentiable = info.differentiable and sample.has_gradient
    for layout in layouts:
        arrays = [_laid_out(a, layout) for a in sample.build(dtype)]
        if layout == "misaligned" and device != "cpu":
            continue  # a copy to a device is aligned
        before = [a.copy() for a in flat(arrays)]
        try:
            plain = gradients(info, sample, _plain(arrays), device)
        except Exception:
            if not layout.startswith("expanded"):
                raise
            continue  # repeated values are not what this op takes: a singular matrix, say
        try:
            if differentiable:
                results, grads, _ = gradients(info, sample, arrays, device, plain[2])
            else:
                results, grads = call(info, sample, place_all(arrays, device)), []
        except Exception as error:
            raise AssertionError(
                f"layout {layout}: raised {type(error).__name__}: {error}; the contiguous copy "
                "does not"
            ) from error
        bounds = _bounds(info, sample, arrays, dtype)
        for i, (y, p, (rtol, atol)) in enumerate(zip(results, plain[0], bounds, strict=True)):
            assert_close(y, p, rtol=2 * rtol, atol=2 * atol, name=f"layout {layout}: output {i}")
        upstream = max([float(np.max(np.abs(u), initial=0.0)) for u in plain[2]], default=0.0)
        terms = max([a.size for a in flat(arrays)] + [y.numel() for y in results], default=1)
        for i, (g, p) in enumerate(zip(grads, plain[1] if grads else [], strict=True)):
            assert (g is None) == (p is None)
            if g is not None and p is not None:
                # Equal values may be ill-conditioned (no variance); a wrong stride is not small.
                wide = 64 if layout.startswith("expanded") else 2
                atol = wide * tolerances.gradient(dtype, p, upstream, terms)
                assert_close(g, p, rtol=0.0, atol=atol, name=f"layout {layout}: gradient {i}")
        for a, b in zip(flat(arrays), before, strict=True):
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), (
                f"layout {layout}: an input was changed"
            )
        measure = measure.joined(Measure(count=len(results) + len(grads)))
    if not any("empty" in s.tags for s in info.samples()):
        measure = measure.joined(Measure(count=_empty(info, sample, dtype, device)))
    return measure


def _empty(info: OpInfo, sample: Sample, dtype: str, device: str) -> int:
    """As many outputs and gradients as were compared with nothing in the first dim.

    First of the first input alone, then of all inputs that are as long. What the reference or the
    op refuses, or has no finite value for, is not compared.
    """
    arrays = sample.build(dtype)
    if not arrays or not isinstance(arrays[0], np.ndarray) or not arrays[0].ndim:
        return 0
    first, *others = arrays
    for cut in (
        [first[:0], *others],
        [
            a[:0] if isinstance(a, np.ndarray) and a.ndim and len(a) == len(first) else a
            for a in arrays
        ],
    ):
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = info.expected(cut, sample.options)
            if not all(np.isfinite(np.asarray(e)).all() for e in expected):
                continue
            results, grads, _ = gradients(info, sample, cut, device)
        except Exception:
            continue
        for i, (y, e) in enumerate(zip(results, expected, strict=True)):
            shape = np.asarray(e).shape
            assert tuple(y.shape) == shape, (
                f"layout empty: output {i} has the shape {tuple(y.shape)}; must have {shape}"
            )
            assert_close(y, np.asarray(e), check_dtype=False, name=f"layout empty: output {i}")
        for i, g in enumerate(grads):
            assert g is None or np.isfinite(g).all(), f"layout empty: gradient {i} is not finite"
        return len(results) + len(grads)
    return 0
