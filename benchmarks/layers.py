"""Cases: the convolutions and matrix products that networks are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod

from .case import Case, Input

__all__ = ["convolutions", "products"]

STRIDE_1 = "conv 3x3 stride 1"
SEVEN = "conv 3x3 at 7x7"
ODD = "conv 3x3, odd sizes"
POINTWISE = "conv 1x1"
FIRST = "conv first layer"
STRIDED = "conv strided, dilated, grouped"
DEPTHWISE = "conv depthwise"
OTHER = "conv 1-D, 3-D, transposed"

#: network -> (channels in, out, image, kernel, stride, padding) of its distinct layers.
NETWORKS: dict[str, list[tuple[int, int, int, int, int, int]]] = {
    "LeNet": [(1, 6, 28, 5, 1, 2), (6, 16, 14, 5, 1, 0)],
    "AlexNet": [
        (3, 64, 224, 11, 4, 2), (64, 192, 27, 5, 1, 2), (192, 384, 13, 3, 1, 1),
        (384, 256, 13, 3, 1, 1), (256, 256, 13, 3, 1, 1),
    ],
    "VGG-16": [
        (3, 64, 224, 3, 1, 1), (64, 64, 224, 3, 1, 1), (64, 128, 112, 3, 1, 1),
        (128, 128, 112, 3, 1, 1), (128, 256, 56, 3, 1, 1), (256, 256, 56, 3, 1, 1),
        (256, 512, 28, 3, 1, 1), (512, 512, 28, 3, 1, 1), (512, 512, 14, 3, 1, 1),
    ],
    "ResNet-18": [
        (3, 64, 224, 7, 2, 3), (64, 64, 56, 3, 1, 1), (64, 128, 56, 3, 2, 1),
        (64, 128, 56, 1, 2, 0), (128, 128, 28, 3, 1, 1), (128, 256, 28, 3, 2, 1),
        (128, 256, 28, 1, 2, 0), (256, 256, 14, 3, 1, 1), (256, 512, 14, 3, 2, 1),
        (256, 512, 14, 1, 2, 0), (512, 512, 7, 3, 1, 1),
    ],
    "ResNet-50": [
        (64, 64, 56, 1, 1, 0), (64, 256, 56, 1, 1, 0), (256, 64, 56, 1, 1, 0),
        (256, 128, 56, 1, 1, 0), (128, 128, 56, 3, 2, 1), (128, 512, 28, 1, 1, 0),
        (256, 512, 56, 1, 2, 0), (512, 128, 28, 1, 1, 0), (512, 256, 28, 1, 1, 0),
        (256, 256, 28, 3, 2, 1), (256, 1024, 14, 1, 1, 0), (512, 1024, 28, 1, 2, 0),
        (1024, 256, 14, 1, 1, 0), (1024, 512, 14, 1, 1, 0), (512, 512, 14, 3, 2, 1),
        (512, 2048, 7, 1, 1, 0), (1024, 2048, 14, 1, 2, 0), (2048, 512, 7, 1, 1, 0),
    ],
    "U-Net": [
        (3, 64, 128, 3, 1, 1), (64, 64, 128, 3, 1, 1), (64, 128, 64, 3, 1, 1),
        (128, 128, 64, 3, 1, 1), (128, 256, 32, 3, 1, 1), (256, 256, 32, 3, 1, 1),
        (256, 512, 16, 3, 1, 1), (512, 512, 16, 3, 1, 1), (512, 1024, 8, 3, 1, 1),
        (1024, 1024, 8, 3, 1, 1), (1024, 512, 16, 3, 1, 1), (512, 256, 32, 3, 1, 1),
        (256, 128, 64, 3, 1, 1), (128, 64, 128, 3, 1, 1), (64, 2, 128, 1, 1, 0),
    ],
    "MobileNet": [
        (3, 32, 224, 3, 2, 1), (32, 64, 112, 1, 1, 0), (64, 128, 56, 1, 1, 0),
        (128, 128, 56, 1, 1, 0), (128, 256, 28, 1, 1, 0), (256, 256, 28, 1, 1, 0),
        (256, 512, 14, 1, 1, 0), (512, 512, 14, 1, 1, 0), (512, 1024, 7, 1, 1, 0),
        (1024, 1024, 7, 1, 1, 0),
    ],
}  # fmt: skip
#: GoogLeNet's inception blocks: image, channels in; out: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5,
#: pooled.
INCEPTION = [
    (28, 192, 64, 96, 128, 16, 32, 32), (28, 256, 128, 128, 192, 32, 96, 64),
    (14, 480, 192, 96, 208, 16, 48, 64), (14, 512, 160, 112, 224, 24, 64, 64),
    (14, 512, 128, 128, 256, 24, 64, 64), (14, 512, 112, 144, 288, 32, 64, 64),
    (14, 528, 256, 160, 320, 32, 128, 128), (7, 832, 256, 160, 320, 32, 128, 128),
    (7, 832, 384, 192, 384, 48, 128, 128),
]  # fmt: skip
#: MobileNet's 3x3 depthwise layers: channels, image, stride.
SEPARABLE = [
    (32, 112, 1), (64, 112, 2), (128, 56, 1), (128, 56, 2), (256, 28, 1), (256, 28, 2),
    (512, 14, 1), (512, 14, 2), (1024, 7, 1),
]  # fmt: skip
#: (network, channels in, image, kernel, stride) of the layers that --quick runs.
QUICK = {
    ("LeNet", 6, 14, 5, 1), ("LeNet", 1, 28, 5, 1), ("ResNet-18", 3, 224, 7, 2),
    ("ResNet-18", 64, 56, 3, 1), ("ResNet-18", 128, 28, 3, 1), ("ResNet-18", 256, 14, 3, 1),
    ("ResNet-18", 512, 7, 3, 1), ("ResNet-18", 64, 56, 3, 2), ("ResNet-50", 256, 56, 1, 1),
    ("ResNet-50", 1024, 14, 1, 1),
}  # fmt: skip


def _googlenet() -> Iterable[tuple[int, int, int, int, int, int]]:
    yield 64, 64, 56, 1, 1, 0
    yield 64, 192, 56, 3, 1, 1
    for size, ins, one, three_in, three, five_in, five, pooled in INCEPTION:
        for outs in (one, three_in, five_in, pooled):
            yield ins, outs, size, 1, 1, 0
        yield three_in, three, size, 3, 1, 1
        yield five_in, five, size, 5, 1, 2


def _conv(
    family: str,
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    quick: bool = False,
    bias: bool = True,
    first: bool = False,
    **options: object,
) -> Case:
    """A convolution; `first`: nobody wants the gradient of its input."""
    transposed = bool(options.pop("transposed", False))
    inputs = [Input(x, grad=not first), Input(w, scale=prod(w[1:]) ** -0.5)]
    if bias:
        inputs.append(Input((w[1] if transposed else w[0],)))
    op = f"F.conv{'_transpose' if transposed else ''}{len(x) - 2}d"
    return Case(family, name, op, tuple(inputs), options=dict(options), quick=quick)


def _family(ins: int, size: int, kernel: int, stride: int) -> str:
    if ins <= 3:
        return FIRST
    if stride > 1:
        return STRIDED
    return {1: POINTWISE, 3: SEVEN if size == 7 else STRIDE_1}.get(kernel, "conv 5x5")


def _layer(network: str, n: int, layer: tuple[int, ...], quick: bool = False) -> Case:
    ins, outs, size, kernel, stride, padding = layer
    name = f"{network} N{n} {ins}->{outs} {size}x{size} k{kernel} s{stride} p{padding}"
    return _conv(
        _family(ins, size, kernel, stride), name, (n, ins, size, size), (outs, ins, kernel, kernel),
        quick=quick, bias=network in ("LeNet", "AlexNet", "VGG-16"), first=ins <= 3,
        stride=stride, padding=padding,
    )  # fmt: skip


def convolutions() -> list[Case]:
    """Every distinct layer of the networks, batches 1 to 128 of some, and odd sizes."""
    found, seen = [], set()
    networks = {**NETWORKS, "GoogLeNet": list(_googlenet())}
    for network, layers in networks.items():
        for layer in layers:
            if layer not in seen:
                seen.add(layer)
                n = {"U-Net": 4, "LeNet": 32}.get(network, 8)
                quick = (network, layer[0], *layer[2:5]) in QUICK
                found.append(_layer(network, n, layer, quick))
    batches: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
        ("LeNet", (1, 8, 128), (1, 6, 28, 5, 1, 2)),
        ("LeNet", (1, 8, 128), (6, 16, 14, 5, 1, 0)),
        ("ResNet-18", (1, 32), (3, 64, 224, 7, 2, 3)),
        ("ResNet-18", (1, 32, 128), (64, 64, 56, 3, 1, 1)),
        ("ResNet-18", (1, 32), (128, 256, 28, 3, 2, 1)),
        ("ResNet-18", (1, 32, 128), (256, 256, 14, 3, 1, 1)),
        ("ResNet-18", (1, 32, 128), (512, 512, 7, 3, 1, 1)),
        ("ResNet-50", (1, 32), (256, 64, 56, 1, 1, 0)),
        ("ResNet-50", (1, 32, 128), (1024, 256, 14, 1, 1, 0)),
        ("VGG-16", (1,), (64, 64, 224, 3, 1, 1)),
    ]
    found += [_layer(network, n, layer) for network, sizes, layer in batches for n in sizes]
    found += _odd() + _dilated_and_grouped() + _depthwise() + _other_dimensions()
    return _with_float64(
        found,
        ("N8 64->64 56x56 k3", "N8 256->64 56x56 k1", "N8 3->64 224x224 k7", "N32 6->16"),
        quick="N8 64->64",
    )


def _with_float64(cases: list[Case], doubled: tuple[str, ...], quick: str) -> list[Case]:
    """The cases, those whose names have one of `doubled` in them followed by the same in float64.

    Side by side, for their rates are compared: what else a machine does changes within minutes.
    """
    found = []
    for case in cases:
        found.append(case)
        if any(f" {name}" in f" {case.name}" for name in doubled):
            found.append(replace(case.in_float64(), quick=quick in case.name))
    return found


def _odd() -> list[Case]:
    """Primes, one channel, one pixel, one image."""
    return [
        _conv(ODD, "primes N3 7->13 31x37", (3, 7, 31, 37), (13, 7, 3, 3), padding=1,
              quick=True),
        _conv(ODD, "primes N5 29->31 17x19", (5, 29, 17, 19), (31, 29, 3, 3), padding=1),
        _conv(ODD, "1 pixel N1 512->512", (1, 512, 1, 1), (512, 512, 3, 3), padding=1),
        _conv(ODD, "1 pixel N8 512->512", (8, 512, 1, 1), (512, 512, 3, 3), padding=1),
        _conv(ODD, "1 channel out N8 64->1 56x56", (8, 64, 56, 56), (1, 64, 3, 3), padding=1),
        _conv(FIRST, "1 channel N1 1->1 512x512", (1, 1, 512, 512), (1, 1, 3, 3), padding=1),
        _conv(FIRST, "1 channel N32 1->32 28x28", (32, 1, 28, 28), (32, 1, 3, 3), padding=1),
        _conv(FIRST, "CIFAR N32 3->64 32x32", (32, 3, 32, 32), (64, 3, 3, 3), padding=1,
              first=True, quick=True),
        _conv(POINTWISE, "primes N3 17->19 23x29", (3, 17, 23, 29), (19, 17, 1, 1)),
        _conv(POINTWISE, "1 pixel N8 512->128", (8, 512, 1, 1), (128, 512, 1, 1)),
        _conv(STRIDED, "primes s3 N3 11->23 37x41", (3, 11, 37, 41), (23, 11, 5, 5), stride=3),
        _conv(ODD, "CIFAR N32 16->16 32x32", (32, 16, 32, 32), (16, 16, 3, 3), padding=1),
        _conv(STRIDE_1, "CIFAR N128 64->64 8x8", (128, 64, 8, 8), (64, 64, 3, 3), padding=1),
    ]  # fmt: skip


def _dilated_and_grouped() -> list[Case]:
    found = [
        _conv(STRIDED, f"DeepLab N{n} {ins}->{outs} {size}x{size} d{d}", (n, ins, size, size),
              (outs, ins, 3, 3), padding=d, dilation=d, quick=d == 2 and ins == 64)
        for n, ins, outs, size, d in (
            (4, 64, 64, 64, 2), (2, 256, 256, 33, 2), (2, 512, 512, 33, 4), (1, 2048, 256, 33, 6),
            (1, 2048, 256, 33, 12), (1, 2048, 256, 33, 18), (2, 1, 16, 64, 2),
        )
    ]  # fmt: skip
    found += [
        _conv(STRIDED, f"{network} N8 {ins}->{outs} {size}x{size} g{g}", (8, ins, size, size),
              (outs, ins // g, k, k), padding=k // 2, groups=g, quick=ins == 128)
        for network, ins, outs, size, k, g in (
            ("ResNeXt", 128, 128, 56, 3, 32), ("ResNeXt", 256, 256, 28, 3, 32),
            ("ResNeXt", 512, 512, 14, 3, 32), ("ResNeXt", 1024, 1024, 7, 3, 32),
            ("AlexNet", 96, 256, 27, 5, 2), ("ShuffleNet", 240, 240, 28, 1, 3),
        )
    ]  # fmt: skip
    return found


def _depthwise() -> list[Case]:
    found = [
        _conv(DEPTHWISE, f"MobileNet N8 {c} {size}x{size} s{s}", (8, c, size, size), (c, 1, 3, 3),
              padding=1, stride=s, groups=c, bias=False, quick=c == 128)
        for c, size, s in SEPARABLE
    ]  # fmt: skip
    for n in (1, 32):
        found.append(
            _conv(DEPTHWISE, f"MobileNet N{n} 128 56x56 s1", (n, 128, 56, 56), (128, 1, 3, 3),
                  padding=1, groups=128, bias=False)
        )  # fmt: skip
    for c, size, k in ((96, 28, 5), (96, 56, 7), (67, 23, 3)):
        found.append(
            _conv(DEPTHWISE, f"N8 {c} {size}x{size} k{k}", (8, c, size, size), (c, 1, k, k),
                  padding=k // 2, groups=c)
        )  # fmt: skip
    return found


def _other_dimensions() -> list[Case]:
    wavenet = [
        _conv(OTHER, f"WaveNet conv1d N4 64->128 4000 k2 d{d}", (4, 64, 4000), (128, 64, 2),
              dilation=d, quick=d == 16)
        for d in (1, 16, 512)
    ]  # fmt: skip
    wavenet.append(_conv(OTHER, "WaveNet conv1d N4 64->64 4000 k1", (4, 64, 4000), (64, 64, 1)))
    ups = [
        _conv(OTHER, f"U-Net conv_transpose2d N4 {c}->{c // 2} {size}x{size} k2 s2",
              (4, c, size, size), (c, c // 2, 2, 2), transposed=True, stride=2)
        for c, size in ((1024, 8), (512, 16), (256, 32), (128, 64))
    ]  # fmt: skip
    return [
        *wavenet,
        _conv(OTHER, "conv1d N16 64->64 400 k5", (16, 64, 400), (64, 64, 5), padding=2),
        _conv(OTHER, "conv1d N8 1->64 16000 k80 s4", (8, 1, 16000), (64, 1, 80), stride=4,
              first=True),
        _conv(OTHER, "conv1d depthwise N8 256 1000 k4", (8, 256, 1000), (256, 1, 4), groups=256),
        _conv(OTHER, "conv3d N2 16->32 16x32x32", (2, 16, 16, 32, 32), (32, 16, 3, 3, 3),
              padding=1, quick=True),
        _conv(OTHER, "C3D N1 3->64 16x56x56", (1, 3, 16, 56, 56), (64, 3, 3, 3, 3), padding=1,
              first=True),
        _conv(OTHER, "C3D N1 64->128 8x28x28", (1, 64, 8, 28, 28), (128, 64, 3, 3, 3), padding=1),
        _conv(OTHER, "conv3d N1 1->8 17x19x23", (1, 1, 17, 19, 23), (8, 1, 3, 3, 3), padding=1),
        _conv(OTHER, "conv_transpose2d N8 64->32 28x28 k4 s2", (8, 64, 28, 28), (64, 32, 4, 4),
              transposed=True, stride=2, padding=1, quick=True),
        *ups,
        _conv(OTHER, "DCGAN conv_transpose2d N32 100->512 1x1 k4", (32, 100, 1, 1),
              (100, 512, 4, 4), transposed=True),
    ]  # fmt: skip


LARGE = "matmul, 256 and more"
SMALL = "matmul, small, skinny, batched"


def products() -> list[Case]:
    """Square, skinny, small and batched matrix products; linear layers."""
    found = []
    for n in (256, 384, 512, 768, 1024, 1536, 2048, 509, 1021):
        pair = (Input((n, n)), Input((n, n)))
        quick = n in (256, 512, 1024)
        found.append(Case(LARGE, f"{n}x{n}x{n}", "matmul", pair, quick=quick))
    for m, k, n in ((512, 2048, 512), (4096, 512, 512), (1024, 4096, 1024)):
        found.append(Case(LARGE, f"{m}x{k}x{n}", "matmul", (Input((m, k)), Input((k, n)))))
    for m, k, n, quick in (
        (16, 16, 16, False), (32, 32, 32, False), (64, 64, 64, True), (96, 96, 96, False),
        (128, 128, 128, True), (1, 1024, 1024, True), (1, 1, 1, False), (8, 1024, 1024, False),
        (64, 4096, 1024, True), (1000, 10, 784, True), (32, 512, 10, False), (1024, 1024, 1, True),
        (4096, 64, 8, False), (128, 784, 16, False), (16, 8192, 16, False), (7, 13, 11, False),
        (61, 67, 71, False), (127, 1, 131, False), (10000, 3, 64, False),
    ):  # fmt: skip
        pair = (Input((m, k)), Input((k, n)))
        found.append(Case(SMALL, f"{m}x{k}x{n}", "matmul", pair, quick=quick))
    for count, m, k, n in ((64, 128, 64, 128), (512, 16, 16, 16), (96, 512, 64, 512),
                           (1000, 3, 3, 3), (8, 257, 131, 67)):  # fmt: skip
        pair = (Input((count, m, k)), Input((count, k, n)))
        name = f"bmm {count} of {m}x{k}x{n}"
        found.append(Case(SMALL, name, "bmm", pair, quick=count == 64))
    einsum = (Input((16, 64, 32)), Input((16, 32, 64)))
    found.append(Case(SMALL, "einsum bij,bjk->bik", "einsum", einsum))
    shared = (Input((16, 64, 128)), Input((128, 256)))
    found.append(Case(SMALL, "16 of 64x128 @ 128x256", "matmul", shared))
    for n, ins, outs in ((128, 784, 512), (32, 400, 120), (128, 512, 10), (8, 2048, 1000),
                         (1, 9216, 4096), (32, 9216, 4096), (1024, 768, 3072), (1, 120, 84),
                         (8, 25088, 512), (97, 101, 103)):  # fmt: skip
        layer = (Input((n, ins)), Input((outs, ins), scale=ins**-0.5), Input((outs,)))
        quick = (n, outs) in ((128, 512), (32, 120), (1024, 3072))
        found.append(Case("linear", f"linear N{n} {ins}->{outs}", "F.linear", layer, quick=quick))
        if n > 1:
            found.append(
                Case("linear", f"linear and relu N{n} {ins}->{outs}", "linear_relu", layer,
                     quick=n == 1024)
            )  # fmt: skip
    # The layers that end a network; LeNet, AlexNet and VGG, ResNet, GoogLeNet and MobileNet. VGG's
    # 25088->4096, 0.4 GB of weights, is there as 25088->512.
    for n, ins, outs in ((32, 84, 10), (8, 4096, 4096), (8, 4096, 1000), (8, 512, 1000),
                         (8, 1024, 1000)):  # fmt: skip
        layer = (Input((n, ins)), Input((outs, ins), scale=ins**-0.5), Input((outs,)))
        found.append(Case("linear", f"linear N{n} {ins}->{outs}", "F.linear", layer))
    return _with_float64(
        found, ("1024x1024x1024", "64x64x64", "64x4096x1024"), quick="1024x1024x1024"
    )
