"""What is timed against other libraries, as data: a family, an op on inputs of realistic shapes.

`call(lib, *inputs)` runs the case in gradsmith or in PyTorch: the names are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CASES", "Case", "Input"]


@dataclass(frozen=True)
class Input:
    """One input: standard normal numbers, or integers below `high`.

    Attributes:
        shape: its shape.
        high: integers in [0, high); 0: floats.
        grad: whether the training pass wants its gradient.
        positive: absolute values, away from 0. unit: in (0, 1).
        scale: what the floats are multiplied by.
        double: float64.
        places: 0, places, 2 places ..: where bags of that size begin.
    """

    shape: tuple[int, ...]
    high: int = 0
    grad: bool = True
    positive: bool = False
    unit: bool = False
    scale: float = 1.0
    double: bool = False
    places: int = 0

    def build(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """The values: float32, float64 or int64."""
        if self.places:
            return np.arange(self.shape[0]) * self.places
        if self.high:
            return rng.integers(0, self.high, self.shape)
        if self.unit:
            return (rng.random(self.shape) * 0.98 + 0.01).astype(np.float32)
        x = rng.standard_normal(self.shape, dtype=np.float32) * np.float32(self.scale)
        x = np.abs(x) + np.float32(0.1) if self.positive else x
        return x.astype(np.float64) if self.double else x


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        family, name: what it is.
        inputs: what it is called with.
        call: call(lib, *tensors) -> a tensor; its sum is differentiated in the training pass.
        training: whether the training pass is timed too.
    """

    family: str
    name: str
    inputs: tuple[Input, ...]
    call: Callable[..., Any]
    training: bool = True


def _functional(name: str, **options: Any) -> Callable[..., Any]:
    def call(lib: Any, *tensors: Any) -> Any:
        return getattr(lib.nn.functional, name)(*tensors, **options)

    return call


def _top(name: str, *args: Any, **options: Any) -> Callable[..., Any]:
    def call(lib: Any, *tensors: Any) -> Any:
        return getattr(lib, name)(*tensors, *args, **options)

    return call


IMAGES = Input((8, 64, 56, 56))
SMALL = Input((32, 64, 14, 14))
ROWS = Input((4096, 768))


def _elementwise() -> list[Case]:
    found = []
    for name in ("abs", "exp", "sin", "cos", "tanh", "sigmoid", "erf", "floor", "expm1"):
        found.append(Case("elementwise", name, (IMAGES,), _top(name)))
    for name in ("log", "sqrt", "rsqrt", "log1p", "log2"):
        found.append(Case("elementwise", name, (Input(IMAGES.shape, positive=True),), _top(name)))
    for name in ("add", "mul", "div", "maximum"):
        b = Input(IMAGES.shape, positive=True)
        found.append(Case("elementwise", name, (IMAGES, b), _top(name)))
    bias = Input((1, 64, 1, 1))
    found.append(Case("elementwise", "add a bias", (IMAGES, bias), _top("add")))
    for name in ("remainder", "floor_divide", "fmod"):
        b = Input((1000, 1000), positive=True)
        trains = name != "floor_divide"
        found.append(Case("elementwise", name, (Input(b.shape), b), _top(name), trains))
    power = Input((1000, 1000), positive=True), Input((1000, 1000))
    found.append(Case("elementwise", "pow of tensors", power, _top("pow")))
    double = Input((1000, 1000), positive=True, double=True), Input((1000, 1000), double=True)
    found.append(Case("elementwise", "pow of float64 tensors", double, _top("pow")))
    found.append(Case("elementwise", "pow 3", (IMAGES,), _top("pow", 3)))
    found.append(
        Case(
            "elementwise",
            "masked_fill",
            (IMAGES,),
            lambda lib, a: a.masked_fill(a.detach() > 0, 0.0),
        )
    )
    for size in (1000, 3572):
        found.append(
            Case("elementwise", f"-x.T {size}", (Input((size, size)),), lambda lib, a: -a.T)
        )
    found.append(Case("elementwise", "clamp", (IMAGES,), _top("clamp", -1.0, 1.0)))
    found.append(Case("elementwise", "pow 2", (IMAGES,), _top("pow", 2)))
    found.append(Case("elementwise", "lerp", (IMAGES, IMAGES), _top("lerp", 0.3)))
    found.append(Case("elementwise", "lt", (IMAGES, IMAGES), _top("lt"), training=False))
    found.append(
        Case(
            "elementwise",
            "where",
            (IMAGES, IMAGES),
            lambda lib, a, b: lib.where(a > 0, a, b),
        )
    )
    return found


