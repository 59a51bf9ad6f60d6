"""The exact grids: thousands of cases of small integers, tolerance zero, on both devices."""

from __future__ import annotations

import ast
import inspect
import itertools
from typing import Any

import numpy as np
import pytest
from gradsmith.kernels.cuda import conv as cuda_conv
from gradsmith.kernels.cuda import matmul as cuda_matmul
from gradsmith.nn import functional as F
from gradsmith.testing import grid
from gradsmith.testing.grid import __main__ as command
from gradsmith.testing.grid import case as cases
from gradsmith.testing.grid import conv, oracle, pool
from gradsmith.testing.reference import pool as pool_reference

#: How many cases a run has on the CPU and on the device; --full has FULL times as many.
LEAST = 20_000
CPU, DEVICE, FULL = 24_000, 800, 10
SHARD = 600
#: Of the order in which the cases come; each shard is a stretch of that order.
SEED = 2026


def shards(total: int) -> list[tuple[str, int, int]]:
    """(family, start, count): the plan cut into stretches of about SHARD cases."""
    found = []
    for family, count in grid.plan(total):
        for start in range(0, count, SHARD):
            found.append((family, start, min(SHARD, count - start)))
    return found


def each(found: list[tuple[str, int, int]]) -> Any:
    ids = [f"{family}-{start // SHARD}" for family, start, _ in found]
    return pytest.mark.parametrize("family,start,count", found, ids=ids)


def check(family: str, start: int, count: int, device: str, full: bool) -> None:
    """The stretch; with --full the like of it further on, too."""
    for turn in range(FULL if full else 1):
        result = grid.run(family, start + turn * CPU, count, SEED, device)
        result.raise_failures()
        assert result.cases == count
        assert result.passes["forward"] == count
        if family.startswith("conv") and count >= 40:  # fewer may all be without one
            for name in ("input", "weight", "bias"):
                assert result.passes.get(f"{name} gradient", 0) > 0, f"{family}: no {name} gradient"


@each(shards(CPU))
def test_cases_are_exact(family: str, start: int, count: int, full: bool) -> None:
    check(family, start, count, "cpu", full)


@each(shards(DEVICE))
def test_cases_are_exact_on_cuda(
    family: str, start: int, count: int, cuda: str, full: bool
) -> None:
    check(family, start, count, cuda, full)


def test_enough_cases_run() -> None:
    """Each shard asserts its count; together they are as many as promised, no two the same."""
    found = shards(CPU)
    assert sum(count for _, _, count in found) >= LEAST
    assert sum(count for _, _, count in shards(DEVICE)) >= 300
    met = {
        (family, grid.shuffled(position, grid.FAMILIES[family].space.size, SEED))
        for family, start, count in found
        for position in range(start, start + count)
    }
    assert len(met) == sum(count for _, _, count in found)
    assert all(family.space.size > 1_000_000 for family in grid.FAMILIES.values())


