"""Every dtype on both devices: making, converting, printing; conversions by name."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes

pytest.importorskip("ml_dtypes")

DTYPES = (
    *(gs.float32, gs.float64, gs.int32, gs.int64, gs.bool),
    *(gs.uint8, gs.int8, gs.int16, gs.float16, gs.bfloat16),
)
VALUES = np.array(
    [
        *(0, -0.0, 1, -1, 1.5, -2.5, 300.7, 1e10, -1e10, np.nan, np.inf, -np.inf),
        *(65519.9, 65520, 1e-8, 3e-5, 70000, 2.0**31, 2.0**63, -(2.0**63)),
    ]
)


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def device(request: Any) -> str:
    if request.param == "cuda" and not gs.cuda.is_available():
        gs.cuda.use_emulator()
    return request.param


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_cuda_converts_as_the_cpu(source: gs.dtype) -> None:
    """Bit for bit, contiguous and strided; fills too."""
    if not gs.cuda.is_available():
        gs.cuda.use_emulator()
    cpu, cuda = table("cpu"), table("cuda")
    x = cpu.copy(VALUES, source.numpy)
    there = cuda.transfer(x, "cuda")
    for target in DTYPES:
        want = cpu.copy(x, target.numpy)
        got = cuda.transfer(cuda.copy(there, target.numpy), "cpu")
        assert got.dtype == want.dtype and same_bytes(got, want), target
        strided = cuda.transfer(cuda.copy(there[::-2], target.numpy), "cpu")
        assert same_bytes(strided, want[::-2]), target
    for value in VALUES.tolist():
        want = cpu.full((3,), value, source.numpy)
        got = cuda.transfer(cuda.full((3,), value, source.numpy), "cpu")
        assert same_bytes(got, want), value


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_made_and_moved(dtype: gs.dtype, device: str) -> None:
    x = gs.tensor([[1, 0, 1], [1, 1, 0]], dtype=dtype, device=device)
    assert x.dtype is dtype and x.to(gs.float32).tolist() == [[1, 0, 1], [1, 1, 0]]
    assert gs.zeros(2, dtype=dtype, device=device).tolist() == [0, 0]
    assert gs.ones(2, dtype=dtype, device=device).tolist() == [1, 1]
    assert gs.full((2,), 1, dtype=dtype, device=device).dtype is dtype
    assert x.T.contiguous().tolist() == [[1, 1], [0, 1], [1, 0]]
    assert gs.cat([x, x[:, 1:]], 1).tolist() == [[1, 0, 1, 0, 1], [1, 1, 0, 1, 0]]
    assert x[1, ::2].clone().tolist() == [1, 0]
    y = gs.zeros(2, 3, dtype=dtype, device=device)
    y.copy_(x)
    y[0] = 1
    y[1, 1:].fill_(0)
    assert y.tolist() == [[1, 1, 1], [1, 0, 0]] and y.dtype is dtype
    assert x[0, 0].item() == 1 and type(x[0, 0].item()) in (float, int, bool)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.dtype is dtype and other.tolist() == x.tolist()
    shown = repr(x.cpu())
    assert (f"dtype={dtype}" in shown) == (dtype not in (gs.float32, gs.int64, gs.bool))


def test_half_is_printed_as_float() -> None:
    shown = "tensor([1.0000, 2.2500], dtype=gradsmith."
    for dtype in (gs.float16, gs.bfloat16):
        assert repr(gs.tensor([1, 2.25], dtype=dtype)) == f"{shown}{dtype.name})"


def test_conversions_by_name() -> None:
    x = gs.tensor([0.0, 1.5, -2.0])
    for name, dtype in (
        ("half", gs.float16),
        ("bfloat16", gs.bfloat16),
        ("float", gs.float32),
        ("double", gs.float64),
        ("char", gs.int8),
        ("short", gs.int16),
        ("int", gs.int32),
        ("long", gs.int64),
        ("byte", gs.uint8),
        ("bool", gs.bool),
    ):
        y = getattr(x, name)()
        assert y.dtype is dtype
        assert x.type(dtype).dtype is dtype and x.type_as(y).dtype is dtype
        assert x.type(y.type()).dtype is dtype
    assert x.half().type() == "gradsmith.HalfTensor"
    assert x.type("torch.LongTensor").tolist() == [0, 1, -2]
    assert x.byte().tolist() == [0, 1, 254] and x.bool().tolist() == [False, True, True]
    with pytest.raises(ValueError, match="type: must be one of FloatTensor"):
        x.type("Float")
    with pytest.raises(TypeError, match="type: dtype must be"):
        x.type(3)


@pytest.mark.parametrize("dtype", [gs.float16, gs.bfloat16], ids=str)
def test_gradient_through_half(dtype: gs.dtype) -> None:
    """The gradient of a conversion is the conversion back."""
    x = gs.tensor([1.0, 2.0], requires_grad=True)
    (x.to(dtype).to(gs.float32) * gs.tensor([0.5, 3.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.5, 3.0]
    h = x.detach().to(dtype).requires_grad_()
    h.to(gs.float64).sum().backward()
    assert h.grad is not None and h.grad.dtype is dtype


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_conversions_equal_torchs(source: gs.dtype) -> None:
    """Where PyTorch's result is defined: floats within the target's range."""
    torch = pytest.importorskip("torch")
    values = [0, 1, 3, 100, 127] if source in (gs.int8, gs.uint8, gs.bool) else VALUES[:5].tolist()
    if source.is_floating_point:
        values = [*values, 65519.9, 65520.0, 1e-8, 3e-5, 0.1, float("inf"), float("nan")]
    ours = gs.tensor(values, dtype=gs.float64).to(source)
    theirs = torch.tensor(values, dtype=torch.float64).to(getattr(torch, source.name))
    for target in DTYPES:
        keep = slice(None) if target.is_floating_point or not source.is_floating_point else 5
        y = ours[:keep].to(target) if keep == 5 else ours.to(target)
        t = (theirs[:keep] if keep == 5 else theirs).to(getattr(torch, target.name))
        assert np.array_equal(y.double().numpy(), t.double().numpy(), equal_nan=True), (
            f"{source} to {target}"
        )
