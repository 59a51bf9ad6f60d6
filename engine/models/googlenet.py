"""GoogLeNet (Inception v1)."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import Tensor, cat, nn
from ..nn import functional as F
from .weights import with_weights

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "Inception", "googlenet"]


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet with auxiliary classifiers returns in training.

    Attributes:
        logits: of the network.
        aux_logits2, aux_logits1: of the later and the earlier auxiliary classifier; None without.
    """

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """Convolution, batch normalisation, ReLU.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H', W')

    Args:
        in_channels, out_channels: Channels in and out.
        options: Of Conv2d.
    """

    def __init__(self, in_channels: int, out_channels: int, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooling and 1x1.

    Shape: (N, in_channels, H, W) -> (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W)

    Args:
        in_channels: Channels in.
        ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj: Channels of the convolutions.

    Source: Szegedy et al. (2014), figure 2b. The third branch has a 3x3 kernel where the paper has
    5x5, as torchvision's weights do.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, ch3x3red, kernel_size=1),
            BasicConv2d(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, ch5x5red, kernel_size=1),
            BasicConv2d(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary classifier, whose loss helps the layers below to learn.

    Shape: (N, in_channels, H, W) -> (N, num_classes)

    Args:
        in_channels: Channels in.
        num_classes: Number of classes.
        dropout: Probability of dropping a feature before the last layer.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


class GoogLeNet(nn.Module):
    """GoogLeNet with batch normalisation; parameters named as torchvision's.

    Shape: (N, 3, H, W) -> (N, num_classes); in training with aux_logits a GoogLeNetOutputs of three

    Args:
        num_classes: Number of classes.
        aux_logits: Whether there are two auxiliary classifiers.
        transform_input: Inputs are normalised as torchvision's data, but the weights want [-1, 1].
        init_weights: Draw weights from a truncated normal distribution, instead of the layers' own.
        dropout, dropout_aux: Probability of dropping a feature before the last layers.

    Source: Szegedy et al. (2014), Going deeper with convolutions, table 1.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = BasicConv2d(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, kernel_size=1)
        self.conv3 = BasicConv2d(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            for module in self.modules():
                if isinstance(module, (nn.Conv2d, nn.Linear)):
                    nn.init.trunc_normal_(module.weight, 0.0, 0.01, -2.0, 2.0)

    def _transformed(self, x: Tensor) -> Tensor:
        if not self.transform_input:
            return x
        means, stds = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        channels = [x[:, i : i + 1] * (stds[i] / 0.5) + (means[i] - 0.5) / 0.5 for i in range(3)]
        return cat(channels, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.maxpool1(self.conv1(self._transformed(x)))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        first = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if self.training and self.aux_logits:
            return GoogLeNetOutputs(logits, second, first)
        return logits


def googlenet(*, weights: Any = None, **options: Any) -> GoogLeNet:
    """GoogLeNet; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(GoogLeNet(**options), weights)
