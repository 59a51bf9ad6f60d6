"""Sizes that do not fit in 32 bits, in 63 bits, or in the machine."""

from __future__ import annotations

from harness import F, case, gs, np, of, refused, right, t

HUGE = (2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**64))
#: What has so many elements must be refused before anything is allocated.
BEYOND = (2**62, 2**63 - 1, 2**63, 2**64)


def _all(calls, numbers, *errors):
    for name, call in calls.items():
        for n in numbers:
            try:
                refused(lambda: call(n), *errors)
            except AssertionError as error:
                raise AssertionError(f"{name}, {n}: {error}") from error


@case("truncated sizes", "creation")
def creation():
    on = {"device": t(1).device}
    calls = {
        "zeros": lambda n: gs.zeros(n, **on),
        "ones": lambda n: gs.ones(2, n, **on),
        "empty": lambda n: gs.empty(n, **on),
        "full": lambda n: gs.full((n,), 1.0, **on),
        "rand": lambda n: gs.rand(n, **on),
        "randn": lambda n: gs.randn(n, 2, **on),
        "randint": lambda n: gs.randint(0, 5, (n,), **on),
        "randperm": lambda n: gs.randperm(n, **on),
        "arange": lambda n: gs.arange(n, **on),
        "arange of a small step": lambda n: gs.arange(0.0, 1.0, 1.0 / n if n else 1.0, **on),
        "linspace": lambda n: gs.linspace(0.0, 1.0, n, **on),
        "logspace": lambda n: gs.logspace(0.0, 1.0, n, **on),
        "eye": lambda n: gs.eye(n, **on),
        "eye of columns": lambda n: gs.eye(2**20, n, **on),
        "new_zeros": lambda n: t(1).new_zeros(n),
    }
    _all(calls, BEYOND)
    for name in ("zeros", "empty", "linspace", "eye", "randperm", "new_zeros"):
        for n in (-1, -(2**31), -(2**63)):
            refused(lambda: calls[name](n))
    for start, end, step in ((0, 1, 0), (0, 1, -1), (0, 2**63, 1), (0, float("inf"), 1)):
        refused(lambda: gs.arange(start, end, step, **on))
    refused(lambda: gs.arange(0.0, float("nan"), **on))


@case("truncated sizes", "repeating and padding")
def repeating():
    x = t(1, 2, 3, 3)
    _all(
        {
            "repeat": lambda n: x.repeat(n, 1, 1, 1),
            "repeat of two": lambda n: x.repeat(1, 1, 2**40, n),
            "tile": lambda n: gs.tile(x, (n,)),
            "pad": lambda n: F.pad(x, (0, n)),
            "pad on both sides": lambda n: F.pad(x, (n, n)),
            "pad reflecting": lambda n: F.pad(x, (0, n), mode="reflect"),
            "pad repeating": lambda n: F.pad(x, (0, n, n, 0), mode="replicate"),
            "pad around": lambda n: F.pad(x, (0, n, n, 0), mode="circular"),
            "unfold's padding": lambda n: F.unfold(x, 2, padding=n),
            "fold": lambda n: F.fold(t(1, 8, 4), (n, n), 2),
            "interpolate": lambda n: F.interpolate(x, size=(n, n)),
            "interpolate bilinear": lambda n: F.interpolate(x, size=(n, 2), mode="bilinear"),
            "interpolate by a factor": lambda n: F.interpolate(x, scale_factor=float(n)),
            "adaptive_avg_pool": lambda n: F.adaptive_avg_pool2d(x, (n, n)),
            "adaptive_max_pool": lambda n: F.adaptive_max_pool2d(x, (n, n)),
            "one_hot": lambda n: F.one_hot(of([0, 1], np.int64), n),
            "expand and copy": lambda n: x.expand(n, 2, 3, 3).clone(),
            "broadcast_to and add": lambda n: gs.broadcast_to(x, (n, 2, 3, 3)) + 1.0,
            "pixel_shuffle": lambda n: F.pixel_shuffle(x, n),
        },
        BEYOND,
    )


