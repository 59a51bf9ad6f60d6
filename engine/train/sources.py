"""What can be trained on by name or folder, prepared for a model's input size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import Tensor, from_numpy
from ..datasets import CIFAR10, CIFAR100, MNIST, Digits, ImageFolder
from ..random import Generator
from ..transforms import (
    Compose,
    ConvertImageDtype,
    Grayscale,
    Normalize,
    PILToTensor,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
)
from ..utils.data import Dataset, Subset, TensorDataset, random_split

__all__ = ["Source", "open_source"]

#: Data sets whose images, resized, need no more bytes than this are held as one tensor.
MOST_IN_MEMORY = 512 * 2**20
#: Mean and standard deviation of photographs in [0, 1].
PHOTOGRAPHS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass
class Source:
    """Data to train on, measured with, and tested on at the end.

    Attributes:
        name: What it is.
        train, validation, test: Data sets of (image, label); test may be None.
        classes: The classes' names.
        shape: Of an image, (C, H, W).
        mean, std: What images were normalised with, for each channel.
    """

    name: str
    train: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any] | None
    classes: list[str]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class _Prepared(Dataset[Any]):
    """The samples of another data set, their images prepared one by one."""

    def __init__(self, dataset: Any, prepare: Callable[[Any], Any]) -> None:
        self.dataset = dataset
        self.prepare = prepare

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = self.dataset[index]
        return self.prepare(image), label

    def __len__(self) -> int:
        return len(self.dataset)


class _Moved(Dataset[Any]):
    """Images of one array: each is moved by itself, and a batch is then finished as one."""

    def __init__(
        self, images: Any, labels: Any, move: Callable[[Any], Any], finish: Callable[[Any], Any]
    ) -> None:
        self.images = images
        self.labels = labels
        self.move = move
        self.finish = finish

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, int]]:
        moved = self.finish(np.stack([self.move(self.images[i]) for i in indices]))
        return [(image, int(self.labels[i])) for image, i in zip(moved, indices, strict=True)]

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.__getitems__([index])[0]

    def __len__(self) -> int:
        return len(self.labels)


def open_source(
    where: str,
    channels: int,
    size: int | None,
    validation: float = 0.1,
    augment: bool = False,
    seed: int = 0,
) -> Source:
    """Open "digits", or a folder of MNIST's, CIFAR's or image files.

    A folder of image files has a folder for each class; or folders train and val (or validation,
    test) that each have these.

    Args:
        where: "digits" or the folder.
        channels: 1 or 3: what the model wants; images are made grey, or grey ones repeated.
        size: Height and width that images are resized to; None: as they are (folders: 64).
        validation: The share of the training images that is kept apart for validation, where the
            data has no part of its own for it.
        augment: Move training images at random: small shifts, and flips of photographs.
        seed: Of which images are kept apart.

    Raises:
        FileNotFoundError: No such folder, or nothing in it that is known.
        ValueError: A damaged file, or a share that leaves a part empty.
    """
    if not 0 < validation < 1:
        raise ValueError(f"open_source: validation must be in (0, 1); got {validation}")
    if where == "digits":
        parts = [Digits(split) for split in ("train", "validation", "test")]
        raw = [(part.images, part.labels) for part in parts]
        names = [str(i) for i in range(10)]
        return _of_arrays("digits", raw, names, channels, size, augment, False)
    folder = Path(where)
    if not folder.is_dir():
        raise FileNotFoundError(f"{where}: 'digits' or a folder expected; found no such folder")
    generator = Generator().manual_seed(seed)
    for kind, marks, photographs in (
        (MNIST, ("train-images-idx3-ubyte*", "train-images.idx3-ubyte*", "MNIST/raw/*"), False),
        (CIFAR10, ("data_batch_1*", "cifar-10-batches-*"), True),
        (CIFAR100, ("train.bin*", "cifar-100-*"), True),
    ):
        if any(next(folder.glob(mark), None) for mark in marks):
            whole = kind(folder, train=True)
            try:
                test = kind(folder, train=False)
            except FileNotFoundError:
                test = None
            return _of_files(
                kind.__name__, whole, test, channels, size, validation, augment, generator,
                photographs,
            )  # fmt: skip
    return _of_folders(folder, channels, size or 64, validation, augment, generator)


# ---- images that are one array ----


def _of_files(
    name: str,
    whole: Any,
    test: Any,
    channels: int,
    size: int | None,
    share: float,
    augment: bool,
    generator: Generator,
    photographs: bool,
) -> Source:
    """MNIST's and CIFAR's files: the training part is split."""
    train, validation = _split(whole, share, generator)

    def planes(dataset: Any, indices: Any = None) -> tuple[Any, Any]:
        data = dataset.data if indices is None else dataset.data[indices]
        data = data[:, None] if data.ndim == 3 else data.transpose(0, 3, 1, 2)
        return data, dataset.targets if indices is None else dataset.targets[indices]

    raw = [planes(whole, train.indices), planes(whole, validation.indices)]
    if test is not None:
        raw.append(planes(test))
    return _of_arrays(name, raw, whole.classes, channels, size, augment, photographs)


def _split(dataset: Any, share: float, generator: Generator) -> list[Any]:
    """Training and validation."""
    count = len(dataset)
    kept = round(count * share)
    if not 0 < kept < count:
        raise ValueError(
            f"open_source: {share:g} of {count} images leaves a part empty (use another share)"
        )
    return random_split(dataset, [count - kept, kept], generator)


def _of_arrays(
    name: str,
    raw: list[tuple[Any, Any]],
    classes: list[str],
    channels: int,
    size: int | None,
    augment: bool,
    photographs: bool,
) -> Source:
    first = raw[0][0]
    own = size or int(first.shape[-1])
    scale = 1.0 / 255 if first.dtype == np.uint8 else 1.0
    axes = (0, 2, 3)
    mean = (first.mean(axis=axes, dtype=np.float64) * scale).tolist()
    std = np.maximum(first.std(axis=axes, dtype=np.float64) * scale, 1e-3).tolist()
    if len(mean) != channels:
        if len(mean) == 1:
            mean, std = mean * channels, std * channels
        else:
            mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    if augment:
        moves: list[Any] = [RandomAffine(10, (0.08, 0.08), (0.9, 1.1), interpolation="bilinear")]
        if photographs:
            side = int(first.shape[-1])
            moves = [RandomCrop(side, padding=max(1, side // 8)), RandomHorizontalFlip()]
    else:
        moves = []
    resized = [] if own == first.shape[-1] == first.shape[-2] else [Resize((own, own))]
    grey = [] if channels == first.shape[1] else [Grayscale(channels)]
    finish: list[Any] = [*grey, ConvertImageDtype(_float32()), *resized, Normalize(mean, std)]
    sets: list[Any] = []
    for i, (images, labels) in enumerate(raw):
        bytes_wanted = 4 * len(images) * channels * own * own
        plain = not (moves and i == 0)
        if plain and bytes_wanted <= MOST_IN_MEMORY:
            # The same function as for one image, on all: they may have leading dimensions.
            sets.append(TensorDataset(Compose(finish)(from_numpy(images)), from_numpy(labels)))
        else:
            sets.append(_Moved(images, labels, Compose(moves if i == 0 else ()), Compose(finish)))
    test = sets[2] if len(sets) > 2 else None
    shape = (channels, own, own)
    return Source(name, sets[0], sets[1], test, classes, shape, tuple(mean), tuple(std))


def _float32() -> Any:
    from .. import float32

    return float32


# ---- image files ----


def _of_folders(
    folder: Path, channels: int, size: int, share: float, augment: bool, generator: Generator
) -> Source:
    parts = {
        "train": ("train", "training"),
        "validation": ("val", "validation", "valid"),
        "test": ("test",),
    }
    found = {
        part: next((folder / n for n in names if (folder / n).is_dir()), None)
        for part, names in parts.items()
    }
    mean, std = PHOTOGRAPHS
    if channels == 1:
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    finish: list[Any] = [
        Resize((size, size)),
        Grayscale(1) if channels == 1 else _same,
        PILToTensor(),
        ConvertImageDtype(_float32()),
        Normalize(mean, std),
    ]
    moves = [RandomHorizontalFlip(), RandomCrop(size, padding=max(1, size // 8))] if augment else []
    plain, moved = Compose(finish), Compose([finish[0], *moves, *finish[1:]])
    test = None
    if found["train"] is not None:
        whole = ImageFolder(found["train"])
        if found["test"] is not None:
            test = _matching(ImageFolder(found["test"]), whole)
        if found["validation"] is not None:
            train: Any = whole
            validation: Any = _matching(ImageFolder(found["validation"]), whole)
        else:
            train, validation = _split(whole, share, generator)
    else:
        whole = ImageFolder(folder)
        train, validation = _split(whole, share, generator)
    return Source(
        folder.name or str(folder),
        _Prepared(train, moved),
        _Prepared(validation, plain),
        None if test is None else _Prepared(test, plain),
        whole.classes,
        (channels, size, size),
        tuple(mean),
        tuple(std),
    )


def _same(image: Any) -> Any:
    return image


def _matching(part: ImageFolder, whole: ImageFolder) -> ImageFolder:
    """The part, if its classes are those of the training images."""
    if part.classes != whole.classes:
        raise ValueError(
            f"{part.root}: must have the classes of {whole.root}, {whole.classes[:8]}; "
            f"found {part.classes[:8]}"
        )
    return part


def first_batch(source: Source, count: int) -> tuple[Tensor, Tensor]:
    """The first training images and labels, as one batch."""
    from ..utils.data import default_collate

    many = Subset(source.train, list(range(min(count, len(source.train)))))  # type: ignore[arg-type]
    images, labels = default_collate([many[i] for i in range(len(many))])
    return images, labels
