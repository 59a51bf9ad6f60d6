"""Changes in place: computed out of place, then written; fill, copy, arithmetic, assignment."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..autograd.grad_mode import mode
from ..dtype import can_cast
from ..errors import call
from ..tensor import Tensor
from . import creation, elementwise, math
from .history import rebase, refuse_leaf
from .install import method
from .view import _to, expand

__all__: list[str] = []

#: Functions whose form in place is Tensor.<name>_.
_IN_PLACE = (
    *(elementwise.exp, elementwise.log, elementwise.neg),
    *(elementwise.relu, elementwise.sigmoid, elementwise.tanh),
    *(math.abs, math.addcdiv, math.addcmul, math.ceil, math.cos, math.erf, math.expm1, math.floor),
    *(math.lerp, math.log1p, math.log2, math.reciprocal, math.round, math.rsqrt, math.sin),
    *(math.sqrt, math.square, math.tan, math.trunc),
)
#: Further names of some of them.
_ALIASES = {"absolute_": math.abs, "negative_": elementwise.neg, "fix_": math.trunc}


def _change(name: str, input: Tensor, value: Tensor) -> Tensor:
    """input[...] = value, for a value computed out of place; the version goes up.

    A recorded change gives the tensor the value's history, and what it is a view of too.
    """
    _check_distinct(name, input)
    if value._data.dtype != input._data.dtype and not can_cast(value.dtype, input.dtype):
        raise RuntimeError(
            f"{name}: the result, {value.dtype.name}, cannot be written into {input.dtype.name} "
            "(use the form that is not in place)"
        )
    if len(value._data.shape) > len(input._data.shape):
        raise RuntimeError(
            f"{name}: the result must have the tensor's shape; got {tuple(value._data.shape)} for "
            f"{tuple(input._data.shape)} (use the form that is not in place)"
        )
    recorded = mode.enabled and (input._requires_grad or value._requires_grad)
    if recorded:
        value = _to(value, input.dtype)  # on the tape: the gradients take their own dtypes
        refuse_leaf(name, input)
    copy_into = input._table().copy_into
    call(name, copy_into, ("self", "value"), input._data, value._data)
    input._version[0] += 1
    if recorded:
        rebase(name, input, value)
    return input


def _check_distinct(name: str, input: Tensor) -> None:
    """Refuses memory in which several elements share one place: the last write would win."""
    data = input._data
    if any([s == 0 and n > 1 for s, n in zip(data.strides, data.shape, strict=True)]):
        raise RuntimeError(
            f"{name}: an expanded tensor cannot be changed in place, its elements share memory; "
            f"got shape {tuple(data.shape)}, stride {input.stride()} (use .clone())"
        )


@method("copy_")
def _copy_(input: Tensor, src: Any) -> Tensor:
    """Copies `src` into this tensor, broadcasting and converting."""
    if isinstance(src, Tensor):
        src = _to(src, input.device, input.dtype)
        if src._data.shape != input._data.shape:
            src = expand(src, input._data.shape)
    else:
        src = _filled(input, src)
    return _change("copy_", input, src)


@method("fill_")
def _fill_(input: Tensor, value: float) -> Tensor:
    """Sets every element to `value`."""
    return _change("fill_", input, _filled(input, value))


@method("zero_")
def _zero_(input: Tensor) -> Tensor:
    """Sets every element to 0."""
    return _change("zero_", input, _filled(input, 0.0))


def _filled(input: Tensor, value: Any) -> Tensor:
    return creation.full(
        tuple(input._data.shape), value, dtype=input.dtype, device=input._table().device
    )


@method("add_", "__iadd__")
def _add_(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """Adds alpha * other in place."""
    return _change("add_", input, elementwise.add(input, other, alpha=alpha))


@method("sub_", "__isub__", "subtract_")
def _sub_(input: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """Subtracts alpha * other in place."""
    return _change("sub_", input, elementwise.sub(input, other, alpha=alpha))


def _old(input: Tensor, other: Any) -> tuple[Tensor, Any]:
    """The operands of a change in place; where it is recorded, the gradient needs old values."""
    if not mode.enabled or not (
        input._requires_grad or (isinstance(other, Tensor) and other._requires_grad)
    ):
        return input, other
    old = Tensor._make(input._table().convert(input._data, input._data.dtype))
    old._requires_grad = input._requires_grad
    old._node = input._node
    return old, old if other is input else other


def old_of(input: Tensor) -> Tensor:
    """The tensor, or, where its change in place will be recorded, a copy of what it holds now."""
    return _old(input, None)[0]


def write(name: str, input: Tensor, y: Tensor) -> Tensor:
    """y, written into input for `inplace=True`."""
    return _change(name, input, y)


def in_place(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Installs Tensor.<name>: what `function` of the tensor computes, written into it."""

    @wraps(function)
    def change(input: Tensor, *args: Any, **options: Any) -> Tensor:
        recorded = [a for a in args if isinstance(a, Tensor) and a._requires_grad]
        old, _ = _old(input, recorded[0] if recorded else None)
        others = [old if a is input else a for a in args]
        y = function(old, *others, **options)
        if y.dtype.is_floating_point and not input.dtype.is_floating_point:
            raise RuntimeError(
                f"{name}: the result, {y.dtype}, cannot be written into {input.dtype} "
                f"(use the form that is not in place)"
            )
        return _change(name, input, y)

    change.__name__ = name
    change.__doc__ = f"Like {name[:-1]}, in place."
    setattr(Tensor, name, change)
    return change


@method("mul_", "__imul__", "multiply_")
def _mul_(input: Tensor, other: Any) -> Tensor:
    """Multiplies by other in place."""
    old, other = _old(input, other)
    return _change("mul_", input, old * other)


@method("div_", "__itruediv__", "divide_", "true_divide_")
def _div_(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Divides by other in place."""
    old, other = _old(input, other)
    return _change("div_", input, elementwise.div(old, other, rounding_mode=rounding_mode))


for _function in _IN_PLACE:
    in_place(_function.__name__ + "_", _function)
for _name, _function in _ALIASES.items():
    in_place(_name, _function)
