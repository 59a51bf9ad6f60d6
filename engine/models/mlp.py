"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """Fully connected layers with activations between them.

    Shape: (N, ...) -> (N, out_features), where ... has in_features elements

    Args:
        in_features: Size of a sample; dimensions behind the first are flattened.
        hidden: Sizes of the hidden layers.
        out_features: Number of scores.
        activation: Makes the activation behind each hidden layer.
        dropout: Probability of dropping a feature behind each activation.
        batch_norm: Whether each hidden layer is followed by batch normalisation.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int] = (128,),
        out_features: int = 10,
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        size = in_features
        for width in hidden:
            layers.append(nn.Linear(size, width))
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
            size = width
        layers.append(nn.Linear(size, out_features))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
