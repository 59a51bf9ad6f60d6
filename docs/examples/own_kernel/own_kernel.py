"""Root-mean-square normalisation in NumPy, with its gradient."""

import numpy as np

EPS = 1e-6


def rms_norm(x, weight):
    """x / sqrt(mean(x^2) + EPS) * weight, over the last dim."""
    r = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPS)
    return x * r * weight


def rms_norm_vjp(grad_y, x, weight):
    """The gradients of x and weight, for the gradient of y."""
    r = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPS)
    g = grad_y * weight
    grad_x = r * g - x * r**3 * np.mean(g * x, axis=-1, keepdims=True)
    grad_weight = np.sum(grad_y * x * r, axis=tuple(range(x.ndim - 1)))
    return grad_x, grad_weight
