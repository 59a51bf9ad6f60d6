"""Tensors cut up, put together, reordered: stack, split, flip, roll, tile, meshgrid, diagonal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.dispatch import apply
from ..autograd.op import op
from ..tensor import Size, Tensor
from . import shapes
from .install import method, numpy_names
from .operands import need_tensors, own_errors
from .view import (
    _sizes,
    cat,
    clone,
    contiguous,
    expand,
    reshape,
    reshape_,
    slice_,
    transpose,
    unsqueeze,
)

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "chunk",
    "diagonal",
    "fliplr",
    "flip",
    "flipud",
    "meshgrid",
    "moveaxis",
    "narrow",
    "ravel",
    "roll",
    "select",
    "split",
    "stack",
    "swapaxes",
    "swapdims",
    "tile",
    "unbind",
    "unflatten",
]


@op(inputs="x", kernel="diagonal", views=True, formula="y[.., i] = x[.., i, i + offset]")
def diagonal_(k, x, offset, dim1, dim2):
    return k.diagonal(x, offset, dim1, dim2), (tuple(x.shape),)


@diagonal_.gradient
def _(k, saved, grad_y, need, offset, dim1, dim2):
    (shape,) = saved
    # The diagonal of the matrices, laid out flat, is every (columns + 1)th element.
    order = [d for d in range(len(shape)) if d not in (dim1, dim2)]
    lead = tuple([shape[d] for d in order])
    rows, columns = shape[dim1], shape[dim2]
    begin = offset if offset >= 0 else -offset * columns
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    flat = k.slice_bwd(grad_y, (*lead, rows * columns), (*zeros, begin), (*ones, columns + 1))
    order += [dim1, dim2]
    inverse = tuple([order.index(d) for d in range(len(shape))])
    return (k.permute(k.reshape(flat, (*lead, rows, columns)), inverse),)


@method("diagonal")
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of the matrices that dim1 and dim2 make, as the last dimension.

    Shape: without dim1 and dim2, and the diagonal's length behind.

    Args:
        offset: which diagonal: above the main one if positive, below if negative.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: dim1 equals dim2.
    """
    need_tensors("diagonal", input=input)
    n = len(input._data.shape)
    a, b = shapes.dim("diagonal", dim1, n), shapes.dim("diagonal", dim2, n)
    if n < 2 or a == b:
        raise RuntimeError(f"diagonal: dim1 and dim2 must differ; got {dim1}, {dim2} of {n} dims")
    return apply(diagonal_, (input,), (shapes._index("diagonal", "offset", offset), a, b))


def _part(input: Tensor, d: int, start: int, length: int) -> Tensor:
    """A view of elements start to start + length along d."""
    shape = tuple(input._data.shape)
    begin = tuple([start if i == d else 0 for i in range(len(shape))])
    kept = (*shape[:d], length, *shape[d + 1 :])
    return apply(slice_, (input,), (begin, (1,) * len(shape), kept))


@own_errors
@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors side by side along a new dimension.

    Shape: all the same; the result has len(tensors) at dim.

    Raises:
        TypeError: no tensors, or something else among them.
        IndexError: a dim out of range.
        RuntimeError: shapes that differ.
    """
    parts = tuple(tensors)
    if not parts or not all(isinstance(t, Tensor) for t in parts):
        raise TypeError(f"stack: tensors must be a sequence of tensors; got {tensors!r}")
    first = tuple(parts[0]._data.shape)
    d = shapes.dim("stack", dim, len(first) + 1)
    for i, t in enumerate(parts):
        if tuple(t._data.shape) != first:
            raise RuntimeError(
                f"stack: shapes must be equal; got {first} and {tuple(t._data.shape)} (tensor {i})"
            )
    return cat([unsqueeze(t, d) for t in parts], d)


@numpy_names
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the pieces along `dim`.

    Args:
        split_size_or_sections: the size of each piece (the last may be smaller), or a list of
            sizes that add up to the dim's.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: sizes that do not fit.
    """
    need_tensors("split", tensor=tensor)
    shape = tuple(tensor._data.shape)
    d = shapes.dim("split", dim, len(shape))
    if not shape:
        raise RuntimeError("split: at least 1 dim; got shape ()")
    n = shape[d]
    if isinstance(split_size_or_sections, (list, tuple)):
        sizes = [shapes._index("split", "section", s) for s in split_size_or_sections]
        total = 0
        for s in sizes:
            total += s
        if total != n or any([s < 0 for s in sizes]):
            raise RuntimeError(
                f"split: sections must be >= 0 and add up to {n}, the size of dim {d}; got {sizes}"
            )
    else:
        size = shapes._index("split", "split_size", split_size_or_sections)
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split: split_size must be positive; got {size} for dim size {n}")
        sizes = [min(size, n - i) for i in range(0, n, size)] if n else [0]
    parts, start = [], 0
    for s in sizes:
        parts.append(_part(tensor, d, start, s))
        start += s
    return tuple(parts)


