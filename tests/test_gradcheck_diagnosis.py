"""Seeded faults: each wrong gradient is found, and named for what it is."""

from __future__ import annotations

import re
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import GradcheckError, check_gradients, gradcheck, narrow
from gradsmith.testing.adapters import adapter_of
from gradsmith.testing.differences import Problem
from seeded import function as op
from seeded import normal as leaf

RNG = np.random.default_rng(0)


def on_arrays(vjp: Any) -> Any:
    """A vjp written on NumPy arrays."""

    def run(*tensors: Any) -> Any:
        found = vjp(*[t.detach().numpy() for t in tensors])
        many = found if isinstance(found, tuple) else (found,)
        results = tuple([gs.from_numpy(np.array(g)) for g in many])
        return results if isinstance(found, tuple) else results[0]

    return run


class LastCall(gs.Function):
    """Keeps its input in the class: the last call's."""

    kept: Any = None

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        LastCall.kept = x
        return x * x

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        return grad_y * LastCall.kept * 2.0


def first_call() -> Any:
    """Keeps the input of its first call."""
    kept: list[Any] = []

    class FirstCall(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            kept.append(x.detach().clone())
            return gs.exp(x)

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            return grad_y * gs.exp(kept[0])

    return FirstCall.apply


def earlier() -> Any:
    """Keeps the input of another call, from before."""
    old = leaf(3, 4, seed=9).detach()
    return op(lambda x: gs.exp(x), lambda g, x: g * gs.exp(old))


def memory(array: np.ndarray) -> np.ndarray:
    """An array's elements in the order of memory, as a kernel that ignores strides reads them."""
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    flat = base.reshape(-1)
    return np.resize(flat, array.size).reshape(array.shape)


def raw_grad(g: Any, x: Any) -> Any:
    return gs.from_numpy(memory(g.numpy()).copy()) * x * 2.0


def raw_input(g: Any, x: Any) -> Any:
    return g * gs.from_numpy(memory(x.detach().numpy()).copy()) * 2.0


def tail(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    grad = g * 2 * x
    grad[:, -1] = 0.0
    return grad


def one_wrong(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    grad = g * 2 * x
    grad[1, 2] *= 3
    grad[2, 0] *= 3
    return grad


def softmax(x: Any) -> Any:
    return gs.softmax(x, -1)


def soft(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class TwoOutputs(gs.Function):
    """exp(x) and sin(x); forgets the second where nothing comes for the first."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        ctx.set_materialize_grads(False)
        return gs.exp(x), gs.sin(x)

    @staticmethod
    def backward(ctx: Any, grad_e: Any, grad_s: Any) -> Any:
        (x,) = ctx.saved_tensors
        if grad_e is None:
            return None
        grad = grad_e * gs.exp(x)
        return grad if grad_s is None else grad + grad_s * gs.cos(x)


class RaisesOnNone(TwoOutputs):
    """The same, without a thought of None."""

    @staticmethod
    def backward(ctx: Any, grad_e: Any, grad_s: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad_e * gs.exp(x) + grad_s * gs.cos(x)


SQUARE = lambda x: x * x  # noqa: E731

#: name: (function, inputs, what the diagnosis must say)
SEEDED: dict[str, tuple[Any, Any, str]] = {
    "half": (op(SQUARE, lambda g, x: g * x), [leaf(3, 4)], r"wrong scale.* = 0\.5 x.*by 2\)"),
    "mean for sum": (
        op(lambda x: x.sum(), lambda g, x: g.expand(3, 4) / 12.0),
        [leaf(3, 4)],
        r"wrong scale: analytic = 0\.083333 x numeric \(multiply it by 12\)",
    ),
    "sign": (op(gs.cos, lambda g, x: g * gs.sin(x)), [leaf(3, 4)], "wrong sign"),
    "zero": (op(SQUARE, lambda g, x: g * 0.0), [leaf(3, 4)], "missing: the gradient is zero"),
    "not finite": (
        op(SQUARE, on_arrays(lambda g, x: np.where(x > 0.5, np.nan, 2 * g * x))),
        [leaf(3, 4)],
        "not finite: 3 of 12",
    ),
    "transposed": (
        op(lambda a, b: a @ b, lambda g, a, b: (b @ g.t(), a.t() @ g)),
        [leaf(4, 4), leaf(4, 4, seed=1)],
        "transposed: dims 0 and 1",
    ),
    "transposed in memory": (
        op(lambda a, b: a @ b, lambda g, a, b: ((b @ g.t()).reshape(3, 5), a.t() @ g)),
        [leaf(3, 5), leaf(5, 4, seed=1)],
        "transposed: the gradient's elements",
    ),
    "missing term of a product": (
        op(lambda a, b: a * b + a, lambda g, a, b: (g * b, g * a)),
        [leaf(3, 4), leaf(3, 4, seed=1)],
        r"missing term: numeric - analytic = grad_y",
    ),
    "missing term of x * sigmoid": (
        op(lambda x: x * x + gs.exp(x), lambda g, x: g * gs.exp(x)),
        [leaf(3, 4)],
        r"missing term: numeric - analytic = 2 x grad_y \* input 0",
    ),
    "missing sum of softmax": (
        op(softmax, on_arrays(lambda g, x: g * soft(x))),
        [leaf(3, 4)],
        r"missing term: numeric - analytic = -y \* sum\(grad_y \* y, -1\)",
    ),
    "missing weight decay": (
        op(lambda x: gs.sin(x).sum() + (x * x).sum(), lambda g, x: g * gs.cos(x)),
        [leaf(3, 4)],
        r"missing term: numeric - analytic = 2 x grad_y \* input 0",
    ),
    "exchanged": (
        op(lambda a, b: a * gs.exp(b), lambda g, a, b: (g * a * gs.exp(b), g * gs.exp(b))),
        [leaf(3, 4), leaf(3, 4, seed=1)],
        "exchanged: input [01] has the gradient of input [01]",
    ),
    "shifted": (
        op(SQUARE, on_arrays(lambda g, x: np.roll(2 * g * x, 1, 1))),
        [leaf(3, 4)],
        "shifted: by 1 along dim 1",
    ),
    "flipped": (
        op(SQUARE, on_arrays(lambda g, x: np.flip(2 * g * x, 0).copy())),
        [leaf(3, 4)],
        "reversed: along dim 0",
    ),
    "tail": (
        op(SQUARE, on_arrays(tail)),
        [leaf(3, 5)],
        r"wrong in a part: 3 of 15 elements, all at 4 of dim 1 \(the last one: a tail\?\)",
    ),
    "elements": (
        op(SQUARE, on_arrays(one_wrong)),
        [leaf(3, 5)],
        "wrong in a part: 2 of 15 elements, there analytic = 3 x numeric",
    ),
    "last call": (LastCall.apply, [leaf(3, 4)], "stale saved tensor: another call between"),
    "first call": (first_call(), [leaf(3, 4)], "stale saved tensor: at other inputs"),
    "earlier call": (earlier(), [leaf(3, 4)], "stale saved tensor, or a constant"),
    "nothing for an output": (
        TwoOutputs.apply,
        [leaf(3, 4)],
        "undefined gradients: the gradients that each output",
    ),
    "None for an output": (
        RaisesOnNone.apply,
        [leaf(3, 4)],
        "undefined gradients: with a gradient for output 0 alone backward raises",
    ),
    "strides of grad_y": (op(SQUARE, raw_grad), [leaf(3, 4)], "not contiguous-safe: a gradient"),
    "strides of x": (op(SQUARE, raw_input), [leaf(3, 4)], "not contiguous-safe: inputs"),
    "strides of a given x": (
        op(SQUARE, raw_input),
        [gs.from_numpy(np.random.default_rng(0).standard_normal((4, 3)).T).requires_grad_()],
        "not contiguous-safe: with contiguous copies",
    ),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_fault_is_found_and_named(name: str) -> None:
    function, inputs, says = SEEDED[name]
    result = check_gradients(function, inputs)
    assert not result.passed
    assert re.search(says, result.message), result.message
    assert result.diagnosis and result.diagnosis in result.message
    with pytest.raises(GradcheckError):
        gradcheck(function, inputs)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in SEEDED
        if "call" not in n and "strides" not in n and "output" not in n and n != "not finite"
    ],
)
def test_the_worst_element_is_data(name: str) -> None:
    """Index, analytic and numeric value; the order of the remainder is that of a wrong one."""
    function, inputs, _ = SEEDED[name]
    result = check_gradients(function, inputs)
    worst = result.worst
    assert worst["variable"] in ("input 0", "input 1")
    which = int(worst["variable"][-1])
    x = inputs[which]
    assert len(worst["index"]) == x.ndim
    assert abs(worst["analytic"] - worst["numeric"][0]) > 1e-3
    outputs = function(*inputs)
    assert outputs is not None
    assert result.slope is not None and 0.5 < result.slope < 1.5


@pytest.mark.parametrize(
    "function", [gs.exp, gs.sin, lambda x: x * x * x, lambda x: softmax(x).sum(0) * x[0]]
)
def test_the_remainder_of_a_right_gradient_is_of_order_two(function: Any) -> None:
    result = check_gradients(function, leaf(3, 4))
    assert result.passed and result.slope is not None
    assert abs(result.slope - 2) < 0.1


def test_a_linear_function_has_no_remainder() -> None:
    result = check_gradients(lambda x: x * 3.0 + 1.0, leaf(3, 4))
    assert result.passed and result.slope is None


# ---- kinks ----


def at_kinks(n: int) -> Any:
    """Values of which every second one is exactly 0."""
    values = np.random.default_rng(1).standard_normal((n, n)) + 0.0
    values.reshape(-1)[::2] = 0.0
    return gs.from_numpy(values).requires_grad_()


def hinge(x: Any) -> Any:
    return gs.relu(1.0 - x).sum()


KINKED = {
    "relu": (gs.relu, lambda x: x),
    "clamp": (lambda x: gs.clamp(x, 0.0, 1.0), lambda x: x),
    "abs": (gs.abs, lambda x: x),
    "hinge": (lambda x: gs.relu(x).sum(), lambda x: x),
    "max pool": (
        lambda x: gs.nn.functional.max_pool2d(x.reshape(1, 1, *x.shape), 2),
        lambda x: x,
    ),
}


@pytest.mark.parametrize("size", [4, 20], ids=["elements", "directions"])
@pytest.mark.parametrize("name", KINKED)
def test_kinks_do_not_flake(name: str, size: int) -> None:
    for seed in range(3):
        result = check_gradients(KINKED[name][0], at_kinks(size), seed=seed)
        assert result.passed, result.message
        assert result.kinks > 0 or (name == "max pool" and size == 4)


@pytest.mark.parametrize("size", [4, 20], ids=["elements", "directions"])
@pytest.mark.parametrize("name", KINKED)
def test_nothing_hides_behind_kinks(name: str, size: int) -> None:
    """5 % too much where it is smooth, among as many elements at a kink, is found."""
    function = KINKED[name][0]

    class Wrong(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            (x,) = ctx.saved_tensors
            with gs.enable_grad():
                leaf_ = x.detach().requires_grad_()
                (g,) = gs.autograd.grad(function(leaf_), [leaf_], [grad_y])
            return g * gs.from_numpy(np.where(x.numpy() > 0, 1.05, 1.0))

    result = check_gradients(Wrong.apply, at_kinks(size))
    assert not result.passed, (result.kinks, result.error)


@pytest.mark.parametrize("distance", [1e-4, 1e-6, 1e-7, 1e-9])
def test_a_kink_that_a_step_crosses_is_no_fault(distance: float) -> None:
    x = gs.from_numpy(np.array([distance, -distance, 1.0, -1.0])).requires_grad_()
    assert gradcheck(gs.relu, x)
    assert gradcheck(gs.relu, x, fast_mode=True)
    wrong = op(gs.relu, on_arrays(lambda g, x: g * (x > 0) * np.where(x > 0.5, 1.01, 1.0)))
    assert not gradcheck(wrong, x, raise_exception=False)


def test_every_tie_may_not_take_the_whole_gradient() -> None:
    """Each alone is a subgradient of max at a tie, all at once are none."""
    x = gs.from_numpy(np.array([2.0, 2.0, 2.0, -1.0])).requires_grad_()
    assert gradcheck(gs.amax, x)
    greedy = op(gs.amax, on_arrays(lambda g, x: g * (x == x.max())))
    assert not gradcheck(greedy, x, raise_exception=False)


# ---- arrays of others ----


def numpy_swish(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def numpy_swish_vjp(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    s = 1 / (1 + np.exp(-x))
    return grad_y * (s + x * s * (1 - s))


def test_a_numpy_function_with_its_gradient() -> None:
    x = RNG.standard_normal((3, 4))
    assert gradcheck(numpy_swish, x, vjp=numpy_swish_vjp)
    assert gradcheck(numpy_swish, x, vjp=numpy_swish_vjp, fast_mode=False)
    with pytest.raises(GradcheckError, match="wrong scale: analytic = 2 x numeric"):
        gradcheck(numpy_swish, x, vjp=lambda g, x: 2 * numpy_swish_vjp(g, x))
    two = (x, RNG.standard_normal((3, 4)))
    assert gradcheck(lambda a, b: a * b, two, vjp=lambda g, a, b: (g * b, g * a))
    assert gradcheck(lambda a, b: a * b, two, vjp=lambda g, a, b: (g * b, None), argnums=(0,))
    with pytest.raises(GradcheckError, match="worst at input 1.*missing: the gradient is zero"):
        gradcheck(lambda a, b: a * b, two, vjp=lambda g, a, b: (g * b, None))
    with pytest.raises(GradcheckError, match=r"shape and dtype \(3, 4\).*got \(4, 3\).*transposed"):
        gradcheck(numpy_swish, x, vjp=lambda g, x: numpy_swish_vjp(g, x).T)
    with pytest.raises(ValueError, match="needs its gradient"):
        gradcheck(numpy_swish, x)
    with pytest.raises(ValueError, match="a gradient, or None, for each of the 2 inputs; got 1"):
        gradcheck(lambda a, b: a * b, two, vjp=lambda g, a, b: g * b)
    with pytest.raises(ValueError, match="vjp is for functions of NumPy arrays; got gradsmith's"):
        gradcheck(gs.exp, leaf(3), vjp=numpy_swish_vjp)


def test_an_op_of_the_backend() -> None:
    conv = gs.backend("cpu").conv2d
    x, w = RNG.standard_normal((1, 2, 5, 5)), RNG.standard_normal((3, 2, 3, 3))
    assert gradcheck(conv, (x, w))


def test_an_adapter_of_ones_own() -> None:
    from gradsmith.testing.adapters import adapter_of

    own = adapter_of([np.zeros(1)], numpy_swish_vjp)
    assert gradcheck(numpy_swish, np.ones((2, 3)), adapter=own)


# ---- narrow dtypes ----


def narrow_op(factor: Any) -> Any:
    """x -> sum over rows of x^2, the gradient times a factor that depends on the dtype."""

    class Rows(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x * x).sum(1)

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad_y.unsqueeze(1) * x * (2.0 * factor(x.dtype))

    return Rows.apply


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_narrow_dtypes_against_float64(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    kind = getattr(gs, dtype)
    x = leaf(6, 7).detach().to(kind).requires_grad_()
    result = check_gradients(narrow_op(lambda d: 1.0), x)
    assert result.passed, result.message
    assert result.ulp is not None and result.ulp < 8
    assert gradcheck(gs.exp, x) and gradcheck(softmax, x)
    off = {"float32": 1.0001, "float16": 1.2, "bfloat16": 1.6}[dtype]
    wrong = narrow_op(lambda d: off if d is kind else 1.0)
    with pytest.raises(GradcheckError, match=rf"in {dtype} must be the float64 one.*wrong scale"):
        gradcheck(wrong, x, terms=1)
    with pytest.raises(GradcheckError, match="already in float64: .*wrong scale"):
        gradcheck(narrow_op(lambda d: 0.5), x)


def test_a_kernel_in_float32_against_an_oracle() -> None:
    """A function that computes in float32 whatever it is given; the oracle is NumPy's, plain."""

    def kernel(x: np.ndarray) -> np.ndarray:
        return numpy_swish(x.astype(np.float32))

    def vjp(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return numpy_swish_vjp(grad_y, x).astype(np.float32)

    x = RNG.standard_normal((4, 5)).astype(np.float32)
    assert gradcheck(kernel, x, vjp=vjp, oracle=numpy_swish)
    with pytest.raises(GradcheckError, match="float32 .* ULP, tolerance .* for 1 terms"):
        gradcheck(kernel, x, vjp=lambda g, x: vjp(g, x) + np.float32(1e-4), oracle=numpy_swish)
    with pytest.raises(GradcheckError, match="the outputs in float32"):
        gradcheck(lambda x: kernel(x) * np.float32(1.01), x, vjp=vjp, oracle=numpy_swish)


# ---- what is said about kinks, parts and lines ----


def numbers(*values: float) -> Any:
    return gs.from_numpy(np.array(values)).requires_grad_()


RELU = gs.nn.functional.relu
LEAKY = lambda x: gs.where(x > 0, x, x * 0.1)  # noqa: E731


@pytest.mark.parametrize("at_zero", [2.0, 1.5, -0.5])
def test_a_wrong_value_at_a_kink_is_named(at_zero: float) -> None:
    vjp = on_arrays(lambda g, x: g * np.where(x == 0, at_zero, x > 0))
    for x in (numbers(-1.0, 0.0, 2.0, 3.0), numbers(0.0, -1.0, -2.0), numbers(0.0)):
        result = check_gradients(op(RELU, vjp), x)
        assert not result.passed
        assert result.diagnosis == "wrong at the kink: outside the subgradients"


def test_a_slope_for_one_sign_is_no_stale_tensor() -> None:
    x = leaf(3, 4)
    leaky = op(LEAKY, on_arrays(lambda g, x: g * np.where(x > 0, 1.0, 0.2)))
    relu = op(RELU, on_arrays(lambda g, x: g * np.where(x > 0, 1.0, 0.1)))
    mostly = gs.from_numpy(-np.abs(x.detach().numpy()) + 0.0).requires_grad_()
    for function, given in ((leaky, x), (relu, x), (relu, mostly)):
        result = check_gradients(function, given)
        assert not result.passed and "stale" not in result.diagnosis
    assert "there analytic = 2 x numeric" in check_gradients(leaky, x).diagnosis


@pytest.mark.parametrize("place", [7, 2000])
def test_one_wrong_element_of_many(place: int) -> None:
    def vjp(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        found = g * np.cos(x)
        found[place] += 0.5
        return found

    result = check_gradients(op(gs.sin, on_arrays(vjp)), leaf(3000))
    assert result.worst["index"] == (place,)
    assert result.diagnosis == (
        f"wrong in a part: 1 of the 512 looked at of 3000 elements, all at {place} of dim 0"
    )


@pytest.mark.parametrize(
    "function",
    [RELU, LEAKY, gs.abs, lambda x: RELU(x - 0.3).sum(), lambda x: -x[0].mean(), lambda x: x * 0.0],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_remainder_of_lines_has_no_order(function: Any, seed: int) -> None:
    result = check_gradients(function, leaf(5, 6, seed=seed))
    assert result.passed and result.slope is None


def test_ties_wrong_only_together_are_said_so() -> None:
    x = numbers(2.0, -1.0, 2.0, 2.0, 2.0)
    result = check_gradients(op(gs.amax, on_arrays(lambda g, x: g * (x == x.max()))), x)
    assert not result.passed
    assert result.diagnosis == "wrong at the kinks: all together outside the subgradients"
    off = re.search(r"moved together: .*off by (\S+), tolerance (\S+)\)", result.message)
    assert off and float(off[1]) > float(off[2])


@pytest.mark.parametrize("shape", [(3, 4), (300, 200)])
def test_an_elementwise_error_does_not_hide_behind_the_size(shape: tuple[int, ...]) -> None:
    def vjp(off: float) -> Any:
        def run(g: np.ndarray, x: np.ndarray) -> np.ndarray:
            return (g * (np.cos(x) + (off if x.dtype == np.float32 else 0.0))).astype(x.dtype)

        return on_arrays(run)

    x = leaf(*shape).detach().to(gs.float32).requires_grad_()
    assert gradcheck(op(gs.sin, vjp(0.0)), x)
    assert not gradcheck(op(gs.sin, vjp(5e-5)), x, raise_exception=False)


def _terms_of(function: Any, inputs: Any) -> int:
    problem = Problem(adapter_of(inputs), function, inputs)
    wide = Problem(problem.adapter, function, problem.widened())
    return max(narrow._terms(wide, True, 0)[0])


def test_sums_have_their_terms_in_float32() -> None:
    """As many as the sums are long, not as the arrays are large."""
    x, w = [leaf(64, 48, seed=s).detach().to(gs.float32).requires_grad_() for s in (0, 1)]
    for function, inputs, most in (
        (lambda a, b: a @ b.t(), (x, w), 96),
        (lambda a: a.sum(0), (x,), 64),
        (softmax, (x,), 48),
        (lambda a: gs.cumsum(a, 0), (x,), 64),
        (lambda a, b: a + b[0], (x, w), 64),
    ):
        result = check_gradients(function, inputs)
        assert result.passed, result.message
        assert _terms_of(function, inputs) == most
