"""The engine: graphs, their memory, errors of backward, versions, modes, Function."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from contextlib import ExitStack
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.autograd import hooks
from gradsmith.testing import gradcheck, gradgradcheck
from interpreter import run_python

LONG = 100_000


def leaf(*values: float) -> Any:
    """A float64 leaf."""
    return gs.tensor(list(values), dtype=gs.float64, requires_grad=True)


def in_use() -> int:
    gc.collect()
    return gs.memory_stats()["in_use"]


# ---- long graphs ----


def long_chain(x: Any, n: int) -> Any:
    y = x
    for _ in range(n // 2):
        y = (y + 1.0) * 0.999
    return y


def test_backward_of_a_long_chain() -> None:
    """100,000 ops behind one another: no recursion."""
    x = leaf(1.0, 2.0)
    y = long_chain(x, LONG)
    y.sum().backward()
    assert np.allclose(x.grad.numpy(), 0.999 ** (LONG // 2), rtol=1e-9)


def test_grad_of_a_long_chain() -> None:
    x = leaf(1.0)
    (g,) = gs.autograd.grad(long_chain(x, LONG), x)
    assert np.allclose(g.numpy(), 0.999 ** (LONG // 2), rtol=1e-9)


@pytest.mark.parametrize("how", ["drop", "backward", "exception"])
def test_dropping_a_long_chain(how: str) -> None:
    """A graph that nobody runs backward is freed without recursion too."""
    run_python(
        f"""
        import sys, threading
        import gradsmith as gs
        threading.stack_size(1 << 20)  # a recursion of 100,000 frames would not fit

        def work():
            x = gs.tensor([1.0], requires_grad=True)
            y = x
            for _ in range({LONG}):
                y = y + 1.0
            if {how!r} == "backward":
                y.backward()
            if {how!r} == "exception":
                try:
                    raise ValueError(y)
                except ValueError:
                    pass
            del y
            done.append(1)

        done = []
        t = threading.Thread(target=work)
        t.start()
        t.join()
        assert done
        print("ok")
        """
    )


def test_a_wide_graph() -> None:
    """Many paths to one leaf, and a diamond that doubles at each step."""
    x = leaf(2.0)
    total = x * 0.0
    for i in range(1000):
        total = total + x * float(i)
    total.backward()
    assert x.grad.item() == sum(range(1000))
    x.grad = None
    y = x
    for _ in range(60):
        y = y + y  # 2**60 paths
    y.backward()
    assert x.grad.item() == 2.0**60


def test_memory_is_freed_as_backward_goes() -> None:
    """A node's saved arrays and gradients are let go as soon as it has run."""
    x = gs.zeros(1 << 18, requires_grad=True)  # 1 MiB each
    y = x
    for _ in range(40):
        y = y.exp()
    before = in_use()
    gs.empty_cache()  # the peak starts anew
    y.sum().backward()
    peak = gs.memory_stats()["peak"]
    # 40 saved arrays stay held by nothing; on the way a few gradients live.
    assert peak - before <= 8 << 20
    assert in_use() <= before - (38 << 20)


