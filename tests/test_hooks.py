"""Hooks on gradients, retained gradients, anomaly mode, inference mode."""

from __future__ import annotations

import gc
import threading
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.autograd import Function
from gradsmith.autograd.function import once_differentiable


def leaf(*values: float) -> gs.Tensor:
    return gs.tensor(list(values), dtype=gs.float64, requires_grad=True)


def test_hook_of_a_leaf_sees_the_whole_gradient_once() -> None:
    x = leaf(1.0, 2.0)
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x * 2 + x * x).sum().backward()  # two ways to x
    assert seen == [[4.0, 6.0]]
    assert x.grad.tolist() == [4.0, 6.0]


def test_hooks_replace_in_the_order_of_registration() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1.0
    y.register_hook(lambda g: g + 1)
    handle = y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    handle.remove()
    x.grad = None
    y = x * 1.0
    with y.register_hook(lambda g: g * 3):
        pass
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_hook_of_one_output_of_several() -> None:
    x = gs.tensor([[3.0, 1.0], [2.0, 5.0]], requires_grad=True)

    class Halves(Function):
        @staticmethod
        def forward(ctx: Any, x: gs.Tensor) -> tuple[gs.Tensor, gs.Tensor]:
            return x * 1.0, x * 2.0

        @staticmethod
        def backward(ctx: Any, a: gs.Tensor, b: gs.Tensor) -> gs.Tensor:
            return a + b * 2

    a, b = Halves.apply(x)
    b.register_hook(lambda g: g * 100)
    assert (a.output_nr, b.output_nr) == (0, 1)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [[201.0, 201.0], [201.0, 201.0]]


def test_hooks_with_create_graph_are_differentiated() -> None:
    x = leaf(3.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = gs.autograd.grad(y.sum(), x, create_graph=True)  # 2 x * x
    (gg,) = gs.autograd.grad(g.sum(), x)
    assert g.item() == 18.0
    assert gg.item() == 12.0


def test_grad_of_leaves_and_results_after_hooks() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    x.register_hook(lambda g: g * 2)
    y.register_hook(lambda g: g + 1)
    gx, gy = gs.autograd.grad(y.sum(), (x, y))
    assert gy.tolist() == [2.0, 2.0]
    assert gx.tolist() == [12.0, 12.0]
    assert x.grad is None


def test_retain_grad() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward(retain_graph=True)
    assert y.grad.tolist() == [4.0, 8.0]
    (y * 1).sum().backward()
    assert y.grad.tolist() == [5.0, 9.0]
    x.retain_grad()  # a leaf has its gradient anyway
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        gs.ones(2).retain_grad()


def test_retained_gradient_follows_the_hooks_and_holds_no_tensor() -> None:
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    y.retain_grad()
    z = y * 1
    z.sum().backward(retain_graph=True)
    assert y.grad.tolist() == [5.0]
    del y
    gc.collect()
    z.sum().backward()
    assert x.grad.tolist() == [20.0]


def test_post_accumulate_hook() -> None:
    x = leaf(1.0, 2.0)
    seen: list[Any] = []

    def step(t: gs.Tensor) -> None:
        seen.append(t.grad.tolist())
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert seen == [[2.0, 2.0], [3.0, 3.0]]
    assert x.grad is None
    with pytest.raises(RuntimeError, match="only leaves"):
        (x * 2).register_post_accumulate_grad_hook(step)


def test_node_hooks() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.grad_fn.register_prehook(lambda grads: (grads[0] * 10,))
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] + outputs[0], None))
    y.sum().backward()
    assert x.grad.tolist() == [30.0, 30.0]
    assert y.grad_fn.name() == "mul"
    assert y.grad_fn.next_functions[0] == (x, 0)
    assert y.grad_fn.next_functions[1] == (None, 0)


@pytest.mark.parametrize(
    "wrong,error,match",
    [
        (lambda g: g.numpy(), TypeError, "must return a tensor or None; got ndarray"),
        (lambda g: g[:1], RuntimeError, r"shape and dtype must stay \(2,\) float64; got \(1,\)"),
        (lambda g: g.float(), RuntimeError, "got .* float32"),
    ],
)
def test_wrong_hooks_are_refused(wrong: Any, error: Any, match: str) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(wrong)
    with pytest.raises(error, match=match):
        (x * 2).sum().backward()


def test_what_cannot_have_a_hook() -> None:
    with pytest.raises(RuntimeError, match="does not require"):
        gs.ones(2).register_hook(print)
    with pytest.raises(TypeError, match="callable"):
        leaf(1.0).register_hook(3)  # type: ignore[arg-type]