@case("truncated sizes", "windows")
def windows():
    x, w = t(1, 1, 5, 5), t(1, 1, 2, 2)
    _all(
        {
            "conv dilation": lambda n: F.conv2d(x, w, dilation=n),
            "conv padding": lambda n: F.conv2d(x, w, padding=n),
            "conv groups": lambda n: F.conv2d(x, w, groups=n),
            "transposed stride": lambda n: F.conv_transpose2d(x, w, stride=n),
            "transposed padding": lambda n: F.conv_transpose2d(x, w, padding=n),
            "transposed output_padding": lambda n: F.conv_transpose2d(x, w, output_padding=n),
            "transposed dilation": lambda n: F.conv_transpose2d(x, w, dilation=n),
            "max_pool kernel": lambda n: F.max_pool2d(x, n),
            "max_pool padding": lambda n: F.max_pool2d(x, 2, padding=n),
            "avg_pool kernel": lambda n: F.avg_pool2d(x, n),
            "avg_pool padding": lambda n: F.avg_pool2d(x, 2, padding=n),
            "lp_pool kernel": lambda n: F.lp_pool2d(x, 2.0, n),
            "unfold kernel": lambda n: F.unfold(x, n),
            "unfold dilation": lambda n: F.unfold(x, 2, dilation=n),
            "fold kernel": lambda n: F.fold(t(1, 4, 4), 3, n),
            "fold padding": lambda n: F.fold(t(1, 4, 4), 3, 2, padding=n),
            "max_unpool kernel": lambda n: F.max_unpool2d(
                x, of(np.zeros((1, 1, 5, 5)), np.int64), n
            ),
            "Tensor.unfold size": lambda n: x.unfold(3, n, 1),
            "Tensor.unfold step": lambda n: x.unfold(3, 1, -abs(n)),
        },
        HUGE,
    )


@case("truncated sizes", "numbers that are no sizes")
def numbers():
    x = of([1, 2, 3], np.int64)
    for n in (2**64, -(2**63) - 1, 2**1000):
        for call in (lambda: x + n, lambda: x < n, lambda: x.fill_(n), lambda: gs.full((2,), n)):
            refused(call, RuntimeError, ValueError, TypeError, OverflowError)
    x32 = of([1, 2, 3], np.int32)
    for n in (2**31, -(2**31) - 1, 2**63):
        refused(lambda: x32.fill_(n), RuntimeError, ValueError, TypeError, OverflowError)
    for shift in (1, 2**31, 2**62, 2**63 - 1, -(2**63)):
        right(lambda: gs.roll(x, shift, 0), np.roll([1, 2, 3], shift % 3))
    for diagonal in (2**31, 2**62, 2**63 - 1, -(2**31), -(2**63)):
        a = t(3, 3)
        none = np.zeros((3, 3))
        right(lambda: gs.triu(a, diagonal), none if diagonal > 0 else a.cpu().numpy())
        right(lambda: gs.tril(a, diagonal), a.cpu().numpy() if diagonal > 0 else none)
        right(lambda: gs.diagonal(a, diagonal), np.zeros(0))


@case("overflowing products", "every op that makes a larger result")
def products():
    one = t(1, 1)
    tall, wide = one.expand(2**40, 1), one.expand(1, 2**40)
    long = one.expand(1, 2**59)
    for call in (
        lambda: tall * wide,
        lambda: gs.where(tall > 0, tall, wide),
        lambda: gs.maximum(tall, wide),
        lambda: gs.outer(tall[:, 0], wide[0]),
        lambda: gs.kron(tall, wide),
        lambda: gs.einsum("ij,jk->ik", tall, wide),
        lambda: gs.cdist(tall, wide.T),
        lambda: gs.tensordot(tall, wide, 0),
        lambda: gs.stack([long] * 32),
        lambda: gs.cat([long] * 32, 0),
        lambda: long.repeat(32, 1),
        lambda: gs.tile(long, (32, 1)),
        lambda: F.pad(long, (2**62, 2**62)),
        lambda: gs.meshgrid(tall[:, 0], wide[0], indexing="ij")[0].clone(),
        lambda: long.expand(16, 2**60),
        lambda: F.one_hot(of([0], np.int64).expand(2**40), 2**40),
        lambda: F.unfold(one.expand(1, 1, 2**31, 2**31), 2**15),
        lambda: F.linear(tall, wide.T),
        lambda: gs.eye(2**32, 2**32),
        lambda: gs.bmm(one.expand(2**30, 2**30, 1), one.expand(2**30, 1, 2**30)),
        lambda: F.conv1d(one.expand(2**40, 1, 8), t(2**6, 1, 1)),
        lambda: F.interpolate(one.expand(2**20, 1, 4), size=2**50),
    ):
        refused(call)
