"""docs/accuracy.md: complete, explained, and still true: a sample of its rows is measured again."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from gradsmith.autograd.op import OPS
from gradsmith.testing.accuracy.measuring import error_of
from gradsmith.testing.accuracy.page import FLOOR, needs_reason, read, run, why
from gradsmith.testing.accuracy.ranges import RANGES
from gradsmith.testing.accuracy.reasons import NO_DTYPE, NO_ROWS
from gradsmith.testing.accuracy.rows import SAMPLES, case, float_ops
from gradsmith.testing.opdb import op_infos

PAGE = Path(__file__).resolve().parents[1] / "docs/accuracy.md"
ROWS = read(PAGE.read_text()) if PAGE.exists() else {}
#: How many rows are measured again; all with --full.
COUNT = 150
needs_page = pytest.mark.skipif(not PAGE.exists(), reason="no docs/ here")


@needs_page
def test_every_op_has_rows() -> None:
    """In float32 and float64, on the samples and on each hard range; or a reason why not."""
    missing = []
    for name, info in float_ops().items():
        for dtype in ("float32", "float64"):
            if (name, dtype) in NO_DTYPE:
                continue
            wanted = [SAMPLES, *(r.name for r in RANGES.get(name, ()) if dtype in r.dtypes)]
            missing += [(name, dtype, r) for r in wanted if (name, dtype, r) not in ROWS]
        assert info.name == name
    ops = "|".join(sorted({name for name, _, _ in missing}))
    command = f"python -m gradsmith.testing.accuracy --write docs/accuracy.md --ops '^({ops})$'"
    assert not missing, f"run {command} (with PyTorch installed)"


def test_every_record_is_covered() -> None:
    """Each op record is run by an op of the table, or by one that has a reason."""
    names = {info.name for info in op_infos()}
    assert set(NO_ROWS) <= names and {op for op, _ in NO_DTYPE} <= names and set(RANGES) <= names
    covered = {c for info in op_infos() for c in info.covers}
    assert set(OPS) <= covered


@needs_page
def test_no_row_is_unexplained() -> None:
    """More than twice PyTorch's error: with a reason in the row."""
    for row in ROWS.values():
        if needs_reason(row):
            reason = why(row)
            assert reason and reason in row.note, row


@needs_page
def test_rows_are_still_true(full: bool) -> None:
    """Errors do not exceed what the page says, but for what another processor's build may add."""
    keys = [key for key in sorted(ROWS) if key[1] in ("float32", "float64")]
    heavy = ("1e6", "32000", "1e5", "4096", "10000", "1000 x 1000")
    if not full:
        keys = [key for key in keys if not any(word in key[2] for word in heavy)]
        keys = random.Random(0).sample(keys, COUNT)
    worse = []
    for key in keys:
        row = ROWS[key]
        found = run(case(*key), most=None if full else 4000)
        assert found is not None
        allowed = 1.5 * max(row.ours, _other_builds(row.note)) + (0.5 if row.ours else 0.0)
        if not found.ours <= allowed:
            worse.append((key, found.ours, row.ours))
    assert not worse, worse


def _other_builds(note: str) -> float:
    """The largest error that a row's note gives for another build."""
    parts = [part.split(": ") for part in note.split("; ") if part.startswith(("v", "neon"))]
    return max((float(value) for _, value in parts), default=0.0)


def test_errors_are_counted_in_units_of_the_last_place() -> None:
    one = np.longdouble(1)
    for dtype, bits in (("float64", 52), ("float32", 23), ("float16", 10), ("bfloat16", 7)):
        unit = one * np.longdouble(2) ** -bits
        assert error_of(one + 2 * unit, one, 1, dtype, "ulp") == 2
        assert error_of(-(one + unit), -one, 1, dtype, "ulp") == 1
        assert error_of(one + 2 * unit, one, 4, dtype, "sum") == 0.5
        assert error_of(np.nan, one, 1, dtype, "ulp") == np.inf
        assert error_of(one, np.longdouble(np.nan), 1, dtype, "ulp") == np.inf
        assert error_of(np.inf, one, 1, dtype, "ulp") == np.inf
        assert error_of(np.nan, np.longdouble(np.nan), 1, dtype, "ulp") == 0
    tiny = np.longdouble(np.finfo(np.float32).smallest_subnormal)
    assert error_of(3 * tiny, tiny, 1, "float32", "ulp") == 2
    assert FLOOR == 1.0