def _activation() -> list[Case]:
    names = "relu leaky_relu elu selu gelu silu mish softplus hardswish logsigmoid relu6 hardtanh"
    found = [Case("activation", name, (IMAGES,), _functional(name)) for name in names.split()]
    middle = Input((32, 64, 28, 28))
    for name in ("silu", "mish", "hardsigmoid", "gelu"):
        found.append(Case("activation", f"{name} 28x28", (middle,), _functional(name)))
    for shape, dim in (((4096, 1000), 1), ((32, 21, 64, 64), 1), ((8, 8, 512, 512), -1)):
        for name in ("softmax", "log_softmax"):
            label = f"{name} {'x'.join(map(str, shape))} dim {dim}"
            found.append(Case("activation", label, (Input(shape),), _functional(name, dim=dim)))
    found.append(Case("activation", "glu", (IMAGES,), _functional("glu", dim=1)))
    return found


def _reduce() -> list[Case]:
    found = []
    for name in ("sum", "mean", "amax", "logsumexp", "var"):
        for label, dim in (("rows", 1), ("columns", 0)):
            found.append(Case("reduce", f"{name} {label}", (ROWS,), _top(name, dim)))
    found.append(Case("reduce", "sum all", (IMAGES,), _top("sum")))
    found.append(Case("reduce", "argmax rows", (ROWS,), _top("argmax", 1), training=False))
    found.append(Case("reduce", "argmax columns", (ROWS,), _top("argmax", 0), training=False))
    found.append(Case("reduce", "cumsum", (ROWS,), _top("cumsum", 1)))
    found.append(Case("reduce", "prod", (ROWS,), _top("prod", 1)))
    found.append(Case("reduce", "sort", (Input((512, 1000)),), lambda lib, x: lib.sort(x, 1)[0]))
    found.append(
        Case("reduce", "topk", (Input((512, 1000)),), lambda lib, x: lib.topk(x, 10, 1)[0])
    )
    found.append(Case("reduce", "norm", (ROWS,), lambda lib, x: x.norm(dim=1)))
    return found


def _shape() -> list[Case]:
    index = Input((4096,), high=10000, grad=False)
    table = Input((10000, 256))
    return [
        Case("shape", "cat", (IMAGES, IMAGES), lambda lib, a, b: lib.cat([a, b], 1)),
        Case("shape", "transpose copy", (ROWS,), lambda lib, x: x.t().contiguous()),
        Case("shape", "index_select", (table, index), lambda lib, x, i: lib.index_select(x, 0, i)),
        Case("shape", "embedding", (index, table), _functional("embedding")),
        Case(
            "shape",
            "embedding_bag mean",
            (Input((1024, 16), high=10000, grad=False), Input((10000, 64))),
            _functional("embedding_bag"),
        ),
        Case(
            "shape",
            "embedding_bag sum with offsets",
            (
                Input((20000,), high=10000, grad=False),
                Input((10000, 128)),
                Input((1000,), places=20, grad=False),
            ),
            _functional("embedding_bag", mode="sum"),
        ),
        Case("shape", "x[mask]", (ROWS,), lambda lib, x: x[x > 0]),
        Case("shape", "pad", (IMAGES,), _functional("pad", pad=(1, 1, 1, 1))),
        Case("shape", "pad reflect", (IMAGES,), _functional("pad", pad=(1,) * 4, mode="reflect")),
        Case("shape", "flip", (IMAGES,), lambda lib, x: lib.flip(x, (3,))),
        Case("shape", "unfold", (SMALL,), _functional("unfold", kernel_size=3, padding=1)),
        Case(
            "shape",
            "gather",
            (ROWS, Input((4096, 64), high=768, grad=False)),
            lambda lib, x, i: lib.gather(x, 1, i),
        ),
        Case("shape", "tril", (Input((64, 256, 256)),), _top("tril")),
    ]


