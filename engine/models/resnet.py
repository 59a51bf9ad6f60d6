"""The residual networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import Tensor, nn
from .weights import with_weights

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]


def _conv3x3(ins: int, outs: int, stride: int, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(
        ins, outs, 3, stride, padding=dilation, dilation=dilation, groups=groups, bias=False
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Shape: (N, inplanes, H, W) -> (N, planes, H / stride, W / stride)

    Args:
        inplanes, planes: Channels in and out.
        stride: Of the first convolution.
        downsample: What the shortcut does; None: nothing.
        groups, base_width, dilation: 1, 64 and 1 only.
        norm_layer: Makes a normalisation of a number of channels; default: BatchNorm2d.

    Raises:
        ValueError: Groups, a width or a dilation that only Bottleneck has.

    Source: He et al. (2015), Deep residual learning, figure 5 left.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if (groups, base_width, dilation) != (1, 64, 1):
            raise ValueError(
                "BasicBlock: groups=1, base_width=64, dilation=1 are all it has; got "
                f"{groups}, {base_width}, {dilation} (use Bottleneck)"
            )
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = _conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(planes, planes, 1)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; the 3x3 one has the stride.

    Shape: (N, inplanes, H, W) -> (N, 4 planes, H / stride, W / stride)

    Args:
        inplanes, planes: Channels in; a quarter of the channels out.
        stride: Of the 3x3 convolution.
        downsample: What the shortcut does; None: nothing.
        groups, base_width, dilation: Of the 3x3 convolution.
        norm_layer: Makes a normalisation of a number of channels; default: BatchNorm2d.

    Source: He et al. (2015), Deep residual learning, figure 5 right; the stride stands as in
    torchvision ("ResNet V1.5").
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = nn.Conv2d(inplanes, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + shortcut)


class ResNet(nn.Module):
    """A residual network of four stages; parameters named as torchvision's.

    Shape: (N, 3, H, W) -> (N, num_classes)

    Args:
        block: BasicBlock or Bottleneck.
        layers: How many blocks each stage has.
        num_classes: Number of classes.
        zero_init_residual: Begin with blocks that are their shortcut: the last norm's weight is 0.
        groups, width_per_group: Of the 3x3 convolutions of Bottleneck (ResNeXt, wide ResNet).
        replace_stride_with_dilation: For stages 2 to 4: dilation in place of the stride of 2.
        norm_layer: Makes a normalisation of a number of channels; default: BatchNorm2d.

    Raises:
        ValueError: replace_stride_with_dilation that has not three values.

    Source: He, Zhang, Ren, Sun (2015), Deep residual learning for image recognition.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        dilated = list(replace_stride_with_dilation or (False, False, False))
        if len(dilated) != 3:
            raise ValueError(
                "ResNet: replace_stride_with_dilation must have three values, one for each of "
                f"stages 2 to 4; got {replace_stride_with_dilation!r}"
            )
        self._norm: Callable[[int], Any] = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(block, 64, layers[0], 1, False)
        self.layer2 = self._stage(block, 128, layers[1], 2, dilated[0])
        self.layer3 = self._stage(block, 256, layers[2], 2, dilated[1])
        self.layer4 = self._stage(block, 512, layers[3], 2, dilated[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_residual:
            for module in self.modules():
                last: Any = None
                if isinstance(module, Bottleneck):
                    last = module.bn3
                elif isinstance(module, BasicBlock):
                    last = module.bn2
                if last is not None:
                    nn.init.zeros_(last.weight)

    def _stage(
        self, block: Any, planes: int, count: int, stride: int, dilate: bool
    ) -> nn.Sequential:
        before = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outs = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outs:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, outs, 1, stride, bias=False), self._norm(outs)
            )
        blocks = []
        for i in range(count):
            blocks.append(
                block(
                    self.inplanes if i == 0 else outs,
                    planes,
                    stride if i == 0 else 1,
                    downsample if i == 0 else None,
                    self.groups,
                    self.base_width,
                    before if i == 0 else self.dilation,
                    self._norm,
                )
            )
        self.inplanes = outs
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-18; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(ResNet(BasicBlock, (2, 2, 2, 2), **options), weights)


def resnet34(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-34; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(ResNet(BasicBlock, (3, 4, 6, 3), **options), weights)


def resnet50(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-50; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(ResNet(Bottleneck, (3, 4, 6, 3), **options), weights)


def resnet101(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-101; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(ResNet(Bottleneck, (3, 4, 23, 3), **options), weights)


def resnet152(*, weights: Any = None, **options: Any) -> ResNet:
    """ResNet-152; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(ResNet(Bottleneck, (3, 8, 36, 3), **options), weights)
