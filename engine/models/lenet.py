"""Small convolutional networks for images of digits."""

from __future__ import annotations

from .. import Tensor, nn

__all__ = ["DigitsNet", "LeNet5"]


class DigitsNet(nn.Module):
    """A LeNet-style network for 8x8 images: two stages of two 3x3 convolutions, one linear layer.

    Shape: (N, 1, 8, 8) -> (N, 10), one score (logit) for each class

    Args:
        width: Channels of the first stage; the second has twice as many.
        dropout: Probability of dropping a feature before the linear layer.
        num_classes: Number of classes.

    Source: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document
    recognition, with ReLU, max pooling and pairs of 3x3 convolutions.
    """

    def __init__(self, width: int = 32, dropout: float = 0.25, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(2 * width * 2 * 2, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class LeNet5(nn.Module):
    """LeNet-5 for 28x28 images, with ReLU and max pooling.

    Shape: (N, 1, 28, 28) -> (N, 10), one score (logit) for each class

    Args:
        num_classes: Number of classes.

    Source: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document
    recognition, figure 2. The second convolution sees all maps of the first, and the output layer
    is linear.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
