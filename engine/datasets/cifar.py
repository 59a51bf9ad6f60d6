"""CIFAR-10 and CIFAR-100 from their binary files; the Python version, pickles, is refused."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .files import FormatError, content_of, found_file, what_it_is
from .pictures import Pictures

__all__ = ["CIFAR10", "CIFAR100", "read_cifar"]

PIXELS = 3 * 32 * 32
#: More is refused: the largest file, CIFAR-100's train.bin, has 153.7 million bytes.
MOST = 2**29


def read_cifar(
    path: str | Path, label_bytes: int = 1
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The images and labels of a binary CIFAR file.

    Args:
        path: the file, e.g. data_batch_1.bin.
        label_bytes: before each image: 1 for CIFAR-10; 2 for CIFAR-100, coarse and fine.

    Returns:
        Images (N, 3, 32, 32) and labels (N, label_bytes), uint8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the Python version (a pickle), or a length that is no multiple of an image's.
    """
    path = Path(path)
    content = content_of(path, MOST)
    record = label_bytes + PIXELS
    if not content or len(content) % record:
        hint = ""
        if what_it_is(content) == "a Python pickle":
            hint = (
                " (the Python version of the data set; it is never unpickled: get the 'binary "
                "version (suitable for C programs)')"
            )
        raise FormatError(
            f"{path}: must be a multiple of {record} bytes, {label_bytes} of labels and {PIXELS} "
            f"of pixels an image; found {len(content)} bytes, {what_it_is(content)}{hint}"
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, record)
    return rows[:, label_bytes:].reshape(-1, 3, 32, 32), rows[:, :label_bytes]


class CIFAR10(Pictures):
    """Small photographs in ten classes.

    Args:
        root: the folder of the binary files (data_batch_1.bin ... test_batch.bin), or the one
            that has cifar-10-batches-bin in it.
        train: the 50,000 training images; else the 10,000 test images.
        transform: is given each image, a PIL image.
        target_transform: is given each label, an int.

    Attributes:
        data: the images, (N, 32, 32, 3) uint8.
        targets: the labels, (N,) int64.
        classes: their names.

    Raises:
        FileNotFoundError: a file is missing; nothing is downloaded.
        ValueError: a damaged file, or the Python version, which is pickles.

    Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """

    base_folder = "cifar-10-batches-bin"
    train_files: tuple[str, ...] = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
    test_files: tuple[str, ...] = ("test_batch.bin",)
    label_bytes = 1
    meta = "batches.meta.txt"
    classes: list[str] = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.root = Path(root)
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        folder = self.root
        if (folder / self.base_folder).is_dir():
            folder = folder / self.base_folder
        self._refuse_the_python_version(folder)
        images, labels = [], []
        for name in self.train_files if train else self.test_files:
            path = found_file(folder, (name, f"{name}.gz"))
            data, marks = read_cifar(path, self.label_bytes)
            fine = marks[:, -1]
            if fine.max() >= len(self.classes):
                raise FormatError(
                    f"{path}: labels must be in 0..{len(self.classes) - 1}; found {fine.max()}"
                )
            images.append(data)
            labels.append(marks)
        self.data = np.ascontiguousarray(np.concatenate(images).transpose(0, 2, 3, 1))
        every = np.concatenate(labels).astype(np.int64)
        self.targets = np.ascontiguousarray(every[:, -1])
        self.coarse_targets = np.ascontiguousarray(every[:, 0])

    def _refuse_the_python_version(self, folder: Path) -> None:
        """Says so where the folder has the pickles instead."""
        first = (self.train_files if self.train else self.test_files)[0]
        if (folder / first).is_file() or not folder.is_dir():
            return
        stem = first.removesuffix(".bin")
        python = [folder / stem, folder / self.base_folder.replace("-bin", "-py") / stem]
        python += [folder / self.base_folder.replace("-binary", "-python") / stem]
        for path in python:
            if path.is_file() and path.suffix != ".bin":
                raise FormatError(
                    f"{path}: the Python version of the data set, which is pickles, is never read "
                    f"(a pickle runs what it names); get the 'binary version (suitable for C "
                    f"programs)', whose files end in .bin"
                )
        for path in folder.glob("cifar-*.tar.gz"):
            if tarfile.is_tarfile(path) and "binary" in path.name:
                raise FileNotFoundError(f"{path}: unpack it first: tar xzf {path.name}")


_FINE = """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
tulip turtle wardrobe whale willow_tree wolf woman worm"""


class CIFAR100(CIFAR10):
    """Small photographs in a hundred classes; arguments as CIFAR10's, files train.bin, test.bin.

    Attributes:
        coarse_targets: the labels of the twenty groups of classes, (N,) int64.

    Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """

    base_folder = "cifar-100-binary"
    train_files = ("train.bin",)
    test_files = ("test.bin",)
    label_bytes = 2
    meta = "fine_label_names.txt"
    classes = list(_FINE.split())