def test_a_dropped_graph_is_freed_at_once() -> None:
    """By reference counts: no cycle waits for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        before = gs.memory_stats()["in_use"]
        x = gs.zeros(1000, requires_grad=True)
        y = ((x + 1.0) * x).exp().sum()
        node = weakref.ref(y)
        del y
        assert node() is None
        z = (x.exp() * 2.0).sum()
        z.backward()
        del x, z
        assert gs.memory_stats()["in_use"] == before
    finally:
        gc.enable()


# ---- errors of backward ----


def test_second_backward_is_refused() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"what sum saved was freed.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_it() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="freed"):
        y.backward()


def test_backward_of_several_elements_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"several elements must be given; got shape \(2,\)"):
        (x * 2.0).backward()
    (x * 2.0).backward(gs.tensor([1.0, 10.0], dtype=gs.float64))
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(RuntimeError, match=r"shape and device \(2,\) cpu; got \(3,\) cpu"):
        (x * 2.0).backward(gs.zeros(3, dtype=gs.float64))


def test_backward_needs_something_recorded() -> None:
    x = gs.tensor([1.0])
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        (x * 2.0).backward()
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        (leaf(1.0).detach() * 2.0).backward()


def test_backward_of_a_leaf() -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1.0),
        lambda x: x.zero_(),
        lambda x: x.copy_(gs.zeros(2, dtype=gs.float64)),
        lambda x: x.fill_(2.0),
        lambda x: x[0].mul_(2.0),
        lambda x: x.__setitem__(0, 5.0),
        lambda x: x.reshape(2, 1).add_(1.0),
        lambda x: x.detach().add_(1.0),
        lambda x: x[::2].zero_(),
        lambda x: x.data.add_(1.0),
    ],
)
def test_a_changed_saved_tensor_is_noticed(change: Any) -> None:
    """By the tensor itself, by views of it and by what shares its memory."""
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = (a * a).sum()
    with gs.no_grad():
        change(a)
    with pytest.raises(RuntimeError, match=r"changed in place since: it is at version"):
        y.backward()


def test_a_changed_output_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    with gs.no_grad():
        y.mul_(2.0)
    with pytest.raises(RuntimeError, match="a tensor that exp saved.*changed in place"):
        y.sum().backward()


def test_a_change_of_what_was_not_saved_is_fine() -> None:
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = (a + 1.0).sum()
    with gs.no_grad():
        a.zero_()
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_change_before_saving_is_fine() -> None:
    a = gs.ones(3, dtype=gs.float64)
    a.mul_(3.0)
    x = leaf(1.0, 1.0, 1.0)
    (x * a).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_recorded_changes_in_place() -> None:
    x = leaf(1.0, 2.0)
    y = x * 1.0
    y.mul_(x)  # x^2
    y.add_(1.0)
    y.mul_(3.0)
    y.div_(x)  # 3 x + 3 / x
    y.mul_(y)
    y.sum().backward()
    v = x.detach().numpy()
    assert np.allclose(x.grad.numpy(), 2 * (3 * v + 3 / v) * (3 - 3 / v**2))
    z = gs.ones(2, dtype=gs.float64)
    z.mul_(x)
    assert gs.autograd.grad(z.sum(), x)[0].tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient cannot be changed"):
        x.add_(1.0)


def test_a_parameter_update_between_steps() -> None:
    """The usual loop: no_grad changes of leaves, gradients cleared, graphs made anew."""
    w = leaf(1.0)
    for _ in range(3):
        loss = (w * w).sum()
        w.grad = None
        loss.backward()
        with gs.no_grad():
            w.sub_(w.grad * 0.25)
    assert w.item() == 0.125


# ---- autograd.grad ----


def test_grad_leaves_grad_alone() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gx, gy = gs.autograd.grad((x * y).sum(), (x, y))
    assert gx.tolist() == [3.0, 4.0] and gy.tolist() == [1.0, 2.0]
    assert x.grad is None and y.grad is None


def test_grad_of_what_is_no_leaf() -> None:
    x = leaf(1.0, 2.0)
    a = x * 3.0
    b = a * a
    ga, gx = gs.autograd.grad(b.sum(), (a, x))
    assert ga.tolist() == [6.0, 12.0] and gx.tolist() == [18.0, 36.0]


def test_grad_unused() -> None:
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"do not depend on inputs \[1\].*allow_unused"):
        gs.autograd.grad((x * 2.0).sum(), (x, y))
    gx, gy = gs.autograd.grad((x * 2.0).sum(), (x, y), allow_unused=True)
    assert gx.tolist() == [2.0] and gy is None
    with pytest.raises(RuntimeError, match="input 0 does not"):
        gs.autograd.grad((x * 2.0).sum(), gs.tensor([1.0]))


def test_grad_of_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    u = gs.tensor([10.0, 20.0], dtype=gs.float64)
    (g,) = gs.autograd.grad([x * x, x * 3.0], x, [u, u])
    assert g.tolist() == [50.0, 140.0]
    (g,) = gs.autograd.grad([(x * x).sum(), x[0]], [x], [None, None])
    assert g.tolist() == [3.0, 4.0]
    with pytest.raises(RuntimeError, match="one gradient a tensor; got 1 for 2"):
        gs.autograd.grad([x * x, x], x, [u])


def test_grad_of_an_input_twice_and_of_the_output() -> None:
    x = leaf(2.0)
    y = x * x
    g, again, of_itself = gs.autograd.grad(y, (x, x, y))
    assert (g.item(), again.item(), of_itself.item()) == (4.0, 4.0, 1.0)


def test_create_graph_to_the_fourth_order() -> None:
    x = leaf(0.7)
    y = x.exp() * x * x
    values = []
    for _ in range(4):
        (y,) = gs.autograd.grad(y.sum(), x, create_graph=True)
        values.append(y.item())
    e = np.exp(0.7)
    expected = [e * (0.49 + 2 * k * 0.7 + k * (k - 1)) for k in (1, 2, 3, 4)]
    assert np.allclose(values, expected, rtol=1e-12)


def test_backward_with_create_graph() -> None:
    x = leaf(1.0, 2.0)
    (x * x * x).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    "value,error,match",
    [
        ("g", TypeError, "grad: must be a tensor or None; got str"),
        (3.0, TypeError, "grad: must be a tensor or None; got float"),
        (np.ones((2, 3)), TypeError, "grad: must be a tensor or None; got ndarray"),
        (gs.ones(3), RuntimeError, r"of the tensor's shape .*\[2, 3\]\); got .*\[3\]"),
        (gs.ones(2, 3, dtype=gs.float64), RuntimeError, "dtype gradsmith.float32; got .*float64"),
        (gs.ones(2, 3, dtype=gs.int64), RuntimeError, "dtype gradsmith.float32; got .*int64"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused_when_assigned(
    value: object, error: type[Exception], match: str, cuda: str
) -> None:
    """With the classes of exceptions that PyTorch has for it."""
    x = gs.ones(2, 3).requires_grad_()
    x.grad = gs.zeros(2, 3)
    with pytest.raises(error, match=match):
        x.grad = value  # type: ignore[assignment]
    assert x.grad.tolist() == [[0.0] * 3] * 2
    with pytest.raises(RuntimeError, match="its own gradient"):
        x.grad = x
    with pytest.raises(RuntimeError, match="tensor's device cpu; got cuda"):
        x.grad = gs.ones(2, 3, device=cuda)
    del x.grad
    assert x.grad is None


def test_gradients_accumulate() -> None:
    x = leaf(1.0, 2.0)
    (x * 2.0).sum().backward()
    kept = x.grad
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    assert kept is x.grad


def test_gradients_do_not_share_memory() -> None:
    """x + y sends one gradient to both; changing one .grad must not change the other."""
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seen = gs.tensor([1.0, 1.0], dtype=gs.float64)
    (x + y).backward(seen)
    x.grad.mul_(10.0)
    assert y.grad.tolist() == [1.0, 1.0]
    assert seen.tolist() == [1.0, 1.0]
    x.grad = None
    (x.reshape(2, 1)).backward(gs.ones(2, 1, dtype=gs.float64))
    x.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


GRAPHS: dict[str, Any] = {
    "a view": lambda a, b: a.T,
    "views of views": lambda a, b: a.T.reshape(6).view(2, 3).T,
    "a leaf behind a view": lambda a, b: (a.T * 2.0).exp(),
    "a line": lambda a, b: -a.reshape(6),
    "both behind views": lambda a, b: a.T + b.T,
    "one gradient for both": lambda a, b: -(a.T + b.T),
    "one for a view and one for a node": lambda a, b: -(a.T + b.T.exp()),
    "twice": lambda a, b: -a.T + a.T * 2.0,
    "a view and itself": lambda a, b: -(a.reshape(3, 2) + a),
    "part of it": lambda a, b: -a[1:].T,
    "repeated": lambda a, b: -a[None].expand(4, 3, 2),
    "a product": lambda a, b: a.T @ b,
}


@pytest.mark.parametrize("how", GRAPHS)
def test_gradients_that_are_taken_over_behind_views(how: str, device: str) -> None:
    a, b = (gs.tensor([[1.0, 2], [3, 4], [5, 6]], device=device).requires_grad_() for _ in "ab")
    y = GRAPHS[how](a, b)
    seed = gs.from_numpy(np.arange(y.numel(), dtype=np.float32).reshape(y.shape) + 1).to(device)
    kept = seed.clone()
    y.backward(seed, retain_graph=True)
    first = [t.grad.clone() for t in (a, b) if t.grad is not None]
    for t in (a, b):
        if t.grad is not None:
            assert t.grad.stride() == t.stride()
            t.grad.mul_(-1.0)  # nobody else sees it
    assert gs.equal(seed, kept)
    y.backward(seed)
    assert all((t.grad == 0.0).all() for t in (a, b) if t.grad is not None)
    for t in (a, b):
        t.grad = None
    hooked = GRAPHS[how](a, b)
    with a.register_hook(lambda g: g.clone()):
        hooked.backward(seed)
    again = [t.grad for t in (a, b) if t.grad is not None]
    assert all(gs.equal(g, h) for g, h in zip(first, again, strict=True))


def test_a_gradient_behind_a_view_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks.registered, "any", False)  # a hook may keep what it is shown
    x = gs.ones(300, 200).requires_grad_()
    y, seed = -x.T, gs.ones(200, 300)
    y.backward(seed)
    assert x.grad._data.flags.c_contiguous
    assert isinstance(x.grad._data.base, np.ndarray)  # a view; a copy has memory of its own


def test_gradients_of_an_expanded_leaf_are_whole() -> None:
    base = gs.from_numpy(np.broadcast_to(np.ones(1), (4,)).copy()[:1]).expand(4)
    x = base.detach().requires_grad_()
    (x * gs.tensor([1.0, 2.0, 3.0, 4.0], dtype=gs.float64)).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0, 4.0]


# ---- modes ----


def test_no_grad_and_enable_grad() -> None:
    x = leaf(1.0)
    with gs.no_grad():
        assert not gs.is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with gs.enable_grad():
            assert (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad

    @gs.no_grad()
    def evaluate(x: Any) -> Any:
        """Its docstring."""
        return x * 2.0

    assert not evaluate(x).requires_grad
    assert evaluate.__name__ == "evaluate" and evaluate.__doc__ == "Its docstring."
    with pytest.raises(ValueError), gs.no_grad():
        raise ValueError
    assert gs.is_grad_enabled()
    with gs.set_grad_enabled(False):
        assert not gs.is_grad_enabled()
    assert gs.is_grad_enabled()


def test_grad_mode_is_a_threads_own() -> None:
    seen = []
    with gs.no_grad():
        t = threading.Thread(target=lambda: seen.append(gs.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


@pytest.mark.parametrize("block", [gs.no_grad(), gs.enable_grad(), gs.inference_mode()])
def test_grad_mode_blocks_entered_inside_themselves(block: Any) -> None:
    wanted = isinstance(block, gs.enable_grad)
    for outer in (True, False):
        with gs.set_grad_enabled(outer), ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(block)
                assert gs.is_grad_enabled() is wanted
            with gs.set_grad_enabled(not wanted), block:
                assert gs.is_grad_enabled() is wanted
            stack.close()
            assert gs.is_grad_enabled() is outer


def test_grad_mode_block_left_more_often_than_entered() -> None:
    block = gs.no_grad()
    with pytest.raises(RuntimeError, match="left more often"):
        block.__exit__(None, None, None)
    with pytest.raises(TypeError):
        gs.no_grad(1, 2)
    assert gs.is_grad_enabled()


def test_gradients_of_a_batch_by_one_matrix() -> None:
    rng = np.random.default_rng(0)
    w = gs.tensor(rng.standard_normal((3, 2)), requires_grad=True)
    column = gs.tensor(rng.standard_normal((3, 1)), requires_grad=True)
    for shape, order in (((2, 4, 3), (0, 1, 2)), ((4, 3, 2), (2, 0, 1)), ((1, 1, 3), (0, 1, 2))):
        x = gs.tensor(rng.standard_normal(shape), requires_grad=True)

        def by(x: Any, w: Any, order: Any = order) -> Any:
            return gs.matmul(x.permute(*order), w)

        for right in (w, column):
            assert gradcheck(by, (x, right))
            assert gradgradcheck(by, (x, right))
    with pytest.raises(RuntimeError, match=r"got a \(2, 4, 3\), b \(2, 3\)"):
        gs.matmul(gs.ones(2, 4, 3), gs.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"got a \(1, 4\), b \(3, 1\)"):
        gs.matmul(gs.ones(4), gs.ones(3))


class _Slotted:
    __slots__ = ("first", "second", "third")


def test_objects_made_by_their_slots() -> None:
    make = _cpu.slot_maker(_Slotted, ("second", "first"))
    value = [1.0]
    made = make("b", value)
    assert type(made) is _Slotted and made.first is value and made.second == "b"
    assert not hasattr(made, "third")
    for wrong in ((), ("b",), ("b", 1, 2)):
        with pytest.raises(TypeError, match="2 slots"):
            make(*wrong)
    for names in (("fourth",), ("__doc__",), ["first"], ("first",) * 17):
        with pytest.raises((TypeError, AttributeError)):
            _cpu.slot_maker(_Slotted, names)
    counts = sys.getrefcount(value), sys.getrefcount(_Slotted)
    for _ in range(1000):
        make(value, value)
    assert (sys.getrefcount(value), sys.getrefcount(_Slotted)) == counts


def test_grad_mode_after_a_failed_backward() -> None:
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError):
        y.backward()
    assert gs.is_grad_enabled()


# ---- Function ----


class Cube(gs.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad_y * x * x * 3.0


class SinCos(gs.Function):
    """Two outputs from one saved output; a number among the arguments."""

    @staticmethod
    def forward(ctx: Any, x: Any, scale: float, y: Any) -> Any:
        e = (x * scale).exp()
        ctx.scale = scale
        ctx.save_for_backward(e, y)
        return e, e * y

    @staticmethod
    def backward(ctx: Any, grad_e: Any, grad_p: Any) -> Any:
        e, y = ctx.saved_tensors
        return (grad_e + grad_p * y) * e * ctx.scale, None, grad_p * e


def test_function_gradients() -> None:
    x = leaf(0.5, -1.0, 2.0)
    assert gradcheck(Cube.apply, x)
    assert gradgradcheck(Cube.apply, x)


def test_function_of_several_outputs() -> None:
    x, y = leaf(0.5, -1.0), leaf(2.0, 3.0)
    assert gradcheck(lambda x, y: SinCos.apply(x, 1.5, y), (x, y))
    e, p = SinCos.apply(x, 1.5, y)
    (g,) = gs.autograd.grad(p.sum(), x, retain_graph=True)  # only the second output is used
    assert np.allclose(g.numpy(), 1.5 * e.detach().numpy() * y.detach().numpy())
    (g,) = gs.autograd.grad(e.sum(), x)
    assert np.allclose(g.numpy(), 1.5 * e.detach().numpy())


def test_function_needs_input_grad_and_none() -> None:
    seen = []

    class Spy(gs.Function):
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any, c: Any) -> Any:
            return a + b

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return grad_y, None, None

    a, b = leaf(1.0), gs.tensor([2.0], dtype=gs.float64)
    Spy.apply(a, b, "text").backward()
    assert seen == [(True, False, False)]
    assert a.grad.item() == 1.0


def test_function_under_no_grad_and_inside() -> None:
    modes = []

    class Spy(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            modes.append(gs.is_grad_enabled())
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            modes.append(gs.is_grad_enabled())
            return grad_y

    x = leaf(1.0)
    Spy.apply(x).backward()
    with gs.no_grad():
        assert not Spy.apply(x).requires_grad
    (g,) = gs.autograd.grad(Spy.apply(x), x, create_graph=True)
    assert modes == [False, False, False, False, True]


def test_function_errors() -> None:
    class Few(gs.Function):
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            return a + b

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            return grad_y

    class NoTensor(gs.Function):
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            return 1.0

    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="Few: backward must return.*2 arguments; got 1"):
        Few.apply(x, x).backward()
    with pytest.raises(TypeError, match="NoTensor: forward must return tensors; got float"):
        NoTensor.apply(x)
    with pytest.raises(NotImplementedError, match="forward must be defined"):
        gs.Function.apply(x)
    cubed = Cube.apply(x)
    cubed.backward()
    with pytest.raises(RuntimeError, match="freed"):
        cubed.backward()


def test_function_checks_versions() -> None:
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = Cube.apply(a)
    with gs.no_grad():
        a.add_(1.0)
    with pytest.raises(RuntimeError, match="a tensor that Cube saved.*changed in place"):
        y.sum().backward()


def test_an_exception_in_backward_passes_through() -> None:
    class Raises(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1.0

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            raise KeyError("mine")

    x = leaf(1.0)
    with pytest.raises(KeyError, match="mine"):
        Raises.apply(x).backward()
    assert gs.is_grad_enabled() and x.grad is None


def test_import_brings_in_neither_torch_nor_cupy() -> None:
    out = run_python(
        """
        import sys
        import gradsmith
        gradsmith.tensor([1.0]).exp()
        heavy = {"torch", "jax", "cupy", "numba", "matplotlib", "rich", "ml_dtypes", "scipy"}
        print(sorted(heavy & set(sys.modules)))
        """
    )
    assert out.strip() == "[]"


def test_backward_into_given_inputs_only() -> None:
    x, y = (gs.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    h = x * y
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (h * h).sum().backward(inputs=[x, h])
    assert x.grad.tolist() == [2.0, 16.0]
    assert h.grad.tolist() == [2.0, 8.0]
    assert y.grad is None
    assert seen == [[2.0, 16.0]]
    (x * y).sum().backward(inputs=x)
    assert x.grad.tolist() == [3.0, 18.0]
    with pytest.raises(RuntimeError, match="empty"):
        (x * y).sum().backward(inputs=[])
    with pytest.raises(RuntimeError, match="input 0 does not"):
        (x * y).sum().backward(inputs=[gs.ones(2)])


def test_grad_materialized_and_batched() -> None:
    x, y = (gs.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    used, unused = gs.autograd.grad((x * x).sum(), [x, y], materialize_grads=True)
    assert (used.tolist(), unused.tolist()) == ([2.0, 4.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="allow_unused"):
        gs.autograd.grad((x * x).sum(), [y], allow_unused=False, materialize_grads=True)
    seeds = gs.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    rows, none = gs.autograd.grad(
        x * x, [x, y], seeds, is_grads_batched=True, allow_unused=True, create_graph=True
    )
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]
    assert none is None
    rows.sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="first dimension"):
        gs.autograd.grad(x * x, x, is_grads_batched=True)


def test_gradient_of_another_floating_dtype_is_converted() -> None:
    x = gs.tensor([1.0, 2.0], dtype=gs.float64, requires_grad=True)
    (x * 2).backward(gs.ones(2))
    assert x.grad.dtype is gs.float64
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="floating point"):
        (x * 2).backward(gs.tensor([1, 1]))


def test_detach_in_place() -> None:
    x = gs.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf and not y.requires_grad
    with pytest.raises(RuntimeError, match="view"):
        (x * 2)[0].detach_()


def test_set_grad_enabled_takes_mode_by_name() -> None:
    with gs.set_grad_enabled(mode=False):
        assert not gs.is_grad_enabled()
    assert gs.is_grad_enabled()
