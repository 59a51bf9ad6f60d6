"""Epilogues: in every algorithm of convolution; in Sequential, which changes nothing but speed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu, nn
from gradsmith.nn import functional as F
from gradsmith.nn.modules.container import LAYERS

cpu = gs.backends.cpu

FUNCTIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": gs.tanh, "sigmoid": gs.sigmoid, "silu": F.silu}

# (N, C, K, H, W, kernel, options)
SHAPES = {
    "3x3": (2, 17, 18, 13, 15, 3, {"padding": 1}),
    "first layer": (2, 3, 20, 40, 37, 5, {"padding": 2}),
    "strided": (2, 3, 17, 33, 35, 7, {"stride": 2, "padding": 3}),
    "image lanes": (33, 6, 9, 8, 7, 3, {}),
    "pointwise": (2, 19, 33, 9, 11, 1, {}),
    "pointwise, small images": (5, 40, 33, 3, 5, 1, {}),
    "depthwise": (2, 12, 12, 17, 40, 3, {"padding": 1, "groups": 12}),
    "depthwise, strided": (2, 12, 24, 17, 19, 5, {"stride": 2, "groups": 12}),
    "grouped": (3, 12, 8, 9, 21, 3, {"groups": 4}),
    "dilated": (1, 5, 9, 40, 41, 3, {"dilation": 12, "padding": 12}),
    "many channels": (1, 130, 131, 7, 7, 3, {"padding": 1}),
}


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    before = cpu.conv_algorithm, _cpu.num_threads()
    yield
    cpu.conv_algorithm = before[0]
    _cpu.set_num_threads(before[1])


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_algorithm_has_the_epilogue(name: str, dtype: str) -> None:
    """The bits of the convolution, the sum and the activation apart; on any number of threads."""
    n, c, k, h, w, r, options = SHAPES[name]
    gs.manual_seed(0)
    x = gs.randn(n, c, h, w, dtype=getattr(gs, dtype))
    weight = gs.randn(k, c // options.get("groups", 1), r, r, dtype=x.dtype)
    bias = gs.randn(k, dtype=x.dtype)
    for algorithm in ("auto", "direct", *(("winograd_4x4", "winograd_2x2") if r == 3 else ())):
        cpu.conv_algorithm = algorithm
        for threads in (1, 3):
            _cpu.set_num_threads(threads)
            y = F.conv2d(x, weight, bias, **options)
            residual = gs.linspace(-2, 2, y.numel(), dtype=x.dtype).reshape(y.shape)
            words = FUNCTIONS if algorithm == "auto" and threads == 1 else ("relu",)
            for word in words:
                for sum_of in (None, residual):
                    got = F.conv2d_activation(
                        x, weight, bias, **options, activation=word, residual=sum_of
                    )
                    z = FUNCTIONS[word](y if sum_of is None else y + sum_of)
                    np.testing.assert_array_equal(got.numpy(), z.numpy(), f"{algorithm} {word}")


@pytest.mark.parametrize(
    "shape", [(3, 5), (70, 513), (2, 3, 4, 5), (65, 7, 9, 3), (2, 3, 70, 65), (0, 5)]
)
@pytest.mark.parametrize("code", [0, 1, 3, 5])
def test_the_gradient_in_one_pass(shape: tuple[int, ...], code: int, isa: str) -> None:
    """epilogue_bwd's gradient is the activation's own, bit by bit; its sums on any threads."""
    from gradsmith.kernels import ACTIVATIONS, table

    k = table("cpu")
    rng = np.random.default_rng(0)
    dtype = np.float32 if code % 2 else np.float64
    g, v = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    if code < 2:
        g = np.rint(g)  # sums of integers are exact
    if code == 1:
        v = np.maximum(v, 0)  # as relu's results are: zeros
    apart = {
        0: lambda: g,
        1: lambda: k.relu_bwd(g, v),
        3: lambda: k.tanh_bwd(g, v),
        5: lambda: k.activation_bwd(g, v, ACTIVATIONS.index("silu"), 0.0, 0.0, 0.0),
    }[code]()
    seen = set()
    for threads in (1, 2, 5):
        _cpu.set_num_threads(threads)
        got, sums = k.epilogue_bwd(g, v, (shape[1],), 1, code)
        np.testing.assert_array_equal(got, apart)
        seen.add(sums.tobytes())
    assert len(seen) == 1
    exact = apart.astype(np.float64).sum((0, *range(2, len(shape))))
    if code < 2:
        np.testing.assert_array_equal(sums, exact)
    np.testing.assert_allclose(sums, exact, rtol=1e-4, atol=1e-4)


# ---- Sequential ----


class Apart(nn.Sequential):
    """Sequential without its fusion."""

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


def nets() -> dict[str, tuple[list[nn.Module], tuple[int, ...]]]:
    return {
        "relu": ([nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)], (4, 5)),
        "in place": ([nn.Linear(5, 7), nn.ReLU(inplace=True)], (2, 4, 5)),
        "one row": ([nn.Linear(5, 7, bias=False), nn.Tanh(), nn.ReLU()], (5,)),
        "gelu": ([nn.Linear(5, 7), nn.GELU(), nn.Linear(7, 7), nn.GELU("tanh")], (4, 5)),
        "silu": ([nn.Conv2d(2, 3, 3), nn.SiLU(), nn.Conv2d(3, 2, 1), nn.Sigmoid()], (2, 2, 6, 5)),
        "padding": ([nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), nn.ReLU()], (2, 2, 8)),
        "unbatched": ([nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Conv3d(2, 1, 1)], (1, 3, 4, 3)),
    }


@pytest.mark.parametrize("name", nets())
@pytest.mark.parametrize("grad", [True, False])
def test_sequential_gives_the_same(name: str, grad: bool) -> None:
    gs.manual_seed(0)
    layers, shape = nets()[name]
    found = []
    for kind in (nn.Sequential, Apart):
        net = kind(*layers)
        net.zero_grad()
        x = gs.linspace(-2, 3, int(np.prod(shape))).reshape(shape).requires_grad_(grad)
        with gs.set_grad_enabled(grad):
            y = net(x)
        if grad:
            (y * y).sum().backward()
            found.append([y.detach(), x.grad, *(p.grad for p in net.parameters())])
        else:
            found.append([y])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_sequential_fuses_what_nobody_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    fused = []
    for kind, call in LAYERS.items():
        spy = lambda layer, x, word, call=call: fused.append(word) or call(layer, x, word)  # noqa: E731
        monkeypatch.setitem(LAYERS, kind, spy)

    def words(net: nn.Module, x: Any) -> list[str]:
        fused.clear()
        with gs.no_grad():
            net(x)
        return list(fused)

    x = gs.randn(4, 5)
    linear, relu = nn.Linear(5, 7), nn.ReLU()
    net = nn.Sequential(linear, relu)
    assert words(net, x) == ["relu"]
    assert words(nn.Sequential(nn.Conv1d(5, 2, 1), nn.Tanh()), x.unsqueeze(2)) == ["tanh"]
    assert words(nn.Sequential(linear, nn.GELU(), nn.Linear(7, 2)), x) == ["gelu"]
    assert words(nn.Sequential(linear), x) == []
    assert words(nn.Sequential(linear, nn.GELU("tanh")), x) == []
    fused.clear()
    assert net(x).grad_fn.op.name == "relu" and not fused  # the graph has the modules' ops

    for module in (linear, relu):
        seen: list[Any] = []
        handle = module.register_forward_hook(lambda m, i, y, seen=seen: seen.append(y))
        assert words(net, x) == [] and len(seen) == 1
        if module is linear:
            assert float(seen[0].min()) < 0
        handle.remove()

    class Doubled(nn.Linear):
        def forward(self, input: Any) -> Any:
            return super().forward(input) * 2

    assert words(nn.Sequential(Doubled(5, 7), relu), x) == []
    linear.forward = lambda input: input * 3  # type: ignore[method-assign]
    with gs.no_grad():
        np.testing.assert_array_equal(net(x).numpy(), np.maximum(x.numpy() * 3, 0))


@gs.no_grad()
def test_sequential_words_errors_as_the_layer() -> None:
    with pytest.raises(RuntimeError, match="^linear: input's last dim"):
        nn.Sequential(nn.Linear(5, 7), nn.ReLU())(gs.randn(2, 4))
    with pytest.raises(RuntimeError, match="^conv2d: "):
        nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU())(gs.randn(2, 4, 5, 5))
    with pytest.raises(TypeError, match="^linear: input must be a tensor"):
        nn.Sequential(nn.Linear(5, 7), nn.ReLU())([1.0])
