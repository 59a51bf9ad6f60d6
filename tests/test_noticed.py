"""What mutants of the kernels and ops showed that nothing looked at (docs/proof.md)."""

from __future__ import annotations

import gc
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith._cpu import Fault
from gradsmith.autograd import grad
from gradsmith.kernels import table
from gradsmith.testing import assert_close, assert_equal
from gradsmith.testing.checks import call, every, place_all, size_of
from gradsmith.testing.opdb import OpInfo, Sample, op_infos

F = gs.nn.functional


def gradients(info: OpInfo, sample: Sample, wanted: list[int]) -> dict[int, Any]:
    """The gradients of these inputs, no other requiring one."""
    nested = place_all(sample.build("float64"), "cpu")
    tensors = every(nested)
    leaves = {i: tensors[i].requires_grad_() for i in wanted}
    rng = np.random.default_rng(0)
    pairs = [(y, np.array(rng.standard_normal(y.shape))) for y in call(info, sample, nested)]
    pairs = [(y, gs.from_numpy(g).to(y.dtype)) for y, g in pairs if y.requires_grad]
    if not pairs:
        return {}
    outputs, seen = map(list, zip(*pairs, strict=True))
    found = grad(outputs, list(leaves.values()), seen, allow_unused=True)
    return dict(zip(leaves, found, strict=True))


@pytest.mark.parametrize("info", [i for i in op_infos() if i.differentiable], ids=lambda i: i.name)
def test_gradient_of_one_input_alone(info: OpInfo) -> None:
    """A gradient is the same whether or not the other inputs' are wanted."""
    samples = [s for s in info.samples() if s.has_gradient and size_of(s) <= 500]
    flags = [every(s.gradient_flags()) for s in samples]
    several = [(s, f) for s, f in zip(samples, flags, strict=True) if sum(map(bool, f)) > 1]
    for sample, each in several[:3]:
        wanted = [i for i, flag in enumerate(each) if flag]
        together = gradients(info, sample, wanted)
        for i in wanted:
            alone = gradients(info, sample, [i]).get(i)
            assert (alone is None) == (together.get(i) is None), f"{sample.id}: input {i}"
            if alone is not None:
                np.testing.assert_allclose(
                    alone.numpy(), together[i].numpy(), rtol=1e-12, atol=1e-12, err_msg=sample.id
                )


def in_use() -> int:
    gc.collect()
    return gs.memory_stats()["in_use"]


def run_back(info: OpInfo, sample: Sample) -> None:
    nested = place_all(sample.build("float32"), "cpu")
    flags = every(sample.gradient_flags()) if info.differentiable else []
    for t, flag in zip(every(nested), flags):  # noqa: B905
        if flag and sample.has_gradient:
            t.requires_grad_()
    for y in call(info, sample, nested):
        if y.requires_grad and y.dtype.is_floating_point:
            y.backward(gs.ones_like(y), retain_graph=True)


def test_no_kernel_keeps_memory(threads: Any) -> None:
    """What a kernel allocates for itself it gives back: a large sample of every op."""
    threads(1)  # each thread keeps its scratch memory
    runs = [(info, max(info.samples(), key=size_of)) for info in op_infos()]

    def left() -> int:
        """What is in use after all of them."""
        for info, sample in runs:
            run_back(info, sample)
        return in_use()

    left()  # what is kept on purpose is made
    before = left()
    assert left() <= before, "a kernel keeps memory"


