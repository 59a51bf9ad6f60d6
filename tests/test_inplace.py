"""Changes in place, and whose memory a gradient is."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn import functional as F


def test_augmented_assignment_changes_the_tensor() -> None:
    p = gs.tensor([1.0, 2.0], requires_grad=True)
    same = p
    with gs.no_grad():
        p -= 0.5
        p *= 4
        p /= 2
        p += gs.tensor([1.0, 0.0])
    assert p is same
    assert p.tolist() == [2.0, 3.0]


def test_augmented_assignment_of_a_trained_leaf_is_refused() -> None:
    p = gs.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="add_: a leaf that requires a gradient"):
        p += 1


@pytest.mark.parametrize("change", ["copy_", "add_", "setitem"])
def test_expanded_memory_is_refused(change: str, device: str) -> None:
    x = gs.ones(1, 3).to(device).expand(2, 3)
    value = gs.tensor([[1.0] * 3, [2.0] * 3]).to(device)
    with pytest.raises(RuntimeError, match=f"{change}: an expanded tensor .*clone"):
        if change == "setitem":
            x[0] = 5.0
            x[:, 1] = 7.0
        else:
            getattr(x, change)(value)
    assert x.cpu().numpy()[0, 0] in (1.0, 5.0)


def test_integers_are_filled_exactly(device: str) -> None:
    value = 2**53 + 1  # no float64
    assert gs.full((2,), value, device=device).tolist() == [value] * 2
    x = gs.zeros(3, dtype=gs.int64, device=device)
    x[1] = value
    assert x.tolist() == [0, value, 0]
    assert x.fill_(-value).tolist() == [-value] * 3


@pytest.mark.parametrize("value", [2**63, float("nan"), float("inf")])
def test_what_an_integer_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(RuntimeError, match="full: the value does not fit into int64; got"):
        gs.full((1,), value, dtype=gs.int64)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(OverflowError, match="full: an int must fit into 64 bits; got"):
        gs.full((1,), value, dtype=gs.int64)


def test_relu_in_place_behind_an_unbatched_convolution() -> None:
    net = gs.nn.Sequential(gs.nn.Conv2d(1, 2, 3), gs.nn.ReLU(inplace=True))
    net(gs.ones(1, 5, 5)).sum().backward()
    assert net[0].weight.grad is not None
    y = gs.ones(3, requires_grad=True) * -1.0
    assert F.relu(y, inplace=True) is y


class _Keep(gs.Function):
    @staticmethod
    def forward(ctx: Any, x: gs.Tensor, w: gs.Tensor) -> gs.Tensor:
        ctx.save_for_backward(w)
        return x * w

    @staticmethod
    def backward(ctx: Any, grad: gs.Tensor) -> Any:
        (w,) = ctx.saved_tensors
        return w, grad


class _Wide(gs.Function):
    @staticmethod
    def forward(ctx: Any, x: gs.Tensor) -> gs.Tensor:
        return x * 1.0

    @staticmethod
    def backward(ctx: Any, grad: gs.Tensor) -> Any:
        return grad.double()


def test_a_functions_gradient_is_no_others_memory() -> None:
    x, w = gs.ones(2, requires_grad=True), gs.tensor([3.0, 4.0], requires_grad=True)
    upstream = gs.ones(2)
    _Keep.apply(x, w).backward(upstream)
    assert x.grad is not None and w.grad is not None
    x.grad.zero_()
    w.grad.zero_()
    assert w.tolist() == [3.0, 4.0]
    assert upstream.tolist() == [1.0, 1.0]


def test_a_functions_gradient_takes_its_inputs_dtype() -> None:
    x = gs.ones(2, requires_grad=True)
    _Wide.apply(x).sum().backward()
    assert x.grad is not None and x.grad.dtype is gs.float32


@pytest.mark.parametrize("create_graph", [False, True])
def test_two_leaves_share_no_gradient(create_graph: bool) -> None:
    x, w = gs.ones(2, requires_grad=True), gs.ones(2, requires_grad=True)
    upstream = gs.ones(2)
    (x + w).backward(upstream, create_graph=create_graph)
    assert x.grad is not None and w.grad is not None
    with gs.no_grad():
        x.grad.mul_(5.0)
    assert w.grad.tolist() == [1.0, 1.0]
    assert upstream.tolist() == [1.0, 1.0]


def test_a_grad_of_another_shape_is_refused() -> None:
    x = gs.ones(4, 2, requires_grad=True)
    x.grad = gs.ones(4, 2)
    x.data = gs.ones(2)
    with pytest.raises(RuntimeError, match=r"\.grad must have its tensor's shape \(2,\)"):
        x.sum().backward()


# In a process of its own: what earlier calls have shown of an op must not matter.
DETACHED = """
import gradsmith as gs
x = gs.tensor([3.0, 4.0], requires_grad=True)
for product in (lambda a, b: a * b, lambda a, b: a / b, lambda a, b: gs.matmul(a, b)):
    (g,) = gs.autograd.grad(product(x, x.detach()).sum(), x, create_graph=True)
    assert not g.requires_grad, g
