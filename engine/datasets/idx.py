"""MNIST and its family, from IDX files: plain or gzip."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .files import FormatError, content_of, found_file, what_it_is
from .pictures import Pictures

__all__ = ["MNIST", "EMNIST", "FashionMNIST", "KMNIST", "read_idx"]

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
#: More is refused: EMNIST's largest file has 547 million bytes.
MOST = 2**31
#: NumPy's arrays have no more.
MOST_DIMS = 64


def read_idx(path: str | Path) -> np.ndarray[Any, Any]:
    """The array of an IDX file.

    Args:
        path: the file, plain or gzip.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another format, a header that is no IDX header, or more or fewer values than it
            says; the message names the file and what differs.

    Source: the format as described with MNIST, LeCun, Cortes, Burges 1998.
    """
    path = Path(path)
    content = content_of(path, MOST)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES or content[3] == 0:
        raise FormatError(
            f"{path}: an IDX file begins with 00 00, a dtype of "
            f"{', '.join(f'{d:02x}' for d in _DTYPES)} and the number of dimensions; "
            f"found {what_it_is(content)}"
        )
    dims = content[3]
    if dims > MOST_DIMS:
        raise FormatError(f"{path}: at most {MOST_DIMS} dimensions expected; found {dims}")
    begin = 4 + 4 * dims
    if len(content) < begin:
        raise FormatError(
            f"{path}: the header is cut off: {begin} bytes expected; found {len(content)}"
        )
    shape = tuple(int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(dims))
    dtype = np.dtype(_DTYPES[content[2]])
    wanted = math.prod(shape) * dtype.itemsize
    held = len(content) - begin
    if held != wanted:
        problem = "the file is cut off" if held < wanted else "the file is too long"
        raise FormatError(
            f"{path}: {problem}: {shape} {dtype.newbyteorder('=')} values need {wanted} bytes; "
            f"found {held}"
        )
    values = np.frombuffer(content, dtype, offset=begin).reshape(shape)
    return values.astype(dtype.newbyteorder("="))


class MNIST(Pictures):
    """Handwritten digits, or what else comes as two IDX files: images and labels.

    Args:
        root: the folder of the files, or a folder with `MNIST/raw` in it; names as published,
            with or without `.gz`, e.g. train-images-idx3-ubyte.gz.
        train: the 60,000 training images; else the 10,000 test images.
        transform: is given each image, a PIL image.
        target_transform: is given each label, an int.

    Attributes:
        data: the images, (N, H, W) uint8.
        targets: the labels, (N,) int64.
        classes: their names.

    Raises:
        FileNotFoundError: a file is missing; nothing is downloaded.
        ValueError: a damaged file, or files that do not belong together.

    Without a transform samples are PIL images, as torchvision's.

    Source: LeCun, Cortes, Burges (1998), The MNIST database of handwritten digits.
    """

    classes: list[str] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
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
        nested = self.root / type(self).__name__ / "raw"
        if nested.is_dir():
            folder = nested
        images, labels = (found_file(folder, self._names(kind)) for kind in ("images", "labels"))
        self.data = self._oriented(read_idx(images))
        targets = read_idx(labels)
        for path, array, dims in ((images, self.data, 3), (labels, targets, 1)):
            if array.ndim != dims or array.dtype != np.uint8:
                raise FormatError(
                    f"{path}: must hold {dims}-dimensional bytes; found {array.shape} {array.dtype}"
                )
        if len(self.data) != len(targets):
            raise FormatError(
                f"{labels}: must have a label for each of {len(self.data)} images of {images.name};"
                f" found {len(targets)}"
            )
        largest = int(targets.max(initial=0))
        if largest >= len(self.classes):
            raise FormatError(
                f"{labels}: labels must be in 0..{len(self.classes) - 1}; found {largest}"
            )
        self.targets = targets.astype(np.int64)

    def _names(self, kind: str) -> tuple[str, ...]:
        """What the file of the images or the labels may be called."""
        name = f"{'train' if self.train else 't10k'}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        dotted = name.replace("-idx", ".idx")
        return name, f"{name}.gz", dotted, f"{dotted}.gz"

    def _oriented(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return images


class FashionMNIST(MNIST):
    """Pictures of clothes in ten classes; files and arguments as MNIST's.

    Source: Xiao, Rasul, Vollgraf (2017), Fashion-MNIST.
    """

    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Cursive Japanese characters in ten classes; files and arguments as MNIST's.

    Source: Clanuwat et al. (2018), Deep learning for classical Japanese literature.
    """

    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten characters: digits and letters.

    Args:
        root: as MNIST; the files are called emnist-letters-train-images-idx3-ubyte and so on.
        split: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
        train, transform, target_transform: as MNIST.

    Raises:
        ValueError: an unknown split.

    The files hold the images turned on their side; they are given upright. (torchvision gives them
    as they are in the files.)

    Source: Cohen, Afshar, Tapson, van Schaik (2017), EMNIST.
    """

    #: How many classes each split's labels have; letters begin at 1.
    SPLITS = {
        "byclass": 62,
        "bymerge": 47,
        "balanced": 47,
        "letters": 27,
        "digits": 10,
        "mnist": 10,
    }

    def __init__(
        self,
        root: str | Path,
        split: str,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if split not in self.SPLITS:
            raise ValueError(f"EMNIST: split must be one of {tuple(self.SPLITS)}; got {split!r}")
        self.split = split
        upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        merged = [c for c in upper.lower() if c not in "cijklmopsuvwxyz"]
        names = [*"0123456789", *upper]
        names += [*upper.lower()] if split == "byclass" else merged
        if split == "letters":
            names = ["N/A", *upper.lower()]
        self.classes = names[: self.SPLITS[split]]
        super().__init__(root, train, transform, target_transform)

    def _names(self, kind: str) -> tuple[str, ...]:
        part = "train" if self.train else "test"
        name = f"emnist-{self.split}-{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
        return name, f"{name}.gz"

    def _oriented(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.ascontiguousarray(images.swapaxes(-1, -2)) if images.ndim == 3 else images
