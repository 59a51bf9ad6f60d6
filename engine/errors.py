"""What a kernel's refusal says: from a Fault's (kernel, kind, details...) to words.

Kernels check cheaply and answer with a code; the wording, which needs shapes and names, is composed
here and only when something is wrong. The form is `op: rule; got values (fix)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._cpu import Fault

__all__ = ["Fault", "call", "word"]


def _described(names: Sequence[str], inputs: Sequence[Any]) -> str:
    """`x (2, 3) float32, y (4,) float32`."""
    parts = []
    for i, value in enumerate(inputs):
        name = names[i] if i < len(names) else f"{names[-1] if names else 'input'}[{i}]"
        if hasattr(value, "shape"):
            parts.append(f"{name} {tuple(value.shape)} {value.dtype}")
        elif isinstance(value, list) and all(hasattr(a, "shape") for a in value):
            listed = [f"{tuple(a.shape)} {a.dtype}" for a in value[:8]]
            listed += ["..."] * (len(value) > 8)
            parts.append(f"{name} [{', '.join(listed)}]")
        elif value is not None:
            parts.append(f"{name} {value!r}")
    return ", ".join(parts)


def word(
    fault: Fault,
    name: str,
    input_names: Sequence[str],
    inputs: Sequence[Any],
    options: Sequence[Any] = (),
) -> Exception:
    """The exception that says what `fault` means for op `name` on these arrays."""
    kernel, kind, *detail = fault.args
    got = _described(input_names, inputs)
    if kind == "broadcast":
        return RuntimeError(
            f"{name}: shapes must match or broadcast (each dimension equal, or 1); got {got}"
        )
    if kind == "not_array":
        devices = {
            "cpu" if type(a).__module__.startswith("numpy") else "cuda"
            for a in inputs
            if hasattr(a, "shape")
        }
        if len(devices) > 1:
            return RuntimeError(
                f"{name}: inputs must be on one device; got {got} on {sorted(devices)} "
                "(move them with .to(device))"
            )
        argument, type_name = detail[0]
        return TypeError(f"{name}: {argument} must be a tensor; got {type_name}")
    if kind == "dtype_mismatch":
        return RuntimeError(
            f"{name}: inputs must be of one dtype; got {got} (convert with .to(dtype))"
        )
    if kind == "dtype":
        flat = [a for v in inputs for a in (v if isinstance(v, list) else [v])]
        dtypes = sorted({str(a.dtype) for a in flat if hasattr(a, "dtype")})
        wanted = [str(o) for o in options if isinstance(o, np.dtype)]
        which = f" for {', '.join(dtypes)}" if dtypes else " for this dtype"
        which += f" to {wanted[0]}" if dtypes and wanted else ""
        return NotImplementedError(f"{name}: kernel {kernel} has no version{which}; got {got}")
    if kind == "index":
        value, limit = detail[0]
        return IndexError(f"{name}: index out of range: must be in [0, {limit}); got {value}")
    if kind == "range":
        argument = input_names[detail[0]] if detail[0] < len(input_names) else "input"
        return RuntimeError(f"{name}: all elements of {argument} must be between 0 and 1")
    if kind == "zero_division":
        return RuntimeError(f"{name}: ZeroDivisionError: an integer was divided by 0; got {got}")
    if kind == "ndim":
        return RuntimeError(f"{name}: at most 16 dimensions; got {detail[0]}")
    if kind == "size":
        return RuntimeError(
            f"{name}: the result has more elements than 63 bits can count; got {got}"
        )
    if kind == "read_only":
        return ValueError(f"{name}: {detail[0]} is read-only memory; make a copy with .clone()")
    if kind == "not_contiguous":
        return RuntimeError(f"{name}: {detail[0]} must be contiguous (call .contiguous())")
    return RuntimeError(f"{name}: shapes do not fit together; got {got}")


def call(name: str, kernel: Any, input_names: Sequence[str], *args: Any) -> Any:
    """kernel(*args) for what is no op (creation, changes in place), its refusal in words."""
    try:
        return kernel(*args)
    except Fault as fault:
        raise word(fault, name, input_names, args[: len(input_names)]) from None
