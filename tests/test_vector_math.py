"""The vector functions of every ISA: at most 2 ULP anywhere, and IEEE's special values.

float32 is measured against NumPy in float64, float64 against NumPy in 80-bit extended precision.
The arguments are drawn from all bit patterns (every exponent alike) and densely where the functions
do something: around their thresholds, near 0 and near 1.
"""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.kernels import ACTIVATIONS, table
from gradsmith.testing.comparing import same_bytes
from gradsmith.testing.reference.math import erfc

K = table("cpu")
FUNCTIONS = ("exp", "expm1", "log", "log1p", "log2", "sigmoid", "tanh", "erf", "sin", "cos", "tan")
MAX_ULP = 2.0
SAMPLES = {False: 400_000, True: 8_000_000}


def erf(x):
    """2 x e^(-x^2) / sqrt(pi) * sum of (2 x^2)^n / (2n + 1)!!: nothing cancels. 1 from 7 on."""
    z = np.minimum(np.abs(x), 7)
    term, total = np.ones_like(z), np.ones_like(z)
    for n in range(1, 250):
        term = term * (2 * z * z) / (2 * n + 1)
        total = total + term
    half = np.longdouble("0.886226925452758013649083741670572591399")  # sqrt(pi) / 2
    return np.copysign(z * np.exp(-z * z) * total / half.astype(x.dtype), x)


def reference(name, x):
    """The function in extended precision (float64 for float32 arguments)."""
    x = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "rsqrt":
        return 1 / np.sqrt(x)
    if name == "erf":
        return erf(x)
    if name == "sigmoid":
        small = np.exp(-np.abs(x))
        return np.where(x >= 0, 1, small) / (1 + small)
    return getattr(np, name)(x)


