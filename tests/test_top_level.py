"""Names at the top level and methods, with PyTorch's signatures: against it where installed."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import assert_close, to_numpy

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(7)
X = RNG.standard_normal((4, 6, 5))
W, B, M, V = (RNG.uniform(0.5, 1.5, 6) for _ in range(4))
P = RNG.uniform(0.1, 0.9, (4, 6))
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
INDEX = np.array([[0, 2, 2], [1, 0, 1]])


def both(call: Any, *arrays: Any) -> None:
    """call(lib, *tensors) of gradsmith and torch gives the same."""
    ours = call(gs, *[gs.tensor(a) for a in arrays])
    theirs = call(torch, *[torch.tensor(a) for a in arrays])
    if isinstance(ours, tuple) and not isinstance(ours, gs.Size):
        assert len(ours) == len(theirs)
    else:
        ours, theirs = (ours,), (theirs,)
    for y, t in zip(ours, theirs, strict=True):
        if isinstance(y, gs.Tensor):
            assert str(y.dtype).split(".")[-1] == str(t.dtype).split(".")[-1]
            assert tuple(y.shape) == tuple(t.shape)
            assert_close(y, t, rtol=1e-9, atol=1e-12, name="value")
        else:
            assert y == t if not isinstance(y, gs.Size) else tuple(y) == tuple(t)


CALLS = {
    "layer_norm": lambda lib, x: lib.layer_norm(x, (5,), None, None, 1e-5),
    "group_norm": lambda lib, x, w, b: lib.group_norm(x, 3, w, b, 1e-5, True),
    "batch_norm": lambda lib, x, w, b, m, v: lib.batch_norm(x, w, b, m, v, False, 0.1, 1e-5, False),
    "instance_norm": lambda lib, x, w, b, m, v: lib.instance_norm(
        x, w, b, m, v, False, 0.1, 1e-5, False
    ),
    "rms_norm": lambda lib, x: lib.rms_norm(x, (5,), None, 1e-5),
    "softmax": lambda lib, x: lib.softmax(x, 1, lib.float64),
    "log_softmax": lambda lib, x: lib.log_softmax(x, 1, lib.float64),
    "dropout": lambda lib, x: lib.dropout(x, 0.5, train=False),
    "alpha_dropout": lambda lib, x: lib.alpha_dropout(x, 0.5, False),
    "feature_alpha_dropout": lambda lib, x: lib.feature_alpha_dropout(x, 0.5, train=False),
    "dropout_": lambda lib, x: lib.dropout_(x, 0.5, False),
    "adaptive_avg_pool1d": lambda lib, x: lib.adaptive_avg_pool1d(x, 2),
    "adaptive_max_pool1d": lambda lib, x: lib.adaptive_max_pool1d(x, 2),
    "max_pool1d_with_indices": lambda lib, x: lib.max_pool1d_with_indices(x, 2),
    "channel_shuffle": lambda lib, x: lib.channel_shuffle(x[:, :, :, None], 3),
    "detach": lambda lib, x: lib.detach(x),
    "positive": lambda lib, x: lib.positive(x),
    "atleast_1d": lambda lib, x: lib.atleast_1d(x[0, 0, 0], x),
    "atleast_2d": lambda lib, x: lib.atleast_2d((x[0, 0, 0], x[0, 0], x)),
    "atleast_3d": lambda lib, x: lib.atleast_3d(x[0, 0, 0], x[0, 0], x[0], x),
    "atleast_3d of one": lambda lib, x: lib.atleast_3d(x[0]),
    "broadcast_shapes": lambda lib: lib.broadcast_shapes((2, 1), (3,), 1),
    "is_same_size": lambda lib, x: lib.is_same_size(x, x[0]),
    "det": lambda lib, x: lib.det(input=x[:, :5]),
    "slogdet": lambda lib, x: tuple(lib.slogdet(input=x[:, :5])),
    "inverse": lambda lib, x: lib.inverse(x[:, :5]),
    "matrix_power": lambda lib, x: lib.matrix_power(x[:, :5], 3),
    "pinverse": lambda lib, x: lib.pinverse(x, 1e-12),
    "storage_offset": lambda lib, x: x[1:, 2].storage_offset(),
    "isclose": lambda lib, x: lib.isclose(x, x + 1e-7 * x.exp()),
    "allclose": lambda lib, x: lib.allclose(x, x + 1e-4),
    "element_size": lambda lib, x: (x.element_size(), x.nbytes, x.stride(1), x.t_.__name__),
}
INPUTS: dict[str, tuple[Any, ...]] = {
    "group_norm": (X, W, B),
    "batch_norm": (X, W, B, M, V),
    "instance_norm": (X, W, B, M, V),
    "broadcast_shapes": (),
}


@pytest.mark.parametrize("name", CALLS)
def test_equals_torch(name: str) -> None:
    both(CALLS[name], *INPUTS.get(name, (X,)))


@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_losses_by_number(reduction: int) -> None:
    y = np.where(P > 0.5, 1.0, -1.0)
    both(lambda lib, x, t: lib.kl_div(x, t, reduction, log_target=False), P, P)
    both(lambda lib, x, t: lib.poisson_nll_loss(x, t, True, False, 1e-8, reduction), P, P)
    both(lambda lib, x, t: lib.hinge_embedding_loss(x, t, 1.0, reduction), P, y)
    both(lambda lib, x, t: lib.binary_cross_entropy_with_logits(x, t, None, t, reduction), P, P)
    both(lambda lib, a, b, t: lib.margin_ranking_loss(a, b, t, 0.1, reduction), P, P + 0.3, y)
    both(lambda lib, a, b, t: lib.cosine_embedding_loss(a, b, t, 0.1, reduction), P, P**2, SIGNS)
    both(
        lambda lib, a, b, c: lib.triplet_margin_loss(a, b, c, 1.0, 2, 1e-6, True, reduction),
        *(P, P + 0.1, P**2),
    )


def test_embedding_has_the_weight_first() -> None:
    both(lambda lib, w, i: lib.embedding(w, i, 1), P, INDEX)
    ours = gs.embedding_bag(gs.tensor(P), gs.tensor(INDEX.ravel()), gs.tensor([0, 2]), mode=1)
    theirs = torch.embedding_bag(
        torch.tensor(P), torch.tensor(INDEX.ravel()), torch.tensor([0, 2]), mode=1
    )[0]
    assert_close(ours, theirs, rtol=1e-12, atol=0, name="bags")
    with pytest.raises(ValueError, match="mode must be 0"):
        gs.embedding_bag(gs.tensor(P), gs.tensor(INDEX), mode=3)
    with pytest.raises(ValueError, match="reduction must be 0"):
        gs.kl_div(gs.tensor(P), gs.tensor(P), 3)


def test_isclose() -> None:
    a = np.array([1.0, np.nan, np.inf, -np.inf, 0.0, 1e-9, 5.0])
    b = np.array([1.0 + 1e-6, np.nan, np.inf, np.inf, 1e-9, 0.0, 6.0])
    both(lambda lib, x, y: lib.isclose(x, y), a, b)
    both(lambda lib, x, y: lib.isclose(x, y, equal_nan=True), a, b)
    both(lambda lib, x, y: lib.isclose(x, y, rtol=0, atol=0), a, b)
    both(lambda lib, x, y: x.isclose(y, rtol=0.3), np.arange(5), np.array([0, 2, 2, 3, 5]))
    both(lambda lib, x, y: x.allclose(y), a > 0, a > 0)
    with pytest.raises(RuntimeError, match="one dtype"):
        gs.isclose(gs.ones(2), gs.ones(2, dtype=gs.float64))
    with pytest.raises(RuntimeError, match="rtol and atol"):
        gs.isclose(gs.ones(2), gs.ones(2), rtol=-1)


@pytest.mark.parametrize("reduce", ["add", "multiply"])
def test_scatter_reduces(reduce: str) -> None:
    src = RNG.standard_normal((2, 3))
    for dim in (0, 1):
        both(lambda lib, x, i, s, d=dim: lib.scatter(x, d, i, s, reduce=reduce), P, INDEX, src)
    both(lambda lib, x, i: x.scatter_(1, i, 3.0, reduce=reduce), P, INDEX)


CHANGES = {
    "squeeze_": lambda t: t.squeeze_(1),
    "unsqueeze_": lambda t: t.unsqueeze_(-1),
    "transpose_": lambda t: t.transpose_(0, 2),
    "swapaxes_": lambda t: t.swapaxes_(0, 2),
    "swapdims_": lambda t: t.swapdims_(0, 2),
    "t_": lambda t: t.squeeze_(1).t_(),
    "cumsum_": lambda t: t.cumsum_(2),
    "cumprod_": lambda t: t.cumprod_(2),
    "float_power_": lambda t: t.float_power_(2),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_in_place(name: str) -> None:
    """The value, and the gradients of what a view before and a change after make of it."""

    def run(lib: Any, x: Any) -> tuple[Any, ...]:
        x.requires_grad_()
        y = x * 2
        before = y[0]
        same = CHANGES[name](y)
        assert same is y
        if name != "cumprod_":  # its gradient needs its result
            y.mul_(3)
        after = y[..., 0]
        (y.sum() + (before**2).sum() + (after**3).sum()).backward()
        return y.detach(), before.detach(), after.detach(), x.grad

    both(run, RNG.uniform(0.5, 2, (3, 1, 4)))
    leaf = gs.ones(1, 1, dtype=gs.float64, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        CHANGES[name](leaf if name == "t_" else leaf.detach().reshape(1, 1, 1).requires_grad_())


def test_a_view_of_a_change_in_place_changes_what_it_views() -> None:
    base = gs.zeros(2, 3)
    row = base[1]
    row.unsqueeze_(0)
    row += 1
    assert base.tolist() == [[0, 0, 0], [1, 1, 1]]
    with gs.no_grad():
        gs.ones(1, 3, requires_grad=True).squeeze_(0)


def test_view_as_another_dtype() -> None:
    x = np.arange(8, dtype=np.float64).reshape(2, 4) + 0.5
    for dtype in ("float32", "int64", "uint8", "int16"):
        both(lambda lib, t, d=dtype: t.view(getattr(lib, d)), x)
    both(lambda lib, t: t.view(lib.uint8).view(lib.float64), x)
    both(lambda lib, t: t[:, ::2].view(lib.int64), x)
    y = gs.zeros(4)
    y.view(gs.int32).fill_(1 << 30)
    assert y.tolist() == [2.0] * 4
    for wrong in (lambda lib, t: t.t().view(lib.uint8), lambda lib, t: t[0, 0].view(lib.uint8)):
        for lib, tensor in ((gs, gs.tensor(x)), (torch, torch.tensor(x))):
            with pytest.raises(RuntimeError):
                wrong(lib, tensor)
    with pytest.raises(RuntimeError):
        gs.zeros(3).view(gs.float64)


def test_gradient_checks_are_importable_from_autograd() -> None:
    from gradsmith.autograd import gradcheck, gradgradcheck

    x = gs.tensor(to_numpy(gs.rand(3, dtype=gs.float64)), requires_grad=True)
    assert gradcheck(gs.sin, (x,)) and gradgradcheck(gs.sin, (x,))
    assert not hasattr(gs.autograd, "nothing_such")
