"""Cases: everything that is no convolution and no matrix product, op by op."""

from __future__ import annotations

from functools import partial
from typing import Any

from .case import Case, Input

__all__ = ["operations"]

IMAGES = Input((8, 64, 56, 56))
LARGE = Input((64, 64, 56, 56))
SMALL = Input((32, 64, 14, 14))
ROWS = Input((4096, 768))
SQUARE = Input((1000, 1000))
FORWARD = ("forward",)


def _positive(x: Input) -> Input:
    return Input(x.shape, positive=True)


def _case(
    family: str, name: str, op: str, *inputs: Input, args: tuple[Any, ...] = (), **rest: Any
) -> Case:
    names = ("quick", "passes", "random", "dtype", "calls", "apart")
    known = {k: rest.pop(k) for k in names if k in rest}
    return Case(family, name, op, inputs, args, rest, **known)


def _elementwise() -> list[Case]:
    family, found = "elementwise", []
    for name in ("abs", "exp", "sin", "cos", "tanh", "sigmoid", "erf", "floor", "expm1"):
        found.append(_case(family, name, name, IMAGES, quick=name in ("exp", "tanh")))
    for name in ("log", "sqrt", "rsqrt", "log1p", "log2"):
        found.append(_case(family, name, name, _positive(IMAGES)))
    for name in ("add", "mul", "div", "maximum"):
        found.append(_case(family, name, name, IMAGES, _positive(IMAGES), quick=name == "add"))
    found.append(_case(family, "add a bias", "add", IMAGES, Input((1, 64, 1, 1)), quick=True))
    for name in ("remainder", "floor_divide", "fmod"):
        passes = FORWARD if name == "floor_divide" else ("forward", "training")
        found.append(_case(family, name, name, SQUARE, _positive(SQUARE), passes=passes))
    found.append(_case(family, "pow of tensors", "pow", _positive(SQUARE), SQUARE))
    found.append(_case(family, "pow of tensors", "pow", _positive(SQUARE), SQUARE, dtype="float64"))
    found += [_case(family, f"pow {n}", "pow", IMAGES, args=(n,)) for n in (2, 3)]
    found.append(_case(family, "masked_fill", "masked_fill", IMAGES))
    found.append(_case(family, "-x.T 1000", "neg_t", Input((1000, 1000))))
    found.append(_case(family, "clamp", "clamp", IMAGES, args=(-1.0, 1.0)))
    found.append(_case(family, "lerp", "lerp", IMAGES, IMAGES, args=(0.3,)))
    found.append(_case(family, "lt", "lt", IMAGES, IMAGES, passes=FORWARD))
    found.append(_case(family, "where", "where", IMAGES, IMAGES))
    for name in ("exp", "tanh"):
        found.append(_case(family, name, name, IMAGES, dtype="float64"))
    for size in (1, 17, 1000, 100_003):
        quick = size == 1000
        found.append(_case(family, f"mul of {size}", "mul", Input((size,)), Input((size,)),
                           quick=quick))  # fmt: skip
        found.append(_case(family, f"exp of {size}", "exp", Input((size,))))
    found.append(_case(family, "mul of every second", "mul_strided", SQUARE, SQUARE))
    return found


def _activation() -> list[Case]:
    family, found = "activation", []
    names = "relu leaky_relu elu selu gelu silu mish softplus hardswish logsigmoid relu6 hardtanh"
    for name in names.split():
        quick = name in ("relu", "gelu")
        found.append(_case(family, name, f"F.{name}", IMAGES, quick=quick))
    found.append(_case(family, "gelu tanh", "F.gelu", IMAGES, approximate="tanh"))
    middle = Input((32, 64, 28, 28))
    for name in ("silu", "mish", "hardsigmoid", "gelu"):
        found.append(_case(family, f"{name} 28x28", f"F.{name}", middle))
    for name in ("relu", "gelu"):
        found.append(_case(family, name, f"F.{name}", IMAGES, dtype="float64"))
        found.append(_case(family, f"{name} of 10007", f"F.{name}", Input((10007,))))
    found.append(_case(family, "glu", "F.glu", IMAGES, dim=1))
    found.append(_case(family, "dropout", "F.dropout", IMAGES, p=0.5, random=True, quick=True))
    return found


