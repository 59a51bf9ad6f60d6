"""Data sets that come with the package."""

from .digits import Digits, read_digits
from .npz import read_npz

__all__ = ["Digits", "read_digits", "read_npz"]
