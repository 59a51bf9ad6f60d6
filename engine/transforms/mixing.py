"""MixUp: convex combinations of the samples of a batch and of their labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.creation import from_numpy
from ..random import Generator
from ..tensor import Tensor
from ..utils.data.sampler import random_integer
from .drawing import Drawing
from .images import opened

__all__ = ["MixUp"]


class MixUp(Drawing):
    """Mixes each sample of a batch with the one before it, and their labels alike.

    Formula: x' = l x + (1 - l) roll(x, 1), y' the same of one-hot labels, l ~ Beta(alpha, alpha)

    Shape: images (N, ...), labels (N,) or (N, classes) -> (N, ...), (N, classes)

    Args:
        alpha: of the Beta distribution, above 0; 1 is uniform.
        num_classes: how many classes there are; needed for labels (N,).
        generator: of the random numbers; default: the default generator.

    Raises:
        ValueError: alpha that is not above 0; labels that are no classes.
        TypeError: when called: images that are not floating point.

    Example: `MixUp(num_classes=10)(images, labels)` on each batch, with cross_entropy, which takes
    probabilities for labels.

    Source: Zhang et al. 2018, mixup: beyond empirical risk minimization.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        num_classes: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not alpha > 0:
            raise ValueError(f"MixUp: alpha must be > 0; got {alpha}")
        self.alpha = float(alpha)
        self.num_classes = num_classes
        self.generator = generator

    def __call__(self, images: Any, labels: Any) -> tuple[Tensor, Tensor]:
        """The mixed batch."""
        x, close = opened("MixUp", images, 1)
        y, _ = opened("MixUp", labels, 1)
        if x.dtype.kind != "f":
            raise TypeError(f"MixUp: images must be floating point; got {x.dtype}")
        if len(x) != len(y):
            raise ValueError(f"MixUp: as many labels as images are needed; got {len(y)}, {len(x)}")
        if y.ndim == 1:
            classes = self.num_classes
            if classes is None:
                raise ValueError("MixUp: num_classes must be given for labels (N,)")
            if y.dtype.kind not in "iu" or (len(y) and not (0 <= y.min() and y.max() < classes)):
                raise ValueError(f"MixUp: labels must be ints in [0, {classes}); got {y.dtype}")
            y = np.eye(classes, dtype=np.float32)[y]
        rng = np.random.default_rng(random_integer(2**53, self.generator))
        share = x.dtype.type(rng.beta(self.alpha, self.alpha))
        mixed = share * x + (1 - share) * np.roll(x, 1, axis=0)
        share = y.dtype.type(share)
        probabilities = from_numpy(share * y + (1 - share) * np.roll(y, 1, axis=0))
        if isinstance(labels, Tensor) and labels.is_cuda:
            probabilities = probabilities.to(labels.device)
        return close(mixed), probabilities

    def __repr__(self) -> str:
        return f"MixUp(alpha={self.alpha}, num_classes={self.num_classes})"
