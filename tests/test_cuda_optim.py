"""CUDA optimizer steps in the emulator, against the formulas in float64."""

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

#: Sizes with a tail, of one block exactly, of several blocks; more tensors than one launch takes.
SIZES = [(3,), (4, 5), (4096,), (2, 2500), (0,), (1,)]


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
    p = [a.astype(np.float64) for a in tensors(dtype, 23)]
    b = [np.zeros_like(a) for a in p]
    params = on_device([a.astype(dtype) for a in p])
    buffers = on_device([a.astype(dtype) for a in b]) if momentum else []
    hyper = np.array([0.05, 1.0])
    for step in range(3):
        grads = tensors(dtype, 24 + step)
        options = (momentum, dampening, weight_decay, bool(nesterov), maximize, step == 0)
        K["sgd_step"](params, on_device(grads), buffers, hyper, *options)
        for i, grad in enumerate(grads):
            g = grad.astype(np.float64) * (-1 if maximize else 1) + weight_decay * p[i]
            if momentum:
                b[i] = g if step == 0 else momentum * b[i] + (1 - dampening) * g
                g = g + momentum * b[i] if nesterov else b[i]
            p[i] = p[i] - 0.05 * g
    assert_all_close(params, p, dtype, "params")
    if momentum:
        assert_all_close(buffers, b, dtype, "momentum_buffers")


@every_float
@pytest.mark.parametrize("weight_decay,decoupled,maximize", [(0, 0, 0), (0.1, 0, 1), (0.1, 1, 0)])
def test_adam_step(weight_decay, decoupled, maximize, dtype):
    beta1, beta2, eps, lr = 0.9, 0.99, 1e-8, 0.02
    p = [a.astype(np.float64) for a in tensors(dtype, 25)]
    m, v = [np.zeros_like(a) for a in p], [np.zeros_like(a) for a in p]
    params, ms, vs = (on_device([a.astype(dtype) for a in arrays]) for arrays in (p, m, v))
    for step in range(1, 4):
        grads = tensors(dtype, 26 + step)
        hyper = np.array([lr, step])
        options = (beta1, beta2, eps, weight_decay, bool(decoupled), bool(maximize))
        K["adam_step"](params, on_device(grads), ms, vs, hyper, *options)
        for i, grad in enumerate(grads):
            g = grad.astype(np.float64) * (-1 if maximize else 1)
            if decoupled:
                p[i] = p[i] * (1 - lr * weight_decay)
            else:
                g = g + weight_decay * p[i]
            m[i] += (1 - beta1) * (g - m[i])
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            root = np.sqrt(v[i]) / np.sqrt(1 - beta2**step) + eps
            p[i] = p[i] - lr / (1 - beta1**step) * m[i] / root
    for got, expected, name in ((params, p, "params"), (ms, m, "exp_avgs"), (vs, v, "exp_avg_sqs")):
        assert_all_close(got, expected, dtype, name)


def test_many_tensors_of_two_dtypes_strided_and_unaligned():
    sizes = [(i % 7 + 1, 3) for i in range(150)]
    p = [a.astype(FLOATS[i % 2]) for i, a in enumerate(tensors(np.float64, 30, sizes))]
    g = [a.astype(FLOATS[i % 2]) for i, a in enumerate(tensors(np.float64, 31, sizes))]
    params, grads = on_device(p), []
    for i, a in enumerate(g):
        grads.append(list(layouts(a))[i % 5][1])
    flat = device(np.concatenate([np.zeros(1, np.float32), p[0].ravel()]))
    params[0] = flat[1:].reshape(p[0].shape)  # not aligned to 16 bytes
    before = launch.count
    K["sgd_step"](params, grads, [], np.array([0.1, 1.0]), 0.0, 0.0, 0.0, False, False, True)
    copies = sum(not a.flags.c_contiguous for a in grads)
    assert launch.count - before == 4 + copies  # 75 tensors of each dtype, 64 a launch
    for got, a, b in zip(params, p, g, strict=True):
        np.testing.assert_allclose(host(got), a - a.dtype.type(0.1) * b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(host(flat)[0], 0)


def test_steps_of_nothing():
    hyper = np.array([0.1, 1.0])
    K["sgd_step"]([], [], [], hyper, 0.9, 0.0, 0.0, False, False, True)
    K["adam_step"]([], [], [], [], hyper, 0.9, 0.99, 1e-8, 0.0, False, False)
