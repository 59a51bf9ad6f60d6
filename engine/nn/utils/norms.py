"""weight_norm and spectral_norm: a parameter as a function of others, before every forward."""

from __future__ import annotations

from typing import Any, TypeVar

from ...autograd.grad_mode import no_grad
from ...ops import math
from ...ops.matmul import matmul
from ...ops.norm import normalize
from ...ops.random import randn
from ...tensor import Parameter, Tensor
from ..module import Module

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

_M = TypeVar("_M", bound=Module)


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dimensions but dim, which stay as 1; over all for None or -1."""
    if dim is None or dim == -1:
        return math.sqrt((v * v).sum())
    kept = dim % len(v.shape)
    others = tuple(d for d in range(len(v.shape)) if d != kept)
    squares = v * v
    return math.sqrt(squares.sum(others, keepdim=True) if others else squares)


def direction_and_length(v: Tensor, g: Tensor, dim: int | None) -> Tensor:
    """g * v / |v|."""
    return v * (g / norm_except(v, dim))


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with dim as rows and everything else as columns."""
    if dim != 0:
        order = (dim, *(d for d in range(len(weight.shape)) if d != dim))
        weight = weight.permute(*order)
    return weight.reshape((weight.shape[0], -1))


def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, count: int, eps: float) -> None:
    """Moves u and v, in place, towards the first singular vectors."""
    with no_grad():
        matrix = matrix.detach()
        for _ in range(count):
            v.copy_(normalize(matmul(matrix.t(), u), dim=0, eps=eps))
            u.copy_(normalize(matmul(matrix, v), dim=0, eps=eps))


class _WeightNorm:
    """The hook of weight_norm."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    def compute(self, module: Any) -> Tensor:
        """The weight."""
        v, g = getattr(module, self.name + "_v"), getattr(module, self.name + "_g")
        return direction_and_length(v, g, self.dim)

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module))


class _SpectralNorm:
    """The hook of spectral_norm."""

    def __init__(self, name: str, count: int, eps: float, dim: int) -> None:
        self.name = name
        self.count = count
        self.eps = eps
        self.dim = dim

    def compute(self, module: Any, iterate: bool) -> Tensor:
        """The weight, after the power iterations if wanted."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(weight, self.dim)
        if iterate and self.count:
            power_iteration(matrix, u, v, self.count, self.eps)
            u, v = u.clone(), v.clone()  # the next forward moves them again
        return weight / (u * matmul(matrix, v)).sum()

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))


def _hook(module: Module, kind: type, name: str) -> tuple[int, Any] | None:
    """The number and the hook of this kind on a parameter."""
    hooks = module._hooks
    for number, (hook, _) in hooks.before.items() if hooks is not None else ():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            return number, hook
    return None


def _parameter(function: str, module: Module, kind: type, name: str) -> Parameter:
    if _hook(module, kind, name):
        raise RuntimeError(f"{function}: parameter {name!r} has one already")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"{function}: the module has no parameter {name!r}")
    return weight


def weight_norm(module: _M, name: str = "weight", dim: int | None = 0) -> _M:
    """Makes a parameter a length times a direction: w = g * v / |v|, before every forward.

    The parameter `name` is replaced by `name_g` and `name_v`. (parametrizations.weight_norm keeps
    them as parametrizations.<name>.original0 and original1.)

    Args:
        name: of the parameter.
        dim: the dimension each index of which has its length; None: one for all.

    Raises:
        RuntimeError: it has weight_norm already.
        ValueError: no such parameter.

    Source: Salimans & Kingma 2016.
    """
    weight = _parameter("weight_norm", module, _WeightNorm, name)
    hook = _WeightNorm(name, dim)
    delattr(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except(weight.detach(), dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: _M, name: str = "weight") -> _M:
    """Makes the parameter one of its own again, with its present value.

    Raises:
        ValueError: it has no weight_norm.
    """
    found = _hook(module, _WeightNorm, name)
    if found is None:
        raise ValueError(f"remove_weight_norm: parameter {name!r} has no weight_norm")
    value = found[1].compute(module).detach()
    for attribute in (name, name + "_g", name + "_v"):
        delattr(module, attribute)
    module.register_parameter(name, Parameter(value))
    del module._hooks.before[found[0]]  # type: ignore[union-attr]
    return module


def spectral_norm(
    module: _M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> _M:
    """Divides a parameter by its largest singular value, before every forward.

    In training each forward takes some steps of the power iteration. The parameter `name` is
    replaced by `name_orig`, with the buffers `name_u` and `name_v`. (parametrizations.spectral_norm
    keeps them as parametrizations.<name>.original, 0._u and 0._v.)

    Args:
        name: of the parameter.
        n_power_iterations: steps a forward.
        eps: the least norm that is divided by.
        dim: of the outputs; default: 1 for transposed convolutions, else 0.

    Raises:
        RuntimeError: it has spectral_norm already.
        ValueError: no such parameter.

    Source: Miyato et al. 2018.
    """
    weight = _parameter("spectral_norm", module, _SpectralNorm, name)
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    hook = _SpectralNorm(name, n_power_iterations, eps, dim)
    matrix = as_matrix(weight.detach(), dim)
    place = {"dtype": weight.dtype, "device": weight.device}
    u, v = (normalize(randn(n, **place), dim=0, eps=eps) for n in matrix.shape)
    delattr(module, name)
    module.register_parameter(name + "_orig", Parameter(weight.detach()))
    setattr(module, name, weight.detach())
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: _M, name: str = "weight") -> _M:
    """Makes the parameter one of its own again, with its present value.

    Raises:
        ValueError: it has no spectral_norm.
    """
    found = _hook(module, _SpectralNorm, name)
    if found is None:
        raise ValueError(f"remove_spectral_norm: parameter {name!r} has no spectral_norm")
    with no_grad():
        value = found[1].compute(module, False).detach()
    for attribute in (name, name + "_u", name + "_v", name + "_orig"):
        delattr(module, attribute)
    module.register_parameter(name, Parameter(value))
    del module._hooks.before[found[0]]  # type: ignore[union-attr]
    return module
