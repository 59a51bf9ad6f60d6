"""PyTorch as a second opinion: values, gradients and refusals on the samples of every op."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import assert_close, to_numpy, tolerances
from gradsmith.testing.checks import outputs_of, place_all
from gradsmith.testing.opdb import ErrorSample, OpInfo, Sample, op_infos

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, about its own future

SHARED = [info for info in op_infos() if info.torch]
CASES = [
    pytest.param(info, sample, id=f"{info.name}-{sample.id}")
    for info in SHARED
    for sample in info.samples()
    if "torch_differs" not in sample.tags
]
ERRORS = [
    pytest.param(info, sample, id=f"{info.name}-{i}-{sample.id}")
    for info in SHARED
    for i, sample in enumerate(info.errors)
    if sample.torch
]


def torch_tensors(value: Any) -> Any:
    """NumPy arrays as torch tensors; a copy where torch cannot take the strides."""
    if isinstance(value, list):
        return [torch_tensors(v) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    if any(s < 0 for s in value.strides) or not value.flags.writeable:
        value = value.copy()
    return torch.from_numpy(value)


@pytest.mark.parametrize("info,sample", CASES)
def test_forward_equals_torch(info: OpInfo, sample: Sample) -> None:
    """In float32, within twice the tolerance against the reference: torch rounds too."""
    arrays = sample.build("float32")
    ours = outputs_of(info.call(gs, *place_all(arrays, "cpu"), **sample.options))
    theirs = outputs_of(from_torch(info, sample, torch_tensors(arrays)))
    assert len(ours) == len(theirs)
    bounds = tolerances.forward(info, sample, arrays, "float32")
    f = np.finfo(np.float32)
    # torch computes number / x as number * (1 / x), and loses results below the normal numbers.
    more_rtol = 2 * f.eps if any(isinstance(a, (int, float)) for a in arrays) else 0.0
    more_atol = f.tiny if "special" in sample.tags else 0.0
    for i, (y, t, (rtol, atol)) in enumerate(zip(ours, theirs, bounds, strict=True)):
        rtol, atol = 2 * rtol + more_rtol, 2 * atol + more_atol
        assert_close(y, t, rtol=rtol, atol=atol, name=f"{info.name} output {i}")


def from_torch(info: OpInfo, sample: Sample, tensors: list[Any]) -> Any:
    """torch's result; skips where torch refuses an empty input that has an empty result."""
    try:
        return info.call(torch, *tensors, **sample.options)
    except RuntimeError as error:
        if "empty" not in sample.tags:
            raise
        pytest.skip(f"torch: {str(error).splitlines()[0]}")


@pytest.mark.parametrize(
    "info,sample",
    [
        c
        for c in CASES
        if c.values[0].differentiable
        and not c.values[0].torch_gradient
        and c.values[1].has_gradient
    ],
)
def test_gradient_equals_torch(info: OpInfo, sample: Sample) -> None:
    """In float64, to about the rounding of float64."""
    arrays = sample.build("float64")
    flags = sample.gradient_flags()
    ours, theirs = place_all(arrays, "cpu"), torch_tensors(arrays)
    leaves, torch_leaves = [], []
    for tensors, found in ((ours, leaves), (theirs, torch_leaves)):
        for i, flag in enumerate(flags):
            if isinstance(flag, list):
                tensors[i] = [t.detach().requires_grad_() for t in tensors[i]]
                found += tensors[i]
            elif flag:
                tensors[i] = tensors[i].detach().requires_grad_()
                found.append(tensors[i])
    y = outputs_of(info.call(gs, *ours, **sample.options))[0]
    t = outputs_of(from_torch(info, sample, theirs))[0]
    seen = np.random.default_rng(3).standard_normal(tuple(y.shape))
    y.backward(gs.from_numpy(np.array(seen)))
    t.backward(torch.from_numpy(np.array(seen)))
    largest = max(x.numel() for x in [*leaves, y])
    upstream = float(np.max(np.abs(seen), initial=0.0))
    for i, (x, z) in enumerate(zip(leaves, torch_leaves, strict=True)):
        expected = to_numpy(z.grad)
        atol = 2 * tolerances.gradient("float64", expected, upstream, largest)
        assert_close(x.grad, expected, atol=atol, name=f"gradient {i}")


@pytest.mark.parametrize("info,sample", ERRORS)
def test_torch_refuses_it_too(info: OpInfo, sample: ErrorSample) -> None:
    """What we refuse, torch refuses: no error of ours forbids what PyTorch's users may do."""
    with pytest.raises(Exception):  # noqa: B017  torch's types vary; that it refuses is the point
        info.call(torch, *torch_tensors(Sample(sample.inputs).build("float64")), **sample.options)


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "amax",
        "bmm",
        "cat",
        "clone",
        "div",
        "exp",
        "flatten",
        "full",
        "log",
        "matmul",
        "max",
        "mean",
        "mm",
        "movedim",
        "mul",
        "neg",
        "ones",
        "permute",
        "relu",
        "reshape",
        "sigmoid",
        "squeeze",
        "sub",
        "sum",
        "tanh",
        "tensor",
        "transpose",
        "unsqueeze",
        "zeros",
    ],
)
def test_names_are_torchs(name: str) -> None:
    assert callable(getattr(gs, name)) and callable(getattr(torch, name))
