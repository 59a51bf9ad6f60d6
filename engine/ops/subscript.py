"""Indexing and assignment: ints, slices, None, ..., masks and arrays of indices, in any mixture."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..autograd.dispatch import _record, apply
from ..autograd.grad_mode import mode
from ..dtype import bool_, int64, uint8
from ..errors import call
from ..tensor import Tensor
from . import creation, shapes
from .history import rebase, refuse_leaf
from .index import (
    flat_nonzero,
    index_add,
    index_copy,
    index_fill,
    index_flat_,
    index_sum_,
    put_,
    scatter,
    scatter_add,
    take_,
    tril,
    triu,
)
from .inplace import _change, _check_distinct, _copy_, in_place
from .install import method
from .operands import own_errors
from .view import clone, expand, permute_, reshape, reshape_, slice_

__all__ = ["index_put"]

_BASIC = (int, slice, type(None), type(Ellipsis))


def _is_basic(key: Any) -> bool:
    """Whether ints, slices, None and ... are all there is."""
    kind = type(key)
    if kind is tuple:
        return all([type(item) in _BASIC for item in key])
    return kind in _BASIC


def _basic(input: Tensor, key: Any) -> Tensor:
    """A view."""
    start, step, sliced, result = shapes.index("index", tuple(input._data.shape), key)
    if not sliced:  # indexing a 0-dim array gives a scalar, not a view
        return apply(reshape_, (input,), (result,))
    y = apply(slice_, (input,), (start, step, sliced))
    return y if sliced == result else apply(reshape_, (y,), (result,))


class _Places(NamedTuple):
    """What an index with arrays means: `view` of the tensor, indexed along `dim` by `flat`.

    result is the shape of what it names: the view's with dim replaced by the indices' shape.
    """

    view: Tensor
    dim: int
    flat: Tensor
    result: tuple[int, ...]


def _items(input: Tensor, key: Any) -> list[Any]:
    """The parts of a key: numbers as ints, arrays and lists as tensors, masks of bools."""
    items: list[Any] = []
    for item in key if isinstance(key, tuple) else (key,):
        if type(item) in _BASIC:
            items.append(item)
            continue
        if isinstance(item, (bool, np.bool_)):
            item = creation.tensor(bool(item), device=input.device)
        elif isinstance(item, (list, tuple, range)):
            item = creation.tensor(list(item), device=input.device)
            item = item if item._data.size else item.to(int64)
        elif isinstance(item, np.ndarray):
            item = creation.from_numpy(item)
        if not isinstance(item, Tensor):
            if not hasattr(item, "__index__"):
                raise IndexError(
                    "index: only ints, slices, None, ..., masks and integer tensors can index; "
                    f"got {type(item).__name__}"
                )
            items.append(item.__index__())
            continue
        if item.dtype.is_floating_point:
            raise IndexError(f"index: tensors that index are of ints or bools; got {item.dtype}")
        if not item._data.shape and item.dtype is not bool_:
            items.append(int(item.item()))
            continue
        if item.dtype is bool_ or item.dtype is uint8:
            items.append(item.to(input.device).to(bool_))
        else:
            items.append(item.to(input.device).to(int64))
    return items


def _consumed(item: Any) -> int:
    """How many dims of the tensor a part of the key is for."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, Tensor) and item.dtype is bool_:
        return len(item._data.shape)
    return 1


def _split(input: Tensor, key: Any) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """The view that the key's ints and slices give, and (first dim, tensor) of the others."""
    items = _items(input, key)
    shape = tuple(input._data.shape)
    given = sum([_consumed(item) for item in items])
    if given > len(shape):
        raise IndexError(f"index: too many indices for shape {shape}: {given}")
    if sum([item is Ellipsis for item in items]) > 1:
        raise IndexError(f"index: only one ellipsis; got {key!r}")
    basic: list[Any] = []
    tensors: list[tuple[int, Tensor]] = []
    at = 0  # the dim of the view that the next item is for
    for item in items:
        if item is Ellipsis:
            basic.append(item)
            at += len(shape) - given
        elif isinstance(item, Tensor):
            count = _consumed(item)
            # A 0-dim mask is for a dim of its own, which is taken or not.
            basic += [slice(None)] * count if count else [None]
            tensors.append((at, item))
            at += max(count, 1)
        else:
            basic.append(item)
            at += type(item) is not int
    return _basic(input, tuple(basic)), tensors


