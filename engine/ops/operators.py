"""Tensor's operators of comparison and logic, and the forms of them that change in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtype import float64
from ..tensor import Tensor
from . import arithmetic, choose, compare, scan
from .inplace import _change, in_place
from .install import method

__all__: list[str] = []


def _is_operand(value: Any) -> bool:
    return isinstance(value, (Tensor, int, float, np.ndarray, np.generic))


def _compared(function: Callable[..., Tensor], name: str, symbol: str) -> None:
    """Installs a comparison as an operator: False from == for what is no operand, as in Python."""

    def operator(input: Tensor, other: Any) -> Any:
        return function(input, other) if _is_operand(other) else NotImplemented

    operator.__name__ = name
    operator.__doc__ = f"input {symbol} other, element by element."
    method(name)(operator)


_compared(compare.eq, "__eq__", "==")
_compared(compare.ne, "__ne__", "!=")
_compared(compare.lt, "__lt__", "<")
_compared(compare.le, "__le__", "<=")
_compared(compare.gt, "__gt__", ">")
_compared(compare.ge, "__ge__", ">=")


def _bits(function: Callable[..., Tensor], name: str, symbol: str) -> None:
    """Installs a bitwise operator, from either side and in place."""

    def operator(input: Tensor, other: Any) -> Any:
        return function(input, other) if _is_operand(other) else NotImplemented

    def reflected(input: Tensor, other: Any) -> Any:
        return function(other, input) if _is_operand(other) else NotImplemented

    def in_place(input: Tensor, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        return _change(f"__i{name}__", input, function(input, other))

    operator.__doc__ = f"input {symbol} other."
    reflected.__doc__ = f"other {symbol} input."
    in_place.__doc__ = f"input {symbol}= other."
    method(f"__{name}__")(operator)
    method(f"__r{name}__")(reflected)
    method(f"__i{name}__")(in_place)


_bits(compare.bitwise_and, "and", "&")
_bits(compare.bitwise_or, "or", "|")
_bits(compare.bitwise_xor, "xor", "^")
_bits(compare.bitwise_left_shift, "lshift", "<<")
_bits(compare.bitwise_right_shift, "rshift", ">>")


def _with_other(name: str) -> None:
    """Installs `name_`, which writes what `name` gives with another operand."""
    function = getattr(compare, name)

    def written(input: Tensor, other: Any) -> Tensor:
        return _change(f"{name}_", input, function(input, other))

    written.__doc__ = f"As {name}, in place; the result takes this tensor's dtype."
    method(f"{name}_")(written)


for _name in (
    *("eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater"),
    *("greater_equal", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or"),
    *("bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"),
):
    _with_other(_name)


@method("logical_not_")
def _logical_not_(input: Tensor) -> Tensor:
    """As logical_not, in place; the result takes this tensor's dtype."""
    return _change("logical_not_", input, compare.logical_not(input))


@method("bitwise_not_")
def _bitwise_not_(input: Tensor) -> Tensor:
    """As bitwise_not, in place."""
    return _change("bitwise_not_", input, compare.bitwise_not(input))


@method("sign_", "sgn_")
def _sign_(input: Tensor) -> Tensor:
    """As sign, in place."""
    return _change("sign_", input, choose.sign(input))


@method("masked_fill_")
def _masked_fill_(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """Sets the elements where the mask holds to `value`; the mask broadcasts to this tensor."""
    return _change("masked_fill_", input, choose.masked_fill(input, mask, value))


@method("clamp_", "clip_")
def _clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """As clamp, in place."""
    return _change("clamp_", input, choose.clamp(_kept(input), min, max))


@method("clamp_min_")
def _clamp_min_(input: Tensor, min: Any) -> Tensor:
    """As clamp_min, in place."""
    return _change("clamp_min_", input, choose.clamp(_kept(input), min=min))


@method("clamp_max_")
def _clamp_max_(input: Tensor, max: Any) -> Tensor:
    """As clamp_max, in place."""
    return _change("clamp_max_", input, choose.clamp(_kept(input), max=max))


def _kept(input: Tensor) -> Tensor:
    """The tensor; where the change is recorded, its old values, which the gradient needs."""
    from .inplace import _old

    return _old(input, None)[0]


for _name in ("floor_divide", "remainder", "fmod", "pow"):
    in_place(f"{_name}_", getattr(arithmetic, _name))
for _name in ("cumprod", "cumsum"):
    in_place(f"{_name}_", getattr(scan, _name))


@method("float_power_")
def _float_power_(input: Tensor, exponent: Any) -> Tensor:
    """As float_power, in place; of float64 alone."""
    if input.dtype is not float64:
        raise RuntimeError(f"float_power_: the result is float64; the tensor is {input.dtype}")
    return _change("float_power_", input, arithmetic.float_power(_kept(input), exponent))


Tensor.__ifloordiv__ = Tensor.floor_divide_  # type: ignore[attr-defined]
Tensor.__imod__ = Tensor.remainder_  # type: ignore[attr-defined]
Tensor.__ipow__ = Tensor.pow_  # type: ignore[attr-defined]
