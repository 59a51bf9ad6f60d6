"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...ops import shapes
from ...ops.creation import empty
from ...tensor import Parameter, Tensor
from .. import functional as F
from .. import init
from ..module import Module
from .container import LAYERS

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
]


class _ConvNd(Module):
    """What all convolutions share: the checked options, the parameters and their initial values."""

    #: Spatial dimensions.
    n = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, n = type(self).__name__, self.n
        (self.in_channels,) = shapes.spatial(name, "in_channels", in_channels, 1, 0)
        (self.out_channels,) = shapes.spatial(name, "out_channels", out_channels, 1, 0)
        self.kernel_size = shapes.spatial(name, "kernel_size", kernel_size, n, 1)
        self.stride = shapes.spatial(name, "stride", stride, n, 1)
        self.dilation = shapes.spatial(name, "dilation", dilation, n, 1)
        self.groups = shapes.groups(name, groups)
        self.transposed = transposed
        self.output_padding = shapes.spatial(name, "output_padding", output_padding, n, 0)
        if transposed:
            if isinstance(padding, str):  # as PyTorch: the layer's is another error
                raise ValueError(f"{name}: padding must be ints; got {padding!r}")
            self.padding: Any = shapes.spatial(name, "padding", padding, n, 0)
        else:
            options = (self.kernel_size, self.stride, self.dilation)
            self._before, self._behind = shapes.conv_padding(name, padding, *options)
            pairs = tuple(zip(self._before, self._behind, strict=True))
            even = self._before == self._behind
            self.padding = padding if isinstance(padding, str) else self._before if even else pairs
        for argument in ("in_channels", "out_channels"):
            if getattr(self, argument) % self.groups:
                raise ValueError(
                    f"{name}: {argument} must be divisible by groups; "
                    f"got {argument}={getattr(self, argument)}, groups={self.groups}"
                )
        if padding_mode != "zeros":
            if transposed or padding_mode not in ("reflect", "replicate", "circular"):
                wanted = "'zeros'" if transposed else "'zeros', 'reflect', 'replicate', 'circular'"
                raise ValueError(f"{name}: padding_mode must be {wanted}; got {padding_mode!r}")
        self.padding_mode = padding_mode
        if transposed:
            shape = (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        else:
            shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias: Parameter | None = Parameter(
                empty((self.out_channels,), device=device, dtype=dtype)
            )
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew: U(-b, b) with b = 1 / sqrt(fan_in), as PyTorch."""
        # kaiming_uniform with a = sqrt(5) is that bound.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The options that are not the default."""
        zeros, ones = (0,) * self.n, (1,) * self.n
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        text += f", stride={self.stride}"
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    _function: Callable[..., Tensor]
    _function_activated: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            False,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input, and the zeros that are still to be padded with."""
        if self.padding_mode == "zeros":
            return input, self.padding
        # The last dimension first, each (before, behind).
        sides = zip(self._before[::-1], self._behind[::-1], strict=True)
        return F.pad(input, [v for pair in sides for v in pair], mode=self.padding_mode), 0

    def forward(self, input: Tensor) -> Tensor:
        input, padding = self._padded(input)
        return self._function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _activated(self, input: Tensor, activation: str) -> Tensor:
        """The layer and the activation behind it."""
        input, padding = self._padded(input)
        options = (self.stride, padding, self.dilation, self.groups, activation)
        return self._function_activated(input, self.weight, self.bias, *options)


class Conv1d(_Conv):
    """A 1-D convolution with learned weights.

    Formula: y = conv1d(x, weight, bias)

    Shape: (N, C_in, L) or (C_in, L) -> (N, C_out, L_out) or (C_out, L_out),
    L_out = floor((L + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size: the window.
        stride: its steps.
        padding: how much on each side; or 'same', 'valid'; not in PyTorch: ((before, behind),), or
            'causal', all that the kernel needs before.
        dilation: steps between the kernel's elements.
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        padding_mode: what is padded with: 'zeros', 'reflect', 'replicate' or 'circular'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.
        RuntimeError: more padding than the mode can fill, in forward.

    Source: Dumoulin & Visin 2016.
    """

    n = 1
    _function = staticmethod(F.conv1d)
    _function_activated = staticmethod(F.conv1d_activation)


class Conv2d(_Conv):
    """A 2-D convolution with learned weights; options as Conv1d, an int or one per dimension.

    Formula: y = conv2d(x, weight, bias)

    Shape: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H_out, W_out) or (C_out, H_out, W_out)

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size, stride, padding, dilation: an int, or (for H, for W); padding also 'same',
            'valid', or a pair (before, behind) for each.
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        padding_mode: what is padded with: 'zeros', 'reflect', 'replicate' or 'circular'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.
        RuntimeError: more padding than the mode can fill, in forward.

    Source: Dumoulin & Visin 2016.
    """

    n = 2
    _function = staticmethod(F.conv2d)
    _function_activated = staticmethod(F.conv2d_activation)


class Conv3d(_Conv):
    """A 3-D convolution with learned weights; options as Conv1d, an int or one per dimension.

    Formula: y = conv3d(x, weight, bias)

    Shape: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, D_out, H_out, W_out) or without N

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size, stride, padding, dilation: an int, or one for each of D, H, W; padding also
            'same', 'valid', or a pair (before, behind) for each.
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        padding_mode: what is padded with: 'zeros', 'reflect', 'replicate' or 'circular'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.
        RuntimeError: more padding than the mode can fill, in forward.

    Source: Dumoulin & Visin 2016.
    """

    n = 3
    _function = staticmethod(F.conv3d)
    _function_activated = staticmethod(F.conv3d_activation)


LAYERS.update(dict.fromkeys((Conv1d, Conv2d, Conv3d), _Conv._activated))


class _ConvTranspose(_ConvNd):
    _function: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            True,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        output_padding = self.output_padding
        if output_size is not None:
            output_padding = self._output_padding(input, output_size)
        return self._function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )

    def _output_padding(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output_padding that gives this output size."""
        name, n = type(self).__name__, self.n
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, n + 1, n + 2) or input.ndim not in (n + 1, n + 2):
            raise ValueError(
                f"{name}: output_size must have {n} elements (or {n + 2}, with N and C); "
                f"got {tuple(output_size)}"
            )
        found = []
        for i in range(n):
            size = input.shape[input.ndim - n + i]
            least = (size - 1) * self.stride[i] - 2 * self.padding[i]
            least += self.dilation[i] * (self.kernel_size[i] - 1) + 1
            if not 0 <= wanted[i] - least < self.stride[i]:
                raise ValueError(
                    f"{name}: output_size must be in [{least}, {least + self.stride[i]}) in "
                    f"spatial dim {i}; got {wanted[i]}"
                )
            found.append(wanted[i] - least)
        return tuple(found)


