"""Convolution: sizes, strides, groups."""

from __future__ import annotations

from harness import F, case, either, np, of, refused, right, t


@case("empty filter or input", "convolution")
def empty_convolution():
    for n in (1, 2, 3):
        conv = getattr(F, f"conv{n}d")
        full = (2, 4, *((5,) * n))
        kernel = (6, 4, *((3,) * n))
        for i in range(n + 2):
            x = [*full]
            x[i] = 0
            w = [*kernel]
            if i == 1:
                w[1] = 0
            call = lambda: conv(t(*x), t(*w), padding=1)
            if i == 0:
                right(call, np.zeros((0, 6, *((5,) * n))))
            elif i == 1:
                right(call, np.zeros((2, 6, *((5,) * n))))
            else:
                refused(call)
            w = [*kernel]
            w[i] = 0
            call = lambda: conv(t(*full), t(*w), padding=1)
            if i == 0:
                right(call, np.zeros((2, 0, *((5,) * n))))
            else:
                refused(call)


@case("empty weight gradient", "convolution")
def empty_convolution_backward():
    for n in (1, 2, 3):
        conv = getattr(F, f"conv{n}d")
        x = t(0, 4, *((5,) * n)).requires_grad_()
        w = t(6, 4, *((3,) * n)).requires_grad_()
        b = t(6).requires_grad_()
        conv(x, w, b).sum().backward()
        right(lambda: x.grad, np.zeros((0, 4, *((5,) * n))))
        right(lambda: w.grad, np.zeros((6, 4, *((3,) * n))))
        right(lambda: b.grad, np.zeros(6))
        back = getattr(F, f"conv_transpose{n}d")
        w = t(4, 6, *((3,) * n)).requires_grad_()
        back(x, w, b).sum().backward()
        right(lambda: w.grad, np.zeros((4, 6, *((3,) * n))))


@case("stride", "convolution and pooling")
def stride():
    x, w = t(1, 1, 5, 5), t(1, 1, 2, 2)
    for stride in (0, -1, (1, 0), (1, 2, 3), (), 1.0, "1", None, [1, None], True, 2**63, -(2**63)):
        refused(lambda: F.conv2d(x, w, stride=stride), ValueError, TypeError)
        refused(lambda: F.conv_transpose2d(x, w, stride=stride), ValueError, TypeError)
        if stride not in (None, ()):  # the kernel's size
            refused(lambda: F.max_pool2d(x, 2, stride=stride), ValueError, TypeError)
            refused(lambda: F.avg_pool2d(x, 2, stride=stride), ValueError, TypeError)
    either(lambda: F.conv1d(of(np.ones((1, 1, 5))), of(np.ones((1, 1, 2))), stride=2**62), 2.0)


@case("groups", "convolution")
def groups():
    x, w = t(2, 4, 5, 5), t(6, 2, 3, 3)
    for groups in (0, -1, 3, 5, 4, 2**31, 2**63, 2.0, None, True):
        refused(lambda: F.conv2d(x, w, groups=groups))
    right(lambda: F.conv2d(x, w, groups=2).sum() * 0.0, 0.0)
    # depthwise without channels
    refused(lambda: F.conv2d(t(2, 0, 5, 5), t(0, 1, 3, 3), groups=0))
    refused(lambda: F.conv2d(t(2, 4, 5, 5), t(0, 1, 3, 3), groups=0))
    right(lambda: F.conv2d(t(2, 0, 5, 5), t(0, 0, 3, 3), groups=1), np.zeros((2, 0, 3, 3)))


@case("empty bias or scale", "convolution and linear")
def bias():
    x, w = t(2, 4, 5, 5), t(6, 4, 3, 3)
    for bias in (t(0), t(5), t(7), t(6, 1), t(1), of(1.0), 3.0, "b"):
        refused(lambda: F.conv2d(x, w, bias))
    for bias in (t(0), t(3), t(5), t(4, 1), of(1.0)):
        refused(lambda: F.linear(t(2, 3), t(4, 3), bias))


@case("negative dilation", "convolution and pooling")
def dilation():
    x, w = t(1, 1, 5, 5), t(1, 1, 2, 2)
    for dilation in (0, -1, (1, -1), -(2**31), 1.0, (1,) * 3):
        refused(lambda: F.conv2d(x, w, dilation=dilation), ValueError, TypeError)
        refused(lambda: F.conv_transpose2d(x, w, dilation=dilation), ValueError, TypeError)
        refused(lambda: F.max_pool2d(x, 2, dilation=dilation), ValueError, TypeError)
