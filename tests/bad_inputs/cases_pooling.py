"""Pooling: windows, indices, NaN."""

from __future__ import annotations

from gradsmith.autograd.dispatch import apply
from gradsmith.autograd.op import OPS
from harness import F, case, counted, device, gs, np, of, refused, right, t


@case("pooling backward on empty", "max and average")
def pooling_of_nothing_backward():
    for n in (1, 2, 3):
        for name in ("max_pool", "avg_pool"):
            pool = getattr(F, f"{name}{n}d")
            for shape in ((0, 3), (2, 0), (0, 0)):
                x = t(*shape, *((4,) * n)).requires_grad_()
                y = pool(x, 2)
                y.sum().backward()
                right(lambda: x.grad, np.zeros((*shape, *((4,) * n))))
            refused(lambda: pool(t(2, 3, *((0,) * n)), 1), RuntimeError)
            refused(lambda: pool(t(2, 3, *((0,) * n)), 2, padding=1), RuntimeError)


def _along_a_dim(index, place):
    """gather and scatter_sum refuse this index among good ones."""
    bad = np.zeros((2, 3), np.int64)
    bad[place] = index
    refused(
        lambda: apply(OPS["gather_dim"], (t(2, 4, 3), of(bad, np.int64)), (1, (2, 3))),
        IndexError,
    )
    refused(
        lambda: apply(OPS["scatter_sum"], (t(2, 3), of(bad, np.int64)), ((2, 4, 3), 1)),
        IndexError,
    )


@case("pooling indices", "gather and scatter")
def indices_out_of_range():
    for index in (-1, 16, 17, 2**31 - 1, -(2**31)):
        bad = np.zeros((1, 1, 2, 2), np.int32)
        bad[0, 0, 1, 1] = index
        refused(
            lambda: apply(OPS["max_pool_gather"], (t(1, 1, 4, 4), of(bad, np.int32)), ()),
            IndexError,
        )
        _along_a_dim(index, (1, 2))
    for index in (2**31, 2**32, 2**63 - 1, -(2**63), 4):
        _along_a_dim(index, (0, 1))


@case("pooling indices", "backward")
def indices_of_max_pool_bwd():
    for index in (-1, 16, 2**31 - 1, -(2**31)):
        bad = np.full((1, 1, 2, 2), index, np.int32)
        call = lambda: apply(
            OPS["max_pool_bwd"],
            (t(1, 1, 2, 2), of(bad, np.int32)),
            ((1, 1, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
        )
        try:
            assert call().cpu().numpy().tolist() == np.zeros((1, 1, 4, 4)).tolist()
        except IndexError as error:
            assert str(error)
        counted()


@case("pooling windows", "max and average")
def pooling_windows():
    x = t(1, 1, 6, 6)
    for pool in (F.max_pool2d, F.avg_pool2d):
        for kernel in (
            0,
            -1,
            (2, 0),
            (2, -1),
            [],
            (),
            (2, 2, 2),
            7,
            (2, 7),
            2**31,
            2**63 - 1,
            2**64,
            1.5,
            None,
            "2",
            True,
        ):
            refused(lambda: pool(x, kernel))
        for padding in (-1, 2, (0, 2), 2**31, 2**62, 0.5, (0,) * 3):
            refused(lambda: pool(x, 2, padding=padding))
    refused(lambda: F.avg_pool2d(x, 2, divisor_override=0))
    refused(lambda: F.avg_pool2d(x, 2, divisor_override=-3))
    refused(lambda: F.max_pool2d(x, 2, dilation=0))
    refused(lambda: F.max_pool2d(x, 2, dilation=-1))
    refused(lambda: F.max_pool2d(x, 2, dilation=2**62))


@case("NaN in a lane", "max pooling")
def nan_in_max_pooling():
    widths = range(2, 41) if device == "cpu" else (2, 5, 8, 19)
    for width in widths:
        for value in (np.nan, np.inf, -np.inf):
            x = np.random.default_rng(width).standard_normal((width, 1, width)).astype("f")
            for i in range(width):
                x[i, 0, i] = value
            for kernel, stride, padding in ((2, 1, 0), (2, 2, 1), (3, 1, 1)):
                if kernel > width + 2 * padding:
                    continue
                count = (width + 2 * padding - kernel) // stride + 1
                windows = [
                    x[..., max(p * stride - padding, 0) : p * stride - padding + kernel]
                    for p in range(count)
                ]
                expected = np.stack([v.max(-1) for v in windows], -1)
                right(lambda: F.max_pool1d(of(x), kernel, stride, padding), expected)
    for shape in ((1,), (7,), (40,), (3, 33)):
        for i in range(int(np.prod(shape))):
            x = np.zeros(shape, "f")
            x.reshape(-1)[i] = np.nan
            right(lambda: gs.amax(of(x)), np.nan)
            right(lambda: gs.max(of(x), -1)[0], x.max(-1))
            if device == "cuda" and i > 5:
                break
