"""Labels, optimizers, dtypes, arguments."""

from __future__ import annotations

from gradsmith.autograd.dispatch import apply
from gradsmith.autograd.op import OPS
from harness import F, case, device, gs, np, of, refused, right, still_works, t


@case("labels", "cross_entropy and nll_loss")
def labels():
    x = t(4, 5)
    for loss in (F.cross_entropy, F.nll_loss):
        for label in (-1, 5, 6, 2**31, 2**32, 2**63 - 1, -(2**63), -101):
            target = of([0, 1, label, 2], np.int64)
            refused(lambda: loss(x, target), IndexError)
            refused(lambda: loss(x, target, ignore_index=3), IndexError)
            refused(lambda: loss(x, target, reduction="none"), IndexError)
            refused(lambda: loss(x, target, weight=t(5)), IndexError)
            still_works()
        refused(lambda: loss(x, of([0.0, 1.0, 2.0, 3.0])), RuntimeError)
        refused(lambda: loss(x, of([0, 1, 2], np.int64)), RuntimeError)
        for label in (-100, -1, 5, 2**40):
            target = of([0, label, 1, label], np.int64)
            y = loss(x, target, ignore_index=label, reduction="none")
            assert y.cpu().numpy()[[1, 3]].tolist() == [0.0, 0.0]
            both = loss(x, target, ignore_index=label)
            part = loss(gs.cat([x[0:1], x[2:3]]), of([0, 1], np.int64))
            right(lambda: both, part.cpu().numpy())


@case("optimizers", "SGD and Adam")
def optimizers():
    def parameter(grad=None):
        p = gs.Parameter(of([1.0, 2.0]))
        if grad is not None:
            p.grad = of(grad)
        return p

    for make in (lambda ps, **o: gs.optim.SGD(ps, **{"lr": 0.1, **o}), gs.optim.Adam):
        refused(lambda: make([]), ValueError)
        refused(lambda: make([parameter()], lr=-1.0), ValueError)
        refused(lambda: make([parameter()], lr=float("nan")), ValueError)
        refused(lambda: make([1.0]), TypeError)
        refused(lambda: make(parameter()), TypeError)
        p = parameter()
        make([p]).step()  # no gradient: left alone
        right(lambda: p, [1.0, 2.0])
        p, q = parameter([np.nan, np.inf]), parameter([1.0, 1.0])
        make([p, q]).step()
        assert np.isfinite(q.detach().cpu().numpy()).all()
    for betas in ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)):
        refused(lambda: gs.optim.Adam([parameter()], betas=betas), ValueError)
    refused(lambda: gs.optim.Adam([parameter()], eps=-1.0), ValueError)
    refused(lambda: gs.optim.SGD([parameter()], lr=0.1, momentum=-1.0), ValueError)
    refused(lambda: gs.optim.SGD([parameter()], lr=0.1, weight_decay=-1.0), ValueError)


@case("dtypes")
def dtypes():
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.bool_):
        y = gs.tensor(np.ones((2, 3), dtype), device=device)
        right(lambda: y.exp(), np.exp(np.ones((2, 3), "f")))
        refused(
            lambda: F.conv1d(y.reshape(1, 2, 3), y.reshape(1, 2, 3)),
            NotImplementedError,
            RuntimeError,
            TypeError,
        )
        if dtype is np.bool_:
            refused(lambda: F.max_pool1d(y.reshape(1, 2, 3), 2), NotImplementedError)
        refused(
            lambda: F.avg_pool1d(y.reshape(1, 2, 3), 2),
            NotImplementedError,
            RuntimeError,
            TypeError,
        )
        refused(lambda: y.requires_grad_(), RuntimeError)
    refused(lambda: gs.tensor(np.ones(3, np.complex64), device=device), TypeError)
    refused(lambda: gs.tensor(np.array(["a"]), device=device), TypeError)
    refused(lambda: gs.from_numpy(np.ones(3, ">f4")), TypeError)
    refused(lambda: gs.from_numpy(np.ones(3, [("a", "f4")])), TypeError)
    right(lambda: of([1.0, 2.0]) + of([1.0, 2.0], np.float64), [2.0, 4.0])


@case("arguments")
def odd_arguments():
    x = t(2, 3)
    for value in (None, "a", object(), [1, 2], {}, (), float, gs):
        refused(lambda: x + value, TypeError)
        refused(lambda: value * x, TypeError)
        refused(lambda: x @ value, TypeError)
        refused(lambda: F.conv1d(x, value), TypeError)
        refused(lambda: F.relu(value), TypeError, AttributeError)
    refused(lambda: gs.cat([x, None]), TypeError)
    refused(lambda: gs.cat(3), TypeError)
    refused(lambda: gs.cat([]), TypeError)
    right(lambda: x + np.float32(1.0), x.cpu().numpy() + 1)
    right(lambda: np.float32(2.0) * x, x.cpu().numpy() * 2)
    refused(lambda: x.reshape(2, "3"), TypeError)
    refused(lambda: x.reshape(2, 1.5), TypeError)
    refused(lambda: x.expand("a"), TypeError, RuntimeError)
    refused(lambda: x.expand(2.0, 3), TypeError, RuntimeError)
    refused(lambda: x.permute("a", 0), TypeError)
    refused(lambda: x.backward("g"), TypeError, RuntimeError)


@case("arguments", "a result's shape that is not the reduced one")
def shapes_of_results():
    known = {"p": 3.0, "correction": 1.0, "root": False}
    for name in ("sum", "mean", "amax", "amin", "prod", "sum_squares", "norm_p", "var"):
        extra = [known[key] for key in OPS[name].options if key in known]
        for x, dims, shape in (
            (t(40, 3), (1,), (1,)),
            (t(40, 3), (1,), (41,)),
            (t(40, 3), (0,), (40,)),
            (t(40, 3), (5,), (40,)),
            (t(40, 3), (-1,), (40,)),
            (t(100000, 3), (1,), (1,)),
            (t(0, 3), (1,), (3,)),
            (t(2, 0, 3), (0, 2), (4,)),
        ):
            refused(lambda: apply(OPS[name], (x,), (dims, *extra, shape)))
    for name in ("max_dim", "min_dim"):
        for dim, shape in ((1, (1,)), (1, (41,)), (0, (40,)), (5, (40,)), (-1, (40,))):
            refused(lambda: apply(OPS[name], (t(40, 3),), (dim, shape)))
    refused(lambda: apply(OPS["sum_exp"], (t(40, 3), t(1)), ((1,), (1,))))
    for shape in ((2, 2), (1,), (7, 1), (40, 2)):
        refused(lambda: apply(OPS["amax_weight"], (t(40, 3), t(*shape)), ()))
