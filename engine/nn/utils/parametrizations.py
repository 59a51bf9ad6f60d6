"""weight_norm and spectral_norm as parametrizations, under PyTorch's state names."""

from __future__ import annotations

from typing import TypeVar

from ...ops.matmul import matmul
from ...ops.norm import normalize
from ...ops.random import randn
from ...tensor import Tensor
from ..module import Module
from .norms import as_matrix, direction_and_length, norm_except, power_iteration
from .parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]

_M = TypeVar("_M", bound=Module)


class _WeightNorm(Module):
    """A length times a direction."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return direction_and_length(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The length and the direction (the weight itself)."""
        return norm_except(weight, self.dim), weight


class _SpectralNorm(Module):
    """Division by the largest singular value."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        ndim = len(weight.shape)
        if not -ndim <= dim < ndim:
            raise IndexError(f"spectral_norm: dim must be in [{-ndim}, {ndim}); got {dim}")
        if n_power_iterations <= 0:
            raise ValueError(
                f"spectral_norm: n_power_iterations must be positive; got {n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            place = {"dtype": weight.dtype, "device": weight.device}
            for name, n in zip(("_u", "_v"), matrix.shape, strict=True):
                self.register_buffer(name, normalize(randn(n, **place), dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Tensor, count: int) -> None:
        # u of v first, as PyTorch: the roles are exchanged in the transposed matrix.
        power_iteration(matrix.t(), self._v, self._u, count, self.eps)

    def forward(self, weight: Tensor) -> Tensor:
        if len(weight.shape) == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next forward moves them again
        return weight / (u * matmul(matrix, v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself, which may not be of norm 1."""
        return value


def weight_norm(module: _M, name: str = "weight", dim: int | None = 0) -> _M:
    """Makes a parameter a length times a direction: w = g * v / |v|.

    State: parametrizations.<name>.original0 is g, original1 is v.

    Args:
        name: of the parameter.
        dim: the dimension each index of which has its length; None: one for all.

    Raises:
        ValueError: no such parameter.

    Source: Salimans & Kingma 2016.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    return module


def spectral_norm(
    module: _M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> _M:
    """Divides a parameter by its largest singular value; each use in training iterates.

    State: parametrizations.<name>.original is the parameter, 0._u and 0._v the vectors.

    Args:
        name: of the parameter.
        n_power_iterations: steps a use.
        eps: the least norm that is divided by.
        dim: of the outputs; default: 1 for transposed convolutions, else 0.

    Raises:
        ValueError: no such parameter, or n_power_iterations < 1.
        IndexError: dim out of range.

    Source: Miyato et al. 2018.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"spectral_norm: the module has no parameter {name!r}")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    hook = _SpectralNorm(weight, n_power_iterations, dim, eps)
    register_parametrization(module, name, hook)
    return module
