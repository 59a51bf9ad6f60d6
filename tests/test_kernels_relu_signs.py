"""relu with a bit an element for its gradient: the bits of relu and relu_bwd, in every layout."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.nn import functional as F
from gradsmith.ops import elementwise, shapes
from gradsmith.testing.layouts import LAYOUTS, lay_out, same_bits, unchanged
from gradsmith.testing.opdb import place
from gradsmith.utils.checkpoint import checkpoint

FLOATS = (np.float32, np.float64)
SIZES = (0, 1, 31, 32, 33, 127, 128, 129, 511, 512, 513, 32767, 32768, 32769, 100003)


def specials(dtype: Any) -> np.ndarray:
    """NaN of either sign and with a payload, zeros, infinities, subnormals, and plain numbers."""
    tiny = np.finfo(dtype).smallest_subnormal
    values = [np.nan, 0.0, -0.0, np.inf, -np.inf, tiny, -tiny, 3 * tiny, 1.5, -2.5, 1e-30]
    found = np.array(values, dtype)
    odd = found[:1].copy()
    odd.view(np.uint8)[0] = 77
    return np.concatenate([found, odd, -odd])


def numbers(n: int, dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).astype(dtype)
    if n:
        special = rng.random(n) < 0.2
        x[special] = rng.choice(specials(dtype), int(special.sum()))
    return x


def words(y: np.ndarray) -> np.ndarray:
    """The bits of a result, as int32 words."""
    bits = np.zeros(-(-y.size // 32) * 32, np.uint8)
    bits[: y.size] = ~(y.ravel() <= 0)
    return np.packbits(bits, bitorder="little").view("<i4")


def same(a: Any, b: Any) -> bool:
    """The same bytes, shapes and dtypes."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def on(device: str, x: np.ndarray) -> Any:
    """The array on a device, with its strides."""
    return place(x, device)._data


def back(device: str, x: Any) -> np.ndarray:
    return table("cpu").transfer(x, "cpu") if device == "cpu" else table(device).transfer(x, "cpu")


def check_kernels(x: np.ndarray, grad_y: np.ndarray, device: str = "cpu") -> None:
    k = table(device)
    on_device, grad = on(device, x), on(device, grad_y)
    y, signs = k.relu_signs(on_device, shapes.signs(x.size))
    plain = k.relu(on_device)
    host = np.ascontiguousarray(back(device, y))
    assert y.flags.c_contiguous and signs.dtype == np.int32
    assert same(host, np.ascontiguousarray(back(device, plain)))
    assert same(back(device, signs), words(host))
    grad_x = back(device, k.relu_signs_bwd(grad, signs))
    assert same(
        np.ascontiguousarray(grad_x), np.ascontiguousarray(back(device, k.relu_bwd(grad, y)))
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_bits_of_relu(n: int, dtype: Any, isa: str) -> None:
    x, grad_y = numbers(n, dtype), numbers(n, dtype, 1)
    intact = unchanged(x, grad_y)
    check_kernels(x, grad_y)
    intact()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 513, 4099])
def test_bits_of_relu_on_both_devices(n: int, dtype: Any, device: str) -> None:
    check_kernels(numbers(n, dtype), numbers(n, dtype, 1), device)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_special_value_in_every_place(dtype: Any, isa: str) -> None:
    values = specials(dtype)
    for shift in range(len(values)):
        x = np.resize(np.roll(values, shift), 167)
        check_kernels(x, x[::-1].copy())


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str, dtype: Any, isa: str) -> None:
    for shape in ((), (77,), (5, 33), (3, 1, 17), (2, 3, 4, 19), (1, 0, 4), (3, 211, 7)):
        n = int(np.prod(shape))
        x = lay_out(numbers(n, dtype).reshape(shape), layout)
        grad_y = lay_out(numbers(n, dtype, 1).reshape(shape), layout)
        intact = unchanged(x, grad_y)
        check_kernels(x, grad_y)
        intact()


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_beyond_the_cache(dtype: Any, isa: str) -> None:
    # Stores past the caches; 5M elements and a tail.
    check_kernels(numbers(5_000_003, dtype), numbers(5_000_003, dtype, 1))


