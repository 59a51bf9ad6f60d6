"""Initial values of parameters: each function fills a tensor in place and returns it.

None of them is recorded. Random numbers come from `generator`, by default the default generator.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..dtype import float64
from ..ops.choose import where
from ..ops.creation import empty, from_numpy
from ..ops.matmul import matmul
from ..random import Generator
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
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


def _filled(tensor: Tensor, values: np.ndarray[Any, Any]) -> Tensor:
    """The tensor with these values of the host."""
    with no_grad():
        return tensor.copy_(from_numpy(values).to(dtype=tensor.dtype, device=tensor.device))


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: 1 on the diagonal, 0 elsewhere.

    Shape: (rows, columns)

    Raises:
        ValueError: a tensor that is not 2-dimensional.
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: tensor must be 2-dimensional; got shape {tuple(tensor.shape)}")
    values = np.zeros(tuple(tensor.shape), np.float32)
    for i in range(min(values.shape)):
        values[i, i] = 1.0
    return _filled(tensor, values)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight that keeps as many channels as it can as they are.

    Shape: (out, in, *kernel) with 1 to 3 kernel dimensions

    Args:
        tensor: the weight.
        groups: of the convolution; each group keeps its own channels.

    Raises:
        ValueError: another number of dimensions, or out that is no multiple of groups.
    """
    shape = tuple(tensor.shape)
    if len(shape) not in (3, 4, 5):
        raise ValueError(f"dirac_: tensor must have 3, 4 or 5 dimensions; got shape {shape}")
    if shape[0] % groups:
        raise ValueError(
            f"dirac_: shape[0] must be a multiple of groups; got {shape[0]}, groups={groups}"
        )
    values = np.zeros(shape, np.float32)
    each = shape[0] // groups
    centre = tuple([n // 2 for n in shape[2:]])
    for group in range(groups):
        for channel in range(min(each, shape[1])):
            values[(group * each + channel, channel, *centre)] = 1.0
    return _filled(tensor, values)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal random values, drawn again where they are outside of [a, b].

    Args:
        tensor: what is filled.
        mean, std: of the normal distribution before it is cut.
        a, b: the smallest and largest value.
        generator: default: the default generator.

    Raises:
        ValueError: a > b, an interval at infinity, std <= 0, or mean or std is not finite.

    Source: Robert 1995, Simulation of truncated normal variables: values are drawn from another
    distribution and accepted with the share of its density that the normal one has there. Where
    [a, b] holds much of the distribution that is the normal one, where it is narrow around the mean
    the uniform one, and in a tail the exponential one that touches the density at the tail's begin.
    """
    if not a <= b or a == math.inf or b == -math.inf or not std > 0:
        raise ValueError(f"trunc_normal_: a must be <= b and std > 0; got a={a}, b={b}, std={std}")
    if not math.isfinite(mean) or not math.isfinite(std):
        raise ValueError(f"trunc_normal_: mean and std must be finite; got mean={mean}, std={std}")
    low, high = (a - mean) / std, (b - mean) / std
    mirrored = high < 0.0
    if mirrored:
        low, high = -high, -low
    inside = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    shape = tuple(tensor.shape)

    def uniform() -> Tensor:
        drawn = empty(shape, dtype=tensor.dtype, device=tensor.device)
        return drawn.uniform_(0.0, 1.0, generator=generator)

    def draw() -> tuple[Tensor, Tensor]:
        """Values of [low, high], and which of them are accepted."""
        if inside > 0.25:
            drawn = empty(shape, dtype=tensor.dtype, device=tensor.device)
            drawn.normal_(0.0, 1.0, generator=generator)
            return drawn, (drawn >= low) & (drawn <= high)
        if low < 0.5:
            drawn = uniform() * (high - low) + low
            top = max(0.0, low) ** 2
            return drawn, uniform() <= ((drawn * drawn - top) * -0.5).exp()
        # The inverse of the exponential distribution's function on [0, high - low], of rate low.
        above = (uniform() * math.expm1(-low * (high - low))).log1p() * (-1.0 / low)
        return above + low, uniform() <= (above * above * -0.5).exp()

    with no_grad():
        values = empty(shape, dtype=tensor.dtype, device=tensor.device)
        pending = None
        while pending is None or pending.float().sum().item() > 0:
            fresh, accepted = draw()
            if pending is None:
                values.copy_(fresh)
                pending = ~accepted
            else:
                values.copy_(where(pending & accepted, fresh, values))
                pending = pending & ~accepted
        return tensor.copy_((values * (-std if mirrored else std) + mean).clamp(a, b))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix whose rows, or columns if there are fewer, are orthonormal, times gain.

    Shape: (rows, *), the other dimensions taken as one

    Args:
        tensor: the weight, of at least 2 dimensions.
        gain: a factor.
        generator: default: the default generator.

    Raises:
        ValueError: a tensor of fewer than 2 dimensions.

    Source: Saxe et al. 2013. Gram-Schmidt in float64, each vector twice ("twice is enough",
    Giraud et al. 2005), of normal vectors: all directions are equally likely.
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: tensor must have at least 2 dimensions; got shape {tuple(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows, columns = int(tensor.shape[0]), tensor.numel() // int(tensor.shape[0])
    count, length = min(rows, columns), max(rows, columns)
    with no_grad():
        basis = empty((count, length), dtype=float64, device=tensor.device)
        basis.normal_(0.0, 1.0, generator=generator)
        for i in range(count):
            row = basis[i : i + 1]
            for _ in range(2):
                if i:
                    done = basis[:i]
                    row.copy_(row - matmul(matmul(row, done.transpose(0, 1)), done))
                row.copy_(row * (1.0 / math.sqrt((row * row).sum().item())))
        values = basis if rows <= columns else basis.transpose(0, 1)
        return tensor.copy_((values * gain).reshape(tuple(tensor.shape)).to(tensor.dtype))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal random values, a share of each column set to 0.

    Shape: (rows, columns)

    Args:
        tensor: the weight.
        sparsity: the share of each column that is 0, rounded up to whole elements.
        std: the standard deviation of the others.
        generator: default: the default generator.

    Raises:
        ValueError: a tensor that is not 2-dimensional, or a share outside of [0, 1].

    Source: Martens 2010, Deep learning via Hessian-free optimization.
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: tensor must be 2-dimensional; got shape {tuple(tensor.shape)}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be in [0, 1]; got {sparsity}")
    from ..utils.data.sampler import permutation

    rows, columns = int(tensor.shape[0]), int(tensor.shape[1])
    kept = np.zeros((rows, columns), np.float32)
    for column in range(columns):
        for row in permutation(rows, generator)[math.ceil(sparsity * rows) :]:
            kept[row, column] = 1.0
    with no_grad():
        tensor.normal_(0.0, std, generator=generator)
        mask = from_numpy(kept).to(dtype=tensor.dtype, device=tensor.device)
        return tensor.copy_(tensor * mask)
