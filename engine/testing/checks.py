"""The checks that opcheck puts together, each on one sample.

What passes is measured, what does not raises AssertionError. The samples' arrays are built anew for
each run, so that no check can spoil another's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import _cpu
from ..autograd.backward import grad
from ..autograd.op import OPS
from ..tensor import Tensor
from . import tolerances
from .comparing import assert_close, assert_equal, error_in_ulp, same_bytes, to_numpy
from .gradcheck import check_gradients, gradgradcheck
from .layouts import THREADS
from .opdb import ErrorSample, OpInfo, Sample, place
from .report import Measure

__all__ = [
    "check_error",
    "check_forward",
    "check_gradient",
    "check_inplace",
    "check_isas",
    "check_other_device",
    "check_precision",
    "check_repeatable",
    "check_second",
    "check_threads",
    "check_unchanged",
    "depends_on_layout",
    "flat",
    "outputs_of",
    "place_all",
    "samples_of",
    "size_of",
    "using",
]

Array = np.ndarray[Any, Any]

#: Tighter than gradcheck's defaults: central differences of the ops are right to about 1e-9.
ATOL, RTOL = 1e-6, 1e-6


def library() -> Any:
    """The package itself, as samples call it."""
    return sys.modules[__name__.partition(".")[0]]


# ---- samples as tensors ----


def place_all(arrays: Sequence[Any], device: str) -> list[Any]:
    """The arrays of a sample as tensors."""
    return [
        place_all(a, device)
        if isinstance(a, list)
        else (place(a, device) if isinstance(a, np.ndarray) else a)
        for a in arrays
    ]


def outputs_of(result: Any) -> list[Any]:
    """One output or several, as a list."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def flat(values: Sequence[Any], kind: type = np.ndarray) -> list[Any]:
    """The arrays (or what is of `kind`) of a sample, those in lists too."""
    found: list[Any] = []
    for a in values:
        found += flat(a, kind) if isinstance(a, list) else [a] if isinstance(a, kind) else []
    return found


def every(values: Sequence[Any]) -> list[Any]:
    """All inputs of a sample, those in lists one by one."""
    return [u for v in values for u in (every(v) if isinstance(v, list) else [v])]


def size_of(sample: Sample) -> int:
    """The elements of the largest input."""
    specs: list[Any] = []
    for spec in sample.inputs:
        specs += spec if isinstance(spec, (list, tuple)) else [spec]
    sizes = [int(np.prod(s.shape, dtype=np.int64)) for s in specs if hasattr(s, "shape")]
    return max([1, *sizes])


def samples_of(
    info: OpInfo, count: int | None, *, seed: int = 0, limit: int | None = None
) -> list[Sample]:
    """The first sample of each tag, and others by a seeded choice, `count` at least.

    Args:
        info: whose samples.
        count: how many of the others may be chosen; None: all.
        seed: of the choice.
        limit: no sample with an input of more elements, and none that is tagged slow (for the
            emulator, where a kernel costs milliseconds).
    """
    usable = list(info.samples())
    if limit is not None:
        usable = [s for s in usable if "slow" not in s.tags and size_of(s) <= limit]
    if count is None or len(usable) <= count:
        return usable
    chosen: set[str] = set()
    seen: set[str] = set()
    for sample in usable:
        if not sample.tags <= seen:
            seen |= sample.tags
            chosen.add(sample.id)
    rng = np.random.default_rng(seed)
    chosen |= {usable[i].id for i in rng.choice(len(usable), count, replace=False)}
    return [s for s in usable if s.id in chosen]


@contextmanager
def using(isa: str | None = None, threads: int | None = None) -> Iterator[None]:
    """With these settings of the CPU kernels; as they were afterwards."""
    before = _cpu.isa(), _cpu.num_threads()
    try:
        if isa is not None:
            _cpu.set_isa(isa)
        if threads is not None:
            _cpu.set_num_threads(threads)
        yield
    finally:
        _cpu.set_isa(before[0])
        _cpu.set_num_threads(before[1])