def _places(input: Tensor, key: Any) -> _Places:
    """Where the elements are that a key with masks or indices names."""
    view, tensors = _split(input, key)
    shape = tuple(view._data.shape)
    dims: list[int] = []
    sizes: list[int] = []
    indices: list[Tensor] = []
    for first, t in tensors:
        count = max(_consumed(t), 1)
        wanted = shape[first : first + count]
        if t.dtype is bool_:
            have = tuple(t._data.shape) or (1,)
            if have != wanted:
                raise IndexError(
                    f"index: a mask must have the shape of the dims that it is for; got {have}, "
                    f"dims {first} to {first + count - 1} of {shape}"
                )
            t = flat_nonzero(t)
        indices.append(t)
        sizes.append(prod(wanted))
        dims += range(first, first + count)
    try:
        chosen = shapes.broadcast("index", *[tuple(t._data.shape) for t in indices])
    except RuntimeError as error:
        raise IndexError(str(error)) from None
    try:
        flat = apply(index_flat_, tuple(indices), (tuple(sizes), chosen))
    except IndexError as error:
        raise IndexError(f"index: {str(error).partition(': ')[2]}") from None
    rest = [d for d in range(len(shape)) if d not in dims]
    together = dims == list(range(dims[0], dims[0] + len(dims)))
    dim = dims[0] if together else 0
    if not together:  # as in NumPy: what the indices give comes first
        view = apply(permute_, (view,), (tuple(dims + rest),))
        shape = tuple(view._data.shape)
    merged = (*shape[:dim], prod(sizes), *shape[dim + len(dims) :])
    result = (*shape[:dim], *chosen, *shape[dim + len(dims) :])
    if len(dims) > 1:
        view = reshape(view, merged)
    return _Places(view, dim, flat, result)


@method("__getitem__")
def _getitem(input: Tensor, key: Any) -> Tensor:
    """The elements that the key names: a view where ints, slices, None and ... are all there is."""
    if _is_basic(key):
        return _basic(input, key)
    items = _items(input, key)
    if not any([isinstance(item, Tensor) for item in items]):
        return _basic(input, tuple(items))
    view, dim, flat, result = _places(input, tuple(items))
    return apply(take_, (view, flat), (dim, -1, result))


def _value(name: str, input: Tensor, value: Any) -> Tensor:
    """What is assigned, as a tensor of input's dtype on its device."""
    if not isinstance(value, Tensor):
        if not isinstance(value, (int, float)):
            value = creation.as_operand(name, value)
        else:
            return creation.full((), value, dtype=input.dtype, device=input.device)
    return value.to(input.device).to(input.dtype)


