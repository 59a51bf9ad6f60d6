"""Running sums and products."""

from __future__ import annotations

from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..dtype import dtype as DType
from ..dtype import int64
from ..tensor import Tensor
from . import shapes
from .install import method, numpy_names
from .operands import need_tensors

__all__ = ["cumprod", "cumsum"]


@op(inputs="x", kernel="cumsum", formula="y[j] = x[0] + .. + x[j]")
def cumsum_(k, x, dim, reverse, exclusive):
    return k.cumsum(x, dim, reverse, exclusive), ()


@cumsum_.gradient
def _(k, saved, grad_y, need, dim, reverse, exclusive):
    return (k.cumsum(grad_y, dim, not reverse, exclusive),)


@op(inputs="x", kernel="cumprod", formula="y[j] = x[0] * .. * x[j]")
def cumprod_(k, x, dim, reverse, exclusive):
    return k.cumprod(x, dim, reverse, exclusive), (x,)


@cumprod_.gradient
def _(k, saved, grad_y, need, dim, reverse, exclusive):
    # x_j's factor in y_i is the product before it, times that between them. The sum over i is a
    # recurrence from the end, R_j = g_j + x_{j+1} R_{j+1}: no division, so zeros are right.
    (x,) = saved
    before = k.cumprod(x, dim, reverse, True)
    grad = _shifted(k, grad_y, dim, not reverse) if exclusive else grad_y
    if not reverse:
        return (k.mul(before, k.recurrence(x, grad, dim, True)),)
    # In the other direction: a_{j-1} stands where the recurrence wants a_j.
    return (k.mul(before, k.recurrence(_shifted(k, x, dim, False), grad, dim, False)),)


def _shifted(k: Any, x: Any, dim: int, back: bool) -> Any:
    """y[j] = x[j - 1] along dim, or with `back` x[j + 1]; 0 at the end."""
    shape = tuple(x.shape)
    if shape[dim] == 0:
        return x
    ones, zeros = (1,) * len(shape), (0,) * len(shape)
    second = tuple([int(d == dim) for d in range(len(shape))])
    part = (*shape[:dim], shape[dim] - 1, *shape[dim + 1 :])
    kept = k.slice(x, second if back else zeros, ones, part)
    return k.slice_bwd(kept, shape, zeros if back else second, ones)


@op(inputs="a b", kernel="recurrence", formula="y[j] = b[j] + a[j] y[j - 1]")
def recurrence_(k, a, b, dim, reverse):
    y = k.recurrence(a, b, dim, reverse)
    return y, (a, y)


@recurrence_.gradient
def _(k, saved, grad_y, need, dim, reverse):
    a, y = saved
    grad_b = k.recurrence(a, grad_y, dim, not reverse)
    if not need[0]:
        return None, grad_b
    if reverse:  # a_j takes y_j to y_{j-1}
        return k.mul(_shifted(k, grad_b, dim, False), y), grad_b
    return k.mul(grad_b, _shifted(k, y, dim, False)), grad_b


@op(inputs="grad_y x", kernel="prod_bwd", formula="grad_x[j] = grad_y * product of x[i], i != j")
def prod_bwd_(k, grad_y, x):
    return k.prod_bwd(grad_y, x), (grad_y, x)


@prod_bwd_.gradient
def _(k, saved, grad, need):
    # To x_m: grad_y times the sum over j of grad_j and the product of all x but x_j and x_m, which
    # is behind_m first_m + before_m second_m: sums of that kind over j < m and over j > m.
    grad_y, x = saved
    shape = tuple(x.shape)
    n = len(shape) - 1
    before, behind = k.cumprod(x, n, False, True), k.cumprod(x, n, True, True)
    to_grad_y = None
    if need[0]:
        to_grad_y = k.sum(k.mul(grad, k.mul(before, behind)), (n,), shape[:n])
    if not need[1]:
        return to_grad_y, None
    first = k.recurrence(x, k.mul(before, grad), n, False)
    second = k.recurrence(_shifted(k, x, n, False), k.mul(behind, grad), n, True)
    pairs = k.add(
        k.mul(_shifted(k, first, n, False), behind), k.mul(before, _shifted(k, second, n, True))
    )
    return to_grad_y, k.mul(pairs, k.expand(k.reshape(grad_y, (*shape[:n], 1)), shape))


def _cumulated(name: str, record: Any, input: Any, dim: Any, dtype: DType | None) -> Tensor:
    need_tensors(name, input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim(name, dim, len(shape))
    if dtype is None and not input.dtype.is_floating_point:
        dtype = int64
    if dtype is not None and dtype is not input.dtype:
        input = input.to(dtype)
    if not shape:
        return apply(record, (input.reshape((1,)),), (0, False, False)).reshape(())
    return apply(record, (input,), (d, False, False))


@method("cumsum")
@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """The sums of the elements up to each along `dim`; of integers and bools in int64.

    Shape: unchanged.

    Args:
        dtype: the type to convert to before.

    Raises:
        IndexError: a dim out of range.
    """
    return _cumulated("cumsum", cumsum_, input, dim, dtype)


@method("cumprod")
@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """The products of the elements up to each along `dim`; of integers and bools in int64.

    The gradient is right where elements are 0, too.

    Shape: unchanged.

    Args:
        dtype: the type to convert to before.

    Raises:
        IndexError: a dim out of range.
    """
    return _cumulated("cumprod", cumprod_, input, dim, dtype)
