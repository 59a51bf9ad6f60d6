"""gradsmith.backend: ops on arrays, without a tape; and what docs/backend.md shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import to_numpy
from gradsmith.testing.opdb import op_infos, place

PAGE = (Path(__file__).resolve().parents[1] / "docs/backend.md").read_text()
cpu = gs.backend("cpu")


def blocks() -> list[str]:
    """The page's code blocks."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, flags=re.M)
    return [textwrap.dedent(block).strip("\n") for block in found]


def test_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    one, gradients, autograd = blocks()
    scope: dict[str, Any] = {}
    exec(one, scope)
    assert scope["smooth"].shape == (1, 3, 64, 64)
    exec(gradients, scope)
    assert scope["grad_image"].shape == (1, 3, 64, 64)
    assert scope["grad_blur"].shape == (3, 1, 5, 5)
    engine = autograd[autograd.index("class Var") : autograd.index("rng =")]
    assert len([line for line in engine.splitlines() if line]) <= 30
    exec(autograd, {})
    loss = float(capsys.readouterr().out.split()[1])
    assert loss < 0.6, "the foreign autograd does not learn"


def test_forward_and_vjp_are_those_of_tensors() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 3, 7, 6)), rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    tensors = [gs.tensor(a, requires_grad=True) for a in (x, w, b)]
    expected = gs.nn.functional.conv2d(*tensors, stride=2, padding=1)
    seed = rng.normal(size=tuple(expected.shape))
    expected.backward(gs.tensor(seed))
    y, pullback = cpu.conv2d.vjp(x, w, b, stride=2, padding=1)
    assert type(y) is np.ndarray
    assert np.array_equal(y, expected.detach().numpy())
    assert np.array_equal(cpu.conv2d(x, w, b, 2, 1), y)
    for _ in range(2):  # a pullback may be called again
        for g, t in zip(pullback(seed), tensors, strict=True):
            assert type(g) is np.ndarray
            assert np.array_equal(g, t.grad.numpy())


def test_nothing_is_copied() -> None:
    x = np.arange(12.0).reshape(3, 4)
    assert np.shares_memory(cpu.reshape(x, (4, 3)), x)
    assert np.shares_memory(cpu.permute(x, (1, 0)), x)
    y, pullback = cpu.reshape.vjp(x, (12,))
    g = np.ones(12)
    assert np.shares_memory(pullback(g)[0], g)


def test_structures() -> None:
    a, b = np.ones((2, 2)), np.zeros((1, 2))
    y, pullback = cpu.cat.vjp([a, b], 0)
    assert y.shape == (3, 2)
    grads, none = pullback(np.arange(6.0).reshape(3, 2))
    assert [g.tolist() for g in grads] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert none is None
    (values, indices), pullback = cpu.max.vjp(np.array([[1.0, 5.0], [7.0, 2.0]]), 1)
    assert (values.tolist(), indices.tolist()) == ([5, 7], [1, 0])
    assert pullback((np.array([1.0, 2.0]), None))[0].tolist() == [[0, 1], [2, 0]]
    labels = np.array([0, 2])
    y, pullback = cpu.cross_entropy.vjp(np.zeros((2, 3), np.float32), labels)
    grad_x, grad_labels = pullback(np.float32(1).reshape(()))
    assert grad_labels is None and grad_x.dtype == np.float32


def test_no_mode_leaks() -> None:
    with gs.no_grad():
        y, pullback = cpu.exp.vjp(np.zeros(2))
        assert pullback(np.ones(2))[0].tolist() == [1, 1]
        assert not gs.is_grad_enabled()
    with pytest.raises(TypeError):
        cpu.exp("x")
    assert gs.is_grad_enabled()


def test_refusals(cuda: str) -> None:
    with pytest.raises(AttributeError, match="no op is called 'conv7d'"):
        cpu.conv7d  # noqa: B018
    with pytest.raises(TypeError, match="the backend takes arrays; got a Tensor"):
        cpu.exp(gs.ones(2))
    with pytest.raises(RuntimeError, match="one gradient an output; got 2 for 1"):
        cpu.exp.vjp(np.ones(2))[1]((np.ones(2), np.ones(2)))
    with pytest.raises(TypeError, match=r"backend\('cuda'\) takes arrays on cuda"):
        gs.backend("cuda").exp(np.ones(2))
    with pytest.raises(ValueError, match="'cpu' or 'cuda'"):
        gs.backend("tpu")


def test_cuda_arrays(cuda: str) -> None:
    x = place(np.array([0.5, -1.0]), cuda)._data
    y, pullback = gs.backend("cuda").relu.vjp(x)
    assert type(y) is type(x)
    assert to_numpy(gs.Tensor._make(pullback(y)[0])).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    "info", [i for i in op_infos() if i.name in dir(cpu)], ids=lambda i: i.name
)
def test_every_op_on_arrays(info: Any) -> None:
    """The names of the sample database, called on arrays, give what the op on tensors gives."""
    for sample in info.samples()[:6]:
        arrays = sample.build("float64")
        if any(not isinstance(a, (np.ndarray, int, float, list, tuple)) for a in arrays):
            continue

        class Library:
            """What a sample's call takes its functions from: the backend's, with F inside."""

            def __getattr__(self, name: str) -> Any:
                return self if name in ("nn", "functional") else getattr(cpu, name)

        expected = info.call(gs, *[_placed(a) for a in arrays], **sample.options)
        try:
            result = info.call(Library(), *arrays, **sample.options)
        except AttributeError:
            pytest.skip("a sample that calls methods of a tensor")
        pairs = zip(
            result if isinstance(result, tuple) else (result,),
            expected if isinstance(expected, tuple) else (expected,),
            strict=True,
        )
        for a, b in pairs:
            assert np.array_equal(a, to_numpy(b), equal_nan=True)


def _placed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_placed(v) for v in value]
    return place(value, "cpu") if isinstance(value, np.ndarray) else value


def test_names_are_listed() -> None:
    assert {"conv2d", "softmax", "linear"} <= set(cpu.names)
    assert "conv2d" in dir(cpu)
    assert "Args" in (cpu.conv2d.__doc__ or "")
    assert repr(cpu.conv2d) == "<cpu conv2d>"
    assert cpu is gs.backend("cpu")