def test_anomaly_names_the_op_and_the_line() -> None:
    z = gs.zeros(2, requires_grad=True)
    with gs.autograd.detect_anomaly():
        assert gs.is_anomaly_enabled()
        y = (z / z).sum()  # the line to be named
        with pytest.raises(RuntimeError, match="div returned nan values in its gradient") as caught:
            y.backward()
    assert "the line to be named" in str(caught.value)
    assert not gs.is_anomaly_enabled()
    z.grad = None
    (z / z).sum().backward()  # off again: NaN goes through
    assert np.isnan(z.grad.numpy()).all()


def test_anomaly_without_nan_check_and_outside() -> None:
    z = gs.zeros(2, requires_grad=True)
    y = z / z
    with gs.autograd.set_detect_anomaly(True, check_nan=False):
        y.sum().backward()
    y = z / z
    with gs.autograd.set_detect_anomaly(True), pytest.raises(RuntimeError, match="mode was off"):
        y.sum().backward()


def test_anomaly_explains_an_error_of_a_backward() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: gs.Tensor) -> gs.Tensor:
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, g: gs.Tensor) -> gs.Tensor:
            raise ValueError("no gradient here")

    with gs.autograd.detect_anomaly():
        y = Broken.apply(leaf(1.0))  # made here
        with pytest.raises(ValueError, match="no gradient here .backward of Broken.*") as caught:
            y.sum().backward()
    assert "made here" in str(caught.value)


def test_inference_mode() -> None:
    x = leaf(1.0)

    @gs.inference_mode
    def infer() -> gs.Tensor:
        assert gs.is_inference_mode_enabled()
        return x * 2

    @gs.inference_mode()
    def again() -> gs.Tensor:
        return x * 2

    assert not infer().requires_grad
    assert not again().requires_grad
    with gs.inference_mode():
        with gs.inference_mode(False):
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert not gs.is_inference_mode_enabled()
    assert (x * 2).requires_grad
    other: list[bool] = []
    with gs.inference_mode():
        thread = threading.Thread(target=lambda: other.append(gs.is_inference_mode_enabled()))
        thread.start()
        thread.join()
    assert other == [False]


class Double(Function):
    """Changes its argument in place."""

    @staticmethod
    def forward(ctx: Any, x: gs.Tensor) -> gs.Tensor:
        ctx.mark_dirty(x)
        x._data *= 2
        return x

    @staticmethod
    def backward(ctx: Any, g: gs.Tensor) -> gs.Tensor:
        return g * 2


def test_function_that_changes_its_argument() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1.0
    z = Double.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient"):
        Double.apply(leaf(1.0))


def test_function_with_setup_context() -> None:
    class Cube(Function):
        @staticmethod
        def forward(x: gs.Tensor) -> gs.Tensor:  # type: ignore[override]
            return x * x * x

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: gs.Tensor) -> gs.Tensor:
            (x,) = ctx.saved_tensors
            return g * x * x * 3

    x = leaf(2.0)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [12.0]


def test_gradients_that_are_not_materialized() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: gs.Tensor) -> tuple[gs.Tensor, gs.Tensor]:
            ctx.set_materialize_grads(False)
            return x * 1.0, x * 2.0

        @staticmethod
        def backward(ctx: Any, a: gs.Tensor | None, b: gs.Tensor | None) -> gs.Tensor | None:
            assert a is None
            return b * 2 if b is not None else None

    x = leaf(1.0)
    Two.apply(x)[1].sum().backward()
    assert x.grad.tolist() == [2.0]


def test_once_differentiable() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: gs.Tensor) -> gs.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: gs.Tensor) -> gs.Tensor:
            return g * ctx.saved_tensors[0] * 2

    x = leaf(3.0)
    Square.apply(x).sum().backward()
    assert x.grad.tolist() == [6.0]
    y = Square.apply(x) * x
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gs.autograd.grad(y.sum(), x, create_graph=True)


def test_retained_gradient_follows_a_change_in_place() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    assert y.retains_grad
    (y**2).sum().backward()
    assert y.grad.tolist() == (2 * y).tolist()
    assert x.grad.tolist() == (2 * y * 6).tolist()


def test_retained_gradient_of_a_view_follows_a_change_of_its_base() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[0]
    view.retain_grad()
    y.mul_(3)
    (view**2).backward()
    assert view.grad.item() == 12.0
    assert x.grad.tolist() == [72.0, 0.0]
