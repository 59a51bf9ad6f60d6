"""Convolution, its transpose and its gradients, for any number of spatial dimensions.

Everything follows from one relation: output position p meets input position
q = p * stride - padding + r * dilation through kernel element r. `_meetings` lists, for a kernel
element, the p and the q; the sums are then one einsum each.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

__all__ = [
    "conv",
    "conv_bwd_input",
    "conv_bwd_weight",
    "conv_bwd_weight_bias",
    "conv_transpose",
]


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    return values * n if len(values) != n else values


def _meetings(r: Any, in_size: Any, out_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Output positions whose input position under kernel element r is inside, and that position."""
    outs, ins = [], []
    for i in range(len(r)):
        p = np.arange(out_size[i])
        q = p * stride[i] - padding[i] + r[i] * dilation[i]
        inside = (q >= 0) & (q < in_size[i])
        outs.append(p[inside])
        ins.append(q[inside])
    return outs, ins


def _at(x: Any, positions: Any) -> Any:
    """x[:, :, positions of dim 2, positions of dim 3, ...]."""
    return x[np.ix_(np.arange(x.shape[0]), np.arange(x.shape[1]), *positions)]


def conv(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """y[n, o, p] = bias[o] + sum over c, r of x[n, c, q(p, r)] w[o, c, r]."""
    n = weight.ndim - 2
    if x.ndim == n + 1:
        return conv(x[None], weight, bias, stride, padding, dilation, groups)[0]
    stride, dilation = _tuple(stride, n), _tuple(dilation, n)
    kernel = weight.shape[2:]
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        x = np.pad(x, [(0, 0), (0, 0), *[(t // 2, t - t // 2) for t in total]])
        padding = 0
    if padding == "causal":
        padding = (((kernel[0] - 1) * dilation[0], 0),)
    if isinstance(padding, (tuple, list)) and isinstance(padding[0], (tuple, list)):
        x = np.pad(x, [(0, 0), (0, 0), *padding])
        padding = 0
    padding = (0,) * n if padding == "valid" else _tuple(padding, n)
    out_size = tuple(
        (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(n)
    )
    y = np.zeros((x.shape[0], weight.shape[0], *out_size), np.result_type(x, np.float64))
    c, o = weight.shape[1], weight.shape[0] // groups
    with np.errstate(all="ignore"):
        for r in product(*[range(k) for k in kernel]):
            outs, ins = _meetings(r, x.shape[2:], out_size, stride, padding, dilation)
            seen = _at(x, ins)
            for g in range(groups):
                w = weight[(slice(g * o, g * o + o), slice(None), *r)]
                part = np.einsum("nc...,oc->no...", seen[:, g * c : g * c + c], w)
                places = np.ix_(np.arange(x.shape[0]), np.arange(g * o, g * o + o), *outs)
                y[places] += part
    if bias is not None:
        y += bias.reshape(-1, *(1,) * n)
    return y


def conv_bwd_input(
    grad_y: Any,
    weight: Any,
    bias: Any,
    x_shape: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """grad_x[n, c, q] = sum over o and all p, r at q of grad_y[n, o, p] w[o, c, r] + bias[c]."""
    n = weight.ndim - 2
    stride, padding, dilation = (_tuple(v, n) for v in (stride, padding, dilation))
    grad_x = np.zeros(x_shape, np.result_type(grad_y, np.float64))
    c, o = weight.shape[1], weight.shape[0] // groups
    with np.errstate(all="ignore"):
        for r in product(*[range(k) for k in weight.shape[2:]]):
            outs, ins = _meetings(r, x_shape[2:], grad_y.shape[2:], stride, padding, dilation)
            seen = _at(grad_y, outs)
            for g in range(groups):
                w = weight[(slice(g * o, g * o + o), slice(None), *r)]
                part = np.einsum("no...,oc->nc...", seen[:, g * o : g * o + o], w)
                places = np.ix_(np.arange(x_shape[0]), np.arange(g * c, g * c + c), *ins)
                grad_x[places] += part
    if bias is not None:
        grad_x += bias.reshape(-1, *(1,) * n)
    return grad_x


def conv_bwd_weight(
    grad_y: Any,
    x: Any,
    weight_shape: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    """grad_w[o, c, r] = sum over n, p of grad_y[n, o, p] x[n, c, q(p, r)]."""
    n = x.ndim - 2
    stride, padding, dilation = (_tuple(v, n) for v in (stride, padding, dilation))
    grad_w = np.zeros(weight_shape, np.result_type(x, np.float64))
    c, o = weight_shape[1], weight_shape[0] // groups
    with np.errstate(all="ignore"):
        for r in product(*[range(k) for k in weight_shape[2:]]):
            outs, ins = _meetings(r, x.shape[2:], grad_y.shape[2:], stride, padding, dilation)
            seen_y, seen_x = _at(grad_y, outs), _at(x, ins)
            for g in range(groups):
                a = seen_y[:, g * o : g * o + o].reshape(len(seen_y), o, -1)
                b = seen_x[:, g * c : g * c + c].reshape(len(seen_x), c, -1)
                grad_w[(slice(g * o, g * o + o), slice(None), *r)] = np.einsum("nop,ncp->oc", a, b)
    return grad_w


def conv_bwd_weight_bias(grad_y: Any, x: Any, *, bias_shape: Any, **options: Any) -> Any:
    """The same, and the sums of grad_y over all dims but the channels."""
    with np.errstate(all="ignore"):
        grad_bias = grad_y.sum((0, *range(2, grad_y.ndim)), dtype=np.float64)
    return conv_bwd_weight(grad_y, x, **options), grad_bias.reshape(bias_shape)


def conv_transpose(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of conv in its input, used as a layer."""
    n = weight.ndim - 2
    if x.ndim == n + 1:
        args = (bias, stride, padding, output_padding, groups, dilation)
        return conv_transpose(x[None], weight, *args)[0]
    stride, padding, dilation = (_tuple(v, n) for v in (stride, padding, dilation))
    output_padding = _tuple(output_padding, n)
    size = tuple(
        (x.shape[2 + i] - 1) * stride[i]
        - 2 * padding[i]
        + dilation[i] * (weight.shape[2 + i] - 1)
        + output_padding[i]
        + 1
        for i in range(n)
    )
    shape = (x.shape[0], weight.shape[1] * groups, *size)
    return conv_bwd_input(x, weight, bias, shape, stride, padding, dilation, groups)
