"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dtype import int64
from ...ops import creation
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


class _Norm(Module):
    """What batch and instance normalisation share: the parameters and the running statistics."""

    #: Numbers of dimensions of an input.
    ndims: tuple[int, ...] = ()
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        place = {"device": device, "dtype": dtype}
        for name, there in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(creation.empty(num_features, **place)) if there else None
            self.register_parameter(name, value)
        for name in ("running_mean", "running_var"):
            value = creation.zeros(num_features, **place) if track_running_stats else None
            self.register_buffer(name, value)
        count = creation.zeros((), dtype=int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Starts the running statistics over: mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()  # type: ignore[union-attr]
            self.running_var.fill_(1.0)  # type: ignore[union-attr]
            self.num_batches_tracked.zero_()  # type: ignore[union-attr]

    def reset_parameters(self) -> None:
        """Starts over: weight 1, bias 0, and the running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, input: Any) -> None:
        ndim = len(input.shape)
        if ndim not in self.ndims:
            wanted = " or ".join(map(str, self.ndims))
            raise ValueError(
                f"{type(self).__name__}: input must have {wanted} dimensions; "
                f"got {tuple(input.shape)}"
            )

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Norm):
    """What the batch normalisation layers share."""

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        tracked = self.track_running_stats and self.num_batches_tracked is not None
        if self.training and tracked:
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            if self.momentum is None:  # the average of all batches
                momentum = 1.0 / float(self.num_batches_tracked.item())  # type: ignore[union-attr]
        running = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if running else None,
            self.running_var if running else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch (and the length).

    Formula: y = (x - mean) / sqrt(var + eps) * weight + bias; the batch's mean and biased variance
    in training, the running ones in evaluation

    Shape: (N, C) or (N, C, L) -> unchanged

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the step of the running statistics; None: they are the average of all batches.
        affine: whether there are weight (starts as 1) and bias (0), one a channel.
        bias: whether there is a bias beside the weight.
        track_running_stats: whether there are running statistics; without them evaluation uses
            the batch's.
        device, dtype: of parameters and buffers.

    Raises:
        ValueError: another number of dimensions; one value a channel in training.

    Source: Ioffe & Szegedy 2015.
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel over the batch and the plane; options as BatchNorm1d.

    Shape: (N, C, H, W) -> unchanged

    Raises:
        ValueError: another number of dimensions; one value a channel in training.
    """

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel over the batch and the volume; options as BatchNorm1d.

    Shape: (N, C, D, H, W) -> unchanged

    Raises:
        ValueError: another number of dimensions; one value a channel in training.
    """

    ndims = (5,)


class _InstanceNorm(_Norm):
    """What the instance normalisation layers share."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-05,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = (eps, momentum, affine, track_running_stats, device, dtype)
        super().__init__(num_features, *options, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        batched = len(input.shape) == max(self.ndims)
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.num_features and self.affine:
            raise ValueError(
                f"{type(self).__name__}: input must have {self.num_features} channels; "
                f"got {tuple(input.shape)}"
            )
        y = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return y if batched else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sample over the length.

    Formula: y = (x - mean) / sqrt(var + eps) * weight + bias

    Shape: (N, C, L) or (C, L) -> unchanged

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the step of the running statistics.
        affine: whether there are weight and bias, one a channel.
        track_running_stats: whether there are running statistics, which evaluation then uses.
        device, dtype: of parameters and buffers.

    Raises:
        ValueError: another number of dimensions; one spatial element in training.

    Source: Ulyanov, Vedaldi, Lempitsky 2016.
    """

    ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each sample over the plane; options as InstanceNorm1d.

    Shape: (N, C, H, W) or (C, H, W) -> unchanged

    Raises:
        ValueError: another number of dimensions; one spatial element in training.
    """

    ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each sample over the volume; options as InstanceNorm1d.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> unchanged

    Raises:
        ValueError: another number of dimensions; one spatial element in training.
    """

    ndims = (4, 5)


def _sizes(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(Module):
    """Normalises over the last dimensions.

    Formula: y = (x - mean) / sqrt(var + eps) * weight + bias

    Shape: (..., *normalized_shape) -> unchanged

    Args:
        normalized_shape: the sizes of the last dimensions, or the last size.
        eps: added to the variance.
        elementwise_affine: whether there are weight (starts as 1) and bias (0), one an element.
        bias: whether there is a bias.
        device, dtype: of the parameters.

    Source: Ba, Kiros, Hinton 2016.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-05,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, there in (("weight", True), ("bias", bias)):
            value = None
            if elementwise_affine and there:
                value = Parameter(creation.empty(self.normalized_shape, device=device, dtype=dtype))
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts over: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides by the root mean square over the last dimensions.

    Formula: y = x / sqrt(mean(x^2) + eps) * weight

    Shape: (..., *normalized_shape) -> unchanged

    Args:
        normalized_shape: the sizes of the last dimensions, or the last size.
        eps: added to the mean square; default: the dtype's machine epsilon.
        elementwise_affine: whether there is a weight (starts as 1), one an element.
        device, dtype: of the parameter.

    Source: Zhang & Sennrich 2019.
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        value = None
        if elementwise_affine:
            value = Parameter(creation.empty(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts over: weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalises groups of neighbouring channels.

    Formula: y = (x - mean) / sqrt(var + eps) * weight + bias, statistics over a sample's group

    Shape: (N, C, ...) -> unchanged

    Args:
        num_groups: how many groups; it divides num_channels.
        num_channels: C.
        eps: added to the variance.
        affine: whether there are weight (starts as 1) and bias (0), one a channel.
        bias: whether there is a bias beside the weight.
        device, dtype: of the parameters.

    Raises:
        ValueError: num_groups does not divide num_channels.

    Source: Wu & He 2018.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-05,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                "GroupNorm: num_groups must divide num_channels; "
                f"got num_groups={num_groups}, num_channels={num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, there in (("weight", affine), ("bias", affine and bias)):
            value = None
            if there:
                value = Parameter(creation.empty(num_channels, device=device, dtype=dtype))
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Starts over: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divides each channel by the energy of its neighbours.

    Formula: y[c] = x[c] / (k + alpha / size * sum of x^2 over the size channels around c)^beta

    Shape: (N, C, ...) -> unchanged

    Args:
        size: how many neighbouring channels count.
        alpha, beta, k: see the formula.

    Source: Krizhevsky, Sutskever, Hinton 2012.
    """

    def __init__(
        self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