# ---- forward ----


def call(info: OpInfo, sample: Sample, tensors: Sequence[Any]) -> list[Any]:
    """The op's outputs."""
    return outputs_of(info.call(library(), *tensors, **sample.options))


def compare(
    info: OpInfo, sample: Sample, results: Sequence[Any], arrays: Sequence[Any], dtype: str
) -> Measure:
    """The outputs against the reference of the arrays, within the tolerance of the op."""
    expected = info.expected(arrays, sample.options)
    assert len(results) == len(expected), (
        f"{info.name}: {len(results)} outputs, the reference has {len(expected)}"
    )
    bounds = _bounds(info, sample, arrays, dtype)
    measure = Measure(count=0)
    for i, (y, e, (rtol, atol)) in enumerate(zip(results, expected, bounds, strict=True)):
        wide = np.asarray(e)
        e = wide
        if info.keeps_dtype and wide.dtype.kind == "f":
            with np.errstate(over="ignore"):
                e = wide.astype(dtype)
        assert_close(y, e, rtol=rtol, atol=atol, name=f"{info.name} output {i}")
        measure = measure.joined(error_in_ulp(to_numpy(y), wide, rtol=rtol, atol=atol))
    return measure


def _bounds(
    info: OpInfo, sample: Sample, arrays: Sequence[Any], dtype: str
) -> list[tuple[Any, Any]]:
    """(rtol, atol) of each output; extreme values may overflow on the way to them."""
    with np.errstate(all="ignore"):
        return tolerances.forward(info, sample, list(arrays), dtype)


def check_forward(info: OpInfo, sample: Sample, dtype: str, device: str) -> Measure:
    """Runs the sample and compares all outputs, and the inputs with what they were."""
    arrays = sample.build(dtype)
    before = [a.copy() for a in flat(arrays)]
    tensors = place_all(arrays, device)
    results = call(info, sample, tensors)
    measure = compare(info, sample, results, arrays, dtype)
    _unchanged(tensors, before)
    return measure


def _unchanged(tensors: Sequence[Any], before: Sequence[Array]) -> None:
    for t, b in zip(flat(tensors, Tensor), before, strict=True):
        assert np.array_equal(to_numpy(t), b, equal_nan=b.dtype.kind == "f"), "an input was changed"


def check_unchanged(info: OpInfo, sample: Sample, dtype: str, device: str) -> Measure:
    """Inputs, and what comes in from behind, hold every byte that they held; gaps too."""
    arrays = sample.build(dtype)
    whole = [_owner(a) for a in flat(arrays)]
    before = [a.tobytes() for a in whole]
    nested = place_all(arrays, device)
    flags = every(sample.gradient_flags())
    leaves = []
    if info.differentiable:
        leaves = [t.requires_grad_() for t, f in zip(every(nested), flags, strict=True) if f]
    values = [to_numpy(t.detach()).tobytes() for t in flat(nested, Tensor)]
    outputs = call(info, sample, nested)
    recorded = [y for y in outputs if y.requires_grad]
    if recorded and leaves:
        seen = [np.ones(tuple(y.shape), to_numpy(y.detach()).dtype) for y in recorded]
        results = [to_numpy(y.detach()).tobytes() for y in recorded]
        grad(recorded, leaves, _beside(seen, recorded), allow_unused=True)
        assert all((u == 1).all() for u in seen), "backward changed the gradient that came in"
        for y, b in zip(recorded, results, strict=True):
            assert same_bytes(to_numpy(y.detach()), b), "backward changed an output"
    for t, b in zip(flat(nested, Tensor), values, strict=True):
        assert same_bytes(to_numpy(t.detach()), b), "an input was changed"
    for a, b in zip(whole, before, strict=True):
        assert same_bytes(a, b), "memory around an input was changed"
    return Measure(count=len(values))


