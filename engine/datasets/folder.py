"""Image files in folders, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..utils.data import Dataset
from .files import FormatError

__all__ = ["IMG_EXTENSIONS", "ImageFolder", "default_loader"]

#: What image files are called, as torchvision's.
IMG_EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)


def default_loader(path: str) -> Any:
    """An image file as a PIL image in RGB.

    Raises:
        ValueError: a file that is no image, is damaged or cut off; the message names it.
        ImportError: without Pillow.
    """
    from ..transforms.images import pil

    Image = pil()
    try:
        with open(path, "rb") as stream:
            return Image.open(stream).convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise FormatError(
            f"{path}: an image expected; found {os.path.getsize(path)} bytes that are none, or are "
            f"damaged or cut off: {error}"
        ) from error


class ImageFolder(Dataset[Any]):
    """Images in folders: root/class/anything.png; the classes are the folders' names, sorted.

    Args:
        root: the folder of the classes' folders.
        transform: is given each image, what the loader returned.
        target_transform: is given each label, an int.
        loader: makes an image of a path; default: a PIL image in RGB.
        is_valid_file: whether a path belongs to it; default: by its extension.
        allow_empty: folders without images are classes too.

    Attributes:
        classes: the classes' names.
        class_to_idx: their numbers.
        samples: (path, label) of each image, by class and then by path.
        targets: the labels.

    Raises:
        FileNotFoundError: no such folder, none in it, or one without images.
        ValueError: when indexed: a file that is no image; the message names it.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root = str(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader
        if not os.path.isdir(self.root):
            raise FileNotFoundError(
                f"{self.root}: a folder of folders with images expected; found "
                f"{'a file' if os.path.exists(self.root) else 'nothing'}"
            )
        self.classes = sorted(e.name for e in os.scandir(self.root) if e.is_dir())
        if not self.classes:
            raise FileNotFoundError(
                f"{self.root}: a folder for each class expected; found no folder in it"
            )
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        valid = is_valid_file or (lambda path: path.lower().endswith(IMG_EXTENSIONS))
        self.samples: list[tuple[str, int]] = []
        empty = []
        for name, label in self.class_to_idx.items():
            before = len(self.samples)
            for folder, _, files in sorted(
                os.walk(os.path.join(self.root, name), followlinks=True)
            ):
                for file in sorted(files):
                    path = os.path.join(folder, file)
                    if valid(path):
                        self.samples.append((path, label))
            if len(self.samples) == before:
                empty.append(name)
        if empty and not allow_empty:
            kinds = "" if is_valid_file else f" ({', '.join(IMG_EXTENSIONS)})"
            raise FileNotFoundError(
                f"{self.root}: images expected for each class{kinds}; found none for "
                + ", ".join(empty[:5])
            )
        self.targets = [label for _, label in self.samples]
        self.imgs = self.samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """The image and its label, after the transforms."""
        path, target = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __repr__(self) -> str:
        return f"ImageFolder({self.root!r}, {len(self.classes)} classes, {len(self)} images)"
