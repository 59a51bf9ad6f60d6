"""Views and copies: reshape, permute, slice, expand, cat, and moves between dtypes and devices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..device import device as Device
from ..dtype import dtype as DType
from ..dtype import float32, float64, int64, promote_types, to_numpy_dtype
from ..kernels.order import inverse
from ..kernels.views import view_strides
from ..memory_format import contiguous_format, preserve_format
from ..tensor import Tensor
from . import shapes
from .install import method, numpy_names
from .operands import own_errors

__all__ = [
    "cat",
    "concat",
    "concatenate",
    "clone",
    "contiguous",
    "expand",
    "flatten",
    "movedim",
    "permute",
    "reshape",
    "squeeze",
    "t",
    "transpose",
    "unsqueeze",
]


@op(inputs="x", kernel="reshape", views=True, formula="y = x in another shape")
def reshape_(k, x, shape):
    return k.reshape(x, shape), (tuple(x.shape),)


@reshape_.gradient
def _(k, saved, grad_y, need, shape):
    return (k.reshape(grad_y, saved[0]),)


@op(inputs="x", kernel="permute", views=True, formula="y[i_dims] = x[i]")
def permute_(k, x, dims):
    return k.permute(x, dims), ()


@permute_.gradient
def _(k, saved, grad_y, need, dims):
    inverse = [0] * len(dims)
    for i, d in enumerate(dims):
        inverse[d] = i
    return (k.permute(grad_y, tuple(inverse)),)


@op(inputs="x", kernel="expand", views=True, formula="y = x repeated along its dims of size 1")
def expand_(k, x, shape):
    return k.expand(x, shape), (tuple(x.shape),)


@expand_.gradient
def _(k, saved, grad_y, need, shape):
    from .reduce import sum_to_shape

    return (sum_to_shape(k, grad_y, saved[0]),)


@op(inputs="x", kernel="slice", views=True, formula="y = x[start::step]")
def slice_(k, x, start, step, shape):
    return k.slice(x, start, step, shape), (tuple(x.shape),)


@slice_.gradient
def _(k, saved, grad_y, need, start, step, shape):
    return (k.slice_bwd(grad_y, saved[0], start, step),)


@op(inputs="grad_y", kernel="slice_bwd", formula="grad_x[start::step] = grad_y, else 0")
def slice_bwd_(k, grad_y, x_shape, start, step):
    return k.slice_bwd(grad_y, x_shape, start, step), (tuple(grad_y.shape),)


@slice_bwd_.gradient
def _(k, saved, grad_y, need, x_shape, start, step):
    return (k.slice(grad_y, start, step, saved[0]),)


@op(inputs="x", kernel="copy", formula="y = x, contiguous, in dtype")
def copy_(k, x, dtype):
    return k.copy(x, dtype), (x.dtype,)


@copy_.gradient
def _(k, saved, grad_y, need, dtype):
    (x_dtype,) = saved
    return (grad_y if x_dtype == dtype else k.copy(grad_y, x_dtype),)


@op(inputs="x", kernel="convert", formula="y = x in dtype, in x's order of memory")
def convert_(k, x, dtype):
    return k.convert(x, dtype), (x.dtype,)


@convert_.gradient
def _(k, saved, grad_y, need, dtype):
    (x_dtype,) = saved
    return (grad_y if x_dtype == dtype else k.convert(grad_y, x_dtype),)


@op(inputs="x", kernel="transfer", formula="y = x on another device")
def transfer_(k, x, device):
    return k.transfer(x, device), (k.device,)


@transfer_.gradient
def _(k, saved, grad_y, need, device):
    return (k.transfer(grad_y, saved[0]),)


@op(inputs="xs*", kernel="cat", formula="y = xs behind one another along dim")
def cat_(k, xs, dim, out_shape):
    return k.cat(xs, dim, out_shape), (tuple([tuple(x.shape) for x in xs]),)


@cat_.gradient
def _(k, saved, grad_y, need, dim, out_shape):
    grads = []
    begin = 0
    step = (1,) * len(out_shape)
    for i, shape in enumerate(saved[0]):
        start = tuple([begin if d == dim else 0 for d in range(len(shape))])
        grads.append(k.slice(grad_y, start, step, shape) if need[i] else None)
        begin += shape[dim]
    return tuple(grads)


# ---- the public functions ----


def _sizes(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """`f(2, 3)` and `f((2, 3))` both."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        return tuple(shape[0])
    return shape


