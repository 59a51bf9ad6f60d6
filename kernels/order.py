"""The order of memory that elementwise results take from their operands, for launchers and ops.

The rule is PyTorch's, as the CPU's binding has it (bindings/order.h): dimensions lie in the order
of the first operand that tells two of them apart (its steps differ and neither is 0), else as in C.
A kernel never sees it: operands are permuted to that order, the result is C-contiguous there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["copied", "inverse", "memory_order", "order_of", "ordered"]


@functools.lru_cache(maxsize=4096)
def memory_order(shape: tuple[int, ...], *steps: tuple[int, ...]) -> tuple[int, ...] | None:
    """The dimensions of a result of this shape, outermost first; None: those of C.

    Args:
        steps: each operand's strides along them, 0 where it repeats.
    """
    ndim = len(shape)
    if 0 in shape:
        return None
    dims = list(range(ndim))

    def outside(a: int, b: int) -> int:
        for own in steps:
            of_a, of_b = abs(own[a]), abs(own[b])
            if of_a == 0 or of_b == 0:
                continue
            if of_a != of_b:
                return -1 if of_a < of_b else 1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(ndim - 2, -1, -1):  # by insertion: what nobody compares stays where it is
        at = i
        for j in range(i + 1, ndim):
            which = outside(dims[j], dims[at])
            if which < 0:
                break
            if which > 0:
                dims[at], dims[j] = dims[j], dims[at]
                at = j
    return None if dims == list(range(ndim)) else tuple(dims)


def order_of(x: Any) -> tuple[int, ...] | None:
    """The order of one array's dimensions in memory, outermost first; None: as in C."""
    return None if x.flags.c_contiguous else memory_order(tuple(x.shape), tuple(x.strides))


@functools.lru_cache(maxsize=1024)
def inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that takes an order back."""
    return tuple([order.index(d) for d in range(len(order))])


def copied(k: Any, x: Any, order: tuple[int, ...] | None) -> Any:
    """A copy of x whose dimensions lie in this order of memory; None: as in C."""
    if order is None:
        return k.copy(x, x.dtype)
    return k.permute(k.copy(k.permute(x, order), x.dtype), inverse(order))


def ordered(entry: Callable[..., Any], array_type: Callable[[], type | None]) -> Callable[..., Any]:
    """A launcher of an elementwise kernel, its results in the order of the operands.

    Args:
        array_type: gives the type of the device's arrays.
    """

    @functools.wraps(entry)
    def run(*args: Any) -> Any:
        kind = array_type()
        given = [x for x in args if type(x) is kind]
        for x in given:
            if not x.flags.c_contiguous:
                break
        else:
            return entry(*args)
        ndim = max([x.ndim for x in given])
        wide = [_widened(x, ndim) if type(x) is kind and x.ndim else x for x in args]
        found = [x for x in wide if type(x) is kind and x.ndim]
        shape = tuple([max(sizes) for sizes in zip(*[x.shape for x in found], strict=True)])
        empty = any([0 in x.shape for x in found])
        order = None if empty else memory_order(shape, *[_steps(x, shape) for x in found])
        if order is None:
            return entry(*args)
        y = entry(*[x.transpose(order) if type(x) is kind and x.ndim else x for x in wide])
        return y.transpose(inverse(order))

    return run


def _steps(x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """x's strides as it broadcasts to a shape of as many dimensions."""
    sizes = zip(x.shape, shape, x.strides, strict=True)
    return tuple([0 if n == 1 != wanted else step for n, wanted, step in sizes])


def _widened(x: Any, ndim: int) -> Any:
    """x with leading dimensions of size 1."""
    return x if x.ndim == ndim else x[(None,) * (ndim - x.ndim)]