def _matmul() -> list[Case]:
    found = []
    for m, k, n in ((1024, 1024, 1024), (128, 128, 128), (64, 4096, 1024), (1000, 10, 784)):
        pair = (Input((m, k)), Input((k, n)))
        found.append(Case("matmul", f"matmul {m}x{k}x{n}", pair, _top("matmul")))
    batched = (Input((64, 128, 64)), Input((64, 64, 128)))
    found.append(Case("matmul", "bmm 64 of 128x64x128", batched, _top("bmm")))
    linear = (Input((128, 784)), Input((512, 784), scale=0.05), Input((512,)))
    found.append(Case("matmul", "linear 128x784 -> 512", linear, _functional("linear")))
    einsum = (Input((16, 64, 32)), Input((16, 32, 64)))
    found.append(
        Case("matmul", "einsum", einsum, lambda lib, a, b: lib.einsum("bij,bjk->bik", a, b))
    )
    return found


def _conv() -> list[Case]:
    shapes = [
        ("3x3", (8, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        ("3x3 stride 2", (8, 64, 56, 56), (128, 64, 3, 3), {"padding": 1, "stride": 2}),
        ("1x1", (8, 256, 56, 56), (64, 256, 1, 1), {}),
        ("7x7 stride 2", (8, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
        ("3x3 small image", (8, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
        ("depthwise", (8, 128, 56, 56), (128, 1, 3, 3), {"padding": 1, "groups": 128}),
        ("dilated", (4, 64, 64, 64), (64, 64, 3, 3), {"padding": 2, "dilation": 2}),
        ("LeNet 2", (32, 6, 14, 14), (16, 6, 5, 5), {}),
        ("AlexNet 1", (8, 3, 224, 224), (64, 3, 11, 11), {"padding": 2, "stride": 4}),
    ]
    found = [
        Case(
            "conv",
            f"conv2d {name}",
            (Input(x), Input(w, scale=0.05), Input((w[0],))),
            _functional("conv2d", **options),
        )
        for name, x, w, options in shapes
    ]
    found.append(
        Case(
            "conv",
            "conv1d",
            (Input((16, 64, 400)), Input((64, 64, 5), scale=0.05)),
            _functional("conv1d", padding=2),
        )
    )
    found.append(
        Case(
            "conv",
            "conv3d",
            (Input((2, 16, 16, 32, 32)), Input((32, 16, 3, 3, 3), scale=0.05)),
            _functional("conv3d", padding=1),
        )
    )
    found.append(
        Case(
            "conv",
            "conv_transpose2d",
            (Input((8, 64, 28, 28)), Input((64, 32, 4, 4), scale=0.05)),
            _functional("conv_transpose2d", stride=2, padding=1),
        )
    )
    return found


def _pool() -> list[Case]:
    return [
        Case("pool", "max_pool2d 2", (IMAGES,), _functional("max_pool2d", kernel_size=2)),
        Case(
            "pool",
            "max_pool2d 3 stride 2",
            (IMAGES,),
            _functional("max_pool2d", kernel_size=3, stride=2, padding=1),
        ),
        Case("pool", "avg_pool2d 2", (IMAGES,), _functional("avg_pool2d", kernel_size=2)),
        Case(
            "pool",
            "adaptive_avg_pool2d 1",
            (IMAGES,),
            _functional("adaptive_avg_pool2d", output_size=1),
        ),
        Case(
            "pool",
            "adaptive_avg_pool2d 7",
            (IMAGES,),
            _functional("adaptive_avg_pool2d", output_size=7),
        ),
        Case(
            "pool",
            "adaptive_max_pool2d 7",
            (IMAGES,),
            _functional("adaptive_max_pool2d", output_size=7),
        ),
        Case("pool", "interpolate nearest", (SMALL,), _functional("interpolate", scale_factor=2)),
        Case(
            "pool",
            "interpolate bilinear",
            (SMALL,),
            _functional("interpolate", scale_factor=2, mode="bilinear"),
        ),
        Case("pool", "pixel_shuffle", (SMALL,), _functional("pixel_shuffle", upscale_factor=2)),
    ]


def _norm() -> list[Case]:
    channel = Input((64,))

    def batch_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return lib.nn.functional.batch_norm(x, None, None, w, b, training=True)

    def layer_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return lib.nn.functional.layer_norm(x, (768,), w, b)

    def group_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
        return lib.nn.functional.group_norm(x, 8, w, b)

    def instance_norm(lib: Any, x: Any) -> Any:
        return lib.nn.functional.instance_norm(x)

    return [
        Case("norm", "batch_norm", (IMAGES, channel, channel), batch_norm),
        Case("norm", "layer_norm", (ROWS, Input((768,)), Input((768,))), layer_norm),
        Case("norm", "group_norm", (IMAGES, channel, channel), group_norm),
        Case("norm", "instance_norm", (IMAGES,), instance_norm),
        Case("norm", "rms_norm", (ROWS,), _functional("rms_norm", normalized_shape=(768,))),
        Case("norm", "normalize", (ROWS,), _functional("normalize", dim=1)),
        Case("norm", "local_response_norm", (SMALL,), _functional("local_response_norm", size=5)),
    ]


def _loss() -> list[Case]:
    target = Input((4096,), high=1000, grad=False)
    unit = Input((2048, 1024), unit=True, grad=False)
    pair = (Input((2048, 1024)), Input((2048, 1024), grad=False))
    found = [
        Case("loss", "cross_entropy", (Input((4096, 1000)), target), _functional("cross_entropy")),
        Case(
            "loss",
            "cross_entropy of images",
            (Input((8, 21, 64, 64)), Input((8, 64, 64), high=21, grad=False)),
            _functional("cross_entropy"),
        ),
        Case(
            "loss",
            "binary_cross_entropy",
            (Input((2048, 1024), unit=True), unit),
            _functional("binary_cross_entropy"),
        ),
        Case(
            "loss",
            "bce_with_logits",
            (pair[0], unit),
            _functional("binary_cross_entropy_with_logits"),
        ),
        Case("loss", "kl_div", (pair[0], unit), _functional("kl_div", reduction="batchmean")),
        Case(
            "loss",
            "multi_margin_loss",
            (Input((4096, 1000)), target),
            _functional("multi_margin_loss"),
        ),
        Case(
            "loss",
            "cosine_similarity",
            (pair[0], Input((2048, 1024))),
            _functional("cosine_similarity"),
        ),
    ]
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        found.append(Case("loss", name, pair, _functional(name)))
    return found


def _random() -> list[Case]:
    return [
        Case("random", "dropout", (IMAGES,), _functional("dropout", p=0.5)),
        Case("random", "randn", (), lambda lib: lib.randn(1 << 20), training=False),
        Case("random", "rand", (), lambda lib: lib.rand(1 << 20), training=False),
        Case("random", "randperm", (), lambda lib: lib.randperm(60000), training=False),
    ]


def _recurrent() -> list[Case]:
    def layer(kind: str, size: int, hidden: int) -> Callable[..., Any]:
        made: dict[str, Any] = {}

        def call(lib: Any, x: Any) -> Any:
            if lib.__name__ not in made:
                lib.manual_seed(0)
                made[lib.__name__] = getattr(lib.nn, kind)(size, hidden)
            return made[lib.__name__](x)[0]

        return call

    return [
        Case("recurrent", f"{kind} 35x20x200", (Input((35, 20, 200)),), layer(kind, 200, 200))
        for kind in ("LSTM", "GRU", "RNN")
    ] + [
        Case("recurrent", f"{kind} 100x64x128-256", (Input((100, 64, 128)),), layer(kind, 128, 256))
        for kind in ("LSTM", "GRU")
    ]


def _attention() -> list[Case]:
    heads = (Input((8, 8, 512, 64)),) * 3
    return [
        Case("attention", "sdpa", heads, _functional("scaled_dot_product_attention")),
        Case(
            "attention",
            "sdpa causal",
            heads,
            _functional("scaled_dot_product_attention", is_causal=True),
        ),
    ]


CASES: tuple[Case, ...] = (
    *_elementwise(),
    *_activation(),
    *_reduce(),
    *_shape(),
    *_matmul(),
    *_conv(),
    *_pool(),
    *_norm(),
    *_loss(),
    *_random(),
    *_recurrent(),
    *_attention(),
)