@pytest.mark.parametrize("n", [100003, 5_000_003])
def test_bits_on_any_number_of_threads(n: int, isa: str) -> None:
    k = table("cpu")
    x = numbers(n, np.float32)
    signs = same_bits(lambda: k.relu_signs(x, shapes.signs(n))[1])
    assert same(same_bits(lambda: k.relu_signs(x, shapes.signs(n))[0]), k.relu(x))
    same_bits(lambda: k.relu_signs_bwd(x, signs))


def test_refusals(device: str) -> None:
    k = table(device)
    x = on(device, np.ones((4, 16), np.float32))
    signs = k.relu_signs(x, (2,))[1]
    for shape in ((1,), (3,), (), (2, 2)):
        with pytest.raises(_cpu.Fault, match="shape"):
            k.relu_signs(x, shape)
    for other in (np.ones(65, np.float32), np.ones(32, np.float64)):
        with pytest.raises(_cpu.Fault, match="shape"):
            k.relu_signs_bwd(on(device, other), signs)
    with pytest.raises(_cpu.Fault, match="dtype"):
        k.relu_signs_bwd(x, on(device, np.ones(2, np.int64)))
    for dtype in (np.float16, np.int32):
        whole = on(device, np.ones(64, dtype))
        with pytest.raises(_cpu.Fault, match="dtype"):
            k.relu_signs(whole, (2,))
        with pytest.raises(_cpu.Fault, match="dtype"):
            k.relu_signs_bwd(whole, signs)


# ---- the op ----


@pytest.fixture
def keeps_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every relu whose bytes exceed 64 keeps bits."""
    monkeypatch.setattr(elementwise, "LARGE", 64)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The kernels of relu that the CPU runs, in order."""
    names: list[str] = []
    k = table("cpu")
    for name in ("relu", "relu_bwd", "relu_signs", "relu_signs_bwd"):
        kernel = getattr(k, name)

        def run(*args: Any, name: str = name, kernel: Any = kernel) -> Any:
            names.append(name)
            return kernel(*args)

        monkeypatch.setattr(k, name, run)
    yield names


def leaf(x: np.ndarray, device: str = "cpu") -> gs.Tensor:
    return place(x, device).requires_grad_()


def without_bits(x: np.ndarray, grad_y: np.ndarray, device: str = "cpu") -> tuple[Any, Any]:
    """y and the gradient as they are without bits."""
    limit, elementwise.LARGE = elementwise.LARGE, 1 << 60
    try:
        t = leaf(x, device)
        y = gs.relu(t)
        y.backward(place(grad_y, device))
    finally:
        elementwise.LARGE = limit
    return y, t.grad


def turned(x: np.ndarray, *order: int) -> np.ndarray:
    """The same values, dimensions lying in this order of memory."""
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


ORDERS = {
    "C": (0, 1, 2, 3),
    "channels last": (0, 2, 3, 1),
    "reversed": (3, 2, 1, 0),
    "planes first": (2, 3, 0, 1),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 6, 5, 7), (2, 6, 1, 7), (3, 1, 7, 1)])
@pytest.mark.parametrize("made", [False, True], ids=["leaf", "made"])
@pytest.mark.usefixtures("keeps_bits")
def test_orders_of_memory(shape: Any, order: Any, dtype: Any, made: bool, device: str) -> None:
    n = int(np.prod(shape))
    x = turned(numbers(n, dtype).reshape(shape), *order)
    grad_y = turned(numbers(n, dtype, 1).reshape(shape), *order)
    expected, expected_grad = without_bits(x, grad_y, device)
    t = leaf(x, device)
    h = t.clone() if made else t
    assert h.stride() == t.stride()
    y = gs.relu(h)
    assert y.grad_fn.name() == "relu_signs"
    assert y.stride() == expected.stride()
    y.backward(place(grad_y, device))
    assert t.grad.stride() == expected_grad.stride()
    assert same(y.detach().cpu().numpy(), expected.detach().cpu().numpy())
    assert same(t.grad.cpu().numpy(), expected_grad.cpu().numpy())


