"""The check that needs the emulator: results that do not depend on which thread runs next."""

from __future__ import annotations

from collections.abc import Sequence

from .checks import _same as same
from .checks import bits, size_of
from .opdb import OpInfo, Sample
from .report import Measure

__all__ = ["check_schedules"]


def check_schedules(
    info: OpInfo,
    sample: Sample,
    dtype: str,
    orders: Sequence[str] = ("skewed", "random", "reverse"),
) -> Measure:
    """The same bits whatever thread of a block runs next; on the emulator, where one can choose."""
    from ..kernels.cuda import emulator

    first = bits(info, sample, dtype, "cuda")
    for order in orders:
        with emulator.schedule(order, "late", seed=size_of(sample)):
            same(first, bits(info, sample, dtype, "cuda"), f"{sample.id}, schedule {order}")
    return Measure(count=len(first) * len(orders))