def _broadcast(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """value, broadcast to the shape; leading dims of size 1 that it has more go."""
    have = tuple(value._data.shape)
    extra = len(have) - len(shape)
    if extra > 0 and have[:extra] == (1,) * extra:
        value = reshape(value, have[extra:])
        have = have[extra:]
    if have == shape:
        return value
    if len(have) > len(shape) or any(
        m not in (1, n) for m, n in zip(have, shape[len(shape) - len(have) :], strict=True)
    ):
        raise RuntimeError(
            f"{name}: the value must broadcast to what is indexed; got value {have}, wanted {shape}"
        )
    return expand(value, shape)


@method("__setitem__")
def _setitem(input: Tensor, key: Any, value: Any) -> None:
    """Sets the elements that the key names."""
    if not _is_basic(key):
        items = _items(input, key)
        if any([isinstance(item, Tensor) for item in items]):
            _put("setitem", input, tuple(items), value)
            return
        key = tuple(items)
    part = _basic(input, key)
    if isinstance(value, Tensor) and _same_memory(part, value):
        return  # x[key] += y has changed it already
    _check_distinct("setitem", part)
    if not isinstance(value, (Tensor, int, float)):
        value = creation.as_operand("setitem", value)
    if isinstance(value, Tensor):
        value = _broadcast("setitem", value, tuple(part._data.shape))
    _copy_(part, value)


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same view of the same memory."""
    return (
        a._version is b._version
        and a._data.shape == b._data.shape
        and a._data.strides == b._data.strides
        and a.data_ptr() == b.data_ptr()
    )


def _put(name: str, input: Tensor, key: Any, value: Any) -> None:
    """input[key] = value for a key with masks or indices; recorded as `put`."""
    _check_distinct(name, input)
    value = _value(name, input, value)
    recorded = mode.enabled and (input._requires_grad or value._requires_grad)
    if recorded:
        refuse_leaf(name, input)
    places = _places(input, key)
    view, dim, flat, result = places
    if value._data.size != 1 or value._requires_grad:
        value = _broadcast(name, value, result)
    else:
        value = reshape(value, (1,))
    if view._version is not input._version:  # the merged dims are no view
        _write(name, input, key, places, apply(put_, (view, value, flat), (dim,)))
        return
    k = view._table()
    names = ("self", "value", "index")
    call(name, k.put_into, names, view._data, value._data, flat._data, dim)
    input._version[0] += 1
    if recorded:
        put = Tensor._make(view._data)
        zero = k.full((1,), 0.0, view._data.dtype)
        saved = (flat._data, zero, tuple(view._data.shape), tuple(value._data.shape))
        edges = [(t._node or (t,)) if t._requires_grad else None for t in (view, value)]
        inputs = (view, value, flat)
        put._node = _record(put_, k, inputs, [*edges, None], put, saved, [None] * 4, (dim,))
        put._requires_grad = True
        rebase(name, view, put)


def _write(name: str, input: Tensor, key: Any, places: _Places, changed: Tensor) -> None:
    """Writes what the view of `places` should hold, where that may be a copy."""
    if places.view._version is input._version:
        _change(name, places.view, changed)
        return
    part, tensors = _split(input, key)
    dims = [d for first, t in tensors for d in range(first, first + max(_consumed(t), 1))]
    shape = tuple(part._data.shape)
    order = dims + [d for d in range(len(shape)) if d not in dims]
    if dims != list(range(dims[0], dims[0] + len(dims))):
        changed = reshape(changed, tuple([shape[d] for d in order]))
        inverse = tuple([order.index(d) for d in range(len(shape))])
        changed = apply(permute_, (changed,), (inverse,))
    _change(name, part, reshape(changed, shape))


@method("index_put_")
def _index_put_(
    input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False
) -> Tensor:
    """input[indices] = values in place; accumulate adds, also where an index repeats.

    Raises:
        IndexError: indices that are out of range or do not broadcast.
        RuntimeError: values that do not broadcast to what is indexed.
    """
    key = tuple(_items(input, tuple(indices)))
    if not accumulate:
        _put("index_put_", input, key, values)
        return input
    places = _places(input, key)
    view, dim, flat, result = places
    values = _broadcast("index_put_", _value("index_put_", input, values), result)
    summed = apply(index_sum_, (values, flat), (dim, -1, tuple(view._data.shape)))
    _write("index_put_", input, key, places, view + summed)
    return input


@own_errors
@method("index_put")
def index_put(
    input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False
) -> Tensor:
    """A copy of input with input[indices] = values; accumulate adds, in a fixed order.

    Raises:
        IndexError: indices that are out of range or do not broadcast.
        RuntimeError: values that do not broadcast to what is indexed.
    """
    return _index_put_(clone(input), indices, values, accumulate)


@method("fill_diagonal_")
def _fill_diagonal_(input: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Sets the main diagonal in place; `wrap` begins it again below a tall matrix's end.

    Raises:
        RuntimeError: not 2 dims (more: all of one size).
    """
    shape = tuple(input._data.shape)
    n = len(shape)
    if n < 2 or (n > 2 and len(set(shape)) > 1):
        raise RuntimeError(f"fill_diagonal_: 2 dims, or more of one size; got shape {shape}")
    step = sum([prod(shape[d + 1 :]) for d in range(n)])
    count = prod(shape) if wrap and n == 2 else min(shape) * step
    places = list(range(0, min(count, prod(shape)), step))
    flat = creation.tensor(places, dtype=int64, device=input.device)
    if not wrap:
        flat = flat[: min(shape)]
    index = [(flat // prod(shape[d + 1 :])) % shape[d] for d in range(n)] if places else []
    if index:
        input[tuple(index)] = fill_value
    return input


for _function in (scatter, scatter_add, index_add, index_copy, index_fill, tril, triu):
    in_place(_function.__name__ + "_", _function)
