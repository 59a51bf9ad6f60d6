"""The CPU's kernel table: entries of the compiled core on NumPy arrays."""

from __future__ import annotations

import numpy as np

from ... import _cpu
from .. import KERNELS, KernelTable
from ..views import make_views

__all__ = ["TABLE"]

TABLE = KernelTable(
    "cpu",
    {name: getattr(_cpu, name) for name in KERNELS},
    make_views(_cpu.copy, _cpu.strided),
)
ARRAY_TYPE = np.ndarray
