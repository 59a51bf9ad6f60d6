"""Settings of the devices' kernels."""

from . import cpu, cuda

__all__ = ["cpu", "cuda"]