@pytest.mark.usefixtures("keeps_bits")
def test_which_kernels_run(called: list[str]) -> None:
    x = numbers(2 * 3 * 5 * 7, np.float32).reshape(2, 3, 5, 7)
    grad_y = numbers(x.size, np.float32, 1).reshape(x.shape)
    last = turned(x, 0, 2, 3, 1)
    for values, grad, backward in (
        (x, grad_y, "relu_signs_bwd"),
        (last, turned(grad_y, 0, 2, 3, 1), "relu_signs_bwd"),
        (x, turned(grad_y, 0, 2, 3, 1), "relu_bwd"),  # a gradient of another order
        (last, grad_y, "relu_bwd"),
        (x, np.broadcast_to(grad_y[:1], x.shape), "relu_bwd"),
        (x, grad_y[:, :, ::-1], "relu_bwd"),
    ):
        expected, expected_grad = without_bits(values, grad)
        called.clear()
        t = leaf(values)
        y = F.relu(t.clone())
        y.backward(gs.from_numpy(grad))
        assert called == ["relu_signs", backward]
        assert same(t.grad.numpy(), expected_grad.numpy())
        assert same(y.detach().numpy(), expected.detach().numpy())


@pytest.mark.usefixtures("keeps_bits")
def test_what_keeps_no_bits(called: list[str]) -> None:
    x = numbers(210, np.float32).reshape(14, 15)
    with gs.no_grad():
        gs.relu(leaf(x))
    gs.relu(gs.from_numpy(x))  # no gradient is wanted
    gs.relu(leaf(x[:, ::2]))  # gaps
    gs.relu(leaf(np.broadcast_to(x[:1], x.shape)))
    gs.relu(leaf(x[:2, :8]))  # gaps
    gs.relu(leaf(x[:, ::2]).clone()[:, :4])
    gs.relu(leaf(x[0, :16].copy()))  # 64 bytes at most
    assert called == ["relu"] * 7
    gs.relu(leaf(turned(x, 1, 0)))
    gs.relu(leaf(turned(x, 1, 0)).clone())
    gs.relu(leaf(x))
    assert called[7:] == ["relu_signs"] * 3
    called.clear()
    half = gs.from_numpy(x).half().requires_grad_()
    y = gs.relu(half)
    y.sum().backward()
    assert y.dtype is gs.float16 and "relu_signs" not in called
    assert np.array_equal(half.grad.numpy(), (~(x.astype(np.float16) <= 0)).astype(np.float16))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.usefixtures("keeps_bits")
def test_the_input_of_a_checkpoint(order: Any) -> None:
    """It is a leaf when the checkpoint runs again, and must be the same op."""
    x = numbers(210, np.float32).reshape(14, 15)
    t, plain = leaf(x), leaf(x)
    y = checkpoint(lambda h: gs.relu(h) * 2.0, (t * 1.0).permute(*order), use_reentrant=False)
    y.sum().backward()
    (gs.relu((plain * 1.0).permute(*order)) * 2.0).sum().backward()
    assert same(t.grad.numpy(), plain.grad.numpy())


def test_the_limit(called: list[str]) -> None:
    n = elementwise.LARGE // 4
    t = gs.zeros(n + 1, requires_grad=True)
    gs.relu(t)
    gs.relu(gs.zeros(n, requires_grad=True))
    assert called == ["relu_signs", "relu"]


@pytest.mark.usefixtures("keeps_bits")
def test_a_change_in_place_is_seen() -> None:
    t = leaf(numbers(99, np.float64))
    y = gs.relu(t)
    with gs.no_grad():
        y.add_(1.0)
    with pytest.raises(RuntimeError, match="relu_signs saved for its gradient was changed in pl"):
        y.backward(gs.ones(99, dtype=gs.float64))


@pytest.mark.usefixtures("keeps_bits")
def test_backward_twice(called: list[str]) -> None:
    x, grad_y = numbers(333, np.float32), numbers(333, np.float32, 1)
    _, expected = without_bits(x, grad_y)
    called.clear()
    t = leaf(x)
    y = gs.relu(t)
    for retain in (True, False):
        t.grad = None
        y.backward(gs.from_numpy(grad_y), retain_graph=retain)
        assert same(t.grad.numpy(), expected.numpy())
    assert called == ["relu_signs", "relu_signs_bwd", "relu_signs_bwd"]
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        y.backward(gs.from_numpy(grad_y))