def _large() -> list[Case]:
    """Ops on 51 MB, which no cache holds."""
    # The C library takes arrays of more than 32 MB from the system and gives them back, unless
    # smaller ones of other cases have left it as much.
    case = partial(_case, apart="51 MB")
    family, bias = "elementwise and activation, 51 MB", Input((1, 64, 1, 1))
    found = [
        case(family, name, name, LARGE, quick=name == "exp")
        for name in ("exp", "tanh", "sigmoid", "abs")
    ]
    found += [
        case(family, "add", "add", LARGE, LARGE),
        case(family, "add a bias", "add", LARGE, bias),
        case(family, "clamp", "clamp", LARGE, args=(-1.0, 1.0)),
        case(family, "-x.T 3572", "neg_t", Input((3572, 3572))),
    ]
    return found + [
        case(family, name, f"F.{name}", LARGE, quick=name == "relu")
        for name in ("relu", "gelu", "silu", "leaky_relu")
    ]


def _softmax_and_norms() -> list[Case]:
    family, found = "softmax, norms", []
    shapes = (
        ((4096, 1000), 1), ((32, 21, 64, 64), 1), ((8, 8, 512, 512), -1), ((32, 10), 1),
        ((128, 1000), 1), ((8192, 64), 1), ((257, 1031), 1), ((16, 50257), 1),
    )  # fmt: skip
    for shape, dim in shapes:
        for name in ("softmax", "log_softmax"):
            label = f"{name} {'x'.join(map(str, shape))} dim {dim}"
            quick = name == "softmax" and shape == (4096, 1000)
            found.append(_case(family, label, f"F.{name}", Input(shape), dim=dim, quick=quick))
    for n, c, size in ((8, 64, 56), (32, 64, 56), (8, 512, 7), (1, 64, 112), (128, 16, 8)):
        channel = Input((c,))
        x = Input((n, c, size, size))
        found.append(_case(family, f"batch_norm N{n} {c} {size}x{size}", "batch_norm", x, channel,
                           channel, quick=(n, c) == (8, 64)))  # fmt: skip
        found.append(_case(family, f"batch_norm eval N{n} {c} {size}x{size}", "batch_norm_eval",
                           x, channel, channel))  # fmt: skip
    for n, size, quick in ((4096, 768, True), (128, 1024, False), (512, 4096, False),
                           (1000, 67, False)):  # fmt: skip
        w = Input((size,))
        x = Input((n, size))
        found.append(_case(family, f"layer_norm {n}x{size}", "layer_norm", x, w, w, quick=quick))
        found.append(_case(family, f"rms_norm {n}x{size}", "F.rms_norm", x,
                           normalized_shape=(size,)))  # fmt: skip
    channel = Input((64,))
    found += [
        _case(family, "group_norm N8 64 56x56", "group_norm", IMAGES, channel, channel,
              quick=True),
        _case(family, "instance_norm N8 64 56x56", "F.instance_norm", IMAGES),
        _case(family, "normalize", "F.normalize", ROWS, dim=1),
        _case(family, "local_response_norm", "F.local_response_norm", SMALL, size=5),
        _case(family, "softmax 4096x1000 dim 1", "F.softmax", Input((4096, 1000)), dim=1,
              dtype="float64"),
        _case(family, "layer_norm 4096x768", "layer_norm", ROWS, Input((768,)), Input((768,)),
              dtype="float64"),
    ]  # fmt: skip
    return found


