"""Initial values of parameters: each function fills a tensor in place and returns it.

None of them is recorded. Random numbers come from `generator`, by default the default generator.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd.grad_mode import no_grad
from ..random import Generator
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor by which a nonlinearity shrinks the standard deviation, to be made up for.

    Formula: linear, convolutions, sigmoid: 1; tanh: 5/3; relu: sqrt(2);
    leaky_relu: sqrt(2 / (1 + negative_slope^2)); selu: 3/4

    Args:
        param: leaky_relu's negative slope, 0.01 if None.

    Raises:
        ValueError: another nonlinearity, or a slope that is no number.

    Source: He et al. 2015 (relu); the values for tanh and selu are PyTorch's.
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(
                f"calculate_gain: leaky_relu's negative slope must be a number; got {param!r}"
            )
        return math.sqrt(2.0 / (1.0 + slope * slope))
    if nonlinearity == "selu":
        return 3.0 / 4.0
    raise ValueError(
        f"calculate_gain: nonlinearity must be one of {', '.join(_LINEAR)}, tanh, relu, "
        f"leaky_relu, selu; got {nonlinearity!r}"
    )


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output of a weight (out, in, *kernel), and the reverse."""
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ValueError(
            "init: fan in and fan out need a tensor of at least 2 dimensions; got shape "
            f"{shape} (for biases use zeros_ or uniform_)"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"init: mode must be 'fan_in' or 'fan_out'; got {mode!r}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode)]


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform random values in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal random values of this mean and standard deviation."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform random values that keep variances the same forward and backward.

    Formula: U(-a, a) with a = gain * sqrt(6 / (fan_in + fan_out))

    Shape: (out, in, *kernel)

    Raises:
        ValueError: a tensor of fewer than 2 dimensions.

    Source: Glorot & Bengio 2010, equation 16.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal random values that keep variances the same forward and backward.

    Formula: N(0, std^2) with std = gain * sqrt(2 / (fan_in + fan_out))

    Shape: (out, in, *kernel)

    Raises:
        ValueError: a tensor of fewer than 2 dimensions.

    Source: Glorot & Bengio 2010.
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    std = gain * math.sqrt(2.0 / (fan_in + fan_out)) if fan_in + fan_out else 0.0
    return normal_(tensor, 0.0, std, generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _fan(tensor, mode)
    gain = calculate_gain(nonlinearity, a)
    return gain / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform random values that keep variances the same through rectifiers.

    Formula: U(-bound, bound) with bound = gain * sqrt(3 / fan)

    Shape: (out, in, *kernel)

    Args:
        a: the rectifier's negative slope (leaky_relu).
        mode: 'fan_in' keeps variances forward, 'fan_out' backward.
        nonlinearity: as calculate_gain.

    Raises:
        ValueError: a tensor of fewer than 2 dimensions, another mode or nonlinearity.

    Source: He et al. 2015.
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal random values that keep variances the same through rectifiers.

    Formula: N(0, std^2) with std = gain / sqrt(fan)

    Shape: (out, in, *kernel)

    Args:
        a: the rectifier's negative slope (leaky_relu).
        mode: 'fan_in' keeps variances forward, 'fan_out' backward.
        nonlinearity: as calculate_gain.

    Raises:
        ValueError: a tensor of fewer than 2 dimensions, another mode or nonlinearity.

    Source: He et al. 2015.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)
