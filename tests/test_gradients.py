"""Every differentiable op on its samples: first and second derivatives, float32 against float64."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import (
    GradcheckError,
    check_gradients,
    gradcheck,
    gradgradcheck,
)
from gradsmith.testing.checks import (
    as_function,
    check_gradient,
    check_precision,
    check_second,
)
from gradsmith.testing.opdb import OpInfo, Sample, op_infos
from seeded import function as wrong
from seeded import normal

CASES = [
    pytest.param(info, sample, id=f"{info.name}-{sample.id}")
    for info in op_infos()
    for sample in info.samples()
    if info.differentiable and sample.has_gradient
]


@pytest.mark.parametrize(
    "info,sample,safety",
    [pytest.param(*c.values, i % 3 == 0, id=c.id) for i, c in enumerate(CASES)],
)
def test_gradient(info: OpInfo, sample: Sample, safety: bool) -> None:
    """Of every third also what other calls, other strides and missing gradients do."""
    check_gradient(info, sample, "cpu", safety=safety)


@pytest.mark.parametrize(
    "info,sample", [c for c in CASES if c.values[0].second and "large" not in c.values[1].tags]
)
def test_second_derivative(info: OpInfo, sample: Sample, full: bool) -> None:
    check_second(info, sample, "cpu", None if full else 3)


@pytest.mark.parametrize("info,sample", CASES)
def test_float32_gradient_follows_float64(info: OpInfo, sample: Sample) -> None:
    check_precision(info, sample)


#: The first sample of each op with any element.
FIRST = {case.values[0].name: case for case in reversed(CASES)}


@pytest.mark.parametrize("info,sample", FIRST.values())
def test_gradients_behind_views_are_the_leaves_own(info: OpInfo, sample: Sample) -> None:
    """A leaf takes over the memory of a view; nobody else may hold it."""
    function, given = as_function(info, sample, "cpu")
    at = [i for i, t in enumerate(given) if isinstance(t, gs.Tensor) and t.requires_grad]
    plain = [given[i].detach().clone().requires_grad_() for i in at]
    lines = [t.detach().reshape(t.numel()).clone().requires_grad_() for t in plain]

    def gradients(shown: list[Any], leaves: list[Any]) -> tuple[list[Any], list[Any]]:
        arguments = list(given)
        for i, t in zip(at, shown, strict=True):
            arguments[i] = t
        y = function(*arguments)
        results = [part for part in (y if isinstance(y, tuple) else (y,)) if part.requires_grad]
        seeds = [gs.ones_like(part) for part in results]
        gs.autograd.backward(results, seeds, retain_graph=True)
        return [leaf.grad for leaf in leaves], results + seeds

    views = [line.view(tuple(t.shape)) for line, t in zip(lines, plain, strict=True)]
    grads, others = gradients(views, lines)
    wanted, _ = gradients(plain, plain)
    held = [t.detach().numpy() for t in (*lines, *others)]
    for grad, want in zip(grads, wanted, strict=True):
        if grad is None:
            assert want is None
            continue
        array = grad.numpy()
        assert not any(np.shares_memory(array, x) for x in held)
        held.append(array)
        np.testing.assert_array_equal(array.reshape(want.shape), want.numpy())


def test_gradient_of_a_cast_has_the_inputs_dtype() -> None:
    x = gs.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x.double() * 2.0).sum().backward()
    assert x.grad.dtype is gs.float32
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


# ---- gradcheck itself: what it must find, and what it must not ----


def _one_wrong(grad_y: Any, x: Any) -> Any:
    grad = (grad_y * x * 2.0).numpy().copy()
    grad.reshape(-1)[grad.size // 2] *= 1.01
    return gs.from_numpy(grad)


def _one_nan(grad_y: Any, x: Any) -> Any:
    grad = (grad_y * x * 2.0).numpy().copy()
    grad.reshape(-1)[3] = np.nan
    return gs.from_numpy(grad)


def _square(x: Any) -> Any:
    return x * x


BROKEN = {
    "sign": (wrong(gs.exp, lambda g, x: -(g * x.exp())), lambda n: (normal(n, n),)),
    "factor": (wrong(_square, lambda g, x: g * x), lambda n: (normal(n, n),)),
    "slightly off": (wrong(_square, lambda g, x: g * x * 2.01), lambda n: (normal(n, n),)),
    "missing term": (
        wrong(lambda a, b: a * b + a, lambda g, a, b: (g * b, g * a)),
        lambda n: (normal(n, n), normal(n, n, seed=1)),
    ),
    "missing input": (
        wrong(lambda a, b: a * b, lambda g, a, b: (g * b, None)),
        lambda n: (normal(n, n), normal(n, n, seed=1)),
    ),
    "transposed": (
        wrong(lambda a, b: a @ b, lambda g, a, b: ((b @ g).t(), a.t() @ g)),
        lambda n: (normal(n, n), normal(n, n, seed=1)),
    ),
    "swapped": (
        wrong(lambda a, b: a / b, lambda g, a, b: (g * a, g * b)),
        lambda n: (normal(n, n), normal(n, n, seed=1)),
    ),
    "one element": (wrong(_square, _one_wrong), lambda n: (normal(n, n),)),
    "one NaN": (wrong(_square, _one_nan), lambda n: (normal(n, n),)),
    "all NaN": (wrong(_square, lambda g, x: g * float("nan")), lambda n: (normal(n, n),)),
    "infinite": (wrong(_square, lambda g, x: g * float("inf")), lambda n: (normal(n, n),)),
    "zero": (wrong(gs.tanh, lambda g, x: g * 0.0), lambda n: (normal(n, n),)),
    "detached": (lambda x: x * x.detach(), lambda n: (normal(n, n),)),
    "constant": (lambda x: gs.from_numpy(x.detach().numpy() * 2.0), lambda n: (normal(n, n),)),
    "shifted": (
        wrong(_square, lambda g, x: gs.cat([(g * x * 2.0)[1:], (g * x * 2.0)[:1]])),
        lambda n: (normal(n, n),),
    ),
}


@pytest.mark.parametrize("size", [4, 20], ids=["elements", "directions"])
@pytest.mark.parametrize("kind", BROKEN)
def test_gradcheck_finds_a_wrong_gradient(kind: str, size: int) -> None:
    function, inputs = BROKEN[kind]
    with pytest.raises(GradcheckError, match=r"worst at input \d \[\d+, \d+\]: analytic"):
        gradcheck(function, inputs(size))
    assert not gradcheck(function, inputs(size), raise_exception=False)
    if size == 4:
        with pytest.raises(GradcheckError, match=r"for output element \d+: analytic"):
            gradcheck(function, inputs(size), full_jacobian=True)


@pytest.mark.parametrize("size", [4, 20], ids=["elements", "directions"])
@pytest.mark.parametrize("index", [0, 7, 15])
def test_gradcheck_names_the_wrong_element(size: int, index: int) -> None:
    def backward(grad_y: Any, x: Any) -> Any:
        grad = (grad_y * x * 2.0).numpy().copy()
        grad.reshape(-1)[index] += 3.0
        return gs.from_numpy(grad)

    result = check_gradients(wrong(_square, backward), normal(size, size))
    place = ", ".join(map(str, divmod(index, size)))
    assert f"worst at input 0 [{place}]: analytic" in result.message
    assert "off by 3," in result.message


def test_gradcheck_finds_a_wrong_second_derivative() -> None:
    # The gradient is right, but detached from x: no second derivative.
    cube = wrong(lambda x: x * x * x, lambda g, x: g * (x.detach() * x.detach() * 3.0))
    x = normal(3, 3)
    assert gradcheck(cube, x)
    with pytest.raises(GradcheckError, match="worst at input 0"):
        gradgradcheck(cube, x)


def test_gradcheck_finds_results_that_change() -> None:
    calls = []

    def drifting(x: Any) -> Any:
        calls.append(1)
        return x * float(len(calls))

    with pytest.raises(GradcheckError, match="two calls differ"):
        gradcheck(drifting, normal(3))


def test_gradcheck_finds_a_gradient_that_changes() -> None:
    calls = []

    def drifting(grad_y: Any, x: Any) -> Any:
        calls.append(1)
        return grad_y * (1.0 + 1e-9 * len(calls))

    function = wrong(lambda x: x * 1.0, drifting)
    with pytest.raises(GradcheckError, match="two passes differ by"):
        gradcheck(function, normal(3))
    assert gradcheck(function, normal(3), nondet_tol=1e-6)


@pytest.mark.parametrize(
    "function,values",
    [
        (gs.relu, [0.0, -0.0, 1.0, -1.0, 1e-7, -1e-7, 1e-9]),
        (gs.amax, [2.0, 2.0, 2.0, -1.0]),
        (gs.amax, [1.0, 1.0 + 1e-8, 0.0]),
        (lambda x: gs.max(x, 0), [1.0, 1.0, 0.0]),
        (lambda x: gs.nn.functional.max_pool1d(x.reshape(1, 1, -1), 3, 1), [0.0] * 7),
    ],
    ids=["relu", "amax", "near tie", "max", "max_pool"],
)
@pytest.mark.parametrize("directions", [None, 5])
def test_gradcheck_at_a_kink(function: Any, values: list[float], directions: int | None) -> None:
    """A subgradient passes; the count says that kinks were met."""
    x = gs.tensor(values, dtype=gs.float64, requires_grad=True)
    result = check_gradients(function, x, directions=directions)
    assert result.passed, result.message


@pytest.mark.parametrize("directions", [None, 5])
@pytest.mark.parametrize("slope", [-0.2, 1.2, float("nan")])
def test_gradcheck_refuses_what_is_no_subgradient(slope: float, directions: int | None) -> None:
    def backward(grad_y: Any, x: Any) -> Any:
        kept = np.where(x.numpy() == 0.0, slope, (x.numpy() > 0) * 1.0)
        return grad_y * gs.from_numpy(kept)

    x = gs.tensor([0.0, 1.0, -1.0], dtype=gs.float64, requires_grad=True)
    assert not gradcheck(wrong(gs.relu, backward), x, raise_exception=False, directions=directions)


def test_gradcheck_needs_something_to_check() -> None:
    with pytest.raises(ValueError, match="at least one input must require a gradient"):
        gradcheck(gs.exp, gs.tensor([1.0], dtype=gs.float64))
    with pytest.raises(ValueError, match="must be float64; got float32"):
        gradgradcheck(gs.exp, gs.tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match="must return tensors; got float"):
        gradcheck(lambda x: 1.0, normal(2))
    with pytest.raises(GradcheckError, match="worst"):
        gradcheck(gs.log, gs.tensor([-1.0, 2.0], dtype=gs.float64, requires_grad=True))


def test_gradcheck_takes_modules_functions_and_parameters() -> None:
    model = gs.nn.Sequential(gs.nn.Linear(4, 3), gs.nn.ReLU(), gs.nn.Linear(3, 2)).double()
    parameters = list(model.parameters())
    before = [p.detach().numpy().copy() for p in parameters]
    x = normal(5, 4)
    result = check_gradients(model, x, parameters=parameters)
    assert result.passed, result.message
    assert result.checked == 20 + sum(p.numel() for p in parameters)
    for p, b in zip(parameters, before, strict=True):
        assert np.array_equal(p.detach().numpy(), b), "gradcheck left a parameter changed"
        assert p.grad is None
    assert gradgradcheck(lambda x: model(x).tanh(), x, parameters=parameters)


def test_gradcheck_along_directions_is_as_sharp() -> None:
    """A large input is checked along directions: one element in 400 being 1 % off is found."""
    function, inputs = BROKEN["one element"]
    x = inputs(20)
    assert gradcheck(_square, x, fast_mode=True)
    assert not gradcheck(function, x, fast_mode=True, raise_exception=False)


@pytest.mark.parametrize("number", [0.0, 2, -1.5])
def test_gradient_with_numbers(number: float) -> None:
    """Arithmetic with Python numbers on either side."""
    x = gs.tensor([0.5, -1.25, 3.0], dtype=gs.float64, requires_grad=True)
    for function in (
        lambda x: x + number,
        lambda x: number + x,
        lambda x: x - number,
        lambda x: number - x,
        lambda x: x * number,
        lambda x: number * x,
        lambda x: number / x,
        lambda x: x / (number or 3),
    ):
        assert gradcheck(function, x)
        assert gradgradcheck(function, x)
