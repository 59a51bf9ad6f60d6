"""Tensors are written out as PyTorch writes them."""

import gradsmith as gs
import numpy as np
import pytest

SHAPES = [(), (1,), (5,), (0,), (3, 4), (2, 3, 4), (2, 0), (17,), (7, 9), (2, 2, 2, 2), (30,)]
OPTIONS = [
    {},
    {"precision": 2},
    {"sci_mode": True},
    {"sci_mode": False},
    {"linewidth": 40},
    {"linewidth": 3},
    {"threshold": 5, "edgeitems": 2},
    {"threshold": 0, "edgeitems": 1},
    {"profile": "short"},
    {"profile": "full"},
    {"precision": 0},
    {"precision": 8},
]


@pytest.fixture(autouse=True)
def usual_options():
    yield
    gs.set_printoptions(profile="default")


def test_plain_texts():
    assert repr(gs.tensor([1.0, 2.0])) == "tensor([1., 2.])"
    assert repr(gs.tensor([1.5, -2.0])) == "tensor([ 1.5000, -2.0000])"
    assert repr(gs.tensor([1e-5, 1.0])) == "tensor([1.0000e-05, 1.0000e+00])"
    assert repr(gs.tensor(3.14159)) == "tensor(3.1416)"
    assert repr(gs.tensor([[1, 20], [True, 4]])) == "tensor([[ 1, 20],\n        [ 1,  4]])"
    assert repr(gs.tensor([True, False])) == "tensor([ True, False])"
    assert repr(gs.zeros(2, 0)) == "tensor([], size=(2, 0))"
    assert repr(gs.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    assert repr(gs.ones(1, requires_grad=True)) == "tensor([1.], requires_grad=True)"
    assert repr(gs.ones(1, dtype=gs.float64)) == "tensor([1.], dtype=gradsmith.float64)"


def test_options():
    gs.set_printoptions(precision=2, sci_mode=True)
    assert repr(gs.tensor([0.5])) == "tensor([5.00e-01])"
    gs.set_printoptions(threshold=3)
    assert repr(gs.tensor([0.5])) == "tensor([0.50])"
    assert gs.get_printoptions() == {
        "precision": 2,
        "threshold": 3,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": None,
    }
    gs.set_printoptions(profile="full")
    assert gs.get_printoptions()["threshold"] == float("inf")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"profile": "long"}, ValueError, "profile must be one of"),
        ({"precision": -1}, ValueError, "precision must be >= 0; got -1"),
        ({"edgeitems": 2.5}, TypeError, "edgeitems must be a number; got 2.5"),
        ({"linewidth": "8"}, TypeError, "linewidth must be a number; got '8'"),
    ],
)
def test_options_that_are_refused(options, error, match):
    with pytest.raises(error, match=match):
        gs.set_printoptions(**options)
    assert gs.get_printoptions()["precision"] == 4


def _values(rng, kind, shape):
    """Numbers of many sizes, whole ones, zeros, NaN and infinities, integers, bools."""
    a = rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 11)
    if kind == 1:
        a = np.round(a)
    if kind == 2:
        a = np.where(rng.random(shape) < 0.3, 0, a)
    if kind == 3:
        odd = rng.choice([np.nan, np.inf, -np.inf], shape)
        a = np.where(rng.random(shape) < 0.4, odd, a)
    if kind == 4:
        a = a * 0 + rng.choice([0.0, -0.0, np.nan, np.inf])
    if kind == 5:
        a = rng.integers(-(10 ** rng.integers(1, 9)), 10 ** rng.integers(1, 9), shape)
    if kind == 6:
        a = rng.random(shape) < 0.5
    if kind == 7:
        a = rng.integers(0, 100, shape).astype(rng.choice(["uint8", "int32", "int16", "int8"]))
    a = np.asarray(a)
    if a.dtype.kind != "f":
        return a
    with np.errstate(all="ignore"):
        return a.astype(rng.choice(["float32", "float64", "float16"]))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_as_pytorch(options):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(len(str(options)))
    torch.set_printoptions(profile="default")
    try:
        torch.set_printoptions(**options)
        gs.set_printoptions(**options)
        large = [np.arange(1001.0, dtype="float32"), rng.standard_normal((40, 5, 10))]
        drawn = [
            _values(rng, i % 8, SHAPES[rng.integers(len(SHAPES))])
            for i in range(40 if options.get("profile") == "full" else 120)
        ]
        for a in [*large, *drawn]:
            theirs = repr(torch.tensor(a))
            # PyTorch's dtypes have shorter names, which may end a line elsewhere.
            ours = repr(gs.tensor(a)).replace("gradsmith.", "torch.")
            if "dtype" in theirs:
                ours, theirs = (" ".join(text.split()) for text in (ours, theirs))
            assert ours == theirs, (options, a)
    finally:
        torch.set_printoptions(profile="default")
