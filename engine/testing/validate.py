"""validate: a kernel of one's own, and samples of it, as parametrised pytest tests.

A function of NumPy's, PyTorch's or JAX's arrays is made an op of gradsmith's: forward calls it,
backward its own gradient. What opcheck finds out about our ops it then finds out about it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..tensor import Tensor
from .adapters import Adapter, adapter_of
from .checks import _cast, as_function, outputs_of, place_all
from .comparing import to_numpy
from .gradcheck import check_gradients
from .opcheck import CHECKS, find_ops, opcheck
from .opdb.record import OpInfo, Sample, given
from .report import OpReport

__all__ = ["as_op", "own_op", "validate"]

Array = np.ndarray[Any, Any]
FLOATING = ("float16", "bfloat16", "float32", "float64")


def as_op(func: Callable[..., Any], adapter: Adapter, like: Any) -> Callable[..., Any]:
    """A function of another framework's arrays as one of gradsmith's tensors (on the CPU).

    Args:
        func: the function.
        adapter: of its framework, with its gradient.
        like: one of its arrays, for the device and the kind of array.
    """

    def made(tensor: Tensor) -> Any:
        array = tensor.detach().numpy()
        return array if adapter.name == "numpy" else adapter.make(array, like, array.dtype.name)

    def arguments(values: Sequence[Any]) -> list[Any]:
        return [made(a) if isinstance(a, Tensor) else a for a in values]

    class Foreign(Function):
        """Forward and gradient of the function."""

        @staticmethod
        def forward(ctx: Any, options: dict[str, Any], *inputs: Any) -> Any:
            ctx.save_for_backward(*[a for a in inputs if isinstance(a, Tensor)])
            ctx.inputs = [None if isinstance(a, Tensor) else (a,) for a in inputs]
            ctx.options = options
            result = func(*arguments(inputs), **options)
            several = isinstance(result, (tuple, list))
            outputs = [
                _tensor(adapter.to_numpy(r), adapter.dtype(r))
                for r in (result if several else [result])
            ]
            return tuple(outputs) if several else outputs[0]

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            saved = iter(ctx.saved_tensors)
            inputs = [next(saved) if held is None else held[0] for held in ctx.inputs]
            arrays = arguments(inputs)
            wanted = [
                i for i, a in enumerate(arrays) if adapter.owns(a) and _differentiable(inputs[i])
            ]
            options = ctx.options

            def call(*arrays: Any) -> Any:
                return func(*arrays, **options)

            if hasattr(func, "vjp"):
                own: Any = func
                call.vjp = lambda *arrays: own.vjp(*arrays, **options)  # type: ignore[attr-defined]
            target = _with_options(adapter, options)
            _, back = target.pullback(call, arrays, wanted, ())
            found = back([g.detach().numpy() for g in grads])
            results: list[Any] = [None] * (1 + len(inputs))
            for i, g in zip(wanted, found, strict=True):
                if g is not None:
                    results[1 + i] = _tensor(g, inputs[i].dtype.name)
            return tuple(results)

    def op(*inputs: Any, **options: Any) -> Any:
        return Foreign.apply(options, *inputs)

    return op


def _with_options(adapter: Adapter, options: dict[str, Any]) -> Adapter:
    """NumPy's adapter with the options passed to the vjp as they are to the function."""
    vjp = getattr(adapter, "vjp", None)
    if vjp is None or not options:
        return adapter
    return adapter_of([np.zeros(0)], lambda *a: vjp(*a, **options))