def _reshaped(input: Tensor, shape: Sequence[int]) -> Tensor:
    """reshape and Tensor.reshape."""
    data = input._data
    wanted = shapes.reshape("reshape", data.shape, tuple(shape))
    if not data.flags.c_contiguous and view_strides(data.shape, data.strides, wanted) is None:
        input = clone(input)  # so that what is a view, and only that, is known as one
    return apply(reshape_, (input,), (wanted,))


@own_errors
def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape: a view where memory allows it, else a copy.

    Args:
        shape: the new sizes; one may be -1, and is worked out.

    Raises:
        RuntimeError: if the elements do not fit.
    """
    return _reshaped(input, shape)


@method("reshape")
def _reshape(input: Tensor, *shape: Any) -> Tensor:
    """As gradsmith.reshape; the sizes may be given one by one."""
    return _reshaped(input, _sizes(shape))


@method("view")
def _view(input: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape; never a copy.

    Raises:
        RuntimeError: if the elements do not fit, or only a copy could show them so.
    """
    data = input._data
    wanted = shapes.reshape("view", data.shape, _sizes(shape))
    if not data.flags.c_contiguous and view_strides(data.shape, data.strides, wanted) is None:
        raise RuntimeError(
            f"view: shape {wanted} cannot show memory of shape {tuple(data.shape)} and stride "
            f"{input.stride()} without a copy (use .reshape)"
        )
    return apply(reshape_, (input,), (wanted,))


@own_errors
@method("flatten")
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions start_dim..end_dim as one.

    Shape: x: (2, 3, 4) -> flatten(x, 1): (2, 12)

    Raises:
        IndexError: a dim out of range.
        RuntimeError: start_dim behind end_dim.
    """
    shape = tuple(input._data.shape)
    start = shapes.dim("flatten", start_dim, len(shape))
    end = shapes.dim("flatten", end_dim, len(shape))
    if start > end:
        raise RuntimeError(
            f"flatten: start_dim must not be behind end_dim; got {start_dim}, {end_dim}"
        )
    if not shape:
        return apply(reshape_, (input,), ((1,),))
    middle = 1
    for n in shape[start : end + 1]:
        middle *= n
    return _reshaped(input, (*shape[:start], middle, *shape[end + 1 :]))


def _permuted(input: Tensor, dims: Sequence[int]) -> Tensor:
    """permute and Tensor.permute."""
    n = len(input._data.shape)
    order = tuple([shapes.dim("permute", d, n) for d in dims])
    if len(order) != n or len(set(order)) != n:
        raise RuntimeError(f"permute: dims must be each of {n} dims once; got {tuple(dims)}")
    return apply(permute_, (input,), (order,))


@own_errors
def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """A view with the dimensions in another order: dim i of the result is dim dims[i].

    Raises:
        IndexError: a dim out of range.
        RuntimeError: if dims is not every dimension once.
    """
    return _permuted(input, dims)


@method("permute")
def _permute(input: Tensor, *args: Any, dims: Any = ()) -> Tensor:
    """As gradsmith.permute; the dims may be given one by one."""
    return _permuted(input, _sizes(args or (dims,)))


@own_errors
@method("transpose", "swapaxes")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged.

    Raises:
        IndexError: a dim out of range.
    """
    n = len(input._data.shape)
    a, b = shapes.dim("transpose", dim0, n), shapes.dim("transpose", dim1, n)
    order = list(range(n))
    if n:
        order[a], order[b] = b, a
    return apply(permute_, (input,), (tuple(order),))


