"""What the property tests share: how many examples run, and integers to run them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import conftest
import gradsmith as gs
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: With --full so many times as many.
_FULL = 25


def examples(count: int) -> Callable[[Any], Any]:
    """The same `count` examples in every run, by the test's own name; more with --full."""
    return settings(
        max_examples=count * (_FULL if conftest._full else 1),
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


seeds = st.integers(0, 2**32 - 1)
device_examples = st.sampled_from(("cpu", "cpu", "cpu", "cuda"))


def integers(seed: int, *shape: int, low: int = -4, high: int = 5, dtype: Any = np.float32) -> Any:
    """Small integers: what is computed from them is exact, and compared so."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def normal(seed: int, *shape: int, dtype: Any = np.float64) -> Any:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def same(got: Any, expected: Any) -> None:
    """Equal in shape and every element."""
    a, b = (t.detach().cpu().numpy() if isinstance(t, gs.Tensor) else t for t in (got, expected))
    np.testing.assert_array_equal(a, b, strict=True)


def close(got: Any, expected: Any, bound: float) -> None:
    """Within `bound`, relative to the largest element."""
    a, b = (t.detach().cpu().numpy() if isinstance(t, gs.Tensor) else t for t in (got, expected))
    assert a.shape == b.shape
    largest = float(np.max(np.abs(b), initial=1.0))
    assert (np.abs(a - b) <= bound * largest).all(), f"{np.abs(a - b).max()} of {largest}"
