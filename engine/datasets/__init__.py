"""Data sets: the digits that come with the package, and readers for files on disk.

Nothing is downloaded and nothing is unpickled; a damaged file is named, with what is wrong in it.
"""

from .cifar import CIFAR10, CIFAR100, read_cifar
from .digits import Digits, read_digits
from .files import FormatError
from .folder import ImageFolder, default_loader
from .idx import EMNIST, KMNIST, MNIST, FashionMNIST, read_idx
from .npz import read_npz

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "Digits",
    "EMNIST",
    "FashionMNIST",
    "FormatError",
    "ImageFolder",
    "KMNIST",
    "MNIST",
    "default_loader",
    "read_cifar",
    "read_digits",
    "read_idx",
    "read_npz",
]