@pytest.mark.parametrize("family", ["conv2d", "conv_transpose1d", "conv3d", "matmul", "linear"])
def test_every_tile_of_cuda_is_exact(
    family: str, cuda: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device's other algorithms: the largest tile also where it would not be chosen."""
    for module in (cuda_conv, cuda_matmul):
        monkeypatch.setattr(module, "choose_tile", lambda tiles, *sizes: tiles[0])
    result = grid.run(family, 5000, 40, SEED, cuda, largest=50_000)
    result.raise_failures()
    assert result.cases == 40


#: Cases that failed when they were first run, by their parameters, with what was wrong.
FOUND: list[tuple[str, dict[str, Any]]] = [
    # The mean's gradient was multiplied by 1 / count: rounded twice.
    ("adaptive_avg_pool2d", {"size0": 10, "size1": 6, "number": True, "channels": 5}),
]


@pytest.mark.parametrize("family,parameters", FOUND, ids=[f for f, _ in FOUND])
def test_what_was_found_stays_found(family: str, parameters: Any, device: str) -> None:
    index = grid.FAMILIES[family].space.encode(**parameters)
    grid.run_case(family, index, device).raise_failures()


# ---- the grid itself ----


@pytest.mark.parametrize("size", [1, 2, 3, 10, 255, 256, 257, 5000])
@pytest.mark.parametrize("seed", [0, 1, 12345678901234567890])
def test_the_order_is_a_permutation(size: int, seed: int) -> None:
    order = [grid.shuffled(i, size, seed) for i in range(size)]
    assert sorted(order) == list(range(size))
    if size > 100:
        assert order != sorted(order)


def test_indices_are_decoded_digit_by_digit() -> None:
    space = grid.Space({"a": (1, 2), "b": "xyz", "c": range(5)})
    assert space.size == 30
    assert len({tuple(space.decode(i).values()) for i in range(30)}) == 30
    assert [space.encode(**space.decode(i)) for i in range(30)] == list(range(30))
    assert space.encode(b="z") == 4
    with pytest.raises(ValueError, match="no axis is called 'd'"):
        space.encode(d=1)
    with pytest.raises(ValueError, match="a must be one of"):
        space.encode(a=3)
    for bad in (-1, 30):
        with pytest.raises(IndexError, match=r"index must be in \[0, 30\)"):
            space.decode(bad)


def test_every_value_of_every_axis_is_met() -> None:
    """Within the cases of one run: also the rare ones."""
    for name, count in grid.plan(CPU):
        space = grid.FAMILIES[name].space
        missing = {axis: set(map(repr, values)) for axis, values in space.axes.items()}
        for position in range(count):
            found = space.decode(grid.shuffled(position, space.size, SEED))
            for axis, value in found.items():
                missing[axis].discard(repr(value))
        assert not any(missing.values()), (name, missing)


def test_a_case_is_the_same_every_time() -> None:
    one, two = (cases.Case(77, "float32", "cpu") for _ in range(2))
    for layout in cases.LAYOUTS:
        a, b = one.integers((3, 4, 5), layout), two.integers((3, 4, 5), layout)
        assert np.array_equal(a, b) and a.strides == b.strides
        assert a.shape == (3, 4, 5) and set(np.unique(np.abs(a))) <= {1, 2, 3}
    assert not np.array_equal(
        cases.Case(77, "float32", "cpu", 1).integers((99,)), one.integers((99,))
    )


def naive_conv(x: Any, weight: Any, seen: Any, s: dict[str, Any]) -> Any:
    """The convolution and its gradients, by their definition, element by element."""
    n = len(s["size"])
    y = np.zeros(seen.shape, np.int64)
    grad_x, grad_weight = np.zeros(x.shape, np.int64), np.zeros(weight.shape, np.int64)
    filters, channels = weight.shape[0] // s["groups"], weight.shape[1]
    for image, o in itertools.product(range(x.shape[0]), range(weight.shape[0])):
        for p in itertools.product(*map(range, s["out"])):
            for c, *r in itertools.product(range(channels), *map(range, s["kernel"])):
                q = tuple(
                    p[i] * s["stride"][i] - s["before"][i] + r[i] * s["dilation"][i]
                    for i in range(n)
                )
                if all(0 <= q[i] < s["size"][i] for i in range(n)):
                    here = (image, o // filters * channels + c, *q)
                    y[(image, o, *p)] += x[here] * weight[(o, c, *r)]
                    grad_x[here] += seen[(image, o, *p)] * weight[(o, c, *r)]
                    grad_weight[(o, c, *r)] += seen[(image, o, *p)] * x[here]
    return y, grad_x, grad_weight


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_oracle_of_convolutions(n: int) -> None:
    """Against a loop over elements."""
    space = conv.space(n, False)
    rng = np.random.default_rng(n)
    done = 0
    for position in range(2000):
        s = conv.shape_of(space.decode(grid.shuffled(position, space.size, 1)), n, False)
        if s["work"] > 3000:
            continue
        x = rng.integers(-3, 4, (s["images"], s["channels"], *s["size"]))
        weight = rng.integers(-3, 4, (s["filters"], s["channels"] // s["groups"], *s["kernel"]))
        seen = rng.integers(-3, 4, (s["images"], s["filters"], *s["out"]))
        steps = (s["stride"], s["before"], s["dilation"], s["groups"])
        y, grad_x, grad_weight = naive_conv(x, weight, seen, s)
        assert np.array_equal(oracle.correlate(x, weight, s["out"], *steps), y)
        assert np.array_equal(oracle.spread(seen, weight, s["size"], *steps), grad_x)
        assert np.array_equal(oracle.kernel_gradient(seen, x, s["kernel"], *steps), grad_weight)
        counts = oracle.reached(s["size"], s["kernel"], *steps[:3], s["out"])
        ones = naive_conv(x[:1] * 0 + 1, weight * 0 + 1, seen[:1] * 0 + 1, s)
        assert counts == tuple(int((a[0, 0] > 0).sum()) for a in ones)
        done += 1
        if done == 12:
            return
    raise AssertionError(f"only {done} cases were small enough")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_oracle_of_pooling(n: int) -> None:
    """Against the float64 references, which loop over outputs."""
    rng = np.random.default_rng(n)
    for kind in ("max", "avg"):
        space = pool.space_of_windows(n, kind)
        for position in range(25):
            p = space.decode(grid.shuffled(position, space.size, 2))
            s = pool._windows(p, n, kind)
            s["shape"] = (1, 2, *s["size"])
            x = rng.integers(-2, 3, s["shape"])
            window = (s["kernel"], s["steps"], s["before"])
            if kind == "max":
                y, places = pool_reference.max_pool(
                    x.astype(float), *window, s["dilation"], p["ceil_mode"], n
                )
                values, where = pool._first_maxima(x, s)
                assert np.array_equal(values, y) and np.array_equal(where, places)
                continue
            options = (p["ceil_mode"], p["include_pad"], p["divisor"], n)
            y = pool_reference.avg_pool(x.astype(float), *window, *options)
            sums = oracle.unfold(x, *window, (1,) * n, s["out"]).sum(tuple(range(2 + n, 2 + 2 * n)))
            sizes = oracle.divisors(
                s["size"], s["kernel"], s["steps"], s["before"], s["out"], p["include_pad"]
            )
            sizes = np.maximum(sizes, 1) if p["divisor"] is None else p["divisor"]
            np.testing.assert_allclose(sums / sizes, y, rtol=1e-13)


def test_the_oracle_of_adaptive_windows() -> None:
    for size, out in itertools.product(range(1, 15), range(1, 20)):
        begin, end = oracle.adaptive_bounds(size, out)
        for o in range(out):
            assert begin[o] == np.floor(o * size / out + 1e-9)
            assert end[o] == np.ceil((o + 1) * size / out - 1e-9)


def test_the_oracle_imports_numpy_alone() -> None:
    tree = ast.parse(inspect.getsource(oracle))
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    assert froms | names == {"__future__", "itertools", "math", "typing", "numpy"}


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """One element of one kind of case off by one: found, named, and found again by the command."""
    true = F.conv2d

    def wrong(x: Any, weight: Any, bias: Any = None, **options: Any) -> Any:
        y = true(x, weight, bias, **options)
        if options["groups"] == 2 and y.dim() == 4:
            y = y + 0
            y[(0,) * 4] += 1
        return y

    monkeypatch.setattr(F, "conv2d", wrong)
    result = grid.run("conv2d", 0, 60, 0)
    assert 0 < result.failed < 30
    failure = result.failures[0]
    assert failure.parameters["channels"][0] == 2
    assert "forward: 1 of" in failure.message and "first at (0, 0, 0, 0)" in failure.message
    assert failure.command.startswith(
        f"python -m gradsmith.testing.grid --family conv2d --case {failure.index}"
    )
    with pytest.raises(AssertionError, match=f"--case {failure.index}"):
        result.raise_failures()
    assert command.main(failure.command.split()[3:]) == 1
    assert f"case {failure.index}" in capsys.readouterr().out
    monkeypatch.undo()
    assert command.main(failure.command.split()[3:]) == 0


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    true = F.avg_pool2d

    def wrong(x: Any, *options: Any) -> Any:
        return true(x, *options) + (x.sum() - x.sum().detach())

    monkeypatch.setattr(F, "avg_pool2d", wrong)
    result = grid.run("avg_pool2d", 0, 5, 0)
    assert result.failed == 5
    assert all("input gradient" in failure.message for failure in result.failures)


@pytest.mark.parametrize("family", ["conv1d", "max_pool2d", "avg_pool1d", "matmul", "linear"])
def test_zeros_are_not_trusted(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator gone quiet makes every case fail, though all results are equal."""
    monkeypatch.setattr(cases, "_TABLE", np.zeros(256))
    monkeypatch.setattr(cases.Case, "below", lambda self, limit, shape: np.full(shape, 500))
    monkeypatch.setattr(pool, "_values", lambda case, shape, fill, layout: case.integers(shape))
    result = grid.run(family, 0, 5, 0)
    assert result.failed == 5
    assert all("not to be trusted" in failure.message for failure in result.failures)


def test_the_command(capsys: Any) -> None:
    assert command.main("--family max_unpool --count 30 --seed 4".split()) == 0
    out = capsys.readouterr().out
    assert "max_unpool1d: 10 cases, 0 failed (forward 10, input gradient 10)" in out
    assert "30 cases, 0 failed" in out
    assert command.main("--family convolution".split()) == 2
    assert "family must be one of conv1d" in capsys.readouterr().err
    assert command.main("--family conv1d --case -1".split()) == 2


def test_layouts_lie_as_they_say() -> None:
    values = np.arange(1.0, 121).reshape(2, 3, 4, 5)
    for layout in cases.LAYOUTS:
        array = cases.lay_out(values, layout)
        if not layout.startswith("expanded"):
            assert np.array_equal(array, values), layout
        assert array.flags.c_contiguous == (layout in ("contiguous", "offset")), layout
    assert cases.lay_out(values, "reversed").strides[0] < 0
    assert cases.lay_out(values, "channels_last").strides[1] == 8
    assert cases.lay_out(values, "expanded").strides[0] == 0
    with pytest.raises(ValueError, match="layout must be one of"):
        cases.lay_out(values, "upside down")
