"""Broadcasting, views and changes in place: NumPy is the measure, and PyTorch of the gradients."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
import view_programs
from hypothesis import given
from hypothesis import strategies as st
from properties import examples, integers, same, seeds
from view_programs import CHANGES, VIEWS

numbers = st.integers(0, 11)
instructions = st.tuples(st.sampled_from(VIEWS + CHANGES), numbers, numbers, numbers, numbers)
programs = st.lists(instructions, min_size=1, max_size=14)
shapes = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


def in_bounds(array: Any) -> bool:
    """Whether sums of its like are exact."""
    return bool(np.abs(array.astype(np.float64)).max(initial=0) < 2**20)


@examples(400)
@given(programs, shapes, st.sampled_from(("float32", "float64", "int32", "int64")), seeds)
def test_programs_of_views_and_changes(program: Any, shape: Any, dtype: str, seed: int) -> None:
    """Every array that was made on the way, in the end."""
    values = integers(seed, *shape, dtype=dtype)
    expected = view_programs.run(program, values.copy())
    got = view_programs.run(program, gs.tensor(values))
    if not all(map(in_bounds, expected)):
        return
    assert len(got) == len(expected)
    for i, (t, array) in enumerate(zip(got, expected, strict=True)):
        np.testing.assert_array_equal(t.numpy(), array, err_msg=f"array {i}")


@examples(60)
@given(programs, shapes, seeds)
def test_programs_on_the_device(cuda: str, program: Any, shape: Any, seed: int) -> None:
    values = integers(seed, *shape)
    expected = view_programs.run(program[:8], values.copy())
    got = view_programs.run(program[:8], gs.tensor(values).to(cuda))
    for t, array in zip(got, expected, strict=True):
        same(t, array)


@examples(250)
@given(programs, shapes, seeds)
def test_gradients_of_programs_are_torchs(program: Any, shape: Any, seed: int) -> None:
    """The derivative of what all arrays hold in the end, or an error from both."""
    torch = pytest.importorskip("torch")
    values = integers(seed, *shape, dtype=np.float64) + 0.25
    found = []
    for lib in (torch, gs):
        x = lib.tensor(values, requires_grad=True)
        try:
            arrays = view_programs.run(program, x * 1.5)
            loss = sum(((t * t).sum() for t in arrays), x.sum() * 0)
            loss.backward()
        except RuntimeError as error:
            found.append(error)
            continue
        found.append([*(t.detach().numpy() for t in arrays), x.grad.numpy()])
    if isinstance(found[0], RuntimeError) and "single memory location" in str(found[0]):
        return  # An operand that overlaps the changed one: as NumPy's here, refused there.
    if isinstance(found[0], RuntimeError) or isinstance(found[1], RuntimeError):
        assert all(isinstance(f, RuntimeError) for f in found), found
        return
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


# ---- broadcasting ----

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "eq": np.equal,
    "lt": np.less,
    "ge": np.greater_equal,
}


@st.composite
def broadcasting(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes, mostly such as fit."""
    full = draw(st.lists(st.integers(0, 4), max_size=4))
    found = []
    for _ in range(2):
        kept = full[draw(st.integers(0, len(full))) :]
        found.append(tuple(1 if draw(st.booleans()) else n for n in kept))
    if draw(st.integers(0, 9)) == 0 and found[0]:
        found[0] = (*found[0][:-1], 5)
    return found[0], found[1]


@examples(300)
@given(st.sampled_from(sorted(BINARY)), broadcasting(), seeds)
def test_broadcasting_is_numpys(name: str, pair: Any, seed: int) -> None:
    """Values to the bit, or a RuntimeError where NumPy has an error."""
    a, b = (np.array(integers(seed + i, *s, low=1, high=99)) / 7 for i, s in enumerate(pair))
    a, b = a.astype(np.float32), b.astype(np.float32)
    function = getattr(gs, name)
    try:
        expected = BINARY[name](a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match=name):
            function(gs.tensor(a), gs.tensor(b))
        return
    same(function(gs.tensor(a), gs.tensor(b)), np.asarray(expected))


@examples(100)
@given(st.sampled_from(("add", "sub", "mul", "div")), broadcasting(), seeds)
def test_gradients_of_broadcasts_are_sums(name: str, pair: Any, seed: int) -> None:
    """The gradient of what was repeated is the sum over the repetitions."""
    try:
        full = np.broadcast_shapes(*pair)
    except ValueError:
        return
    a, b = (gs.tensor(integers(seed + i, *s, low=1)) for i, s in enumerate(pair))
    spread = [t.expand(full).clone().requires_grad_() for t in (a, b)]
    whole = [t.requires_grad_() for t in (a, b)]
    function = getattr(gs, name)
    seen = gs.tensor(integers(seed + 2, *full)) * 144
    function(*spread).backward(seen)
    function(*whole).backward(seen)
    for t, wide in zip(whole, spread, strict=True):
        lead = len(full) - t.dim()
        dims = [i for i in range(len(full)) if i < lead or t.shape[i - lead] != full[i]]
        expected = wide.grad.double().sum(dims).reshape(tuple(t.shape)) if dims else wide.grad
        np.testing.assert_allclose(t.grad.numpy(), expected.numpy(), rtol=2e-6, atol=2e-6)


@examples(150)
@given(shapes, st.data(), seeds)
def test_indexing_is_numpys(shape: Any, data: Any, seed: int) -> None:
    """Slices, None, ellipsis, and ints or one list, in any mixture, read and written.

    An int beside a list is a list itself to NumPy, and not to PyTorch and us.
    """
    values = integers(seed, *shape)
    key: list[Any] = []
    arrays = 0
    single = data.draw(st.sampled_from(("int", "list")))
    for n in shape:
        kind = data.draw(st.sampled_from(("all", single, "slice", "slice", "none")))
        if kind == "none":
            key.append(None)
        if kind in ("none", "all"):
            key.append(slice(None))
        elif kind == "int":
            key.append(data.draw(st.integers(-n, n - 1)))
        elif kind == "list" and not arrays:
            arrays = 1
            key.append(data.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=3)))
        else:
            ends = [data.draw(st.none() | st.integers(-n - 1, n + 1)) for _ in range(2)]
            key.append(slice(*ends, data.draw(st.integers(1, 2))))
    cut = data.draw(st.integers(0, len(key)))
    full = tuple(key[:cut])
    if data.draw(st.booleans()):
        full = (*full, ...)
    t, x = gs.tensor(values), values.copy()
    same(t[full], np.asarray(x[full]))
    t[full] = 7
    x[full] = 7
    same(t, x)
