"""Settings of the devices' kernels."""

from . import cpu

__all__ = ["cpu"]
