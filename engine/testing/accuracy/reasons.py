"""Why an op has no rows, and why a row may be further off than PyTorch's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .rows import Case

__all__ = ["NO_DTYPE", "NO_ROWS", "REASONS", "reason_for"]

_LOGICAL = "the result is of truth values or whole numbers"

#: Sample records without rows.
NO_ROWS: dict[str, str] = {
    name: _LOGICAL
    for name in (
        "eq ne lt le gt ge isnan isinf isfinite isposinf isneginf logical_and logical_or "
        "logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_left_shift "
        "bitwise_right_shift bitwise_not integer_floor_divide integer_remainder integer_fmod "
        "integer_pow integer_add integer_sub integer_mul integer_neg integer_abs argmax argmin any "
        "all index_flat flat_along nonzero one_hot argsort topk_order matmul_integers"
    ).split()
}

NO_ROWS["einsum_12"] = "its samples are empty"

_LAPACK = "LAPACK's, through NumPy: there is no second source of more digits"
#: Dtypes without rows.
NO_DTYPE: dict[tuple[str, str], str] = {
    (name, "float64"): _LAPACK
    for name in (
        "linalg_inv linalg_solve linalg_det slogdet linalg_cholesky linalg_svd linalg_pinv "
        "linalg_matrix_norm linalg_norm"
    ).split()
}

#: (op, dtype, range), as patterns of whole words -> why ours is more than twice PyTorch's.
REASONS: dict[tuple[str, str, str], str] = {
    ("expm1", "float64", ".*"): "one polynomial and two sums with their losses: at most 1.2",
    ("tan", "float64", ".*"): "the quotient of two series, corrected to first order: at most 1.4",
    ("sin|cos", "float32", ".*"): "by tables, one sum of products in float32: at most 1.5",
    ("gelu", ".*", ".*"): "at most 4; by tanh 4 and 6 times its argument",
    ("tanhshrink", ".*", ".*"): "the formula as PyTorch's: x - tanh(x) cancels at small x",
    ("silu|mish", ".*", ".*"): "a subnormal times x keeps few digits",
    (
        "softmax|softmin",
        ".*",
        ".*",
    ): "rounding x - max by one unit moves its exponential by x - max units",
    ("addcmul", ".*", "x = -a b, nearly"): (
        "the product is rounded before it is added, as in NumPy; PyTorch's is not"
    ),
    ("cdist", "b?float16", ".*"): "rounded to 16 bits once, from float32",
    ("cdist", ".*", "close.*"): "by the matrix product, as PyTorch, with more than 25 points",
    ("conv[23]d|conv_transpose2d", "float32", "samples|C = .* (3 x 3|5 x 5).*"): (
        'Winograd\'s algorithm; `gradsmith.backends.cpu.conv_precision = "exact"` sums in order'
    ),
    ("conv_transpose2d", "float64", "C = 64, 3 x 3, padded"): (
        "one chain over channels and taps; PyTorch's are shorter: channels, then taps"
    ),
    ("prod|cumprod", ".*", ".*"): "n factors, each rounded",
    ("sum|mean", "float64", "samples"): (
        "19 equal terms of an expanded row: one chain, whose roundings all go one way"
    ),
}


def reason_for(case: Case) -> str:
    """Why a row may be further off than PyTorch's; empty: it may not."""
    for (op, dtype, range), reason in REASONS.items():
        words = ((op, case.op), (dtype, case.dtype), (range, case.range))
        if all(re.fullmatch(pattern, word) for pattern, word in words):
            return reason
    return ""
