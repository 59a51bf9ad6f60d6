"""The digits recipe: what `gradsmith demo` trains, as functions for programs.

    model, history = train_digits(DigitsRecipe(epochs=40, seed=0))
    result = evaluate(model, digits_loader("test"), F.cross_entropy)

Every choice was made on the validation images; the test images were never looked at for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import Tensor, from_numpy, manual_seed, optim
from ..datasets import Digits
from ..models import DigitsNet
from ..nn import functional as F
from ..transforms import RandomAffineBatch
from ..utils.data import DataLoader
from .fit import History, Progress, fit
from .schedule import warmup_cosine

__all__ = ["DigitsRecipe", "digits_loader", "train_digits"]


@dataclass(frozen=True)
class DigitsRecipe:
    """How the digits are trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step.
        lr: Adam's highest learning rate; it rises over the first tenth of the steps, then falls to
            zero.
        seed: Of the weights, the order of the images, the augmentation and the dropout.
        width: Channels of the first stage of the network.
        dropout: Probability of dropping a feature before the last layer.
        degrees: Training images are rotated by up to so many degrees,
        translate: shifted by up to this fraction of their size,
        scale: and scaled by a factor of this range.
    """

    epochs: int = 40
    batch_size: int = 32
    lr: float = 4e-3
    seed: int = 0
    width: int = 32
    dropout: float = 0.25
    degrees: float = 15.0
    translate: float = 0.1
    scale: tuple[float, float] = (0.85, 1.15)


class _Collate:
    """Makes a batch of samples, moving the images at random if there is a transform."""

    def __init__(self, transform: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self.transform = transform

    def __call__(self, samples: Sequence[tuple[np.ndarray, int]]) -> tuple[Tensor, Tensor]:
        images = np.stack([image for image, _ in samples])
        labels = np.array([label for _, label in samples], dtype=np.int64)
        if self.transform is not None:
            images = self.transform(images)
        return from_numpy(images), from_numpy(labels)


def digits_loader(
    split: str,
    batch_size: int = 256,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    shuffle: bool = False,
) -> DataLoader:
    """Batches (images, labels) of the handwritten digits.

    Args:
        split: "train", "validation" or "test".
        batch_size: Images a batch. With `shuffle` an incomplete last batch is left out.
        transform: Is given each batch of images, (N, 1, 8, 8), as an array.
        shuffle: A new random order every pass, from the global generator (`manual_seed`).
    """
    return DataLoader(
        Digits(split),
        batch_size=batch_size,
        shuffle=shuffle,
        drop_last=shuffle,
        collate_fn=_Collate(transform),
    )


def train_digits(
    recipe: DigitsRecipe | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    synchronize: Callable[[], object] | None = None,
) -> tuple[DigitsNet, History]:
    """Train a network on the digits.

    Args:
        recipe: How; None: as `gradsmith demo` does.
        device: "cpu" or "cuda".
        progress, synchronize: As for `fit`.

    Returns:
        The network, in eval mode, and what happened.
    """
    recipe = recipe or DigitsRecipe()
    manual_seed(recipe.seed)
    model = DigitsNet(recipe.width, recipe.dropout).to(device)
    augment = RandomAffineBatch(
        recipe.degrees, (recipe.translate, recipe.translate), recipe.scale, recipe.seed
    )
    history = fit(
        model,
        digits_loader("train", recipe.batch_size, augment, shuffle=True),
        F.cross_entropy,
        optim.Adam(model.parameters(), lr=recipe.lr),
        epochs=recipe.epochs,
        schedule=warmup_cosine,
        validation=digits_loader("validation"),
        device=device,
        progress=progress,
        synchronize=synchronize,
    )
    return model, history
