"""CUDA optimizer steps and norms in the emulator, against the formulas in float64."""

import numpy as np
import pytest
from cuda_arrays import (
    FLOATS,
    K,
    device,
    emulated,  # noqa: F401 (a fixture for every test)
    every_float,
    host,
    layouts,
    rng,
)
from gradsmith.kernels.cuda import launch
from gradsmith.testing.reference import optim as reference

#: Sizes with a tail, of one block exactly, of several blocks; more tensors than one launch takes.
SIZES = [(3,), (4, 5), (4096,), (2, 2500), (0,), (1,)]
COMMON = (1.0, -1.0, 0.0, 0.0, 1.0)  # scale, clip_value, max_norm, weight_decay, shrink


def tensors(dtype, seed, sizes=SIZES):
    r = rng(seed)
    return [r.standard_normal(s).astype(dtype) for s in sizes]


def on_device(arrays):
    return [device(a) for a in arrays]


def assert_all_close(got, expected, dtype, what):
    bound = 1e-5 if dtype is np.float32 else 1e-13
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(host(g), e, rtol=bound, atol=bound, err_msg=what)


@every_float
@pytest.mark.parametrize("momentum,dampening,nesterov", [(0, 0, 0), (0.9, 0.1, 0), (0.8, 0, 1)])
@pytest.mark.parametrize("weight_decay,maximize", [(0.0, False), (0.1, True)])
def test_sgd_step(momentum, dampening, nesterov, weight_decay, maximize, dtype):
    p = tensors(dtype, 23)
    params = on_device(p)
    buffers = on_device([np.zeros_like(a) for a in p]) if momentum else []
    steps = [tensors(dtype, 24 + step) for step in range(3)]
    for step, grads in enumerate(steps):
        common = (-1.0 if maximize else 1.0, -1.0, 0.0, weight_decay, 1.0)
        hyper = np.array([*common, 0.05, momentum, 1 - dampening, nesterov, step == 0])
        K["sgd_step"](params, on_device(grads), buffers, [], [], None, hyper)
    options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov, "lr": 0.05}
    options |= {"weight_decay": weight_decay, "maximize": maximize}
    wanted = [
        reference.trajectory("SGD", a.astype(np.float64), [s[i] for s in steps], **options)
        for i, a in enumerate(p)
    ]
    assert_all_close(params, wanted, dtype, "params")


@every_float
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, np.inf, -np.inf])
def test_total_norm(dtype, norm_type):
    sizes = [s for s in SIZES if s != (0,)] + [(5,)] * 70
    arrays = tensors(dtype, 5, sizes)
    arrays[1] = arrays[1].astype(np.float32 if dtype is np.float64 else np.float64)
    y = device(np.zeros((), dtype))
    laid = [list(layouts(a))[i % 5][1] for i, a in enumerate(arrays)]
    K["total_norm"](laid, y, norm_type)
    bound = 3e-6 if dtype is np.float32 else 1e-9  # one array is float32
    np.testing.assert_allclose(host(y), reference.total_norm(arrays, norm_type), rtol=bound)


def test_norms_of_nothing_and_counts():
    y = device(np.ones((), np.float32))
    K["total_norm"]([], y, 2.0)
    assert host(y) == 0
    K["total_norm"]([device(np.array([0, 2, 0, -1], np.float32))], y, 0.0)
    assert host(y) == 2
    K["total_norm"]([device(np.array([0, np.nan], np.float32))], y, 2.0)
    assert np.isnan(host(y))


def test_a_norm_on_the_device_clips():
    grad = np.array([3.0, 4.0, 0.0], np.float32)
    hyper = np.array([1.0, -1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    for dtype in FLOATS:
        p = [device(np.zeros(3, np.float32))]
        K["sgd_step"](p, [device(grad)], [], [], [], device(np.array(5, dtype)), hyper)
        np.testing.assert_allclose(host(p[0]), -grad / 5, rtol=1e-6)


def test_many_tensors_of_two_dtypes_strided_and_unaligned():
    sizes = [(i % 7 + 1, 3) for i in range(150)]
    p = [a.astype(FLOATS[i % 2]) for i, a in enumerate(tensors(np.float64, 30, sizes))]
    g = [a.astype(FLOATS[i % 2]) for i, a in enumerate(tensors(np.float64, 31, sizes))]
    params, grads = on_device(p), []
    for i, a in enumerate(g):
        grads.append(list(layouts(a))[i % 5][1])
    flat = device(np.concatenate([np.zeros(1, np.float32), p[0].ravel()]))
    params[0] = flat[1:].reshape(p[0].shape)  # not aligned to 16 bytes
    params[2] = list(layouts(p[2]))[3][1]  # every other element
    before = launch.count
    hyper = np.array([*COMMON, 0.1, 0.0, 1.0, 0.0, 0.0])
    K["sgd_step"](params, grads, [], [], [], None, hyper)
    copies = sum(not a.flags.c_contiguous for a in grads) + 2  # and params[2] there and back
    assert launch.count - before == 4 + copies  # 75 tensors of each dtype, 64 a launch
    for got, a, b in zip(params, p, g, strict=True):
        np.testing.assert_allclose(host(got), a - a.dtype.type(0.1) * b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(host(flat)[0], 0)


def test_steps_of_nothing():
    hyper = np.array([*COMMON, 0.1, 0.9, 1.0, 0.0, 1.0])
    K["sgd_step"]([], [], [], [], [], None, hyper)