def _owner(array: Array) -> Array:
    """The array whose memory a view shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def check_error(info: OpInfo, sample: ErrorSample, device: str) -> Measure:
    """The call is refused, with the type and the words that the sample says."""
    inputs = place_all(Sample(sample.inputs).build("float64"), device)
    try:
        info.call(library(), *inputs, **sample.options)
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        assert type(error) is sample.error, f"must raise {sample.error.__name__}; got {got}"
        assert re.search(sample.match, str(error)), f"must say {sample.match!r}; got {got}"
        assert str(error).strip(), "the message is empty"
        return Measure()
    raise AssertionError(f"must raise {sample.error.__name__}; nothing was raised")


# ---- gradients ----


def as_function(
    info: OpInfo, sample: Sample, device: str, dtype: str = "float64"
) -> tuple[Callable[..., Any], list[Any]]:
    """The sample as a function of its inputs in one list, with them."""
    nested = place_all(sample.build(dtype), device)
    inputs = every(nested)
    for t, flag in zip(inputs, every(sample.gradient_flags()), strict=True):
        if flag:
            t.requires_grad_()
    sizes = [len(v) if isinstance(v, list) else -1 for v in nested]

    def function(*args: Any) -> Any:
        left = list(args)
        given = []
        for n in sizes:
            given.append(left.pop(0) if n < 0 else [left.pop(0) for _ in range(n)])
        return info.call(library(), *given, **sample.options)

    return function, inputs


def check_gradient(
    info: OpInfo,
    sample: Sample,
    device: str,
    directions: int | None = None,
    seed: int = 0,
    safety: bool = True,
) -> Measure:
    """The first derivative of a sample, in float64, by differences."""
    function, tensors = as_function(info, sample, device)
    result = check_gradients(
        function,
        tensors,
        atol=ATOL,
        rtol=RTOL,
        directions=directions,
        check_safety=safety,
        check_layouts=not depends_on_layout(info),
        seed=seed,
    )
    assert result.passed, result.message
    if "kink" not in sample.tags:
        assert result.kinks == 0, "a kink where the sample has none: choose values apart"
    return Measure(slope=result.slope, count=result.checked)


def check_second(
    info: OpInfo, sample: Sample, device: str, directions: int | None = 3, seed: int = 0
) -> Measure:
    """The second derivative of a sample, in float64, by differences of the first."""
    function, tensors = as_function(info, sample, device)
    gradgradcheck(
        function,
        tensors,
        atol=ATOL,
        rtol=RTOL,
        directions=directions,
        check_safety=False,
        seed=seed,
    )
    return Measure()


def _cast(value: Any, dtype: str) -> Any:
    if isinstance(value, list):
        return [_cast(v, dtype) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        # astype keeps a negative or zero stride only by chance, and the layout is not the point.
        return value.astype(dtype)
    return value


def _beside(arrays: Sequence[Array], outputs: Sequence[Any]) -> list[Any]:
    """The arrays as tensors, each on the device of its output (a transfer's is another one)."""
    return [place(a, y.device.type) for a, y in zip(arrays, outputs, strict=True)]


def gradients(
    info: OpInfo,
    sample: Sample,
    arrays: Sequence[Any],
    device: str,
    seen: Sequence[Array] | None = None,
) -> tuple[list[Any], list[Array | None], list[Array]]:
    """(outputs, gradients, what came in): one pass forward and back; seeded numbers come in."""
    nested = place_all(arrays, device)
    flags = every(sample.gradient_flags()) if info.differentiable else []
    leaves = [t.requires_grad_() for t, flag in zip(every(nested), flags) if flag]  # noqa: B905
    outputs = call(info, sample, nested)
    recorded = [y for y in outputs if y.requires_grad]
    if seen is None:
        rng = np.random.default_rng(5)
        seen = [
            rng.standard_normal(tuple(y.shape)).astype(to_numpy(y).dtype.name) for y in recorded
        ]
    found: list[Any] = [None] * len(leaves)
    if recorded and leaves:
        kinds = [to_numpy(y).dtype for y in recorded]
        narrowed = [u.astype(d) for u, d in zip(seen, kinds, strict=True)]
        found = list(grad(recorded, leaves, _beside(narrowed, recorded), allow_unused=True))
    results = [y.detach() for y in outputs]
    return results, [None if g is None else to_numpy(g) for g in found], list(seen)


def check_precision(
    info: OpInfo, sample: Sample, device: str = "cpu", dtype: str = "float32"
) -> Measure:
    """The gradient in a narrow dtype against the one in float64, from the same inputs."""
    arrays = sample.build(dtype)
    _, narrow, seen = gradients(info, sample, _cast(arrays, dtype), device)
    outputs, wide, _ = gradients(info, sample, _cast(arrays, "float64"), device, seen)
    upstream = max([float(np.max(np.abs(u), initial=0.0)) for u in seen], default=0.0)
    measure = Measure(count=0)
    own = 1 if info.terms is None else max(1, info.terms(*arrays, **sample.options))
    products = own * max([y.numel() for y in outputs], default=0)
    for i, (n, w) in enumerate(zip(narrow, wide, strict=True)):
        assert (n is None) == (w is None)
        if n is None or w is None:
            continue  # piecewise constant in this input
        # All outputs together are sums of so many terms, which the gradient's elements share.
        terms = max(own, -(-products // max(w.size, 1)))
        atol = tolerances.gradient(dtype, w, upstream, terms)
        assert_close(n, w, rtol=0.0, atol=atol, check_dtype=False, name=f"gradient {i}")
        assert n.dtype == np.dtype(dtype), f"gradient {i} is {n.dtype}"
        measure = measure.joined(error_in_ulp(n, w, rtol=0.0, atol=atol))
    return measure


# ---- layouts ----


def depends_on_layout(info: OpInfo) -> bool:
    """Whether the op is a view, which some layouts do not allow."""
    return any(OPS[name].views for name in info.covers if name in OPS)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return np.array(value, order="C") if isinstance(value, np.ndarray) else value


# ---- in place ----


def check_inplace(info: OpInfo, sample: Sample, device: str, dtype: str = "float64") -> Measure:
    """A change in place before backward gives an error, or the gradient of what forward saw.

    The op's own in-place form, where it has one, gives the bits of the other.
    """
    lib = library()
    arrays = sample.build(dtype)
    flags = every(sample.gradient_flags())
    # Another layout may take another path through the kernels: all is compared on plain copies.
    _, expected, seen = gradients(info, sample, _plain(arrays), device)
    measure = Measure(count=0)
    for what in ("inputs", "outputs"):
        nested = place_all(_plain(arrays), device)
        leaves = []
        for t, flag in zip(every(nested), flags, strict=True):
            if flag:
                leaves.append(t.requires_grad_())
        copies = _copies(nested)
        outputs = call(info, sample, copies)
        recorded = [y for y in outputs if y.requires_grad]
        if not recorded or not leaves:
            return measure
        narrowed = [u.astype(to_numpy(y).dtype) for u, y in zip(seen, recorded, strict=True)]
        grads = _beside(narrowed, recorded)
        changed = flat(copies, Tensor) if what == "inputs" else recorded
        try:
            with lib.no_grad():
                for t in changed:
                    if t.dtype.is_floating_point and t.numel():
                        t.mul_(3.0)
            found = grad(recorded, leaves, grads, allow_unused=True)
        except RuntimeError as error:
            assert "in place" in str(error) or "inplace" in str(error), (
                f"{what} changed in place before backward: {error}"
            )
            measure = measure.joined(Measure())
            continue
        for i, (g, e) in enumerate(zip(found, expected, strict=True)):
            if g is not None and e is not None:
                assert_equal(
                    g, e, name=f"{what} changed in place before backward, no error: gradient {i}"
                )
        measure = measure.joined(Measure())
    return measure.joined(_own_form(info, sample, device, dtype))


def _copies(value: Any) -> Any:
    if isinstance(value, list):
        return [_copies(v) for v in value]
    if isinstance(value, Tensor) and value.dtype.is_floating_point:
        return value.clone()
    return value


def _own_form(info: OpInfo, sample: Sample, device: str, dtype: str) -> Measure:
    """`x.op_()` against `op(x)`, bit for bit."""
    method = getattr(Tensor, f"{info.name}_", None)
    inputs = place_all(sample.build(dtype), device)
    if method is None or not inputs or not isinstance(inputs[0], Tensor):
        return Measure(count=0)
    outputs = call(info, sample, inputs)
    first = inputs[0]
    if len(outputs) != 1 or outputs[0].shape != first.shape or outputs[0].dtype != first.dtype:
        return Measure(count=0)
    target = first.detach().clone()
    try:
        result = method(target, *inputs[1:], **sample.options)
    except TypeError:
        return Measure(count=0)  # the in-place form takes other arguments
    assert result is target, f"{info.name}_ must return its tensor"
    assert_equal(target, outputs[0].detach(), name=f"{info.name}_ against {info.name}")
    return Measure()


# ---- the same bits, and other kernels ----


def bits(info: OpInfo, sample: Sample, dtype: str, device: str) -> list[Array]:
    """The outputs and, where it has them, the gradients."""
    arrays = sample.build(dtype)
    if not info.differentiable:
        results = call(info, sample, place_all(arrays, device))
        return [to_numpy(y).copy() for y in results]
    results, grads, _ = gradients(info, sample, arrays, device)
    return [to_numpy(y).copy() for y in results] + [g.copy() for g in grads if g is not None]


def _same(first: Sequence[Array], other: Sequence[Array], name: str) -> None:
    for a, b in zip(first, other, strict=True):
        assert_equal(b, a, name=name)


def check_repeatable(info: OpInfo, sample: Sample, dtype: str, device: str) -> Measure:
    """Two runs give the same bits, forward and back."""
    first = bits(info, sample, dtype, device)
    _same(first, bits(info, sample, dtype, device), "a second run")
    return Measure(count=len(first))


def check_threads(
    info: OpInfo, sample: Sample, dtype: str, threads: Sequence[int] = THREADS
) -> Measure:
    """The same bits at every number of threads, forward and back."""
    first: list[Array] = []
    for n in threads:
        with using(threads=n):
            found = bits(info, sample, dtype, "cpu")
        _same(first or found, found, f"at {n} threads")
        first = first or found
    return Measure(count=len(first) * (len(threads) - 1))


def check_isas(info: OpInfo, sample: Sample, dtype: str) -> Measure:
    """Every ISA build that the processor runs is within the tolerance."""
    measure = Measure(count=0)
    for name in _cpu.isas():
        if name != _cpu.isa():
            with using(isa=name):
                try:
                    measure = measure.joined(check_forward(info, sample, dtype, "cpu"))
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from None
    return measure


def check_other_device(info: OpInfo, sample: Sample, dtype: str, device: str) -> Measure:
    """The sample on the other device, against this device's result, forward and back."""
    other = "cpu" if device != "cpu" else "cuda"
    arrays = sample.build(dtype)
    results, grads, seen = gradients(info, sample, arrays, device)
    theirs, their_grads, _ = gradients(info, sample, sample.build(dtype), other, seen)
    bounds = _bounds(info, sample, arrays, dtype)
    for i, (y, t, (rtol, atol)) in enumerate(zip(results, theirs, bounds, strict=True)):
        name = f"{device} against {other}: output {i}"
        assert_close(y, t.cpu(), rtol=2 * rtol, atol=2 * atol, name=name)
    upstream = max([float(np.max(np.abs(u), initial=0.0)) for u in seen], default=0.0)
    terms = max([a.size for a in flat(arrays)] + [y.numel() for y in results], default=1)
    if "special" not in sample.tags:
        for i, (g, t) in enumerate(zip(grads, their_grads, strict=True)):
            assert (g is None) == (t is None)
            if g is not None and t is not None:
                atol = 2 * tolerances.gradient(dtype, g, upstream, terms)
                name = f"{device} against {other}: gradient {i}"
                assert_close(g, t, rtol=0.0, atol=atol, name=name)
    return Measure(count=len(results) + len(grads))
