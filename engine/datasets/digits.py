"""The UCI handwritten digits, shipped with the package: 1,797 real images of 8x8 pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..utils.data import Dataset
from .npz import read_npz

__all__ = ["SPLITS", "Digits", "read_digits"]

DATA_FILE = Path(__file__).parent / "data" / "digits.npz"
SHA256 = "1173a11c0dd433ea8d333fcad07c1fa5fe258c3c8c4b214bd1cd15e3938b25cf"
MEMBERS = {
    "images": ((1797, 8, 8), "uint8"),
    "labels": ((1797,), "uint8"),
    "split": ((1797,), "uint8"),
}
#: The parts of the data set; the position is the code in the file's `split`.
SPLITS = ("train", "validation", "test")
#: The largest value of a pixel: the 16 pixels of a 4x4 block of the scanned bitmap.
MAX_INK = 16


def read_digits(path: str | Path = DATA_FILE, sha256: str | None = SHA256) -> dict[str, np.ndarray]:
    """Read and check a digits file.

    Args:
        path: The file; default: the one that is shipped.
        sha256: The hash it must have; None: not checked.

    Returns:
        ``images`` (1797, 8, 8), ``labels`` (1797,) and ``split`` (1797,), all uint8, read-only.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not the expected one; the message names what differs.
    """
    arrays = read_npz(path, MEMBERS, sha256)
    for name, limit in (("images", MAX_INK), ("labels", 9), ("split", len(SPLITS) - 1)):
        largest = int(arrays[name].max())
        if largest > limit:
            raise ValueError(f"{path}: {name} must be in 0..{limit}; found {largest}")
    return arrays


@lru_cache(maxsize=1)
def _shipped() -> dict[str, np.ndarray]:
    return read_digits()


class Digits(Dataset):
    """Handwritten digits: ``Digits("train")[0]`` is an image and its label.

    The split is fixed and stratified: 1,169 images to train with, 269 to choose by (validation)
    and 359 to test on at the end. See data/ATTRIBUTION.md.

    Shape: images (N, 1, 8, 8) float32 in [0, 1], labels (N,) int64

    Args:
        split: "train", "validation" or "test".

    Raises:
        ValueError: An unknown split, or a damaged data file.
        FileNotFoundError: The data file is missing.

    Source: E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, CC BY 4.0.
    """

    def __init__(self, split: str = "train") -> None:
        if split not in SPLITS:
            raise ValueError(f"Digits: split must be one of {SPLITS}; got {split!r}")
        arrays = _shipped()
        chosen = arrays["split"] == SPLITS.index(split)
        self.split = split
        #: Position of each image in the data file.
        self.indices: np.ndarray = np.flatnonzero(chosen)
        scaled = arrays["images"][chosen].astype(np.float32) / np.float32(MAX_INK)
        self.images: np.ndarray = scaled[:, np.newaxis]
        self.labels: np.ndarray = arrays["labels"][chosen].astype(np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """The image, (1, 8, 8), and its label."""
        return self.images[index], int(self.labels[index])

    def __repr__(self) -> str:
        return f"Digits({self.split!r}, {len(self)} images)"
