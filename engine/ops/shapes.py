"""The rules of shapes and options: one function a family, used by the op and by nothing else twice.

Each checks what is cheap, and returns the normalised options and the output's shape, which the
kernel then allocates. Messages are `op: rule; got values (fix)`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = [
    "adaptive",
    "broadcast",
    "cat",
    "conv",
    "conv_padding",
    "conv_transpose",
    "dim",
    "dims",
    "pool",
    "reduced",
    "reshape",
    "signs",
    "sizes",
    "spatial",
]

INT64_MAX = 2**63 - 1


def dim(name: str, value: Any, ndim: int) -> int:
    """A dimension, counted from the front. 0-dim tensors take 0 and -1, as in PyTorch."""
    if type(value) is not int:
        value = _index(name, "dim", value)
    n = ndim or 1
    if not -n <= value < n:
        raise IndexError(f"{name}: dim must be in [{-n}, {n}); got {value}")
    return value + n if value < 0 else value


def dims(name: str, value: Any, ndim: int) -> tuple[int, ...]:
    """Dimensions, sorted and counted from the front; None or () is all of them."""
    if value is None or (isinstance(value, (tuple, list)) and not value):
        return tuple(range(ndim))
    if not isinstance(value, (tuple, list)):
        one = dim(name, value, ndim)
        return (one,) if ndim else ()
    found = sorted(dim(name, v, ndim) for v in value)
    for a, b in zip(found, found[1:], strict=False):
        if a == b:
            raise RuntimeError(f"{name}: a dim appears twice; got {tuple(value)}")
    return tuple(found) if ndim else ()


def _index(name: str, argument: str, value: Any) -> int:
    """An int from anything that is one (NumPy's too), but not from a bool or float."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name}: {argument} must be an int; got {value!r} ({type(value).__name__})"
        )
    return int(value.__index__())


