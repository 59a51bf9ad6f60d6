"""The hard ranges of each op, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .draws import COUNT, Draw, angles, bits, each, normal, shifted, subnormal, tiny, uniform, wide

__all__ = ["RANGES", "Range"]


@dataclass(frozen=True)
class Range:
    """Inputs of an op that are hard.

    Attributes:
        name: what the table calls it.
        inputs: draws; None and options of the call stay what they are.
        options: keyword arguments.
        unit: "ulp" or "sum"; None: the op's.
        dtypes: what it is measured in.
    """

    name: str
    inputs: Sequence[Any]
    options: dict[str, Any] = field(default_factory=dict)
    unit: str | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")

    def arrays(self, dtype: str, seed: int) -> list[Any]:
        """The inputs; the same in every run."""
        rng = np.random.default_rng(seed)
        return [self._array(i, rng, dtype) for i in self.inputs]

    def _array(self, spec: Any, rng: np.random.Generator, dtype: str) -> Any:
        if isinstance(spec, list):
            return [self._array(s, rng, dtype) for s in spec]
        return spec(rng, dtype) if callable(spec) else spec


RANGES: dict[str, list[Range]] = {}


def _add(names: str, *ranges: Range) -> None:
    for name in names.split():
        RANGES.setdefault(name, []).extend(ranges)


def _ints(high: int, *shape: int) -> Callable[..., Any]:
    return lambda rng, dtype: rng.integers(0, high, shape)


# ---- one argument ----

EVERY = Range("all bit patterns", [bits()])
_add(
    "abs neg exp expm1 tanh sigmoid erf sin cos tan square reciprocal relu relu6 leaky_relu elu "
    "celu selu silu mish softplus softsign hardsigmoid hardswish logsigmoid tanhshrink",
    EVERY,
)
_add("gelu", Range("all bit patterns", [bits()], unit="ulp"))
_add("log log2 sqrt rsqrt log1p", Range("all bit patterns >= 0", [bits(signed=False)]))
_add("exp", Range("where it does not overflow", [each(uniform(-103, 88), uniform(-745, 709))]))
_add("exp", Range("subnormal results", [each(uniform(-103, -87.4), uniform(-745, -708.4))]))
_add("log log2", Range("near 1", [uniform(0.99, 1.01)]))
_add("log log2 sqrt rsqrt", Range("subnormals", [subnormal()]))
_add("log1p expm1", Range("tiny", [tiny()]), Range("-0.9 to 2", [uniform(-0.9, 2)]))
_add("sin cos tan", Range("-10 to 10", [uniform(-10, 10)]), Range("next to k pi/2", [angles()]))
_add("sin cos tan", Range("1e5 to 1e9", [wide(5, 9)]))
_add("sin cos tan", Range("up to the largest", [each(wide(9, 38.4), wide(9, 308))]))
_TAILS = each(uniform(-104, 104), uniform(-745, 745))
for _names, _draws in (
    ("tanh sigmoid erf", {"-10 to 10": uniform(-10, 10), "tiny": tiny(), "tails": _TAILS}),
    (
        "gelu silu mish softplus logsigmoid elu celu selu tanhshrink softsign",
        {"-10 to 10": uniform(-10, 10), "tiny": tiny()},
    ),
    ("sigmoid silu mish softplus logsigmoid", {"tails": _TAILS}),
    ("gelu", {"lower tail": each(uniform(-13, -3), uniform(-38, -5))}),
):
    for _name, _draw in _draws.items():
        _add(_names, Range(_name, [_draw], unit="ulp"))
_add("gelu", Range("tanh form, -10 to 10", [uniform(-10, 10)], {"approximate": "tanh"}, "ulp"))
_add("tan", Range("-1.5 to 1.5", [uniform(-1.5, 1.5)]))
_add("hardswish hardsigmoid", Range("-4 to 4", [uniform(-4, 4)], unit="ulp"))

# ---- two and three arguments ----

_add("add sub mul div maximum minimum", Range("all bit patterns", [bits(), bits()]))
_add("div", Range("subnormal results", [wide(-30, -20), wide(15, 20)], dtypes=("float32",)))
_HALF = each(wide(-18, 18), wide(-150, 150))
_add("remainder fmod", Range("quotients up to 1e6", [wide(0, 6), uniform(0.1, 1)]))
_add("remainder fmod", Range("wide", [_HALF, _HALF]))
_add("floor_divide div_floor", Range("quotients up to 1e6", [wide(0, 6), uniform(0.1, 1)]))


def _exponents(rng: np.random.Generator, dtype: str) -> Any:
    """With bases of `_bases`: x^y next to the largest number, or to the smallest."""
    top = {"float32": 88.0, "float64": 708.0}[dtype]
    bases = _bases(np.random.default_rng(5), dtype).astype(np.longdouble)
    wanted = rng.uniform(0.9, 1.0, COUNT) * top * rng.choice([-1, 1], COUNT)
    return (wanted / np.log(bases)).astype(dtype)


def _bases(rng: np.random.Generator, dtype: str) -> Any:
    values = 10.0 ** np.random.default_rng(5).uniform(-6, 6, COUNT)
    return np.where(np.abs(values - 1) < 1e-3, 2, values).astype(dtype)


def _whole(rng: np.random.Generator, dtype: str) -> Any:
    return rng.integers(-20, 21, COUNT).astype(dtype)


_add(
    "pow",
    Range("0 to 10, to -10 to 10", [uniform(0, 10), uniform(-10, 10)]),
    Range("near overflow, underflow", [_bases, _exponents]),
    Range("near 1, large exponents", [uniform(0.999, 1.001), uniform(-3e4, 3e4)]),
    Range("negative, whole exponents", [uniform(-10, 0), _whole]),
)


def _opposite(*shape: int) -> tuple[Draw, Draw, Draw]:
    """x, a, b where x is nearly -a b."""

    def drawn(which: int) -> Draw:
        def draw(rng: np.random.Generator, dtype: str) -> Any:
            own = np.random.default_rng(8)
            a, b = (own.standard_normal(shape).astype(dtype) for _ in range(2))
            return (-a * b, a, b)[which]

        return draw

    return drawn(0), drawn(1), drawn(2)


_add("addcmul", Range("x = -a b, nearly", [*_opposite(COUNT)]))
_add("addcdiv", Range("-10 to 10", [uniform(-10, 10), uniform(-10, 10), uniform(0.1, 10)]))
_add("lerp", Range("0 to 1", [uniform(-1, 1), uniform(-1, 1), uniform(0, 1)]))
_add("lerp", Range("ends nearly opposite", [uniform(1, 2), uniform(-2, -1), uniform(0, 1)]))

# ---- sums, products, spread ----


def _alternating(n: int, large: float) -> Draw:
    """Large terms that cancel exactly, small ones between them."""

    def draw(rng: np.random.Generator, dtype: str) -> Any:
        big = (rng.uniform(1, 2, n // 3) * large).astype(dtype)
        small = rng.uniform(0, 1, n - 2 * len(big)).astype(dtype)
        return rng.permutation(np.concatenate([big, -big, small]))

    return draw


_LONG = 1_000_000
for _name, _draw in (
    ("1e6 of [0, 1)", uniform(0, 1, _LONG)),
    ("1e6, normal", normal(_LONG)),
    ("1e6, large ones cancelling", _alternating(_LONG, 1e6)),
):
    _add("sum mean", Range(_name, [_draw]))
_add("sum mean", Range("1000 x 1000, dim 0", [uniform(0, 1, (1000, 1000))], {"dim": 0}))
_add("sum mean", Range("1000 x 1000, dim 1", [uniform(0, 1, (1000, 1000))], {"dim": 1}))
_add("prod", Range("2000 near 1", [uniform(0.99, 1.01, (20, 2000))], {"dim": 1}))
_add("cumsum", Range("1e5 of [0, 1)", [uniform(0, 1, 100_000)], {"dim": 0}))
_add("cumprod", Range("2000 near 1", [uniform(0.99, 1.01, 2000)], {"dim": 0}))
for _op in ("var", "std"):
    _add(
        _op,
        Range("1e6, normal", [normal(_LONG)], unit="ulp"),
        Range("1e5, mean 1e4 spreads", [shifted(1e4, 100_000)], unit="ulp"),
        Range("rows of 64, mean 100", [shifted(100, 500, 64)], {"dim": 1}, "ulp"),
        Range("columns of 500, mean 100", [shifted(100, 500, 64)], {"dim": 0}, "ulp"),
    )
_add("norm", Range("1e6, normal", [normal(_LONG)], unit="ulp"))
_add("norm", Range("p = 3", [normal(200, 100)], {"p": 3, "dim": 1}, "ulp"))
_add("linalg_vector_norm", Range("1e6, normal", [normal(_LONG)], unit="ulp"))
_add("logsumexp", Range("1e6, normal", [normal(_LONG)], {"dim": 0}, "ulp"))
_add("logsumexp", Range("offset 1e4", [shifted(1e4, 100, 1000)], {"dim": 1}, "ulp"))

# ---- softmax and losses ----

_add("softmax softmin log_softmax", Range("32000 classes", [normal(8, 32000)], {"dim": 1}))
_add("softmax softmin log_softmax", Range("offset 1e4", [shifted(1e4, 64, 1000)], {"dim": 1}))
_add("softmax softmin log_softmax", Range("dim 0", [normal(1000, 64)], {"dim": 0}))
_add("softmax log_softmax", Range("spread of 80", [uniform(-40, 40, (64, 100))], {"dim": 1}))
_add("cross_entropy", Range("32000 classes", [normal(64, 32000), _ints(32000, 64)]))
_add("cross_entropy", Range("confident", [normal(1000, 100, scale=30), _ints(100, 1000)]))
_add("cross_entropy", Range("offset 1e4", [shifted(1e4, 1000, 100), _ints(100, 1000)]))
_add("nll_loss", Range("1e5 rows", [normal(100_000, 10), _ints(10, 100_000)]))
_PAIR = [normal(100_000), normal(100_000)]
_add("mse_loss l1_loss smooth_l1_loss huber_loss", Range("1e5, normal", _PAIR))
_PROBABILITY = uniform(0, 1, 100_000)
_add("binary_cross_entropy", Range("1e5 of [0, 1)", [_PROBABILITY, _PROBABILITY]))


def _certain(rng: np.random.Generator, dtype: str) -> Any:
    near = 10.0 ** rng.uniform(-30, -2, COUNT)
    return np.where(rng.uniform(size=COUNT) < 0.5, near, 1 - near).astype(dtype)


_NONE = {"reduction": "none"}
_add("binary_cross_entropy", Range("near 0 and 1", [_certain, uniform(0, 1)], _NONE))
_add(
    "binary_cross_entropy_with_logits",
    Range("1e5, normal", [normal(100_000), _PROBABILITY]),
    Range("logits to 100", [uniform(-100, 100), uniform(0, 1)], _NONE),
)
_add("kl_div", Range("1e5", [uniform(-10, 0, 100_000), _PROBABILITY]))
_add("soft_margin_loss", Range("-100 to 100", [uniform(-100, 100), uniform(-1, 1)], _NONE))
_add("poisson_nll_loss", Range("-10 to 10", [uniform(-10, 10), uniform(0, 20)], _NONE))
_add(
    "gaussian_nll_loss",
    Range("tiny variances", [normal(2000, 4), normal(2000, 4), uniform(1e-5, 1e-2, (2000, 4))]),
)

# ---- products and convolution ----

_add("matmul", Range("K = 4096, normal", [normal(24, 4096), normal(4096, 24)]))
_add("matmul", Range("K = 4096, of [0, 1)", [uniform(0, 1, (24, 4096)), uniform(0, 1, (4096, 24))]))
_add("linear", Range("K = 2048, normal", [normal(16, 2048), normal(24, 2048), normal(24)]))
_add("bmm", Range("K = 1000, normal", [normal(4, 16, 1000), normal(4, 1000, 16)]))
_add("mv", Range("K = 10000, normal", [normal(50, 10000), normal(10000)]))
_add("dot", Range("1e6, normal", [normal(_LONG), normal(_LONG)]))
_add("dot", Range("1e6 of [0, 1)", [uniform(0, 1, _LONG), uniform(0, 1, _LONG)]))
_add("conv1d", Range("C = 256, k = 5", [normal(2, 256, 40), normal(16, 256, 5), normal(16)]))
_add(
    "conv2d",
    Range("C = 256, 3 x 3", [normal(1, 256, 12, 12), normal(16, 256, 3, 3), normal(16)]),
    Range(
        "C = 64, 3 x 3, padded",
        [normal(2, 64, 20, 20), normal(32, 64, 3, 3), None],
        {"padding": 1},
    ),
    Range(
        "C = 64, 5 x 5, padded",
        [normal(2, 64, 20, 20), normal(32, 64, 5, 5), None],
        {"padding": 2},
    ),
    Range(
        "depthwise 7 x 7",
        [normal(1, 32, 24, 24), normal(32, 1, 7, 7)],
        {"padding": 3, "groups": 32},
    ),
    Range("7 x 7, stride 2", [normal(1, 3, 48, 48), normal(16, 3, 7, 7)], {"stride": 2}),
)
_add(
    "conv3d",
    Range("C = 32, 3 x 3 x 3", [normal(1, 32, 6, 6, 6), normal(8, 32, 3, 3, 3)]),
    Range(
        "C = 32, 3 x 3 x 3, padded",
        [normal(1, 32, 8, 16, 16), normal(32, 32, 3, 3, 3)],
        {"padding": 1},
    ),
)
_add(
    "conv_transpose2d",
    Range("C = 128, 4 x 4", [normal(1, 128, 8, 8), normal(128, 16, 4, 4)], {"stride": 2}),
    Range(
        "C = 64, 3 x 3, padded",
        [normal(2, 64, 20, 20), normal(64, 32, 3, 3), None],
        {"padding": 1},
    ),
)

# ---- pooling, normalisation ----

_add("avg_pool2d", Range("56 x 56 windows", [normal(2, 8, 56, 56)], {"kernel_size": 56}))
_add("adaptive_avg_pool2d", Range("112 x 112 to 1", [normal(1, 4, 112, 112)], {"output_size": 1}))
_ROWS = normal(32, 4096)
_add("layer_norm", Range("rows of 4096", [_ROWS, (4096,), normal(4096), normal(4096)]))
_add("rms_norm", Range("rows of 4096", [_ROWS, (4096,), normal(4096)], {"eps": 1e-5}))
_FAR = each(shifted(1e3, 64, 1024, scale=0.1), shifted(1e6, 64, 1024, scale=0.1))
_add("layer_norm", Range("mean of 1e4 spreads and more", [_FAR, (1024,)]))
_SMALL = normal(64, 1024, scale=1e-3)
_add("layer_norm rms_norm", Range("variance of eps", [_SMALL, (1024,)], {"eps": 1e-6}))
_IMAGES, _FAR_IMAGES = normal(8, 16, 20, 20), shifted(1e3, 8, 16, 20, 20)
_TRAIN = {"training": True}
_add("batch_norm", Range("8 x 16 x 20 x 20", [_IMAGES, None, None], _TRAIN))
_add("batch_norm", Range("mean of 1000 spreads", [_FAR_IMAGES, None, None], _TRAIN))
_add("group_norm", Range("4 groups", [_IMAGES, 4]), Range("mean of 1000 spreads", [_FAR_IMAGES, 4]))
_add("instance_norm", Range("8 x 16 x 20 x 20", [_IMAGES]))
_add("normalize", Range("rows of 4096", [_ROWS], {"dim": 1}, "ulp"))
_add("local_response_norm", Range("8 x 16 x 20 x 20", [_IMAGES], {"size": 5}, "ulp"))

# ---- distances, scatter, recurrent, attention ----


def _close(rng: np.random.Generator, dtype: str) -> Any:
    return (100 + 1e-2 * rng.standard_normal((40, 16))).astype(dtype)


_add("cdist", Range("close points, far from 0", [_close, _close], unit="ulp"))
_add("cdist", Range("normal, 64 dims", [normal(50, 64), normal(40, 64)], unit="ulp"))
_add("pairwise_distance", Range("close points, far from 0", [_close, _close], unit="ulp"))
_add("cosine_similarity", Range("1000 dims", [normal(64, 1000), normal(64, 1000)]))
_add(
    "scatter_add",
    Range("1e5 into 10", [normal(10), normal(100_000), _ints(10, 100_000)], {"dim": 0}),
)
_add(
    "index_add",
    Range("1e5 into 10", [normal(10), _ints(10, 100_000), normal(100_000)], {"dim": 0}),
)
_QKV = [normal(2, 4, 100, 32) for _ in range(3)]
_add("scaled_dot_product_attention", Range("100 keys", _QKV))
_add(
    "scaled_dot_product_attention",
    Range("large scores", [normal(2, 4, 100, 32, scale=10.0), *_QKV[1:]]),
)
