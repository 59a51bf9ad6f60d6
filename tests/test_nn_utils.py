"""nn.utils: clipping of gradients, parameters as one vector."""

from __future__ import annotations

import math

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn
from gradsmith.kernels import table
from gradsmith.nn import utils
from gradsmith.testing.reference import optim as reference

SHAPES = [(3, 4), (7,), (), (2, 1, 5)]


def parameters(device="cpu", dtype=np.float32, strided=True):
    """Parameters with gradients, and the gradients' values; the first gradient is strided."""
    rng = np.random.default_rng(0)
    values = [np.asarray(rng.standard_normal(s), dtype) for s in SHAPES]
    params = []
    for i, v in enumerate(values):
        p = nn.Parameter(gs.tensor(np.zeros_like(v)).to(device))
        p.grad = gs.tensor(np.stack([v, v], -1)).to(device)[..., 0] if i == 0 else None
        if i:
            p.grad = gs.tensor(v).to(device)
        params.append(p)
    return [*params, nn.Parameter(gs.ones(2).to(device))], values


@pytest.mark.parametrize("norm_type", [2, 1, math.inf, -math.inf, 0, 3.5])
@pytest.mark.parametrize("max_norm", [0.7, 1e6])
def test_clip_grad_norm(norm_type, max_norm, device):
    params, values = parameters(device)
    before = [p.grad for p in params]
    norm = utils.clip_grad_norm_(params, max_norm, norm_type)
    wanted = reference.total_norm(values, norm_type)
    np.testing.assert_allclose(norm.item(), wanted, rtol=1e-5)
    share = min(1.0, max_norm / (wanted + 1e-6))
    for p, v, grad in zip(params, [*values, None], before, strict=True):
        assert p.grad is grad
        if v is not None:
            np.testing.assert_allclose(p.grad.cpu().numpy(), v * share, rtol=1e-5)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf, 0.0, 3.0])
def test_norms_are_torchs(norm_type):
    torch = pytest.importorskip("torch")
    _, values = parameters()
    values[1] = values[1].astype(np.float64)
    values[2] = np.zeros_like(values[2])
    ours = utils.get_total_norm([gs.tensor(v) for v in values], norm_type)
    theirs = torch.nn.utils.get_total_norm([torch.tensor(v) for v in values], norm_type)
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    np.testing.assert_allclose(ours.item(), theirs.item(), rtol=1e-5)
    ours, theirs = utils.get_total_norm([]), torch.nn.utils.get_total_norm([])
    assert ours.item() == theirs.item() == 0 and ours.shape == theirs.shape


def test_two_kernel_calls(monkeypatch):
    calls = []
    for name in ("total_norm", "clip_step"):
        kernel = getattr(table("cpu"), name)
        counted = lambda *args, n=name, k=kernel: calls.append(n) or k(*args)  # noqa: E731
        monkeypatch.setattr(table("cpu"), name, counted)
    params, _ = parameters()
    utils.clip_grad_norm_(params, 1.0)
    assert calls == ["total_norm", "clip_step"]


def test_norms_that_are_not_finite():
    params, values = parameters()
    params[1].grad[2] = math.nan
    with pytest.raises(RuntimeError, match="norm of order 2.0 must be finite; got nan"):
        utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[2].grad.item() == values[2]
    assert math.isnan(utils.clip_grad_norm_(params, 1.0).item())
    assert math.isnan(params[2].grad.item())


def test_clip_of_one_tensor_and_of_none():
    p = nn.Parameter(gs.ones(2))
    p.grad = gs.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_(p, 1.0).item() == 5
    assert p.grad.tolist() == pytest.approx([0.6, 0.8])
    utils.clip_grads_with_norm_(p, 0.5, gs.tensor(1.0))
    assert p.grad.tolist() == pytest.approx([0.3, 0.4], rel=1e-5)
    p.grad = None
    assert utils.clip_grad_norm_([p], 1.0).item() == 0
    utils.clip_grad_value_(p, 1.0)


def test_clip_grad_value(device):
    params, values = parameters(device)
    utils.clip_grad_value_(params, 0.5)
    for p, v in zip(params, values, strict=False):
        np.testing.assert_array_equal(p.grad.cpu().numpy(), np.clip(v, -0.5, 0.5))
    params[1].grad = gs.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 2.0]).to(device)
    utils.clip_grad_value_(iter(params), 1.5)
    np.testing.assert_array_equal(params[1].grad.cpu().numpy(), [math.nan, 1.5, -1.5, 0, 0, 1, 1.5])
    with pytest.raises(ValueError, match="clip_value must be >= 0; got -1"):
        utils.clip_grad_value_(params, -1)


def test_parameters_as_a_vector():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = utils.parameters_to_vector(model.parameters())
    assert tuple(vector.shape) == (13,) and vector.requires_grad
    other = gs.tensor([float(i) for i in range(13)])
    utils.vector_to_parameters(other, model.parameters())
    assert utils.parameters_to_vector(model.parameters()).tolist() == other.tolist()
    assert model[0].weight.requires_grad and model[0].weight.is_leaf
    other[0] = 50.0
    assert model[0].weight[0, 0].item() == 50.0  # a view, as in PyTorch
    with pytest.raises(RuntimeError, match="must have the parameters' 13 elements; got 12"):
        utils.vector_to_parameters(gs.ones(12), model.parameters())
    with pytest.raises(TypeError, match="vec must be a tensor; got list"):
        utils.vector_to_parameters([1.0], model.parameters())


def test_data_takes_another_tensors_memory():
    p = nn.Parameter(gs.ones(2))
    p.data = gs.zeros(3)
    assert p.tolist() == [0, 0, 0] and p.requires_grad and p.is_leaf
    with pytest.raises(TypeError, match="data: must be a tensor; got int"):
        p.data = 1
    with pytest.raises(RuntimeError, match="data: must be of dtype"):
        p.data = gs.zeros(3, dtype=gs.float64)
