"""Choices that trade accuracy for speed on device "cuda"."""

from __future__ import annotations

__all__ = ["allow_tf32"]

#: float32 matmul may round its operands to tf32 (10 mantissa bits) for the tensor cores.
allow_tf32: bool = False