def _reduction() -> list[Case]:
    family, found = "reduction", []
    for name in ("sum", "mean", "amax", "logsumexp", "var"):
        for label, dim in (("rows", 1), ("columns", 0)):
            quick = name in ("sum", "amax") and dim == 1 or name == "mean" and dim == 0
            found.append(_case(family, f"{name} {label}", name, ROWS, args=(dim,), quick=quick))
    found.append(_case(family, "sum all", "sum", IMAGES))
    found.append(_case(family, "sum all 51 MB", "sum", LARGE))
    found.append(_case(family, "argmax rows", "argmax", ROWS, args=(1,), passes=FORWARD))
    found.append(_case(family, "argmax columns", "argmax", ROWS, args=(0,), passes=FORWARD))
    found.append(_case(family, "cumsum", "cumsum", ROWS, args=(1,)))
    found.append(_case(family, "prod", "prod", Input((49152, 64), scale=1.9), args=(1,)))
    numbers = Input((512, 1000), distinct=True)  # PyTorch leaves the order of equal ones open
    found.append(_case(family, "sort", "sort", numbers, args=(1,)))
    found.append(_case(family, "topk", "topk", numbers, args=(10, 1)))
    found.append(_case(family, "norm", "norm", ROWS, dim=1))
    found.append(_case(family, "sum of 101x103 rows", "sum", Input((101, 103)), args=(1,)))
    found.append(_case(family, "sum rows", "sum", ROWS, args=(1,), dtype="float64"))
    return found


def _pooling() -> list[Case]:
    family, found = "pooling", []
    for label, x in (("N8 64 56x56", IMAGES), ("N64 64 56x56", LARGE), ("N32 6 28x28",
                     Input((32, 6, 28, 28))), ("N3 7 31x37", Input((3, 7, 31, 37)))):  # fmt: skip
        quick = label == "N8 64 56x56"
        found.append(_case(family, f"max_pool2d 2 {label}", "F.max_pool2d", x, kernel_size=2,
                           quick=quick))  # fmt: skip
        found.append(_case(family, f"avg_pool2d 2 {label}", "F.avg_pool2d", x, kernel_size=2,
                           quick=quick))  # fmt: skip
    stem = Input((8, 64, 112, 112))
    for label, x in (("N8 64 56x56", IMAGES), ("N8 64 112x112", stem)):
        found.append(_case(family, f"max_pool2d 3 stride 2 {label}", "F.max_pool2d", x,
                           kernel_size=3, stride=2, padding=1, quick=x is stem))  # fmt: skip
    inception = Input((8, 192, 28, 28))
    found.append(_case(family, "max_pool2d 3 stride 1 N8 192 28x28", "F.max_pool2d", inception,
                       kernel_size=3, stride=1, padding=1))  # fmt: skip
    for size in (1, 7):
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            found.append(_case(family, f"{name} {size}", f"F.{name}", IMAGES, output_size=size,
                               quick=size == 1 and "avg" in name))  # fmt: skip
    found += [
        _case(family, "interpolate nearest", "F.interpolate", SMALL, scale_factor=2),
        _case(family, "interpolate bilinear", "F.interpolate", SMALL, scale_factor=2,
              mode="bilinear"),
        _case(family, "pixel_shuffle", "F.pixel_shuffle", SMALL, upscale_factor=2),
    ]  # fmt: skip
    return found


