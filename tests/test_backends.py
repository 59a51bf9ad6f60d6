"""gradsmith.backends: the settings of the kernels take effect."""

import gradsmith as gs
import numpy as np
import pytest


def test_isa_is_one_of_the_builds_and_can_be_set() -> None:
    before = gs.backends.cpu.isa()
    try:
        for name in gs.backends.cpu.isas():
            gs.backends.cpu.set_isa(name)
            assert gs.backends.cpu.isa() == name
            assert gs.ones(3).sum().item() == 3
    finally:
        gs.backends.cpu.set_isa(before)


def test_unknown_isa_names_the_builds() -> None:
    with pytest.raises(ValueError, match="this processor runs .*; got 'v9'"):
        gs.backends.cpu.set_isa("v9")


def test_tf32_rounds_operands_only_when_allowed(cuda: str) -> None:
    a = np.full((16, 16), 1 + 2.0**-12, np.float32)  # 12 bits of mantissa: tf32 keeps 10
    b = np.eye(16, dtype=np.float32)
    x, y = gs.from_numpy(a).to(cuda), gs.from_numpy(b).to(cuda)
    assert not gs.backends.cuda.matmul.allow_tf32
    assert ((x @ y).cpu().numpy() == a).all()
    gs.backends.cuda.matmul.allow_tf32 = True
    try:
        assert ((x @ y).cpu().numpy() == 1.0).all()
    finally:
        gs.backends.cuda.matmul.allow_tf32 = False
