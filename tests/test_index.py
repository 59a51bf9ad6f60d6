"""Indexing where PyTorch is the measure and finite differences are none."""

from __future__ import annotations

from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.nn import functional as F

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    "options", [{"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True}]
)
def test_gradient_of_an_embedding(options: dict[str, Any], device: str) -> None:
    rng = np.random.default_rng(1)
    index, weight = rng.integers(0, 6, (4, 5)), rng.standard_normal((6, 3))
    ours = gs.from_numpy(weight.copy()).to(device).requires_grad_()
    theirs = torch.from_numpy(weight).requires_grad_()
    y = F.embedding(gs.from_numpy(index).to(device), ours, **options)
    t = torch.nn.functional.embedding(torch.from_numpy(index), theirs, **options)
    (y * y).sum().backward()
    (t * t).sum().backward()
    assert ours.grad is not None
    assert np.allclose(ours.grad.cpu().numpy(), theirs.grad.numpy(), rtol=1e-12)
