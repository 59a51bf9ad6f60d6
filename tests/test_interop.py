"""NumPy's ufuncs on tensors, array interfaces, ranges, limits, and tensors like another."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest


@pytest.fixture(params=["cpu", "cuda"])
def device(request: Any) -> str:
    if request.param == "cuda" and not gs.cuda.is_available():
        gs.cuda.use_emulator()
    return request.param


def test_arrays_and_tensors_mix(device: str) -> None:
    array = np.array([1.0, 2.0, 4.0], np.float32)
    t = gs.tensor([2.0, 3.0, 5.0], device=device, requires_grad=True)
    for y, want in (
        (array * t, [2.0, 6.0, 20.0]),
        (t * array, [2.0, 6.0, 20.0]),
        (array + t, [3.0, 5.0, 9.0]),
        (array - t, [-1.0, -1.0, -1.0]),
        (np.add(t, array), [3.0, 5.0, 9.0]),
        (np.float32(2.0) * t, [4.0, 6.0, 10.0]),
        (np.power(t, 2), [4.0, 9.0, 25.0]),
        (np.maximum(array, t), [2.0, 3.0, 5.0]),
        (np.square(t), [4.0, 9.0, 25.0]),
        (np.negative(t), [-2.0, -3.0, -5.0]),
    ):
        assert isinstance(y, gs.Tensor) and str(y.device).startswith(device)
        assert y.tolist() == want and y.dtype is gs.float32 and y.requires_grad
    (array * np.square(t)).sum().backward()
    assert t.grad is not None and t.grad.tolist() == [4.0, 12.0, 40.0]
    assert isinstance(np.exp(t), gs.Tensor)
    assert (array < t).tolist() == [True, True, True]
    assert np.less(2.5, t).tolist() == [False, True, True]
    assert np.isnan(t).tolist() == [False] * 3


def test_ufunc_outputs_and_refusals() -> None:
    t = gs.tensor([1.0, 2.0])
    out = np.zeros(2, np.float32)
    assert np.add(t, 1.0, out=out) is out and out.tolist() == [2.0, 3.0]
    out += t
    assert out.tolist() == [3.0, 5.0]
    into = gs.zeros(2)
    assert np.multiply(t, t, out=into) is into and into.tolist() == [1.0, 4.0]
    with pytest.raises(TypeError, match=r"np.add.reduce: gradsmith has no such function"):
        np.add.reduce(t)
    with pytest.raises(TypeError, match=r"np.nextafter: gradsmith has no such function"):
        np.nextafter(t, t)
    with pytest.raises(TypeError, match=r"np.add: on tensors only out= is an option"):
        np.add(t, t, where=np.array([True, False]))


def test_cuda_array_interface_is_a_gpus_alone(device: str) -> None:
    t = gs.ones(2, device=device)
    if device == "cpu" or gs.kernels.cuda.is_emulated():
        assert not hasattr(t, "__cuda_array_interface__")
    else:
        assert t.__cuda_array_interface__["shape"] == (2,)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16"])
def test_dlpack_of_every_dtype(dtype: str) -> None:
    wanted = getattr(gs, dtype)
    t = gs.tensor([1, 0, 1], dtype=wanted)
    array = np.from_dlpack(t)
    assert array.dtype == wanted.numpy and np.shares_memory(array, t.numpy())
    back = gs.from_dlpack(array)
    assert back.dtype is wanted and back.tolist() == t.tolist()


def test_asarray() -> None:
    array = np.arange(3.0)
    t = gs.asarray(array)
    assert np.shares_memory(t.numpy(), array) and gs.asarray(t).data_ptr() == t.data_ptr()
    assert not np.shares_memory(gs.asarray(array, copy=True).numpy(), array)
    assert gs.asarray([1, 2]).dtype is gs.int64 and gs.asarray(array, dtype=gs.half).itemsize == 2
    with pytest.raises(ValueError, match="needs a copy; got copy=False"):
        gs.asarray(array, dtype=gs.float32, copy=False)
    with pytest.raises(ValueError, match="asarray: list needs a copy"):
        gs.asarray([1], copy=False)


@pytest.mark.parametrize(
    "arguments",
    [(5,), (2, 5), (0, 10, 3), (5, 0, -2), (0.0, 1.0, 0.3), (1, 1), (0,), (-3, 4, 2), (2.5,)],
)
def test_arange(arguments: tuple[float, ...], device: str) -> None:
    y, want = gs.arange(*arguments, device=device), np.arange(*arguments)
    assert y.dtype is (gs.int64 if want.dtype.kind == "i" else gs.float32)
    assert y.tolist() == want.astype(y.dtype.numpy).tolist()


def test_ranges_of_every_dtype() -> None:
    for name in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"):
        assert gs.arange(4, dtype=getattr(gs, name)).dtype is getattr(gs, name)
        assert gs.arange(1, 8, 3, dtype=getattr(gs, name)).tolist() == [1, 4, 7]
    big = gs.arange(2**62, 2**62 + 3)
    assert big.tolist() == [2**62, 2**62 + 1, 2**62 + 2]
    with pytest.raises(RuntimeError, match="arange: step must not be 0"):
        gs.arange(0, 5, 0)
    with pytest.raises(RuntimeError, match="step must lead from start to end"):
        gs.arange(0, 5, -1)
    with pytest.raises(TypeError, match="arange: bounds must be numbers; got str"):
        gs.arange("a")


def test_linspace_and_eye(device: str) -> None:
    y = gs.linspace(0, 1, 11, device=device)
    assert np.allclose(y.cpu().numpy(), np.linspace(0, 1, 11), rtol=0, atol=1e-7)
    assert y[-1].item() == 1.0 and gs.linspace(3, 10, 1).tolist() == [3.0]
    assert gs.linspace(-2, 2, 5, dtype=gs.int64).tolist() == [-2, -1, 0, 1, 2]
    assert gs.linspace(0, 1, 0).shape == (0,)
    assert gs.logspace(0, 2, 3).tolist() == [1.0, 10.0, 100.0]
    for shape in ((3,), (2, 4), (4, 2), (0,), (0, 3)):
        assert gs.eye(*shape, device=device).tolist() == np.eye(*shape).tolist()
    assert gs.eye(2, dtype=gs.bool).tolist() == [[True, False], [False, True]]
    with pytest.raises(RuntimeError, match="linspace: steps must be >= 0; got -1"):
        gs.linspace(0, 1, -1)
    with pytest.raises(TypeError, match="linspace: steps must be an int"):
        gs.linspace(0, 1, 2.5)


def test_limits_are_torchs() -> None:
    for name in ("float16", "float32", "float64", "bfloat16"):
        f = gs.finfo(getattr(gs, name))
        assert f.dtype == name and f.min == -f.max and f.tiny == f.smallest_normal
    assert gs.finfo().bits == 32 and gs.finfo(gs.bfloat16).eps == 0.0078125
    i = gs.iinfo(gs.int8)
    assert (i.min, i.max, i.bits) == (-128, 127, 8) and gs.iinfo(gs.uint8).min == 0
    with pytest.raises(TypeError, match="finfo: needs a floating-point dtype"):
        gs.finfo(gs.int32)
    with pytest.raises(TypeError, match="iinfo: needs an integer dtype"):
        gs.iinfo(gs.bool)
    torch = pytest.importorskip("torch")
    for name in ("float16", "float32", "float64", "bfloat16"):
        ours, theirs = gs.finfo(getattr(gs, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "resolution", "smallest_normal"):
            assert getattr(ours, field) == getattr(theirs, field), (name, field)
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        ours, theirs = gs.iinfo(getattr(gs, name)), torch.iinfo(getattr(torch, name))
        assert (ours.min, ours.max, ours.bits) == (theirs.min, theirs.max, theirs.bits)


def test_tensors_like_another() -> None:
    x = gs.arange(6, dtype=gs.float64).reshape(2, 3)
    assert x.new_full((2,), 3.0).tolist() == [3.0, 3.0] and x.new_empty(2, 2).dtype is gs.float64
    assert x.new_tensor([1, 2]).dtype is gs.float64
    assert x.view_as(gs.zeros(3, 2)).shape == (3, 2) and x.T.reshape_as(x).shape == (2, 3)
    assert x.mT.tolist() == x.T.tolist() and x.nbytes == 48 and x.itemsize == 8
    assert x.nelement() == 6 and x.ndimension() == 2 and x.get_device() == -1 and x.is_cpu
    assert 5 in x and 7 not in x and x.is_floating_point() and not x.is_complex()
    assert gs.is_tensor(x) and gs.is_floating_point(x) and gs.numel(x) == 6
    assert gs.equal(x, x.clone()) and not gs.equal(x, x + 1) and not gs.equal(x, x.T)
    assert gs.int8.is_signed and not gs.uint8.is_signed and not gs.float32.is_complex
    assert gs.is_nonzero(gs.tensor(2)) and not gs.is_nonzero(gs.tensor([0.0]))
    assert gs.zeros(2, dtype=float).dtype is gs.float64


def test_numpys_names_of_arguments() -> None:
    x = gs.arange(6.0).reshape(2, 3)
    for name in ("sum", "mean", "prod", "amax", "var", "std", "any", "all", "argmax", "logsumexp"):
        function = getattr(gs, name)
        y = function(x, axis=1, keepdims=True)
        assert y.shape == (2, 1) and y.tolist() == function(x, dim=1, keepdim=True).tolist()
    assert x.max(axis=0).values.tolist() == [3.0, 4.0, 5.0]
    assert gs.cat([x, x], axis=1).shape == (2, 6) and gs.stack([x, x], axis=2).shape == (2, 3, 2)
    assert x.unsqueeze(axis=0).squeeze(axis=0).shape == (2, 3)
    assert gs.softmax(x, axis=0).shape == x.cumsum(axis=1).shape == (2, 3)
    assert np.sum(x).item() == 15.0 and np.mean(x, axis=0).tolist() == [1.5, 2.5, 3.5]
    with pytest.raises(TypeError, match="sum: dim and axis are one argument"):
        gs.sum(x, dim=0, axis=0)