def test_no_loss_of_many_blocks_keeps_memory() -> None:
    x, t = gs.zeros(600_000), gs.ones(600_000)
    logits, labels = gs.zeros(150_000, 2), gs.zeros(150_000, dtype=gs.int64)
    expected = [1.0, 150_000 * np.log(2)]
    for _ in range(2):
        before = in_use()
        found = [
            F.mse_loss(x, t).item(),
            F.nll_loss(F.log_softmax(logits, 1), labels, reduction="sum").item(),
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert in_use() == before


def test_inputs_that_no_window_reaches_get_zero() -> None:
    """Windows side by side that leave rows and columns at the end, in memory that held NaN."""
    for shape, kernel in (((2, 2, 4, 7), 3), ((1, 3, 5, 9), 4), ((2, 1, 3, 5), 2)):
        for _ in range(3):
            x = gs.zeros(shape, requires_grad=True)
            y = F.avg_pool2d(x, kernel)
            held = gs.full(shape, np.nan)
            del held
            y.backward(gs.ones_like(y))
            rows, columns = (n // kernel * kernel for n in shape[2:])
            expected = np.zeros(shape, np.float32)
            expected[:, :, :rows, :columns] = 1 / kernel**2
            np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


# ---- kernels refuse what does not fit, whoever calls them ----


def zeros(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    "name,args",
    [
        (
            "batch_norm_bwd",
            (zeros(2, 3, 3), zeros(2, 3, 4), None, zeros(3), zeros(3), 1e-5, True),
        ),
        (
            "batch_norm_bwd",
            (zeros(2, 3, 4), zeros(2, 3, 4), None, zeros(3), zeros(2), 1e-5, True),
        ),
        ("pad", (zeros(2, 5), (-1,), 2, (2, 5))),
        ("pad", (zeros(2, 5), (2,), 2, (2, 6))),
        ("pad", (zeros(2, 0), (1,), 2, (2, 2))),
        ("cumsum", (zeros(2, 5), -1, False, False)),
        ("cumsum", (zeros(2, 5), 2, False, False)),
        ("recurrence", (zeros(2, 5), zeros(2, 4), 1, False)),
        ("recurrence", (zeros(2, 5), zeros(2, 5), -1, False)),
        ("recurrence", (zeros(5), zeros(2, 5), 1, False)),
        ("recurrence", (zeros(2, 5, 3), zeros(2, 5), 1, False)),
        ("prod_bwd", (zeros(2, 5), zeros(2, 5))),
        ("prod_bwd", (zeros(5), zeros(2, 5))),
        ("prod_bwd", (zeros(), zeros())),
    ],
)
def test_kernels_refuse_what_does_not_fit(name: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(Fault):
        getattr(_cpu, name)(*args)


# ---- ops ----


@pytest.mark.parametrize("dtype", [gs.float32, gs.float64])
def test_ramps_are_the_same_on_both_devices(dtype: Any, cuda: str) -> None:
    # Without a fused multiply-add (v2) the CPU rounds once more.
    rounding = gs.finfo(dtype).eps if gs.backends.cpu.isa() == "v2" else 0.0
    for make in (
        lambda device: gs.linspace(0.1, 2.3, 7, dtype=dtype, device=device),
        lambda device: gs.linspace(3, -5, 301, dtype=dtype, device=device),
        lambda device: gs.logspace(0.0, 2.0, 5, dtype=dtype, device=device),
        lambda device: gs.arange(0.5, 9.0, 0.7, dtype=dtype, device=device),
    ):
        ours = make("cpu")
        assert_close(make(cuda), ours, rtol=0, atol=rounding * ours.abs().max().item())
    expected = np.linspace(0.1, 2.3, 7)
    np.testing.assert_allclose(gs.linspace(0.1, 2.3, 7, device=cuda).cpu().numpy(), expected, 1e-6)


def test_clamp_at_a_bound() -> None:
    """At the bound the gradient is the input's, none of it the bound's."""
    x = gs.tensor([1.0, 2.0, 3.0], requires_grad=True)
    low, high = (gs.tensor(v, requires_grad=True) for v in ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]))
    gs.clamp(x, low, high).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]
    assert low.grad.tolist() == [0.0, 0.0, 0.0]
    assert high.grad.tolist() == [0.0, 0.0, 1.0]


def test_power_of_zero_has_an_infinite_slope_below_zero() -> None:
    b = gs.tensor([-1.0, 0.0, 2.0], dtype=gs.float64, requires_grad=True)
    gs.pow(0.0, b).sum().backward()
    assert b.grad.tolist() == [-np.inf, 0.0, 0.0]


def test_embedding_shares_a_gradient_by_frequency() -> None:
    index = gs.tensor([[0, 2], [2, 2]])
    for call_it in (
        lambda w: F.embedding(index, w, scale_grad_by_freq=True),
        lambda w: gs.embedding(w, index, scale_grad_by_freq=True),
    ):
        weight = gs.ones(4, 3, requires_grad=True)
        call_it(weight).sum().backward()
        assert weight.grad.tolist() == [[1.0] * 3, [0.0] * 3, [1.0] * 3, [0.0] * 3]
    weight = gs.ones(4, 3, requires_grad=True)
    gs.embedding(weight, gs.tensor([0, 1, 3])).sum().backward()
    assert weight.grad[:, 0].tolist() == [1.0, 1.0, 0.0, 1.0]
    weight = gs.ones(4, 3, requires_grad=True)
    gs.embedding(weight, gs.tensor([0, 1, 3]), 1).sum().backward()
    assert weight.grad[:, 0].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_einsum_takes_lists() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    ours = [gs.from_numpy(v) for v in (a, b)]
    np.testing.assert_allclose(
        gs.einsum(ours[0], [0, 1], ours[1], [1, 2], [2, 0]).numpy(), (a @ b).T, rtol=1e-12
    )
    np.testing.assert_allclose(
        gs.einsum(ours[0], [..., 1], ours[1], [1, 5]).numpy(), a @ b, rtol=1e-12
    )


