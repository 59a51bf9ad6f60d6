"""Dilated convolutions by plain ones of every dilation-th row and column."""

from collections.abc import Iterator

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.backends import cpu
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes
from integer_grid import assert_same, builds, integers

K = table("cpu")

# (images, channels, filters, image, kernel, padding, dilation[, groups])
CASES = {
    "same size": (2, 5, 7, (12, 9), (3, 3), (3, 3), (3, 3)),
    "fewer rows in some phases": (1, 16, 18, (17, 19), (3, 3), (4, 8), (4, 4)),
    "no padding": (2, 3, 4, (9, 8), (3, 3), (0, 0), (3, 2)),
    "a dilation each": (1, 4, 3, (11, 13), (2, 4), (2, 6), (2, 3)),
    "rows alone": (2, 3, 5, (10, 7), (3, 1), (2, 0), (2, 5)),
    "as large as the image": (1, 4, 4, (6, 6), (3, 3), (6, 6), (6, 6)),
    "1 dim": (2, 6, 5, (31,), (2,), (4,), (4,)),
    "groups": (2, 6, 9, (8, 11), (3, 3), (2, 4), (2, 4), 3),
    "3 dims": (1, 3, 4, (5, 7, 6), (2, 3, 3), (2, 0, 3), (2, 2, 3)),
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """What the tests choose, put back."""
    before = cpu.conv_precision, cpu.conv_algorithm
    yield
    cpu.conv_precision, cpu.conv_algorithm = before


def make(case: tuple, dtype: type, values=integers) -> tuple[list[np.ndarray], tuple]:
    """x, weight, grad_y, two biases; and the options."""
    n, c, k, size, kernel, padding, dilation, groups, *_ = (*case, 1)
    out = tuple(
        s + 2 * p - d * (r - 1) for s, p, d, r in zip(size, padding, dilation, kernel, strict=True)
    )
    shapes = (n, c, *size), (k, c // groups, *kernel), (n, k, *out), (k,), (c,)
    rng = np.random.default_rng(0)
    return [values(rng, s, dtype) for s in shapes], ((1,) * len(size), padding, dilation, groups)


def run(arrays: list[np.ndarray], options: tuple) -> tuple[np.ndarray, ...]:
    """The passes, with what else they may do."""
    x, weight, grad_y, bias, bias_x = arrays
    return (
        K.conv_fwd(x, weight, bias, grad_y.shape, *options),
        K.conv_bwd_input(grad_y, weight, bias_x, x.shape, *options),
        K.conv_bwd_weight(grad_y, x, weight.shape, *options),
        *K.conv_bwd_weight_bias(grad_y, x, weight.shape, bias.shape, *options),
        K.conv_epilogue(x, weight, bias, grad_y, grad_y.shape, *options, 1),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_integers_are_exact(name: str, dtype: type) -> None:
    arrays, options = make(CASES[name], dtype)
    cpu.conv_algorithm = "direct"
    wanted = run([a.astype(np.float64) for a in arrays], options)
    cpu.conv_algorithm = "phases"
    x, weight, *_ = arrays
    for build in builds((1, 3)):
        if weight.ndim == 4:
            names = {"padding": options[1], "dilation": options[2], "groups": options[3]}
            assert set(cpu.conv_plan(x.shape, weight.shape, **names).values()) == {"phases"}
        for got, want in zip(run(arrays, options), wanted, strict=True):
            assert_same(got, want.astype(dtype), (name, build))


@pytest.mark.parametrize(
    "changes",
    [
        {"dilation": 1},
        {"padding": 1},
        {"stride": 2},
        {"padding": 14, "dilation": 14},
    ],
)
def test_what_has_no_phases(changes: dict) -> None:
    """Not dilated; a padding between two phases; strided; a phase without rows."""
    cpu.conv_algorithm = "phases"
    options = {"padding": 2, "dilation": 2, **changes}
    plan = cpu.conv_plan((1, 8, 13, 13), (8, 8, 3, 3), **options)
    assert "phases" not in plan.values()


@pytest.mark.parametrize("dilation", [2, 4])
def test_chosen_where_winograd_saves_more_than_the_copies(dilation: int) -> None:
    """Its error is Winograd's, its bits those of any number of threads; "exact" is in order."""
    case = (1, 64, 64, (32, 32), (3, 3), (dilation,) * 2, (dilation,) * 2)
    arrays, options = make(case, np.float32, lambda rng, s, dtype: rng.standard_normal(s, dtype))
    shapes = arrays[0].shape, arrays[1].shape
    cpu.conv_precision = "exact"
    assert cpu.conv_plan(*shapes, padding=dilation, dilation=dilation)["forward"] == "direct"
    exact = run([a.astype(np.float64) for a in arrays], options)
    cpu.conv_precision = "fast"
    found = run(arrays, options)
    if dilation == 2:
        assert cpu.conv_plan(*shapes, padding=2, dilation=2)["forward"] == "phases"
    for got, want in zip(found, exact, strict=True):
        rms = np.sqrt(np.mean(want**2))
        assert np.sqrt(np.mean((got - want) ** 2)) < 2.5e-6 * rms
        assert np.abs(got - want).max() < 5e-5 * rms
    threads = _cpu.num_threads()
    try:
        for n in (1, 3):
            _cpu.set_num_threads(n)
            assert all(same_bytes(a, b) for a, b in zip(run(arrays, options), found, strict=True))
    finally:
        _cpu.set_num_threads(threads)


#: (images, channels, filters, image, padding, dilation), with phases that stay in their places
IN_PLACE = {
    "tiles of 3 x 3": (1, 64, 48, (33, 33), (6, 6), (6, 6)),
    "images, stretches of channels": (2, 1340, 33, (17, 18), (6, 6), (6, 6)),
    "other sizes": (1, 33, 40, (31, 26), (10, 4), (5, 4)),
    "no padding": (2, 96, 80, (28, 33), (0, 0), (4, 5)),
    "more lanes than a vector": (1, 128, 96, (24, 68), (4, 17), (4, 17)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_phases_in_their_places(name: str, isa: str) -> None:
    """Winograd's algorithm, without copies: its error, and the bits of any number of threads."""
    n, c, k, size, padding, dilation = IN_PLACE[name]
    case = n, c, k, size, (3, 3), padding, dilation
    arrays, options = make(case, np.float32, lambda rng, s, dtype: rng.standard_normal(s, dtype))
    cpu.conv_precision = "exact"
    exact = run([a.astype(np.float64) for a in arrays], options)
    cpu.conv_precision, cpu.conv_algorithm = "fast", "phases"
    threads = _cpu.num_threads()
    results = []
    try:
        for number in (1, 3):
            _cpu.set_num_threads(number)
            results.append(run(arrays, options))
    finally:
        _cpu.set_num_threads(threads)
    assert all(same_bytes(a, b) for a, b in zip(*results, strict=True))
    for got, want in zip(results[0], exact, strict=True):
        rms = np.sqrt(np.mean(want**2))
        assert np.sqrt(np.mean((got - want) ** 2)) < 2.5e-6 * rms
        assert np.abs(got - want).max() < 5e-5 * rms
    cpu.conv_precision = "exact"
    assert not same_bytes(run(arrays, options)[0], results[0][0]), "not Winograd's"