class ConvTranspose1d(_ConvTranspose):
    """A 1-D transposed convolution with learned weights: the adjoint of Conv1d.

    Formula: y = conv_transpose1d(x, weight, bias)

    Shape: (N, C_in, L) or (C_in, L) -> (N, C_out, L_out) or (C_out, L_out), L_out =
    (L - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size: the window.
        stride: the steps of its places in the output.
        padding: how much is cut off on each side.
        output_padding: how much the output is longer at its end, smaller than stride or dilation.
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        dilation: steps between the kernel's elements.
        padding_mode: 'zeros'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.

    Source: Dumoulin & Visin 2016.
    """

    n = 1
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """A 2-D transposed convolution; options as ConvTranspose1d, an int or one per dimension.

    Formula: y = conv_transpose2d(x, weight, bias)

    Shape: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H_out, W_out) or (C_out, H_out, W_out)

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size, stride, padding, output_padding, dilation: an int, or (for H, for W).
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        padding_mode: 'zeros'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.

    Source: Dumoulin & Visin 2016.
    """

    n = 2
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """A 3-D transposed convolution; options as ConvTranspose1d, an int or one per dimension.

    Formula: y = conv_transpose3d(x, weight, bias)

    Shape: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, D_out, H_out, W_out) or without N

    Args:
        in_channels, out_channels: C_in, C_out.
        kernel_size, stride, padding, output_padding, dilation: an int, or one for each of D, H, W.
        groups: input and output channels in that many groups that do not mix.
        bias: whether a learned value is added to each output channel.
        padding_mode: 'zeros'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: an option out of its range, groups that do not divide the channels.

    Source: Dumoulin & Visin 2016.
    """

    n = 3
    _function = staticmethod(F.conv_transpose3d)