@pytest.mark.usefixtures("keeps_bits")
def test_second_derivatives(called: list[str], device: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 7))
    t = leaf(x, device)
    (g,) = gs.autograd.grad((gs.relu(t) ** 3).sum(), t, create_graph=True)
    assert called == (["relu_signs", "relu_bwd"] if device == "cpu" else [])
    (second,) = gs.autograd.grad(g.sum(), t)
    assert np.allclose(second.cpu().numpy(), 6 * np.maximum(x, 0), rtol=1e-12)


@pytest.mark.usefixtures("keeps_bits")
def test_gradcheck() -> None:
    x = gs.from_numpy(np.random.default_rng(0).uniform(0.1, 1, (5, 9)))
    signs = gs.from_numpy(np.where(np.random.default_rng(1).random((5, 9)) < 0.5, -1.0, 1.0))
    t = (x * signs).requires_grad_()
    assert gs.testing.gradcheck(gs.relu, t)
    assert gs.testing.gradgradcheck(gs.relu, t)


@pytest.mark.usefixtures("keeps_bits")
def test_in_place_forms() -> None:
    x, grad_y = numbers(130, np.float32), numbers(130, np.float32, 1)
    _, expected = without_bits(x, grad_y)
    for change in (lambda h: h.relu_(), lambda h: F.relu(h, inplace=True)):
        t = leaf(x)
        h = t.clone()
        change(h)
        h.backward(gs.from_numpy(grad_y))
        assert same(t.grad.numpy(), expected.numpy())
    with pytest.raises(RuntimeError, match="leaf"):
        leaf(x).relu_()


@pytest.mark.usefixtures("keeps_bits")
def test_in_a_network() -> None:
    """Between ops whose gradients are views or turned, and where two paths meet."""
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8))

    def run() -> tuple[Any, ...]:
        t = leaf(x)
        h = gs.relu(t.permute(0, 2, 3, 1))
        h = h * 2.0 + gs.relu(h - 0.5)
        y = gs.relu(h.permute(0, 3, 1, 2).contiguous())
        (F.max_pool2d(y, 2).sum() + y.transpose(1, 3).sum()).backward()
        return y.detach().numpy(), t.grad.numpy()

    found = run()
    limit, elementwise.LARGE = elementwise.LARGE, 1 << 60
    try:
        expected = run()
    finally:
        elementwise.LARGE = limit
    for a, b in zip(found, expected, strict=True):
        assert same(a, b)


@pytest.mark.usefixtures("keeps_bits")
def test_checkpointed() -> None:
    x, grad_y = numbers(257, np.float32), numbers(257, np.float32, 1)
    _, expected = without_bits(x, grad_y)
    t = leaf(x)
    gs.utils.checkpoint.checkpoint(gs.relu, t).backward(gs.from_numpy(grad_y))
    assert same(t.grad.numpy(), expected.numpy())


@pytest.mark.usefixtures("keeps_bits")
def test_memory_that_is_out() -> None:
    """The nth allocation fails, for every n: MemoryError, nothing left behind, then all is well."""
    x, grad_y = numbers(20_000, np.float32), gs.from_numpy(numbers(20_000, np.float32, 1))
    _, expected = without_bits(x, grad_y.numpy())
    t = leaf(x)
    gc.collect()
    before = _cpu.memory_stats()["in_use"]
    failures = 0
    for nth in range(1, 20):
        _cpu.fail_allocation(nth)
        try:
            gs.relu(t).backward(grad_y)
        except MemoryError as error:
            failures += 1
            assert "cannot allocate" in str(error) and t.grad is None
            del error
        else:
            _cpu.fail_allocation(0)
            break
        assert _cpu.memory_stats()["in_use"] == before
    assert failures == 3  # y, its bits, the gradient
    assert same(t.grad.numpy(), expected.numpy())
