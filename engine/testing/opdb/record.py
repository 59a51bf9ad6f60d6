"""The records of the sample database: arrays, samples, error samples and ops, as data.

An `Arr` says what an array is like; `Sample` puts arrays and options together; `OpInfo` holds an
op's samples with the float64 reference they are compared to. Nothing is built before it is asked
for, and what is built depends on nothing but the record: the same numbers in every run.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

__all__ = ["SPECIALS", "Arr", "ErrorSample", "Given", "OpInfo", "Sample", "build", "given", "place"]
__all__ += ["specials"]

Array = np.ndarray[Any, Any]

#: How many extreme values there are: shifts below it put each of them into every position.
SPECIALS = 16


def specials(dtype: Any) -> Array:
    """The extreme values of a floating-point dtype, SPECIALS of them."""
    f = np.finfo(dtype)
    return np.array(
        [
            np.nan,
            np.inf,
            -np.inf,
            0.0,
            -0.0,
            f.smallest_subnormal,
            -f.smallest_subnormal * 3,
            f.tiny,
            f.max,
            -f.max,
            1.0,
            -1.5,
            f.eps,
            # Where e^x overflows and becomes subnormal.
            np.log(float(f.max)) * 1.001,
            np.log(float(f.tiny)) - 3.0,
            1e6,
        ],
        dtype=dtype,
    )


@dataclass(frozen=True)
class Arr:
    """An array as data.

    Attributes:
        shape: its sizes.
        fill: what it holds: normal; positive (0.5 to 2); nonzero (as positive, either sign);
            distinct (no two closer than 0.05, so that no maximum is near a tie); integers (-3 to
            3); ties (0 and 1); zeros; ones; ("specials", shift): extreme values in every position;
            ("diagonal", value): normal with `value` where the flat position, taken modulo the last
            size, is the row; ("classes", n, ...): ints in [0, n), and each further value somewhere;
            ("values", ...): these, cyclically.
        layout: how it lies in memory: c; f (all dims reversed); last2 (the last two exchanged);
            strided (every second element of the last dim, NaN between); reversed (negative
            strides); expanded (stride 0 in the first dim); expanded_last; offset (one element
            behind an aligned address, NaN around it); channels_last (dim 1 innermost).
        dtype: None for the dtype that the sample is built with.
        grad: whether its gradient is checked.
    """

    shape: tuple[int, ...]
    fill: Any = "normal"
    layout: str = "c"
    dtype: str | None = None
    grad: bool = True


@dataclass(frozen=True, eq=False)
class Given(Arr):
    """An array of given values; floating-point ones take the dtype that the sample is built with.

    Attributes:
        values: the values, of the shape.
    """

    values: Any = None


def given(array: Any, grad: bool = True) -> Given:
    """A Given of these values."""
    array = np.array(array)
    dtype = None if array.dtype.kind == "f" else array.dtype.name
    return Given(array.shape, dtype=dtype, grad=grad, values=array)


def _values(spec: Arr, rng: np.random.Generator, dtype: Any) -> Array:
    """The values in C order."""
    shape, fill = spec.shape, spec.fill
    kind, *rest = fill if isinstance(fill, tuple) else (fill,)
    count = int(np.prod(shape, dtype=np.int64))
    if kind == "normal":
        return rng.standard_normal(shape)
    if kind == "positive":
        return rng.uniform(0.5, 2.0, shape)
    if kind == "nonzero":
        return rng.uniform(0.5, 2.0, shape) * rng.choice([-1.0, 1.0], shape)
    if kind == "distinct":
        spaced = (np.arange(count) - count / 2 + 0.3) * 0.1 + rng.uniform(0, 0.05, count)
        return rng.permutation(spaced).reshape(shape)
    if kind == "integers":
        return rng.integers(-3, 4, shape).astype(np.float64)
    if kind == "ties":
        return rng.integers(0, 2, shape).astype(np.float64)
    if kind == "zeros":
        return np.zeros(shape)
    if kind == "ones":
        return np.ones(shape)
    if kind == "specials":
        values = specials(dtype)
        return values[(np.arange(count) + rest[0]) % len(values)].reshape(shape)
    if kind == "diagonal":
        values = rng.standard_normal(shape)
        rows = values.reshape(-1, shape[-1])
        for i in range(len(rows)):
            rows[i, i % shape[-1]] = rest[0]
        return values
    if kind == "classes":
        values = rng.integers(0, max(rest[0], 1), shape)
        flat = values.reshape(-1)
        for i, value in enumerate(rest[1:]):
            flat[i * 2 + 1] = value
        return values
    if kind == "values":
        return np.resize(np.array(rest, dtype=np.float64), count).reshape(shape)
    raise ValueError(f"Arr: unknown fill {fill!r}")


def _lay_out(values: Array, layout: str) -> Array:
    """The same values in another memory layout."""
    if layout == "c":
        return np.array(values, order="C")
    gap = np.nan if values.dtype.kind == "f" else (values.dtype.kind == "b" or -77)
    if layout == "f":
        return np.array(values, order="F")
    if layout == "last2":
        return np.array(values.swapaxes(-1, -2), order="C").swapaxes(-1, -2)
    if layout == "channels_last":
        return np.moveaxis(np.array(np.moveaxis(values, 1, -1), order="C"), -1, 1)
    if layout == "reversed":
        # The ellipsis keeps a 0-dim array an array.
        every = (*(slice(None, None, -1) for _ in values.shape), ...)
        return np.array(values[every], order="C")[every]
    if layout == "strided":
        buffer = np.full((*values.shape[:-1], 2 * values.shape[-1] + 1), gap, values.dtype)
        buffer[..., 1::2] = values
        return buffer[..., 1::2]
    if layout == "offset":
        buffer = np.full(values.size + 2, gap, values.dtype)
        inner = buffer[1 : 1 + values.size].reshape(values.shape)
        inner[...] = values
        return inner
    if layout == "expanded":
        return np.broadcast_to(values[:1].copy(), values.shape)
    if layout == "expanded_last":
        return np.broadcast_to(values[..., :1].copy(), values.shape)
    raise ValueError(f"Arr: unknown layout {layout!r}")


def build(spec: Any, rng: np.random.Generator, dtype: Any) -> Any:
    """The NumPy array of an Arr; a sequence of them as a list; anything else as it is."""
    if isinstance(spec, Arr):
        wanted = np.dtype(dtype if spec.dtype is None else spec.dtype)
        with np.errstate(over="ignore"):
            held = spec.values if isinstance(spec, Given) else _values(spec, rng, wanted)
            values = held.astype(wanted)
        array = _lay_out(values, spec.layout)
        return array
    if isinstance(spec, (list, tuple)) and any(isinstance(s, Arr) for s in spec):
        return [build(s, rng, dtype) for s in spec]
    return spec


def place(array: Array, device: str) -> Any:
    """The array as a tensor on a device, with the same strides, gaps and all."""
    from ...kernels import table
    from ...ops.creation import from_numpy
    from ...tensor import Tensor

    if device == "cpu":
        return from_numpy(array)
    k = table(device)
    if array.flags.c_contiguous:
        return Tensor._make(k.transfer(array, device))
    from ...kernels.cuda import memory

    size = array.itemsize
    first = array[tuple(slice(-1, None) if s < 0 else slice(0, 1) for s in array.strides)]
    reach = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    before = -sum(r for r in reach if r < 0) // size
    count = before + sum(r for r in reach if r > 0) // size + 1
    flat = np.lib.stride_tricks.as_strided(first.reshape(-1), (count,), (size,))
    buffer = k.transfer(flat.copy(), device)
    return Tensor._make(memory.strided(buffer[before:], array.shape, array.strides))


@dataclass(frozen=True)
class Sample:
    """Inputs and options of one call.

    Attributes:
        inputs: Arrs; sequences of Arrs; or what is passed as it is (numbers, None).
        options: keyword arguments.
        tags: what it is a sample of: empty, size1, odd, strided, negative, expanded, special (NaN,
            infinities, subnormals: no gradient check), grid, exact (integers: tolerance zero),
            kink (ties: a subgradient), large, slow (not under the emulator),
            torch_differs (PyTorch's result or gradient has the wrong shape).
        name: a word for test ids, where shapes and options do not say it.
    """

    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    name: str = ""

    @property
    def id(self) -> str:
        """What a test calls it."""
        parts = [self.name] if self.name else []
        for spec in self.inputs:
            arrs = spec if isinstance(spec, (list, tuple)) else (spec,)
            text = "+".join(_short(s) for s in arrs)
            parts.append(text)
        parts += [f"{k}={v}" for k, v in self.options.items()]
        return "-".join(parts).replace(" ", "")

    def build(self, dtype: Any = np.float64) -> list[Any]:
        """The inputs as NumPy arrays, the same in every run."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        return [build(spec, rng, dtype) for spec in self.inputs]

    def gradient_flags(self) -> list[Any]:
        """For each input whether its gradient is checked (a list of flags for a sequence)."""

        def flag(spec: Any) -> Any:
            if isinstance(spec, (list, tuple)) and any(isinstance(s, Arr) for s in spec):
                return [flag(s) for s in spec]
            return isinstance(spec, Arr) and spec.grad and spec.dtype is None

        return [flag(spec) for spec in self.inputs]

    @property
    def has_gradient(self) -> bool:
        """Whether there is a gradient to check: some input's, and no extreme values."""

        def any_of(flag: Any) -> bool:
            return any(map(any_of, flag)) if isinstance(flag, list) else bool(flag)

        return "special" not in self.tags and any_of(self.gradient_flags())

    def tagged(self, *tags: str) -> Sample:
        """The sample with further tags."""
        return replace(self, tags=self.tags | set(tags))


def _short(spec: Any) -> str:
    if isinstance(spec, np.ndarray):
        return "x".join(map(str, spec.shape)) + f".{spec.dtype}"
    if not isinstance(spec, Arr):
        return str(spec)
    text = "x".join(map(str, spec.shape)) if spec.shape else "scalar"
    fill = spec.fill if isinstance(spec.fill, str) else ".".join(map(str, spec.fill))
    if fill not in ("normal",):
        text += f".{fill}"
    if spec.layout != "c":
        text += f".{spec.layout}"
    return text + (f".{spec.dtype}" if spec.dtype else "")


@dataclass(frozen=True)
class ErrorSample:
    """A call that must be refused.

    Attributes:
        inputs, options: as Sample's; Arrs become tensors, the rest is passed as it is.
        error: the exception's type.
        match: a regex that its message must contain.
        torch: whether PyTorch refuses it too.
    """

    inputs: tuple[Any, ...]
    options: dict[str, Any]
    error: type[Exception]
    match: str
    torch: bool = True

    @property
    def id(self) -> str:
        """What a test calls it."""
        return Sample(self.inputs, self.options).id


@dataclass(frozen=True)
class OpInfo:
    """An op, what it should compute, and the samples to show it on.

    Attributes:
        name: of the op, and of its tests.
        covers: the op records (gradsmith.autograd.op.OPS) that these samples run.
        call: call(lib, *tensors, **options), lib being gradsmith or torch.
        reference: reference(*float64 arrays, **options), in NumPy, for clarity; the output or a
            tuple of them.
        samples: the samples; a function, so that nothing is built on import.
        errors: calls that must be refused.
        dtypes: what it is run in.
        ulp: the tolerance of elementwise ops in units of the last place; 0: equal.
        terms: how many terms each output element sums, terms(*arrays, **options); None: none, ulp
            alone is the tolerance.
        magnitude: the sum of the terms' absolute values, magnitude(*arrays, **options); what
            rounding is relative to. Default: the reference of the inputs' absolute values.
        differentiable: whether gradients are checked.
        second: whether second derivatives are.
        torch: whether PyTorch has it under the same call.
        torch_gradient: whether PyTorch's gradient is the same one; a reason if not.
        second_reason: for second=False, why.
        keeps_dtype: whether the results' dtype is the inputs'; else the reference's.
        exception: a reason for any tolerance wider than the rule's, with the factor in `widen`.
        widen: factor on the tolerance; needs `exception`.
    """

    name: str
    covers: tuple[str, ...]
    call: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Callable[[], Sequence[Sample]]
    errors: tuple[ErrorSample, ...] = ()
    dtypes: tuple[str, ...] = ("float32", "float64")
    ulp: float = 0.0
    terms: Callable[..., int] | None = None
    magnitude: Callable[..., Any] | None = None
    differentiable: bool = True
    second: bool = True
    second_reason: str = ""
    torch: bool = True
    torch_gradient: str = ""
    keeps_dtype: bool = True
    exception: str = ""
    widen: float = 1.0

    def expected(self, arrays: Sequence[Any], options: dict[str, Any]) -> tuple[Any, ...]:
        """The reference's outputs for these arrays, as float64."""
        result = self.reference(*[_wide(a) for a in arrays], **options)
        return result if isinstance(result, tuple) else (result,)

    def sizes_of_terms(self, arrays: Sequence[Any], options: dict[str, Any]) -> tuple[Any, ...]:
        """What rounding is relative to, for each output."""
        function = self.magnitude
        if function is None:
            result = self.reference(*[_absolute(_wide(a)) for a in arrays], **options)
        else:
            result = function(*[_wide(a) for a in arrays], **options)
        return result if isinstance(result, tuple) else (result,)


def _wide(value: Any) -> Any:
    """Floating-point arrays as float64."""
    if isinstance(value, list):
        return [_wide(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [_absolute(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.abs(value)
    return value
