"""Axes, sizes and memory."""

from __future__ import annotations

from harness import F, case, counted, device, either, gs, np, of, refused, right, t


@case("axis", "views and reductions")
def dims_out_of_range():
    x = t(2, 3)
    for d in (-3, 2, 100, -100, 2**31, -(2**31), 2**63, -(2**63) - 1):
        for call in (
            lambda: x.sum(d),
            lambda: x.mean(d),
            lambda: gs.amax(x, d),
            lambda: gs.max(x, d),
            lambda: x.sum((0, d)),
            lambda: gs.cat([x, x], d),
            lambda: F.log_softmax(x, d),
            lambda: x.transpose(0, d),
            lambda: x.permute(0, d),
            lambda: x.flatten(d),
            lambda: x.squeeze(d),
            lambda: x.movedim(0, d),
            lambda: x.size(d),
        ):
            refused(call, IndexError)
    for d in (-4, 3, 2**31):
        refused(lambda: x.unsqueeze(d), IndexError)
    for i in (2, -3, 2**31, 2**63, -(2**63) - 1):
        refused(lambda: x[i], IndexError)


@case("truncated sizes", "convolution and pooling")
def large_numbers():
    x, w = t(1, 1, 5), t(1, 1, 2)
    for n in (2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64):
        refused(lambda: F.conv1d(x, w, dilation=n))
        refused(lambda: F.max_pool1d(x, 2, dilation=n))
        refused(lambda: F.max_pool1d(x, n))
        refused(lambda: F.avg_pool1d(x, n))
        refused(lambda: F.conv1d(x, w, padding=n))
        refused(lambda: F.conv_transpose1d(x, w, stride=n))
        refused(lambda: F.conv_transpose1d(x, w, dilation=n))
        refused(lambda: gs.zeros(n, 8, device=device))
        refused(lambda: x.reshape(n))
        refused(lambda: x.expand(1, 1, n))
        if n < 2**63:
            either(lambda: F.conv1d(x, w, stride=n), F.conv1d(x, w).cpu().numpy()[..., :1])
            either(lambda: F.max_pool1d(x, 2, stride=n), [[[x[0, 0, :2].cpu().numpy().max()]]])
    one = t(1)
    for n in (2**31, 2**32 + 5, 2**40):
        big = one.expand(n)
        assert big.shape == (n,) and big.numel() == n
        assert big[n - 3 :].shape == (3,)
        right(lambda: big[n - 3 :] * 1.0, np.repeat(one.cpu().numpy(), 3))
        assert big[2**30 :: 2**29].shape == (len(range(2**30, n, 2**29)),)
        refused(lambda: big * 1.0, MemoryError)
        refused(lambda: big.clone(), MemoryError)
    refused(lambda: gs.full((2**45,), 1.0, device=device), MemoryError)


@case("overflowing products", "broadcasting")
def products_that_overflow():
    one = t(1, 1)
    a, b = one.expand(2**40, 1), one.expand(1, 2**40)
    refused(lambda: a + b)
    refused(lambda: a @ b)
    refused(lambda: gs.cat([one.expand(2**62, 1), one.expand(2**62, 1)]))
    refused(lambda: gs.cat([one.expand(1, 2**62)] * 4))
    refused(lambda: one.expand(2**32, 2**32).contiguous())
    refused(lambda: one.expand(2**32, 2**32).reshape(2**64))
    refused(lambda: gs.zeros(2**32, 2**32, device=device))
    refused(lambda: gs.randn(2**62, 4, device=device))
    refused(lambda: F.conv2d(t(1, 1, 3, 3), t(1, 1, 1, 1), padding=2**31))
    refused(lambda: F.conv_transpose2d(t(1, 1, 3, 3), t(1, 1, 1, 1), stride=2**31))
    refused(lambda: one.expand(2**62, 8))


@case("many dimensions")
def many_dimensions():
    x = t(*((1,) * 16))
    right(lambda: (x + x).reshape(1), (x.cpu().numpy() * 2).reshape(1))
    right(lambda: x.sum(), x.cpu().numpy().sum())
    deep = gs.tensor(np.ones((1,) * 17, "f"), device=device)
    for call in (
        lambda: deep + deep,
        lambda: deep.exp(),
        lambda: deep.sum(0),
        lambda: deep.clone(),
        lambda: gs.cat([deep, deep]),
    ):
        try:
            assert call().numel() in (1, 2)
        except (RuntimeError, ValueError) as error:
            assert "dimensions" in str(error), error
        counted()


@case("overlapping memory", "a few ops")
def in_place_on_overlapping_memory():
    a = np.arange(16.0, dtype="f").reshape(4, 4)
    x = of(a)
    x.add_(x.T)
    right(lambda: x, a + a.T)
    x = of(a)
    x.mul_(x.T)
    right(lambda: x, a * a.T)
    x = of(np.arange(10))
    x[1:].copy_(x[:-1])
    right(lambda: x, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    x = of(np.arange(10))
    x[:-1].copy_(x[1:])
    right(lambda: x, [1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    x = of(a)
    x.copy_(x.T)
    right(lambda: x, a.T)
    for change in (
        lambda y: y.add_(1.0),
        lambda y: y.mul_(y),
        lambda y: y.zero_(),
        lambda y: y.copy_(of(np.arange(3))),
    ):
        y = of([5.0])
        try:
            change(y.expand(3))
        except RuntimeError as error:
            assert str(error)
            right(lambda: y, [5.0])
        else:
            assert y.item() in (6.0, 25.0, 0.0, 2.0), y.item()
