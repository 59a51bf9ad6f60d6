"""What data sets of pictures in one array share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.data import Dataset

__all__ = ["Pictures"]


class Pictures(Dataset[Any]):
    """Pictures in `data` and their labels in `targets`, samples as PIL images and ints.

    Attributes:
        data: the images, uint8, the first dim their number.
        targets: the labels, (N,) int64.
        classes: their names.
        root: the folder that they are read from; train: which part they are.
        transform, target_transform: what each image and each label is given to, or None.
    """

    data: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any]
    classes: list[str]
    root: Path
    train: bool
    transform: Callable[[Any], Any] | None
    target_transform: Callable[[Any], Any] | None

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The classes' numbers."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """The image and its label, after the transforms."""
        from ..transforms.images import pil

        image: Any = pil().fromarray(self.data[index])
        target: Any = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __repr__(self) -> str:
        part = "train" if self.train else "test"
        return f"{type(self).__name__}({str(self.root)!r}, {part}, {len(self)} images)"
