"""The VGG networks, with and without batch normalisation."""

from __future__ import annotations

from typing import Any

from .. import Tensor, nn
from .weights import with_weights

__all__ = [
    "VGG",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

#: How many 3x3 convolutions each of the five stages has.
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Stacks of 3x3 convolutions, halved by max pooling; parameters named as torchvision's.

    Shape: (N, 3, H, W) -> (N, num_classes), H and W at least 32

    Args:
        depth: 11, 13, 16 or 19: how many layers have weights.
        batch_norm: Whether each convolution is followed by batch normalisation.
        num_classes: Number of classes.
        init_weights: Draw weights as He et al. (2015) do, instead of leaving the layers' own.
        dropout: Probability of dropping a feature behind each hidden layer of the classifier.
        hidden: Size of those two layers.

    Raises:
        ValueError: Another depth.

    Source: Simonyan, Zisserman (2014), Very deep convolutional networks, table 1: A, B, D, E.
    """

    def __init__(
        self,
        depth: int = 16,
        batch_norm: bool = False,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            raise ValueError(f"VGG: depth must be one of {tuple(STAGES)}; got {depth!r}")
        layers: list[nn.Module] = []
        channels = 3
        for count, width in zip(STAGES[depth], WIDTHS, strict=True):
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                channels = width
            layers.append(nn.MaxPool2d(2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        if init_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, 0.0, 0.01)
                else:
                    continue
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def vgg11(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 11 layers; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(VGG(11, **options), weights)


def vgg11_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 11 layers and batch normalisation; weights: a safetensors file or state_dict."""
    return with_weights(VGG(11, True, **options), weights)


def vgg13(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 13 layers; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(VGG(13, **options), weights)


def vgg13_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 13 layers and batch normalisation; weights: a safetensors file or state_dict."""
    return with_weights(VGG(13, True, **options), weights)


def vgg16(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 16 layers; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(VGG(16, **options), weights)


def vgg16_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 16 layers and batch normalisation; weights: a safetensors file or state_dict."""
    return with_weights(VGG(16, True, **options), weights)


def vgg19(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 19 layers; weights: the path of a safetensors file, or a state_dict."""
    return with_weights(VGG(19, **options), weights)


def vgg19_bn(*, weights: Any = None, **options: Any) -> VGG:
    """VGG with 19 layers and batch normalisation; weights: a safetensors file or state_dict."""
    return with_weights(VGG(19, True, **options), weights)