(g,) = gs.autograd.grad((x * x).sum(), x, create_graph=True)
(h,) = gs.autograd.grad(g.sum(), x)
assert h.tolist() == [2.0, 2.0], h
"""


def test_second_derivative_with_a_detached_self() -> None:
    subprocess.run([sys.executable, "-c", DETACHED], check=True, timeout=60)


def test_dlpack_refuses_negative_strides() -> None:
    with pytest.raises(BufferError, match=r"strides >= 0 .*got stride \(-1,\)"):
        gs.from_numpy(np.arange(4.0)[::-1]).__dlpack__()


def test_copy_shares_memory_and_deepcopy_does_not() -> None:
    x = gs.tensor([1.0, 2.0], requires_grad=True)
    assert copy.copy(x).data_ptr() == x.data_ptr()
    assert copy.copy(x).requires_grad
    assert copy.deepcopy(x).data_ptr() != x.data_ptr()


def test_grad_modes_as_decorators() -> None:
    x = gs.ones(1, requires_grad=True)

    @gs.no_grad
    def bare() -> gs.Tensor:
        return x * 2

    @gs.no_grad()
    def called() -> gs.Tensor:
        return x * 2

    @gs.set_grad_enabled(False)
    def by_setting() -> gs.Tensor:
        return x * 2

    assert not bare().requires_grad
    assert not called().requires_grad
    assert not by_setting().requires_grad
    assert (x * 2).requires_grad


def test_zero_dim_tensors_do_not_widen() -> None:
    narrow, wide = gs.ones(3), gs.tensor(2.0, dtype=gs.float64)
    assert (narrow * wide).dtype is gs.float32
    assert (narrow * gs.ones(1, dtype=gs.float64)).dtype is gs.float64
    assert (narrow * np.float64(2.0)).dtype is gs.float32


def test_alpha_scales_the_other_operand() -> None:
    x, y = gs.tensor([1.0, 2.0]), gs.tensor([10.0, 20.0])
    assert gs.add(x, y, alpha=2).tolist() == [21.0, 42.0]
    assert gs.sub(x, y, alpha=0.5).tolist() == [-4.0, -8.0]


IN_PLACE = {
    **dict.fromkeys(("abs", "ceil", "cos", "erf", "exp", "expm1", "floor", "log", "log1p"), ()),
    **dict.fromkeys(("log2", "neg", "reciprocal", "relu", "round", "rsqrt", "sigmoid", "sin"), ()),
    **dict.fromkeys(("sqrt", "square", "tan", "tanh", "trunc"), ()),
    "lerp": (gs.ones(3), 0.25),
    "addcmul": (gs.ones(3), gs.ones(3)),
    "addcdiv": (gs.ones(3), gs.ones(3)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_forms(name: str) -> None:
    """The same values and gradients as the form that is not in place, in the same memory."""
    options = IN_PLACE[name]
    x = gs.tensor([0.3, 1.2, 2.6], requires_grad=True)
    y = getattr(x, name)(*options)
    (y * y).sum().backward()
    expected, x.grad = x.grad, None
    changed = x * 1.0
    address = changed.data_ptr() if hasattr(changed, "data_ptr") else id(changed)
    assert getattr(changed, name + "_")(*options) is changed
    assert (changed.data_ptr() if hasattr(changed, "data_ptr") else id(changed)) == address
    assert changed.tolist() == y.tolist()
    (changed * changed).sum().backward()
    assert x.grad.tolist() == expected.tolist()


def test_in_place_refusals() -> None:
    x = gs.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="sqrt_: a leaf that requires a gradient"):
        x.sqrt_()
    y = x * 2.0
    z = y * y
    y.exp_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


def test_a_result_of_more_dims_is_refused() -> None:
    x = gs.ones(2)
    with pytest.raises(RuntimeError, match="div_: the result must have the tensor's shape"):
        x.div_(gs.ones(1, 1))
    assert x.divide_(2).true_divide_(2).multiply_(8).subtract_(1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("celu_", (0.5,)),
        ("elu_", (2.0,)),
        ("hardtanh_", (-0.5, 0.25)),
        ("leaky_relu_", (0.2,)),
        ("relu_", ()),
        ("rrelu_", (0.1, 0.3)),
        ("selu_", ()),
        ("threshold_", (0.1, -7.0)),
    ],
)
def test_functions_in_place_write_what_the_plain_ones_give(name: str, args: Any) -> None:
    x = gs.tensor([-1.5, -0.25, 0.0, 0.5, 2.0])
    want = getattr(F, name[:-1])(x, *args).tolist()
    assert getattr(F, name)(x, *args) is x
    assert x.tolist() == want


def test_names_in_place_of_the_package_are_the_methods() -> None:
    x = gs.tensor([0.25, 4.0])
    assert gs.sqrt_(x) is x
    assert x.tolist() == [0.5, 2.0]
    leaf = gs.ones(2, requires_grad=True)
    y = gs.exp_(leaf * 2)
    y.sum().backward()
    assert np.allclose(leaf.grad.numpy(), 2 * np.exp(2.0))


def test_further_names_of_functions() -> None:
    x = gs.tensor([[1.0, 2.0]])
    assert gs.t(x).shape == (2, 1) and gs.negative(x).tolist() == [[-1.0, -2.0]]
    assert gs.multiply(x, x).tolist() == [[1.0, 4.0]] and gs.subtract(x, 1).tolist() == [[0.0, 1.0]]
