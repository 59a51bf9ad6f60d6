"""Every op on every sample: forward against the float64 reference, inputs unchanged."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.autograd.op import OPS
from gradsmith.testing import assert_close
from gradsmith.testing.checks import check_forward, place_all
from gradsmith.testing.opdb import OpInfo, Sample, op_infos, place
from gradsmith.testing.opdb import conv as conv_samples
from gradsmith.testing.opdb import pool as pool_samples
from gradsmith.testing.reference import conv as conv_reference
from gradsmith.testing.reference import pool as pool_reference

CASES = [
    pytest.param(info, sample, id=f"{info.name}-{sample.id}")
    for info in op_infos()
    for sample in info.samples()
]


EXACT = {"rtol": 0.0, "atol": 0.0}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("info,sample", CASES)
def test_forward(info: OpInfo, sample: Sample, dtype: str) -> None:
    assert dtype in info.dtypes
    check_forward(info, sample, dtype, "cpu")


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conv_grid_is_exact(n: int, dtype: str) -> None:
    """Small integers: forward and all three gradients equal the reference, tolerance zero."""
    for sample in conv_samples.grid(n):
        check_conv_exactly(n, sample, dtype, "cpu")


def check_conv_exactly(n: int, sample: Sample, dtype: str, device: str) -> None:
    """Forward and gradients of one convolution of integers."""
    arrays = sample.build(dtype)
    x, w, b = (t.requires_grad_() for t in place_all(arrays, device))
    y = getattr(gs.nn.functional, f"conv{n}d")(x, w, b, **sample.options)
    wide = [a.astype(np.float64) for a in arrays]
    assert_close(
        y.detach(),
        conv_reference.conv(*wide, **sample.options).astype(dtype),
        rtol=0.0,
        atol=0.0,
        name="y",
    )
    seen = np.random.default_rng(n).integers(-2, 3, tuple(y.shape)).astype(dtype)
    y.backward(place(seen, device))
    options = [
        (v,) * n if isinstance(v, int) else v
        for v in (sample.options[key] for key in ("stride", "padding", "dilation"))
    ]
    options[1] = tuple(p[0] if isinstance(p, tuple) else p for p in options[1])  # before, behind
    options.append(sample.options["groups"])
    wide_seen = seen.astype(np.float64)
    grads = (
        conv_reference.conv_bwd_input(wide_seen, wide[1], None, wide[0].shape, *options),
        conv_reference.conv_bwd_weight(wide_seen, wide[0], wide[1].shape, *options),
        wide_seen.sum(axis=(0, *range(2, n + 2))),
    )
    for t, expected, name in zip((x, w, b), grads, ("x", "weight", "bias"), strict=True):
        assert_close(
            t.grad,
            expected.astype(dtype),
            rtol=0.0,
            atol=0.0,
            name=f"grad of {name} of {sample.id}",
        )


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conv_transpose_grid_is_exact(n: int, dtype: str) -> None:
    for sample in conv_samples.transpose_grid(n):
        arrays = sample.build(dtype)
        tensors = place_all(arrays, "cpu")
        y = getattr(gs.nn.functional, f"conv_transpose{n}d")(*tensors, **sample.options)
        wide = [a.astype(np.float64) for a in arrays]
        expected = conv_reference.conv_transpose(*wide, **sample.options).astype(dtype)
        assert_close(y, expected, **EXACT, name=sample.id)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_max_pool_grid_is_exact(n: int, dtype: str) -> None:
    """Small integers, full of ties: values, first indices and gradient, tolerance zero."""
    for sample in pool_samples.grid(n):
        (array,) = sample.build(dtype)
        x = place(array, "cpu").requires_grad_()
        y, indices = getattr(gs.nn.functional, f"max_pool{n}d")(x, **sample.options)
        options = {k: v for k, v in sample.options.items() if k != "return_indices"}
        expected, places = pool_reference.max_pool(array.astype(np.float64), n=n, **options)
        assert_close(y.detach(), expected.astype(dtype), **EXACT, name=sample.id)
        assert_close(indices, places, name=f"indices of {sample.id}")
        seen = np.random.default_rng(n).integers(-2, 3, y.shape).astype(dtype)
        y.backward(place(seen, "cpu"))
        grad = pool_reference.max_pool_bwd(seen.astype(np.float64), places, array.shape)
        assert_close(x.grad, grad.astype(dtype), **EXACT, name=f"gradient of {sample.id}")


def test_every_op_is_covered() -> None:
    """Every op record has samples, with a reference; every difference has its reason."""
    covered = {name for info in op_infos() for name in info.covers}
    assert covered == set(OPS), (
        f"without samples: {sorted(set(OPS) - covered)}; unknown: {sorted(covered - set(OPS))}"
    )
    for info in op_infos():
        assert info.samples(), info.name
        assert info.second or info.second_reason, info.name
        assert info.widen == 1.0 or info.exception, info.name


def test_every_family_has_the_hard_inputs() -> None:
    """Empty, size-1, odd, strided, negative-stride, expanded and extreme inputs in each family."""
    wanted = {"empty", "size1", "odd", "strided", "negative", "expanded", "special"}
    families: dict[str, set[str]] = {}
    for info in op_infos():
        if not info.covers:
            continue
        tags = families.setdefault(OPS[info.covers[0]].forward.__module__.rsplit(".", 1)[1], set())
        for sample in info.samples():
            tags |= sample.tags
    for family in ("elementwise", "reduce", "matmul", "conv", "pool", "loss"):
        missing = wanted - families[family]
        assert not missing, f"{family} lacks {sorted(missing)}"


def test_sample_ids_are_unique() -> None:
    for info in op_infos():
        ids = [sample.id for sample in info.samples()]
        assert len(set(ids)) == len(ids), info.name
