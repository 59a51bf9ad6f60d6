"""The benchmark's cases for pytest-benchmark: speed over time, saved and compared.

    pytest -n 0 benchmarks/test_benchmarks.py -k quick --benchmark-save=NAME
    pytest -n 0 benchmarks/test_benchmarks.py -k quick --benchmark-compare
    pytest -n 0 benchmarks/test_benchmarks.py -k "relu and training"

Default `pytest` does not come here. No time is asserted; with `--benchmark-disable` each case runs
once.
"""

from __future__ import annotations

from typing import Any

import pytest
from gradsmith import get_num_threads
from gradsmith.benchmarks.case import Case
from gradsmith.benchmarks.cases import GROUPS, select
from gradsmith.benchmarks.engines import Local
from gradsmith.benchmarks.results import OURS

CASES = select(tuple(GROUPS))


@pytest.fixture(scope="module")
def engine() -> Any:
    """gradsmith in this process."""
    return Local(OURS, get_num_threads())


@pytest.mark.parametrize(
    "case, kind",
    [
        pytest.param(case, kind, id=f"{case.label}-{kind}{'-quick' * case.quick}")
        for case, kind in CASES
    ],
)
def test_case(benchmark: Any, engine: Local, case: Case, kind: str) -> None:
    """One case in one pass."""
    benchmark.group = case.family
    engine.prepare(case, kind, seconds=0.0)
    benchmark(engine.calls["default"])
    engine.close()