def test_places_of_all_elements_keep_the_dims() -> None:
    x = gs.tensor([[1.0, 5.0, 2.0], [0.0, 3.0, 4.0]])
    assert gs.argmax(x, keepdim=True).tolist() == [[1]]
    assert gs.argmin(x, keepdim=True).tolist() == [[3]]
    assert gs.argmax(x).item() == 1


def test_diagonals_are_filled() -> None:
    x = gs.zeros(5, 2)
    x.fill_diagonal_(3.0)
    assert x.tolist() == [[3.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    x = gs.zeros(5, 2)
    x.fill_diagonal_(3.0, wrap=True)
    expected = np.zeros((5, 2))
    np.fill_diagonal(expected, 3.0, wrap=True)
    assert x.tolist() == expected.tolist()
    y = gs.zeros(3, 3, 3)
    y.fill_diagonal_(1.0)
    assert y.sum().item() == 3.0 and all(y[i, i, i].item() == 1.0 for i in range(3))
    with pytest.raises(RuntimeError, match="fill_diagonal_: 2 dims, or more of one size"):
        gs.zeros(2, 3, 2).fill_diagonal_(1.0)
    with pytest.raises(RuntimeError, match="fill_diagonal_: 2 dims"):
        gs.zeros(3).fill_diagonal_(1.0)


def test_bytes_are_read_as_another_dtype() -> None:
    x = np.arange(12, dtype=np.int32).reshape(3, 4)
    t = gs.from_numpy(x)
    for ours, numpys in ((gs.int64, np.int64), (gs.uint8, np.uint8), (gs.float32, np.float32)):
        assert_equal(t.view(ours), x.view(numpys))
    with pytest.raises(RuntimeError, match="divide into elements of 8 bytes"):
        gs.from_numpy(x[:, :3].copy()).view(gs.int64)
    with pytest.raises(RuntimeError, match="without gaps"):
        gs.from_numpy(x)[:, ::2].view(gs.int64)
    with pytest.raises(RuntimeError, match="0-dim"):
        gs.tensor(1).view(gs.int32)


def test_meshgrid_takes_one_list_only() -> None:
    x = gs.tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="meshgrid: tensors must be a tensor; got list"):
        gs.meshgrid([x, x], x)
    assert len(gs.meshgrid([x, x])) == 2 and len(gs.meshgrid(x, x, x)) == 3


def test_many_elements_have_no_correction_left() -> None:
    """More degrees of freedom taken away than there are: division by zero, not by less."""
    x = gs.tensor([1.0, 2.0])
    assert gs.var(x, correction=2).item() == np.inf
    assert gs.var(x, correction=2.5).item() == np.inf


def on_host(array: Any) -> Any:
    from gradsmith.kernels.cuda import memory

    return array if isinstance(array, np.ndarray) else memory.to_host(array)


def test_dropout_drops_what_is_below_p(device: str) -> None:
    """A draw u of 24 bits is dropped if u < p, also where p lies between two of them."""
    k = table(device)
    draws = on_host(k.uniform((4,), 0.0, 1.0, 7, 0, np.dtype(np.float32))).astype(np.float64)
    ones = k.transfer(np.ones(4, np.float32), device)
    for i, u in enumerate(draws):
        for p, kept in ((u, True), (u + 2.0**-25, False), (u + 2.0**-24, False)):
            assert (on_host(k.dropout(ones, p, 7, 0))[i] != 0) == kept, (u, p)


def test_window_of_a_scalar_is_itself() -> None:
    x = gs.tensor(3.0)
    assert x.unfold(0, 1, 1).tolist() == [3.0] and x.unfold(0, 0, 1).tolist() == []
    with pytest.raises(RuntimeError, match=r"size must be in \[0, 1\]"):
        x.unfold(0, 2, 1)
    with pytest.raises(RuntimeError, match="step positive"):
        x.unfold(0, 1, 0)