@lru_cache(maxsize=4096)
def reduced(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """The shape without `dims`, or with 1 there."""
    if keepdim:
        return tuple([1 if i in dims else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in dims])


def signs(count: int) -> tuple[int]:
    """The int32 words of a bit an element."""
    return (-(-count // 32),)


def reshape(name: str, shape: tuple[int, ...], wanted: tuple[Any, ...]) -> tuple[int, ...]:
    """`wanted` with its one -1 worked out."""
    sizes = [v if type(v) is int else _index(name, "shape", v) for v in wanted]
    count = 1
    for n in shape:
        count *= n
    known, unknown = 1, -1
    for i, n in enumerate(sizes):
        if n == -1 and unknown < 0:
            unknown = i
        elif n < 0:
            raise RuntimeError(f"{name}: sizes must be >= 0, at most one -1; got {tuple(sizes)}")
        else:
            known *= n
    if unknown >= 0:
        if known == 0 or count % known:
            raise RuntimeError(
                f"{name}: {count} elements of shape {tuple(shape)} do not divide into "
                f"{tuple(sizes)}"
            )
        sizes[unknown] = count // known
    elif known != count:
        raise RuntimeError(
            f"{name}: shape {tuple(sizes)} has {known} elements; got {tuple(shape)} with {count}"
        )
    return tuple(sizes)


def sizes(name: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    """The sizes of a new tensor: ints >= 0 whose product can be counted."""
    found = tuple([v if type(v) is int else _index(name, "size", v) for v in size])
    if any(n < 0 for n in found):
        raise RuntimeError(f"{name}: sizes must be >= 0; got {found}")
    return _countable(name, found)


def spatial(name: str, argument: str, value: Any, n: int, least: int) -> tuple[int, ...]:
    """One int a spatial dimension, from an int or a sequence of n (or 1) ints >= least."""
    if type(value) is int:
        values = (value,) * n
    elif type(value) is tuple and len(value) == n and all([type(v) is int for v in value]):
        values = value
    elif isinstance(value, (tuple, list)):
        if len(value) not in (1, n):
            raise ValueError(
                f"{name}: {argument} must be an int or {n} ints; got {value!r} of {len(value)}"
            )
        values = tuple([_index(name, argument, v) for v in value])
        if len(values) != n:
            values *= n
    else:
        values = (_index(name, argument, value),) * n
    for v in values:
        if not least <= v <= INT64_MAX:
            raise ValueError(f"{name}: {argument} must be >= {least}; got {value!r}")
    return values


def groups(name: str, value: Any) -> int:
    """The number of groups: an int >= 1."""
    if type(value) is not int:
        value = _index(name, "groups", value)
    if value < 1:
        raise ValueError(f"{name}: groups must be >= 1; got {value}")
    return value


def conv_padding(
    name: str,
    padding: Any,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The padding before and behind each spatial dimension.

    'same' keeps the size, with the odd element behind; 'causal' (1-D) puts all of it before.
    """
    n = len(stride)
    if isinstance(padding, str):
        if padding == "valid":
            return (0,) * n, (0,) * n
        total = [dilation[i] * (kernel[i] - 1) for i in range(min(n, len(kernel)))]
        total += [0] * (n - len(total))
        if padding == "causal" and n == 1:
            return tuple(total), (0,)
        if padding != "same":
            causal = " (or 'causal')" if n == 1 else ""
            raise ValueError(
                f"{name}: padding must be ints, 'same' or 'valid'{causal}; got {padding!r}"
            )
        if any(s != 1 for s in stride):
            raise ValueError(f"{name}: padding='same' needs stride 1; got stride={stride}")
        before = tuple([t // 2 for t in total])
        return before, tuple([t - b for t, b in zip(total, before, strict=True)])
    if isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding):
        if len(padding) != n or any(
            not isinstance(p, (tuple, list)) or len(p) != 2 for p in padding
        ):
            raise ValueError(
                f"{name}: padding of pairs must have one, (before, behind), for each of {n} "
                f"dimensions; got {padding!r}"
            )
        sides = [spatial(name, "padding", tuple([p[i] for p in padding]), n, 0) for i in (0, 1)]
        return sides[0], sides[1]
    even = spatial(name, "padding", padding, n, 0)
    return even, even


@lru_cache(maxsize=4096)
def conv(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    end: tuple[int, ...] | None = None,
) -> tuple[int, ...]:
    """(N, C_in, *in) and (C_out, C_in / groups, *kernel) -> (N, C_out, *out), with

    out = floor((in + padding + end - dilation * (kernel - 1) - 1) / stride) + 1
    (Dumoulin & Visin 2016, relationship 15); end, the padding behind, is padding unless given.
    """
    end = padding if end is None else end
    _conv_operands(name, x, weight)
    if x[1] != weight[1] * groups:
        raise RuntimeError(
            f"{name}: weight.shape[1] * groups must equal x.shape[1]; "
            f"got weight {weight}, groups={groups}, x {x}"
        )
    if weight[0] % groups:
        raise RuntimeError(
            f"{name}: groups must divide weight.shape[0]; got weight {weight}, groups={groups}"
        )
    if bias is not None and bias != (weight[0],):
        raise RuntimeError(
            f"{name}: bias must have shape ({weight[0]},), one value an output channel; got {bias}"
        )
    out = [x[0], weight[0]]
    for i in range(len(x) - 2):
        window = dilation[i] * (weight[2 + i] - 1) + 1
        padded = x[2 + i] + padding[i] + end[i]
        if window > padded:
            raise RuntimeError(
                f"{name}: the dilated kernel must fit into the padded input; got kernel size "
                f"{window} > {padded} in spatial dim {i} (weight {weight}, dilation={dilation}, "
                f"padding={padding}, x {x})"
            )
        out.append((padded - window) // stride[i] + 1)
    return _countable(name, tuple(out))


@lru_cache(maxsize=4096)
def conv_transpose(
    name: str,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> tuple[int, ...]:
    """(N, C_in, *in) and (C_in, C_out / groups, *kernel) -> (N, C_out, *out), with

    out = (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1.
    """
    _conv_operands(name, x, weight)
    if x[1] != weight[0]:
        raise RuntimeError(
            f"{name}: weight.shape[0] must equal x.shape[1]; got weight {weight}, x {x}"
        )
    if weight[0] % groups:
        raise RuntimeError(
            f"{name}: groups must divide weight.shape[0]; got weight {weight}, groups={groups}"
        )
    channels = weight[1] * groups
    if bias is not None and bias != (channels,):
        raise RuntimeError(
            f"{name}: bias must have shape ({channels},), one value an output channel; got {bias}"
        )
    out = [x[0], channels]
    for i in range(len(x) - 2):
        if output_padding[i] >= max(stride[i], dilation[i]):
            raise RuntimeError(
                f"{name}: output_padding must be smaller than stride or dilation; got "
                f"output_padding={output_padding}, stride={stride}, dilation={dilation}"
            )
        window = dilation[i] * (weight[2 + i] - 1) + 1
        size = (x[2 + i] - 1) * stride[i] - 2 * padding[i] + window + output_padding[i]
        if size < 1:
            raise RuntimeError(
                f"{name}: the output must have at least one element; got size {size} in spatial "
                f"dim {i} (x {x}, weight {weight}, padding={padding})"
            )
        out.append(size)
    return _countable(name, tuple(out))


def _conv_operands(name: str, x: tuple[int, ...], weight: tuple[int, ...]) -> None:
    if len(weight) != len(x):
        raise RuntimeError(
            f"{name}: weight must have as many dimensions as x; got weight {weight}, x {x}"
        )
    for i, n in enumerate(weight[2:]):
        if n == 0:
            raise RuntimeError(
                f"{name}: the kernel must not be empty; got weight {weight}, 0 in spatial dim {i}"
            )


def _countable(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, if its elements can be counted and addressed with 63 bits."""
    count = 8
    for n in shape:
        count *= n
    if count > INT64_MAX:
        raise RuntimeError(f"{name}: more bytes than 63 bits can count; the shape would be {shape}")
    return shape


def adaptive(name: str, x: tuple[int, ...], output_size: Any) -> tuple[int, ...]:
    """(N, C, *in) -> (N, C, *output_size); None in output_size keeps a dimension's size."""
    n = len(x) - 2
    if isinstance(output_size, (tuple, list)):
        if len(output_size) not in (1, n):
            raise ValueError(
                f"{name}: output_size must be an int or {n}; got {output_size!r} of "
                f"{len(output_size)}"
            )
        wanted = list(output_size) * (n // len(output_size))
    else:
        wanted = [output_size] * n
    if 0 in x[2:]:
        raise RuntimeError(f"{name}: planes must not be empty; got x {x}")
    out = list(x[:2])
    for size, given in zip(x[2:], wanted, strict=True):
        value = size if given is None else _index(name, "output_size", given)
        if value < 0:
            raise RuntimeError(f"{name}: output_size must be >= 0; got {output_size!r}")
        out.append(value)
    return _countable(name, tuple(out))


@lru_cache(maxsize=4096)
def pool(
    name: str,
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[int, ...]:
    """(N, C, *in) -> (N, C, *out); as conv, rounded up with ceil_mode.

    With ceil_mode a window may begin in the input or its left padding, never beyond (as PyTorch).
    """
    out = list(x[:2])
    for i in range(len(x) - 2):
        if 2 * padding[i] > kernel[i]:
            raise RuntimeError(
                f"{name}: padding must be at most half of the kernel size; "
                f"got padding={padding}, kernel_size={kernel}"
            )
        if x[2 + i] == 0:
            raise RuntimeError(f"{name}: spatial dimensions must not be empty; got x {x}")
        window = dilation[i] * (kernel[i] - 1) + 1
        room = x[2 + i] + 2 * padding[i] - window
        size = (room + (stride[i] - 1 if ceil_mode else 0)) // stride[i] + 1
        if ceil_mode and (size - 1) * stride[i] >= x[2 + i] + padding[i]:
            size -= 1
        if size < 1:
            raise RuntimeError(
                f"{name}: the window must fit into the padded input; got kernel_size={kernel}, "
                f"dilation={dilation}, padding={padding}, x {x}"
            )
        out.append(size)
    window = 1
    for n in kernel:
        window *= n
    if window > INT64_MAX:
        raise RuntimeError(
            f"{name}: the window has more elements than 63 bits can count; got kernel_size={kernel}"
        )
    return _countable(name, tuple(out))


def unfit(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """What is wrong with the operands of a product whose inner sizes differ."""
    return f"{name}: the last dim of a must equal the second to last of b; got a {a}, b {b}"


@lru_cache(maxsize=4096)
def matmul(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """(..., M, K) and (..., K, N) -> (..., M, N); the batch dimensions broadcast."""
    if a[-1] != b[-2]:
        raise RuntimeError(unfit(name, a, b))
    batch_a, batch_b = a[:-2], b[:-2]
    n = max(len(batch_a), len(batch_b))
    batch_a = (1,) * (n - len(batch_a)) + batch_a
    batch_b = (1,) * (n - len(batch_b)) + batch_b
    batch = []
    for p, q in zip(batch_a, batch_b, strict=True):
        if p != q and 1 not in (p, q):
            raise RuntimeError(f"{name}: batch dimensions must match or be 1; got a {a}, b {b}")
        batch.append(q if p == 1 else p)
    return _countable(name, (*batch, a[-2], b[-1]))


def broadcast(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to: each dim equal, or 1."""
    n = max([len(shape) for shape in shapes], default=0)
    result = [1] * n
    for shape in shapes:
        for i, size in enumerate(shape, n - len(shape)):
            if size != 1 and result[i] not in (1, size):
                raise RuntimeError(
                    f"{name}: shapes must match or broadcast (each dimension equal, or 1); got "
                    + ", ".join(map(str, shapes))
                )
            if size != 1:
                result[i] = size
    return tuple(result)


def cat(name: str, shapes: list[tuple[int, ...]], dim: int) -> tuple[int, ...]:
    """The shape of tensors put behind one another along dim."""
    first = shapes[0]
    total = 0
    for i, shape in enumerate(shapes):
        if len(shape) != len(first) or any(
            m != n and j != dim for j, (m, n) in enumerate(zip(shape, first, strict=True))
        ):
            raise RuntimeError(
                f"{name}: shapes must match but in dim {dim}; got {first} and {shape} (tensor {i})"
            )
        total += shape[dim]
    return (*first[:dim], total, *first[dim + 1 :])


def index(
    name: str, shape: tuple[int, ...], key: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Basic indexing as (start, step, sliced shape, result's shape).

    The sliced shape has 1 where an int was; the result's has those dims dropped and None's put in.
    """
    items = key if isinstance(key, tuple) else (key,)
    given = sum(1 for item in items if item is not None and item is not Ellipsis)
    if given > len(shape):
        raise IndexError(f"{name}: too many indices for shape {shape}: {given}")
    if sum(1 for item in items if item is Ellipsis) > 1:
        raise IndexError(f"{name}: only one ellipsis; got {key!r}")
    start: list[int] = []
    step: list[int] = []
    sliced: list[int] = []
    result: list[int] = []

    def whole(n: int) -> None:
        start.append(0)
        step.append(1)
        sliced.append(n)
        result.append(n)

    for item in items:
        if item is None:
            result.append(1)
            continue
        if item is Ellipsis:
            for _ in range(len(shape) - given):
                whole(shape[len(sliced)])
            continue
        n = shape[len(sliced)]
        if isinstance(item, slice):
            a, b, s = item.indices(n)
            if s < 0:
                raise ValueError(f"{name}: step must be positive; got {item}")
            size = len(range(a, b, s))
            start.append(a if size else 0)
            step.append(s)
            sliced.append(size)
            result.append(size)
            continue
        kind = str(getattr(item, "dtype", ""))
        if isinstance(item, bool) or not hasattr(item, "__index__") or "bool" in kind:
            raise NotImplementedError(
                f"{name}: only ints, slices, None and ... can index yet; got {type(item).__name__}"
            )
        i = item.__index__()
        if not -n <= i < n:
            raise IndexError(f"{name}: index {i} is out of range for dim of size {n}")
        start.append(i + n if i < 0 else i)
        step.append(1)
        sliced.append(1)
    while len(sliced) < len(shape):
        whole(shape[len(sliced)])
    return tuple(start), tuple(step), tuple(sliced), tuple(result)