@own_errors
@method("t")
def t(input: Tensor) -> Tensor:
    """The transpose of a tensor of at most 2 dimensions."""
    if input.ndim > 2:
        raise RuntimeError(f"t: at most 2 dimensions; got shape {tuple(input.shape)}")
    return apply(permute_, (input,), (tuple(range(input.ndim))[::-1],))


def _all_reversed(input: Tensor) -> Tensor:
    """A view with the dimensions in reverse order."""
    return apply(permute_, (input,), (tuple(range(input.ndim))[::-1],))


Tensor.T = property(_all_reversed)  # type: ignore[attr-defined]


@own_errors
@method("movedim")
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with dimensions `source` moved to `destination`, the others in order.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice, or not as many of each.
    """
    n = len(input._data.shape)
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    src = [shapes.dim("movedim", d, n) for d in src]
    dst = [shapes.dim("movedim", d, n) for d in dst]
    if len(src) != len(dst) or len(set(src)) != len(src) or len(set(dst)) != len(dst):
        raise RuntimeError(
            f"movedim: source and destination must be as many dims, each once; "
            f"got {source}, {destination}"
        )
    if n == 0:
        return apply(permute_, (input,), ((),))
    order = [-1] * n
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter([d for d in range(n) if d not in src])
    return apply(permute_, (input,), (tuple([next(rest) if d < 0 else d for d in order]),))


@own_errors
@method("squeeze")
@numpy_names
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without the dimensions of size 1 (all, or those of `dim` that have it).

    Raises:
        IndexError: a dim out of range.
    """
    shape = tuple(input._data.shape)
    none = isinstance(dim, (tuple, list)) and not dim
    drop = () if none else shapes.dims("squeeze", dim, len(shape))
    kept = tuple([n for i, n in enumerate(shape) if n != 1 or i not in drop])
    return apply(reshape_, (input,), (kept,))


