"""What cases say: refused, right, either; and where they run.

`refused(call, errors)`: an exception of these types, with words. `right(call, values)`: these
values. `either(call, values)`: the one or the other. Anything else fails the case: another
exception, a signal, a hang.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradsmith as gs
import numpy as np

__all__ = [
    "CASES",
    "F",
    "case",
    "counted",
    "device",
    "either",
    "gs",
    "np",
    "of",
    "refused",
    "right",
    "still_works",
    "t",
]

#: (row, name) -> the function.
CASES: dict[str, Callable[[], None]] = {}
F = gs.nn.functional
device = os.environ.get("GRADSMITH_BAD_INPUTS_DEVICE", "cpu")
_checked = 0


def begin() -> None:
    """The device, and a limit of memory: what asks for absurd amounts must get an error."""
    if device == "cuda" and not gs.cuda.is_available():
        gs.cuda.use_emulator()
    if device == "cpu" or gs.cuda.is_emulated():
        # Beside what is mapped now: AddressSanitizer reserves terabytes.
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (6 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def case(row: str, name: str = "") -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Registers a case of a row."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        key = f"{row}: {name}" if name else row
        assert key not in CASES, key
        CASES[key] = function
        return function

    return register


def t(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    """A tensor of normal values."""
    values = np.random.default_rng(seed).standard_normal(shape)
    return gs.tensor(values.astype(dtype), device=device)


def of(values: Any, dtype: Any = np.float32) -> Any:
    """A tensor of these values."""
    return gs.tensor(np.array(values, dtype), device=device)


def counted(n: int = 1) -> None:
    """One more thing was checked."""
    global _checked
    _checked += n


def checked() -> int:
    """How many things were checked."""
    return _checked


def refused(call: Callable[[], Any], *errors: type[BaseException]) -> None:
    """It must raise one of the errors, with words."""
    errors = errors or (RuntimeError, ValueError, IndexError, TypeError, MemoryError)
    try:
        result = call()
        if device == "cuda":
            gs.cuda.synchronize()
    except errors as error:
        assert len(str(error)) > 10, f"no clear message: {error!r}"
        counted()
        return
    except Exception as error:
        raise AssertionError(f"{error!r} in place of {errors}") from error
    raise AssertionError(f"not refused: {result!r:.300}")


def _same(found: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True), (found, expected)


def right(call: Callable[[], Any], expected: Any) -> None:
    """It must give these values."""
    _same(call().detach().cpu().numpy(), expected)
    counted()


def either(call: Callable[[], Any], expected: Any) -> None:
    """An error with words, or these values."""
    try:
        found = call().detach().cpu().numpy()
    except (RuntimeError, ValueError, MemoryError, IndexError) as error:
        assert len(str(error)) > 10, f"no clear message: {error!r}"
    else:
        _same(found, np.broadcast_to(expected, found.shape))
    counted()


def still_works() -> None:
    """A small op after the case."""
    right(lambda: of([1.0, 2.0]) + 1.0, [2.0, 3.0])


if "harness" not in sys.modules:
    raise ImportError("cases import it as `harness`")