@method("split")
def _split(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """As gradsmith.split."""
    return split(input, split_size, dim)


@method("chunk")
@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` pieces of equal size along `dim`; the last may be smaller.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: chunks below 1.
    """
    need_tensors("chunk", input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim("chunk", dim, len(shape))
    count = shapes._index("chunk", "chunks", chunks)
    if not shape or count < 1:
        raise RuntimeError(
            f"chunk: at least 1 dim, and chunks must be positive; got {chunks} for shape {shape}"
        )
    n = shape[d]
    size = -(-n // count)
    return split(input, [0] * count if size == 0 else size, d)


@method("unbind")
@numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the slices along `dim`, without it.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a 0-dim tensor.
    """
    need_tensors("unbind", input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim("unbind", dim, len(shape))
    if not shape:
        raise RuntimeError("unbind: at least 1 dim; got shape ()")
    return tuple([select(input, d, i) for i in range(shape[d])])


@method("select")
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of the slice at `index` along `dim`, without it.

    Raises:
        IndexError: a dim or the index out of range.
        RuntimeError: a 0-dim tensor.
    """
    need_tensors("select", input=input)
    shape = tuple(input._data.shape)
    if not shape:
        raise IndexError("select: at least 1 dim; got shape ()")
    d = shapes.dim("select", dim, len(shape))
    i = shapes._index("select", "index", index)
    if not -shape[d] <= i < shape[d]:
        raise IndexError(f"select: index {i} is out of range for dim {d} of size {shape[d]}")
    part = _part(input, d, i % shape[d], 1)
    return apply(reshape_, (part,), ((*shape[:d], *shape[d + 1 :]),))


@method("narrow")
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` elements from `start` on along `dim`.

    Raises:
        IndexError: a dim or start out of range.
        RuntimeError: elements beyond the end.
    """
    need_tensors("narrow", input=input)
    shape = tuple(input._data.shape)
    if not shape:
        raise RuntimeError("narrow: at least 1 dim; got shape ()")
    d = shapes.dim("narrow", dim, len(shape))
    begin = shapes._index("narrow", "start", start)
    count = shapes._index("narrow", "length", length)
    if not -shape[d] <= begin <= shape[d]:
        raise IndexError(f"narrow: start must be in [{-shape[d]}, {shape[d]}]; got {start}")
    begin += shape[d] if begin < 0 else 0
    if count < 0 or begin + count > shape[d]:
        raise RuntimeError(
            f"narrow: start + length must be within dim {d} of size {shape[d]}; got {start}, "
            f"{length}"
        )
    return _part(input, d, begin, count)


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """A copy with the order along `dims` reversed.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: a dim given twice.
    """
    need_tensors("flip", input=input)
    shape = tuple(input._data.shape)
    given = (dims,) if isinstance(dims, int) else tuple(dims)
    chosen = shapes.dims("flip", given, len(shape)) if given else ()
    if not chosen:
        return clone(input)
    start = tuple([max(n - 1, 0) if d in chosen else 0 for d, n in enumerate(shape)])
    step = tuple([-1 if d in chosen else 1 for d in range(len(shape))])
    return clone(apply(slice_, (input,), (start, step, shape)))


@method("flip")
def _flip(input: Tensor, *dims: Any) -> Tensor:
    """As gradsmith.flip; the dims may be given one by one."""
    return flip(input, _sizes(dims))


@own_errors
@method("fliplr")
def fliplr(input: Tensor) -> Tensor:
    """A copy with the order of the columns reversed.

    Raises:
        RuntimeError: fewer than 2 dims.
    """
    if input.ndim < 2:
        raise RuntimeError(f"fliplr: at least 2 dims; got shape {tuple(input.shape)}")
    return flip(input, (1,))


@own_errors
@method("flipud")
def flipud(input: Tensor) -> Tensor:
    """A copy with the order of the rows reversed.

    Raises:
        RuntimeError: a 0-dim tensor.
    """
    if input.ndim < 1:
        raise RuntimeError("flipud: at least 1 dim; got shape ()")
    return flip(input, (0,))


@method("roll")
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy shifted along `dims`; what falls off the end comes in at the beginning.

    Args:
        shifts: by how much, one number a dim.
        dims: None: the flattened tensor is rolled.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: not as many shifts as dims.
    """
    need_tensors("roll", input=input)
    by = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    shape = tuple(input._data.shape)
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(by) != 1:
            raise RuntimeError(f"roll: without dims there is one shift; got {shifts}")
        return reshape(_rolled(reshape(input, (-1,)), by[0], 0), shape) if shape else clone(input)
    along = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(along) != len(by):
        raise RuntimeError(f"roll: as many shifts as dims; got {shifts}, {dims}")
    result = input
    for shift, dim in zip(by, along, strict=True):
        result = _rolled(result, shift, shapes.dim("roll", dim, len(shape)))
    return clone(input) if result is input else result


def _rolled(input: Tensor, shift: Any, d: int) -> Tensor:
    n = input._data.shape[d] if input._data.shape else 0
    by = shapes._index("roll", "shift", shift) % n if n else 0
    if not by:
        return input
    return cat([_part(input, d, n - by, by), _part(input, d, 0, n - by)], d)


@own_errors
@method("tile")
def tile(input: Tensor, *dims: Any) -> Tensor:
    """The tensor repeated along its dimensions, as many times as `dims` says.

    Shape: dims are those of the last dimensions; more of them make new ones in front.

    Raises:
        RuntimeError: a negative count.
    """
    counts = _sizes(dims)
    n = len(input._data.shape)
    return _repeat(input, *((1,) * (n - len(counts)) + tuple(counts)))


@method("repeat")
def _repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor repeated along its dimensions; more repeats than dims make new ones in front.

    Raises:
        RuntimeError: fewer repeats than dims; a negative one.
    """
    counts = tuple([shapes._index("repeat", "repeats", r) for r in _sizes(repeats)])
    shape = tuple(input._data.shape)
    lead = len(counts) - len(shape)
    if lead < 0 or any([c < 0 for c in counts]):
        raise RuntimeError(
            f"repeat: one count >= 0 for each dim, at least; got {counts} for shape {shape}"
        )
    shape = (1,) * lead + shape
    apart: list[int] = []  # each repeated dim with a dim of size 1 before it
    wide: list[int] = []
    for n, c in zip(shape, counts, strict=True):
        apart += [1, n]
        wide += [c, n]
    result = tuple([n * c for n, c in zip(shape, counts, strict=True)])
    copies = expand(reshape(input, apart), wide)
    return reshape(contiguous(copies), result) if shape else clone(input)


@own_errors
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """As transpose."""
    return transpose(input, axis0, axis1)


@own_errors
@method("swapdims")
def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """As transpose."""
    return transpose(input, dim0, dim1)


@own_errors
@method("moveaxis")
def moveaxis(input: Tensor, source: Any, destination: Any) -> Tensor:
    """As movedim."""
    from .view import movedim

    return movedim(input, source, destination)


@method("unflatten")
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """A view with one dimension as several.

    Args:
        sizes: what dim becomes; one may be -1, and is worked out.

    Raises:
        IndexError: a dim out of range.
        RuntimeError: sizes that do not multiply to the dim's.
    """
    need_tensors("unflatten", input=input)
    shape = tuple(input._data.shape)
    d = shapes.dim("unflatten", dim, len(shape))
    if not shape or not sizes:
        raise RuntimeError(f"unflatten: at least 1 dim, and sizes; got {tuple(sizes)} for {shape}")
    inner = shapes.reshape("unflatten", (shape[d],), tuple(sizes))
    return reshape(input, (*shape[:d], *inner, *shape[d + 1 :]))


@own_errors
@method("ravel")
def ravel(input: Tensor) -> Tensor:
    """The elements as one dimension; a copy only where memory needs it."""
    return reshape(input, (-1,) if input._data.size else (0,))


@own_errors
@method("broadcast_to")
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """As expand."""
    return expand(input, tuple(size))


@own_errors
def broadcast_tensors(*tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors, each expanded to the shape that all broadcast to.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    one = len(tensors) == 1 and isinstance(tensors[0], (list, tuple))
    parts: Any = tensors[0] if one else tensors
    wanted = shapes.broadcast("broadcast_tensors", *[tuple(t._data.shape) for t in parts])
    return tuple([expand(t, wanted) for t in parts])


def broadcast_shapes(*given: Any) -> Size:
    """The shape that shapes (tuples of sizes, or one size) broadcast to.

    Raises:
        RuntimeError: shapes that do not broadcast.
    """
    parts = [(s,) if isinstance(s, int) else tuple(s) for s in given]
    return Size(
        shapes.broadcast("broadcast_shapes", *[shapes.sizes("broadcast_shapes", s) for s in parts])
    )


def _at_least(name: str, tensors: tuple[Any, ...], form: Callable[[Tensor], Tensor]) -> Any:
    """One tensor, or a tuple of several, each in the form."""
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        need_tensors(name, input=tensors[0])
        return form(tensors[0])
    parts = tensors[0] if len(tensors) == 1 else tensors
    need_tensors(name, **{f"tensors[{i}]": t for i, t in enumerate(parts)})
    return tuple([form(t) for t in parts])


def atleast_1d(*tensors: Any) -> Any:
    """Views with at least one dimension: of one tensor, or a tuple of them of several."""
    return _at_least("atleast_1d", tensors, lambda t: t if t.ndim else reshape(t, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """Views with at least two dimensions; a vector becomes a row."""

    def form(t: Tensor) -> Tensor:
        return t if t.ndim > 1 else reshape(t, (1, t.numel()))

    return _at_least("atleast_2d", tensors, form)


def atleast_3d(*tensors: Any) -> Any:
    """Views with at least three dimensions: (N,) as (1, N, 1), (M, N) as (M, N, 1)."""

    def form(t: Tensor) -> Tensor:
        if t.ndim < 2:
            return reshape(t, (1, t.numel(), 1))
        return t if t.ndim > 2 else unsqueeze(t, -1)

    return _at_least("atleast_3d", tensors, form)


@method("reshape_as")
def _reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """As reshape, to the shape of `other`."""
    return reshape(input, other._data.shape)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates, as views: grid i varies along dim i.

    Shape: tensors of at most one dim; each result has the size of tensor i along dim i.

    Args:
        indexing: "ij"; or "xy": the first two dims of the results are exchanged.

    Raises:
        TypeError: something that is no tensor.
        ValueError: another indexing.
        RuntimeError: no tensors, one of several dims, or dtypes that differ.
    """
    parts = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy'; got {indexing!r}")
    for part in parts:
        need_tensors("meshgrid", tensors=part)
    if not parts or any([len(t._data.shape) > 1 or t.dtype is not parts[0].dtype for t in parts]):
        raise RuntimeError(
            "meshgrid: tensors of at most one dim, all of one dtype; got "
            + ", ".join(f"{tuple(t._data.shape)} {t.dtype}" for t in parts)
        )
    flat = [reshape(t, (-1,)) for t in parts]
    swapped = indexing == "xy" and len(flat) > 1
    if swapped:
        flat[0], flat[1] = flat[1], flat[0]
    wanted = tuple([t._data.shape[0] for t in flat])
    n = len(flat)
    grids = []
    for i, t in enumerate(flat):
        shape = tuple([wanted[i] if d == i else 1 for d in range(n)])
        grids.append(expand(reshape(t, shape), wanted))
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)
