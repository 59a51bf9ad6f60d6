"""Every optimizer: bad options, bad gradients, missing ones; labels of every loss that has them."""

from __future__ import annotations

from harness import F, case, counted, device, gs, np, of, refused, right, still_works, t

NAMES = "SGD ASGD Adagrad Adadelta RMSprop Rprop Adam AdamW Adamax NAdam RAdam Lion".split()


def _parameter(grad=None):
    p = gs.Parameter(of([1.0, 2.0]))
    if grad is not None:
        p.grad = of(grad)
    return p


@case("optimizers", "every one")
def every_optimizer():
    for name in NAMES:
        make = getattr(gs.optim, name)
        p = _parameter()
        for wrong in ([], (), iter([])):
            refused(lambda: make(wrong), ValueError)
        for wrong in ([1.0], p, ["p"], [None], None, 3, [[p]], "pp"):
            refused(lambda: make(wrong), TypeError, ValueError)
        refused(lambda: make([p, p]), ValueError)
        refused(lambda: make([p * 2.0]), ValueError)
        for lr in (-1.0, float("nan"), "0.1", None, of([0.1, 0.2])):
            refused(lambda: make([p], lr=lr), ValueError, TypeError)
        refused(lambda: make([{"params": [p]}, {"params": [p]}]), ValueError)
        refused(lambda: make([{"lr": 0.1}]), ValueError, KeyError, TypeError)
        for option in (
            {"betas": (1.0, 0.9)},
            {"betas": (0.9, 1.0)},
            {"betas": (-0.1, 0.9)},
            {"betas": (0.9, float("nan"))},
            {"betas": 0.9},
            {"eps": -1.0},
            {"eps": float("nan")},
            {"weight_decay": -1.0},
            {"momentum": -1.0},
            {"rho": 1.5},
            {"alpha": -1.0},
            {"lr_decay": -1.0},
            {"etas": (1.5, 1.2)},
            {"no_such_option": 1},
        ):
            try:
                make([p], **option)
            except TypeError as error:
                assert "argument" in str(error) or "betas" in str(error), error
            except ValueError as error:
                assert len(str(error)) > 10
            else:
                given = name in ("ASGD", "Rprop", "Lion", "Adadelta") or "alpha" in option
                assert given, f"{name}: {option} not refused"
            counted()
        right(lambda: p, [1.0, 2.0])


@case("optimizers", "gradients")
def gradients():
    for name in NAMES:
        make = getattr(gs.optim, name)
        p = _parameter()
        make([p]).step()  # none: left alone
        right(lambda: p, [1.0, 2.0])
        for bad in (np.nan, np.inf, -np.inf):
            p, q = _parameter([bad, 1.0]), _parameter([1.0, 1.0])
            optimizer = make([p, q])
            for _ in range(2):
                optimizer.step()
            assert np.isfinite(q.detach().cpu().numpy()).all(), name
            assert np.isfinite(p.detach().cpu().numpy()[1]), name
            counted()
        p = gs.Parameter(t(0, 3))
        p.grad = t(0, 3)
        make([p]).step()
        assert tuple(p.shape) == (0, 3)
        p = _parameter()
        for wrong in (t(3), t(2, 1), of([1, 2], np.int64), of([1.0, 2.0], np.float64), "g", 3.0):

            def assign():
                p.grad = wrong
                make([p]).step()

            refused(assign)
            p.grad = None
            right(lambda: p, [1.0, 2.0])


@case("optimizers", "clipping")
def clipping():
    clip = gs.nn.utils
    for bad in (np.nan, np.inf):
        p = _parameter([bad, 1.0])
        refused(lambda: clip.clip_grad_norm_([p], 1.0, error_if_nonfinite=True), RuntimeError)
        assert np.isnan(p.grad.cpu().numpy()[0]) or np.isinf(p.grad.cpu().numpy()[0])
    clip.clip_grad_norm_([], 1.0)
    clip.clip_grad_value_([_parameter()], 1.0)
    p = _parameter([3.0, 4.0])
    clip.clip_grad_norm_([p], 1.0)
    right(lambda: p.grad, [0.6, 0.8])
    still_works()


@case("labels", "every loss that has them")
def labels():
    x = t(3, 4)
    for bad in (-1, 4, 5, 2**31, 2**32, 2**63 - 1, -(2**63)):
        target = of([0, bad, 1], np.int64)
        refused(lambda: F.multi_margin_loss(x, target), IndexError, RuntimeError)
        refused(lambda: F.cross_entropy(x, target), IndexError, RuntimeError)
        refused(lambda: F.cross_entropy(x, target, label_smoothing=0.1), IndexError, RuntimeError)
        wide = t(2, 4, 3)
        planes = of([[0, 1, 2], [1, bad, 0]], np.int64)
        refused(lambda: F.cross_entropy(wide, planes), IndexError, RuntimeError)
        refused(lambda: F.nll_loss(wide, planes), IndexError, RuntimeError)
        leaf = t(3, 4).requires_grad_()
        refused(lambda: F.cross_entropy(leaf, target).backward(), IndexError, RuntimeError)
        if bad not in (-1, -(2**63)):  # below 0: the end of the row's labels
            rows = of([[0, bad, -1, -1]] * 3, np.int64)
            refused(lambda: F.multilabel_margin_loss(x, rows), IndexError, RuntimeError)
    for wrong in (t(3), t(3, 5), t(4), of([0, 1], np.int64), of([[0, 1, 2]], np.int64)):
        refused(lambda: F.cross_entropy(x, wrong), RuntimeError, ValueError, IndexError)
        refused(lambda: F.nll_loss(x, wrong), RuntimeError, ValueError, IndexError)
    for smoothing in (-0.1, 1.1, float("nan"), "1"):
        target = of([0, 1, 2], np.int64)
        refused(lambda: F.cross_entropy(x, target, label_smoothing=smoothing))
    for reduction in ("Mean", "", None, 3, "batchmean"):
        refused(lambda: F.cross_entropy(x, of([0, 1, 2], np.int64), reduction=reduction))
        refused(lambda: F.mse_loss(x, x, reduction=reduction))
    every = of([-100, -100, -100], np.int64)
    right(lambda: F.cross_entropy(x, every), np.nan)
    right(lambda: F.cross_entropy(x, every, reduction="sum"), 0.0)
    right(lambda: F.nll_loss(x, every, reduction="none"), np.zeros(3))
    counted(int(device == "cpu") or 1)
