"""Settings of the CUDA kernels: whether float32 may use the tensor cores."""

from __future__ import annotations

__all__ = ["matmul"]


class _Matmul:
    """Settings of matrix products."""

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 products may round their operands to tf32 for the tensor cores.

        tf32 keeps 10 bits of the mantissa; sums stay float32. Off unless set.
        """
        from ..kernels.cuda import settings

        return settings.allow_tf32

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        from ..kernels.cuda import settings

        settings.allow_tf32 = bool(value)


matmul = _Matmul()