def _loss() -> list[Case]:
    family = "loss"
    target = Input((4096,), high=1000, grad=False)
    unit = Input((2048, 1024), unit=True, grad=False)
    x, y = Input((2048, 1024)), Input((2048, 1024), grad=False)
    small = Input((128,), high=10, grad=False)
    found = [
        _case(family, "cross_entropy 4096x1000", "F.cross_entropy", Input((4096, 1000)), target,
              quick=True),
        _case(family, "cross_entropy 128x10", "F.cross_entropy", Input((128, 10)), small,
              quick=True),
        _case(family, "cross_entropy of images", "F.cross_entropy", Input((8, 21, 64, 64)),
              Input((8, 64, 64), high=21, grad=False)),
        _case(family, "binary_cross_entropy", "F.binary_cross_entropy",
              Input((2048, 1024), unit=True), unit),
        _case(family, "bce_with_logits", "F.binary_cross_entropy_with_logits", x, unit,
              quick=True),
        _case(family, "kl_div", "F.kl_div", x, unit, reduction="batchmean"),
        _case(family, "multi_margin_loss", "F.multi_margin_loss", Input((4096, 1000)), target),
        _case(family, "cosine_similarity", "F.cosine_similarity", x, Input((2048, 1024))),
    ]  # fmt: skip
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        found.append(_case(family, name, f"F.{name}", x, y, quick=name == "mse_loss"))
    return found


def _copy_and_index() -> list[Case]:
    copy, index = "copy, cat, pad", "indexing"
    chosen = Input((4096,), high=10000, grad=False)
    table = Input((10000, 256))
    return [
        _case(copy, "cat", "cat", IMAGES, IMAGES, quick=True),
        _case(copy, "transpose", "transpose", ROWS, quick=True),
        _case(copy, "NCHW to NHWC", "to_nhwc", IMAGES),
        _case(copy, "pad", "F.pad", IMAGES, pad=(1, 1, 1, 1)),
        _case(copy, "pad reflect", "F.pad", IMAGES, pad=(1,) * 4, mode="reflect"),
        _case(copy, "flip", "flip", IMAGES, args=((3,),)),
        _case(copy, "unfold", "F.unfold", SMALL, kernel_size=3, padding=1),
        _case(copy, "tril", "tril", Input((64, 256, 256))),
        _case(index, "index_select", "index_select", table, chosen, quick=True),
        _case(index, "embedding", "F.embedding", chosen, table),
        _case(index, "embedding_bag mean", "F.embedding_bag",
              Input((1024, 16), high=10000, grad=False), Input((10000, 64))),
        _case(index, "embedding_bag sum with offsets", "F.embedding_bag",
              Input((20000,), high=10000, grad=False), Input((10000, 128)),
              Input((1000,), places=20, grad=False), mode="sum"),
        _case(index, "x[mask]", "mask", ROWS),
        _case(index, "gather", "gather", ROWS, Input((4096, 64), high=768, grad=False)),
    ]  # fmt: skip


def _random() -> list[Case]:
    return [
        _case("random", name, name, args=(size,), passes=FORWARD, random=True)
        for name, size in (("randn", 1 << 20), ("rand", 1 << 20), ("randperm", 60000))
    ]


def _sequence() -> list[Case]:
    found = [
        _case("recurrent", f"{kind} {'x'.join(map(str, shape))}-{hidden}", "recurrent",
              Input(shape), kind=kind, hidden=hidden, quick=kind == "LSTM" and hidden == 200)
        for shape, hidden, kinds in (
            ((35, 20, 200), 200, ("LSTM", "GRU", "RNN")), ((100, 64, 128), 256, ("LSTM", "GRU")),
        )
        for kind in kinds
    ]  # fmt: skip
    heads = (Input((8, 8, 512, 64)),) * 3
    few = (Input((2, 4, 128, 32)),) * 3
    attend = "F.scaled_dot_product_attention"
    return [
        *found,
        _case("attention", "sdpa 8x8x512x64", attend, *heads),
        _case("attention", "sdpa causal 8x8x512x64", attend, *heads, is_causal=True),
        _case("attention", "sdpa 2x4x128x32", attend, *few, quick=True),
    ]


def operations() -> list[Case]:
    """Elementwise ops, activations, softmax, norms, reductions, pooling, losses, copies, ..."""
    return [
        *_elementwise(),
        *_activation(),
        *_large(),
        *_softmax_and_norms(),
        *_reduction(),
        *_pooling(),
        *_loss(),
        *_copy_and_index(),
        *_random(),
        *_sequence(),
    ]
