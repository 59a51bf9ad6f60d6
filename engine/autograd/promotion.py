"""What is tried when a kernel refuses dtypes: promotion, and float16 by way of float32.

Nothing here runs while an op's inputs suit its kernel.

Promotion: operands (`a|` in an op's record) that differ in dtype become what torch.result_type
gives. Half: a kernel that has no float16 or bfloat16 gets its inputs as float32, and its float32
results are rounded back once: float32 sums, one rounding. The conversions are ops on the tape, so
that gradients of any order need nothing of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtype import (
    bool_,
    combined_dtype,
    dtype_of_number,
    float32,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from ..dtype import dtype as DType
from ..errors import Fault
from ..kernels import TABLE_OF_ARRAY
from ..tensor import Tensor

__all__ = [
    "FLOATING",
    "THROUGH_INT64",
    "WHOLE",
    "added",
    "floated",
    "halves",
    "narrowed",
    "of_integers",
    "promoted",
    "refuse_bools",
    "result_dtype",
    "widened",
]


def result_dtype(values: Sequence[Any]) -> DType:
    """The dtype of an op on tensors and Python numbers, as torch.result_type gives it."""
    dimensioned = zero_dim = number = None
    for value in values:
        if isinstance(value, Tensor):
            dtype = value.dtype
            if value._data.shape:
                dimensioned = promote_types(dimensioned, dtype) if dimensioned else dtype
            else:
                zero_dim = promote_types(zero_dim, dtype) if zero_dim else dtype
        else:
            dtype = dtype_of_number(value)
            number = promote_types(number, dtype) if number else dtype
    found = combined_dtype(dimensioned, zero_dim, number)
    if found is None:
        raise TypeError("result_type: needs at least one tensor or number")
    return found


def promoted(inputs: Sequence[Any], promotes: Sequence[bool]) -> tuple[Any, ...] | None:
    """The inputs with the operands among them in one dtype, on one device; None: nothing to do.

    NumPy's arrays become tensors here, its scalars numbers; arrays and 0-dim CPU tensors go to the
    device of the others.
    """
    values = list(inputs)
    for i, t in enumerate(inputs):
        if isinstance(t, np.generic):  # NumPy's scalars stand as Python's numbers do
            values[i] = t.item()
        elif isinstance(t, np.ndarray):
            values[i] = Tensor._make(t)
    operands = [v for v, flag in zip(values, promotes, strict=True) if flag]
    if not all(isinstance(v, (Tensor, bool, int, float)) for v in operands):
        return None
    dtype = result_dtype(operands)
    device = next((t.device for t in values if isinstance(t, Tensor) and t.is_cuda), None)
    for i, t in enumerate(values):
        if not isinstance(t, Tensor):
            continue
        if promotes[i]:
            t = t.to(dtype)
        if device is not None and (not t._data.shape or isinstance(inputs[i], np.ndarray)):
            t = t.to(device)
        values[i] = t
    unchanged = all(a is b for a, b in zip(values, inputs, strict=True))
    return None if unchanged else tuple(values)


def refuse_bools(inputs: Sequence[Any]) -> None:
    """Raises RuntimeError for a difference in which bool tensors take part."""
    if any(isinstance(t, Tensor) and t.dtype is bool_ for t in inputs):
        raise RuntimeError(
            "sub: bool tensors have no difference (use ^ or logical_xor, or ~ for 1 - x)"
        )


#: Ops whose result on integers and bools is of the default floating-point dtype.
FLOATING = frozenset(
    (
        *("div", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt"),
        *("reciprocal", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
        *("asinh", "acosh", "atanh", "sigmoid", "erf", "erfc", "erfinv", "lgamma", "digamma"),
        *("softsign", "tanhshrink"),
    )
)


def floated(inputs: Sequence[Any]) -> tuple[Any, ...] | None:
    """Integer and bool tensors among the inputs in the default dtype; None: there are none."""
    result = [
        t.to(get_default_dtype()) if isinstance(t, Tensor) and not t.dtype.is_floating_point else t
        for t in inputs
    ]
    return None if all(a is b for a, b in zip(result, inputs, strict=True)) else tuple(result)


#: What ops without an integer kernel are on integers and bools, by ops that have one.
WHOLE: dict[str, Any] = {
    "floor": lambda k, x: k.convert(x, x._data.dtype),
    "ceil": lambda k, x: k.convert(x, x._data.dtype),
    "trunc": lambda k, x: k.convert(x, x._data.dtype),
    "round": lambda k, x: k.convert(x, x._data.dtype),
    "relu": lambda k, x: k.maximum(x, 0),
    "square": lambda k, x: k.pow(x, 2),
    "addcmul": lambda k, x, a, b, value: k.add(x, k.mul(k.mul(a, b), int(value))),
}

#: Sums and products of small integers: in int64, and back.
THROUGH_INT64 = frozenset(
    ("sum", "prod", "cumsum", "cumprod", "index_sum", "scatter_sum", "matmul", "linear")
)


def of_integers(k: Any, name: str, inputs: Sequence[Any], options: tuple[Any, ...]) -> Any:
    """An op on integers that its kernel refused, by other ops (k); None: it is not that."""
    x = inputs[0]
    if not isinstance(x, Tensor) or x.dtype.is_floating_point:
        return None
    if name == "linear":
        columns = k.permute(inputs[1], (1, 0))
        y = k.matmul(x, columns, None, *options)
        return y if inputs[2] is None else k.add(y, inputs[2])
    if name in THROUGH_INT64:
        if x.dtype is int64 or (name == "matmul" and x.dtype is bool_):
            return None
        wide = [t.to(int64) if isinstance(t, Tensor) else t for t in inputs]
        return getattr(k, name)(*wide, *options).to(x.dtype)
    if (
        (x.dtype is bool_ and name != "square")
        or any(isinstance(t, Tensor) and t.dtype.is_floating_point for t in inputs)
        or any(not float(v).is_integer() for v in options)
    ):
        return None
    return WHOLE[name](k, *inputs, *options)


# ---- float16 and bfloat16 ----


def _is_half(array: Any) -> bool:
    dtype = getattr(array, "dtype", None)
    return dtype is not None and dtype.itemsize == 2 and dtype.name in ("float16", "bfloat16")


def halves(arrays: Sequence[Any]) -> Any:
    """The one 16-bit floating dtype among the arrays, and lists of them; None if there is none."""
    for array in arrays:
        if isinstance(array, (list, tuple)):
            found = halves(array)
            if found is not None:
                return found
        elif _is_half(array):
            return array.dtype
    return None


_FLOAT32 = np.dtype(np.float32)


def widened(values: Sequence[Any]) -> tuple[Any, ...]:
    """Half tensors and arrays as float32, in lists too; what else there is as it is."""
    result = []
    for value in values:
        if isinstance(value, Tensor):
            if _is_half(value._data):
                value = value.to(float32)
        elif isinstance(value, (list, tuple)) and halves(value) is not None:
            value = type(value)(widened(value))
        elif _is_half(value):
            value = TABLE_OF_ARRAY[type(value)].convert(value, _FLOAT32)
        result.append(value)
    return tuple(result)


def narrowed(values: Sequence[Any], half: Any) -> tuple[Any, ...]:
    """float32 tensors and arrays rounded to the half dtype; what else there is as it is."""
    result = []
    for value in values:
        if isinstance(value, Tensor):
            if value._data.dtype == _FLOAT32:
                value = value.to(from_numpy_dtype(half))
        elif getattr(value, "dtype", None) == _FLOAT32:
            value = TABLE_OF_ARRAY[type(value)].convert(value, half)
        result.append(value)
    return tuple(result)


def added(a: Any, b: Any) -> Any:
    """The sum of two gradients, arrays of one dtype."""
    k = TABLE_OF_ARRAY[type(a)]
    try:
        return k.add(a, b)
    except Fault:
        if not _is_half(a):
            raise
        return k.convert(k.add(*widened((a, b))), a.dtype)