@own_errors
@method("unsqueeze")
@numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a dimension of size 1 put in at `dim`.

    Raises:
        IndexError: a dim out of range.
    """
    shape = tuple(input._data.shape)
    at = shapes.dim("unsqueeze", dim, len(shape) + 1)
    return apply(reshape_, (input,), ((*shape[:at], 1, *shape[at:]),))


@own_errors
def expand(input: Tensor, shape: Sequence[int]) -> Tensor:
    """A view in which dimensions of size 1 are repeated, without memory of their own.

    Args:
        shape: the new sizes; -1 leaves a dimension as it is. It may have more dims in front.

    Raises:
        RuntimeError: if a dimension that is not 1 would change.
    """
    old = tuple(input._data.shape)
    lead = len(shape) - len(old)
    new = [old[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)]
    fits = lead >= 0 and all(n >= 0 for n in new)
    if not fits or any(m not in (1, n) for m, n in zip(old, new[lead:], strict=True)):
        raise RuntimeError(
            f"expand: only dims of size 1 can be repeated; got {old} to {tuple(shape)}"
        )
    return apply(expand_, (input,), (shapes._countable("expand", tuple(new)),))


@method("expand")
def _expand(input: Tensor, *shape: Any) -> Tensor:
    """As gradsmith.expand; the sizes may be given one by one."""
    return expand(input, _sizes(shape))


@method("expand_as")
def _expand_as(input: Tensor, other: Tensor) -> Tensor:
    """As expand, to the shape of `other`."""
    return expand(input, other._data.shape)


@method("__iter__")
def _iter(input: Tensor) -> Any:
    """The tensors along the first dimension."""
    return iter([input[i] for i in range(len(input))])


@own_errors
@method("contiguous")
def contiguous(input: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """The tensor itself if its elements lie in C order (or the memory format), else a copy."""
    return input if memory_format.lies(input._data) else clone(input, memory_format=memory_format)


@own_errors
@method("clone")
def clone(input: Tensor, *, memory_format: Any = preserve_format) -> Tensor:
    """A copy in the tensor's order of memory or in a memory format; the gradient flows through.

    Raises:
        RuntimeError: a memory format of tensors with another number of dims.
    """
    if memory_format is preserve_format:
        return apply(convert_, (input,), (input._data.dtype,))
    return in_order(input, memory_format.order_for("clone", input._data))


def in_order(input: Tensor, order: tuple[int, ...] | None) -> Tensor:
    """A copy whose dims lie in this order, outermost first; None: as in C."""
    if order is None:
        return apply(copy_, (input,), (input._data.dtype,))
    moved = apply(copy_, (apply(permute_, (input,), (order,)),), (input._data.dtype,))
    return apply(permute_, (moved,), (inverse(order),))


@own_errors
@numpy_names
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors behind one another along `dim`.

    Shape: all the same but in dim.

    Raises:
        TypeError: no tensors, or something else among them.
        RuntimeError: shapes that differ elsewhere.
    """
    parts = tuple(tensors)
    if parts and all(isinstance(t, Tensor) for t in parts):
        dtype = reduce(promote_types, [t.dtype for t in parts])
        if any([t.dtype is not dtype for t in parts]):
            parts = tuple([t.to(dtype) for t in parts])
    if not parts or not all(isinstance(t, Tensor) for t in parts):
        raise TypeError(f"cat: tensors must be a sequence of tensors; got {tensors!r}")
    first = next((t for t in parts if t._data.shape != (0,)), parts[0])._data.shape
    if not first:
        raise RuntimeError("cat: tensors must have at least one dimension; got shape ()")
    d = shapes.dim("cat", dim, len(first))
    if len(first) > 1:  # tensors of shape (0,) fit anywhere
        nothing = (*first[:d], 0, *first[d + 1 :])
        parts = tuple([reshape(t, nothing) if t._data.shape == (0,) else t for t in parts])
    return apply(cat_, parts, (d, shapes.cat("cat", [tuple(t._data.shape) for t in parts], d)))


# ---- dtype and device ----


@method("to")
def _to(
    input: Tensor,
    *args: Any,
    device: Any = None,
    dtype: DType | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype, on another device, in another memory format, or itself.

    Args:
        args: a dtype, a device, or a tensor whose dtype and device are taken.
        copy: make a copy in any case.
        memory_format: the order of dimensions in memory; None: the tensor's own.
    """
    for arg in args:
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, (str, Device)):
            device = arg
        elif arg is not None:
            raise TypeError(f"to: takes a dtype, a device or a tensor; got {arg!r}")
    result = input
    if device is not None:
        where = Device(device).type
        if where != input._table().device:
            result = apply(transfer_, (result,), (where,))
    if dtype is not None:
        wanted = to_numpy_dtype(dtype)
        if result._data.dtype != wanted:
            if not dtype.is_floating_point and result._requires_grad:
                result = result.detach()  # what is whole has no gradient
            result = apply(convert_, (result,), (wanted,))
    if memory_format is not None and memory_format is not preserve_format:
        result = contiguous(result, memory_format)
    return clone(result) if copy and result is input else result


@method("cpu")
def _cpu(input: Tensor) -> Tensor:
    """The tensor on the CPU."""
    return _to(input, "cpu")


@method("cuda")
def _cuda(input: Tensor, device: Any = None) -> Tensor:
    """The tensor on the CUDA device."""
    return _to(input, "cuda" if device is None else device)


@method("float")
def _float(input: Tensor) -> Tensor:
    """The tensor as float32."""
    return _to(input, float32)


@method("double")
def _double(input: Tensor) -> Tensor:
    """The tensor as float64."""
    return _to(input, float64)


@method("long")
def _long(input: Tensor) -> Tensor:
    """The tensor as int64."""
    return _to(input, int64)


concat = concatenate = cat
