"""Anomaly mode: a backward pass that fails or makes a NaN names the op, and the line it is from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor
from .dispatch import set_on_record

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled"]
__all__ += ["set_detect_anomaly"]

_PACKAGE = str(Path(__file__).resolve().parents[1])


class _Mode:
    on = False
    check_nan = True


_mode = _Mode()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return _mode.on


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN in gradients."""
    return _mode.on and _mode.check_nan


def checks_nan() -> bool:
    """As is_anomaly_check_nan_enabled; what the backward pass asks."""
    return _mode.on and _mode.check_nan


def _set(on: bool, check_nan: bool) -> None:
    _mode.on, _mode.check_nan = on, check_nan
    set_on_record(_note if on else None)


class set_detect_anomaly:
    """Sets anomaly mode, at once and, as a context manager, until the block ends.

    While it is on, each recorded op notes where it was called (slow: for finding faults), and a
    backward pass that makes a NaN stops with the op and that place.

    Args:
        mode: on or off.
        check_nan: look for NaN in every gradient.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = (_mode.on, _mode.check_nan)
        _set(bool(mode), bool(check_nan))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _set(*self._before)


class detect_anomaly:
    """In its block anomaly mode is on: see set_detect_anomaly.

    Raises (in backward):
        RuntimeError: "... returned nan values in its gradient 0 ... made at: file, line, code".
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = bool(check_nan)
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((_mode.on, _mode.check_nan))
        _set(True, self._check_nan)

    def __exit__(self, *_: object) -> None:
        _set(*self._before.pop())


def _note(node: Any) -> None:
    """Keeps where the user's code made the node: the frames outside this package."""
    import traceback

    frames = traceback.extract_stack(sys._getframe(1))
    own = [f for f in frames if not f.filename.startswith(_PACKAGE)]
    node.trace = "".join(traceback.format_list(own[-5:] or frames[-5:]))


def _place(node: Any) -> str:
    trace = getattr(node, "trace", None)
    if trace is None:
        return "it was recorded while anomaly mode was off"
    return f"it was made at:\n{trace.rstrip()}"


def explain(node: Any, error: BaseException) -> None:
    """Adds to an error of the node's backward where the node was made, in anomaly mode."""
    if _mode.on:
        error.args = (f"{error} (backward of {node.op.name}; {_place(node)})", *error.args[1:])


def check(node: Any, grads: Sequence[Any]) -> None:
    """Raises if a gradient of the node's inputs has a NaN.

    Raises:
        RuntimeError: naming the op, the input and the line.
    """
    for i, g in enumerate(grads):
        array = g._data if isinstance(g, Tensor) else g
        if array is None or not array.size:
            continue
        # A maximum is NaN if an element is.
        k = TABLE_OF_ARRAY[type(array)]
        most = k.amax(array, tuple(range(array.ndim)), ())
        value = k.transfer(most, "cpu").item()
        if value != value:
            names = getattr(node.op, "inputs", ())
            name = f" ({names[i]})" if i < len(names) else ""
            raise RuntimeError(
                f"backward: {node.op.name} returned nan values in its gradient {i}{name}; "
                f"{_place(node)}"
            )