def arguments(dtype, count, rng):
    """All bit patterns alike, and uniform draws where the functions change."""
    bits = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    patterns = rng.integers(0, np.iinfo(bits).max, count // 2, dtype=bits, endpoint=True)
    edge = 105.0 if dtype == np.float32 else 746.0
    parts = [patterns.view(dtype)]
    for low, high in (
        (-edge, edge),
        (-10, 10),
        (-1, 1),
        (0.5, 2),
        (0, 40),
        (0.99, 1.01),
        (-2e6, 2e6),
    ):
        parts.append(rng.uniform(low, high, count // 12).astype(dtype))
    return np.concatenate(parts)


def ulp_error(got, wanted, dtype):
    """|got - wanted| in units of the result's last place; the smallest is a subnormal's."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        rounded = wanted.astype(dtype)
        finite = np.isfinite(rounded) & np.isfinite(got)
        unit = np.spacing(np.maximum(np.abs(rounded[finite]), info.tiny).astype(dtype))
        error = np.abs(got[finite].astype(wanted.dtype) - wanted[finite]) / unit
        # Where either is not finite both must be the same, but for one step at the overflow.
        agree = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        near = np.abs(wanted) >= np.asarray(info.max, wanted.dtype) * (1 - 4 * info.eps)
        assert np.all(agree | finite | near)
    return error, finite


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*FUNCTIONS, "rsqrt"])
def test_error_stays_within_two_ulp(name, dtype, isa, full):
    x = arguments(dtype, SAMPLES[full], np.random.default_rng(0))
    with np.errstate(all="ignore"):
        wanted = reference(name, x)
    got = getattr(K, name)(x)
    error, finite = ulp_error(got, wanted, dtype)
    assert error.size > x.size // 4
    worst = int(np.argmax(error))
    assert error[worst] <= MAX_ULP, (x[finite][worst], error[worst])


def around(points, dtype):
    """The numbers next to the points, three on either side, with both signs."""
    middle = np.asarray(points).astype(dtype)
    found = [middle]
    for toward in (-np.inf, np.inf):
        x = middle
        for _ in range(3):
            x = np.nextafter(x, dtype(toward))
            found.append(x)
    x = np.concatenate(found)
    return np.concatenate([x, -x])


def borders(name):
    """Where a function by tables goes from one entry to the next, or changes its way."""
    n = np.arange(-1500, 1500)
    if name in ("exp", "expm1", "sigmoid"):
        return (n + 0.5) * np.log(2) / 16
    if name in ("log", "log1p", "log2", "rsqrt"):
        mantissas = np.arange(16, 48) / 32
        return np.outer(mantissas, 2.0 ** np.arange(-126, 127)).ravel()
    if name in ("tanh", "erf"):
        quarters = np.arange(4, 8) / 4
        return np.concatenate([np.outer(quarters, 2.0 ** np.arange(4)).ravel() - 1, [9, 9.01, 10]])
    half_turns = np.concatenate([np.arange(159000, 159300), np.arange(318200, 318400)])
    return np.concatenate([n / 2, half_turns * 16]) * np.pi / 16  # the ends of two reductions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*FUNCTIONS, "rsqrt"])
def test_borders_of_tables(name, dtype, isa):
    x = around(borders(name), dtype)
    with np.errstate(all="ignore"):
        wanted = reference(name, x)
    error, finite = ulp_error(getattr(K, name)(x), wanted, dtype)
    assert error.size > x.size // 3
    worst = int(np.argmax(error))
    assert error[worst] <= MAX_ULP, (x[finite][worst], error[worst])


NAN, INF = np.nan, np.inf
#: An argument, and what each function gives there.
LIMITS = (
    (NAN, dict.fromkeys(("expm1", "log1p", "log2", "erf", "sin", "cos", "tan", "rsqrt"), NAN)),
    (INF, {"expm1": INF, "log1p": INF, "log2": INF, "erf": 1, "sin": NAN, "cos": NAN, "rsqrt": 0}),
    (
        -INF,
        {"expm1": -1, "log1p": NAN, "log2": NAN, "erf": -1, "sin": NAN, "tan": NAN, "rsqrt": NAN},
    ),
    (0.0, {"expm1": 0, "log1p": 0, "log2": -INF, "erf": 0, "sin": 0, "cos": 1, "tan": 0}),
    (0.0, {"rsqrt": INF}),
    (-0.0, {"expm1": -0.0, "log1p": -0.0, "erf": -0.0, "sin": -0.0, "cos": 1, "tan": -0.0}),
    (-0.0, {"log2": -INF, "rsqrt": -INF}),
    (-1.0, {"log1p": -INF, "log2": NAN}),
    (8.0, {"log2": 3}),
    (-2.0, {"log1p": NAN, "rsqrt": NAN}),
    (1e30, {"expm1": INF, "erf": 1}),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype, isa):
    for value, results in LIMITS:
        for name, wanted in results.items():
            got = getattr(K, name)(np.full(37, value, dtype))
            assert np.array_equal(got, np.full(37, wanted, dtype), equal_nan=True), (name, value)
            if wanted == 0:
                assert np.array_equal(np.signbit(got), np.signbit(np.full(37, wanted))), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_angles(dtype, isa):
    # Angles that need many digits of pi, among small ones.
    rng = np.random.default_rng(4)
    x = np.exp(rng.uniform(10, 80, 4000)).astype(dtype) * rng.choice([-1, 1], 4000).astype(dtype)
    x[::3] = rng.uniform(-3, 3, x[::3].size)
    for name in ("sin", "cos", "tan"):
        error, _ = ulp_error(getattr(K, name)(x), reference(name, x), dtype)
        assert error.size == x.size and error.max() <= MAX_ULP, name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding(dtype, isa):
    x = np.concatenate([np.arange(-40, 41) / 4, [1e30, -1e30, np.inf, -np.inf, np.nan, -0.0]])
    x = np.concatenate([x, np.array([2.0**22 + 0.5, 2.0**51 + 0.5, 0.49999997])]).astype(dtype)
    for name, wanted in (("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc)):
        assert same_bytes(getattr(K, name)(x), wanted(x))
    assert same_bytes(K.round(x), np.rint(x))


SPECIAL = (
    # argument, (exp, log, sigmoid, tanh)
    (np.nan, (np.nan, np.nan, np.nan, np.nan)),
    (np.inf, (np.inf, np.inf, 1.0, 1.0)),
    (-np.inf, (0.0, np.nan, 0.0, -1.0)),
    (0.0, (1.0, -np.inf, 0.5, 0.0)),
    (-0.0, (1.0, -np.inf, 0.5, -0.0)),
    (1e30, (np.inf, np.log(1e30), 1.0, 1.0)),
    (-1e30, (0.0, np.nan, 0.0, -1.0)),
    (1.0, (np.e, 0.0, 1 / (1 + np.exp(-1.0)), np.tanh(1.0))),
)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values_in_every_lane(dtype, isa):
    # 37 elements: full vectors and a tail on every ISA; the value visits each place.
    for value, wanted in SPECIAL:
        for place in range(37):
            x = np.full(37, 0.25, dtype)
            x[place] = value
            for name, want in zip(("exp", "log", "sigmoid", "tanh"), wanted, strict=True):
                got = getattr(K, name)(x)
                want = dtype(want)
                np.testing.assert_allclose(got[place], want, rtol=4 * np.finfo(dtype).eps)
                if want == 0:
                    assert np.signbit(got[place]) == np.signbit(want)
                others = np.delete(got, place)
                assert np.all(others == others[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_arguments(dtype, isa):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.concatenate([np.arange(-40, 41) * tiny, [np.finfo(dtype).tiny, -np.finfo(dtype).tiny]])
    x = x.astype(dtype)
    assert np.array_equal(K.tanh(x), x)
    assert np.all(K.exp(x) == 1)
    assert np.all(K.sigmoid(x) == 0.5)
    positive = x[x > 0]
    np.testing.assert_allclose(K.log(positive), np.log(positive), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range(dtype, isa):
    info = np.finfo(dtype)
    top = dtype(np.log(np.longdouble(info.max)))
    x = np.array([np.nextafter(top, dtype(0)), top, top * dtype(1.001)], dtype)
    got = K.exp(x)
    assert np.isfinite(got[0]) and got[2] == np.inf
    bottom = dtype(np.log(np.longdouble(info.smallest_subnormal)))
    x = np.array([bottom * dtype(1.02), bottom * dtype(0.999)], dtype)
    got = K.exp(x)
    assert got[0] == 0 and 0 < got[1] <= 2 * info.smallest_subnormal
    assert K.log(np.array([info.max], dtype))[0] == dtype(np.log(np.longdouble(info.max)))
    for x in (dtype(-80), dtype(-100)):  # small results keep their digits
        got = K.sigmoid(np.array([x], dtype))[0]
        np.testing.assert_allclose(got, np.exp(np.longdouble(x)), rtol=0.02, atol=0)


def test_same_bits_at_every_place(isa):
    # A value must not depend on its lane, on the tail, or on the layout it is read from.
    rng = np.random.default_rng(1)
    x = rng.uniform(-24, 24, 201).astype(np.float32)
    for name in FUNCTIONS:
        kernel = getattr(K, name)
        whole = kernel(x)
        for i in range(0, 201, 7):
            assert np.array_equal(kernel(x[i:]), whole[i:], equal_nan=True)
        assert np.array_equal(kernel(x[::-1]), whole[::-1], equal_nan=True)
        assert np.array_equal(kernel(x[::3]), whole[::3], equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_same_bits_of_activations_at_every_place(name, dtype, isa):
    # 7 of them are a tail on every ISA, 2000 hardly one.
    rng = np.random.default_rng(1)
    x = rng.uniform(-24, 24, 2002).astype(dtype)
    g = rng.standard_normal(2002).astype(dtype)
    kind = ACTIVATIONS.index(name)

    def both(x, g):
        y = K.activation(x, kind, 0.25, 0.5, 1.0)
        return np.stack([y, K.activation_bwd(g, x, kind, 0.25, 0.5, 1.0)])

    parts = [both(x[i : i + 7], g[i : i + 7]) for i in range(0, 2002, 7)]
    np.testing.assert_array_equal(np.concatenate(parts, 1), both(x, g))


def test_mish_far_out(device: str) -> None:
    for dtype, values in ((gs.float32, [1e30, 1e4]), (gs.float64, [1e30, 1e300, 1e4])):
        x = gs.tensor(values, dtype=dtype, device=device).requires_grad_()
        y = gs.nn.functional.mish(x)
        (slope,) = gs.autograd.grad(y.sum(), x, create_graph=True)
        assert slope.tolist() == [1.0] * len(values)
        (curvature,) = gs.autograd.grad(slope.sum(), x)
        assert all(abs(v) < 1e-6 for v in curvature.tolist())


#: Where gelu and its slope are farthest off on some ISA, and where results underflow.
GELU_WORST = (
    -0.327269197, -0.0658196136, -0.140382186, -0.0494330302, -6.07682896, -7.50758362, -7.7805419,
    -3.22295833, -0.7517916, -14.1, -14.2, -14.3, -14.45, -14.6, -20.0, 0.0077067581, 0.0274,
)  # fmt: skip
PI = np.longdouble("3.14159265358979323846264338327950288")


def gelu_values(x, approximate):
    """gelu, its slope, the sum of the magnitudes of the slope's terms, and tanh's argument."""
    x = x.astype(np.longdouble)
    t = np.abs(x)
    if approximate:
        u = np.sqrt(2 / PI) * (t + np.longdouble(44715) / 1000000 * t**3)
        small = np.exp(-2 * u)
        low = small / (1 + small)
        term = 2 * t * low / (1 + small) * np.sqrt(2 / PI)
        term = term * (1 + np.longdouble(134145) / 1000000 * t**2)
    else:
        low, u = erfc(t / np.sqrt(np.longdouble(2))) / 2, 0 * t
        term = t * np.exp(-t * t / 2) / np.sqrt(2 * PI)
    share = np.where(x > 0, 1 - low, low)
    return x * share, share + np.sign(x) * term, share + term, u


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_and_its_slope(dtype, approximate, isa, full):
    """4 ULP at any x, of the slope's terms for the slope; by tanh 4 + 6 |u|."""
    rng = np.random.default_rng(5)
    low = -14.6 if dtype == np.float32 else -38.7
    n = SAMPLES[full] // 40
    parts = (rng.uniform(low, 8, n), rng.uniform(-2, 2, n), -(10.0 ** rng.uniform(-44, 1, n)))
    x = np.concatenate([*parts, GELU_WORST, -np.array(GELU_WORST), [0.0, -0.0]]).astype(dtype)
    kind = ACTIVATIONS.index("gelu_tanh" if approximate else "gelu")
    value, slope, terms, u = gelu_values(x, approximate)
    y = K.activation(x, kind, 0.0, 0.0, 0.0)
    slopes = K.activation_bwd(np.ones_like(x), x, kind, 0.0, 0.0, 0.0)
    for got, wanted, size in ((y, value, value), (slopes, slope, terms)):
        unit = np.spacing(np.maximum(np.abs(size), np.finfo(dtype).tiny).astype(dtype))
        error = np.abs(got - wanted) / unit - 6 * u
        worst = int(np.argmax(error))
        assert error[worst] <= 4, (x[worst], error[worst])
    assert np.array_equal(np.signbit(y), np.signbit(x))
    far = np.array([np.inf, 1e30, -1e30, -50.0, np.nan], dtype)
    wanted = np.array([np.inf, 1e30, 0, 0, np.nan], dtype)
    assert np.array_equal(K.activation(far, kind, 0.0, 0.0, 0.0), wanted, equal_nan=True)


@pytest.mark.parametrize("width", [8.0, 1.0])
def test_gelu_beside_any_other_numbers(width, isa):
    """Below -7 AVX-512 takes another formula: the lanes beside such a number keep their bits."""
    x = np.sort(np.random.default_rng(5).uniform(-7 - width, width - 7, 4001)).astype(np.float32)
    mixed = np.random.default_rng(6).permutation(x.size)  # sorted, at most one vector is
    kind = ACTIVATIONS.index("gelu")
    ones = np.ones_like(x)
    y = K.activation(x, kind, 0.0, 0.0, 0.0)
    slopes = K.activation_bwd(ones, x, kind, 0.0, 0.0, 0.0)
    assert same_bytes(K.activation(x[mixed], kind, 0.0, 0.0, 0.0), y[mixed])
    assert same_bytes(K.activation_bwd(ones, x[mixed], kind, 0.0, 0.0, 0.0), slopes[mixed])
    assert (np.diff(y) <= 0)[x[1:] < -2].all()  # no step where one formula follows the other


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_keeps_its_tail_on_every_device(dtype, device):
    """8 ULP: CUDA's erfc has up to 4; |x| more where it is subnormal before x multiplies it."""
    low = -14.2 if dtype == np.float32 else -38.0
    x = np.concatenate([np.linspace(low, 8, 999), GELU_WORST]).astype(dtype)
    value, slope, terms, _ = gelu_values(x, False)
    leaf = gs.tensor(x, device=device).requires_grad_()
    y = gs.nn.functional.gelu(leaf)
    y.sum().backward()
    for got, wanted, size in ((y.detach(), value, value), (leaf.grad, slope, terms)):
        unit = np.spacing(np.maximum(np.abs(size), np.finfo(dtype).tiny).astype(dtype))
        error = np.abs(got.cpu().numpy() - wanted) / unit
        error -= np.where(np.abs(wanted) < np.finfo(dtype).tiny * np.abs(x), np.abs(x), 0)
        assert error.max() <= 8, (x[int(np.argmax(error))], error.max())
    far = gs.nn.functional.gelu(gs.tensor([1e30, -1e30, -50.0], dtype=y.dtype, device=device))
    assert far.tolist() == [gs.tensor(1e30, dtype=y.dtype).item(), 0.0, 0.0]


def test_silu(isa, full):
    """4 ULP."""
    x = np.random.default_rng(5).uniform(-20, 20, SAMPLES[full]).astype(np.float32)
    got = K.activation(x, ACTIVATIONS.index("silu"), 0.0, 0.0, 0.0)
    error, finite = ulp_error(got, x.astype(np.float64) * reference("sigmoid", x), np.float32)
    assert finite.all() and error.max() <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_of_recurrent_layers(dtype, isa):
    """3 ULP: with weights of zero the gates that lstm_fwd saves are functions of its input."""
    width, rng = 16, np.random.default_rng(5)
    parts = (rng.uniform(-20, 20, 40000), rng.uniform(-1, 1, 40000), rng.uniform(-90, 90, 8000))
    x = np.concatenate(parts).astype(dtype).reshape(-1, width)
    x[0, :4] = np.inf, -np.inf, 0, np.nan
    n, weight = len(x), np.zeros((4 * width, width), dtype)
    shape, steps = (n, width), np.array([n], np.int64)
    saved = K.lstm_fwd(
        np.tile(x, 4),
        None,
        None,
        weight,
        None,
        None,
        steps,
        shape,
        shape,
        shape,
        (n, 5 * width),
        False,
    )[3]
    gates = saved.reshape(n, 5, width)
    wide = x.astype(np.longdouble)
    with np.errstate(over="ignore"):
        wanted = 1 / (1 + np.exp(-wide)), np.tanh(wide)
    for got, exact in ((gates[:, 0], wanted[0]), (gates[:, 2], wanted[1])):
        unit = np.spacing(np.maximum(np.abs(exact), np.finfo(dtype).tiny).astype(dtype))
        assert np.array_equal(np.isnan(got), np.isnan(x))
        assert np.nanmax(np.abs(got - exact) / unit) <= 3
