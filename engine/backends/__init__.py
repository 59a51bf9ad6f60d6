"""Settings of the devices' kernels."""

from . import cpu, cuda, cudnn, mps

__all__ = [
    "are_deterministic_algorithms_enabled",
    "cpu",
    "cuda",
    "cudnn",
    "mps",
    "use_deterministic_algorithms",
]


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Taken as PyTorch takes it, and changes nothing: every kernel always gives the same bits."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: every kernel always gives the same bits."""
    return True