def _differentiable(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.dtype.is_floating_point


def _tensor(array: Array, dtype: str) -> Tensor:
    from ..ops.creation import from_numpy

    kept = array.astype(dtype) if array.dtype.kind == "f" else array
    return from_numpy(np.array(kept))


def own_op(
    func: Callable[..., Any],
    samples: Any,
    *,
    reference: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    name: str = "",
    ulp: float | None = None,
    terms: int | Callable[..., int] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    differentiable: bool = True,
    device: str = "cpu",
) -> OpInfo:
    """An OpInfo of a function of one's own; the arguments are `validate`'s."""
    listed: Sequence[Any] = samples() if callable(samples) else samples  # type: ignore[assignment]
    found = [_sample(s, i) for i, s in enumerate(listed)]
    inputs = [a for s in found for a in s.inputs]
    arrays = vjp is not None or hasattr(func, "vjp")
    call, second = func, True
    adapter = None
    if arrays or any(_foreign(a) for a in inputs):
        like = [a for a in inputs if _foreign(a)] or [np.zeros(0)]
        adapter = adapter_of(like[:1], vjp)
        call = as_op(func, adapter, like[0])
        second = False
    found = [replace(s, inputs=tuple([_as_data(a) for a in s.inputs])) for s in found]

    def itself(*inputs: Any, **options: Any) -> Any:
        """The function in the widest dtype that it is run in, as a reference on NumPy arrays."""
        kept = "float64" if "float64" in dtypes else dtypes[0]
        result = call(*place_all([_cast(a, kept) for a in inputs], device), **options)
        found = tuple([to_numpy(y.detach()) for y in outputs_of(result)])
        return found if isinstance(result, (tuple, list)) else found[0]

    def size(*inputs: Any, **options: Any) -> int:
        return max([1, *[a.size for a in inputs if isinstance(a, np.ndarray)]])

    def magnitude(*inputs: Any, **options: Any) -> Any:
        result = info.reference(*inputs, **options)
        parts = [np.asarray(r) for r in (result if isinstance(result, tuple) else (result,))]
        largest = [float(np.max(np.abs(p[np.isfinite(p)]), initial=0.0)) for p in parts]
        return tuple([np.full(p.shape, n) for p, n in zip(parts, largest, strict=True)])

    info = OpInfo(
        name=name or getattr(func, "__name__", type(func).__name__),
        covers=(),
        call=lambda lib, *inputs, **options: call(*inputs, **options),
        reference=reference
        if reference is not None
        else func
        if adapter is not None and adapter.name == "numpy"
        else itself,
        samples=lambda: found,
        dtypes=tuple(dtypes),
        ulp=0.0 if ulp is None else ulp,
        terms=None if ulp is not None else (lambda *a, **o: terms) if isinstance(terms, int) else (
            terms or size
        ),
        magnitude=magnitude,
        differentiable=differentiable,
        second=second and differentiable,
        second_reason="" if second else "a gradient on arrays records nothing",
        torch=False,
        keeps_dtype=True,
    )  # fmt: skip
    return info


def _foreign(value: Any) -> bool:
    """Whether it is an array of PyTorch or JAX."""
    return type(value).__module__.partition(".")[0] in ("torch", "jax", "jaxlib")


def _as_data(value: Any) -> Any:
    """Arrays and tensors as values of any dtype."""
    if isinstance(value, Tensor) or _foreign(value):
        owner = adapter_of([value])
        return given(owner.to_numpy(value), owner.dtype(value) in FLOATING)
    return given(value) if isinstance(value, np.ndarray) else value


def _sample(value: Any, number: int) -> Sample:
    """A Sample; or inputs, in a tuple or alone, as one."""
    if isinstance(value, Sample):
        return value
    inputs = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return Sample(inputs, name=f"sample{number}")


@dataclass(frozen=True)
class Case:
    """One check of one sample: what one test runs."""

    info: OpInfo
    sample: Sample
    check: str
    device: str
    seed: int
    plain: tuple[Any, ...]  # function, vjp, oracle, terms: for a kernel without float64

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.check}-{self.sample.id}"

    def run(self) -> OpReport | None:
        """Raises AssertionError if the check fails."""
        if self.check == "gradient" and "float64" not in self.info.dtypes:
            function, vjp, oracle, terms = self.plain
            inputs = self.sample.build(self.info.dtypes[0])
            if vjp is None and not hasattr(function, "vjp"):
                function, inputs = as_function(
                    self.info, self.sample, self.device, self.info.dtypes[0]
                )
            result = check_gradients(
                function,
                inputs,
                vjp=vjp,
                oracle=oracle,
                terms=terms,
                seed=self.seed,
            )
            assert result.passed, result.message
            return None
        report = opcheck(
            self.info, checks=self.check, samples=[self.sample], device=self.device, seed=self.seed
        )
        return report


