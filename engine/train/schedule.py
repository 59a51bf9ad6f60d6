"""Learning-rate schedules: from the part of training that is done to a share of the full rate."""

from __future__ import annotations

import math

__all__ = ["warmup_cosine"]


def warmup_cosine(progress: float, warmup: float = 0.1) -> float:
    """Rise linearly at first, then fall like a cosine to zero.

    Formula: ``min(1, progress / warmup + 0.01) * (1 + cos(pi * progress)) / 2``

    Args:
        progress: The part of training that is done, 0 to 1.
        warmup: The part over which the rate rises.

    Returns:
        The share of the full learning rate, 0 to 1.

    Source: Loshchilov & Hutter (2017), SGDR, equation 5, without restarts.
    """
    rising = 1.0 if warmup <= 0 else min(1.0, progress / warmup + 0.01)
    return rising * (1 + math.cos(math.pi * progress)) / 2
