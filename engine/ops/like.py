"""Tensors like another one: new_full, new_tensor, view_as, mT; questions about values."""

from __future__ import annotations

from typing import Any

from ..dtype import bool_, get_default_dtype
from ..tensor import Tensor
from . import compare, creation, elementwise, math
from .install import method
from .operands import need_tensors, own_errors
from .view import transpose

__all__ = [
    *("allclose", "equal", "is_complex", "is_nonzero", "is_same_size", "is_signed", "isclose"),
    "numel",
]


@method("new_full")
def _new_full(
    input: Tensor,
    size: Any,
    fill_value: float,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of another size, of one value; of this one's dtype and device unless given."""
    return creation.full(
        size,
        fill_value,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@method("new_empty")
def _new_empty(
    input: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of another size, its values not to be relied on; of this one's dtype and device."""
    return creation.empty(
        *size,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@method("new_tensor")
def _new_tensor(
    input: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of data, of this one's dtype and device unless given."""
    return creation.tensor(
        data,
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


@method("view_as")
def _view_as(input: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of other, as view."""
    return input.view(*other.shape)


def _matrix_transpose(input: Tensor) -> Tensor:
    """A view with the last two dimensions exchanged."""
    if input.ndim < 2:
        raise RuntimeError(f"mT: at least 2 dimensions; got shape {tuple(input.shape)}")
    return transpose(input, -2, -1)


Tensor.mT = property(_matrix_transpose)  # type: ignore[attr-defined]


@method("equal")
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements (NaN equals nothing).

    Raises:
        TypeError: something else than tensors.
    """
    need_tensors("equal", input=input, other=other)
    if input.shape != other.shape:
        return False
    return not input.numel() or not _any(compare.ne(input, other))


@method("isclose")
def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """Where two tensors are equal to within a tolerance, element by element; bool.

    Formula: y = |input - other| <= atol + rtol |other|; infinities only equal themselves

    Shape: what both broadcast to.

    Args:
        rtol, atol: >= 0.
        equal_nan: whether NaN is close to NaN.

    Raises:
        TypeError: something else than tensors.
        RuntimeError: tensors of two dtypes; a negative tolerance; shapes that do not broadcast.
    """
    need_tensors("isclose", input=input, other=other)
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"isclose: both tensors must be of one dtype; got {input.dtype}, {other.dtype}"
        )
    if not (rtol >= 0 and atol >= 0):
        raise RuntimeError(f"isclose: rtol and atol must be >= 0; got {rtol}, {atol}")
    input, other = input.detach(), other.detach()
    close = compare.eq(input, other)
    if input.dtype.is_floating_point:
        if equal_nan:
            both = compare.logical_and(compare.isnan(input), compare.isnan(other))
            close = compare.logical_or(close, both)
    else:
        input, other = (t.to(get_default_dtype()) for t in (input, other))
    if rtol == 0 and atol == 0:
        return close
    error = math.abs(elementwise.sub(input, other))
    bound = elementwise.add(math.abs(elementwise.mul(other, rtol)), atol)
    near = compare.logical_and(compare.isfinite(error), compare.le(error, bound))
    return compare.logical_or(close, near)


@own_errors
@method("allclose")
def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements are close; as isclose."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())  # type: ignore[attr-defined]


@method("is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape.

    Raises:
        TypeError: something else than tensors.
    """
    need_tensors("is_same_size", input=input, other=other)
    return tuple(input._data.shape) == tuple(other._data.shape)


def _any(flags: Tensor) -> bool:
    """Whether some element of a bool tensor is true."""
    return bool(flags.float().sum().item() > 0)


@method("__contains__")
def _contains(input: Tensor, element: Any) -> bool:
    """Whether some element equals a number, or a tensor that broadcasts with this one."""
    if not isinstance(element, (Tensor, int, float)):
        raise RuntimeError(
            f"contains: the element must be a number or a tensor; got {type(element).__name__}"
        )
    return input.numel() > 0 and _any(compare.eq(input, element))


def numel(input: Tensor) -> int:
    """The number of elements."""
    need_tensors("numel", input=input)
    return input.numel()


@method("is_nonzero")
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of a tensor is not 0.

    Raises:
        RuntimeError: a tensor of several elements.
    """
    need_tensors("is_nonzero", input=input)
    return bool(input)


@method("is_complex")
def is_complex(input: Tensor) -> bool:
    """Whether the tensor's dtype is complex; gradsmith has none."""
    need_tensors("is_complex", input=input)
    return False


@method("is_signed")
def is_signed(input: Tensor) -> bool:
    """Whether the tensor's dtype has negative numbers."""
    need_tensors("is_signed", input=input)
    return input.dtype is not bool_ and input.dtype.is_signed