def validate(
    op: Any,
    samples: Any = None,
    *,
    reference: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    checks: Sequence[str] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    ulp: float | None = None,
    terms: int | Callable[..., int] | None = None,
    differentiable: bool = True,
    device: str = "cpu",
    name: str = "",
    seed: int = 0,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator of a pytest test: one test for each check of each sample.

    Example:
        @gradsmith.testing.validate(swish, [np.linspace(-3, 3, 7)], vjp=swish_vjp)
        def test_swish(): ...

    Args:
        op: a function on gradsmith's tensors (a Function's apply, say); on NumPy arrays, with a
            `vjp` method or vjp=; on PyTorch's tensors or JAX's arrays (then samples are such
            arrays); or an op of the sample database, as `opcheck` takes it.
        samples: `Sample`s; or arrays, a tuple of them for several inputs; or a function that
            returns those. For an op of the database: None for all its samples, or how many.
        reference: the function on float64 NumPy arrays, what outputs are compared with. None: for
            the function itself in float64; only of NumPy arrays does that make a forward check.
        vjp: vjp(grad_y, *inputs) -> the gradient of each input, on NumPy arrays.
        checks: names out of `CHECKS`; None: all that make sense for it.
        dtypes: what it is run in. Without float64, the gradient is compared with the reference's.
        ulp: the outputs' tolerance in ULP; None: from `terms`.
        terms: how many terms an output element sums at most; None: the size of the largest input.
        differentiable: whether it has a gradient.
        device: for functions of gradsmith's tensors, where they run.
        name: what messages call it; None: the function's name.
        seed: of the directions.

    The test's own body runs after its check; it may take fixtures, and `report` for the OpReport.

    Raises:
        ValueError: no samples, or an unknown check.
    """
    cases = _cases(op, samples, reference, vjp, checks, dtypes, ulp, terms, differentiable,
                   device, name, seed)  # fmt: skip

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        import pytest

        signature = inspect.signature(test)
        wants_report = "report" in signature.parameters

        @wraps(test)
        def run(*args: Any, gradsmith_case: Case, **fixtures: Any) -> None:
            report = gradsmith_case.run()
            if wants_report:
                fixtures["report"] = report
            test(*args, **fixtures)

        kept = [p for p in signature.parameters.values() if p.name != "report"]
        kept.append(inspect.Parameter("gradsmith_case", inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        mark = pytest.mark.parametrize("gradsmith_case", cases, ids=lambda case: case.id)
        return mark(run)

    return decorate


def _cases(
    op: Any,
    samples: Any,
    reference: Any,
    vjp: Any,
    checks: Sequence[str] | None,
    dtypes: Sequence[str],
    ulp: float | None,
    terms: Any,
    differentiable: bool,
    device: str,
    name: str,
    seed: int,
) -> list[Case]:
    plain = (op, vjp, reference, terms if isinstance(terms, int) else None)
    if samples is None or isinstance(samples, int):
        from .checks import samples_of

        infos = [(i, samples_of(i, samples, seed=seed)) for i in find_ops(op)]
    else:
        info = own_op(op, samples, reference=reference, vjp=vjp, name=name, ulp=ulp,
                      terms=terms, dtypes=dtypes, differentiable=differentiable,
                      device=device)  # fmt: skip
        infos = [(info, list(info.samples()))]
    names = (
        list(CHECKS) if checks is None else [checks] if isinstance(checks, str) else list(checks)
    )
    for check in names:
        if check not in CHECKS:
            raise ValueError(f"validate: checks are {', '.join(CHECKS)}; got {check!r}")
    found = []
    for info, chosen in infos:
        for sample in chosen:
            for check in names:
                if checks is not None or _sensible(info, sample, check, reference, vjp, device):
                    found.append(Case(info, sample, check, device, seed, plain))
    if not found:
        raise ValueError("validate: at least one sample is needed")
    return found


def _sensible(
    info: OpInfo, sample: Sample, check: str, reference: Any, vjp: Any, device: str
) -> bool:
    """Whether the check says anything about this sample."""
    own = not info.covers
    if check in ("errors", "devices"):
        return False  # of the op, not of a sample
    if check == "isas":
        return not own and device == "cpu"
    if check == "threads":
        return device == "cpu" and (not own or info.second)
    if check == "forward" and own:
        numpy = vjp is not None or info.reference is not None and hasattr(info.reference, "vjp")
        return reference is not None or numpy
    if check in ("gradient", "inplace", "precision", "second"):
        if not (info.differentiable and sample.has_gradient):
            return False
        if check == "second":
            return info.second
        if check == "precision":
            return "float64" in info.dtypes and len(info.dtypes) > 1
        return check == "gradient" or "float64" in info.dtypes
    return True
