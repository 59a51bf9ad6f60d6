"""Augmentation of training images, on the host and for a whole batch at a time."""

from .affine import RandomAffine, warp_affine

__all__ = ["RandomAffine", "warp_affine"]
