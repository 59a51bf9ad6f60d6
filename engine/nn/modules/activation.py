"""Activations with options, one layer each; ReLU, Sigmoid and Tanh are in elementwise.py."""

from __future__ import annotations

from typing import Any

from ...ops import creation
from ...tensor import Parameter, Tensor
from .. import functional as F
from ..module import Module

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "Maxout",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanhshrink",
    "Threshold",
]


def _in_place(module: Any) -> str:
    return ", inplace=True" if module.inplace else ""


class ReLU6(Module):
    """The rectified linear unit with a ceiling.

    Formula: y = min(max(x, 0), 6)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """The rectified linear unit with a slope below 0.

    Formula: y = x where x > 0, else negative_slope * x

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"negative_slope={self.negative_slope}" + _in_place(self)


class RReLU(Module):
    """The rectified linear unit with slopes below 0 that are random in training.

    Formula: y = x where x > 0, else r * x, r uniform in [lower, upper), or their mean in evaluation

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Xu et al. 2015.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"lower={self.lower}, upper={self.upper}" + _in_place(self)


class ELU(Module):
    """The exponential linear unit.

    Formula: y = x where x > 0, else alpha * (e^x - 1)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Clevert et al. 2015.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"alpha={self.alpha}" + _in_place(self)


class CELU(Module):
    """The exponential linear unit whose slope is continuous for every alpha.

    Formula: y = x where x > 0, else alpha * (e^(x / alpha) - 1)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Barron 2017.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"alpha={self.alpha}" + _in_place(self)


class SELU(Module):
    """The scaled exponential linear unit of self-normalising networks.

    Formula: y = scale * (x where x > 0, else alpha * (e^x - 1)), scale = 1.0507...,
    alpha = 1.6732...

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Klambauer et al. 2017.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class GELU(Module):
    """The Gaussian error linear unit.

    Formula: y = x * P(X <= x), X normal, or its approximation with tanh

    Shape: unchanged.

    Args:
        approximate: 'none' or 'tanh'.

    Source: Hendrycks & Gimpel 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The options."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """The sigmoid linear unit, also called swish.

    Formula: y = x / (1 + e^-x)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Elfwing et al. 2017.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """Mish, a smooth activation without monotony.

    Formula: y = x * tanh(ln(1 + e^x))

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Misra 2019.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        """Whether it is in place."""
        return "inplace=True" if self.inplace else ""


class LogSigmoid(Module):
    """The logarithm of the logistic function.

    Formula: y = -ln(1 + e^-x)

    Shape: unchanged.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Hardsigmoid(Module):
    """A sigmoid of three straight pieces.

    Formula: y = min(max(x + 3, 0), 6) / 6

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardtanh(Module):
    """The input held between two values.

    Formula: y = min(max(x, min_val), max_val)

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not max_val > min_val:
            raise ValueError(
                f"Hardtanh: max_val must be larger than min_val; got {min_val}, {max_val}"
            )
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + _in_place(self)


class Hardswish(Module):
    """SiLU with a sigmoid of three straight pieces.

    Formula: y = x * min(max(x + 3, 0), 6) / 6

    Shape: unchanged.

    Args:
        inplace: write the result into the input.

    Source: Howard et al. 2019.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Softplus(Module):
    """A smooth form of the rectified linear unit.

    Formula: y = ln(1 + e^(beta * x)) / beta; x itself where beta * x > threshold

    Shape: unchanged.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The options."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """A sigmoid without an exponential.

    Formula: y = x / (1 + |x|)

    Shape: unchanged.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Softshrink(Module):
    """The input moved towards 0 by lambd, and 0 within it.

    Formula: y = x - sign(x) * lambd where |x| > lambd, else 0

    Shape: unchanged.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The options."""
        return str(self.lambd)


class Hardshrink(Module):
    """The input, and 0 within lambd of 0.

    Formula: y = x where |x| > lambd, else 0

    Shape: unchanged.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.lambd}"


class Tanhshrink(Module):
    """The input less its hyperbolic tangent.

    Formula: y = x - tanh x

    Shape: unchanged.
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Threshold(Module):
    """The input above a threshold, a value elsewhere.

    Formula: y = x where x > threshold, else value

    Shape: unchanged.

    Args:
        inplace: write the result into the input.
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The options."""
        return f"threshold={self.threshold}, value={self.value}" + _in_place(self)


class GLU(Module):
    """The gated linear unit.

    Formula: y = a / (1 + e^-b), a and b the halves of x along dim

    Shape: (..., 2 n, ...) -> (..., n, ...)

    Source: Dauphin et al. 2016.
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The options."""
        return f"dim={self.dim}"


class Maxout(Module):
    """The largest of every `pieces` neighbouring channels. PyTorch has no such layer.

    Formula: y[c] = max over j < pieces of x[c * pieces + j]

    Shape: (N, C, ...) -> (N, C / pieces, ...)

    Source: Goodfellow et al. 2013.
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        super().__init__()
        self.pieces = pieces
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        """The options."""
        return f"pieces={self.pieces}, dim={self.dim}"


class Softmax(Module):
    """Exponentials that sum to 1 along a dimension.

    Formula: y = e^x / sum of e^x along dim

    Shape: unchanged.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The options."""
        return f"dim={self.dim}"


class Softmin(Module):
    """Softmax of the negative input.

    Formula: y = e^-x / sum of e^-x along dim

    Shape: unchanged.
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        """The options."""
        return f"dim={self.dim}"


class PReLU(Module):
    """The rectified linear unit with learned slopes below 0.

    Formula: y = x where x > 0, else weight * x

    Shape: unchanged; weight (num_parameters,).

    Args:
        num_parameters: 1, or the size of dim 1.
        init: the slopes' first value.

    Source: He et al. 2015.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(creation.full((num_parameters,), init, dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """Sets the slopes to `init`."""
        self.weight.detach().fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The options."""
        return f"num_parameters={self.num_parameters}"


class Softmax2d(Module):
    """Softmax over the channels of an image.

    Formula: y = e^x / sum of e^x over the channels

    Shape: (N, C, H, W) or (C, H, W), unchanged.

    Raises:
        ValueError: another number of dimensions.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: input must have 3 or 4 dimensions; got shape {tuple(input.shape)}"
            )
        return F.softmax(input, -3)
